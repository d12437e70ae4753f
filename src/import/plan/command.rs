//! The fields of commands from the attributes of a log, and their form on the wire.
//!
//! Every field goes through the domain's own check, so what is planned here is not refused there
//! for its form.

use std::collections::BTreeMap;
use std::fmt::Display;

use domain::assignment::{Command, LabelValue, Labels, Priority, Request};
use domain::{Name, Text, Timestamp};
use serde_json::{Value, json};

use super::Rejection;
use crate::import::mapping::{Action, Facts, Mapping, Order, PriorityRule, Template};

/// When the event happened.
pub(super) fn time(mapping: &Mapping, facts: &Facts<'_>) -> Result<Timestamp, Rejection> {
    let text = required("event.time", &mapping.event.time, facts, Order::Event)?;
    let text = text.trim().to_owned();
    if let Ok(instant) = text.parse() {
        return Ok(instant);
    }
    let Ok(civil) = text.parse::<jiff::civil::DateTime>() else {
        return Err(Rejection::InvalidTime { text });
    };
    let Some(zone) = &mapping.event.zone else {
        return Err(Rejection::TimeWithoutZone { text });
    };
    match zone.0.to_timestamp(civil) {
        Ok(instant) => Ok(instant),
        Err(_) => Err(Rejection::InvalidTime { text }),
    }
}

/// Who acted.
pub(super) fn actor(mapping: &Mapping, facts: &Facts<'_>) -> Result<Name, Rejection> {
    field("event.actor", &mapping.event.actor, facts, Order::Event)
}

/// The request that the case begins with.
pub(super) fn request(
    mapping: &Mapping,
    facts: &Facts<'_>,
    actor: &Name,
) -> Result<Command, Rejection> {
    let fields = &mapping.request;
    let order = Order::TraceThenEvent;
    let requester = optional("request.requester", fields.requester.as_ref(), facts, order)?;
    Ok(Command::Request(Box::new(Request {
        title: field("request.title", &fields.title, facts, order)?,
        description: optional(
            "request.description",
            fields.description.as_ref(),
            facts,
            order,
        )?,
        kind: field("request.kind", &fields.kind, facts, order)?,
        group: field("request.group", &fields.group, facts, order)?,
        requester: requester.unwrap_or_else(|| actor.clone()),
        assignee: None,
        priority: priority(fields.priority.as_ref(), facts),
        labels: labels(mapping, facts)?,
        window: None,
        effort_minutes: None,
        external_ref: optional(
            "request.external_ref",
            fields.external_ref.as_ref(),
            facts,
            order,
        )?,
    })))
}

/// The command of an action.
pub(super) fn build(
    mapping: &Mapping,
    action: &Action,
    facts: &Facts<'_>,
    actor: &Name,
) -> Result<Command, Rejection> {
    let order = Order::Event;
    let group = |own: &Option<Template>| -> Result<Option<Name>, Rejection> {
        let template = own.as_ref().unwrap_or(&mapping.event.group);
        optional("event.group", Some(template), facts, order)
    };
    let assignee = |own: &Option<Template>| match own.as_ref().or(mapping.event.assignee.as_ref()) {
        Some(template) => field("event.assignee", template, facts, order),
        None => Ok(actor.clone()),
    };
    Ok(match action {
        Action::Requeue { group: own } => Command::Requeue { group: group(own)? },
        Action::Assign {
            assignee: who,
            group: own,
        } => Command::Assign {
            assignee: assignee(who)?,
            group: group(own)?,
        },
        Action::Start {
            assignee: who,
            group: own,
        } => Command::Start {
            assignee: assignee(who)?,
            group: group(own)?,
        },
        Action::Note { text } => note(mapping, text.as_ref(), facts)?,
        Action::Hold { reason } => Command::Hold {
            reason: field("reason", reason, facts, order)?,
        },
        Action::Resume => Command::Resume,
        Action::Complete { outcome } => Command::Complete {
            outcome: field("outcome", outcome, facts, order)?,
        },
        Action::Close => Command::Close,
        Action::Reopen { reason } => Command::Reopen {
            reason: optional("reason", reason.as_ref(), facts, order)?,
        },
        Action::Cancel { reason } => Command::Cancel {
            reason: optional("reason", reason.as_ref(), facts, order)?,
        },
    })
}

