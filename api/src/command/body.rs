//! The bodies of commands. Each is plain data that becomes a command of the domain once its fields have
//! been checked.
//!
//! Nobody is named here as the one who does it: that is the token's. `on_behalf_of` says for whom.

use domain::{Aggregate, CommandId, Tenant, Timestamp, Token};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::Target;
use crate::auth::{Caller, Roles};
use crate::fields::Fields;
use crate::texts::{IdText, NameText, TimeText};

/// What every command may carry beside its own fields.
#[derive(Debug, Clone, Default)]
pub(crate) struct Common {
    pub(crate) occurred_at: Option<TimeText>,
    pub(crate) expected_version: Option<u64>,
    pub(crate) on_behalf_of: Option<NameText>,
}

/// By whom, under which id, and on what a command is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct By<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) command: CommandId,
    /// None where the id that was asked for breaks a rule, which is told with all others.
    pub(crate) id: Option<&'a Token>,
}

/// The body of one verb.
pub(crate) trait Body: Serialize + DeserializeOwned + Send + 'static {
    /// Whose command it is.
    type Target: Target;
    /// What a batch calls it: `<category>.<verb>`, the verb being the last part of its own path.
    const COMMAND: &'static str;
    /// Whether it brings a new aggregate about, so that its path names none.
    const CREATES: bool = false;
    /// Who may ask for it, however it comes: a batch takes it from others than its own route does.
    const ROLES: Roles = <Self::Target as Target>::ROLES;

    /// The id that the body asks for.
    fn id(&self) -> Option<&IdText> {
        None
    }

    /// The id of what the same wish has brought about before, or brings about now.
    fn unique_id(&self, _tenant: &Tenant, _now: Timestamp) -> Option<Uuid> {
        None
    }

    /// What it carries beside its own fields.
    fn common(&self) -> Common;

    /// Puts in what stood beside the body, as a batch has it.
    fn set_common(&mut self, common: Common);

    /// The command, unless a field breaks a rule.
    fn command(
        self,
        by: By<'_>,
        fields: &mut Fields,
    ) -> Option<<Self::Target as Aggregate>::Command>;
}

/// Serde cannot both flatten shared fields and refuse unknown ones, so each body has its own three. Where
/// nothing may have happened earlier, `occurred_at` is read only to be refused, and is not described.
macro_rules! body {
    ($(#[$doc:meta])* $name:ident of Assignment: $($rest:tt)*) => {
        $crate::command::body::body! { @undescribed false $(#[$doc])* $name of Assignment: $($rest)* }
    };
    ($(#[$doc:meta])* $name:ident of $target:ident $(for $roles:ident)?: $($rest:tt)*) => {
        $crate::command::body::body! {
            @undescribed true $(#[$doc])* $name of $target $(for $roles)?: $($rest)*
        }
    };
    (@undescribed $undescribed:tt $(#[$doc:meta])* $name:ident of $target:ident $(for $roles:ident)?:
     $command:literal { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }
     |$body:ident, $by:ident, $fields:ident| $build:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, serde::Deserialize, serde::Serialize, utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$attribute])* pub(crate) $field: $type,)*
            /// When it happened, if earlier than now.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schema(ignore = $undescribed)]
            pub(crate) occurred_at: Option<crate::texts::TimeText>,
            /// The version that the decision is made on; `If-Match` says the same.
            #[serde(
                default,
                deserialize_with = "crate::fields::whole",
                skip_serializing_if = "Option::is_none"
            )]
            #[schema(maximum = 9_007_199_254_740_991_i64)]
            pub(crate) expected_version: Option<u64>,
            /// For whom; taken from admins and operators only.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub(crate) on_behalf_of: Option<crate::texts::NameText>,
        }

        impl crate::command::Body for $name {
            type Target = $target;
            const COMMAND: &'static str = $command;
            $(const ROLES: crate::auth::Roles = $roles;)?

            fn common(&self) -> crate::command::Common {
                crate::command::Common {
                    occurred_at: self.occurred_at.clone(),
                    expected_version: self.expected_version,
                    on_behalf_of: self.on_behalf_of.clone(),
                }
            }

            fn set_common(&mut self, common: crate::command::Common) {
                self.occurred_at = common.occurred_at;
                self.expected_version = common.expected_version;
                self.on_behalf_of = common.on_behalf_of;
            }

            fn command(
                self,
                $by: crate::command::By<'_>,
                $fields: &mut crate::fields::Fields,
            ) -> Option<<$target as domain::Aggregate>::Command> {
                let $body = self;
                $build
            }
        }
    };
}

pub(crate) use body;
