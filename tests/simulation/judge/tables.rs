//! The tables of the read models: each is the straight fold of the journal, and none has stopped.
//!
//! The fold here goes fact by fact over a map, and knows no batch, no cache, no checkpoint. What it shares
//! with the projector, the models' own `keys` and `apply`, is held against the journal by itself: the last
//! version and position of every stream.

use std::collections::BTreeMap;

use domain::{Commit, Entry, Position, StreamId};
use projections::fact::Facts;
use projections::model::{ReadModel, Reads};
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
    let judging = Judging {
        tables,
        facts: &facts,
        ends: &ends(commits),
    };
    judging.ended::<assignment::Model>(faults, |row| (row.version, row.position));
    judging.ended::<job::Model>(faults, |row| (row.version, row.position));
    judging.ended::<queue::Model>(faults, |row| (row.version, row.position));
    judging.ended::<schedule::Model>(faults, |row| (row.version, row.position));
    judging.ended::<batch::Model>(faults, |row| (row.version, row.position));
    judging.compared::<assignment_event::Model>(faults);
    judging.compared::<workload::Model>(faults);
    let receipts = judging.compared::<command::Model>(faults).len();
    // Every command has an id of its own here; who drew one asks for it never again.
    let named = commits.iter().filter(|commit| !commit.id().is_drawn());
    let named = named.count();
    if receipts != named {
        faults.push(format!(
            "{receipts} rows of commands for {named} commits that need one"
        ));
    }
}

/// Where the last commit of a stream stands, and how many events there were with it.
type End = (u64, Position);

struct Judging<'a> {
    tables: &'a MemoryStore,
    facts: &'a [Facts],
    ends: &'a BTreeMap<&'a StreamId, End>,
}

impl Judging<'_> {
    /// Compares the rows of `M` with its fold; gives them.
    fn compared<M: ReadModel>(&self, faults: &mut Vec<String>) -> BTreeMap<M::Key, M::Row> {
        let name = M::TABLE.name;
        let stored = self.tables.rows::<M>();
        let stored = stored.expect("what models write they read");
        let folded = straight::<M>(self.facts).unwrap_or_else(|poison| {
            faults.push(format!("`{name}` cannot be folded: {poison}"));
            BTreeMap::new()
        });
        for (key, row) in &folded {
            match stored.get(key) {
                Some(stored) if stored == row => {}
                stored => faults.push(format!("`{name}` has {stored:?} where it should {row:?}")),
            }
        }
        for key in stored.keys().filter(|key| !folded.contains_key(key)) {
            faults.push(format!("`{name}` has a row of {key:?} too many"));
        }
        stored
    }

    /// The same for rows that are aggregates: each ends where its stream ends, whatever the model folds.
    fn ended<M: ReadModel>(&self, faults: &mut Vec<String>, end: impl Fn(&M::Row) -> End) {
        let rows = self.compared::<M>(faults);
        let mut rows: Vec<_> = rows.values().map(end).collect();
        let Reads::Category(category) = M::READS else {
            panic!("an aggregate has a category");
        };
        let ends = self.ends.iter();
        let ends = ends.filter(|(stream, _)| stream.is_of(category));
        let mut ends: Vec<_> = ends.map(|(_, end)| *end).collect();
        ends.sort_unstable();
        rows.sort_unstable();
        if ends != rows {
            faults.push(format!("streams end at {ends:?}, their rows at {rows:?}"));
        }
    }
}

fn ends(commits: &[Commit]) -> BTreeMap<&StreamId, End> {
    let end = |commit: &Commit| (commit.version_after(), commit.position);
    let ends = commits.iter().map(|commit| (&commit.stream, end(commit)));
    // The last of each stream stays.
    ends.collect()
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
