//! Regions that are passed over a socket, and what is passed instead of one.

use super::harness::Test;
use super::pipeline::end;
use super::process::{Limited, TIMEOUT, descriptors, playing, test};
use interlatch::sync::Timeout;
use interlatch::{Region, RegionError, RegionName, RegionOptions, Semaphore};
use interlatch_ipc::{PassError, Pipeline, recv_region_with, send_region_with};
use nix::fcntl::{FcntlArg, FdFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    vec![
        test("passing::another_process_uses_it", another_process_uses_it),
        test(
            "passing::the_descriptor_is_closed_by_exec",
            the_descriptor_is_closed_by_exec,
        ),
        test("passing::the_end_is_no_region", the_end_is_no_region),
        test(
            "passing::without_one_patience_runs_out",
            without_one_patience_runs_out,
        ),
        test(
            "passing::a_full_stream_takes_none",
            a_full_stream_takes_none,
        ),
        test("passing::nobody_receives_it", nobody_receives_it),
        test("passing::only_a_memfd_is_passed", only_a_memfd_is_passed),
        test("passing::another_byte_is_refused", another_byte_is_refused),
        test(
            "passing::a_region_has_one_descriptor",
            a_region_has_one_descriptor,
        ),
        test(
            "passing::what_can_be_cut_short_is_refused",
            what_can_be_cut_is_refused,
        ),
        test(
            "passing::memory_without_a_region_is_refused",
            memory_without_is_refused,
        ),
        test(
            "passing::without_a_free_descriptor_it_fails",
            without_a_free_descriptor_it_fails,
        ),
        test(
            "passing::a_socket_with_credentials_is_refused",
            credentials_are_refused,
        ),
    ]
}

fn region() -> Region {
    Region::memfd("passed", 4096).expect("there is memory")
}

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("a pair")
}

fn send(stream: &UnixStream, region: &Region) -> Result<(), PassError> {
    send_region_with(stream, region, Timeout::after(TIMEOUT))
}

fn receive(stream: &UnixStream) -> Result<Option<Region>, PassError> {
    recv_region_with(stream, Timeout::after(TIMEOUT))
}

/// Receives a region over its standard input, and adds a permit to what is in it.
pub fn play() -> ExitCode {
    let stream = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .expect("it is there");
    let received = receive(&stream.into()).expect("a region comes");
    let region = received.expect("the stream has not ended");
    let semaphore: &Semaphore = region.attach("semaphore").expect("the parent has made it");
    semaphore.release(1).expect("there are none");
    ExitCode::SUCCESS
}

fn another_process_uses_it() {
    let (here, there) = pair();
    let region = region();
    let semaphore: &Semaphore = region.create("semaphore", ()).expect("it is new");
    let pipeline = Pipeline::new()
        .command(playing("receiver", &[]))
        .input(OwnedFd::from(there));
    let mut running = pipeline.spawn().expect("it starts");
    send(&here, &region).expect("there is room");
    let permit = semaphore.acquire_timeout(TIMEOUT);
    permit
        .expect("the other process has attached to the same memory")
        .forget();
    assert!(end(&mut running)[0].success());
}

fn the_descriptor_is_closed_by_exec() {
    let (here, there) = pair();
    send(&here, &region()).expect("there is room");
    let received = receive(&there).expect("it comes").expect("it is one");
    let descriptor = received.descriptor().expect("a memfd has one");
    let flags = fcntl(descriptor, FcntlArg::F_GETFD).expect("it is open");
    assert_eq!(FdFlag::from_bits_retain(flags), FdFlag::FD_CLOEXEC);
}

fn the_end_is_no_region() {
    let (here, there) = pair();
    send(&here, &region()).expect("there is room");
    drop(here);
    assert!(
        receive(&there).expect("it comes").is_some(),
        "it was on its way"
    );
    assert!(receive(&there).expect("the end").is_none());
}

fn without_one_patience_runs_out() {
    let (_here, there) = pair();
    for timeout in [
        Timeout::NonBlocking,
        Timeout::after(Duration::from_millis(5)),
    ] {
        let found = recv_region_with(&there, timeout);
        assert!(matches!(found, Err(PassError::Timeout)), "{found:?}");
    }
}

fn a_full_stream_takes_none() {
    let (mut here, mut there) = pair();
    here.set_nonblocking(true).expect("it can be");
    let mut filled = 0;
    while let Ok(length) = here.write(&[0; 4096]) {
        filled += length;
    }
    here.set_nonblocking(false).expect("it can be");
    for timeout in [
        Timeout::NonBlocking,
        Timeout::after(Duration::from_millis(5)),
    ] {
        let refused = send_region_with(&here, &region(), timeout);
        assert!(matches!(refused, Err(PassError::Timeout)), "{refused:?}");
    }
    there.read_exact(&mut vec![0; filled]).expect("it is there");
    let found = recv_region_with(&there, Timeout::NonBlocking);
    assert!(
        matches!(found, Err(PassError::Timeout)),
        "nothing was sent: {found:?}"
    );
}

fn nobody_receives_it() {
    let (here, there) = pair();
    drop(there);
    let refused = send(&here, &region());
    assert!(
        matches!(refused, Err(PassError::Disconnected)),
        "{refused:?}"
    );
}

