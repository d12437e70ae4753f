//! Assignments and their events as JSON.

use std::collections::BTreeMap;

use domain::assignment::{LabelValue, Status};
use domain::{Name, Timestamp};
use projections::assignment::AssignmentRow;
use projections::assignment_event::EventRow;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
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
    pub(crate) effort_minutes: Option<u32>,
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

/// An event of an assignment, with everything that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryEvent {
    /// Where it stands: `<position>.<index>`.
    #[schema(pattern = r"^[0-9]+\.[0-9]+$", example = "12.0")]
    pub(crate) position: String,
    /// Its type.
    #[serde(rename = "type")]
    pub(crate) name: String,
    /// The version of the shape of its data.
    pub(crate) v: u16,
    /// What it says.
    #[schema(value_type = Object)]
    pub(crate) data: Box<RawValue>,
    /// When it was recorded.
    #[schema(format = "date-time", value_type = String)]
    pub(crate) at: Timestamp,
    /// When it happened, where that was named.
    #[schema(required, format = "date-time", value_type = Option<String>)]
    pub(crate) occurred_at: Option<Timestamp>,
    /// Who did it.
    pub(crate) principal: String,
    /// For whom.
    #[schema(required)]
    pub(crate) on_behalf_of: Option<String>,
    /// The command that asked for it.
    #[schema(format = "uuid", value_type = String)]
    pub(crate) command: Uuid,
    /// What ties commands of one errand together.
    #[schema(required)]
    pub(crate) correlation: Option<String>,
    /// The event that led to it.
    #[schema(required)]
    pub(crate) causation: Option<String>,
    /// How many events the assignment has had with this one.
    pub(crate) version: u64,
}

/// A part of an assignment's history.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryList {
    /// The events, first to last.
    pub(crate) items: Vec<HistoryEvent>,
    /// The cursor of the next page; none at the end.
    #[schema(required)]
    pub(crate) next: Option<String>,
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

impl From<EventRow> for HistoryEvent {
    fn from(row: EventRow) -> Self {
        Self {
            position: row.event.to_string(),
            name: row.name.into(),
            v: row.shape,
            data: row.data,
            at: row.at,
            occurred_at: row.occurred_at,
            principal: row.principal.into(),
            on_behalf_of: row.on_behalf_of.map(Into::into),
            command: row.command.0,
            correlation: row.correlation.map(Into::into),
            causation: row.causation.map(|event| event.to_string()),
            version: row.version,
        }
    }
}
