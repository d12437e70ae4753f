//! Sends the lines of one request until each has an answer that will not change.
//!
//! Invariants:
//! - A line that the server could not take now is sent again, with the same key, and with it every
//!   later line of the same aggregate: they may have been refused only for want of it. What they
//!   were answered the last time counts.
//! - The number of repeats in a row that bring nothing is bounded.

use std::collections::HashSet;
use std::convert::Infallible;

use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use uuid::Uuid;

use crate::cli::client::lines::{Ends, Lines};
use crate::cli::client::problem::Problem;
use crate::cli::client::{Client, Waits};
use crate::cli::failure::Failure;

/// Bytes handed to the connection at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// One command as it is sent.
pub(super) struct Line {
    /// Whose order it belongs to.
    pub(super) aggregate: Uuid,
    /// The JSON with its line break.
    pub(super) text: Vec<u8>,
}

/// What a line was answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    Receipt(ReceiptPart),
    Problem(Box<Problem>),
}

/// What the import wants to know of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct ReceiptPart {
    pub(super) position: u64,
    pub(super) unchanged: bool,
}

/// One line of the answer.
#[derive(Debug, Deserialize)]
struct AnswerLine {
    line: usize,
    status: u16,
    receipt: Option<ReceiptPart>,
    problem: Option<Problem>,
}

impl Reply {
    /// Whether the same line may be answered otherwise later.
    fn is_passing(&self) -> bool {
        match self {
            Self::Receipt(_) => false,
            Self::Problem(problem) => is_passing(problem.status),
        }
    }
}

fn is_passing(status: u16) -> bool {
    status == 429 || status >= 500
}

/// The answers to `lines`, one each.
pub(super) async fn settle(client: &Client, lines: &[Line]) -> anyhow::Result<Vec<Reply>> {
    let mut replies: Vec<Option<Reply>> = vec![None; lines.len()];
    let mut waits = Waits::patient();
    let mut open = unsettled(lines, &replies);
    while !open.is_empty() {
        let failure = send(client, lines, &open, &mut replies).await.err();
        let still_open = unsettled(lines, &replies);
        if still_open.len() < open.len() {
            waits.reset();
        }
        open = still_open;
        let failure = match failure.map(passing_or).transpose()? {
            _ if open.is_empty() => break,
            Some(failure) => failure,
            None => left_open(client, &open, &replies),
        };
        let Some(wait) = waits.next(None) else {
            return Err(anyhow::Error::from(failure).context(
                "give up after several tries; run the import again, it goes on where it was",
            ));
        };
        tokio::time::sleep(wait).await;
    }
    let answered: Option<Vec<Reply>> = replies.into_iter().collect();
    answered.context("match the answers to their lines")
}

/// The lines to send, in their order: those without a lasting answer, and those behind one of the
/// same aggregate.
fn unsettled(lines: &[Line], replies: &[Option<Reply>]) -> Vec<usize> {
    let mut waiting = HashSet::new();
    let mut open = Vec::new();
    for (index, (line, reply)) in lines.iter().zip(replies).enumerate() {
        let lasting = reply.as_ref().is_some_and(|reply| !reply.is_passing());
        if !lasting || waiting.contains(&line.aggregate) {
            waiting.insert(line.aggregate);
            open.push(index);
        }
    }
    open
}

async fn send(
    client: &Client,
    lines: &[Line],
    open: &[usize],
    replies: &mut [Option<Reply>],
) -> anyhow::Result<()> {
    let body = stream::iter(chunks(lines, open).into_iter().map(Ok::<_, Infallible>));
    let response = client.post_lines(&["v1", "commands"], None, body).await?;
    let mut answer = response.bytes_stream();
    let mut answered = Lines::ended_by(Ends::LineFeed);
    while let Some(chunk) = answer.next().await {
        let chunk = chunk.map_err(|error| client.unreachable(&error))?;
        for line in answered.push(&chunk)? {
            note(&line, open, replies)?;
        }
    }
    let last = answered.rest();
    if !last.is_empty() {
        // A line without its end was cut off: its command is asked about again.
        tracing::debug!(bytes = last.len(), "the answer was cut off");
    }
    Ok(())
}

/// The lines joined to pieces worth sending.
fn chunks(lines: &[Line], open: &[usize]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    for &index in open {
        chunk.extend_from_slice(&lines[index].text);
        if chunk.len() >= CHUNK_BYTES {
            chunks.push(std::mem::take(&mut chunk));
        }
    }
    chunks.push(chunk);
    chunks
}

