-- What people answered: kept with the run, so that a resumed run does not ask again.
local native, import = ...
local answers = {}

local sealing, current, store = import "journal/sealing", import "journal/current", import "journal/store"
local texts = import "base/text"
local now = native.system.now

local asked = {}

-- A question may be of any length; it is part of a key, and an index holds no long ones.
local LONGEST = 200

local function short(question)
    return #question <= LONGEST and question
        or ("%s... (%s)"):format(texts.beginning(question, LONGEST), native.system.hash(question))
end

--- A question's identity: where it is asked, its words, and how often these were asked there before.
---@return string
function answers.path(context, question)
    local base = current.shown(("%s: %s"):format(context.step or context.path, short(question)))
    asked[base] = (asked[base] or 0) + 1
    return asked[base] > 1 and ("%s (%d)"):format(base, asked[base]) or base
end

--- The answer this run has got to it, or nil.
---@return string?
function answers.find(path)
    if not current.run then
        return nil
    end
    local row = store.open().read("SELECT answer FROM answers WHERE run = $1 AND path = $2", current.run, path)[1]
    return row and row.answer and sealing.decode(row.answer) or nil
end

--- Leaves the question for `hostler answer`.
function answers.open(path, kind, question)
    if current.run then
        store.open().write([[INSERT INTO answers (run, path, kind, question, asked) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (run, path) DO NOTHING]], current.run, path, kind, current.shown(question), now())
    end
end

function answers.keep(path, kind, question, answer)
    if current.run then
        store.open().write([[INSERT INTO answers (run, path, kind, question, answer, asked, answered)
            VALUES ($1, $2, $3, $4, $5, $6, $6)
            ON CONFLICT (run, path) DO UPDATE SET answer = excluded.answer, answered = excluded.answered]],
            current.run, path, kind, current.shown(question), sealing.encode(answer), now())
    end
end

function answers.forget(path)
    if current.run then
        store.open().write("DELETE FROM answers WHERE run = $1 AND path = $2", current.run, path)
    end
end

--- The questions of a run that nobody has answered, oldest first.
---@return { path: string, kind: string, question: string, asked: number }[]
function answers.pending(run)
    return store.open().read([[SELECT path, kind, question, asked FROM answers
        WHERE run = $1 AND answered IS NULL ORDER BY asked, path]], run)
end

--- Answers a question for the run to find.
function answers.give(run, path, answer)
    store.open().write("UPDATE answers SET answer = $1, answered = $2 WHERE run = $3 AND path = $4",
        sealing.encode(answer), now(), run, path)
end

--- Forgets how often this process asked: the playbook is about to be gone through again.
function answers.reset()
    asked = {}
end

return answers
