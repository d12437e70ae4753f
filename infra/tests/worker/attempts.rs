//! Attempts: done, failed, kept alive, and stopped when they no longer count. In the runtime's time, which
//! stands still until somebody waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use commands::dispatch::{Beat, Claim, Depth, Dispatch, DispatchError, HandedOut};
use commands::memory::Fault;
use domain::job::{Command, Death, Event, Retry, Spec};
use domain::{Json, Tenant, Timestamp, Token};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use infra::worker::kind::{Context, Failed, Kind};
use infra::worker::{InvalidSettings, Kinds, Parts, Settings, Worker};
use tokio::time::Instant;

use crate::rig::{House, name, settings, spec};

const HOUR_MS: &str = r#"{"ms":3600000}"#;

/// Counts how many run at once, and breaks when it is told to.
#[derive(Debug, Default)]
struct Probe {
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Kind for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn run<'a>(
        &'a self,
        _context: &'a Context,
        payload: Option<&'a Json>,
    ) -> BoxFuture<'a, Result<Option<Json>, Failed>> {
        async move {
            assert_ne!(payload.map(Json::get), Some(r#""break""#), "told to break");
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            Ok(payload.cloned())
        }
        .boxed()
    }
}

/// A dispatcher that hears no heartbeat, as one that is somewhere else by now.
struct Deaf(Arc<dyn Dispatch>);

impl Dispatch for Deaf {
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<HandedOut>, DispatchError>> {
        self.0.claim(claim)
    }

    fn beat(&self, _beat: Beat) -> BoxFuture<'_, Result<Option<Timestamp>, DispatchError>> {
        std::future::ready(Err(DispatchError::NotInOffice)).boxed()
    }

    fn depths<'a>(
        &'a self,
        tenant: &'a Tenant,
    ) -> BoxFuture<'a, Result<Vec<(Token, Depth)>, DispatchError>> {
        self.0.depths(tenant)
    }
}

fn with(kind: Arc<dyn Kind>) -> Settings {
    let kinds = Kinds {
        more: vec![kind],
        ..settings().kinds
    };
    Settings {
        kinds,
        ..settings()
    }
}

fn one_at_a_time() -> Settings {
    Settings {
        concurrency: 1,
        ..settings()
    }
}

