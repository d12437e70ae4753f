//! The lease: who runs the read side, while the others stand by.
//!
//! The runner in office holds an advisory lock in a session of its own and beats there. When its
//! process ends the session ends and the lock is free. When it is stopped, or cut off, the beat
//! fails and whoever stands by ends its session. A stale runner that wakes up later is kept from
//! writing by the checkpoint's fence, not by this.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The two numbers of the advisory lock: "ledger" and "read" as nobody else will have them.
const LOCK: (i32, i32) = (0x006c_6564, 0x7265_6164);

/// How often whoever stands by looks: the read side has to move within 5 s of a crash.
const STAND_BY_MS: u64 = 500;

/// How often the runner beats.
const BEAT_MS: u64 = 2_000;

/// How long the beat may fail before the runner is put out of office: some beats, so that a busy
/// machine is no reason.
const SILENCE_SECONDS_MAX: f64 = 10.0;

/// Office, as long as it is held.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Cancelled when the lease may be somebody else's.
    pub(crate) lost: CancellationToken,
    _beat: AbortOnDropHandle<()>,
}

impl Lease {
    /// Waits for office.
    pub(crate) async fn acquire(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut conn = pool.acquire().await?.detach();
        let mut waits = false;
        while !try_lock(&mut conn).await? {
            if !waits {
                waits = true;
                tracing::info!("another runner is in office, standing by");
            }
            put_out_the_silent(&mut conn).await?;
            tokio::time::sleep(Duration::from_millis(STAND_BY_MS)).await;
        }
        beat(&mut conn).await?;
        tracing::info!("in office");
        let lost = CancellationToken::new();
        let ends = lost.clone().drop_guard();
        let beats = tokio::spawn(async move {
            let _ends = ends;
            loop {
                tokio::time::sleep(Duration::from_millis(BEAT_MS)).await;
                if let Err(error) = beat(&mut conn).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "beat of the runner in office"
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

async fn try_lock(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select pg_try_advisory_lock($1, $2)")
        .bind(LOCK.0)
        .bind(LOCK.1)
        .fetch_one(conn)
        .await
}

async fn beat(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("update projector_lease set pid = pg_backend_pid(), beat_at = clock_timestamp()")
        .execute(conn)
        .await?;
    Ok(())
}

async fn put_out_the_silent(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let ended = sqlx::query(include_str!("put_out_the_silent.sql"))
        .bind(LOCK.0)
        .bind(LOCK.1)
        .bind(SILENCE_SECONDS_MAX)
        .fetch_all(conn)
        .await?;
    if !ended.is_empty() {
        tracing::warn!("runner in office is silent, ended its session");
    }
    Ok(())
}
