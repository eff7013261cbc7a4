-- What tests/command/report.t shows: steps, waits, words, hostile text, a group with a failure.
local sh = require "sh"

local function hold(gate)
    sh.run({ "sh", "-c", 'while [ -e "$0" ]; do sleep 0.05; done', gate }, { read = true })
end

return playbook {
    summary = "a story for the reports",
    params = {
        arg("folder", "string", "where the files are that hold it up"),
        flag("fail", "one item fails"),
        flag("ask", "ask a question"),
        opt("items", "int", "how many items", 4),
    },
    run = function(p)
        local folder = p.folder
        step("make a droplet", function()
            sh.run { "true" }
            hold(folder .. "/first")
            say("evil \27[31mred\27[0m \155 bell\7 " .. "\226\128\174" .. " 東京")
            return "198.18.0.12"
        end)
        warn("two lines\nof a warning")
        if p.ask then
            confirm("Go on?")
        end
        step("wait for the name", function()
            wait_until("ada.example.com to resolve", { timeout = 60, interval = 0.1 }, function()
                return sh.run({ "test", "-e", folder .. "/second" }, { read = true, check = false }).status ~= 0
            end)
            sh.run { "true" }
        end)
        local items = {}
        for i = 1, p.items do
            items[i] = ("web%d"):format(i)
        end
        each(items, { parallel = 50, name = "instances" }, function(item)
            step("upgrade", function()
                sh.run { "true" }
                hold(folder .. "/third")
                if p.fail and item == "web2" then
                    fail "no space left on web2"
                end
            end)
        end)
    end,
}
