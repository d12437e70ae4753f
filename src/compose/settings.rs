//! Every setting of the service, once: flag, environment name, unit and default. The reference page
//! `docs/reference/cli.md` is made from these.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use infra::telemetry::{self, LogFormat};

use super::{SealArgs, WorkerArgs};

/// What `up` and `serve` have in common.
#[derive(Debug, Clone, Args)]
pub struct ServiceArgs {
    /// Address to serve HTTP on
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        env = "LEDGERLINE_LISTEN"
    )]
    pub listen: SocketAddr,
    /// Pages that may watch jobs beside those of the server itself, as `https://board.example.org`, with
    /// commas between them
    #[arg(
        long,
        value_name = "ORIGINS",
        value_delimiter = ',',
        env = "LEDGERLINE_ALLOWED_ORIGINS"
    )]
    pub allowed_origins: Vec<String>,
    /// What is logged: a level, or levels by module as in `info,infra=debug`
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info",
        env = "LEDGERLINE_LOG"
    )]
    pub log: String,
    /// How log lines look
    #[arg(
        long,
        value_enum,
        default_value = "text",
        env = "LEDGERLINE_LOG_FORMAT"
    )]
    pub log_format: Lines,
    /// The built-in worker.
    #[command(flatten)]
    pub worker: WorkerArgs,
    /// Seals of the journal.
    #[command(flatten)]
    pub seals: SealArgs,
}

/// What `serve` needs besides: where the servers are.
#[derive(Debug, Clone, Args)]
pub struct ServeSettings {
    /// What is common with `up`.
    #[command(flatten)]
    pub service: ServiceArgs,
    /// Roles of this process, with commas between them
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "api,projector,reactor",
        env = "LEDGERLINE_ROLES"
    )]
    pub roles: Vec<Role>,
    /// Address of NATS, with user and password; several servers with commas between them
    #[arg(
        long,
        value_name = "URL",
        env = "LEDGERLINE_NATS",
        hide_env_values = true
    )]
    pub nats: String,
    /// The same for the account of the feed, where subscribers have users; without it the feed lies
    /// beside the journal, and no subscriber may log in there
    #[arg(
        long,
        value_name = "URL",
        env = "LEDGERLINE_NATS_FEED",
        hide_env_values = true
    )]
    pub nats_feed: Option<String>,
    /// The same for NATS' system account, to check `sync_interval`; without it the check needs
    /// `--trust-nats-sync`
    #[arg(
        long,
        value_name = "URL",
        env = "LEDGERLINE_NATS_SYSTEM",
        hide_env_values = true
    )]
    pub nats_system: Option<String>,
    /// Take the word of whoever runs NATS that it has `sync_interval: always`, without which an
    /// acknowledged command can be lost in a power cut
    #[arg(long, env = "LEDGERLINE_TRUST_NATS_SYNC")]
    pub trust_nats_sync: bool,
    /// Address of the database, with user and password
    #[arg(
        long,
        value_name = "URL",
        env = "LEDGERLINE_DATABASE",
        hide_env_values = true
    )]
    pub database: String,
    /// Folder of the keys that check tokens, `<kid>.public.pem`
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "keys",
        env = "LEDGERLINE_KEYS"
    )]
    pub keys: PathBuf,
    /// Copies of each stream: 3 in a cluster that is to survive the loss of a disk. Without it streams that are
    /// there keep what they have, and new ones have 1
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=5), env = "LEDGERLINE_REPLICAS")]
    pub replicas: Option<u8>,
}

/// A part of the service that a process may run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Takes commands and answers queries over HTTP, and serves workers over NATS. Any number may run.
    Api,
    /// Folds the journal into the read models. One works, the others stand by.
    Projector,
    /// Fills the feed, hands out jobs, lets effects follow and seals the journal. One works, the others
    /// stand by.
    Reactor,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lines {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl ServiceArgs {
    /// Begins to log as they say.
    ///
    /// # Errors
    /// When the filter is not understood.
    pub fn start_logs(&self) -> anyhow::Result<()> {
        let format = match self.log_format {
            Lines::Text => LogFormat::Text,
            Lines::Json => LogFormat::Json,
        };
        telemetry::start_logs(format, &self.log).context("start logs")
    }
}
