//! The reactor over a journal in memory, in the time of the runtime, which stands still until somebody
//! waits for it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use domain::schedule::{Command, Event, FireCause, RunOutcome, Spec};
use domain::{Actor, Aggregate as _, CommandId, Digest, Entry, Name, Tenant, Token, job};
use futures_util::StreamExt as _;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::*;
use crate::memory::{Fault, MemoryJournal, MemoryReceipts, MemorySnapshots};
use crate::office::OnlyOne;
use crate::{Receipt, Request};

/// The runtime's time, and ids that count.
struct RuntimeClock {
    begun: tokio::time::Instant,
    ids: AtomicU64,
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        // A minute's begin.
        let base = Timestamp::from_second(1_700_000_040).expect("a time");
        base + self.begun.elapsed()
    }

    fn fresh_id(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.ids.fetch_add(1, Ordering::Relaxed)) + 1_000_000)
    }
}

/// A checkpoint that can forget, as one that was not written before a crash has.
#[derive(Default)]
struct MemoryCheckpoint {
    position: Mutex<Position>,
    forgets: AtomicBool,
}

impl Checkpoint for MemoryCheckpoint {
    fn load(&self) -> BoxFuture<'_, Result<Position, BoxError>> {
        std::future::ready(Ok(*self.position.lock().expect("whole"))).boxed()
    }

    fn save(&self, position: Position) -> BoxFuture<'_, Result<(), BoxError>> {
        if !self.forgets.load(Ordering::Relaxed) {
            *self.position.lock().expect("whole") = position;
        }
        std::future::ready(Ok(())).boxed()
    }
}

/// One journal, and reactors over it.
struct House {
    journal: MemoryJournal,
    checkpoint: Arc<MemoryCheckpoint>,
    parts: Parts,
}

const SCHEDULE: Uuid = Uuid::from_u128(7);

impl House {
    fn new() -> Self {
        let journal = MemoryJournal::default();
        let clock = Arc::new(RuntimeClock {
            begun: tokio::time::Instant::now(),
            ids: AtomicU64::new(0),
        });
        let checkpoint = Arc::new(MemoryCheckpoint::default());
        let parts = Parts {
            journal: Arc::new(journal.clone()),
            jobs: Arc::new(handler(&journal, &clock)),
            schedules: Arc::new(handler(&journal, &clock)),
            clock,
            checkpoint: checkpoint.clone(),
            due: Arc::new(FromTheStart),
            office: Arc::new(OnlyOne),
        };
        Self {
            journal,
            checkpoint,
            parts,
        }
    }

    fn react(&self) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(run(self.parts.clone())))
    }

    async fn schedule(&self, command: Command) -> Receipt {
        let stream = StreamId::new(tenant(), Schedule::CATEGORY, Token::from(SCHEDULE));
        let handled = self.parts.schedules.handle(&stream, self.request(command));
        handled.await.expect("taken")
    }

    async fn create(&self, more: &str) {
        let spec: Spec = serde_json::from_str(&format!(
            r#"{{"name":"report","job":{{"queue":"mail","kind":"send"}},
                "recurrence":{{"type":"every","interval_ms":60000}}{more}}}"#
        ))
        .expect("a spec");
        self.schedule(Command::Create {
            id: SCHEDULE,
            spec: Box::new(spec),
        })
        .await;
    }

    async fn job(&self, id: Uuid, command: job::Command) {
        let stream = StreamId::new(tenant(), Job::CATEGORY, Token::from(id));
        let handled = self.parts.jobs.handle(&stream, self.request(command)).await;
        handled.expect("taken");
    }

    /// Lets a worker do it.
    async fn run_job(&self, id: Uuid, result: &str) {
        let worker = name("w1");
        let attempt = 1;
        self.job(id, job::Command::Start { attempt, worker }).await;
        let result = Some(serde_json::from_str(result).expect("JSON"));
        self.job(id, job::Command::Complete { attempt, result })
            .await;
    }

    fn request<C>(&self, command: C) -> Request<C> {
        Request {
            id: CommandId(self.parts.clock.fresh_id()),
            keyed: false,
            digest: Digest::default(),
            actor: Actor {
                principal: name("w1"),
                on_behalf_of: None,
            },
            correlation: None,
            causation: None,
            trace: None,
            occurred_at: None,
            expected_version: None,
            command,
        }
    }

    /// The events of schedules and jobs, read until there are so many of one name.
    async fn until(&self, name: &str, count: usize) -> Seen {
        let mut seen = Seen::default();
        let mut entries = self.journal.read_all(Position::START);
        while seen.count(name) < count {
            let Some(Entry::Commit(commit)) = entries.next().await else {
                panic!("only commits");
            };
            for recorded in &commit.payload.events {
                if commit.stream.is_of(Schedule::CATEGORY) {
                    seen.schedule.push(recorded.decode().expect("an event"));
                } else {
                    let id = commit.stream.id.as_str().parse().expect("an id");
                    let event: job::Event = recorded.decode().expect("an event");
                    let names = seen.jobs.entry(id).or_default();
                    names.push(domain::Event::name(&event));
                }
            }
        }
        seen
    }
}

/// What stands in the journal.
#[derive(Debug, Default)]
struct Seen {
    schedule: Vec<Event>,
    jobs: BTreeMap<Uuid, Vec<&'static str>>,
}

