//! What every store of the tables must do: each function is one claim, run against Postgres and in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::Position;
use domain::queue::Limits;
use projections::job::{self, JobRow};
use projections::model::{Key, ReadModel, Row, Rows};
use projections::queue::{self, QueueRow};
use projections::table::{Columns, Relation, Writes};
use projections::{MemoryStore, Model, Postgres, Reader, Session, Store, Term};
use sqlx::postgres::PgPool;

use crate::support::{Journal, database, id, json, spec, tenant, time};
use crate::{folds, rechunked};

macro_rules! contract {
    ($($claim:ident),+ $(,)?) => {
        mod in_postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $claim() {
                    super::$claim(super::Kept::Postgres(super::database().await)).await;
                }
            )+
        }
        mod in_memory {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $claim() {
                    super::$claim(super::Kept::Memory(super::MemoryStore::default())).await;
                }
            )+
        }
    };
}

contract!(
    the_first_term_begins_with_nothing_and_every_model_live,
    a_term_begins_where_the_last_one_came_to,
    rows_of_every_model_are_read_as_they_were_written,
    a_key_without_a_row_is_passed_over,
    a_row_that_is_there_is_not_put_there_again,
    an_update_is_of_rows_that_are_there,
    what_is_fixed_is_not_written_over_nor_read_where_it_is_large,
    where_only_new_rows_are_wanted_a_row_that_is_there_stays,
    a_deleted_row_is_gone,
    whoever_is_elsewhere_writes_nothing,
    whoever_is_of_an_earlier_term_writes_nothing,
    whoever_holds_the_read_side_leaves_it_where_it_is,
    a_row_that_cannot_be_stored_leaves_the_others_as_they_were,
    what_is_rehearsed_leaves_nothing,
    a_stopped_model_has_to_be_built,
    a_model_that_comes_later_has_to_be_built,
    of_two_who_enter_one_waits,
);

/// A store under test.
enum Kept {
    Postgres(PgPool),
    Memory(MemoryStore),
}

/// A runner in office.
struct Runner {
    term: Term,
    session: Box<dyn Session>,
}

impl Kept {
    fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Postgres(pool) => Arc::new(Postgres::new(pool.clone())),
            Self::Memory(store) => Arc::new(store.clone()),
        }
    }

    async fn begin(&self, models: &[Model]) -> Runner {
        let (term, session) = self.store().begin(models).await.expect("a term");
        Runner { term, session }
    }

    /// The one job, with what is fixed.
    async fn job(&self) -> JobRow {
        match self {
            Self::Postgres(pool) => {
                let found = job::get(&Reader::new(pool.clone()), &tenant("acme"), id(1)).await;
                found.expect("a query").item.expect("a job")
            }
            Self::Memory(store) => {
                let jobs = store.rows::<job::Model>().expect("jobs");
                jobs.into_values().next().expect("a job")
            }
        }
    }
}

impl Runner {
    fn advance(&self, from: u64, to: u64) -> Writes {
        Writes::advance(self.term.number, Position(from), Position(to))
    }

    /// Whether anything was written.
    async fn write(&mut self, writes: Writes) -> bool {
        let written = self.session.write(writes).await;
        written.expect("the store answers").is_some()
    }

    async fn load<M: ReadModel>(&mut self, keys: impl IntoIterator<Item = M::Key>) -> Vec<M::Row> {
        let mut rows = Vec::new();
        let relation = Relation::of(M::TABLE);
        let mut each = |row: &dyn projections::table::Fields| {
            rows.push(M::Row::read(row)?);
            Ok(())
        };
        let keys = keys_of::<M>(keys);
        let loaded = self.session.load(&relation, keys, &mut each).await;
        loaded.expect("the store answers");
        rows
    }

    async fn queues(&mut self, names: &[&str]) -> Vec<QueueRow> {
        let keys = names.iter().map(|name| queue(name, 0).key());
        let mut rows = self.load::<queue::Model>(keys).await;
        rows.sort_by_key(Row::key);
        rows
    }
}

fn keys_of<M: ReadModel>(keys: impl IntoIterator<Item = M::Key>) -> Columns {
    let mut columns = Columns::new(&M::TABLE.columns[..M::TABLE.key_columns]);
    keys.into_iter()
        .for_each(|key| columns.push(|out| key.write(out)));
    columns
}

fn rows_of<'a, M: ReadModel>(rows: impl IntoIterator<Item = &'a M::Row>) -> Columns {
    let mut columns = Columns::new(M::TABLE.columns);
    rows.into_iter()
        .for_each(|row| columns.push(|out| row.write(out)));
    columns
}

