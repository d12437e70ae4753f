//! The embedded nats-server: its configuration, and how it is started, asked and stopped.
//!
//! One server, three accounts that cannot see each other:
//! - `LEDGER`, of the service alone: the journal, timers, work. A subscriber in the same account
//!   could name the journal's subjects as the place a consumer delivers to.
//! - `FEED`: where everybody else is. The service writes the public copy; `subscriber` reads it and
//!   writes nothing; `worker` sends requests of the worker protocol and hears its own answers.
//! - `SYSTEM`: what the server says about itself, for `ledgerline doctor`.
//!
//! A subscriber makes its own consumers (there is no reading a stream without), so it can also
//! delete those of other subscribers: they all have the one user. It cannot touch the stream.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::child::Launch;
use super::folder::{DataFolder, write_private};
use super::secrets::Secrets;
use super::shim::DeathSignal;
use super::supervise::{Readiness, Server};
use super::{Error, NatsEndpoint, leftover};
use crate::disk::FULL_BELOW_MIB;
use crate::nats;

/// The service's user in the account of the journal.
pub(crate) const USER_LEDGER: &str = "ledgerline";
/// The service's user in the account of the feed.
pub(crate) const USER_FEED: &str = "ledgerline_feed";
/// The read-only user in the account of the feed.
pub(crate) const USER_SUBSCRIBER: &str = "subscriber";
/// The user of workers in the account of the feed.
pub(crate) const USER_WORKER: &str = "worker";
/// The user of the server's own account.
pub(crate) const USER_SYSTEM: &str = "ledgerline_system";

/// All a reader of the stream `FEED` sends, and nothing else: the questions about the stream, its
/// own consumers, fetching, acknowledging, and the answer to flow control.
const SUBSCRIBER_MAY_PUBLISH: [&str; 11] = [
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.INFO.FEED",
    "$JS.API.DIRECT.GET.FEED.>",
    "$JS.API.CONSUMER.CREATE.FEED",
    "$JS.API.CONSUMER.CREATE.FEED.>",
    "$JS.API.CONSUMER.INFO.FEED.>",
    "$JS.API.CONSUMER.MSG.NEXT.FEED.>",
    "$JS.API.CONSUMER.DELETE.FEED.>",
    "$JS.ACK.FEED.>",
    "$JS.FC.FEED.>",
];

/// All a worker sends: its requests. It does not hear those of others, which carry tokens.
const WORKER_MAY_PUBLISH: [&str; 1] = ["worker.v1.>"];

/// Where a worker listens: the answers to this user, and to no other.
const WORKER_MAY_SUBSCRIBE: [&str; 1] = ["_INBOX_worker.>"];

/// Where a reader listens: answers, the feed as it happens, replays.
const SUBSCRIBER_MAY_SUBSCRIBE: [&str; 3] = ["_INBOX.>", "feed.>", "replay.>"];

/// The largest message, in bytes. A commit is far smaller; the journal has its own limit below it.
const PAYLOAD_BYTES_MAX: u32 = 8 << 20;

/// Ours and a subscriber's streams are files; this is for short-lived consumers' state.
const MEMORY_STORE_BYTES_MAX: u64 = 256 << 20;

/// Effectively none. The server's default is three quarters of what is free at its start, which a
/// growing journal meets from the other side: full at 43 % of the disk. The disk is the limit.
const FILE_STORE_BYTES_MAX: u64 = 1 << 50;

