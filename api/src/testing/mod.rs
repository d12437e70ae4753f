//! The whole router over ports in memory, for the tests of this crate. Queries on read models find no
//! database here and answer 503; they are tested from the root, over a real one.

mod access;
mod batches;
mod commands;
mod exchange;
mod jobs;
mod limits;
mod queues;
mod schedules;
mod sockets;
mod tickets;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::commands::dispatch::Dispatcher;
use ::commands::dispatch::office::{self, FromTheStart};
use ::commands::feed::FeedEvent;
use ::commands::feed::replay::ReplaySink;
use ::commands::journal::BoxError;
use ::commands::memory::{
    MemoryFeed, MemoryJournal, MemoryReceipts, MemorySnapshots, MemoryTickets,
};
use ::commands::office::{Office, OnlyOne};
use ::commands::{Clock, Handler};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use domain::{Aggregate, Name, Tenant, Timestamp, Token};
use futures_util::future::{BoxFuture, FutureExt as _, ready};
use projections::{ReadSide, Reader};
use sqlx::postgres::PgPoolOptions;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::auth::{AllowedOrigins, Grant, Keys, Role, SigningKey, Verifier, mint};
use crate::{App, Health, HealthCheck, Limits, Parts, Reads, Replays, Tickets};

/// A day of tests, at noon.
pub(crate) const NOON: &str = "2026-11-21T12:00:00Z";

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct TestClock {
    now: Mutex<Timestamp>,
    ids: AtomicU64,
}

impl Default for TestClock {
    fn default() -> Self {
        Self {
            now: Mutex::new(time(NOON)),
            ids: AtomicU64::new(1),
        }
    }
}

impl TestClock {
    pub(crate) fn set(&self, now: &str) {
        *self.now.lock().expect("no test panicked with it") = time(now);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().expect("no test panicked with it")
    }

    fn fresh_id(&self) -> Uuid {
        let count = self.ids.fetch_add(1, Ordering::Relaxed);
        Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | u128::from(count))
    }
}

/// Ed25519 keys as PEM: private, public.
pub(crate) fn key_pair() -> (String, String) {
    let private = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).expect("randomness");
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(private.as_ref()).expect("just made");
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("an Ed25519 key");
    let pem = |tag: &str, der: &[u8]| pem::encode(&pem::Pem::new(tag, der));
    (
        pem("PRIVATE KEY", private.as_ref()),
        pem("PUBLIC KEY", public.as_ref()),
    )
}

#[derive(Debug)]
struct NoSink;

impl ReplaySink for NoSink {
    fn send<'a>(&'a self, _: &'a Token, _: Vec<FeedEvent>) -> BoxFuture<'a, Result<(), BoxError>> {
        ready(Ok(())).boxed()
    }

    fn end<'a>(
        &'a self,
        _: &'a Tenant,
        _: &'a Token,
        _: u64,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        ready(Ok(())).boxed()
    }
}

struct Broken;

impl HealthCheck for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn check(&self) -> BoxFuture<'_, Health> {
        ready(Health::Failed("it is away".to_owned())).boxed()
    }
}

/// The service, and what tests look at behind it.
pub(crate) struct Service {
    pub(crate) router: Router,
    pub(crate) app: App,
    pub(crate) journal: MemoryJournal,
    pub(crate) feed: MemoryFeed,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) signing: SigningKey,
    pub(crate) shutdown: CancellationToken,
    /// Whether `/metrics` panics.
    pub(crate) panics: Arc<AtomicBool>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

fn handler<A: Aggregate>(journal: &MemoryJournal, clock: &Arc<TestClock>) -> Handler<A> {
    Handler::new(
        Arc::new(journal.clone()),
        Arc::new(MemoryReceipts::default()),
        Arc::new(MemorySnapshots::default()),
        Arc::clone(clock) as _,
    )
}

