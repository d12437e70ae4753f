//! `ledgerline migrate`: the database's shared tables, roles and schemas.

use anyhow::Context as _;
use clap::Args;

use super::Console;

/// How it is used.
pub(super) const EXAMPLES: &str = "\
Examples:
  ledgerline migrate --database postgres://user:secret@db/ledgerline

The user must own the database and may create roles. `up` does this by itself.";

/// What `migrate` takes.
#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// Address of the database, with user and password
    #[arg(
        long,
        value_name = "URL",
        env = "LEDGERLINE_DATABASE",
        hide_env_values = true
    )]
    database: String,
}

pub(super) async fn run(args: MigrateArgs, console: &Console) -> anyhow::Result<()> {
    let pool = infra::postgres::connect(&args.database).await?;
    projections::migrate(&pool).await.context("migrate")?;
    console.out.line("the database is up to date")?;
    Ok(())
}
