//! Pipelines of standard tools.

use super::harness::Test;
use super::process::{TIMEOUT, children, command_for_role, is_alive, test, tool, until};
use interlatch::sync::Deadline;
use interlatch::sync::Timeout;
use interlatch_ipc::wait::until_readable;
use interlatch_ipc::{Pipeline, PipelineError, PipelineOutput, RunningPipeline, Signal};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, kill};
use nix::unistd::{Pid, getppid};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    vec![
        test(
            "pipeline::try_wait_reads_a_bounded_piece_of_the_output",
            try_wait_reads_a_bounded_piece_of_the_output,
        ),
        test(
            "pipeline::drop_kills_children_of_the_commands",
            drop_kills_children_of_the_commands,
        ),
        test(
            "pipeline::ten_megabytes_pass_three_commands",
            ten_megabytes_pass_three_commands,
        ),
        test(
            "pipeline::writer_without_reader_gets_sigpipe",
            writer_without_reader_gets_sigpipe,
        ),
        test(
            "pipeline::end_of_stream_reaches_the_last_command",
            end_of_stream_reaches_the_last_command,
        ),
        test(
            "pipeline::commands_share_a_process_group",
            commands_share_a_process_group,
        ),
        test(
            "pipeline::group_survives_the_end_of_its_leader",
            group_survives_the_end_of_its_leader,
        ),
        test(
            "pipeline::statuses_are_in_command_order",
            statuses_are_in_command_order,
        ),
        test(
            "pipeline::missing_command_is_named",
            missing_command_is_named,
        ),
        test(
            "pipeline::empty_pipeline_is_rejected",
            empty_pipeline_is_rejected,
        ),
        test(
            "pipeline::signal_reaches_every_command",
            signal_reaches_every_command,
        ),
        test(
            "pipeline::signal_after_the_end_fails",
            signal_after_the_end_fails,
        ),
        test(
            "pipeline::drop_kills_every_command",
            drop_kills_every_command,
        ),
        test(
            "pipeline::drop_kills_commands_outside_the_group",
            drop_kills_commands_outside_the_group,
        ),
        test(
            "pipeline::commands_die_with_the_parent_on_request",
            commands_die_with_the_parent_on_request,
        ),
        test(
            "pipeline::command_does_not_run_after_the_death_of_its_parent",
            command_does_not_run_after_the_death_of_its_parent,
        ),
        test(
            "pipeline::detached_commands_continue",
            detached_commands_continue,
        ),
        test(
            "pipeline::short_waits_return_before_the_end",
            short_waits_return_before_the_end,
        ),
        test(
            "pipeline::endless_output_does_not_extend_a_wait",
            endless_output_does_not_extend_a_wait,
        ),
        test(
            "pipeline::untaken_pipe_ends_are_closed",
            untaken_pipe_ends_are_closed,
        ),
        test(
            "pipeline::commands_start_with_no_blocked_signals",
            commands_start_with_no_blocked_signals,
        ),
        test("pipeline::input_bytes_are_sealed", input_bytes_are_sealed),
        test(
            "pipeline::status_taken_by_other_code_is_an_error",
            status_taken_by_other_code_is_an_error,
        ),
    ]
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn pipeline_of(commands: impl IntoIterator<Item = Command>) -> Pipeline {
    // The pipeline gets a new group, even if the tests run in a terminal.
    let pipeline = Pipeline::new().foreground(false);
    commands.into_iter().fold(pipeline, Pipeline::command)
}

/// Waits for the end of the pipeline, up to the timeout.
pub fn end(running: &mut RunningPipeline) -> Vec<ExitStatus> {
    let ended = running
        .wait_timeout(TIMEOUT)
        .expect("this process reaps the commands");
    ended.unwrap_or_else(|| panic!("the pipeline does not end: {}", describe(running)))
}

