//! The lease: who is in an office, while the others stand by.
//!
//! Whoever is in office holds an advisory lock in a session of its own and beats there. When its
//! process ends the session ends and the lock is free. When it is stopped, or cut off, the beat
//! fails and whoever stands by ends its session. One that wakes up later is kept from doing harm by
//! something else: a stale runner by the checkpoint's fence, a stale dispatcher by the journal, which
//! takes each attempt of a job once, a stale reactor by its effects, which change nothing the second time, a
//! stale sealer by the stream of seals, which takes each number once.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::connection;

/// The first number of each advisory lock: "ledger" as nobody else will have it.
const LOCK_SPACE: i32 = 0x006c_6564;

/// How often whoever stands by looks: the read side has to move within 5 s of a crash.
const STAND_BY_MS: u64 = 500;

/// How often whoever is in office beats.
const BEAT_MS: u64 = 2_000;

/// How long the beat may fail before its office is lost: some beats, so that a busy machine is no
/// reason.
const SILENCE_SECONDS_MAX: f64 = 10.0;

/// What one process at a time does. Each office is held apart from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Office {
    /// Runs the read side.
    Projector,
    /// Hands out jobs.
    Dispatcher,
    /// Lets effects follow, and fires schedules.
    Reactor,
    /// Seals the journal.
    Sealer,
}

/// Office, as long as it is held: until this is dropped, or [`lost`](Self::lost).
#[derive(Debug)]
pub struct Lease {
    /// Cancelled when the office may be somebody else's.
    pub lost: CancellationToken,
    _beat: AbortOnDropHandle<()>,
}

impl Office {
    /// The name, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Projector => "projector",
            Self::Dispatcher => "dispatcher",
            Self::Reactor => "reactor",
            Self::Sealer => "sealer",
        }
    }

    /// The two numbers of its advisory lock: the second is "read", "jobs", "reac" or "seal".
    fn lock(self) -> (i32, i32) {
        match self {
            Self::Projector => (LOCK_SPACE, 0x7265_6164),
            Self::Dispatcher => (LOCK_SPACE, 0x6a6f_6273),
            Self::Reactor => (LOCK_SPACE, 0x7265_6163),
            Self::Sealer => (LOCK_SPACE, 0x7365_616c),
        }
    }
}

impl Lease {
    /// Waits for `office`, and keeps a connection for as long as it waits and holds it. May be dropped while
    /// it waits.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn acquire(pool: &PgPool, office: Office) -> Result<Self, sqlx::Error> {
        let mut conn = connection::kept(pool).await?;
        let mut waits = false;
        while !try_lock(&mut conn, office).await? {
            if !waits {
                waits = true;
                tracing::info!(
                    office = office.as_str(),
                    "another is in office, standing by"
                );
            }
            put_out_the_silent(&mut conn, office).await?;
            tokio::time::sleep(Duration::from_millis(STAND_BY_MS)).await;
        }
        beat(&mut conn, office).await?;
        tracing::info!(office = office.as_str(), "in office");
        let lost = CancellationToken::new();
        let ends = lost.clone().drop_guard();
        let beats = tokio::spawn(async move {
            let _ends = ends;
            loop {
                tokio::time::sleep(Duration::from_millis(BEAT_MS)).await;
                if let Err(error) = beat(&mut conn, office).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        office = office.as_str(),
                        "beat in office"
                    );
                    return;
                }
            }
        });
        Ok(Self {
            lost,
            _beat: AbortOnDropHandle::new(beats),
        })
    }
}

async fn try_lock(conn: &mut PgConnection, office: Office) -> Result<bool, sqlx::Error> {
    let lock = office.lock();
    sqlx::query_scalar("select pg_try_advisory_lock($1, $2)")
        .bind(lock.0)
        .bind(lock.1)
        .fetch_one(conn)
        .await
}

async fn beat(conn: &mut PgConnection, office: Office) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update office set pid = pg_backend_pid(), beat_at = clock_timestamp() where name = $1",
    )
    .bind(office.as_str())
    .execute(conn)
    .await?;
    Ok(())
}

async fn put_out_the_silent(conn: &mut PgConnection, office: Office) -> Result<(), sqlx::Error> {
    let lock = office.lock();
    let ended = sqlx::query(include_str!("put_out_the_silent.sql"))
        .bind(lock.0)
        .bind(lock.1)
        .bind(SILENCE_SECONDS_MAX)
        .bind(office.as_str())
        .fetch_all(conn)
        .await?;
    if !ended.is_empty() {
        tracing::warn!(
            office = office.as_str(),
            "whoever is in office is silent, ended its session"
        );
    }
    Ok(())
}
