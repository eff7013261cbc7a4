#!build/lua-test
-- Copies of files of this machine, named by when the file changed: none is ever written over, or made twice.
local tap = require "tap"
local file, sh = require "file", require "sh"

local folder = sh.run({ "mktemp", "-d" }, { read = true }).stdout:gsub("\n$", "")
local path = folder .. "/known_hosts"

local function write(text, time)
    file.write(path, text, { mode = 384 }) -- 0600
    sh.run { "touch", "-d", time, path }
end

write("first", "2026-11-22T01:59:19Z")
local copy = file.keep(path)
tap.is(copy, path .. ".2026-11-22T01:59:19Z", "the name says when the file changed last")
tap.is(file.read(copy), "first", "the copy is as the file is")
tap.is(file.stat(copy).mode, 384, "and has its mode")
tap.is(file.keep(path), copy, "a second time it is there already")
write("second", "2026-11-22T01:59:19Z")
local second = file.keep(path)
tap.is(second, copy .. ".2", "another file of the same moment has a name of its own")
tap.is({ file.read(copy), file.read(second) }, { "first", "second" }, "and the first copy stays")
tap.is(file.keep(path), second, "that one is found again, too")
tap.raises("file", function() file.keep(folder .. "/nothing") end, "there has to be a file")
sh.run { "rm", "-r", folder }
tap.done()
