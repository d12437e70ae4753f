//! `command`: runs a program of an allow-list, `{"program":"/usr/bin/…","args":[…],"stdin":"…"}`.
//!
//! The result is `{"exit_code","stdout","stderr","truncated"}`; another exit code than 0 is a failure that
//! another attempt may mend. The program is started through the shim that also starts the servers: only it
//! can limit its own memory and tie its life to ours before it becomes the program.
//!
//! Invariants: the program is one of the allow-list, by the whole path, and nothing searches for it or hands
//! it to a shell; when the work stops, for whatever reason, its whole process group is killed.
//!
//! Deliberately absent: another user, a sandbox, a network of its own. What is on the list is trusted
//! with everything that this program's user may do; its arguments come from whoever may enqueue.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use domain::Json;
use futures_util::future::{BoxFuture, FutureExt};
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};

use crate::embedded::{DeathSignal, Shim, Spawner};
use crate::worker::InvalidSettings;
use crate::worker::kind::{Context, Failed, Kind, result, wanted};

/// How long a program may run, if nothing is said.
pub const TIME_DEFAULT: Duration = Duration::from_secs(600);

/// How much memory each of its processes may address, if nothing is said.
pub const MEMORY_BYTES_DEFAULT: u64 = 512 << 20;

/// Under this the dynamic linker itself fails on common machines, with messages that nobody understands.
const MEMORY_BYTES_MIN: u64 = 16 << 20;

/// How much of each output is kept. As JSON it is at most six times as long (control characters), and so
/// both stay under the limit of a result together.
const OUTPUT_BYTES_MAX: usize = 20 * 1024;

/// How much of the error output stands in the error of a job that failed: its end, where the reason is.
const ERROR_BYTES_MAX: usize = 2_000;

/// How much of an output is read at a time.
const READ_BYTES: usize = 8 << 10;

/// Which programs may be run, and how far.
#[derive(Debug, Clone)]
pub struct CommandSettings {
    /// The absolute paths of the programs. A job names one of them, letter by letter.
    pub programs: Vec<PathBuf>,
    /// In which folder they run.
    pub folder: PathBuf,
    /// How long one may run before it is killed.
    pub time_max: Duration,
    /// How many bytes of memory each of its processes may address.
    pub memory_bytes_max: u64,
    /// How this program is started again to become one of them.
    pub shim: Shim,
}

/// The kind.
#[derive(Debug)]
pub(in crate::worker) struct Program {
    settings: CommandSettings,
    spawner: Spawner,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    program: PathBuf,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    stdin: Option<String>,
}

#[derive(Serialize)]
struct Outcome {
    exit_code: i32,
    stdout: String,
    stderr: String,
    /// Whether there was more of either.
    truncated: bool,
}

/// The beginning of an output, and whether there was more.
struct Output {
    bytes: Vec<u8>,
    truncated: bool,
}

/// A process group that is killed when this is dropped.
struct Group(Option<Pid>);

impl CommandSettings {
    /// These programs, with the limits that hold if nothing is said.
    #[must_use]
    pub fn new(programs: Vec<PathBuf>, shim: Shim) -> Self {
        Self {
            programs,
            folder: PathBuf::from("/"),
            time_max: TIME_DEFAULT,
            memory_bytes_max: MEMORY_BYTES_DEFAULT,
            shim,
        }
    }
}

impl Program {
    pub(in crate::worker) fn new(settings: CommandSettings) -> Result<Self, InvalidSettings> {
        if let Some(program) = settings
            .programs
            .iter()
            .find(|program| !program.is_absolute())
        {
            return Err(InvalidSettings::Program(program.clone()));
        }
        if settings.memory_bytes_max < MEMORY_BYTES_MIN {
            return Err(InvalidSettings::Memory {
                bytes: settings.memory_bytes_max,
                bytes_min: MEMORY_BYTES_MIN,
            });
        }
        let spawner = Spawner::start(settings.shim.clone()).map_err(InvalidSettings::Command)?;
        Ok(Self { settings, spawner })
    }

