-- The texts that a run is made of, kept with it: its playbook and the modules that this requires. A resumed run uses
-- them, whatever became of the files. A text is kept once, however many runs used it.
local native, import = ...
local run_sources = {}

local current, store = import "journal/current", import "journal/store"

local ADD = "INSERT INTO source_texts (hash, content) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING"
-- Where others may forget runs meanwhile, the row is held, so that it stays until it is referred to. Those who keep the
-- same text at once hold it together.
local ADD_HELD = [[INSERT INTO source_texts (hash, content) SELECT $1, $2
        WHERE NOT EXISTS (SELECT 1 FROM source_texts WHERE hash = $1 FOR KEY SHARE)
    ON CONFLICT (hash) DO UPDATE SET hash = excluded.hash]]

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
    perform(store.is_shared() and ADD_HELD or ADD, hash, text)
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

--- SQL that adds the kept texts to a row of runs: it becomes as many rows as there are texts.
run_sources.JOINED = "LEFT JOIN sources AS s ON s.run = runs.id LEFT JOIN source_texts AS t ON t.hash = s.hash"
run_sources.COLUMNS = "s.name AS source, s.path AS source_path, t.content AS source_text"

--- The texts in such rows, by name.
---@param rows table[]
---@return table<string, { path: string, text: string }>
function run_sources.from(rows)
    local sources = {}
    for _, row in ipairs(rows) do
        if row.source then
            sources[row.source] = { path = row.source_path, text = row.source_text }
        end
    end
    return sources
end

--- The kept texts of a run, by name.
---@param run string its id
---@return table<string, { path: string, text: string }>
function run_sources.of(run)
    return run_sources.from(store.open().read(("SELECT %s FROM runs %s WHERE runs.id = $1"):format(run_sources.COLUMNS,
        run_sources.JOINED), run))
end

return run_sources
