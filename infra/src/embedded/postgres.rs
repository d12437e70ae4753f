//! The embedded Postgres: its cluster, its configuration, and how it is started and stopped.
//!
//! Ours rather than the `postgresql_embedded` crate: that one does not change the user when we
//! are root, starts the server through `pg_ctl`, which detaches it from us, and downloads.
//!
//! It listens on the loopback interface only. A Unix socket would save some microseconds a query
//! and cost a limit on the data folder's length and one more thing to be left behind.
//!
//! The program uses the role `ledgerline`, which owns the database and may make roles, and is no
//! superuser: row-level security holds for it where it is forced. The superuser only sets up.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use super::child::{Launch, Spawner};
use super::folder::{DataFolder, write_private};
use super::locate::Program;
use super::secrets::{Secret, Secrets};
use super::shim::DeathSignal;
use super::supervise::{Readiness, Server};
use super::{Account, Error, leftover};

/// The role the program uses, and the name of its database.
pub(crate) const OWNER: &str = "ledgerline";

/// The role that sets the cluster up.
const SUPERUSER: &str = "postgres";

/// Postgres 16 lets a role that makes roles act as them only if told so.
const CREATE_ROLE_GRANT_SINCE: u32 = 16;

/// SIGINT ("fast") ends sessions and writes a checkpoint; SIGQUIT ("immediate") does not, and the
/// next start recovers; a kill leaves the children behind for a moment.
const STOP_SIGNALS: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(20)),
    (Signal::QUIT, Duration::from_secs(6)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// A large batch of the read side takes some tens of megabytes for a moment. The C library (glibc) would give them back
/// to the kernel after each, and have the same pages zeroed for the next: a tenth of what Postgres did for jobs in
/// batches. What a backend holds beyond this it gives back still. The read side's backend keeps it; others are as large only
/// after a list of tens of megabytes, and at most as many as there are connections in the pool.
const KEEPS_MEMORY: [(&str, &str); 3] = [
    ("MALLOC_TRIM_THRESHOLD_", "67108864"),
    ("MALLOC_MMAP_THRESHOLD_", "33554432"),
    ("MALLOC_TOP_PAD_", "4194304"),
];

/// Which line of `postmaster.pid`, counted from zero, says how far the start is
/// (`LOCK_FILE_LINE_PM_STATUS` of Postgres' own `pg_ctl`).
const LOCK_STATUS_LINE: usize = 7;

/// The password is not the one of this cluster (SQLSTATE `invalid_password`).
const INVALID_PASSWORD: &str = "28P01";

/// The embedded Postgres of one data folder.
#[derive(Debug)]
pub(crate) struct Postgres {
    launch: Launch,
    port: u16,
    superuser: Secret,
    secrets: PathBuf,
}

impl Postgres {
    /// Ends what an earlier run left, and takes away its lock.
    pub(crate) async fn clear(folder: &DataFolder) -> Result<(), Error> {
        let cluster = folder.postgres().join("data");
        leftover::clear("Postgres", "postgres", &cluster).await?;
        // With no process of this cluster alive, the lock only misleads: the id in it may be
        // another process' by now, as in a container that was started again.
        let lock = cluster.join("postmaster.pid");
        match fs::remove_file(&lock) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::folder("removing", lock)(error))
            }
            _ => Ok(()),
        }
    }

    /// Makes the cluster if there is none, and writes its configuration.
    pub(crate) async fn prepare(
        folder: &DataFolder,
        secrets: &Secrets,
        program: &Program,
        account: Option<Account>,
        port: u16,
        spawner: &Spawner,
    ) -> Result<Self, Error> {
        let home = folder.make_postgres(account.as_ref())?;
        let cluster = home.join("data");
        let launch = Launch {
            server: "Postgres",
            program: program.path.clone(),
            arguments: vec!["-D".into(), cluster.clone().into()],
            environment: &KEEPS_MEMORY,
            folder: cluster.clone(),
            log: folder.log("postgres")?,
            account,
            death_signal: DeathSignal::Quit,
        };
        if !cluster.exists() {
            make_cluster(&home, &launch, &secrets.postgres_superuser, spawner).await?;
        }
        let own = |path: &Path| match &launch.account {
            Some(account) => account
                .own(path)
                .map_err(Error::folder("giving away", path)),
            None => Ok(()),
        };
        for (name, text) in [
            (
                "postgresql.conf",
                configuration(port, program.version.major),
            ),
            ("pg_hba.conf", ACCESS.to_owned()),
        ] {
            let path = cluster.join(name);
            write_private(&path, text.as_bytes())?;
            own(&path)?;
        }
        Ok(Self {
            launch,
            port,
            superuser: secrets.postgres_superuser.clone(),
            secrets: folder.secrets(),
        })
    }

    /// Makes the program's role and database where they are missing. Needs it running.
    pub(crate) async fn make_database(&self, password: &Secret) -> Result<(), Error> {
        let failed = |operation| move |source| Error::Database { operation, source };
        let mut connection = self
            .connect()
            .await
            .map_err(failed("connecting to the embedded Postgres"))?;
        let role = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)");
        let has_role: bool = role
            .bind(OWNER)
            .fetch_one(&mut connection)
            .await
            .map_err(failed("looking for the database's owner"))?;
        let verb = if has_role { "alter" } else { "create" };
        // The name is a constant and the password hexadecimal: nothing here can be injected.
        let password = password.as_str();
        let sql = format!("{verb} role {OWNER} login createrole password '{password}'");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .map_err(failed("making the database's owner"))?;
        let base = sqlx::query_scalar("select exists (select from pg_database where datname = $1)");
        let has_base: bool = base
            .bind(OWNER)
            .fetch_one(&mut connection)
            .await
            .map_err(failed("looking for the database"))?;
        if !has_base {
            sqlx::raw_sql(AssertSqlSafe(format!(
                "create database {OWNER} owner {OWNER}"
            )))
            .execute(&mut connection)
            .await
            .map_err(failed("making the database"))?;
        }
        let monitor = format!("grant pg_monitor to {OWNER}");
        sqlx::raw_sql(AssertSqlSafe(monitor))
            .execute(&mut connection)
            .await
            .map_err(failed("letting the database's owner see its statistics"))?;
        connection
            .close()
            .await
            .map_err(failed("leaving the embedded Postgres"))
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(SUPERUSER)
            .password(self.superuser.as_str())
            .database("postgres")
            .ssl_mode(PgSslMode::Disable)
            .disable_statement_logging()
            .connect()
            .await
    }
}

