//! The read side's position, as it moves: how a reader waits for its own write.
//!
//! Fed by the notification that the runner sends in the transaction that moves the rows, so that it
//! comes when they can be seen. The position is read again whenever the connection was lost.

use std::time::Duration;

use domain::Position;
use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// How long to wait before the database is asked again after an error.
const RETRY_MS: u64 = 250;

/// A position that nobody was told of is found within this time: a notification is lost with its
/// connection, and a lost connection may show late.
const RECHECK_MS: u64 = 1_000;

/// Follows the position of the read side. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ReadSide {
    position: watch::Receiver<Position>,
    _follower: std::sync::Arc<AbortOnDropHandle<()>>,
}

/// The read side was not there in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("read side is at `{reached}`, behind `{wanted}`")]
pub struct Behind {
    /// Where it should have been.
    pub wanted: Position,
    /// Where it is.
    pub reached: Position,
}

impl ReadSide {
    /// Begins to follow. Must be called within a runtime.
    #[must_use]
    pub fn follow(pool: PgPool) -> Self {
        let (sender, position) = watch::channel(Position::START);
        let follower = tokio::spawn(async move {
            loop {
                if let Err(error) = listen(&pool, &sender).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "follow the read side"
                    );
                }
                tokio::time::sleep(Duration::from_millis(RETRY_MS)).await;
            }
        });
        Self {
            position,
            _follower: std::sync::Arc::new(AbortOnDropHandle::new(follower)),
        }
    }

    /// Where the read side is.
    #[must_use]
    pub fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// The position as it moves.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.position.clone()
    }

    /// Waits until the read side has reached `position`, and tells where it is then.
    ///
    /// # Errors
    /// When it is not there within `timeout`.
    pub async fn wait_for(
        &self,
        position: Position,
        timeout: Duration,
    ) -> Result<Position, Behind> {
        let mut watch = self.position.clone();
        let reached = watch.wait_for(|reached| *reached >= position);
        match tokio::time::timeout(timeout, reached).await {
            Ok(Ok(reached)) => Ok(*reached),
            // The follower ends only with the last handle, and this is one.
            Ok(Err(_)) | Err(_) => Err(Behind {
                wanted: position,
                reached: self.position(),
            }),
        }
    }
}

async fn listen(pool: &PgPool, position: &watch::Sender<Position>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.ignore_pool_close_event(true);
    listener.listen("read_side").await?;
    loop {
        let now: i64 = sqlx::query_scalar("select position from read_side")
            .fetch_one(pool)
            .await?;
        // Not only forwards: a database that was restored is where it is.
        position.send_replace(Position(now.cast_unsigned()));
        loop {
            let recheck = Duration::from_millis(RECHECK_MS);
            match tokio::time::timeout(recheck, listener.try_recv()).await {
                Ok(Ok(Some(notification))) => {
                    if let Ok(now) = notification.payload().parse() {
                        position.send_replace(Position(now));
                    }
                }
                Ok(Ok(None)) | Err(_) => break,
                Ok(Err(error)) => return Err(error),
            }
        }
    }
}
