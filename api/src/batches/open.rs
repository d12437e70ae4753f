//! `POST /v1/batches`: a batch, with up to 10,000 jobs in the same request or with none yet.
//!
//! Every job is checked before anything is written. Then the batch is opened, with the number of its
//! jobs, and all of them are enqueued at the same time, which is what fills the journal's group commits.
//! There is no transaction over them: where it breaks off, the same request goes on, because the ids of
//! the jobs, and their commands, are made from the batch's id and their places.

use std::collections::BTreeMap;

use axum::body::Body as HttpBody;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use commands::Failure;
use domain::batch::{Batch, JobCount, job_id};
use domain::job::Job;
use domain::{Position, Token};
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;
use uuid::Uuid;

use super::bodies::{JobDraft, OpenBatch};
use crate::app::App;
use crate::auth::Caller;
use crate::body::read_json;
use crate::command::issue::{Issued, Issuer, key_of};
use crate::command::{ReceiptBody, Target as _, answer_with};
use crate::exchange::Exchange;
use crate::fields::Fields;
use crate::jobs::bodies::ParentBody;
use crate::jobs::template::TemplateBody;
use crate::labels::labels_schema;
use crate::problem::{ApiError, FieldError};
use crate::routes::Routes;
use crate::texts::{IdText, LineText, NameText};

/// How many broken rules are told of one request: who has more made the same mistake everywhere.
const ERRORS_MAX: usize = 100;

/// Open a batch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBatch {
    /// Its id; without one it gets one, the same for every try under one `Idempotency-Key`.
    #[serde(default)]
    id: Option<IdText>,
    /// What people call it.
    #[serde(default)]
    name: Option<NameText>,
    /// Up to 50 labels, whatever the house wants to find it by.
    #[serde(default)]
    #[schema(schema_with = labels_schema)]
    labels: Option<BTreeMap<String, LineText>>,
    /// The job that follows when all of its jobs have ended. Without a payload of its own it is told
    /// `batch`, `succeeded`, `dead` and `cancelled`; it has the label `batch`.
    #[serde(default)]
    on_complete: Option<TemplateBody>,
    /// What its jobs say that do not say it themselves, field by field.
    #[serde(default)]
    defaults: Option<JobDraft>,
    /// All of its jobs: it is closed then. Left out: they come later.
    #[serde(default)]
    #[schema(max_items = 10_000)]
    jobs: Option<Vec<JobDraft>>,
    /// For whom; taken from admins and operators only.
    #[serde(default)]
    on_behalf_of: Option<NameText>,
}

/// The answer to the opening of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "BatchReceipt")]
pub(crate) struct BatchReceipt {
    /// Of the batch itself; its position is that of the last of its jobs, so that whoever waits for it
    /// sees all of them.
    #[serde(flatten)]
    receipt: ReceiptBody,
    /// How many jobs were enqueued. The id of each is the UUID v5 of `job <place>`, from 0, in the
    /// namespace of the batch's id; `GET /v1/jobs?parent=batch:<id>` lists them.
    jobs: usize,
}

/// A batch and its jobs, checked.
struct Checked {
    open: Issued<Batch>,
    jobs: Vec<Issued<Job>>,
}

/// Open a batch of jobs.
///
/// With `jobs`, all of them are enqueued, or, where a field of one breaks a rule, nothing is. A request that
/// broke off goes on when it is sent again with its `Idempotency-Key`, or its `id`: no job is enqueued twice.
/// Without `jobs`, the batch is open: they are enqueued with `POST /v1/batches/{id}/jobs`, or as any job, with
/// the batch as their `parent`, and `POST /v1/batches/{id}/close` says how many there are. A body has at most
/// 8 MiB; whoever has more sends the jobs as a stream.
#[utoipa::path(post, path = "/v1/batches", tag = "batches", request_body = NewBatch,
    responses(
        (status = 200, description = "it was there already", body = BatchReceipt),
        (status = 201, description = "the receipt", body = BatchReceipt,
            headers(("Location", description = "the batch"))),
    ))]
