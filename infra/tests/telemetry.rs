//! Metrics in a process of their own: there is one recorder in each.

use std::time::Duration;

use infra::telemetry::{count_metrics, start_metrics};
use tokio_util::sync::CancellationToken;

/// Values that a histogram is told: kept one by one, they are 64 MB and more.
const VALUES: usize = 8_000_000;

/// Values between two times at which they are counted.
const CHUNK: usize = 80_000;

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.and_then(|kib| kib.parse().ok()).expect("a number")
}

#[tokio::test(start_paused = true)]
async fn metrics_that_nobody_asks_for_take_no_more_and_more_memory() {
    let metrics = start_metrics().expect("nobody has started them");
    let stop = CancellationToken::new();
    let counting = tokio::spawn(count_metrics(metrics.clone(), stop.clone()));
    let histogram = metrics::histogram!("ledgerline_test_seconds");
    let before = resident_kib();
    for _ in 0..VALUES / CHUNK {
        for _ in 0..CHUNK {
            histogram.record(0.003);
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    let grown_kib = resident_kib().saturating_sub(before);
    assert!(grown_kib < 16 * 1024, "`{grown_kib}` KiB");
    stop.cancel();
    counting.await.expect("it ends");
    let line = format!("ledgerline_test_seconds_count {VALUES}");
    assert!(metrics.render().contains(&line), "{}", metrics.render());
}
