//! Why the servers of `ledgerline up` could not be started or kept: one message each, which says
//! what to do where something can be done.

use std::io;
use std::path::PathBuf;

/// What kept an embedded server from running.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No program that does was found on this machine.
    #[error(
        "no usable `{program}` was found (needed: {needed}); looked at {}; run `make setup`, or \
         name one in `{variable}`",
        looked.join(", ")
    )]
    ProgramMissing {
        /// The program's file name.
        program: &'static str,
        /// The oldest version that does, and whatever else the data folder asks for.
        needed: String,
        /// The environment variable that names one.
        variable: &'static str,
        /// Every place looked at, with what was wrong there.
        looked: Vec<String>,
    },
    /// The data folder cannot be read or written.
    #[error("{operation} `{}` failed", path.display())]
    Folder {
        /// What was being done, for example "writing".
        operation: &'static str,
        /// The file or folder it was done to.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file in the data folder is not what this program wrote.
    #[error("`{}` is damaged; restore it, or start with another data folder", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where it stopped making sense.
        source: serde_json::Error,
    },
    /// Another process runs on this data folder.
    #[error("the data folder `{}` is in use by process `{holder}`; stop that one first, or choose another folder with `--data-dir`", folder.display())]
    InUse {
        /// The data folder.
        folder: PathBuf,
        /// The process that holds it, as it wrote itself down.
        holder: String,
    },
    /// The port that was asked for is not free.
    #[error(
        "port `{port}`, asked for {server}, is taken by another program; stop that program, or choose another port"
    )]
    PortTaken {
        /// Which server was to listen there.
        server: &'static str,
        /// The port, on the loopback interface.
        port: u16,
    },
    /// No port could be had from the operating system.
    #[error("finding a free port on the loopback interface failed")]
    NoPort(#[source] io::Error),
    /// There is too little room to start.
    #[error("the disk of `{}` is full: {free_mb} MB are free, {needed_mb} MB are needed to start", folder.display())]
    DiskFull {
        /// A folder on that disk.
        folder: PathBuf,
        /// What is free, in MB.
        free_mb: u64,
        /// What is needed, in MB.
        needed_mb: u64,
    },
    /// A server could not be executed at all.
    #[error("starting {server} failed")]
    Spawn {
        /// Which server.
        server: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// A server ended before it was ready.
    #[error("{server} ended while starting ({status}); the end of `{}`:\n{tail}", log.display())]
    Ended {
        /// Which server.
        server: &'static str,
        /// Its exit status or signal.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A server runs and does not become ready.
    #[error("{server} was not ready after {waited_s} s; the end of `{}`:\n{tail}", log.display())]
    NotReady {
        /// Which server.
        server: &'static str,
        /// How long was waited, in seconds.
        waited_s: u64,
        /// Its log file.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A server of an earlier run lives on and could not be stopped.
    #[error(
        "{server} of an earlier run, process `{pid}`, could not be stopped; stop it, then start again"
    )]
    Leftover {
        /// Which server.
        server: &'static str,
        /// Its process id.
        pid: i32,
    },
    /// The cluster does not take the password of this data folder.
    #[error("Postgres refuses the password in `{}`: that file is not of this data folder; restore it, or start with another folder", secrets.display())]
    ForeignCluster {
        /// The file the password came from.
        secrets: PathBuf,
    },
    /// Preparing the database in the running Postgres failed.
    #[error("{operation} failed")]
    Database {
        /// What was being done.
        operation: &'static str,
        /// What Postgres said.
        source: sqlx::Error,
    },
    /// The operating system gave no random bytes.
    #[error("generating a password failed: the operating system gives no random bytes")]
    NoRandomness,
}

impl Error {
    /// For `map_err`: names what was being done to which path.
    pub(crate) fn folder(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Folder {
            operation,
            path,
            source,
        }
    }
}

impl Error {
    /// Whether a server found its port taken, which was free a moment before.
    pub(super) fn is_lost_port(&self) -> bool {
        matches!(self, Self::Ended { tail, .. } if tail.to_lowercase().contains("address already in use"))
    }
}
