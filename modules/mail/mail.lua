-- Mail over SMTP: a text, an HTML part, or both. The connection is encrypted and the server's certificate verified.
local native, gate, import = ...
local mail = {}

local options_of = import "base/options"

local CHECK_OPTIONS = { server = "string", user = "string", password = "string or secret", ca_file = "string",
    starttls = "string", timeout = "number" }
local SEND_OPTIONS = { from = "string", to = "string or table", cc = "string or table", reply_to = "string",
    subject = "string", text = "string or secret", html = "string or secret", headers = "table", message_id = "string" }
for name, kinds in pairs(CHECK_OPTIONS) do
    SEND_OPTIONS[name] = kinds
end

-- Written by hostler, or able to change what the message is.
local RESERVED = { from = true, to = true, cc = true, bcc = true, ["reply-to"] = true, subject = true, date = true,
    ["message-id"] = true, ["mime-version"] = true, sender = true, received = true, ["return-path"] = true }

local LONGEST_LINE, LONGEST_WORD = 76, 64 -- a word fits beside the name of its header

local function misuse(message, hint)
    fail(message, { code = "usage", hint = hint })
end

--- Takes the connection's options apart. A password never goes over a connection that is not encrypted.
local function connection_of(what, options)
    local scheme, rest = (options.server or ""):match "^(smtps?)://([^/?#@%s]+)/?$"
    local host, port = (rest or ""):match "^(%[?[%w%.:_-]+%]?):(%d+)$"
    host = host or (rest or ""):match "^[%w%._-]+$"
    if not host then
        misuse(("%s: '%s' is no mail server"):format(what, tostring(options.server)),
            "write smtp://HOST:587 for STARTTLS, or smtps://HOST:465")
    end
    local starttls = options.starttls or "required"
    if starttls ~= "required" and starttls ~= "never" then
        misuse(what .. ": starttls is \"required\" or \"never\"")
    elseif starttls == "never" and scheme == "smtp" and options.password then
        misuse(what .. ": a password is not sent without encryption", "leave starttls as it is")
    elseif (options.user == nil) ~= (options.password == nil) then
        misuse(what .. ": user and password belong together")
    end
    port = port or (scheme == "smtps" and "465" or "587")
    return {
        url = ("%s://%s:%s"):format(scheme, host, port), address = host .. ":" .. port, user = options.user,
        password = options.password, ca_file = options.ca_file, starttls = starttls, timeout = options.timeout,
    }
end

-- ---- addresses ----

local function bad_address(text, why)
    fail(("'%s' is no mail address: %s"):format(tostring(text):gsub("%c", "?"), why), { code = "mail.address" })
end

local function check_address(address)
    local user, domain = address:match "^(.+)@([^@]+)$"
    if address:find "%c" then
        bad_address(address, "it has a control character")
    elseif not user then
        bad_address(address, "it is not NAME@DOMAIN")
    elseif address:find "[\128-\255]" then
        bad_address(address, "only ASCII letters can be used in it")
    elseif #address > 254 or #user > 64 then
        bad_address(address, "it is too long")
    elseif not user:match "^[%w!#$%%&'*+/=?^_`{|}~.-]+$" or user:find "^%." or user:find "%.%." or user:find "%.$" then
        bad_address(address, "what stands before the @ is not allowed")
    elseif not domain:match "^[%w][%w.-]*$" or domain:find "%.%." or domain:find "[.-]$" or domain:find "%-%." then
        bad_address(address, "what stands after the @ is no domain")
    end
end

--- "Ada <ada@example.com>" or "ada@example.com" -> { name, address }
local function parse_address(text)
    if unknown(text) then
        return { address = text }
    elseif type(text) ~= "string" then
        bad_address(text, "it is a " .. type(text))
    end
    local name, address = text:match "^(.-)%s*<([^<>]*)>$"
    if text:find "%c" then
        bad_address(text, "it has a control character")
    end
    address = address or text
    check_address(address)
    if name then
        local quoted = name:match '^"(.*)"$'
        name = quoted and quoted:gsub("\\(.)", "%1") or name
    end
    return { name = name ~= "" and name or nil, address = address }
end

