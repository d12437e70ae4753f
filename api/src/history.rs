//! The history of an aggregate: every event with everything that is known of it, page by page.
//!
//! Assignments have theirs in a read model. Others are read here from the journal's own stream, which has
//! every event at once and needs no table for it; a page is never more of it than was asked for.

use std::str::FromStr;

use axum::response::Response;
use commands::Journal;
use domain::{
    Aggregate, Commit, EventPosition, Position, RecordedEvent, StreamId, Timestamp, Token,
};
use futures_util::TryStreamExt as _;
use projections::assignment_event::EventRow;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::problem::ApiError;
use crate::reads::{Asked, at};

/// An event of an aggregate, with everything that is known of it.
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
    /// What it says; nothing where its type says it all.
    #[schema(required, value_type = Option<Object>)]
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
    /// How many events it has had with this one.
    pub(crate) version: u64,
}

/// A part of an aggregate's history.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryList {
    /// The events, first to last.
    pub(crate) items: Vec<HistoryEvent>,
    /// The cursor of the next page; none at the end.
    #[schema(required)]
    pub(crate) next: Option<String>,
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

/// Where a page of a stream ended: `<position>-<index>`, which clients take for opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StreamCursor(EventPosition);

/// A text that is no [`StreamCursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a cursor that this list has given")]
struct InvalidStreamCursor;

/// A page of the history of the aggregate `id` of the caller's tenant, which is called `what`.
pub(crate) async fn history_of<A: Aggregate>(
    app: &App,
    asked: Asked,
    id: Token,
    what: &'static str,
) -> Result<Response, ApiError> {
    let Asked {
        caller, mut params, ..
    } = asked;
    let limit = params.limit();
    let after: Option<StreamCursor> = params.cursor(str::parse)?;
    params.finish()?;
    let stream = StreamId::new(caller.tenant().clone(), A::CATEGORY, id);
    let page = read(&*app.journal, &stream, after, limit as usize).await?;
    let last = page.items.last().map(|event| event.position.parse());
    match last {
        Some(last) => {
            let position = last.map_or(Position::START, |event: EventPosition| event.position);
            Ok(at(position, page))
        }
        None if after.is_none() => Err(ApiError::NotFound(what)),
        None => Ok(at(Position::START, page)),
    }
}

/// At most `limit` events of `stream` behind `after`.
async fn read(
    journal: &dyn Journal,
    stream: &StreamId,
    after: Option<StreamCursor>,
    limit: usize,
) -> Result<HistoryList, ApiError> {
    // The commit of the last event may have more, so it is read again.
    let before = after.map_or(0, |after| after.0.position.0.saturating_sub(1));
    let mut commits = journal.read_stream(stream, Position(before));
    let mut items = Vec::new();
    let mut last = None;
    while let Some(commit) = commits.try_next().await? {
        for (index, recorded) in (0..).zip(&commit.payload.events) {
            let position = EventPosition {
                position: commit.position,
                index,
            };
            if after.is_some_and(|after| position <= after.0) {
                continue;
            }
            if items.len() == limit {
                let next = last.map(|last| StreamCursor(last).encode());
                return Ok(HistoryList { items, next });
            }
            items.push(HistoryEvent::of(&commit, position, recorded));
            last = Some(position);
        }
    }
    Ok(HistoryList { items, next: None })
}

impl HistoryEvent {
    fn of(commit: &Commit, position: EventPosition, recorded: &RecordedEvent) -> Self {
        let payload = &commit.payload;
        let actor = &payload.actor;
        Self {
            position: position.to_string(),
            name: recorded.name.to_string(),
            v: recorded.version,
            data: recorded.data().to_owned(),
            at: payload.at,
            occurred_at: recorded.occurred_at,
            principal: actor.principal.to_string(),
            on_behalf_of: actor.on_behalf_of.as_ref().map(ToString::to_string),
            command: payload.id.0,
            correlation: payload.correlation.as_ref().map(ToString::to_string),
            causation: payload.causation.clone(),
            version: payload.version + u64::from(position.index) + 1,
        }
    }
}

impl StreamCursor {
    fn encode(self) -> String {
        format!("{}-{}", self.0.position, self.0.index)
    }
}

impl FromStr for StreamCursor {
    type Err = InvalidStreamCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let event = (!text.contains('.')).then(|| text.replacen('-', ".", 1).parse().ok());
        event.flatten().map(Self).ok_or(InvalidStreamCursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_one_that_was_given() {
        for text in ["12-0", "1-9"] {
            let cursor: StreamCursor = text.parse().expect("a cursor");
            assert_eq!(cursor.encode(), text);
        }
        for bad in ["", "12", "12.0", "12-", "-0", "1-2-3", "+1-0", "x"] {
            assert_eq!(
                bad.parse::<StreamCursor>(),
                Err(InvalidStreamCursor),
                "{bad}"
            );
        }
    }
}
