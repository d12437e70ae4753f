//! One house: a journal, a dispatcher over it, and workers.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use commands::dispatch::office::{FromTheStart, Parts as OfficeParts};
use commands::dispatch::{Dispatch, Dispatcher};
use commands::memory::{MemoryJournal, MemoryReceipts, MemorySnapshots};
use commands::office::OnlyOne;
use commands::{Clock, Failure, Handler, Journal as _, Receipt, Request};
use domain::job::{Capabilities, Command, Event, Job, Priority, Refusal, Retry, Spec};
use domain::labels::Labels;
use domain::{
    Actor, Aggregate as _, CommandId, Digest, Entry, Event as _, Json, Name, Position, StreamId,
    Tenant, Timestamp, Token,
};
use futures_util::StreamExt as _;
use infra::embedded::Shim;
use infra::worker::{Parts, Settings, Worker};
use serde_json::value::RawValue;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What does not happen in this time never will: the test fails instead of hanging. Where time stands still
/// until somebody waits for it, this is no time at all.
const STILL_PATIENCE: Duration = Duration::from_secs(24 * 3_600);

/// The same in real time, for a machine that is busy building.
const PATIENCE: Duration = Duration::from_secs(180);

/// The "test" that becomes a program.
const SHIM: &str = "a_process_becomes_a_program_when_told_to";

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
        Uuid::from_u128(u128::from(self.ids.fetch_add(1, Ordering::Relaxed)) + 1)
    }
}

pub(crate) struct House {
    pub(crate) journal: MemoryJournal,
    pub(crate) parts: Parts,
    patience: Duration,
}

/// A worker that runs, and how it is told to stop.
pub(crate) struct Running {
    pub(crate) task: JoinHandle<()>,
    stop: CancellationToken,
}

impl House {
    /// A journal with a dispatcher in office, in real time.
    pub(crate) fn new() -> Self {
        Self::with_patience(PATIENCE)
    }

    /// The same, where time stands still until somebody waits for it.
    pub(crate) fn in_still_time() -> Self {
        Self::with_patience(STILL_PATIENCE)
    }

    fn with_patience(patience: Duration) -> Self {
        let journal = MemoryJournal::default();
        let clock = Arc::new(RuntimeClock {
            begun: tokio::time::Instant::now(),
            ids: AtomicU64::new(0),
        });
        let jobs = Arc::new(Handler::<Job>::new(
            Arc::new(journal.clone()),
            Arc::new(MemoryReceipts::default()),
            Arc::new(MemorySnapshots::default()),
            clock.clone(),
        ));
        let (dispatcher, office) = Dispatcher::new(OfficeParts {
            journal: Arc::new(journal.clone()),
            jobs: Arc::clone(&jobs),
            clock: clock.clone(),
            open: Arc::new(FromTheStart),
            office: Arc::new(OnlyOne),
        });
        tokio::spawn(office);
        let dispatch: Arc<dyn Dispatch> = Arc::new(dispatcher);
        let parts = Parts {
            dispatch,
            jobs,
            clock,
        };
        Self {
            journal,
            parts,
            patience,
        }
    }

    pub(crate) fn run(&self, settings: Settings) -> Running {
        let worker = Worker::new(settings, self.parts.clone()).expect("good settings");
        let stop = CancellationToken::new();
        Running {
            task: tokio::spawn(worker.run(stop.clone())),
            stop,
        }
    }

    pub(crate) async fn enqueue(&self, kind: &str, payload: &str) -> Uuid {
        self.enqueue_as(spec(kind, payload)).await
    }

    pub(crate) async fn enqueue_as(&self, spec: Spec) -> Uuid {
        let id = self.parts.clock.fresh_id();
        let enqueued = self.say(id, Command::Enqueue(Arc::new(spec))).await;
        enqueued.expect("enqueued");
        id
    }

    pub(crate) async fn say(
        &self,
        id: Uuid,
        command: Command,
    ) -> Result<Receipt, Failure<Refusal>> {
        let request = Request {
            id: CommandId(self.parts.clock.fresh_id()),
            keyed: false,
            digest: Digest::default(),
            actor: Actor {
                principal: name("tester"),
                on_behalf_of: None,
            },
            correlation: None,
            causation: None,
            trace: None,
            occurred_at: None,
            expected_version: None,
            command,
        };
        let stream = StreamId::new(tenant(), Job::CATEGORY, Token::from(id));
        self.parts.jobs.handle(&stream, request).await
    }

