//! Carries effects out, as commands through the handlers.

use std::sync::Arc;

use domain::job::{self, Job};
use domain::schedule::{self, Schedule};
use domain::{Aggregate as _, CommandId, StreamId, Tenant, Timestamp, Token};
use uuid::Uuid;

use super::batches::{self, Looked};
use super::command::{NotNow, ask, done, request};
use super::{Effect, Parts, Reaction};

/// Carries `reaction` out, and tells what was seen of a batch that was looked at. Doing so again changes
/// nothing.
pub(super) async fn carry_out(parts: &Parts, reaction: Reaction) -> Result<Option<Looked>, NotNow> {
    let Reaction {
        cause,
        about,
        effect,
    } = reaction;
    match effect {
        Effect::EnqueueRun { job, run_after } => {
            let state = match parts.schedules.state(&about, cause.position).await {
                Ok(state) => state,
                Err(error) => {
                    done::<schedule::Refusal>(&about, Err(error.into()))?;
                    return Ok(None);
                }
            };
            let Some(spec) = state.spec() else {
                return Ok(None);
            };
            let spec = spec.job(&about.id, run_after);
            let enqueue = job::Command::Enqueue(Arc::new(spec));
            let stream = job_stream(&about.tenant, job);
            ask(&parts.jobs, &stream, cause, enqueue).await?;
        }
        Effect::CancelRun { job } => {
            let reason = job::Reason::new("a later run of its schedule takes its place");
            let cancel = job::Command::Cancel {
                reason: Some(reason.expect("a short text")),
            };
            let stream = job_stream(&about.tenant, job);
            ask(&parts.jobs, &stream, cause, cancel).await?;
        }
        Effect::EndRun {
            job,
            outcome,
            result,
        } => {
            let end = schedule::Command::EndRun {
                job,
                outcome,
                result,
            };
            ask(&parts.schedules, &about, cause, end).await?;
        }
        Effect::CompleteBatch { .. } => {
            return batches::complete(parts, about, cause).await.map(Some);
        }
        Effect::EnqueueFollowUp { job, spec } => {
            let stream = job_stream(&about.tenant, job);
            ask(&parts.jobs, &stream, cause, job::Command::Enqueue(spec)).await?;
        }
    }
    Ok(None)
}

/// Lets a schedule decide on what is due by now, and tells when it is due next.
pub(super) async fn fire(parts: &Parts, stream: &StreamId) -> Result<Option<Timestamp>, NotNow> {
    let id = CommandId(parts.clock.fresh_id());
    let request = request(id, None, schedule::Command::Fire);
    let fired = parts.schedules.handle(stream, request).await;
    let position = fired.as_ref().map(|receipt| receipt.position);
    let position = position.unwrap_or_default();
    done(stream, fired.map(drop))?;
    next(parts, stream, position).await
}

/// When a schedule is due next, with everything up to `position` taken in.
pub(super) async fn next(
    parts: &Parts,
    stream: &StreamId,
    position: domain::Position,
) -> Result<Option<Timestamp>, NotNow> {
    match parts.schedules.state(stream, position).await {
        Ok(state) => Ok(state.next()),
        Err(error) => {
            done::<schedule::Refusal>(stream, Err(error.into()))?;
            Ok(None)
        }
    }
}

fn job_stream(tenant: &Tenant, job: Uuid) -> StreamId {
    StreamId::new(tenant.clone(), Job::CATEGORY, Token::from(job))
}

/// Whether a stream is one of a schedule, whose next time may have moved.
pub(super) fn is_schedule(stream: &StreamId) -> bool {
    stream.is_of(Schedule::CATEGORY)
}
