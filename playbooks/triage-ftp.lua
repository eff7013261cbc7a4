-- Finds out why a customer cannot get in by FTP, and mends the one fault that images have had: a project directory that
-- its group may write to, which vsftpd refuses as the root of a chroot ("500 OOPS").
--
-- Shows     the FTP server's own answer to a real login; mode and owner of the directory; whether vsftpd runs.
-- Changes   with your consent the mode of /var/meltano/project (g-w), nothing else; then logs in and lists again.
-- Password  the 1Password item meltano_ftp@TENANT..., else $FTP_PASSWORD. Without one it shows what the host says.
-- Again     where logging in and listing work, nothing changes.
local ftp = require "ftp"
local instance = require "instance"
local meltano = require "meltano"
local site = require "site"
local systemd = require "systemd"

--- The password of the FTP user. Only old instances have an item for it.
local function password_of(customer)
    local item = site.passwords():find(meltano.FTP_USER .. "@" .. customer.name)
    return item and item.password or secret("FTP_PASSWORD", { optional = true })
end

--- Logs in and lists as the customer does. Instances offer no TLS for FTP.
local function log_in(customer, password)
    local listed, err = try(ftp.list, customer:find_droplet().public_address, {
        user = meltano.FTP_USER, password = password, tls = "never", timeout = 20,
    })
    return { works = listed ~= nil, count = listed and #listed.files, listing = listed and listed.listing,
        says = err and (err.reply or err.message), reason = err and err.reason }
end

local function tell_login(login)
    if login.works then
        say("FTP login of %s: works, and lists %d entries:\n%s", meltano.FTP_USER, login.count, login.listing)
    else
        say("FTP login of %s: %s", meltano.FTP_USER, login.says)
    end
end

local function show_directory(host)
    local root = host:stat(meltano.PROJECT)
    say("%s: mode %04o, owner %s, group %s", meltano.PROJECT, root.mode, root.owner, root.group)
    return root
end

--- Ends the run for a fault that it cannot mend.
local function refuse(customer, login, service)
    fail(login and login.says or "nothing of what can be seen without a password is wrong", {
        code = "ftp", target = customer.name,
        hint = service.active ~= "active" and "on the host: systemctl status vsftpd"
            or not login and "give the customer's password to see what they see: export FTP_PASSWORD=..."
            or login.reason == "login" and "has the instance the password that is in 1Password?" or nil,
    })
end

--- Logs in once more. It has to work, then.
local function check(customer, host, password)
    show_directory(host)
    if not password then
        warn "Mended, as far as can be seen without a password."
        return
    end
    local login = log_in(customer, password)
    tell_login(login)
    if not login.works then
        fail("FTP still refuses: " .. login.says, {
            code = "ftp", target = customer.name,
            hint = ("it also refuses a directory that %s owns and may write to, or that others may write to"):format(
                meltano.FTP_USER),
        })
    end
    say "FTP works again."
end

return playbook {
    summary = "Find out why FTP refuses a customer, and mend a writable chroot",
    handbook = "500 error when FTPing into instance",
    params = { arg("tenant", "subdomain", "the customer's short name") },
    run = function(p)
        local customer = instance.of(p.tenant)
        local host, password = customer:open(), password_of(customer)
        -- A step, although it only reads: a resumed run mends what was found.
        local login = password and step("log in", function() return log_in(customer, password) end)
        if login then
            tell_login(login)
        else
            warn("There is no 1Password item %s@%s and no $FTP_PASSWORD: login cannot be tried.", meltano.FTP_USER,
                customer.name)
        end
        local root, service = show_directory(host), systemd.on(host):status "vsftpd"
        say("vsftpd.service: %s", systemd.describe(service))

        if login and login.works then
            say "FTP works: nothing to do."
            return
        end
        local is_writable = login and login.says:find("writable root inside chroot", 1, true)
            or not login and math.floor(root.mode / 16) % 2 == 1
        if not is_writable then
            refuse(customer, login, service)
        end

        confirm(("Take the group's right to write from %s (chmod g-w)?"):format(meltano.PROJECT))
        local changed = step("chmod g-w", {
            idempotent = true,
            undo = function() host:run { "chmod", "g+w", "--", meltano.PROJECT } end,
        }, function() return host:run({ "chmod", "g-w", "--", meltano.PROJECT }).status end)
        if unknown(changed) then
            say "would log in and list again"
        else
            check(customer, host, password)
        end
    end,
}
