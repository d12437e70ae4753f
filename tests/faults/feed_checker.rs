//! Compares the feed with the journal: every event once, in order. It knows the form of both from the
//! documentation and shares no code with the program. Its own test is at its end.

use ledgerline_check::Commit;
#[cfg(test)]
use ledgerline_check::journal::Event;

use crate::support::nats::Stored;

/// What is wrong with the feed: every event of the journal once, in order.
pub(crate) fn feed_findings(journal: &[Commit], feed: &[Stored]) -> Vec<String> {
    let wanted = journal.iter().flat_map(|commit| {
        let events = commit.events.iter().zip(0_u32..);
        events.map(|(event, index)| {
            (
                format!("{}.{index}", commit.position),
                event.name.clone(),
                commit.id().to_owned(),
            )
        })
    });
    let has = feed.iter().map(|message| {
        let mut subject = message.subject.rsplit('.');
        let id = subject.next().unwrap_or_default().to_owned();
        let event = subject.next().unwrap_or_default().to_owned();
        (message.attribute("id"), event, id)
    });
    let (wanted, has): (Vec<_>, Vec<_>) = (wanted.collect(), has.collect());
    let pairs = wanted.iter().zip(&has);
    let mut found: Vec<String> = pairs
        .filter(|(wanted, has)| wanted != has)
        .take(3)
        .map(|(wanted, has)| format!("feed has {has:?} in the place of {wanted:?}"))
        .collect();
    if wanted.len() != has.len() {
        found.push(format!(
            "feed has {} events, the journal {}",
            has.len(),
            wanted.len()
        ));
    }
    found
}

#[test]
fn a_feed_with_a_gap_a_double_or_another_order_is_seen() {
    let commit = |position: u64| Commit {
        position,
        stream: format!("t.assignment.a{position}"),
        command: format!("c{position}"),
        principal: "tester".to_owned(),
        version: 0,
        events: vec![Event {
            name: "noted".to_owned(),
            data: serde_json::Value::Null,
        }],
        chain: String::new(),
        payload: Vec::new(),
    };
    let journal: Vec<Commit> = (1..=4).map(commit).collect();
    let message = |commit: &Commit| Stored {
        sequence: commit.position,
        subject: format!("feed.t.assignment.noted.{}", commit.id()),
        headers: async_nats::HeaderMap::new(),
        payload: format!(r#"{{"id":"{}.0"}}"#, commit.position).into(),
    };
    let whole: Vec<Stored> = journal.iter().map(message).collect();
    assert_eq!(feed_findings(&journal, &whole), Vec::<String>::new());
    let mut gap = whole.clone();
    gap.remove(1);
    let mut double = whole.clone();
    double.insert(1, whole[0].clone());
    let mut order = whole;
    order.swap(0, 3);
    for damaged in [gap, double, order] {
        assert!(!feed_findings(&journal, &damaged).is_empty());
    }
}
