//! Issuing a command: from a body, a caller and a key to what the handler takes.
//!
//! A command's id is derived from tenant, principal and `Idempotency-Key`, and the id of what it
//! creates from the command's: so a retry meets its first try, on whichever machine it lands. A
//! command without a key gets an id that nobody has had, and cannot be retried safely.

use axum::http::header::IF_MATCH;
use axum::http::{HeaderMap, HeaderName};
use commands::{Clock, Request};
use domain::{Actor, Aggregate, CommandId, Digest, Name, StreamId, Token};
use uuid::Uuid;

use super::{Body, By, Target};
use crate::auth::Caller;
use crate::fields::{Fields, exact};
use crate::problem::{ApiError, FieldError};

/// The header with the client's own name for a command.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Longer keys are refused: two UUIDs and a prefix fit many times.
pub(crate) const KEY_BYTES_MAX: usize = 200;

/// Digits of a version in `If-Match`: all numbers of so many are exact in JSON too.
const VERSION_DIGITS_MAX: usize = 15;

/// Under which command ids are derived from keys. Changing it would make every retry a new command.
const COMMANDS: Uuid = Uuid::from_u128(0x6b1f_5ad4_9c0e_5e1c_8f6d_3a7b_42c9_d0e1);
/// Under which ids of aggregates are derived from the commands that create them.
const AGGREGATES: Uuid = Uuid::from_u128(0x2f8e_71c3_05ab_5d94_a1e7_96d2_4b38_fc05);

/// Who issues commands, and in which errand.
pub(crate) struct Issuer<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) correlation: &'a Name,
    pub(crate) trace: &'a str,
    pub(crate) clock: &'a dyn Clock,
}

/// A command, ready for the handler.
#[derive(Debug)]
pub(crate) struct Issued<A: Aggregate> {
    pub(crate) stream: StreamId,
    pub(crate) request: Request<A::Command>,
    /// Whether it brings a new aggregate about.
    pub(crate) creates: bool,
}

impl Issuer<'_> {
    /// The command that `body` asks for, on the aggregate `id` or on a new one.
    pub(crate) fn issue<B: Body>(
        &self,
        id: Option<Token>,
        key: Option<&str>,
        body: B,
    ) -> Result<Issued<B::Target>, ApiError> {
        if !self.caller.roles().meets(B::ROLES) {
            return Err(ApiError::Forbidden(
                "command takes other roles than the token has",
            ));
        }
        let mut fields = Fields::default();
        let command_id = match key {
            Some(key) => self.command_id(key),
            None => CommandId(self.clock.fresh_id()),
        };
        let unique = body.unique_id(self.caller.tenant(), self.clock.now());
        let id = match (id, body.id()) {
            (Some(id), _) => Some(id),
            (None, Some(named)) => fields.check("/id", B::Target::parse_id(&named.0)),
            (None, None) if unique.is_some() => unique.map(Token::from),
            (None, None) if key.is_some() => {
                let derived = Uuid::new_v5(&AGGREGATES, command_id.0.as_bytes());
                Some(Token::from(derived))
            }
            (None, None) => Some(Token::from(self.clock.fresh_id())),
        };
        let common = body.common();
        // A retry in the next window is the same request still.
        let digest = digest(&body, id.as_ref().filter(|_| unique.is_none()));
        let occurred_at = match &common.occurred_at {
            Some(_) if !B::Target::MAY_BE_EARLIER => fields.check(
                "/occurred_at",
                Err("is not taken: it happens when it is recorded"),
            ),
            Some(time) => fields.check("/occurred_at", time.parse()).map(Some),
            None => Some(None),
        };
        let on_behalf_of = fields.optional::<Name>("/on_behalf_of", common.on_behalf_of);
        if let Some(version) = common.expected_version {
            fields.check("/expected_version", exact(version));
        }
        let by = By {
            caller: self.caller,
            command: command_id,
            id: id.as_ref(),
        };
        let command = body.command(by, &mut fields);
        let parts = id.zip(occurred_at).zip(on_behalf_of).zip(command);
        let (((id, occurred_at), on_behalf_of), command) = fields.finish(parts)?;
        if on_behalf_of.is_some() && !self.caller.may_act_on_behalf() {
            return Err(ApiError::Forbidden(
                "only admins and operators act on behalf of others",
            ));
        }
        Ok(Issued {
            request: Request {
                keyed: key.is_some(),
                digest,
                occurred_at,
                expected_version: common.expected_version,
                ..self.request(command_id, on_behalf_of, command)
            },
            stream: self.stream::<B::Target>(id),
            creates: B::CREATES,
        })
    }

    /// A command of our own making, without a key, on the aggregate `id`.
    pub(crate) fn issue_unkeyed<A: Target>(&self, id: Token, command: A::Command) -> Issued<A> {
        let command_id = CommandId(self.clock.fresh_id());
        Issued {
            stream: self.stream::<A>(id),
            request: self.request(command_id, None, command),
            creates: false,
        }
    }

    /// The stream of the caller's aggregate `id`.
    pub(crate) fn stream<A: Target>(&self, id: Token) -> StreamId {
        StreamId::new(self.caller.tenant().clone(), A::CATEGORY, id)
    }

    fn request<C>(&self, id: CommandId, on_behalf_of: Option<Name>, command: C) -> Request<C> {
        Request {
            id,
            keyed: false,
            digest: Digest::default(),
            actor: Actor {
                principal: self.caller.principal().clone(),
                on_behalf_of,
            },
            correlation: Some(self.correlation.clone()),
            causation: None,
            trace: Some(self.trace.to_owned()),
            occurred_at: None,
            expected_version: None,
            command,
        }
    }

    /// No part can hold the separator: a tenant is a token, a principal has no control characters,
    /// a key is visible ASCII.
    fn command_id(&self, key: &str) -> CommandId {
        let name = format!(
            "{}\0{}\0{key}",
            self.caller.tenant(),
            self.caller.principal()
        );
        CommandId(Uuid::new_v5(&COMMANDS, name.as_bytes()))
    }
}

