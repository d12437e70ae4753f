//! What a mapping may say, and how it is told that it may not.

use std::time::{Duration, Instant};

use super::*;
use crate::import::xes::{Attribute, Attributes, Value};

const EXAMPLE: &str = include_str!("../../../examples/bpi2013-mapping.yaml");

const SMALL: &str = r#"source: log
case: {id: "{concept:name}"}
request: {title: "{concept:name}", kind: k, group: g}
event: {time: "{time:timestamp}", actor: "{org:resource}", group: g, note: n}
steps:
  - when: {concept:name: a}
    do: [note]
otherwise: reject
"#;

fn attributes(pairs: &[(&str, &str)]) -> Attributes {
    let attribute = |(key, value): &(&str, &str)| Attribute {
        key: (*key).to_owned(),
        value: Value::Text((*value).to_owned()),
        children: Attributes::default(),
    };
    Attributes(pairs.iter().map(attribute).collect())
}

fn template(text: &str) -> Template {
    Template::try_from(text.to_owned()).expect("a sound template")
}

fn problem(yaml: &str) -> (u64, String) {
    match Mapping::from_yaml(yaml).expect_err(yaml) {
        MappingError::Wrong { line, problem, .. } => (line, problem),
        too_long @ MappingError::TooLong { .. } => (0, too_long.to_string()),
    }
}

#[test]
fn the_example_is_a_mapping() {
    let mapping = Mapping::from_yaml(EXAMPLE).expect("the example is sound");
    assert_eq!(mapping.source.as_str(), "bpi2013");
    assert_eq!(mapping.otherwise, Otherwise::Reject);
}

#[test]
fn a_mistake_is_told_with_its_line_and_its_field() {
    Mapping::from_yaml(SMALL).expect("a sound mapping");
    for (line, from, to, expected) in [
        (1, "source: log", "source: a b", "must hold only letters"),
        (
            2,
            "id: \"{concept:name}\"",
            "id: \"{concept:name\"",
            "`{` that is not closed",
        ),
        (2, "case: {id", "case: {ids", "ids"),
        (3, "kind: k", "kind: k, kin: k", "kin"),
        (3, "kind: k", "kind: \"  \"", "must not be blank"),
        (
            3,
            "kind: k",
            "kind: k, priority: {from: x, map: {a: 9}, default: 3}",
            "`1` to `5`",
        ),
        (
            4,
            "note: n",
            "note: n, zone: Europe/Brussels",
            "neither `UTC` nor an offset",
        ),
        (4, "note: n", "group: g", "duplicate"),
        (6, "concept:name: a", "concept:name: 5", "in quotes"),
        (7, "do: [note]", "do: [notes]", "unknown variant `notes`"),
        (7, "do: [note]", "do: [{note: {txt: a}}]", "txt"),
        (7, "do: [note]", "do: [hold]", "`hold` needs a reason"),
        (
            7,
            "do: [note]",
            "do: [{close: {reason: a}}]",
            "`close` takes no fields",
        ),
        (7, "do: [note]", "do: []", "at least one action"),
        (7, "do: [note]", "do: [note]\n    unchanged: maybe", "maybe"),
        (8, "reject", "drop", "drop"),
    ] {
        let yaml = SMALL.replace(from, to);
        assert_ne!(yaml, SMALL, "{from}");
        let (at, problem) = problem(&yaml);
        assert!(problem.contains(expected), "{to}: {problem}");
        // A value checked after it was read is told with the line of what contains it.
        assert!(
            at == line || at + 1 == line || at == line + 1,
            "{to}: line {at}: {problem}"
        );
    }
    let (_, missing) = problem(&SMALL.replace("otherwise: reject", ""));
    assert!(missing.contains("otherwise"), "{missing}");
}

const TRIES: usize = 20;

fn refusal_time(yaml: &str) -> Duration {
    let begin = Instant::now();
    Mapping::from_yaml(yaml).expect_err("it is hostile");
    begin.elapsed()
}

