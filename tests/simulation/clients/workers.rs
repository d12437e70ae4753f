//! Workers: they claim jobs and do them, or fail, go silent, are late, give them back.

use std::sync::Arc;
use std::time::Duration;

use commands::dispatch::{Beat, Claim, Dispatch as _, HandedOut};
use domain::Token;
use domain::job::{Capabilities, Command, Job};
use tokio::time::timeout;

use super::{Client, actor, name, stream, tenant};
use crate::machine::Process;
use crate::record::Got;

/// How long a worker waits for an answer to its claim, which may itself wait for a job.
const ANSWER_MAX: Duration = Duration::from_secs(10);

pub(super) async fn work(client: Client) {
    let rng = client.world.rng.clone();
    loop {
        let process = client.world.process().await;
        let claim = claim(&client);
        let claimed = tokio::select! {
            biased;
            () = process.life.ended() => None,
            claimed = timeout(ANSWER_MAX, process.dispatcher.claim(claim.clone())) => claimed.ok(),
        };
        let Some(Ok(jobs)) = claimed else {
            tokio::time::sleep(rng.millis(10..=2_000)).await;
            continue;
        };
        let got = jobs.iter().map(|job| Got {
            job: job.id,
            attempt: job.attempt,
            position: job.position,
        });
        client.world.record.known().got.extend(got);
        if client.world.strikes(10) {
            process.dispatcher.give_back(claim, jobs);
            continue;
        }
        for job in jobs {
            carry_out(&client, &process, job).await;
        }
    }
}

fn claim(client: &Client) -> Claim {
    let rng = &client.world.rng;
    Claim {
        tenant: tenant(),
        queues: ["mail", "print"]
            .map(|queue| Token::new(queue).expect("a token"))
            .to_vec(),
        worker: name("worker"),
        capabilities: Capabilities::default(),
        jobs_max: usize::try_from(rng.from(1..=4)).expect("a few"),
        bytes_max: usize::MAX,
        lease: Duration::from_secs(rng.from(2..=10)),
        wait: rng.millis(0..=8_000),
        actor: actor("worker"),
    }
}

async fn carry_out(client: &Client, process: &Arc<Process>, job: HandedOut) {
    let rng = &client.world.rng;
    let attempt = job.attempt;
    client.pause(1_000).await;
    if client.world.strikes(4) {
        // Perhaps too late.
        client.pause(15_000).await;
    }
    if client.world.strikes(8) {
        let beat = Beat {
            tenant: tenant(),
            id: job.id,
            attempt,
            lease: None,
        };
        // The worker goes on whatever it hears: its report tells whether it still had the job.
        drop(timeout(ANSWER_MAX, process.dispatcher.beat(beat)).await);
    }
    let error = domain::Text::new("no such mailbox").expect("a text");
    let fail = |retryable| Command::Fail {
        attempt,
        error: error.clone(),
        retryable,
    };
    let result = serde_json::from_str(&format!("[{}]", rng.below(3))).expect("JSON");
    let report = match client.world.strikes(2).then(|| rng.below(5)) {
        // It goes silent.
        Some(0) => return,
        Some(1 | 2) => fail(true),
        Some(3) => fail(false),
        Some(_) => Command::Release { attempt },
        None => Command::Complete {
            attempt,
            result: Some(result),
        },
    };
    let job = stream::<Job>(job.id);
    client.ask(|process| &process.jobs, &job, report).await;
}
