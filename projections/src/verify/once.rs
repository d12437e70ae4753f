//! The proof of a model whose rows are written once: table and fold come in the order of the journal,
//! and are compared side by side.

use std::collections::VecDeque;

use domain::Position;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use super::{DifferenceKind, ModelReport, Reading, Stored};
use crate::fact::Facts;
use crate::model::{Key, Poison, ReadModel, Row};
use crate::read::Columns as _;
use crate::source::Source;
use crate::table::Columns;

/// Where a row stands: the position and index of its fact.
type Place = (Position, u32);

/// The table's side.
struct Side {
    stored: Stored,
    rows: VecDeque<PgRow>,
    ended: bool,
    has_index: bool,
}

pub(super) async fn prove<M: ReadModel>(
    source: &dyn Source,
    conn: &mut PgConnection,
    mut report: ModelReport,
) -> Result<ModelReport, sqlx::Error> {
    let has_index = M::TABLE.columns.iter().any(|column| column.name == "index");
    let order = if has_index {
        "position, index"
    } else {
        "position"
    };
    let mut side = Side {
        stored: Stored::open(conn, M::TABLE, order).await?,
        rows: VecDeque::new(),
        ended: false,
        has_index,
    };
    let mut reading = Reading::open::<M>(source, report.position);
    while let Some(batch) = reading.batch().await {
        let mut absent = Vec::new();
        for facts in &batch.facts {
            let folded = match fold::<M>(facts, side.has_index) {
                Ok(folded) => folded,
                Err(poison) => {
                    report.error = Some(format!("commit at `{}`: {poison}", facts.position()));
                    side.stored.close(conn).await?;
                    return Ok(report);
                }
            };
            for (place, row) in folded {
                if side.meet::<M>(conn, place, &row, &mut report).await? {
                    report.rows += 1;
                } else {
                    absent.push((place, row.key()));
                }
            }
        }
        missing::<M>(conn, absent, &mut report).await?;
    }
    while let Some(row) = side.next(conn).await? {
        extra::<M>(&row, &mut report);
    }
    side.stored.close(conn).await?;
    Ok(report)
}

fn fold<M: ReadModel>(facts: &Facts, has_index: bool) -> Result<Vec<(Place, M::Row)>, Poison> {
    let mut rows = Vec::new();
    for fact in facts.of(M::READS)? {
        for key in M::keys(&fact)? {
            let mut row = None;
            M::apply(&mut row, &key, &fact)?;
            let place = (fact.position(), if has_index { fact.index } else { 0 });
            rows.extend(row.map(|row| (place, row)));
        }
    }
    Ok(rows)
}

impl Side {
    /// Meets the row that the fold has at `place`; tells whether the table has one there.
    async fn meet<M: ReadModel>(
        &mut self,
        conn: &mut PgConnection,
        place: Place,
        folded: &M::Row,
        report: &mut ModelReport,
    ) -> Result<bool, sqlx::Error> {
        while let Some(row) = self.next(conn).await? {
            let stands = self.place(&row);
            if stands > place {
                self.rows.push_front(row);
                return Ok(false);
            }
            if stands == place {
                match M::Row::read(&row) {
                    Ok(stored) => report.compare::<M>(folded, &stored),
                    Err(error) => {
                        let unreadable = DifferenceKind::Unreadable(error.to_string());
                        report.differs(folded.key(), unreadable);
                    }
                }
                return Ok(true);
            }
            extra::<M>(&row, report);
        }
        Ok(false)
    }

    async fn next(&mut self, conn: &mut PgConnection) -> Result<Option<PgRow>, sqlx::Error> {
        if self.rows.is_empty() && !self.ended {
            self.rows = self.stored.rows(conn).await?.into();
            self.ended = self.rows.is_empty();
        }
        Ok(self.rows.pop_front())
    }

    fn place(&self, row: &PgRow) -> Place {
        // What cannot be read stands before everything, and is found to be too many.
        let position = row.position("position").unwrap_or_default();
        let index: i32 = match self.has_index {
            true => row.try_get("index").unwrap_or_default(),
            false => 0,
        };
        (position, index.cast_unsigned())
    }
}

fn extra<M: ReadModel>(row: &PgRow, report: &mut ModelReport) {
    match M::Row::read(row) {
        Ok(row) => report.differs(row.key(), DifferenceKind::Extra),
        Err(error) => report.differs("?", DifferenceKind::Unreadable(error.to_string())),
    }
}

/// Rows that the table does not have at their place are missing, unless an earlier fact has written
/// the row of the same key.
async fn missing<M: ReadModel>(
    conn: &mut PgConnection,
    absent: Vec<(Place, M::Key)>,
    report: &mut ModelReport,
) -> Result<(), sqlx::Error> {
    if absent.is_empty() {
        return Ok(());
    }
    let mut keys = Columns::new(M::TABLE.key());
    for (_, key) in &absent {
        keys.push(|out| key.write(out));
    }
    let keys = keys.take().map_err(sqlx::Error::Encode)?;
    let rows = sqlx::query_with(M::TABLE.load(M::TABLE.name), keys)
        .fetch_all(conn)
        .await?;
    let mut earlier = std::collections::HashMap::new();
    for row in &rows {
        if let Ok(stored) = M::Row::read(row) {
            earlier.insert(stored.key(), row.position("position")?);
        }
    }
    for (place, key) in absent {
        if earlier
            .get(&key)
            .is_none_or(|position| *position >= place.0)
        {
            report.rows += 1;
            report.differs(key, DifferenceKind::Missing);
        }
    }
    Ok(())
}