impl Server for Postgres {
    fn launch(&self) -> &Launch {
        &self.launch
    }

    fn stop_signals(&self) -> &[(Signal, Duration)] {
        &STOP_SIGNALS
    }

    /// Asked by connecting only once it says in its lock file that it is ready: each refused
    /// connection would be a line in its log.
    async fn readiness(&self) -> Result<Readiness, Error> {
        let lock = fs::read_to_string(self.launch.folder.join("postmaster.pid"));
        let status = lock
            .as_deref()
            .ok()
            .and_then(|text| text.lines().nth(LOCK_STATUS_LINE));
        if status.map(str::trim_end) != Some("ready") {
            return Ok(Readiness::NotYet);
        }
        match self.connect().await {
            Ok(connection) => {
                // It has answered; how it takes the farewell does not matter.
                connection.close().await.ok();
                Ok(Readiness::Ready)
            }
            Err(sqlx::Error::Database(error))
                if error.code().as_deref() == Some(INVALID_PASSWORD) =>
            {
                Err(Error::ForeignCluster {
                    secrets: self.secrets.clone(),
                })
            }
            Err(_) => Ok(Readiness::NotYet),
        }
    }

    /// After a kill of the postmaster its children need a moment to notice, and hold the shared
    /// memory that the next one asks for.
    fn is_passing(&self, log_tail: &str) -> bool {
        log_tail.contains("shared memory block")
    }
}

