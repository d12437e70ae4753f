//! Idempotency keys: one key, one effect, one receipt. (After a restart and after the log's own
//! window: `tests/faults`.)

use futures_util::future::try_join_all;
use serde_json::json;

use crate::support::http::any_body;
use crate::support::{TestResult, Up, fresh_tenant};

#[tokio::test]
async fn the_same_key_and_body_give_the_first_receipt_at_any_later_time() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let key = [("Idempotency-Key", "order-1")];
    let first = api
        .post_with("/v1/assignments", &any_body(), &key)
        .await?
        .is(201)
        .receipt()?;
    let again = api.post_with("/v1/assignments", &any_body(), &key).await?;
    assert!([200, 201].contains(&again.status), "{}", again.text());
    assert_eq!(again.receipt()?, first);
    // Also when the assignment has gone on, and when the fields stand in another order.
    let path = format!("/v1/assignments/{}", first.id);
    let key = [("Idempotency-Key", "hold-1")];
    let held = json!({"reason": "later", "on_behalf_of": null});
    let held = api
        .post_with(&format!("{path}/hold"), &held, &key)
        .await?
        .is(200)
        .receipt()?;
    api.act(&first.id, "resume", &json!({})).await?;
    let cancelled = api.act(&first.id, "cancel", &json!({})).await?;
    let again = json!({"reason": "later"});
    let again = api
        .post_with(&format!("{path}/hold"), &again, &key)
        .await?
        .is(200)
        .receipt()?;
    assert_eq!(again, held);
    let seen = api.assignment(&first.id, cancelled.position).await?;
    assert_eq!(seen["version"], cancelled.version);
    // Once more when the read side certainly knows it.
    let again = json!({"reason": "later"});
    let again = api
        .post_with(&format!("{path}/hold"), &again, &key)
        .await?
        .is(200)
        .receipt()?;
    assert_eq!(again, held);
    Ok(())
}

#[tokio::test]
async fn a_key_that_stands_for_another_request_is_refused() -> TestResult {
    let up = Up::shared();
    let tenant = fresh_tenant();
    let api = up.api(&tenant, "member")?;
    let (one, two) = (api.any().await?, api.any().await?);
    let path = |id: &str, verb: &str| format!("/v1/assignments/{id}/{verb}");
    let key = [("Idempotency-Key", "note-1")];
    let note = json!({"text": "first"});
    let first = api
        .post_with(&path(&one.id, "note"), &note, &key)
        .await?
        .is(200)
        .receipt()?;
    for round in 0..2 {
        let other_body = json!({"text": "second"});
        let reused = api
            .post_with(&path(&one.id, "note"), &other_body, &key)
            .await?;
        reused.refused(422, "key-reused");
        let other_verb = json!({});
        let reused = api
            .post_with(&path(&one.id, "start"), &other_verb, &key)
            .await?;
        reused.refused(422, "key-reused");
        let reused = api.post_with(&path(&two.id, "note"), &note, &key).await?;
        assert_eq!(
            (round, reused.status, reused.code().as_str()),
            (round, 422, "key-reused")
        );
        // The second round is asked when the read side knows the command.
        api.assignment(&one.id, first.position).await?;
    }
    // Somebody else's key of the same text is another key.
    let carl = up.api_as("carl", &tenant, "member")?;
    let theirs = carl
        .post_with(&path(&two.id, "note"), &note, &key)
        .await?
        .is(200)
        .receipt()?;
    assert_eq!((theirs.version, theirs.id), (2, two.id));
    Ok(())
}

#[tokio::test]
async fn one_key_twenty_times_at_once_is_one_commit() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let key = [("Idempotency-Key", "herd")];
    let requests = (0..20).map(|_| async {
        let body = any_body();
        api.post_with("/v1/assignments", &body, &key)
            .await?
            .receipt()
    });
    let receipts = try_join_all(requests).await?;
    assert!(
        receipts.iter().all(|receipt| *receipt == receipts[0]),
        "{receipts:?}"
    );
    let path = format!("/v1/assignments/{}/note", receipts[0].id);
    let note = json!({"text": "once"});
    let key = [("Idempotency-Key", "herd of notes")];
    api.post_with(&path, &note, &key)
        .await?
        .refused(400, "malformed");
    let key = [("Idempotency-Key", "herd-of-notes")];
    let notes =
        (0..20).map(|_| async { api.post_with(&path, &note, &key).await?.is(200).receipt() });
    let notes = try_join_all(notes).await?;
    assert!(
        notes.iter().all(|receipt| *receipt == notes[0]),
        "{notes:?}"
    );
    let seen = api.assignment(&receipts[0].id, notes[0].position).await?;
    assert_eq!((&seen["version"], &seen["notes"]), (&json!(2), &json!(1)));
    let listed = api.get("/v1/assignments?count=true").await?.json()?;
    assert_eq!(listed["total"], 1);
    Ok(())
}
