//! What clients write down: one line before each call and one after it, in one file for all of them.
//!
//! ```json
//! {"call":7,"client":"c1","op":"write","stream":"default.assignment.a1","key":"k7","t":120}
//! {"call":7,"t":180,"outcome":"done","command":"…","position":12,"version":3,"events":["noted"]}
//! ```
//! `t` is of any unit that only grows, on one clock for all clients. A call is written down once, however
//! often it was sent with its key.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// Everything that clients did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// In the order in which they began.
    pub calls: Vec<Call>,
}

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What was asked.
    pub asked: Asked,
    /// When it was first sent.
    pub began: u64,
    /// When its last answer was there; none, where it never was.
    pub ended: Option<u64>,
    /// What the client knows in the end.
    pub outcome: Outcome,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// By whom.
    pub client: String,
    /// A command or a query.
    pub op: Op,
    /// Of which aggregate, as `<tenant>.<category>.<id>`.
    pub stream: String,
    /// Which call: the idempotency key of a command.
    pub key: String,
    /// The position that a query must have reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_position: Option<u64>,
}

/// What sort of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// A command.
    Write,
    /// A query for one aggregate.
    Read,
}

/// What a client knows of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// A receipt.
    Done {
        /// The command.
        command: String,
        /// Where its commit stands.
        position: u64,
        /// The version behind it.
        version: u64,
        /// The types of its events.
        events: Vec<String>,
    },
    /// A receipt without events, or a rule that said no: nothing was written.
    Nothing,
    /// The answer to a query.
    Seen {
        /// How far the read side was.
        position: u64,
        /// The version that it showed; 0, where there was nothing.
        version: u64,
    },
    /// Nobody knows.
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct Line<T> {
    call: u64,
    t: u64,
    #[serde(flatten)]
    what: T,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Either {
    After(Line<Outcome>),
    Before(Line<Asked>),
}

impl History {
    /// Reads lines; a call without a line after it is one that nobody knows the outcome of.
    ///
    /// # Errors
    /// When a line is none, with its number.
    pub fn read(lines: impl BufRead) -> anyhow::Result<Self> {
        let mut calls: BTreeMap<u64, Call> = BTreeMap::new();
        for (index, line) in lines.lines().enumerate() {
            let line: Either = serde_json::from_str(&line?)
                .with_context(|| format!("line {} of the history", index + 1))?;
            match line {
                Either::Before(Line { call, t, what }) => {
                    let began = Call {
                        asked: what,
                        began: t,
                        ended: None,
                        outcome: Outcome::Unknown,
                    };
                    calls.insert(call, began);
                }
                Either::After(Line { call, t, what }) => {
                    let call = calls.get_mut(&call);
                    let call = call.with_context(|| {
                        format!("line {} of the history: its call never began", index + 1)
                    })?;
                    call.ended = Some(t);
                    call.outcome = what;
                }
            }
        }
        Ok(Self {
            calls: calls.into_values().collect(),
        })
    }

    /// Writes it, two lines a call.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, mut to: impl Write) -> anyhow::Result<()> {
        for (call, made) in (1..).zip(&self.calls) {
            let before = Line {
                call,
                t: made.began,
                what: &made.asked,
            };
            serde_json::to_writer(&mut to, &before)?;
            to.write_all(b"\n")?;
            let Some(t) = made.ended else { continue };
            let what = &made.outcome;
            serde_json::to_writer(&mut to, &Line { call, t, what })?;
            to.write_all(b"\n")?;
        }
        Ok(())
    }
}
