-- Code as people type it: compiling an expression or statements, telling what is not complete yet from what is wrong,
-- and running it in a task of its own.
local native, import = ...
local evaluate = {}

local task = native.task
local sandbox = import "base/sandbox"
local tokens = import "prompt/tokens"

--- The names that a `local` at this token declares without giving them a value, or nil.
local function bare_names(list, index)
    local names = {}
    repeat
        index = index + 1
        if not list[index] or list[index].kind ~= "name" then
            return nil
        end
        names[#names + 1] = list[index]
        index = index + 1
    until not list[index] or list[index].text ~= ","
    return not (list[index] and list[index].text == "=") and names or nil
end

--- What is declared `local` outside of all blocks would be gone with the next line: it becomes a name of the
--- environment, so that lines of a playbook can be pasted. The text keeps its lines.
---@param source string
---@return string
function evaluate.keep_locals(source)
    local list, edits = {}, {}
    for _, token in ipairs(tokens.of(source)) do
        list[#list + 1] = token.kind ~= "comment" and token or nil
    end
    tokens.walk(list, function(token, index, depth)
        if depth ~= 0 or token.text ~= "local" or token.kind ~= "keyword" then
            return
        end
        edits[#edits + 1] = { token.from, token.to, "     " }
        local names = list[index + 1] and list[index + 1].text ~= "function" and bare_names(list, index)
        if names then
            edits[#edits + 1] = { names[#names].to + 1, names[#names].to, " = nil" }
        end
    end)
    for index = #edits, 1, -1 do
        local from, to, text = unpack(edits[index])
        source = source:sub(1, from - 1) .. text .. source:sub(to + 1)
    end
    return source
end

--- The message without its place, and the line.
local function take_apart(message)
    local line, text = message:match ":(%d+): (.*)$"
    return text or message, tonumber(line)
end

--- The values go through a function: a call at the end of `return` would leave no trace of the line in a traceback.
local function as_expression(source, name, environment)
    local chunk = sandbox.compile("local __values = ... return __values(" .. source .. "\n)", name, environment)
    return function()
        return chunk(function(...) return ... end)
    end
end

--- Compiles an expression, whose values the chunk returns, or statements.
---@param source string
---@param environment table where its names are looked up and assigned
---@param name? string the chunk's name: "@" and a file, or "=" and a label
---@return function? chunk
---@return table? err with code "incomplete" when more lines may make it whole, else "syntax" with its line
function evaluate.compile(source, environment, name)
    name = name or "=prompt"
    if sandbox.compile("return " .. source, name, environment) then
        return as_expression(source, name, environment)
    end
    local chunk, message = sandbox.compile(evaluate.keep_locals(source), name, environment)
    if chunk then
        return chunk
    end
    local text, line = take_apart(message)
    return nil, native.error.new {
        code = text:find "near '<eof>'$" and "incomplete" or "syntax", message = text, line = line,
        file = name:match "^@(.*)$",
    }
end

--- Begins to run code in a task of its own.
---@param chunk function
---@param prepare? fun(context: table) called in the task before the code
---@return userdata task
function evaluate.start(chunk, prepare)
    return task.spawn(nil, function()
        if prepare then
            prepare(task.context())
        end
        return chunk()
    end)
end

local function pack(ok, ...)
    return ok, ok and { n = select("#", ...), ... } or native.error.complete((...))
end

--- Waits for code that was begun.
---@param running userdata
---@return boolean ok false too when the caller was cancelled meanwhile: then its next wait raises
---@return table result what the code returned, `n` values, or the error
function evaluate.wait(running)
    return pack(pcall(task.join, running))
end

--- Runs code in a task of its own, which Ctrl-C cancels while it leaves the caller alone.
---@param chunk function
---@param prepare? fun(context: table)
---@return boolean ok, table result as of evaluate.wait
function evaluate.run(chunk, prepare)
    local running = evaluate.start(chunk, prepare)
    local outer = task.foreground(running)
    local ok, result = evaluate.wait(running)
    task.foreground(outer)
    return ok, result
end

return evaluate
