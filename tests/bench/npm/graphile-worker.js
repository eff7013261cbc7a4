// graphile-worker with empty jobs, on the PostgreSQL of with-postgres, for tests/bench/queue.
//
//     graphile-worker.js JOBS CONCURRENCY...   prints a line of JSON: the median of milliseconds from adding a job to its
//     beginning, and for each concurrency how many of JOBS jobs, added before, it goes through in a second
"use strict";
const { readFileSync } = require("fs");
const { Pool } = require("pg");
const { Logger, makeWorkerUtils, run } = require("graphile-worker");

const [jobs, ...concurrencies] = process.argv.slice(2).map(Number);
const pgPool = new Pool({
    host: "localhost", port: Number(process.env.POSTGRES_PORT), user: "admin", password: process.env.POSTGRES_PASSWORD,
    database: process.env.BENCH_DATABASE, ssl: { ca: readFileSync(process.env.POSTGRES_CA) }, max: 12,
});
pgPool.on("error", () => {});
pgPool.on("connect", (client) => client.on("error", () => {}));
const logger = new Logger(() => () => {});

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

async function measureStart(utils) {
    const taken = [];
    let begun;
    const runner = await run({ pgPool, logger, concurrency: 1, noHandleSignals: true, taskList: { empty: () => begun() } });
    for (let i = 0; i < 50; i++) {
        const began = new Promise((resolve) => { begun = resolve; });
        const added = performance.now();
        await utils.addJob("empty");
        await began;
        taken.push(performance.now() - added);
    }
    await runner.stop();
    return median(taken);
}

async function measureRate(utils, concurrency) {
    await pgPool.query("SELECT graphile_worker.add_job('empty') FROM generate_series(1, $1)", [jobs]);
    let left = jobs, runner;
    const began = performance.now();
    await new Promise((resolve) => {
        const empty = () => { if (--left === 0) resolve(); };
        run({ pgPool, logger, concurrency, noHandleSignals: true, taskList: { empty } }).then((r) => { runner = r; });
    });
    const seconds = (performance.now() - began) / 1000;
    await runner.stop();
    return jobs / seconds;
}

async function main() {
    const utils = await makeWorkerUtils({ pgPool, logger });
    await utils.migrate();
    const start = await measureStart(utils), rates = {};
    for (const concurrency of concurrencies) rates[concurrency] = await measureRate(utils, concurrency);
    console.log(JSON.stringify({ start, rates }));
    await utils.release();
    await pgPool.end();
}

main().catch((error) => { console.error(error); process.exit(1); });
