//! The office over a journal in memory, in the time of the runtime, which stands still until somebody
//! waits for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::job::{Capabilities, Command, Event, Retry, Spec, Status};
use domain::labels::Labels;
use domain::{Actor, Aggregate as _, CommandId, Digest, Entry, Name, StreamId};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::*;
use crate::memory::{MemoryJournal, MemoryReceipts, MemorySnapshots};
use crate::office::OnlyOne;
use crate::{Receipt, Request};

/// The runtime's time, and ids that count.
struct RuntimeClock {
    begun: tokio::time::Instant,
    ids: AtomicU64,
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        let base = Timestamp::from_second(1_700_000_000).expect("a time");
        base + self.begun.elapsed()
    }

    fn fresh_id(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.ids.fetch_add(1, Ordering::Relaxed)) + 1_000_000)
    }
}

/// One journal, and dispatchers over it.
struct House {
    journal: MemoryJournal,
    parts: Parts,
}

impl House {
    fn new() -> Self {
        let journal = MemoryJournal::default();
        let clock = Arc::new(RuntimeClock {
            begun: tokio::time::Instant::now(),
            ids: AtomicU64::new(0),
        });
        let jobs = Handler::new(
            Arc::new(journal.clone()),
            Arc::new(MemoryReceipts::default()),
            Arc::new(MemorySnapshots::default()),
            clock.clone(),
        );
        let parts = Parts {
            journal: Arc::new(journal.clone()),
            jobs: Arc::new(jobs),
            clock,
            open: Arc::new(FromTheStart),
            office: Arc::new(OnlyOne),
        };
        Self { journal, parts }
    }

    fn dispatcher(&self) -> (Dispatcher, JoinHandle<()>) {
        let (dispatcher, task) = Dispatcher::new(self.parts.clone());
        (dispatcher, tokio::spawn(task))
    }

    async fn say(
        &self,
        id: Uuid,
        command: Command,
    ) -> Result<Receipt, crate::Failure<domain::job::Refusal>> {
        let request = Request {
            id: CommandId(self.parts.clock.fresh_id()),
            keyed: false,
            digest: Digest::default(),
            actor: actor(),
            correlation: None,
            causation: None,
            trace: None,
            occurred_at: None,
            expected_version: None,
            command,
        };
        self.parts.jobs.handle(&stream(id), request).await
    }

    async fn enqueue(&self, number: u128, spec: Spec) -> Uuid {
        let id = Uuid::from_u128(number);
        let enqueued = self.say(id, Command::Enqueue(Arc::new(spec))).await;
        enqueued.expect("enqueued");
        id
    }

    /// The names of the events of each job, in order, from the journal itself.
    async fn histories(&self) -> BTreeMap<Uuid, Vec<&'static str>> {
        let head = self.journal.head().await.expect("a head");
        let mut histories: BTreeMap<Uuid, Vec<&'static str>> = BTreeMap::new();
        let mut entries = self.journal.read_all(Position::START);
        while let Some(Entry::Commit(commit)) = entries.next().await {
            let id = commit.stream.id.as_str().parse().expect("an id");
            for event in &commit.payload.events {
                let event: Event = event.decode().expect("an event");
                let name = domain::Event::name(&event);
                histories.entry(id).or_default().push(name);
            }
            if commit.position == head {
                break;
            }
        }
        histories
    }
}