/// Describes the state of each process, as the kernel reports it.
fn describe(running: &RunningPipeline) -> String {
    let read = |process: u32, file: &str| fs::read_to_string(format!("/proc/{process}/{file}"));
    let state = |process| (process, read(process, "stat"), read(process, "wchan"));
    format!(
        "{:?}",
        running
            .process_ids()
            .into_iter()
            .map(state)
            .collect::<Vec<_>>()
    )
}

pub fn run(pipeline: Pipeline) -> PipelineOutput {
    let mut running = pipeline.spawn().expect("all commands exist");
    end(&mut running);
    running.finish().expect("this process reaps the commands")
}

fn ten_megabytes_pass_three_commands() {
    let lines: String = (0..1_250_000)
        .rev()
        .map(|line| format!("{line:07}\n"))
        .collect();
    assert_eq!(lines.len(), 10_000_000);
    let commands = [
        tool("cat", &[]),
        tool("grep", &["-v", "x"]),
        tool("sort", &[]),
    ];
    let finished = run(pipeline_of(commands)
        .input_bytes(lines.as_bytes())
        .capture());
    assert!(finished.success(), "{:?}", finished.statuses);
    let sorted: String = (0..1_250_000).map(|line| format!("{line:07}\n")).collect();
    assert!(finished.output == sorted.as_bytes(), "every line, in order");
}

fn writer_without_reader_gets_sigpipe() {
    let finished = run(pipeline_of([tool("yes", &[]), tool("head", &["-1"])]).capture());
    assert_eq!(finished.output, b"y\n");
    assert_eq!(finished.statuses[0].signal(), Some(Signal::SIGPIPE as i32));
    assert_eq!(finished.statuses[1].code(), Some(0));
}

/// `cat` ends only when its input ends, so a leaked write end would keep the next `cat` waiting.
fn end_of_stream_reaches_the_last_command() {
    let commands = (0..8).map(|_| tool("cat", &[]));
    let mut running = pipeline_of(commands)
        .input(Stdio::piped())
        .output(Stdio::piped())
        .spawn()
        .expect("the processes start");
    let mut input = running.take_input().expect("piped");
    let mut output = running.take_output().expect("piped");
    assert!(running.take_input().is_none(), "it exists");
    input
        .write_all(b"through")
        .expect("the command reads its input");
    let mut through = [0; 7];
    output.read_exact(&mut through).expect("it arrives");
    assert_eq!(&through, b"through");
    assert!(
        running.try_wait().expect("this process reaps it").is_none(),
        "the input is still open"
    );
    drop(input);
    assert!(end(&mut running).iter().all(ExitStatus::success));
    assert_eq!(output.read(&mut through).expect("the end"), 0);
}

fn commands_share_a_process_group() {
    let commands = (0..3).map(|_| tool("cat", &[]));
    let mut running = pipeline_of(commands)
        .input(Stdio::piped())
        .spawn()
        .expect("the processes start");
    let group = running.group_id().expect("it exists");
    for process in running.process_ids() {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process runs");
        let fields: Vec<&str> = stat
            .rsplit(") ")
            .next()
            .expect("fields")
            .split(' ')
            .collect();
        assert_eq!(fields[2], group.to_string(), "the group of {process}");
    }
    assert_eq!(
        running.process_ids()[0],
        group as u32,
        "the first process leads the group"
    );
    end(&mut running);
}

/// The scheduler decides whether the first command ends before the next one starts. Many runs cover
/// both cases.
fn group_survives_the_end_of_its_leader() {
    for _ in 0..100 {
        let finished = run(pipeline_of([
            tool("true", &[]),
            tool("true", &[]),
            tool("cat", &[]),
        ]));
        assert!(finished.success());
    }
}

fn statuses_are_in_command_order() {
    let kills_itself = tool("sh", &["-c", "kill -9 $$"]);
    let fails = tool("sh", &["-c", "cat > /dev/null; exit 7"]);
    let finished = run(pipeline_of([kills_itself, fails, tool("true", &[])]));
    assert_eq!(finished.statuses[0].signal(), Some(9));
    assert_eq!(finished.statuses[1].code(), Some(7));
    assert_eq!(finished.statuses[2].code(), Some(0));
    assert!(!finished.success());
}

