-- The texts that a run is made of, kept with it: its playbook and the modules that this requires. A resumed run uses
-- them, whatever became of the files. A text is kept once, however many runs used it.
local native, import = ...
local run_sources = {}

local current, store = import "journal/current", import "journal/store"

--- Keeps a text with a run, which may be on its way into the store.
---@param record fun(sql: string, ...) takes the statements
---@param run string its id
---@param name string "playbook", or the module's name
---@param path string
---@param text string
function run_sources.keep_with(record, run, name, path, text)
    local hash = native.system.hash(text)
    -- Where others may forget runs meanwhile, the row is held, so that it stays until it is referred to.
    record("INSERT INTO source_texts (hash, content) VALUES ($1, $2) ON CONFLICT (hash) DO "
        .. (store.open().clock and "UPDATE SET hash = excluded.hash" or "NOTHING"), hash, text)
    record([[INSERT INTO sources (run, name, path, hash) VALUES ($1, $2, $3, $4)
        ON CONFLICT (run, name) DO UPDATE SET path = excluded.path, hash = excluded.hash]],
        run, name, path, hash)
end

--- Keeps a text with the run that is being recorded, if there is one.
---@param name string "playbook", or the module's name
---@param path string
---@param text string
function run_sources.keep(name, path, text)
    if current.run then
        run_sources.keep_with(store.open().later, current.run, name, path, text)
    end
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
