//! The tables, as a projector meets them over a line on which calls are late or lost, and the journal that
//! it reads.

use std::sync::Arc;
use std::time::Duration;

use commands::Journal;
use commands::office::Office as _;
use domain::{Entry, Position};
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use projections::store::{Begun, EachRow, Rebuilds};
use projections::table::{Column, Columns, Guard, Kind, Relation, Table, Writes};
use projections::{InOffice, Model, Session, Source, SourceError, Store};

use super::{Outside, Planned};
use crate::sabotage::Sabotage;
use crate::world::World;

/// What becomes of a batch.
#[derive(Debug)]
enum Fate {
    Arrives,
    RequestLost,
    AnswerLost,
    /// It arrives when its runner has long given it up.
    Late(Duration),
    /// Said to have a row that cannot be stored, and taken when it is sent again.
    Refused,
    /// Its runner stands still before it sends it, and may have lost its office meanwhile.
    Stalled(Duration),
}

/// A runner's way to the tables.
struct Line {
    outside: Outside,
    term: i64,
}

impl Source for Outside {
    fn read_all(&self, after: Position) -> BoxStream<'static, Entry> {
        let world = Arc::clone(&self.world);
        let entries = Journal::read_all(self, after);
        let entries = entries.flat_map(move |entry| {
            let times = match world.rng.below(16) {
                0 if world.is_sabotaged(Sabotage::CommitsUnread) => 0,
                1 => 2,
                _ => 1,
            };
            stream::iter(vec![entry; times])
        });
        entries.boxed()
    }

    fn head(&self) -> BoxFuture<'_, Result<Position, SourceError>> {
        let head = Journal::head(self);
        head.map(|head| head.map_err(|error| SourceError(error.into())))
            .boxed()
    }
}

impl Store for Outside {
    fn enter(&self) -> BoxFuture<'_, Result<InOffice, sqlx::Error>> {
        async {
            self.way().await;
            let in_office = self.world.projecting.enter().await;
            let in_office = in_office.map_err(|_| away())?;
            self.way().await;
            Ok(InOffice {
                lost: in_office.lost,
                guard: in_office.guard,
            })
        }
        .boxed()
    }

    fn begin<'a>(&'a self, models: &'a [Model]) -> BoxFuture<'a, Result<Begun, sqlx::Error>> {
        async {
            self.way().await;
            if self.world.strikes(10) {
                return Err(away());
            }
            let (term, _) = self.world.tables.begin(models).await?;
            self.world.note(|| {
                format!(
                    "term {} of the tables begins at {}",
                    term.number, term.position
                )
            });
            self.way().await;
            if self.world.strikes(10) {
                return Err(away());
            }
            let outside = Self::new(&self.world, self.life.clone(), self.skew);
            let line = Line {
                outside,
                term: term.number,
            };
            Ok((term, Box::new(line) as Box<dyn Session>))
        }
        .boxed()
    }

    fn rebuild(&self, rebuilds: Rebuilds) -> BoxFuture<'static, ()> {
        self.world.tables.rebuild(rebuilds)
    }
}

impl Session for Line {
    fn load<'a>(
        &'a mut self,
        relation: &'a Relation,
        keys: Columns,
        each: &'a mut EachRow<'a>,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        async move {
            let world = &self.outside.world;
            self.outside.way().await;
            if world.strikes(20) {
                return Err(away());
            }
            let is_blind = world.is_sabotaged(Sabotage::RowsNotFound) && world.rng.one_in(10);
            if !is_blind {
                let mut tables = world.tables.clone();
                tables.load(relation, keys, each).await?;
            }
            self.outside.way().await;
            Ok(())
        }
        .boxed()
    }

    fn write(&mut self, writes: Writes) -> BoxFuture<'_, Result<Option<f64>, sqlx::Error>> {
        async {
            self.outside.way().await;
            let written = self.carry(writes).await;
            self.outside.way().await;
            written
        }
        .boxed()
    }

    fn rehearse(&mut self, writes: Writes) -> BoxFuture<'_, Result<(), sqlx::Error>> {
        async {
            self.outside.way().await;
            let mut tables = self.outside.world.tables.clone();
            tables.rehearse(writes).await
        }
        .boxed()
    }
}