fn missing_command_is_named() {
    for missing in 1..=3 {
        let name = |position| {
            if position == missing {
                "no-such-tool"
            } else {
                "yes"
            }
        };
        let pipeline = pipeline_of((1..=3).map(|position| tool(name(position), &[])));
        let error = pipeline.capture().spawn().expect_err("a status is missing");
        assert!(error.is_not_found(), "{error:?}");
        let said = error.to_string();
        let expected =
            format!("cannot start command {missing} of 3, \"no-such-tool\": No such file");
        assert!(said.starts_with(&expected), "{said}");
        assert_eq!(children(), "", "earlier commands are reaped");
    }
    let error = pipeline_of([tool("/dev/null", &[])])
        .spawn()
        .expect_err("the file is not executable");
    assert!(
        matches!(&error, PipelineError::Command { position: 1, .. }),
        "{error:?}"
    );
    assert!(
        !error.is_not_found(),
        "the file exists but cannot be executed"
    );
}

fn empty_pipeline_is_rejected() {
    let error = Pipeline::new().spawn().expect_err("the pipeline is empty");
    assert!(matches!(error, PipelineError::Empty), "{error:?}");
}

/// Starts processes that sleep until they get a signal.
fn sleepers(count: usize) -> RunningPipeline {
    let sleepers = (0..count).map(|_| tool("sleep", &["1000"]));
    pipeline_of(sleepers).spawn().expect("the processes start")
}

fn signal_reaches_every_command() {
    let mut running = sleepers(3);
    running
        .signal_group(Signal::SIGTERM)
        .expect("the processes exist");
    for status in end(&mut running) {
        assert_eq!(status.signal(), Some(Signal::SIGTERM as i32));
    }
}

fn signal_after_the_end_fails() {
    let mut running = pipeline_of([tool("true", &[])])
        .spawn()
        .expect("the process starts");
    let process = running.process_ids()[0];
    until("the process has ended", || !is_alive(process));
    running
        .signal_group(Signal::SIGTERM)
        .expect("the process is not reaped");
    assert!(end(&mut running)[0].success());
    let refused = running
        .signal_group(Signal::SIGTERM)
        .expect_err("the process is reaped");
    assert!(matches!(refused, PipelineError::Ended), "{refused:?}");
    assert!(end(&mut running)[0].success(), "the same again");
}

fn drop_kills_every_command() {
    let running = pipeline_of([tool("yes", &[]), tool("cat", &[]), tool("sleep", &["1000"])]);
    let running = running.spawn().expect("the processes start");
    let processes = running.process_ids();
    assert!(processes.iter().all(|&process| is_alive(process)));
    drop(running);
    assert!(!processes.iter().any(|&process| is_alive(process)));
}

fn drop_kills_commands_outside_the_group() {
    let running = pipeline_of([tool("true", &[]), tool("setsid", &["sleep", "1000"])]);
    let running = running.spawn().expect("the processes start");
    let other = running.process_ids()[1];
    until("the command has its own session", || {
        let stat = fs::read_to_string(format!("/proc/{other}/stat")).unwrap_or_default();
        stat.contains("(sleep)")
    });
    drop(running);
    assert!(!is_alive(other));
}

/// Starts a pipeline that must die with this process, and prints its process IDs.
pub fn run_parent() -> ExitCode {
    let sleepers = (0..3).map(|_| tool("sleep", &["1000"]));
    let running = pipeline_of(sleepers)
        .input(Stdio::null())
        .output(Stdio::null())
        .kill_on_parent_death(true)
        .spawn()
        .expect("the processes start");
    let processes: Vec<String> = running.process_ids().iter().map(u32::to_string).collect();
    println!("{}", processes.join(" "));
    loop {
        std::thread::park();
    }
}