async fn open(
    State(app): State<App>,
    caller: Caller,
    exchange: Exchange,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ApiError> {
    let _place = app.admit_batch()?;
    let key = key_of(&headers)?;
    let limit = app.limits.batch_bytes_max;
    let body: NewBatch = read_json(&headers, HttpBody::new(request.into_body()), limit).await?;
    let correlation = exchange.correlation();
    let trace = exchange.trace().to_string();
    let issuer = Issuer {
        caller: &caller,
        correlation: &correlation,
        trace: &trace,
        clock: &*app.clock,
    };
    let Checked { open, jobs } = body.check(&issuer, key)?;
    let mut receipt = app.batches.handle(&open.stream, open.request).await?;
    let count = jobs.len();
    receipt.position = receipt.position.max(enqueue_all(&app, jobs).await?);
    let answer = BatchReceipt {
        receipt: receipt.into(),
        jobs: count,
    };
    Ok(answer_with(&answer.receipt, Some(Batch::PATH), &answer))
}

/// Enqueues `jobs`; where the last of them stands.
async fn enqueue_all(app: &App, jobs: Vec<Issued<Job>>) -> Result<Position, ApiError> {
    let in_flight_max = app.limits.batch_in_flight_max;
    let enqueued = stream::iter(jobs).map(|job| {
        let app = app.clone();
        async move { app.jobs.handle(&job.stream, job.request).await }
    });
    let mut enqueued = enqueued.buffer_unordered(in_flight_max);
    let mut last = Position::START;
    let mut failed: Option<Failure<_>> = None;
    while let Some(outcome) = enqueued.next().await {
        match outcome {
            Ok(receipt) => last = last.max(receipt.position),
            // Those on their way are waited for: their answers would be lost.
            Err(failure) => failed = Some(failed.unwrap_or(failure)),
        }
    }
    match failed {
        Some(failure) => Err(failure.into()),
        None => Ok(last),
    }
}

impl NewBatch {
    fn check(self, issuer: &Issuer<'_>, key: Option<&str>) -> Result<Checked, ApiError> {
        let count = self.jobs.as_ref().map(Vec::len);
        if count.is_some_and(|count| count > JobCount::MAX as usize) {
            let rule = "must be at most `10000` jobs: more are several batches";
            return Err(ApiError::Invalid(vec![FieldError::field("/jobs", rule)]));
        }
        let open = OpenBatch {
            id: self.id,
            name: self.name,
            labels: self.labels,
            on_complete: self.on_complete,
            jobs: count.map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
            occurred_at: None,
            on_behalf_of: self.on_behalf_of.clone(),
        };
        let open = issuer.issue(None, key, open)?;
        let defaults = self.defaults.unwrap_or_default();
        let batch = Uuid::try_parse(open.stream.id.as_str()).expect("a batch's id is a UUID");
        let mut errors = Vec::new();
        let mut jobs = Vec::with_capacity(count.unwrap_or_default());
        for (index, draft) in (0..).zip(self.jobs.unwrap_or_default()) {
            let mut fields = Fields::default();
            let enqueue = draft
                .or(&defaults)
                .enqueue(Some(ParentBody::of_batch(batch)), &mut fields);
            let issued = fields.finish(enqueue).and_then(|mut enqueue| {
                enqueue.on_behalf_of.clone_from(&self.on_behalf_of);
                let id = Token::from(job_id(batch, index));
                issuer.issue(Some(id), Some(&format!("batch:{batch}:{index}")), enqueue)
            });
            match issued {
                Ok(job) => jobs.push(job),
                Err(ApiError::Invalid(of_job)) => {
                    let prefix = format!("/jobs/{index}");
                    errors.extend(of_job.into_iter().map(|error| error.within(&prefix)));
                }
                Err(error) => return Err(error),
            }
            if errors.len() >= ERRORS_MAX {
                break;
            }
        }
        if errors.is_empty() {
            Ok(Checked { open, jobs })
        } else {
            Err(ApiError::Invalid(errors))
        }
    }
}

/// Adds the route of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(open))
}
