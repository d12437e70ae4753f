//! Outbound calls, to a real server on this machine: refused unless allowed, and bounded.

use std::io;
use std::net::SocketAddr;

use infra::worker::kinds::HttpSettings;
use infra::worker::{Kinds, Settings};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::rig::{House, Running, settings};

/// A server that answers by the path, and tells what it was asked.
struct Server {
    address: SocketAddr,
    asked: mpsc::UnboundedReceiver<String>,
}

impl Server {
    async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (tell, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, tell.clone()));
            }
        });
        Ok(Self { address, asked })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it was asked last. Nothing may have reached it that is not asked for here.
    fn asked(&mut self) -> Option<String> {
        self.asked.try_recv().ok()
    }
}

async fn serve(mut connection: TcpStream, tell: mpsc::UnboundedSender<String>) -> io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 4_096];
    let whole = loop {
        let read = connection.read(&mut buffer).await?;
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if read == 0 || is_whole(&text) {
            break text;
        }
    };
    let path = whole.split(' ').nth(1).unwrap_or_default().to_owned();
    tell.send(whole).ok();
    let (head, body): (&str, Vec<u8>) = match path.as_str() {
        "/redirect" => ("302 Found\r\nLocation: /secret", vec![]),
        "/busy" => ("503 Service Unavailable", b"come back later".into()),
        "/slow-down" => ("429 Too Many Requests", vec![]),
        "/timeout" => ("408 Request Timeout", vec![]),
        "/missing" => ("404 Not Found", b"no such thing".into()),
        "/big" => ("200 OK", "ü".repeat(1 << 20).into_bytes()),
        "/bytes" => ("200 OK", vec![0, 159, 146, 150]),
        "/silent" => std::future::pending().await,
        "/cut" => {
            connection
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")
                .await?;
            return Ok(());
        }
        _ => (
            "200 OK\r\nContent-Type: text/plain\r\nSet-Cookie: secret=1\r\nETag: \"7\"",
            b"hello".into(),
        ),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    connection.write_all(head.as_bytes()).await?;
    connection.write_all(&body).await?;
    connection.shutdown().await
}

/// Whether head and body are there, as far as the head says.
fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.parse().ok()).flatten()
    });
    body.len() >= length.unwrap_or(0)
}

fn calling(house: &House, allowed: &[&str]) -> Running {
    let networks = allowed.iter().map(|network| network.parse());
    let http = HttpSettings {
        networks_allowed: networks.collect::<Result<_, _>>().expect("networks"),
    };
    house.run(Settings {
        kinds: Kinds {
            http: Some(http),
            ..Kinds::default()
        },
        ..settings()
    })
}

async fn rig() -> (House, Running, Server) {
    let house = House::new();
    let worker = calling(&house, &["127.0.0.0/8", "::1/128"]);
    let server = Server::start().await.expect("a free port");
    (house, worker, server)
}

fn get(url: &str) -> String {
    json!({ "url": url }).to_string()
}

#[tokio::test]
async fn a_server_of_this_machine_is_refused_by_address_and_by_name_unless_allowed() {
    let house = House::new();
    let _worker = calling(&house, &[]);
    let mut server = Server::start().await.expect("a free port");
    let port = server.address.port();
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "localhost",
        "user:word@127.0.0.1",
    ] {
        let payload = get(&format!("http://{host}:{port}/"));
        let (error, retryable) = house.failure_of("http", &payload).await;
        assert!(error.contains("must not be called"), "{host}: {error}");
        assert!(!retryable, "{host}");
    }
    assert_eq!(server.asked(), None);
}

