//! `up` from start to end: again on the same data, every way to end, and what stands in its way.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Output, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::nats;
use crate::support::process::{servers_of, user};
use crate::support::program::{
    Endpoints, Folder, PROGRAM, run, text, until_it_serves, up_command, wait,
};
use crate::support::{LOOK_EVERY, TestResult, Up, until};

async fn until_nothing_runs_on(folder: &Folder) -> TestResult {
    until("nothing runs on the folder", async || {
        Ok(servers_of(&folder.data()).is_empty().then_some(()))
    })
    .await
}

#[tokio::test]
async fn every_way_to_end_leaves_no_orphan_and_the_next_start_has_everything() -> TestResult {
    let mut up = Up::start("ends")?;
    let mut positions = Vec::new();
    let mut ids = Vec::new();
    for end in [Signal::TERM, Signal::INT, Signal::KILL] {
        let receipt = up.api("default", "member")?.any().await?;
        positions.push(receipt.position);
        ids.push(receipt.id);
        assert!(
            servers_of(&up.data()).len() >= 3,
            "the program and two servers run"
        );
        let folder = up.folder();
        if end == Signal::KILL {
            up.kill()?;
        } else {
            assert_eq!(up.end(end)?, Some(0), "{end:?}");
            assert!(
                !folder.data().join("endpoints.json").exists(),
                "nothing serves there any more"
            );
        }
        until_nothing_runs_on(&folder).await?;
        if end == Signal::KILL {
            // What a power cut or an older program may leave: locks of processes that are gone.
            fs::write(folder.data().join("lock"), "1\n")?;
            let cluster = folder.data().join("postgres").canonicalize()?.join("data");
            let stale = "1\n/somewhere\n1700000000\n5432\n/tmp\nlocalhost\n  1  1\nready\n";
            fs::write(cluster.join("postmaster.pid"), stale)?;
        }
        up = Up::on(folder)?;
        let api = up.api("default", "member")?;
        for (id, position) in ids.iter().zip(&positions) {
            assert_eq!(api.assignment(id, *position).await?["id"], json!(id));
        }
    }
    up.verify()
}

/// Runs `up` on what must end by itself.
fn must_end(folder: &Folder, listen: &str, more: &[&str]) -> TestResult<Output> {
    let mut command = up_command(PROGRAM.as_ref(), folder, listen)?;
    let mut child = command
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if wait(&mut child)?.is_none() {
        child.kill()?;
    }
    Ok(child.wait_with_output()?)
}

/// The one message for a person: the last line, in words.
fn message(output: &Output) -> String {
    let said = text(&output.stderr);
    let errors: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{said}");
    assert!(!said.contains("panicked"), "{said}");
    errors[0].to_owned()
}

#[tokio::test]
async fn what_stands_in_the_way_is_one_clear_message() -> TestResult {
    let up = Up::start("first")?;
    // A second one on the same folder.
    let second = must_end(&up.folder(), "127.0.0.1:0", &[])?;
    assert_eq!(second.status.code(), Some(1), "{}", text(&second.stderr));
    let said = message(&second);
    assert!(
        said.contains(&*up.folder().data().to_string_lossy()),
        "{said}"
    );
    assert!(said.contains(&up.pid().to_string()), "it says who: {said}");
    // The first one is not disturbed, and can still be found.
    up.api("default", "member")?.any().await?;
    assert!(up.data().join("endpoints.json").exists());
    // A port that is taken.
    let folder = Folder::new("taken")?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let refused = must_end(&folder, &address, &[])?;
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    let said = message(&refused);
    assert!(
        said.contains(&address) && said.contains("--listen"),
        "{said}"
    );
    until_nothing_runs_on(&folder).await?;
    let port = taken.local_addr()?.port().to_string();
    for option in ["--nats-port", "--postgres-port"] {
        let refused = must_end(&folder, "127.0.0.1:0", &[option, &port])?;
        assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
        assert!(
            message(&refused).contains(&port),
            "{option}: {}",
            message(&refused)
        );
        until_nothing_runs_on(&folder).await?;
    }
    // A folder that is a file.
    let file = folder.path().join("data");
    fs::remove_dir_all(&file).ok();
    fs::write(&file, "x")?;
    let refused = must_end(&folder, "127.0.0.1:0", &[])?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(message(&refused).contains(&*file.to_string_lossy()));
    // Nothing runs for the clients of that folder.
    let away = run(&folder.path().join("nowhere"), &["positions"])?;
    assert_eq!(away.status.code(), Some(6), "{}", text(&away.stderr));
    Ok(())
}

