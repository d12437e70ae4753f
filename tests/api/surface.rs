//! What stands around the commands: traces, metrics, health, the description and its page.

use std::collections::BTreeSet;

use api::routes::ROUTES;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::http::{Answer, any_body};
use crate::support::{TestResult, Up, fresh_tenant, nats, until};

#[tokio::test]
async fn one_trace_leads_from_the_request_through_the_append_to_the_projection() -> TestResult {
    let up = Up::shared();
    let api = up.api(&fresh_tenant(), "member")?;
    let trace_id = format!("{:032x}", crate::support::now().as_nanosecond());
    let parent = format!("00-{trace_id}-00f067aa0ba902b7-01");
    let headers = [
        ("traceparent", parent.as_str()),
        ("X-Request-Id", "journey-7"),
    ];
    let answer = api
        .post_with("/v1/assignments", &any_body(), &headers)
        .await?
        .is(201);
    assert_eq!(answer.header("x-request-id"), Some("journey-7"));
    let receipt = answer.receipt()?;
    api.assignment(&receipt.id, receipt.position).await?;
    let commits = nats::read_all(&up.endpoints.nats, "JOURNAL").await?;
    let commit = commits
        .iter()
        .find(|commit| commit.sequence == receipt.position);
    let header = commit
        .map(|commit| commit.header("Ledgerline-Trace"))
        .unwrap_or_default();
    assert!(header.starts_with(&format!("00-{trace_id}-")), "{header}");
    assert_ne!(header, parent, "the request is a span of its own");
    let lines = until("the log tells of the projection", async || {
        let log = up.log()?;
        let lines = log.lines().filter(|line| line.contains(&trace_id));
        let lines = lines
            .map(serde_json::from_str)
            .collect::<Result<Vec<Value>, _>>()?;
        let told = |what: &str| lines.iter().any(|line| line.to_string().contains(what));
        Ok((told("http.request") && told("projection")).then(|| lines.clone()))
    })
    .await?;
    let of_request = lines.iter().find(|line| line["message"] == "request");
    let of_request =
        of_request.ok_or_else(|| anyhow::anyhow!("no line of the request: {lines:?}"))?;
    assert!(of_request.to_string().contains("journey-7"), "{of_request}");
    Ok(())
}

#[tokio::test]
async fn no_secret_stands_in_the_log() -> TestResult {
    let up = Up::shared();
    let token = up.token("tester", &fresh_tenant(), "member")?;
    up.api("default", "admin")?.any().await?;
    let log = up.log()?;
    assert!(log.lines().count() > 2, "{log}");
    let signature = token.rsplit('.').next().unwrap_or_default();
    let e = &up.endpoints;
    let passwords = [
        &e.nats,
        &e.nats_feed,
        &e.nats_subscriber,
        &e.nats_worker,
        &e.nats_system,
        &e.postgres,
    ];
    let passwords = passwords.into_iter().filter_map(|url| {
        let (user, _) = url.split_once("://")?.1.split_once('@')?;
        Some(user.split_once(':')?.1)
    });
    for secret in passwords.chain([signature]) {
        assert!(
            secret.len() > 10 && !log.contains(secret),
            "a secret is in the log"
        );
    }
    Ok(())
}

#[tokio::test]
async fn metrics_tell_of_requests_and_of_the_read_side() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let receipt = api.any().await?;
    api.assignment(&receipt.id, receipt.position).await?;
    let metrics = Answer::read(api.bare(Method::GET, "/metrics").send().await?)
        .await?
        .is(200);
    assert!(
        metrics
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/plain"))
    );
    let text = metrics.text();
    for name in [
        "ledgerline_http_requests_total",
        "ledgerline_http_request_seconds_bucket",
    ] {
        assert!(text.contains(name), "{name}");
    }
    let about = |word: &str| {
        text.lines()
            .any(|line| line.starts_with("ledgerline_") && line.contains(word))
    };
    assert!(
        about("projection_commits_total") && about("projection_position"),
        "{text}"
    );
    Ok(())
}

#[tokio::test]
async fn a_healthy_program_says_so_without_a_token() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "viewer")?;
    // It may have been started for this test: read side and dispatcher then begin a moment later.
    until("everything has begun", async || {
        let answer = Answer::read(api.bare(Method::GET, "/health").send().await?).await?;
        Ok((answer.json()?["status"] == "ok").then_some(()))
    })
    .await?;
    for path in ["/health", "/health/live", "/health/ready"] {
        let answer = Answer::read(api.bare(Method::GET, path).send().await?)
            .await?
            .is(200)
            .json()?;
        assert_eq!(answer["status"], "ok", "{path}: {answer}");
    }
    let positions = api.get("/v1/positions").await?.is(200).json()?;
    let models = positions["models"].as_array().cloned().unwrap_or_default();
    let names: BTreeSet<_> = models
        .iter()
        .filter_map(|model| model["name"].as_str())
        .collect();
    assert_eq!(
        names,
        BTreeSet::from([
            "assignment",
            "assignment_event",
            "batch",
            "command",
            "job",
            "queue",
            "schedule",
            "workload",
        ])
    );
    assert!(
        models.iter().all(|model| model["status"] == "live"),
        "{positions}"
    );
    Ok(())
}

#[tokio::test]
async fn the_description_has_every_route_of_the_table_and_no_other() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "viewer")?;
    let document = Answer::read(api.bare(Method::GET, "/openapi.json").send().await?).await?;
    let document = document.is(200).json()?;
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in item
            .as_object()
            .into_iter()
            .flatten()
            .map(|(method, _)| method)
        {
            described.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let table: BTreeSet<_> = ROUTES
        .iter()
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(described, table);
    for route in ROUTES {
        let operation = &document["paths"][route.path][route.method.to_lowercase()];
        let secured = operation["security"]
            .as_array()
            .is_some_and(|all| !all.is_empty());
        assert_eq!(
            secured,
            route.access != api::routes::Access::Public,
            "{}",
            route.path
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_docs_page_works_without_any_network() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "viewer")?;
    let page = api.bare(Method::GET, "/docs/").send().await?;
    let page = Answer::read(page).await?.is(200).text();
    let mut scripts = 0;
    for attribute in ["src=\"", "href=\""] {
        for rest in page.split(attribute).skip(1) {
            let target = rest.split('"').next().unwrap_or_default();
            assert!(!target.contains("//"), "the page refers to `{target}`");
            let path = format!(
                "/docs/{}",
                target.trim_start_matches("./").trim_start_matches("/docs/")
            );
            let part = Answer::read(api.bare(Method::GET, &path).send().await?)
                .await?
                .is(200);
            scripts += usize::from(target.ends_with(".js"));
            if target.contains("initializer") {
                assert!(part.text().contains("/openapi.json"));
                assert!(!part.text().contains("https://petstore"));
            }
        }
    }
    assert!(scripts >= 2, "the page has scripts: {page}");
    assert!(
        !page.contains("http://") && !page.contains("https://"),
        "{page}"
    );
    Ok(())
}

#[tokio::test]
async fn a_correlation_that_cannot_be_recorded_is_refused() -> TestResult {
    let api = Up::shared().api(&fresh_tenant(), "member")?;
    let long = "x".repeat(201);
    for bad in [" ", long.as_str()] {
        let headers = [("X-Correlation-Id", bad)];
        let answer = api
            .post_with("/v1/assignments", &any_body(), &headers)
            .await?;
        answer.refused(400, "malformed");
    }
    let none = api.get("/v1/assignments?count=true").await?.json()?;
    assert_eq!((&none["total"], &none["items"]), (&json!(0), &json!([])));
    Ok(())
}
