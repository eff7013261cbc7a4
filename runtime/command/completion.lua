-- hostler completion: what a shell offers when the person presses Tab. The shell's part is a few lines, which ask
-- `hostler completion words LINE` for the candidates, each with its explanation behind a tab. Nothing leaves the
-- machine for it, and no playbook but the one named is loaded.
local native, import = ...
local completion = {}

local commandline, params = import "command/commandline", import "run/params"
local deliveries = import "inbox/deliveries"
local kept_names, store = import "base/kept_names", import "journal/store"
local lua_source = import "base/lua_source"
local manifest, library, modules = import "run/manifest", import "run/library", import "run/modules"
local system = native.system

local SCRIPTS = {
    bash = [=[
_hostler() {
    local line=${COMP_LINE:0:COMP_POINT} word cut candidate
    word=${line##*[[:space:]]}
    cut=${word%"${word##*[:=]}"}
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        COMPREPLY+=("${candidate#"$cut"}")
    done < <(hostler completion words "$line" 2>/dev/null)
}
complete -o bashdefault -o default -F _hostler hostler
]=],
    zsh = [=[
#compdef hostler
_hostler() {
    local -a candidates
    local line
    for line in "${(@f)$(hostler completion words "${(j: :)words[1,CURRENT]}" 2>/dev/null)}"; do
        [[ -n $line ]] && candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    if (( $#candidates )); then _describe hostler candidates; else _files; fi
}
compdef _hostler hostler
]=],
    fish = [=[
function __hostler_words
    set -l found (hostler completion words (commandline --current-process --cut-at-cursor | string collect) 2>/dev/null)
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path (commandline --current-token)
    end
end
complete --command hostler --no-files --arguments '(__hostler_words)'
]=],
}

local SPECS = { params.globals.arg("shell", { "bash", "zsh", "fish" }, "which one") }

local OF_PLAYBOOKS = { run = true, show = true, edit = true, diff = true, check = true }
local OF_RUNS = { log = true, resume = true, undo = true, cancel = true, answer = true, attach = true, debug = true }
local MOST_RUNS = 50

--- The playbooks by name, with the summary that stands in their text; also webhooks, or these alone.
---@param which? "webhooks"|"both"
local function playbooks(which)
    local rows = {}
    for _, entry in ipairs(library.playbooks()) do
        local text = system.read_file(entry.paths[1]) or ""
        local is_webhook = lua_source.seems_webhook(text)
        if is_webhook and which or not is_webhook and which ~= "webhooks" and lua_source.seems_playbook(text) then
            rows[#rows + 1] = { entry.name, text:match "summary%s*=%s*\"([^\"]*)\"" }
        end
    end
    return rows
end

local function runs()
    local rows = { { "last", "the newest run" } }
    local found = store.open().read(
        "SELECT id, playbook, status FROM runs ORDER BY started DESC LIMIT $1", MOST_RUNS)
    for _, run in ipairs(found) do
        rows[#rows + 1] = { run.id, ("%s, %s"):format(run.playbook, run.status) }
    end
    return rows
end

-- Commands whose first word says what they do.
local SECOND = {
    webhook = { { "test", "say what would come of a delivery" } },
    inbox = { { "show", "one delivery, with all that was sent" }, { "run", "run one again" } },
}

local function deliveries_kept()
    local rows = { { "last", "the newest delivery" } }
    for _, row in ipairs(deliveries.page({}, { number = 1e15, id = "" }, MOST_RUNS)) do
        rows[#rows + 1] = { row.id, ("%s, %s"):format(row.webhook, deliveries.status(row)) }
    end
    return rows
end

--- What a parameter may be, as far as it is known.
local function choices_of(spec)
    local rows = {}
    local choices = type(spec.type) == "table" and spec.type or kept_names.of(spec.type or "")
    for _, choice in ipairs(choices) do
        rows[#rows + 1] = { choice, spec.help }
    end
    return rows
end

--- What may follow `hostler run NAME`: options, the value of the option before, or a choice among the arguments.
local function for_run(name, words, current)
    modules.load_only_manifests()
    local specs = manifest.specs((library.load(library.find(name))))
    local before, rows = words[#words], {}
    for _, spec in ipairs(specs) do
        if spec.kind == "opt" and before == "--" .. spec.name then
            return choices_of(spec)
        end
        local positional = spec.kind == "arg" or spec.kind == "list"
        for _, row in ipairs(positional and choices_of(spec) or {}) do
            rows[#rows + 1] = row
        end
        if not positional and current:find "^%-" then
            rows[#rows + 1] = { "--" .. spec.name, spec.help }
        end
    end
    return rows
end

local function names_of(commands)
    local rows = {}
    for index, command in ipairs(commands) do
        rows[index] = { command.name, command.summary }
    end
    return rows
end

--- The candidates for the word `current` behind the words before it, the first of which is "hostler".
local function candidates(words, current, commands)
    local command = words[2]
    if not command then
        return names_of(commands)
    elseif #words == 2 and OF_PLAYBOOKS[command] then
        return playbooks(command ~= "run" and "both" or nil)
    elseif #words == 2 and OF_RUNS[command] then
        return runs()
    elseif #words == 2 and command == "completion" then
        return { { "bash" }, { "fish" }, { "zsh" } }
    elseif SECOND[command] and #words == 2 then
        return SECOND[command]
    elseif command == "webhook" and #words == 3 then
        return playbooks "webhooks"
    elseif command == "inbox" and #words == 3 and (words[3] == "show" or words[3] == "run") then
        return deliveries_kept()
    elseif #words == 2 and command == "help" then
        return names_of(commands)
    end
    return command == "run" and words[3] and for_run(words[3], words, current) or {}
end

local function print_candidates(line, commands)
    local words, current = {}, line:match "(%S*)$"
    for word in line:sub(1, #line - #current):gmatch "%S+" do
        words[#words + 1] = word
    end
    -- Half a command line may be wrong in any way: then there is nothing to offer.
    local ok, rows = pcall(candidates, words, current, commands)
    for _, row in ipairs(ok and rows or {}) do
        if row[1]:sub(1, #current) == current then
            system.write_data(("%s\t%s\n"):format(row[1], row[2] or ""))
        end
    end
end

---@param argv string[] what is asked for, a line
---@param commands { name: string, summary: string }[]
---@return integer exit status
function completion.main(argv, commands)
    local what, line = argv[1], argv[2]
    if what == "words" then
        print_candidates(line or "", commands)
        return 0
    end
    return commandline.call("completion", SPECS, argv, function(values)
        system.write_data(SCRIPTS[values.shell])
    end)
end

return completion