/// Puts one line of the answer to the command that it is of.
fn note(line: &[u8], open: &[usize], replies: &mut [Option<Reply>]) -> anyhow::Result<()> {
    let answer: AnswerLine = serde_json::from_slice(line).context("read a line of the answer")?;
    let index = answer
        .line
        .checked_sub(1)
        .and_then(|number| open.get(number));
    let index = *index.context("read a line of the answer: it is of no line that was sent")?;
    replies[index] = Some(match (answer.receipt, answer.problem) {
        (Some(receipt), _) => Reply::Receipt(receipt),
        (None, Some(problem)) => Reply::Problem(Box::new(Problem {
            status: answer.status,
            ..problem
        })),
        (None, None) => {
            anyhow::bail!("read a line of the answer: it has no receipt and no problem")
        }
    });
    Ok(())
}

/// A failure that may pass; every other one ends the import.
fn passing_or(error: anyhow::Error) -> anyhow::Result<Failure> {
    match error.downcast::<Failure>()? {
        failure @ Failure::Unreachable { .. } => Ok(failure),
        Failure::Problem(problem) if is_passing(problem.status) => Ok(Failure::Problem(problem)),
        failure => Err(failure.into()),
    }
}

/// Why the request as a whole went well and lines are open all the same.
fn left_open(client: &Client, open: &[usize], replies: &[Option<Reply>]) -> Failure {
    let problem = open.iter().find_map(|&index| match &replies[index] {
        Some(Reply::Problem(problem)) if is_passing(problem.status) => Some(problem.clone()),
        Some(_) | None => None,
    });
    match problem {
        Some(problem) => Failure::Problem(problem),
        None => Failure::Unreachable {
            url: client.base().to_string(),
            reason: "the answer ended early".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(aggregate: u128) -> Line {
        Line {
            aggregate: Uuid::from_u128(aggregate),
            text: b"{}\n".to_vec(),
        }
    }

    fn receipt() -> Option<Reply> {
        Some(Reply::Receipt(ReceiptPart {
            position: 1,
            unchanged: false,
        }))
    }

    fn problem(status: u16) -> Option<Reply> {
        Some(Reply::Problem(Box::new(Problem::from_answer(
            status,
            b"{\"title\":\"no\"}",
        ))))
    }

    #[test]
    fn what_passes_is_sent_again_with_all_that_follows_in_its_case() {
        let lines = [line(1), line(2), line(1), line(2), line(1)];
        let replies = [receipt(), receipt(), problem(503), receipt(), problem(409)];
        assert_eq!(unsettled(&lines, &replies), [2, 4]);
        let replies = [receipt(), receipt(), problem(409), receipt(), receipt()];
        assert_eq!(unsettled(&lines, &replies), [0usize; 0]);
        let replies = [receipt(), None, receipt(), receipt(), receipt()];
        assert_eq!(unsettled(&lines, &replies), [1, 3]);
    }

    #[test]
    fn an_answer_belongs_to_the_line_that_was_sent_in_its_place() {
        let open = [3, 5];
        let mut replies = vec![None; 6];
        let text = br#"{"line":2,"status":200,"receipt":{"position":9,"unchanged":true,"id":"x"}}"#;
        note(text, &open, &mut replies).expect("a line");
        assert_eq!(
            replies[5],
            Some(Reply::Receipt(ReceiptPart {
                position: 9,
                unchanged: true
            }))
        );
        for bad in [
            &b"{}"[..],
            br#"{"line":0,"status":200}"#,
            br#"{"line":3,"status":200}"#,
            br#"{"line":1,"status":200}"#,
        ] {
            assert!(note(bad, &open, &mut replies).is_err());
        }
    }

    #[test]
    fn every_line_is_sent_once_and_in_order() {
        let lines: Vec<Line> = (0..5_000)
            .map(|number| Line {
                aggregate: Uuid::nil(),
                text: format!("{{\"n\":{number},\"x\":\"{}\"}}\n", "x".repeat(50)).into_bytes(),
            })
            .collect();
        let open: Vec<usize> = (0..lines.len()).collect();
        let sent = chunks(&lines, &open);
        assert!(sent.len() > 3);
        let whole: Vec<u8> = lines.iter().flat_map(|line| line.text.clone()).collect();
        assert_eq!(sent.concat(), whole);
    }
}
