//! However the journal is cut into batches, whatever comes twice, and wherever the projector dies between fold and
//! checkpoint: the rows are those of the straight fold. Every model, no database.
//!
//! The runner here does what the real one does with a table, in memory: it keeps hot rows, asks the table only for
//! those that a fact does not begin, lets go of final ones, and writes with its checkpoint or not at all. So it also
//! shows that `begins`, `is_final` and `Rows::Once` say the truth.

use std::collections::BTreeMap;

use domain::batch::{self, Batch};
use domain::job::Command as Job;
use domain::schedule::{Command as Schedule, RunOutcome};
use domain::{Commit, Entry, assignment, queue};
use projections::fact::Facts;
use projections::model::{ReadModel, Row as _, Rows};
use projections::{assignment_event, command, job, schedule, workload};
use proptest::prelude::*;

use crate::folds;
use crate::support::{Journal, hourly, id, name, retry, spec, tenant, text};

/// How one batch is taken.
#[derive(Debug, Clone, Copy)]
struct Step {
    entries: usize,
    /// How many that were taken before come again.
    again: usize,
    end: End,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Committed,
    /// It dies when it has folded and not written.
    DiesBefore,
    /// It dies when it has written.
    DiesBehind,
}

struct Runner<M: ReadModel> {
    table: BTreeMap<M::Key, M::Row>,
    checkpoint: usize,
    hot: BTreeMap<M::Key, Option<M::Row>>,
}

impl<M: ReadModel> Runner<M> {
    fn take(&mut self, journal: &[Facts], step: Step) {
        let begin = self.checkpoint.saturating_sub(step.again);
        let end = journal.len().min(self.checkpoint + step.entries);
        let mut changed = BTreeMap::new();
        for (index, facts) in journal.iter().enumerate().take(end).skip(begin) {
            // The checkpoint tells what came before.
            if index < self.checkpoint {
                continue;
            }
            for fact in facts.of(M::READS).expect("readable") {
                for key in M::keys(&fact).expect("no poison") {
                    let row = match M::ROWS {
                        Rows::Folded => self.hot.entry(key.clone()).or_insert_with(|| {
                            let is_asked = !M::begins(&fact, &key);
                            is_asked.then(|| self.table.get(&key).cloned()).flatten()
                        }),
                        Rows::Once => &mut None,
                    };
                    M::apply(row, &key, &fact).expect("no poison");
                    match M::ROWS {
                        Rows::Folded => drop(changed.insert(key, row.clone())),
                        // Whatever stands there stays.
                        Rows::Once => drop(changed.entry(key).or_insert_with(|| row.clone())),
                    }
                }
            }
        }
        if !matches!(step.end, End::DiesBefore) {
            self.write(changed);
            self.checkpoint = end;
        }
        if !matches!(step.end, End::Committed) {
            self.hot.clear();
        }
    }

    fn write(&mut self, changed: BTreeMap<M::Key, Option<M::Row>>) {
        for (key, row) in changed {
            if row.as_ref().is_some_and(M::Row::is_final) {
                self.hot.remove(&key);
            }
            match (row, M::ROWS) {
                (Some(row), Rows::Folded) => drop(self.table.insert(key, row)),
                (Some(row), Rows::Once) => drop(self.table.entry(key).or_insert(row)),
                (None, _) => drop(self.table.remove(&key)),
            }
        }
    }
}

fn check<M: ReadModel>(commits: &[Commit], steps: &[Step]) {
    let entries = commits
        .iter()
        .cloned()
        .map(|commit| Entry::Commit(commit.into()));
    let journal: Vec<_> = entries
        .map(|entry| Facts::decode(entry, &[M::READS]))
        .collect();
    let mut runner = Runner::<M> {
        table: BTreeMap::new(),
        checkpoint: 0,
        hot: BTreeMap::new(),
    };
    for step in steps {
        runner.take(&journal, *step);
    }
    let rest = Step {
        entries: journal.len(),
        again: 0,
        end: End::Committed,
    };
    runner.take(&journal, rest);
    let straight = folds::rows::<M>(commits).expect("no poison");
    assert!(!straight.is_empty(), "{} has rows", M::TABLE.name);
    assert_eq!(runner.table, straight, "{}", M::TABLE.name);
}

