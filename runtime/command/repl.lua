-- hostler repl: a prompt with the same world as a playbook.
local native, import = ...
local repl = {}

local commandline, gate, modules = import "command/commandline", import "gate/gate", import "run/modules"
local connections = import "gate/connections"
local params = import "run/params"
local lease, prompt, prompt_run = import "journal/lease", import "prompt/prompt", import "prompt/prompt_run"
local prompt_words = import "prompt/words"
local system = native.system

local declare = params.globals
local SPECS = {
    declare.flag("write", "let it write from the beginning"),
    { kind = "opt", name = "execute", short = "e", field = "code", type = "text", help = "run this code, and end" },
    declare.list("file", "path", "a file to run first", {}),
}

--- The name that the playbooks give the prompt: prompt.lua beside them, or among their parts, may say { name = ... }.
local function name_of_the_place()
    local ok, given = pcall(function() return modules.exists "prompt" and modules.globals.require "prompt" end)
    local name = ok and type(given) == "table" and rawget(given, "name")
    return type(name) == "string" and name or "hostler"
end

--- "meltanodata.com read-only, 1 open> "
local function label_of(name)
    return function()
        local writes = gate.mode == "normal"
        return ("%s %s, %d open> "):format(name, writes and "WRITES" or "read-only", connections.count()),
            writes and "yellow" or "cyan"
    end
end

local words = {}

words.write = {
    complete = prompt_words.switch_names, usage = "on|off", help = "let this prompt write, or only read",
    run = function(session, rest)
        local on = prompt_words.switch(rest, "write")
        if on ~= nil then
            prompt_run.allow(on)
        end
        session:say(gate.mode == "normal" and "writes are allowed, and recorded" or "this prompt only reads")
    end,
}

local function run(values)
    local interactive = system.isatty(0) and system.isatty(1) and not values.code
    native.report("prompt", interactive and 0 or -1)
    native.task.context().title = "hostler repl"
    prompt_run.enter()
    prompt_run.allow(values.write)
    local options = {
        label = label_of(interactive and name_of_the_place() or ""), words = words, until_error = true,
        first = values.file[1] and ":load " .. values.file[1],
        prepare = prompt_run.prepare, on_effect = prompt_run.on_effect, finish = prompt_run.finish,
    }
    local ok, err = lease.hold_later(function()
        if values.code then
            return prompt.execute(options, values.code)
        end
        return select(2, prompt.run(options))
    end)
    local id = prompt_run.leave(ok)
    if id and interactive then
        system.write(("what was written is on record: hostler log %s\n"):format(id))
    end
    return ok, err
end

---@param argv string[]
---@return integer exit status
function repl.main(argv)
    return commandline.call("repl", SPECS, argv, function(values)
        if values.file[2] then
            error(native.error.new {
                code = "usage", message = "repl runs one file first, not " .. #values.file,
                hint = "have that one load the others, or type `:load FILE` for each",
            }, 0)
        end
        local ok, err = run(values)
        if not ok then
            error(err, 0)
        end
        return err and 1 or 0
    end)
end

return repl
