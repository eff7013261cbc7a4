-- A command line that is too long to be asked for: it goes ahead of the command's input, where a short one reads it.
--
-- How long the one that is asked for may be is up to others. libssh2 (1.10) refuses more than 34,726 bytes, Dropbear's
-- server more than 9,000; and a packet of SSH need not be longer than 32,768 (RFC 4253, section 6.1).
local _, _, import = ...
local long_command = {}

local texts = import "base/text"

local LONGEST = 8192

-- Takes one line of the input, in which "$n" stands for a newline, and runs it. Neither name reaches the command, which
-- a login shell of any kind hands to sh as it is: without a newline, "!" or a backslash that is doubled.
local READ = [[exec /bin/sh -c 'n=$(printf "\n_"); n=${n%_}; IFS= read -r r || exit 125; eval "unset r; eval $r"']]

--- The line that is asked for, and the input that follows it.
---@param line string
---@param input (string|secret)[]
---@return string line
---@return (string|secret)[] input
function long_command.fit(line, input)
    if #line <= LONGEST then
        return line, input
    end
    local word = texts.quoted("unset n; " .. line):gsub("\n", "'\"$n\"'")
    return READ, { word .. "\n", unpack(input) }
end

return long_command
