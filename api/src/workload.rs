//! `GET /v1/workload`: what each person and each group has to do, and has done.

use axum::extract::State;
use axum::response::Response;
use domain::assignment::Status;
use projections::workload::{self, Dimension, Filter, Sort, WorkloadRow};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::app::App;
use crate::problem::ApiError;
use crate::reads::{Asked, at};
use crate::routes::Routes;

/// What one person or group has to do, and has done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Workload {
    /// `person` or `group`.
    #[schema(pattern = "^(person|group)$")]
    pub(crate) dimension: &'static str,
    /// Which person or group.
    pub(crate) name: String,
    /// What waits or is assigned.
    pub(crate) open: i64,
    /// What is worked on.
    pub(crate) in_progress: i64,
    /// What is on hold.
    pub(crate) on_hold: i64,
    /// What is completed or closed.
    pub(crate) completed: i64,
    /// What was cancelled.
    pub(crate) cancelled: i64,
    /// How often work was handed over from here straight to somebody else.
    pub(crate) hand_overs: i64,
    /// Seconds spent in each state, in periods that have ended.
    pub(crate) seconds: Seconds,
}

/// Seconds spent in each state.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Seconds {
    /// Waiting in the queue.
    pub(crate) queued: f64,
    /// Assigned and not begun.
    pub(crate) assigned: f64,
    /// In work.
    pub(crate) in_progress: f64,
    /// On hold.
    pub(crate) on_hold: f64,
    /// Completed and not closed.
    pub(crate) completed: f64,
    /// Closed, until reopened.
    pub(crate) closed: f64,
    /// Cancelled, until reopened.
    pub(crate) cancelled: f64,
}

/// A part of the list of workloads.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WorkloadList {
    /// The persons and groups, in the order asked for.
    pub(crate) items: Vec<Workload>,
    /// The cursor of the next page; none at the end.
    #[schema(required)]
    pub(crate) next: Option<String>,
}

impl From<WorkloadRow> for Workload {
    fn from(row: WorkloadRow) -> Self {
        Self {
            dimension: row.key.dimension.as_str(),
            name: row.key.name.to_string(),
            open: row.open(),
            in_progress: row.count(Status::InProgress),
            on_hold: row.count(Status::OnHold),
            completed: row.completed(),
            cancelled: row.count(Status::Cancelled),
            hand_overs: row.hand_overs,
            seconds: Seconds {
                queued: row.seconds(Status::Queued),
                assigned: row.seconds(Status::Assigned),
                in_progress: row.seconds(Status::InProgress),
                on_hold: row.seconds(Status::OnHold),
                completed: row.seconds(Status::Completed),
                closed: row.seconds(Status::Closed),
                cancelled: row.seconds(Status::Cancelled),
            },
        }
    }
}

/// What each person and each group has to do, and has done.
#[utoipa::path(get, path = "/v1/workload", tag = "workload",
    params(
        ("dimension" = Option<String>, Query, pattern = "^(person|group)$", description = "only persons, or only groups"),
        ("name" = Option<String>, Query, description = "only of this name"),
        ("sort" = Option<String>, Query, pattern = "^-?(name|open|in_progress|on_hold|completed|cancelled|hand_overs)$",
            description = "by this, `-` for the greatest first; `name` if nothing is said"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "so many items; 50 if nothing is said"),
        ("cursor" = Option<String>, Query, pattern = "^[A-Za-z0-9_-]{1,1500}$", description = "`next` of the page before"),
    ),
    responses((status = 200, description = "a page of persons and groups", body = WorkloadList)))]
async fn list(State(app): State<App>, asked: Asked) -> Result<Response, ApiError> {
    let Asked {
        caller,
        mut params,
        least,
    } = asked;
    let filter = Filter {
        dimension: params.parsed::<Dimension>("dimension"),
        name: params.text("name"),
    };
    let sort: Sort = params.parsed("sort").unwrap_or_default();
    let paging = params.paging(false)?;
    params.finish()?;
    let page = workload::list(&app.reads.reader, caller.tenant(), &filter, sort, &paging).await?;
    least.met_by(page.position)?;
    let items = page.items.into_iter().map(Workload::from).collect();
    let next = page.next.map(|cursor| cursor.encode());
    Ok(at(page.position, WorkloadList { items, next }))
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(list))
}
