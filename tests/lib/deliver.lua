-- Stands in for a server of webhooks: answers the requests of a file, each a line of JSON with its body in base64, as
-- many at once as is said, and writes the answers in the same order. With a third argument it says that it is ready,
-- and begins when a file of that name is there: several of these begin at once.
local import, path, at_once, gate_file = ...
local base64 = require "base64"
local deliver = import "inbox/deliver"
local hooks, texts = import "inbox/hooks", import "base/text"
local file = require "file"

deliver.when_troubled(function(message) warn("trouble: %s", message) end)

local requests, answers = {}, {}
for line in texts.lines(file.read(path)) do
    local request = json.decode(line)
    request.body, request.index = base64.decode(request.body), #requests + 1
    request.body = request.body:rep(request.times or 1)
    requests[request.index] = request
end
hooks.refresh(true)
if gate_file then
    say "ready"
    wait_until("the others", { timeout = 60, interval = 0.005 }, function() return file.stat(gate_file) end)
end
local count = tonumber(at_once) or 1
for first = 1, #requests, count do
    local tasks = {}
    for index = first, math.min(first + count - 1, #requests) do
        tasks[#tasks + 1] = function() answers[index] = deliver.deliver(requests[index]) end
    end
    parallel(tasks)
    for index = first, math.min(first + count - 1, #requests) do
        say("%s", "answer " .. json.encode(answers[index]))
    end
end
deliver.flush()
