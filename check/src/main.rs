//! `ledgerline-check`: judges a saved history against a journal, saved or live.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use clap::{ArgGroup, Parser};
use futures_util::StreamExt as _;
use ledgerline_check::{History, Message, journal, judge};

/// Judges what clients were told against what stands in the journal.
///
/// Exit codes: 0 nothing is wrong, 1 something is, 2 it could not be judged.
#[derive(Debug, Parser)]
#[command(version, group(ArgGroup::new("from").required(true).args(["journal", "nats"])))]
struct Arguments {
    /// What clients have written down, two lines a call; without it the journal is judged by itself
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// A saved journal, one message a line
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// The address of NATS, with user and password, to read the journal there
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// The journal's stream there
    #[arg(long, value_name = "NAME", default_value = "JOURNAL")]
    stream: String,
    /// Where to save the journal that was read
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    let found = match run(&Arguments::parse(), &mut out).await {
        Ok(found) => found,
        Err(error) => {
            // Nobody is left to tell where this cannot be written.
            writeln!(std::io::stderr(), "error: {error:#}").ok();
            return ExitCode::from(2);
        }
    };
    ExitCode::from(u8::from(found > 0))
}

async fn run(arguments: &Arguments, out: &mut impl std::io::Write) -> anyhow::Result<usize> {
    let messages = match (&arguments.journal, &arguments.nats) {
        (Some(file), _) => journal::read(open(file)?)?,
        (None, Some(url)) => live(url, &arguments.stream).await?,
        (None, None) => anyhow::bail!("name a journal"),
    };
    if let Some(file) = &arguments.save {
        let to = File::create(file).with_context(|| format!("write `{}`", file.display()))?;
        journal::write(&messages, BufWriter::new(to))?;
    }
    let findings = match &arguments.history {
        Some(file) => judge::judge(&History::read(open(file)?)?, &messages),
        None => judge::of_journal(&messages),
    };
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    let count = findings.len();
    writeln!(out, "{} commits, {count} findings", messages.len())?;
    Ok(count)
}

fn open(file: &PathBuf) -> anyhow::Result<BufReader<File>> {
    let opened = File::open(file).with_context(|| format!("read `{}`", file.display()))?;
    Ok(BufReader::new(opened))
}

/// Everything that stands in the stream now.
async fn live(url: &str, stream: &str) -> anyhow::Result<Vec<Message>> {
    let (user, address) = url
        .trim_start_matches("nats://")
        .split_once('@')
        .context("the address names no user")?;
    let (user, password) = user
        .split_once(':')
        .context("the address has no password")?;
    let options = async_nats::ConnectOptions::with_user_and_password(user.into(), password.into());
    let client = options.connect(address).await.context("connect to NATS")?;
    let stream = jetstream::new(client).get_stream(stream).await?;
    let mut consumer = stream.create_consumer(OrderedConfig::default()).await?;
    let mut waiting = consumer.info().await?.num_pending;
    let mut stored = consumer.messages().await?;
    let mut messages = Vec::new();
    while waiting > 0 {
        let message = stored.next().await.context("the journal ended")??;
        let info = message.info().map_err(|error| anyhow::anyhow!(error))?;
        waiting = info.pending;
        let sequence = info.stream_sequence;
        let headers = message.headers.iter().flat_map(|headers| headers.iter());
        let headers: BTreeMap<_, _> = headers
            .filter_map(|(name, values)| Some((name.to_string(), values.first()?.to_string())))
            .collect();
        messages.push(Message {
            sequence,
            headers,
            subject: message.subject.to_string(),
            payload: message.payload.to_vec(),
        });
    }
    Ok(messages)
}
