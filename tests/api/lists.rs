//! Lists: every filter, every order, pages that neither lose nor repeat, and the workload.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::support::http::Receipt;
use crate::support::{Api, TestResult, Up, fresh_tenant};

/// Assignments that differ in everything that can be asked for. Gives their ids by title, and where
/// the last commit stands.
async fn various(api: &Api) -> TestResult<(HashMap<String, String>, u64)> {
    let bodies = [
        json!({"title": "Alpha pump", "kind": "repair", "group": "workshop", "requester": "rita",
            "assignee": "anne", "priority": 1, "labels": {"site": "north", "line": "1"},
            "window": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-31T00:00:00Z"},
            "effort_minutes": 30, "external_ref": "REF-1", "description": "100% loud_er",
            "occurred_at": "2026-01-01T08:00:00Z"}),
        json!({"title": "beta PUMP", "kind": "audit", "group": "office", "requester": "rob",
            "priority": 2, "labels": {"site": "north"}, "effort_minutes": 60,
            "window": {"start": "2026-03-01T00:00:00Z", "end": "2026-03-31T00:00:00Z"},
            "occurred_at": "2026-02-01T08:00:00Z"}),
        json!({"title": "Gamma fan", "kind": "repair", "group": "workshop", "requester": "rob",
            "assignee": "ben", "priority": 5, "labels": {"site": "south"}, "external_ref": "REF-3",
            "occurred_at": "2026-03-01T08:00:00Z"}),
        json!({"title": "Delta fan", "kind": "repair", "group": "depot", "priority": 4,
            "occurred_at": "2026-04-01T08:00:00Z"}),
    ];
    let mut ids = HashMap::new();
    for body in &bodies {
        let receipt = api.request(body).await?;
        let name = body["title"]
            .as_str()
            .and_then(|title| title.split(' ').next());
        ids.insert(name.unwrap_or_default().to_lowercase(), receipt.id);
    }
    let hold = json!({"reason": "part ordered", "occurred_at": "2026-03-02T08:00:00Z"});
    api.act(&ids["gamma"], "hold", &hold).await?;
    let done = json!({"outcome": "fixed", "occurred_at": "2026-05-01T08:00:00Z"});
    let last = api.act(&ids["delta"], "complete", &done).await?;
    Ok((ids, last.position))
}

const FILTERS: [(&str, &[&str]); 38] = [
    ("", &["alpha", "beta", "gamma", "delta"]),
    ("title=pump", &["alpha", "beta"]),
    ("title=PUMP&kind=audit", &["beta"]),
    ("title=%25", &[]),
    ("kind=repair", &["alpha", "gamma", "delta"]),
    ("kind=repai", &[]),
    ("status=queued", &["beta"]),
    ("status=assigned,on_hold", &["alpha", "gamma"]),
    ("status=completed", &["delta"]),
    ("status=closed", &[]),
    ("group=workshop", &["alpha", "gamma"]),
    ("group=work", &[]),
    ("requester=rob", &["beta", "gamma"]),
    ("requester=tester", &["delta"]),
    ("assignee=anne", &["alpha"]),
    ("assignee=", &["beta", "delta"]),
    ("priority=1", &["alpha"]),
    ("priority=2..4", &["beta", "delta"]),
    ("priority=1..5", &["alpha", "beta", "gamma", "delta"]),
    ("label.site=north", &["alpha", "beta"]),
    ("label.site=north&label.line=1", &["alpha"]),
    ("label.site=north&label.line=2", &[]),
    ("label.nothing=x", &[]),
    ("external_ref=REF-3", &["gamma"]),
    ("outcome=fixed", &["delta"]),
    ("hold_reason=part%20ordered", &["gamma"]),
    ("window_from=2026-02-01T00:00:00Z", &["beta"]),
    ("window_to=2026-02-01T00:00:00Z", &["alpha"]),
    (
        "window_from=2026-01-15T00:00:00Z&window_to=2026-03-15T00:00:00Z",
        &["alpha", "beta"],
    ),
    ("effort_min=31", &["beta"]),
    ("effort_max=30", &["alpha"]),
    ("effort_min=30&effort_max=60", &["alpha", "beta"]),
    ("requested_from=2026-03-01T08:00:00Z", &["gamma", "delta"]),
    ("requested_to=2026-02-01T08:00:00Z", &["alpha"]),
    ("updated_from=2026-03-02T08:00:00Z", &["gamma", "delta"]),
    ("updated_to=2026-03-02T08:00:00Z", &["alpha", "beta"]),
    (
        "kind=repair&group=workshop&priority=5&status=on_hold",
        &["gamma"],
    ),
    ("title=%27%20or%20true%20--", &[]),
];

