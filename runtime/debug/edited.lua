-- The function of a step, taken from the playbook as it was edited while its run stands still.
--
-- A function is known again by what it is given to or bound to: `step("restart"`, `local function check`, `run =`; of
-- several alike by its place among them. Its new text is loaded by itself, and takes its outer variables from where the
-- old function had them: so it works on the values that the run has at that moment.
local native, import = ...
local edited = {
    --- The texts that functions were taken from, where these are not those of the playbook.
    ---@type table<function, string>
    texts = setmetatable({}, { __mode = "k" }),
}

local lua_source, place, sandbox = import "base/lua_source", import "base/place", import "base/sandbox"
local frames, tokens, run_texts = import "debug/frames", import "prompt/tokens", import "run/texts"

local function refuse(message, hint)
    error(native.error.new { code = "edited", message = message, hint = hint }, 0)
end

-- ---- the functions of a text ----

--- The tokens without comments, each with its line.
local function tokens_of(source)
    local list, line, at = {}, 1, 1
    for _, token in ipairs(tokens.of(source)) do
        line = line + select(2, source:sub(at, token.from - 1):gsub("\n", ""))
        at = token.from
        if token.kind ~= "comment" then
            token.line = line
            list[#list + 1] = token
        end
    end
    return list
end

local CLOSES = { [")"] = true, ["]"] = true, ["}"] = true }
local OPENS = { ["("] = true, ["["] = true, ["{"] = true }

--- The index of the bracket that is open at a token, or nil.
local function open_bracket(list, index)
    local depth = 0
    for at = index - 1, 1, -1 do
        local text = list[at].kind == "symbol" and list[at].text
        if CLOSES[text] then
            depth = depth + 1
        elseif OPENS[text] then
            if depth == 0 then
                return at
            end
            depth = depth - 1
        end
    end
end

local function texts(list, from, to)
    local words = {}
    for at = from, to do
        words[#words + 1] = list[at].text
    end
    return table.concat(words, " ")
end

--- The end of the first argument of the call whose bracket is at `open`.
local function end_of_argument(list, open)
    local depth = 0
    for at = open + 1, #list do
        local text = list[at].kind == "symbol" and list[at].text
        if depth == 0 and (text == "," or CLOSES[text]) then
            return at - 1
        end
        depth = depth + (OPENS[text] and 1 or CLOSES[text] and -1 or 0)
    end
    return #list
end

--- What the function whose keyword is at `index` is known by, or nil.
local function mark_of(list, index)
    local after, before = list[index + 1], list[index - 1]
    if after and after.kind == "name" then
        local last = index + 1
        while list[last + 1] and list[last + 1].text ~= "(" do
            last = last + 1
        end
        return texts(list, index, last)
    elseif before and before.text == "=" and list[index - 2] then
        return list[index - 2].text .. " ="
    end
    local open = open_bracket(list, index)
    local callee = open and list[open - 1]
    if callee and list[open].text == "(" and callee.kind == "name" then
        return texts(list, open - 1, end_of_argument(list, open))
    end
end

--- The functions of a text in the order they begin.
---@return { mark: string?, first: integer, last: integer, from: integer, to: integer, names: table<string, true> }[]
local function functions_of(source)
    local list, open, found = tokens_of(source), {}, {}
    tokens.walk(list, function(token, index, depth)
        for _, fn in ipairs(open) do
            if token.kind == "name" then
                fn.names[token.text] = true
            end
        end
        if token.text == "function" and token.kind == "keyword" then
            local fn = { mark = mark_of(list, index), first = token.line, from = token.from, depth = depth, names = {} }
            found[#found + 1], open[#open + 1] = fn, fn
        elseif token.text == "end" and open[1] and open[#open].depth == depth then
            local fn = table.remove(open)
            fn.last, fn.to = token.line, token.to
        end
    end)
    return found
end

--- The function at these lines; `hint`, part of its mark, tells those of one line apart.
local function at_lines(functions, first, last, hint)
    local match
    for _, fn in ipairs(functions) do
        if fn.first == first and fn.last == last and fn.mark and (not match or fn.mark:find(hint, 1, true)) then
            match = fn
        end
    end
    return match
end

local function alike(functions, mark)
    local list = {}
    for _, fn in ipairs(functions) do
        if fn.mark == mark and fn.to then
            list[#list + 1] = fn
        end
    end
    return list
end

local function position(list, wanted)
    for index, fn in ipairs(list) do
        if fn == wanted then
            return index
        end
    end
end

--- The function in the new text that was `fn` in the old one.
local function find_again(before, now, fn)
    local old = functions_of(before)
    local _, first, last = native.system.place_of(fn.fn)
    local wanted = at_lines(old, first, last, fn.name)
    if not wanted then
        refuse("the function of this step has no name to find it again by",
            "`resume latest` goes through the edited playbook, past the steps that are done")
    end
    local then_alike, now_alike = alike(old, wanted.mark), alike(functions_of(now), wanted.mark)
    local again = #then_alike == #now_alike and now_alike[position(then_alike, wanted)]
        or #then_alike == 1 and now_alike[1]
    if not again then
        refuse(("in the edited file it is not clear which function is that of this step: %d begin with %s"):format(
            #now_alike, wanted.mark), "`resume latest` goes through the edited playbook, past the steps that are done")
    end
    return again
end

-- ---- loading one ----

--- Those of the names that the frames know, for a declaration.
local function outer_names(names, around)
    local list = {}
    for name in pairs(names) do
        for _, frame in ipairs(around) do
            if frames.find(frame, name) then
                list[#list + 1] = name
                break
            end
        end
    end
    table.sort(list)
    return list
end

--- Frames of functions that hold the text of this one.
local function enclosing(list, fn)
    local source, first, last = native.system.place_of(fn)
    local found = { { fn = fn } }
    for _, frame in ipairs(list) do
        if frame.source == source and frame.fn ~= fn and frame.first <= first and frame.last >= last then
            found[#found + 1] = frame
        end
    end
    return found
end

local function load(text, path, part, around)
    local names = outer_names(part.names, around)
    local declaration = #names > 0 and "local " .. table.concat(names, ", ") .. "; " or ""
    local chunk, message = sandbox.compile(("\n"):rep(part.first - 1) .. declaration .. "return "
        .. text:sub(part.from, part.to):gsub("^function[^(]*", "function"), "@" .. path)
    if not chunk then
        refuse(message)
    end
    local fn = chunk()
    frames.bind(fn, around)
    return fn
end

local function check_syntax(text, path)
    local chunk, message = sandbox.compile(lua_source.without_shebang(text), "@" .. path)
    if not chunk then
        local line, words = message:match ":(%d+): (.*)$"
        error(native.error.new {
            code = "syntax", message = words or message, file = path, line = tonumber(line),
            hint = "mend the file, then `retry`",
        }, 0)
    end
end

--- The function of a step as the file has it now, where it was edited.
---@param work { fn: function, name: string, text?: string, on_disk?: string } as the run has it; text: what fn was
---  loaded from, and on_disk: what the file was then, where that is not what the playbook was loaded from
---@param list frames.Frame[] of the stack that stands still
---@return { fn: function, code: string, text: string, on_disk: string }? nil when the file is as it was
---@raise "syntax"; "edited" when the function cannot be told in the edited file
function edited.step(work, list)
    local path = place.file((native.system.place_of(work.fn)))
    local before, on_disk = run_texts.text(path)
    local now = native.system.read_file(path or "")
    if not before or not now or now == (work.on_disk or on_disk) then
        return nil
    end
    check_syntax(now, path)
    local part = find_again(work.text or before, now, work)
    local fn = load(now, path, part, enclosing(list, work.fn))
    edited.texts[fn] = now
    run_texts.keep_edited(path, now)
    return { fn = fn, code = run_texts.code_at(now, part.first, part.last), text = now, on_disk = now }
end

return edited
