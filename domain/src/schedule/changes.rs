//! What changed from one result of a schedule to the next, as JSON Patch ([RFC 6902]).
//!
//! [RFC 6902]: https://www.rfc-editor.org/rfc/rfc6902

use json_patch::{Patch, PatchOperation, ReplaceOperation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Json;

/// A patch that makes the result of a run from that of the one before. The first run is compared with
/// `null`; one that gives no result has the result `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Changes(Patch);

impl Changes {
    /// What makes `result` from `previous`. Where that takes more than the result itself may have, it is
    /// replaced as a whole.
    pub(super) fn between(previous: &Value, result: &Value) -> Self {
        let patch = json_patch::diff(previous, result);
        let length = serde_json::to_string(&patch).map_or(usize::MAX, |json| json.len());
        if length <= Json::BYTES_MAX {
            return Self(patch);
        }
        let whole = PatchOperation::Replace(ReplaceOperation {
            path: json_patch::jsonptr::PointerBuf::new(),
            value: result.clone(),
        });
        Self(Patch(vec![whole]))
    }

    /// The result that they make from `previous`; `previous` again, where they are of another history.
    pub(super) fn apply(&self, previous: &Value) -> Value {
        let mut result = previous.clone();
        match json_patch::patch(&mut result, &self.0) {
            Ok(()) => result,
            Err(_) => previous.clone(),
        }
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_would_be_longer_than_a_result_may_be_replace_it() {
        let list = |text: &str| vec![serde_json::Value::from(text); 20_000].into();
        let (previous, result) = (list("a"), list("b"));
        let changes = Changes::between(&previous, &result);
        assert!(serde_json::to_string(&changes).expect("JSON").len() < Json::BYTES_MAX);
        assert_eq!(changes.apply(&previous), result);
    }

    proptest::proptest! {
        #[test]
        fn changes_make_the_result_from_what_was_before(one in any_json(), other in any_json()) {
            let changes = Changes::between(&one, &other);
            proptest::prop_assert_eq!(changes.apply(&one), other);
        }
    }

    fn any_json() -> impl proptest::strategy::Strategy<Value = serde_json::Value> {
        use proptest::prelude::*;
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<i64>().prop_map(Into::into),
            "[a-c~/ ]{0,3}".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map("[a-c~/]{0,2}", inner, 0..4)
                    .prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }
}