#[tokio::test]
async fn every_filter_finds_what_fits_it_and_nothing_else() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let (ids, position) = various(&api).await?;
    let by_id = format!("id={}", ids["beta"]);
    let by_id: (&str, &[&str]) = (&by_id, &["beta"]);
    for (query, wanted) in FILTERS.into_iter().chain([by_id]) {
        let path = format!("/v1/assignments?{query}&count=true").replace("?&", "?");
        let answer = api.get_at(&path, position).await?.is(200).json()?;
        let mut found = strings(&answer["items"], "id");
        let mut wanted: Vec<String> = wanted.iter().map(|name| ids[*name].clone()).collect();
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{query}");
        assert_eq!(answer["total"], wanted.len(), "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn every_sort_orders_by_its_column_both_ways() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let (ids, position) = various(&api).await?;
    for (sort, wanted) in [
        ("requested_at", ["alpha", "beta", "gamma", "delta"]),
        ("updated_at", ["alpha", "beta", "gamma", "delta"]),
        ("priority", ["alpha", "beta", "delta", "gamma"]),
        ("status", ["alpha", "delta", "gamma", "beta"]),
        ("title", ["alpha", "delta", "gamma", "beta"]),
        ("position", ["alpha", "beta", "gamma", "delta"]),
    ] {
        let mut wanted: Vec<String> = wanted.iter().map(|name| ids[*name].clone()).collect();
        let up = api
            .get_at(&format!("/v1/assignments?sort={sort}"), position)
            .await?
            .is(200)
            .json()?;
        assert_eq!(strings(&up["items"], "id"), wanted, "{sort}");
        wanted.reverse();
        let down = api
            .get(&format!("/v1/assignments?sort=-{sort}"))
            .await?
            .is(200)
            .json()?;
        assert_eq!(strings(&down["items"], "id"), wanted, "-{sort}");
        let pages = api
            .all(&format!("/v1/assignments?sort=-{sort}&limit=1"))
            .await?;
        assert_eq!(strings(&json!(pages), "id"), wanted, "-{sort} one by one");
    }
    let cursor = api
        .get("/v1/assignments?limit=1&sort=title")
        .await?
        .json()?["next"]
        .clone();
    let cursor = cursor.as_str().unwrap_or_default();
    let foreign = api
        .get(&format!("/v1/assignments?sort=priority&cursor={cursor}"))
        .await?;
    foreign.refused(422, "invalid");
    Ok(())
}

#[tokio::test]
async fn pages_lose_nothing_and_repeat_nothing_while_others_write() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let line = |number: usize| {
        let data = json!({"title": format!("old {number:03}"), "kind": "k", "group": "g",
            "priority": 1 + number % 5});
        json!({"command": "assignment.request", "data": data}).to_string()
    };
    let answers = api
        .batch((0..200).map(line).collect::<Vec<_>>().join("\n"))
        .await?;
    let mut old: Vec<String> = answers
        .iter()
        .filter_map(|line| Some(line["receipt"]["id"].as_str()?.to_owned()))
        .collect();
    assert_eq!(old.len(), 200);
    let position = answers
        .iter()
        .filter_map(|line| line["receipt"]["position"].as_u64())
        .max();
    api.get_at("/v1/assignments?limit=1", position.unwrap_or_default())
        .await?
        .is(200);
    old.sort_unstable();
    let writing = async {
        for number in 0..150 {
            let new = json!({"title": format!("new {number}"), "kind": "k", "group": "g",
                "priority": 1 + number % 5});
            let receipt = api.request(&new).await?;
            let touched = &old[number % old.len()];
            api.act(touched, "note", &json!({"text": "touched"}))
                .await?;
            api.assignment(&receipt.id, receipt.position).await?;
        }
        TestResult::Ok(())
    };
    let reading = async {
        // None of these changes for what is there already.
        for sort in [
            "title",
            "-title",
            "priority",
            "-requested_at",
            "requested_at",
        ] {
            let all = api
                .all(&format!("/v1/assignments?sort={sort}&limit=7"))
                .await?;
            let mut ids = strings(&json!(all), "id");
            let count = ids.len();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), count, "`{sort}` gave one twice");
            let lost = old
                .iter()
                .filter(|id| ids.binary_search(id).is_err())
                .count();
            assert_eq!(lost, 0, "`{sort}` lost some");
        }
        TestResult::Ok(())
    };
    let (written, read) = tokio::join!(writing, reading);
    written.and(read)
}

