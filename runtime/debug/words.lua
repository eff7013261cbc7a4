-- What a person may decide at a debugger's prompt, as words of it.
local native, import = ...
local debugger_words = {}

local edited, evaluate, json = import "debug/edited", import "prompt/evaluate", native.json

--- A word that leaves the prompt with a decision.
local function decision(help, what)
    return { help = help, plain = true, run = function() return true, { [what] = true } end }
end

local function resume_word()
    return {
        usage = "[latest]", plain = true,
        help = "go through the playbook anew, past the steps that are done; latest: as the files are now",
        run = function(_, rest)
            if rest ~= "" and rest ~= "latest" then
                error(native.error.new { code = "usage", message = "it is `resume` or `resume latest`" }, 0)
            end
            return true, { resume = rest == "latest" and "latest" or "kept" }
        end,
    }
end

--- The value that `skip VALUE` gives the step.
local function value_of(session, source)
    if source == "" then
        return nil
    end
    local chunk, err = evaluate.compile(source, session.scope, "=skip")
    if not chunk then
        err.code = "syntax"
        error(err, 0)
    end
    local value = chunk()
    json.show(value) -- raises what the journal could not keep
    return value
end

local function skip_word()
    return {
        usage = "[VALUE]", help = "the step counts as done, with that result", plain = true,
        run = function(session, rest)
            return true, { skip = true, value = value_of(session, rest) }
        end,
    }
end

--- What may be done about a step that failed.
---@param work table see edited.step
---@param list frames.Frame[]
function debugger_words.of_step(work, list)
    return {
        retry = {
            help = "run the step again, as it stands in the file by now", plain = true,
            run = function() return true, { retry = true, new = edited.step(work, list) } end,
        },
        skip = skip_word(),
        continue = decision("let the error take its course", "continue"),
        abort = decision("end the run here", "abort"),
        resume = resume_word(),
    }
end

--- What may be done about a step that was not begun.
function debugger_words.of_next_step()
    return {
        continue = decision("begin the step, and go on", "continue"),
        skip = skip_word(),
        abort = decision("end the run here", "abort"),
    }
end

--- What may be done about a failure that is in no step.
function debugger_words.of_failure()
    return {
        continue = decision("let the error take its course", "continue"),
        abort = decision("end the run here", "abort"),
        resume = resume_word(),
    }
end

function debugger_words.of_breakpoint()
    return {
        continue = decision("go on", "continue"),
        abort = decision("end the run here", "abort"),
    }
end

--- Both sets in one.
function debugger_words.merge(one, other)
    local all = {}
    for _, set in ipairs { one, other } do
        for name, word in pairs(set) do
            all[name] = word
        end
    end
    return all
end

local ORDER = { "retry", "skip", "continue", "abort", "resume" }

--- The words on one line, for who has forgotten them.
function debugger_words.line(set)
    local names = {}
    for _, name in ipairs(ORDER) do
        if set[name] then
            names[#names + 1] = set[name].usage and name .. " " .. set[name].usage or name
        end
    end
    return table.concat(names, ", ") .. "; :where, :up, :down, :locals, :source; :help"
end

return debugger_words
