//! Programs that open a batch, fill it, and say how many jobs it has.

use std::sync::Arc;

use domain::batch::{self, Batch, JobCount};
use domain::job::{Command, Job, Spec};
use serde_json::json;

use super::jobs::template;
use super::{Client, stream};

pub(super) async fn fill(client: Client) {
    client.pause(30_000).await;
    let rng = client.world.rng.clone();
    let id = rng.uuid();
    let count = u32::try_from(rng.from(0..=5)).expect("a few");
    let mut spec = json!({});
    let is_closed = rng.one_in(2);
    if is_closed {
        spec["jobs"] = count.into();
    }
    if rng.one_in(2) {
        spec["on_complete"] = template(&rng);
    }
    let spec = serde_json::from_value(spec).expect("a spec");
    let batch = stream::<Batch>(id);
    let ask = async |command| {
        client
            .ask(|process| &process.batches, &batch, command)
            .await
    };
    ask(batch::Command::Open(Box::new(spec))).await;
    for index in 0..count {
        let mut spec = template(&rng);
        spec["parent"] = serde_json::to_value(batch::parent(id)).expect("JSON");
        let spec: Spec = serde_json::from_value(spec).expect("a spec");
        let job = stream::<Job>(batch::job_id(id, index));
        let enqueue = Command::Enqueue(Arc::new(spec));
        client.ask(|process| &process.jobs, &job, enqueue).await;
        client.pause(2_000).await;
        if rng.one_in(8) {
            let cancel = Command::Cancel { reason: None };
            client.ask(|process| &process.jobs, &job, cancel).await;
        }
    }
    if !is_closed {
        let jobs = JobCount::new(count).expect("not too many");
        ask(batch::Command::Close { jobs }).await;
    }
}
