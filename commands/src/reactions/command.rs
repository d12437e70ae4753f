//! Commands of the reactor, and what becomes of them.
//!
//! What an aggregate refuses has happened already, or otherwise meanwhile. What cannot succeed however
//! often it is tried, as a command on a stream that cannot be read, is passed over, visibly: the
//! effects of everything else go on. Any other failure is the caller's, who tries again.

use domain::{Actor, Aggregate, CommandId, Digest, EventPosition, Name, Refusal, StreamId};
use uuid::{Uuid, uuid};

use crate::journal::BoxError;
use crate::{Failure, Handler, ReadError, Request};

/// As whom the reactor acts.
const REACTOR: &str = "reactor";

/// From which the ids of its commands are made, with the position of their cause.
const COMMANDS: Uuid = uuid!("6c656467-6572-5c69-ae65-7265616374f0");

/// The effect could not be carried out now.
pub(super) type NotNow = BoxError;

/// Gives the command that follows from `cause`, once however often it is given.
pub(super) async fn ask<A: Aggregate>(
    handler: &Handler<A>,
    stream: &StreamId,
    cause: EventPosition,
    command: A::Command,
) -> Result<(), NotNow> {
    let id = CommandId(Uuid::new_v5(&COMMANDS, cause.to_string().as_bytes()));
    let request = request(id, Some(cause), command);
    done(stream, handler.handle(stream, request).await.map(drop))
}

/// What is left to be done about `outcome`: nothing, or trying again.
pub(super) fn done<R: Refusal>(
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

pub(super) fn request<C>(
    id: CommandId,
    causation: Option<EventPosition>,
    command: C,
) -> Request<C> {
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
