//! Looks at everything the service depends on, and says what to do about each finding.
//!
//! It looks and does not touch: it makes no stream and mends none, as a start does.
//!
//! - `cluster`: the servers of NATS, and which of them keep the streams.

mod cluster;

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use commands::Journal as _;
use commands::dispatch::Dispatch as _;
use domain::Position;
use infra::embedded::locate::{self, Search};
use infra::nats::dispatch::Forwarding;
use infra::nats::{self, JetStreamJournal};
use infra::postgres::PgPool;
use serde::Serialize;

use super::Endpoints;
use super::checks::{self, chain, findings};
use super::servers::Addresses;

/// Less free space than this is a failure soon, in MiB.
const DISK_WARN_MIB: u64 = 1_024;

/// Less than this is one now, in MiB: NATS and Postgres write files of 8 and 16 MiB.
const DISK_FAIL_MIB: u64 = 100;

/// How far this machine's clock and the database's may lie apart, in milliseconds.
const CLOCK_MS_MAX: i64 = 2_000;

/// Which service is looked at; without any, the one that runs on the data folder.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// Address of NATS, with user and password
    #[arg(
        long,
        value_name = "URL",
        requires = "database",
        env = "LEDGERLINE_NATS",
        hide_env_values = true
    )]
    nats: Option<String>,
    /// The same for the account of the feed
    #[arg(
        long,
        value_name = "URL",
        env = "LEDGERLINE_NATS_FEED",
        hide_env_values = true
    )]
    nats_feed: Option<String>,
    /// The same for NATS' system account
    #[arg(
        long,
        value_name = "URL",
        env = "LEDGERLINE_NATS_SYSTEM",
        hide_env_values = true
    )]
    nats_system: Option<String>,
    /// Address of the database, with user and password
    #[arg(
        long,
        value_name = "URL",
        requires = "nats",
        env = "LEDGERLINE_DATABASE",
        hide_env_values = true
    )]
    database: Option<String>,
    /// Folder of the keys that check tokens; `keys` in the data folder unless told
    #[arg(long, value_name = "FOLDER", env = "LEDGERLINE_KEYS")]
    keys: Option<PathBuf>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it; empty where nothing is to be done.
    pub advice: String,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Somebody should look at it.
    Warning,
    /// It does not work like this.
    Failed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        })
    }
}

/// Looks at everything.
///
/// # Errors
/// When it cannot even be told what to look at.
pub async fn doctor(data_dir: &Path, target: &Target) -> anyhow::Result<Vec<Finding>> {
    let endpoints = Endpoints::read(data_dir)?;
    let keys = target.keys.clone().unwrap_or_else(|| data_dir.join("keys"));
    let mut findings = Vec::new();
    let addresses = match (&target.nats, &target.database, &endpoints) {
        (Some(nats), Some(database), _) => Addresses::named(
            nats,
            target.nats_feed.as_deref(),
            target.nats_system.as_deref(),
            database,
        ),
        (_, _, Some(endpoints)) => {
            findings.extend(programs(data_dir));
            Addresses::of_endpoints(endpoints)
        }
        (_, _, None) => {
            findings.extend(programs(data_dir));
            findings.push(disk(data_dir));
            findings.push(Finding::warning(
                "service",
                format!("no `up` runs on `{}`", data_dir.display()),
                "start it with `ledgerline up`, or name servers with `--nats` and `--database`",
            ));
            return Ok(findings);
        }
    };
    if endpoints.is_some() {
        findings.push(disk(data_dir));
    }
    findings.push(key_folder(&keys));
    let nats = look_at_nats(&addresses, &mut findings).await;
    let pool = look_at_postgres(&addresses, &mut findings).await;
    if let (Some(nats), Some(pool)) = (nats, pool) {
        let journal = JetStreamJournal::of(nats.clone(), nats::journal::Settings::default());
        findings.push(read_side(&journal, &pool).await);
        findings.push(dispatch(nats).await);
    }
    Ok(findings)
}

