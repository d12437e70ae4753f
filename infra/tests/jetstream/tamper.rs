//! Tampering: a real journal with its seals is copied, the copy is changed in 500 seeded ways, and each
//! is found, at its place. Some of them again on a stream that was really written anew.

mod changes;
mod rewritten;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use commands::memory::{MemoryReceipts, MemorySnapshots};
use commands::office::OnlyOne;
use commands::seal::sealer::{Parts, Sealer, Settings};
use commands::seal::verify::{Evidence, Report, Verifier};
use commands::seal::{PublicKeys, RawCommit, RawJournal, Seal, SealKeys as _, Seals, tree};
use commands::{Clock as _, Handler, Request};
use domain::queue::{Command, Queue};
use domain::{Actor, Aggregate as _, CommandId, Digest, Name, Position, StreamId, Tenant, Token};
use futures_util::TryStreamExt as _;
use futures_util::future::try_join_all;
use infra::nats::{JetStreamJournal, JetStreamRawJournal, JetStreamSeals, journal};
use infra::seals::{KeyFolder, SealsWithFiles, public_keys, read_files};
use infra::{SystemClock, keys};
use uuid::Uuid;

use crate::server::Server;

/// Streams of the journal.
const STREAMS: usize = 20;

/// Commits of each stream, and of some streams one more.
const ROUNDS: usize = 15;
const REST: usize = 13;

/// Commits of one seal.
const OF_SEAL: usize = 25;

/// Up to where the journal is sealed beside it; the rest only by a seal that is kept elsewhere.
const SEALED: usize = STREAMS * ROUNDS;

