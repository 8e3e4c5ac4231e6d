//! The commands of a pipeline, its input and output, and how the processes start.

use super::terminal::{JobControl, kill_with_parent, prepare_child};
use super::{PipelineError, RunningPipeline};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use rustix::process::{Pid, getpid};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};

/// Commands connected by pipes, like `ps aux | grep x | sort` in a shell.
///
/// Add commands with [`command`](Pipeline::command), then call [`run`](Pipeline::run) to wait for
/// their statuses, or [`spawn`](Pipeline::spawn) for a [`RunningPipeline`]. All processes belong to
/// one process group, so a signal reaches all of them. The group depends on whether this process is
/// in the foreground of its terminal:
///
/// | this process is | the pipeline is |
/// | --- | --- |
/// | in the foreground of its terminal, alone in its group | a new foreground group until it ends |
/// | in the foreground of its terminal, with other processes | in the group of this process |
/// | in the background, or without a terminal, or with `foreground(false)` | a new group |
///
/// A process is alone in its group if it leads the group, the group has no other member, and
/// neither its standard input nor its standard output is a pipe. A process at the other end of such
/// a pipe would belong to the same job. For example, a program started by a shell script or by
/// `program | less` is not alone.
///
/// # Environment of the commands
/// The pipeline sets standard input and output and overrides the settings that the [`Command`] has
/// for them. Each child keeps only the pipe ends that it uses, and this process closes each pipe
/// end once a child has it. Therefore a reader gets the end of the stream when all writers have
/// ended, and a writer gets `SIGPIPE` when all readers have ended. Other descriptors that this
/// process made inheritable are inherited, as with any `Command`.
///
/// No signal is blocked in the commands, and `SIGPIPE` has its default action: it terminates a
/// process that writes to a pipe without readers. Other signals that this process ignores stay
/// ignored, as `nohup` requires.
///
/// # Ctrl+C
/// If the pipeline replaces this process in the foreground, Ctrl+C reaches each process of the
/// pipeline but not this process, which sees the effect only in the commands' statuses. The
/// commands ignore Ctrl+Z, because no shell would continue them.
///
/// If the pipeline shares the group of this process, Ctrl+C and Ctrl+Z reach the commands, this
/// process and the other members, and the shell continues all of them.
///
/// # Process death
/// If this process is killed, the pipeline continues: the commands become children of `init` and
/// end when their input ends. With [`kill_on_parent_death`](Pipeline::kill_on_parent_death), the
/// kernel kills the commands instead.
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
#[must_use = "a pipeline starts with `spawn` or `run`"]
pub struct Pipeline {
    commands: Vec<Command>,
    input: Input,
    output: Stdio,
    captures: bool,
    foreground: bool,
    kill_on_parent_death: bool,
}

/// The standard input of the first command.
#[derive(Debug)]
enum Input {
    From(Stdio),
    Bytes(Vec<u8>),
}

/// The result of a pipeline: the status of each command and the captured output.
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
pub struct PipelineOutput {
    /// The status of each command, in the order of the commands.
    pub statuses: Vec<ExitStatus>,
    /// The output of the last command, if [`Pipeline::capture`] was called.
    pub output: Vec<u8>,
}

impl PipelineOutput {
    /// Returns whether every command succeeded (like `pipefail` in a shell).
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
    /// Creates a pipeline without commands that inherits standard input and output.
    pub fn new() -> Self {
        Self {
            commands: Vec::new(),
            input: Input::From(Stdio::inherit()),
            output: Stdio::inherit(),
            captures: false,
            foreground: true,
            kill_on_parent_death: false,
        }
    }

    /// Adds a command, which reads the output of the previous one.
    pub fn command(mut self, command: Command) -> Self {
        self.commands.push(command);
        self
    }

    /// Sets the standard input of the first command.
    ///
    /// The input may be a file, an end of a pipe, nothing (`Stdio::null()`), or a new pipe
    /// (`Stdio::piped()`), whose other end [`RunningPipeline::take_input`] returns.
    pub fn input(mut self, input: impl Into<Stdio>) -> Self {
        self.input = Input::From(input.into());
        self
    }

    /// Sets the bytes that the first command reads. The command reads them from a sealed file in
    /// memory.
    pub fn input_bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// Sets the standard output of the last command; see [`input`](Pipeline::input).
    pub fn output(mut self, output: impl Into<Stdio>) -> Self {
        self.output = output.into();
        self.captures = false;
        self
    }