fn relation<M: ReadModel>() -> Arc<Relation> {
    Arc::new(Relation::of(M::TABLE))
}

fn queue(name: &str, version: u64) -> QueueRow {
    QueueRow {
        tenant: tenant("acme"),
        name: domain::Token::new(name).expect("a queue's name"),
        limits: Limits::default(),
        is_paused: version.is_multiple_of(2),
        reason: None,
        version,
        position: Position(version),
        changed_at: time("09:00"),
    }
}

/// `rows` as they are written over those that are there.
fn over<'a, M: ReadModel>(rows: impl IntoIterator<Item = &'a M::Row>) -> Columns {
    let mut columns = Columns::over(M::TABLE);
    rows.into_iter()
        .for_each(|row| columns.push(|out| row.write(out)));
    columns
}

/// Adds `queues`, which are not there, to `writes`.
fn put(mut writes: Writes, queues: &[QueueRow]) -> Writes {
    let rows = rows_of::<queue::Model>(queues);
    writes.insert(&relation::<queue::Model>(), rows);
    writes
}

/// Adds a queue that no store takes: its reason has a NUL.
fn put_unstorable(mut writes: Writes) -> Writes {
    let mut rows = Columns::new(queue::Model::TABLE.columns);
    rows.push(|out| {
        out.text("acme");
        out.text("mail");
        out.jsonb(&Limits::default());
        out.boolean(true);
        out.text("no\0reason");
        out.count(1);
        out.count(1);
        out.timestamp(time("09:00"));
    });
    writes.insert(&relation::<queue::Model>(), rows);
    writes
}

async fn the_first_term_begins_with_nothing_and_every_model_live(kept: Kept) {
    let runner = kept.begin(&Model::all()).await;
    assert_eq!(runner.term.position, Position::START);
    assert_eq!(runner.term.live.len(), Model::all().len());
    assert!(runner.term.pending.is_empty());
}

async fn a_term_begins_where_the_last_one_came_to(kept: Kept) {
    let mut first = kept.begin(&Model::all()).await;
    let writes = put(first.advance(0, 7), &[queue("mail", 1)]);
    assert!(first.write(writes).await);
    let mut second = kept.begin(&Model::all()).await;
    assert_eq!(second.term.position, Position(7));
    assert!(second.term.number > first.term.number);
    assert_eq!(second.term.live.len(), Model::all().len());
    assert_eq!(second.queues(&["mail"]).await, [queue("mail", 1)]);
}

async fn rows_of_every_model_are_read_as_they_were_written(kept: Kept) {
    let mut runner = kept.begin(&Model::all()).await;
    read_as_written::<projections::assignment::Model>(&mut runner).await;
    read_as_written::<projections::assignment_event::Model>(&mut runner).await;
    read_as_written::<projections::workload::Model>(&mut runner).await;
    read_as_written::<projections::command::Model>(&mut runner).await;
    read_as_written::<job::Model>(&mut runner).await;
    read_as_written::<queue::Model>(&mut runner).await;
    read_as_written::<projections::schedule::Model>(&mut runner).await;
    read_as_written::<projections::batch::Model>(&mut runner).await;
}

async fn read_as_written<M: ReadModel>(runner: &mut Runner) {
    let mut rows = folds::rows::<M>(&rechunked::history()).expect("no poison");
    assert!(!rows.is_empty(), "{} has rows", M::TABLE.name);
    let mut writes = Writes::always();
    match M::ROWS {
        Rows::Folded => writes.insert(&relation::<M>(), rows_of::<M>(rows.values())),
        Rows::Once => writes.insert_missing(&relation::<M>(), rows_of::<M>(rows.values())),
    }
    assert!(runner.write(writes).await);
    let loaded = runner.load::<M>(rows.keys().cloned()).await;
    assert_eq!(loaded.len(), rows.len(), "{}", M::TABLE.name);
    rows.values_mut().for_each(Row::written);
    for row in loaded {
        assert_eq!(rows.get(&row.key()), Some(&row), "{}", M::TABLE.name);
    }
}

async fn a_key_without_a_row_is_passed_over(kept: Kept) {
    let mut runner = kept.begin(&Model::all()).await;
    let writes = put(runner.advance(0, 1), &[queue("mail", 1)]);
    assert!(runner.write(writes).await);
    let found = runner.queues(&["none", "mail"]).await;
    assert_eq!(found, [queue("mail", 1)]);
}

