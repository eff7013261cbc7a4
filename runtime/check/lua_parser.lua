-- Lua source as a tree: luacheck's parser, loaded from the binary when it is first needed. It runs in an
-- environment of its own, with its own `require` and little else.
local native, import = ...
local lua_parser = {}

local sandbox = import "base/sandbox"

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
local function add_columns(node, line_offsets)
    if node.offset then
        node.column = column_of(line_offsets, node.line, node.offset)
    end
    for _, child in ipairs(node) do
        if type(child) == "table" then
            add_columns(child, line_offsets)
        end
    end
end

--- Reads Lua source.
---@param source string
---@return table? tree a list of statements in luacheck's shape; every node has tag, line and column
---@return table rest the comments, each with contents and line; where the source is wrong { line, column, message }
function lua_parser.parse(source)
    local decoder, parser = environment.require "luacheck.decoder", environment.require "luacheck.parser"
    local line_offsets = {}
    local ok, tree, comments = pcall(parser.parse, decoder.decode(source), line_offsets, {})
    if ok then
        add_columns(tree, line_offsets)
        return tree, comments
    elseif type(tree) ~= "table" or not tree.msg then
        error(tree, 0)
    end
    return nil, { line = tree.line, column = column_of(line_offsets, tree.line, tree.offset), message = tree.msg }
end

return lua_parser
