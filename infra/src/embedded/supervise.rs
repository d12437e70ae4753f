//! Keeping one server running: waiting until it is ready, and starting it again when it ends by
//! itself, or runs on with something that only a new start heals. Its port and data stay the same, so clients only have to reconnect.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Error;
use super::child::{Launch, Running, Spawner};

/// How long a server may take to be ready. Recovery after a power cut replays up to 1 GB of
/// Postgres' log, and NATS reads its streams again.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// How often is asked whether it is.
const READY_POLL: Duration = Duration::from_millis(15);

/// The pause before the first restart; it doubles with each one that fails.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(100);

/// A server that cannot start (a full disk, a taken port) is tried again this often, for as long
/// as the program runs: it heals when the cause goes away.
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);

/// A server that ran this long had started well: the next restart is a first one.
const STEADY_AFTER: Duration = Duration::from_secs(30);

/// What a server answers when asked whether it is ready.
#[derive(Debug)]
pub(crate) enum Readiness {
    Ready,
    NotYet,
}

/// How often a running server is asked whether it needs a new start.
const AILMENT_POLL: Duration = Duration::from_secs(2);

/// A server that can be kept running.
pub(crate) trait Server: Send + Sync + 'static {
    /// How it is started.
    fn launch(&self) -> &Launch;

    /// How it is stopped: signals, each with the time it is given.
    fn stop_signals(&self) -> &[(Signal, Duration)];

    /// Asks it. An error means that waiting is of no use.
    fn readiness(&self) -> impl Future<Output = Result<Readiness, Error>> + Send;

    /// What is wrong with it, running as it is, that a new start now heals.
    fn ailment(&self) -> impl Future<Output = Option<String>> + Send {
        std::future::ready(None)
    }

    /// Whether a failed start may go by itself in a moment.
    fn is_passing(&self, _log_tail: &str) -> bool {
        false
    }
}

/// Starts the server and waits until it is ready.
pub(crate) async fn start(server: &impl Server, spawner: &Spawner) -> Result<Running, Error> {
    let begin = Instant::now();
    loop {
        let mut running = spawner.spawn(server.launch()).await?;
        match wait_until_ready(server, &mut running, begin).await {
            Ok(()) => return Ok(running),
            Err(Error::Ended { tail, .. })
                if server.is_passing(&tail) && begin.elapsed() < READY_WITHIN =>
            {
                sleep(RESTART_PAUSE_MIN).await;
            }
            Err(error) => {
                running.stop(server.stop_signals()).await;
                return Err(error);
            }
        }
    }
}

async fn wait_until_ready(
    server: &impl Server,
    running: &mut Running,
    begin: Instant,
) -> Result<(), Error> {
    loop {
        if let Some(status) = running.has_ended() {
            return Err(running.ended_early(status));
        }
        if matches!(server.readiness().await?, Readiness::Ready) {
            return Ok(());
        }
        if begin.elapsed() > READY_WITHIN {
            return Err(running.not_ready(begin.elapsed()));
        }
        sleep(READY_POLL).await;
    }
}

/// Keeps the server running until `stop`, then stops it.
pub(crate) async fn keep(
    server: impl Server,
    mut running: Running,
    spawner: Spawner,
    stop: CancellationToken,
) {
    let name = server.launch().server;
    let mut pause = RESTART_PAUSE_MIN;
    loop {
        let started = Instant::now();
        tokio::select! {
            () = stop.cancelled() => return running.stop(server.stop_signals()).await,
            status = running.ended() => match status {
                Ok(status) => tracing::error!(server = name, %status, "ended by itself; starting it again"),
                Err(error) => tracing::error!(server = name, %error, "waiting for its end failed"),
            },
            ailment = until_it_ails(&server) => {
                tracing::error!(server = name, ailment, "does not get over it; starting it again");
                running.stop(server.stop_signals()).await;
            }
        }
        if started.elapsed() > STEADY_AFTER {
            pause = RESTART_PAUSE_MIN;
        }
        let again = restart(&server, &spawner, &mut pause);
        tokio::select! {
            // What is half started ends with the spawner's thread, which this lets go.
            () = stop.cancelled() => return,
            again = again => running = again,
        }
        tracing::info!(server = name, "is ready again");
    }
}

async fn until_it_ails(server: &impl Server) -> String {
    loop {
        sleep(AILMENT_POLL).await;
        if let Some(ailment) = server.ailment().await {
            return ailment;
        }
    }
}

async fn restart(server: &impl Server, spawner: &Spawner, pause: &mut Duration) -> Running {
    loop {
        sleep(*pause).await;
        match start(server, spawner).await {
            Ok(running) => return running,
            Err(error) => {
                *pause = (*pause * 2).min(RESTART_PAUSE_MAX);
                tracing::error!(%error, "starting a server again failed; will try again");
            }
        }
    }
}
