-- What a person sees of a run that stands still: one frame at a time, with its source and its variables, and the steps.
local native, import = ...
local frames, inspect, run_texts = import "debug/frames", import "report/inspect", import "run/texts"
local failure = import "run/failure"
local edited, live, step_record = import "debug/edited", import "run/live", import "journal/steps"
local tables, texts, environments = import "report/rows", import "base/text", import "prompt/environment"
local usage = import "base/misuse".refuse

local SOURCE_LINES = 4 -- shown before and after the current one
local MOST_VARIABLES = 40

---@class debugger.View
---@field title string
---@field path string where in the run it is
---@field err table?
---@field doubts string[]? writes of which it is not known whether they happened
---@field list frames.Frame[] innermost first
---@field at integer? the frame looked at
local View = {}
View.__index = View

function View:frame()
    return self.list[self.at]
end

--- The steps of the run, as rows and by their names.
local function steps()
    local rows = step_record.list()
    for index = 1, #rows do
        rows[rows[index].step] = rows[index]
    end
    return rows
end

--- What the run was given.
local function params()
    local values = {}
    for _, spec in ipairs(live.run.book.params) do
        values[spec.field] = live.run.values[spec.field]
    end
    return values
end

local EXTRA = { steps = steps, params = params }

--- The variables of the frame looked at and of those around it, then `steps` and `params`, then what there is at every
--- prompt.
function View:environment()
    local outer = environments.new()
    return frames.environment(function() return frames.scope(self.list, self.at) end, outer, EXTRA)
end

--- "ada book.lua:12> ": the item, where there is one, and the place.
function View:label()
    local frame = self:frame()
    local item = self.path:match "^[^/]*/(.*)$"
    return ("%s%s> "):format(item and item .. " " or "", frame and frames.place(frame):match "[^/]+$" or "debug"), "red"
end

--- The text that a frame runs. A function that was edited meanwhile, and those inside it, are of another one than the
--- rest of the playbook.
local function source_of(frame, list)
    for _, other in ipairs(list) do
        local text = edited.texts[other.fn]
        if text and other.source == frame.source and other.first <= frame.first and other.last >= frame.last then
            return text
        end
    end
    local own = frame.source:match "^=hostler:(.*)$"
    return own and native.system.embedded(own) or run_texts.text(frame.source:sub(2))
end

--- The lines around the current one of the frame.
---@return string? nil when there is no text of it
function View:source(around)
    local frame = self:frame()
    local text, lines, number = frame and source_of(frame, self.list), {}, 0
    if not text then
        return nil
    end
    for line in texts.lines(text) do
        number = number + 1
        if math.abs(number - frame.line) <= around then
            lines[#lines + 1] = ("%s %4d  %s"):format(number == frame.line and ">" or " ", number,
                (native.system.visible(line:gsub("\t", "    "))))
        end
    end
    return (table.concat(lines, "\n"):gsub("[ ]+\n", "\n"))
end

--- What is shown when the prompt opens.
function View:introduction()
    local frame = self:frame()
    local parts = { ("\n%s%s"):format(texts.one_line(self.title), frame and " at " .. frames.place(frame) or "") }
    parts[#parts + 1] = self.err and failure.describe(self.err, false)
    for _, doubt in ipairs(self.doubts or {}) do
        parts[#parts + 1] = "  in doubt  " .. texts.one_line(doubt)
    end
    parts[#parts + 1] = self:source(SOURCE_LINES)
    return table.concat(parts, "\n") .. "\n"
end

function View:where()
    local lines = {}
    for index, frame in ipairs(self.list) do
        lines[index] = ("%s #%d  %s"):format(index == self.at and ">" or " ", index, frames.title(frame))
    end
    return lines[1] and table.concat(lines, "\n") or "no frame is left of where this was raised"
end

--- Looks at another frame, so many further out.
function View:move(count)
    local wanted = (self.at or 0) + count
    if not self.list[wanted] then
        usage(count > 0 and "this is the outermost frame" or "this is the innermost frame", ":where lists them all")
    end
    self.at = wanted
end

local function lines_of(variables, upvalues, depth)
    local cells = {}
    for _, variable in ipairs(variables) do
        if variable.upvalue == upvalues and #cells < MOST_VARIABLES then
            local value = inspect.text(variable.value, { depth = depth }):gsub("\n", "\n  ")
            cells[#cells + 1] = { "  " .. variable.name, "= " .. value }
        end
    end
    return tables.align(cells, { gap = " " })
end

function View:locals()
    local frame = self:frame()
    local variables = frame and frames.variables(frame) or {}
    local inner, outer = lines_of(variables, false, 2), lines_of(variables, true, 1)
    if #outer > 0 then
        inner[#inner + 1] = "from outside:"
        inner[#inner + 1] = table.concat(outer, "\n")
    end
    return inner[1] and table.concat(inner, "\n") or "there are no variables here"
end

-- ---- the words that show it ----

local view = {}

---@param stop debugger.Stop
---@param list frames.Frame[] innermost first
---@return debugger.View
function view.new(stop, list)
    return setmetatable({
        title = stop.title, path = stop.place.path, err = stop.err, doubts = stop.doubts, list = list,
        at = frames.innermost(list),
    }, View)
end

local function number_of(rest, otherwise)
    if rest == "" then
        return otherwise
    end
    return tonumber(rest:match "^%d+$") or usage(("'%s' is no number"):format(rest))
end

--- `:up` and its like, of the prompt that shows this.
---@param shown debugger.View
---@return table<string, table>
function view.words(shown)
    local function show_frame(session)
        local frame = shown:frame()
        session:say(("#%d  %s"):format(shown.at, frames.title(frame)))
        session:say(shown:source(1) or "")
    end
    return {
        where = {
            help = "the frames that led here, the innermost first",
            run = function(session) session:say(shown:where()) end,
        },
        up = {
            usage = "[N]", help = "look at the frame that called this one", run = function(session, rest)
                shown:move(number_of(rest, 1))
                show_frame(session)
            end,
        },
        down = {
            usage = "[N]", help = "look at the frame that this one called", run = function(session, rest)
                shown:move(-number_of(rest, 1))
                show_frame(session)
            end,
        },
        locals = {
            help = "the variables of this frame", run = function(session) session:say(shown:locals()) end,
        },
        steps = {
            help = "the steps of this run and what they returned; also by name: steps[\"NAME\"].result",
            run = function(session)
                local rows = step_record.list()
                session:say(rows[1] and inspect.table(rows, native.system.width()) or "no step has begun")
            end,
        },
        source = {
            usage = "[N]", help = "the source around this line", run = function(session, rest)
                session:say(shown:source(number_of(rest, SOURCE_LINES * 2)) or "there is no source of this frame")
            end,
        },
    }
end

return view