/// Aggregates of every kind, a little at a time, so that their commits stand among each other's.
pub(crate) fn history() -> Vec<Commit> {
    let (journal, acme) = (Journal::default(), tenant("acme"));
    let batch = |command, at| journal.handle::<Batch>(&acme, id(50).into(), &command, at);
    let pause = queue::Command::Pause { reason: None };
    journal.queue(&acme, "mail", &pause, "08:00");
    journal.plan(&acme, id(30), hourly(""), "08:10");
    batch(batch::Command::Open(Box::default()), "08:20");
    for number in 1..=4 {
        journal.request(&acme, id(number), "09:00");
        let parent = (number % 2 == 0).then(|| batch::parent(id(50)));
        let retry = retry(2, 0);
        journal.enqueue(&acme, id(10 + number), job_of(parent, retry), "09:01");
    }
    journal.queue(&acme, "mail", &queue::Command::Resume, "09:02");
    for number in 1..=4 {
        let start = assignment::Command::Start {
            assignee: name(if number % 2 == 0 { "ann" } else { "bob" }),
            group: None,
        };
        journal.decide(&acme, id(number), &start, "09:10");
        journal.start(&acme, id(10 + number), 1, "w1", "09:11");
        let note = assignment::Command::Note {
            text: text("a note"),
        };
        journal.decide(&acme, id(number), &note, "09:12");
    }
    journal.schedule(&acme, id(30), &Schedule::Fire, "10:00");
    let jobs = batch::JobCount::new(2).expect("not too many");
    batch(batch::Command::Close { jobs }, "10:01");
    for number in 1..=4 {
        let error = text("no such mailbox");
        let report = match number {
            1 | 2 => complete(1),
            retried => Job::Fail {
                attempt: 1,
                error,
                retryable: retried == 3,
            },
        };
        journal.job(&acme, id(10 + number), &report, "10:10");
        let end = assignment::Command::Complete {
            outcome: text("replaced"),
        };
        journal.decide(&acme, id(number), &end, "10:11");
    }
    journal.start(&acme, id(13), 2, "w2", "10:20");
    journal.job(&acme, id(14), &Job::Requeue, "10:21");
    journal.schedule(&acme, id(30), &Schedule::Trigger { job: id(99) }, "10:22");
    journal.job(&acme, id(13), &complete(2), "10:23");
    journal.start(&acme, id(14), 2, "w2", "10:24");
    journal.job(&acme, id(14), &Job::Cancel { reason: None }, "10:25");
    let counts = batch::Counts {
        succeeded: 1,
        cancelled: 1,
        ..batch::Counts::default()
    };
    batch(batch::Command::Complete(counts), "10:26");
    let run_ended = Schedule::EndRun {
        job: id(99),
        outcome: RunOutcome::Failed,
        result: None,
    };
    journal.schedule(&acme, id(30), &run_ended, "10:27");
    journal.decide(&acme, id(1), &assignment::Command::Close, "10:28");
    let reopen = assignment::Command::Reopen { reason: None };
    journal.decide(&acme, id(2), &reopen, "10:29");
    journal.commits()
}

fn job_of(parent: Option<domain::job::Parent>, retry: domain::job::Retry) -> domain::job::Spec {
    domain::job::Spec {
        parent,
        retry,
        ..spec()
    }
}

fn complete(attempt: u32) -> Job {
    Job::Complete {
        attempt,
        result: None,
    }
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        3 => Just(End::Committed),
        1 => Just(End::DiesBefore),
        1 => Just(End::DiesBehind),
    ];
    let step = (1..12_usize, 0..6_usize, end);
    step.prop_map(|(entries, again, end)| Step {
        entries,
        again,
        end,
    })
}

proptest! {
    #[test]
    fn rows_are_the_same_however_the_journal_comes(steps in prop::collection::vec(step(), 0..30)) {
        let commits = history();
        check::<projections::assignment::Model>(&commits, &steps);
        check::<assignment_event::Model>(&commits, &steps);
        check::<workload::Model>(&commits, &steps);
        check::<command::Model>(&commits, &steps);
        check::<job::Model>(&commits, &steps);
        check::<projections::queue::Model>(&commits, &steps);
        check::<schedule::Model>(&commits, &steps);
        check::<projections::batch::Model>(&commits, &steps);
    }
}
