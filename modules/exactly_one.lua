-- The one thing that a name means, where a service lets several things have it: guessing which is meant helps nobody.

--- The only item of a list, or nil when it is empty.
---@param found table[]|userdata the items that have the name; an unknown stays one
---@param words { things: string, name: string, label: fun(item: table): string, code: string, hint: string, target?:
---  string } things: what they are, in the plural; label: tells one from the other; target: what err.target says (name)
---@return table?
---@raise words.code when there is more than one; the message lists them
return function(found, words)
    if unknown(found) then
        return found
    elseif #found > 1 then
        local labels = {}
        for index, item in ipairs(found) do
            labels[index] = words.label(item)
        end
        fail(("%d %s are called '%s': %s"):format(#found, words.things, words.name, table.concat(labels, ", ")), {
            code = words.code, target = words.target or words.name, hint = words.hint,
        })
    end
    return found[1]
end
