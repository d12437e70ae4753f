//! Single appends, and the answers that JetStream gives.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Message, Request, RequestError, RequestErrorKind};
use commands::journal::{Append, AppendError, BoxError, COMMIT_BYTES_MAX};
use domain::{Position, StreamId};

use super::{Settings, message};
use crate::nats::api::{self, PubAck, Refusal};
use crate::nats::subjects;

/// How long JetStream may take to acknowledge: a leader's election, or a disk that is very busy.
/// Whoever waits longer is told that the outcome is unknown.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a writer that waits looks whether its answer can still come.
const CONNECTION_CHECK: Duration = Duration::from_millis(250);

/// The subject's last message is not the expected one; the same, for one that is still on its way
/// through a cluster.
const WRONG_LAST_SEQUENCE: [u64; 2] = [10_071, 10_164];

/// Larger than the stream's `max_msg_size`.
const MESSAGE_TOO_LARGE: u64 = 10_054;

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("no connection to nats")]
    Disconnected,
    #[error("connection to nats was lost before the answer came")]
    Lost,
    #[error("JetStream refused: {description} (code `{code}`)")]
    Refused { code: u64, description: String },
}

/// Checks the commit itself.
pub(super) fn check_size(append: &Append) -> Result<(), AppendError> {
    let bytes = append.payload.len();
    if bytes > COMMIT_BYTES_MAX {
        return Err(AppendError::TooLarge {
            bytes,
            bytes_max: COMMIT_BYTES_MAX,
        });
    }
    Ok(())
}

/// Checks that there is a connection: without one, a message would wait in the client, and be written
/// after its writer has given up.
pub(super) fn check_connection(client: &Client) -> Result<(), AppendError> {
    if client.connection_state() == State::Connected {
        Ok(())
    } else {
        Err(AppendError::Unavailable(Cause::Disconnected.into()))
    }
}

/// Sends one commit and waits for its acknowledgement.
pub(super) async fn single(
    client: &Client,
    settings: &Settings,
    append: Append,
) -> Result<Position, AppendError> {
    check_connection(client)?;
    let headers = message::headers(&append);
    let subject = subjects::of_stream(&settings.prefix, &append.stream);
    let bytes = append.payload.len();
    let request = Request::new().headers(headers).payload(append.payload);
    match acknowledged(client, subject, request).await? {
        Ok(ack) if ack.duplicate => Err(AppendError::Duplicate(Position(ack.seq))),
        Ok(ack) => Ok(Position(ack.seq)),
        Err(refusal) => Err(refused(refusal, append.stream, bytes)),
    }
}

/// Sends `request` and says what JetStream answered, or why that cannot be told.
///
/// An answer that was under way when the connection was lost never comes, so nobody waits for it.
pub(super) async fn acknowledged(
    client: &Client,
    subject: String,
    request: Request,
) -> Result<Result<PubAck, Refusal>, AppendError> {
    let statistics = client.statistics();
    let connects = statistics.connects.load(Ordering::Relaxed);
    let request = request.timeout(Some(ACK_TIMEOUT));
    let mut answer = pin!(client.send_request(subject, request));
    loop {
        match tokio::time::timeout(CONNECTION_CHECK, &mut answer).await {
            Ok(answer) => return understood(answer),
            Err(_) => {
                let is_another = statistics.connects.load(Ordering::Relaxed) != connects;
                if is_another || client.connection_state() != State::Connected {
                    return Err(AppendError::Unknown(Cause::Lost.into()));
                }
            }
        }
    }
}

fn understood(
    answer: Result<Message, RequestError>,
) -> Result<Result<PubAck, Refusal>, AppendError> {
    match answer {
        Ok(answer) => {
            api::stored(&answer.payload).map_err(|error| AppendError::Unknown(error.into()))
        }
        Err(error) => Err(match error.kind() {
            // Nobody took the message, or it never left.
            RequestErrorKind::NoResponders
            | RequestErrorKind::InvalidSubject
            | RequestErrorKind::MaxPayloadExceeded => AppendError::Unavailable(error.into()),
            RequestErrorKind::TimedOut | RequestErrorKind::Other => {
                AppendError::Unknown(error.into())
            }
        }),
    }
}

fn refused(refusal: Refusal, stream: StreamId, bytes: usize) -> AppendError {
    let Refusal { code, description } = refusal;
    if WRONG_LAST_SEQUENCE.contains(&code) {
        return AppendError::Conflict { stream };
    }
    if code == MESSAGE_TOO_LARGE {
        return AppendError::TooLarge {
            bytes,
            bytes_max: COMMIT_BYTES_MAX,
        };
    }
    let cause: BoxError = Cause::Refused { code, description }.into();
    AppendError::Unavailable(cause)
}
