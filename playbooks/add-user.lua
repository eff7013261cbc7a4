-- Adds one more user to the UI of an instance. The password is made here and kept in 1Password; nobody sees it.
--
-- Makes     a 1Password item NAME@TENANT's host, and the user.
-- Again     a user that is there stays as it is. Where 1Password has no password of theirs, it refuses; --overwrite
--           gives such a user the one that 1Password has, or a new one.
local instance = require "instance"
local meltano = require "meltano"
local site = require "site"

return playbook {
    summary = "Add a user to an instance's UI; the password goes to 1Password",
    handbook = "Maintaining an Existing Instance",
    params = {
        arg("tenant", "subdomain", "whose instance"),
        arg("user", "string", "the new user's name"),
        opt("role", { "admin", "regular" }, "what the user may do", "admin"),
        flag("overwrite", "give an existing user the password that 1Password has"),
    },
    run = function(p)
        meltano.check_user_name(p.user)
        local one = instance.of(p.tenant)
        lock("instance:" .. one.name)
        local app = meltano.on(one.host)
        local vault, title = site.passwords(), ("%s@%s"):format(p.user, one.name)

        local function stored()
            local item = vault:find(title)
            return item and item.password
        end
        -- A step, although it only reads: a resumed run would find the login that it has made itself.
        local found = step("look for their login in 1Password", function() return { login = stored() ~= nil } end)
        local password = found.login and stored() or step("store the password in 1Password", {
            probe = stored,
            undo = function() one:forget_item(title) end,
        }, function()
            local made = secret.random(20)
            vault:create {
                title = title, username = p.user, password = made, urls = { one.url }, tags = { site.vault_tag },
            }
            return made
        end)

        local outcome = step("add the user " .. p.user, { idempotent = true }, function()
            return app:add_user(p.user, password, { role = p.role, overwrite = p.overwrite })
        end)
        if outcome == "exists" and not found.login then
            step("take the password back out of 1Password", { idempotent = true }, function()
                one:forget_item(title)
            end)
            fail(("%s has a user %s already, and 1Password has no password of theirs"):format(one.name, p.user), {
                code = "taken", target = one.name, hint = "--overwrite gives them a new password",
            })
        elseif outcome == "exists" then
            say("%s has the user %s already: nothing changed.", one.url, p.user)
        elseif not unknown(outcome) then
            say("%s may log in at %s; the password is in 1Password, item '%s'.", p.user, one.url, title)
        end
    end,
}
