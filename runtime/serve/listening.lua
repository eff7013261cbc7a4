-- Where hostler serves: a unix socket of its own, addresses, or the sockets that systemd hands over. What comes by them
-- are customers' names and proofs of origin, so plain HTTP is for this machine alone; a proxy such as Caddy has the
-- certificate, and hands on to a socket here.
local native, import = ...
local listening = {}

local refuse = import "base/misuse".refuse
local state = import "base/state"
local system = native.system

-- A socket that is not to be shared with what else this user runs is named by --socket.
local NAME = "serve.sock"

---@class serve.Place
---@field options table what native.web.serve takes of it: address and port, path, or fd; certificate and key
---@field url string as a person reads it
---@field folder? string of the usual socket, which is made where it is missing

local function url_of(address, port, secure)
    local host = address:find(":", 1, true) and "[" .. address .. "]" or address
    return ("%s://%s:%d"):format(secure and "https" or "http", host, port)
end

--- Whether only this machine reaches an address (RFC 6890).
local function is_loopback(address)
    return address:find "^127%." ~= nil or address == "::1" or address:find "^::ffff:127%." ~= nil
end

--- Refuses what would carry people's data in the open.
local function check_open(address, port, secure)
    if not secure and not is_loopback(address) then
        refuse(("plain HTTP on %s, port %d, could be read and changed by all on the way"):format(address, port),
            "listen on 127.0.0.1 or a unix socket with Caddy in front of it, or give --certificate and --key")
    end
end

--- The place that one word of --listen means: 127.0.0.1:8080, [::1]:8080.
local function parse(word, tls)
    local address, port = word:match "^%[([%x:.]+)%]:(%d+)$"
    if not address then
        address, port = word:match "^([%d.]+):(%d+)$"
    end
    if not address or #port > 5 or tonumber(port) > 65535 then
        refuse(("--listen: '%s' is not an IP address and a port"):format(word),
            "such as 127.0.0.1:8080 or [::1]:8080; several with commas between them")
    end
    port = tonumber(port)
    check_open(address, port, tls.certificate)
    return {
        options = { address = address, port = port, certificate = tls.certificate, key = tls.key },
        url = url_of(address, port, tls.certificate),
    }
end

local function of_addresses(words, tls)
    local places = {}
    for word in words:gmatch "[^,]+" do
        places[#places + 1] = parse(word, tls)
    end
    return places[1] and places or refuse("--listen names no address", "such as 127.0.0.1:8080")
end

--- The folder of the socket; one for root can be entered by the proxy's user, whom the socket's group lets in.
local function usual_folder()
    local runtime = system.user() == 0 and "/run" or system.env "XDG_RUNTIME_DIR"
    return runtime and runtime ~= "" and runtime .. "/hostler" or state.directory()
end

local function of_socket(path, group)
    local folder = not path and usual_folder() or nil
    path = path or folder .. "/" .. NAME
    return { { options = { path = path, group = group }, url = "unix:" .. path, folder = folder } }
end

--- Makes the folder of the usual socket.
---@param places serve.Place[]
---@raise "usage"
function listening.make_folders(places)
    for _, place in ipairs(places) do
        local made, reason = not place.folder, nil
        if not made then
            made, reason = native.user_files.make_directory(place.folder)
        end
        if not made then
            refuse(("cannot make %s for the socket: %s"):format(place.folder, reason),
                "--socket PATH names another one")
        end
    end
end

--- A socket of systemd's. Which addresses it has is up to its unit, and checked all the same.
local function of_inherited(socket, tls)
    local options = { fd = socket.fd }
    if socket.family == "unix" then
        return { options = options, url = "unix:" .. socket.path }
    elseif socket.family ~= "ip" then
        refuse(("systemd handed over descriptor %d, which is neither an IP nor a unix socket"):format(socket.fd),
            "ListenStream= with an address and a port, or a path")
    end
    check_open(socket.address, socket.port, tls.certificate)
    options.certificate, options.key = tls.certificate, tls.key
    return { options = options, url = url_of(socket.address, socket.port, tls.certificate) }
end

local function of_all_inherited(sockets, tls)
    local places = {}
    for index, socket in ipairs(sockets) do
        places[index] = of_inherited(socket, tls)
    end
    return places
end

local function check_wish(wish, sockets)
    if (wish.certificate == nil) ~= (wish.key == nil) then
        refuse("--certificate and --key go together", "two PEM files: the certificate with its chain, and its key")
    elseif wish.socket and wish.listen then
        refuse("--socket and --listen do not go together", "leave out one: a proxy needs but one way in")
    elseif #sockets > 0 and (wish.socket or wish.listen) then
        refuse("systemd hands over sockets, and --socket or --listen names others",
            "the .socket unit says where to listen")
    elseif wish.group and (wish.listen or #sockets > 0) then
        refuse("--group is for a unix socket of hostler's own", "of systemd's, SocketGroup= says it")
    elseif wish.certificate and not wish.listen and #sockets == 0 then
        refuse("--certificate is for addresses, and this serves on a unix socket", "--listen ADDRESS:PORT")
    end
end

--- Where to listen.
---@param wish { socket?: string, group?: string, listen?: string, certificate?: string, key?: string }
---@param sockets table[] as of native.serve.inherited
---@return serve.Place[]
---@raise "usage"
function listening.places(wish, sockets)
    check_wish(wish, sockets)
    if #sockets > 0 then
        return of_all_inherited(sockets, wish)
    elseif wish.listen then
        return of_addresses(wish.listen, wish)
    end
    return of_socket(wish.socket, wish.group)
end

return listening