    /// Waits for the first event of the job that is called `name`.
    pub(crate) async fn until(&self, id: Uuid, name: &str) -> Event {
        let id = Token::from(id);
        let found = async {
            let mut entries = self.journal.read_all(Position::START);
            while let Some(entry) = entries.next().await {
                let event = events(&entry, &id)
                    .into_iter()
                    .find(|event| event.name() == name);
                if let Some(event) = event {
                    return event;
                }
            }
            panic!("the journal ended");
        };
        self.wait(name, found).await
    }

    /// Waits for something that has to happen.
    pub(crate) async fn wait<T>(&self, what: &str, happens: impl Future<Output = T>) -> T {
        let happened = tokio::time::timeout(self.patience, happens).await;
        happened.expect(what)
    }

    /// The names of the events that the job has had.
    pub(crate) async fn history(&self, id: Uuid) -> Vec<&'static str> {
        let (id, head) = (Token::from(id), self.journal.head().await.expect("a head"));
        let mut names = Vec::new();
        let mut entries = self.journal.read_all(Position::START);
        while let Some(entry) = entries.next().await {
            names.extend(events(&entry, &id).iter().map(Event::name));
            if entry.position() == head {
                break;
            }
        }
        names
    }

    /// Enqueues, and waits for the result.
    pub(crate) async fn result_of(&self, kind: &str, payload: &str) -> serde_json::Value {
        let id = self.enqueue(kind, payload).await;
        tokio::select! {
            completed = self.until(id, "completed") => match completed {
                Event::Completed { result, .. } => value(result),
                other => panic!("{other:?}"),
            },
            failed = self.until(id, "failed") => panic!("{failed:?}"),
        }
    }

    /// Enqueues, and waits for the first failure: what went wrong, and whether it is tried again.
    pub(crate) async fn failure_of(&self, kind: &str, payload: &str) -> (String, bool) {
        let id = self.enqueue(kind, payload).await;
        tokio::select! {
            failed = self.until(id, "failed") => match failed {
                Event::Failed { error, retryable, .. } => (error.as_str().to_owned(), retryable),
                other => panic!("{other:?}"),
            },
            completed = self.until(id, "completed") => panic!("{completed:?}"),
        }
    }
}

impl Running {
    /// Tells it to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let stopped = tokio::time::timeout(STILL_PATIENCE, self.task).await;
        stopped.expect("it stops").expect("no panic");
    }
}

fn events(entry: &Entry, id: &Token) -> Vec<Event> {
    match entry {
        Entry::Commit(commit) if commit.stream.id == *id => {
            let events = commit.payload.events.iter();
            events
                .map(|event| event.decode().expect("an event"))
                .collect()
        }
        Entry::Commit(_) | Entry::Unreadable { .. } => Vec::new(),
    }
}

fn value(result: Option<Json>) -> serde_json::Value {
    let text = result.map_or("null".to_owned(), |json| json.get().to_owned());
    serde_json::from_str(&text).expect("JSON")
}

pub(crate) fn tenant() -> Tenant {
    Tenant::new("acme").expect("a token")
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub(crate) fn queue() -> Token {
    Token::new("built-in").expect("a token")
}

/// Two at once, with leases of nine seconds: heard of every three.
pub(crate) fn settings() -> Settings {
    Settings {
        concurrency: 2,
        lease: Duration::from_secs(9),
        drain: Duration::from_secs(60),
        ..Settings::new(tenant(), vec![queue()], name("w1"))
    }
}

pub(crate) fn spec(kind: &str, payload: &str) -> Spec {
    let payload = RawValue::from_string(payload.to_owned()).expect("JSON");
    Spec {
        queue: queue(),
        kind: name(kind),
        priority: Priority::Normal,
        payload: Some(Json::new(payload).expect("short")),
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

/// Whatever stands behind `--` on this test program's command line, if anything does.
pub(crate) fn own_arguments() -> Option<impl Iterator<Item = OsString>> {
    let mut arguments = std::env::args_os().skip_while(|argument| argument != "--");
    arguments.next().map(|_| arguments)
}

/// This test program as the shim.
pub(crate) fn shim() -> Shim {
    let test = [SHIM, "--exact", "--nocapture", "--quiet", "--"];
    Shim {
        arguments: test.map(OsString::from).into(),
        ..Shim::of_this_program(SHIM)
    }
}
