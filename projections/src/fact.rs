//! Facts: the events of a commit, decoded once and shared by all read models.
//!
//! An event that cannot be decoded is kept with the reason: it stops the models that need it and
//! no other. Times are cut to what Postgres stores, so that a row folded in memory and the same row
//! read back are equal.

use std::sync::Arc;

use domain::{
    Aggregate, Category, Commit, Entry, Position, RecordedEvent, StreamId, Timestamp, Token,
};
use domain::{assignment, batch, job, queue, schedule};
use uuid::Uuid;

use crate::model::{Poison, Reads};

/// One entry of the journal with its events decoded.
#[derive(Debug)]
pub struct Facts {
    position: Position,
    bytes: usize,
    content: Result<Content, Poison>,
}

#[derive(Debug)]
struct Content {
    commit: Arc<Commit>,
    events: Vec<Result<Decoded, Poison>>,
}

/// An event in the shape of its category.
#[derive(Debug)]
enum Decoded {
    Assignment(Arc<assignment::Event>),
    Job(Arc<job::Event>),
    Queue(Arc<queue::Event>),
    Schedule(Arc<schedule::Event>),
    Batch(Arc<batch::Event>),
    /// Nobody asked for it to be decoded.
    Unread,
}

/// How the events of a category are decoded.
type Decoder = fn(&RecordedEvent) -> Result<Decoded, Poison>;

/// Every category whose events are decoded.
const DECODERS: [(Category, Decoder); 5] = [
    (assignment::Assignment::CATEGORY, |event| {
        decode(event, Decoded::Assignment)
    }),
    (job::Job::CATEGORY, |event| decode(event, Decoded::Job)),
    (queue::Queue::CATEGORY, |event| {
        decode(event, Decoded::Queue)
    }),
    (schedule::Schedule::CATEGORY, |event| {
        decode(event, Decoded::Schedule)
    }),
    (batch::Batch::CATEGORY, |event| {
        decode(event, Decoded::Batch)
    }),
];

/// One event, as a read model meets it.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    /// The commit that it is part of.
    pub commit: &'a Commit,
    /// Its index in the commit, from 0.
    pub index: u32,
    /// As it was recorded.
    pub recorded: &'a RecordedEvent,
    event: &'a Result<Decoded, Poison>,
}

impl Facts {
    /// Decodes what one of `reads` asks for.
    #[must_use]
    pub fn decode(entry: Entry, reads: &[Reads]) -> Self {
        match entry {
            Entry::Commit(commit) => {
                let decoder = decoder(&commit.stream, reads);
                let decode = |event: &RecordedEvent| match decoder {
                    Some(decode) => decode(event),
                    None => Ok(Decoded::Unread),
                };
                let events = commit.payload.events.iter().map(decode).collect();
                Self {
                    position: commit.position,
                    bytes: bytes(&commit),
                    content: Ok(Content { commit, events }),
                }
            }
            Entry::Unreadable { position, reason } => Self {
                position,
                bytes: reason.len(),
                content: Err(Poison::new(format!("entry is unreadable: {reason}"))),
            },
        }
    }

    /// Where the entry stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Roughly how much memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many bytes of data its events have.
    pub(crate) fn data_bytes(&self) -> usize {
        self.commit().map_or(0, data_bytes)
    }

    /// The commit, where it could be read.
    pub(crate) fn commit(&self) -> Option<&Commit> {
        self.content.as_ref().ok().map(|content| &*content.commit)
    }

    /// The facts that a model with `reads` has to take, in order.
    ///
    /// # Errors
    /// When the entry cannot be read: nobody knows whom it concerns, so it stops everybody.
    pub fn of(&self, reads: Reads) -> Result<impl Iterator<Item = Fact<'_>>, Poison> {
        let content = self.content.as_ref().map_err(Clone::clone)?;
        let commit = &content.commit;
        let concerned = match reads {
            Reads::Commits => true,
            Reads::Category(category) => commit.stream.is_of(category),
        };
        let recorded = commit.payload.events.iter();
        let events = recorded.zip(&content.events).zip(0..);
        let facts = events.map(move |((recorded, event), index)| Fact {
            commit,
            index,
            recorded,
            event,
        });
        Ok(facts.filter(move |_| concerned))
    }
}

