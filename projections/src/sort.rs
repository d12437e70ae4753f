//! What a list is sorted by: one of its columns, in either direction.

use std::str::FromStr;

use crate::cursor::Order;

/// The columns that one list can be sorted by.
pub trait Column: Copy + Default + PartialEq + 'static {
    /// Tells the list's cursors from those of other lists.
    const LIST: u8;

    /// All of them, each by the name that a query gives it.
    const NAMED: &'static [(&'static str, Self)];
}

/// A column and a direction; ties by what identifies a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sort<By> {
    /// The column.
    pub by: By,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// A `sort` that the list does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a column that this list sorts by, with `-` before it for the greatest first")]
pub struct UnknownSort;

impl<By: Column> FromStr for Sort<By> {
    type Err = UnknownSort;

    /// The column's name, `-` before it for the greatest first.
    fn from_str(text: &str) -> Result<Self, UnknownSort> {
        let name = text.strip_prefix('-').unwrap_or(text);
        let named = By::NAMED.iter().find(|(known, _)| *known == name);
        let (_, by) = named.ok_or(UnknownSort)?;
        Ok(Self {
            by: *by,
            descending: name.len() < text.len(),
        })
    }
}

impl<By: Column> Sort<By> {
    /// What its cursors say of it.
    pub(crate) fn order(self) -> Order {
        let place = (0..).zip(By::NAMED).find(|(_, (_, by))| *by == self.by);
        Order {
            list: By::LIST,
            column: place.map_or(u8::MAX, |(place, _)| place),
            descending: self.descending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{assignment, batch, job, schedule, workload};

    fn orders<By: Column>() -> Vec<(u8, u8, bool)> {
        let directions = ["", "-"];
        let texts = directions.iter().flat_map(|sign| {
            By::NAMED
                .iter()
                .map(move |(name, _)| format!("{sign}{name}"))
        });
        texts
            .map(|text| {
                let sort: Sort<By> = text.parse().expect("it is named");
                let order = sort.order();
                (order.list, order.column, order.descending)
            })
            .collect()
    }

    #[test]
    fn every_list_column_and_direction_has_cursors_of_its_own() {
        let all = [
            orders::<assignment::By>(),
            orders::<batch::By>(),
            orders::<job::By>(),
            orders::<schedule::By>(),
            orders::<workload::By>(),
        ]
        .concat();
        let different: HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "{all:?}");
        assert!(all.iter().all(|(_, column, _)| *column < u8::MAX));
    }

    #[test]
    fn what_is_no_column_is_refused() {
        for bad in ["", "-", "--title", "Title", "title ", "+title", "worker"] {
            assert_eq!(bad.parse::<assignment::Sort>(), Err(UnknownSort), "{bad}");
        }
    }
}