#[tokio::test]
async fn a_call_sends_what_the_job_says_and_keeps_what_is_answered() {
    let (house, _worker, mut server) = rig().await;
    let payload = json!({
        "method": "POST",
        "url": server.url("/orders?x=1"),
        "headers": {"X-Own": "7"},
        "body": {"order": 4711},
    });
    let result = house.result_of("http", &payload.to_string()).await;
    assert_eq!(
        result,
        json!({
            "status": 200,
            "headers": {"content-type": "text/plain", "etag": "\"7\"", "content-length": "5"},
            "body": "hello",
            "encoding": "text",
            "truncated": false,
        })
    );
    let asked = server.asked().expect("asked");
    assert!(
        asked.starts_with("POST /orders?x=1 HTTP/1.1\r\n"),
        "{asked}"
    );
    for part in [
        "x-own: 7\r\n",
        "content-type: application/json\r\n",
        "ledgerline-attempt: 1\r\n",
        "ledgerline-job: 00000000-0000-",
        "\r\n\r\n{\"order\":4711}",
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (house, _worker, mut server) = rig().await;
    let result = house
        .result_of("http", &get(&server.url("/redirect")))
        .await;
    assert_eq!(result["status"], 302);
    assert_eq!(result["headers"]["location"], "/secret");
    assert!(
        server
            .asked()
            .is_some_and(|asked| asked.contains("/redirect"))
    );
    assert_eq!(server.asked(), None);
}

#[tokio::test]
async fn a_big_body_is_cut_at_a_whole_character_and_bytes_are_base64() {
    let (house, _worker, server) = rig().await;
    let big = house.result_of("http", &get(&server.url("/big"))).await;
    assert_eq!(big["truncated"], true);
    assert_eq!(big["encoding"], "text");
    let kept = big["body"].as_str().map(str::len);
    assert_eq!(kept, Some(64 * 1024));
    let bytes = house.result_of("http", &get(&server.url("/bytes"))).await;
    assert_eq!(bytes["encoding"], "base64");
    assert_eq!(bytes["body"], "AJ+Slg==");
    assert_eq!(bytes["truncated"], Value::Bool(false));
}

#[tokio::test]
async fn what_says_later_is_tried_again_and_what_says_no_is_not() {
    let (house, _worker, server) = rig().await;
    for (path, is_later, says) in [
        (
            "/busy",
            true,
            "answered `503 Service Unavailable`: come back later",
        ),
        ("/slow-down", true, "answered `429 Too Many Requests`: "),
        ("/timeout", true, "answered `408 Request Timeout`: "),
        ("/missing", false, "answered `404 Not Found`: no such thing"),
    ] {
        let (error, retryable) = house.failure_of("http", &get(&server.url(path))).await;
        assert_eq!((error.as_str(), retryable), (says, is_later), "{path}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_breaks_off_or_is_silent_may_be_tried_again() {
    let (house, _worker, server) = rig().await;
    let (error, retryable) = house.failure_of("http", &get(&server.url("/cut"))).await;
    assert!(retryable, "{error}");
    let silent = json!({"url": server.url("/silent"), "timeout_ms": 50}).to_string();
    let (error, retryable) = house.failure_of("http", &silent).await;
    assert_eq!(error, "no whole answer within `50` ms");
    assert!(retryable);
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let secret = get(&format!("http://{address}/?token=geheim"));
    let (error, retryable) = house.failure_of("http", &secret).await;
    assert!(retryable, "{error}");
    assert!(!error.contains("geheim"), "{error}");
}

#[tokio::test]
async fn a_payload_that_nobody_could_call_by_is_not_tried_again() {
    let (house, _worker, mut server) = rig().await;
    let url = server.url("/");
    for payload in [
        json!(null),
        json!({}),
        json!({"url": "no url"}),
        json!({"url": "file:///etc/passwd"}),
        json!({"url": format!("{url}{}", "x".repeat(8_000))}),
        json!({"url": url, "method": "CONNECT"}),
        json!({"url": url, "method": "get"}),
        json!({"url": url, "headers": {"Host": "other"}}),
        json!({"url": url, "headers": {"Transfer-Encoding": "chunked"}}),
        json!({"url": url, "headers": {"X-A": "b\r\nX-C: d"}}),
        json!({"url": url, "headers": {"X A": "b"}}),
        json!({"url": url, "timeout_ms": 300_001}),
        json!({"url": url, "redirects": 3}),
    ] {
        let (error, retryable) = house.failure_of("http", &payload.to_string()).await;
        assert!(!retryable, "{payload}: {error}");
    }
    assert_eq!(server.asked(), None);
}
