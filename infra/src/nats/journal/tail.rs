//! The tail: what is new, for every reader of this process that has come to the journal's end.
//!
//! Dispatcher, reactor, sealer, feed and read side would each have the server deliver every commit, and each decode
//! it. Here it comes once, from the server or from this process' own writer (`newest`). A reader reads alone until nothing lies behind, then joins the tail; one that falls too far behind
//! reads alone again. It meets every entry once either way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::Client;
use commands::seal::RawCommit;
use domain::{Entry, Position};
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use tokio::sync::broadcast::{self, Receiver, Sender, WeakSender};
use tokio_util::task::AbortOnDropHandle;

use super::Settings;
use super::newest::Newest;
use super::read::{InOrder, Met};
use super::written::Written;

/// How many entries the slowest reader may be behind the tail before it reads alone. An entry is let go of
/// when the last reader has met it, so there are so many in memory only while one is slow.
const BEHIND_MAX: usize = 8_192;

/// What the readers of one journal share. Clones are the same tail.
#[derive(Debug, Clone)]
pub(super) struct Tail(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: Client,
    settings: Settings,
    written: Written,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    /// The position of the last entry that was sent.
    sent: Arc<Mutex<u64>>,
    /// Gone with the task.
    met: WeakSender<Met>,
    _task: AbortOnDropHandle<()>,
}

/// What a reader gets that joins.
struct Joined {
    /// Every entry behind `sent`.
    met: Receiver<Met>,
    sent: u64,
}

/// One reader.
struct Reader {
    tail: Tail,
    /// The last entry that it gave.
    last: u64,
    way: Way,
}

enum Way {
    Alone {
        reader: Box<InOrder>,
        /// What it goes on with, once it is as far.
        next: Option<Joined>,
    },
    Together(Receiver<Met>),
}

impl Tail {
    pub(super) fn new(client: Client, settings: Settings, written: Written) -> Self {
        Self(Arc::new(Shared {
            client,
            settings,
            written,
            running: Mutex::default(),
        }))
    }

    /// Every entry behind `after`, for ever.
    pub(super) fn read(&self, after: Position) -> BoxStream<'static, Entry> {
        self.met(after).map(|met| met.entry).boxed()
    }

    /// The same as it stands there, without what is lost.
    pub(super) fn read_raw(&self, after: Position) -> BoxStream<'static, RawCommit> {
        let prefix = self.0.settings.prefix.clone();
        let raw = self.met(after).map(move |met| met.raw(&prefix));
        raw.filter_map(std::future::ready).boxed()
    }

    fn met(&self, after: Position) -> impl Stream<Item = Met> + Send + 'static {
        let reader = Reader {
            tail: self.clone(),
            last: after.0,
            way: self.alone(after.0),
        };
        stream::unfold(reader, async |mut reader| {
            let met = reader.next().await;
            Some((met, reader))
        })
    }

    fn alone(&self, after: u64) -> Way {
        Way::Alone {
            reader: Box::new(self.in_order(after)),
            next: None,
        }
    }

    fn in_order(&self, after: u64) -> InOrder {
        InOrder::new(self.0.client.clone(), self.0.settings.clone(), after)
    }

    /// Joins, as a reader that is at `last`; begins the tail there where there is none.
    fn join(&self, last: u64) -> Joined {
        let mut running = locked(&self.0.running);
        if let Some(running) = &*running
            && let Some(sender) = running.met.upgrade()
        {
            // Nothing is sent while this is held: what comes next goes to this reader as well.
            let sent = locked(&running.sent);
            let met = sender.subscribe();
            return Joined { met, sent: *sent };
        }
        let (sender, met) = broadcast::channel(BEHIND_MAX);
        let sent = Arc::new(Mutex::new(last));
        let weak = sender.downgrade();
        let Shared {
            client,
            settings,
            written,
            ..
        } = &*self.0;
        let newest = Newest::new(client.clone(), settings.clone(), written, last);
        let task = run(newest, sender, Arc::clone(&sent));
        *running = Some(Running {
            sent,
            met: weak,
            _task: AbortOnDropHandle::new(tokio::spawn(task)),
        });
        Joined { met, sent: last }
    }
}

/// Sends what comes, until nobody listens.
async fn run(mut newest: Newest, readers: Sender<Met>, sent: Arc<Mutex<u64>>) {
    loop {
        let met = newest.next().await;
        let mut sent = locked(&sent);
        *sent = met.entry.position().0;
        if readers.send(met).is_err() {
            return;
        }
    }
}

impl Reader {
    async fn next(&mut self) -> Met {
        loop {
            let met = match &mut self.way {
                Way::Alone { reader, .. } => Some(reader.next().await),
                // Too far behind, or the tail has ended.
                Way::Together(met) => met.recv().await.ok(),
            };
            match met {
                Some(met) if met.entry.position().0 > self.last => {
                    self.last = met.entry.position().0;
                    self.come_together();
                    return met;
                }
                // It was read alone before.
                Some(_) => {}
                None => self.way = self.tail.alone(self.last),
            }
        }
    }

    /// Joins the tail when nothing lies behind, and goes with it from where it is as far.
    fn come_together(&mut self) {
        let Way::Alone { reader, next } = &mut self.way else {
            return;
        };
        if next.is_none() && reader.is_at_the_end() {
            *next = Some(self.tail.join(self.last));
        }
        if let Some(joined) = next.take_if(|joined| joined.sent <= self.last) {
            self.way = Way::Together(joined.met);
        }
    }
}

/// Whoever held it has not left it half changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
