//! Everything that this program prints goes through here: documents and streams to standard output,
//! remarks and progress to standard error.
//!
//! Invariants:
//! - With `-o json` standard output carries JSON and nothing else: one document, or one a line where
//!   the command gives a stream.
//! - Text from elsewhere cannot steer the terminal: control characters are shown, not sent.
//! - A reader that has gone away (`… | head`) ends the program quietly.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::ValueEnum;
use comfy_table::{Cell, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// How often a progress bar moves on by itself: often enough to show life, rarely enough to cost nothing.
const TICK: Duration = Duration::from_millis(200);

/// For whom the output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For scripts
    Json,
}

/// Where output goes, and in which form.
pub(crate) struct Out {
    format: Format,
    quiet: bool,
    on_terminal: bool,
    stdout: Mutex<Box<dyn Write + Send>>,
}

/// What the numbers of a progress bar are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes read.
    Bytes,
    /// Commits, rows or events.
    Items,
}

impl Out {
    /// To the standard streams of the process.
    pub(crate) fn to_process(format: Format, quiet: bool) -> Self {
        let stdout = io::stdout();
        let on_terminal = stdout.is_terminal();
        Self {
            format,
            quiet,
            on_terminal,
            stdout: Mutex::new(Box::new(stdout)),
        }
    }

    /// One document: as JSON, or as what `table` makes of it.
    pub(crate) fn document<T: Serialize>(
        &self,
        value: &T,
        table: impl FnOnce(&T) -> String,
    ) -> io::Result<()> {
        match self.format {
            Format::Json => self.json(value),
            Format::Table => self.line(&table(value)),
        }
    }

    /// One line of a stream: as JSON, or as what `text` makes of it.
    pub(crate) fn stream_line<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> io::Result<()> {
        match self.format {
            Format::Json => self.line(&serde_json::to_string(value).map_err(io::Error::other)?),
            Format::Table => self.line(&text(value)),
        }
    }

    /// Text as it is, with a line break behind it unless it is empty.
    pub(crate) fn line(&self, text: &str) -> io::Result<()> {
        let text = text.trim_end();
        if text.is_empty() {
            return Ok(());
        }
        self.write(&format!("{text}\n"))
    }

    /// A remark beside the output; nothing with `--quiet`.
    pub(crate) fn remark(&self, text: &str) {
        if !self.quiet {
            write_to_stderr(text);
        }
    }

    /// One JSON document, whatever the format.
    pub(crate) fn json<T: Serialize>(&self, value: &T) -> io::Result<()> {
        self.line(&serde_json::to_string_pretty(value).map_err(io::Error::other)?)
    }

    /// A table, whatever the format.
    pub(crate) fn table<const COLUMNS: usize>(
        &self,
        header: [&str; COLUMNS],
        rows: Vec<[String; COLUMNS]>,
    ) -> io::Result<()> {
        let mut table = self.new_table(&header);
        table.add_rows(rows.into_iter().map(|row| row.map(cell)));
        self.line(&rendered(&table))
    }

    /// An empty table as wide as the terminal, or as its content where there is none.
    pub(crate) fn new_table(&self, header: &[&str]) -> Table {
        table(header, self.on_terminal)
    }

    /// A progress bar on standard error; an unseen one without a terminal or with `--quiet`.
    pub(crate) fn progress(
        &self,
        what: &'static str,
        unit: Unit,
        length: Option<u64>,
    ) -> ProgressBar {
        if self.quiet || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
        let numbers = match unit {
            Unit::Bytes => "{bytes}/{total_bytes} {bytes_per_sec}",
            Unit::Items => "{human_pos}/{human_len} {per_sec}",
        };
        let template = format!("{{msg}} [{{bar:30}}] {numbers} {{eta}}");
        let style = ProgressStyle::with_template(&template).expect("the template is our own");
        bar.set_style(style.progress_chars("=> "));
        bar.set_message(what);
        bar.enable_steady_tick(TICK);
        bar
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut stdout = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}

/// Writes a line to standard error. There is nobody left to tell when that fails.
pub(crate) fn write_to_stderr(text: &str) {
    drop(writeln!(io::stderr(), "{}", text.trim_end()));
}

fn table(header: &[&str], on_terminal: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if on_terminal {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.force_no_tty();
    }
    if !header.is_empty() {
        table.set_header(header.iter().map(|name| Cell::new(name.to_uppercase())));
    }
    table
}

/// A cell with text from elsewhere.
pub(crate) fn cell(text: impl AsRef<str>) -> Cell {
    Cell::new_owned(clean(text.as_ref()))
}

/// The text on one line, with control characters (escape sequences begin with one) made visible.
pub(crate) fn clean(text: &str) -> String {
    let seen = |character: char| match character {
        '\n' | '\r' | '\t' => ' ',
        // The overrides of writing direction can make a text read as another one.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        other if other.is_control() => char::REPLACEMENT_CHARACTER,
        other => other,
    };
    text.chars().map(seen).collect()
}

/// The lines of a table without the spaces at their ends.
pub(crate) fn rendered(table: &Table) -> String {
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::*;

    /// An output that can be read back.
    pub(crate) fn captured(format: Format) -> (Out, Arc<Mutex<Vec<u8>>>) {
        #[derive(Clone)]
        struct Shared(Arc<Mutex<Vec<u8>>>);
        impl Write for Shared {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().expect("no writer panics").write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let written = Arc::default();
        let stdout = Mutex::new(Box::new(Shared(Arc::clone(&written))) as Box<dyn Write + Send>);
        let out = Out {
            format,
            quiet: true,
            on_terminal: false,
            stdout,
        };
        (out, written)
    }

    fn text(written: &Arc<Mutex<Vec<u8>>>) -> String {
        String::from_utf8(written.lock().expect("no writer panics").clone()).expect("text")
    }

    #[test]
    fn text_from_elsewhere_cannot_steer_the_terminal() {
        assert_eq!(
            clean("a\u{1b}[31mb\nc\u{9b}d\u{202e}e"),
            "a\u{fffd}[31mb c\u{fffd}d\u{fffd}e"
        );
    }

    #[test]
    fn a_table_has_a_heading_and_one_line_a_row() {
        let mut table = table(&["id", "open"], false);
        table.add_row([cell("first"), cell("1")]);
        table.add_row([cell("two\nlines"), cell("22")]);
        assert_eq!(
            rendered(&table),
            " ID         OPEN\n first      1\n two lines  22"
        );
    }

    #[test]
    fn json_output_is_json_alone_and_a_stream_is_one_value_a_line() {
        let (out, written) = captured(Format::Json);
        out.document(&[1, 2], |_| "never".to_owned())
            .expect("memory takes all");
        assert_eq!(
            serde_json::from_str::<[u8; 2]>(&text(&written)).expect("json"),
            [1, 2]
        );
        let (out, written) = captured(Format::Json);
        out.stream_line(&"a\nb", |_| "never".to_owned())
            .expect("memory takes all");
        assert_eq!(text(&written), "\"a\\nb\"\n");
    }

    #[test]
    fn nothing_is_printed_as_nothing() {
        let (out, written) = captured(Format::Table);
        out.line("").expect("memory takes all");
        assert_eq!(text(&written), "");
    }
}
