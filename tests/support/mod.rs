//! What the end-to-end tests share: the real program on real servers, clients of it, and a look at
//! what lies below it that goes past its own code.
//!
//! - [`program`], [`serve`]: `ledgerline up`, `ledgerline serve` and the other subcommands as child
//!   processes.
//! - [`service`]: what a judge asks of a running service, however it was started.
//! - [`postgres`]: a Postgres for a `serve` without an `up`.
//! - [`batches`]: batches of jobs, and a worker for them.
//! - [`http`], [`sse`], [`socket`]: a client of the API. [`nats`]: the streams as a plain client reads them.
//! - [`process`]: processes of a data folder, and the memory of one. [`disk`]: a disk of a test's own.
//!
//! Invariants: a test waits for a condition, never for a time; tenants keep tests on one server
//! apart; nothing that a test started outlives it.
#![expect(
    dead_code,
    reason = "each test program uses a part of this, and is compiled by itself"
)]

pub(crate) mod batches;
pub(crate) mod disk;
pub(crate) mod http;
pub(crate) mod nats;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod serve;
pub(crate) mod service;
pub(crate) mod socket;
pub(crate) mod sse;

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use commands::Clock as _;
use infra::SystemClock;

pub(crate) use self::http::Api;
pub(crate) use self::program::Up;

pub(crate) type TestResult<T = ()> = anyhow::Result<T>;

/// A condition that does not come true in this time never will: the test fails instead of hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(10);

static TENANTS: AtomicU64 = AtomicU64::new(1);

/// A tenant that no other test of this program uses.
pub(crate) fn fresh_tenant() -> String {
    format!("tenant-{}", TENANTS.fetch_add(1, Ordering::Relaxed))
}

/// An id that nobody has had.
pub(crate) fn fresh_id() -> String {
    SystemClock.fresh_id().to_string()
}

/// Now, as clocks on walls show it.
pub(crate) fn now() -> domain::Timestamp {
    SystemClock.now()
}

/// Asks until `look` finds something.
pub(crate) async fn until<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> TestResult<Option<T>>,
) -> TestResult<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        anyhow::ensure!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits for something, and fails the test rather than hang.
pub(crate) async fn within<T>(what: &str, wait: impl Future<Output = T>) -> TestResult<T> {
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.map_err(|_elapsed| anyhow::anyhow!("waited in vain for {what}"))
}

/// How often a test does something: what the environment's `variable` asks for, or else `otherwise`.
pub(crate) fn asked(variable: &str, otherwise: usize) -> usize {
    asked_at_all(variable).unwrap_or(otherwise)
}

/// The same, where it matters whether it was asked for.
pub(crate) fn asked_at_all(variable: &str) -> Option<usize> {
    let asked = std::env::var(variable).ok()?;
    Some(asked.parse().expect("a count is a number"))
}

/// Says something that belongs to the result of a test although it passes.
pub(crate) fn say(text: &str) {
    // Not `eprintln!`: a test's captured output is shown only when it fails.
    writeln!(std::io::stderr(), "note: {text}").ok();
}

/// Numbers that look random and can be had again from their seed.
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice thrown from the clock, or those of `LEDGERLINE_SEED`; the seed is told, so that a failure can
    /// be repeated.
    pub(crate) fn thrown() -> Self {
        let seed = asked_at_all("LEDGERLINE_SEED").map(|seed| seed as u64);
        let seed = seed.unwrap_or_else(|| now().as_nanosecond() as u64) | 1;
        say(&format!("seed {seed}"));
        Self(seed)
    }

    pub(crate) fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number from 0 up to, and without, `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // xorshift64*, Vigna 2016.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % end
    }
}
