-- How the prompt of `hostler repl` is called here.
local site = require "site"

return { name = site.domain }
