//! The files of an import: the mapping at once, the log case by case.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use domain::Timestamp;
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use crate::import::mapping::{MAPPING_BYTES_MAX, Mapping};
use crate::import::plan::{CasePlan, Planner};
use crate::import::xes::LogReader;

/// Reads the mapping.
pub(super) fn mapping(path: &Path) -> anyhow::Result<Mapping> {
    let name = || format!("read mapping `{}`", path.display());
    let mut yaml = String::new();
    let file = File::open(path).with_context(name)?;
    // One byte more than it may have, so that a longer one is seen to be longer.
    file.take(MAPPING_BYTES_MAX as u64 + 1)
        .read_to_string(&mut yaml)
        .with_context(name)?;
    Mapping::from_yaml(&yaml).with_context(name)
}

/// Reads the log, plans its cases and hands them on, until its end or until nobody takes them any
/// more. Blocks; `bar` shows the bytes read of the file as it lies on disk.
pub(super) fn log(
    path: &Path,
    bar: &ProgressBar,
    mapping: &Mapping,
    now: Timestamp,
    cases: &mpsc::Sender<CasePlan>,
) -> anyhow::Result<()> {
    let file = File::open(path)?;
    bar.set_length(file.metadata()?.len());
    let mut log = LogReader::new(bar.wrap_read(file))?;
    let planner = Planner::new(mapping, now);
    while let Some(trace) = log.next_trace()? {
        let case = planner.plan(&trace, log.header());
        if cases.blocking_send(case).is_err() {
            return Ok(());
        }
    }
    Ok(())
}
