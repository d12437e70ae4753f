//! How long everything takes to work again after a fault: promise P5.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::load::Load;
use crate::support::{Api, TestResult, say, until};

/// P5: commands are answered again.
const API_BACK: Duration = Duration::from_secs(3);

/// P5: what was written behind the fault can be read.
const READ_SIDE_MOVES: Duration = Duration::from_secs(5);

/// A machine that compiles and tests other things meanwhile is slower; so much slower it is not.
const NOISE: u32 = 6;

/// What was measured at each fault of one sort.
#[derive(Debug, Default)]
pub(crate) struct Recoveries {
    api: Vec<Duration>,
    read_side: Vec<Duration>,
}

impl Recoveries {
    /// Waits until a command is acknowledged and seen, and notes how long that is after `began`.
    pub(crate) async fn add(&mut self, load: &Load, api: &Api, began: Instant) -> TestResult {
        let (id, position) = load.one_more(api).await?;
        self.api.push(began.elapsed());
        let path = format!("/v1/assignments/{id}");
        until("the read side moves", async || {
            let seen = api.get_at(&path, position).await;
            Ok(matches!(seen, Ok(answer) if answer.status == 200).then_some(()))
        })
        .await?;
        self.read_side.push(began.elapsed());
        Ok(())
    }

    /// Tells the figures, and fails where one is far above what is promised.
    pub(crate) fn tell(mut self, fault: &str) -> TestResult {
        for (what, times, promised) in [
            ("a command is answered", &mut self.api, API_BACK),
            ("the read side moves", &mut self.read_side, READ_SIDE_MOVES),
        ] {
            times.sort();
            let (Some(least), Some(most)) = (times.first(), times.last()) else {
                continue;
            };
            let median = times.get(times.len() / 2).context("one is in the middle")?;
            let over = times.iter().filter(|took| **took > promised).count();
            say(&format!(
                "{what} after {fault}: {} ms at least, {} at the median, {} at most; {over} of {} over the {} ms of P5",
                least.as_millis(),
                median.as_millis(),
                most.as_millis(),
                times.len(),
                promised.as_millis(),
            ));
            let is_bounded = *most < promised * NOISE;
            anyhow::ensure!(is_bounded, "{what} only {most:?} after {fault}");
        }
        Ok(())
    }
}
