//! Commands on schedules, one route a verb.
//!
//! Which jobs a trigger or a backfill has enqueued is read from the commit of the command: a retry is
//! answered with those of its first try.

use axum::extract::State;
use axum::response::Response;
use commands::Journal;
use domain::schedule::Event;
use domain::{Position, StreamId};
use futures_util::TryStreamExt as _;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;
use uuid::Uuid;

use super::bodies::{
    BackfillSchedule, ChangeSchedule, CreateSchedule, DeleteSchedule, PauseSchedule,
    ResumeSchedule, TriggerSchedule,
};
use crate::app::App;
use crate::command::call::Done;
use crate::command::{Body, Call, ReceiptBody, answer_with};
use crate::problem::ApiError;
use crate::routes::Routes;

/// The answer to a command that has enqueued jobs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "FiredReceipt")]
pub(crate) struct FiredReceipt {
    #[serde(flatten)]
    receipt: ReceiptBody,
    /// The jobs, in the order of their times. They are in their queue a moment later.
    #[schema(value_type = Vec<String>)]
    jobs: Vec<Uuid>,
}

/// Begin a schedule.
#[utoipa::path(post, path = "/v1/schedules", tag = "schedules", request_body = CreateSchedule,
    responses(
        (status = 200, description = "there was nothing to change", body = ReceiptBody),
        (status = 201, description = "the receipt", body = ReceiptBody,
            headers(("Location", description = "the schedule"))),
    ))]
async fn create(call: Call<CreateSchedule>) -> Result<Response, ApiError> {
    call.run().await
}

/// Go on otherwise from now on: the body is the whole schedule, what is left out is as if it had never
/// been said. What runs or waits stays as it is.
#[utoipa::path(put, path = "/v1/schedules/{id}", tag = "schedules", request_body = ChangeSchedule,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn change(call: Call<ChangeSchedule>) -> Result<Response, ApiError> {
    call.run().await
}

/// Decide on nothing until it is resumed; what runs goes on.
#[utoipa::path(post, path = "/v1/schedules/{id}/pause", tag = "schedules", request_body = PauseSchedule,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn pause(call: Call<PauseSchedule>) -> Result<Response, ApiError> {
    call.run().await
}

/// Go on, with no failure counted; what was due meanwhile is caught up with as `catch_up` says.
#[utoipa::path(post, path = "/v1/schedules/{id}/resume", tag = "schedules", request_body = ResumeSchedule,
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn resume(call: Call<ResumeSchedule>) -> Result<Response, ApiError> {
    call.run().await
}

/// Enqueue one job now, whatever the recurrence and `overlap` say, also while it is paused.
#[utoipa::path(post, path = "/v1/schedules/{id}/trigger", tag = "schedules", request_body = TriggerSchedule,
    responses((status = 200, description = "the receipt, with the job", body = FiredReceipt)))]
async fn trigger(
    State(app): State<App>,
    call: Call<TriggerSchedule>,
) -> Result<Response, ApiError> {
    fire(&app, call).await
}

/// Enqueue a job for each time from `from` to before `to`, up to 500 of them, whatever `overlap` says and
/// whether they were fired before or not.
#[utoipa::path(post, path = "/v1/schedules/{id}/backfill", tag = "schedules", request_body = BackfillSchedule,
    responses((status = 200, description = "the receipt, with the jobs", body = FiredReceipt)))]
async fn backfill(
    State(app): State<App>,
    call: Call<BackfillSchedule>,
) -> Result<Response, ApiError> {
    fire(&app, call).await
}

/// End it. Jobs that it enqueued stay, and it is still told how they end.
#[utoipa::path(delete, path = "/v1/schedules/{id}", tag = "schedules",
    responses((status = 200, description = "the receipt", body = ReceiptBody)))]
async fn delete(call: Call<DeleteSchedule>) -> Result<Response, ApiError> {
    call.run().await
}

/// Carries out a command that enqueues jobs.
async fn fire<B: Body>(app: &App, call: Call<B>) -> Result<Response, ApiError> {
    let Done {
        receipt, stream, ..
    } = call.carry_out().await?;
    let jobs = fired(&*app.journal, &stream, receipt.position).await?;
    let receipt = FiredReceipt {
        receipt: receipt.into(),
        jobs,
    };
    Ok(answer_with(&receipt.receipt, None, &receipt))
}

/// The jobs of the commit of `stream` at `position`.
async fn fired(
    journal: &dyn Journal,
    stream: &StreamId,
    position: Position,
) -> Result<Vec<Uuid>, ApiError> {
    let before = Position(position.0.saturating_sub(1));
    let commit = journal.read_stream(stream, before).try_next().await?;
    let mut jobs = Vec::new();
    for recorded in commit.iter().flat_map(|commit| &commit.payload.events) {
        let event = recorded.decode::<Event>();
        match event.map_err(|error| ApiError::Internal(error.into()))? {
            Event::Fired { job, .. } => jobs.push(job),
            Event::Created { .. }
            | Event::Changed(_)
            | Event::Paused { .. }
            | Event::Resumed
            | Event::Skipped { .. }
            | Event::Queued { .. }
            | Event::Superseded { .. }
            | Event::RunEnded { .. }
            | Event::Deleted => {}
        }
    }
    Ok(jobs)
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes
        .add(routes!(create))
        .add(routes!(change))
        .add(routes!(pause))
        .add(routes!(resume))
        .add(routes!(trigger))
        .add(routes!(backfill))
        .add(routes!(delete))
}
