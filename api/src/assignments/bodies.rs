//! The bodies of commands on assignments, and the domain's commands that they become.
//!
//! Nobody is named here as the one who does it: that is the token's. `on_behalf_of` says for whom.

use std::collections::BTreeMap;

use domain::Name;
use domain::assignment::{Command, EffortMinutes, LabelValue, Labels, Priority, Request, Window};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema as _, ToSchema};

use crate::auth::Caller;
use crate::fields::{Fields, pointer_part, whole};
use crate::texts::{IdText, LineText, LongText, NameText, ReasonText, TimeText};

/// What every command may carry beside its own fields.
#[derive(Debug, Clone, Default)]
pub(crate) struct Common {
    pub(crate) occurred_at: Option<TimeText>,
    pub(crate) expected_version: Option<u64>,
    pub(crate) on_behalf_of: Option<NameText>,
}

/// The body of one verb.
pub(crate) trait Body: Serialize + DeserializeOwned + Send + 'static {
    /// The last part of the path, and of `command` in a batch.
    const VERB: &'static str;
    /// Whether it brings a new assignment about, so that its path names none.
    const CREATES: bool = false;

    /// The id that the body asks for.
    fn id(&self) -> Option<&IdText> {
        None
    }

    /// What it carries beside its own fields.
    fn common(&self) -> Common;

    /// Puts in what stood beside the body, as a batch has it.
    fn set_common(&mut self, common: Common);

    /// The command, unless a field breaks a rule.
    fn command(self, caller: &Caller, fields: &mut Fields) -> Option<Command>;
}

/// Serde cannot both flatten shared fields and refuse unknown ones, so each body has its own three.
macro_rules! body {
    ($(#[$doc:meta])* $name:ident $verb:literal { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }
     |$body:ident, $caller:ident, $fields:ident| $command:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$attribute])* pub(crate) $field: $type,)*
            /// When it happened, if earlier than now.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub(crate) occurred_at: Option<TimeText>,
            /// The version that the decision is made on; `If-Match` says the same.
            #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
            #[schema(maximum = 9_007_199_254_740_991_i64)]
            pub(crate) expected_version: Option<u64>,
            /// For whom; taken from admins and operators only.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub(crate) on_behalf_of: Option<NameText>,
        }

        impl Body for $name {
            const VERB: &'static str = $verb;

            fn common(&self) -> Common {
                Common {
                    occurred_at: self.occurred_at.clone(),
                    expected_version: self.expected_version,
                    on_behalf_of: self.on_behalf_of.clone(),
                }
            }

            fn set_common(&mut self, common: Common) {
                self.occurred_at = common.occurred_at;
                self.expected_version = common.expected_version;
                self.on_behalf_of = common.on_behalf_of;
            }

            fn command(self, $caller: &Caller, $fields: &mut Fields) -> Option<Command> {
                let $body = self;
                $command
            }
        }
    };
}

body! {
    /// Give it to somebody.
    AssignBody "assign" {
        /// To whom.
        assignee: NameText,
        /// In which group, if in another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<NameText>,
    }
    |body, _caller, fields| {
        let assignee = fields.text("/assignee", body.assignee);
        let group = fields.optional("/group", body.group);
        Some(Command::Assign { assignee: assignee?, group: group? })
    }
}

body! {
    /// Put it into a group's queue.
    RequeueBody "requeue" {
        /// Into which, if not back into its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<NameText>,
    }
    |body, _caller, fields| {
        Some(Command::Requeue { group: fields.optional("/group", body.group)? })
    }
}

body! {
    /// Begin to work on it.
    StartBody "start" {
        /// Who works on it: the caller, if nobody is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assignee: Option<NameText>,
        /// In which group, if in another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<NameText>,
    }
    |body, caller, fields| {
        let assignee = fields.optional("/assignee", body.assignee);
        let group = fields.optional("/group", body.group);
        let assignee = assignee?.unwrap_or_else(|| caller.principal().clone());
        Some(Command::Start { assignee, group: group? })
    }
}

