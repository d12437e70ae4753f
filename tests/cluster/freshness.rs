//! Processes connected to different servers take turns on the same assignments, each at once after the
//! other's answer: whatever was acknowledged at one is there for the next.

use futures_util::future::try_join_all;
use serde_json::json;

use crate::house::House;
use crate::support::http::any_body;
use crate::support::service::Service as _;
use crate::support::{Api, TestResult};

const CLIENTS: usize = 6;

/// Before the write side looked where the leader's end is, one in nine was refused.
const ASSIGNMENTS_EACH: usize = 20;

/// Each step goes to the next process.
async fn hand_on(apis: &[Api; 3]) -> TestResult {
    for _ in 0..ASSIGNMENTS_EACH {
        let id = apis[0].request(&any_body()).await?.id;
        apis[1]
            .act(&id, "start", &json!({"assignee": "anne"}))
            .await?;
        apis[2]
            .act(&id, "complete", &json!({"outcome": "done"}))
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_acknowledged_no_other_refuses() -> TestResult {
    let house = House::start("freshness", None, &[0]).await?;
    let second = house.process("second", "api", &[1])?;
    let third = house.process("third", "api", &[2])?;
    let api = house.client("default", "member")?;
    let apis = [api.clone(), api.at(&second.base), api.at(&third.base)];
    try_join_all((0..CLIENTS).map(|_| hand_on(&apis))).await?;
    house.verified()
}
