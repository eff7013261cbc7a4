#!build/lua-test
-- Dated copies of files of this machine: none is ever written over.
local tap = require "tap"
local file, sh = require "file", require "sh"

local folder = sh.run({ "mktemp", "-d" }, { read = true }).stdout:gsub("\n$", "")
local path, date = folder .. "/known_hosts", "2026-11-22T01:59:19Z"
file.write(path, "first", { mode = 384 }) -- 0600
local copies = { file.keep(path, date) }
file.write(path, "second")
copies[2], copies[3] = file.keep(path, date), file.keep(path)
tap.is(copies[1], path .. "." .. date, "the name has the date")
tap.is(copies[2], path .. "." .. date .. ".2", "a second copy of the same moment has a name of its own")
tap.is(file.read(copies[1]), "first", "the first copy stays")
tap.is(file.read(copies[2]), "second", "the second is as the file was then")
tap.like(copies[3], "known_hosts%.%d+%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", "the date is today's unless one is given")
tap.is(file.stat(copies[1]).mode, 384, "the copy has the file's mode")
tap.raises("file", function() file.keep(folder .. "/nothing") end, "there has to be a file")
sh.run { "rm", "-r", folder }
tap.done()
