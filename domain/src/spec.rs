//! Given these events, when this command comes, then these events follow.

use crate::{Aggregate, Context, Name, Text, Timestamp};

/// The aggregate after `events`, all of which happened at 09:00.
pub(crate) fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let mut state = A::default();
    for event in events {
        state.evolve(&event, time("09:00"));
    }
    Given {
        state,
        context: Context::at(time("10:00")),
    }
}

/// A history; the next decision is made at 10:00.
pub(crate) struct Given<A> {
    state: A,
    context: Context,
}

/// What came of a command.
pub(crate) struct Then<A: Aggregate> {
    outcome: Result<Vec<A::Event>, A::Refusal>,
}

impl<A: Aggregate> Given<A> {
    pub(crate) fn happened(mut self, at: &str, event: A::Event) -> Self {
        self.state.evolve(&event, time(at));
        self
    }

    pub(crate) fn when(self, command: A::Command) -> Then<A> {
        Then {
            outcome: self.state.decide(&command, &self.context),
        }
    }
}

impl<A: Aggregate> Then<A> {
    #[track_caller]
    pub(crate) fn then(self, events: impl IntoIterator<Item = A::Event>) {
        assert_eq!(self.outcome, Ok(events.into_iter().collect()));
    }

    #[track_caller]
    pub(crate) fn then_nothing(self) {
        assert_eq!(self.outcome, Ok(vec![]));
    }

    #[track_caller]
    pub(crate) fn then_refused(self, refusal: A::Refusal) {
        assert_eq!(self.outcome, Err(refusal));
    }
}

/// A time of 2026-01-05, as `09:30`.
pub(crate) fn time(hour: &str) -> Timestamp {
    format!("2026-01-05T{hour}:00Z")
        .parse()
        .expect("an hour and a minute")
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub(crate) fn text<const BYTES_MAX: usize, const LINES: bool>(
    text: &str,
) -> Text<BYTES_MAX, LINES> {
    Text::new(text).expect("a text")
}
