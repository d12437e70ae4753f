//! The gateway over the whole router, with a dispatcher over the journal in memory.

use serde_json::{Value, json};

use super::*;
use crate::auth::Role;
use crate::testing::Service;

/// A message as a worker sends it.
fn message(service: &Service, subject: &str, body: &Value) -> Message {
    let token = format!("Bearer {}", service.token("default", &Role::ALL));
    Message {
        subject: subject.to_owned(),
        headers: vec![("Authorization".to_owned(), token)],
        body: body.to_string().into(),
    }
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("an answer is JSON")
}

fn gateway(service: &Service) -> Gateway {
    Gateway::new(service.router.clone(), 1024 * 1024)
}

fn claim(jobs_max: u32) -> Value {
    json!({"queues": ["mail"], "worker": "w1", "jobs_max": jobs_max, "wait_ms": 60_000})
}

#[tokio::test]
async fn a_worker_does_a_job_by_messages_alone() {
    let service = Service::new();
    let gateway = gateway(&service);
    let job = json!({"queue": "mail", "kind": "send", "payload": {"to": "ann"}});
    let enqueue = message(&service, "worker.v1.enqueue", &job);
    assert_eq!(gateway.answer(&enqueue).await.status, StatusCode::CREATED);
    let asked = message(&service, "worker.v1.claim", &claim(1));
    let claimed = json_of(&gateway.answer(&asked).await)["jobs"][0].clone();
    assert_eq!(claimed["payload"]["to"], "ann");
    let subject = |verb: &str| {
        let id = claimed["id"].as_str().unwrap_or_default();
        format!("worker.v1.jobs.{id}.{verb}")
    };
    let beat = json!({"attempt": 1, "percent": 50});
    let beat = message(&service, &subject("heartbeat"), &beat);
    let beat = gateway.answer(&beat).await;
    assert_eq!(beat.status, StatusCode::OK, "{beat:?}");
    let mut complete = message(&service, &subject("complete"), &json!({"attempt": 1}));
    let key = ("idempotency-key".to_owned(), "k".to_owned());
    complete.headers.push(key);
    let receipt = gateway.answer(&complete).await;
    assert_eq!(json_of(&receipt)["events"], json!(["completed"]));
    assert_eq!(json_of(&gateway.answer(&complete).await), json_of(&receipt));
    complete.headers.pop();
    let doubled = gateway.answer(&complete).await;
    assert_eq!(doubled.status, StatusCode::CONFLICT, "{doubled:?}");
}

#[tokio::test]
async fn whoever_has_no_token_is_told_so_as_by_http() {
    let service = Service::new();
    let mut message = message(&service, "worker.v1.claim", &claim(1));
    message.headers.clear();
    let answer = gateway(&service).answer(&message).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let (content_type, problem) = (&answer.headers[0], json_of(&answer));
    assert_eq!(content_type.1, "application/problem+json");
    assert_eq!(problem["instance"], "/v1/jobs/claim");
}

#[tokio::test]
async fn a_claim_gives_as_many_jobs_as_a_message_holds() {
    let service = Service::new();
    let payload = "x".repeat(100_000);
    let job = json!({"queue": "mail", "kind": "send", "payload": payload}).to_string();
    for _ in 0..4 {
        service.post("/v1/jobs", &job).await;
    }
    let gateway = Gateway::new(service.router.clone(), 250_000);
    let asked = message(&service, "worker.v1.claim", &claim(4));
    let answer = gateway.answer(&asked).await;
    assert_eq!(json_of(&answer)["jobs"].as_array().map(Vec::len), Some(2));
    assert!(answer.body.len() < 250_000);
}

#[tokio::test]
async fn jobs_whose_answer_does_not_arrive_or_does_not_fit_are_given_back() {
    let service = Service::new();
    let job = json!({"queue": "mail", "kind": "send", "payload": "x".repeat(10_000)});
    service.post("/v1/jobs", &job.to_string()).await;
    let asked = message(&service, "worker.v1.claim", &claim(1));
    let too_small = Gateway::new(service.router.clone(), 8_000);
    let refused = too_small.answer(&asked).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    let gateway = gateway(&service);
    let unheard = gateway.answer(&asked).await;
    assert_eq!(json_of(&unheard)["jobs"][0]["attempt"], 2);
    assert!(Gateway::must_arrive(&asked, &unheard));
    gateway.give_back(&asked, &unheard.body).await;
    let again = gateway.answer(&asked).await;
    assert_eq!(json_of(&again)["jobs"][0]["attempt"], 3);
}

#[tokio::test]
async fn a_subject_that_stands_for_nothing_is_not_found() {
    let service = Service::new();
    let gateway = gateway(&service);
    for subject in ["worker.v1.other", "worker.v1.jobs.x.cancel"] {
        let answer = gateway
            .answer(&message(&service, subject, &json!({})))
            .await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{subject}");
    }
}
