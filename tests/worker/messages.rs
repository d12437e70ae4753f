//! The worker protocol over NATS by hand, and what its users may not.

use async_nats::{Client, Event, HeaderMap, Message};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::enqueue;
use crate::support::{Api, TestResult, Up, fresh_tenant, nats, until, within};

/// A user of the worker protocol.
struct ByHand {
    client: Client,
    token: String,
    refusals: mpsc::UnboundedReceiver<String>,
}

impl ByHand {
    /// As the user of `url`, which hears answers below `inboxes`.
    async fn connect(url: &str, inboxes: &str, token: &str) -> TestResult<Self> {
        let (refused, refusals) = mpsc::unbounded_channel();
        let (options, address) = nats::options(url)?;
        let options = options.custom_inbox_prefix(inboxes);
        let options = options.event_callback(move |event| {
            let refused = refused.clone();
            async move {
                if let Event::ServerError(error) = event {
                    refused.send(error.to_string()).ok();
                }
            }
        });
        Ok(Self {
            client: options.connect(address).await?,
            token: token.to_owned(),
            refusals,
        })
    }

    async fn worker(up: &Up, token: &str) -> TestResult<Self> {
        Self::connect(&up.endpoints.nats_worker, "_INBOX_worker", token).await
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("Authorization", format!("Bearer {}", self.token));
        headers
    }

    /// Asks until a dispatcher is in office.
    async fn ask(&self, subject: &str, body: &Value) -> TestResult<(String, Value, Message)> {
        until("a dispatcher is in office", async || {
            let (status, body, answer) = self.ask_once(subject, body).await?;
            Ok((status != "503").then_some((status, body, answer)))
        })
        .await
    }

    async fn ask_once(&self, subject: &str, body: &Value) -> TestResult<(String, Value, Message)> {
        let subject = format!("worker.v1.{subject}");
        let body = body.to_string().into();
        let asked = self
            .client
            .request_with_headers(subject, self.headers(), body);
        let answer = within("an answer", asked).await??;
        let headers = answer.headers.clone().unwrap_or_default();
        let status = headers.get("Ledgerline-Status").map(ToString::to_string);
        let body = serde_json::from_slice(&answer.payload)?;
        Ok((status.unwrap_or_default(), body, answer))
    }

    /// Fails unless the server says that this user may not.
    async fn is_refused(&mut self, what: &str) -> TestResult {
        let refusal = within(what, self.refusals.recv())
            .await?
            .unwrap_or_default();
        anyhow::ensure!(
            refusal.to_lowercase().contains("permissions violation"),
            "{what}: {refusal}"
        );
        Ok(())
    }
}

fn claim(lease_s: u32) -> Value {
    json!({"queues": ["mail"], "worker": "by-hand", "lease_s": lease_s, "wait_ms": 8_000, "jobs_max": 5})
}

