//! The tables of the read models: each is the straight fold of the journal, and none has stopped.
//!
//! The fold here goes fact by fact over a map, and knows no batch, no cache, no checkpoint. What it shares
//! with the projector, the models' own `keys` and `apply`, is held against the journal by itself: the last
//! version and position of every stream.

use std::collections::BTreeMap;

use domain::{Aggregate, Commit, Entry, Position, StreamId};
use projections::fact::Facts;
use projections::model::ReadModel;
use projections::{
    MemoryStore, Poison, assignment, assignment_event, batch, command, job, queue, schedule,
    workload,
};

pub(crate) fn judge(tables: &MemoryStore, commits: &[Commit], faults: &mut Vec<String>) {
    for (model, (position, error)) in tables.stopped() {
        faults.push(format!("model `{model}` stopped at `{position}`: {error}"));
    }
    let reads = [
        assignment::Model::READS,
        job::Model::READS,
        queue::Model::READS,
        schedule::Model::READS,
        batch::Model::READS,
    ];
    let decode = |commit: &Commit| Facts::decode(Entry::Commit(commit.clone().into()), &reads);
    let facts: Vec<_> = commits.iter().map(decode).collect();
    compare::<assignment::Model>(tables, &facts, faults);
    compare::<assignment_event::Model>(tables, &facts, faults);
    compare::<workload::Model>(tables, &facts, faults);
    compare::<command::Model>(tables, &facts, faults);
    compare::<job::Model>(tables, &facts, faults);
    compare::<queue::Model>(tables, &facts, faults);
    compare::<schedule::Model>(tables, &facts, faults);
    compare::<batch::Model>(tables, &facts, faults);
    follow(tables, commits, faults);
}

fn compare<M: ReadModel>(tables: &MemoryStore, facts: &[Facts], faults: &mut Vec<String>) {
    let name = M::TABLE.name;
    let stored = tables.rows::<M>().expect("what models write they read");
    let folded = match straight::<M>(facts) {
        Ok(folded) => folded,
        Err(poison) => return faults.push(format!("`{name}` cannot be folded: {poison}")),
    };
    for (key, row) in &folded {
        match stored.get(key) {
            Some(stored) if stored == row => {}
            stored => faults.push(format!("`{name}` has {stored:?} where it should {row:?}")),
        }
    }
    for key in stored.keys().filter(|key| !folded.contains_key(key)) {
        faults.push(format!("`{name}` has a row of {key:?} too many"));
    }
}

fn straight<M: ReadModel>(facts: &[Facts]) -> Result<BTreeMap<M::Key, M::Row>, Poison> {
    let mut rows = BTreeMap::new();
    for facts in facts {
        for fact in facts.of(M::READS)? {
            for key in M::keys(&fact)? {
                let mut row = rows.remove(&key);
                M::apply(&mut row, &key, &fact)?;
                rows.extend(row.map(|row| (key, row)));
            }
        }
    }
    Ok(rows)
}

/// Where the last commit of a stream stands, and how many events there were with it.
type End = (u64, Position);

/// Whatever the models fold: rows end where their streams end, and every command has a row.
fn follow(tables: &MemoryStore, commits: &[Commit], faults: &mut Vec<String>) {
    let mut ends: BTreeMap<&StreamId, End> = BTreeMap::new();
    for commit in commits {
        ends.insert(&commit.stream, (commit.version_after(), commit.position));
    }
    let rows = tables.rows::<assignment::Model>().expect("rows");
    let rows = rows.into_values().map(|row| (row.version, row.position));
    same::<domain::assignment::Assignment>(&ends, rows.collect(), faults);
    let rows = tables.rows::<job::Model>().expect("rows");
    let rows = rows.into_values().map(|row| (row.version, row.position));
    same::<domain::job::Job>(&ends, rows.collect(), faults);
    let rows = tables.rows::<schedule::Model>().expect("rows");
    let rows = rows.into_values().map(|row| (row.version, row.position));
    same::<domain::schedule::Schedule>(&ends, rows.collect(), faults);
    let rows = tables.rows::<batch::Model>().expect("rows");
    let rows = rows.into_values().map(|row| (row.version, row.position));
    same::<domain::batch::Batch>(&ends, rows.collect(), faults);
    let receipts = tables.rows::<command::Model>().expect("rows").len();
    if receipts != commits.len() {
        let commits = commits.len();
        faults.push(format!("{receipts} rows of commands for {commits} commits"));
    }
}

fn same<A: Aggregate>(
    ends: &BTreeMap<&StreamId, End>,
    mut rows: Vec<End>,
    faults: &mut Vec<String>,
) {
    let ends = ends.iter().filter(|(stream, _)| stream.is_of(A::CATEGORY));
    let mut ends: Vec<_> = ends.map(|(_, end)| *end).collect();
    ends.sort_unstable();
    rows.sort_unstable();
    if ends != rows {
        faults.push(format!("streams end at {ends:?}, their rows at {rows:?}"));
    }
}
