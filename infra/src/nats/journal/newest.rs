//! What is new in the journal, in order, for the tail: from the server, or from this process' own writer.
//!
//! A process that writes thousands of commits a second is nearly always the only one that does, and knows
//! what it wrote and where it stands as soon as it is acknowledged. To have the server deliver all of that
//! again costs both sides a third of what it cost to write it. So where a run of own commits lies ahead of
//! what the server has delivered, the source goes by them, without a consumer.
//!
//! Positions have no gaps, so nothing can be passed over: the next entry is always the one at the next
//! position. Where nobody here has written that (another process has, or its answer was lost), or nothing is
//! written for a moment, the source goes back to the server, behind the last entry it gave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use commands::Append;
use domain::{Entry, Position};
use tokio::time::{Instant, timeout_at};

use super::read::{InOrder, MadeOf, Met};
use super::written::{Group, Heard, Written};
use super::{Settings, message};

/// How many own commits have to lie ahead in one run: fewer are delivered sooner than a consumer is made anew.
const RUN_MIN: usize = 500;

/// How long nothing may be told before the server is asked: longer than a group takes that is under way, on all but
/// the slowest disks.
const SILENCE_MAX: Duration = Duration::from_millis(100);

/// How long a commit may be missing before others that are told already, until the server is asked. Own appends
/// are acknowledged in the order of their positions, and told by tasks that run side by side.
const GAP_MAX: Duration = Duration::from_millis(20);

/// How long the source stays with the server where a commit was missing: another process writes as well, and
/// it would go to and fro.
const SERVER_MIN: Duration = Duration::from_secs(1);

/// Own commits that are held for a turn that may come; beyond, the server is asked. A group has up to 1,000.
const AHEAD_MAX: usize = 4_096;

/// Where the tail has its entries from.
#[derive(Debug)]
pub(super) struct Newest {
    client: Client,
    settings: Settings,
    heard: Heard,
    /// Own commits behind `last`, by their positions.
    ahead: BTreeMap<u64, Append>,
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
            if let Some(append) = self.ahead.remove(&(self.last + 1)) {
                self.last += 1;
                return written(self.last, append);
            }
            match timeout_at(self.until, self.heard.groups.recv()).await {
                Ok(Some(group)) if self.ahead.len() < AHEAD_MAX => self.hear(group),
                _ => self.ask_the_server(),
            }
        }
    }

    /// Takes what was told, and waits for what is missing before it.
    fn hear(&mut self, group: Group) {
        let had_gap = !self.ahead.is_empty();
        self.take(group);
        let has_gap = !self.ahead.contains_key(&(self.last + 1));
        let now = Instant::now();
        self.until = match (had_gap, has_gap) {
            (_, false) => now + SILENCE_MAX,
            (false, true) => now + GAP_MAX,
            (true, true) => self.until,
        };
    }

    /// Takes what was told meanwhile, and goes by it where enough lies ahead.
    fn look_ahead(&mut self) {
        while let Ok(group) = self.heard.groups.try_recv() {
            self.take(group);
        }
        while let Some(first) = self.ahead.first_entry()
            && *first.key() <= self.last
        {
            first.remove();
        }
        if self.ahead.len() < RUN_MIN {
            return;
        }
        let run = self.ahead.len() as u64;
        let end = self.ahead.last_key_value().map(|(position, _)| *position);
        let now = Instant::now();
        if end == Some(self.last + run) && now >= self.until {
            self.server = None;
            self.until = now + SILENCE_MAX;
            self.goes_by("own");
        } else if self.ahead.len() > AHEAD_MAX {
            self.ahead.clear();
        }
    }

    fn take(&mut self, group: Group) {
        let told = (group.first.0..).zip(group.appends);
        self.ahead
            .extend(told.filter(|(position, _)| *position > self.last));
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
