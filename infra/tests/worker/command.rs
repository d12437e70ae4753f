//! Programs: of the allow-list only, and within their time, memory and output.

use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::job::Command;
use infra::worker::kinds::CommandSettings;
use infra::worker::{InvalidSettings, Kinds, Settings, Worker};
use serde_json::json;

use crate::rig::{House, Running, settings, shim};

const SH: &str = "/bin/sh";

/// A shell on the allow-list, as nobody should have it: the tests need it to misbehave.
fn shell() -> CommandSettings {
    CommandSettings::new(vec![PathBuf::from(SH)], shim())
}

fn with(command: CommandSettings) -> Settings {
    Settings {
        kinds: Kinds {
            command: Some(command),
            ..Kinds::default()
        },
        lease: Duration::from_secs(1),
        ..settings()
    }
}

fn run(house: &House, command: CommandSettings) -> Running {
    house.run(with(command))
}

fn script(script: &str) -> String {
    json!({"program": SH, "args": ["-c", script]}).to_string()
}

/// What the program itself wrote: this test program has its say before it becomes the program.
fn stdout(result: &serde_json::Value) -> &str {
    let text = result["stdout"].as_str().unwrap_or_default();
    text.strip_prefix("\nrunning 1 test\n").unwrap_or(text)
}

/// A file name that no other test has, in the temporary folder.
fn fresh_path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ledgerline-{name}-{}", std::process::id()))
}

/// Waits until the file has a whole line, and gives it.
async fn line_of(path: &Path) -> String {
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => tokio::task::yield_now().await,
        }
    }
}

/// Waits until there is no such process, or only its remains.
async fn until_gone(pid: &str) {
    let runs = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
        !state.is_empty() && !state.starts_with('Z')
    };
    while runs() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_program_gets_arguments_and_input_and_its_outputs_are_kept() {
    let house = House::new();
    let _worker = run(&house, shell());
    let payload = json!({
        "program": SH,
        "args": ["-c", "cat; echo \"$1\" >&2", "sh", "a b; $(c)"],
        "stdin": "from the job\n",
    });
    let result = house.result_of("command", &payload.to_string()).await;
    assert_eq!(stdout(&result), "from the job\n");
    assert_eq!(result["stderr"], "a b; $(c)\n");
    assert_eq!(result["exit_code"], 0);
    assert_eq!(result["truncated"], false);
}

#[tokio::test]
async fn a_program_sees_nothing_of_our_environment_but_its_job() {
    let house = House::new();
    let _worker = run(&house, shell());
    let result = house.result_of("command", &script("env | sort; pwd")).await;
    let out = stdout(&result);
    let names: Vec<&str> = out
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    assert_eq!(
        names,
        [
            "LC_ALL",
            "LEDGERLINE_ATTEMPT",
            "LEDGERLINE_JOB",
            "LEDGERLINE_TENANT",
            "PATH",
            "PWD",
            "TZ",
            "/"
        ],
        "{out}"
    );
}

#[tokio::test]
async fn only_programs_of_the_allow_list_are_run_by_their_whole_path() {
    let house = House::new();
    let _worker = run(&house, shell());
    for program in [
        "/bin/true",
        "sh",
        "/bin/./sh",
        "/bin/../bin/sh",
        "/bin/sh ",
        "",
    ] {
        let payload = json!({ "program": program }).to_string();
        let (error, retryable) = house.failure_of("command", &payload).await;
        assert_eq!(
            error,
            format!("program `{program}` is not on the allow-list")
        );
        assert!(!retryable);
    }
    let relative = CommandSettings::new(vec![PathBuf::from("sh")], shim());
    let refused = Worker::new(with(relative), house.parts.clone()).err();
    assert!(matches!(refused, Some(InvalidSettings::Program(_))));
}

#[tokio::test]
async fn a_program_that_fails_may_be_tried_again_and_says_why() {
    let house = House::new();
    let _worker = run(&house, shell());
    let failing = script("echo out; echo 'no space left' >&2; exit 3");
    let (error, retryable) = house.failure_of("command", &failing).await;
    assert_eq!(error, "`/bin/sh` ended with exit status: 3: no space left");
    assert!(retryable);
    let (error, retryable) = house.failure_of("command", &script("kill -9 $$")).await;
    assert!(error.contains("signal: 9"), "{error}");
    assert!(retryable);
}