/// Runs initdb beside the cluster's place and moves the result there: half a cluster, left by a
/// kill, is never taken for a whole one.
async fn make_cluster(
    home: &Path,
    postgres: &Launch,
    password: &Secret,
    spawner: &Spawner,
) -> Result<(), Error> {
    let unfinished = home.join("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(Error::folder("removing", &unfinished))?;
    }
    let password_file = home.join("password");
    write_private(&password_file, password.as_str().as_bytes())?;
    if let Some(account) = &postgres.account {
        account
            .own(&password_file)
            .map_err(Error::folder("giving away", &password_file))?;
    }
    let option = |name: &str, path: &Path| {
        let mut option = std::ffi::OsString::from(name);
        option.push(path);
        option
    };
    let initdb = Launch {
        server: "Postgres' initdb",
        program: postgres.program.with_file_name("initdb"),
        arguments: vec![
            option("--pgdata=", &unfinished),
            option("--pwfile=", &password_file),
            format!("--username={SUPERUSER}").into(),
            "--auth=scram-sha-256".into(),
            "--encoding=UTF8".into(),
            "--no-locale".into(),
            "--data-checksums".into(),
            // It would sync a thousand files one by one; below, one call does them all.
            "--no-sync".into(),
        ],
        environment: &[],
        folder: home.to_owned(),
        death_signal: DeathSignal::Kill,
        ..postgres.clone()
    };
    let mut running = spawner.spawn(&initdb).await?;
    let status = running.ended().await.map_err(|source| Error::Spawn {
        server: initdb.server,
        source,
    })?;
    fs::remove_file(&password_file).map_err(Error::folder("removing", &password_file))?;
    if !status.success() {
        return Err(running.ended_early(status));
    }
    let cluster = home.join("data");
    let sync = || Ok(rustix::fs::syncfs(fs::File::open(home)?)?);
    // Before the move, so that what has the name is whole; after it, so that it keeps the name.
    sync()
        .and_then(|()| fs::rename(&unfinished, &cluster))
        .and_then(|()| sync())
        .map_err(Error::folder("making", cluster))
}

/// Who may connect: anyone with a password, from this machine.
const ACCESS: &str = "\
# Written by `ledgerline up` at every start: a change here is lost.
host all all 127.0.0.1/32 scram-sha-256
";

/// The text of `postgresql.conf`.
fn configuration(port: u16, major: u32) -> String {
    let create_role_grant = if major >= CREATE_ROLE_GRANT_SINCE {
        "createrole_self_grant = 'set, inherit'\n"
    } else {
        ""
    };
    format!(
        "\
# Written by `ledgerline up` at every start: a change here is lost.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
{create_role_grant}
# The program's pools hold half of these; the rest is for people who look.
max_connections = 60
shared_buffers = 128MB
work_mem = 16MB
maintenance_work_mem = 128MB
# The tables are a fold of the journal, and the position they stand at is written in the same
# transaction: after a power cut they are a moment behind, whole, and catch up by themselves. So
# a commit need not wait for the disk. What may not be lost is in the journal, which does wait.
synchronous_commit = off
# Never off: without it a power cut may leave a cluster that does not start.
fsync = on
# After a kill, one call for the whole disk instead of opening a thousand files one by one.
recovery_init_sync_method = syncfs
# No replicas here, so a table that is filled as it is made (a rebuild) is written once.
wal_level = minimal
max_wal_senders = 0
max_wal_size = 1GB
wal_compression = on
random_page_cost = 1.1
# Our queries are short; compiling them takes longer than running them.
jit = off

timezone = 'UTC'
log_timezone = 'UTC'
datestyle = 'iso, ymd'
lc_messages = 'C'
logging_collector = off
log_line_prefix = '%m [%p] '
log_min_duration_statement = 1000
"
    )
}
