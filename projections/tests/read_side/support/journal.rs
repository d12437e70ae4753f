//! A journal in memory, written by the rules of the domain or by hand.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use domain::assignment::{Assignment, Change, Command, Priority, Request, Standing, Status};
use domain::job::{self, Job};
use domain::queue::{self, Queue};
use domain::schedule::{self, Schedule};
use domain::{
    Actor, Aggregate, Chain, CommandId, Commit, Context, Digest, Entry, Event, Json, Name,
    NewCommit, Position, StreamId, Tenant, Text, Timestamp, Token,
};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, stream};
use projections::{Source, SourceError};
use tokio::sync::watch;
use uuid::Uuid;

/// The log. Clones share it.
#[derive(Clone)]
pub(crate) struct Journal {
    inner: Arc<Mutex<Inner>>,
    head: Arc<watch::Sender<Position>>,
    /// How often each entry is given to a reader.
    times: usize,
}

#[derive(Default)]
struct Inner {
    entries: Vec<Entry>,
    /// Each a state of its aggregate and how many events it had.
    states: HashMap<StreamId, Box<dyn Any + Send>>,
    /// How far the fastest reader has come.
    read_to: Position,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            inner: Arc::default(),
            head: Arc::new(watch::Sender::new(Position::START)),
            times: 1,
        }
    }
}

impl Journal {
    /// The same journal, which gives every entry twice.
    pub(crate) fn twice(&self) -> Self {
        Self {
            times: 2,
            ..self.clone()
        }
    }

    /// Decides on `command` as the write side would, and records what comes of it, if anything does.
    pub(crate) fn handle<A: Aggregate>(
        &self,
        tenant: &Tenant,
        id: Token,
        command: &A::Command,
        at: &str,
    ) -> Position {
        let stream = StreamId::new(tenant.clone(), A::CATEGORY, id);
        let at = time(at);
        let mut inner = self.inner.lock().expect("no test panics with the lock");
        let begin = || Box::new((A::default(), 0_u64)) as Box<dyn Any + Send>;
        let state = inner.states.entry(stream.clone()).or_insert_with(begin);
        let state = state.downcast_mut::<(A, u64)>();
        let (state, version) = state.expect("the category's own aggregate");
        let events = state
            .decide(command, &Context::at(at))
            .expect("not refused");
        let before = *version;
        for event in &events {
            state.evolve(event, at);
        }
        *version += events.len() as u64;
        if events.is_empty() {
            return Position(inner.entries.len() as u64);
        }
        let position = Position(inner.entries.len() as u64 + 1);
        let commit = commit(position, stream, before, at, &events);
        inner.entries.push(Entry::Commit(commit.into()));
        self.head.send_replace(position);
        position
    }

    /// The same for an assignment.
    pub(crate) fn decide(
        &self,
        tenant: &Tenant,
        id: Uuid,
        command: &Command,
        at: &str,
    ) -> Position {
        self.handle::<Assignment>(tenant, id.into(), command, at)
    }

    /// The same for a job.
    pub(crate) fn job(
        &self,
        tenant: &Tenant,
        id: Uuid,
        command: &job::Command,
        at: &str,
    ) -> Position {
        self.handle::<Job>(tenant, id.into(), command, at)
    }

    /// Enqueues a job.
    pub(crate) fn enqueue(&self, tenant: &Tenant, id: Uuid, spec: job::Spec, at: &str) -> Position {
        self.job(tenant, id, &job::Command::Enqueue(Arc::new(spec)), at)
    }

    /// Hands a job out.
    pub(crate) fn start(
        &self,
        tenant: &Tenant,
        id: Uuid,
        attempt: u32,
        worker: &str,
        at: &str,
    ) -> Position {
        let worker = name(worker);
        self.job(tenant, id, &job::Command::Start { attempt, worker }, at)
    }

    /// The same for a queue.
    pub(crate) fn queue(
        &self,
        tenant: &Tenant,
        name: &str,
        command: &queue::Command,
        at: &str,
    ) -> Position {
        let name = Token::new(name).expect("a queue's name");
        self.handle::<Queue>(tenant, name, command, at)
    }

    /// The same for a schedule.
    pub(crate) fn schedule(
        &self,
        tenant: &Tenant,
        id: Uuid,
        command: &schedule::Command,
        at: &str,
    ) -> Position {
        self.handle::<Schedule>(tenant, id.into(), command, at)
    }

    /// Creates a schedule.
    pub(crate) fn plan(
        &self,
        tenant: &Tenant,
        id: Uuid,
        spec: schedule::Spec,
        at: &str,
    ) -> Position {
        let spec = Box::new(spec);
        self.schedule(tenant, id, &schedule::Command::Create { id, spec }, at)
    }

    pub(crate) fn request(&self, tenant: &Tenant, id: Uuid, at: &str) -> Position {
        self.decide(tenant, id, &Command::Request(Box::new(request())), at)
    }

    /// Records something by hand; `make` is told where it stands.
    pub(crate) fn push(&self, make: impl FnOnce(Position) -> Entry) -> Position {
        let mut inner = self.inner.lock().expect("no test panics with the lock");
        let position = Position(inner.entries.len() as u64 + 1);
        inner.entries.push(make(position));
        self.head.send_replace(position);
        position
    }

