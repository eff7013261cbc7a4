std = "luajit"
max_line_length = 120
globals = {}
read_globals = {
    "playbook", "arg", "opt", "flag", "list", "step", "each", "parallel", "lock", "wait_until", "sleep", "retry", "timeout",
    "shield", "ask", "confirm", "manual", "say", "show", "warn", "fail", "try", "secret", "env", "now", "uuid", "json",
    "unknown", "require", "breakpoint", "webhook", "schedules",
}
files["runtime/world.lua"] = { globals = { "_G" } }
files["runtime/base/sandbox.lua"] = { globals = { "_G" }, read_globals = { "string" }, ignore = { "122" } }
files["tests/**/*.t"] = { std = "+luajit", max_line_length = 140, ignore = { "11[13]/undefined_.*" } }
files["runtime/base/hidden.lua"] = { globals = { "string", "table" } }
files["tests/unit/caddy_journals.lua"] = { max_line_length = false } -- real captures
