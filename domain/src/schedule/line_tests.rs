//! Cron lines of anybody's making, and how much one decision looks at.

use proptest::prelude::*;
use uuid::Uuid;

use super::{Command, CronLine, Event, Recurrence, Schedule, SkipCause, Spec};
use crate::{Aggregate, Context, Timestamp};

/// A line made of what lines are made of, most of which mean nothing.
fn any_line() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("*".to_owned()),
        "[0-9]{1,2}",
        "[0-9]{1,2}-[0-9]{1,2}",
        "(\\*|[0-9]{1,2}-[0-9]{1,2})/[0-9]{1,2}",
        "(MON|SUN|fri|JAN|[0-7])#[0-9]",
        "(L|W|LW|[0-9]{1,2}[LW]|\\?|MON-FRI)",
        "[0-9*/,#LW?-]{0,6}",
    ];
    prop::collection::vec(part, 3..8).prop_map(|parts| parts.join(" "))
}

fn recurrence(line: &str) -> Option<Recurrence> {
    let line = CronLine::try_from(line.to_owned()).ok()?;
    let time_zone = "America/New_York".to_owned().try_into().expect("a zone");
    Some(Recurrence::Cron { line, time_zone })
}

proptest! {
    #[test]
    fn no_line_panics_and_the_next_time_of_each_lies_ahead(
        line in prop_oneof![any_line(), ".{0,40}"],
        second in -60_000_000_000_i64..250_000_000_000,
    ) {
        let after = Timestamp::from_second(second).expect("a time");
        if let Some(next) = recurrence(&line).and_then(|line| line.next(after, None)) {
            prop_assert!(next > after, "`{line}`: {next} is not behind {after}");
        }
    }
}

#[test]
fn a_line_that_no_day_fits_is_refused() {
    for line in [
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 0 31 2 *",
        "* * 30 2 *",
    ] {
        assert!(recurrence(line).is_none(), "{line}");
    }
    // What is rare is taken: this one comes some times a century.
    assert!(recurrence("0 0 29 2 *").is_some());
}

/// A decision has an end however many times have passed: the rest is the next one's.
#[test]
fn a_schedule_that_was_off_for_a_year_is_decided_on_by_and_by() {
    let spec: Spec = serde_json::from_str(
        r#"{"name":"often","job":{"queue":"q","kind":"k"},"recurrence":{"type":"every","interval_ms":1000}}"#,
    )
    .expect("a spec");
    let begin = Timestamp::from_second(1_700_000_000).expect("a time");
    let now = Timestamp::from_second(1_731_536_000).expect("a year later");
    let mut schedule = Schedule::default();
    let (id, spec) = (Uuid::nil(), Box::new(spec));
    schedule.evolve(&Event::Created { id, spec }, begin);
    for decision in 1..=3 {
        let events = schedule
            .decide(&Command::Fire, &Context::at(now))
            .expect("due");
        let due = Timestamp::from_second(1_700_000_000 + 20_000 * decision).expect("a time");
        let cause = SkipCause::Missed;
        let count = 20_000;
        assert_eq!(events, [Event::Skipped { due, count, cause }]);
        schedule.evolve(&events[0], now);
    }
}
