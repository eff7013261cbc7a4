-- The tables of the journal, by numbered steps: a journal of version N is brought up to date by the steps after N.
local native = ...
local schema = {}

local STEPS = {
    {
        [[CREATE TABLE runs (
            id TEXT PRIMARY KEY,
            playbook TEXT NOT NULL,
            file TEXT NOT NULL,
            directory TEXT NOT NULL,
            arguments TEXT NOT NULL,
            operator TEXT NOT NULL,
            version TEXT NOT NULL,
            mode TEXT NOT NULL,
            status TEXT NOT NULL,
            attempt BIGINT NOT NULL,
            holder TEXT,
            seal TEXT,
            started DOUBLE PRECISION NOT NULL,
            updated DOUBLE PRECISION NOT NULL,
            error TEXT)]],
        "CREATE INDEX runs_by_start ON runs (started)",
        -- position: the number of the event that ended it. undone: "running", then "done" or "failed".
        [[CREATE TABLE steps (
            run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            path TEXT NOT NULL,
            status TEXT NOT NULL,
            attempt BIGINT NOT NULL,
            code TEXT,
            undoable BIGINT NOT NULL,
            started DOUBLE PRECISION NOT NULL,
            ended DOUBLE PRECISION,
            position BIGINT,
            result TEXT,
            error TEXT,
            undone TEXT,
            PRIMARY KEY (run, path))]],
        -- status: none while it is under way; "unclear" when it ended so that it may or may not have happened.
        [[CREATE TABLE effects (
            run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            number BIGINT NOT NULL,
            ended_number BIGINT,
            attempt BIGINT NOT NULL,
            parent BIGINT,
            step TEXT,
            name TEXT NOT NULL,
            kind TEXT NOT NULL,
            target TEXT,
            summary TEXT,
            status TEXT,
            error TEXT,
            started DOUBLE PRECISION NOT NULL,
            ended DOUBLE PRECISION,
            PRIMARY KEY (run, number))]],
        "CREATE INDEX effects_by_step ON effects (run, step)",
        [[CREATE TABLE events (
            run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            number BIGINT NOT NULL,
            at DOUBLE PRECISION NOT NULL,
            type TEXT NOT NULL,
            scope BIGINT,
            parent BIGINT,
            name TEXT,
            kind TEXT,
            target TEXT,
            text TEXT,
            status TEXT,
            seconds DOUBLE PRECISION,
            count BIGINT,
            PRIMARY KEY (run, number))]],
        [[CREATE TABLE answers (
            run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            path TEXT NOT NULL,
            kind TEXT NOT NULL,
            question TEXT NOT NULL,
            answer TEXT,
            asked DOUBLE PRECISION NOT NULL,
            answered DOUBLE PRECISION,
            PRIMARY KEY (run, path))]],
        [[CREATE TABLE locks (
            name TEXT PRIMARY KEY,
            run TEXT NOT NULL,
            holder TEXT NOT NULL,
            since DOUBLE PRECISION NOT NULL)]],
        -- A text is kept once, however many runs used it.
        "CREATE TABLE source_texts (hash TEXT PRIMARY KEY, content TEXT NOT NULL)",
        [[CREATE TABLE sources (
            run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            name TEXT NOT NULL,
            path TEXT NOT NULL,
            hash TEXT NOT NULL REFERENCES source_texts (hash),
            PRIMARY KEY (run, name))]],
    },
    {
        -- lease: until when its holder is taken to be alive, by the clock of a shared store. batch: the number of the
        -- last transaction of this attempt. queued: that it is the workers'; none for a run that a person began.
        -- cancel: who has asked for its end.
        "ALTER TABLE runs ADD COLUMN lease DOUBLE PRECISION",
        "ALTER TABLE runs ADD COLUMN batch BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE runs ADD COLUMN queued DOUBLE PRECISION",
        "ALTER TABLE runs ADD COLUMN cancel TEXT",
        "CREATE INDEX runs_by_status ON runs (status)",
    },
    {
        "CREATE INDEX steps_by_position ON steps (run, position)",
        -- The key that secrets are sealed with, once there is one. It has one row.
        "CREATE TABLE seal (one BIGINT PRIMARY KEY CHECK (one = 1), fingerprint TEXT NOT NULL)",
        [[INSERT INTO seal (one, fingerprint)
            SELECT 1, seal FROM runs WHERE seal IS NOT NULL ORDER BY updated DESC LIMIT 1]],
        "ALTER TABLE runs DROP COLUMN seal",
    },
    {
        -- number: the order in which runs began. Times do not tell: clocks jump, and each machine has its own.
        "ALTER TABLE runs ADD COLUMN number BIGINT NOT NULL DEFAULT 0",
        "UPDATE runs SET number = (SELECT count(*) FROM runs AS earlier WHERE earlier.started <= runs.started)",
        "DROP INDEX runs_by_start",
        "CREATE INDEX runs_by_number ON runs (number)",
    },
    {
        -- reach: of a write that may go on when its run is gone, how a later process comes to it (JSON).
        "ALTER TABLE effects ADD COLUMN reach TEXT",
    },
    {
        -- What webhooks were sent. scope and key: what makes two deliveries the same; head and body are sealed.
        -- outcome: what was answered, "accepted" or "refused". run: the last one made of it. playbook: what it asked
        -- for.
        [[CREATE TABLE inbox (
            id TEXT PRIMARY KEY,
            number BIGINT NOT NULL,
            webhook TEXT NOT NULL,
            scope TEXT NOT NULL,
            key TEXT NOT NULL,
            received DOUBLE PRECISION NOT NULL,
            remote TEXT,
            head TEXT NOT NULL,
            body TEXT NOT NULL,
            outcome TEXT NOT NULL,
            reason TEXT,
            playbook TEXT,
            run TEXT REFERENCES runs (id) ON DELETE CASCADE,
            UNIQUE (scope, key))]],
        "CREATE INDEX inbox_by_number ON inbox (number)",
        "CREATE INDEX inbox_by_run ON inbox (run)",
        -- Requests to webhooks that were turned away, of which nothing is kept but this.
        [[CREATE TABLE inbox_turned_away (
            webhook TEXT NOT NULL,
            day TEXT NOT NULL,
            reason TEXT NOT NULL,
            count BIGINT NOT NULL,
            PRIMARY KEY (webhook, day, reason))]],
    },
    {
        -- What the workers go by. queued: from when on they may begin it, 0 for at once. key: of two runs that are
        -- ordered with the same one there is only the first. priority: higher ones are begun first. at_most: how many
        -- runs of this playbook they go through at once.
        "ALTER TABLE runs ADD COLUMN key TEXT",
        "ALTER TABLE runs ADD COLUMN priority BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE runs ADD COLUMN at_most BIGINT",
        "CREATE UNIQUE INDEX runs_by_key ON runs (key)",
        "DROP INDEX runs_by_status",
        "CREATE INDEX runs_by_turn ON runs (status, priority DESC, number)",
    },
    {
        -- turn: of the runs with the same one, each waits for the end of those before it.
        "ALTER TABLE runs ADD COLUMN turn TEXT",
        -- fired: when a time of it came last, on whichever machine. Who writes it has the schedule's turn until then.
        "CREATE TABLE schedules (name TEXT PRIMARY KEY, fired DOUBLE PRECISION)",
        -- A time of a schedule has one run, or a reason why there is none.
        [[CREATE TABLE schedule_times (
            schedule TEXT NOT NULL,
            at BIGINT NOT NULL,
            run TEXT REFERENCES runs (id) ON DELETE CASCADE,
            skipped TEXT,
            PRIMARY KEY (schedule, at))]],
        "CREATE INDEX schedule_times_by_run ON schedule_times (run)",
    },
    {
        -- crashes: how many processes in a row have ended amid the run, with no step finished meanwhile.
        "ALTER TABLE runs ADD COLUMN crashes BIGINT NOT NULL DEFAULT 0",
    },
}

schema.version = #STEPS

--- Makes the tables, or brings them up to date, or refuses those that a newer hostler has made.
---@param store table see journal.h
---@param path string for the error
function schema.migrate(store, path)
    local present = store.version()
    for version = present + 1, schema.version do
        store.migrate(table.concat(STEPS[version], ";\n"), version)
    end
    if present < schema.version then -- another process may have brought them further
        present = store.version()
    end
    if present > schema.version then
        error(native.error.new {
            code = "journal",
            message = ("the journal %s was made by a newer hostler (version %d; this one knows %d)"):format(path,
                present, schema.version),
            hint = "use that newer hostler, or another journal: XDG_STATE_HOME, HOSTLER_STORE",
        }, 0)
    end
end

return schema