fn commands_die_with_the_parent_on_request() {
    let mut parent = command_for_role("parent", &[]);
    let mut parent = parent
        .stdout(Stdio::piped())
        .spawn()
        .expect("the process starts");
    let mut line = String::new();
    let said = parent.stdout.take().expect("piped");
    BufReader::new(said)
        .read_line(&mut line)
        .expect("UTF-8 text");
    let number = |word: &str| word.parse().expect("the number of a process");
    let processes: Vec<u32> = line.split_whitespace().map(number).collect();
    assert_eq!(processes.len(), 3);
    assert!(processes.iter().all(|&process| is_alive(process)));
    parent.kill().expect("this process reaps it");
    parent.wait().expect("this process reaps it");
    until("all processes have ended", || {
        !processes.iter().any(|&process| is_alive(process))
    });
}

/// Starts a command that kills this process before it asks the kernel for the parent death signal.
pub fn run_killed_parent() -> ExitCode {
    let (mut command, this) = (tool("echo", &["it runs"]), Pid::this());
    // The child's standard error is discarded, because std reports the failed exec there.
    command.stderr(Stdio::null());
    // SAFETY: the closure makes only system calls. The closure runs before the closure of the
    // pipeline.
    unsafe { command.pre_exec(move || survive(this)) };
    let ended = run(pipeline_of([command]).kill_on_parent_death(true));
    unreachable!("the parent must be killed: {ended:?}")
}

/// In a child between fork and exec: kills its parent and waits until the parent is dead.
fn survive(parent: Pid) -> std::io::Result<()> {
    // std later aborts this child. The child is not dumpable, so the abort writes no core file.
    prctl::set_dumpable(false)?;
    kill(parent, Signal::SIGKILL)?;
    while getppid() == parent {
        std::thread::yield_now();
    }
    Ok(())
}

fn command_does_not_run_after_the_death_of_its_parent() {
    let mut parent = command_for_role("killed parent", &[]);
    let mut parent = parent
        .stdout(Stdio::piped())
        .spawn()
        .expect("the process starts");
    let mut output = parent.stdout.take().expect("piped");
    assert_eq!(
        parent.wait().expect("this process reaps it").signal(),
        Some(9)
    );
    // The child keeps the other end of the pipe open until the child ends.
    let ended = until_readable(&output, Timeout::after(TIMEOUT));
    assert!(ended.expect("a pipe"), "the command neither ran nor ended");
    let mut said = String::new();
    output.read_to_string(&mut said).expect("UTF-8 text");
    assert_eq!(said, "", "the command must not run");
}

fn detached_commands_continue() {
    let processes = sleepers(2).detach();
    assert!(processes.iter().all(|&process| is_alive(process)));
    for process in processes {
        let process = nix::unistd::Pid::from_raw(process as i32);
        nix::sys::signal::kill(process, Signal::SIGKILL).expect("the process is a child");
        nix::sys::wait::waitpid(process, None).expect("the process is a child");
    }
}

fn short_waits_return_before_the_end() {
    let mut running = sleepers(1);
    assert!(running.try_wait().expect("this process reaps it").is_none());
    assert!(
        running
            .wait_timeout(Duration::from_millis(1))
            .expect("this process reaps it")
            .is_none()
    );
    let deadline = Deadline::after(Duration::from_millis(1));
    assert!(
        running
            .wait_deadline(deadline)
            .expect("this process reaps it")
            .is_none()
    );
    running.signal_group(Signal::SIGKILL).expect("it exists");
    until("try_wait returns the status", || {
        running.try_wait().expect("this process reaps it").is_some()
    });
}

