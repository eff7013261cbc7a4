-- Lua source as a tree: luacheck's parser, loaded from the binary when it is first needed. It runs in an
-- environment of its own, with its own `require` and little else.
local native, import = ...
local lua_parser = {}

local sandbox = import "base/sandbox"

--- How deep a tree may be: whoever goes through it calls itself for what is within a thing.
lua_parser.DEEPEST = 1000

local loaded = {}

local environment = {
    string = string, table = table, math = math, ipairs = ipairs, pairs = pairs, next = next, select = select,
    type = type, tostring = tostring, tonumber = tonumber, setmetatable = setmetatable, getmetatable = getmetatable,
    rawget = rawget, rawset = rawset, error = error, assert = assert, pcall = pcall, xpcall = xpcall, unpack = unpack,
    _VERSION = "Lua 5.1", package = { config = "/\n" },
}

function environment.require(name)
    if loaded[name] == nil then
        loaded[name] = sandbox.enclose(native.system.load_embedded(name:gsub("%.", "/") .. ".lua"), environment)()
    end
    return loaded[name]
end

--- The column that an offset is in, in characters from 1.
local function column_of(line_offsets, line, offset)
    return offset - (line_offsets[line] or offset) + 1
end

--- Gives every node its column.
---@param depth integer how deep the node is
---@return table? node the first one that is nested too deeply
local function add_columns(node, line_offsets, depth)
    if depth > lua_parser.DEEPEST then
        return node
    end
    if node.offset then
        node.column = column_of(line_offsets, node.line, node.offset)
    end
    for _, child in ipairs(node) do
        local too_deep = type(child) == "table" and add_columns(child, line_offsets, depth + 1)
        if too_deep then
            return too_deep
        end
    end
end

local function too_deep(line, column)
    return {
        line = line or 1, column = column or 1, code = "depth",
        message = ("more than %d expressions or blocks within each other"):format(lua_parser.DEEPEST),
    }
end

--- Reads Lua source.
---@param source string that Lua can compile: what it nests is no deeper than Lua's own limit, but for chains of
---  operators and calls
---@return table? tree a list of statements in luacheck's shape; every node has tag, line and column
---@return table rest the comments, each with contents and line; where the source is wrong { line, column, message },
---  with the code "depth" where only its tree is too deep
function lua_parser.parse(source)
    local decoder, parser = environment.require "luacheck.decoder", environment.require "luacheck.parser"
    local line_offsets = {}
    local ok, tree, comments = pcall(parser.parse, decoder.decode(source), line_offsets, {})
    if not ok and type(tree) == "table" and tree.msg then
        return nil, { line = tree.line, column = column_of(line_offsets, tree.line, tree.offset), message = tree.msg }
    elseif not ok and tostring(tree):find "stack overflow" then
        return nil, too_deep()
    elseif not ok then
        error(tree, 0)
    end
    local deep = add_columns(tree, line_offsets, 1)
    if deep then
        return nil, too_deep(deep.line, deep.column)
    end
    return tree, comments
end

return lua_parser
