//! What is new in the journal, in order, for the tail: from the server, or from this process' own writer.
//!
//! A process that writes thousands of commits a second is nearly always the only one that does, and knows
//! what it wrote and where it stands as soon as it is acknowledged. The server need not deliver all of that
//! again: where a group of own commits lies ahead of what it has delivered, the source goes by them, without a
//! consumer.
//!
//! Positions have no gaps, so nothing can be passed over: the next entry is always the one at the next
//! position. Where nobody here has written that (another process has, or its answer was lost), or nothing is
//! written for a moment, the source goes back to the server, behind the last entry it gave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::vec;

use async_nats::Client;
use commands::Append;
use domain::{Entry, Position};
use tokio::time::{Instant, timeout_at};

use super::read::{InOrder, MadeOf, Met};
use super::written::{Group, Heard, Written};
use super::{Settings, message};

/// How much of a group of own commits has to lie ahead: less is delivered sooner than a consumer is made anew.
const RUN_MIN: u64 = 500;

/// How long nothing may be told before the server is asked: longer than a group takes that is under way, on all but
/// the slowest disks.
const SILENCE_MAX: Duration = Duration::from_millis(100);

/// How long a commit may be missing before others that are told already, until the server is asked. Own appends
/// are acknowledged in the order of their positions, and told by tasks that run side by side.
const GAP_MAX: Duration = Duration::from_millis(20);

/// How long the source stays with the server where a commit was missing: another process writes as well, and
/// it would go to and fro.
const SERVER_MIN: Duration = Duration::from_secs(1);

/// Own commits that are held for their turn; a group has up to 1,000.
const AHEAD_MAX: usize = 4_096;

/// Where the tail has its entries from.
#[derive(Debug)]
pub(super) struct Newest {
    client: Client,
    settings: Settings,
    heard: Heard,
    /// Groups of own commits, by the position of the first of each.
    ahead: BTreeMap<u64, Vec<Append>>,
    /// What is left of the group whose turn it is: the next one stands right behind `last`.
    turn: vec::IntoIter<Append>,
    /// The position of the last entry that was given.
    last: u64,
    /// The server; none, while the source goes by own commits.
    server: Option<InOrder>,
    /// While it goes by own commits: when the server is asked, unless the next one is told before. Else: not
    /// before when it goes by own commits.
    until: Instant,
}

impl Newest {
    /// Everything behind `last`.
    pub(super) fn new(client: Client, settings: Settings, written: &Written, last: u64) -> Self {
        Self {
            server: Some(InOrder::new(client.clone(), settings.clone(), last)),
            client,
            settings,
            heard: written.listen(),
            ahead: BTreeMap::new(),
            turn: Vec::new().into_iter(),
            last,
            until: Instant::now(),
        }
    }

    /// The next entry; waits as long as it takes.
    pub(super) async fn next(&mut self) -> Met {
        loop {
            if let Some(server) = &mut self.server {
                let met = server.next().await;
                self.last = met.entry.position().0;
                self.look_ahead();
                return met;
            }
            if let Some(append) = self.turn.next() {
                self.last += 1;
                return written(self.last, append);
            }
            if self.is_told() {
                self.take_turn();
                continue;
            }
            match timeout_at(self.until, self.heard.groups.recv()).await {
                Ok(Some(group)) => self.hear(group),
                Ok(None) | Err(_) => self.ask_the_server(),
            }
        }
    }

    /// Takes what was told, and waits for what is missing before it.
    fn hear(&mut self, group: Group) {
        let had_gap = !self.ahead.is_empty();
        self.take(group);
        let now = Instant::now();
        if self.is_told() {
            self.until = now + SILENCE_MAX;
        } else if !had_gap {
            self.until = now + GAP_MAX;
        }
    }

    /// Takes what was told meanwhile, and goes by it where enough lies ahead.
    fn look_ahead(&mut self) {
        while let Ok(group) = self.heard.groups.try_recv() {
            self.take(group);
        }
        self.drop_behind();
        let now = Instant::now();
        if self.is_told() && self.end_of_first() > self.last + RUN_MIN && now >= self.until {
            self.server = None;
            self.until = now + SILENCE_MAX;
            self.goes_by("own");
        }
    }

    /// Holds a group, where there is room: those that come first are worth more.
    fn take(&mut self, group: Group) {
        let held: usize = self.ahead.values().map(Vec::len).sum();
        if held + group.appends.len() <= AHEAD_MAX {
            self.ahead.insert(group.first.0, group.appends);
        }
        self.drop_behind();
    }

    fn drop_behind(&mut self) {
        while !self.ahead.is_empty() && self.end_of_first() <= self.last {
            self.ahead.pop_first();
        }
    }

    /// The position of the last commit of the first group; 0, where there is none.
    fn end_of_first(&self) -> u64 {
        let first = self.ahead.first_key_value();
        first.map_or(0, |(first, appends)| first + appends.len() as u64 - 1)
    }

    /// Whether the next commit is in the first group, behind which nothing was dropped yet.
    fn is_told(&self) -> bool {
        let first = self.ahead.first_key_value();
        first.is_some_and(|(first, _)| *first <= self.last + 1)
    }

    fn take_turn(&mut self) {
        let Some((first, appends)) = self.ahead.pop_first() else {
            return;
        };
        self.turn = appends.into_iter();
        // What the server has delivered of it already.
        for _ in first..=self.last {
            self.turn.next();
        }
    }

    fn goes_by(&self, whom: &'static str) {
        metrics::counter!("ledgerline_journal_tail_turns_total", "to" => whom).increment(1);
        self.heard.follow(self.server.is_none());
    }

    fn ask_the_server(&mut self) {
        let now = Instant::now();
        let is_silent = self.ahead.is_empty();
        self.until = if is_silent { now } else { now + SERVER_MIN };
        self.ahead.clear();
        let server = InOrder::new(self.client.clone(), self.settings.clone(), self.last);
        self.server = Some(server);
        self.goes_by("server");
    }
}

fn written(position: u64, append: Append) -> Met {
    let entry = match message::written(position, &append) {
        Ok(commit) => Entry::Commit(Arc::new(commit)),
        Err(reason) => Entry::Unreadable {
            position: Position(position),
            reason,
        },
    };
    Met {
        entry,
        made_of: MadeOf::Written(Arc::new(append)),
    }
}
