#!build/lua-test
-- The times of schedules, reckoned as systemd's timers reckon them, and the names of their units, as systemd escapes them.
local import = ...
local sh = require "sh"
local tap = require "tap"
local calendar, unit_text, utc = import "schedule/calendar", import "units/text", import "base/utc"

local function at(text)
    return utc.seconds(text .. " UTC")
end

local function latest(text, moment)
    local seconds = calendar.latest(text, at(moment))
    return seconds and utc.text(seconds)
end

-- ---- texts ----

tap.is(calendar.normal "Mon..Fri 3:30 Europe/Berlin", "Mon..Fri *-*-* 03:30:00 Europe/Berlin", "systemd's own words")
tap.is(calendar.normal "daily UTC", "*-*-* 00:00:00 UTC", "a word for a day")
tap.is(calendar.normal "03:30 America/Argentina/Buenos_Aires", "*-*-* 03:30:00 America/Argentina/Buenos_Aires",
    "a long name of a zone")
tap.is(calendar.normal "03:30 Etc/GMT+5", "*-*-* 03:30:00 Etc/GMT+5", "one with a sign")
tap.like(tap.raises("usage", function() calendar.normal "03:30" end, "a text without a zone is refused").message,
    "whose clocks", "and said")
tap.like(tap.raises("usage", function() calendar.normal "sometimes UTC" end, "so is one that means nothing").message,
    "no calendar text: Failed to parse", "in systemd's words")
tap.raises("usage", function() calendar.normal "03:30 Europe/Nowhere" end, "and a zone that is none")
tap.raises("usage", function() calendar.normal "--help" end, "and an option")

-- ---- times ----

tap.is(utc.text(calendar.next("*-*-* 03:30:00 UTC", at "2026-05-04 03:30:00")), "2026-05-05T03:30:00Z", "the next one")
tap.is(calendar.next("2020-01-01 00:00:00 UTC", at "2026-05-04 03:30:00"), nil, "none comes")
tap.is(latest("*-*-* 03:30:00 UTC", "2026-05-04 03:30:00"), "2026-05-04T03:30:00Z", "the time itself")
tap.is(latest("*-*-* 03:30:00 UTC", "2026-05-04 03:30:01"), "2026-05-04T03:30:00Z", "a second later")
tap.is(latest("*-*-* 03:30:00 UTC", "2026-05-04 03:29:59"), "2026-05-03T03:30:00Z", "a second before: yesterday's")
tap.is(latest("*-*-* *:*:00 UTC", "2026-05-04 03:29:59"), "2026-05-04T03:29:00Z", "every minute")
tap.is(latest("*-*-* *:*:* UTC", "2026-05-04 03:29:59"), "2026-05-04T03:29:59Z", "every second")
tap.is(latest("*-02-29 00:00:00 UTC", "2027-05-04 00:00:00"), "2024-02-29T00:00:00Z", "every leap day")
tap.is(latest("2026-01-02 00:00:00 UTC", "2026-05-04 00:00:00"), "2026-01-02T00:00:00Z", "once")
tap.is(latest("2030-01-02 00:00:00 UTC", "2026-05-04 00:00:00"), nil, "none yet")

-- Clocks set forward: 2026-03-29, 01:00 UTC. There is no 02:30.
tap.is(latest("*-*-* 02:30:00 Europe/Berlin", "2026-03-29 12:00:00"), "2026-03-28T01:30:00Z", "a time that is left out")
tap.is(latest("*-*-* 03:30:00 Europe/Berlin", "2026-03-29 12:00:00"), "2026-03-29T01:30:00Z", "one an hour later")

-- Clocks set back: 2026-10-25, 01:00 UTC. 02:30 comes at 00:30 and at 01:30 UTC. Who asks when must not matter.
local firsts = {}
for _, moment in ipairs { "00:30:00", "00:59:59", "01:00:00", "01:15:00", "01:30:00", "01:45:00", "02:00:00", "03:00:00",
    "04:15:00", "04:30:00", "06:30:00", "07:15:00", "09:15:00", "12:00:00", "23:59:59" } do
    firsts[latest("*-*-* 02:30:00 Europe/Berlin", "2026-10-25 " .. moment)] = true
end
tap.is(firsts, { ["2026-10-25T00:30:00Z"] = true }, "a time that comes twice is one time, whenever it is asked for")

-- The same as going through the times in order, from long before.
local function compare(text, days, first, last, step)
    local before, different = {}, {}
    local moment = at(first) - days * 86400
    while moment and moment <= at(last) do
        before[#before + 1] = moment
        moment = calendar.next(text, moment)
    end
    local index = 1
    for asked = at(first), at(last), step do
        while before[index + 1] and before[index + 1] <= asked do
            index = index + 1
        end
        local found = calendar.latest(text, asked)
        if found ~= before[index] then
            different[#different + 1] = utc.text(asked)
        end
    end
    tap.is(different, {}, text .. " from " .. first)
end
compare("*-*-* 00/2:20:00 Europe/Berlin", 1, "2026-10-24 12:00:00", "2026-10-26 00:00:00", 3777)
compare("*-*-* *:30:00 America/New_York", 1, "2026-03-08 00:00:00", "2026-03-09 00:00:00", 3777)
compare("Mon *-*-* 03:30:00 Australia/Lord_Howe", 14, "2026-04-01 00:00:00", "2026-04-20 00:00:00", 86413)

-- ---- names ----

local seed = tonumber(env("SEED", tostring(os.time() % 1e6)))
say("# SEED=%d", seed)
math.randomseed(seed)
local names = {}
for number = 1, 200 do
    local letters = {}
    for index = 1, math.random(12) do
        letters[index] = string.char(math.random(3) == 1 and math.random(33, 126) or math.random(97, 122))
    end
    names[number] = table.concat(letters)
end
local escaped = sh.run({ "systemd-escape", "--", unpack(names) }, { read = true }).stdout:gmatch "%S+"
local different = {}
for _, name in ipairs(names) do
    local wanted = escaped()
    if unit_text.escape(name) ~= wanted or unit_text.unescape(wanted) ~= name then
        different[#different + 1] = name
    end
end
tap.is(different, {}, "names are escaped as systemd-escape does, and read again")
tap.is(unit_text.escape "a b-c/d ä.", "a\\x20b\\x2dc-d\\x20\\xc3\\xa4.", "spaces, dashes, slashes, letters of no ASCII")
tap.is(unit_text.escape ".x", "\\x2ex", "a dot that comes first")

-- ---- files ----

local file = unit_text.file("schedules", { unit_text.section("Unit", { "Description=x" }) })
tap.is(unit_text.whose(file), "ours", "a file as it was written")
tap.is(unit_text.whose((file:gsub("=x", "=y"))), "edited", "an edited one")
tap.is(unit_text.whose(file .. "\n"), "edited", "one with a line more")
tap.is(unit_text.whose(unit_text.file("serve", { "[Unit]\n" })), "ours", "whichever command wrote it")
tap.is(unit_text.whose "[Unit]\nDescription=x\n", "foreign", "somebody else's")
tap.is(unit_text.quoted "/a \"b\"\\%h", "\"/a \\\"b\\\"\\\\%%h\"", "a word in quotes")

tap.done()
