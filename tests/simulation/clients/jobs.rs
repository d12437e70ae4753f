//! Programs that enqueue jobs of all sorts, cancel some of them, and put dead ones back.

use std::sync::Arc;

use domain::job::{Command, Job, Spec};
use serde_json::{Value, json};

use super::{Client, stream};
use crate::record::Told;
use crate::rng::Rng;

pub(super) async fn enqueue(client: Client) {
    client.pause(40_000).await;
    let rng = client.world.rng.clone();
    let job = stream::<Job>(rng.uuid());
    let mut spec = template(&rng);
    let now = client.world.now();
    let at = |ms| (now + rng.millis(ms)).to_string();
    if rng.one_in(4) {
        spec["run_after"] = at(0..=20_000).into();
    }
    if rng.one_in(4) {
        spec["deadline"] = at(1_000..=60_000).into();
    }
    let spec: Spec = serde_json::from_value(spec).expect("a spec");
    let ask = async |command| client.ask(|process| &process.jobs, &job, command).await;
    let enqueued = ask(Command::Enqueue(Arc::new(spec))).await;
    if !matches!(enqueued, Told::Done(_)) {
        return;
    }
    client.pause(30_000).await;
    match rng.below(4) {
        0 => drop(ask(Command::Cancel { reason: None }).await),
        1 => drop(ask(Command::Requeue).await),
        _ => {}
    }
}

/// What is said of any job.
pub(super) fn template(rng: &Rng) -> Value {
    let mut template = json!({
        "queue": rng.pick(&["mail", "print"]),
        "kind": "send",
        "priority": rng.pick(&["critical", "high", "normal", "low"]),
        "retry": {
            "attempts_max": rng.from(1..=4),
            "backoff": {"type": "fixed", "delay_ms": rng.from(0..=3_000)},
        },
    });
    if rng.one_in(4) {
        template["timeout_s"] = rng.from(1..=5).into();
    }
    if rng.one_in(2) {
        template["fairness_key"] = (*rng.pick(&["ann", "bob"])).into();
    }
    template
}
