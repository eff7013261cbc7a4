-- Runs a plain Lua file in the world, as one step in which writes are allowed: the tests of hostler's own files. It
-- receives `import`, for the parts that `require` gives to nobody, and its arguments. It is a task of its own, so that
-- what it started and left running ends with it when it fails.
local native, import = ...
local script = {}

local failure, library = import "run/failure", import "run/library"

---@param argv string[] the file and its arguments
---@return integer exit status: 0, or 1 after printing the error
function script.main(argv)
    local context = native.task.context()
    context.path, context.step = argv[1], argv[1]
    native.report("plain", -1)
    local body = native.task.spawn(nil, library.run_file, argv[1], import, unpack(argv, 2))
    local ok, err = xpcall(native.task.join, native.error.complete, body)
    if not ok then
        native.system.write_error(failure.describe(err, true) .. "\n")
    end
    return ok and (type(err) == "number" and err or 0) or 1
end

return script
