//! The handler against a journal in memory that can be told to fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::assignment::{Assignment, Command, Priority, Refusal, Request as Asked};
use domain::{Actor, CommandId, Digest, Name, Position, StreamId, Tenant, Text, Timestamp, Token};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use uuid::Uuid;

use super::*;
use crate::memory::{Fault, MemoryJournal, MemoryReceipts, MemorySnapshots};
use crate::{Clock, Known};

/// Ten o'clock, and ids that count.
#[derive(Default)]
struct FixedClock {
    ids: AtomicU64,
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        "2026-01-05T10:00:00Z".parse().expect("a time")
    }

    fn fresh_id(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.ids.fetch_add(1, Ordering::Relaxed)) + 1_000_000)
    }
}

/// The ports, and as many handlers over them as there are processes.
#[derive(Default)]
struct World {
    journal: MemoryJournal,
    receipts: MemoryReceipts,
    snapshots: MemorySnapshots,
    clock: Arc<FixedClock>,
}

impl World {
    fn process(&self) -> Handler<Assignment> {
        Handler::new(
            Arc::new(self.journal.clone()),
            Arc::new(self.receipts.clone()),
            Arc::new(self.snapshots.clone()),
            self.clock.clone(),
        )
    }

    fn request(&self, command: Command) -> Request<Command> {
        request(CommandId(self.clock.fresh_id()), false, command)
    }

    async fn commits(&self, stream: &StreamId) -> usize {
        self.journal
            .read_stream(stream, Position::START)
            .count()
            .await
    }
}