fn only_a_memfd_is_passed() {
    let (here, there) = pair();
    let name = format!("interlatch-passing-{}", std::process::id());
    let options = RegionOptions::new(4096).remove_on_drop(true);
    let named = options
        .create(&RegionName::posix(&name).expect("a name"))
        .expect("it is new");
    let refused = send(&here, &named);
    assert!(
        matches!(refused, Err(PassError::Region(RegionError::NotSealed))),
        "{refused:?}"
    );
    let key = RegionName::sysv(std::process::id() as i32).expect("a key");
    let segment = options.create(&key).expect("it is new");
    let refused = send(&here, &segment);
    assert!(
        matches!(refused, Err(PassError::NoDescriptor)),
        "{refused:?}"
    );
    let found = recv_region_with(&there, Timeout::NonBlocking);
    assert!(
        matches!(found, Err(PassError::Timeout)),
        "nothing was sent: {found:?}"
    );
}

/// Sends a byte with descriptors.
fn pass(stream: &UnixStream, byte: u8, passed: &[BorrowedFd<'_>]) {
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    use std::os::fd::AsRawFd;
    let numbers: Vec<i32> = passed.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let control = if passed.is_empty() { &[][..] } else { &rights };
    let bytes = [std::io::IoSlice::new(std::slice::from_ref(&byte))];
    let sent = sendmsg::<()>(stream.as_raw_fd(), &bytes, control, MsgFlags::empty(), None);
    assert_eq!(sent, Ok(1));
}

fn another_byte_is_refused() {
    let (here, there) = pair();
    let region = region();
    pass(
        &here,
        b'x',
        &[region.descriptor().expect("a memfd has one")],
    );
    let before = descriptors();
    let refused = receive(&there).expect_err("it is another byte");
    assert!(
        matches!(refused, PassError::OtherByte { found: b'x' }),
        "{refused:?}"
    );
    assert_eq!(descriptors(), before, "what came with it is closed");
    send(&here, &region).expect("there is room");
    assert!(receive(&there).expect("the stream is of use").is_some());
}

fn a_region_has_one_descriptor() {
    let (here, there) = pair();
    let region = region();
    let descriptor = region.descriptor().expect("a memfd has one");
    let before = descriptors();
    for count in [0, 2, 3, 4, 5, 250] {
        pass(&here, b'R', &vec![descriptor; count]);
        let refused = receive(&there).expect_err("that is not one");
        let said = refused.to_string();
        assert!(
            said.starts_with("expected a region with 1 descriptor, found "),
            "{said}"
        );
        assert!(
            matches!(refused, PassError::Descriptors { found, is_cut }
            if found == count || (found < count && is_cut)),
            "{refused:?}"
        );
        assert_eq!(descriptors(), before, "{count} are closed");
    }
    send(&here, &region).expect("there is room");
    assert!(receive(&there).expect("the stream is of use").is_some());
}

fn what_can_be_cut_is_refused() {
    let (here, there) = pair();
    let (pipe, _writer) = std::io::pipe().expect("a pipe");
    let memory = memfd_create("unsealed", MFdFlags::MFD_ALLOW_SEALING).expect("a memfd");
    File::from(memory.try_clone().expect("a copy"))
        .set_len(1 << 14)
        .expect("memory");
    for passed in [pipe.as_fd(), memory.as_fd(), here.as_fd()] {
        pass(&here, b'R', &[passed]);
        let refused = receive(&there).expect_err("it is no region");
        assert!(
            matches!(refused, PassError::Region(RegionError::NotSealed)),
            "{refused:?}"
        );
    }
}

fn memory_without_is_refused() {
    let (here, there) = pair();
    let memory = memfd_create("sealed", MFdFlags::MFD_ALLOW_SEALING).expect("a memfd");
    File::from(memory.try_clone().expect("a copy"))
        .set_len(1 << 14)
        .expect("memory");
    let seals = FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK);
    fcntl(&memory, seals).expect("it can be sealed");
    pass(&here, b'R', &[memory.as_fd()]);
    let refused = receive(&there).expect_err("it is no region");
    assert!(
        matches!(refused, PassError::Region(RegionError::NotARegion { .. })),
        "{refused:?}"
    );
}

fn without_a_free_descriptor_it_fails() {
    let (here, there) = pair();
    send(&here, &region()).expect("there is room");
    let highest = *descriptors().last().expect("there are some") as u64;
    let full: Vec<File> = (0..highest)
        .map_while(|_| File::open("/dev/null").ok())
        .collect();
    let limited = Limited::to(descriptors().len() as u64);
    let refused = receive(&there);
    drop(limited);
    drop(full);
    let expected = "expected a region with 1 descriptor, found 0 and more";
    assert_eq!(
        refused.expect_err("there is no room for it").to_string(),
        expected
    );
}

fn credentials_are_refused() {
    let (here, there) = pair();
    nix::sys::socket::setsockopt(&there, nix::sys::socket::sockopt::PassCred, &true)
        .expect("it can be");
    send(&here, &region()).expect("there is room");
    let refused = receive(&there).expect_err("it passes credentials");
    assert!(matches!(refused, PassError::Credentials), "{refused:?}");
}
