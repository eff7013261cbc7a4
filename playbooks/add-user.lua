-- Adds one more user to the UI of an instance. The password is made here and kept in 1Password; nobody sees it.
--
-- Makes     a 1Password item USER@TENANT's host, and the user.
-- Refuses   when there is such a user, and 1Password does not have their password; --overwrite gives them the one that
--           1Password has, or a new one.
-- Again     a user that can log in with the password in 1Password stays as it is.
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
        flag("overwrite", "give an existing user the password that 1Password has, and this role"),
    },
    run = function(p)
        meltano.check_user_name(p.user)
        local one = instance.of(p.tenant)
        lock("instance:" .. one.tenant)
        local app = meltano.on(one.host)
        local vault, title = site.passwords(), ("%s@%s"):format(p.user, one.name)

        local function stored()
            local item = vault:find(title)
            return item and (item.password or fail(("the item '%s' in 1Password has no password"):format(title), {
                code = "taken", target = title, hint = "give it one, or remove it",
            }))
        end

        -- A step, although it only reads: a resumed run would find what it has made itself.
        local found = step("look for the user", function()
            local password = stored()
            return { login = password ~= nil, works = password ~= nil and app:logs_in(p.user, password) }
        end)
        if found.works and not p.overwrite then
            say("%s has the user %s already: nothing to do.", one.url, p.user)
            return
        end

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

        local outcome = step("add the user " .. p.user, p.overwrite and { idempotent = true } or {
            probe = function() return app:logs_in(p.user, password) and "added" end,
        }, function()
            return app:add_user(p.user, password, { role = p.role, overwrite = p.overwrite })
        end)
        if outcome == "exists" then
            if not found.login then
                step("take the password back out of 1Password", { idempotent = true }, function()
                    one:forget_item(title)
                end)
            end
            fail(("%s has a user %s already, and 1Password has %s"):format(one.name, p.user,
                found.login and "another password than theirs" or "no password of theirs"), {
                code = "taken", target = one.name, hint = "--overwrite gives them "
                    .. (found.login and "the one that 1Password has" or "a new one"),
            })
        elseif not unknown(outcome) then
            say("%s may log in at %s; the password is in 1Password, item '%s'.", p.user, one.url, title)
        end
    end,
}
