//! Group commit: many waiting appends as one atomic batch (NATS ADR-50).
//!
//! One append alone costs one fsync; a batch of 1,000 costs about four, and some milliseconds of its
//! own. So appends are sent singly until more of them wait than [`GROUP_MIN`].
//!
//! - A batch has commits of different streams only, each with its own expectation.
//! - It is stored whole or not at all. One that was refused (a conflict or a duplicate inside, or too
//!   many batches at once) stored nothing: its commits are then sent singly, and each gets its own
//!   answer.
//! - Where the answer was lost, every one of its writers is told `Unknown` and reads its own stream
//!   back, as it has to after a single append.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::header::{NATS_BATCH_COMMIT, NATS_BATCH_ID, NATS_BATCH_SEQUENCE};
use async_nats::{Client, Request};
use commands::journal::{Append, AppendError};
use domain::Position;
use futures_util::FutureExt as _;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::written::Written;
use super::{Settings, message, write};
use crate::nats::subjects;

/// Single appends that are under way at once: JetStream writes them one after the other, and this many
/// keep it busy.
const SINGLES_MAX: usize = 64;

/// From how many waiting appends on a batch is faster than as many single ones; measured.
const GROUP_MIN: usize = 150;

/// The most that a server takes in one batch.
const GROUP_MAX: usize = 1_000;

/// The most bytes in one batch, so that batches of large commits do not fill the memory on either side.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Batches under way at once: the next one travels while the server syncs the last one.
const GROUPS_MAX: usize = 2;

/// Appends that may wait; more wait in front of the queue.
const QUEUE_MAX: usize = 16 * 1024;

/// Where appends go in.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Waiting>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    settings: Settings,
    written: Written,
    singles: Arc<Semaphore>,
    groups: Arc<Semaphore>,
    /// Appends that were queued and have not been sent.
    waiting: AtomicUsize,
    group_ended: Notify,
}

#[derive(Debug)]
struct Waiting {
    append: Append,
    answer: oneshot::Sender<Result<Position, AppendError>>,
}

#[derive(Debug, thiserror::Error)]
#[error("the journal's writer has ended")]
struct WriterEnded;

#[derive(Debug, thiserror::Error)]
enum GroupError {
    #[error("atomic batch: answer was lost: {0}")]
    Lost(Arc<AppendError>),
    #[error("atomic batch: `{count}` of `{sent}` commits were acknowledged")]
    Count { count: u64, sent: usize },
}

impl Writer {
    /// Starts the task that sends what waits.
    pub(super) fn start(client: Client, settings: Settings, written: Written) -> Self {
        let shared = Arc::new(Shared {
            client,
            settings,
            written,
            singles: Arc::new(Semaphore::new(SINGLES_MAX)),
            groups: Arc::new(Semaphore::new(GROUPS_MAX)),
            waiting: AtomicUsize::new(0),
            group_ended: Notify::new(),
        });
        let (queue, queued) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(send_waiting(shared.clone(), queued));
        Self { shared, queue }
    }

    /// Sends `append` at once where there is room, and lets it wait for its turn or its group otherwise.
    pub(super) async fn write(&self, append: Append) -> Result<Position, AppendError> {
        let shared = &self.shared;
        write::check_size(&append)?;
        let is_calm = shared.waiting.load(Ordering::Relaxed) == 0
            && shared.groups.available_permits() == GROUPS_MAX;
        if is_calm && let Ok(_slot) = shared.singles.try_acquire() {
            // In a place of its own: it is ten times as large as the wait for a group, of which there are thousands.
            return shared.write_alone(append).boxed().await;
        }
        let (answer, answered) = oneshot::channel();
        shared.waiting.fetch_add(1, Ordering::Relaxed);
        let queued = self.queue.send(Waiting { append, answer }).await;
        if queued.is_err() {
            return Err(AppendError::Unavailable(WriterEnded.into()));
        }
        match answered.await {
            Ok(answer) => answer,
            Err(_) => Err(AppendError::Unknown(WriterEnded.into())),
        }
    }
}

impl Shared {
    async fn write_alone(&self, append: Append) -> Result<Position, AppendError> {
        let told = self.written.is_followed().then(|| append.clone());
        let position = write::single(&self.client, &self.settings, append).await?;
        self.written.tell(position, told.into_iter().collect());
        Ok(position)
    }
}

/// Sends what waits, singly or in groups, until the last writer is gone.
async fn send_waiting(shared: Arc<Shared>, mut queued: mpsc::Receiver<Waiting>) {
    let mut waiting = VecDeque::new();
    // Where too few of those that wait are of different streams, looking again waits for more.
    let mut group_min = GROUP_MIN;
    loop {
        if waiting.is_empty() {
            match queued.recv().await {
                Some(first) => waiting.push_back(first),
                None => return,
            }
        }
        while waiting.len() < QUEUE_MAX
            && let Ok(next) = queued.try_recv()
        {
            waiting.push_back(next);
        }
        if waiting.len() < GROUP_MIN {
            group_min = GROUP_MIN;
        }
        let wants_group = waiting.len() >= group_min;
        if wants_group && let Ok(permit) = shared.groups.clone().try_acquire_owned() {
            let group = take_group(&mut waiting);
            if group.len() < GROUP_MIN {
                for one in group.into_iter().rev() {
                    waiting.push_front(one);
                }
                group_min = waiting.len() + GROUP_MIN;
            } else {
                shared.waiting.fetch_sub(group.len(), Ordering::Relaxed);
                tokio::spawn(send_group(shared.clone(), group, permit));
                continue;
            }
        }
        // While a group is under way the server is busy with it, and the next group grows here.
        let groups_under_way = shared.groups.available_permits() < GROUPS_MAX;
        let sends_singles = !groups_under_way;
        tokio::select! {
            biased;
            next = queued.recv(), if waiting.len() < QUEUE_MAX => match next {
                Some(next) => waiting.push_back(next),
                None => return send_rest(&shared, waiting).await,
            },
            () = shared.group_ended.notified(), if groups_under_way => {}
            slot = shared.singles.clone().acquire_owned(), if sends_singles => {
                if let (Ok(slot), Some(next)) = (slot, waiting.pop_front()) {
                    shared.waiting.fetch_sub(1, Ordering::Relaxed);
                    tokio::spawn(send_single(shared.clone(), next, Some(slot)));
                }
            }
        }
    }
}

