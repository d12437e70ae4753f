//! Fault 11: many writers on one assignment.

use std::collections::HashSet;

use futures_util::future::try_join_all;
use serde_json::json;

use crate::support::{TestResult, Up, fresh_tenant};

const WRITERS: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_writers_that_expect_one_version_one_wins_each_round() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let id = api.any().await?.id;
    let path = format!("/v1/assignments/{id}/note");
    for version in 1..=8 {
        let tag = format!("\"{version}\"");
        let writers = (0..WRITERS).map(|writer| {
            let (path, tag, api) = (&path, &tag, &api);
            async move {
                let note = json!({"text": format!("writer {writer}")});
                api.post_with(path, &note, &[("If-Match", tag)]).await
            }
        });
        let answers = try_join_all(writers).await?;
        let winners: Vec<_> = answers
            .iter()
            .filter(|answer| answer.status == 200)
            .collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(winners[0].receipt()?.version, version + 1);
        assert!(
            answers
                .iter()
                .all(|answer| [200, 412].contains(&answer.status))
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_of_64_writers_have_no_gap_and_no_double() -> TestResult {
    const ROUNDS: usize = 5;
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let id = api.any().await?.id;
    let writers = (0..WRITERS).map(|writer| {
        let (id, api) = (&id, &api);
        async move {
            let mut receipts = Vec::new();
            for round in 0..ROUNDS {
                let note = json!({"text": format!("writer {writer}, round {round}")});
                receipts.push(api.act(id, "note", &note).await?);
            }
            // What one writer did after another thing also stands behind it.
            assert!(receipts.is_sorted_by(|a, b| a.position < b.position && a.version < b.version));
            TestResult::Ok(receipts)
        }
    });
    let receipts: Vec<_> = try_join_all(writers).await?.into_iter().flatten().collect();
    let versions: HashSet<u64> = receipts.iter().map(|receipt| receipt.version).collect();
    let wanted: HashSet<u64> = (2..2 + (WRITERS * ROUNDS) as u64).collect();
    assert_eq!(versions, wanted);
    let head = receipts
        .iter()
        .map(|receipt| receipt.position)
        .max()
        .unwrap_or_default();
    let mut in_order = receipts;
    in_order.sort_by_key(|receipt| receipt.position);
    assert!(in_order.is_sorted_by(|a, b| a.version + 1 == b.version));
    api.assignment(&id, head).await?;
    let history = api
        .all(&format!("/v1/assignments/{id}/history?limit=100"))
        .await?;
    let versions: Vec<_> = history
        .iter()
        .filter_map(|event| event["version"].as_u64())
        .collect();
    let wanted: Vec<u64> = (1..2 + (WRITERS * ROUNDS) as u64).collect();
    assert_eq!(versions, wanted);
    Ok(())
}
