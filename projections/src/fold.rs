//! Folding: one read model at work on one table.
//!
//! Loads the rows that a batch touches and that are not in memory, folds, and writes every row that
//! changed once. The caller executes the writes; when that fails the folding must [forget]
//! (`Slot::forget`) what it has in memory, which is then ahead of the table.

mod fill;

use std::sync::Arc;

use domain::Position;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;

use crate::fact::{Fact, Facts};
use crate::hot::Hot;
use crate::model::{Key, Poison, ReadModel, Reads, Row, Rows};
use crate::store::Session;
use crate::table::{Columns, CopyRows, Fields, Relation, Table, Writes};

/// How many rows of a model stay in memory between batches: some 20 MB of assignments.
const HOT_ROWS_MAX: usize = 20_000;

/// How many rows a rebuild holds in memory before it writes them: some 100 MB of assignments.
pub(crate) const FILL_ROWS_MAX: usize = 150_000;

/// A read model, whichever it is.
#[derive(Clone, Copy)]
pub struct Model {
    table: &'static Table,
    version: u32,
    reads: Reads,
    slot: fn(String) -> Box<dyn Slot>,
    proof: fn() -> Box<dyn crate::verify::Proof>,
}

/// What came of a batch.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    /// The fact that could not be taken: everything before its commit was.
    pub(crate) poisoned: Option<Poisoned>,
}

/// Where and why a model stops.
#[derive(Debug, Clone)]
pub(crate) struct Poisoned {
    /// The commit that cannot be taken.
    pub(crate) position: Position,
    pub(crate) poison: Poison,
}

/// A model at work on a table.
pub(crate) trait Slot: Send {
    fn model(&self) -> Model;

    /// Folds `batch`, reading rows through `session`, and adds those that changed to `writes`.
    fn fold<'a>(
        &'a mut self,
        session: &'a mut dyn Session,
        batch: &'a [Facts],
        writes: &'a mut Writes,
    ) -> BoxFuture<'a, Result<Folded, sqlx::Error>>;

    /// Folds `batch` into a table that nobody reads yet, and writes when memory is full.
    fn fill<'a>(
        &'a mut self,
        conn: &'a mut PgConnection,
        batch: &'a [Facts],
    ) -> BoxFuture<'a, Result<Folded, sqlx::Error>>;

    /// Writes what is still in memory, and makes the table fit to serve.
    fn finish<'a>(
        &'a mut self,
        conn: &'a mut PgConnection,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>>;

    /// Drops what is in memory.
    fn forget(&mut self);
}

impl Model {
    /// The model `M`.
    #[must_use]
    pub fn of<M: ReadModel>() -> Self {
        Self {
            table: M::TABLE,
            version: M::VERSION,
            reads: M::READS,
            slot: |name| Box::new(Folding::<M>::new(name)),
            proof: || crate::verify::proof::<M>(),
        }
    }

    /// Every model of this crate.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![
            Self::of::<crate::assignment::Model>(),
            Self::of::<crate::assignment_event::Model>(),
            Self::of::<crate::workload::Model>(),
            Self::of::<crate::command::Model>(),
            Self::of::<crate::job::Model>(),
            Self::of::<crate::queue::Model>(),
            Self::of::<crate::schedule::Model>(),
            Self::of::<crate::batch::Model>(),
        ]
    }

    /// Its name, which is also its table's.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.table.name
    }

    /// The version of its table and fold.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    pub(crate) fn table(&self) -> &'static Table {
        self.table
    }

    pub(crate) fn reads(&self) -> Reads {
        self.reads
    }

    pub(crate) fn slot(&self, table: String) -> Box<dyn Slot> {
        (self.slot)(table)
    }

    pub(crate) fn proof(&self) -> Box<dyn crate::verify::Proof> {
        (self.proof)()
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} v{}", self.name(), self.version)
    }
}

/// One row in memory.
#[derive(Debug)]
struct Cell<R> {
    row: Option<R>,
    /// Whether the table has a row of this key.
    stored: bool,
    changed: bool,
}

struct Folding<M: ReadModel> {
    relation: Arc<Relation>,
    hot: Hot<M::Key, Cell<M::Row>>,
    changed: Vec<M::Key>,
    /// Rows to write, of a model whose rows never change.
    once: Columns,
    copy: CopyRows,
    /// What a filled table has so far.
    filled: Filled,
}

#[derive(Debug, Default)]
struct Filled {
    rows: bool,
    key: bool,
    /// How much the facts say that were folded since rows were last written.
    data_bytes: usize,
}

/// What a fact touches: which of the batch, the fact, the row.
type Touched<'a, K> = (usize, Fact<'a>, K);

/// Which of the batch could not be taken, and why.
type Stuck = (usize, Poison);

impl<M: ReadModel> Folding<M> {
    fn new(name: String) -> Self {
        Self {
            relation: Arc::new(Relation::new(M::TABLE, name)),
            hot: Hot::new(),
            changed: Vec::new(),
            once: Columns::new(M::TABLE.columns),
            copy: CopyRows::new(M::TABLE.columns),
            filled: Filled::default(),
        }
    }

