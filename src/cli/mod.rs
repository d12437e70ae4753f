//! The command line: one file a subcommand, and what they share.
//!
//! - [`client`], [`endpoints`]: the way to a running server.
//! - [`out`]: the only place that prints. [`failure`]: errors and exit codes.
//! - [`mod@reference`]: the page `docs/reference/cli.md`, made from what stands here.
//!
//! Client commands know the server by its HTTP API alone. Only `up`, `serve`, `migrate`, `doctor`,
//! `verify`, `audit`, `backup` and `restore` go to its databases, through the composition of the program.

mod assignment;
mod audit;
mod backup;
mod batch;
mod bench;
mod client;
mod doctor;
mod endpoints;
mod events;
mod failure;
mod history;
mod import;
mod job;
mod label;
mod migrate;
mod openapi;
mod out;
mod positions;
mod queue;
mod rebuild;
mod reference;
mod replay;
mod restore;
mod schedule;
mod serve;
mod show;
mod token;
mod up;
mod verify;
mod worker_protocol;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use commands::Clock;

use self::client::Client;
use self::failure::Exit;
use self::out::{Format, Out};

/// Work that people and agents do for each other, on a journal that keeps every step
#[derive(Debug, Parser)]
#[command(name = "ledgerline", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// How a first day with the program goes.
const AFTER_HELP: &str = "\
Examples:
  ledgerline up
  ledgerline assignment list
  ledgerline assignment request --title 'Replace the pump' --kind repair --group workshop
  ledgerline events tail --from start

Exit codes:
  0 done, 1 failed, 2 wrong usage, 3 refused by a rule, 4 not found, 5 not authorised,
  6 not available, 7 verify found differences, 8 import had rejects";

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Folder of the embedded servers; client commands find a running `up` in it
    #[arg(
        long,
        global = true,
        value_name = "FOLDER",
        default_value = ".ledgerline",
        env = "LEDGERLINE_DATA_DIR"
    )]
    pub(crate) data_dir: PathBuf,
    /// Address of the server, instead of the one that runs on the data folder
    #[arg(long, global = true, value_name = "URL", env = "LEDGERLINE_URL")]
    pub(crate) url: Option<String>,
    /// Bearer token, instead of the one in the data folder
    #[arg(
        long,
        global = true,
        value_name = "JWT",
        env = "LEDGERLINE_TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<String>,
    /// File with the bearer token; keeps it out of the list of processes
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "LEDGERLINE_TOKEN_FILE"
    )]
    pub(crate) token_file: Option<PathBuf>,
    /// Form of the output
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    pub(crate) output: Format,
    /// No remarks and no progress on standard error
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything: own NATS and Postgres in the data folder, and the service
    #[command(after_help = up::EXAMPLES)]
    Up(up::UpArgs),
    /// Run the service, or some of its roles, on servers of your own
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::ServeArgs),
    /// Bring the database to the form this version needs
    #[command(after_help = migrate::EXAMPLES)]
    Migrate(migrate::MigrateArgs),
    /// Check everything the service depends on, and say what to do about each finding
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::DoctorArgs),
    /// Mint a token with the private key of the data folder
    #[command(after_help = token::EXAMPLES)]
    Token(token::TokenArgs),
    /// Import the history of other systems
    #[command(after_help = import::EXAMPLES)]
    Import(import::ImportArgs),
    /// Play a slice of the journal again, onto a subject of its own
    #[command(after_help = replay::EXAMPLES)]
    Replay(replay::ReplayArgs),
    /// Ask for work, do it, and look at it
    #[command(after_help = assignment::EXAMPLES)]
    Assignment(assignment::AssignmentArgs),
    /// Enqueue jobs, and look at them
    #[command(after_help = job::EXAMPLES)]
    Job(job::JobArgs),
    /// Submit many jobs that belong together, and follow them to their end
    #[command(after_help = batch::EXAMPLES)]
    Batch(batch::BatchArgs),
    /// What queues have, and how they are handed out
    #[command(after_help = queue::EXAMPLES)]
    Queue(queue::QueueArgs),
    /// Jobs that are enqueued again and again
    #[command(after_help = schedule::EXAMPLES)]
    Schedule(schedule::ScheduleArgs),
    /// How much work people and groups have, and how long it stayed in each state
    #[command(after_help = workload::EXAMPLES)]
    Workload(workload::WorkloadArgs),
    /// Read the public events
    #[command(after_help = events::EXAMPLES)]
    Events(events::EventsArgs),
    /// How far the journal, the read side and each read model are
    #[command(after_help = positions::EXAMPLES)]
    Positions(positions::PositionsArgs),
    /// Fill a read model anew from the journal while the old one serves
    #[command(after_help = rebuild::EXAMPLES)]
    Rebuild(rebuild::RebuildArgs),
    /// Fold the whole journal again and compare every row of the read models with it
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::VerifyArgs),
    /// Show that the journal was not changed: verify it, list its seals, prove a commit
    #[command(after_help = audit::EXAMPLES)]
    Audit(audit::AuditArgs),
    /// Write the journal with its seals into a file, while the service goes on
    #[command(after_help = backup::EXAMPLES)]
    Backup(backup::BackupArgs),
    /// Fill an empty data folder, or an empty NATS, from a backup
    #[command(after_help = restore::EXAMPLES)]
    Restore(restore::RestoreArgs),
    /// Measure the program beside what its servers can do at most
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::BenchArgs),
    /// Print the OpenAPI document of the HTTP API
    #[command(after_help = openapi::EXAMPLES)]
    Openapi,
    /// Print the worker protocol over NATS: subjects, headers and JSON Schemas
    #[command(after_help = worker_protocol::EXAMPLES)]
    WorkerProtocol,
    /// Print the reference page of the command line as Markdown
    #[command(hide = true)]
    Reference,
}

