//! `ledgerline up`: the embedded default.

use anyhow::Context as _;
use clap::Args;

use super::Console;
use crate::compose::{self, ServiceArgs};

/// How it is used.
pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline up
  ledgerline up --listen 127.0.0.1:9000 --data-dir /srv/ledgerline
  ledgerline up --log-format json --log info,infra=debug

Stops on Ctrl-C and SIGTERM. Its servers never outlive it. What others need to reach them stands in
<data-dir>/endpoints.json.";

/// What `up` takes.
#[derive(Debug, Args)]
pub(super) struct UpArgs {
    #[command(flatten)]
    service: ServiceArgs,
    /// Port of the embedded nats-server on the loopback interface; else that of the last run, else a free one
    #[arg(long, value_name = "PORT", env = "LEDGERLINE_NATS_PORT")]
    nats_port: Option<u16>,
    /// Port of the embedded Postgres on the loopback interface; else that of the last run, else a free one
    #[arg(long, value_name = "PORT", env = "LEDGERLINE_POSTGRES_PORT")]
    postgres_port: Option<u16>,
}

pub(super) async fn run(args: UpArgs, console: &Console) -> anyhow::Result<()> {
    args.service.start_logs()?;
    let embedded = compose::Embedded {
        data_dir: console.global.data_dir.clone(),
        nats_port: args.nats_port,
        postgres_port: args.postgres_port,
    };
    let up = compose::up(embedded, &args.service)
        .await
        .context("start")?;
    for line in up.greeting() {
        console.out.line(&line)?;
    }
    compose::until_told_to_stop().await?;
    up.stop().await;
    Ok(())
}