#[test]
fn hostile_yaml_is_refused_in_no_time() {
    let bomb = {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let below = level - 1;
            let ten = vec![format!("*a{below}"); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{ten}]\n"));
        }
        format!("{text}steps: *a11\n")
    };
    let bomb_in_steps = format!(
        "{}  - &s {{when: {{a: &l [{}]}}, do: [note]}}\n{}",
        SMALL.replace("otherwise: reject\n", ""),
        vec!["x"; 1_000].join(", "),
        "  - *s\n".repeat(90)
    );
    for yaml in [
        bomb,
        bomb_in_steps,
        "[".repeat(100_000),
        "{a: ".repeat(30_000),
        "- ".repeat(60_000),
        format!("a: {}", "\"x".repeat(50_000)),
        "? ".repeat(60_000),
        "&a ".repeat(40_000),
        "x: y\n".repeat(25_000),
        (0..10_000)
            .map(|number| format!("k{number}: v\n"))
            .collect(),
        "--- a\n".repeat(20_000),
        "#x\n".repeat(40_000),
        format!("source: {}", "x".repeat(MAPPING_BYTES_MAX)),
        "<<: {source: a}\n".to_owned(),
    ] {
        // The quickest of several tries: the others tell of the machine, not of the mapping.
        let took = (0..TRIES)
            .map(|_| refusal_time(&yaml))
            .min()
            .unwrap_or_default();
        let head: String = yaml.chars().take(20).collect();
        assert!(took < Duration::from_millis(50), "{head} took {took:?}");
    }
}

#[test]
fn a_template_takes_values_defaults_and_escapes() {
    let trace = attributes(&[("name", "T-1"), ("blank", "  ")]);
    let event = attributes(&[("name", "Queued"), ("who", "Ann"), ("a|b}", "odd")]);
    let none = Attributes::default();
    let facts = Facts {
        trace: &trace,
        event: &event,
        trace_globals: &none,
        event_globals: &none,
    };
    for (text, order, expected) in [
        ("plain", Order::Event, "plain"),
        ("{name}", Order::Event, "Queued"),
        ("{name}", Order::TraceThenEvent, "T-1"),
        ("{who}", Order::TraceThenEvent, "Ann"),
        ("{trace.name}: {event.name}", Order::Event, "T-1: Queued"),
        ("{role|no\\|body}", Order::Event, "no|body"),
        ("{trace.blank|none}", Order::Event, "none"),
        ("{role|}!", Order::Event, "!"),
        ("\\{{who}\\}\\\\", Order::Event, "{Ann}\\"),
        ("{a\\|b\\}}", Order::Event, "odd"),
    ] {
        assert_eq!(
            template(text).fill(&facts, order).as_deref(),
            Ok(expected),
            "{text}"
        );
    }
    let missing = template("{who} {role}").fill(&facts, Order::Event);
    assert_eq!(missing, Err(Missing("role".to_owned())));
    assert_eq!(
        template("{who}").fill(&facts, Order::Trace),
        Err(Missing("who".to_owned()))
    );
}

#[test]
fn what_is_no_template_is_refused() {
    for text in [
        "{", "}", "{}", "{ }", "{a", "{a|b", "{a{b}}", "a}b", "\\n", "a\\", "", " ",
    ] {
        assert!(Template::try_from(text.to_owned()).is_err(), "{text}");
    }
    assert!(Template::try_from("{a}".repeat(101)).is_err());
}

#[test]
fn defaults_of_the_log_come_last() {
    let (none, event) = (Attributes::default(), attributes(&[("a", "own")]));
    let globals = attributes(&[("a", "default a"), ("b", "default b")]);
    let facts = Facts {
        trace: &none,
        event: &event,
        trace_globals: &none,
        event_globals: &globals,
    };
    let filled = template("{a} {b}").fill(&facts, Order::Event);
    assert_eq!(filled.as_deref(), Ok("own default b"));
}

#[test]
fn a_star_stands_for_any_characters() {
    for (pattern, fitting, other) in [
        ("Wait", &["Wait"][..], &["Wait - x", "wait", ""][..]),
        ("Wait*", &["Wait", "Wait - x"], &["Awaiting", "Wai"]),
        ("*", &["", "x"], &[]),
        (
            "a*b*c",
            &["abc", "a-b-b-c", "abcbc"],
            &["ab", "acb", "abcd"],
        ),
        ("*ab*ab", &["abab", "ababab", "xabyab"], &["ab", "aba"]),
        ("ab*ba", &["abba", "abxba"], &["aba"]),
    ] {
        let pattern = Pattern(pattern.to_owned());
        assert!(fitting.iter().all(|text| pattern.fits(text)), "{pattern:?}");
        assert!(!other.iter().any(|text| pattern.fits(text)), "{pattern:?}");
    }
}