#[tokio::test]
async fn the_doctor_finds_nothing_wrong_with_a_healthy_one_and_something_with_none() -> TestResult {
    let up = Up::start("doctor")?;
    let examined = up.run(&["doctor"])?;
    assert_eq!(
        examined.status.code(),
        Some(0),
        "{}{}",
        text(&examined.stdout),
        text(&examined.stderr)
    );
    let folder = up.kill()?;
    until_nothing_runs_on(&folder).await?;
    let examined = run(&folder.data(), &["doctor"])?;
    assert_ne!(
        examined.status.code(),
        Some(0),
        "{}",
        text(&examined.stdout)
    );
    Ok(())
}

#[tokio::test]
async fn the_doctor_tells_a_changed_setting_and_leaves_it_to_the_next_start() -> TestResult {
    let up = Up::start("doctor-settings")?;
    let client = nats::connect(&up.endpoints.nats).await?;
    let settings = async || -> TestResult<Value> {
        let answer = client
            .request("$JS.API.STREAM.INFO.SEALS", "".into())
            .await?;
        let info: Value = serde_json::from_slice(&answer.payload)?;
        Ok(info["config"].clone())
    };
    let mut changed = settings().await?;
    changed["allow_direct"] = json!(false);
    let update = serde_json::to_vec(&changed)?;
    let answer = client.request("$JS.API.STREAM.UPDATE.SEALS", update.into());
    anyhow::ensure!(!text(&answer.await?.payload).contains("error"));

    let examined = up.run(&["doctor"])?;
    let said = text(&examined.stdout);
    assert_eq!(examined.status.code(), Some(0), "{said}");
    let told = "stream `SEALS` has `allow_direct` = `false`, and must have `allow_direct` = `true`";
    assert!(said.contains(told), "{said}");
    assert_eq!(settings().await?["allow_direct"], false, "it only looks");
    Ok(())
}

/// Both took the account of the journal for that of the feed, where only one was named, and left an empty
/// `FEED` in it.
#[tokio::test]
async fn verify_and_doctor_leave_no_stream_in_an_account_that_has_none() -> TestResult {
    let up = Up::start("stray")?;
    let Endpoints { nats, postgres, .. } = &up.endpoints;
    let api = up.api("default", "member")?;
    let requested = api.any().await?;
    api.assignment(&requested.id, requested.position).await?;
    let before = streams(nats).await?;
    assert!(!before.contains("FEED"), "{before}");

    let servers = ["--nats", nats, "--database", postgres];
    let verified = up.run(&[&["verify"], &servers[..]].concat())?;
    let said = || format!("{}{}", text(&verified.stdout), text(&verified.stderr));
    assert_eq!(verified.status.code(), Some(0), "{}", said());
    let keys = up.data().join("keys");
    let keys = ["--keys", &*keys.to_string_lossy()];
    let examined = up.run(&[&["doctor"], &servers[..], &keys].concat())?;
    let said = text(&examined.stdout);
    assert_eq!(examined.status.code(), Some(1), "{said}");
    assert!(said.contains("there is none in this account"), "{said}");
    assert_eq!(streams(nats).await?, before);

    // An account without a journal stays empty as well, and is told from one that has it.
    let elsewhere = ["--nats", &up.endpoints.nats_feed, "--database", postgres];
    let verified = up.run(&[&["verify"], &elsewhere[..]].concat())?;
    assert_eq!(
        verified.status.code(),
        Some(1),
        "{}",
        text(&verified.stdout)
    );
    let left = streams(&up.endpoints.nats_feed).await?;
    assert!(!left.contains("JOURNAL"), "{left}");
    Ok(())
}

/// The streams of an account, in the words of the server.
async fn streams(nats: &str) -> TestResult<String> {
    let client = nats::connect(nats).await?;
    let answer = client.request("$JS.API.STREAM.NAMES", "".into()).await?;
    let names: Value = serde_json::from_slice(&answer.payload)?;
    Ok(names["streams"].to_string())
}

#[tokio::test]
async fn it_also_runs_as_somebody_who_is_not_root() -> TestResult {
    if !rustix::process::geteuid().is_root() {
        // All other tests of this program are this one.
        return Ok(());
    }
    let (uid, gid) = user("nobody")?;
    let folder = Folder::new("nobody")?;
    std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid))?;
    // The program's own folder may be closed to others.
    let program = folder.path().join("ledgerline");
    fs::copy(PROGRAM, &program)?;
    let mut command = up_command(program.as_os_str(), &folder, "127.0.0.1:0")?;
    let child = command
        .env("HOME", folder.path())
        .uid(uid)
        .gid(gid)
        .spawn()?;
    let (mut child, _) = until_it_serves(child, &folder)?;
    let ends = async {
        let listed = run(&folder.data(), &["assignment", "list", "--count"])?;
        assert_eq!(text(&listed.stdout).trim(), "0", "{}", text(&listed.stderr));
        TestResult::Ok(())
    };
    let ended = ends.await;
    child.kill()?;
    child.wait()?;
    while !servers_of(&folder.data()).is_empty() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    ended
}
