-- Moments as text: the one way that other programs write them, and the one that is written here, both in UTC.
local utc = {}

--- Seconds since 1970 of a time as systemd prints it under TZ=UTC: "Tue 2019-12-10 12:03:53 UTC".
---@param text? string
---@return integer? seconds nil for "n/a" and an empty text
function utc.seconds(text)
    local year, month, day, hour, minute, second = (text or ""):match "(%d+)%-(%d+)%-(%d+) (%d+):(%d+):(%d+) UTC"
    if not year then
        return nil
    end
    year, month, day = tonumber(year), tonumber(month), tonumber(day)
    -- Days since 1970 in the proleptic Gregorian calendar, years counted from March.
    if month <= 2 then
        year, month = year - 1, month + 12
    end
    local days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
        + math.floor((153 * (month - 3) + 2) / 5) + day - 719469
    return ((days * 24 + hour) * 60 + minute) * 60 + second
end

--- "2019-12-10T12:03:53Z"
---@param seconds number since 1970
---@return string
function utc.text(seconds)
    return os.date("!%Y-%m-%dT%H:%M:%SZ", seconds)
end

return utc
