-- The schemas of a PostgreSQL database, and dropping them without touching `public`.
local schemas = {}

-- PostgreSQL lets nobody make a schema whose name begins with pg_.
local LIST = [[
SELECT n.nspname AS schema, pg_get_userbyid(n.nspowner) AS owner, pg_has_role(n.nspowner, 'USAGE') AS is_ours,
    (SELECT count(*) FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind = ANY ('{r,p,v,m,f}')) AS objects,
    (SELECT pg_size_pretty(coalesce(sum(pg_total_relation_size(c.oid)), 0)) FROM pg_class c
        WHERE c.relnamespace = n.oid AND c.relkind = ANY ('{r,m}')) AS size,
    (SELECT string_agg(e.extname, ', ' ORDER BY e.extname) FROM pg_extension e WHERE e.extnamespace = n.oid)
        AS extensions,
    (SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.refclassid = 'pg_extension'::regclass
        AND d.deptype = 'e') AS made_by
FROM pg_namespace n
WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'public')
ORDER BY n.nspname]]

-- Everything in public that could fall with something else, and what it is a part of.
local IN_PUBLIC = [[
WITH relations AS (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace),
things (class, id, part, whole) AS (
    SELECT 'pg_class'::regclass, oid, 0, NULL::oid FROM relations
    UNION ALL SELECT 'pg_class'::regclass, attrelid, attnum::int, attrelid FROM pg_attribute
        WHERE attrelid IN (TABLE relations) AND attnum > 0 AND NOT attisdropped
    UNION ALL SELECT 'pg_attrdef'::regclass, oid, 0, adrelid FROM pg_attrdef WHERE adrelid IN (TABLE relations)
    UNION ALL SELECT 'pg_constraint'::regclass, oid, 0, nullif(conrelid, 0) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'pg_trigger'::regclass, oid, 0, tgrelid FROM pg_trigger
        WHERE tgrelid IN (TABLE relations) AND NOT tgisinternal
    UNION ALL SELECT 'pg_policy'::regclass, oid, 0, polrelid FROM pg_policy WHERE polrelid IN (TABLE relations)
    UNION ALL SELECT 'pg_proc'::regclass, oid, 0, NULL FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'pg_type'::regclass, oid, 0, nullif(typrelid, 0) FROM pg_type
        WHERE typnamespace = 'public'::regnamespace AND typelem = 0
    UNION ALL SELECT 'pg_operator'::regclass, oid, 0, NULL FROM pg_operator
        WHERE oprnamespace = 'public'::regnamespace
    UNION ALL SELECT 'pg_collation'::regclass, oid, 0, NULL FROM pg_collation
        WHERE collnamespace = 'public'::regnamespace
    UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, 0, stxrelid FROM pg_statistic_ext
        WHERE stxnamespace = 'public'::regnamespace
    UNION ALL SELECT 'pg_extension'::regclass, oid, 0, NULL FROM pg_extension
        WHERE extnamespace = 'public'::regnamespace
)
SELECT class::oid::text || ' ' || id || ' ' || part AS key, 'pg_class'::regclass::oid || ' ' || whole || ' 0' AS whole,
    pg_describe_object(class, id, part) AS what
FROM things ORDER BY what]]

-- What PostgreSQL's own words leave open, by SQLSTATE.
local HINTS = {
    ["55P03"] = "nothing was dropped: somebody uses a table in it. Stop what does (meltano.service, a load), or give "
        .. "it more time with --lock-timeout",
    ["53200"] = "nothing was dropped: there are more tables than one transaction may lock; drop some of the largest "
        .. "schemas by hand first",
}

--- The schemas of a database but `public` and PostgreSQL's own.
---@return { schema: string, owner: string, is_ours: boolean, objects: integer, size: string, extensions?: string,
---  made_by?: string }[] is_ours: this connection's role may drop it; objects: tables and views; extensions: those
---  that were put into it; made_by: the extension that it is a part of
function schemas.list(db)
    return db:read(LIST)
end

--- Raises unless this connection may drop them all.
---@raise "schemas.owner"
function schemas.check_owner(doomed)
    for _, schema in ipairs(doomed) do
        if not schema.is_ours then
            fail(("the schema %s belongs to %s: this login may not drop it"):format(schema.schema, schema.owner), {
                code = "schemas.owner", hint = "as that role: ALTER SCHEMA ... OWNER TO this login, then again",
            })
        end
    end
end

--- What is no longer there, without the parts of what is no longer there as a whole.
local function lost(before, after)
    local left, gone, words = {}, {}, {}
    for _, thing in ipairs(after) do
        left[thing.key] = true
    end
    for _, thing in ipairs(before) do
        gone[thing.key] = not left[thing.key]
    end
    for _, thing in ipairs(before) do
        if gone[thing.key] and not (thing.whole and gone[thing.whole]) then
            words[#words + 1] = thing.what
        end
    end
    return words
end

local function drop_all(tx, doomed)
    local done
    for _, schema in ipairs(doomed) do
        if schema.made_by then
            tx:query(("DROP EXTENSION IF EXISTS %s CASCADE"):format(tx:ident(schema.made_by)))
        end
        done = tx:query(("DROP SCHEMA IF EXISTS %s CASCADE"):format(tx:ident(schema.schema)))
    end
    return done
end

--- Drops schemas with all that is in them, in one transaction: all of them or none.
---@param doomed table[] from schemas.list
---@param options { lock_timeout: number, with_dependents?: boolean } lock_timeout: seconds to wait for each lock;
---  with_dependents: what in public uses something in these schemas falls too, instead of stopping it all
---@return { schemas: string[], dependents: string[] } fallen
---@raise "schemas.dependents" with `dependents`; "pg.query"
function schemas.drop(db, doomed, options)
    local fallen = { schemas = {}, dependents = {} }
    local done, err = try(db.transaction, db, function(tx)
        tx:query("SELECT set_config('lock_timeout', $1, true)", ("%dms"):format(options.lock_timeout * 1000))
        local before = tx:read(IN_PUBLIC)
        local dropped = drop_all(tx, doomed)
        fallen.dependents = lost(before, tx:read(IN_PUBLIC))
        if #fallen.dependents > 0 and not options.with_dependents then
            fail("in public would fall too: " .. table.concat(fallen.dependents, ", "), {
                code = "schemas.dependents", dependents = fallen.dependents,
                hint = "nothing was dropped. Drop these first, or agree to it with --with-dependents",
            })
        end
        return dropped
    end)
    if unknown(done) then
        return done
    elseif err then
        err.hint = HINTS[err.sqlstate] or err.hint
        error(err, 0)
    end
    for index, schema in ipairs(doomed) do
        fallen.schemas[index] = schema.schema
    end
    return fallen
end

return schemas
