//! Labels in bodies: up to 50 keys with a value each.

use std::collections::BTreeMap;

use domain::Name;
use domain::labels::{LabelValue, Labels, TooManyLabels};
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::fields::{Fields, pointer_part};
use crate::texts::{LineText, NameText};

/// What a derived schema cannot say: how many labels there may be, and what their keys are.
pub(crate) fn labels_schema() -> Object {
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

/// The labels of a body, each with a pointer of its own where it breaks a rule.
pub(crate) fn labels(
    labels: Option<BTreeMap<String, LineText>>,
    fields: &mut Fields,
) -> Option<Labels> {
    let labels = labels.unwrap_or_default();
    if labels.len() > Labels::ENTRIES_MAX {
        return fields.check("/labels", Err(TooManyLabels));
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

fn name_schema() -> Schema {
    match NameText::schema() {
        RefOr::T(schema) => schema,
        RefOr::Ref(_) => Schema::default(),
    }
}
