//! workload: one row a person and one a group: what they have, and what time it took them.
//! Folds category `assignment`; owns table `workload`; queries in `query.rs`.
//!
//! Every event that moves an assignment says where it moves from, since when, and where to: the
//! counts move with it, and the time of the period that ended is credited to whoever held the work
//! then, in the state it was in. A period ends when the event happened, or has no length where that
//! is before its beginning. Times are whole microseconds. A hand-over counts for the person and the
//! group that gave the work away.

mod query;

use domain::assignment::{Assignment, Event, Period, Standing, Status};
use domain::{Aggregate, Name, Tenant, Timestamp};

pub use self::query::{By, Filter, Sort, list};
use crate::fact::{Fact, stored};
use crate::model::{Poison, ReadModel, Reads, Row, Rows};
use crate::read::Columns;
use crate::table::Kind::{Bigint, Text};
use crate::table::{Column, Fields, Kind, RowWriter, Table};

/// The read model.
#[derive(Debug)]
pub struct Model;

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// A person or an agent.
    Person,
    /// A group.
    Group,
}

/// What names a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Whose it is.
    pub tenant: Tenant,
    /// A person or a group.
    pub dimension: Dimension,
    /// Which.
    pub name: Name,
}

/// The work of a person or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadRow {
    /// Whose work.
    pub key: Key,
    /// How many assignments are in each state now, by [`Status`].
    pub now: [i64; STATES],
    /// How often work was handed over from here straight to somebody else.
    pub hand_overs: i64,
    /// How many microseconds assignments have spent in each state, by [`Status`], in periods that
    /// have come to their end.
    pub spent_us: [i64; STATES],
}

/// How many states there are.
pub const STATES: usize = 7;

/// Every state, in the order of the arrays.
pub const STATUSES: [Status; STATES] = [
    Status::Queued,
    Status::Assigned,
    Status::InProgress,
    Status::OnHold,
    Status::Completed,
    Status::Closed,
    Status::Cancelled,
];

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

static TABLE: Table = Table {
    name: "workload",
    columns: &[
        column("tenant", Text),
        column("dimension", Text),
        column("name", Text),
        column("queued", Bigint),
        column("assigned", Bigint),
        column("in_progress", Bigint),
        column("on_hold", Bigint),
        column("completed", Bigint),
        column("closed", Bigint),
        column("cancelled", Bigint),
        column("hand_overs", Bigint),
        column("queued_us", Bigint),
        column("assigned_us", Bigint),
        column("in_progress_us", Bigint),
        column("on_hold_us", Bigint),
        column("completed_us", Bigint),
        column("closed_us", Bigint),
        column("cancelled_us", Bigint),
    ],
    key_columns: 3,
    fixed: &[],
    large: &[],
    create: include_str!("create.sql"),
    serve: include_str!("serve.sql"),
    views: include_str!("views.sql"),
};

impl ReadModel for Model {
    const TABLE: &'static Table = &TABLE;
    const VERSION: u32 = 1;
    const READS: Reads = Reads::Category(Assignment::CATEGORY);
    const ROWS: Rows = Rows::Folded;
    type Key = Key;
    type Row = WorkloadRow;

    fn keys(fact: &Fact<'_>) -> Result<impl Iterator<Item = Key>, Poison> {
        let tenant = &fact.stream().tenant;
        let key = |dimension, name: &Name| Key {
            tenant: tenant.clone(),
            dimension,
            name: name.clone(),
        };
        let person = |name: &Option<Name>| Some(key(Dimension::Person, name.as_ref()?));
        let group = |name| Some(key(Dimension::Group, name));
        let keys = match (fact.assignment()?, fact.assignment()?.change()) {
            (Event::Requested(request), _) => [None, group(&request.group), None, None],
            (_, None) => [None, None, None, None],
            (_, Some(change)) => {
                let (from, to) = (&change.from, &change.to);
                let same_person = from.assignee == to.assignee;
                let same_group = from.group == to.group;
                [
                    person(&from.assignee),
                    group(&from.group),
                    if same_person {
                        None
                    } else {
                        person(&to.assignee)
                    },
                    if same_group { None } else { group(&to.group) },
                ]
            }
        };
        Ok(keys.into_iter().flatten())
    }

