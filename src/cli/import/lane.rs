//! One way to the server: collects the commands of its cases into requests and sends one after
//! another, so that no command of a case overtakes an earlier one.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::rejects::Rejects;
use super::settle::{Line, Reply, settle};
use super::tally::{Fate, Tally, fate, refused};
use crate::cli::client::Client;
use crate::import::plan::{EventPlace, PlannedCommand};

/// Commands in one request: as many as the server takes.
const LINES_MAX: usize = 10_000;
/// Bytes in one request. They are kept until they are answered, in case they must be sent again.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// An event with the commands that it becomes, at least one.
pub(super) struct PlannedEvent {
    pub(super) place: EventPlace,
    pub(super) commands: Vec<PlannedCommand>,
}

/// One way, with what waits on it.
pub(super) struct Lane {
    client: Client,
    head: u64,
    rejects: Arc<Rejects>,
    tally: Tally,
    /// Whose the lines are: the place of each event and how many lines it has.
    events: Vec<(EventPlace, usize)>,
    lines: Vec<Line>,
    bytes: usize,
}

impl Lane {
    /// A way on which nothing waits. `head` is where the journal ended before the import.
    pub(super) fn new(client: Client, head: u64, rejects: Arc<Rejects>) -> Self {
        Self {
            client,
            head,
            rejects,
            tally: Tally::default(),
            events: Vec::new(),
            lines: Vec::new(),
            bytes: 0,
        }
    }

    /// Until there are no more cases and everything is answered.
    pub(super) async fn run(
        mut self,
        mut cases: mpsc::Receiver<Vec<PlannedEvent>>,
    ) -> anyhow::Result<Tally> {
        while let Some(case) = cases.recv().await {
            for event in case {
                self.take(event).await?;
            }
        }
        self.send().await?;
        Ok(self.tally)
    }

    async fn take(&mut self, event: PlannedEvent) -> anyhow::Result<()> {
        let lines: Vec<Line> = event.commands.iter().map(line).collect::<Result<_, _>>()?;
        let bytes: usize = lines.iter().map(|line| line.text.len()).sum();
        let full = self.lines.len() + lines.len() > LINES_MAX || self.bytes + bytes > BYTES_MAX;
        if full && !self.lines.is_empty() {
            self.send().await?;
        }
        self.events.push((event.place, lines.len()));
        self.lines.extend(lines);
        self.bytes += bytes;
        Ok(())
    }

    async fn send(&mut self) -> anyhow::Result<()> {
        let lines = std::mem::take(&mut self.lines);
        let replies = settle(&self.client, &lines)
            .await
            .context("send commands")?;
        self.tally.commands += lines.len() as u64;
        self.bytes = 0;
        let mut replies = replies.as_slice();
        for (place, count) in std::mem::take(&mut self.events) {
            let (of_event, rest) = replies.split_at(count);
            replies = rest;
            self.count(&place, of_event)?;
        }
        Ok(())
    }

    fn count(&mut self, place: &EventPlace, replies: &[Reply]) -> anyhow::Result<()> {
        for reply in replies {
            if let Reply::Receipt(receipt) = reply {
                self.tally.position = self.tally.position.max(Some(receipt.position));
            }
        }
        match fate(replies, self.head) {
            Fate::Recorded => self.tally.recorded += 1,
            Fate::AlreadyThere => self.tally.already_there += 1,
            Fate::Unchanged => self.tally.unchanged += 1,
            Fate::Rejected(problem) => {
                let reject = refused(place, problem);
                self.rejects.write(&reject)?;
                self.tally.reject(&reject);
            }
        }
        Ok(())
    }
}

fn line(command: &PlannedCommand) -> anyhow::Result<Line> {
    let mut text = serde_json::to_vec(command).context("write a command")?;
    text.push(b'\n');
    let aggregate: Uuid = command.id;
    Ok(Line { aggregate, text })
}