/// What tells one request from another under the same key: command, aggregate and the body's meaning,
/// not the order or the spacing of its fields. JSON that is kept as it was written counts as written.
fn digest<B: Body>(body: &B, id: Option<&Token>) -> Digest {
    let mut hasher = blake3::Hasher::new();
    match B::COMMAND.strip_prefix("assignment.") {
        // The first digests were of assignments only, and did not name them: a retry has to meet them.
        Some(verb) => {
            let id = id.and_then(|id| Uuid::try_parse(id.as_str()).ok());
            hasher.update(verb.as_bytes()).update(&[0]);
            hasher.update(id.unwrap_or_default().as_bytes());
        }
        None => {
            hasher.update(B::COMMAND.as_bytes()).update(&[0]);
            let id = id.map_or("", Token::as_str);
            hasher.update(id.as_bytes()).update(&[0]);
        }
    }
    let written = serde_json::to_vec(body).expect("a body has only text, numbers, maps and JSON");
    hasher.update(&written);
    let mut digest = Digest::default();
    digest
        .0
        .copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    digest
}

/// The key of the header, if there is one.
pub(crate) fn key_of(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut keys = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let key = match (keys.next(), keys.next()) {
        (None, _) => return Ok(None),
        (Some(key), None) => key.to_str().unwrap_or_default(),
        (Some(_), Some(_)) => "",
    };
    check_key(key)
        .map(Some)
        .map_err(|rule| ApiError::parameter("Idempotency-Key", rule))
}

/// A key that may stand for a command.
pub(crate) fn check_key(key: &str) -> Result<&str, &'static str> {
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && (1..=KEY_BYTES_MAX).contains(&key.len()) {
        Ok(key)
    } else {
        Err("must be one value of 1 to 200 visible ASCII characters")
    }
}

/// The version that the caller has seen, by `If-Match` or by the body's `expected_version`.
pub(crate) fn expected_version(
    headers: &HeaderMap,
    in_body: Option<u64>,
) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get(IF_MATCH) else {
        return Ok(in_body);
    };
    let rule = "must be `*` or one version as an entity tag, as in `\"7\"`";
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(in_body);
    }
    let digits = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or_default();
    let plain =
        digits.len() <= VERSION_DIGITS_MAX && digits.bytes().all(|byte| byte.is_ascii_digit());
    let version = plain.then(|| digits.parse().ok()).flatten();
    let version: u64 = version.ok_or_else(|| ApiError::parameter("If-Match", rule))?;
    match in_body {
        Some(other) if other != version => Err(ApiError::Malformed(vec![FieldError::field(
            "/expected_version",
            "must be the version of `If-Match` where both are sent",
        )])),
        _ => Ok(Some(version)),
    }
}
