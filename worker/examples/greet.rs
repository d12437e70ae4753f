//! A worker to start from: put your own work in the place of `greet` and `count`.
//!
//! ```sh
//! cargo run -p ledgerline-worker --example greet -- http://127.0.0.1:8080 hello
//! ```
//! The address may be `nats://…` as well: `nats_worker` of a running `up`'s `endpoints.json`. The token is
//! taken from `LEDGERLINE_TOKEN`.

use std::time::Duration;

use ledgerline_worker::{Failure, Job, Worker};
use serde::Deserialize;
use serde_json::{Value, json};

/// `{"to": "ann"}`
#[derive(Deserialize)]
struct Greet {
    to: String,
}

async fn greet(job: Job) -> Result<Value, Failure> {
    let Greet { to } = job.payload_as()?;
    Ok(json!({"greeting": format!("Hello, {to}!")}))
}

/// `{"to": 100}`: counts, and tells how far it is.
async fn count(job: Job) -> Result<Value, Failure> {
    let to = job.payload["to"].as_u64().filter(|to| *to > 0);
    let to = to.ok_or(Failure::give_up("payload has no `to`"))?;
    for number in 1..=to {
        let percent = u8::try_from(100 * number / to).unwrap_or(100);
        job.progress(percent, &format!("{number} of {to}"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(json!({"counted": to}))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments
        .next()
        .ok_or("the address of the service is missing")?;
    let queue = arguments.next().ok_or("the name of a queue is missing")?;
    let token = std::env::var("LEDGERLINE_TOKEN")?;
    let worker = Worker::connect(&url, &token).await?.queue(&queue);
    let worker = worker.handle("greet", greet).handle("count", count);
    Ok(worker.run().await?)
}
