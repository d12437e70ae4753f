//! The step between this program and a server: the program starts *itself* again, and that
//! second process ties its life to the first, takes the server's user, and becomes the server.
//!
//! Why not start the server directly: only a process can ask the kernel for a signal at its own
//! parent's death, the request is forgotten when the process changes its user, and doing it
//! between fork and exec takes `unsafe`. Run as root, the shim changes the user itself, so our
//! own program may lie where that user cannot reach it.
//!
//! The process keeps nothing of ours after `exec`: its name is the server's, and a kill of every
//! `ledgerline` leaves it to the kernel's signal.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;

use rustix::process::{Pid, Resource, Rlimit, Signal};
use rustix::thread::{Gid, Uid};

use super::Account;

/// How this program is started again as the shim.
#[derive(Debug, Clone)]
pub struct Shim {
    /// The program.
    pub program: PathBuf,
    /// What stands before the shim's own arguments. The program passes everything behind it to
    /// [`child_main`], before it starts any thread.
    pub arguments: Vec<OsString>,
}

/// What the kernel sends the server when this program dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeathSignal {
    /// Ends even a stopped process. For nats-server, which acknowledges nothing it has not
    /// synced, and for the short-lived `initdb`.
    Kill,
    /// Postgres' immediate shutdown: it ends its own children with it, which a kill of the
    /// postmaster alone would leave to notice by themselves.
    Quit,
}

impl DeathSignal {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Quit => "quit",
        }
    }

    fn signal(self) -> Signal {
        match self {
            Self::Kill => Signal::KILL,
            Self::Quit => Signal::QUIT,
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Kill, Self::Quit]
            .into_iter()
            .find(|signal| signal.name() == name)
    }
}

impl Shim {
    /// This very program, with `argument` as the word by which its `main` knows the shim.
    ///
    /// It is named by what runs, not by its path: a server that has to be started again days
    /// later is not to meet another build in the same place, or none.
    #[must_use]
    pub fn of_this_program(argument: &str) -> Self {
        Self {
            program: "/proc/self/exe".into(),
            arguments: vec![argument.into()],
        }
    }

    /// The arguments for a server `program`, to be followed by the server's own. Each of its processes
    /// may address `memory_bytes_max`, where that is said.
    pub(crate) fn before(
        &self,
        program: &OsStr,
        death_signal: DeathSignal,
        account: Option<&Account>,
        memory_bytes_max: Option<u64>,
    ) -> Vec<OsString> {
        let kept = || "-".to_owned();
        let (uid, gid) = account.map_or_else(
            || (kept(), kept()),
            |account| (account.uid.to_string(), account.gid.to_string()),
        );
        let own = [
            std::process::id().to_string(),
            death_signal.name().to_owned(),
            uid,
            gid,
            memory_bytes_max.map_or_else(kept, |bytes| bytes.to_string()),
        ];
        let mut arguments = self.arguments.clone();
        arguments.extend(own.map(OsString::from));
        arguments.push(program.to_owned());
        arguments
    }
}

/// Becomes a server: the body of the hidden subcommand that [`Shim`] starts. `arguments` are
/// those after the subcommand's name: the parent's process id, the death signal, user and group
/// id (`-` to keep them), the bytes of memory it may address (`-` for any), the program, and its
/// arguments.
///
/// Returns only when that failed; on success this process *is* the server.
pub fn child_main(arguments: impl IntoIterator<Item = OsString>) -> io::Error {
    let mut arguments = arguments.into_iter();
    match become_child(&mut arguments) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn become_child(
    arguments: &mut dyn Iterator<Item = OsString>,
) -> io::Result<std::convert::Infallible> {
    let parent: i32 = number(arguments.next(), "parent")?;
    let death_signal = arguments
        .next()
        .and_then(|name| DeathSignal::parse(name.to_str()?))
        .ok_or_else(|| malformed("death signal"))?;
    let uid = optional_number(arguments.next(), "user id")?;
    let gid = optional_number(arguments.next(), "group id")?;
    let memory_bytes_max = optional_number(arguments.next(), "memory limit")?;
    let program = arguments.next().ok_or_else(|| malformed("program"))?;
    let mut program = Command::new(program);
    program.args(arguments);

    if let Some(gid) = gid {
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_gid(Gid::from_raw(gid))?;
    }
    if let Some(uid) = uid {
        rustix::thread::set_thread_uid(Uid::from_raw(uid))?;
    }
    // After the change of user, which makes the kernel forget it.
    rustix::process::set_parent_process_death_signal(Some(death_signal.signal()))?;
    // A parent that died before the line above sends no signal any more.
    if rustix::process::getppid() != Pid::from_raw(parent) {
        return Err(io::Error::other(
            "the program that started this one is gone",
        ));
    }
    if let Some(bytes) = memory_bytes_max {
        // Last: this process itself may have more already.
        let limit = Rlimit {
            current: Some(bytes),
            maximum: Some(bytes),
        };
        rustix::process::setrlimit(Resource::As, limit)?;
    }
    Err(program.exec())
}

fn number<T: FromStr>(argument: Option<OsString>, name: &'static str) -> io::Result<T> {
    argument
        .and_then(|argument| argument.to_str()?.parse().ok())
        .ok_or_else(|| malformed(name))
}

fn optional_number<T: FromStr>(
    argument: Option<OsString>,
    name: &'static str,
) -> io::Result<Option<T>> {
    if argument.as_deref() == Some(OsStr::new("-")) {
        return Ok(None);
    }
    number(argument, name).map(Some)
}

fn malformed(name: &'static str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("this subcommand is internal, and its `{name}` is missing or malformed"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(arguments: &[&str]) -> String {
        child_main(arguments.iter().map(OsString::from)).to_string()
    }

    #[test]
    fn a_child_whose_parent_is_gone_does_not_start() {
        // No process has the highest id there can be.
        let message = refused(&["2147483647", "kill", "-", "-", "-", "/bin/true"]);
        assert_eq!(message, "the program that started this one is gone");
        // The request made on the way is this test thread's own: taken back.
        rustix::process::set_parent_process_death_signal(None).expect("taking a request back");
    }

    #[test]
    fn arguments_from_a_curious_user_are_refused() {
        assert!(refused(&[]).contains("`parent`"));
        assert!(refused(&["1", "hup"]).contains("`death signal`"));
        assert!(refused(&["1", "kill", "x"]).contains("`user id`"));
        assert!(refused(&["1", "kill", "-", "-", "x"]).contains("`memory limit`"));
        assert!(refused(&["1", "kill", "-", "-", "-"]).contains("`program`"));
    }
}
