//! Queries on assignments: a list, one as it is or was, and its history.
//!
//! Lists and single rows come from the read side; an assignment at an earlier time is folded from the
//! journal, by the same fold.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use domain::assignment::{Assignment, Priority, Status};
use domain::{Aggregate as _, Position, StreamId, Tenant, Token};
use futures_util::TryStreamExt as _;
use projections::assignment::{self, Assignee, By, Filter, Sort, Until};
use projections::{Found, assignment_event};
use utoipa_axum::routes;
use uuid::Uuid;

use super::views::{AssignmentList, AssignmentView};
use crate::app::App;
use crate::history::HistoryList;
use crate::params::Params;
use crate::problem::ApiError;
use crate::reads::{Asked, at, one};
use crate::routes::Routes;
use crate::texts::parse_id;

/// What the list is sorted by if nothing is said: what was asked for last comes first.
const SORT_DEFAULT: Sort = Sort {
    by: By::RequestedAt,
    descending: true,
};

/// List assignments.
///
/// Every parameter narrows the list. Labels are asked for as `label.<key>=<value>`, once or more.
#[utoipa::path(get, path = "/v1/assignments", tag = "assignments",
    params(
        ("id" = Option<String>, Query, format = "uuid",
            pattern = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$", description = "the one of this id"),
        ("title" = Option<String>, Query, description = "contains this, whatever the case"),
        ("description" = Option<String>, Query, description = "contains this, whatever the case"),
        ("kind" = Option<String>, Query, description = "of this kind"),
        ("status" = Option<String>, Query, description = "in one of these states, with commas between",
            pattern = "^(queued|assigned|in_progress|on_hold|completed|closed|cancelled)(,(queued|assigned|in_progress|on_hold|completed|closed|cancelled))*$"),
        ("group" = Option<String>, Query, description = "in this group"),
        ("requester" = Option<String>, Query, description = "asked for by this one"),
        ("assignee" = Option<String>, Query, description = "held by this one; by nobody, if empty"),
        ("priority" = Option<String>, Query, pattern = r"^[1-5](\.\.[1-5])?$",
            description = "of this priority, or from one to another, as `1..3`"),
        ("external_ref" = Option<String>, Query, description = "of this name in another system"),
        ("outcome" = Option<String>, Query, description = "with this outcome"),
        ("hold_reason" = Option<String>, Query, description = "on hold for this"),
        ("window_from" = Option<String>, Query, format = "date-time", description = "window ends after this"),
        ("window_to" = Option<String>, Query, format = "date-time", description = "window starts before this"),
        ("effort_min" = Option<u32>, Query, maximum = 4_294_967_295_i64, description = "of at least so many minutes"),
        ("effort_max" = Option<u32>, Query, maximum = 4_294_967_295_i64, description = "of at most so many minutes"),
        ("requested_from" = Option<String>, Query, format = "date-time", description = "requested then or later"),
        ("requested_to" = Option<String>, Query, format = "date-time", description = "requested before"),
        ("updated_from" = Option<String>, Query, format = "date-time", description = "updated then or later"),
        ("updated_to" = Option<String>, Query, format = "date-time", description = "updated before"),
        ("sort" = Option<String>, Query, pattern = "^-?(requested_at|updated_at|priority|status|title|position)$",
            description = "by this, `-` for the greatest first; `-requested_at` if nothing is said"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "so many items; 50 if nothing is said"),
        ("cursor" = Option<String>, Query, pattern = "^[A-Za-z0-9_-]{1,1500}$", description = "`next` of the page before"),
        ("count" = Option<bool>, Query, description = "whether to count all that fit"),
    ),
    responses((status = 200, description = "a page of assignments", body = AssignmentList)))]
async fn list(State(app): State<App>, asked: Asked) -> Result<Response, ApiError> {
    let Asked {
        caller,
        mut params,
        least,
    } = asked;
    let filter = filter(&mut params);
    let sort = params.parsed("sort").unwrap_or(SORT_DEFAULT);
    let paging = params.paging(true)?;
    params.finish()?;
    let page = assignment::list(&app.reads.reader, caller.tenant(), &filter, sort, &paging).await?;
    least.met_by(page.position)?;
    let items = page.items.into_iter().map(AssignmentView::from).collect();
    let next = page.next.map(|cursor| cursor.encode());
    Ok(at(
        page.position,
        AssignmentList {
            items,
            next,
            total: page.total,
        },
    ))
}

/// One assignment, as it is or as it was.
#[utoipa::path(get, path = "/v1/assignments/{id}", tag = "assignments",
    params(
        ("at" = Option<String>, Query, format = "date-time", description = "as it was at this time, by what had happened"),
        ("position" = Option<u64>, Query, maximum = 9_223_372_036_854_775_807_i64, description = "as it was recorded up to this position"),
        ("If-None-Match" = Option<String>, Header, description = "answer 304 if this is still its entity tag"),
    ),
    responses(
        (status = 200, description = "the assignment", body = AssignmentView,
            headers(("ETag", description = "its version"))),
        (status = 304, description = "it is still the same"),
    ))]
