//! Ends of a worker: told to stop, or gone without a word.

use std::time::Duration;

use infra::worker::Settings;
use tokio::time::Instant;

use crate::rig::{House, name, settings};

#[tokio::test(start_paused = true)]
async fn a_stop_lets_short_work_end_and_releases_long_work() {
    let house = House::in_still_time();
    let worker = house.run(settings());
    let short = house.enqueue("sleep", r#"{"ms":30000}"#).await;
    let long = house.enqueue("sleep", r#"{"ms":3600000}"#).await;
    house.until(short, "started").await;
    house.until(long, "started").await;
    let begun = Instant::now();
    worker.stop().await;
    let took = begun.elapsed();
    // As long as it was given, and more than six leases: heartbeats went on.
    assert!((60..62).contains(&took.as_secs()), "{took:?}");
    let completed = ["enqueued", "started", "completed"];
    assert_eq!(house.history(short).await, completed);
    let released = ["enqueued", "started", "released"];
    assert_eq!(house.history(long).await, released);
    // And another has it at once.
    let begun = Instant::now();
    let _next = house.run(Settings {
        worker: name("w2"),
        ..settings()
    });
    house.until(long, "completed").await;
    assert!(begun.elapsed() < Duration::from_secs(3_601));
}

#[tokio::test(start_paused = true)]
async fn after_a_stop_nothing_is_claimed() {
    let house = House::in_still_time();
    let worker = house.run(settings());
    let running = house.enqueue("sleep", r#"{"ms":30000}"#).await;
    house.until(running, "started").await;
    let (late, ()) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            house.enqueue("noop", "null").await
        },
        worker.stop()
    );
    assert_eq!(house.history(running).await.last(), Some(&"completed"));
    assert_eq!(house.history(late).await, ["enqueued"]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_work_stops_at_once() {
    let house = House::in_still_time();
    let worker = house.run(settings());
    let id = house.enqueue("noop", "null").await;
    house.until(id, "completed").await;
    let begun = Instant::now();
    worker.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_jobs_of_a_worker_that_is_gone_go_to_the_next_after_their_lease() {
    let house = House::in_still_time();
    let worker = house.run(settings());
    let id = house.enqueue("sleep", r#"{"ms":60000}"#).await;
    house.until(id, "started").await;
    worker.task.abort();
    let gone = Instant::now();
    let _next = house.run(Settings {
        worker: name("w2"),
        ..settings()
    });
    house.until(id, "timed_out").await;
    let silent = gone.elapsed();
    assert!((8..10).contains(&silent.as_secs()), "{silent:?}");
    house.until(id, "completed").await;
    assert_eq!(
        house.history(id).await,
        [
            "enqueued",
            "started",
            "timed_out",
            "retried",
            "started",
            "completed"
        ]
    );
}
