//! Batches of jobs over HTTP, over a journal in memory. What needs the read side is tested from the root.

use domain::batch::job_id;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::Role;
use crate::testing::{Answer, Service};

const ID: &str = "0190d5a6-1c5e-7b3a-9d54-2f6b8a1c7e10";

impl Service {
    async fn open_batch(&self, key: Option<&str>, body: &Value) -> Answer {
        let mut request = self.posting("/v1/batches", &body.to_string());
        if let Some(key) = key {
            let key = key.parse().expect("ASCII");
            request.headers_mut().insert("idempotency-key", key);
        }
        self.send(request).await
    }

    /// The answers to `lines` as jobs of the batch [`ID`].
    async fn stream_jobs(&self, key: Option<&str>, lines: &[Value]) -> Vec<Value> {
        let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
        let path = format!("/v1/batches/{ID}/jobs");
        let mut request = self.posting(&path, &lines.join("\n"));
        let headers = request.headers_mut();
        let kind = "application/x-ndjson".parse().expect("ASCII");
        headers.insert("content-type", kind);
        if let Some(key) = key {
            headers.insert("idempotency-key", key.parse().expect("ASCII"));
        }
        let answer = self.send(request).await;
        let text = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().expect("JSON")
    }

    /// The ids of the jobs in the journal, sorted; each stands in it once.
    async fn jobs_in_the_journal(&self) -> Vec<String> {
        let commits = self.commits("default").await;
        let of_jobs = commits.iter().filter(|c| c.stream.is_of(JOBS));
        let mut ids: Vec<_> = of_jobs.map(|c| c.stream.id.to_string()).collect();
        ids.sort_unstable();
        ids
    }
}

const JOBS: domain::Category = domain::Category::new("job");

fn jobs(count: usize) -> Vec<Value> {
    let job = |number| json!({"payload": {"number": number}});
    (0..count).map(job).collect()
}

fn batch(count: usize) -> Value {
    json!({"defaults": {"queue": "mail", "kind": "send"}, "jobs": jobs(count)})
}