fn endless_output_does_not_extend_a_wait() {
    let mut running = pipeline_of([tool("yes", &[])])
        .capture()
        .spawn()
        .expect("the process starts");
    assert!(running.try_wait().expect("this process reaps it").is_none());
    let timeout = Duration::from_millis(5);
    assert!(
        running
            .wait_timeout(timeout)
            .expect("this process reaps it")
            .is_none()
    );
    running.signal_group(Signal::SIGKILL).expect("it exists");
    end(&mut running);
    let output = running.finish().expect("this process reaps it").output;
    assert!(output.starts_with(b"y\ny\n"), "earlier output is kept");
}

/// A command that writes faster than the wait reads must not extend the wait.
fn try_wait_reads_a_bounded_piece_of_the_output() {
    const LENGTH: usize = 1 << 16;
    let mut running = pipeline_of([tool("head", &["-c", "65536", "/dev/zero"])])
        .capture()
        .spawn()
        .expect("the process starts");
    let process = running.process_ids()[0];
    until("all output is in the pipe", || !is_alive(process));
    assert!(
        running.try_wait().expect("this process reaps it").is_none(),
        "more output remains"
    );
    end(&mut running);
    assert_eq!(
        running
            .finish()
            .expect("this process reaps it")
            .output
            .len(),
        LENGTH
    );
}

fn drop_kills_children_of_the_commands() {
    let script = "sleep 1000 & echo $!; wait";
    let mut running = pipeline_of([tool("sh", &["-c", script])])
        .output(Stdio::piped())
        .spawn()
        .expect("the process starts");
    let output = running.take_output().expect("piped");
    let mut line = String::new();
    BufReader::new(output)
        .read_line(&mut line)
        .expect("UTF-8 text");
    let child = line.trim().parse().expect("the number of a process");
    assert!(is_alive(child));
    drop(running);
    until("the child of the process has ended", || !is_alive(child));
}

fn untaken_pipe_ends_are_closed() {
    let reads = pipeline_of([tool("cat", &[])]).input(Stdio::piped());
    assert!(
        run(reads).success(),
        "the command sees the end of its input"
    );
    let writes = pipeline_of([tool("yes", &[])]).output(Stdio::piped());
    assert_eq!(
        run(writes).statuses[0].signal(),
        Some(Signal::SIGPIPE as i32)
    );
}

/// Prints the blocked signals.
pub fn run_mask() -> ExitCode {
    let mask = SigSet::thread_get_mask().expect("it exists");
    println!("{:?}", mask.iter().collect::<Vec<_>>());
    ExitCode::SUCCESS
}

fn commands_start_with_no_blocked_signals() {
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGINT);
    blocked.add(Signal::SIGUSR1);
    let before = blocked
        .thread_swap_mask(SigmaskHow::SIG_BLOCK)
        .expect("the call is allowed");
    let finished = run(pipeline_of([command_for_role("mask", &[])]).capture());
    let after = SigSet::thread_get_mask().expect("it exists");
    before.thread_set_mask().expect("the mask was valid before");
    assert_eq!(text(&finished.output), "[]\n");
    assert!(
        after.contains(Signal::SIGINT),
        "they stay blocked in this process"
    );
}

fn input_bytes_are_sealed() {
    let script = "printf other 2>/dev/null 1<>/dev/stdin || echo refused; cat";
    let finished = run(pipeline_of([tool("sh", &["-c", script])])
        .input_bytes(*b"first")
        .capture());
    assert_eq!(text(&finished.output), "refused\nfirst");
}

fn status_taken_by_other_code_is_an_error() {
    let mut running = pipeline_of([tool("true", &[]), tool("true", &[])])
        .spawn()
        .expect("the processes start");
    let first = nix::unistd::Pid::from_raw(running.process_ids()[0] as i32);
    nix::sys::wait::waitpid(first, None).expect("the process is a child");
    let error = running
        .wait_timeout(TIMEOUT)
        .expect_err("a status is missing");
    assert!(
        matches!(
            error,
            PipelineError::System {
                call: "waitpid",
                ..
            }
        ),
        "{error:?}"
    );
    running
        .wait_timeout(TIMEOUT)
        .expect_err("the status stays missing");
}
