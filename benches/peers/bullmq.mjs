// BullMQ on Redis: no-op jobs from the first enqueue to the last completion.
// Reads PEER_REDIS_PORT and PEER_JOBS; prints one JSON line a mode.
import { Queue, Worker } from "bullmq";
import Redis from "ioredis";

const connect = () => new Redis(Number(process.env.PEER_REDIS_PORT), "127.0.0.1", { maxRetriesPerRequest: null });
const jobs = Number(process.env.PEER_JOBS);
const CLIENTS = 16;
const BULK = 1000;

async function measure(mode, enqueue) {
  const name = `bench-${mode}`;
  const queue = new Queue(name, { connection: connect() });
  let completed = 0;
  const waits = [];
  let done;
  const all = new Promise((resolve) => (done = resolve));
  const worker = new Worker(
    name,
    async (job) => {
      waits.push(Date.now() - job.timestamp);
    },
    { connection: connect(), concurrency: CLIENTS },
  );
  worker.on("completed", () => {
    completed += 1;
    if (completed === jobs) done();
  });
  await worker.waitUntilReady();
  const begun = process.hrtime.bigint();
  await enqueue(queue);
  await all;
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  waits.sort((one, other) => one - other);
  const at = (part) => waits[Math.min(waits.length - 1, Math.floor(part * waits.length))];
  console.log(
    JSON.stringify({
      peer: "bullmq + redis, appendfsync always",
      mode,
      jobs,
      per_second: Math.round(jobs / seconds),
      wait_ms: { p50: at(0.5), p99: at(0.99) },
    }),
  );
  await worker.close();
  await queue.close();
}

await measure("single", async (queue) => {
  let next = 0;
  const client = async () => {
    while (next < jobs) {
      next += 1;
      await queue.add("noop", { n: 1 });
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
});
await measure("bulk", async (queue) => {
  for (let sent = 0; sent < jobs; sent += BULK) {
    const count = Math.min(BULK, jobs - sent);
    await queue.addBulk(Array.from({ length: count }, () => ({ name: "noop", data: { n: 1 } })));
  }
});
process.exit(0);
