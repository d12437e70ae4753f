//! The bodies of commands on assignments, and the domain's commands that they become.

use std::collections::BTreeMap;

use domain::assignment::{Assignment, Command, Priority, Request, Window};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::command::body::body;
use crate::command::{Body, By, Common};
use crate::fields::{Fields, whole};
use crate::labels::{labels, labels_schema};
use crate::texts::{IdText, LineText, LongText, NameText, ReasonText, TimeText};

body! {
    /// Give it to somebody.
    AssignBody of Assignment: "assignment.assign" {
        /// To whom.
        assignee: NameText,
        /// In which group, if in another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<NameText>,
    }
    |body, _by, fields| {
        let assignee = fields.text("/assignee", body.assignee);
        let group = fields.optional("/group", body.group);
        Some(Command::Assign { assignee: assignee?, group: group? })
    }
}

body! {
    /// Put it into a group's queue.
    RequeueBody of Assignment: "assignment.requeue" {
        /// Into which, if not back into its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<NameText>,
    }
    |body, _by, fields| {
        Some(Command::Requeue { group: fields.optional("/group", body.group)? })
    }
}

body! {
    /// Begin to work on it.
    StartBody of Assignment: "assignment.start" {
        /// Who works on it: the caller, if nobody is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assignee: Option<NameText>,
        /// In which group, if in another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<NameText>,
    }
    |body, by, fields| {
        let assignee = fields.optional("/assignee", body.assignee);
        let group = fields.optional("/group", body.group);
        let assignee = assignee?.unwrap_or_else(|| by.caller.principal().clone());
        Some(Command::Start { assignee, group: group? })
    }
}

body! {
    /// Write something down.
    NoteBody of Assignment: "assignment.note" {
        /// What.
        text: LongText,
    }
    |body, _by, fields| Some(Command::Note { text: fields.text("/text", body.text)? })
}

body! {
    /// Let it wait.
    HoldBody of Assignment: "assignment.hold" {
        /// For what.
        reason: ReasonText,
    }
    |body, _by, fields| Some(Command::Hold { reason: fields.text("/reason", body.reason)? })
}

body! {
    /// Go on where it was put on hold.
    ResumeBody of Assignment: "assignment.resume" {}
    |_body, _by, _fields| Some(Command::Resume)
}

body! {
    /// Say that the work is done.
    CompleteBody of Assignment: "assignment.complete" {
        /// What came of it.
        outcome: ReasonText,
    }
    |body, _by, fields| {
        Some(Command::Complete { outcome: fields.text("/outcome", body.outcome)? })
    }
}

body! {
    /// Confirm the end of what was completed.
    CloseBody of Assignment: "assignment.close" {}
    |_body, _by, _fields| Some(Command::Close)
}

body! {
    /// Take an ended assignment up again.
    ReopenBody of Assignment: "assignment.reopen" {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<ReasonText>,
    }
    |body, _by, fields| {
        Some(Command::Reopen { reason: fields.optional("/reason", body.reason)? })
    }
}

body! {
    /// End it undone.
    CancelBody of Assignment: "assignment.cancel" {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<ReasonText>,
    }
    |body, _by, fields| {
        Some(Command::Cancel { reason: fields.optional("/reason", body.reason)? })
    }
}

/// Ask a group for work.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestBody {
    /// Its id; without one it gets one, the same for every try under one `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<IdText>,
    /// What it is called.
    pub(crate) title: LineText,
    /// What is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<LongText>,
    /// The sort of work, in the words of the house.
    pub(crate) kind: NameText,
    /// Whose queue it waits in.
    pub(crate) group: NameText,
    /// Who asks for it: the caller, if nobody is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) requester: Option<NameText>,
    /// To whom it is given at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) assignee: Option<NameText>,
    /// 1, the most pressing, to 5; 3 if nothing is said.
    #[serde(
        default,
        deserialize_with = "whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 1, maximum = 5)]
    pub(crate) priority: Option<i64>,
    /// Up to 50 labels, whatever the house wants to find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = labels_schema)]
    pub(crate) labels: Option<BTreeMap<String, LineText>>,
    /// When it may be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) window: Option<WindowBody>,
    /// How much work it is thought to be.
    #[serde(
        default,
        deserialize_with = "whole",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 1, maximum = 525_600)]
    pub(crate) effort_minutes: Option<i64>,
    /// Its name in another system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) external_ref: Option<NameText>,
    /// When it was asked for, if earlier than now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) occurred_at: Option<TimeText>,
    /// For whom; taken from admins and operators only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_behalf_of: Option<NameText>,
}

/// A span of time; its end lies after its start.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowBody {
    /// From when.
    pub(crate) start: TimeText,
    /// Until when.
    pub(crate) end: TimeText,
}

impl Body for RequestBody {
    type Target = Assignment;
    const COMMAND: &'static str = "assignment.request";
    const CREATES: bool = true;

    fn id(&self) -> Option<&IdText> {
        self.id.as_ref()
    }

    fn common(&self) -> Common {
        Common {
            occurred_at: self.occurred_at.clone(),
            // What does not exist has no version to expect.
            expected_version: None,
            on_behalf_of: self.on_behalf_of.clone(),
        }
    }

    fn set_common(&mut self, common: Common) {
        self.occurred_at = common.occurred_at;
        self.on_behalf_of = common.on_behalf_of;
    }

    fn command(self, by: By<'_>, fields: &mut Fields) -> Option<Command> {
        let title = fields.text("/title", self.title);
        let description = fields.optional("/description", self.description);
        let kind = fields.text("/kind", self.kind);
        let group = fields.text("/group", self.group);
        let requester = fields.optional("/requester", self.requester);
        let assignee = fields.optional("/assignee", self.assignee);
        let priority = match self.priority {
            Some(priority) => {
                let small = u8::try_from(priority).unwrap_or_default();
                fields.check("/priority", Priority::try_from(small))
            }
            None => Some(Priority::NORMAL),
        };
        let labels = labels(self.labels, fields);
        let window = window(self.window, fields);
        let effort_minutes = fields.optional_number("/effort_minutes", self.effort_minutes);
        let external_ref = fields.optional("/external_ref", self.external_ref);
        Some(Command::Request(Box::new(Request {
            title: title?,
            description: description?,
            kind: kind?,
            group: group?,
            requester: requester?.unwrap_or_else(|| by.caller.principal().clone()),
            assignee: assignee?,
            priority: priority?,
            labels: labels?,
            window: window?,
            effort_minutes: effort_minutes?,
            external_ref: external_ref?,
        })))
    }
}

fn window(window: Option<WindowBody>, fields: &mut Fields) -> Option<Option<Window>> {
    let Some(window) = window else {
        return Some(None);
    };
    let start = fields.check("/window/start", window.start.parse());
    let end = fields.check("/window/end", window.end.parse());
    fields.check("/window", Window::new(start?, end?)).map(Some)
}
