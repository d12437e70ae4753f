//! What is wrong with one field of a body, or with one parameter.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One field or parameter that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Where in the body, as a JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "/title")]
    pub pointer: Option<String>,
    /// Which parameter of path, query or header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parameter: Option<String>,
    /// What it must be.
    #[schema(example = "must not be blank")]
    pub rule: String,
}

impl FieldError {
    /// A field of the body.
    #[must_use]
    pub fn field(pointer: impl Into<String>, rule: impl ToString) -> Self {
        Self {
            pointer: Some(pointer.into()),
            parameter: None,
            rule: rule.to_string(),
        }
    }

    /// A parameter of path, query or header.
    #[must_use]
    pub fn parameter(name: impl Into<String>, rule: impl ToString) -> Self {
        Self {
            pointer: None,
            parameter: Some(name.into()),
            rule: rule.to_string(),
        }
    }

    /// The same field, of a body that stands at `pointer` of another one.
    pub(crate) fn within(mut self, pointer: &str) -> Self {
        if let Some(inside) = &mut self.pointer {
            inside.insert_str(0, pointer);
        }
        self
    }
}
