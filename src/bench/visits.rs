//! Commands that are each followed by the query for what they did, at a fixed rate, whether or not
//! earlier ones are done (an open loop).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::http::{Answer, Connection, Rendered, Target};
use super::load::{Fresh, Step};
use super::statistics::milliseconds;

/// Enough that a command finds one that is open already.
const CONNECTIONS: usize = 32;

/// What an answer counts that is none: a load that the program turns away is not visible soon.
pub(super) const REFUSED_MS: f64 = 5_000.0;

/// One command and the query for its assignment.
pub(super) struct Visit {
    command: Rendered,
    query: Rendered,
}

/// How long one visit took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Paid {
    /// From the time at which the command was due to its answer: what held it back counts, too.
    pub(super) answered_ms: f64,
    /// From the answer of the command to the answer of the query.
    pub(super) visible_ms: f64,
}

impl Paid {
    /// Of one that was turned away.
    pub(super) const REFUSED: Self = Self {
        answered_ms: REFUSED_MS,
        visible_ms: REFUSED_MS,
    };
}

/// Connections that nobody uses right now.
#[derive(Debug, Clone)]
pub(super) struct Idle {
    target: Target,
    connections: Arc<Mutex<Vec<Connection>>>,
}

impl Idle {
    /// A few, open already.
    pub(super) async fn opened(target: &Target) -> anyhow::Result<Self> {
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            connections.push(Connection::open(target).await?);
        }
        Ok(Self {
            target: target.clone(),
            connections: Arc::new(Mutex::new(connections)),
        })
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Sends one request on a connection that is free, or on a new one.
    pub(super) async fn send(&self, request: Rendered) -> anyhow::Result<Answer> {
        let free = self.lock().pop();
        let mut connection = match free {
            Some(connection) => connection,
            None => Connection::open(&self.target).await?,
        };
        let answer = connection.send(request).await?;
        // Who was turned away may have been hung up on, too.
        if answer.status.is_success() {
            self.lock().push(connection);
        }
        Ok(answer)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        let connections = self.connections.lock();
        connections.unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many ticks a second; late ones come at once.
pub(super) fn ticks(rate: usize) -> Interval {
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate as f64));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    ticks
}

/// The load: each second takes one step further with the assignments of its block, so that a step
/// finds the one before it done.
pub(super) fn endless(fresh: &Fresh, target: &Target, rate: usize) -> impl Iterator<Item = Visit> {
    std::iter::repeat_with(move || fresh.lives(rate))
        .flat_map(|block| {
            let steps = Step::ALL.into_iter();
            steps.flat_map(move |step| block.clone().into_iter().map(move |life| (life, step)))
        })
        .map(|(life, step)| Visit {
            command: life.render(step, target),
            query: target.get(&format!("/v1/assignments/{}", life.id)),
        })
}

impl Visit {
    /// Sends the command, then asks for what it did.
    pub(super) async fn pay(self, due: Instant, idle: &Idle) -> anyhow::Result<Paid> {
        let receipt = idle.send(self.command).await?;
        if !receipt.status.is_success() {
            return Ok(Paid::REFUSED);
        }
        let answered = Instant::now();
        let position = receipt
            .position
            .context("a receipt has no `Ledgerline-Position`")?;
        let mut query = self.query;
        query
            .headers_mut()
            .insert("ledgerline-min-position", position.into());
        let shown = idle.send(query).await?;
        if !shown.status.is_success() {
            return Ok(Paid::REFUSED);
        }
        let visible_ms = milliseconds(answered.elapsed());
        let shown = shown
            .position
            .context("an answer has no `Ledgerline-Position`")?;
        anyhow::ensure!(
            shown >= position,
            "asked for `{position}`, was shown `{shown}`"
        );
        Ok(Paid {
            answered_ms: milliseconds(answered - due),
            visible_ms,
        })
    }
}