--- One address, or a list of them.
local function parse_addresses(value)
    local parsed = {}
    for index, text in ipairs(type(value) == "table" and value or { value }) do
        parsed[index] = parse_address(text)
    end
    return parsed
end

-- ---- header lines ----

--- Splits text into pieces of at most `size` encoded characters, never inside a UTF-8 character (RFC 2047 section 5).
local function encoded_words(text)
    local words, word = {}, ""
    local room = LONGEST_WORD - #"=?utf-8?Q??="
    for character in text:gmatch "[%z\1-\127\194-\244][\128-\191]*" do
        local encoded = character == " " and "_"
            or character:gsub("[^%w!*+/-]", function(byte) return ("=%02X"):format(byte:byte()) end)
        if #word + #encoded > room then
            words[#words + 1], word = word, ""
        end
        word = word .. encoded
    end
    words[#words + 1] = word
    for index, part in ipairs(words) do
        words[index] = "=?utf-8?Q?" .. part .. "?="
    end
    return words
end

local function is_plain(text)
    return not text:find "[^ -~]" and not text:find("=?", 1, true) and not text:find "^ " and not text:find " $"
        and not text:find("  ", 1, true) and not text:find(("%S"):rep(LONGEST_WORD))
end

--- Free text, as words between which a line may be folded.
local function words_of(text)
    if not is_plain(text) then
        return encoded_words(text)
    end
    local words = {}
    for word in text:gmatch "%S+" do
        words[#words + 1] = word
    end
    return words
end

local function fold(name, words)
    local lines, line = {}, name .. ":"
    for index, word in ipairs(words) do
        if index > 1 and #line + 1 + #word > LONGEST_LINE then
            lines[#lines + 1], line = line, ""
        end
        line = line .. " " .. word
    end
    lines[#lines + 1] = line
    return table.concat(lines, "\r\n") .. "\r\n"
end

--- A name that is no plain word is quoted, one that is not ASCII encoded.
local function address_words(list)
    local words = {}
    for index, entry in ipairs(list) do
        local address, name = tostring(entry.address), entry.name
        if not name then
            words[#words + 1] = address
        elseif not is_plain(name) then
            for _, word in ipairs(encoded_words(name)) do
                words[#words + 1] = word
            end
            words[#words + 1] = "<" .. address .. ">"
        else
            local shown = name:find "[^%w ]" and '"' .. name:gsub('[\\"]', "\\%0") .. '"' or name
            for word in shown:gmatch "%S+" do
                words[#words + 1] = word
            end
            words[#words + 1] = "<" .. address .. ">"
        end
        if index < #list then
            words[#words] = words[#words] .. ","
        end
    end
    return words
end

local function check_header_text(name, text)
    if type(text) ~= "string" or text:find "%c" then
        fail(("the header %s must be text of one line"):format(name), { code = "mail.header" })
    end
end

local function extra_headers(headers)
    local names, lines = {}, {}
    for name, value in pairs(headers or {}) do
        local lower = tostring(name):lower()
        if not lower:match "^%a[%w-]*$" or RESERVED[lower] or lower:match "^content%-" then
            fail(("a header '%s' cannot be added"):format(tostring(name)), { code = "mail.header" })
        end
        check_header_text(name, value)
        names[#names + 1] = name
    end
    table.sort(names)
    for index, name in ipairs(names) do
        lines[index] = fold(name, words_of(headers[name]))
    end
    return table.concat(lines)
end

local DAYS = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

--- The date as RFC 5322 writes it, in English whatever the locale.
local function date_of(seconds)
    local t = os.date("!*t", seconds)
    return ("%s, %02d %s %d %02d:%02d:%02d +0000"):format(DAYS[t.wday], t.day, MONTHS[t.month], t.year, t.hour, t.min,
        t.sec)
end

local function head_of(options, from, to, cc)
    local domain = tostring(from.address):match "@(.*)$" or "localhost"
    local message_id = options.message_id or ("<%s@%s>"):format(uuid(), domain)
    if type(message_id) ~= "string" or not message_id:match "^<[^%s<>@%c]+@[^%s<>@%c]+>$" or #message_id > 250 then
        fail("message_id must look like <unique@domain>", { code = "mail.header" })
    end
    local lines = {
        fold("Date", { date_of(now()) }),
        fold("From", address_words { from }),
        fold("To", address_words(to)),
    }
    if #cc > 0 then
        lines[#lines + 1] = fold("Cc", address_words(cc))
    end
    if options.reply_to then
        lines[#lines + 1] = fold("Reply-To", address_words(parse_addresses(options.reply_to)))
    end
    lines[#lines + 1] = fold("Subject", words_of(options.subject))
    lines[#lines + 1] = fold("Message-ID", { message_id })
    lines[#lines + 1] = extra_headers(options.headers)
    return table.concat(lines), message_id
end

-- ---- what playbooks call ----

--- Sends one message, to all of its recipients or, when the server refuses one, to none.
---@param options { server: string, user?: string, password?: secret, ca_file?: string, starttls?: "required"|"never",
---  timeout?: number, from: string, to: string|string[], cc?: string|string[], reply_to?: string, subject: string,
---  text?: string|secret, html?: string|secret, headers?: table<string, string>, message_id?: string }
---  server: smtp://HOST:587 (STARTTLS, or nothing is sent) or smtps://HOST:465; ca_file: certificates to trust instead
---  of the system's; timeout: seconds (120); from, to, cc, reply_to: "ada@example.com" or "Ada <ada@example.com>";
---  text, html: at least one; with both, the reader's program chooses; message_id: "<unique@domain>" (a random one),
---  shown with the effect, so that the letter can be found when it is unclear whether it was sent
---@return { server: string, reply: string, message_id: string } reply: the server's last words, often with its queue id
---@raise "mail.address" for an address that is none; "mail.header" for a header with a line break; "mail.send" with
---  `reason` connect, tls, auth, sender, recipient, message or greeting, and the server's `status` and `reply`;
---  "timeout". RFC 5321, 5322, 2045, 2047.
---@effect write
function mail.send(options)
    options_of.check("mail.send", options, SEND_OPTIONS)
    local request = connection_of("mail.send", options)
    for _, name in ipairs { "from", "to", "subject" } do
        if options[name] == nil then
            misuse(("mail.send needs %s"):format(name))
        end
    end
    if options.text == nil and options.html == nil then
        misuse "mail.send needs text, html or both"
    end
    local from, to, cc = parse_address(options.from), parse_addresses(options.to), parse_addresses(options.cc)
    if #to == 0 then
        misuse "mail.send: `to` names nobody"
    end
    local recipients, shown = {}, {}
    for _, list in ipairs { to, cc } do
        for _, entry in ipairs(list) do
            recipients[#recipients + 1], shown[#shown + 1] = entry.address, tostring(entry.address)
        end
    end
    if not unknown(options.subject) and not unknown(options.message_id) then
        check_header_text("Subject", options.subject)
        request.head, request.message_id = head_of(options, from, to, cc)
    end
    request.sender, request.recipients = from.address, recipients
    request.text, request.html, request.boundary = options.text, options.html, "=_" .. uuid()
    return gate.perform({
        kind = "write",
        name = "mail.send",
        target = request.address,
        summary = ("mail to %s: %s%s"):format(table.concat(shown, ", "), tostring(options.subject),
            options.message_id and " " .. tostring(options.message_id) or ""),
        inputs = { from.address, recipients, options },
        result = "mail to " .. shown[1],
        detail = function() return tostring(options.text or options.html) end,
    }, function()
        local sent = native.send(request)
        sent.message_id = request.message_id
        return sent
    end)
end

--- Connects, encrypts, logs in and leaves again: the mail server can be used.
---@param options { server: string, user?: string, password?: secret, ca_file?: string, starttls?: string,
---  timeout?: number } as for mail.send
---@return { server: string, reply: string }
---@raise "mail.check" with `reason` connect, tls, auth or greeting; "timeout"
function mail.check(options)
    options_of.check("mail.check", options, CHECK_OPTIONS)
    local request = connection_of("mail.check", options)
    return gate.perform({
        kind = "read",
        name = "mail.check",
        target = request.address,
        summary = "log in to the mail server " .. request.address,
        inputs = request,
        result = "mail server",
    }, native.check, request)
end

return mail
