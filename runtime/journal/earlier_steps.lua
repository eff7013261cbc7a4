-- What earlier attempts left of a run's steps, in the order in which a resumed run asks for it: mostly that in which
-- they ended. So finished ones are read in pages, ahead of the steps that ask, and forgotten when they have asked. What
-- is met in another order is read by itself. Memory holds a few pages, however many steps there are.
local earlier = {}

-- A page is a stretch of positions, which needs no sorting: so many steps at the most, some for what else has a number.
local PAGE, MOST_AHEAD = 400, 1000
local LONGEST_RESULT = 4096 -- a longer one is read when it is asked for
local COLUMNS = "path, status, attempt, code, result, error, undone, position"

local store, run
-- How many rows were not asked for yet; the positions to be read ahead: after `position`, up to `last`; those that were
-- read, by path, and how many they are.
local unmet, position, last, ahead, kept = 0, 0, 0, {}, 0
local reading = false
-- Steps that have failed in this process: they may be tried again.
local failed = {}

--- From here on the steps of this run are asked for, from its beginning.
---@param of table the store
---@param id string
---@param is_new? boolean it has none yet
function earlier.begin(of, id, is_new)
    store, run = of, id
    unmet, position, last, ahead, kept, failed = 0, 0, 0, {}, 0, {}
    if not is_new then
        local steps = store.read("SELECT count(*) AS count, max(position) AS last FROM steps WHERE run = $1", run)[1]
        unmet, last = steps.count, steps.last or 0
    end
end

local function read_page()
    if kept > MOST_AHEAD then
        ahead, kept = {}, 0
    end
    reading = true
    local rows = store.read("SELECT " .. COLUMNS .. [[ FROM steps WHERE run = $1 AND position > $2 AND position <= $3
        AND status = 'done' AND (result IS NULL OR length(result) <= $4)]], run, position, position + PAGE,
        LONGEST_RESULT)
    reading = false
    for _, row in ipairs(rows) do
        ahead[row.path] = row
    end
    position, kept = position + PAGE, kept + #rows
end

local function take(path)
    local row = ahead[path]
    if row then
        ahead[path], kept = nil, kept - 1
    end
    return row
end

local function read_one(path)
    local row = store.read("SELECT " .. COLUMNS .. " FROM steps WHERE run = $1 AND path = $2", run, path)[1]
    position = math.max(position, row and row.position or 0)
    return row
end

--- What is recorded of a step; nil when it was not begun before.
---@param path string
---@return table? row
function earlier.find(path)
    if failed[path] then
        failed[path] = nil
        return read_one(path)
    elseif unmet == 0 then
        return nil
    end
    local row = take(path)
    if not row and position < last and not reading then
        read_page()
        row = take(path)
    end
    row = row or read_one(path)
    unmet = unmet - (row and 1 or 0)
    return row
end

--- A step of this process did not finish. Should it be tried again, that is to be found.
---@param path string
function earlier.note_failure(path)
    failed[path] = true
end

return earlier
