//! A steady load for some minutes: what it does to memory, and whether what follows the journal keeps up.
//!
//! - [`load`]: commands, queries and jobs at fixed rates, whether or not earlier ones are done.
//! - [`sample`]: what is looked at each second, a line of `soak.csv`.
//! - [`verdict`]: the figures that come of the samples.
//! - [`picture`], [`chart`]: lines over time, as `soak.svg`.
//!
//! The journal is filled before, so that the program's caches are full and what still grows is no cache.
//! The first third of the samples is a warm-up and belongs to no figure.

mod chart;
mod load;
mod picture;
mod sample;
mod verdict;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::FutureExt as _;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, timeout};

use self::load::Window;
use self::sample::{Sample, Seen};
use super::visits::Idle;
use super::{Bench, Told, rebuild};

/// Events in the journal before: those of 50,000 assignments, as many as the states' cache holds.
pub(super) const EVENTS_BEFORE: u64 = 250_000;

/// The shortest soak: a sample for each third.
pub const MINUTES_MIN: f64 = 0.05;

/// Commands a second, unless others are asked for: a busy house, and well below what the program can do, so
/// that what grows does not grow for want of speed.
pub const RATE: usize = 200;

/// The most that may be asked for: past that nobody keeps up, and the load measures itself.
pub const RATE_MAX: usize = 10_000;

/// The longest: a day, the samples of which are still a small file.
pub const MINUTES_MAX: f64 = 1_440.0;

/// The time between two samples.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// How long looking may take. What takes longer is a sample that is missed.
const SAMPLE_MAX: Duration = Duration::from_secs(10);

/// How many samples may be missed in a row: a minute or more, in which a program is started again.
const MISSED_MAX: u32 = 60;

/// One for each third.
const SAMPLES_MIN: usize = 3;

/// How often progress is told.
const TOLD_TIMES: u32 = 20;

/// What is asked for.
#[derive(Debug)]
pub struct Soak {
    /// How long the load lasts.
    pub minutes: f64,
    /// Commands a second.
    pub rate: usize,
    /// Where its samples and its picture go.
    pub files: Files,
}

/// `soak.csv`, written sample by sample, and `soak.svg`, drawn at the end.
#[derive(Debug)]
pub struct Files {
    samples: File,
    picture: PathBuf,
}

impl Files {
    /// In `folder`, which is made if it is not there. Files of an earlier soak are replaced.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn create(folder: &Path) -> anyhow::Result<Self> {
        let doing = || format!("write into `{}`", folder.display());
        fs::create_dir_all(folder).with_context(doing)?;
        let mut samples = File::create(folder.join("soak.csv")).with_context(doing)?;
        writeln!(samples, "{}", sample::HEADER).with_context(doing)?;
        Ok(Self {
            samples,
            picture: folder.join("soak.svg"),
        })
    }

    fn add(&self, sample: &Sample) -> anyhow::Result<()> {
        writeln!(&self.samples, "{}", sample.line()).context("write `soak.csv`")
    }

    fn draw(&self, samples: &[Sample], rate: usize, profile: &str) -> anyhow::Result<()> {
        let doing = || format!("write `{}`", self.picture.display());
        fs::write(&self.picture, picture::of(samples, rate, profile)).with_context(doing)
    }
}

/// Fills the journal, keeps the load up, takes samples, and judges them.
pub(super) async fn steady(
    bench: &Bench<'_>,
    soak: &Soak,
    told: &mut Told<'_>,
) -> anyhow::Result<()> {
    rebuild::fill_journal(bench).await?;
    let idle = Idle::opened(&bench.target).await?;
    let window = Arc::new(Window::default());
    let load = load::start(bench, soak.rate, &idle, &window);
    let samples = tokio::select! {
        samples = watch(bench, soak, &window) => samples?,
        ended = load => match ended? {},
    };
    ensure!(
        samples.len() >= SAMPLES_MIN,
        "the program was looked at `{}` times only, and turned the rest away: it is overloaded at \
         `{}` commands/s",
        samples.len(),
        soak.rate,
    );
    let profile = &told.run.build.profile;
    soak.files.draw(&samples, soak.rate, profile)?;
    let visible_ms = window.all_visible_ms();
    told.add(verdict::memory_growth(&samples, soak.rate))?;
    told.add(verdict::lag_p99(&samples, &visible_ms))
}

/// Samples of the program under the load, as long as that is to last.
async fn watch(bench: &Bench<'_>, soak: &Soak, window: &Window) -> anyhow::Result<Vec<Sample>> {
    let lasts = Duration::from_secs_f64(soak.minutes * 60.0);
    let started = Instant::now();
    let mut ticks = interval_at(started + SAMPLE_EVERY, SAMPLE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tell = interval(lasts / TOLD_TIMES);
    let mut samples = Vec::new();
    let mut missed = 0;
    while started.elapsed() < lasts {
        ticks.tick().await;
        // A program that is overloaded turns this away, too; one that is gone does so for ever.
        let seen = timeout(SAMPLE_MAX, Seen::of(bench)).await;
        let seen = match seen.context("the program does not answer").flatten() {
            Err(error) if missed >= MISSED_MAX => return Err(error),
            Err(_) => {
                missed += 1;
                window.fail();
                continue;
            }
            Ok(seen) => seen,
        };
        missed = 0;
        let sample = Sample::of(started.elapsed(), &seen, &window.take());
        soak.files.add(&sample)?;
        if tell.tick().now_or_never().is_some() {
            bench.progress.step(&sample.told());
        }
        samples.push(sample);
    }
    Ok(samples)
}
