-- Finds out why a customer cannot get in by FTP, and mends the one fault that images have had: a project directory that
-- its group may write to, which vsftpd refuses as the root of a chroot ("500 OOPS").
--
-- Shows     the FTP server's own answer to a real login; mode and owner of the directory; whether vsftpd runs.
-- Changes   with your consent the mode of /var/meltano/project (g-w), nothing else; then logs in and lists again.
-- Password  the 1Password item meltano_ftp@TENANT..., else $FTP_PASSWORD. Without one it shows what the host says.
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

--- Logs in as the customer does. Instances offer no TLS for FTP.
local function log_in(droplet, password)
    local listed, err = try(ftp.list, droplet.public_address, {
        user = meltano.FTP_USER, password = password, tls = "never", timeout = 20,
    })
    if listed then
        say("FTP login of %s: works, and lists %d entries:\n%s", meltano.FTP_USER, #listed.files, listed.listing)
    else
        say("FTP login of %s: %s", meltano.FTP_USER, err.reply or err.message)
    end
    return listed, err
end

local function show_directory(host)
    local root = host:stat(meltano.PROJECT)
    say("%s: mode %04o, owner %s, group %s", meltano.PROJECT, root.mode, root.owner, root.group)
    return root
end

local function is_writable_root(err)
    return (err.reply or ""):find("writable root inside chroot", 1, true) ~= nil
end

--- Ends the run for a fault that it cannot mend.
local function refuse(customer, err, service)
    err = err or { message = "nothing of what can be seen without a password is wrong" }
    fail(err.message, {
        code = "ftp", target = customer.name, reply = err.reply,
        hint = service.active ~= "active" and "on the host: systemctl status vsftpd"
            or err.reason == "login" and "has the instance the password that is in 1Password?" or nil,
    })
end

return playbook {
    summary = "Find out why FTP refuses a customer, and mend a writable chroot",
    handbook = "500 error when FTPing into instance",
    params = { arg("tenant", "subdomain", "the customer's short name") },
    run = function(p)
        local customer = instance.of(p.tenant)
        local droplet = customer:find_droplet()
        local host = customer:open()
        local password = password_of(customer)
        local listed, err
        if password then
            listed, err = log_in(droplet, password)
        else
            warn("There is no 1Password item %s@%s and no $FTP_PASSWORD: login cannot be tried.", meltano.FTP_USER,
                customer.name)
        end
        local root = show_directory(host)
        local service = systemd.on(host):status "vsftpd"
        say("vsftpd.service: %s", systemd.describe(service))

        if listed then
            say "FTP works: nothing to do."
            return
        end
        local group_may_write = math.floor(root.mode / 16) % 2 == 1
        if err and not is_writable_root(err) or not err and not group_may_write then
            refuse(customer, err, service)
        end

        confirm(("Take the group's right to write from %s (chmod g-w)?"):format(meltano.PROJECT))
        local changed = step("chmod g-w", {
            idempotent = true,
            undo = function() host:run { "chmod", "g+w", "--", meltano.PROJECT } end,
        }, function() return host:run({ "chmod", "g-w", "--", meltano.PROJECT }).status end)
        if unknown(changed) then
            say "would log in and list again"
            return
        end
        show_directory(host)
        if not password then
            warn "Mended, as far as can be seen without a password."
            return
        end
        local _, still = log_in(droplet, password)
        if still then
            error(still, 0)
        end
        say "FTP works again."
    end,
}
