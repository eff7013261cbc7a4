-- Every keyword of ssh_config(5), up to OpenSSH 10.1, and what becomes of it here.
--
--   done     it is done as ssh does it
--   refused  it would change where or how one connects, or what is trusted, and cannot be done: nobody connects
--   lenient  it would trust more hosts; here they are not trusted, and the error for an unknown host names it
--   login    it would give more ways to log in; the error of a login that failed names it
--   aside    it says nothing about a connection of hostler's
local keywords = {}

local YES = { yes = true, ["true"] = true, on = true, ask = true }
local NO = { no = true, ["false"] = true, off = true }

local function is_set(value)
    return value ~= "none" and value ~= ""
end

local function is_yes(value)
    return YES[value] == true
end

local DONE = [[
addressfamily bindaddress canonicaldomains canonicalizefallbacklocal canonicalizehostname canonicalizemaxdots
canonicalizepermittedcnames certificatefile checkhostip ciphers connecttimeout globalknownhostsfile host
hostkeyalgorithms hostkeyalias hostname identitiesonly identityagent identityfile identityfile2 ignoreunknown include
kexalgorithms macs match port proxyjump pubkeyacceptedalgorithms pubkeyacceptedkeytypes revokedhostkeys
stricthostkeychecking tag user userknownhostsfile
]]

-- `given` says for which value of `ssh -G` it counts.
local JUDGED = {
    bindinterface = { "refused", given = is_set,
        hint = "BindAddress can be done: the address instead of its interface" },
    knownhostscommand = { "refused", given = is_set,
        hint = "a file can be read: have the command write one, and name it in UserKnownHostsFile" },
    preferredauthentications = { "refused", given = function(value)
        return is_set(value) and not ("," .. value .. ","):find(",publickey,", 1, true)
    end, hint = "hostler logs in with keys: publickey has to be among them" },
    proxycommand = { "refused", given = is_set, hint = "ProxyJump can be done: it needs no program in between" },
    pubkeyauthentication = { "refused", given = function(value) return NO[value] == true end,
        hint = "hostler logs in with keys, and in no other way" },
    refuseconnection = { "refused", given = is_set },
    requiredrsasize = { "refused", given = function(value) return tonumber(value) ~= 1024 end,
        hint = "set it for other hosts only: libssh2 takes RSA keys from 1024 bits on" },
    nohostauthenticationforlocalhost = { "lenient", given = is_yes },
    verifyhostkeydns = { "lenient", given = is_yes },
    pkcs11provider = { "login", given = is_set },
}

local ASIDE = {
    ["hostler logs in with keys only"] = [[
        challengeresponseauthentication dsaauthentication enablesshkeysign gssapiauthentication gssapiclientidentity
        gssapidelegatecredentials gssapikexalgorithms gssapikeyexchange gssapirenewalforcesrekey gssapiserveridentity
        gssapitrustdns hostbasedacceptedalgorithms hostbasedauthentication hostbasedkeytypes
        kbdinteractiveauthentication kbdinteractivedevices numberofpasswordprompts passwordauthentication
        securitykeyprovider skeyauthentication tisauthentication usekeychain ]],
    ["libssh2 takes no certificates of hosts, and for those of users ssh does not look at it"] =
        "casignaturealgorithms",
    ["the playbook says what is forwarded"] = [[
        clearallforwardings dynamicforward exitonforwardfailure forwardagent forwardx11 forwardx11timeout
        forwardx11trusted gatewayports localforward permitremoteopen remoteforward streamlocalbindmask
        streamlocalbindunlink tunnel tunneldevice xauthlocation addkeystoagent ]],
    ["the playbook says what is run, and with what environment"] =
        "localcommand permitlocalcommand remotecommand requesttty sendenv sessiontype setenv stdinnull",
    ["connections are shared within a run"] = "controlmaster controlpath controlpersist forkafterauthentication",
    ["there is no terminal session"] = [[
        batchmode channeltimeout enableescapecommandline escapechar fingerprinthash loglevel logverbose
        obscurekeystroketiming syslogfacility visualhostkey warnweakcrypto ]],
    ["ssh.connect has options of its own: timeout, keepalive"] = [[
        connectionattempts keepalive protocolkeepalives serveralivecountmax serveraliveinterval setuptimeout
        tcpkeepalive ]],
    ["it changes neither where one connects nor what is trusted"] =
        "compression ipqos proxyusefdpass rekeylimit versionaddendum",
    ["known_hosts gets new lines in one form, and only from host_key = \"accept-new\""] =
        "hashknownhosts updatehostkeys",
    ["ssh itself passes over it"] = [[
        afstokenpassing cipher compressionlevel fallbacktorsh globalknownhostsfile2 kerberosauthentication
        kerberostgtpassing protocol rhostsauthentication rhostsrsaauthentication rsaauthentication smartcarddevice
        useblacklistedkeys useprivilegedport useroaming userknownhostsfile2 usersh ]],
}

local function each_word(text, add)
    for word in text:gmatch "%S+" do
        add(word)
    end
end

--- What becomes of each keyword: `treatment` is one of the five words above, `reason` why it is aside.
---@type table<string, { treatment: string, reason?: string, given?: (fun(value: string): boolean), hint?: string }>
keywords.all = {}

each_word(DONE, function(word) keywords.all[word] = { treatment = "done" } end)
for word, judged in pairs(JUDGED) do
    keywords.all[word] = { treatment = judged[1], given = judged.given, hint = judged.hint }
end
for reason, words in pairs(ASIDE) do
    each_word(words, function(word) keywords.all[word] = { treatment = "aside", reason = reason } end)
end

--- Whether ssh has to be asked about a host that the keyword concerns. One that is not known may mean anything.
function keywords.matters(keyword)
    local entry = keywords.all[keyword]
    return not entry or entry.treatment ~= "aside"
end

--- Those of one treatment that count, by `ssh -G`'s values: "keyword value", sorted.
---@param values table<string, string[]>
---@return { keyword: string, value: string, hint?: string }[]
function keywords.given(values, treatment)
    local found = {}
    for keyword, entry in pairs(keywords.all) do
        local value = entry.treatment == treatment and values[keyword] and values[keyword][1]
        if value and entry.given(value) then
            found[#found + 1] = { keyword = keyword, value = value, hint = entry.hint }
        end
    end
    table.sort(found, function(a, b) return a.keyword < b.keyword end)
    return found
end

return keywords
