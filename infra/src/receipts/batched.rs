//! Asking the read model `command`, many questions in one statement.
//!
//! A read side that does not answer must not stop the write side: then nothing is known, and the
//! handler reads the aggregate's own stream instead.

use std::collections::HashMap;
use std::time::Duration;

use commands::{Known, Lookup, Receipt};
use domain::{CommandId, Position, Tenant};
use projections::QueryError;
use projections::command::{self, CommandRow};
use sqlx::{PgConnection, PgPool};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

/// How many questions one statement asks: more only make it longer for all.
const BATCH_MAX: usize = 500;

/// How many questions may wait: as many as commands are in flight at the very most.
const WAITING_MAX: usize = 20_000;

/// How long an answer is waited for: far longer than a busy read side takes, since what follows, a
/// read of every command's own stream, costs a busy machine more than waiting.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// How long a read side that did not answer is left alone, so that few commands wait for a sick one.
const REST: Duration = Duration::from_secs(5);

/// Asks the read model `command`, many questions at a time.
pub(super) struct Batched {
    questions: mpsc::Sender<Question>,
}

struct Question {
    tenant: Tenant,
    command: CommandId,
    answer: oneshot::Sender<Lookup>,
}

const NOTHING: Lookup = Lookup {
    known: None,
    read_to: Position::START,
};

impl Batched {
    /// Asks through `pool`, from a task that ends when this value is dropped.
    pub(super) fn new(pool: PgPool) -> Self {
        let (questions, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(answer_all(pool, waiting));
        Self { questions }
    }

    pub(super) async fn find(&self, tenant: &Tenant, command: CommandId) -> Lookup {
        let (answer, answered) = oneshot::channel();
        let question = Question {
            tenant: tenant.clone(),
            command,
            answer,
        };
        match self.questions.try_send(question) {
            Ok(()) => answered.await.unwrap_or(NOTHING),
            Err(_full_or_closed) => NOTHING,
        }
    }
}

async fn answer_all(pool: PgPool, mut waiting: mpsc::Receiver<Question>) {
    let mut questions = Vec::with_capacity(BATCH_MAX);
    let mut rest_until = None;
    let mut seeker = None;
    while waiting.recv_many(&mut questions, BATCH_MAX).await > 0 {
        let resting = rest_until.is_some_and(|until| Instant::now() < until);
        let answers = if resting {
            None
        } else {
            ask(&pool, &mut seeker, &questions).await
        };
        rest_until = match answers {
            Some(_) => None,
            None if resting => rest_until,
            None => Some(Instant::now() + REST),
        };
        let mut answers = answers.unwrap_or_default().into_iter();
        for question in questions.drain(..) {
            // Whoever asked may have gone away; then nobody misses the answer.
            drop(question.answer.send(answers.next().unwrap_or(NOTHING)));
        }
    }
}

/// One answer a question, in their order; nothing when the read side is slow or away.
async fn ask(
    pool: &PgPool,
    seeker: &mut Option<PgConnection>,
    questions: &[Question],
) -> Option<Vec<Lookup>> {
    let wanted: Vec<_> = questions
        .iter()
        .map(|question| (question.tenant.clone(), question.command))
        .collect();
    let found = match timeout(ANSWER_MAX, find(pool, seeker, &wanted)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::warn!(%error, "receipts not found: commands read their streams instead");
            return None;
        }
        Err(_elapsed) => {
            tracing::warn!("receipts not found in time: commands read their streams instead");
            return None;
        }
    };
    let rows: HashMap<_, _> = found
        .rows
        .into_iter()
        .map(|row| ((row.stream.tenant.clone(), row.id), row))
        .collect();
    let answers = wanted.iter().map(|key| Lookup {
        known: rows.get(key).map(known),
        read_to: found.position,
    });
    Some(answers.collect())
}

/// Asks on the connection that is kept for it; on a fresh one, where there is none or it was lost.
/// One on which an answer was not waited for is not used again.
async fn find(
    pool: &PgPool,
    seeker: &mut Option<PgConnection>,
    wanted: &[(Tenant, CommandId)],
) -> Result<command::Known, QueryError> {
    if let Some(mut kept) = seeker.take()
        && let Ok(found) = command::find_many(&mut kept, wanted).await
    {
        *seeker = Some(kept);
        return Ok(found);
    }
    let mut fresh = command::seeker(pool).await?;
    let found = command::find_many(&mut fresh, wanted).await?;
    *seeker = Some(fresh);
    Ok(found)
}

fn known(row: &CommandRow) -> Known {
    let receipt = Receipt {
        id: row.stream.id.to_string(),
        version: row.version,
        position: row.position,
        command: row.id,
        events: row.events.clone(),
        unchanged: false,
    };
    Known {
        receipt,
        request: row.request,
    }
}