#[tokio::test]
async fn a_program_over_its_time_is_killed_with_all_that_it_started() {
    let house = House::new();
    let _worker = run(
        &house,
        CommandSettings {
            time_max: Duration::from_millis(500),
            ..shell()
        },
    );
    let told = fresh_path("overtime");
    let child = format!("sleep 1000 & echo $! > {}; wait", told.display());
    let (error, retryable) = house.failure_of("command", &script(&child)).await;
    assert_eq!(
        error,
        "`/bin/sh` was killed after `0.5` s, the limit of its time"
    );
    assert!(retryable);
    let killed = async { until_gone(&line_of(&told).await).await };
    house.wait("killed", killed).await;
    std::fs::remove_file(told).expect("removed");
}

#[tokio::test]
async fn a_program_whose_job_is_cancelled_is_killed_with_all_that_it_started() {
    let house = House::new();
    let _worker = run(&house, shell());
    let told = fresh_path("cancelled");
    let child = format!("sleep 1000 & echo $! > {}; wait", told.display());
    let id = house.enqueue("command", &script(&child)).await;
    let pid = house.wait("told", line_of(&told)).await;
    let cancel = Command::Cancel { reason: None };
    house.say(id, cancel).await.expect("cancelled");
    house.wait("killed", until_gone(&pid)).await;
    std::fs::remove_file(told).expect("removed");
}

#[tokio::test]
async fn the_programs_of_a_worker_that_is_gone_are_killed() {
    let house = House::new();
    let worker = run(&house, shell());
    let told = fresh_path("gone");
    let child = format!("sleep 1000 & echo $! > {}; wait", told.display());
    house.enqueue("command", &script(&child)).await;
    let pid = house.wait("told", line_of(&told)).await;
    worker.task.abort();
    house.wait("killed", until_gone(&pid)).await;
    std::fs::remove_file(told).expect("removed");
}

#[tokio::test]
async fn a_program_that_is_not_there_may_be_on_another_machine() {
    let house = House::new();
    let missing = PathBuf::from("/nowhere/program");
    let _worker = run(&house, CommandSettings::new(vec![missing], shim()));
    let payload = json!({"program": "/nowhere/program"}).to_string();
    let (error, retryable) = house.failure_of("command", &payload).await;
    assert_eq!(
        error,
        "program `/nowhere/program` is not on the machine of this worker"
    );
    assert!(retryable);
}

#[tokio::test]
async fn what_a_program_leaves_running_is_killed_at_its_end() {
    let house = House::new();
    let _worker = run(&house, shell());
    let result = house
        .result_of("command", &script("sleep 1000 & echo $!"))
        .await;
    let pid = stdout(&result).trim();
    assert!(pid.parse::<u32>().is_ok(), "{pid}");
    house.wait("killed", until_gone(pid)).await;
}

#[tokio::test]
async fn of_much_output_the_beginning_is_kept_and_the_program_is_not_held_up() {
    let house = House::new();
    let _worker = run(&house, shell());
    let much = "head -c 5000000 /dev/zero | tr '\\0' x; echo small >&2";
    let result = house.result_of("command", &script(much)).await;
    assert_eq!(result["truncated"], true);
    assert_eq!(result["stdout"].as_str().map(str::len), Some(20 * 1024));
    assert_eq!(result["stderr"], "small\n");
    let control = "head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2";
    let result = house.result_of("command", &script(control)).await;
    assert_eq!(result["truncated"], true);
}

#[tokio::test]
async fn a_program_that_reads_nothing_gets_by_with_much_input() {
    let house = House::new();
    let _worker = run(&house, shell());
    let payload = json!({"program": SH, "args": ["-c", ":"], "stdin": "x".repeat(200_000)});
    let result = house.result_of("command", &payload.to_string()).await;
    assert_eq!(result["exit_code"], 0);
}

#[tokio::test]
async fn a_program_over_its_memory_fails_and_one_within_does_not() {
    let house = House::new();
    let _worker = run(
        &house,
        CommandSettings {
            memory_bytes_max: 64 << 20,
            ..shell()
        },
    );
    // `dd` takes its whole block into memory.
    let takes = |mebibytes: u32| {
        script(&format!(
            "dd if=/dev/zero of=/dev/null bs={mebibytes}M count=1 2>&1"
        ))
    };
    let result = house.result_of("command", &takes(16)).await;
    assert_eq!(result["exit_code"], 0);
    let (error, retryable) = house.failure_of("command", &takes(128)).await;
    assert!(error.contains("exit status: 1"), "{error}");
    assert!(retryable);
    let little = CommandSettings {
        memory_bytes_max: 1 << 20,
        ..shell()
    };
    let refused = Worker::new(with(little), house.parts.clone()).err();
    assert!(matches!(refused, Some(InvalidSettings::Memory { .. })));
}
