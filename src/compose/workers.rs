//! The built-in worker, as the flags of `up` and `serve` ask for it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use domain::{Name, Tenant, Token};
use infra::embedded::Shim;
use infra::worker::kinds::{CommandSettings, HttpSettings, IpNet};
use infra::worker::{Parts, Settings, Worker};

/// How long running jobs have to end when the program stops: a part of what requests have,
/// for what did not end is given back in the rest.
const DRAIN: Duration = Duration::from_secs(3);

/// The built-in worker.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Built-in worker")]
pub struct WorkerArgs {
    /// Queues whose jobs this process does, with commas between them; without any it does none
    #[arg(
        long,
        value_name = "QUEUE",
        value_delimiter = ',',
        env = "LEDGERLINE_WORKER_QUEUES"
    )]
    pub worker_queues: Vec<Token>,
    /// Whose jobs it does
    #[arg(
        long,
        value_name = "TENANT",
        default_value = "default",
        env = "LEDGERLINE_WORKER_TENANT"
    )]
    pub worker_tenant: String,
    /// How many at once
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "16",
        env = "LEDGERLINE_WORKER_CONCURRENCY"
    )]
    pub worker_concurrency: usize,
    /// Do jobs of kind `http` as well: call other servers, but none in private networks
    #[arg(long, env = "LEDGERLINE_WORKER_HTTP")]
    pub worker_http: bool,
    /// Private networks that kind `http` may call all the same, as `10.0.0.0/8`
    #[arg(
        long,
        value_name = "NETWORK",
        value_delimiter = ',',
        requires = "worker_http",
        env = "LEDGERLINE_WORKER_NETWORKS"
    )]
    pub worker_networks: Vec<IpNet>,
    /// Do jobs of kind `command` as well, with these programs, each by its absolute path
    #[arg(
        long,
        value_name = "PATH",
        value_delimiter = ',',
        env = "LEDGERLINE_WORKER_PROGRAMS"
    )]
    pub worker_programs: Vec<PathBuf>,
}

impl WorkerArgs {
    /// The worker that is asked for, if one is. Must be called within a runtime.
    pub(super) fn worker(&self, parts: Parts) -> anyhow::Result<Option<Worker>> {
        if self.worker_queues.is_empty() {
            return Ok(None);
        }
        let tenant = Tenant::new(&self.worker_tenant).context("read `--worker-tenant`")?;
        let name = format!("built-in-{}", parts.clock.fresh_id());
        let name = Name::new(name).expect("a short name");
        let mut settings = Settings::new(tenant, self.worker_queues.clone(), name);
        settings.concurrency = self.worker_concurrency;
        settings.drain = DRAIN;
        settings.kinds.http = self.worker_http.then(|| HttpSettings {
            networks_allowed: self.worker_networks.clone(),
        });
        if !self.worker_programs.is_empty() {
            let shim = Shim::of_this_program(crate::CHILD_ARGUMENT);
            let programs = self.worker_programs.iter().cloned();
            settings.kinds.command = Some(CommandSettings::new(programs.collect::<Vec<_>>(), shim));
        }
        let worker = Worker::new(settings, parts).context("set up the built-in worker")?;
        Ok(Some(worker))
    }
}
