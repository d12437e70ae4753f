//! Batches under kills: the program dies about when a batch's last jobs end. Each batch is completed once
//! all the same, and the job that follows it is enqueued once.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::batches::{completed, events_of, follow_up, open, work_off};
use crate::support::{Dice, TestResult, Up};

const KILLS: usize = 4;
const JOBS: u32 = 60;

/// The reactor sees the last end within this time, and has completed the batch and enqueued its follow-up
/// some milliseconds later.
const KILLED_WITHIN_US: u64 = 60_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_completes_once_and_is_followed_by_one_job_whenever_the_program_is_killed()
-> TestResult {
    let mut dice = Dice::thrown();
    let mut up = Up::start("batches")?;
    let listen = up.listen().to_owned();
    let mut batches = Vec::new();
    for round in 0..KILLS {
        let api = up.api("default", "member")?;
        let queue = format!("round-{round}");
        let jobs: Vec<_> = (0..JOBS)
            .map(|number| json!({"payload": {"fails": number % 3 == 0}}))
            .collect();
        let body = json!({
            "defaults": {"queue": queue, "kind": "send"}, "jobs": jobs,
            "on_complete": {"queue": "after", "kind": "summary"},
        });
        let (id, _) = open(&api, &body).await?;
        batches.push(id);
        work_off(&api, &queue, JOBS as usize).await?;
        tokio::time::sleep(Duration::from_micros(dice.below(KILLED_WITHIN_US))).await;
        up = Up::on_address(up.kill()?, &listen)?;
    }
    let api = up.api("default", "member")?;
    for id in &batches {
        let batch = completed(&api, id).await?;
        let counts = json!({"succeeded": 40, "dead": 20, "cancelled": 0});
        assert_eq!(batch["completed"], counts);
        let job = follow_up(&api, id).await?;
        assert_eq!(job["payload"]["dead"], 20);
        assert_eq!(job["status"], Value::from("waiting"));
        assert_eq!(events_of(&api, id).await?, ["opened", "completed"]);
    }
    let all = api.get("/v1/jobs?queue=after&count=true").await?.is(200);
    assert_eq!(all.json()?["total"], KILLS);
    up.verify()
}
