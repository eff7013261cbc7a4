-- A dry run of this shows numbered lines under their steps, and none for what changes nothing.
local sh = require "sh"
return playbook {
    summary = "a plan",
    run = function()
        step("look", function() sh.run({ "true" }, { read = true }) end)
        step("first", function()
            sh.run { "touch", "/tmp/a b" }
            sh.run { "touch", "two" }
        end)
        each({ "web1", "web2" }, function(item) step("more", function() sh.run { "touch", item } end) end)
    end,
}
