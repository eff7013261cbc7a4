-- A moment as people write it, in seconds since the epoch.
local moment = {}

moment.expected = "a time such as 18:30, 2026-03-01 06:00 (by this machine's clock) or 2026-03-01T06:00:00Z"

local DAY_SECONDS = 86400

--- The moment whose local date and time of day these are; nil where there is none, such as on February 30th.
local function at_local(fields)
    local seconds = os.time { year = fields.year, month = fields.month, day = fields.day, hour = fields.hour,
        min = fields.minute, sec = fields.second }
    local back = seconds and os.date("*t", seconds)
    return back and back.month == fields.month and back.day == fields.day and seconds or nil
end

--- How many seconds a date and time of day are after the epoch where the sun says what UTC does (days_from_civil: years
--- are counted from March, so that the day of a leap year is the last one).
local function at_utc(fields)
    local year, month = fields.year, fields.month
    if month <= 2 then
        year, month = year - 1, month + 12
    end
    local days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
        + math.floor((153 * (month - 3) + 2) / 5) + fields.day - 1 - 719468
    return days * DAY_SECONDS + fields.hour * 3600 + fields.minute * 60 + fields.second
end

local function in_range(fields)
    return fields.month >= 1 and fields.month <= 12 and fields.day >= 1 and fields.day <= 31 and fields.hour <= 23
        and fields.minute <= 59 and fields.second <= 59 and fields.year >= 1970
end

--- How far a zone, such as +02:00 or Z, is ahead of UTC; nil when it is none.
local function offset_of(zone)
    local sign, hours, minutes = zone:match "^([+-])(%d%d):?(%d%d)$"
    if zone == "Z" or zone == "z" then
        return 0
    end
    return sign and (hours * 3600 + minutes * 60) * (sign == "-" and -1 or 1)
end

local function at_date(text)
    local year, month, day, clock, zone = text:match "^(%d%d%d%d)-(%d%d)-(%d%d)[T ](%d%d:%d%d[:%d]*)(.*)$"
    local hour, minute, second = (clock or ""):match "^(%d%d):(%d%d):?(%d*)$"
    if not hour then
        return nil
    end
    local fields = { year = tonumber(year), month = tonumber(month), day = tonumber(day), hour = tonumber(hour),
        minute = tonumber(minute), second = tonumber(second) or 0 }
    local offset = offset_of(zone)
    if not in_range(fields) or (zone ~= "" and not offset) then
        return nil
    end
    return offset and at_utc(fields) - offset or at_local(fields)
end

--- The next time that it is so late.
local function at_clock(text, now)
    local hour, minute = text:match "^(%d%d?):(%d%d)$"
    if not hour or tonumber(hour) > 23 or tonumber(minute) > 59 then
        return nil
    end
    local today = os.date("*t", now)
    local function on(day)
        return os.time { year = today.year, month = today.month, day = day, hour = tonumber(hour), min = tonumber(minute),
            sec = 0 }
    end
    local seconds = on(today.day)
    return seconds > now and seconds or on(today.day + 1)
end

--- The moment of a text: a time of day (the next one), a date and a time of day, by this machine's zone or with one.
---@param text string
---@param now number seconds since the epoch
---@return number? seconds since the epoch; nil: it is no such text (moment.expected)
function moment.parse(text, now)
    return at_date(text) or at_clock(text, now)
end

return moment