    /// Everything that was committed.
    pub(crate) fn commits(&self) -> Vec<Commit> {
        let inner = self.inner.lock().expect("no test panics with the lock");
        let commit = |entry: &Entry| match entry {
            Entry::Commit(commit) => Some(Commit::clone(commit)),
            Entry::Unreadable { .. } => None,
        };
        inner.entries.iter().filter_map(commit).collect()
    }

    pub(crate) fn head_now(&self) -> Position {
        *self.head.borrow()
    }

    /// How far the fastest reader has come.
    pub(crate) fn read_to(&self) -> Position {
        self.inner
            .lock()
            .expect("no test panics with the lock")
            .read_to
    }

    fn entry(&self, position: Position) -> Option<Entry> {
        let mut inner = self.inner.lock().expect("no test panics with the lock");
        let index = usize::try_from(position.0 - 1).expect("a small journal");
        let entry = inner.entries.get(index).cloned();
        if entry.is_some() {
            inner.read_to = inner.read_to.max(position);
        }
        entry
    }
}

impl Source for Journal {
    fn read_all(&self, after: Position) -> BoxStream<'static, Entry> {
        let begin = (self.clone(), self.head.subscribe(), after.next());
        let entries = stream::unfold(begin, |(journal, mut head, position)| async move {
            head.wait_for(|head| *head >= position).await.ok()?;
            let entry = journal.entry(position)?;
            let times = journal.times;
            Some((vec![entry; times], (journal, head, position.next())))
        });
        entries.flat_map(stream::iter).boxed()
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, SourceError>> {
        async { Ok(self.head_now()) }.boxed()
    }
}

/// A commit as it is read back.
pub(crate) fn commit<E: Event>(
    position: Position,
    stream: StreamId,
    version: u64,
    at: Timestamp,
    events: &[E],
) -> Commit {
    let actor = Actor {
        principal: name("rita"),
        on_behalf_of: None,
    };
    let new = NewCommit {
        id: CommandId(Uuid::from_u128(1_000_000 + u128::from(position.0))),
        at,
        occurred_at: None,
        actor: &actor,
        correlation: None,
        causation: None,
        request: Digest::default(),
        version,
        events,
    };
    let payload = new.encode().expect("events are JSON");
    Commit::decode(position, stream, Chain::default(), None, &payload).expect("just encoded")
}

pub(crate) fn request() -> Request {
    Request {
        title: text("Replace the pump"),
        description: None,
        kind: name("repair"),
        group: name("plant"),
        requester: name("rita"),
        assignee: None,
        priority: Priority::NORMAL,
        labels: domain::assignment::Labels::default(),
        window: None,
        effort_minutes: None,
        external_ref: None,
    }
}

/// A job of queue `mail`, of which nothing else is said.
pub(crate) fn spec() -> job::Spec {
    job::Spec {
        queue: Token::new("mail").expect("a queue's name"),
        kind: name("send"),
        priority: job::Priority::Normal,
        payload: None,
        run_after: None,
        deadline: None,
        timeout_s: None,
        retry: job::Retry::default(),
        fairness_key: None,
        capabilities: job::Capabilities::default(),
        labels: domain::labels::Labels::default(),
        parent: None,
        unique: None,
    }
}

/// A schedule at every full hour, of which nothing else is said but `more`, the further fields of its JSON.
pub(crate) fn hourly(more: &str) -> schedule::Spec {
    let text = format!(
        r#"{{"name":"nightly","job":{{"queue":"report","kind":"sum","payload":[ "\u0000" ]}},
        "recurrence":{{"type":"cron","line":"0 * * * *","time_zone":"Europe/Berlin"}}{more}}}"#
    );
    serde_json::from_str(&text).expect("a spec")
}

/// So many attempts, with the same time between them.
pub(crate) fn retry(attempts_max: u64, delay_ms: u64) -> job::Retry {
    job::Retry {
        attempts_max: attempts_max.try_into().expect("a number of attempts"),
        backoff: job::Backoff::Fixed {
            delay_ms: delay_ms.try_into().expect("a delay"),
        },
    }
}

pub(crate) fn json(text: &str) -> Json {
    let raw = serde_json::value::RawValue::from_string(text.to_owned());
    Json::new(raw.expect("JSON")).expect("within the limit")
}

/// From one standing to another, of the group `plant`, which began at `since`.
pub(crate) fn change(
    from: (Status, Option<&str>),
    since: &str,
    to: (Status, Option<&str>),
) -> Change {
    let standing = |(status, assignee): (Status, Option<&str>)| Standing {
        status,
        group: name("plant"),
        assignee: assignee.map(name),
    };
    Change {
        from: standing(from).since(time(since)),
        to: standing(to),
    }
}

pub(crate) fn name(text: &str) -> Name {
    self::text(text)
}

pub(crate) fn text<const N: usize, const L: bool>(text: &str) -> Text<N, L> {
    Text::new(text).expect("a text within its limit")
}

/// A time of one day, `HH:MM`, or `HH:MM:SS.…`.
pub(crate) fn time(clock: &str) -> Timestamp {
    let seconds = if clock.len() == 5 { ":00" } else { "" };
    let time = format!("2026-01-05T{clock}{seconds}Z");
    time.parse().expect("a time")
}
