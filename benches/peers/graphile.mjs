// graphile-worker on Postgres: no-op jobs from the first enqueue to the last completion.
// Reads PEER_DATABASE and PEER_JOBS; prints one JSON line a mode.
import { makeWorkerUtils, run } from "graphile-worker";

const connectionString = process.env.PEER_DATABASE;
const jobs = Number(process.env.PEER_JOBS);
const CLIENTS = 16;
const BULK = 1000;

const utils = await makeWorkerUtils({ connectionString, maxPoolSize: CLIENTS });
await utils.migrate();

async function measure(mode, preset, enqueue) {
  let completed = 0;
  let done;
  const all = new Promise((resolve) => (done = resolve));
  const waits = [];
  const runner = await run({
    connectionString,
    concurrency: CLIENTS,
    maxPoolSize: CLIENTS + 2,
    noHandleSignals: true,
    taskList: {
      noop: async (_payload, helpers) => {
        waits.push(Date.now() - new Date(helpers.job.created_at).getTime());
      },
    },
    logger: quiet(),
    ...(preset ? { preset } : {}),
  });
  runner.events.on("job:complete", () => {
    completed += 1;
    if (completed === jobs) done();
  });
  const begun = process.hrtime.bigint();
  await enqueue();
  await all;
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  waits.sort((one, other) => one - other);
  const at = (part) => waits[Math.min(waits.length - 1, Math.floor(part * waits.length))];
  console.log(
    JSON.stringify({
      peer: "graphile-worker + postgres, synchronous_commit on",
      mode,
      jobs,
      per_second: Math.round(jobs / seconds),
      wait_ms: { p50: at(0.5), p99: at(0.99) },
    }),
  );
  await runner.stop();
}

function quiet() {
  const none = () => {};
  return { scope: quiet, error: console.error, warn: none, info: none, debug: none };
}

await measure("single", null, async () => {
  let next = 0;
  const client = async () => {
    while (next < jobs) {
      next += 1;
      await utils.addJob("noop", { n: 1 });
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
});
await measure("bulk", { worker: { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } }, async () => {
  for (let sent = 0; sent < jobs; sent += BULK) {
    const count = Math.min(BULK, jobs - sent);
    await utils.addJobs(Array.from({ length: count }, () => ({ identifier: "noop", payload: { n: 1 } })));
  }
});
await utils.release();
process.exit(0);
