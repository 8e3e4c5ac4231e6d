//! Which commands, where the first reads and the last writes, and how they are started.

use super::terminal::{Standing, end_with, prepare_child};
use super::{PipelineError, Running};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use rustix::process::{Pid, getpid};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};

/// Commands connected by pipes: what a shell does for `ps aux | grep x | sort`.
///
/// All of them are one process group, so that a signal reaches all, and their statuses come together.
/// Which group, the terminal decides:
///
/// | this process is | the pipeline is |
/// | --- | --- |
/// | in the foreground of its terminal, alone | a group of its own, in the foreground until it has ended |
/// | in the foreground of its terminal, with others | in the group of this process |
/// | in the background, or without a terminal, or [`foreground`](Pipeline::foreground) says no | a group of its own |
///
/// It is alone if it leads its group, nobody else is in it, and its standard input and output are no pipes, at
/// whose other ends are others: so not in `program | less` of a shell, and not in a script.
///
/// # What the commands get
/// Standard input and output are set here, whatever the [`Command`] said of them. Every other end of a pipe
/// is closed in every child, and in this process as soon as it is given away: so the end of the stream and a
/// broken pipe reach whom they should. What this process has itself made inheritable is inherited, as from
/// any `Command`.
///
/// No signal is blocked in them, and `SIGPIPE` does what it does by default: it ends who writes for nobody.
/// Other signals that this process ignores they ignore too, as whoever has started it with `nohup` wants.
///
/// # Ctrl+C
/// If the pipeline is in the foreground instead of this process, Ctrl+C reaches each of its processes, and this one
/// only learns of it from their statuses. Ctrl+Z is ignored by them, since nobody would continue them.
///
/// In the group of this process, Ctrl+C and Ctrl+Z reach all, this process and its company too, and the shell
/// continues all.
///
/// # Process death
/// If this process is killed, nobody kills the pipeline: its processes become children of `init`, and
/// end as their input does. Unless [`ends_with_parent`](Pipeline::ends_with_parent) says otherwise.
///
/// # Example
/// ```
/// use interlatch_ipc::Pipeline;
/// use std::process::Command;
///
/// let finished = Pipeline::new()
///     .command(Command::new("sort"))
///     .command(Command::new("uniq"))
///     .input_bytes(b"b\na\nb\n")
///     .capture()
///     .run()?;
/// assert_eq!(finished.output, b"a\nb\n");
/// assert!(finished.success());
/// # Ok::<(), interlatch_ipc::PipelineError>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing runs before `spawn` or `run`"]
pub struct Pipeline {
    commands: Vec<Command>,
    input: Input,
    output: Stdio,
    captures: bool,
    foreground: bool,
    ends_with_parent: bool,
}

/// Where the first command reads.
#[derive(Debug)]
enum Input {
    From(Stdio),
    Bytes(Vec<u8>),
}

/// How a pipeline has ended.
///
/// # Example
/// ```
/// use interlatch_ipc::Pipeline;
/// use std::process::Command;
///
/// let finished = Pipeline::new()
///     .command(Command::new("false"))
///     .command(Command::new("true"))
///     .run()?;
/// assert_eq!(finished.statuses[0].code(), Some(1));
/// assert!(!finished.success());
/// # Ok::<(), interlatch_ipc::PipelineError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Of each command, in their order.
    pub statuses: Vec<ExitStatus>,
    /// What the last one has written, if that was captured.
    pub output: Vec<u8>,
}

impl Finished {
    /// Whether every command says so: what a shell calls `pipefail`.
    pub fn success(&self) -> bool {
        self.statuses.iter().all(ExitStatus::success)
    }
}

impl Default for Pipeline {
    fn default() -> Self {
        Self::new()
    }
}

impl Pipeline {
    /// A pipeline of no commands, that reads and writes where this process does.
    pub fn new() -> Self {
        Self {
            commands: Vec::new(),
            input: Input::From(Stdio::inherit()),
            output: Stdio::inherit(),
            captures: false,
            foreground: true,
            ends_with_parent: false,
        }
    }

    /// Adds a command, which reads what the one before it writes.
    pub fn command(mut self, command: Command) -> Self {
        self.commands.push(command);
        self
    }

    /// Where the first command reads: a file, an end of a pipe, nothing (`Stdio::null()`), or a pipe whose
    /// other end [`Running::take_input`] has (`Stdio::piped()`).
    pub fn input(mut self, input: impl Into<Stdio>) -> Self {
        self.input = Input::From(input.into());
        self
    }

    /// What the first command reads: these bytes, from a file in memory that nobody can change.
    pub fn input_bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// Where the last command writes, as [`input`](Pipeline::input).
    pub fn output(mut self, output: impl Into<Stdio>) -> Self {
        self.output = output.into();
        self.captures = false;
        self
    }

