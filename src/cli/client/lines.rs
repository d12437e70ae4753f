//! Lines out of a stream of bytes that was cut anywhere. Pure: bytes in, lines out.

/// Bytes of one line: a receipt has hundreds, an event at most what the journal takes.
pub(crate) const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes that have come without the end of their line.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
    /// The last line ended with a carriage return, so a line feed right behind it ends nothing.
    after_return: bool,
    ends: Ends,
}

/// What ends a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Ends {
    /// A line feed, as in NDJSON.
    #[default]
    LineFeed,
    /// A line feed, a carriage return, or both, as in an event stream.
    Any,
}

/// A line is longer than any that the server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line of the answer has more than `{LINE_BYTES_MAX}` bytes")]
pub(crate) struct LineTooLong;

impl Lines {
    pub(crate) fn ended_by(ends: Ends) -> Self {
        Self {
            ends,
            ..Self::default()
        }
    }

    /// Takes more bytes in and gives the lines that are whole now, without what ended them.
    ///
    /// # Errors
    /// When a line passes the limit.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, LineTooLong> {
        let mut lines = Vec::new();
        let mut bytes = bytes;
        while let Some(&first) = bytes.first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let ends = |byte: &u8| *byte == b'\n' || (self.ends == Ends::Any && *byte == b'\r');
            let end = bytes.iter().position(ends);
            let taken = end.unwrap_or(bytes.len());
            if self.rest.len() + taken > LINE_BYTES_MAX {
                return Err(LineTooLong);
            }
            self.rest.extend_from_slice(&bytes[..taken]);
            let Some(end) = end else { break };
            self.after_return = bytes[end] == b'\r';
            lines.push(std::mem::take(&mut self.rest));
            bytes = &bytes[end + 1..];
        }
        Ok(lines)
    }

    /// What came behind the last line end.
    pub(crate) fn rest(self) -> Vec<u8> {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_beyond_the_limit_is_refused() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(&vec![b'x'; LINE_BYTES_MAX]), Ok(vec![]));
        assert_eq!(lines.push(b"x"), Err(LineTooLong));
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_where_the_bytes_were_cut(
            text in "[a\r\n]{0,60}", cuts in prop::collection::vec(0usize..60, 0..6), any: bool,
        ) {
            let ends = if any { Ends::Any } else { Ends::LineFeed };
            let mut whole = Lines::ended_by(ends);
            let expected = whole.push(text.as_bytes()).expect("short");
            let mut cut = Lines::ended_by(ends);
            let mut given = Vec::new();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(text.len())).collect();
            cuts.sort_unstable();
            let mut start = 0;
            for end in cuts.into_iter().chain([text.len()]) {
                given.extend(cut.push(&text.as_bytes()[start..end]).expect("short"));
                start = end;
            }
            prop_assert_eq!(given, expected);
            prop_assert_eq!(cut.rest(), whole.rest());
        }
    }
}
