-- For abort.t: a local command that goes on after SIGTERM, and writes its process id into FILE. FILE.asked appears when
-- SIGTERM came.
local sh = require "sh"

local SCRIPT = [[
    trap ': >"$0.asked"' TERM
    trap "" INT
    echo $$ >"$0.new"
    mv "$0.new" "$0"
    while :; do sleep 1; done
]]

return playbook {
    summary = "a command that does not want to end",
    params = { arg("file", "string", "where its process id goes") },
    run = function(p)
        step("stay", function() sh.run { "sh", "-c", SCRIPT, p.file } end)
    end,
}
