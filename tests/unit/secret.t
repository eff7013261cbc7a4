#!build/lua-test
-- Secrets: usable, not visible. Unknowns: what a dry run has instead of results.
local tap = require "tap"

local PLAIN = "s3cr3t/with+more 'quotes' \"and\" $x"
local hidden = secret.wrap(PLAIN)
local function shows_nothing(name, text)
    text = tostring(text)
    local shown
    for part in PLAIN:gmatch "%w%w%w%w%w+" do
        shown = shown or text:find(part, 1, true) and part
    end
    tap.ok(text ~= "" and not shown, name, text)
end

tap.is(tostring(hidden), "[secret]", "tostring")
shows_nothing("concatenation", "a" .. hidden .. "b")
tap.is(tostring("user:" .. hidden), "user:[secret]", "shows what is not secret of it")
tap.ok(secret.is("a" .. hidden), "a secret with text is a secret")
tap.ok(secret.is(("PASSWORD=%s\n"):format(hidden)), "a text formatted with one is one")
tap.ok(secret.is(string.format("%5d %% %s %q", 3, hidden, "x")), "also among other directives")
tap.is(tostring(("%d%% %s|"):format(5, hidden)), "5% [secret]|", "and shows the rest")
tap.ok(("PASSWORD=%s\n"):format(hidden) == secret.wrap("PASSWORD=" .. PLAIN .. "\n"), "it has the right text")
tap.ok(table.concat({ "a", hidden, 1 }, ",") == secret.wrap("a," .. PLAIN .. ",1"), "joined, too")
tap.is(secret.scrub("<" .. PLAIN .. ">"), "<[secret]>", "scrubbed from a text")
tap.raises("usage", function() return ("%d"):format(hidden) end, "a secret is no number")
for name, fn in pairs {
    index = function() return hidden.text end, method = function() return hidden:sub(1, 3) end,
    length = function() return #hidden end, order = function() return hidden < "x" end,
    rep = function() return string.rep(hidden, 2) end, upper = function() return string.upper(hidden) end,
    byte = function() return string.byte(hidden) end, call = function() return hidden() end,
    add = function() return hidden + 1 end, assign = function() hidden.x = 1 end,
    encode = function() return json.encode { hidden } end,
} do
    local ok, err = pcall(fn)
    tap.ok(not ok, "refused: " .. name)
    shows_nothing("and silent: " .. name, err)
end
tap.is(getmetatable(hidden), false, "its metatable is out of reach")
tap.is(tonumber(hidden), nil, "tonumber")
shows_nothing("an error raised with one", select(2, try(function() error(hidden) end)))
shows_nothing("a failure", select(2, try(fail, "no " .. hidden, { hint = hidden })))
tap.like(tostring(select(2, try(fail, "no " .. hidden))), "no %[secret%]", "says the rest")
tap.is(#secret.split(secret.wrap "tokentoken1,tokentoken2"), 2, "a list of secrets is split")

tap.is(unknown(5), false, "of known values")
tap.is(secret.random(40) == secret.random(40), false, "random secrets differ")
tap.done()