/// What a command has at hand.
pub(crate) struct Console {
    /// The global options.
    pub(crate) global: Global,
    /// Where output goes.
    pub(crate) out: Out,
    /// Time and fresh ids.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Console {
    /// A client of the server that is meant.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        endpoints::connect(&self.global)
    }
}

/// Runs the program on the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    let console = Console {
        out: Out::to_process(global.output, global.quiet),
        global,
        clock: Arc::new(infra::SystemClock),
    };
    match run(command, &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => end_with(&error),
    }
}

/// Says on standard error what went wrong, and gives the exit code for it.
#[must_use]
pub fn end_with(error: &anyhow::Error) -> ExitCode {
    let exit = Exit::of(error);
    if exit != Exit::Done {
        out::write_to_stderr(&failure::message(error));
    }
    ExitCode::from(exit.code())
}

/// The reference page of the command line, as `docs/reference/cli.md` has it.
#[must_use]
pub fn reference_page() -> String {
    reference::page(&definition())
}

/// The command line as clap knows it.
#[must_use]
pub fn definition() -> clap::Command {
    Cli::command()
}

fn run(command: Command, console: &Console) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("start the async runtime")?;
    runtime.block_on(async {
        match command {
            Command::Up(args) => up::run(args, console).await,
            Command::Serve(args) => serve::run(args, console).await,
            Command::Migrate(args) => migrate::run(args, console).await,
            Command::Doctor(args) => doctor::run(args, console).await,
            Command::Token(args) => token::run(&args, console),
            Command::Import(args) => import::run(args, console).await,
            Command::Replay(args) => replay::run(&args, console).await,
            Command::Assignment(args) => assignment::run(args, console).await,
            Command::Job(args) => job::run(args, console).await,
            Command::Batch(args) => batch::run(args, console).await,
            Command::Queue(args) => queue::run(&args, console).await,
            Command::Schedule(args) => schedule::run(args, console).await,
            Command::Workload(args) => workload::run(&args, console).await,
            Command::Events(args) => events::run(&args, console).await,
            Command::Positions(args) => positions::run(&args, console).await,
            Command::Rebuild(args) => rebuild::run(&args, console).await,
            Command::Verify(args) => verify::run(&args, console).await,
            Command::Audit(args) => audit::run(&args, console).await,
            Command::Backup(args) => backup::run(&args, console).await,
            Command::Restore(args) => restore::run(&args, console).await,
            Command::Bench(args) => bench::run(args, console).await,
            Command::Openapi => openapi::run(console),
            Command::WorkerProtocol => worker_protocol::run(console),
            Command::Reference => Ok(console.out.line(&reference_page())?),
        }
    })
}

#[cfg(test)]
mod tests;
