//! Fault 8: two projectors and two reactors. One works, the other stands by, and takes over when the
//! first is stopped; when that one wakes up, it does no harm.

use std::sync::Arc;

use rustix::process::Signal;

use crate::load::{Load, check};
use crate::record::{self, Recorder};
use crate::support::http::any_body;
use crate::support::serve::Serve;
use crate::support::{Api, Dice, TestResult, Up, fresh_id, until};

/// The read side and the feed get as far as one more command, asked for at `api`.
async fn moves(api: &Api, recorder: &Recorder) -> TestResult {
    let began = recorder.now();
    let answer = api.post("/v1/assignments", &any_body()).await?.is(201);
    let receipt = answer.receipt()?;
    let key = format!("between at {}", receipt.position);
    let asked = record::write("between", "assignment", &receipt.id, &key);
    recorder.add(asked, began, record::outcome(&answer)?);
    until("the read side and the feed move", async || {
        let positions = api.get("/v1/positions").await?.is(200).json()?;
        let read = positions["read_side"].as_u64() >= Some(receipt.position);
        let feed = positions["feed"]
            .as_str()
            .and_then(|last| last.split('.').next());
        let feed = feed.and_then(|last| last.parse::<u64>().ok()) >= Some(receipt.position);
        Ok((read && feed).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_one_works_and_a_stopped_one_that_wakes_up_does_nothing_twice()
-> TestResult {
    let up = Up::start("standby")?;
    let second = Serve::beside(&up, "second", "api,projector,reactor")?;
    let first_api = up.api("default", "admin,member")?;
    let second_api = first_api.at(&second.base);
    let mut dice = Dice::thrown();
    let load = Load::on(&up.endpoints.http);
    let ids: Arc<Vec<String>> = Arc::new((0..8).map(|_| fresh_id()).collect());
    let clients: Vec<_> = (0..2)
        .map(|name| {
            let dice = Dice::of(dice.below(u64::MAX));
            tokio::spawn(Arc::clone(&load).client(first_api.clone(), name, Arc::clone(&ids), dice))
        })
        .collect();
    for _ in 0..2 {
        load.goes_on_at(&second.base);
        up.signal(Signal::STOP)?;
        let moved = moves(&second_api, &load.recorder).await;
        up.signal(Signal::CONT)?;
        moved?;
        load.goes_on_at(&up.endpoints.http);
        second.signal(Signal::STOP)?;
        let moved = moves(&first_api, &load.recorder).await;
        second.signal(Signal::CONT)?;
        moved?;
    }
    load.stop();
    for client in clients {
        client.await??;
    }
    // Both work again, and agree.
    moves(&first_api, &load.recorder).await?;
    moves(&second_api, &load.recorder).await?;
    check(&up, &load.recorder).await
}