    /// Keeps what the last command writes: see [`Finished`].
    pub fn capture(mut self) -> Self {
        self.output = Stdio::piped();
        self.captures = true;
        self
    }

    /// Whether the pipeline is put into the foreground of the terminal while it runs, if this process is
    /// there alone: it is, unless this says no.
    ///
    /// In the foreground, it gets what is typed, and this process would be stopped if another thread of it read
    /// from the terminal meanwhile. In the background, Ctrl+C reaches this process and not the pipeline, and a
    /// command of it that reads from the terminal is stopped.
    pub fn foreground(mut self, foreground: bool) -> Self {
        self.foreground = foreground;
        self
    }

    /// Whether the kernel kills the commands when this process is killed, or ends otherwise: it does not, unless this
    /// says so.
    ///
    /// The kernel looks at the thread that starts them (`PR_SET_PDEATHSIG`): if it ends, they are killed, even if
    /// the process goes on. It looks at the commands only, not at their children, and forgets it of one that
    /// executes a program with the rights of somebody else, as `sudo`.
    ///
    /// # Example
    /// ```
    /// use interlatch_ipc::Pipeline;
    /// use std::process::Command;
    ///
    /// let finished = Pipeline::new()
    ///     .command(Command::new("true"))
    ///     .ends_with_parent(true)
    ///     .run()?;
    /// assert!(finished.success());
    /// # Ok::<(), interlatch_ipc::PipelineError>(())
    /// ```
    pub fn ends_with_parent(mut self, ends: bool) -> Self {
        self.ends_with_parent = ends;
        self
    }

    /// Starts all commands.
    ///
    /// # Errors
    /// If there is none, one cannot be started, or there is no descriptor left. Then all that were started
    /// are killed and reaped.
    pub fn spawn(self) -> Result<Running, PipelineError> {
        let count = self.commands.len();
        if count == 0 {
            return Err(PipelineError::Empty);
        }
        let mut input = self.input.open()?;
        let mut output = Some(self.output);
        let standing = match self.foreground {
            true => Standing::of_this_process(),
            false => Standing::Apart,
        };
        let parent = self.ends_with_parent.then(getpid);
        let mut running = Running::nothing_yet(standing);
        for (index, mut command) in self.commands.into_iter().enumerate() {
            let (writer, next) = match output.take_if(|_| index + 1 == count) {
                Some(last) => (last, Stdio::null()),
                None => {
                    // Both ends are closed by exec.
                    let (reader, writer) = io::pipe().map_err(PipelineError::io("pipe2"))?;
                    (writer.into(), reader.into())
                }
            };
            command.stdin(input).stdout(writer);
            prepare(&mut command, &running, parent);
            start(&mut running, command, index + 1, count)?;
            input = next;
        }
        if self.captures {
            running.capture()?;
        }
        Ok(running)
    }

    /// Runs all commands to their end.
    ///
    /// # Errors
    /// As of [`spawn`](Pipeline::spawn) and [`Running::wait`].
    pub fn run(self) -> Result<Finished, PipelineError> {
        self.spawn()?.finish()
    }
}

/// Says which group a command is in, and what it does between fork and exec.
fn prepare(command: &mut Command, running: &Running, parent: Option<Pid>) {
    let standing = running.standing();
    if !standing.is_beside() {
        // The first leads the group. It is not reaped before all are there, so its number stays that of the
        // group even if it has ended by then.
        command.process_group(running.group().unwrap_or(0));
    }
    let terminal = standing.terminal();
    let prepare = move || {
        parent.map_or(Ok(()), end_with)?;
        prepare_child(terminal)
    };
    // SAFETY: between fork and exec this makes system calls only.
    unsafe { command.pre_exec(prepare) };
}

/// Starts one command. The ends of pipes that it was given are closed here on return.
fn start(
    running: &mut Running,
    mut command: Command,
    position: usize,
    count: usize,
) -> Result<(), PipelineError> {
    let child = command.spawn().map_err(|error| PipelineError::Command {
        position,
        count,
        program: command.get_program().to_owned(),
        error,
    })?;
    running.add(child)
}

impl Input {
    fn open(self) -> Result<Stdio, PipelineError> {
        match self {
            Self::From(input) => Ok(input),
            Self::Bytes(bytes) => file_of(&bytes)
                .map(Stdio::from)
                .map_err(PipelineError::io("memfd_create")),
        }
    }
}

/// A pipe would need somebody to fill it.
fn file_of(bytes: &[u8]) -> io::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create("pipeline-input", flags)?);
    file.write_all(bytes)?;
    file.rewind()?;
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals | SealFlag::F_SEAL_SEAL))?;
    Ok(file)
}
