//! Schedules: each time is decided on once, and each fire has one job.

use std::collections::HashSet;

use super::{Finding, by_stream};
use crate::Commit;

pub(super) fn findings(commits: &[Commit]) -> Vec<Finding> {
    let mut found = Vec::new();
    let streams = by_stream(commits);
    for (stream, commits) in &streams {
        let mut decided = HashSet::new();
        for commit in commits
            .iter()
            .filter(|commit| commit.category() == "schedule")
        {
            for event in commit.events.iter().filter(|event| event.name == "fired") {
                let due = event.data["due"].as_str().unwrap_or_default();
                let cause = event.data["cause"].as_str().unwrap_or_default();
                let is_of_its_own = matches!(cause, "triggered" | "backfilled");
                if !is_of_its_own && !decided.insert(due.to_owned()) {
                    let what = format!("time {due} is fired a second time");
                    found.push(Finding::at(commit.position, what));
                }
                let job = event.data["job"].as_str().unwrap_or_default();
                let tenant = stream.split('.').next().unwrap_or_default();
                if !streams.contains_key(format!("{tenant}.job.{job}").as_str()) {
                    let what = format!("its fire at {due} has no job {job}");
                    found.push(Finding::of_stream(stream, what));
                }
            }
        }
    }
    found
}