    /// Calls `fold` on the whole batch, or on what comes before the fact that cannot be taken.
    fn touched<'a>(batch: &'a [Facts]) -> (Vec<Touched<'a, M::Key>>, Option<Stuck>) {
        let mut touched = Vec::with_capacity(batch.len());
        for (index, facts) in batch.iter().enumerate() {
            if let Err(poison) = Self::touch(index, facts, &mut touched) {
                touched.retain(|(other, _, _)| *other < index);
                return (touched, Some((index, poison)));
            }
        }
        (touched, None)
    }

    fn touch<'a>(
        index: usize,
        facts: &'a Facts,
        touched: &mut Vec<Touched<'a, M::Key>>,
    ) -> Result<(), Poison> {
        for fact in facts.of(M::READS)? {
            for key in M::keys(&fact)? {
                touched.push((index, fact, key));
            }
        }
        Ok(())
    }

    /// Makes room for every touched row; the keys of those that have to be loaded.
    fn admit(&mut self, touched: &[Touched<'_, M::Key>], may_be_stored: bool) -> Columns {
        let mut missing = Columns::new(M::TABLE.key());
        for (_, fact, key) in touched {
            let absent = || Cell {
                row: None,
                stored: false,
                changed: false,
            };
            if self.hot.admit(key, absent) && may_be_stored && !M::begins(fact, key) {
                missing.push(|out| key.write(out));
            }
        }
        missing
    }

    /// Loads rows for which there is room.
    async fn load(
        &mut self,
        session: &mut dyn Session,
        missing: Columns,
    ) -> Result<(), sqlx::Error> {
        if missing.is_empty() {
            return Ok(());
        }
        let hot = &mut self.hot;
        let mut each = |row: &dyn Fields| {
            let row = M::Row::read(row)?;
            if let Some(cell) = hot.get_mut(&row.key()) {
                cell.row = Some(row);
                cell.stored = true;
            }
            Ok(())
        };
        session.load(&self.relation, missing, &mut each).await
    }

    fn apply(&mut self, touched: Vec<Touched<'_, M::Key>>) -> Result<(), Stuck> {
        for (index, fact, key) in touched {
            let cell = self
                .hot
                .get_mut(&key)
                .expect("every touched row was admitted");
            M::apply(&mut cell.row, &key, &fact).map_err(|poison| (index, poison))?;
            if !cell.changed {
                cell.changed = true;
                self.changed.push(key);
            }
        }
        Ok(())
    }

    /// Folds rows that never change: each goes to `write` at once.
    fn apply_once(
        touched: Vec<Touched<'_, M::Key>>,
        mut write: impl FnMut(&M::Row),
    ) -> Result<(), Stuck> {
        for (index, fact, key) in touched {
            let mut row = None;
            M::apply(&mut row, &key, &fact).map_err(|poison| (index, poison))?;
            if let Some(row) = &row {
                write(row);
            }
        }
        Ok(())
    }

    async fn fold_batch(
        &mut self,
        session: &mut dyn Session,
        batch: &[Facts],
        writes: &mut Writes,
    ) -> Result<Folded, sqlx::Error> {
        let mut end = batch.len();
        let mut stuck = None;
        loop {
            let (touched, untouchable) = Self::touched(&batch[..end]);
            stuck = untouchable.or(stuck);
            let applied = match M::ROWS {
                Rows::Folded => {
                    let missing = self.admit(&touched, true);
                    self.load(session, missing).await?;
                    self.apply(touched)
                }
                Rows::Once => Self::apply_once(touched, |row| self.once.push(|out| row.write(out))),
            };
            let Err((index, poison)) = applied else { break };
            // Nothing is written yet: the rows are read again, and folded up to the commit before.
            self.forget();
            end = index;
            stuck = Some((index, poison));
        }
        match M::ROWS {
            Rows::Folded => self.write_changed(writes),
            Rows::Once => {
                let once = std::mem::replace(&mut self.once, Columns::new(M::TABLE.columns));
                writes.insert_missing(&self.relation, once);
            }
        }
        self.hot.trim(HOT_ROWS_MAX);
        Ok(Folded {
            poisoned: poisoned(batch, stuck),
        })
    }

    fn write_changed(&mut self, writes: &mut Writes) {
        let mut inserts = Columns::new(M::TABLE.columns);
        let mut updates = Columns::over(M::TABLE);
        let mut deletes = Columns::new(M::TABLE.key());
        for key in std::mem::take(&mut self.changed) {
            let cell = self.hot.get_mut(&key).expect("a changed row is in memory");
            cell.changed = false;
            match &mut cell.row {
                Some(row) => {
                    let rows = if cell.stored {
                        &mut updates
                    } else {
                        &mut inserts
                    };
                    rows.push(|out| row.write(out));
                    row.written();
                }
                None if cell.stored => deletes.push(|out| key.write(out)),
                None => {}
            }
            cell.stored = cell.row.is_some();
            if cell.row.as_ref().is_some_and(Row::is_final) {
                self.hot.remove(&key);
            }
        }
        writes.insert(&self.relation, inserts);
        writes.update(&self.relation, updates);
        writes.delete(&self.relation, deletes);
    }
}

impl<M: ReadModel> Slot for Folding<M> {
    fn model(&self) -> Model {
        Model::of::<M>()
    }

    fn fold<'a>(
        &'a mut self,
        session: &'a mut dyn Session,
        batch: &'a [Facts],
        writes: &'a mut Writes,
    ) -> BoxFuture<'a, Result<Folded, sqlx::Error>> {
        self.fold_batch(session, batch, writes).boxed()
    }

    fn fill<'a>(
        &'a mut self,
        conn: &'a mut PgConnection,
        batch: &'a [Facts],
    ) -> BoxFuture<'a, Result<Folded, sqlx::Error>> {
        self.fill_batch(conn, batch).boxed()
    }

    fn finish<'a>(
        &'a mut self,
        conn: &'a mut PgConnection,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        self.finish_fill(conn).boxed()
    }

    fn forget(&mut self) {
        self.hot.clear();
        self.changed.clear();
        self.once.clear();
    }
}

fn poisoned(batch: &[Facts], stuck: Option<Stuck>) -> Option<Poisoned> {
    stuck.map(|(index, poison)| Poisoned {
        position: batch[index].position(),
        poison,
    })
}
