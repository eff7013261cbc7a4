-- Talking with the person: say, warn, ask, confirm, manual; and small values: secret, env, now, uuid.
local native = ...
local event, task = native.event, native.task
local talk = {
    --- Set by --yes: confirm answers yes by itself.
    assume_yes = false,
}

--- Shows a line.
local function say(format, ...)
    event.emit("say", { parent = task.context().scope, text = select("#", ...) > 0 and format:format(...) or format })
end

--- Shows a line that asks for attention.
local function warn(format, ...)
    event.emit("warn", { parent = task.context().scope, text = select("#", ...) > 0 and format:format(...) or format })
end

--- One line from the person. Without a terminal the run parks.
local function prompt(question)
    if not (native.system.isatty(0) and native.system.isatty(2)) then
        error(native.error.new {
            code = "parked",
            message = "a person has to answer: " .. question,
            hint = "run it on a terminal; where the question is a yes or no, --yes answers it",
        }, 3)
    end
    event.suspend()
    native.system.write_error(question .. " ")
    local ok, answer = pcall(native.system.read_line)
    event.resume()
    if not ok then
        error(answer, 0)
    end
    if answer == nil then
        error(native.error.new { code = "cancelled", message = "no answer: the input ended at: " .. question }, 3)
    end
    return answer
end

--- Asks for a line of text.
---@param question string
---@param default? string what an empty answer means
---@return string
local function ask(question, default)
    local answer = prompt(default and ("%s [%s]"):format(question, default) or question)
    return answer ~= "" and answer or default or ""
end

--- Asks yes or no; raises "declined" unless the answer is yes. With `type_this`, the person types that text instead.
---@param question string
---@param type_this? string
local function confirm(question, type_this)
    if talk.assume_yes then
        say("%s yes (--yes)", question)
        return
    end
    local answer = prompt(type_this and ("%s Type '%s' to go on:"):format(question, type_this) or question .. " [y/N]")
    local agreed = answer == type_this or (not type_this and answer:lower():match "^y" ~= nil)
    if not agreed then
        error(native.error.new { code = "declined", message = "not done: you did not agree to: " .. question }, 2)
    end
end

--- Asks the person to do something by hand, and waits until they say that it is done.
---@param instruction string
local function manual(instruction)
    prompt("By hand: " .. instruction .. " — press Enter when it is done.")
end

--- The parts of a secret list, each a secret: DO_DATABASE_API_TOKENS holds several tokens with commas between them.
---@param value secret
---@param separator? string one character (",")
---@return secret[]
local function split_secret(value, separator)
    local parts = {}
    native.secret.derive(value, function(text)
        for part in text:gmatch("[^" .. (separator or ","):gsub("%W", "%%%0") .. "]+") do
            parts[#parts + 1] = native.secret.new((part:match "^%s*(.-)%s*$"))
        end
        return text
    end)
    return parts
end

local secret = setmetatable({
    split = split_secret,
    --- A new random secret of letters and digits.
    ---@param length? integer 8 to 256 (32)
    random = native.secret.random,
    --- Makes text a secret: it is masked wherever it would be shown.
    wrap = native.secret.new,
    is = native.secret.is,
}, {
    --- Reads a secret from the environment or from systemd's $CREDENTIALS_DIRECTORY.
    __call = function(_, name, options)
        local text = native.system.credential(name) or native.system.env(name)
        if text and text ~= "" then
            return native.secret.new(text)
        elseif options and options.optional then
            return nil
        end
        error(native.error.new {
            code = "secret",
            message = ("the secret %s is not set"):format(name),
            hint = ("export %s=... , or give it to the service with LoadCredential=%s:FILE"):format(name, name),
        }, 2)
    end,
})

talk.globals = {
    say = say, warn = warn, ask = ask, confirm = confirm, manual = manual, secret = secret, json = native.json.face,
    --- A setting from the environment, or the default.
    env = function(name, default)
        local text = native.system.env(name)
        return text ~= nil and text ~= "" and text or default
    end,
    --- Seconds since 1970.
    now = native.system.now,
    --- A random UUID.
    uuid = native.system.uuid,
}
return talk