body! {
    /// Write something down.
    NoteBody "note" {
        /// What.
        text: LongText,
    }
    |body, _caller, fields| Some(Command::Note { text: fields.text("/text", body.text)? })
}

body! {
    /// Let it wait.
    HoldBody "hold" {
        /// For what.
        reason: ReasonText,
    }
    |body, _caller, fields| Some(Command::Hold { reason: fields.text("/reason", body.reason)? })
}

body! {
    /// Go on where it was put on hold.
    ResumeBody "resume" {}
    |_body, _caller, _fields| Some(Command::Resume)
}

body! {
    /// Say that the work is done.
    CompleteBody "complete" {
        /// What came of it.
        outcome: ReasonText,
    }
    |body, _caller, fields| {
        Some(Command::Complete { outcome: fields.text("/outcome", body.outcome)? })
    }
}

body! {
    /// Confirm the end of what was completed.
    CloseBody "close" {}
    |_body, _caller, _fields| Some(Command::Close)
}

body! {
    /// Take an ended assignment up again.
    ReopenBody "reopen" {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<ReasonText>,
    }
    |body, _caller, fields| {
        Some(Command::Reopen { reason: fields.optional("/reason", body.reason)? })
    }
}

body! {
    /// End it undone.
    CancelBody "cancel" {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<ReasonText>,
    }
    |body, _caller, fields| {
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
    const VERB: &'static str = "request";
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

    fn command(self, caller: &Caller, fields: &mut Fields) -> Option<Command> {
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
        let labels = labels(self.labels.unwrap_or_default(), fields);
        let window = window(self.window, fields);
        let effort_minutes = match self.effort_minutes {
            Some(minutes) => {
                let small = u32::try_from(minutes).unwrap_or_default();
                fields
                    .check("/effort_minutes", EffortMinutes::try_from(small))
                    .map(Some)
            }
            None => Some(None),
        };
        let external_ref = fields.optional("/external_ref", self.external_ref);
        Some(Command::Request(Box::new(Request {
            title: title?,
            description: description?,
            kind: kind?,
            group: group?,
            requester: requester?.unwrap_or_else(|| caller.principal().clone()),
            assignee: assignee?,
            priority: priority?,
            labels: labels?,
            window: window?,
            effort_minutes: effort_minutes?,
            external_ref: external_ref?,
        })))
    }
}

/// What a derived schema cannot say: how many labels there may be, and what their keys are.
fn labels_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some(
            "Up to 50 labels, whatever the house wants to find it by.",
        ))
        .max_properties(Some(Labels::ENTRIES_MAX))
        .property_names(Some(name_schema()))
        .additional_properties(Some(Ref::from_schema_name(LineText::name())))
        .build()
}

fn name_schema() -> Schema {
    match NameText::schema() {
        RefOr::T(schema) => schema,
        RefOr::Ref(_) => Schema::default(),
    }
}

fn labels(labels: BTreeMap<String, LineText>, fields: &mut Fields) -> Option<Labels> {
    if labels.len() > Labels::ENTRIES_MAX {
        return fields.check("/labels", Err(domain::assignment::InvalidField::Labels));
    }
    let mut checked = Some(BTreeMap::new());
    for (key, value) in labels {
        let pointer = format!("/labels/{}", pointer_part(&key));
        let key = fields.text::<Name>(&pointer, key);
        let value = fields.text::<LabelValue>(&pointer, value);
        checked = checked.zip(key.zip(value)).map(|(mut all, (key, value))| {
            all.insert(key, value);
            all
        });
    }
    fields.check("/labels", Labels::try_from(checked?))
}

fn window(window: Option<WindowBody>, fields: &mut Fields) -> Option<Option<Window>> {
    let Some(window) = window else {
        return Some(None);
    };
    let start = fields.check("/window/start", window.start.parse());
    let end = fields.check("/window/end", window.end.parse());
    fields.check("/window", Window::new(start?, end?)).map(Some)
}
