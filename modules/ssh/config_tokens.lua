-- What stands for something else in a value of OpenSSH's configuration: "~", "%h", "${NAME}" (ssh_config(5), TOKENS and
-- ENVIRONMENT VARIABLES). `ssh -G` prints most values as they are written.
local tokens = {}

local ALL = "dhiklLnpru" -- %C and %j are not among them: nobody names a key file by these

--- What the tokens stand for, for one connection.
---@param native table the ssh module's C half
---@param settings { host: string, address: string, port: integer, user: string, host_key_alias?: string }
---@return table<string, string>
function tokens.of(native, settings)
    local machine, number = native.machine()
    return {
        ["%"] = "%", d = native.home() or "", h = settings.address, i = ("%d"):format(number),
        k = settings.host_key_alias or settings.host, l = machine, L = machine:match "^[^.]*", n = settings.host,
        p = tostring(settings.port), r = settings.user, u = native.user() or "",
    }
end

local function refuse(keyword, text, problem, hint)
    fail(("%s %s in the OpenSSH configuration: %s"):format(keyword, text, problem), {
        code = "ssh.config", hint = hint or "write it out, or see ssh_config(5)",
    })
end

--- The text with its tokens replaced.
---@param keyword string whose value it is, for the message
---@param text string
---@param values table<string, string> see tokens.of
---@param allowed? string the letters that may stand after "%" (those of a file's name)
---@raise "ssh.config" for a token that is not known
function tokens.percent(keyword, text, values, allowed)
    allowed = allowed or ALL
    return (text:gsub("%%(.?)", function(letter)
        if letter == "%" or (letter ~= "" and allowed:find(letter, 1, true)) then
            return values[letter]
        end
        refuse(keyword, text, ("%%%s is not known here"):format(letter))
    end))
end

local function environment(native, keyword, text)
    return (text:gsub("%${([^}]*)}", function(name)
        return native.environment(name) or refuse(keyword, text, ("the variable %s is not set"):format(name),
            "set it, or write the value out")
    end))
end

--- "~" and "~user" at the beginning of a path as the home directory; a user who does not exist has none.
---@return string
function tokens.tilde(native, path)
    local user, rest = path:match "^~([^/]*)(.*)$"
    local home = user and native.home(user ~= "" and user or nil)
    return home and home .. rest or path
end

--- A path with all that may stand in one replaced.
---@raise "ssh.config"
function tokens.path(native, keyword, path, values)
    local text = tokens.tilde(native, path)
    local parts, at = {}, 1
    -- In one pass from the left, as ssh does it: what was put in is not looked at again.
    for start, part, stop in text:gmatch "()(%%.?)()" do
        parts[#parts + 1] = environment(native, keyword, text:sub(at, start - 1))
        parts[#parts + 1] = tokens.percent(keyword, part, values)
        at = stop
    end
    parts[#parts + 1] = environment(native, keyword, text:sub(at))
    return table.concat(parts)
end

return tokens