impl Service {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self::dispatched_by(limits, Arc::new(OnlyOne))
    }

    /// The service with a dispatcher that waits for `office`.
    pub(crate) fn dispatched_by(limits: Limits, office: Arc<dyn Office>) -> Self {
        let (private, public) = key_pair();
        let clock = Arc::new(TestClock::default());
        let keys = Keys::from_public_pems([("first", public)]).expect("a public key");
        let verifier = Arc::new(Verifier::new(keys, Arc::clone(&clock) as _));
        let (journal, feed) = (MemoryJournal::default(), MemoryFeed::default());
        let shutdown = CancellationToken::new();
        let panics = Arc::new(AtomicBool::new(false));
        let panicking = Arc::clone(&panics);
        let pool = PgPoolOptions::new()
            .acquire_timeout(Duration::from_millis(50))
            .connect_lazy("postgres://nobody@127.0.0.1:1/none")
            .expect("a well formed address");
        let jobs = Arc::new(handler(&journal, &clock));
        let (dispatcher, dispatching) = Dispatcher::new(office::Parts {
            journal: Arc::new(journal.clone()),
            jobs: Arc::clone(&jobs),
            clock: Arc::clone(&clock) as _,
            open: Arc::new(FromTheStart),
            office,
        });
        tokio::spawn(dispatching);
        let app = App::new(Parts {
            assignments: handler(&journal, &clock),
            jobs,
            queues: handler(&journal, &clock),
            schedules: Arc::new(handler(&journal, &clock)),
            batches: Arc::new(handler(&journal, &clock)),
            dispatch: Arc::new(dispatcher.clone()),
            journal: Arc::new(journal.clone()),
            feed: Arc::new(feed.clone()),
            replays: Replays::new(
                Arc::new(journal.clone()),
                Arc::new(NoSink),
                shutdown.clone(),
            ),
            reads: Reads {
                reader: Reader::new(pool.clone()),
                side: ReadSide::follow(pool),
            },
            clock: Arc::clone(&clock) as _,
            verifier,
            tickets: Tickets::new(
                [7; 32],
                Arc::new(MemoryTickets::default()),
                Arc::clone(&clock) as _,
            ),
            allowed_origins: AllowedOrigins::new(&["https://board.test".to_owned()])
                .expect("an origin"),
            checks: vec![Arc::new(Broken)],
            metrics: Arc::new(move || {
                assert!(!panicking.load(Ordering::Relaxed), "told to");
                "# none\n".to_owned()
            }),
            limits,
            shutdown: shutdown.clone(),
            serving: TaskTracker::new(),
        });
        let signing = SigningKey::from_private_pem("first", private).expect("a private key");
        let router = crate::router(app.clone());
        Self {
            router,
            app,
            journal,
            feed,
            clock,
            dispatcher,
            signing,
            shutdown,
            panics,
        }
    }

    /// A token of tenant `tenant`, valid for an hour from noon.
    pub(crate) fn token(&self, tenant: &str, roles: &[Role]) -> String {
        let grant = Grant {
            principal: Name::new("ada").expect("a name"),
            tenant: Tenant::new(tenant).expect("a tenant"),
            roles: roles.to_vec(),
            not_before: time(NOON),
            expires_at: time("2026-11-21T13:00:00Z"),
        };
        mint(&self.signing, &grant).expect("a key that signs")
    }

    /// Sends `request` as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let Ok(response) = self.router.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body in memory");
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Posts `body` with these roles in tenant `default`.
    pub(crate) async fn post_as(&self, role: Role, path: &str, body: &str) -> Answer {
        let mut request = self.posting(path, body);
        let token = format!("Bearer {}", self.token("default", &[role]));
        let headers = request.headers_mut();
        headers.insert("authorization", token.parse().expect("ASCII"));
        self.send(request).await
    }

    /// Posts `body` as a member of tenant `default`.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(self.posting(path, body)).await
    }

    /// The request of [`Self::post`], to be changed.
    pub(crate) fn posting(&self, path: &str, body: &str) -> Request<Body> {
        Request::post(path)
            .header(
                "authorization",
                format!("Bearer {}", self.token("default", &[Role::Member])),
            )
            .header("content-type", "application/json")
            .body(Body::from(body.to_owned()))
            .expect("a well formed request")
    }

    /// Gets `path` as a viewer of tenant `default`.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let token = self.token("default", &[Role::Viewer]);
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        self.send(request.body(Body::empty()).expect("a well formed request"))
            .await
    }
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The status and the pointers of all that is wrong, in order.
    pub(crate) fn pointers(&self) -> (u16, Vec<String>) {
        let problem = self.json();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let place = |error: &serde_json::Value| {
            let place = error["pointer"].as_str().or(error["parameter"].as_str());
            place.unwrap_or_default().to_owned()
        };
        let mut places: Vec<_> = errors.iter().map(place).collect();
        places.sort_unstable();
        (self.status.as_u16(), places)
    }

    /// The problem's code, after its status and shape were checked.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem: crate::problem::Problem =
            serde_json::from_slice(&self.body).expect("the shape of a problem");
        assert_eq!(problem.status, self.status.as_u16());
        assert_eq!(problem.request_id, self.header("x-request-id"));
        assert!(problem.instance.starts_with('/'));
        let code = problem.kind.strip_prefix(crate::problem::TYPE_PREFIX);
        code.expect("a type of ours").to_owned()
    }
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// A body that asks for work.
pub(crate) const FAN: &str = r#"{"title":"Fan","kind":"incident","group":"network"}"#;

impl Service {
    /// Everything in the journal of `tenant`.
    pub(crate) async fn commits(&self, tenant: &str) -> Vec<domain::Commit> {
        use ::commands::Journal as _;
        use domain::{Entry, Position};
        use futures_util::StreamExt as _;
        let head = self.journal.head().await.expect("in memory");
        let entries = self.journal.read_all(Position::START);
        let to_head = entries.take(usize::try_from(head.0).expect("few"));
        let commits = to_head.filter_map(|entry| {
            ready(match entry {
                Entry::Commit(commit) if commit.stream.tenant.as_str() == tenant => {
                    Some(Arc::unwrap_or_clone(commit))
                }
                Entry::Commit(_) | Entry::Unreadable { .. } => None,
            })
        });
        commits.collect().await
    }
}