fn ids(batch: Uuid, count: u32) -> Vec<String> {
    let mut ids: Vec<_> = (0..count).map(|n| job_id(batch, n).to_string()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_batch_and_all_of_its_jobs_come_in_one_request() {
    let service = Service::new();
    let answer = service.open_batch(None, &batch(100)).await;
    assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
    let receipt = answer.json();
    let id = receipt["id"].as_str().expect("an id");
    assert_eq!(answer.header("location"), format!("/v1/batches/{id}"));
    assert_eq!(
        (&receipt["jobs"], &receipt["version"]),
        (&json!(100), &json!(1))
    );
    assert_eq!(receipt["position"], 101, "that of the last job");
    assert_eq!(answer.header("ledgerline-position"), "101");
    let batch = id.parse().expect("a UUID");
    assert_eq!(service.jobs_in_the_journal().await, ids(batch, 100));
    let commits = service.commits("default").await;
    let opened = commits[0].payload.events[0].data().get();
    assert_eq!(opened, r#"{"jobs":100}"#, "closed from the start");
    let job = commits[1].payload.events[0].data().get();
    let job: Value = serde_json::from_str(job).expect("JSON");
    assert_eq!(job["parent"], json!({"kind": "batch", "id": id}));
    assert_eq!(job["queue"], "mail");
}

#[tokio::test]
async fn nothing_is_written_where_one_job_breaks_a_rule() {
    let service = Service::new();
    let mut body = batch(20);
    body["jobs"][17]["queue"] = json!("no such name");
    body["jobs"][3]["timeout_s"] = json!(0);
    body["on_complete"] = json!({"queue": "reports", "kind": "summary"});
    let answer = service.open_batch(None, &body).await;
    let expected = vec!["/jobs/17/queue".to_owned(), "/jobs/3/timeout_s".to_owned()];
    assert_eq!(answer.pointers(), (422, expected));

    body["defaults"] = json!({"queue": "mail"});
    body["jobs"] = json!([{}, {"kind": "send", "unique": {"key": "x"}}]);
    let answer = service.open_batch(None, &body).await;
    assert_eq!(answer.pointers(), (400, vec!["/jobs/1/unique".to_owned()]));
    body["jobs"] = json!([{}, {"kind": "send"}]);
    let answer = service.open_batch(None, &body).await;
    assert_eq!(answer.pointers(), (422, vec!["/jobs/0/kind".to_owned()]));

    body["jobs"] = json!([]);
    body["on_complete"] = json!({"queue": "reports", "run_after": "2026-11-21T12:00:00Z"});
    let answer = service.open_batch(None, &body).await;
    assert_eq!(
        answer.pointers(),
        (400, vec!["/on_complete/run_after".to_owned()])
    );
    body["on_complete"] = json!({"queue": "reports", "kind": ""});
    let answer = service.open_batch(None, &body).await;
    assert_eq!(
        answer.pointers(),
        (422, vec!["/on_complete/kind".to_owned()])
    );
    assert!(service.commits("default").await.is_empty());
}

#[tokio::test]
async fn ten_thousand_and_one_jobs_are_refused() {
    let service = Service::new();
    let answer = service.open_batch(None, &batch(10_001)).await;
    assert_eq!(answer.pointers(), (422, vec!["/jobs".to_owned()]));
    assert!(service.commits("default").await.is_empty());
    let answer = service.open_batch(None, &batch(10_000)).await;
    assert_eq!(answer.status.as_u16(), 201);
    assert_eq!(service.commits("default").await.len(), 10_001);
}

#[tokio::test]
async fn the_same_request_again_enqueues_nothing_twice() {
    let service = Service::new();
    let first = service.open_batch(Some("may"), &batch(50)).await.json();
    let again = service.open_batch(Some("may"), &batch(50)).await;
    assert_eq!(again.status.as_u16(), 201, "as the first");
    assert_eq!(again.json(), first);
    assert_eq!(service.commits("default").await.len(), 51);
    // Other jobs under the same key.
    let mut other = batch(50);
    other["jobs"][7]["payload"] = json!("else");
    let other = service.open_batch(Some("may"), &other).await;
    assert_eq!(
        (other.status.as_u16(), other.problem().as_str()),
        (422, "key-reused")
    );
    let fewer = service.open_batch(Some("may"), &batch(49)).await;
    assert_eq!(fewer.problem(), "key-reused");
}

#[tokio::test]
async fn a_request_that_broke_off_goes_on_by_its_id() {
    let service = Service::new();
    let batch_of = |count| {
        let mut body = batch(count);
        body["id"] = json!(ID);
        body
    };
    // As one that broke off among its jobs: the batch is there, and one of them.
    let line = json!({"command": "batch.open", "id": ID, "data": {"jobs": 5}});
    let mut request = service.posting("/v1/commands", &line.to_string());
    let kind = "application/x-ndjson".parse().expect("ASCII");
    request.headers_mut().insert("content-type", kind);
    let opened = service.send(request).await.json();
    assert_eq!(opened["status"], 201, "{opened}");
    let answer = service.open_batch(None, &batch_of(5)).await;
    assert_eq!(
        answer.status.as_u16(),
        200,
        "it was open already: {answer:?}"
    );
    let answer = service.open_batch(None, &batch_of(5)).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["jobs"]),
        (200, &json!(5))
    );
    let batch = ID.parse().expect("a UUID");
    assert_eq!(service.jobs_in_the_journal().await, ids(batch, 5));
    let answer = service.open_batch(None, &batch_of(6)).await;
    assert_eq!(answer.problem(), "already-opened");
}

#[tokio::test]
async fn jobs_are_streamed_into_an_open_batch_that_is_closed_then() {
    let service = Service::new();
    let open = json!({"id": ID, "name": "May", "labels": {"month": "may"}});
    assert_eq!(service.open_batch(None, &open).await.json()["jobs"], 0);
    let lines = [
        json!({"queue": "mail", "kind": "send"}),
        json!({"queue": "mail", "kind": "send", "parent": {"kind": "batch", "id": ID}}),
        json!({"queue": "mail", "kind": "send", "unique": {"key": "x"}}),
        json!({"queue": "a b", "kind": "send"}),
        json!({"queue": "mail", "kind": "send"}),
    ];
    let answers = service.stream_jobs(Some("k"), &lines).await;
    let statuses: Vec<_> = answers.iter().map(|a| a["status"].as_u64()).collect();
    assert_eq!(statuses, [201, 422, 422, 422, 201].map(Some));
    let problem = &answers[1]["problem"];
    assert_eq!(problem["errors"][0]["pointer"], "/parent");
    assert_eq!(problem["instance"], format!("/v1/batches/{ID}/jobs"));
    assert_eq!(answers[3]["problem"]["errors"][0]["pointer"], "/queue");
    // The same lines again are the same jobs.
    let again = service.stream_jobs(Some("k"), &lines).await;
    assert_eq!(again[4]["receipt"]["id"], answers[4]["receipt"]["id"]);
    assert_eq!(service.jobs_in_the_journal().await.len(), 2);

    let path = format!("/v1/batches/{ID}/close");
    let closed = service.post(&path, r#"{"jobs":2}"#).await;
    assert_eq!(closed.json()["events"], json!(["closed"]));
    let again = service.post(&path, r#"{"jobs":2}"#).await;
    assert_eq!(again.json()["unchanged"], true);
    let other = service.post(&path, r#"{"jobs":3}"#).await;
    assert_eq!(
        (other.status.as_u16(), other.problem().as_str()),
        (409, "already-closed")
    );
    let too_many = service.post(&path, r#"{"jobs":10001}"#).await;
    assert_eq!(too_many.pointers(), (422, vec!["/jobs".to_owned()]));
    let history = service.get(&format!("/v1/batches/{ID}/history")).await;
    let events = history.json()["items"].as_array().expect("a list").len();
    assert_eq!(events, 2);
}

#[tokio::test]
async fn a_batch_that_was_never_opened_takes_no_jobs_and_is_not_closed() {
    let service = Service::new();
    let path = format!("/v1/batches/{ID}");
    let mut request = service.posting(&format!("{path}/jobs"), "{}");
    let kind = "application/x-ndjson".parse().expect("ASCII");
    request.headers_mut().insert("content-type", kind);
    assert_eq!(service.send(request).await.problem(), "not-found");
    let close = service
        .post(&format!("{path}/close"), r#"{"jobs":1}"#)
        .await;
    assert_eq!(close.status.as_u16(), 404);
    assert_eq!(service.get(&format!("{path}/history")).await.status, 404);
    let bad = service.post("/v1/batches/nonsense/cancel", "{}").await;
    assert_eq!(bad.pointers(), (400, vec!["id".to_owned()]));
}

#[tokio::test]
async fn a_viewer_opens_nothing() {
    let service = Service::new();
    let answer = service
        .post_as(Role::Viewer, "/v1/batches", &batch(1).to_string())
        .await;
    assert_eq!(answer.status.as_u16(), 403);
}
