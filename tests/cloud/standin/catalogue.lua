-- What can be ordered: regions, sizes, and the snapshots that droplets are made of.
local answer, teams = require "standin.answer", require "standin.teams"

local catalogue = {}

local DROPLET_SIZES = {
    { slug = "s-1vcpu-1gb", memory = 1024, vcpus = 1, disk = 25, transfer = 1, monthly = 6 },
    { slug = "s-1vcpu-2gb", memory = 2048, vcpus = 1, disk = 50, transfer = 2, monthly = 12 },
    { slug = "s-2vcpu-2gb", memory = 2048, vcpus = 2, disk = 60, transfer = 3, monthly = 18 },
    { slug = "s-2vcpu-4gb", memory = 4096, vcpus = 2, disk = 80, transfer = 4, monthly = 24 },
}
local REGIONS = {
    { "nyc1", "New York 1" }, { "nyc3", "New York 3" }, { "sfo3", "San Francisco 3" }, { "fra1", "Frankfurt 1" },
}
local FEATURES = { "backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer" }

--- Sizes of a database cluster's nodes.
catalogue.database_sizes = { "db-s-1vcpu-1gb", "db-s-1vcpu-2gb", "db-s-2vcpu-4gb" }

local function slugs(list)
    local names = json.array {}
    for index, item in ipairs(list) do
        names[index] = item.slug or item[1]
    end
    return names
end

local function show_size(size)
    return {
        slug = size.slug, memory = size.memory, vcpus = size.vcpus, disk = size.disk, transfer = size.transfer,
        price_monthly = size.monthly, price_hourly = size.monthly / 672, regions = slugs(REGIONS), available = true,
        description = "Basic", disk_info = { { type = "local", size = { amount = size.disk, unit = "gib" } } },
    }
end

local function show_region(region)
    return {
        name = region[2], slug = region[1], features = FEATURES, available = true, sizes = slugs(DROPLET_SIZES),
    }
end

--- A size as the API tells it, or nil.
function catalogue.size(slug)
    local size = teams.find(DROPLET_SIZES, "slug", slug)
    return size and show_size(size)
end

--- A region as the API tells it, or nil.
function catalogue.region(slug)
    local region = teams.find(REGIONS, 1, slug)
    return region and show_region(region)
end

--- Gives a team a snapshot.
---@param snapshot { name: string, created: number, variant?: string } variant: which image of the local cloud it boots
function catalogue.add_snapshot(team, snapshot)
    snapshot.id = answer.number()
    snapshot.resource = answer.number()
    team.snapshots[#team.snapshots + 1] = snapshot
end

--- The snapshot that a droplet's `image` names, by number.
function catalogue.snapshot(team, image)
    return teams.find(team.snapshots, "id", tonumber(image))
end

--- A snapshot as the image of a droplet.
function catalogue.image_of(snapshot)
    return {
        id = snapshot.id, name = snapshot.name, type = "snapshot", distribution = "Ubuntu", slug = json.null,
        public = false, regions = { "nyc3" }, created_at = answer.time(snapshot.created), min_disk_size = 60,
        size_gigabytes = 3.5, description = "", tags = json.array {}, status = "available",
    }
end

local function show_snapshot(snapshot)
    return {
        id = tostring(snapshot.id), name = snapshot.name, created_at = answer.time(snapshot.created),
        regions = { "nyc3" },
        resource_id = tostring(snapshot.resource), resource_type = snapshot.kind or "droplet", min_disk_size = 60,
        size_gigabytes = 3.5, tags = json.array {},
    }
end

local function list_snapshots(call)
    local kind = call.query.resource_type
    if kind and kind ~= "droplet" and kind ~= "volume" then
        answer.refuse(400, "bad_request", "invalid resource_type")
    end
    return answer.page(call, "snapshots", teams.select(call.team.snapshots, function(snapshot)
        return not kind or (snapshot.kind or "droplet") == kind
    end), show_snapshot)
end

function catalogue.routes(router)
    router:on("GET", "/v2/regions", function(call)
        return answer.page(call, "regions", REGIONS, show_region)
    end)
    router:on("GET", "/v2/sizes", function(call)
        return answer.page(call, "sizes", DROPLET_SIZES, show_size)
    end)
    router:on("GET", "/v2/snapshots", list_snapshots)
    router:on("GET", "/v2/snapshots/:id", function(call)
        local snapshot = catalogue.snapshot(call.team, call.params.id) or answer.not_found()
        return 200, { snapshot = show_snapshot(snapshot) }
    end)
end

return catalogue