    async fn execute(&self, context: &Context, payload: Payload) -> Result<Option<Json>, Failed> {
        let program = payload.program.display().to_string();
        let mut child = self.start(context, &payload).await?;
        let group = Group::of(&child);
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (stdin, Some(stdout), Some(stderr)) = pipes else {
            return Err(Failed::for_now("program was started without its pipes"));
        };
        let ended = async {
            let status = child.wait().await;
            // What it has left running goes too; it would hold the outputs open.
            drop(group);
            status
        };
        let all = async {
            tokio::try_join!(
                feed(stdin, payload.stdin),
                beginning(stdout),
                beginning(stderr),
                ended
            )
        };
        let ((), stdout, stderr, status) = tokio::time::timeout(self.settings.time_max, all)
            .await
            .map_err(|_elapsed| {
                let time_max_s = self.settings.time_max.as_secs_f32();
                Failed::for_now(format_args!(
                    "`{program}` was killed after `{time_max_s}` s, the limit of its time"
                ))
            })?
            .map_err(|error| Failed::for_now(format_args!("talk to `{program}`: {error}")))?;
        judge(&program, status, &stderr)?;
        result(&Outcome {
            exit_code: 0,
            truncated: stdout.truncated || stderr.truncated,
            stdout: stdout.text(),
            stderr: stderr.text(),
        })
    }

    async fn start(&self, context: &Context, payload: &Payload) -> Result<Child, Failed> {
        // By its letters: `Path` would take `/bin/./true` for `/bin/true`.
        let named = payload.program.as_os_str();
        let listed = self.settings.programs.iter();
        let Some(program) = listed
            .into_iter()
            .find(|listed| listed.as_os_str() == named)
        else {
            return Err(Failed::for_good(format_args!(
                "program `{}` is not on the allow-list",
                payload.program.display()
            )));
        };
        // The shim would say so too, but in words of its own.
        if !tokio::fs::metadata(program)
            .await
            .is_ok_and(|file| file.is_file())
        {
            return Err(Failed::for_now(format_args!(
                "program `{}` is not on the machine of this worker",
                program.display()
            )));
        }
        let shim = &self.settings.shim;
        let memory_bytes_max = Some(self.settings.memory_bytes_max);
        let before = shim.before(
            program.as_os_str(),
            DeathSignal::Kill,
            None,
            memory_bytes_max,
        );
        let mut command = Command::new(&shim.program);
        command
            .args(before)
            .args(&payload.args)
            .current_dir(&self.settings.folder)
            // Our own environment has passwords.
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("LEDGERLINE_TENANT", context.tenant.as_str())
            .env("LEDGERLINE_JOB", context.job.to_string())
            .env("LEDGERLINE_ATTEMPT", context.attempt.to_string())
            // Killed with all that it starts.
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.spawner.spawn_command(command).await.map_err(|error| {
            let error = format!("start `{}`: {error}", program.display());
            match error_is_of_the_payload(&payload.args) {
                true => Failed::for_good(error),
                false => Failed::for_now(error),
            }
        })
    }
}

impl Kind for Program {
    fn name(&self) -> &'static str {
        "command"
    }

    fn run<'a>(
        &'a self,
        context: &'a Context,
        payload: Option<&'a Json>,
    ) -> BoxFuture<'a, Result<Option<Json>, Failed>> {
        async move { self.execute(context, wanted(payload)?).await }.boxed()
    }
}

impl Output {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl Group {
    /// The group of `child`, which is its leader.
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // All of it may have ended already, which is what a kill is for.
            rustix::process::kill_process_group(group, Signal::KILL).ok();
        }
    }
}

/// Writes `text` and closes. A program need not read it.
async fn feed(stdin: Option<ChildStdin>, text: Option<String>) -> std::io::Result<()> {
    if let (Some(mut stdin), Some(text)) = (stdin, text) {
        match stdin.write_all(text.as_bytes()).await {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
    }
    Ok(())
}

/// Reads to the end, so that the program is not held up, and keeps the beginning.
async fn beginning(mut from: impl AsyncRead + Unpin) -> std::io::Result<Output> {
    let mut output = Output {
        bytes: Vec::new(),
        truncated: false,
    };
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(output);
        }
        let room = OUTPUT_BYTES_MAX - output.bytes.len();
        output.bytes.extend_from_slice(&buffer[..read.min(room)]);
        output.truncated |= read > room;
    }
}

fn judge(program: &str, status: ExitStatus, stderr: &Output) -> Result<(), Failed> {
    if status.success() {
        return Ok(());
    }
    let text = stderr.text();
    let text = text.trim_end();
    let start = text.ceil_char_boundary(text.len().saturating_sub(ERROR_BYTES_MAX));
    Err(Failed::for_now(format_args!(
        "`{program}` ended with {status}: {}",
        &text[start..]
    )))
}

/// An argument with a NUL in it can be given to no program.
fn error_is_of_the_payload(args: &[String]) -> bool {
    args.iter().any(|argument| argument.contains('\0'))
}
