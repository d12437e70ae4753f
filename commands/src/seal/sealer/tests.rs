//! When seals are made, and that nothing is sealed twice or passed over. Time stands still until
//! somebody waits for it.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use uuid::Uuid;

use super::super::testing::keys;
use super::super::verify::{Evidence, Report, Verifier};
use super::super::{RawCommit, RawJournal as _};
use super::*;
use crate::journal::contract::Fixture;
use crate::memory::{MemoryJournal, MemorySeals};
use crate::office::OnlyOne;

struct Still;

impl Clock for Still {
    fn now(&self) -> domain::Timestamp {
        domain::Timestamp::UNIX_EPOCH
    }

    fn fresh_id(&self) -> Uuid {
        Uuid::nil()
    }
}

struct OneKey;

impl SealKeys for OneKey {
    fn signing(&self) -> Result<SealKey, BoxError> {
        Ok(keys("k1").0)
    }
}

use super::super::SealKey;

/// A journal in memory, and a sealer on it that is aborted with the test.
struct Rig {
    journal: MemoryJournal,
    fixture: Fixture,
    seals: MemorySeals,
    written: u64,
}

struct Running(tokio::task::JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Rig {
    fn new() -> Self {
        let journal = MemoryJournal::default();
        Self {
            fixture: Fixture::new(Arc::new(journal.clone()), "sealer"),
            journal,
            seals: MemorySeals::default(),
            written: 0,
        }
    }

    async fn write(&mut self, count: u64) {
        for _ in 0..count {
            self.written += 1;
            let stream = format!("s{}", self.written);
            self.fixture
                .appended(&stream, Position::START, self.written)
                .await;
        }
    }

    fn seal(&self, commits_max: usize, wait_s: u64) -> Running {
        self.seal_over(Arc::new(self.journal.clone()), commits_max, wait_s)
    }

    fn seal_over(&self, journal: Arc<dyn RawTail>, commits_max: usize, wait_s: u64) -> Running {
        let parts = Parts {
            journal,
            seals: Arc::new(self.seals.clone()),
            keys: Arc::new(OneKey),
            office: Arc::new(OnlyOne),
            clock: Arc::new(Still),
        };
        let wait_max = Duration::from_secs(wait_s);
        let sealer = Sealer::new(
            parts,
            Settings {
                commits_max,
                wait_max,
            },
        );
        Running(tokio::spawn(sealer.run()))
    }

    async fn until_sealed_to(&self, position: u64) {
        let sealed = || {
            self.seals
                .all()
                .last()
                .is_some_and(|seal| seal.last.0 >= position)
        };
        while !sealed() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn ranges(&self) -> Vec<(u64, u64)> {
        let seals = self.seals.all();
        seals
            .iter()
            .map(|seal| (seal.first.0, seal.last.0))
            .collect()
    }

    async fn verified(&self) -> Report {
        let mut verifier = Verifier::new(Evidence {
            seals: self.seals.all(),
            keys: keys("k1").1,
            ..Evidence::default()
        });
        let head = Position(self.written);
        let mut commits = self.journal.read_raw(Position::START, head);
        while let Some(Ok(commit)) = commits.next().await {
            verifier.take(&commit);
        }
        verifier.finish(head)
    }
}

#[tokio::test(start_paused = true)]
async fn full_ranges_are_sealed_at_once_and_the_rest_when_it_has_waited() {
    let mut rig = Rig::new();
    rig.write(25).await;
    let began = Instant::now();
    let _sealer = rig.seal(10, 60);
    rig.until_sealed_to(20).await;
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(rig.ranges(), [(1, 10), (11, 20)]);
    rig.until_sealed_to(25).await;
    assert!(began.elapsed() >= Duration::from_secs(60));
    assert_eq!(rig.ranges(), [(1, 10), (11, 20), (21, 25)]);
    let report = rig.verified().await;
    assert_eq!(
        (report.differing, report.sealed_to.0),
        (0, 25),
        "{report:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_sealer_goes_on_behind_the_last_seal_and_two_at_once_seal_nothing_twice() {
    let mut rig = Rig::new();
    rig.write(12).await;
    let first = rig.seal(5, 60);
    rig.until_sealed_to(10).await;
    drop(first);
    let _both = (rig.seal(5, 60), rig.seal(5, 60));
    rig.write(30).await;
    rig.until_sealed_to(40).await;
    let all = (1..=8).map(|number| (number * 5 - 4, number * 5));
    assert_eq!(rig.ranges(), all.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_commit_is_sealed_as_it_stands() {
    let mut rig = Rig::new();
    rig.write(3).await;
    let no_commit = Bytes::from_static(b"no commit");
    rig.journal.deface(rig.fixture.stream("bad"), no_commit);
    rig.written += 1;
    let _sealer = rig.seal(4, 60);
    rig.until_sealed_to(4).await;
    let report = rig.verified().await;
    assert_eq!(
        (report.differing, report.findings[0].position),
        (1, Some(Position(4)))
    );
}

/// Loses position 6 until it is told to have it again.
struct Gapped {
    journal: MemoryJournal,
    has_gap: Arc<AtomicBool>,
}

impl RawTail for Gapped {
    fn follow_raw(&self, after: Position) -> BoxStream<'static, RawCommit> {
        let has_gap = self.has_gap.load(Ordering::Relaxed);
        let there = move |commit: &RawCommit| {
            std::future::ready(!has_gap || commit.position != Position(6))
        };
        self.journal.follow_raw(after).filter(there).boxed()
    }

    fn raw_end(&self) -> BoxFuture<'_, Result<Position, ReadError>> {
        self.journal.raw_end()
    }
}

#[tokio::test(start_paused = true)]
async fn no_seal_passes_over_a_missing_position() {
    let mut rig = Rig::new();
    rig.write(12).await;
    let has_gap = Arc::new(AtomicBool::new(true));
    let gapped = Gapped {
        journal: rig.journal.clone(),
        has_gap: has_gap.clone(),
    };
    let _sealer = rig.seal_over(Arc::new(gapped), 4, 60);
    rig.until_sealed_to(4).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(rig.ranges(), [(1, 4)]);
    has_gap.store(false, Ordering::Relaxed);
    rig.until_sealed_to(12).await;
    assert_eq!(rig.ranges(), [(1, 4), (5, 8), (9, 12)]);
}
