//! What a replay sends, and what it keeps to itself.

use std::sync::{Arc, Mutex};

use futures_util::future::{FutureExt, ready};

use super::*;
use crate::journal::contract::Fixture;
use crate::memory::MemoryJournal;

#[derive(Default)]
struct Listener {
    events: Mutex<Vec<FeedEvent>>,
    ended: Mutex<Option<u64>>,
}

impl Listener {
    fn streams(&self) -> Vec<String> {
        let events = self.events.lock().expect("no test panics in it");
        events.iter().map(|event| event.id.to_string()).collect()
    }
}

impl ReplaySink for Listener {
    fn send<'a>(
        &'a self,
        _name: &'a Token,
        events: Vec<FeedEvent>,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        self.events
            .lock()
            .expect("no test panics in it")
            .extend(events);
        ready(Ok(())).boxed()
    }

    fn end<'a>(
        &'a self,
        _tenant: &'a Tenant,
        _name: &'a Token,
        events: u64,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        *self.ended.lock().expect("no test panics in it") = Some(events);
        ready(Ok(())).boxed()
    }
}

fn everything(tenant: Tenant) -> Replay {
    Replay {
        name: Token::new("audit").expect("a plain word is a token"),
        filter: FeedFilter::of(tenant),
        after: Position::START,
        until: None,
        recorded_from: None,
        recorded_until: None,
        pace: Pace::Full,
    }
}

async fn written() -> (MemoryJournal, Fixture) {
    let journal = MemoryJournal::default();
    let fixture = Fixture::new(Arc::new(journal.clone()), "replay");
    let stranger = Fixture::new(Arc::new(journal.clone()), "stranger");
    for (command, id) in (0..).zip(["a", "b", "c", "d", "e"]) {
        fixture.appended(id, Position::START, command).await;
        stranger.appended(id, Position::START, command).await;
    }
    (journal, fixture)
}

async fn replayed(journal: &MemoryJournal, replay: &Replay) -> Listener {
    let listener = Listener::default();
    let (progress, watched) = watch::channel(Progress::default());
    let events = replay.run(journal, &listener, &progress).await;
    let events = events.expect("everything is readable");
    assert_eq!(
        *listener.ended.lock().expect("no test panics in it"),
        Some(events)
    );
    assert_eq!(listener.streams().len() as u64, events);
    assert!(watched.borrow().ended);
    listener
}

#[tokio::test]
async fn a_replay_sends_everything_of_its_tenant_and_then_the_end() {
    let (journal, fixture) = written().await;
    let listener = replayed(&journal, &everything(fixture.tenant)).await;
    assert_eq!(listener.streams(), ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn a_replay_keeps_to_its_positions() {
    let (journal, fixture) = written().await;
    let mut replay = everything(fixture.tenant);
    replay.after = Position(2);
    replay.until = Some(Position(7));
    assert_eq!(replayed(&journal, &replay).await.streams(), ["b", "c", "d"]);
}

#[tokio::test]
async fn a_replay_keeps_to_its_aggregate_and_its_times() {
    let (journal, fixture) = written().await;
    let mut replay = everything(fixture.tenant);
    replay.filter.id = Some(Token::new("d").expect("a plain word is a token"));
    assert_eq!(replayed(&journal, &replay).await.streams(), ["d"]);
    replay.recorded_until = Some("2026-11-21T12:00:00Z".parse().expect("a time"));
    assert!(replayed(&journal, &replay).await.streams().is_empty());
    replay.recorded_from = replay.recorded_until.take();
    assert_eq!(replayed(&journal, &replay).await.streams(), ["d"]);
}

#[tokio::test]
async fn a_slice_that_holds_nothing_ends_at_once() {
    let (journal, fixture) = written().await;
    let mut replay = everything(fixture.tenant);
    replay.after = Position(1_000);
    assert!(replayed(&journal, &replay).await.streams().is_empty());
}

#[tokio::test]
async fn a_paced_replay_keeps_the_events_apart() {
    let (journal, fixture) = written().await;
    let mut replay = everything(fixture.tenant);
    // All of the fixture's events are of the same time: whatever the pace, nothing waits.
    replay.pace = Pace::Times(0.001);
    assert_eq!(replayed(&journal, &replay).await.streams().len(), 5);
    let mut pacer = Pacer::new(Pace::Times(60.0)).expect("a pace");
    let later = |listener: &Listener, seconds: i64| {
        let mut event = listener.events.lock().expect("no test panics in it")[0].clone();
        event.time += jiff::Span::new().seconds(seconds);
        vec![event]
    };
    let listener = replayed(&journal, &replay).await;
    let began = Instant::now();
    pacer.wait_for(&later(&listener, 0)).await;
    pacer.wait_for(&later(&listener, 6)).await;
    assert!(
        began.elapsed() >= Duration::from_millis(100),
        "six seconds at sixty times"
    );
}

#[tokio::test]
async fn a_pace_that_is_no_positive_number_is_refused() {
    for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            Pacer::new(Pace::Times(factor)),
            Err(ReplayError::Pace)
        ));
    }
}
