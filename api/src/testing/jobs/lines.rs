//! Jobs and queues in batches.

use serde_json::{Value, json};

use crate::auth::{Role, Roles};
use crate::routes::{Access, ROUTES};
use crate::testing::Service;

const ID: &str = "0190d5a6-1c5e-7b3a-9d54-2f6b8a1c7e10";

async fn answers(service: &Service, role: Role, lines: &[Value]) -> Vec<Value> {
    let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
    let mut request = service.posting("/v1/commands", &lines.join("\n"));
    let token = format!("Bearer {}", service.token("default", &[role]));
    let headers = request.headers_mut();
    headers.insert("authorization", token.parse().expect("ASCII"));
    let kind = "application/x-ndjson".parse().expect("ASCII");
    headers.insert("content-type", kind);
    let answer = service.send(request).await;
    let text = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
    let answers = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    answers.collect()
}

fn statuses(answers: &[Value]) -> Vec<u64> {
    let status = |answer: &Value| answer["status"].as_u64().expect("a status");
    answers.iter().map(status).collect()
}

#[tokio::test]
async fn ten_thousand_jobs_of_one_unique_key_are_one_job() {
    let service = Service::new();
    let job = json!({"queue": "mail", "kind": "send", "unique": {"key": "invoice-7"}});
    let line = json!({"command": "job.enqueue", "data": job});
    let answers = answers(&service, Role::Member, &vec![line; 10_000]).await;
    let created = answers.iter().filter(|answer| answer["status"] == 201);
    assert_eq!((created.count(), answers.len()), (1, 10_000));
    let id = &answers[0]["receipt"]["id"];
    assert!(answers.iter().all(|answer| answer["receipt"]["id"] == *id));
    assert_eq!(service.commits("default").await.len(), 1);
}

#[tokio::test]
async fn a_batch_has_commands_on_whatever_there_is() {
    let service = Service::new();
    let work = json!({"title": "a", "kind": "b", "group": "c"});
    let job = json!({"queue": "mail", "kind": "send", "payload": {"n": [1, 2]}});
    let lines = [
        json!({"command": "assignment.request", "id": ID, "data": work}),
        json!({"command": "job.enqueue", "id": ID, "data": job}),
        json!({"command": "queue.configure", "id": "mail", "data": {"running_max": 5}}),
        json!({"command": "job.enqueue", "id": ID, "data": job}),
        json!({"command": "job.enqueue", "data": job}),
        json!({"command": "job.complete", "id": ID, "data": {"attempt": 1}}),
        json!({"command": "job.fail", "id": ID, "data": {"attempt": 1, "error": "no"}}),
        json!({"command": "job.release", "id": ID, "data": {"attempt": 1}}),
        json!({"command": "job.requeue", "id": ID}),
        json!({"command": "job.cancel", "id": ID, "expected_version": 2}),
        json!({"command": "job.cancel", "id": ID, "expected_version": 1}),
        json!({"command": "queue.pause", "id": "mail", "data": {"reason": "it burns"}}),
        json!({"command": "queue.resume", "id": "mail"}),
        json!({"command": "assignment.cancel", "id": ID}),
    ];
    let answers = answers(&service, Role::Operator, &lines).await;
    let expected = [
        201, 201, 200, 409, 201, 409, 409, 409, 409, 412, 200, 200, 200, 200,
    ];
    assert_eq!(statuses(&answers), expected, "{answers:#?}");
    let kind = &answers[3]["problem"]["type"];
    assert_eq!(kind, "https://ledgerline.dev/problems/already-enqueued");
    assert_eq!(answers[2]["receipt"]["id"], "mail");
    assert_eq!(answers[12]["receipt"]["version"], 3);
    assert_eq!(answers[13]["receipt"]["version"], 2);
}

