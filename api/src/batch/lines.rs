//! Lines out of a stream of bytes, none longer than a limit, held in memory one at a time.

use axum::body::{BodyDataStream, Bytes};
use bytes::{Buf as _, BytesMut};
use futures_util::StreamExt as _;

/// The lines of one body.
pub(super) struct Lines {
    body: BodyDataStream,
    buffered: BytesMut,
    bytes_max: usize,
    ended: bool,
}

/// What stands in the next line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Its bytes, without the line break.
    Whole(Bytes),
    /// It was longer than the limit; the rest of it is not read.
    TooLong,
    /// The body broke off.
    Broken,
}

impl Lines {
    pub(super) fn new(body: BodyDataStream, bytes_max: usize) -> Self {
        Self {
            body,
            buffered: BytesMut::new(),
            bytes_max,
            ended: false,
        }
    }

    /// The next line that is not blank; nothing at the end. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Option<Line> {
        let mut searched = 0;
        loop {
            let found = self.buffered[searched..]
                .iter()
                .position(|byte| *byte == b'\n');
            match found.map(|at| searched + at) {
                Some(end) if end > self.bytes_max => return self.give_up(Line::TooLong),
                Some(end) => {
                    let line = self.buffered.split_to(end).freeze();
                    self.buffered.advance(1);
                    searched = 0;
                    if !line.trim_ascii().is_empty() {
                        return Some(Line::Whole(line));
                    }
                    continue;
                }
                None if self.buffered.len() > self.bytes_max => return self.give_up(Line::TooLong),
                None => searched = self.buffered.len(),
            }
            if self.ended {
                let line = std::mem::take(&mut self.buffered).freeze();
                return (!line.trim_ascii().is_empty()).then_some(Line::Whole(line));
            }
            match self.body.next().await {
                Some(Ok(bytes)) => self.buffered.extend_from_slice(&bytes),
                Some(Err(_broken)) => return self.give_up(Line::Broken),
                None => self.ended = true,
            }
        }
    }

    /// What comes behind cannot be told apart any more.
    fn give_up(&mut self, why: Line) -> Option<Line> {
        self.buffered.clear();
        self.body = axum::body::Body::empty().into_data_stream();
        self.ended = true;
        Some(why)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures_util::stream;

    use super::*;

    async fn lines(chunks: Vec<&'static str>, bytes_max: usize) -> Vec<Line> {
        let chunks = chunks.into_iter().map(Ok::<_, std::convert::Infallible>);
        let body = Body::from_stream(stream::iter(chunks)).into_data_stream();
        let mut lines = Lines::new(body, bytes_max);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await {
            all.push(line);
        }
        all
    }

    fn whole(text: &'static str) -> Line {
        Line::Whole(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn lines_are_found_wherever_the_chunks_break() {
        let expected = vec![whole("one"), whole("two"), whole("three")];
        assert_eq!(lines(vec!["one\ntwo\nthree"], 5).await, expected);
        assert_eq!(
            lines(vec!["o", "ne", "\n", "\n  \ntwo\nth", "ree\n"], 5).await,
            expected
        );
    }

    #[tokio::test]
    async fn a_line_at_the_limit_is_taken_and_one_byte_more_ends_the_reading() {
        assert_eq!(
            lines(vec!["12345\n1\n"], 5).await,
            vec![whole("12345"), whole("1")]
        );
        assert_eq!(lines(vec!["123456\n1\n"], 5).await, vec![Line::TooLong]);
        assert_eq!(
            lines(vec!["123", "456", "789"], 5).await,
            vec![Line::TooLong]
        );
    }
}
