//! What the API does not take: unknown fields, fields that break a rule, ids and bodies of no form.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::http::{Answer, any_body};
use crate::support::{TestResult, Up, fresh_id, fresh_tenant};

const VERBS: [(&str, &str); 10] = [
    ("assign", r#"{"assignee": "anne"}"#),
    ("requeue", "{}"),
    ("start", "{}"),
    ("note", r#"{"text": "seen"}"#),
    ("hold", r#"{"reason": "later"}"#),
    ("resume", "{}"),
    ("complete", r#"{"outcome": "done"}"#),
    ("close", "{}"),
    ("reopen", "{}"),
    ("cancel", "{}"),
];

#[tokio::test]
async fn a_field_that_no_verb_knows_is_refused_by_all_of_them() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let id = api.any().await?.id;
    for (verb, body) in VERBS {
        let mut body: Value = serde_json::from_str(body)?;
        body["principal"] = json!("somebody-else");
        let answer = api
            .post(&format!("/v1/assignments/{id}/{verb}"), &body)
            .await?;
        answer.refused(400, "malformed");
    }
    let mut body = any_body();
    body["windows"] = json!({});
    api.post("/v1/assignments", &body)
        .await?
        .refused(400, "malformed");
    let mut body = any_body();
    body["window"] =
        json!({"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z", "x": 1});
    let answer = api
        .post("/v1/assignments", &body)
        .await?
        .refused(400, "malformed");
    assert_eq!(
        answer.json()?["errors"][0]["pointer"],
        "/window/x",
        "{}",
        answer.text()
    );
    Ok(())
}

#[tokio::test]
async fn every_field_that_breaks_a_rule_is_pointed_at() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let body = json!({
        "title": " ", "kind": "re\u{0}pair", "group": "g".repeat(201), "priority": 6,
        "effort_minutes": 0, "labels": {"": "empty key", "a/b": " "}, "description": "",
        "window": {"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"},
    });
    let answer = api
        .post("/v1/assignments", &body)
        .await?
        .refused(422, "invalid");
    let problem = answer.json()?;
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let mut pointers: Vec<_> = errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap_or_default())
        .collect();
    pointers.sort_unstable();
    pointers.dedup();
    let wanted = [
        "/description",
        "/effort_minutes",
        "/group",
        "/kind",
        "/labels/",
        "/labels/a~1b",
        "/priority",
        "/title",
        "/window",
    ];
    assert_eq!(pointers, wanted);
    assert!(
        errors
            .iter()
            .all(|error| error["rule"].as_str().is_some_and(|rule| !rule.is_empty()))
    );
    assert!(problem["instance"] == "/v1/assignments" && problem["request_id"].is_string());
    Ok(())
}

#[tokio::test]
async fn what_has_not_happened_yet_cannot_be_recorded() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let mut body = any_body();
    body["occurred_at"] = json!("2999-01-01T00:00:00Z");
    let answer = api
        .post("/v1/assignments", &body)
        .await?
        .refused(422, "invalid");
    assert_eq!(answer.json()?["errors"][0]["pointer"], "/occurred_at");
    Ok(())
}

#[tokio::test]
async fn a_body_of_no_form_is_refused_for_what_it_is() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let post = async |kind: &str, body: &str| {
        let call = api
            .call(Method::POST, "/v1/assignments")
            .header("Content-Type", kind);
        Answer::read(call.body(body.to_owned()).send().await?).await
    };
    post("application/json", "{\"title\":")
        .await?
        .refused(400, "malformed");
    post("application/json", "[]")
        .await?
        .refused(400, "malformed");
    post("application/json", "{}")
        .await?
        .refused(400, "malformed");
    post("application/json", "{\"title\": 7}")
        .await?
        .refused(400, "malformed");
    post("text/plain", "{}")
        .await?
        .refused(415, "unsupported-media-type");
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    post("application/json", &deep)
        .await?
        .refused(400, "malformed");
    Ok(())
}

#[tokio::test]
async fn an_id_that_is_none_never_reaches_a_subject() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let long = "a".repeat(10_000);
    for id in [
        "*",
        "%3E",
        "a.b",
        "%20",
        "%0D%0A",
        "%00",
        "$JS",
        "{0}",
        long.as_str(),
    ] {
        for path in [
            format!("/v1/assignments/{id}"),
            format!("/v1/assignments/{id}/history"),
        ] {
            let answer = api.get(&path).await?;
            assert!(
                [400, 404, 414].contains(&answer.status),
                "{id}: {}",
                answer.text()
            );
        }
        let answer = api
            .post(&format!("/v1/assignments/{id}/note"), &json!({"text": "x"}))
            .await?;
        assert!(
            [400, 404, 414].contains(&answer.status),
            "{id}: {}",
            answer.text()
        );
        let mut body = any_body();
        body["id"] = json!(id);
        api.post("/v1/assignments", &body)
            .await?
            .refused(422, "invalid");
    }
    Ok(())
}

#[tokio::test]
async fn a_query_that_nobody_understands_is_refused_and_says_where() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "viewer")?;
    for query in [
        "limit=0",
        "limit=501",
        "limit=x",
        "sort=colour",
        "status=done",
        "priority=0",
        "priority=5..1x",
        "colour=red",
        "requested_from=yesterday",
        "id=7",
        "count=maybe",
        "limit=1&limit=2",
        "effort_min=-1",
    ] {
        let answer = api.get(&format!("/v1/assignments?{query}")).await?;
        let answer = answer.refused(400, "malformed");
        assert!(
            answer.json()?["errors"][0]["parameter"].is_string(),
            "{query}: {}",
            answer.text()
        );
    }
    let made_up = api
        .get("/v1/assignments?cursor=AAAA")
        .await?
        .refused(422, "invalid");
    assert_eq!(made_up.json()?["errors"][0]["parameter"], "cursor");
    let id = fresh_id();
    for query in ["at=noon", "position=-1", "when=now"] {
        api.get(&format!("/v1/assignments/{id}?{query}"))
            .await?
            .refused(400, "malformed");
    }
    api.get("/v1/nothing").await?.refused(404, "not-found");
    let deleted = api.call(Method::DELETE, "/v1/assignments").send().await?;
    let deleted = Answer::read(deleted)
        .await?
        .refused(405, "method-not-allowed");
    assert!(deleted.header("allow").is_some());
    Ok(())
}

#[tokio::test]
async fn only_operators_and_admins_act_for_somebody_else() -> TestResult {
    let tenant = fresh_tenant();
    let mut body = any_body();
    body["on_behalf_of"] = json!("anne");
    let member = Up::shared().api(&tenant, "member")?;
    member
        .post("/v1/assignments", &body)
        .await?
        .refused(403, "forbidden");
    let operator = Up::shared().api(&tenant, "operator")?;
    let receipt = operator.request(&body).await?;
    let history = format!("/v1/assignments/{}/history", receipt.id);
    let history = operator.get_at(&history, receipt.position).await?.json()?;
    assert_eq!(history["items"][0]["principal"], "tester");
    assert_eq!(history["items"][0]["on_behalf_of"], "anne");
    Ok(())
}
