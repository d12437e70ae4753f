//! The embedded servers, on real ones: started, kept, taken over, killed, and read from outside.
//!
//! The test program plays two parts besides its own: the shim that becomes a server, and a
//! program that holds servers until it is killed. Both are "tests" that do nothing unless they
//! are started with arguments behind `--`.

mod embedded_rig;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use embedded_rig::{
    Folder, TestResult, holder, nats_as, options, own_arguments, postgres_as_owner, processes_of,
    signal, until,
};
use infra::embedded::locate::Search;
use infra::embedded::{Error, Servers, child_main};
use rustix::process::Signal;
use sqlx::Connection;

#[test]
fn a_process_becomes_a_server_when_told_to() {
    if let Some(arguments) = own_arguments() {
        let error = child_main(arguments);
        panic!("becoming a server failed: {error}");
    }
}

#[tokio::test]
async fn a_program_holds_servers_until_it_is_killed() -> TestResult {
    if let Some(folder) = own_arguments().and_then(|mut arguments| arguments.next()) {
        let folder = PathBuf::from(folder);
        let servers = Servers::start(options(&folder)?).await?;
        fs::write(folder.join("held"), "")?;
        std::future::pending::<()>().await;
        servers.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_second_start_finds_the_data_the_ports_and_the_passwords_of_the_first() -> TestResult {
    let folder = Folder::new("again")?;
    let servers = Servers::start(options(folder.path())?).await?;
    let first = servers.endpoints().clone();
    let journal = async_nats::jetstream::new(nats_as(&first.nats).await?);
    journal.create_stream("JOURNAL").await?;
    journal.publish("JOURNAL", "a fact".into()).await?.await?;
    let mut database = postgres_as_owner(&first).await?;
    sqlx::raw_sql("create table kept as select 42 as answer")
        .execute(&mut database)
        .await?;
    database.close().await?;
    servers.stop().await;
    assert!(processes_of(folder.path()).is_empty());

    let servers = Servers::start(options(folder.path())?).await?;
    let second = servers.endpoints().clone();
    assert!(first == second, "{first:?} became {second:?}");
    let journal = async_nats::jetstream::new(nats_as(&second.nats).await?);
    let state = journal.get_stream("JOURNAL").await?.cached_info().clone();
    assert_eq!(state.state.messages, 1);
    let mut database = postgres_as_owner(&second).await?;
    let kept: i32 = sqlx::query_scalar("select answer from kept")
        .fetch_one(&mut database)
        .await?;
    assert_eq!(kept, 42);
    servers.stop().await;
    Ok(())
}

#[tokio::test]
async fn nats_syncs_always_and_only_the_owner_can_read_the_secrets() -> TestResult {
    let folder = Folder::new("settings")?;
    let servers = Servers::start(options(folder.path())?).await?;
    let endpoints = servers.endpoints();
    let system = nats_as(&endpoints.nats_system).await?;
    let answer = system
        .request("$SYS.REQ.SERVER.PING.JSZ", "{}".into())
        .await?;
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload)?;
    assert_eq!(answer["data"]["config"]["sync_always"], true);

    for secret in ["secrets.json", "nats/server.conf"] {
        let mode = fs::metadata(folder.path().join(secret))?
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    let printed = format!("{endpoints:?} {:?} {servers:?}", endpoints.nats);
    assert!(!printed.contains(&endpoints.nats.password));

    let mut database = postgres_as_owner(endpoints).await?;
    let superuser: bool = sqlx::query_scalar("select rolsuper from pg_roles where rolname = user")
        .fetch_one(&mut database)
        .await?;
    assert!(!superuser, "row-level security would not hold");
    database.close().await?;
    servers.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_folder_that_only_its_owner_can_enter_serves_as_well() -> TestResult {
    let closed = Folder::new("closed")?;
    fs::set_permissions(closed.path(), PermissionsExt::from_mode(0o700))?;
    let servers = Servers::start(options(closed.path())?).await?;
    postgres_as_owner(servers.endpoints())
        .await?
        .close()
        .await?;
    servers.stop().await;
    // Run by root, Postgres is another user's and cannot lie in there.
    let cluster = closed.path().join("postgres");
    let is_elsewhere = fs::symlink_metadata(&cluster)?.is_symlink();
    assert_eq!(is_elsewhere, rustix::process::geteuid().is_root());

    // The folder made anew, in the same place, is not in the way of what lies elsewhere.
    for entry in fs::read_dir(closed.path())?.flatten() {
        let path = entry.path();
        let removed = fs::remove_file(&path);
        removed.or_else(|_| fs::remove_dir_all(&path))?;
    }
    let servers = Servers::start(options(closed.path())?).await?;
    postgres_as_owner(servers.endpoints())
        .await?
        .close()
        .await?;
    servers.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_second_program_on_the_same_folder_is_refused() -> TestResult {
    let folder = Folder::new("twice")?;
    let servers = Servers::start(options(folder.path())?).await?;
    let refused = Servers::start(options(folder.path())?).await;
    let own = std::process::id().to_string();
    assert!(matches!(refused, Err(Error::InUse { ref holder, .. }) if *holder == own));
    // The refusal has not disturbed the first.
    postgres_as_owner(servers.endpoints())
        .await?
        .close()
        .await?;
    servers.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_killed_program_leaves_no_server_and_the_next_one_starts_on_its_data() -> TestResult {
    let folder = Folder::new("killed")?;
    let mut holder = holder(folder.path()).await?;
    assert!(processes_of(folder.path()).len() >= 2, "both servers run");
    holder.kill().await?;
    until("no server is left", || {
        processes_of(folder.path()).is_empty()
    })
    .await;
    Servers::start(options(folder.path())?).await?.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_start_right_after_a_kill_ends_even_a_server_that_was_stopped() -> TestResult {
    let folder = Folder::new("frozen")?;
    let mut holder = holder(folder.path()).await?;
    for process in processes_of(folder.path()) {
        signal(process, Signal::STOP)?;
    }
    holder.kill().await?;
    Servers::start(options(folder.path())?).await?.stop().await;
    assert!(processes_of(folder.path()).is_empty());
    Ok(())
}

#[tokio::test]
async fn servers_end_when_their_handle_is_dropped() -> TestResult {
    let folder = Folder::new("dropped")?;
    drop(Servers::start(options(folder.path())?).await?);
    until("no server is left", || {
        processes_of(folder.path()).is_empty()
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn killed_servers_come_back_where_they_were() -> TestResult {
    let folder = Folder::new("supervised")?;
    let servers = Servers::start(options(folder.path())?).await?;
    let endpoints = servers.endpoints().clone();
    let client = nats_as(&endpoints.nats).await?;
    let before = processes_of(folder.path());
    for process in &before {
        // One may end by the end of another before its own turn.
        signal(*process, Signal::KILL).ok();
    }
    until("the killed ones are gone", || {
        processes_of(folder.path())
            .iter()
            .all(|process| !before.contains(process))
    })
    .await;
    // The client of before reconnects by itself; the flush needs an answer from the server.
    client.flush().await?;
    loop {
        match postgres_as_owner(&endpoints).await {
            Ok(database) => break database.close().await?,
            Err(_) => tokio::task::yield_now().await,
        }
    }
    servers.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_named() -> TestResult {
    let folder = Folder::new("port")?;
    let other = TcpListener::bind("127.0.0.1:0")?;
    let taken = other.local_addr()?.port();
    let mut options = options(folder.path())?;
    options.nats_port = Some(taken);
    let refused = Servers::start(options)
        .await
        .expect_err("the port is taken");
    assert_eq!(
        refused.to_string(),
        format!(
            "port `{taken}`, asked for NATS, is taken by another program; stop that program, or \
             choose another port"
        )
    );
    Ok(())
}

#[tokio::test]
async fn a_program_that_is_missing_or_too_old_is_named_with_every_place_looked_at() -> TestResult {
    let folder = Folder::new("old")?;
    let old = folder.path().join("nats-server");
    fs::write(&old, "#!/bin/sh\necho nats-server: v2.9.10\n")?;
    fs::set_permissions(&old, PermissionsExt::from_mode(0o755))?;
    let mut options = options(&folder.path().join("data"))?;
    options.search = Search {
        path: vec![folder.path().to_owned()],
        tools: vec!["/nowhere".into()],
        ..Search::default()
    };
    let refused = Servers::start(options).await.expect_err("none will do");
    assert_eq!(
        refused.to_string(),
        format!(
            "no usable `nats-server` was found (needed: 2.15 or later); looked at every folder of \
             `PATH`, `{}` (is 2.9, too old), `/nowhere/bin/nats-server` (missing); run `make \
             setup`, or name one in `LEDGERLINE_NATS_SERVER`",
            old.display()
        )
    );
    Ok(())
}

#[tokio::test]
async fn a_server_that_fails_shows_the_end_of_its_log() -> TestResult {
    let folder = Folder::new("failing")?;
    let good = options(folder.path())?;
    Servers::start(good.clone()).await?.stop().await;
    // A stream store that is no folder is what a foreign hand might leave.
    let store = folder.path().join("nats/jetstream");
    fs::remove_dir_all(&store)?;
    symlink("/dev/null", &store)?;
    let refused = Servers::start(good).await.expect_err("NATS cannot start");
    let message = refused.to_string();
    assert!(
        message.starts_with("NATS ended while starting"),
        "{message}"
    );
    assert!(
        message.contains("nats.log") && message.contains("storage"),
        "{message}"
    );
    until("the other server has ended too", || {
        processes_of(folder.path()).is_empty()
    })
    .await;
    Ok(())
}
