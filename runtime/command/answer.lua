-- hostler answer: answers a question of a parked run, and goes on with it. Without a value it shows the questions.
local native, import = ...
local answer = {}

local play = import "command/play"
local recorded = import "journal/recorded"
local answers, commandline = import "run/answers", import "command/commandline"
local params, texts, undo = import "run/params", import "base/text", import "run/undo"
local system = native.system

local declare = params.globals

local function show(row)
    local pending = answers.pending(row.id)
    for number, question in ipairs(pending) do
        system.write(("%d. %s\n"):format(number, texts.indented(question.question, #"1. ")))
    end
    if #pending == 0 then
        system.write(("run %s asks nothing\n"):format(row.id))
    end
end

--- The question meant: the only one, or the one of this number.
local function choose(row, number)
    local pending = answers.pending(row.id)
    local problem = #pending == 0 and ("run %s asks nothing"):format(row.id)
        or not number and #pending > 1 and ("run %s asks %d questions"):format(row.id, #pending)
        or number and not pending[number] and ("run %s has no question %d"):format(row.id, number)
    if problem then
        error(native.error.new {
            code = "usage", message = problem,
            hint = #pending > 0 and ("`hostler answer %s` shows them; choose one with --to NUMBER"):format(row.id)
                or ("`hostler resume %s` goes on with it"):format(row.id),
        }, 0)
    end
    return pending[number or 1]
end

---@param argv string[]
---@return integer exit status
function answer.main(argv)
    if #argv == 1 and not argv[1]:match "^%-" then
        return commandline.call("answer", { commandline.run_argument }, argv, function(values)
            show(recorded.find(values.run))
        end)
    end
    local specs = {
        commandline.run_argument,
        declare.arg("value", "string", "the answer: y or n, text, `done` for what was done by hand; without it "
            .. "the questions are shown"),
        declare.opt("to", "int", "the number of the question, where there are several"),
        declare.flag("json", "print events as JSON, one a line"),
        declare.flag("verbose", "show every effect"),
    }
    return commandline.call("answer", specs, argv, function(values)
        local row = recorded.find(values.run)
        local question = choose(row, values.to)
        -- Of two who answer at once, one gets the run, and that one's answer counts.
        local function give()
            answers.give(row.id, question.path, values.value)
        end
        if undo.has_begun(row.id) then
            return play.take_back(row, values, give)
        end
        return play.go_on(row, values, give)
    end)
end

return answer
