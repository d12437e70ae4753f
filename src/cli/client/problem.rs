//! Problem details (RFC 9457), as the server sends them and as a person reads them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cli::out::clean;

/// How much of an answer that is no problem document is shown: enough to see who sent it.
const BODY_CHARS_SHOWN_MAX: usize = 200;

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// Which sort of problem: a URI whose last part is its code.
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    /// The sort in words.
    #[serde(default)]
    pub(crate) title: String,
    /// The HTTP status.
    #[serde(default)]
    pub(crate) status: u16,
    /// This case in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// The request, by which the server's log knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<String>,
    /// Fields that break a rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<FieldError>,
}

/// A field that breaks a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FieldError {
    /// Where it stands: a JSON pointer into the body, or the name of a parameter or header.
    #[serde(default, alias = "parameter")]
    pub(crate) pointer: String,
    /// The rule.
    #[serde(default)]
    pub(crate) rule: String,
}

impl Problem {
    /// The problem in an answer; whatever else it holds is quoted.
    pub(crate) fn from_answer(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<Self>(body) {
            Ok(problem) if !problem.title.is_empty() => Self { status, ..problem },
            Ok(_) | Err(_) => {
                let text: String = String::from_utf8_lossy(body)
                    .chars()
                    .take(BODY_CHARS_SHOWN_MAX)
                    .collect();
                let text = text.trim().to_owned();
                Self {
                    kind: "about:blank".to_owned(),
                    title: "the server sent no problem details".to_owned(),
                    status,
                    detail: (!text.is_empty()).then_some(text),
                    request_id: None,
                    errors: Vec::new(),
                }
            }
        }
    }

    /// The last part of the type: one word to count by.
    pub(crate) fn code(&self) -> &str {
        match self.kind.rsplit('/').next() {
            Some(code) if !code.is_empty() && code != "about:blank" => code,
            Some(_) | None => "unknown",
        }
    }
}

/// Title, code and status; then, each on a line of its own, the detail, the fields and the request.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (`{}`, {})",
            clean(&self.title),
            clean(self.code()),
            self.status
        )?;
        // Of a single field the detail says what its own line says.
        let says_more = |detail: &&String| **detail != self.title && self.errors.len() != 1;
        if let Some(detail) = self.detail.as_ref().filter(says_more) {
            write!(f, "\n  {}", clean(detail))?;
        }
        for FieldError { pointer, rule } in &self.errors {
            let pointer = if pointer.is_empty() { "/" } else { pointer };
            write!(f, "\n  {}: {}", clean(pointer), clean(rule))?;
        }
        match &self.request_id {
            Some(id) => write!(f, "\n  request `{}`", clean(id)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_title_detail_fields_and_request() {
        let body = br#"{"type":"https://ledgerline.dev/problems/invalid-field",
            "title":"a field breaks a rule","status":422,"detail":"2 fields break a rule",
            "instance":"/v1/assignments","request_id":"r-1",
            "errors":[{"pointer":"/title","rule":"must not be blank"},
                      {"pointer":"/priority","rule":"must be from `1` to `5`"}]}"#;
        let problem = Problem::from_answer(422, body);
        assert_eq!(problem.code(), "invalid-field");
        assert_eq!(
            problem.to_string(),
            "a field breaks a rule (`invalid-field`, 422)\n  2 fields break a rule\n  \
             /title: must not be blank\n  /priority: must be from `1` to `5`\n  request `r-1`"
        );
    }

    #[test]
    fn a_parameter_that_breaks_a_rule_is_named_once() {
        let body = br#"{"title":"malformed","detail":"`id` must be a UUID",
            "errors":[{"parameter":"id","rule":"must be a UUID"}]}"#;
        let shown = Problem::from_answer(400, body).to_string();
        assert_eq!(shown, "malformed (`unknown`, 400)\n  id: must be a UUID");
    }

    #[test]
    fn an_answer_that_is_no_problem_document_is_quoted_and_made_safe() {
        let problem = Problem::from_answer(502, b"<h1>Bad\x1b[2J Gateway</h1>");
        assert_eq!(problem.status, 502);
        assert_eq!(
            problem.to_string(),
            "the server sent no problem details (`unknown`, 502)\n  <h1>Bad\u{fffd}[2J Gateway</h1>"
        );
        assert_eq!(Problem::from_answer(500, b"").detail, None);
    }

    #[test]
    fn the_status_line_is_believed_before_the_body() {
        assert_eq!(
            Problem::from_answer(409, br#"{"title":"no","status":200}"#).status,
            409
        );
    }
}
