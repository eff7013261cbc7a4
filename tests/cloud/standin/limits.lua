-- DigitalOcean's rate limit, counted for real: 250 requests a minute and 5,000 an hour for each token.
local limits = {}

local HOUR, MINUTE = 3600, 60

-- A token's calls are the moments calls[first] .. calls[last], oldest first.
local function forget_old(token, moment)
    while token.first <= token.last and token.calls[token.first] <= moment do
        token.calls[token.first] = nil
        token.first = token.first + 1
    end
end

--- How many calls are younger than that moment, and when the oldest of them was.
local function count_since(token, moment)
    local index = token.last
    while index >= token.first and token.calls[index] > moment do
        index = index - 1
    end
    return token.last - index, token.calls[index + 1]
end

--- Counts one request of the token.
---@return table headers that tell how much is left
---@return integer? retry_after seconds to wait, when this request is one too many
function limits.count(token)
    local moment, team = now(), token.team
    forget_old(token, moment - HOUR)
    local in_hour, oldest = count_since(token, moment - HOUR)
    local in_minute, oldest_in_minute = count_since(token, moment - MINUTE)
    local retry_after
    if in_hour >= team.hourly then
        retry_after = math.ceil((oldest or moment) + HOUR - moment)
    elseif in_minute >= team.burst then
        retry_after = math.ceil((oldest_in_minute or moment) + MINUTE - moment)
    else
        token.last = token.last + 1
        token.calls[token.last] = moment
        in_hour = in_hour + 1
    end
    return {
        ["RateLimit-Limit"] = ("%d"):format(team.hourly),
        ["RateLimit-Remaining"] = ("%d"):format(math.max(team.hourly - in_hour, 0)),
        ["RateLimit-Reset"] = ("%d"):format((oldest or moment) + HOUR),
    }, retry_after and math.max(retry_after, 1)
end

return limits
