//! A subscription as a WebSocket (RFC 6455): one JSON text a message, and a close code that says why.
//!
//! The client sends nothing but pongs and its close. Every end that the client can still be told of
//! has its code and its reason in one table, [`End::close`].

use std::time::Duration;

use axum::extract::ws::{
    CloseCode, CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code,
};
use axum::response::Response;
use tracing::Instrument as _;

use super::subscription::{Begun, End, Sent, Subscription};

/// The largest message that a client may send: a close has at most 125 bytes, and there is nothing else
/// to be said.
const INBOUND_BYTES_MAX: usize = 1_024;

/// So many pings may go without an answer: the third of them finds the client dead.
const PINGS_UNANSWERED_MAX: u32 = 2;

/// How long the client may take to answer a close, or to read what stands before it.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// The answer, which turns the connection into a socket that ends with the subscription.
pub(crate) fn answer(upgrade: WebSocketUpgrade, subscription: Subscription) -> Response {
    let span = tracing::Span::current();
    upgrade
        .max_message_size(INBOUND_BYTES_MAX)
        .max_frame_size(INBOUND_BYTES_MAX)
        .on_upgrade(|socket| {
            // The HTTP server no longer knows the connection: the process waits for its end by this.
            let serving = subscription.app.serving.clone();
            serving
                .track_future(serve(socket, subscription))
                .instrument(span)
        })
}

async fn serve(mut socket: WebSocket, subscription: Subscription) {
    let write_max = subscription.app.limits.event_stall_max;
    let Begun { mut queue, pump } = subscription.begin();
    let mut unanswered = 0;
    let cut = loop {
        let message = tokio::select! {
            sent = queue.recv() => match sent {
                Some(Sent::Message(message, _room)) => Message::Text(message.json.into()),
                Some(Sent::KeepAlive) if unanswered == PINGS_UNANSWERED_MAX => {
                    break Some(End::ClientSilent);
                }
                Some(Sent::KeepAlive) => {
                    unanswered += 1;
                    Message::Ping(axum::body::Bytes::new())
                }
                None => break None,
            },
            heard = socket.recv() => match heard {
                Some(Ok(Message::Pong(_) | Message::Ping(_))) => {
                    unanswered = 0;
                    continue;
                }
                Some(Ok(Message::Text(_) | Message::Binary(_))) => break Some(End::ClientSpoke),
                Some(Ok(Message::Close(_))) | None => break Some(End::ClientGone),
                // Larger than the limit, or no WebSocket any more; who has gone is told in vain.
                Some(Err(_)) => break Some(End::ClientSpoke),
            },
        };
        match tokio::time::timeout(write_max, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_broken)) => break Some(End::ClientGone),
            Err(_elapsed) => break Some(End::ClientSlow),
        }
    };
    drop(queue);
    let end = match cut {
        Some(end) => end,
        // It ends by itself, and does not panic.
        None => pump.await.unwrap_or(End::FeedAway),
    };
    close(socket, end).await;
}

/// Says why, and lets the client answer it.
async fn close(mut socket: WebSocket, end: End) {
    let Some((code, reason)) = end.close() else {
        return;
    };
    let reason = Utf8Bytes::from_static(reason);
    let frame = Message::Close(Some(CloseFrame { code, reason }));
    let closing = async {
        if socket.send(frame).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    if tokio::time::timeout(CLOSE_MAX, closing).await.is_err() {
        tracing::debug!(?end, "client does not answer the close");
    }
}

impl End {
    /// The code and the reason, where there is still somebody to be told.
    fn close(self) -> Option<(CloseCode, &'static str)> {
        Some(match self {
            Self::ClientGone => return None,
            Self::Over => (close_code::NORMAL, "it has ended"),
            Self::Stopping => (close_code::AWAY, "server is stopping"),
            Self::TokenEnded => (close_code::POLICY, "token has ended"),
            Self::ClientSpoke => (close_code::POLICY, "nothing is taken from clients"),
            Self::ClientSlow => (close_code::AGAIN, "client does not read"),
            Self::ClientSilent => (close_code::AGAIN, "client answers no ping"),
            Self::FeedAway => (close_code::AGAIN, "feed is away"),
            Self::ReadSideAway => (close_code::AGAIN, "read side is away"),
        })
    }
}