impl Line {
    fn fate(&self) -> Fate {
        let (world, rng) = (&self.outside.world, &self.outside.world.rng);
        if !world.strikes(6) {
            return Fate::Arrives;
        }
        match rng.below(5) {
            0 => Fate::RequestLost,
            1 => Fate::AnswerLost,
            2 => Fate::Late(rng.millis(1..=4_000)),
            3 => Fate::Refused,
            _ => Fate::Stalled(rng.millis(1..=15_000)),
        }
    }

    async fn carry(&self, writes: Writes) -> Result<Option<f64>, sqlx::Error> {
        let (world, term) = (&self.outside.world, self.term);
        let fate = self.fate();
        if !matches!(fate, Fate::Arrives) {
            world.note(|| format!("batch {:?}: {fate:?}", writes.guard));
        }
        match fate {
            Fate::Arrives => write(world, term, writes).await,
            Fate::RequestLost => Err(away()),
            Fate::Refused => Err(unstorable(world).await),
            Fate::AnswerLost => {
                drop(write(world, term, writes).await);
                Err(away())
            }
            Fate::Late(by) => {
                let world = Arc::clone(world);
                tokio::spawn(async move {
                    tokio::time::sleep(by).await;
                    drop(write(&world, term, writes).await);
                });
                Err(away())
            }
            Fate::Stalled(by) => {
                tokio::time::sleep(by).await;
                write(world, term, writes).await
            }
        }
    }
}

fn away() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other(Planned))
}

/// The error that a store gives for a text with a NUL.
async fn unstorable(world: &World) -> sqlx::Error {
    static COLUMNS: [Column; 1] = [Column {
        name: "text",
        kind: Kind::Text,
    }];
    static TABLE: Table = Table {
        name: "none",
        columns: &COLUMNS,
        key_columns: 1,
        fixed: &[],
        large: &[],
        create: "",
        serve: "",
        views: "",
    };
    let mut rows = Columns::new(&COLUMNS);
    rows.push(|out| out.text("\0"));
    let mut writes = Writes::always();
    writes.insert(&Arc::new(Relation::of(&TABLE)), rows);
    let refused = world.tables.clone().rehearse(writes).await;
    refused.expect_err("no store takes a NUL")
}

/// What the tables themselves do with what arrives. They move forward, and in the present term only.
async fn write(world: &World, term: i64, writes: Writes) -> Result<Option<f64>, sqlx::Error> {
    let mut tables = world.tables.clone();
    let before = (tables.term(), tables.position());
    let written = match sabotaged(world, writes).await? {
        Some(writes) => tables.write(writes).await?,
        None => return Err(away()),
    };
    let after = (tables.term(), tables.position());
    if after < before || (written.is_some() && term != before.0) {
        let wrong = format!("term `{term}` took the tables from {before:?} to {after:?}");
        world.record.known().wrong.push(wrong);
    }
    Ok(written)
}

/// What is left of a batch in a store that is broken on purpose; none, where it breaks there.
async fn sabotaged(world: &World, mut writes: Writes) -> Result<Option<Writes>, sqlx::Error> {
    let Guard::Move { to, .. } = writes.guard else {
        return Ok(Some(writes));
    };
    let mut tables = world.tables.clone();
    let breaks = |sabotage| world.is_sabotaged(sabotage) && world.strikes(6);
    if world.is_sabotaged(Sabotage::FenceIgnored) {
        writes.guard = Guard::Move {
            term: tables.term(),
            from: tables.position(),
            to,
        };
    } else if breaks(Sabotage::CheckpointApart) {
        writes.changes.clear();
        tables.write(writes).await?;
        return Ok(None);
    } else if breaks(Sabotage::BatchWrittenInPart) {
        writes.guard = Guard::None;
        writes.changes.truncate(writes.changes.len() / 2);
        tables.write(writes).await?;
        return Ok(None);
    }
    Ok(Some(writes))
}