/// One assignment that goes from the desk over Anne to Ben in the lab, and one that Anne has. The last
/// receipt.
async fn a_day_of_work(api: &Api) -> TestResult<Receipt> {
    let at = |hour: u32| format!("2026-01-01T{hour:02}:00:00Z");
    let request = json!({"title": "T", "kind": "k", "group": "desk", "occurred_at": at(1)});
    let id = api.request(&request).await?.id;
    for (verb, mut body, hour) in [
        ("assign", json!({"assignee": "anne"}), 2),
        ("start", json!({"assignee": "anne"}), 4),
        ("assign", json!({"assignee": "ben", "group": "lab"}), 7),
        ("hold", json!({"reason": "waits"}), 11),
        ("resume", json!({}), 16),
        ("complete", json!({"outcome": "done"}), 18),
    ] {
        body["occurred_at"] = json!(at(hour));
        api.act(&id, verb, &body).await?;
    }
    let request = json!({"title": "T", "kind": "k", "group": "desk", "assignee": "anne"});
    api.request(&request).await
}

#[tokio::test]
async fn the_workload_counts_what_people_have_and_how_long_it_took_them() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "operator")?;
    let last = a_day_of_work(&api).await?;
    let all = api
        .get_at("/v1/workload?limit=500", last.position)
        .await?
        .is(200)
        .json()?;
    let row = |dimension: &str, name: &str| {
        let items = all["items"].as_array().into_iter().flatten();
        items
            .clone()
            .find(|row| row["dimension"] == dimension && row["name"] == name)
            .cloned()
    };
    let hours = |row: &Value, state: &str| row["seconds"][state].as_f64().map(|s| s / 3600.0);
    let anne = row("person", "anne").unwrap_or_default();
    assert_eq!(
        (&anne["open"], &anne["hand_overs"]),
        (&json!(1), &json!(1)),
        "{anne}"
    );
    assert_eq!(
        (hours(&anne, "assigned"), hours(&anne, "in_progress")),
        (Some(2.0), Some(3.0))
    );
    let ben = row("person", "ben").unwrap_or_default();
    assert_eq!(
        (&ben["open"], &ben["completed"], &ben["hand_overs"]),
        (&json!(0), &json!(1), &json!(0))
    );
    // Four hours before the hold and two after it.
    assert_eq!(
        (hours(&ben, "assigned"), hours(&ben, "on_hold")),
        (Some(6.0), Some(5.0)),
        "{ben}"
    );
    let desk = row("group", "desk").unwrap_or_default();
    assert_eq!(
        (&desk["open"], hours(&desk, "queued")),
        (&json!(1), Some(1.0)),
        "{desk}"
    );
    let lab = row("group", "lab").unwrap_or_default();
    assert_eq!(
        (&lab["completed"], hours(&lab, "on_hold")),
        (&json!(1), Some(5.0)),
        "{lab}"
    );
    let people = api
        .get("/v1/workload?dimension=person&sort=-open")
        .await?
        .json()?;
    assert_eq!(strings(&people["items"], "name"), ["anne", "ben"]);
    let one = api.all("/v1/workload?limit=1").await?;
    assert_eq!(one.len(), 4);
    assert_eq!(api.all("/v1/workload?name=lab").await?.len(), 1);
    Ok(())
}

fn strings(items: &Value, field: &str) -> Vec<String> {
    let items = items.as_array().into_iter().flatten();
    items
        .filter_map(|item| Some(item[field].as_str()?.to_owned()))
        .collect()
}