/// A journal as it was read from its server, with everything that vouches for it.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    pub(super) commits: Vec<RawCommit>,
    pub(super) seals: Vec<Seal>,
    /// Those that are beside the journal, and one more for what stands behind them.
    pub(super) outside: Vec<Seal>,
    keys: PublicKeys,
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("ledgerline-tamper-{}", SystemClock.fresh_id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

impl Copy {
    pub(super) fn verified(&self, outside: &[Seal], head: Position) -> Report {
        let mut verifier = Verifier::new(self.evidence(outside));
        for commit in &self.commits {
            verifier.take(commit);
        }
        verifier.finish(head)
    }

    pub(super) fn evidence(&self, outside: &[Seal]) -> Evidence {
        Evidence {
            seals: self.seals.clone(),
            outside: outside.to_vec(),
            keys: self.keys.clone(),
            ..Evidence::default()
        }
    }

    pub(super) fn head(&self) -> Position {
        self.commits
            .last()
            .map_or(Position::START, |commit| commit.position)
    }
}

/// Commands, through the handler, onto `STREAMS` streams at once.
async fn write(server: &Server) {
    let queues: Handler<Queue> = Handler::new(
        Arc::new(server.journal().await),
        Arc::new(MemoryReceipts::default()),
        Arc::new(MemorySnapshots::default()),
        Arc::new(SystemClock),
    );
    for round in 0..=ROUNDS {
        let streams = if round < ROUNDS { STREAMS } else { REST };
        let commands = (0..streams).map(|number| async move { (stream(number), request(round)) });
        let queues = &queues;
        let handled = commands.map(|command| async move {
            let (stream, request) = command.await;
            queues.handle(&stream, request).await
        });
        try_join_all(handled).await.expect("nobody else writes");
    }
}

fn stream(number: usize) -> StreamId {
    let tenant = Tenant::new("tamper").expect("a token");
    let id = Token::new(format!("queue-{number}")).expect("a token");
    StreamId::new(tenant, Queue::CATEGORY, id)
}

fn request(round: usize) -> Request<Command> {
    Request {
        // Half of them can come again, and are named beside their payload: of version 5 instead of 7.
        id: CommandId(match SystemClock.fresh_id() {
            named if round % 4 < 2 => Uuid::from_u128(named.as_u128() ^ (2 << 76)),
            drawn => drawn,
        }),
        keyed: false,
        digest: Digest::default(),
        actor: Actor {
            principal: Name::new("tester").expect("a name"),
            on_behalf_of: None,
        },
        correlation: None,
        causation: None,
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        occurred_at: None,
        expected_version: None,
        command: if round.is_multiple_of(2) {
            Command::Pause { reason: None }
        } else {
            Command::Resume
        },
    }
}

/// Writes and seals a journal, and reads all of it back.
async fn sealed_copy(server: &Server, folder: &Folder) -> Copy {
    write(server).await;
    let (key_folder, files) = (folder.0.join("keys"), folder.0.join("seals"));
    keys::ensure(&key_folder, &Token::new("k1").expect("a token")).expect("writable");
    let client = server.client().await;
    let raw = JetStreamRawJournal::new(client.clone(), journal::Settings::default());
    let stream = JetStreamSeals::open(client, None)
        .await
        .expect("a new stream");
    let kept = SealsWithFiles::new(Arc::new(stream.clone()), files.clone()).expect("writable");
    let grows = JetStreamJournal::open(server.client().await, journal::Settings::default()).await;
    let parts = Parts {
        journal: Arc::new(grows.expect("it is as it must be")),
        seals: Arc::new(kept),
        keys: Arc::new(KeyFolder(key_folder.clone())),
        office: Arc::new(OnlyOne),
        clock: Arc::new(SystemClock),
    };
    let settings = Settings {
        commits_max: OF_SEAL,
        wait_max: Duration::from_secs(3_600),
    };
    let sealer = tokio::spawn(Sealer::new(parts, settings).run());
    let is_sealed = |last: Option<Seal>| last.is_some_and(|seal| seal.last.0 == SEALED as u64);
    while !is_sealed(stream.last().await.expect("it answers")) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let head = raw.raw_head().await.expect("it answers");
    let commits: Vec<RawCommit> = raw
        .read_raw(Position::START, head)
        .try_collect()
        .await
        .expect("it is readable");
    let seals: Vec<Seal> = stream
        .read(0)
        .try_collect()
        .await
        .expect("they are readable");
    while read_files(&files).expect("they are readable") != seals {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sealer.abort();
    let rest: Vec<_> = commits[SEALED..].iter().map(tree::fingerprint).collect();
    let key = KeyFolder(key_folder.clone())
        .signing()
        .expect("it was made");
    let mut outside = seals.clone();
    outside.push(Seal::make(seals.last(), &rest, SystemClock.now(), &key));
    let keys = public_keys(&key_folder).expect("they are readable");
    Copy {
        commits,
        seals,
        outside,
        keys,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_changes_of_a_copied_journal_are_found_each_at_its_place() {
    let (server, folder) = (Server::start().await, Folder::new());
    let copy = sealed_copy(&server, &folder).await;
    assert_eq!((copy.commits.len(), copy.seals.len()), (SEALED + REST, 12));
    for outside in [&[][..], &copy.outside[..12]] {
        let report = copy.verified(outside, copy.head());
        assert_eq!(report.differing, 0, "{report:?}");
    }
    let missed = |seed| {
        let change = changes::Change::of(seed, &copy);
        change
            .is_found()
            .err()
            .map(|why| format!("seed {seed}: {why}"))
    };
    // Half of them each: hashing is what takes the time here.
    let missed: Vec<String> = std::thread::scope(|scope| {
        let even = scope.spawn(|| (0..500).step_by(2).filter_map(missed).collect::<Vec<_>>());
        let odd = (1..500).step_by(2).filter_map(missed).collect::<Vec<_>>();
        [even.join().expect("no panic"), odd].concat()
    });
    assert!(
        missed.is_empty(),
        "{} of 500 missed: {missed:#?}",
        missed.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_written_anew_is_found_out_over_the_wire() {
    let (server, folder) = (Server::start().await, Folder::new());
    let copy = sealed_copy(&server, &folder).await;
    rewritten::every_case_is_found(&copy).await;
}
