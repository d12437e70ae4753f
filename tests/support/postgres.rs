//! A Postgres of a test's own, for a `serve` without an `up`: on a socket in its folder, and ended with
//! the test program, however that ends.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use infra::embedded::locate::{self, Search};
use sqlx::{Connection as _, PgConnection};

use super::program::text;
use super::{TestResult, process, until};

/// Postgres refuses to run as root, and this user is on every machine.
const UNPRIVILEGED: &str = "nobody";

/// Runs Postgres from the folder `$0` of programs on the folder `$1`, until its input ends.
const KEEPER: &str = r#""$0/postgres" -D "$1/data" -k "$1" -c listen_addresses= -c max_connections=200 >"$1/log" 2>&1 &
cat >/dev/null
kill -QUIT $!
wait $!
rm -rf "$1""#;

/// A running Postgres with an empty database.
pub(crate) struct Postgres {
    folder: PathBuf,
    keeper: Child,
}

impl Postgres {
    pub(crate) async fn start(name: &str) -> TestResult<Self> {
        // Not within the test's folder, which the unprivileged user may not enter.
        let folder =
            std::env::temp_dir().join(format!("ledgerline-pg-{name}-{}", std::process::id()));
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        let program = locate::postgres_for(&Search::of_environment(), &folder)?.path;
        let programs = program.parent().context("a program lies in a folder")?;
        let user = match rustix::process::geteuid().is_root() {
            true => Some(process::user(UNPRIVILEGED)?),
            false => None,
        };
        if let Some((uid, gid)) = user {
            chown(&folder, Some(uid), Some(gid))?;
        }
        let mut initdb = as_user(programs.join("initdb").as_ref(), user, &folder);
        initdb.args(["--no-sync", "--auth=trust", "--username=postgres"]);
        initdb.args(["--encoding=UTF8", "--no-locale", "--pgdata"]);
        let made = initdb.arg(folder.join("data")).output()?;
        anyhow::ensure!(made.status.success(), "initdb: {}", text(&made.stderr));
        let mut keeper = as_user("sh".as_ref(), user, &folder);
        keeper.args(["-c", KEEPER]).arg(programs).arg(&folder);
        let keeper = keeper.stdin(Stdio::piped()).spawn()?;
        let postgres = Self { folder, keeper };
        until("Postgres takes connections", async || {
            let connected = PgConnection::connect(&postgres.url()).await;
            match connected {
                Ok(connection) => Ok(Some(connection.close().await?)),
                Err(_) => Ok(None),
            }
        })
        .await?;
        Ok(postgres)
    }

    /// Its address, for the program.
    pub(crate) fn url(&self) -> String {
        let folder = self.folder.display();
        format!("postgres://postgres@localhost/postgres?host={folder}")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().ok();
    }
}

fn as_user(program: &Path, user: Option<(u32, u32)>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command.current_dir(folder);
    command
}
