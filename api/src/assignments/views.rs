//! Assignments and their events as JSON.

use std::collections::BTreeMap;

use domain::assignment::{LabelValue, Status};
use domain::{Name, Timestamp};
use projections::assignment::AssignmentRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// An assignment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Assignment")]
pub(crate) struct AssignmentView {
    /// Its id.
    #[schema(format = "uuid", value_type = String)]
    pub(crate) id: Uuid,
    /// What it is called.
    pub(crate) title: String,
    /// What is to be done.
    #[schema(required)]
    pub(crate) description: Option<String>,
    /// The sort of work.
    pub(crate) kind: String,
    /// The state.
    #[schema(value_type = StatusView)]
    pub(crate) status: Status,
    /// The group it lies in.
    pub(crate) group: String,
    /// Who asked for it.
    pub(crate) requester: String,
    /// Who has it.
    #[schema(required)]
    pub(crate) assignee: Option<String>,
    /// 1, the most pressing, to 5.
    #[schema(minimum = 1, maximum = 5)]
    pub(crate) priority: u8,
    /// What else it is found by.
    #[schema(value_type = BTreeMap<String, String>)]
    pub(crate) labels: BTreeMap<Name, LabelValue>,
    /// When it may be done.
    #[schema(required)]
    pub(crate) window: Option<WindowView>,
    /// How much work it is thought to be.
    #[schema(required, minimum = 1)]
    pub(crate) effort_minutes: Option<u64>,
    /// Its name in another system.
    #[schema(required)]
    pub(crate) external_ref: Option<String>,
    /// What came of it, once it is completed.
    #[schema(required)]
    pub(crate) outcome: Option<String>,
    /// Why it waits, while it is on hold.
    #[schema(required)]
    pub(crate) hold_reason: Option<String>,
    /// When it was requested.
    #[schema(format = "date-time", value_type = String)]
    pub(crate) requested_at: Timestamp,
    /// The latest time at which anything of it happened.
    #[schema(format = "date-time", value_type = String)]
    pub(crate) updated_at: Timestamp,
    /// When its present standing began.
    #[schema(format = "date-time", value_type = String)]
    pub(crate) since: Timestamp,
    /// How often it went from one person straight to another.
    pub(crate) hand_overs: u64,
    /// How many notes it has.
    pub(crate) notes: u64,
    /// How many events it has had.
    pub(crate) version: u64,
    /// Where its last commit stands.
    pub(crate) position: u64,
}

/// The states of an assignment.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(title = "Status")]
pub(crate) enum StatusView {
    /// Waits in its group's queue.
    Queued,
    /// Somebody has it and has not begun.
    Assigned,
    /// Somebody works on it.
    InProgress,
    /// Waits for something.
    OnHold,
    /// The work is done.
    Completed,
    /// Its end was confirmed.
    Closed,
    /// It ended undone.
    Cancelled,
}

/// A span of time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Window")]
pub(crate) struct WindowView {
    /// From when.
    #[schema(format = "date-time", value_type = String)]
    pub(crate) start: Timestamp,
    /// Until when.
    #[schema(format = "date-time", value_type = String)]
    pub(crate) end: Timestamp,
}

/// A part of a list of assignments.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AssignmentList {
    /// The assignments, in the order asked for.
    pub(crate) items: Vec<AssignmentView>,
    /// The cursor of the next page; none at the end.
    #[schema(required)]
    pub(crate) next: Option<String>,
    /// How many fit the filter in all, where `count=true` asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) total: Option<u64>,
}

impl From<AssignmentRow> for AssignmentView {
    fn from(row: AssignmentRow) -> Self {
        Self {
            id: row.id,
            title: row.title.into(),
            description: row.description.map(Into::into),
            kind: row.kind.into(),
            status: row.status,
            group: row.group.into(),
            requester: row.requester.into(),
            assignee: row.assignee.map(Into::into),
            priority: row.priority.get(),
            labels: row.labels.into(),
            window: row.window.map(|w| WindowView {
                start: w.start(),
                end: w.end(),
            }),
            effort_minutes: row.effort_minutes.map(Into::into),
            external_ref: row.external_ref.map(Into::into),
            outcome: row.outcome.map(Into::into),
            hold_reason: row.hold_reason.map(Into::into),
            requested_at: row.requested_at,
            updated_at: row.updated_at,
            since: row.since,
            hand_overs: row.hand_overs,
            notes: row.notes,
            version: row.version,
            position: row.position.0,
        }
    }
}
