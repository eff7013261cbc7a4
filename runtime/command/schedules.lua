-- hostler schedules: the playbooks that run by themselves, when they did and will; and installing their units. systemd
-- calls it with --fire when a time has come, and with --work for the run of a time.
local native, import = ...
local schedules = {}

local commandline, params, play = import "command/commandline", import "run/params", import "command/play"
local recorded, run_record = import "journal/recorded", import "journal/runs"
local resume, texts, turn = import "run/resume", import "run/texts", import "run/turn"
local firing, installation = import "schedule/firing", import "schedule/installation"
local overview, times = import "schedule/overview", import "schedule/times"
local installing, manager = import "command/installing", import "units/manager"
local tables, words = import "report/rows", import "base/text"
local refuse = import "base/misuse".refuse
local system, task = native.system, native.task

local EXIT_LOCKED = 4

local declare = params.globals
local SPECS = {
    declare.flag("install", "write and enable systemd's units for what schedules.lua says"),
    declare.flag("remove", "take them away"),
    declare.flag("force", "also units that were edited by hand"),
    declare.flag("json", "print a JSON array"),
    declare.opt("fire", "string", "for the units: a time of this schedule has come"),
    declare.opt("work", "string", "for the units: go through this run of a schedule"),
}

local function command_line_of(row)
    local line = { row.playbook }
    for _, word in ipairs(row.arguments) do
        line[#line + 1] = words.shell_word(word)
    end
    return table.concat(line, " ")
end

local function last_of(row)
    local last = row.last
    return last and ("%s %s%s"):format(last.at, last.status, last.run and " " .. last.run or "") or nil
end

local function print_rows(rows, path)
    if #rows == 0 then
        system.write(path and ("%s names no schedules: `hostler edit schedules`\n"):format(path)
            or "there is no file schedules.lua among the playbooks: `hostler show Schedule` says what it holds\n")
        return
    end
    local shown = {}
    for index, row in ipairs(rows) do
        shown[index] = {
            name = row.name, runs = row.playbook and command_line_of(row), on_calendar = row.on_calendar,
            last = last_of(row), next = row.next, state = row.state,
        }
    end
    for _, line in ipairs(tables.lay_out(shown, { "name", "runs", "on_calendar", "last", "next", "state" })) do
        system.write(line .. "\n")
    end
    for _, row in ipairs(rows) do
        local note = row.note or row.last and row.last.skipped and ("%s: %s"):format(row.last.at, row.last.skipped)
        if note then
            system.write_page(("%s: %s\n"):format(row.name, note))
        end
    end
end

local function list(values)
    local rows, path = overview.rows()
    if values.json then
        system.write(json.encode(json.array(rows), true) .. "\n")
    else
        print_rows(rows, path)
    end
end

local function install(force)
    local found, path = overview.checked()
    if not path then
        refuse("there is no file schedules.lua among the playbooks", "`hostler show Schedule` says what it holds")
    end
    manager.demand()
    local result = installation.install(found, force)
    installing.tell(result, "the units are as they should be")
    if #found > 0 then
        installing.tell_next(result.missing, "the timers")
    end
end

local function remove(force)
    manager.demand()
    installing.tell(installation.remove(force), "there were no units")
    for _, run in ipairs(times.all_queued()) do
        system.write_page(("run %s of '%s' is in the queue still: hostler resume %s, or hostler cancel %s\n"):format(
            run.id, run.schedule, run.id, run.id))
    end
end

--- Goes through a run of the queue, unless a worker was faster. Where it finds something locked it goes back there, and
--- its unit begins this again.
local function work(id)
    local row = recorded.find(id)
    local before = row.status == "queued" and turn.before(row)
    if before then
        system.write(("run %s waits for the end of run %s\n"):format(row.id, before))
        return EXIT_LOCKED
    elseif row.status ~= "queued" or not run_record.claim(row) then
        system.write(("run %s is no longer in the queue\n"):format(row.id))
        return 0
    end
    local run = resume.prepare(row, { anywhere = true })
    run.options = setmetatable({ requeue = true }, { __index = run.options })
    texts.keep()
    return play.run(run)
end

--- Refuses what does not go together.
local function check_options(values)
    local given = {}
    for _, name in ipairs { "install", "remove", "json", "fire", "work" } do
        given[#given + 1] = values[name] and "--" .. name or nil
    end
    if #given > 1 then
        refuse(table.concat(given, " and ") .. " do not go together", "leave out all but one")
    elseif values.force and not (values.install or values.remove) then
        refuse("--force is for --install and --remove", "leave it out")
    end
end

---@param argv string[]
---@return integer exit status
function schedules.main(argv)
    return commandline.call("schedules", SPECS, argv, function(values)
        check_options(values)
        if values.work then
            return work(values.work)
        end
        task.context().step = "schedules" -- what systemd is told passes the gate as a write
        if values.fire then
            return firing.fire(values.fire)
        elseif values.install then
            return install(values.force)
        elseif values.remove then
            return remove(values.force)
        end
        return list(values)
    end)
end

return schedules