#[tokio::test]
async fn a_line_that_breaks_a_rule_is_told_where() {
    let service = Service::new();
    let time = "2026-11-21T11:00:00Z";
    let job = json!({"queue": "mail", "kind": "send"});
    let cases = [
        (
            json!({"command": "job.enqueue", "occurred_at": time, "data": job}),
            422,
            "/occurred_at",
        ),
        (
            json!({"command": "queue.pause", "id": "q", "occurred_at": time}),
            422,
            "/occurred_at",
        ),
        (
            json!({"command": "job.enqueue", "data": {"queue": "a.b", "kind": "k"}}),
            422,
            "/data/queue",
        ),
        (
            json!({"command": "job.enqueue", "data": {"queue": "a", "kind": 7}}),
            400,
            "/data/kind",
        ),
        (
            json!({"command": "job.enqueue", "expected_version": 1, "data": job}),
            400,
            "/expected_version",
        ),
        (
            json!({"command": "job.complete", "id": ID, "data": {"attempt": 0}}),
            422,
            "/data/attempt",
        ),
        (
            json!({"command": "job.complete", "data": {"attempt": 1}}),
            400,
            "/id",
        ),
        (
            json!({"command": "job.complete", "id": "7", "data": {"attempt": 1}}),
            400,
            "/id",
        ),
        (json!({"command": "queue.pause"}), 400, "/id"),
        (json!({"command": "queue.pause", "id": "a b"}), 400, "/id"),
        (
            json!({"command": "queue.configure", "id": "q", "data": {"rate": {"jobs": 0, "period_ms": 1}}}),
            422,
            "/data/rate/jobs",
        ),
        (json!({"command": "job.start", "id": ID}), 400, "/command"),
        (json!({"command": "job.claim"}), 400, "/command"),
        (json!({"command": "complete", "id": ID}), 400, "/command"),
    ];
    let lines: Vec<_> = cases.iter().map(|(line, ..)| line.clone()).collect();
    let answers = answers(&service, Role::Operator, &lines).await;
    for ((line, status, pointer), answer) in cases.iter().zip(&answers) {
        assert_eq!(answer["status"], *status, "{line}: {answer}");
        assert_eq!(
            answer["problem"]["errors"][0]["pointer"], *pointer,
            "{line}"
        );
    }
    assert!(service.commits("default").await.is_empty());
}

/// The rows of the table that a line can have the command of, as `job.complete` and who may.
fn commands() -> Vec<(String, Roles)> {
    let commands = ROUTES.iter().filter_map(|row| {
        let mut parts = row.path.strip_prefix("/v1/")?.split('/');
        let plural = parts.next()?;
        let category = match plural {
            "batches" => "batch",
            plural => plural.strip_suffix('s')?,
        };
        let (of_one, verb, None) = (parts.next()?, parts.next(), parts.next()) else {
            return None;
        };
        let verb = match row.method {
            "PUT" => "change",
            "DELETE" => "delete",
            _ => verb?,
        };
        let is_command = row.method != "GET" && of_one.starts_with('{');
        let is_command = is_command && verb != "heartbeat" && category != "model";
        // Cancelling and retrying a batch are commands on its jobs.
        let is_command = is_command && (category != "batch" || verb == "close");
        match row.access {
            Access::Roles(roles) if is_command => Some((format!("{category}.{verb}"), roles)),
            Access::Roles(_) | Access::Public => None,
        }
    });
    commands.collect()
}

#[tokio::test]
async fn a_line_takes_the_roles_that_the_route_of_its_command_takes() {
    let service = Service::new();
    let commands = commands();
    assert_eq!(commands.len(), 10 + 5 + 3 + 6 + 1);
    for role in [Role::Admin, Role::Operator, Role::Member] {
        let line = |(command, _): &(String, Roles)| match command.as_str() {
            "job.complete" | "job.release" => {
                json!({"command": command, "id": ID, "data": {"attempt": 1}})
            }
            "job.fail" => {
                json!({"command": command, "id": ID, "data": {"attempt": 1, "error": "x"}})
            }
            "assignment.assign" => json!({"command": command, "id": ID, "data": {"assignee": "x"}}),
            "assignment.note" => json!({"command": command, "id": ID, "data": {"text": "x"}}),
            "assignment.hold" => json!({"command": command, "id": ID, "data": {"reason": "x"}}),
            "assignment.complete" => {
                json!({"command": command, "id": ID, "data": {"outcome": "x"}})
            }
            "batch.close" => json!({"command": command, "id": ID, "data": {"jobs": 1}}),
            "schedule.change" => {
                json!({"command": command, "id": ID, "data": super::super::schedules::hourly()})
            }
            "schedule.backfill" => {
                let range = json!({"from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z"});
                json!({"command": command, "id": ID, "data": range})
            }
            _ => json!({"command": command, "id": ID}),
        };
        let lines: Vec<_> = commands.iter().map(line).collect();
        let answers = answers(&service, role, &lines).await;
        for ((command, roles), answer) in commands.iter().zip(&answers) {
            let status = answer["status"].as_u64();
            assert_eq!(
                status == Some(403),
                !roles.has(role),
                "{command} as {role}: {answer}"
            );
            assert!(status != Some(400), "{command} as {role}: {answer}");
        }
    }
}
