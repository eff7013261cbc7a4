-- hostler repl: a prompt with the same world as a playbook.
local native, import = ...
local repl = {}

local commandline, gate, params, prompt = import "commandline", import "gate", import "params", import "prompt"

local declare = params.globals

local function label()
    return ("%s> "):format(gate.mode == "normal" and "WRITE" or "read-only")
end

---@param argv string[]
---@return integer exit status
function repl.main(argv)
    return commandline.call("repl", {
        declare.flag("write", "allow writes from the beginning"),
        { kind = "opt", name = "execute", short = "e", field = "code", type = "text", help = "run this code, and end" },
        declare.list("file", "path", "a file to run first", {}),
    }, argv, function(values)
        gate.mode = values.write and "normal" or "read-only"
        native.event.report("plain", -1)
        local options = { label = label, until_error = true, first = values.file[1] and ":load " .. values.file[1] }
        local err
        if values.code then
            err = prompt.execute(options, values.code)
        else
            err = select(2, prompt.run(options))
        end
        return err and 1 or 0
    end)
end

return repl
