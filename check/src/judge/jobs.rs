//! Jobs: enqueued once, one attempt at a time, each with the next number, ended once.

use std::collections::BTreeMap;

use super::{Finding, by_stream};
use crate::{Commit, journal::Event};

/// Where a job is, as its events say.
#[derive(Debug, Default)]
struct Job {
    is_enqueued: bool,
    /// The attempt that runs.
    running: Option<u64>,
    /// The last attempt.
    attempt: u64,
    ended: Option<String>,
}

pub(super) fn findings(commits: &[Commit]) -> Vec<Finding> {
    let mut found = Vec::new();
    for commits in by_stream(commits).into_values() {
        let mut job = Job::default();
        for commit in commits
            .into_iter()
            .filter(|commit| commit.category() == "job")
        {
            for event in &commit.events {
                if let Err(wrong) = job.take(event) {
                    let what = format!("job {}: {}: {wrong}", commit.id(), event.name);
                    found.push(Finding::at(commit.position, what));
                }
            }
        }
    }
    found
}

/// The jobs that have ended, by how they ended last.
pub(super) fn ends(commits: impl Iterator<Item = Commit>) -> BTreeMap<String, usize> {
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    for commit in commits.filter(|commit| commit.category() == "job") {
        let Some(event) = commit.events.last() else {
            continue;
        };
        match event.name.as_str() {
            "completed" | "dead_lettered" | "cancelled" => {
                last.insert(commit.stream.clone(), event.name.clone());
            }
            _ => drop(last.remove(&commit.stream)),
        }
    }
    let mut ends = BTreeMap::new();
    for end in last.into_values() {
        *ends.entry(end).or_default() += 1;
    }
    ends
}

impl Job {
    fn take(&mut self, event: &Event) -> Result<(), &'static str> {
        let attempt = event.data["attempt"].as_u64();
        let name = event.name.as_str();
        if !self.is_enqueued && name != "enqueued" {
            return Err("something happened before it was enqueued");
        }
        match (self.ended.as_deref(), name) {
            (None, _) | (Some("dead_lettered"), "requeued" | "cancelled") => {}
            (Some(_), _) => return Err("something happened after its end"),
        }
        match name {
            "enqueued" if self.is_enqueued => return Err("was enqueued twice"),
            "enqueued" => self.is_enqueued = true,
            "started" if self.running.is_some() => return Err("two attempts run at once"),
            "started" if attempt != Some(self.attempt + 1) => {
                return Err("an attempt has a wrong number");
            }
            "started" => {
                self.attempt += 1;
                self.running = Some(self.attempt);
            }
            "progressed" if attempt == self.running && attempt.is_some() => {}
            "completed" | "failed" | "timed_out" | "released" | "progressed"
                if attempt.is_none() || attempt != self.running =>
            {
                return Err("an attempt was told of that did not run");
            }
            "completed" => self.end(name),
            "failed" | "timed_out" | "released" => self.running = None,
            "retried" if self.running.is_some() => return Err("was retried while it ran"),
            "retried" => {}
            "dead_lettered" | "cancelled" => self.end(name),
            "requeued" => self.ended = None,
            _ => return Err("an event that a job does not have"),
        }
        Ok(())
    }

    fn end(&mut self, how: &str) {
        self.running = None;
        self.ended = Some(how.to_owned());
    }
}
