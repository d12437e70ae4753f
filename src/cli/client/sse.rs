//! The `text/event-stream` format, read as the HTML standard says (section 9.2.6). Pure: bytes in,
//! messages out.

use std::time::Duration;

use super::lines::{Ends, LineTooLong, Lines};

/// Bytes of one message over all its lines.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The longest wait before a new connection that a server may ask for.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// One message of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The last id that the stream gave: where to go on after a break.
    pub(crate) id: String,
    /// The event's name; empty if none was given.
    pub(crate) event: String,
    /// The data, its lines joined by line feeds.
    pub(crate) data: String,
}

/// What has come of the stream so far.
#[derive(Debug)]
pub(crate) struct Parser {
    lines: Lines,
    first_line: bool,
    last_id: String,
    event: String,
    data: String,
    retry: Option<Duration>,
}

/// The stream cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SseError {
    /// One line is too long.
    #[error(transparent)]
    Line(#[from] LineTooLong),
    /// One message is too long.
    #[error("a message of the event stream has more than `{MESSAGE_BYTES_MAX}` bytes")]
    Message,
}

impl Parser {
    /// At the beginning of a connection.
    pub(crate) fn new() -> Self {
        Self {
            lines: Lines::ended_by(Ends::Any),
            first_line: true,
            last_id: String::new(),
            event: String::new(),
            data: String::new(),
            retry: None,
        }
    }

    /// Takes more bytes in and gives the messages that are whole now.
    ///
    /// # Errors
    /// When a line or a message passes its limit.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Message>, SseError> {
        let mut messages = Vec::new();
        for line in self.lines.push(bytes)? {
            let text = String::from_utf8_lossy(&line);
            let mut text = text.as_ref();
            if std::mem::take(&mut self.first_line) {
                text = text.strip_prefix('\u{feff}').unwrap_or(text);
            }
            messages.extend(self.line(text)?);
        }
        Ok(messages)
    }

    /// How long the server wants to be left alone before the next connection.
    pub(crate) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn line(&mut self, line: &str) -> Result<Option<Message>, SseError> {
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" if self.data.len() + value.len() > MESSAGE_BYTES_MAX => {
                return Err(SseError::Message);
            }
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "event" => value.clone_into(&mut self.event),
            "id" if !value.contains('\0') => value.clone_into(&mut self.last_id),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                let wait = value.parse().map_or(RETRY_MAX, Duration::from_millis);
                self.retry = Some(wait.min(RETRY_MAX));
            }
            // A comment has an empty name; a field that nobody knows is passed over.
            _ => {}
        }
        Ok(None)
    }

    fn dispatch(&mut self) -> Option<Message> {
        let event = std::mem::take(&mut self.event);
        let mut data = std::mem::take(&mut self.data);
        if data.is_empty() {
            return None;
        }
        data.truncate(data.len() - 1);
        Some(Message {
            id: self.last_id.clone(),
            event,
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(stream: &str) -> Vec<Message> {
        Parser::new().push(stream.as_bytes()).expect("short")
    }

    fn message(id: &str, event: &str, data: &str) -> Message {
        Message {
            id: id.to_owned(),
            event: event.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn the_examples_of_the_standard_give_their_messages() {
        assert_eq!(
            parsed(
                ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
            ),
            [
                message("1", "", "first event"),
                message("", "", "second event"),
                message("", "", " third event")
            ]
        );
        assert_eq!(
            parsed("data\n\ndata\ndata\n\ndata:"),
            [message("", "", ""), message("", "", "\n")]
        );
        assert_eq!(
            parsed("data:test\n\ndata: test\n\n"),
            [message("", "", "test"), message("", "", "test")]
        );
    }

    #[test]
    fn an_id_stays_for_the_messages_behind_it_and_a_comment_is_nothing() {
        assert_eq!(
            parsed("id: 7.0\nevent: a\ndata: x\n\n: alive\n\ndata: y\n\n"),
            [message("7.0", "a", "x"), message("7.0", "", "y")]
        );
    }

    #[test]
    fn a_message_without_its_empty_line_is_not_given() {
        assert_eq!(parsed("data: cut off\n"), []);
    }

    #[test]
    fn the_server_names_its_wait_up_to_a_limit() {
        let mut parser = Parser::new();
        parser.push(b"retry: 250\n").expect("short");
        assert_eq!(parser.retry(), Some(Duration::from_millis(250)));
        parser
            .push(b"retry: 99999999999999999999999\nretry: soon\n")
            .expect("short");
        assert_eq!(parser.retry(), Some(RETRY_MAX));
    }

    proptest! {
        #[test]
        fn messages_survive_any_line_end_and_any_cut(
            sent in prop::collection::vec(("[0-9]{1,3}", "[a-z]{0,4}", "[ a-z:\u{e9}]{1,12}(\n[a-z:]{0,6}){0,2}"), 0..6),
            end in prop::sample::select(vec!["\n", "\r", "\r\n"]),
            step in 1usize..9,
        ) {
            let mut stream = String::new();
            for (id, event, data) in &sent {
                stream.push_str(&format!(": comment{end}id: {id}{end}event: {event}{end}"));
                for line in data.split('\n') {
                    stream.push_str(&format!("data: {line}{end}"));
                }
                stream.push_str(end);
            }
            let mut parser = Parser::new();
            let mut given = Vec::new();
            for piece in stream.as_bytes().chunks(step) {
                given.extend(parser.push(piece).expect("short"));
            }
            let expected: Vec<Message> =
                sent.iter().map(|(id, event, data)| message(id, event, data)).collect();
            prop_assert_eq!(given, expected);
        }

        #[test]
        fn no_bytes_break_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Parser::new().push(&bytes).is_ok());
        }
    }
}
