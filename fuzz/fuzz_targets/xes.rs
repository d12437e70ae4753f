//! Any bytes as an event log, plain or gzip: read to their end or refused, and planned without a
//! panic. Small limits, so that the fuzzer reaches them.

#![no_main]

use std::io::Cursor;
use std::sync::LazyLock;

use ledgerline_fuzz::import::mapping::Mapping;
use ledgerline_fuzz::import::plan::Planner;
use ledgerline_fuzz::import::xes::{Limits, LogReader};
use libfuzzer_sys::fuzz_target;

static MAPPING: LazyLock<Mapping> = LazyLock::new(|| {
    let yaml = include_str!("../../examples/bpi2013-mapping.yaml");
    Mapping::from_yaml(yaml).expect("the example is sound")
});

const LIMITS: Limits = Limits {
    nesting_depth_max: 16,
    attributes_max: 64,
    events_per_trace_max: 64,
    text_bytes_max: 1_024,
    token_bytes_max: 4_096,
    trace_bytes_max: 65_536,
    header_entries_max: 16,
};

fuzz_target!(|bytes: &[u8]| {
    let now = "2026-01-01T00:00:00Z".parse().expect("a time");
    let planner = Planner::new(&MAPPING, now);
    let Ok(mut log) = LogReader::with_limits(Cursor::new(bytes.to_vec()), LIMITS) else { return };
    while let Ok(Some(trace)) = log.next_trace() {
        assert!(trace.events.len() <= LIMITS.events_per_trace_max);
        let plan = planner.plan(&trace, log.header());
        assert_eq!(plan.events.len(), trace.events.len());
    }
});