#[tokio::test(start_paused = true)]
async fn noop_is_done_at_once_and_sleep_after_its_time() {
    let house = House::in_still_time();
    let _worker = house.run(settings());
    let begun = Instant::now();
    assert!(
        house
            .result_of("noop", r#"{"any":"thing"}"#)
            .await
            .is_null()
    );
    assert!(begun.elapsed() < Duration::from_secs(1));
    let begun = Instant::now();
    assert!(house.result_of("sleep", r#"{"ms":60000}"#).await.is_null());
    let took = begun.elapsed();
    assert!((60..62).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sleep_over_its_limit_or_without_a_length_is_not_tried_again() {
    let house = House::in_still_time();
    let _worker = house.run(settings());
    for payload in [
        r#"{"ms":3600001}"#,
        r#"{"ms":-1}"#,
        "{}",
        r#"{"ms":1,"s":1}"#,
    ] {
        let (error, retryable) = house.failure_of("sleep", payload).await;
        assert!(!retryable, "{payload}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_longer_than_its_lease_is_kept_by_heartbeats() {
    let house = House::in_still_time();
    let _worker = house.run(settings());
    let id = house.enqueue("sleep", HOUR_MS).await;
    house.until(id, "completed").await;
    assert_eq!(
        house.history(id).await,
        ["enqueued", "started", "completed"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_cancelled_while_it_sleeps_is_stopped() {
    let house = House::in_still_time();
    let _worker = house.run(one_at_a_time());
    let id = house.enqueue("sleep", HOUR_MS).await;
    house.until(id, "started").await;
    let cancelled = Instant::now();
    let cancel = Command::Cancel { reason: None };
    house.say(id, cancel).await.expect("cancelled");
    // There is one place only: the next job shows that it is free.
    let next = house.enqueue("noop", "null").await;
    house.until(next, "completed").await;
    assert!(cancelled.elapsed() <= Duration::from_secs(4));
    assert_eq!(
        house.history(id).await,
        ["enqueued", "started", "cancelled"]
    );
}

#[tokio::test(start_paused = true)]
async fn work_that_nobody_hears_of_is_stopped_at_the_end_of_its_lease() {
    let mut house = House::in_still_time();
    house.parts = Parts {
        dispatch: Arc::new(Deaf(Arc::clone(&house.parts.dispatch))),
        ..house.parts.clone()
    };
    let _worker = house.run(one_at_a_time());
    let id = house.enqueue("sleep", HOUR_MS).await;
    house.until(id, "started").await;
    let started = Instant::now();
    // There is one place only: the next job, which comes first, shows that it is free.
    let next = house
        .enqueue_as(Spec {
            priority: domain::job::Priority::Critical,
            ..spec("noop", "null")
        })
        .await;
    house.until(next, "completed").await;
    let took = started.elapsed();
    assert!((8..10).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_runs_out_of_its_time_is_stopped_and_ended_by_the_dispatcher() {
    let house = House::in_still_time();
    let _worker = house.run(one_at_a_time());
    let id = house
        .enqueue_as(Spec {
            timeout_s: Some(20.try_into().expect("a time")),
            retry: Retry {
                attempts_max: 1.try_into().expect("a number"),
                ..Retry::default()
            },
            ..spec("sleep", HOUR_MS)
        })
        .await;
    let begun = Instant::now();
    let next = house.enqueue("noop", "null").await;
    house.until(next, "completed").await;
    assert!(begun.elapsed() < Duration::from_secs(21));
    assert_eq!(
        house.until(id, "dead_lettered").await,
        Event::DeadLettered {
            cause: Death::AttemptsUsedUp,
            parent: None
        }
    );
    assert_eq!(
        house.history(id).await,
        ["enqueued", "started", "timed_out", "dead_lettered"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_on_fails_and_may_be_tried_elsewhere() {
    let house = House::in_still_time();
    let _worker = house.run(settings());
    for kind in ["http", "command", "mine"] {
        let (error, retryable) = house.failure_of(kind, "{}").await;
        assert_eq!(error, format!("kind `{kind}` is not on in worker `w1`"));
        assert!(retryable);
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_breaks_fails_and_the_others_go_on() {
    let house = House::in_still_time();
    let _worker = house.run(with(Arc::new(Probe::default())));
    let (error, retryable) = house.failure_of("probe", r#""break""#).await;
    assert_eq!(
        (error.as_str(), retryable),
        ("the worker broke at it", true)
    );
    assert_eq!(house.result_of("probe", "42").await, 42);
}

#[tokio::test(start_paused = true)]
async fn no_more_jobs_run_at_once_than_there_is_room_for() {
    let house = House::in_still_time();
    let probe = Arc::new(Probe::default());
    let mut jobs = Vec::new();
    for _ in 0..50 {
        jobs.push(house.enqueue("probe", "1").await);
    }
    let begun = Instant::now();
    let _worker = house.run(Settings {
        concurrency: 10,
        ..with(probe.clone())
    });
    for id in jobs {
        house.until(id, "completed").await;
    }
    assert_eq!(probe.most.load(Ordering::SeqCst), 10);
    let took = begun.elapsed();
    assert!((5..7).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_result_is_told_although_the_journal_was_away_or_lost_its_answer() {
    for fault in [Fault::Unavailable, Fault::LostRequest, Fault::LostAnswer] {
        let house = House::in_still_time();
        let _worker = house.run(settings());
        let id = house.enqueue("sleep", r#"{"ms":1000}"#).await;
        house.until(id, "started").await;
        for _ in 0..3 {
            house.journal.fail_next(fault);
        }
        house.until(id, "completed").await;
        let history = house.history(id).await;
        assert_eq!(history, ["enqueued", "started", "completed"], "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn settings_out_of_their_limits_are_refused() {
    let house = House::in_still_time();
    let refused = |settings| {
        let worker = Worker::new(settings, house.parts.clone());
        worker.err().expect("refused")
    };
    let no_queue = Settings {
        queues: vec![],
        ..settings()
    };
    assert!(matches!(refused(no_queue), InvalidSettings::Queues(0)));
    let no_room = Settings {
        concurrency: 0,
        ..settings()
    };
    assert!(matches!(refused(no_room), InvalidSettings::Concurrency(0)));
    let no_lease = Settings {
        lease: Duration::from_millis(999),
        worker: name("w2"),
        ..settings()
    };
    assert!(matches!(refused(no_lease), InvalidSettings::Lease(_)));
}
