//! One line of a batch: from its JSON to a command for the handler.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::assignments::bodies::{
    AssignBody, Body, CancelBody, CloseBody, Common, CompleteBody, HoldBody, NoteBody, ReopenBody,
    RequestBody, RequeueBody, ResumeBody, StartBody,
};
use crate::body::parse;
use crate::fields::whole;
use crate::issue::{Issued, Issuer, check_key};
use crate::problem::{ApiError, FieldError};
use crate::texts::{IdText, NameText, TimeText};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineBody<'a> {
    command: String,
    #[serde(default)]
    id: Option<IdText>,
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

/// The command that `line` asks for.
pub(super) fn read(line: &[u8], issuer: &Issuer<'_>) -> Result<Issued, ApiError> {
    let line: LineBody<'_> = match serde_json::from_slice(line) {
        Ok(line) => line,
        Err(error) => return Err(ApiError::Malformed(vec![FieldError::field("", error)])),
    };
    match line.command.strip_prefix("assignment.").unwrap_or_default() {
        RequestBody::VERB => issue::<RequestBody>(line, issuer),
        AssignBody::VERB => issue::<AssignBody>(line, issuer),
        RequeueBody::VERB => issue::<RequeueBody>(line, issuer),
        StartBody::VERB => issue::<StartBody>(line, issuer),
        NoteBody::VERB => issue::<NoteBody>(line, issuer),
        HoldBody::VERB => issue::<HoldBody>(line, issuer),
        ResumeBody::VERB => issue::<ResumeBody>(line, issuer),
        CompleteBody::VERB => issue::<CompleteBody>(line, issuer),
        CloseBody::VERB => issue::<CloseBody>(line, issuer),
        ReopenBody::VERB => issue::<ReopenBody>(line, issuer),
        CancelBody::VERB => issue::<CancelBody>(line, issuer),
        _ => Err(malformed(
            "/command",
            "must be `assignment.<verb>` with a known verb",
        )),
    }
}

fn issue<B: Body>(line: LineBody<'_>, issuer: &Issuer<'_>) -> Result<Issued, ApiError> {
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
        Some(id) => Some(id.parse().map_err(|rule| malformed("/id", rule))?),
        None if B::CREATES => None,
        None => return Err(malformed("/id", "must be the id of an assignment")),
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
        ApiError::Invalid(mut errors) => {
            for pointer in errors.iter_mut().filter_map(|error| error.pointer.as_mut()) {
                if !matches!(
                    pointer.as_str(),
                    "/occurred_at" | "/on_behalf_of" | "/expected_version"
                ) {
                    pointer.insert_str(0, "/data");
                }
            }
            ApiError::Invalid(errors)
        }
        other => other,
    }
}
