-- The mail that gives a new customer the login of their instance, as text and as HTML.
local login_mail = {}

local TEXT = [[
Hello %s,

your Meltano instance is ready:

    Address   %s
    User      %s
    Password  %s

Please change the password after you have logged in.

Your Meltano team
]]

local HTML = [[
<p>Hello %s,</p>
<p>your Meltano instance is ready:</p>
<table>
<tr><td>Address</td><td><a href="%s">%s</a></td></tr>
<tr><td>User</td><td>%s</td></tr>
<tr><td>Password</td><td><code>%s</code></td></tr>
</table>
<p>Please change the password after you have logged in.</p>
<p>Your Meltano team</p>
]]

--- Puts values between the parts of a template. Joined, not formatted: one of the values is a secret.
local function fill(template, values)
    local text, index = "", 0
    for part, mark in template:gmatch "([^%%]*)(%%?s?)" do
        text = text .. part
        if mark == "%s" then
            index = index + 1
            text = text .. values[index]
        end
    end
    return text
end

local function escape(text)
    return (text:gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

--- Passwords are made of letters and digits only, so they need no escaping.
---@param login { full_name: string, url: string, user: string, password: secret }
---@return { subject: string, text: secret, html: secret }
function login_mail.write(login)
    return {
        subject = "Your Meltano instance is ready",
        text = fill(TEXT, { login.full_name, login.url, login.user, login.password }),
        html = fill(HTML, { escape(login.full_name), login.url, login.url, login.user, login.password }),
    }
end

return login_mail
