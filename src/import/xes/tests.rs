//! What the reader takes, and what it refuses, each as a claim.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

const TWO_TRACES: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- a log -->
<log xes.version="1.0" xmlns="http://www.xes-standard.org/">
  <extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>
  <global scope="event">
    <string key="concept:name" value="UNKNOWN"/>
  </global>
  <classifier name="Activity" keys="concept:name"/>
  <string key="origin" value="a &amp; b"><int key="depth" value="1"/></string>
  <trace>
    <string key="concept:name" value="one"/>
    <event>
      <string key="concept:name" value="Gr&#252;n &lt;1&gt;"/>
      <date key="time:timestamp" value="2006-01-11T15:49:42.500+01:00"/>
      <int key="count" value="-3"/>
      <float key="cost" value="1.5E2"/>
      <boolean key="done" value="true"/>
      <id key="uuid" value="x-1"/>
      <list key="people"><values><string key="p" value="a"/><string key="p" value="b"/></values></list>
      <container key="site"><string key="city" value="Ghent"/></container>
    </event>
  </trace>
  <trace><event/></trace>
</log>
"#;

fn read(log: impl Into<Vec<u8>>) -> Result<Vec<Trace>, XesError> {
    LogReader::new(io::Cursor::new(log.into()))?.collect()
}

fn read_limited(log: impl Into<Vec<u8>>, limits: Limits) -> Result<Vec<Trace>, XesError> {
    LogReader::with_limits(io::Cursor::new(log.into()), limits)?.collect()
}

