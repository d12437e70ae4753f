//! The bytes under the reader: decompressed if need be, with the line counted and the size of one
//! token bounded. Reads any `Read`; writes nothing. Knows nothing of XML but its first bytes.
//!
//! An error of this layer is kept as a [`Fault`], since the XML reader above would blur it.

use std::io::{self, BufRead, Cursor, Read};

use flate2::read::MultiGzDecoder;

use super::{Place, XesError};

/// Bytes read from the source at once: several pages, so that the cost of a call disappears.
const BUFFER_BYTES: usize = 64 * 1024;

/// The first bytes of every gzip file (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What went wrong below the XML.
#[derive(Debug)]
pub(super) enum Fault {
    TokenTooLong,
    CutOff,
    Damaged(io::Error),
    Read(io::Error),
}

pub(super) struct Input {
    source: Box<dyn Read + Send>,
    compressed: bool,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    place: Place,
    token_bytes: usize,
    token_bytes_max: usize,
    fault: Option<Fault>,
}

impl Input {
    /// Looks at the first bytes and decides how the rest is read.
    pub(super) fn new(
        mut source: impl Read + Send + 'static,
        token_bytes_max: usize,
    ) -> Result<Self, XesError> {
        let place = Place { line: 1, byte: 0 };
        let mut head = Vec::with_capacity(2);
        let read = source.by_ref().take(2).read_to_end(&mut head);
        read.map_err(|source| XesError::Read { place, source })?;
        if let Some(encoding) = foreign_encoding(&head) {
            return Err(XesError::Encoding {
                encoding: encoding.to_owned(),
            });
        }
        let compressed = head == GZIP_MAGIC;
        let whole = Cursor::new(head).chain(source);
        let source: Box<dyn Read + Send> = if compressed {
            Box::new(MultiGzDecoder::new(whole))
        } else {
            Box::new(whole)
        };
        Ok(Self {
            source,
            compressed,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            place,
            token_bytes: 0,
            token_bytes_max,
            fault: None,
        })
    }

    /// Where the next byte stands.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// Says that a new token begins, so that its bytes are counted from here.
    pub(super) fn begin_token(&mut self) {
        self.token_bytes = 0;
    }

    /// What went wrong, if it did so here.
    pub(super) fn take_fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }

    fn fail(&mut self, fault: Fault) -> io::Error {
        self.fault = Some(fault);
        io::Error::other("the input failed")
    }

    fn refill(&mut self) -> io::Result<()> {
        loop {
            match self.source.read(&mut self.buffer) {
                Ok(read) => {
                    (self.start, self.end) = (0, read);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let fault = match (self.compressed, error.kind()) {
                        (true, io::ErrorKind::UnexpectedEof) => Fault::CutOff,
                        (true, io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
                            Fault::Damaged(error)
                        }
                        _ => Fault::Read(error),
                    };
                    return Err(self.fail(fault));
                }
            }
        }
    }
}

impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let taken = available.len().min(out.len());
        out[..taken].copy_from_slice(&available[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.token_bytes > self.token_bytes_max {
            return Err(self.fail(Fault::TokenTooLong));
        }
        if self.start == self.end {
            self.refill()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        let taken = &self.buffer[self.start..self.start + count];
        let lines = taken.iter().filter(|&&byte| byte == b'\n').count();
        self.place.line += lines as u64;
        self.place.byte += count as u64;
        self.token_bytes += count;
        self.start += count;
    }
}

/// UTF-16 shows in its first two bytes: a byte order mark, or a `<` with a zero beside it.
fn foreign_encoding(head: &[u8]) -> Option<&'static str> {
    match head {
        [0xfe, 0xff] | [0x00, b'<'] => Some("UTF-16BE"),
        [0xff, 0xfe] | [b'<', 0x00] => Some("UTF-16LE"),
        _ => None,
    }
}
