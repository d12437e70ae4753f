//! What a command can end in, and the exit code that tells a script.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use super::client::problem::Problem;
use super::out::clean;

/// What the exit code of the program says. The numbers are part of its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Something broke.
    Failed = 1,
    /// The command line, or the request made of it, is wrong.
    Usage = 2,
    /// A rule said no.
    Refused = 3,
    /// There is no such thing.
    NotFound = 4,
    /// The token is missing, wrong, or not enough.
    NotAuthorised = 5,
    /// No server, or one that cannot answer now.
    NotAvailable = 6,
    /// Verification found differences.
    Differences = 7,
    /// The import is done, and not every event could be taken.
    Rejects = 8,
}

impl Exit {
    /// Every code with its meaning, as the documentation lists them.
    pub(crate) const ALL: [(Self, &'static str); 9] = [
        (Self::Done, "done"),
        (
            Self::Failed,
            "failed: something broke; the message says what",
        ),
        (
            Self::Usage,
            "the command line, or the request made of it, is wrong (HTTP 400, 413)",
        ),
        (Self::Refused, "refused by a rule (HTTP 409, 412, 422)"),
        (Self::NotFound, "not found (HTTP 404)"),
        (
            Self::NotAuthorised,
            "not authorised: the token is missing, wrong or not enough (HTTP 401, 403)",
        ),
        (
            Self::NotAvailable,
            "not available: no server, or one that cannot answer now (HTTP 429, 502, 503, 504)",
        ),
        (
            Self::Differences,
            "`verify` or `audit verify` found differences",
        ),
        (
            Self::Rejects,
            "`import` is done, and some events were rejected",
        ),
    ];

    /// The number.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// What an HTTP status means to a script.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            400 | 413 => Self::Usage,
            401 | 403 => Self::NotAuthorised,
            404 => Self::NotFound,
            409 | 412 | 422 => Self::Refused,
            429 | 502 | 503 | 504 => Self::NotAvailable,
            _ => Self::Failed,
        }
    }

    /// What an error means to a script. A reader that has gone away is none.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            if let Some(failure) = cause.downcast_ref::<Failure>() {
                return failure.exit();
            }
            let io = cause.downcast_ref::<io::Error>();
            if io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
                return Self::Done;
            }
        }
        Self::Failed
    }
}

/// What ends a command with a code of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The arguments cannot be used together, or not here.
    #[error("{0}")]
    Usage(String),
    /// There is no sign of a running server.
    #[error(
        "no server found: `{}` is not there; start one with `ledgerline up`, name the folder of a \
         running one with `--data-dir`, or give `--url` and a token",
        .endpoints.display()
    )]
    NotRunning {
        /// The file that a running server would have written.
        endpoints: PathBuf,
    },
    /// The server could not be reached, or went away.
    #[error("no answer from `{url}`: {reason}; is the server running?")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The server answered with a problem.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// Tables differ from what the journal says, or the journal from its seals.
    #[error("`{0}` differences found")]
    Differences(u64),
    /// It would overwrite what is there.
    #[error("{0}")]
    Occupied(String),
    /// There is no such thing, or not yet.
    #[error("{0}")]
    NotFound(String),
    /// The doctor found what must not stay so.
    #[error("`{failed}` checks failed")]
    Checks {
        /// How many.
        failed: usize,
    },
    /// Events could not be taken.
    #[error("`{0}` events were rejected")]
    Rejects(u64),
}

impl Failure {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::NotRunning { .. } | Self::Unreachable { .. } => Exit::NotAvailable,
            Self::Problem(problem) => Exit::of_status(problem.status),
            Self::Occupied(_) => Exit::Refused,
            Self::NotFound(_) => Exit::NotFound,
            Self::Differences(_) => Exit::Differences,
            Self::Checks { .. } => Exit::Failed,
            Self::Rejects(_) => Exit::Rejects,
        }
    }
}

/// The error with its causes, as it stands on standard error.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut text = String::from("error: ");
    for (index, cause) in error.chain().enumerate() {
        if index > 0 {
            text.push_str(": ");
        }
        // A problem has lines of its own, already made safe.
        match cause.downcast_ref::<Failure>() {
            Some(failure @ Failure::Problem(_)) => write!(text, "{failure}"),
            Some(_) | None => write!(text, "{}", clean(&cause.to_string())),
        }
        .expect("a string takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn every_exit_code_is_listed_once_in_order() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(codes, (0..9).collect::<Vec<u8>>());
    }

    #[test]
    fn a_status_becomes_the_documented_exit_code() {
        let cases = [
            (400, 2),
            (401, 5),
            (403, 5),
            (404, 4),
            (409, 3),
            (412, 3),
            (413, 2),
            (422, 3),
            (429, 6),
            (500, 1),
            (502, 6),
            (503, 6),
            (504, 6),
            (418, 1),
        ];
        for (status, code) in cases {
            assert_eq!(Exit::of_status(status).code(), code, "{status}");
        }
    }

    #[test]
    fn the_exit_code_is_found_below_what_was_said_about_it() {
        let error = Err::<(), _>(Failure::Differences(2))
            .context("verify")
            .expect_err("an error");
        assert_eq!(Exit::of(&error), Exit::Differences);
        assert_eq!(message(&error), "error: verify: `2` differences found");
        assert_eq!(Exit::of(&anyhow::anyhow!("anything")), Exit::Failed);
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let error =
            anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("print");
        assert_eq!(Exit::of(&error), Exit::Done);
    }
}