async fn get(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    asked: Asked,
) -> Result<Response, ApiError> {
    let Asked {
        caller,
        mut params,
        least,
    } = asked;
    let id = aggregate_id(&id)?;
    let until = Until {
        at: params.time("at"),
        position: params.position("position"),
    };
    params.finish()?;
    let found = if until == Until::default() {
        let found = assignment::get(&app.reads.reader, caller.tenant(), id).await?;
        least.met_by(found.position)?;
        found
    } else {
        let item = as_it_was(&app, caller.tenant(), id, until).await?;
        let position = item.as_ref().map_or(Position::START, |row| row.position);
        Found { item, position }
    };
    one(&headers, found, "assignment", |row| {
        (row.version, AssignmentView::from(row))
    })
}

/// Every event of an assignment.
#[utoipa::path(get, path = "/v1/assignments/{id}/history", tag = "assignments",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "so many items; 50 if nothing is said"),
        ("cursor" = Option<String>, Query, pattern = "^[A-Za-z0-9_-]{1,1500}$", description = "`next` of the page before"),
    ),
    responses((status = 200, description = "a page of events, first to last", body = HistoryList)))]
async fn history(
    State(app): State<App>,
    Path(id): Path<String>,
    asked: Asked,
) -> Result<Response, ApiError> {
    let Asked {
        caller,
        mut params,
        least,
    } = asked;
    let id = aggregate_id(&id)?;
    let paging = params.paging(false)?;
    params.finish()?;
    let page = assignment_event::history(&app.reads.reader, caller.tenant(), id, &paging).await?;
    least.met_by(page.position)?;
    if page.items.is_empty() && paging.cursor.is_none() {
        return Err(ApiError::NotFound("assignment"));
    }
    let items = page.items.into_iter().map(Into::into).collect();
    let next = page.next.map(|cursor| cursor.encode());
    Ok(at(page.position, HistoryList { items, next }))
}

fn aggregate_id(id: &str) -> Result<Uuid, ApiError> {
    parse_id(id).map_err(|rule| ApiError::parameter("id", rule))
}

async fn as_it_was(
    app: &App,
    tenant: &Tenant,
    id: Uuid,
    until: Until,
) -> Result<Option<assignment::AssignmentRow>, ApiError> {
    let stream = StreamId::new(tenant.clone(), Assignment::CATEGORY, Token::from(id));
    let commits: Vec<_> = app
        .journal
        .read_stream(&stream, Position::START)
        .try_collect()
        .await?;
    let folded = assignment::fold(&commits, until);
    folded.map_err(|poison| ApiError::Internal(poison.to_string().into()))
}

fn filter(params: &mut Params) -> Filter {
    Filter {
        id: params.checked("id", parse_id),
        title: params.text("title"),
        description: params.text("description"),
        kind: params.text("kind"),
        status: params.checked("status", statuses).unwrap_or_default(),
        group: params.text("group"),
        requester: params.text("requester"),
        assignee: params.text("assignee").map(|name| match name.as_str() {
            "" => Assignee::Nobody,
            _ => Assignee::Somebody(name),
        }),
        priority: params.checked("priority", priorities),
        labels: params.prefixed("label.").collect(),
        external_ref: params.text("external_ref"),
        outcome: params.text("outcome"),
        hold_reason: params.text("hold_reason"),
        window_from: params.time("window_from"),
        window_to: params.time("window_to"),
        effort_min: params.number("effort_min"),
        effort_max: params.number("effort_max"),
        requested_from: params.time("requested_from"),
        requested_to: params.time("requested_to"),
        updated_from: params.time("updated_from"),
        updated_to: params.time("updated_to"),
    }
}

fn statuses(text: &str) -> Result<Vec<Status>, &'static str> {
    let statuses = text.split(',').map(str::parse).collect::<Result<_, _>>();
    statuses.map_err(|_| "must be states of an assignment, with commas between")
}

/// `n` or `a..b`, both included.
fn priorities(text: &str) -> Result<(u8, u8), &'static str> {
    let (lowest, highest) = text.split_once("..").unwrap_or((text, text));
    let priority = |text: &str| text.parse().map(Priority::get);
    match (priority(lowest), priority(highest)) {
        (Ok(lowest), Ok(highest))
            if lowest.to_string() + ".." + &highest.to_string() == text || text.len() == 1 =>
        {
            Ok((lowest, highest))
        }
        _ => Err("must be a priority from `1` to `5`, or two with `..` between"),
    }
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes
        .add(routes!(list))
        .add(routes!(get))
        .add(routes!(history))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_one_or_a_span() {
        assert_eq!(priorities("3"), Ok((3, 3)));
        assert_eq!(priorities("1..4"), Ok((1, 4)));
        for bad in [
            "", "0", "6", "1..", "..2", "1..6", "01", "1...3", "+1", "1..2..3",
        ] {
            assert!(priorities(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_state_can_be_asked_for() {
        let all = statuses("queued,assigned,in_progress,on_hold,completed,closed,cancelled");
        assert_eq!(all.map(|all| all.len()), Ok(7));
        assert!(statuses("queued,").is_err());
        assert!(statuses("").is_err());
    }
}
