//! What `/health` looks at: whether the journal takes commits, the read side and each of its models, the
//! feed, whether jobs are handed out, here or by another process, and the disks of the servers that
//! `up` has started.

use std::path::PathBuf;
use std::sync::Arc;

use api::{Health, HealthCheck};
use commands::dispatch::Dispatch;
use commands::{Feed as _, Journal as _};
use domain::{Position, Tenant};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use infra::disk::{self, FULL_BELOW_MIB};
use infra::nats::{self, JetStreamFeed, JetStreamJournal};
use infra::postgres::PgPool;
use projections::positions::{Positions, Status};

use super::Connections;

/// How many commits the read side or the feed may be behind before somebody should look: some seconds of the
/// heaviest load, under which one batch alone has up to 20,000.
pub(super) const LAG_COMMITS_MAX: u64 = 60_000;

/// Every check.
pub(super) fn all(
    connections: &Connections,
    dispatch: Arc<dyn Dispatch>,
) -> Vec<Arc<dyn HealthCheck>> {
    let journal = &connections.journal;
    let mut checks: Vec<Arc<dyn HealthCheck>> = vec![
        Arc::new(JournalCheck(connections.nats.clone())),
        Arc::new(ReadSideCheck {
            journal: journal.clone(),
            pool: connections.pool.clone(),
        }),
        Arc::new(FeedCheck {
            journal: journal.clone(),
            feed: connections.feed.clone(),
        }),
        Arc::new(DispatchCheck(dispatch)),
    ];
    for disk in &connections.disks {
        checks.push(Arc::new(disk.clone()));
    }
    checks
}

/// The disk under a server of the program's own.
#[derive(Debug, Clone)]
pub struct DiskCheck {
    name: &'static str,
    folder: PathBuf,
    full: fn(String) -> Health,
}

impl DiskCheck {
    /// That of the journal: where it is full, no command is acknowledged.
    pub(super) fn of_journal(folder: PathBuf) -> Self {
        Self {
            name: "journal_disk",
            folder,
            full: Health::Failed,
        }
    }

    /// That of the read side: where it is full, commands go on, and what they did is not seen.
    pub(super) fn of_read_side(folder: PathBuf) -> Self {
        Self {
            name: "read_side_disk",
            folder,
            full: Health::Degraded,
        }
    }
}

impl HealthCheck for DiskCheck {
    fn name(&self) -> &'static str {
        self.name
    }

    fn check(&self) -> BoxFuture<'_, Health> {
        let folder = self.folder.display();
        let health = match disk::free_mib(&self.folder) {
            Ok(free) if free < FULL_BELOW_MIB => (self.full)(format!(
                "the disk is full: `{free}` MiB free at `{folder}`, `{FULL_BELOW_MIB}` are needed"
            )),
            Ok(_) => Health::Ok,
            Err(error) => (self.full)(format!("look at `{folder}`: {error}")),
        };
        ready(health).boxed()
    }
}

/// Whether the journal takes commits, as far as that can be seen without one: where it ends is no evidence,
/// for a server that is cut off from the others goes on telling that.
struct JournalCheck(nats::Client);

struct ReadSideCheck {
    journal: Arc<JetStreamJournal>,
    pool: PgPool,
}

struct FeedCheck {
    journal: Arc<JetStreamJournal>,
    feed: Arc<JetStreamFeed>,
}

struct DispatchCheck(Arc<dyn Dispatch>);

impl HealthCheck for DispatchCheck {
    fn name(&self) -> &'static str {
        "dispatch"
    }

    fn check(&self) -> BoxFuture<'_, Health> {
        async {
            match self.0.depths(&anybody()).await {
                Ok(_) => Health::Ok,
                Err(error) => Health::Degraded(format!("claims are answered 503: {error}")),
            }
        }
        .boxed()
    }
}

impl HealthCheck for JournalCheck {
    fn name(&self) -> &'static str {
        "journal"
    }

    fn check(&self) -> BoxFuture<'_, Health> {
        async {
            let stream = nats::journal::Settings::default().stream;
            match nats::quorum::of(&self.0, &stream).await {
                Err(error) => failed(&error),
                Ok(None) => Health::Failed(format!("stream `{stream}` is gone")),
                Ok(Some(quorum)) => match quorum.check() {
                    Ok(()) => Health::Ok,
                    Err(error) => failed(&error),
                },
            }
        }
        .boxed()
    }
}

impl HealthCheck for ReadSideCheck {
    fn name(&self) -> &'static str {
        "read_side"
    }

    fn check(&self) -> BoxFuture<'_, Health> {
        async {
            match projections::positions(&self.pool).await {
                Err(error) => failed(&error),
                Ok(positions) if positions.models.is_empty() => {
                    Health::Failed("the read side has not begun yet".to_owned())
                }
                Ok(positions) => match self.journal.head().await {
                    // The journal's own check tells.
                    Err(_) => Health::Ok,
                    Ok(head) => findings(&positions, head),
                },
            }
        }
        .boxed()
    }
}

impl HealthCheck for FeedCheck {
    fn name(&self) -> &'static str {
        "feed"
    }

    fn check(&self) -> BoxFuture<'_, Health> {
        async {
            let last = match self.feed.last().await {
                Err(error) => return Health::Degraded(chain(&error)),
                Ok(last) => last.map_or(Position::START, |event| event.position),
            };
            match self.journal.head().await {
                Ok(head) if lag(head, last) > LAG_COMMITS_MAX => {
                    Health::Degraded(format!("feed is `{}` commits behind", lag(head, last)))
                }
                Ok(_) | Err(_) => Health::Ok,
            }
        }
        .boxed()
    }
}

/// Some tenant, to ask whether anything is answered at all.
pub(super) fn anybody() -> Tenant {
    Tenant::new("default").expect("a token")
}

/// What is to be said of the read side.
pub(super) fn findings(positions: &Positions, head: Position) -> Health {
    let stopped = positions
        .models
        .iter()
        .filter(|model| model.status == Status::Stopped);
    let mut findings: Vec<String> = stopped
        .map(|model| {
            let reason = model.error.as_deref().unwrap_or("it was not built yet");
            format!(
                "model `{}` is stopped at `{}`: {reason}",
                model.name, model.position
            )
        })
        .collect();
    let behind = lag(head, positions.read_side);
    if behind > LAG_COMMITS_MAX {
        findings.push(format!("read side is `{behind}` commits behind"));
    }
    if findings.is_empty() {
        Health::Ok
    } else {
        Health::Degraded(findings.join("; "))
    }
}

fn lag(head: Position, reached: Position) -> u64 {
    head.0.saturating_sub(reached.0)
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Health {
    Health::Failed(chain(error))
}

/// An error with its causes.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