/// SIGTERM is orderly and takes milliseconds; what it would save, a kill does not lose.
const STOP_SIGNALS: [(Signal, Duration); 2] = [
    (Signal::TERM, Duration::from_secs(10)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// How nats-server 2.15 tells, in its health, of a stream that it could not write.
const WRITE_ERROR: &str = "write error";

/// How long the server may take to say how it is.
const HEALTH_WITHIN: Duration = Duration::from_secs(2);

/// How long the server's greeting may take once it has accepted the connection.
const GREETING_WITHIN: Duration = Duration::from_secs(1);

/// The embedded nats-server of one data folder.
#[derive(Debug)]
pub(crate) struct Nats {
    launch: Launch,
    port: u16,
    name: String,
    /// A user of the system account, with whom it is asked how it is.
    system: String,
    asking: OnceCell<async_nats::Client>,
}

impl Nats {
    /// Ends what an earlier run left.
    pub(crate) async fn clear(folder: &DataFolder) -> Result<(), Error> {
        leftover::clear("NATS", "nats-server", &folder.nats()).await
    }

    /// Writes the configuration.
    pub(crate) fn prepare(
        folder: &DataFolder,
        secrets: &Secrets,
        program: PathBuf,
        port: u16,
    ) -> Result<Self, Error> {
        let home = folder.nats();
        let config = home.join("server.conf");
        write_private(&config, configuration(&home, secrets, port).as_bytes())?;
        Ok(Self {
            launch: Launch {
                server: "NATS",
                program,
                arguments: vec!["--config".into(), config.into()],
                environment: &[],
                folder: home,
                log: folder.log("nats")?,
                account: None,
                death_signal: DeathSignal::Kill,
            },
            port,
            name: secrets.nats_server_name.as_str().to_owned(),
            system: NatsEndpoint {
                address: format!("nats://127.0.0.1:{port}"),
                user: USER_SYSTEM.to_owned(),
                password: secrets.nats_system.as_str().to_owned(),
            }
            .url(),
            asking: OnceCell::new(),
        })
    }

    /// What the server says is wrong with it, if anything, and if it answers.
    async fn complaint(&self) -> Option<String> {
        let connect = || nats::connect(&self.system, "ledgerline-keeper");
        // One that does not answer now is asked again, or ends.
        let client = self.asking.get_or_try_init(connect).await.ok()?;
        let asked = client.request("$SYS.REQ.SERVER.PING.HEALTHZ", "".into());
        let answer = timeout(HEALTH_WITHIN, asked).await.ok()?.ok()?;
        let answer: Answer = serde_json::from_slice(&answer.payload).ok()?;
        answer.data.error
    }
}

impl Server for Nats {
    fn launch(&self) -> &Launch {
        &self.launch
    }

    fn stop_signals(&self) -> &[(Signal, Duration)] {
        &STOP_SIGNALS
    }

    /// The server greets every connection with a line about itself, and listens only once
    /// JetStream has recovered. Its name tells it from another one that has taken the port.
    async fn readiness(&self) -> Result<Readiness, Error> {
        let greeting = timeout(GREETING_WITHIN, greeting(self.port)).await;
        let ours =
            matches!(greeting, Ok(Some(info)) if info.server_name == self.name && info.jetstream);
        Ok(if ours {
            Readiness::Ready
        } else {
            Readiness::NotYet
        })
    }

    /// A stream that once could not be written is not written again until the server is started anew,
    /// and whoever writes to it has no answer. A new start helps when there is room.
    async fn ailment(&self) -> Option<String> {
        let complaint = self.complaint().await?;
        let free = crate::disk::free_mib(&self.launch.folder).ok()?;
        (complaint.contains(WRITE_ERROR) && free >= FULL_BELOW_MIB).then_some(complaint)
    }
}

/// What the server says of its health.
#[derive(Deserialize)]
struct Answer {
    data: Condition,
}

#[derive(Deserialize)]
struct Condition {
    error: Option<String>,
}

#[derive(Deserialize)]
struct Greeting {
    server_name: String,
    #[serde(default)]
    jetstream: bool,
}

async fn greeting(port: u16) -> Option<Greeting> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.ok()?;
    serde_json::from_str(line.strip_prefix("INFO ")?).ok()
}

/// The text of `server.conf`, which holds passwords.
fn configuration(home: &Path, secrets: &Secrets, port: u16) -> String {
    let quoted = |subjects: &[&str]| {
        let subjects: Vec<String> = subjects
            .iter()
            .map(|subject| format!("{subject:?}"))
            .collect();
        subjects.join(", ")
    };
    let user = |name: &str, password: &str| format!("user: {name}, password: \"{password}\"");
    let mut text = String::new();
    write!(
        text,
        r#"# Written by `ledgerline up` at every start: a change here is lost.
server_name: "{server_name}"
listen: "127.0.0.1:{port}"
max_payload: {PAYLOAD_BYTES_MAX}
jetstream {{
  store_dir: "{store}"
  # An acknowledgement means "on the disk". By default the server acknowledges first.
  sync_interval: always
  max_memory_store: {MEMORY_STORE_BYTES_MAX}
  max_file_store: {FILE_STORE_BYTES_MAX}
}}
accounts {{
  SYSTEM {{ users: [ {{ {system} }} ] }}
  LEDGER {{ jetstream: enabled, users: [ {{ {ledger} }} ] }}
  FEED {{
    jetstream: enabled
    users: [
      {{ {feed} }}
      {{ {subscriber}, permissions: {{
        publish: {{ allow: [{may_publish}] }}
        subscribe: {{ allow: [{may_subscribe}] }}
      }} }}
      {{ {worker}, permissions: {{
        publish: {{ allow: [{worker_may_publish}] }}
        subscribe: {{ allow: [{worker_may_subscribe}] }}
      }} }}
    ]
  }}
}}
system_account: SYSTEM
"#,
        server_name = secrets.nats_server_name.as_str(),
        store = escaped(home),
        system = user(USER_SYSTEM, secrets.nats_system.as_str()),
        ledger = user(USER_LEDGER, secrets.nats_ledger.as_str()),
        feed = user(USER_FEED, secrets.nats_feed.as_str()),
        subscriber = user(USER_SUBSCRIBER, secrets.nats_subscriber.as_str()),
        worker = user(USER_WORKER, secrets.nats_worker.as_str()),
        worker_may_publish = quoted(&WORKER_MAY_PUBLISH),
        worker_may_subscribe = quoted(&WORKER_MAY_SUBSCRIBE),
        may_publish = quoted(&SUBSCRIBER_MAY_PUBLISH),
        may_subscribe = quoted(&SUBSCRIBER_MAY_SUBSCRIBE),
    )
    .expect("writing to a string does not fail");
    text
}

/// A path for a quoted string of the configuration.
fn escaped(path: &Path) -> String {
    path.to_string_lossy()
        .replace('\\', r"\\")
        .replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_syncs_before_it_acknowledges_and_listens_on_loopback_only() {
        let text = configuration(Path::new("/a \"b\""), &Secrets::default(), 4222);
        assert!(text.contains("sync_interval: always"));
        assert!(text.contains("listen: \"127.0.0.1:4222\""));
        assert!(text.contains(r#"store_dir: "/a \"b\"""#));
    }

    #[test]
    fn a_subscriber_may_publish_nothing_that_writes_a_stream() {
        for subject in SUBSCRIBER_MAY_PUBLISH {
            let reads = ["INFO", "NAMES", "GET", "CONSUMER", "ACK", "FC"];
            assert!(reads.iter().any(|word| subject.contains(word)), "{subject}");
            assert!(subject.starts_with("$JS."), "{subject}");
        }
    }
}