    fn apply(row: &mut Option<WorkloadRow>, key: &Key, fact: &Fact<'_>) -> Result<(), Poison> {
        let row = row.get_or_insert_with(|| WorkloadRow::idle(key.clone()));
        let event = fact.assignment()?;
        if let Event::Requested(request) = event {
            row.comes(&Standing::queued(request.group.clone()));
        }
        if let Some(change) = event.change() {
            let handed_over = matches!(event, Event::HandedOver { .. });
            row.goes(&change.from, fact.happened_at(), handed_over);
            row.comes(&change.to);
        }
        Ok(())
    }
}

impl WorkloadRow {
    fn idle(key: Key) -> Self {
        Self {
            key,
            now: [0; STATES],
            hand_overs: 0,
            spent_us: [0; STATES],
        }
    }

    /// How many assignments are in `status` now.
    #[must_use]
    pub fn count(&self, status: Status) -> i64 {
        self.now[status as usize]
    }

    /// How many seconds assignments have spent in `status`.
    #[must_use]
    pub fn seconds(&self, status: Status) -> f64 {
        jiff::SignedDuration::from_micros(self.spent_us[status as usize]).as_secs_f64()
    }

    /// What waits or is assigned.
    #[must_use]
    pub fn open(&self) -> i64 {
        self.count(Status::Queued) + self.count(Status::Assigned)
    }

    /// What is completed, whether its end was confirmed or not.
    #[must_use]
    pub fn completed(&self) -> i64 {
        self.count(Status::Completed) + self.count(Status::Closed)
    }

    fn is_of(&self, group: &Name, assignee: Option<&Name>) -> bool {
        match self.key.dimension {
            Dimension::Person => assignee == Some(&self.key.name),
            Dimension::Group => *group == self.key.name,
        }
    }

    fn comes(&mut self, to: &Standing) {
        if self.is_of(&to.group, to.assignee.as_ref()) {
            self.now[to.status as usize] += 1;
        }
    }

    fn goes(&mut self, from: &Period, at: Timestamp, handed_over: bool) {
        if !self.is_of(&from.group, from.assignee.as_ref()) {
            return;
        }
        let state = from.status as usize;
        let since = stored(from.since);
        let spent_us = at.max(since).as_microsecond() - since.as_microsecond();
        self.now[state] -= 1;
        self.spent_us[state] = self.spent_us[state].saturating_add(spent_us);
        self.hand_overs += i64::from(handed_over);
    }
}

impl Dimension {
    /// The name, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Group => "group",
        }
    }
}

/// A text that is no dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `person` or `group`")]
pub struct UnknownDimension;

impl std::str::FromStr for Dimension {
    type Err = UnknownDimension;

    fn from_str(text: &str) -> Result<Self, UnknownDimension> {
        match text {
            "person" => Ok(Self::Person),
            "group" => Ok(Self::Group),
            _ => Err(UnknownDimension),
        }
    }
}

impl crate::model::Key for Key {
    fn write(&self, out: &mut RowWriter<'_>) {
        out.text(self.tenant.as_str());
        out.text(self.dimension.as_str());
        out.text(self.name.as_str());
    }
}

impl Row for WorkloadRow {
    type Key = Key;

    fn key(&self) -> Key {
        self.key.clone()
    }

    fn write(&self, out: &mut RowWriter<'_>) {
        crate::model::Key::write(&self.key, out);
        self.now.iter().for_each(|count| out.bigint(*count));
        out.bigint(self.hand_overs);
        self.spent_us.iter().for_each(|spent| out.bigint(*spent));
    }

    fn read(row: &dyn Fields) -> Result<Self, sqlx::Error> {
        let mut now = [0; STATES];
        let mut spent_us = [0; STATES];
        for (index, status) in STATUSES.into_iter().enumerate() {
            now[index] = row.bigint(status.as_str())?;
            spent_us[index] = row.bigint(&format!("{status}_us"))?;
        }
        Ok(Self {
            key: Key {
                tenant: row.tenant("tenant")?,
                dimension: row.parsed("dimension")?,
                name: row.parsed("name")?,
            },
            now,
            hand_overs: row.bigint("hand_overs")?,
            spent_us,
        })
    }
}
