-- systemd's programs, asked and told through the gate like everything that leaves the process.
local native, import = ...
local program = {}

local gate, texts = import "gate/gate", import "base/text"

local ASK_SECONDS = 60
local TELL_SECONDS = 300 -- a service may take its TimeoutStopSec= to end, and as long to start

-- English words and UTC, whatever this machine is set to.
local ENVIRONMENT = { TZ = "UTC", LC_ALL = "C" }

local function perform(kind, argv, seconds)
    local words = {}
    for index, word in ipairs(argv) do
        words[index] = texts.shell_word(word)
    end
    local effect = { kind = kind, name = "systemd.program", target = "localhost", summary = table.concat(words, " ") }
    return gate.perform(effect, native.program.run, argv, { env = ENVIRONMENT, timeout = seconds, check = false })
end

local function last_line(text)
    return text:gsub("%s+$", ""):match "[^\n]*$"
end

local function refuse(argv, result)
    local said = last_line(result.stderr ~= "" and result.stderr or result.stdout)
    error(native.error.new {
        code = "systemd", message = ("%s failed: %s"):format(argv[1], said ~= "" and said
            or "exit status " .. result.status),
        hint = "systemd said so to: " .. table.concat(argv, " "),
    }, 0)
end

--- Asks, without changing anything.
---@param argv string[]
---@return string? output nil when it ended with another status than 0
---@return string said the last line of what it complained of
---@raise "sh.spawn" where there is no such program
function program.ask(argv)
    local result = perform("read", argv, ASK_SECONDS)
    return result.status == 0 and result.stdout or nil, last_line(result.stderr)
end

--- Asks what has to be answered.
---@param argv string[]
---@return string output
---@raise "systemd"
function program.answer(argv)
    local result = perform("read", argv, ASK_SECONDS)
    return result.status == 0 and result.stdout or refuse(argv, result)
end

--- Tells it to do something.
---@param argv string[]
---@raise "systemd" when it did not
function program.tell(argv)
    local result = perform("write", argv, TELL_SECONDS)
    return result.status == 0 or refuse(argv, result)
end

return program