fn programs(data_dir: &Path) -> [Finding; 2] {
    let search = Search::of_environment();
    let found = |check, located: Result<locate::Program, _>| match located {
        Ok(program) => Finding::ok(
            check,
            format!("{} at `{}`", program.version, program.path.display()),
        ),
        Err(error) => Finding::failed(check, chain(&error), "`make setup` gets it"),
    };
    [
        found("nats-server program", locate::nats_server(&search)),
        found("postgres program", locate::postgres_for(&search, data_dir)),
    ]
}

fn disk(data_dir: &Path) -> Finding {
    const CHECK: &str = "disk";
    const ADVICE: &str =
        "make room: without it commands are refused, and nothing that was acknowledged is lost";
    match infra::disk::free_mib(data_dir) {
        Err(error) => Finding::warning(
            CHECK,
            chain(&error),
            "look whether the data folder is there",
        ),
        Ok(free) if free < DISK_FAIL_MIB => {
            Finding::failed(CHECK, format!("{free} MiB free"), ADVICE)
        }
        Ok(free) if free < DISK_WARN_MIB => {
            Finding::warning(CHECK, format!("{free} MiB free"), ADVICE)
        }
        Ok(free) => Finding::ok(CHECK, format!("{free} MiB free")),
    }
}

fn key_folder(keys: &Path) -> Finding {
    const CHECK: &str = "token keys";
    const ADVICE: &str = "put the public keys of whoever signs tokens there, as `<kid>.public.pem`";
    match super::keys::read(keys) {
        Ok(read) if read.is_empty() => Finding::failed(
            CHECK,
            format!("no key in `{}`: no token can pass", keys.display()),
            ADVICE,
        ),
        Ok(_) => Finding::ok(CHECK, format!("`{}` is readable", keys.display())),
        Err(error) => Finding::failed(CHECK, format!("{error:#}"), ADVICE),
    }
}

async fn look_at_nats(addresses: &Addresses, findings: &mut Vec<Finding>) -> Option<nats::Client> {
    let client = match nats::connect(addresses.nats(), "ledgerline-doctor").await {
        Ok(client) => client,
        Err(error) => {
            findings.push(Finding::failed(
                "nats",
                chain(&error),
                "start nats-server, or mend the address",
            ));
            return None;
        }
    };
    let version = client.server_info().version;
    findings.push(match nats::server::check(&client) {
        Ok(()) => Finding::ok("nats", format!("version {version} answers")),
        Err(error) => Finding::failed(
            "nats",
            chain(&error),
            "bring nats-server up to what is needed",
        ),
    });
    findings.push(match addresses.check_sync(&client).await {
        Ok(true) => Finding::ok(
            "nats sync",
            "every acknowledged message is on the disk".to_owned(),
        ),
        Ok(false) => Finding::warning(
            "nats sync",
            "cannot be seen without the system account".to_owned(),
            "give `--nats-system`, and set `sync_interval: always`",
        ),
        Err(error) => Finding::failed(
            "nats sync",
            format!("{error:#}"),
            "set `sync_interval: always` in `jetstream {}` and restart nats-server",
        ),
    });
    if client.server_info().cluster.is_some() {
        findings.push(cluster::addresses(addresses).await);
        findings.push(cluster::servers(addresses).await);
    }
    let streams = cluster::streams(&client, addresses).await;
    let are_there = streams
        .iter()
        .all(|stream| stream.verdict != Verdict::Failed);
    findings.extend(streams);
    if are_there {
        findings.push(settings(&client, addresses).await);
    }
    Some(client)
}