/// A note, with the mapping's own text if none is given.
pub(super) fn note(
    mapping: &Mapping,
    text: Option<&Template>,
    facts: &Facts<'_>,
) -> Result<Command, Rejection> {
    let template = text.unwrap_or(&mapping.event.note);
    Ok(Command::Note {
        text: field("event.note", template, facts, Order::Event)?,
    })
}

/// The name of a command within its category.
pub(super) fn name(command: &Command) -> &'static str {
    let (name, _) = to_wire(command);
    name.strip_prefix("assignment.").unwrap_or(name)
}

/// The name and the fields of a command, as the batch endpoint takes them.
pub(super) fn to_wire(command: &Command) -> (&'static str, Value) {
    match command {
        Command::Request(request) => {
            let data = serde_json::to_value(request).expect("a request has text keys only");
            ("assignment.request", data)
        }
        Command::Assign { assignee, group } => (
            "assignment.assign",
            given([("assignee", Some(assignee)), ("group", group.as_ref())]),
        ),
        Command::Requeue { group } => ("assignment.requeue", given([("group", group.as_ref())])),
        Command::Start { assignee, group } => (
            "assignment.start",
            given([("assignee", Some(assignee)), ("group", group.as_ref())]),
        ),
        Command::Note { text } => ("assignment.note", given([("text", Some(text))])),
        Command::Hold { reason } => ("assignment.hold", given([("reason", Some(reason))])),
        Command::Resume => ("assignment.resume", json!({})),
        Command::Complete { outcome } => {
            ("assignment.complete", given([("outcome", Some(outcome))]))
        }
        Command::Close => ("assignment.close", json!({})),
        Command::Reopen { reason } => ("assignment.reopen", given([("reason", reason.as_ref())])),
        Command::Cancel { reason } => ("assignment.cancel", given([("reason", reason.as_ref())])),
    }
}

/// An object of those fields that are there.
fn given<const FIELDS: usize>(fields: [(&str, Option<&(impl Display + ?Sized)>); FIELDS]) -> Value {
    let there = fields
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)));
    there
        .map(|(name, value)| (name.to_owned(), Value::String(value.to_string())))
        .collect()
}

fn priority(rule: Option<&PriorityRule>, facts: &Facts<'_>) -> Priority {
    let Some(rule) = rule else {
        return Priority::NORMAL;
    };
    let text = rule.from.fill(facts, Order::TraceThenEvent).ok();
    text.and_then(|text| rule.map.get(&text).copied())
        .unwrap_or(rule.default)
}

fn labels(mapping: &Mapping, facts: &Facts<'_>) -> Result<Labels, Rejection> {
    let mut labels = BTreeMap::<Name, LabelValue>::new();
    for (key, template) in mapping.request.labels.iter() {
        let value = optional(
            "request.labels",
            Some(template),
            facts,
            Order::TraceThenEvent,
        )?;
        if let Some(value) = value {
            labels.insert(key.clone(), value);
        }
    }
    Labels::try_from(labels).map_err(|problem| Rejection::InvalidField {
        field: "request.labels",
        problem: problem.to_string(),
    })
}

fn required(
    field: &'static str,
    template: &Template,
    facts: &Facts<'_>,
    order: Order,
) -> Result<String, Rejection> {
    template
        .fill(facts, order)
        .map_err(|missing| Rejection::MissingAttribute { field, missing })
}

fn field<const BYTES_MAX: usize, const LINES: bool>(
    field: &'static str,
    template: &Template,
    facts: &Facts<'_>,
    order: Order,
) -> Result<Text<BYTES_MAX, LINES>, Rejection> {
    let text = required(field, template, facts, order)?;
    Text::new(text).map_err(|problem| Rejection::InvalidField {
        field,
        problem: problem.to_string(),
    })
}

/// A field that may be left out, which it is where an attribute is missing.
fn optional<const BYTES_MAX: usize, const LINES: bool>(
    name: &'static str,
    template: Option<&Template>,
    facts: &Facts<'_>,
    order: Order,
) -> Result<Option<Text<BYTES_MAX, LINES>>, Rejection> {
    match template.map(|template| field(name, template, facts, order)) {
        None | Some(Err(Rejection::MissingAttribute { .. })) => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(rejection)) => Err(rejection),
    }
}