    /// Captures the output of the last command in [`PipelineOutput::output`].
    pub fn capture(mut self) -> Self {
        self.output = Stdio::piped();
        self.captures = true;
        self
    }

    /// Sets whether the pipeline runs in the foreground of the terminal; the default is `true`.
    ///
    /// The pipeline runs in the foreground only if this process is in the foreground and alone in
    /// its group. A foreground pipeline receives the terminal's input. If another thread of this
    /// process reads from the terminal during that time, the kernel stops this process. In the
    /// background, Ctrl+C reaches this process and not the pipeline, and the kernel stops a command
    /// that reads from the terminal.
    pub fn foreground(mut self, foreground: bool) -> Self {
        self.foreground = foreground;
        self
    }

    /// Sets whether the kernel kills the commands when this process dies; the default is `false`.
    ///
    /// The kernel watches the thread that starts the commands (`PR_SET_PDEATHSIG`): if that thread
    /// ends, the commands are killed even if the process continues. The setting covers the
    /// commands, not their children, and the kernel clears the setting when a command executes a
    /// set-user-ID program such as `sudo`.
    ///
    /// # Example
    /// ```
    /// use interlatch_ipc::Pipeline;
    /// use std::process::Command;
    ///
    /// let finished = Pipeline::new()
    ///     .command(Command::new("true"))
    ///     .kill_on_parent_death(true)
    ///     .run()?;
    /// assert!(finished.success());
    /// # Ok::<(), interlatch_ipc::PipelineError>(())
    /// ```
    pub fn kill_on_parent_death(mut self, kill: bool) -> Self {
        self.kill_on_parent_death = kill;
        self
    }

    /// Starts all commands.
    ///
    /// # Errors
    /// Returns an error if the pipeline has no commands, a command cannot be started, or the
    /// process has no free descriptor. The commands that were already started are killed and
    /// reaped.
    pub fn spawn(self) -> Result<RunningPipeline, PipelineError> {
        let count = self.commands.len();
        if count == 0 {
            return Err(PipelineError::Empty);
        }
        let mut input = self.input.open()?;
        let mut output = Some(self.output);
        let job_control = match self.foreground {
            true => JobControl::detect(),
            false => JobControl::OwnGroup,
        };
        let parent = self.kill_on_parent_death.then(getpid);
        let mut running = RunningPipeline::new(job_control);
        for (index, mut command) in self.commands.into_iter().enumerate() {
            let (writer, next) = match output.take_if(|_| index + 1 == count) {
                Some(last) => (last, Stdio::null()),
                None => {
                    // Both ends of the new pipe are close-on-exec, so `exec` closes them in the
                    // children.
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

    /// Runs all commands and waits until they end.
    ///
    /// # Errors
    /// See [`spawn`](Pipeline::spawn) and [`RunningPipeline::wait`].
    pub fn run(self) -> Result<PipelineOutput, PipelineError> {
        self.spawn()?.finish()
    }
}

/// Sets the process group of a command and the calls that the child makes between fork and exec.
fn prepare(command: &mut Command, running: &RunningPipeline, parent: Option<Pid>) {
    let job_control = running.job_control();
    if !job_control.shares_group() {
        // The first process leads the group. It is reaped only after all processes have started, so
        // the process group ID stays valid even if the leader has ended.
        command.process_group(running.group_id().unwrap_or(0));
    }
    let terminal = job_control.terminal();
    let prepare = move || {
        parent.map_or(Ok(()), kill_with_parent)?;
        prepare_child(terminal)
    };
    // SAFETY: between fork and exec the closure makes only system calls, which are
    // async-signal-safe.
    unsafe { command.pre_exec(prepare) };
}

/// Starts one command. On return, this process has closed the pipe ends that the command received.
fn start(
    running: &mut RunningPipeline,
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
            Self::Bytes(bytes) => memfd_with(&bytes)
                .map(Stdio::from)
                .map_err(PipelineError::io("memfd_create")),
        }
    }
}

/// Creates a sealed memfd with these bytes. A pipe would need a thread that writes the bytes.
fn memfd_with(bytes: &[u8]) -> io::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create("pipeline-input", flags)?);
    file.write_all(bytes)?;
    file.rewind()?;
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals | SealFlag::F_SEAL_SEAL))?;
    Ok(file)
}
