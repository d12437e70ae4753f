//! Sockets over real connections, with limits that are soon reached.

use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::get;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message as Heard;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::task::AbortOnDropHandle;

use super::Service;
use crate::Limits;
use crate::auth::{Caller, Role};
use crate::events::cloud_event::Message;
use crate::events::subscription::{End, Subscription};
use crate::events::web_socket;

type Messages = BoxStream<'static, Result<Message, End>>;
type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// So many bytes a message: some of them fill every buffer on the way to a client.
const MESSAGE_BYTES: usize = 256 * 1024;

/// Messages without end.
fn endless() -> Messages {
    let message = Message {
        id: "1.0".to_owned(),
        kind: "large".to_owned(),
        json: "x".repeat(MESSAGE_BYTES),
    };
    stream::repeat_with(move || Ok(message.clone())).boxed()
}

fn nothing() -> Messages {
    stream::pending().boxed()
}

/// A server whose every socket is sent the same.
struct Server {
    service: Service,
    url: String,
    _serving: AbortOnDropHandle<()>,
}

impl Server {
    async fn sending(messages: fn() -> Messages, limits: Limits) -> Self {
        let service = Service::with(limits);
        let (app, caller) = (service.app.clone(), caller(&service));
        let handler = async move |upgrade: WebSocketUpgrade| {
            let place = app.event_clients().take(&caller)?;
            Ok::<_, crate::problem::ApiError>(web_socket::answer(
                upgrade,
                Subscription {
                    messages: messages(),
                    caller,
                    app,
                    place,
                },
            ))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("ws://{}", listener.local_addr().expect("it listens"));
        let router = Router::new().route("/", get(handler));
        let serving = tokio::spawn(crate::serve(listener, router, std::future::pending()).map(
            |served| {
                served.expect("it serves as long as the test");
            },
        ));
        Self {
            service,
            url,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    async fn open(&self) -> Client {
        let (client, _) = connect_async(&self.url).await.expect("a socket");
        client
    }

    /// Whether there is a place for one more.
    fn has_room(&self) -> bool {
        let caller = caller(&self.service);
        self.service.app.event_clients().take(&caller).is_ok()
    }
}

fn caller(service: &Service) -> Caller {
    let token = service.token("default", &[Role::Viewer]);
    let caller = service.app.verifier.verify(&token);
    caller.expect("a good token")
}

/// The code and reason of the close behind whatever was sent before; nothing if it came too late.
async fn close_of(mut client: Client) -> Option<(u16, String)> {
    while let Some(Ok(heard)) = client.next().await {
        if let Heard::Close(Some(frame)) = heard {
            return Some((frame.code.into(), frame.reason.to_string()));
        }
    }
    None
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_and_holds_nobody_back() {
    let limits = Limits {
        event_clients_max: 2,
        event_stall_max: Duration::from_secs(1),
        ..Limits::default()
    };
    let server = Server::sending(endless, limits).await;
    let slow = server.open().await;
    let mut fast = server.open().await;
    let mut met = 0;
    while !server.has_room() {
        let heard = fast.next().await.expect("it goes on").expect("it is whole");
        assert_eq!(heard.len(), MESSAGE_BYTES);
        met += 1;
    }
    assert!(met > 0);
    // It is told why, if it listens in the end.
    if let Some(close) = close_of(slow).await {
        assert_eq!(close, (1013, "client does not read".to_owned()));
    }
    assert!(fast.next().await.is_some_and(|heard| heard.is_ok()));
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_given_up() {
    let limits = Limits {
        event_clients_max: 1,
        event_keep_alive: Duration::from_millis(1),
        ..Limits::default()
    };
    let server = Server::sending(nothing, limits).await;
    // Who does not read answers no ping.
    let silent = server.open().await;
    while !server.has_room() {
        tokio::task::yield_now().await;
    }
    if let Some(close) = close_of(silent).await {
        assert_eq!(close, (1013, "client answers no ping".to_owned()));
    }
}

#[tokio::test]
async fn a_socket_is_closed_when_its_token_ends() {
    let limits = Limits {
        event_keep_alive: Duration::from_millis(1),
        ..Limits::default()
    };
    let server = Server::sending(nothing, limits).await;
    server.service.clock.set("2026-11-21T14:00:00Z");
    let close = close_of(server.open().await).await;
    assert_eq!(close, Some((1008, "token has ended".to_owned())));
}

#[tokio::test]
async fn a_socket_is_closed_with_the_reason_of_its_end() {
    let ends: [(fn() -> Messages, u16); 3] = [
        (|| stream::iter([Err(End::Over)]).boxed(), 1000),
        (|| stream::iter([Err(End::ReadSideAway)]).boxed(), 1013),
        (|| stream::empty().boxed(), 1013),
    ];
    for (messages, code) in ends {
        let server = Server::sending(messages, Limits::default()).await;
        let close = close_of(server.open().await).await;
        assert_eq!(close.map(|(code, _)| code), Some(code));
    }
}