async fn a_row_that_is_there_is_not_put_there_again(kept: Kept) {
    let mut runner = kept.begin(&Model::all()).await;
    let writes = put(runner.advance(0, 1), &[queue("mail", 1)]);
    assert!(runner.write(writes).await);
    let both = [queue("print", 2), queue("mail", 2)];
    for (what, queues) in [
        ("one that is there", &both[..]),
        ("one twice", &[queue("scan", 2), queue("scan", 3)]),
    ] {
        let writes = put(runner.advance(1, 2), queues);
        let refused = runner.session.write(writes).await;
        assert_eq!(code(refused).as_deref(), Some("23505"), "{what}");
    }
    let found = runner.queues(&["mail", "print", "scan"]).await;
    assert_eq!(found, [queue("mail", 1)], "nothing of it is there");
}

async fn an_update_is_of_rows_that_are_there(kept: Kept) {
    let mut runner = kept.begin(&Model::all()).await;
    let both = [queue("mail", 1), queue("print", 1)];
    let writes = put(runner.advance(0, 1), &both);
    assert!(runner.write(writes).await);
    let mut writes = runner.advance(1, 2);
    let rows = over::<queue::Model>(&[queue("mail", 2), queue("scan", 2)]);
    writes.update(&relation::<queue::Model>(), rows);
    assert!(runner.write(writes).await);
    let found = runner.queues(&["mail", "print", "scan"]).await;
    assert_eq!(found, [queue("mail", 2), queue("print", 1)]);
}

