//! Claims: who gets which job, and when.

use std::collections::BTreeSet;
use std::sync::Arc;

use ::commands::journal::BoxError;
use ::commands::office::{InOffice, Office};
use futures_util::future::{BoxFuture, FutureExt as _, join_all, pending};
use serde_json::{Value, json};

use super::{WAIT_MS, mail};
use crate::Limits;
use crate::testing::Service;

/// Never comes into office.
struct StandsBy;

impl Office for StandsBy {
    fn enter(&self) -> BoxFuture<'_, Result<InOffice, BoxError>> {
        pending().boxed()
    }
}

#[tokio::test]
async fn a_claim_waits_and_is_answered_as_soon_as_a_job_comes() {
    let service = Service::new();
    let job = mail(3);
    let (job, _) = tokio::join!(service.claim_one(), service.enqueue(&job));
    assert_eq!(job["attempt"], 1);
}

#[tokio::test]
async fn a_claim_that_waits_in_vain_is_answered_with_no_jobs() {
    let limits = Limits {
        // Of a claim only the time counts that it does not wait.
        request_timeout: std::time::Duration::from_secs(1),
        ..Limits::default()
    };
    let service = Service::with(limits);
    assert_eq!(service.claim(1, 1_100).await, Vec::<Value>::new());
}

#[tokio::test]
async fn no_job_is_handed_out_to_two_claims() {
    let service = Service::new();
    for _ in 0..60 {
        service.enqueue(&mail(3)).await;
    }
    let claims = (0..12).map(|_| service.claim(5, WAIT_MS));
    let jobs: Vec<_> = join_all(claims).await.into_iter().flatten().collect();
    let ids: BTreeSet<_> = jobs.iter().map(|job| job["id"].to_string()).collect();
    assert_eq!((jobs.len(), ids.len()), (60, 60));
    assert_eq!(service.claim(5, 0).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_job_comes_to_a_worker_that_can_do_it() {
    let service = Service::new();
    let mut job = mail(3);
    job["capabilities"] = json!(["gpu"]);
    service.enqueue(&job).await;
    assert_eq!(service.claim(1, 0).await, Vec::<Value>::new());
    let claim = json!({
        "queues": ["other", "mail"], "worker": "w2", "capabilities": ["ram", "gpu"],
        "wait_ms": WAIT_MS, "lease_s": 3600,
    });
    let claimed = service.post("/v1/jobs/claim", &claim.to_string()).await;
    let lease_until = &claimed.json()["jobs"][0]["lease_until"];
    assert_eq!(lease_until, "2026-11-21T13:00:00Z", "{claimed:?}");
}

#[tokio::test]
async fn a_claim_gets_no_job_of_another_tenant() {
    let service = Service::new();
    service.enqueue(&mail(3)).await;
    let claim = json!({"queues": ["mail"], "worker": "w1"}).to_string();
    let mut foreign = service.posting("/v1/jobs/claim", &claim);
    let token = format!("Bearer {}", service.token("other", &crate::auth::Role::ALL));
    let headers = foreign.headers_mut();
    headers.insert("authorization", token.parse().expect("ASCII"));
    assert_eq!(service.send(foreign).await.json(), json!({"jobs": []}));
    service.claim_one().await;
}

#[tokio::test]
async fn a_claim_that_waits_ends_with_the_server() {
    let service = Service::new();
    let stop = async {
        service.shutdown.cancel();
    };
    let (jobs, ()) = tokio::join!(service.claim(1, WAIT_MS), stop);
    assert_eq!(jobs, Vec::<Value>::new());
}

#[tokio::test]
async fn more_claims_than_the_limit_are_turned_away_and_take_no_place_of_others() {
    let claim = r#"{"queues":["mail"],"worker":"w1"}"#;
    let full = Service::with(Limits {
        claims_max: 0,
        ..Limits::default()
    });
    let answer = full.post("/v1/jobs/claim", claim).await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem()),
        (429, "too-many".into())
    );
    assert_eq!(answer.header("retry-after"), "1");
    full.enqueue(&mail(3)).await;
    let without_requests = Service::with(Limits {
        requests_max: 0,
        ..Limits::default()
    });
    let answer = without_requests.post("/v1/jobs/claim", claim).await;
    assert_eq!(answer.json(), json!({"jobs": []}));
}

#[tokio::test]
async fn without_a_dispatcher_in_office_workers_are_asked_to_try_again() {
    let service = Service::dispatched_by(Limits::default(), Arc::new(StandsBy));
    let path = service.enqueue(&mail(3)).await;
    let claim = json!({"queues": ["mail"], "worker": "w1", "wait_ms": WAIT_MS}).to_string();
    let claim = service.post("/v1/jobs/claim", &claim).await;
    let beat = service
        .tell(&path, "heartbeat", &json!({"attempt": 1}))
        .await;
    let queues = service.get("/v1/queues").await;
    for answer in [claim, beat, queues] {
        assert_eq!(
            (answer.status.as_u16(), answer.problem()),
            (503, "unavailable".into())
        );
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(answer.json()["detail"], "dispatcher is not available");
    }
}
