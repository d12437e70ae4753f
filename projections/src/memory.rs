//! The tables in memory, for tests and simulation: [`MemoryStore`] passes the same contract suite as
//! Postgres. Nothing here outlives the process, and nothing is rebuilt.
//!
//! Rows are kept as they come over the port, in Postgres' binary form, and are read back from there: what a
//! model writes and reads is gone through in a simulation as well.

mod rows;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::Position;
use futures_util::future::{BoxFuture, FutureExt as _, pending, ready};
use tokio_util::sync::CancellationToken;

use self::rows::{Checked, Rows};
use crate::fold::Model;
use crate::model::{ReadModel, Row as _};
use crate::store::{Begun, EachRow, InOffice, Rebuilds, Session, Store, Term};
use crate::table::{Change, Columns, Guard, Relation, Writes};

/// The tables, and how far they are. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    office: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    term: i64,
    position: Position,
    models: BTreeMap<&'static str, Kept>,
    tables: BTreeMap<String, Rows>,
}

/// What is known of a model.
#[derive(Debug)]
struct Kept {
    version: u32,
    /// How far its table is and why, where it has stopped.
    stopped: Option<(Position, String)>,
}

impl MemoryStore {
    /// Where the read side is.
    #[must_use]
    pub fn position(&self) -> Position {
        self.state().position
    }

    /// The present term.
    #[must_use]
    pub fn term(&self) -> i64 {
        self.state().term
    }

    /// The models that have stopped, each with what its table has and why.
    #[must_use]
    pub fn stopped(&self) -> BTreeMap<&'static str, (Position, String)> {
        let state = self.state();
        let models = state.models.iter();
        let stopped = models.filter_map(|(name, kept)| Some((*name, kept.stopped.clone()?)));
        stopped.collect()
    }

    /// Every row of `M`.
    ///
    /// # Errors
    /// When a row is none that `M` writes.
    pub fn rows<M: ReadModel>(&self) -> Result<BTreeMap<M::Key, M::Row>, sqlx::Error> {
        let state = self.state();
        let rows = state.tables.get(M::TABLE.name).into_iter();
        let rows = rows.flat_map(|rows| rows.all(M::TABLE));
        let rows = rows.map(|row| M::Row::read(&row).map(|row| (row.key(), row)));
        rows.collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has failed already; the others may go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn begin(&mut self, models: &[Model]) -> Term {
        self.term += 1;
        let (live, pending) = models.iter().partition(|model| self.is_live(model));
        Term {
            number: self.term,
            position: self.position,
            live,
            pending,
        }
    }

    /// Whether what serves of `model` can go on from where the read side is.
    fn is_live(&mut self, model: &Model) -> bool {
        let (position, version) = (self.position, model.version());
        self.tables.entry(model.name().to_owned()).or_default();
        let kept = self.models.entry(model.name()).or_insert_with(|| Kept {
            version,
            // From nothing it can begin at once; later it has a journal to catch up with.
            stopped: (position != Position::START)
                .then(|| (Position::START, "was never built".to_owned())),
        });
        if kept.version != version && kept.stopped.is_none() {
            let error = format!("version `{}` serves", kept.version);
            kept.stopped = Some((position, error));
        }
        kept.stopped.is_none()
    }

    /// Whether the guard lets writes happen.
    fn allows(&self, guard: Guard) -> bool {
        match guard {
            Guard::None => true,
            Guard::Move { term, from, .. } => (term, from) == (self.term, self.position),
            Guard::Hold { term, at } => (term, at) == (self.term, self.position),
        }
    }

    fn checked<'a>(&self, change: &'a Change) -> Result<Checked<'a>, sqlx::Error> {
        Checked::of(change, self.tables.get(&change.relation.name))
    }

    fn write(&mut self, writes: Writes) -> Result<bool, sqlx::Error> {
        if !self.allows(writes.guard) {
            return Ok(false);
        }
        let changes = writes.changes.iter().map(|change| self.checked(change));
        for change in changes.collect::<Result<Vec<_>, _>>()? {
            let table = self.tables.entry(change.name().to_owned()).or_default();
            table.take(change);
        }
        for stop in writes.stops {
            if let Some(kept) = self.models.get_mut(stop.model) {
                kept.stopped = Some((stop.position, stop.error));
            }
        }
        if let Guard::Move { to, .. } = writes.guard {
            self.position = to;
        }
        Ok(true)
    }
}

impl Store for MemoryStore {
    fn enter(&self) -> BoxFuture<'_, Result<InOffice, sqlx::Error>> {
        async {
            let guard = Arc::clone(&self.office).lock_owned().await;
            Ok(InOffice {
                lost: CancellationToken::new(),
                guard: Box::new(guard),
            })
        }
        .boxed()
    }

    fn begin<'a>(&'a self, models: &'a [Model]) -> BoxFuture<'a, Result<Begun, sqlx::Error>> {
        let term = self.state().begin(models);
        let session: Box<dyn Session> = Box::new(self.clone());
        ready(Ok((term, session))).boxed()
    }

    fn rebuild(&self, _rebuilds: Rebuilds) -> BoxFuture<'static, ()> {
        pending().boxed()
    }
}

impl Session for MemoryStore {
    fn load<'a>(
        &'a mut self,
        relation: &'a Relation,
        keys: Columns,
        each: &'a mut EachRow<'a>,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        let state = self.state();
        let loaded = match state.tables.get(&relation.name) {
            Some(rows) => rows.load(relation.table, &keys, each),
            None => Ok(()),
        };
        ready(loaded).boxed()
    }

    /// It has no clock: the time is 0.
    fn write(&mut self, writes: Writes) -> BoxFuture<'_, Result<Option<f64>, sqlx::Error>> {
        let written = self.state().write(writes);
        ready(written.map(|written| written.then_some(0.0))).boxed()
    }

    fn rehearse(&mut self, writes: Writes) -> BoxFuture<'_, Result<(), sqlx::Error>> {
        let state = self.state();
        let mut changes = writes.changes.iter().map(|change| state.checked(change));
        ready(changes.try_for_each(|change| change.map(drop))).boxed()
    }
}
