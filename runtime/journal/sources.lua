-- The texts that a run is made of, kept with it: its playbook and the modules that this requires. A resumed run uses
-- them, whatever became of the files. A text is kept once, however many runs used it.
local native, import = ...
local run_sources = {}

local current, store = import "journal/current", import "journal/store"

-- The run that texts are collected for, and the statements that keep them.
local collecting, statements

local function perform(...)
    if collecting then
        statements[#statements + 1] = store.statement(...)
    else
        store.open().later(...)
    end
end

--- Keeps a text with the run that is being recorded, if there is one.
---@param name string "playbook", or the module's name
---@param path string
---@param text string
function run_sources.keep(name, path, text)
    local run = collecting or current.run
    if not run then
        return
    end
    local hash = native.system.hash(text)
    -- Where others may forget runs meanwhile, the row is held, so that it stays until it is referred to.
    perform("INSERT INTO source_texts (hash, content) VALUES ($1, $2) ON CONFLICT (hash) DO "
        .. (store.is_shared() and "UPDATE SET hash = excluded.hash" or "NOTHING"), hash, text)
    -- There may be no such run: see runs.enqueue.
    perform([[INSERT INTO sources (run, name, path, hash) SELECT id, $2, $3, $4 FROM runs WHERE id = $1
        ON CONFLICT (run, name) DO UPDATE SET path = excluded.path, hash = excluded.hash]], run, name, path, hash)
end

--- The statements by which fn, which keeps texts, keeps them with this run.
---@param run string its id
---@param fn fun() must not wait
---@return table[] for a store's transaction()
function run_sources.collect(run, fn)
    collecting, statements = run, {}
    local ok, err = pcall(fn)
    local collected = statements
    collecting, statements = nil, nil
    if not ok then
        error(err, 0)
    end
    return collected
end

--- The kept texts of a run, by name.
---@param run string its id
---@return table<string, { path: string, text: string }>
function run_sources.of(run)
    local sources = {}
    for _, row in ipairs(store.open().read([[SELECT s.name, s.path, t.content FROM sources s
            JOIN source_texts t ON t.hash = s.hash WHERE s.run = $1]], run)) do
        sources[row.name] = { path = row.path, text = row.content }
    end
    return sources
end

return run_sources
