//! The rules of a job, each as a claim.

use serde_json::value::RawValue;

use super::*;
use crate::spec::{Given, given, name, text, time};
use crate::{Event as _, Token};

fn json(text: &str) -> Json {
    let raw = RawValue::from_string(text.to_owned()).expect("JSON");
    Json::new(raw).expect("short")
}

fn spec() -> Spec {
    Spec {
        queue: Token::new("mail").expect("a token"),
        kind: name("send"),
        priority: Priority::Normal,
        payload: Some(json(r#"{"to":"ann"}"#)),
        run_after: None,
        deadline: None,
        timeout_s: None,
        retry: fixed(3, 1_000),
        fairness_key: None,
        capabilities: Capabilities::default(),
        labels: crate::labels::Labels::default(),
        parent: None,
        unique: None,
    }
}

fn fixed(attempts: u64, delay_ms: u64) -> Retry {
    Retry {
        attempts_max: attempts.try_into().expect("a number of attempts"),
        backoff: Backoff::Fixed {
            delay_ms: delay_ms.try_into().expect("a delay"),
        },
    }
}

fn enqueued() -> Event {
    Event::Enqueued(Arc::new(spec()))
}

fn started(attempt: u32) -> Event {
    Event::Started {
        attempt,
        worker: name("w1"),
    }
}

fn failed(attempt: u32) -> Event {
    Event::Failed {
        attempt,
        error: text("no such mailbox"),
        retryable: true,
    }
}

fn retried(at: &str) -> Event {
    Event::Retried { at: time(at) }
}

fn start(attempt: u32) -> Command {
    Command::Start {
        attempt,
        worker: name("w1"),
    }
}

fn complete(attempt: u32) -> Command {
    Command::Complete {
        attempt,
        result: Some(json("42")),
    }
}

fn fail(attempt: u32, retryable: bool) -> Command {
    Command::Fail {
        attempt,
        error: text("no such mailbox"),
        retryable,
    }
}

fn running() -> Given<Job> {
    given([enqueued(), started(1)])
}

#[test]
fn a_job_is_enqueued_once() {
    given::<Job>([])
        .when(Command::Enqueue(Arc::new(spec())))
        .then([enqueued()]);
    given::<Job>([enqueued()])
        .when(Command::Enqueue(Arc::new(spec())))
        .then_refused(Refusal::AlreadyEnqueued);
    given::<Job>([])
        .when(start(1))
        .then_refused(Refusal::Unknown);
}

#[test]
fn the_second_enqueue_of_a_unique_job_changes_nothing() {
    let unique = || {
        Arc::new(Spec {
            unique: Some(Unique {
                key: name("invoice-7"),
                window_s: None,
            }),
            ..spec()
        })
    };
    given::<Job>([Event::Enqueued(unique())])
        .when(Command::Enqueue(unique()))
        .then_nothing();
    given::<Job>([Event::Enqueued(unique())])
        .when(Command::Enqueue(Arc::new(spec())))
        .then_refused(Refusal::AlreadyEnqueued);
}

#[test]
fn a_unique_key_is_one_job_within_its_tenant_queue_and_window() {
    let key = |window_s: Option<u64>| Unique {
        key: name("invoice-7"),
        window_s: window_s.map(|seconds| seconds.try_into().expect("a window")),
    };
    let tenant = |tenant| crate::Tenant::new(tenant).expect("a token");
    let queue = |queue| Token::new(queue).expect("a token");
    let (acme, mail) = (tenant("acme"), queue("mail"));
    let id = |unique: Unique, at| unique.job_id(&acme, &mail, time(at));
    assert_eq!(id(key(None), "09:00"), id(key(None), "23:00"));
    assert_eq!(id(key(Some(3_600)), "09:00"), id(key(Some(3_600)), "09:59"));
    assert_ne!(id(key(Some(3_600)), "09:59"), id(key(Some(3_600)), "10:00"));
    let at = time("09:00");
    assert_ne!(
        key(None).job_id(&acme, &mail, at),
        key(None).job_id(&acme, &queue("post"), at)
    );
    assert_ne!(
        key(None).job_id(&acme, &mail, at),
        key(None).job_id(&tenant("globex"), &mail, at)
    );
}

#[test]
fn a_job_is_handed_out_once_and_then_done() {
    given::<Job>([enqueued()]).when(start(1)).then([started(1)]);
    running()
        .when(start(2))
        .then_refused(Refusal::NotReady { attempt: 2 });
    running().when(complete(1)).then([Event::Completed {
        attempt: 1,
        result: Some(json("42")),
        parent: None,
    }]);
}

#[test]
fn only_the_attempt_that_runs_is_listened_to() {
    let again = || {
        given::<Job>([
            enqueued(),
            started(1),
            failed(1),
            retried("09:30"),
            started(2),
        ])
    };
    let stale = || Refusal::StaleAttempt {
        attempt: 1,
        running: 2,
    };
    again().when(complete(1)).then_refused(stale());
    again().when(fail(1, true)).then_refused(stale());
    again()
        .when(Command::Release { attempt: 1 })
        .then_refused(stale());
    let expire = Command::Expire {
        attempt: 1,
        cause: Expiry::Lease,
    };
    again().when(expire).then_refused(stale());
    given::<Job>([enqueued()])
        .when(complete(1))
        .then_refused(Refusal::NotRunning(Status::Waiting));
}

#[test]
fn a_failure_is_tried_again_after_its_backoff_until_the_attempts_are_used_up() {
    let retried_at = Event::Retried {
        at: "2026-01-05T10:00:01Z".parse().expect("a time"),
    };
    running().when(fail(1, true)).then([failed(1), retried_at]);
    let history = [
        enqueued(),
        started(1),
        failed(1),
        retried("09:10"),
        started(2),
        failed(2),
        retried("09:20"),
        started(3),
    ];
    given::<Job>(history).when(fail(3, true)).then([
        failed(3),
        Event::DeadLettered {
            cause: Death::AttemptsUsedUp,
            parent: None,
        },
    ]);
}

#[test]
fn what_is_not_retryable_is_dead_at_once() {
    running().when(fail(1, false)).then([
        Event::Failed {
            attempt: 1,
            error: text("no such mailbox"),
            retryable: false,
        },
        Event::DeadLettered {
            cause: Death::NotRetryable,
            parent: None,
        },
    ]);
}

#[test]
fn a_waiting_job_is_not_handed_out_before_its_time() {
    given::<Job>([enqueued(), started(1), failed(1), retried("10:30")])
        .when(start(2))
        .then_refused(Refusal::NotReady { attempt: 2 });
    given::<Job>([enqueued(), started(1), failed(1), retried("10:00")])
        .when(start(2))
        .then([started(2)]);
    let later = Spec {
        run_after: Some(time("10:30")),
        ..spec()
    };
    given::<Job>([Event::Enqueued(Arc::new(later))])
        .when(start(1))
        .then_refused(Refusal::NotReady { attempt: 1 });
}

#[test]
fn a_lease_that_ran_out_counts_as_a_failure_and_a_release_does_not() {
    running()
        .when(Command::Expire {
            attempt: 1,
            cause: Expiry::Lease,
        })
        .then([
            Event::TimedOut {
                attempt: 1,
                cause: Expiry::Lease,
            },
            Event::Retried {
                at: "2026-01-05T10:00:01Z".parse().expect("a time"),
            },
        ]);
    running()
        .when(Command::Release { attempt: 1 })
        .then([Event::Released { attempt: 1 }]);
    given::<Job>([enqueued(), started(1), Event::Released { attempt: 1 }])
        .when(start(2))
        .then([started(2)]);
}

#[test]
fn a_deadline_ends_what_waits_what_runs_and_what_would_come_too_late() {
    let until = |at: &str| {
        Event::Enqueued(Arc::new(Spec {
            deadline: Some(time(at)),
            ..spec()
        }))
    };
    let dead = || Event::DeadLettered {
        cause: Death::Deadline,
        parent: None,
    };
    given::<Job>([until("09:59")])
        .when(Command::Overdue)
        .then([dead()]);
    given::<Job>([until("10:01")])
        .when(Command::Overdue)
        .then_refused(Refusal::NotOverdue);
    let cause = Expiry::Deadline;
    given::<Job>([until("09:59"), started(1)])
        .when(Command::Expire { attempt: 1, cause })
        .then([Event::TimedOut { attempt: 1, cause }, dead()]);
    given::<Job>([until("10:00"), started(1)])
        .when(fail(1, true))
        .then([failed(1), dead()]);
}

#[test]
fn whoever_cancels_ends_everything_but_what_is_done() {
    let cancel = || Command::Cancel { reason: None };
    let cancelled_event = || Event::Cancelled {
        reason: None,
        parent: None,
    };
    running().when(cancel()).then([cancelled_event()]);
    let cancelled = || given::<Job>([enqueued(), started(1), cancelled_event()]);
    cancelled().when(cancel()).then_nothing();
    cancelled()
        .when(complete(1))
        .then_refused(Refusal::Ended(Status::Cancelled));
    let done = Event::Completed {
        attempt: 1,
        result: None,
        parent: None,
    };
    given::<Job>([enqueued(), started(1), done])
        .when(cancel())
        .then_refused(Refusal::Ended(Status::Completed));
}

#[test]
fn a_dead_job_that_is_requeued_has_all_its_attempts_again() {
    let dead = Event::DeadLettered {
        cause: Death::AttemptsUsedUp,
        parent: None,
    };
    let history = [enqueued(), started(1), failed(1), dead, Event::Requeued];
    given::<Job>(history.clone())
        .when(start(2))
        .then([started(2)]);
    given::<Job>([enqueued()])
        .when(Command::Requeue)
        .then_refused(Refusal::NotDead(Status::Waiting));
}

#[test]
fn progress_that_is_no_news_is_not_told_twice() {
    let progress = Progress {
        percent: Some(40.try_into().expect("a percentage")),
        message: Some(text("page 4 of 10")),
    };
    let told = Event::Progressed {
        attempt: 1,
        progress: progress.clone(),
    };
    let command = || Command::Progress {
        attempt: 1,
        progress: progress.clone(),
    };
    running().when(command()).then([told.clone()]);
    given::<Job>([enqueued(), started(1), told])
        .when(command())
        .then_nothing();
}

#[test]
fn exponential_backoff_doubles_up_to_its_longest() {
    let backoff = |jitter| Backoff::Exponential {
        delay_ms: DelayMs::of::<1_000>(),
        delay_ms_max: DelayMs::of::<10_000>(),
        jitter,
    };
    let now = time("10:00");
    let waits = |jitter, failures| {
        (backoff(jitter).after(failures, now) - now).total(jiff::Unit::Millisecond)
    };
    let waits = |jitter, failures| waits(jitter, failures).expect("a length");
    let exact: Vec<f64> = [1, 2, 3, 4, 5, 100]
        .map(|failures| waits(false, failures))
        .into();
    assert_eq!(exact, [1e3, 2e3, 4e3, 8e3, 10e3, 10e3]);
    for failures in 1..20 {
        let (most, least) = (waits(false, failures), waits(false, failures) / 2.0);
        assert!((least..=most).contains(&waits(true, failures)));
    }
}

/// Every event that was ever written decodes for ever: the samples are only added to.
#[test]
fn every_stored_sample_of_an_event_decodes() {
    let samples = include_str!("samples.ndjson");
    let mut seen = std::collections::BTreeSet::new();
    for line in samples.lines() {
        let recorded: crate::RecordedEvent = serde_json::from_str(line).expect("a recorded event");
        let event: Event = recorded.decode().expect("decodes for ever");
        let again = serde_json::to_value(&event).expect("events are JSON");
        let stored: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(again["data"], stored["data"]);
        seen.insert(event.name());
    }
    assert_eq!(seen, Event::NAMES.iter().copied().collect());
}

#[test]
fn whatever_ends_a_job_names_its_parent() {
    let parent = Parent {
        kind: ParentKind::Batch,
        id: Token::new("b1").expect("a token"),
    };
    let child = || {
        Event::Enqueued(Arc::new(Spec {
            parent: Some(parent.clone()),
            ..spec()
        }))
    };
    let named = || Some(parent.clone());
    let running = || given::<Job>([child(), started(1)]);
    running().when(complete(1)).then([Event::Completed {
        attempt: 1,
        result: Some(json("42")),
        parent: named(),
    }]);
    running()
        .when(Command::Cancel { reason: None })
        .then([Event::Cancelled {
            reason: None,
            parent: named(),
        }]);
    let dead = Event::DeadLettered {
        cause: Death::NotRetryable,
        parent: named(),
    };
    let failed = Event::Failed {
        attempt: 1,
        error: text("no such mailbox"),
        retryable: false,
    };
    running().when(fail(1, false)).then([failed, dead]);
}