impl<'a> Fact<'a> {
    /// The event of an assignment.
    ///
    /// # Errors
    /// When it could not be decoded.
    pub fn assignment(&self) -> Result<&'a assignment::Event, Poison> {
        match self.decoded()? {
            Decoded::Assignment(event) => Ok(event),
            _ => Err(Poison::new("event is of no assignment")),
        }
    }

    /// The event of a job.
    ///
    /// # Errors
    /// When it could not be decoded.
    pub fn job(&self) -> Result<&'a job::Event, Poison> {
        match self.decoded()? {
            Decoded::Job(event) => Ok(event),
            _ => Err(Poison::new("event is of no job")),
        }
    }

    /// The event of a queue.
    ///
    /// # Errors
    /// When it could not be decoded.
    pub fn queue(&self) -> Result<&'a queue::Event, Poison> {
        match self.decoded()? {
            Decoded::Queue(event) => Ok(event),
            _ => Err(Poison::new("event is of no queue")),
        }
    }

    /// The event of a schedule.
    ///
    /// # Errors
    /// When it could not be decoded.
    pub fn schedule(&self) -> Result<&'a schedule::Event, Poison> {
        match self.decoded()? {
            Decoded::Schedule(event) => Ok(event),
            _ => Err(Poison::new("event is of no schedule")),
        }
    }

    /// The event of a batch.
    ///
    /// # Errors
    /// When it could not be decoded.
    pub fn batch(&self) -> Result<&'a batch::Event, Poison> {
        match self.decoded()? {
            Decoded::Batch(event) => Ok(event),
            _ => Err(Poison::new("event is of no batch")),
        }
    }

    fn decoded(&self) -> Result<&'a Decoded, Poison> {
        self.event.as_ref().map_err(Clone::clone)
    }

    /// The id in the stream's name, which must be written as ids are: two spellings would be one row.
    pub(crate) fn id(&self) -> Result<Uuid, Poison> {
        let StreamId { category, id, .. } = self.stream();
        let uuid = Uuid::try_parse(id.as_str()).ok();
        let uuid = uuid.filter(|uuid| Token::from(*uuid) == *id);
        uuid.ok_or_else(|| Poison::new(format!("`{id}` is no id in category `{category}`")))
    }

    /// The stream of its aggregate.
    #[must_use]
    pub fn stream(&self) -> &'a StreamId {
        &self.commit.stream
    }

    /// Where its commit stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.commit.position
    }

    /// How many events the aggregate has had with this one.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.commit.payload.version + u64::from(self.index) + 1
    }

    /// When it was recorded.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        stored(self.commit.payload.at)
    }

    /// When it happened.
    #[must_use]
    pub fn happened_at(&self) -> Timestamp {
        stored(self.commit.happened_at(self.recorded))
    }
}

/// The first moment that we store. Postgres begins in 4713 BC; a round year says it more plainly.
const EARLIEST_SECOND: i64 = -210_866_803_200;

/// `time` as Postgres stores it: whole microseconds, rounded down, and nothing before 4713 BC.
#[must_use]
pub fn stored(time: Timestamp) -> Timestamp {
    let earliest = Timestamp::constant(EARLIEST_SECOND, 0);
    let nanosecond = time.subsec_nanosecond().rem_euclid(1_000);
    let cut = time.checked_sub(jiff::SignedDuration::from_nanos(nanosecond.into()));
    cut.unwrap_or(earliest).max(earliest)
}

/// How the events of `stream` are decoded, where one of `reads` asks for it.
fn decoder(stream: &StreamId, reads: &[Reads]) -> Option<Decoder> {
    let (category, decoder) = DECODERS
        .into_iter()
        .find(|(category, _)| stream.is_of(*category))?;
    reads
        .contains(&Reads::Category(category))
        .then_some(decoder)
}

fn decode<E: domain::Event>(
    event: &RecordedEvent,
    decoded: fn(Arc<E>) -> Decoded,
) -> Result<Decoded, Poison> {
    let event = event.shared();
    event
        .map(decoded)
        .map_err(|error| Poison::from_error(&error))
}

/// An estimate that only has to grow with the truth: JSON, its decoded twin, and what holds them.
fn bytes(commit: &Commit) -> usize {
    const COMMIT_BYTES: usize = 600;
    const EVENT_BYTES: usize = 400;
    COMMIT_BYTES + EVENT_BYTES * commit.payload.events.len() + 2 * data_bytes(commit)
}

fn data_bytes(commit: &Commit) -> usize {
    let events = commit.payload.events.iter();
    events.map(|event| event.data().get().len()).sum()
}
