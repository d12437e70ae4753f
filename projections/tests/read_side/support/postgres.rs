//! One Postgres server for all tests of this program. It dies with the program, however that ends.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::OnceCell;

/// `nobody`: Postgres refuses to run as root, and owns nothing but its folder.
const UNPRIVILEGED: u32 = 65_534;

static SERVER: OnceCell<Server> = OnceCell::const_new();

struct Server {
    folder: PathBuf,
    /// The shell that ends Postgres when its input, which we hold, is closed.
    _keeper: Child,
    databases: AtomicU32,
}

/// An empty, migrated database.
pub(crate) async fn database() -> PgPool {
    let server = SERVER.get_or_init(Server::start).await;
    let number = server.databases.fetch_add(1, Ordering::Relaxed);
    let name = format!("test_{number}");
    let mut conn = options(server, "postgres")
        .connect()
        .await
        .expect("connect");
    let create = format!("create database {name} template migrated");
    let created = sqlx::raw_sql(sqlx::AssertSqlSafe(create))
        .execute(&mut conn)
        .await;
    created.expect("create a database");
    conn.close().await.expect("close");
    let pool = PgPoolOptions::new().max_connections(10);
    pool.connect_lazy_with(options(server, &name))
}

/// How to reach the database of `pool` as somebody else.
pub(crate) fn options_of(pool: &PgPool, login: &str) -> PgConnectOptions {
    (*pool.connect_options()).clone().username(login)
}

fn options(server: &Server, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(&server.folder)
        .username("postgres")
        .database(database)
}

impl Server {
    async fn start() -> Self {
        let bin = bin();
        let folder = env::temp_dir().join(format!("ledgerline-test-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("create a folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("close the folder");
        if is_root() {
            chown(&folder, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).expect("give the folder away");
        }
        let mut initdb = unprivileged(Command::new(bin.join("initdb")), &folder);
        initdb.args(["--no-sync", "--auth", "trust", "--username", "postgres"]);
        initdb
            .args(["--encoding", "UTF8", "--locale", "C", "--pgdata"])
            .arg(folder.join("data"));
        let made = initdb.output().expect("run initdb");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );

        // `cat` ends when this program does, in whatever way: then Postgres ends as well.
        let mut keeper = unprivileged(Command::new("sh"), &folder);
        keeper.arg("-c").arg(
            "\"$0/postgres\" -D \"$1/data\" -k \"$1\" -c listen_addresses= -c fsync=off \
             -c max_connections=300 >\"$1/log\" 2>&1 & \
             cat >/dev/null; kill -QUIT $!; wait $!; rm -rf \"$1\"",
        );
        let keeper = keeper.arg(&bin).arg(&folder).stdin(Stdio::piped()).spawn();
        let server = Self {
            folder,
            _keeper: keeper.expect("start Postgres"),
            databases: AtomicU32::new(0),
        };
        server.migrate().await;
        server
    }

    /// Migrates once; every test's database is a copy.
    async fn migrate(&self) {
        let mut attempts = 0;
        let mut conn = loop {
            match options(self, "postgres").connect().await {
                Ok(conn) => break conn,
                Err(error) => {
                    attempts += 1;
                    assert!(attempts < 600, "Postgres does not start: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        sqlx::raw_sql("create database migrated")
            .execute(&mut conn)
            .await
            .expect("create");
        conn.close().await.expect("close");
        let pool = PgPool::connect_lazy_with(options(self, "migrated"));
        projections::migrate(&pool).await.expect("migrate");
        pool.close().await;
    }
}

/// The folder of Postgres' programs: named, installed, or taken by the set-up.
fn bin() -> PathBuf {
    if let Some(named) = env::var_os("LEDGERLINE_POSTGRES_BIN") {
        return named.into();
    }
    let installed = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<_> = installed
        .map(|version| version.path().join("bin"))
        .collect();
    found.sort();
    found.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/postgres/bin"));
    let has_server = |bin: &PathBuf| bin.join("postgres").exists();
    let found = found.into_iter().rfind(has_server);
    found.expect("a Postgres server: run `scripts/setup servers`, or set LEDGERLINE_POSTGRES_BIN")
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").expect("Linux")) == 0
}

fn unprivileged(mut command: Command, folder: &Path) -> Command {
    if is_root() {
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    }
    command.current_dir(folder);
    command
}
