//! A nats-server for one test, which can be killed and started again over the same data.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::Client;
use commands::journal::contract::Fixture;
use infra::embedded::locate::{self, Search};
use infra::nats::journal::Settings;
use infra::nats::{JetStreamJournal, connect};

/// How long a server may take to start.
const START_TRIES: u32 = 500;

/// The pause between two tries to reach it.
const START_PAUSE: Duration = Duration::from_millis(20);

/// A running server; it ends with the test, and its data too.
pub(crate) struct Server {
    folder: PathBuf,
    pub(crate) port: u16,
    pub(crate) monitor_port: u16,
    child: Mutex<Option<Child>>,
}

impl Server {
    /// A server that syncs before it acknowledges.
    pub(crate) async fn start() -> Arc<Self> {
        Self::start_with("sync_interval: always").await
    }

    pub(crate) async fn start_with(jetstream: &str) -> Arc<Self> {
        Self::start_on(|store| {
            format!(
                "jetstream {{ store_dir: {store:?}, {jetstream} }}\n\
                 accounts {{\n  SYS: {{ users: [{{user: sys, password: sys}}] }}\n\
                 APP: {{ jetstream: enabled, users: [{{user: app, password: app}}] }}\n}}\n\
                 system_account: SYS\n"
            )
        })
        .await
    }

    /// A server without JetStream, where a test can answer in its place.
    pub(crate) async fn start_without_jetstream() -> Arc<Self> {
        let config = "accounts { APP: { users: [{user: app, password: app}] } }\n";
        Self::start_on(|_store| config.to_owned()).await
    }

    async fn start_on(config: impl FnOnce(&Path) -> String) -> Arc<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ledgerline-jetstream-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        let (port, monitor_port) = (free_port(), free_port());
        let config = format!(
            "listen: 127.0.0.1:{port}\nhttp: 127.0.0.1:{monitor_port}\n{}",
            config(&folder.join("data"))
        );
        fs::write(folder.join("nats.conf"), config).expect("the temporary folder is writable");
        let server = Arc::new(Self {
            folder,
            port,
            monitor_port,
            child: Mutex::default(),
        });
        server.start_again().await;
        server
    }

    /// Starts it over the data that is there.
    pub(crate) async fn start_again(&self) {
        let program = locate::nats_server(&Search::of_environment()).expect("`scripts/setup` ran");
        let log = fs::File::create(self.folder.join("log")).expect("the folder is writable");
        let child = Command::new(program.path)
            .arg("--config")
            .arg(self.folder.join("nats.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        *self.child.lock().expect("no test panics in it") = Some(child.expect("it is executable"));
        for _ in 0..START_TRIES {
            if is_healthy(self.monitor_port).await {
                return;
            }
            tokio::time::sleep(START_PAUSE).await;
        }
        panic!(
            "{}",
            fs::read_to_string(self.folder.join("log")).unwrap_or_default()
        );
    }

    /// What `kill -9` does.
    pub(crate) fn kill(&self) {
        let child = self.child.lock().expect("no test panics in it").take();
        if let Some(mut child) = child {
            child.kill().expect("it is our child");
            child.wait().expect("it is our child");
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://app:app@127.0.0.1:{}", self.port)
    }

    pub(crate) async fn client(&self) -> Client {
        connect(&self.url(), "test").await.expect("it listens")
    }

    pub(crate) async fn system_client(&self) -> Client {
        let url = format!("nats://sys:sys@127.0.0.1:{}", self.port);
        connect(&url, "test").await.expect("it listens")
    }

    pub(crate) async fn journal(&self) -> JetStreamJournal {
        let journal = JetStreamJournal::open(self.client().await, Settings::default()).await;
        journal.expect("the server is new and empty")
    }

    /// A journal on this server, for one claim.
    pub(crate) async fn fixture(&self, claim: &str) -> Fixture {
        Fixture::new(Arc::new(self.journal().await), claim)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        // A panic here would hide the test's own.
        drop(error);
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let address = listener.local_addr().expect("it is bound");
    address.port()
}

/// Also that JetStream has read its data, which a connection alone does not tell.
async fn is_healthy(port: u16) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let answer = async {
        let mut connection = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        let request = b"GET /healthz HTTP/1.0\r\n\r\n";
        connection.write_all(request).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    answer.await.is_ok_and(|answer| answer.contains(" 200 "))
}
