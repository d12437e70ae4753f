//! People who keep schedules: they pause them, go on, and enqueue a run in between.

use domain::StreamId;
use domain::schedule::{Command, Schedule, Spec};
use serde_json::json;

use super::jobs::template;
use super::{Client, stream};

/// Longer than a time may be late and still count as in time, so that times are missed and made up for.
const PAUSED_MS_MAX: u64 = 100_000;

pub(super) async fn keep(client: Client) -> StreamId {
    client.pause(10_000).await;
    let rng = client.world.rng.clone();
    let id = rng.uuid();
    let schedule = stream::<Schedule>(id);
    let mut spec = json!({
        "name": "report",
        "job": template(&rng),
        "recurrence": {"type": "every", "interval_ms": rng.from(3_000..=25_000)},
        "overlap": rng.pick(&["allow", "skip", "queue", "cancel_running"]),
        "catch_up": rng.pick(&[
            json!({"type": "none"}),
            json!({"type": "last"}),
            json!({"type": "all", "at_most": 3}),
        ]),
        "jitter_ms": rng.pick(&[0, 1_500]),
        "compare_previous": rng.one_in(2),
    });
    if rng.one_in(3) {
        spec["failures_max"] = rng.from(1..=3).into();
    }
    let spec: Spec = serde_json::from_value(spec).expect("a spec");
    let ask = async |command| {
        client
            .ask(|process| &process.schedules, &schedule, command)
            .await
    };
    let spec = Box::new(spec);
    ask(Command::Create { id, spec }).await;
    for _ in 0..rng.from(0..=3) {
        client.pause(30_000).await;
        if rng.one_in(2) {
            ask(Command::Trigger { job: rng.uuid() }).await;
        } else {
            ask(Command::Pause { reason: None }).await;
            client.pause(PAUSED_MS_MAX).await;
        }
        ask(Command::Resume).await;
    }
    schedule
}

/// Deletes it.
pub(super) async fn end(client: &Client, schedule: StreamId) {
    client
        .ask(|process| &process.schedules, &schedule, Command::Delete)
        .await;
}
