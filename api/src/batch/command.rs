//! One line of a batch: from its JSON to a command for the handler.

use domain::assignment::Assignment;
use domain::batch::Batch;
use domain::job::Job;
use domain::queue::Queue;
use domain::schedule::Schedule;
use domain::{Aggregate as _, Category, Token};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::assignments::bodies::{
    AssignBody, CancelBody, CloseBody, CompleteBody, HoldBody, NoteBody, ReopenBody, RequestBody,
    RequeueBody, ResumeBody, StartBody,
};
use crate::batches::bodies::{CloseBatch, OpenBatch};
use crate::body::parse;
use crate::command::issue::{Issued, Issuer, check_key};
use crate::command::{Body, Common, Target};
use crate::fields::whole;
use crate::jobs::bodies::{
    CancelJob, CompleteJob, EnqueueJob, FailJob, ParentBody, ReleaseJob, RequeueJob,
};
use crate::problem::{ApiError, FieldError};
use crate::queues::bodies::{ConfigureQueue, PauseQueue, ResumeQueue};
use crate::schedules::bodies::{
    BackfillSchedule, ChangeSchedule, CreateSchedule, DeleteSchedule, PauseSchedule,
    ResumeSchedule, TriggerSchedule,
};
use crate::texts::{NameText, TimeText};

/// A command for one of the aggregates.
#[derive(Debug)]
pub(super) enum Command {
    Assignment(Issued<Assignment>),
    Job(Issued<Job>),
    Queue(Issued<Queue>),
    Schedule(Issued<Schedule>),
    Batch(Issued<Batch>),
}

/// What the lines of a request are.
#[derive(Debug)]
pub(crate) enum Sort {
    /// Commands, each of which says what it is.
    Commands,
    /// Jobs of a batch that is there. Under `key` each is carried out once.
    JobsOf { batch: Uuid, key: Option<String> },
}

/// What names an aggregate within the tenant of the batch.
pub(super) type Key = (Category, Token);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineBody<'a> {
    command: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    occurred_at: Option<TimeText>,
    #[serde(default)]
    on_behalf_of: Option<NameText>,
    #[serde(default, deserialize_with = "whole")]
    expected_version: Option<u64>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

impl Command {
    /// The aggregate that it is for.
    pub(super) fn key(&self) -> Key {
        let (category, stream) = match self {
            Self::Assignment(issued) => (Assignment::CATEGORY, &issued.stream),
            Self::Job(issued) => (Job::CATEGORY, &issued.stream),
            Self::Queue(issued) => (Queue::CATEGORY, &issued.stream),
            Self::Schedule(issued) => (Schedule::CATEGORY, &issued.stream),
            Self::Batch(issued) => (Batch::CATEGORY, &issued.stream),
        };
        (category, stream.id.clone())
    }
}

impl Sort {
    /// The command that line `number` asks for.
    pub(super) fn read(
        &self,
        number: usize,
        line: &[u8],
        issuer: &Issuer<'_>,
    ) -> Result<Command, ApiError> {
        match self {
            Self::Commands => read(line, issuer),
            Self::JobsOf { batch, key } => {
                let key = key.as_ref().map(|key| format!("{key}:{number}"));
                job_of(*batch, line, key.as_deref(), issuer)
            }
        }
    }
}

/// The enqueue of a job of `batch`.
fn job_of(
    batch: Uuid,
    line: &[u8],
    key: Option<&str>,
    issuer: &Issuer<'_>,
) -> Result<Command, ApiError> {
    let mut job: EnqueueJob = parse(line, "")?;
    let is_taken = [
        (
            "/parent",
            job.parent.is_some(),
            "is not taken: it is the batch",
        ),
        (
            "/unique",
            job.unique.is_some(),
            "is not taken: the job of another batch would not count",
        ),
    ];
    let errors = is_taken.into_iter().filter(|(_, is_there, _)| *is_there);
    let errors: Vec<_> = errors
        .map(|(pointer, _, rule)| FieldError::field(pointer, rule))
        .collect();
    if !errors.is_empty() {
        return Err(ApiError::Invalid(errors));
    }
    job.parent = Some(ParentBody::of_batch(batch));
    issuer.issue(None, key, job).map(Command::Job)
}

