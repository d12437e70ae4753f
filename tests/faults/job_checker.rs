//! Judges the history of every job by the journal alone: it knows the form of the events from the
//! documentation and shares no code with the program. Its own tests are at its end.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::TestResult;
use crate::support::nats::Stored;

/// One event of one job, in the order of the journal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JobEvent {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Where the event names one.
    pub(crate) attempt: Option<u64>,
}

/// What workers and clients were told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Jobs whose enqueue was acknowledged.
    pub(crate) enqueued: BTreeSet<String>,
    /// Completions that were acknowledged: job and attempt.
    pub(crate) completed: BTreeSet<(String, u64)>,
}

/// Where a job is, as its events say.
#[derive(Debug, Default)]
struct Job {
    is_enqueued: bool,
    /// The attempt that runs.
    running: Option<u64>,
    /// The last attempt.
    attempt: u64,
    ended: Option<String>,
    completed: Option<u64>,
}

pub(crate) fn job_events(journal: &[Stored]) -> TestResult<Vec<JobEvent>> {
    let mut events = Vec::new();
    for commit in journal {
        let mut tokens = commit.subject.split('.').skip(2);
        let (Some("job"), Some(id)) = (tokens.next(), tokens.next()) else {
            continue;
        };
        let payload = commit.json()?;
        for event in payload["events"].as_array().into_iter().flatten() {
            events.push(JobEvent {
                id: id.to_owned(),
                name: event["type"].as_str().unwrap_or_default().to_owned(),
                attempt: event["data"]["attempt"].as_u64(),
            });
        }
    }
    Ok(events)
}

/// Everything that is wrong, each with the job that it is wrong with.
pub(crate) fn job_findings(told: &Told, events: &[JobEvent]) -> Vec<String> {
    let mut jobs: BTreeMap<&str, Job> = BTreeMap::new();
    let mut findings = Vec::new();
    for event in events {
        let job = jobs.entry(&event.id).or_default();
        if let Err(wrong) = job.take(event) {
            findings.push(format!("job {}: {wrong} ({event:?})", event.id));
        }
    }
    for id in &told.enqueued {
        match jobs.get(id.as_str()) {
            None => findings.push(format!("job {id}: was acknowledged and is not there")),
            Some(job) if job.ended.is_none() => findings.push(format!("job {id}: is stuck")),
            Some(_) => {}
        }
    }
    for (id, attempt) in &told.completed {
        let completed = jobs.get(id.as_str()).and_then(|job| job.completed);
        if completed != Some(*attempt) {
            findings.push(format!(
                "job {id}: completion of attempt {attempt} was acknowledged, the journal has {completed:?}"
            ));
        }
    }
    findings
}

impl Job {
    fn take(&mut self, event: &JobEvent) -> Result<(), &'static str> {
        if self.ended.is_some() {
            return Err("something happened after its end");
        }
        if !self.is_enqueued && event.name != "enqueued" {
            return Err("something happened before it was enqueued");
        }
        match event.name.as_str() {
            "enqueued" if self.is_enqueued => return Err("was enqueued twice"),
            "enqueued" => self.is_enqueued = true,
            "started" if self.running.is_some() => return Err("two attempts run at once"),
            "started" if event.attempt != Some(self.attempt + 1) => {
                return Err("an attempt has a wrong number");
            }
            "started" => {
                self.attempt += 1;
                self.running = Some(self.attempt);
            }
            "progressed" if event.attempt == self.running => {}
            "completed" | "failed" | "timed_out" | "released"
                if event.attempt.is_none() || event.attempt != self.running =>
            {
                return Err("an attempt ended that did not run");
            }
            "completed" => {
                self.completed = self.running.take();
                self.ended = Some(event.name.clone());
            }
            "failed" | "timed_out" | "released" => self.running = None,
            "retried" if self.running.is_some() => return Err("was retried while it ran"),
            "retried" => {}
            "dead_lettered" | "cancelled" => {
                self.running = None;
                self.ended = Some(event.name.clone());
            }
            _ => return Err("an event that a job does not have"),
        }
        Ok(())
    }
}

/// The jobs that have ended, by how.
pub(crate) fn ends(events: &[JobEvent]) -> BTreeMap<&str, usize> {
    let mut ends = BTreeMap::new();
    for event in events {
        if ["completed", "dead_lettered", "cancelled"].contains(&event.name.as_str()) {
            *ends.entry(event.name.as_str()).or_default() += 1;
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::Dice;

    fn event(id: &str, name: &str, attempt: Option<u64>) -> JobEvent {
        JobEvent {
            id: id.to_owned(),
            name: name.to_owned(),
            attempt,
        }
    }

    /// Fifty jobs, some of them with a lost attempt, all completed.
    fn good() -> (Told, Vec<JobEvent>) {
        let mut told = Told::default();
        let mut events = Vec::new();
        for number in 0..50 {
            let id = format!("j{number}");
            told.enqueued.insert(id.clone());
            events.push(event(&id, "enqueued", None));
            let mut attempt = 1;
            events.push(event(&id, "started", Some(attempt)));
            if number % 3 == 0 {
                events.push(event(&id, "timed_out", Some(attempt)));
                events.push(event(&id, "retried", None));
                attempt += 1;
                events.push(event(&id, "started", Some(attempt)));
            }
            events.push(event(&id, "completed", Some(attempt)));
            told.completed.insert((id, attempt));
        }
        (told, events)
    }

    #[test]
    fn a_good_history_has_no_findings() {
        let (told, events) = good();
        assert_eq!(job_findings(&told, &events), Vec::<String>::new());
    }

    #[test]
    fn whatever_is_dropped_doubled_or_swapped_within_a_job_is_found() {
        let (told, events) = good();
        let mut dice = Dice::of(7);
        for _ in 0..300 {
            let mut bent = events.clone();
            let at = dice.below(bent.len() as u64) as usize;
            match dice.below(4) {
                // A retry says when, not which attempt: without it the next start tells the same.
                0 if bent[at].name != "retried" => drop(bent.remove(at)),
                1 if bent[at].name != "retried" => bent.insert(at, bent[at].clone()),
                2 if at + 1 < bent.len() && bent[at].id == bent[at + 1].id => bent.swap(at, at + 1),
                3 if bent[at].attempt.is_some() => bent[at].attempt = Some(9),
                _ => continue,
            }
            let swapped_retry = bent.len() == events.len()
                && bent.iter().zip(&events).any(|(one, other)| {
                    one != other && (one.name == "retried" || other.name == "retried")
                });
            if swapped_retry {
                continue;
            }
            assert!(
                !job_findings(&told, &bent).is_empty(),
                "{at}: {:?}",
                events[at]
            );
        }
    }

    #[test]
    fn an_acknowledged_job_that_is_lost_or_stuck_is_found() {
        let (mut told, mut events) = good();
        told.enqueued.insert("lost".to_owned());
        events.push(event("stuck", "enqueued", None));
        told.enqueued.insert("stuck".to_owned());
        let findings = job_findings(&told, &events);
        assert_eq!(findings.len(), 2, "{findings:?}");
    }
}