fn request(id: CommandId, keyed: bool, command: Command) -> Request<Command> {
    Request {
        id,
        keyed,
        digest: Digest::default(),
        actor: Actor {
            principal: name("rita"),
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

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn stream(id: &str) -> StreamId {
    let tenant = Tenant::new("acme").expect("a token");
    StreamId::new(
        tenant,
        Assignment::CATEGORY,
        Token::new(id).expect("a token"),
    )
}

fn asked() -> Command {
    Command::Request(Box::new(Asked {
        title: Text::new("Replace the pump").expect("a title"),
        description: None,
        kind: name("repair"),
        group: name("plant"),
        requester: name("rita"),
        assignee: None,
        priority: Priority::NORMAL,
        labels: Default::default(),
        window: None,
        effort_minutes: None,
        external_ref: None,
    }))
}

fn note(text: &str) -> Command {
    Command::Note {
        text: Text::new(text).expect("a text"),
    }
}

fn start(who: &str) -> Command {
    Command::Start {
        assignee: name(who),
        group: None,
    }
}

const KEY: CommandId = CommandId(Uuid::from_u128(7));

#[tokio::test]
async fn a_command_becomes_one_commit_with_all_of_its_events() {
    let world = World::default();
    let handler = world.process();
    let one = stream("1");
    handler
        .handle(&one, world.request(asked()))
        .await
        .expect("requested");
    let receipt = handler
        .handle(&one, world.request(start("ann")))
        .await
        .expect("started");
    assert_eq!(receipt.events, ["assigned", "started"]);
    assert_eq!(
        (receipt.version, receipt.position, receipt.unchanged),
        (3, Position(2), false)
    );
    assert_eq!(world.commits(&one).await, 2);
}

#[tokio::test]
async fn what_changes_nothing_writes_nothing_and_is_no_error() {
    let world = World::default();
    let handler = world.process();
    let one = stream("1");
    handler
        .handle(&one, world.request(asked()))
        .await
        .expect("requested");
    let requeue = Command::Requeue { group: None };
    let receipt = handler
        .handle(&one, world.request(requeue))
        .await
        .expect("nothing to do");
    assert!(receipt.unchanged);
    assert_eq!((receipt.version, world.commits(&one).await), (1, 1));
}

#[tokio::test]
async fn a_refusal_on_a_cached_state_is_checked_on_the_newest() {
    let world = World::default();
    let (here, there) = (world.process(), world.process());
    let one = stream("1");
    let unknown = here.handle(&one, world.request(start("ann"))).await;
    assert!(
        matches!(unknown, Err(Failure::Refused(Refusal::Unknown))),
        "{unknown:?}"
    );
    there
        .handle(&one, world.request(asked()))
        .await
        .expect("requested elsewhere");
    // `here` still holds the empty state, on which starting would be refused.
    here.handle(&one, world.request(start("ann")))
        .await
        .expect("started");
}

#[tokio::test]
async fn writers_in_two_processes_lose_no_command_and_leave_no_gap() {
    let world = World::default();
    let (here, there) = (world.process(), world.process());
    let one = stream("1");
    here.handle(&one, world.request(asked()))
        .await
        .expect("requested");
    let notes = (0..64).map(|n| {
        let handler = if n % 2 == 0 { &here } else { &there };
        handler.handle(&one, world.request(note("x")))
    });
    let mut versions: Vec<u64> = join_all(notes)
        .await
        .into_iter()
        .map(|receipt| receipt.expect("noted").version)
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, (2..=65).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_lost_answer_is_found_in_the_stream() {
    let world = World::default();
    let handler = world.process();
    let one = stream("1");
    world.journal.fail_next(Fault::LostAnswer);
    let receipt = handler
        .handle(&one, world.request(asked()))
        .await
        .expect("it was written");
    assert_eq!(receipt.events, ["requested"]);
    assert_eq!(world.commits(&one).await, 1);
}

#[tokio::test]
async fn a_lost_request_is_unavailable_and_the_next_command_reads_afresh() {
    let world = World::default();
    let handler = world.process();
    let one = stream("1");
    world.journal.fail_next(Fault::LostRequest);
    let lost = handler.handle(&one, request(KEY, true, asked())).await;
    assert!(matches!(lost, Err(Failure::Unavailable(_))), "{lost:?}");
    handler
        .handle(&one, request(KEY, true, asked()))
        .await
        .expect("the retry is the first");
    assert_eq!(world.commits(&one).await, 1);
}

#[tokio::test]
async fn a_key_gets_its_first_receipt_from_any_process_whatever_happened_since() {
    let world = World::default();
    let one = stream("1");
    let first = world.process();
    first
        .handle(&one, world.request(asked()))
        .await
        .expect("requested");
    let receipt = first
        .handle(&one, request(KEY, true, start("ann")))
        .await
        .expect("started");
    for n in 0..40 {
        // More commits than the handler remembers, so that it has to read the stream.
        first
            .handle(&one, world.request(note(&n.to_string())))
            .await
            .expect("noted");
    }
    let again = first.handle(&one, request(KEY, true, start("ann"))).await;
    assert_eq!(again.expect("known"), receipt);
    let elsewhere = world
        .process()
        .handle(&one, request(KEY, true, start("ann")))
        .await;
    assert_eq!(elsewhere.expect("known"), receipt);
    assert_eq!(world.commits(&one).await, 42);
}

#[tokio::test]
async fn a_key_that_the_read_side_knows_is_answered_without_the_journal() {
    let world = World::default();
    let receipt = Receipt {
        id: "1".to_owned(),
        version: 9,
        position: Position(99),
        command: KEY,
        events: vec!["noted".to_owned()],
        unchanged: false,
    };
    let known = Known {
        receipt: receipt.clone(),
        request: Digest::default(),
    };
    let one = stream("1");
    world.receipts.insert(one.tenant.clone(), KEY, known);
    let handler = world.process();
    let again = handler.handle(&one, request(KEY, true, note("x"))).await;
    assert_eq!(again.expect("known"), receipt);
    let other = Request {
        digest: Digest([1; 16]),
        ..request(KEY, true, note("y"))
    };
    assert!(matches!(
        handler.handle(&one, other).await,
        Err(Failure::KeyReused)
    ));
}

#[tokio::test]
async fn a_key_is_refused_for_another_body_and_for_another_aggregate() {
    let world = World::default();
    let handler = world.process();
    let (one, two) = (stream("1"), stream("2"));
    handler
        .handle(&one, request(KEY, true, asked()))
        .await
        .expect("requested");
    let other = Request {
        digest: Digest([1; 16]),
        ..request(KEY, true, asked())
    };
    assert!(matches!(
        handler.handle(&one, other).await,
        Err(Failure::KeyReused)
    ));
    let elsewhere = handler.handle(&two, request(KEY, true, asked())).await;
    assert!(
        matches!(elsewhere, Err(Failure::KeyReused)),
        "{elsewhere:?}"
    );
}

#[tokio::test]
async fn an_expected_version_is_compared_with_the_newest() {
    let world = World::default();
    let (here, there) = (world.process(), world.process());
    let one = stream("1");
    here.handle(&one, world.request(asked()))
        .await
        .expect("requested");
    there
        .handle(&one, world.request(note("x")))
        .await
        .expect("noted elsewhere");
    let expecting = |version| Request {
        expected_version: Some(version),
        ..world.request(note("y"))
    };
    let stale = here.handle(&one, expecting(1)).await;
    assert!(
        matches!(stale, Err(Failure::VersionMismatch { actual: 2 })),
        "{stale:?}"
    );
    here.handle(&one, expecting(2)).await.expect("noted");
}

#[tokio::test]
async fn what_is_unknown_has_no_version_that_could_be_another() {
    let world = World::default();
    let expecting = Request {
        expected_version: Some(7),
        ..world.request(note("x"))
    };
    let unknown = world.process().handle(&stream("1"), expecting).await;
    assert!(
        matches!(unknown, Err(Failure::Refused(Refusal::Unknown))),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn an_import_may_lie_in_the_past_and_not_in_the_future() {
    let world = World::default();
    let handler = world.process();
    let at = |time: &str| Request {
        occurred_at: Some(time.parse().expect("a time")),
        ..world.request(asked())
    };
    handler
        .handle(&stream("1"), at("2012-05-31T20:09:21+02:00"))
        .await
        .expect("long ago");
    let future = handler
        .handle(&stream("2"), at("2026-01-05T10:00:00.001Z"))
        .await;
    assert!(
        matches!(future, Err(Failure::OccurredInFuture(_))),
        "{future:?}"
    );
}

#[tokio::test]
async fn a_long_stream_is_loaded_from_its_snapshot() {
    let world = World::default();
    let handler = world.process();
    let one = stream("1");
    handler
        .handle(&one, world.request(asked()))
        .await
        .expect("requested");
    for _ in 0..1_200 {
        handler
            .handle(&one, world.request(note("x")))
            .await
            .expect("noted");
    }
    // The snapshot is saved by a task of its own, which runs when this one lets it.
    while world.snapshots.count() == 0 {
        tokio::task::yield_now().await;
    }
    let loaded = Loaded::<Assignment>::load(&one, &world.journal, &world.snapshots).await;
    let loaded = loaded.expect("readable");
    assert_eq!(loaded.version, 1_201);
    assert_ne!(loaded.recent(KEY, Position::START), loaded::Recent::Never);
    let receipt = world
        .process()
        .handle(&one, world.request(start("ann")))
        .await;
    assert_eq!(receipt.expect("started").version, 1_203);
}

#[tokio::test]
async fn the_chain_binds_every_commit_to_those_before_it() {
    let world = World::default();
    let handler = world.process();
    let one = stream("1");
    handler
        .handle(&one, world.request(asked()))
        .await
        .expect("requested");
    handler
        .handle(&one, world.request(note("x")))
        .await
        .expect("noted");
    let commits: Vec<_> = world
        .journal
        .read_stream(&one, Position::START)
        .map(|c| c.expect("readable").chain)
        .collect()
        .await;
    assert_eq!(commits.len(), 2);
    assert!(commits[0] != commits[1] && commits[0] != domain::Chain::default());
}