/// The command that `line` asks for.
fn read(line: &[u8], issuer: &Issuer<'_>) -> Result<Command, ApiError> {
    let line: LineBody<'_> = match serde_json::from_slice(line) {
        Ok(line) => line,
        Err(error) => return Err(ApiError::Malformed(vec![FieldError::field("", error)])),
    };
    let (assignment, job) = (Command::Assignment, Command::Job);
    let (queue, schedule, batch) = (Command::Queue, Command::Schedule, Command::Batch);
    match line.command.as_str() {
        RequestBody::COMMAND => issue::<RequestBody>(line, issuer).map(assignment),
        AssignBody::COMMAND => issue::<AssignBody>(line, issuer).map(assignment),
        RequeueBody::COMMAND => issue::<RequeueBody>(line, issuer).map(assignment),
        StartBody::COMMAND => issue::<StartBody>(line, issuer).map(assignment),
        NoteBody::COMMAND => issue::<NoteBody>(line, issuer).map(assignment),
        HoldBody::COMMAND => issue::<HoldBody>(line, issuer).map(assignment),
        ResumeBody::COMMAND => issue::<ResumeBody>(line, issuer).map(assignment),
        CompleteBody::COMMAND => issue::<CompleteBody>(line, issuer).map(assignment),
        CloseBody::COMMAND => issue::<CloseBody>(line, issuer).map(assignment),
        ReopenBody::COMMAND => issue::<ReopenBody>(line, issuer).map(assignment),
        CancelBody::COMMAND => issue::<CancelBody>(line, issuer).map(assignment),
        EnqueueJob::COMMAND => issue::<EnqueueJob>(line, issuer).map(job),
        CompleteJob::COMMAND => issue::<CompleteJob>(line, issuer).map(job),
        FailJob::COMMAND => issue::<FailJob>(line, issuer).map(job),
        ReleaseJob::COMMAND => issue::<ReleaseJob>(line, issuer).map(job),
        CancelJob::COMMAND => issue::<CancelJob>(line, issuer).map(job),
        RequeueJob::COMMAND => issue::<RequeueJob>(line, issuer).map(job),
        ConfigureQueue::COMMAND => issue::<ConfigureQueue>(line, issuer).map(queue),
        PauseQueue::COMMAND => issue::<PauseQueue>(line, issuer).map(queue),
        ResumeQueue::COMMAND => issue::<ResumeQueue>(line, issuer).map(queue),
        CreateSchedule::COMMAND => issue::<CreateSchedule>(line, issuer).map(schedule),
        ChangeSchedule::COMMAND => issue::<ChangeSchedule>(line, issuer).map(schedule),
        PauseSchedule::COMMAND => issue::<PauseSchedule>(line, issuer).map(schedule),
        ResumeSchedule::COMMAND => issue::<ResumeSchedule>(line, issuer).map(schedule),
        TriggerSchedule::COMMAND => issue::<TriggerSchedule>(line, issuer).map(schedule),
        BackfillSchedule::COMMAND => issue::<BackfillSchedule>(line, issuer).map(schedule),
        DeleteSchedule::COMMAND => issue::<DeleteSchedule>(line, issuer).map(schedule),
        OpenBatch::COMMAND => issue::<OpenBatch>(line, issuer).map(batch),
        CloseBatch::COMMAND => issue::<CloseBatch>(line, issuer).map(batch),
        _ => Err(malformed(
            "/command",
            "must be `assignment.<verb>`, `job.<verb>`, `queue.<verb>`, `schedule.<verb>` or `batch.<verb>` with a known verb",
        )),
    }
}

fn issue<B: Body>(line: LineBody<'_>, issuer: &Issuer<'_>) -> Result<Issued<B::Target>, ApiError> {
    let data = line.data.map_or("{}", RawValue::get);
    let mut body: B = parse(data.as_bytes(), "/data").map_err(inside_data)?;
    let inside = body.common();
    if inside.occurred_at.is_some()
        || inside.expected_version.is_some()
        || inside.on_behalf_of.is_some()
    {
        let rule = "must have `occurred_at`, `expected_version` and `on_behalf_of` beside it";
        return Err(malformed("/data", rule));
    }
    if B::CREATES && line.expected_version.is_some() {
        return Err(malformed(
            "/expected_version",
            "is not taken where nothing exists yet",
        ));
    }
    if let Some(key) = &line.key {
        check_key(key).map_err(|rule| malformed("/key", rule))?;
    }
    body.set_common(Common {
        occurred_at: line.occurred_at,
        expected_version: line.expected_version,
        on_behalf_of: line.on_behalf_of,
    });
    let id = match &line.id {
        Some(id) => Some(B::Target::parse_id(id).map_err(|rule| malformed("/id", &rule))?),
        None if B::CREATES => None,
        None => {
            return Err(malformed(
                "/id",
                "must be there: the command is for what it names",
            ));
        }
    };
    issuer
        .issue(id, line.key.as_deref(), body)
        .map_err(inside_data)
}

fn malformed(pointer: &str, rule: &str) -> ApiError {
    ApiError::Malformed(vec![FieldError::field(pointer, rule)])
}

/// Fields of the body stand one level deeper in a line; what stands beside the body does not.
fn inside_data(error: ApiError) -> ApiError {
    match error {
        ApiError::Invalid(errors) => {
            let errors = errors
                .into_iter()
                .map(|error| match error.pointer.as_deref() {
                    Some("/occurred_at" | "/on_behalf_of" | "/expected_version") => error,
                    Some(_) | None => error.within("/data"),
                });
            ApiError::Invalid(errors.collect())
        }
        other => other,
    }
}
