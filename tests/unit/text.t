#!build/lua-test
-- Texts for people: paragraphs that were wrapped by hand, and durations.
local import = ...
local tap, text = require "tap", import "base/text"

local function is_unwrapped(lines, wanted, what)
    tap.is(table.concat(text.unwrapped(lines), "\n"), table.concat(wanted, "\n"), what)
end

is_unwrapped({ "Restarts Meltano, and", "waits.", "", "More." }, { "Restarts Meltano, and waits.", "", "More." },
    "a paragraph is one line, an empty one parts")
is_unwrapped({ "Makes     a droplet,", "          and a record.", "Looks at  DNS,", "          more.", "Again     no." },
    { "Makes     a droplet, and a record.", "Looks at  DNS, more.", "Again     no." }, "so is what stands behind a label")
is_unwrapped({ "Like this:", "    one", "    two", "- a", "- b" }, { "Like this:", "    one", "    two", "- a", "- b" },
    "examples and lists stay")

for seconds, wanted in pairs { [3.2] = "3.2s", [75] = "1m 15s", [7200] = "2h 00m", [359999] = "99h 59m", [360000] = "4d 04h" } do
    tap.is(text.duration(seconds), wanted, wanted)
end
tap.done()
