//! What is watched: one job, a batch, a queue, over a socket and over server-sent events.

use anyhow::Context as _;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::jobs::{act, claim_one, enqueue};
use crate::support::http::Answer;
use crate::support::serve::Serve;
use crate::support::socket::Socket;
use crate::support::sse::Events;
use crate::support::{Api, TestResult, Up, fresh_id, fresh_tenant, until};

/// A socket that the server opens.
async fn open(api: &Api, path: &str) -> TestResult<Socket> {
    let socket = api.socket(path).await?;
    socket.map_err(|status| anyhow::anyhow!("`{path}` was answered with {status}"))
}

/// The name within `ledgerline.job.<name>.v<n>`.
fn name(event: &Value) -> &str {
    let kind = event["type"].as_str().unwrap_or_default();
    kind.split('.').nth(2).unwrap_or_default()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(name).collect()
}

fn ids(events: &[Value]) -> Vec<&str> {
    let ids = events.iter().filter_map(|event| event["id"].as_str());
    ids.collect()
}

/// A job that has been done, and its path.
async fn done(api: &Api) -> TestResult<String> {
    let id = enqueue(api, &json!({"queue": "mail", "kind": "send"})).await?;
    claim_one(api, "mail").await?;
    let beat = json!({"attempt": 1, "percent": 40, "message": "half"});
    let beat = api.post(&format!("/v1/jobs/{id}/heartbeat"), &beat).await?;
    beat.is(200);
    act(api, &id, "complete", &json!({"attempt": 1})).await?;
    Ok(format!("/v1/jobs/{id}"))
}

#[tokio::test]
async fn a_job_is_watched_from_what_it_is_rest() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let job = json!({"queue": "mail", "kind": "send", "payload": {"to": "ann"}});
    let id = enqueue(&api, &job).await?;
    let path = format!("/v1/jobs/{id}/watch");
    // The receipt is all that there is to wait for.
    let mut socket = open(&api, &path).await?;
    let mut events = Events::at(&api, &path, None).await?;
    let first = socket.event().await?;
    assert_eq!(first["type"], "ledgerline.job.snapshot.v1");
    assert_eq!(
        (&first["subject"], &first["data"]["status"]),
        (&json!(id), &json!("waiting"))
    );
    assert_eq!(first["data"]["payload"], job["payload"]);
    claim_one(&api, "mail").await?;
    assert_eq!(socket.event().await?["data"]["worker"], "w1");
    let beat = json!({"attempt": 1, "percent": 40, "message": "half"});
    let beat = api.post(&format!("/v1/jobs/{id}/heartbeat"), &beat).await?;
    beat.is(200);
    assert_eq!(socket.event().await?["data"]["percent"], 40);
    let done = json!({"attempt": 1, "result": {"sent": true}});
    act(&api, &id, "complete", &done).await?;
    let (rest, close) = socket.rest().await?;
    assert_eq!(rest[0]["data"], done);
    assert_eq!((names(&rest), close.0), (vec!["completed"], 1000));
    // The same over server-sent events, which end and then say that there is nothing more.
    let told = events.take(4).await?;
    let last = told.last().context("there are four")?;
    assert_eq!((&last.data, &last.data["id"]), (&rest[0], &json!(last.id)));
    let again = api.call(Method::GET, &path);
    let again = Answer::read(again.header("Last-Event-ID", &last.id).send().await?);
    assert_eq!(again.await?.is(204).body.len(), 0);
    // Who comes late is told how it ended, and hung up on.
    let (late, close) = open(&api, &path).await?.rest().await?;
    assert_eq!(
        (names(&late), close),
        (vec!["snapshot"], (1000, "it has ended".to_owned()))
    );
    assert_eq!(late[0]["data"]["result"], done["result"]);
    Ok(())
}

