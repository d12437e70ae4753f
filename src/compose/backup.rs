//! Backup and restore: the journal with its seals, into a file and out of it.
//!
//! A backup is consistent because the journal only grows: it is everything up to the position where
//! the journal ended when it began, and every seal of that. Writes go on meanwhile.
//!
//! A restore reads the file twice. First it is judged as a journal is: digest, chains, seals. Then it
//! is written to streams that have never had anything, where every commit gets its own position
//! again, and what was written is read back and judged by the same measure. Read models, feed and
//! snapshots are not restored: they follow from the journal.

use std::path::Path;

use anyhow::Context as _;
use commands::journal::BoxError;
use commands::seal::verify::{Evidence, Report, Verifier};
use commands::seal::{PublicKeys, RawCommit, Seal, Seals as _};
use domain::{Position, Timestamp};
use futures_util::TryStreamExt as _;
use infra::backup::{Item, Reader, Writer};
use infra::keys::KeyFile;
use infra::nats::{self, JetStreamJournal, JetStreamSeals, journal, refill};

use super::audit::Audit;
use super::{Embedded, servers};

/// The streams that must have nothing in them.
const STREAMS: [&str; 2] = ["JOURNAL", "SEALS"];

/// Something is there already.
#[derive(Debug, thiserror::Error)]
#[error("restore: there is a journal already{hint}")]
pub struct Occupied {
    hint: &'static str,
}

/// What a backup has, and how it was judged.
pub struct Judged {
    /// The public keys of its seals.
    keys: Vec<KeyFile>,
    seals: Vec<Seal>,
    /// As of a journal.
    pub report: Report,
}

/// Writes what NATS has now to `file`; the keys in `keys` go with it.
///
/// # Errors
/// When something cannot be read or written, or a position is missing: what cannot be restored is no
/// backup. Other differences are told in the report.
pub async fn backup(
    nats: &str,
    keys: &Path,
    file: &Path,
    now: Timestamp,
    moved: impl Fn(Position, Position),
) -> anyhow::Result<Report> {
    let audit = Audit::open(nats).await?;
    let keys = infra::keys::public_keys(keys)?;
    let evidence = audit.evidence(infra::seals::keys_of(&keys)?).await?;
    let head = audit.head().await?;
    let mut writer = Writer::create(file, now, head)?;
    for key in keys {
        writer.add(Item::Key(key))?;
    }
    for seal in evidence.seals.clone() {
        writer.add(Item::Seal(seal))?;
    }
    let mut verifier = Verifier::new(evidence);
    let mut commits = audit.commits(head);
    let mut reached = Position::START;
    while let Some(commit) = commits.try_next().await? {
        verifier.take(&commit);
        reached = reached.next();
        let position = commit.position;
        anyhow::ensure!(
            position == reached,
            "back up the journal: nothing stands at `{reached}`"
        );
        writer.add(Item::Commit(commit))?;
        moved(position, head);
    }
    anyhow::ensure!(
        reached == head,
        "back up the journal: nothing stands between `{reached}` and its end at `{head}`"
    );
    writer.finish()?;
    Ok(verifier.finish(head))
}

/// Judges a backup without touching anything.
///
/// # Errors
/// When the file is damaged; what differs is no error.
pub fn judge(file: &Path) -> anyhow::Result<Judged> {
    let mut reader = Reader::open(file)?;
    let head = reader.head().position;
    let (mut keys, mut seals) = (Vec::new(), Vec::new());
    let mut verifier = None;
    while let Some(item) = reader.read()? {
        match item {
            Item::Key(key) => keys.push(key),
            Item::Seal(seal) => seals.push(seal),
            Item::Commit(commit) => {
                let verifier = match &mut verifier {
                    Some(verifier) => verifier,
                    None => verifier.insert(begin(&keys, &seals)?),
                };
                verifier.take(&commit);
            }
        }
    }
    let verifier = match verifier {
        Some(verifier) => verifier,
        None => begin(&keys, &seals)?,
    };
    Ok(Judged {
        keys,
        seals,
        report: verifier.finish(head),
    })
}

fn begin(keys: &[KeyFile], seals: &[Seal]) -> anyhow::Result<Verifier> {
    Ok(Verifier::new(Evidence {
        seals: seals.to_vec(),
        keys: infra::seals::keys_of(keys)?,
        ..Evidence::default()
    }))
}

/// Restores into the data folder of an `up` that does not run. With `suffix` a journal that is there
/// is put aside under a name that ends with it.
///
/// # Errors
/// [`Occupied`] where a journal is there and may not be put aside; otherwise whatever is in the way.
pub async fn restore_embedded(
    data_dir: &Path,
    file: &Path,
    judged: &Judged,
    suffix: Option<&str>,
) -> anyhow::Result<()> {
    if let Some(suffix) = suffix {
        infra::embedded::put_aside(data_dir, suffix)?;
    }
    let servers = servers::start(&Embedded {
        data_dir: data_dir.to_owned(),
        nats_port: None,
        postgres_port: None,
    })
    .await?;
    let hint = "; `--force` puts it aside";
    let restored = restore(&servers.endpoints().nats.url(), file, judged, hint).await;
    servers.stop().await;
    restored?;
    let keys = super::key_folder(&data_dir.join("keys"));
    infra::keys::import(&keys, &judged.keys)?;
    Ok(())
}

/// Restores into an empty NATS; the keys of the seals are the caller's to bring.
///
/// # Errors
/// [`Occupied`] where it is not empty; otherwise whatever is in the way.
pub async fn restore_on(nats: &str, file: &Path, judged: &Judged) -> anyhow::Result<()> {
    restore(nats, file, judged, "").await
}

async fn restore(
    nats: &str,
    file: &Path,
    judged: &Judged,
    hint: &'static str,
) -> anyhow::Result<()> {
    let client = nats::connect(nats, "ledgerline-restore").await?;
    nats::server::check(&client)?;
    if !refill::are_empty(&client, &STREAMS).await? {
        return Err(Occupied { hint }.into());
    }
    let settings = journal::Settings::default();
    JetStreamJournal::open(client.clone(), settings.clone()).await?;
    let seals = JetStreamSeals::open(client.clone(), None).await?;
    let mut reader = Reader::open(file)?;
    let commits = std::iter::from_fn(|| next_commit(&mut reader).transpose());
    let refilled = refill::refill(&client, &settings, commits).await;
    refilled
        .map_err(anyhow::Error::from_boxed)
        .context("write the journal")?;
    for seal in &judged.seals {
        seals.append(seal.clone()).await?;
    }
    let restored = read_back(client, infra::seals::keys_of(&judged.keys)?).await?;
    anyhow::ensure!(
        restored == judged.report,
        "what was restored is not what the backup has: digest `{}` instead of `{}`",
        restored.digest,
        judged.report.digest
    );
    Ok(())
}

fn next_commit(reader: &mut Reader) -> Result<Option<RawCommit>, BoxError> {
    loop {
        match reader.read()? {
            Some(Item::Commit(commit)) => return Ok(Some(commit)),
            Some(Item::Key(_) | Item::Seal(_)) => {}
            None => return Ok(None),
        }
    }
}

async fn read_back(client: nats::Client, keys: PublicKeys) -> anyhow::Result<Report> {
    let audit = Audit::on(client);
    let mut verifier = Verifier::new(audit.evidence(keys).await?);
    let head = audit.head().await?;
    let mut commits = audit.commits(head);
    while let Some(commit) = commits.try_next().await? {
        verifier.take(&commit);
    }
    Ok(verifier.finish(head))
}
