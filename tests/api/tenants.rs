//! What one caller never learns of another: tenants, roles, tokens.

use api::auth::Role;
use api::routes::{Access, ROUTES};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::http::Answer;
use crate::support::{Api, TestResult, Up, fresh_id, fresh_tenant};

#[tokio::test]
async fn another_tenants_id_is_answered_exactly_like_an_unknown_one() -> TestResult {
    let (owner, other) = (fresh_tenant(), fresh_tenant());
    let theirs = Up::shared().api(&owner, "member")?.any().await?;
    let api = Up::shared().api(&other, "admin")?;
    // The read side has the row of the other tenant by now.
    Up::shared()
        .api(&owner, "member")?
        .assignment(&theirs.id, theirs.position)
        .await?;
    let unknown = fresh_id();
    for (method, path, body) in [
        (Method::GET, "", Value::Null),
        (Method::GET, "/history", Value::Null),
        (Method::GET, "?position=999999", Value::Null),
        (Method::GET, "?at=2020-01-01T00:00:00Z", Value::Null),
        (Method::POST, "/assign", json!({"assignee": "anne"})),
        (Method::POST, "/requeue", json!({})),
        (Method::POST, "/start", json!({})),
        (Method::POST, "/note", json!({"text": "x"})),
        (Method::POST, "/hold", json!({"reason": "x"})),
        (Method::POST, "/resume", json!({})),
        (Method::POST, "/complete", json!({"outcome": "x"})),
        (Method::POST, "/close", json!({})),
        (Method::POST, "/reopen", json!({})),
        (Method::POST, "/cancel", json!({})),
        (
            Method::POST,
            "/note",
            json!({"text": "x", "expected_version": 1}),
        ),
    ] {
        let ask = async |id: &str| plain(&api, &method, id, path, &body).await;
        let (foreign, nowhere) = (ask(&theirs.id).await?, ask(&unknown).await?);
        assert_eq!(
            foreign.replace(&theirs.id, "ID"),
            nowhere.replace(&unknown, "ID"),
            "{path}"
        );
        assert!(
            nowhere.starts_with("404") || path.starts_with('?'),
            "{path}: {nowhere}"
        );
    }
    let listed = api
        .get_at(
            &format!("/v1/assignments?id={}", theirs.id),
            theirs.position,
        )
        .await?;
    assert_eq!(listed.json()?["items"], json!([]));
    Ok(())
}

/// Status, headers and body as one text, without what differs from second to second.
async fn plain(
    api: &Api,
    method: &Method,
    id: &str,
    path: &str,
    body: &Value,
) -> TestResult<String> {
    let call = api.call(method.clone(), &format!("/v1/assignments/{id}{path}"));
    let call = call.header("X-Request-Id", "the-same");
    let call = if body.is_null() {
        call
    } else {
        call.json(body)
    };
    let answer = Answer::read(call.send().await?).await?;
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        // Other tests move the read side between the two questions.
        .filter(|(name, _)| !["date", "ledgerline-position"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    headers.sort();
    Ok(format!("{} {headers:?} {}", answer.status, answer.text()))
}

#[tokio::test]
async fn every_route_takes_the_roles_of_the_table_and_no_others() -> TestResult {
    let tenant = fresh_tenant();
    for role in Role::ALL {
        let api = Up::shared().api(&tenant, role.as_str())?;
        for route in ROUTES {
            let taken = match route.access {
                Access::Public => true,
                Access::Roles(roles) => roles.iter().any(|taken| taken == role),
            };
            let path = route
                .path
                .replace("{id}", &fresh_id())
                .replace("{name}", "nothing");
            let call = api.call(route.method.parse()?, &path);
            let call = if route.method == "POST" {
                call.json(&json!({"none": 1}))
            } else {
                call
            };
            // Only the head of the answer: that of `/v1/events` has no end.
            let status = call.send().await?.status().as_u16();
            assert_eq!(
                status != 403,
                taken,
                "{} {} as {role:?}: {status}",
                route.method,
                route.path
            );
            assert!(
                status < 500,
                "{} {} as {role:?}: {status}",
                route.method,
                route.path
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn without_a_token_that_holds_nothing_but_the_public_routes_answers() -> TestResult {
    let up = Up::shared();
    let good = up.token("tester", &fresh_tenant(), "admin")?;
    let (head, rest) = good.split_once('.').unwrap_or_default();
    let (claims, signature) = rest.split_once('.').unwrap_or_default();
    // {"alg":"none"}
    let unsigned = format!("eyJhbGciOiJub25lIn0.{claims}.");
    let turned: String = signature.chars().rev().collect();
    let forged = format!("{head}.{claims}.{turned}");
    for token in [
        "",
        "x",
        unsigned.as_str(),
        forged.as_str(),
        &good[..good.len() - 4],
    ] {
        let api = Api::new(&up.endpoints.http, token)?;
        for route in ROUTES.iter().filter(|route| route.access != Access::Public) {
            let path = route
                .path
                .replace("{id}", &fresh_id())
                .replace("{name}", "nothing");
            let answer = api.call(route.method.parse()?, &path).send().await?;
            let answer = Answer::read(answer).await?.refused(401, "unauthenticated");
            assert!(answer.header("www-authenticate").is_some());
        }
    }
    Ok(())
}
