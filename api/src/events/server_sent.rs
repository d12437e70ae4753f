//! A subscription as server-sent events.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use futures_util::StreamExt as _;
use futures_util::stream;

use super::cloud_event::Message;
use super::subscription::{Begun, Sent, Subscription};

/// The client waits so long before it comes back after a break, in milliseconds.
const PREAMBLE: &[u8] = b"retry: 1000\n\n";

/// The answer, which ends with the subscription.
pub(crate) fn answer(subscription: Subscription) -> Response {
    let Begun { mut queue, .. } = subscription.begin();
    let preamble = stream::iter([Bytes::from_static(PREAMBLE)]);
    let sent = stream::poll_fn(move |context| queue.poll_recv(context)).map(|sent| match sent {
        Sent::Message(message, _room) => lines(&message),
        Sent::KeepAlive => Bytes::from_static(b": keep-alive\n\n"),
    });
    let mut response = Response::new(Body::from_stream(
        preamble.chain(sent).map(Ok::<_, Infallible>),
    ));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

fn lines(message: &Message) -> Bytes {
    let Message { id, kind, json } = message;
    format!("id: {id}\nevent: {kind}\ndata: {json}\n\n").into()
}
