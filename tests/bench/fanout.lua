-- The benchmark's fan-out: one command on many hosts, a number of times each, over one connection a host.
local ssh = require "ssh"

return playbook {
  summary = "Run a command on many hosts at once",
  effects = "read",
  params = {
    list("addresses", "string", "where to run it"),
    opt("command", "string", "what to run", "/bin/true"),
    opt("commands", "int", "how many times on each host, one after the other", 1),
    opt("parallel", "int", "how many hosts at once", 50),
    opt("user", "string", "who logs in", "root"),
    opt("identity", "path", "the private key file"),
    opt("known-hosts", "path", "the file with the hosts' keys"),
  },
  run = function(p)
    local login = { user = p.user, identity = p.identity, known_hosts = p.known_hosts }
    each(p.addresses, { parallel = p.parallel }, function(address)
      local host = ssh.connect(address, login)
      for _ = 1, p.commands do
        host:run({ p.command }, { read = true })
      end
    end)
  end,
}