async fn what_is_fixed_is_not_written_over_nor_read_where_it_is_large(kept: Kept) {
    let (journal, acme) = (Journal::default(), tenant("acme"));
    let mut job_spec = spec();
    job_spec.payload = Some(json(r#"{"to":"rita"}"#));
    journal.enqueue(&acme, id(1), job_spec, "09:00");
    let rows = folds::rows::<job::Model>(&journal.commits()).expect("no poison");
    let key = (acme, id(1));
    let mut runner = kept.begin(&Model::all()).await;
    let mut writes = runner.advance(0, 1);
    writes.insert(
        &relation::<job::Model>(),
        rows_of::<job::Model>(rows.values()),
    );
    assert!(runner.write(writes).await);

    let mut loaded = runner.load::<job::Model>([key]).await.remove(0);
    assert_eq!(loaded.payload, None);
    let queue = loaded.queue.clone();
    loaded.queue = domain::Token::new("elsewhere").expect("a queue's name");
    loaded.version = 2;
    let mut writes = runner.advance(1, 2);
    writes.update(&relation::<job::Model>(), over::<job::Model>([&loaded]));
    assert!(runner.write(writes).await);
    let job = kept.job().await;
    assert_eq!((job.version, &job.queue), (2, &queue));
    let payload = job.payload.as_ref().map(domain::Json::get);
    assert_eq!(payload, Some(r#"{"to":"rita"}"#));
}

async fn where_only_new_rows_are_wanted_a_row_that_is_there_stays(kept: Kept) {
    let mut runner = kept.begin(&Model::all()).await;
    let writes = put(runner.advance(0, 1), &[queue("mail", 1)]);
    assert!(runner.write(writes).await);
    let mut writes = runner.advance(1, 2);
    let both = [queue("mail", 2), queue("print", 2)];
    writes.insert_missing(
        &relation::<queue::Model>(),
        rows_of::<queue::Model>(both.iter()),
    );
    assert!(runner.write(writes).await);
    let found = runner.queues(&["mail", "print"]).await;
    assert_eq!(found, [queue("mail", 1), queue("print", 2)]);
}

async fn a_deleted_row_is_gone(kept: Kept) {
    let mut runner = kept.begin(&Model::all()).await;
    let both = [queue("mail", 1), queue("print", 1)];
    let writes = put(runner.advance(0, 1), &both);
    assert!(runner.write(writes).await);
    let mut writes = runner.advance(1, 2);
    let keys = keys_of::<queue::Model>([queue("mail", 0).key(), queue("none", 0).key()]);
    writes.delete(&relation::<queue::Model>(), keys);
    assert!(runner.write(writes).await);
    assert_eq!(runner.queues(&["mail", "print"]).await, [queue("print", 1)]);
}

async fn whoever_is_elsewhere_writes_nothing(kept: Kept) {
    let mut runner = kept.begin(&Model::all()).await;
    let writes = put(runner.advance(0, 5), &[queue("mail", 1)]);
    assert!(runner.write(writes).await);
    for from in [0, 4, 6] {
        let mut writes = put(runner.advance(from, 9), &[queue("mail", 2)]);
        writes.stop("queue", Position(1), "elsewhere".to_owned());
        assert!(!runner.write(writes).await, "from {from}");
        let mut writes = Writes::hold(runner.term.number, Position(from));
        writes.stop("queue", Position(1), "elsewhere".to_owned());
        assert!(!runner.write(writes).await, "held at {from}");
    }
    assert_eq!(runner.queues(&["mail"]).await, [queue("mail", 1)]);
    let next = kept.begin(&Model::all()).await;
    assert_eq!(next.term.position, Position(5));
    assert!(next.term.pending.is_empty());
}

async fn whoever_is_of_an_earlier_term_writes_nothing(kept: Kept) {
    let mut earlier = kept.begin(&Model::all()).await;
    let mut later = kept.begin(&Model::all()).await;
    let writes = put(earlier.advance(0, 1), &[queue("mail", 1)]);
    assert!(!earlier.write(writes).await);
    let mut writes = Writes::hold(earlier.term.number, Position(0));
    writes.stop("queue", Position(0), "earlier".to_owned());
    assert!(!earlier.write(writes).await);
    assert_eq!(later.queues(&["mail"]).await, []);
    let writes = put(later.advance(0, 1), &[queue("mail", 2)]);
    assert!(later.write(writes).await);
    assert_eq!(later.queues(&["mail"]).await, [queue("mail", 2)]);
}

async fn whoever_holds_the_read_side_leaves_it_where_it_is(kept: Kept) {
    let mut runner = kept.begin(&Model::all()).await;
    let writes = runner.advance(0, 3);
    assert!(runner.write(writes).await);
    let writes = put(
        Writes::hold(runner.term.number, Position(3)),
        &[queue("mail", 1)],
    );
    assert!(runner.write(writes).await);
    assert_eq!(runner.queues(&["mail"]).await, [queue("mail", 1)]);
    let next = kept.begin(&Model::all()).await;
    assert_eq!(next.term.position, Position(3));
}

async fn a_row_that_cannot_be_stored_leaves_the_others_as_they_were(kept: Kept) {
    let mut runner = kept.begin(&Model::all()).await;
    let writes = put(runner.advance(0, 1), &[queue("print", 1)]);
    let refused = runner.session.write(put_unstorable(writes)).await;
    assert_eq!(code(refused).as_deref(), Some("22021"));
    assert_eq!(runner.queues(&["mail", "print"]).await, []);
    let writes = runner.advance(0, 1);
    assert!(runner.write(writes).await, "it has not moved");
}

async fn what_is_rehearsed_leaves_nothing(kept: Kept) {
    let mut runner = kept.begin(&Model::all()).await;
    let writes = put(Writes::always(), &[queue("mail", 1)]);
    let rehearsed = runner.session.rehearse(writes).await;
    rehearsed.expect("it can be stored");
    assert_eq!(runner.queues(&["mail"]).await, []);
    let refused = runner.session.rehearse(put_unstorable(Writes::always()));
    let refused = refused.await;
    assert_eq!(code(refused).as_deref(), Some("22021"));
}

async fn a_stopped_model_has_to_be_built(kept: Kept) {
    let mut runner = kept.begin(&Model::all()).await;
    let mut writes = runner.advance(0, 5);
    writes.stop("queue", Position(2), "a mistake".to_owned());
    assert!(runner.write(writes).await);
    let next = kept.begin(&Model::all()).await;
    let pending: Vec<_> = next.term.pending.iter().map(Model::name).collect();
    assert_eq!(pending, ["queue"]);
    assert_eq!(next.term.live.len(), Model::all().len() - 1);
}

async fn a_model_that_comes_later_has_to_be_built(kept: Kept) {
    let mut runner = kept.begin(&[Model::of::<job::Model>()]).await;
    let writes = runner.advance(0, 5);
    assert!(runner.write(writes).await);
    let both = [Model::of::<job::Model>(), Model::of::<queue::Model>()];
    let next = kept.begin(&both).await;
    let names = |models: &[Model]| models.iter().map(Model::name).collect::<Vec<_>>();
    assert_eq!(names(&next.term.live), ["job"]);
    assert_eq!(names(&next.term.pending), ["queue"]);
}

async fn of_two_who_enter_one_waits(kept: Kept) {
    let first = kept.store().enter().await.expect("an office");
    let has_left = Arc::new(AtomicBool::new(false));
    let (store, left) = (kept.store(), Arc::clone(&has_left));
    let second = tokio::spawn(async move {
        let _second = store.enter().await.expect("an office");
        assert!(left.load(Ordering::SeqCst), "the first is still in office");
    });
    tokio::task::yield_now().await;
    assert!(!first.lost.is_cancelled());
    has_left.store(true, Ordering::SeqCst);
    drop(first);
    second.await.expect("it entered");
}

fn code<T>(answer: Result<T, sqlx::Error>) -> Option<String> {
    let error = answer.err().expect("refused");
    let code = error.as_database_error()?.code()?;
    Some(code.into_owned())
}