fn tenant() -> Tenant {
    Tenant::new("acme").expect("a token")
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn actor() -> Actor {
    Actor {
        principal: name("w1"),
        on_behalf_of: None,
    }
}

fn stream(id: Uuid) -> StreamId {
    StreamId::new(tenant(), Job::CATEGORY, Token::from(id))
}

fn spec() -> Spec {
    Spec {
        queue: Token::new("mail").expect("a token"),
        kind: name("send"),
        priority: domain::job::Priority::Normal,
        payload: None,
        run_after: None,
        deadline: None,
        timeout_s: None,
        retry: Retry::default(),
        fairness_key: None,
        capabilities: Capabilities::default(),
        labels: Labels::default(),
        parent: None,
        unique: None,
    }
}

fn claim(jobs_max: usize, wait: Duration) -> Claim {
    Claim {
        tenant: tenant(),
        queues: vec![Token::new("mail").expect("a token")],
        worker: name("w1"),
        capabilities: Capabilities::default(),
        jobs_max,
        bytes_max: usize::MAX,
        lease: Duration::from_secs(10),
        wait,
        actor: actor(),
    }
}

const LONG: Duration = Duration::from_secs(30);

/// Claims until the dispatcher is in office.
async fn claimed(dispatcher: &Dispatcher, claim: Claim) -> Vec<HandedOut> {
    loop {
        match dispatcher.claim(claim.clone()).await {
            Ok(jobs) => return jobs,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_waits_and_gets_the_job_as_soon_as_it_is_enqueued() {
    let house = House::new();
    let (dispatcher, _task) = house.dispatcher();
    assert!(
        claimed(&dispatcher, claim(1, Duration::ZERO))
            .await
            .is_empty()
    );
    let waiting = tokio::spawn({
        let dispatcher = dispatcher.clone();
        async move { dispatcher.claim(claim(1, LONG)).await }
    });
    tokio::task::yield_now().await;
    let id = house.enqueue(1, spec()).await;
    let jobs = waiting.await.expect("no panic").expect("in office");
    assert_eq!((jobs.len(), jobs[0].id, jobs[0].attempt), (1, id, 1));
}

#[tokio::test(start_paused = true)]
async fn of_many_workers_each_job_goes_to_one_and_is_done_once() {
    let house = House::new();
    let (dispatcher, _task) = house.dispatcher();
    let count = 2_000;
    for number in 1..=count {
        house.enqueue(number, spec()).await;
    }
    let work = |size: usize| {
        let (dispatcher, house) = (dispatcher.clone(), &house);
        async move {
            loop {
                let jobs = claimed(&dispatcher, claim(size, Duration::ZERO)).await;
                if jobs.is_empty() {
                    return;
                }
                for job in jobs {
                    let complete = Command::Complete {
                        attempt: job.attempt,
                        result: None,
                    };
                    house.say(job.id, complete).await.expect("completed");
                }
            }
        }
    };
    join_all((1..=16).map(work)).await;
    let histories = house.histories().await;
    assert_eq!(histories.len() as u128, count);
    for (id, events) in histories {
        assert_eq!(events, ["enqueued", "started", "completed"], "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_silent_loses_its_job_and_its_late_result_is_refused() {
    let house = House::new();
    let (dispatcher, _task) = house.dispatcher();
    let id = house.enqueue(1, spec()).await;
    let first = claimed(&dispatcher, claim(1, LONG)).await;
    assert_eq!(first[0].attempt, 1);
    let second = claimed(&dispatcher, claim(1, LONG)).await;
    assert_eq!((second[0].id, second[0].attempt), (id, 2));
    let late = Command::Complete {
        attempt: 1,
        result: None,
    };
    let refused = house.say(id, late).await.expect_err("refused");
    assert!(
        refused.to_string().contains("attempt `1` does not run"),
        "{refused}"
    );
    let beat = |attempt| Beat {
        tenant: tenant(),
        id,
        attempt,
        lease: None,
    };
    assert_eq!(dispatcher.beat(beat(1)).await, Ok(None));
    assert!(matches!(dispatcher.beat(beat(2)).await, Ok(Some(_))));
    let histories = house.histories().await;
    assert_eq!(
        histories[&id],
        ["enqueued", "started", "timed_out", "retried", "started"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_heard_of_keeps_its_job() {
    let house = House::new();
    let (dispatcher, _task) = house.dispatcher();
    let id = house.enqueue(1, spec()).await;
    let job = claimed(&dispatcher, claim(1, LONG)).await.remove(0);
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        let beat = Beat {
            tenant: tenant(),
            id,
            attempt: job.attempt,
            lease: None,
        };
        assert!(matches!(dispatcher.beat(beat).await, Ok(Some(_))));
    }
    let histories = house.histories().await;
    assert_eq!(histories[&id], ["enqueued", "started"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_dispatcher_takes_up_what_runs_and_ends_it_when_nobody_is_heard_of() {
    let house = House::new();
    let (dispatcher, task) = house.dispatcher();
    let id = house.enqueue(1, spec()).await;
    claimed(&dispatcher, claim(1, LONG)).await;
    task.abort();
    let (dispatcher, _task) = house.dispatcher();
    assert!(
        claimed(&dispatcher, claim(1, Duration::ZERO))
            .await
            .is_empty()
    );
    let again = claimed(&dispatcher, claim(1, CLAIM_WAIT)).await;
    assert_eq!((again[0].id, again[0].attempt), (id, 2));
}

const CLAIM_WAIT: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn two_that_both_believe_to_be_in_office_hand_out_no_attempt_twice() {
    let house = House::new();
    let (one, _one) = house.dispatcher();
    let other_process = House {
        journal: house.journal.clone(),
        parts: Parts {
            jobs: Arc::new(Handler::new(
                Arc::new(house.journal.clone()),
                Arc::new(MemoryReceipts::default()),
                Arc::new(MemorySnapshots::default()),
                house.parts.clock.clone(),
            )),
            ..house.parts.clone()
        },
    };
    let (other, _other) = other_process.dispatcher();
    for number in 1..=200 {
        house.enqueue(number, spec()).await;
    }
    let (from_one, from_other) = tokio::join!(
        claimed(&one, claim(200, LONG)),
        claimed(&other, claim(200, LONG))
    );
    let mut attempts: Vec<_> = from_one.iter().chain(&from_other).collect();
    let handed_out = attempts.len();
    attempts.sort_by_key(|job| (job.id, job.attempt));
    attempts.dedup_by_key(|job| (job.id, job.attempt));
    assert_eq!(attempts.len(), handed_out);
    for (id, events) in house.histories().await {
        let started = events.iter().filter(|event| **event == "started").count();
        assert!(started <= 1, "{id}: {events:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_job_that_is_put_back_is_handed_out_again() {
    let house = House::new();
    let (dispatcher, _task) = house.dispatcher();
    let id = house.enqueue(1, spec()).await;
    let job = claimed(&dispatcher, claim(1, LONG)).await.remove(0);
    let fail = Command::Fail {
        attempt: job.attempt,
        error: domain::Text::new("no such mailbox").expect("a text"),
        retryable: false,
    };
    house.say(id, fail).await.expect("failed");
    let (found, _) = tokio::join!(claimed(&dispatcher, claim(1, LONG)), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        house.say(id, Command::Requeue).await.expect("requeued");
    });
    assert_eq!((found[0].id, found[0].attempt), (id, 2));
    assert_eq!(found[0].spec.kind, name("send"));
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_deadline_passes_while_it_waits_is_dead() {
    let house = House::new();
    let (dispatcher, _task) = house.dispatcher();
    let soon = house.parts.clock.now() + Duration::from_secs(5);
    let id = house
        .enqueue(
            1,
            Spec {
                deadline: Some(soon),
                capabilities: Capabilities::try_from(vec![name("gpu")]).expect("few"),
                ..spec()
            },
        )
        .await;
    assert!(claimed(&dispatcher, claim(1, LONG)).await.is_empty());
    let histories = house.histories().await;
    assert_eq!(histories[&id], ["enqueued", "dead_lettered"]);
    assert!(Status::Dead.is_ended());
}

#[tokio::test(start_paused = true)]
async fn a_claim_takes_no_more_bytes_than_it_has_room_for_but_one_job_always() {
    let house = House::new();
    let (dispatcher, _task) = house.dispatcher();
    for number in 1..=3 {
        house.enqueue(number, spec()).await;
    }
    let two = Claim {
        bytes_max: 2 * spec().json_bytes_max(),
        ..claim(3, LONG)
    };
    assert_eq!(claimed(&dispatcher, two).await.len(), 2);
    let less_than_one = Claim {
        bytes_max: 1,
        ..claim(3, LONG)
    };
    assert_eq!(claimed(&dispatcher, less_than_one).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn jobs_that_are_given_back_go_to_the_next_claim() {
    let house = House::new();
    let (dispatcher, _task) = house.dispatcher();
    let id = house.enqueue(1, spec()).await;
    let lost = claimed(&dispatcher, claim(1, LONG)).await;
    dispatcher.give_back(claim(1, LONG), lost);
    let again = claimed(&dispatcher, claim(1, LONG)).await;
    assert_eq!((again[0].id, again[0].attempt), (id, 2));
    let histories = house.histories().await;
    assert_eq!(
        histories[&id],
        ["enqueued", "started", "released", "started"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_dispatcher_says_when_it_is_in_office() {
    let house = House::new();
    let (dispatcher, task) = house.dispatcher();
    let mut in_office = dispatcher.in_office();
    assert!(in_office.wait_for(|is| *is).await.is_ok());
    task.abort();
    assert!(in_office.changed().await.is_err());
}
