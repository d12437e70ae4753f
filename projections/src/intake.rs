//! Intake: reads the journal and decodes, in a task of its own, ahead of whoever folds.
//!
//! What is decoded and not yet folded is bounded in bytes: while Postgres is away or a table is
//! locked, the reader stands still. A new commit passes through at once; where many come, whoever folds
//! says how long a batch may gather.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use domain::Position;
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use crate::fact::Facts;
use crate::model::Reads;
use crate::source::Source;

/// How much may be decoded and not yet folded, and how much of it one batch gathers: the next one is decoded while
/// it is written.
const WAITING_BYTES_MAX: usize = 48 * 1024 * 1024;
const GATHERED_BYTES_MAX: usize = WAITING_BYTES_MAX / 2;

/// How many entries go through in one piece where many are there: enough to make the hand-over cheap.
const CHUNK_ENTRIES_MAX: usize = 64;

/// How many pieces may wait; the bytes are the true limit.
const WAITING_CHUNKS_MAX: usize = 128;

/// Without anything new for so long, the journal is still: nobody is gathered for any more.
const STILL: Duration = Duration::from_millis(50);

/// Decoded entries, in order.
#[derive(Debug)]
pub(crate) struct Intake {
    chunks: mpsc::Receiver<Chunk>,
    /// What came and is in no batch yet.
    waiting: VecDeque<Chunk>,
    /// How many entries wait, and how many bytes they have.
    entries: usize,
    bytes: usize,
    _reader: AbortOnDropHandle<()>,
}

/// When a batch is complete, unless it is full before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gather {
    /// Not earlier.
    pub(crate) from: Instant,
    /// Not later, once there is something; earlier, where nothing more comes.
    pub(crate) until: Instant,
}

#[derive(Debug)]
struct Chunk {
    facts: Vec<Facts>,
    permit: Arc<OwnedSemaphorePermit>,
}

/// Some entries in order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) facts: Vec<Facts>,
    /// Given back when the batch is folded.
    permits: Vec<Arc<OwnedSemaphorePermit>>,
}

impl Intake {
    /// Begins to read `source` behind `after`, decoding what `reads` ask for.
    pub(crate) fn open(source: &dyn Source, after: Position, reads: Vec<Reads>) -> Self {
        let (sender, chunks) = mpsc::channel(WAITING_CHUNKS_MAX);
        let entries = source.read_all(after);
        let reader = tokio::spawn(async move {
            let waiting = Arc::new(Semaphore::new(WAITING_BYTES_MAX));
            let mut last = after;
            let mut entries = entries.ready_chunks(CHUNK_ENTRIES_MAX);
            while let Some(entries) = entries.next().await {
                let mut facts = Vec::with_capacity(entries.len());
                for entry in entries {
                    // An entry that comes again has been taken already.
                    if entry.position() > last {
                        last = entry.position();
                        facts.push(Facts::decode(entry, &reads));
                    }
                }
                if facts.is_empty() {
                    continue;
                }
                let bytes = bytes_of(&facts).min(WAITING_BYTES_MAX);
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                let Ok(permit) = Arc::clone(&waiting).acquire_many_owned(bytes).await else {
                    return;
                };
                let permit = Arc::new(permit);
                if sender.send(Chunk { facts, permit }).await.is_err() {
                    return;
                }
            }
        });
        Self {
            chunks,
            waiting: VecDeque::new(),
            entries: 0,
            bytes: 0,
            _reader: AbortOnDropHandle::new(reader),
        }
    }

    /// What is there when it is time, at most `entries_max` entries and none behind `to`; waits until there
    /// is something. Empty, when the next entry stands behind `to`; none, when the source ended. May be
    /// dropped while it waits.
    pub(crate) async fn batch(
        &mut self,
        entries_max: usize,
        to: Position,
        gather: Gather,
    ) -> Option<Batch> {
        if Instant::now() < gather.from {
            tokio::time::sleep_until(gather.from).await;
        }
        if self.waiting.is_empty() {
            let first = self.chunks.recv().await?;
            self.take(first);
        }
        while self.entries < entries_max
            && self.bytes < GATHERED_BYTES_MAX
            && let Some(more) = self.more(gather.until).await
        {
            self.take(more);
        }
        Some(self.cut(entries_max, to))
    }

    /// What comes next, until `until` or until nothing comes any more.
    async fn more(&mut self, until: Instant) -> Option<Chunk> {
        if let Ok(there) = self.chunks.try_recv() {
            return Some(there);
        }
        let now = Instant::now();
        if until <= now {
            return None;
        }
        let next = timeout_at(until.min(now + STILL), self.chunks.recv()).await;
        next.ok().flatten()
    }

    fn take(&mut self, chunk: Chunk) {
        self.entries += chunk.facts.len();
        self.bytes += bytes_of(&chunk.facts);
        self.waiting.push_back(chunk);
    }

    /// What waits, as far as it has room and stands up to `to`.
    fn cut(&mut self, entries_max: usize, to: Position) -> Batch {
        let mut batch = Batch::default();
        while let Some(mut chunk) = self.waiting.pop_front() {
            let room = entries_max - batch.facts.len();
            let cut = chunk.facts.partition_point(|facts| facts.position() <= to);
            let rest = chunk.facts.split_off(cut.min(room));
            batch.facts.append(&mut chunk.facts);
            batch.permits.push(Arc::clone(&chunk.permit));
            if !rest.is_empty() {
                let permit = chunk.permit;
                self.waiting.push_front(Chunk {
                    facts: rest,
                    permit,
                });
                break;
            }
        }
        self.entries -= batch.facts.len();
        self.bytes -= bytes_of(&batch.facts);
        batch
    }
}

fn bytes_of(facts: &[Facts]) -> usize {
    facts.iter().map(Facts::bytes).sum()
}

/// At once.
impl Default for Gather {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            from: now,
            until: now,
        }
    }
}