async fn settings(client: &nats::Client, addresses: &Addresses) -> Finding {
    const CHECK: &str = "streams";
    let feed = match nats::connect(addresses.nats_feed(), "ledgerline-doctor").await {
        Ok(feed) => feed,
        Err(error) => return Finding::failed(CHECK, chain(&error), "mend `--nats-feed`"),
    };
    match nats::streams::differences(client, &feed, addresses.replicas()).await {
        Ok(differences) if differences.is_empty() => {
            Finding::ok(CHECK, "settings are as they must be".to_owned())
        }
        Ok(differences) => {
            let found: Vec<_> = differences.iter().map(ToString::to_string).collect();
            let advice = "the next start mends it, or says why it cannot be changed";
            Finding::warning(CHECK, found.join("; "), advice)
        }
        Err(error) => Finding::failed(CHECK, chain(&error), "look at NATS"),
    }
}

async fn look_at_postgres(addresses: &Addresses, findings: &mut Vec<Finding>) -> Option<PgPool> {
    let pool = match infra::postgres::connect(addresses.database()).await {
        Ok(pool) => pool,
        Err(error) => {
            findings.push(Finding::failed(
                "postgres",
                chain(&error),
                "start Postgres, or mend the address",
            ));
            return None;
        }
    };
    findings.push(match infra::postgres::clock_offset_ms(&pool).await {
        Ok(offset_ms) if offset_ms.abs() > CLOCK_MS_MAX => Finding::warning(
            "clock",
            format!("differs from the database's by `{offset_ms}` ms"),
            "synchronise the machines' clocks",
        ),
        Ok(offset_ms) => Finding::ok("clock", format!("{offset_ms} ms from the database's")),
        Err(error) => Finding::failed("clock", chain(&error), "look at Postgres"),
    });
    findings.push(match projections::check_migrated(&pool).await {
        Ok(()) => Finding::ok("migrations", "the database is up to date".to_owned()),
        Err(error) => Finding::failed("migrations", chain(&error), "`ledgerline migrate`"),
    });
    Some(pool)
}

async fn read_side(journal: &JetStreamJournal, pool: &PgPool) -> Finding {
    const CHECK: &str = "read side";
    let positions = match projections::positions(pool).await {
        Ok(positions) => positions,
        Err(error) => return Finding::failed(CHECK, chain(&error), "look at Postgres"),
    };
    let head = journal.head().await.unwrap_or(Position::START);
    match findings(&positions, head) {
        api::Health::Ok => {
            let behind = head.0.saturating_sub(positions.read_side.0);
            Finding::ok(
                CHECK,
                format!("at `{}`, `{behind}` commits behind", positions.read_side),
            )
        }
        api::Health::Degraded(found) | api::Health::Failed(found) => Finding::warning(
            CHECK,
            found,
            "a stopped model needs a program that can take the event, then it is rebuilt by itself; \
             a lag needs a running projector",
        ),
    }
}

async fn dispatch(client: nats::Client) -> Finding {
    const CHECK: &str = "dispatch";
    let forwarding = match Forwarding::new(client, None).await {
        Ok(forwarding) => forwarding,
        Err(error) => return Finding::failed(CHECK, chain(&error), "look at NATS"),
    };
    match forwarding.depths(&checks::anybody()).await {
        Ok(_) => Finding::ok(CHECK, "a dispatcher is in office".to_owned()),
        Err(error) => Finding::warning(
            CHECK,
            format!("claims are answered 503: {error}"),
            "start a process with the role `reactor`; one that has just started needs a moment",
        ),
    }
}

impl Finding {
    fn ok(check: &'static str, found: String) -> Self {
        Self {
            check,
            verdict: Verdict::Ok,
            found,
            advice: String::new(),
        }
    }

    fn warning(check: &'static str, found: String, advice: &str) -> Self {
        Self {
            check,
            verdict: Verdict::Warning,
            found,
            advice: advice.to_owned(),
        }
    }

    fn failed(check: &'static str, found: String, advice: &str) -> Self {
        Self {
            check,
            verdict: Verdict::Failed,
            found,
            advice: advice.to_owned(),
        }
    }
}
