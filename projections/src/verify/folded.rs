//! The proof of a model whose rows change: a part of the rows is folded in memory, then compared
//! with all rows of the table that belong to that part.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};

use sqlx::Row as _;
use sqlx::postgres::PgConnection;

use super::{DifferenceKind, ModelReport, Reading, Stored};
use crate::fact::Facts;
use crate::fold::FILL_ROWS_MAX;
use crate::model::{Poison, ReadModel, Row};
use crate::source::Source;
use crate::table::safe;

/// Which keys a pass is for.
#[derive(Clone, Copy)]
struct Part {
    index: u64,
    of: u64,
}

/// What a pass has folded. A row can also be folded away again.
type Rows<M> = HashMap<<M as ReadModel>::Key, Option<<M as ReadModel>::Row>>;

pub(super) async fn prove<M: ReadModel>(
    source: &dyn Source,
    conn: &mut PgConnection,
    mut report: ModelReport,
) -> Result<ModelReport, sqlx::Error> {
    /// How many bytes of the table belong to one pass.
    const PASS_BYTES_MAX: u64 = 256 * 1024 * 1024;
    let size = safe(format!(
        "select count(*), pg_table_size('{0}') from {0}",
        M::TABLE.name
    ));
    let size = sqlx::query(size).fetch_one(&mut *conn).await?;
    let (rows, bytes): (i64, i64) = (size.try_get(0)?, size.try_get(1)?);
    let by_rows = rows.unsigned_abs() / FILL_ROWS_MAX as u64;
    let by_bytes = bytes.unsigned_abs() / PASS_BYTES_MAX;
    let of = by_rows.max(by_bytes) + 1;
    for index in 0..of {
        let part = Part { index, of };
        let mut rows = Rows::<M>::new();
        let mut reading = Reading::open::<M>(source, report.position);
        while let Some(batch) = reading.batch().await {
            for facts in &batch.facts {
                if let Err(poison) = fold::<M>(&mut rows, facts, part) {
                    report.error = Some(format!("commit at `{}`: {poison}", facts.position()));
                    return Ok(report);
                }
            }
        }
        compare::<M>(conn, rows, part, &mut report).await?;
    }
    Ok(report)
}

fn fold<M: ReadModel>(rows: &mut Rows<M>, facts: &Facts, part: Part) -> Result<(), Poison> {
    for fact in facts.of(M::READS)? {
        for key in M::keys(&fact)? {
            if part.has(&key) {
                let row = rows.entry(key.clone()).or_insert(None);
                M::apply(row, &key, &fact)?;
            }
        }
    }
    Ok(())
}

async fn compare<M: ReadModel>(
    conn: &mut PgConnection,
    mut rows: Rows<M>,
    part: Part,
    report: &mut ModelReport,
) -> Result<(), sqlx::Error> {
    rows.retain(|_, row| row.is_some());
    report.rows += rows.len() as u64;
    let stored = Stored::open(conn, M::TABLE, M::TABLE.columns[0].name).await?;
    loop {
        let some = stored.rows(conn).await?;
        if some.is_empty() {
            break;
        }
        for row in &some {
            match M::Row::read(row) {
                Ok(row) if !part.has(&row.key()) => {}
                Ok(row) => match rows.remove(&row.key()).flatten() {
                    Some(folded) => report.compare::<M>(&folded, &row),
                    None => report.differs(row.key(), DifferenceKind::Extra),
                },
                // Its key may be what cannot be read: it belongs to no part, so to the first.
                Err(error) if part.index == 0 => {
                    report.differs("?", DifferenceKind::Unreadable(error.to_string()));
                }
                Err(_) => {}
            }
        }
    }
    stored.close(conn).await?;
    let mut missing: Vec<_> = rows.into_keys().collect();
    missing.sort_unstable();
    for key in missing {
        report.differs(key, DifferenceKind::Missing);
    }
    Ok(())
}

impl Part {
    fn has(self, key: &impl Hash) -> bool {
        // The same for every pass, unlike the hash of a map.
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        self.of == 1 || hash % self.of == self.index
    }
}