#[tokio::test]
async fn who_comes_back_misses_nothing_and_meets_nothing_twice() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let path = done(&api).await?;
    let mut all = open(&api, &format!("{path}/watch?after=0")).await?;
    let (all, _) = all.rest().await?;
    assert_eq!(
        names(&all),
        ["enqueued", "started", "progressed", "completed"]
    );
    for (seen, last) in ids(&all).into_iter().enumerate() {
        let commit = last.split('.').next().unwrap_or_default();
        for after in [last, commit] {
            let mut rest = open(&api, &format!("{path}/watch?after={after}")).await?;
            let (rest, close) = rest.rest().await?;
            assert_eq!((&*rest, close.0), (&all[seen + 1..], 1000), "after {after}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_dead_job_is_at_its_end_until_it_is_put_back() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let job = json!({"queue": "mail", "kind": "send", "attempts_max": 1});
    let id = enqueue(&api, &job).await?;
    claim_one(&api, "mail").await?;
    let failed = json!({"attempt": 1, "error": "no paper"});
    let failed = act(&api, &id, "fail", &failed).await?;
    let path = format!("/v1/jobs/{id}/watch");
    // `failed` and `dead_lettered` are one commit: who has the first is told the second.
    let (rest, _) = open(&api, &format!("{path}?after={failed}.0"))
        .await?
        .rest()
        .await?;
    assert_eq!(names(&rest), ["dead_lettered"]);
    let (nothing, close) = open(&api, &format!("{path}?after={failed}.1"))
        .await?
        .rest()
        .await?;
    assert_eq!((nothing.len(), close.0), (0, 1000));
    let requeued = act(&api, &id, "requeue", &json!({})).await?;
    let path = format!("{path}?after=0&min_position={requeued}");
    let mut socket = open(&api, &path).await?;
    act(&api, &id, "cancel", &json!({})).await?;
    let (all, _) = socket.rest().await?;
    let expected = [
        "enqueued",
        "started",
        "failed",
        "dead_lettered",
        "requeued",
        "cancelled",
    ];
    assert_eq!(names(&all), expected, "the death was not the end");
    Ok(())
}

/// The events of all that belongs together, as a watcher meets them who comes back again and again.
async fn piece_by_piece(api: &Api, path: &str, first: &str, all: &[&str]) -> TestResult {
    let mut last = first.to_owned();
    for expected in all {
        let mut socket = open(api, &format!("{path}?after={last}")).await?;
        let event = socket.event().await?;
        last = event["id"].as_str().unwrap_or_default().to_owned();
        assert_eq!(&last, expected);
    }
    Ok(())
}

#[tokio::test]
async fn a_batch_is_watched_by_the_events_of_its_jobs_and_no_others() -> TestResult {
    let tenant = fresh_tenant();
    let api = Up::shared().api(&tenant, "member")?;
    let of = |batch: &str| {
        json!({"queue": "mail", "kind": "send", "attempts_max": 1,
            "parent": {"kind": "batch", "id": batch}})
    };
    let one = enqueue(&api, &of("b1")).await?;
    enqueue(&api, &of("b2")).await?;
    let two = api.post("/v1/jobs", &of("b1")).await?.is(201).receipt()?;
    let path = "/v1/batches/b1/watch";
    let from = format!("{path}?min_position={}", two.position);
    let mut socket = open(&api, &from).await?;
    let first = socket.event().await?;
    assert_eq!(first["type"], "ledgerline.batch.snapshot.v1");
    let none = json!({"waiting": 2, "running": 0, "completed": 0, "dead": 0, "cancelled": 0});
    assert_eq!(first["data"]["jobs"], none);
    // One that was there before, two of the other batch, one that comes now.
    act(&api, &one, "cancel", &json!({})).await?;
    let other = enqueue(&api, &of("b2")).await?;
    let three = enqueue(&api, &of("b1")).await?;
    act(&api, &other, "cancel", &json!({})).await?;
    act(&api, &three, "cancel", &json!({})).await?;
    act(&api, &two.id, "cancel", &json!({})).await?;
    let mut met = Vec::new();
    for _ in 0..4 {
        met.push(socket.event().await?);
    }
    let of_jobs: Vec<_> = met
        .iter()
        .map(|event| (name(event), &event["subject"]))
        .collect();
    let expected = [
        ("cancelled", &one),
        ("enqueued", &three),
        ("cancelled", &three),
        ("cancelled", &two.id),
    ];
    let expected = expected.map(|(name, id)| (name, json!(id)));
    assert!(
        of_jobs
            .iter()
            .map(|(name, id)| (*name, (*id).clone()))
            .eq(expected),
        "{of_jobs:?}"
    );
    // They have all ended, and still nothing is missed by who comes back.
    piece_by_piece(
        &api,
        path,
        first["id"].as_str().unwrap_or_default(),
        &ids(&met),
    )
    .await?;
    let (batch, job) = (format!("{path}?min_position={}", two.position), one);
    let stranger = Up::shared().api(&fresh_tenant(), "viewer")?;
    for path in [batch, format!("/v1/jobs/{job}/watch")] {
        assert_eq!(stranger.socket(&path).await?.err(), Some(404), "{path}");
        stranger.get(&path).await?.refused(404, "not-found");
    }
    let unknown = format!("/v1/jobs/{}/watch", fresh_id());
    assert_eq!(api.socket(&unknown).await?.err(), Some(404));
    Ok(())
}

#[tokio::test]
async fn a_queue_is_watched_with_what_is_said_of_it() -> TestResult {
    let tenant = fresh_tenant();
    let api = Up::shared().api(&tenant, "operator")?;
    let of = |queue: &str| json!({"queue": queue, "kind": "send"});
    enqueue(&api, &of("post")).await?;
    let before = api.post("/v1/jobs", &of("mail")).await?.is(201).receipt()?;
    let path = "/v1/queues/mail/watch";
    let from = format!("{path}?min_position={}", before.position);
    let mut events = Events::at(&api, &from, None).await?;
    let first = events.next().await?;
    assert_eq!(first.event, "ledgerline.queue.snapshot.v1");
    let jobs = json!({"waiting": 1, "running": 0, "dead": 0});
    assert_eq!(first.data["data"]["jobs"], jobs);
    claim_one(&api, "mail").await?;
    api.post("/v1/queues/post/pause", &json!({})).await?.is(200);
    api.post("/v1/queues/mail/pause", &json!({})).await?.is(200);
    enqueue(&api, &of("post")).await?;
    act(&api, &before.id, "complete", &json!({"attempt": 1})).await?;
    enqueue(&api, &of("mail")).await?;
    let met = events.take(4).await?;
    let names: Vec<_> = met.iter().map(|event| name(&event.data)).collect();
    assert_eq!(names, ["started", "paused", "completed", "enqueued"]);
    let all: Vec<_> = met.iter().map(|event| event.id.as_str()).collect();
    piece_by_piece(&api, path, &first.id, &all).await?;
    let stranger = Up::shared().api(&fresh_tenant(), "viewer")?;
    let mut theirs = open(&stranger, path).await?;
    let jobs = &theirs.event().await?["data"]["jobs"];
    assert_eq!(
        jobs["waiting"], 0,
        "another tenant's queue of the same name is another queue"
    );
    Ok(())
}

#[tokio::test]
async fn a_ticket_opens_one_stream_once_and_stands_in_no_log() -> TestResult {
    let up = Up::shared();
    let tenant = fresh_tenant();
    let (api, base) = (up.api(&tenant, "viewer")?, &up.endpoints.http);
    let path = "/v1/queues/mail/watch";
    let given = api
        .post("/v1/tickets", &json!({"path": path}))
        .await?
        .is(201);
    let given = given.json()?;
    let ticket = given["ticket"].as_str().context("a ticket")?;
    assert!(given["expires_at"].is_string());
    let with = format!("{path}?ticket={ticket}&after=0");
    let mut socket = Socket::open(base, &with, &[])
        .await?
        .map_err(anyhow::Error::msg)?;
    assert_eq!(Socket::open(base, &with, &[]).await?.err(), Some(401));
    let member = up.api(&tenant, "member")?;
    let job = json!({"queue": "mail", "kind": "send"});
    enqueue(&member, &job).await?;
    assert_eq!(name(&socket.event().await?), "enqueued");
    let token = up.token("tester", &tenant, "viewer")?;
    for parameter in ["token", "access_token", "ticket"] {
        let with = format!("{path}?{parameter}={token}");
        assert_eq!(
            Socket::open(base, &with, &[]).await?.err(),
            Some(401),
            "{parameter}"
        );
        Answer::read(api.bare(Method::GET, &with).send().await?)
            .await?
            .refused(401, "unauthenticated");
    }
    let log = up.log()?;
    assert!(
        log.contains("/v1/queues/{name}/watch"),
        "the requests are in the log"
    );
    assert!(!log.contains(ticket) && !log.contains("ticket="));
    Ok(())
}

#[tokio::test]
async fn a_ticket_that_one_process_gave_is_taken_by_another_and_then_by_none() -> TestResult {
    let up = Up::shared();
    let other = Serve::beside(up, "tickets", "api")?;
    let api = up.api(&fresh_tenant(), "viewer")?;
    let path = "/v1/queues/mail/watch";
    let given = api.post("/v1/tickets", &json!({"path": path})).await?;
    let given = given.is(201).json()?;
    let with = format!(
        "{path}?ticket={}",
        given["ticket"].as_str().context("a ticket")?
    );
    Socket::open(&other.base, &with, &[])
        .await?
        .map_err(anyhow::Error::msg)?;
    for base in [&up.endpoints.http, &other.base] {
        assert_eq!(Socket::open(base, &with, &[]).await?.err(), Some(401));
    }
    Ok(())
}

#[tokio::test]
async fn a_caller_has_a_hundred_unused_tickets_and_room_again_when_they_have_expired() -> TestResult
{
    let up = Up::shared();
    let tenant = fresh_tenant();
    let api = up.api(&tenant, "viewer")?;
    let ask = async |api: &Api| api.post("/v1/tickets", &json!({})).await;
    for _ in 0..100 {
        ask(&api).await?.is(201);
    }
    ask(&api).await?.refused(429, "too-many");
    ask(&up.api_as("another", &tenant, "viewer")?)
        .await?
        .is(201);
    let database = sqlx::PgPool::connect(&up.endpoints.postgres).await?;
    let of_caller = "tenant = $1 and principal = 'tester'";
    let expire = format!("update ticket set expires_at_us = 0 where {of_caller}");
    sqlx::query(sqlx::AssertSqlSafe(expire))
        .bind(&tenant)
        .execute(&database)
        .await?;
    ask(&api).await?.is(201);
    let count = format!("select count(*) from ticket where {of_caller}");
    let count = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(count)).bind(&tenant);
    assert_eq!(
        count.fetch_one(&database).await?,
        1,
        "those that have expired are forgotten"
    );
    Ok(())
}

#[tokio::test]
async fn a_page_of_another_origin_opens_nothing() -> TestResult {
    let up = Up::shared();
    let (tenant, base) = (fresh_tenant(), &up.endpoints.http);
    let bearer = format!("Bearer {}", up.token("tester", &tenant, "viewer")?);
    let path = "/v1/queues/mail/watch";
    for (origin, opened) in [
        (base.as_str(), true),
        ("https://evil.test", false),
        ("null", false),
    ] {
        let headers = [("authorization", bearer.as_str()), ("origin", origin)];
        let answer = Socket::open(base, path, &headers).await?;
        assert_eq!(answer.err(), (!opened).then_some(403), "{origin}");
    }
    Ok(())
}

#[tokio::test]
async fn who_says_something_is_hung_up_on() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "viewer")?;
    for text in ["hello", &"x".repeat(100_000)] {
        let mut socket = open(&api, "/v1/queues/mail/watch").await?;
        socket.event().await?;
        socket.say(text).await?;
        let (_, close) = socket.rest().await?;
        assert_eq!(close.0, 1008, "{close:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_stops_says_so_on_every_socket() -> TestResult {
    let up = Up::start("watch")?;
    let api = up.api("default", "viewer")?;
    until("the read side is there", async || {
        let socket = api.socket("/v1/queues/mail/watch").await?;
        Ok(socket.is_ok().then_some(()))
    })
    .await?;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let mut socket = open(&api, "/v1/queues/mail/watch").await?;
        socket.event().await?;
        sockets.push(socket);
    }
    up.signal(Signal::TERM)?;
    for mut socket in sockets {
        let (_, close) = socket.rest().await?;
        assert_eq!(close, (1001, "server is stopping".to_owned()));
    }
    assert_eq!(up.end(Signal::TERM)?, Some(0));
    Ok(())
}
