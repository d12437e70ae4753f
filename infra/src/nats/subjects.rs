//! Subjects: what stands between the dots.
//!
//! Every token comes from a [`domain::Token`], whose alphabet has neither dots nor wildcards.

use commands::feed::{FeedEvent, FeedFilter};
use domain::{StreamId, Token};

/// `<prefix>.<tenant>.<category>.<id>`
pub(super) fn of_stream(prefix: &str, stream: &StreamId) -> String {
    let (tenant, category, id) = (
        stream.tenant.as_str(),
        stream.category.as_str(),
        stream.id.as_str(),
    );
    [prefix, tenant, category, id].join(".")
}

/// Reads what [`of_stream`] wrote.
pub(super) fn stream_of(prefix: &str, subject: &str) -> Option<StreamId> {
    let stream = subject.strip_prefix(prefix)?.strip_prefix('.')?;
    stream.parse().ok()
}

/// `<prefix>.<tenant>.<category>.<event>.<id>`
pub(super) fn of_event(prefix: &str, event: &FeedEvent) -> String {
    let FeedEvent {
        tenant,
        category,
        event,
        id,
        ..
    } = event;
    let [tenant, category, event, id] = [
        tenant.as_str(),
        category.as_str(),
        event.as_str(),
        id.as_str(),
    ];
    [prefix, tenant, category, event, id].join(".")
}

/// The subjects that a subscriber asks for.
pub(super) fn of_filter(prefix: &str, filter: &FeedFilter) -> String {
    let any = |token: &Option<Token>| token.as_ref().map_or("*", Token::as_str).to_owned();
    let (category, event, id) = (any(&filter.category), any(&filter.event), any(&filter.id));
    format!("{prefix}.{}.{category}.{event}.{id}", filter.tenant)
}

#[cfg(test)]
mod tests {
    use domain::Tenant;

    use super::*;

    #[test]
    fn a_stream_is_read_from_its_subject() {
        let stream: StreamId = "t.assignment.1".parse().expect("three tokens");
        let subject = of_stream("journal", &stream);
        assert_eq!(subject, "journal.t.assignment.1");
        assert_eq!(stream_of("journal", &subject), Some(stream));
        for bad in [
            "journal.t.a",
            "journal.t.a.*",
            "journal.t.a.1.2",
            "other.t.a.1",
            "journalt.a.1",
        ] {
            assert_eq!(stream_of("journal", bad), None, "{bad}");
        }
    }

    #[test]
    fn a_filter_that_names_nothing_still_names_its_tenant() {
        let filter = FeedFilter::of(Tenant::new("t").expect("a plain word is a token"));
        assert_eq!(of_filter("feed", &filter), "feed.t.*.*.*");
    }
}