fn in_event(attributes: &str) -> String {
    format!("<log><trace>\n<event>{attributes}</event>\n<event/></trace></log>")
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(text.as_bytes())
        .expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

fn first_event(traces: &[Trace]) -> &Attributes {
    traces[0].events[0]
        .content
        .as_ref()
        .expect("the event is sound")
}

#[test]
fn every_type_of_attribute_is_read_also_nested_and_in_lists() {
    let traces = read(TWO_TRACES).expect("a sound log");
    assert_eq!(traces.len(), 2);
    let name = traces[0]
        .content
        .as_ref()
        .expect("sound")
        .get("concept:name");
    assert_eq!(name, Some(&Value::Text("one".to_owned())));
    let event = first_event(&traces);
    let text = |path| event.get(path).and_then(Value::text);
    assert_eq!(text("concept:name").as_deref(), Some("Grün <1>"));
    assert_eq!(
        text("time:timestamp").as_deref(),
        Some("2006-01-11T14:49:42.5Z")
    );
    assert_eq!(event.get("count"), Some(&Value::Int(-3)));
    assert_eq!(event.get("cost"), Some(&Value::Float(150.0)));
    assert_eq!(event.get("done"), Some(&Value::Boolean(true)));
    assert_eq!(event.get("uuid"), Some(&Value::Id("x-1".to_owned())));
    assert_eq!(event.get("people"), Some(&Value::List));
    assert_eq!(text("people/p").as_deref(), Some("a"));
    assert_eq!(text("site/city").as_deref(), Some("Ghent"));
    assert_eq!(text("people"), None);
    assert_eq!(traces[1].events.len(), 1);
}

#[test]
fn the_header_keeps_extensions_classifiers_and_global_defaults() {
    let mut reader = LogReader::new(TWO_TRACES.as_bytes()).expect("a sound log");
    assert!(reader.next_trace().expect("a sound log").is_some());
    let header = reader.header();
    assert_eq!(header.extensions[0].prefix, "concept");
    assert_eq!(header.classifiers[0].keys, "concept:name");
    let default = header
        .event_globals
        .get("concept:name")
        .and_then(Value::text);
    assert_eq!(default.as_deref(), Some("UNKNOWN"));
    assert_eq!(header.trace_globals, Attributes::default());
}

#[test]
fn places_are_those_of_the_tags_in_the_file() {
    let traces = read(TWO_TRACES).expect("a sound log");
    for place in [traces[0].place, traces[0].events[0].place, traces[1].place] {
        let byte = usize::try_from(place.byte).expect("a short log");
        assert!(
            TWO_TRACES[byte..].starts_with("<trace") || TWO_TRACES[byte..].starts_with("<event")
        );
        let line = TWO_TRACES[..byte].matches('\n').count() + 1;
        assert_eq!(place.line, line as u64);
    }
}

#[test]
fn gzip_is_known_by_its_first_bytes_and_read_through_several_members() {
    let (first, second) = TWO_TRACES.split_at(700);
    let mut members = gzip(first);
    members.extend(gzip(second));
    let plain = read(TWO_TRACES).expect("a sound log");
    assert_eq!(read(members).expect("a sound log"), plain);
}

#[test]
fn a_gzip_cut_off_anywhere_is_said_to_be_cut_off_with_its_place() {
    let whole = gzip(TWO_TRACES);
    for length in [whole.len() / 2, whole.len() - 1] {
        let error = read(&whole[..length]).expect_err("it is cut off");
        assert!(
            matches!(error, XesError::CompressedCutOff { .. }),
            "{error}"
        );
    }
    let mut damaged = whole.clone();
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 0xff;
    let error = read(damaged).expect_err("its checksum is wrong");
    assert!(
        matches!(error, XesError::CompressedDamaged { .. }),
        "{error}"
    );
}

#[test]
fn a_log_that_ends_too_early_names_where() {
    for log in [
        "<log>",
        "<log><trace>\n<event>",
        "<log><trace>\n<event><string key='a' val",
    ] {
        let error = read(log).expect_err("it ends too early");
        let place = match error {
            XesError::EndsInside { place } | XesError::Xml { place, .. } => place,
            other => panic!("{other}"),
        };
        assert_eq!(place.line as usize, log.lines().count());
    }
}

#[test]
fn what_is_no_well_formed_log_is_refused() {
    for (log, expected) in [
        ("", "no XES log"),
        ("just text", "no XES log"),
        ("<html><body/></html>", "its root is `html`"),
        ("<trace/>", "no XES log"),
        (
            "<log><trace></log>",
            "no well-formed XML at line 1, byte 12",
        ),
        ("<log></log><log/>", "second root"),
        (
            "<log><trace><string key='a' key='b' value='c'/></trace></log>",
            "no well-formed XML",
        ),
        (
            "<log><trace><string key='a' value='&unknown;'/></trace></log>",
            "no well-formed XML",
        ),
        (
            "<?xml version='1.0' encoding='ISO-8859-1'?><log/>",
            "not in UTF-8 but in `ISO-8859-1`",
        ),
        ("\u{feff}<!DOCTYPE log><log/>", "document type"),
    ] {
        let error = read(log).expect_err(log).to_string();
        assert!(error.contains(expected), "{log}: {error}");
    }
    let error = read(b"<log>\xff\xfe</log>".to_vec()).expect_err("no UTF-8");
    assert!(error.to_string().contains("line 1, byte 5"), "{error}");
    let error = read(b"\xff\xfe<\0l\0".to_vec()).expect_err("UTF-16");
    assert!(error.to_string().contains("UTF-16LE"), "{error}");
}

#[test]
fn entities_are_never_expanded() {
    let bomb = "<!DOCTYPE log [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;&a;'>]>\n\
                <log><trace><string key='x' value='&b;'/></trace></log>";
    let error = read(bomb).expect_err("it has a document type");
    assert!(matches!(
        error,
        XesError::DocumentType {
            place: Place { line: 1, byte: 0 }
        }
    ));
}

#[test]
fn an_unreadable_event_is_given_as_such_and_the_rest_goes_on() {
    for (attribute, expected) in [
        (
            r#"<date key="t" value="yesterday"/>"#,
            "attribute `t` is no date: `yesterday`",
        ),
        (
            r#"<int key="n" value="1.5"/>"#,
            "attribute `n` is no int: `1.5`",
        ),
        (
            r#"<float key="n" value="x"/>"#,
            "attribute `n` is no float: `x`",
        ),
        (
            r#"<boolean key="n" value="maybe"/>"#,
            "attribute `n` is no boolean: `maybe`",
        ),
        (r#"<string value="x"/>"#, "an attribute has no `key`"),
        (r#"<string key="k"/>"#, "attribute `k` has no `value`"),
        (
            r#"<list key="l"><int key="n" value=""/></list>"#,
            "attribute `n` is no int: ``",
        ),
    ] {
        let traces = read(in_event(attribute)).expect("the log is sound");
        let malformed = traces[0].events[0].content.as_ref().expect_err(attribute);
        assert_eq!(malformed.reason.to_string(), expected);
        assert_eq!(malformed.place.line, 2);
        assert_eq!(traces[0].events[1].content, Ok(Attributes::default()));
        assert_eq!(traces[0].events[1].index, 1);
    }
}

#[test]
fn a_date_without_a_zone_stays_without() {
    let traces = read(in_event(r#"<date key="t" value="2024-02-29T12:00:00"/>"#)).expect("sound");
    let date = jiff::civil::datetime(2024, 2, 29, 12, 0, 0, 0);
    assert_eq!(first_event(&traces).get("t"), Some(&Value::CivilDate(date)));
}

#[test]
fn unknown_elements_are_passed_over_wherever_they_stand() {
    let log = "<x:log xmlns:x='u'><a><b><c/></b></a><x:trace><z/><x:event><q>text &amp; \
               <![CDATA[more]]></q><x:string key='k' value='v'/></x:event></x:trace></x:log>";
    let traces = read(log).expect("a sound log");
    assert_eq!(
        first_event(&traces).get("k"),
        Some(&Value::Text("v".to_owned()))
    );
}

#[test]
fn an_event_outside_of_every_trace_is_not_lost() {
    let traces = read("<log><event><string key='k' value='v'/></event></log>").expect("sound");
    assert_eq!(
        first_event(&traces).get("k"),
        Some(&Value::Text("v".to_owned()))
    );
    assert_eq!(traces[0].content, Ok(Attributes::default()));
}

#[test]
fn what_passes_a_limit_is_refused_at_its_place() {
    let limits = Limits {
        nesting_depth_max: 6,
        attributes_max: 3,
        events_per_trace_max: 2,
        text_bytes_max: 100,
        token_bytes_max: 70_000,
        trace_bytes_max: 600,
        header_entries_max: 1,
    };
    let four = r#"<string key="a" value="b"/>"#.repeat(4);
    let deep = "<list key='a'>".repeat(5);
    let long = format!("<string key='a' value='{}'/>", "x".repeat(101));
    let comment = format!("<log>\n<!--{}--></log>", "x".repeat(200_000));
    let blank = format!("<log>\n{}</log>", " ".repeat(200_000));
    let three_large = format!(
        "<event><string key='a' value='{}'/></event>",
        "x".repeat(100)
    )
    .repeat(2);
    let large = format!("<log>\n<trace>{three_large}{three_large}</trace></log>");
    let sparing = Limits {
        events_per_trace_max: 9,
        ..limits
    };
    for (log, limits, expected) in [
        (
            in_event(&four),
            limits,
            "more than 3 attributes in one element at line 2",
        ),
        (
            in_event(&deep),
            limits,
            "more than 6 levels of elements at line 2",
        ),
        (
            in_event("</event><event/><event>"),
            limits,
            "more than 2 events in one trace at line",
        ),
        (
            in_event(&long),
            limits,
            "more than 100 bytes in one attribute at line 2",
        ),
        (
            comment,
            limits,
            "more than 70000 bytes in one tag, comment or text at line 2",
        ),
        (
            blank,
            limits,
            "more than 70000 bytes in one tag, comment or text at line 1",
        ),
        (large, sparing, "more than 600 bytes in one trace at line 2"),
        (
            "<log>\n<extension/><extension/></log>".to_owned(),
            limits,
            "1 extensions at line 2",
        ),
    ] {
        let error = read_limited(log, limits).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn after_an_error_nothing_more_is_read() {
    let mut reader = LogReader::new("<log><trace></oops>".as_bytes()).expect("it begins well");
    assert!(reader.next_trace().is_err());
    assert!(reader.next_trace().expect("it is over").is_none());
}

/// A log of any size that exists nowhere as a whole.
struct Endless {
    part: &'static [u8],
    at: usize,
    left: u64,
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.part.len() {
            self.at = 0;
            self.left = self.left.saturating_sub(1);
        }
        let available = if self.left == 0 {
            &[]
        } else {
            &self.part[self.at..]
        };
        let taken = available.len().min(out.len());
        out[..taken].copy_from_slice(&available[..taken]);
        self.at += taken;
        Ok(taken)
    }
}

#[test]
fn attributes_of_the_log_are_passed_over_however_many_there_are() {
    let part = b"<float key=\"a\" value=\"0.1\"><float key=\"b\" value=\"no\"/></float>\n";
    let many = Endless {
        part,
        at: 0,
        left: 100_000,
    };
    let log = io::Cursor::new("<log>")
        .chain(many)
        .chain(io::Cursor::new("<trace/></log>"));
    let mut reader = LogReader::new(log).expect("it begins well");
    let trace = reader
        .next_trace()
        .expect("a sound log")
        .expect("one trace");
    assert_eq!(trace.place.line, 100_001);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(read(bytes).map_or(0, |traces| traces.len()) <= 2_000);
    }

    #[test]
    fn no_mixture_of_pieces_of_a_log_makes_the_reader_panic(
        pieces in proptest::collection::vec(prop_oneof![
            Just("<log>"), Just("</log>"), Just("<trace>"), Just("</trace>"), Just("<event>"),
            Just("</event>"), Just("<string key='a' value='b'>"), Just("</string>"),
            Just("<date key='t' value='2020-01-01T00:00:00Z'/>"), Just("<list key='l'>"),
            Just("</list>"), Just("<values>"), Just("</values>"), Just("<!--"), Just("-->"),
            Just("&amp;"), Just("&#0;"), Just("<![CDATA["), Just("]]>"), Just("<?p"), Just("?>"),
            Just("<global scope='event'>"), Just("</global>"), Just("\n"), Just("é"), Just("'"),
        ], 0..60)
    ) {
        let log = format!("<log>{}", pieces.concat());
        prop_assert!(read(log).map_or(0, |traces| traces.len()) <= 60);
    }

    #[test]
    fn what_is_written_is_read_again(
        traces in proptest::collection::vec(
            proptest::collection::vec(("[a-z:]{1,8}", "\\PC{0,20}"), 0..6), 0..6)
    ) {
        let mut log = String::from("<log>");
        for trace in &traces {
            log.push_str("<trace>");
            for (key, value) in trace {
                let value = quick_xml::escape::escape(value.as_str());
                log.push_str(&format!("<event><string key=\"{key}\" value=\"{value}\"/></event>"));
            }
            log.push_str("</trace>");
        }
        log.push_str("</log>");
        let again = read(gzip(&log)).expect("a sound log");
        prop_assert_eq!(again.len(), traces.len());
        for (read, written) in again.iter().zip(&traces) {
            prop_assert_eq!(read.events.len(), written.len());
            for (event, (key, value)) in read.events.iter().zip(written) {
                let attributes = event.content.as_ref().expect("a sound event");
                prop_assert_eq!(attributes.get(key), Some(&Value::Text(value.clone())));
            }
        }
    }
}

#[test]
fn a_reader_and_what_it_gives_can_move_to_another_thread() {
    fn moves<T: Send + 'static>() {}
    moves::<LogReader>();
    moves::<Trace>();
    moves::<XesError>();
}
