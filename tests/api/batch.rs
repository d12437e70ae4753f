//! The batch endpoint: many commands in, as many receipts out, in their order.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::support::{Dice, TestResult, Up, fresh_id, fresh_tenant};

/// Commands on each assignment of the large batch, and the version that each leaves.
const LIFE: [(&str, &str, u64); 5] = [
    ("request", r#"{"title": "T", "kind": "k", "group": "g"}"#, 1),
    ("start", r#"{"assignee": "anne"}"#, 3),
    ("note", r#"{"text": "n"}"#, 4),
    ("complete", r#"{"outcome": "done"}"#, 5),
    ("close", "{}", 6),
];

const LINES_MAX: usize = 10_000;

fn line(verb: &str, id: &str, data: &str) -> TestResult<String> {
    let data: Value = serde_json::from_str(data)?;
    Ok(json!({"command": format!("assignment.{verb}"), "id": id, "data": data}).to_string())
}

#[tokio::test]
async fn ten_thousand_commands_are_answered_in_order_and_each_assignment_keeps_its_own()
-> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let ids: Vec<String> = (0..LINES_MAX / LIFE.len()).map(|_| fresh_id()).collect();
    // Lives are interleaved at random; within each its order is kept.
    let mut dice = Dice::thrown();
    let mut next = vec![0; ids.len()];
    let mut lines = Vec::with_capacity(LINES_MAX);
    let mut meant = Vec::with_capacity(LINES_MAX);
    while lines.len() < LINES_MAX {
        let mut which = dice.below(ids.len() as u64) as usize;
        while next[which] == LIFE.len() {
            which = (which + 1) % ids.len();
        }
        let (verb, data, version) = LIFE[next[which]];
        next[which] += 1;
        lines.push(line(verb, &ids[which], data)?);
        meant.push((which, version));
    }
    // One of them is no JSON, in the place of a note: later versions of its life are one less.
    let broken = meant
        .iter()
        .position(|(_, version)| *version == 4)
        .unwrap_or_default();
    lines[broken] = "{\"command\": ".to_owned();
    lines.push(line("note", &ids[0], r#"{"text": "one too many"}"#)?);
    lines.push(line("note", &ids[0], r#"{"text": "not read"}"#)?);
    let answers = api.batch(lines.join("\n")).await?;
    assert_eq!(answers.len(), LINES_MAX + 1);
    let mut last: HashMap<usize, u64> = HashMap::new();
    for (number, (answer, (which, version))) in answers.iter().zip(&meant).enumerate() {
        assert_eq!(answer["line"], number + 1);
        if number == broken {
            assert_eq!(
                (&answer["status"], &answer["problem"]["status"]),
                (&json!(400), &json!(400))
            );
            assert!(answer["receipt"].is_null());
            continue;
        }
        let late = *which == meant[broken].0 && *version > 4;
        let receipt = &answer["receipt"];
        assert_eq!(
            answer["status"],
            if *version == 1 { 201 } else { 200 },
            "{answer}"
        );
        assert_eq!(receipt["id"], ids[*which]);
        assert_eq!(receipt["version"], version - u64::from(late), "{answer}");
        let position = receipt["position"].as_u64().unwrap_or_default();
        let before = last.insert(*which, position);
        assert!(before.is_none_or(|before| before < position), "{answer}");
    }
    assert_eq!(answers[LINES_MAX]["status"], 413, "{}", answers[LINES_MAX]);
    let head = last.into_values().max().unwrap_or_default();
    let closed = api
        .get_at("/v1/assignments?status=closed&count=true&limit=1", head)
        .await?
        .json()?;
    assert_eq!(closed["total"], ids.len());
    Ok(())
}

#[tokio::test]
async fn each_line_of_a_batch_stands_for_itself() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let id = fresh_id();
    let keyed = |text: &str| {
        let data = json!({"text": text});
        json!({"command": "assignment.note", "id": id, "key": "k-1", "data": data}).to_string()
    };
    let lines = [
        line("request", &id, LIFE[0].1)?,
        line("resume", &id, "{}")?,
        line("note", &id, r#"{"text": " "}"#)?,
        line("note", &fresh_id(), r#"{"text": "x"}"#)?,
        line("dance", &id, "{}")?,
        String::new(),
        keyed("once"),
        keyed("once"),
        keyed("twice"),
        json!({"command": "assignment.note", "id": id, "expected_version": 1, "data": {"text": "x"}})
            .to_string(),
        json!({"command": "assignment.request", "data": {"title": "T", "kind": "k", "group": "g"}})
            .to_string(),
    ];
    let answers = api.batch(lines.join("\r\n")).await?;
    let statuses: Vec<_> = answers
        .iter()
        .map(|answer| answer["status"].as_u64())
        .collect();
    let wanted = [201, 409, 422, 404, 400, 200, 200, 422, 412, 201].map(Some);
    assert_eq!(statuses, wanted, "{answers:?}");
    assert_eq!(answers[5]["receipt"], answers[6]["receipt"]);
    assert_eq!(
        answers[2]["problem"]["errors"][0]["pointer"], "/data/text",
        "{}",
        answers[2]
    );
    assert_eq!(answers[5]["receipt"]["version"], 2);
    Ok(())
}