/// A job is there for whoever claims, as the attempt with this number.
async fn is_attempt(api: &Api, attempt: u64) -> TestResult {
    let claimed = api.claim(&claim(30)).await?;
    assert_eq!(claimed["jobs"][0]["attempt"], attempt, "{claimed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_claims_is_heard_of_and_completes_once() -> TestResult {
    let up = Up::shared();
    let tenant = fresh_tenant();
    let by_hand = ByHand::worker(up, &up.token("hand", &tenant, "member")?).await?;
    let job = json!({"queue": "mail", "kind": "send", "payload": [1, 2]});
    let (status, receipt, _) = by_hand.ask("enqueue", &job).await?;
    assert_eq!(status, "201", "{receipt}");
    let (status, claimed, _) = by_hand.ask("claim", &claim(30)).await?;
    let job = &claimed["jobs"][0];
    assert_eq!(
        (status.as_str(), &job["payload"]),
        ("200", &json!([1, 2])),
        "{claimed}"
    );
    let id = job["id"].as_str().unwrap_or_default();
    let beat = json!({"attempt": 1, "percent": 10});
    let (status, beat, _) = by_hand.ask(&format!("jobs.{id}.heartbeat"), &beat).await?;
    assert_eq!(status, "200", "{beat}");
    let complete = format!("jobs.{id}.complete");
    let (status, receipt, _) = by_hand.ask(&complete, &json!({"attempt": 1})).await?;
    assert_eq!(status, "200", "{receipt}");
    let (status, problem, _) = by_hand.ask(&complete, &json!({"attempt": 1})).await?;
    assert_eq!(status, "409", "{problem}");
    assert_eq!(problem["type"], "https://ledgerline.dev/problems/ended");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_token_is_answered_with_a_problem_and_a_bad_body_too() -> TestResult {
    let up = Up::shared();
    let nobody = ByHand::worker(up, "nobody").await?;
    let (status, problem, answer) = nobody.ask("claim", &claim(30)).await?;
    assert_eq!((status.as_str(), &problem["status"]), ("401", &json!(401)));
    let headers = answer.headers.unwrap_or_default();
    let content_type = headers.get("Content-Type").map(ToString::to_string);
    assert_eq!(content_type.as_deref(), Some("application/problem+json"));
    let somebody = ByHand::worker(up, &up.token("hand", &fresh_tenant(), "member")?).await?;
    let (status, problem, _) = somebody.ask("claim", &json!({"queues": []})).await?;
    assert_eq!(status, "400", "{problem}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_neither_hear_requests_nor_answer_them_nor_hear_the_answers_of_others() -> TestResult
{
    let up = Up::shared();
    let mut worker = ByHand::worker(up, "").await?;
    let url = &up.endpoints.nats_subscriber;
    let mut subscriber = ByHand::connect(url, "_INBOX", "").await?;
    for (user, theirs) in [
        (&mut worker, "_INBOX.>"),
        (&mut subscriber, "_INBOX_worker.>"),
    ] {
        for subject in ["worker.v1.>", "worker.v1.claim", theirs] {
            let _heard = user.client.subscribe(subject).await?;
            user.client.flush().await?;
            user.is_refused(subject).await?;
        }
        for subject in [
            "_INBOX_worker.x.1",
            "_INBOX.x.1",
            "feed.default.job.completed.1",
            "$JS.API.STREAM.DELETE.FEED",
        ] {
            user.client.publish(subject, "{}".into()).await?;
            user.client.flush().await?;
            user.is_refused(subject).await?;
        }
    }
    subscriber
        .client
        .publish("worker.v1.claim", "{}".into())
        .await?;
    subscriber.client.flush().await?;
    subscriber.is_refused("a subscriber's request").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_goes_to_inboxes_and_nowhere_else() -> TestResult {
    let up = Up::shared();
    let tenant = fresh_tenant();
    let by_hand = ByHand::worker(up, &up.token("hand", &tenant, "member")?).await?;
    let listener = nats::connect(&up.endpoints.nats_feed).await?;
    let mut heard = listener.subscribe("feed.>").await?;
    listener.flush().await?;
    let target = format!("feed.{tenant}.job.completed.1");
    let claim = json!({"queues": ["mail"], "worker": "w"}).to_string();
    let client = &by_hand.client;
    let asked = client.publish_with_reply_and_headers(
        "worker.v1.claim",
        target.clone(),
        by_hand.headers(),
        claim.into(),
    );
    asked.await?;
    // What was sent before has been seen when what was sent behind it is answered.
    let job = json!({"queue": "mail", "kind": "send"});
    let (status, receipt, _) = by_hand.ask("enqueue", &job).await?;
    assert_eq!(status, "201", "{receipt}");
    let id = receipt["id"].as_str().unwrap_or_default().to_owned();
    loop {
        let event = within("the feed", heard.next()).await?;
        let subject = event
            .map(|event| event.subject.to_string())
            .unwrap_or_default();
        assert_ne!(subject, target);
        if subject.ends_with(&id) {
            return Ok(());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_a_worker_that_has_gone_away_go_to_the_next() -> TestResult {
    let up = Up::shared();
    let tenant = fresh_tenant();
    let api = up.api(&tenant, "member")?;
    let by_hand = ByHand::worker(up, &up.token("hand", &tenant, "member")?).await?;
    // Nothing is there yet; what counts is that a dispatcher is.
    api.claim(&json!({"queues": ["mail"], "worker": "w"}))
        .await?;
    let (client, inbox) = (&by_hand.client, by_hand.client.new_inbox());
    let mut gone = client.subscribe(inbox.clone()).await?;
    let claim = claim(3_600).to_string();
    let headers = by_hand.headers();
    client
        .publish_with_reply_and_headers("worker.v1.claim", inbox, headers, claim.into())
        .await?;
    client.flush().await?;
    gone.unsubscribe().await?;
    client.flush().await?;
    enqueue(&api, "send", &json!({})).await?;
    is_attempt(&api, 2).await
}