/// Nobody waits for the answers any more, but what was taken is sent.
async fn send_rest(shared: &Arc<Shared>, waiting: VecDeque<Waiting>) {
    for one in waiting {
        send_single(shared.clone(), one, None).await;
    }
}

/// Takes the first of each stream, and leaves the others in their order.
fn take_group(waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let mut streams = HashSet::with_capacity(GROUP_MAX);
    let mut commands = HashSet::with_capacity(GROUP_MAX);
    let mut group = Vec::with_capacity(GROUP_MAX.min(waiting.len()));
    let mut left = VecDeque::new();
    let mut bytes = 0;
    while group.len() < GROUP_MAX
        && let Some(one) = waiting.pop_front()
    {
        let fits = bytes + one.append.payload.len() <= GROUP_BYTES_MAX;
        let is_other = !streams.contains(&one.append.stream) && !commands.contains(&one.append.id);
        if fits && is_other {
            bytes += one.append.payload.len();
            streams.insert(one.append.stream.clone());
            commands.insert(one.append.id);
            group.push(one);
        } else {
            // Its stream's later commits stay behind it.
            streams.insert(one.append.stream.clone());
            left.push_back(one);
        }
    }
    left.append(waiting);
    *waiting = left;
    group
}

async fn send_single(shared: Arc<Shared>, one: Waiting, slot: Option<OwnedSemaphorePermit>) {
    let Waiting { append, answer } = one;
    let result = shared.write_alone(append).await;
    drop(slot);
    if answer.send(result).is_err() {
        tracing::debug!("an append was written for nobody");
    }
}

async fn send_group(shared: Arc<Shared>, group: Vec<Waiting>, permit: OwnedSemaphorePermit) {
    metrics::histogram!("ledgerline_journal_group_commits").record(group.len() as f64);
    let answer = publish_group(&shared, &group).await;
    drop(permit);
    shared.group_ended.notify_one();
    match answer {
        Ok(Some(first)) => {
            let mut appends = Vec::with_capacity(group.len());
            for (index, one) in (0..).zip(group) {
                let told = one.answer.send(Ok(Position(first.0 + index)));
                if told.is_err() {
                    tracing::debug!("an append was written for nobody");
                }
                appends.push(one.append);
            }
            shared.written.tell(first, appends);
        }
        Ok(None) => {
            metrics::counter!("ledgerline_journal_groups_refused_total").increment(1);
            for one in group {
                // The semaphore is never closed.
                let slot = shared.singles.clone().acquire_owned().await.ok();
                tokio::spawn(send_single(shared.clone(), one, slot));
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for one in group {
                let told = one.answer.send(Err(unclear(&error)));
                if told.is_err() {
                    tracing::debug!("nobody waits for the outcome of an append");
                }
            }
        }
    }
}

fn unclear(error: &Arc<AppendError>) -> AppendError {
    let cause = GroupError::Lost(error.clone()).into();
    match **error {
        AppendError::Unavailable(_) => AppendError::Unavailable(cause),
        AppendError::Unknown(_)
        | AppendError::Conflict { .. }
        | AppendError::Duplicate(_)
        | AppendError::TooLarge { .. } => AppendError::Unknown(cause),
    }
}

/// Where the first of the group stands, or none when it was refused. Only the last message is answered:
/// a batch that lacks one of its messages is refused as well.
async fn publish_group(
    shared: &Shared,
    group: &[Waiting],
) -> Result<Option<Position>, AppendError> {
    let Shared {
        client, settings, ..
    } = shared;
    write::check_connection(client)?;
    let inbox = client.new_inbox();
    let batch = inbox.rsplit('.').next().unwrap_or_default();
    let mut answer = None;
    for (number, one) in (1..).zip(group) {
        let subject = subjects::of_stream(&settings.prefix, &one.append.stream);
        let payload = one.append.payload.clone();
        let mut headers = message::headers(&one.append);
        headers.insert(NATS_BATCH_ID, batch);
        headers.insert(NATS_BATCH_SEQUENCE, number.to_string());
        if number < group.len() {
            let sent = client.publish_with_headers(subject, headers, payload).await;
            // Without its end the batch is never stored.
            sent.map_err(|error| AppendError::Unavailable(error.into()))?;
        } else {
            headers.insert(NATS_BATCH_COMMIT, "1");
            let request = Request::new().headers(headers).payload(payload);
            answer = Some(write::acknowledged(client, subject, request).await?);
        }
    }
    let Some(answer) = answer else {
        return Ok(None);
    };
    match answer {
        Err(refusal) => {
            tracing::debug!(
                code = refusal.code,
                refusal.description,
                "batch was refused"
            );
            Ok(None)
        }
        Ok(ack) if ack.count == group.len() as u64 => Ok(Some(Position(ack.seq + 1 - ack.count))),
        Ok(ack) => {
            let (count, sent) = (ack.count, group.len());
            Err(AppendError::Unknown(
                GroupError::Count { count, sent }.into(),
            ))
        }
    }
}
