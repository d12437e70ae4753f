//! The worker protocol over NATS as one JSON document: its subjects, its headers, and the JSON Schema of
//! every body. Made from the OpenAPI description, so that it says what the routes do.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::subjects::REQUESTS;
use super::{ANSWER_HEADERS, REQUEST_HEADERS};

/// By what OpenAPI refers to a schema.
const OPENAPI_REF: &str = "#/components/schemas/";
/// By what this document does.
const DEFS_REF: &str = "#/$defs/";

/// The document.
///
/// # Panics
/// When a subject stands for a route that is not described.
#[must_use]
pub fn document() -> String {
    let openapi: Value = serde_json::from_str(&crate::openapi()).expect("the description is JSON");
    let requests = REQUESTS.iter().map(|request| {
        let operation = &openapi["paths"][request.path]["post"];
        assert!(operation.is_object(), "`{}` is described", request.path);
        let answers = operation["responses"].as_object().into_iter().flatten();
        let answers = answers.map(|(status, answer)| {
            let content = answer["content"].as_object();
            let schema = content.and_then(|content| content.values().next());
            let schema = schema.map_or(Value::Null, |content| content["schema"].clone());
            let told = json!({"description": answer["description"], "body": schema});
            (status.clone(), told)
        });
        json!({
            "subject": request.subject,
            "as": format!("POST {}", request.path),
            "summary": operation["summary"],
            "body": operation["requestBody"]["content"]["application/json"]["schema"],
            "answers": answers.collect::<Map<_, _>>(),
        })
    });
    let mut document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Ledgerline's worker protocol over NATS",
        "version": "v1",
        "request_headers": REQUEST_HEADERS,
        "answer_headers": ANSWER_HEADERS,
        "status_header": super::STATUS,
        "requests": requests.collect::<Vec<_>>(),
    });
    let mut defs = Map::new();
    loop {
        let mut wanted = BTreeSet::new();
        references(&document, &mut wanted);
        references(&Value::Object(defs.clone()), &mut wanted);
        wanted.retain(|name| !defs.contains_key(name));
        if wanted.is_empty() {
            break;
        }
        for name in wanted {
            let schema = openapi["components"]["schemas"][&name].clone();
            defs.insert(name, schema);
        }
    }
    document["$defs"] = Value::Object(defs);
    let text = serde_json::to_string_pretty(&document).expect("text, numbers and lists");
    text.replace(OPENAPI_REF, DEFS_REF)
}

/// The names of all schemas that `value` refers to.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let name = fields.get("$ref").and_then(Value::as_str);
            found.extend(name.and_then(|name| Some(name.strip_prefix(OPENAPI_REF)?.to_owned())));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_of_the_protocol_has_a_schema_that_is_in_the_document() {
        let document: Value = serde_json::from_str(&document()).expect("JSON");
        let requests = document["requests"].as_array().expect("requests");
        assert_eq!(requests.len(), REQUESTS.len());
        let mut referred = Vec::new();
        for request in requests {
            referred.push(&request["body"]["$ref"]);
            let answers = request["answers"].as_object().expect("answers");
            assert!(answers.contains_key("200") && answers.contains_key("401"));
            referred.extend(answers.values().map(|answer| &answer["body"]["$ref"]));
        }
        for reference in referred {
            let name = reference
                .as_str()
                .and_then(|name| name.strip_prefix(DEFS_REF));
            let name = name.expect("a reference into the document");
            assert!(document["$defs"][name].is_object(), "{name}");
        }
    }
}
