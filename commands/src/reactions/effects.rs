//! Carries effects out, as commands through the handlers.
//!
//! What an aggregate refuses has happened already, or otherwise meanwhile. What cannot succeed however
//! often it is tried, as a command on a stream that cannot be read, is passed over, visibly: the
//! effects of everything else go on. Any other failure is the caller's, who tries again.

use domain::job::{self, Job};
use domain::schedule::{self, Schedule};
use domain::{
    Actor, Aggregate, CommandId, Digest, EventPosition, Name, StreamId, Tenant, Timestamp, Token,
};
use uuid::{Uuid, uuid};

use super::{Effect, Parts, Reaction};
use crate::journal::BoxError;
use crate::{Failure, Handler, ReadError, Request};

/// As whom the reactor acts.
const REACTOR: &str = "reactor";

/// From which the ids of its commands are made, with the position of their cause.
const COMMANDS: Uuid = uuid!("6c656467-6572-5c69-ae65-7265616374f0");

/// The effect could not be carried out now.
pub(super) type NotNow = BoxError;

/// Carries `reaction` out. Doing so again changes nothing.
pub(super) async fn carry_out(parts: &Parts, reaction: Reaction) -> Result<(), NotNow> {
    let Reaction {
        cause,
        about,
        effect,
    } = reaction;
    match effect {
        Effect::EnqueueRun { job, run_after } => {
            let state = match parts.schedules.state(&about, cause.position).await {
                Ok(state) => state,
                Err(error) => return done::<schedule::Refusal>(&about, Err(error.into())),
            };
            let Some(spec) = state.spec() else {
                return Ok(());
            };
            let spec = spec.job(&about.id, run_after);
            let enqueue = job::Command::Enqueue(Box::new(spec));
            let stream = job_stream(&about.tenant, job);
            ask(&parts.jobs, &stream, cause, enqueue).await
        }
        Effect::CancelRun { job } => {
            let reason = job::Reason::new("a later run of its schedule takes its place");
            let cancel = job::Command::Cancel {
                reason: Some(reason.expect("a short text")),
            };
            let stream = job_stream(&about.tenant, job);
            ask(&parts.jobs, &stream, cause, cancel).await
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
            ask(&parts.schedules, &about, cause, end).await
        }
    }
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

async fn ask<A: Aggregate>(
    handler: &Handler<A>,
    stream: &StreamId,
    cause: EventPosition,
    command: A::Command,
) -> Result<(), NotNow> {
    let id = CommandId(Uuid::new_v5(&COMMANDS, cause.to_string().as_bytes()));
    let request = request(id, Some(cause), command);
    done(stream, handler.handle(stream, request).await.map(drop))
}

fn done<R: domain::Refusal>(
    stream: &StreamId,
    outcome: Result<(), Failure<R>>,
) -> Result<(), NotNow> {
    let Err(failure) = outcome else {
        return Ok(());
    };
    let is_unreadable = |source: &BoxError| {
        let error = source.downcast_ref::<ReadError>();
        matches!(error, Some(ReadError::Unreadable { .. }))
    };
    match &failure {
        Failure::Refused(refusal) => {
            tracing::debug!(%stream, error = refusal as &dyn std::error::Error, "nothing to do");
            return Ok(());
        }
        Failure::Contended { .. } => return Err(failure.into()),
        Failure::Unavailable(source) if !is_unreadable(source) => return Err(failure.into()),
        Failure::Unavailable(_)
        | Failure::VersionMismatch { .. }
        | Failure::KeyReused
        | Failure::OccurredInFuture(_)
        | Failure::TooLarge { .. } => {}
    }
    metrics::counter!("ledgerline_reactions_failed_total").increment(1);
    tracing::error!(
        %stream,
        error = &failure as &dyn std::error::Error,
        "an effect cannot be carried out, passed over"
    );
    Ok(())
}

fn request<C>(id: CommandId, causation: Option<EventPosition>, command: C) -> Request<C> {
    Request {
        id,
        keyed: false,
        digest: Digest::default(),
        actor: Actor {
            principal: Name::new(REACTOR).expect("a name"),
            on_behalf_of: None,
        },
        correlation: None,
        causation,
        trace: None,
        occurred_at: None,
        expected_version: None,
        command,
    }
}

fn job_stream(tenant: &Tenant, job: Uuid) -> StreamId {
    StreamId::new(tenant.clone(), Job::CATEGORY, Token::from(job))
}

/// Whether a stream is one of a schedule, whose next time may have moved.
pub(super) fn is_schedule(stream: &StreamId) -> bool {
    stream.is_of(Schedule::CATEGORY)
}