impl Seen {
    fn count(&self, name: &str) -> usize {
        let schedule = self.schedule.iter().map(domain::Event::name);
        let jobs = self.jobs.values().flatten().copied();
        schedule.chain(jobs).filter(|other| *other == name).count()
    }

    fn fired(&self) -> Vec<Uuid> {
        let fired = self.schedule.iter().filter_map(|event| match event {
            Event::Fired { job, .. } => Some(*job),
            _ => None,
        });
        fired.collect()
    }
}

fn handler<A: domain::Aggregate>(journal: &MemoryJournal, clock: &Arc<RuntimeClock>) -> Handler<A> {
    Handler::new(
        Arc::new(journal.clone()),
        Arc::new(MemoryReceipts::default()),
        Arc::new(MemorySnapshots::default()),
        clock.clone(),
    )
}

fn tenant() -> Tenant {
    Tenant::new("acme").expect("a token")
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

#[tokio::test(start_paused = true)]
async fn each_time_has_its_job_and_the_time_is_kept() {
    let house = House::new();
    let _reactor = house.react();
    let begun = tokio::time::Instant::now();
    house.create("").await;
    let seen = house.until("enqueued", 3).await;
    assert_eq!(seen.fired().len(), 3);
    assert!(begun.elapsed() >= Duration::from_secs(180), "not before");
    assert!(
        begun.elapsed() < Duration::from_secs(181),
        "not a second after"
    );
    for event in &seen.schedule {
        if let Event::Fired { cause, .. } = event {
            assert_eq!(*cause, FireCause::Due);
        }
    }
    let enqueued: Vec<_> = seen.jobs.keys().copied().collect();
    let mut fired = seen.fired();
    fired.sort();
    assert_eq!(enqueued, fired);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_job_ends_its_run_and_tells_what_changed() {
    let house = House::new();
    let _reactor = house.react();
    house
        .create(r#","overlap":"skip","compare_previous":true"#)
        .await;
    for (run, rows) in [(1, "6"), (2, "7")] {
        let seen = house.until("enqueued", run).await;
        let job = *seen.fired().last().expect("fired");
        house.run_job(job, &format!(r#"{{"rows":{rows}}}"#)).await;
        house.until("run_ended", run).await;
    }
    let seen = house.until("run_ended", 2).await;
    assert_eq!(seen.count("skipped"), 0, "the first run had ended");
    let Some(Event::RunEnded {
        outcome, changes, ..
    }) = seen
        .schedule
        .iter()
        .rfind(|event| domain::Event::name(*event) == "run_ended")
    else {
        panic!("a run has ended");
    };
    assert_eq!(*outcome, RunOutcome::Succeeded);
    let changes = serde_json::to_string(changes).expect("JSON");
    assert_eq!(changes, r#"[{"op":"replace","path":"/rows","value":7}]"#);
}

#[tokio::test(start_paused = true)]
async fn what_a_later_run_takes_the_place_of_is_cancelled() {
    let house = House::new();
    let _reactor = house.react();
    house.create(r#","overlap":"cancel_running""#).await;
    let seen = house.until("cancelled", 1).await;
    let first = seen.fired()[0];
    assert_eq!(seen.jobs[&first], ["enqueued", "cancelled"]);
    let seen = house.until("run_ended", 1).await;
    assert!(seen.schedule.contains(&Event::RunEnded {
        job: first,
        outcome: RunOutcome::Cancelled,
        changes: None
    }));
}

#[tokio::test(start_paused = true)]
async fn effects_are_in_effect_once_whatever_is_forgotten_lost_or_done_twice() {
    let house = House::new();
    house.checkpoint.forgets.store(true, Ordering::Relaxed);
    house.create("").await;
    for round in 1..=5 {
        // Two of them, and each begins at the beginning.
        let reactors = [house.react(), house.react()];
        house.journal.fail_next(Fault::LostAnswer);
        let seen = house.until("enqueued", 2 * round).await;
        let job = seen.fired()[0];
        if round == 1 {
            house.run_job(job, "1").await;
        }
        house.until("run_ended", 1).await;
        drop(reactors);
    }
    house.schedule(Command::Delete).await;
    let seen = house.until("deleted", 1).await;
    let fired = seen.fired();
    let mut once = fired.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), fired.len(), "no time is fired twice");
    assert_eq!(seen.count("run_ended"), 1);
    for (job, events) in &seen.jobs {
        assert_eq!(events[0], "enqueued");
        let times = events.iter().filter(|name| **name == "enqueued").count();
        assert_eq!(times, 1, "{job}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_fires_while_it_is_paused_and_a_trigger_fires_at_once() {
    let house = House::new();
    let _reactor = house.react();
    house.create("").await;
    house.schedule(Command::Pause { reason: None }).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let job = Uuid::from_u128(99);
    house.schedule(Command::Trigger { job }).await;
    let seen = house.until("enqueued", 1).await;
    assert_eq!(seen.fired(), [job]);
    house.schedule(Command::Resume).await;
    let seen = house.until("enqueued", 2).await;
    assert_eq!(
        seen.count("skipped"),
        1,
        "but for the last, they are skipped"
    );
}
