//! Passing regions over a socket, and rejecting other data.

use super::harness::Test;
use super::pipeline::end;
use super::process::{Limited, TIMEOUT, command_for_role, descriptors, test};
use interlatch::sync::Timeout;
use interlatch::{Region, RegionError, RegionName, RegionOptions, Semaphore};
use interlatch_ipc::{Pipeline, RegionTransferError, recv_region_with, send_region_with};
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
        test(
            "passing::another_process_uses_the_region",
            another_process_uses_the_region,
        ),
        test(
            "passing::exec_closes_the_descriptor",
            exec_closes_the_descriptor,
        ),
        test(
            "passing::end_of_stream_is_not_a_region",
            end_of_stream_is_not_a_region,
        ),
        test(
            "passing::receive_without_a_region_times_out",
            receive_without_a_region_times_out,
        ),
        test(
            "passing::send_to_a_full_stream_times_out",
            send_to_a_full_stream_times_out,
        ),
        test(
            "passing::send_to_a_closed_peer_fails",
            send_to_a_closed_peer_fails,
        ),
        test(
            "passing::only_a_memfd_can_be_passed",
            only_a_memfd_can_be_passed,
        ),
        test("passing::other_data_is_rejected", other_data_is_rejected),
        test(
            "passing::several_descriptors_are_rejected_and_closed",
            several_descriptors_are_rejected_and_closed,
        ),
        test(
            "passing::unsealed_memory_is_rejected",
            unsealed_memory_is_rejected,
        ),
        test(
            "passing::memory_without_a_region_is_rejected",
            memory_without_a_region_is_rejected,
        ),
        test(
            "passing::receive_without_a_free_descriptor_fails",
            receive_without_a_free_descriptor_fails,
        ),
        test(
            "passing::concurrent_receivers_get_each_region_once",
            concurrent_receivers_get_each_region_once,
        ),
        test(
            "passing::socket_with_credentials_is_rejected",
            socket_with_credentials_is_rejected,
        ),
    ]
}

fn region() -> Region {
    Region::memfd("passed", 4096).expect("the memory suffices")
}

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("a pair")
}

fn send(stream: &UnixStream, region: &Region) -> Result<(), RegionTransferError> {
    send_region_with(stream, region, Timeout::after(TIMEOUT))
}

fn receive(stream: &UnixStream) -> Result<Option<Region>, RegionTransferError> {
    recv_region_with(stream, Timeout::after(TIMEOUT))
}

/// Receives a region over standard input and releases a permit of its semaphore.
pub fn run_role() -> ExitCode {
    let stream = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .expect("it exists");
    let received = receive(&stream.into()).expect("a region arrives");
    let region = received.expect("the stream has not ended");
    let semaphore: &Semaphore = region.attach("semaphore").expect("the parent has made it");
    semaphore.release(1).expect("there are no permits");
    ExitCode::SUCCESS
}

fn another_process_uses_the_region() {
    let (here, there) = pair();
    let region = region();
    let semaphore: &Semaphore = region.create("semaphore", ()).expect("the name is free");
    let pipeline = Pipeline::new()
        .command(command_for_role("receiver", &[]))
        .input(OwnedFd::from(there));
    let mut running = pipeline.spawn().expect("the process starts");
    send(&here, &region).expect("the buffer has room");
    let permit = semaphore.acquire_timeout(TIMEOUT);
    permit
        .expect("the other process has attached to the same memory")
        .forget();
    assert!(end(&mut running)[0].success());
}

fn exec_closes_the_descriptor() {
    let (here, there) = pair();
    send(&here, &region()).expect("the buffer has room");
    let received = receive(&there)
        .expect("it arrives")
        .expect("the stream has not ended");
    let descriptor = received.descriptor().expect("a memfd has one");
    let flags = fcntl(descriptor, FcntlArg::F_GETFD).expect("the descriptor is open");
    assert_eq!(FdFlag::from_bits_retain(flags), FdFlag::FD_CLOEXEC);
}

fn end_of_stream_is_not_a_region() {
    let (here, there) = pair();
    send(&here, &region()).expect("the buffer has room");
    drop(here);
    assert!(
        receive(&there).expect("it arrives").is_some(),
        "the region was already sent"
    );
    assert!(receive(&there).expect("the end").is_none());
}

fn receive_without_a_region_times_out() {
    let (_here, there) = pair();
    for timeout in [
        Timeout::NonBlocking,
        Timeout::after(Duration::from_millis(5)),
    ] {
        let found = recv_region_with(&there, timeout);
        assert!(
            matches!(found, Err(RegionTransferError::Timeout)),
            "{found:?}"
        );
    }
}

fn send_to_a_full_stream_times_out() {
    let (mut here, mut there) = pair();
    here.set_nonblocking(true).expect("the call is allowed");
    let mut filled = 0;
    while let Ok(length) = here.write(&[0; 4096]) {
        filled += length;
    }
    here.set_nonblocking(false).expect("the call is allowed");
    for timeout in [
        Timeout::NonBlocking,
        Timeout::after(Duration::from_millis(5)),
    ] {
        let refused = send_region_with(&here, &region(), timeout);
        assert!(
            matches!(refused, Err(RegionTransferError::Timeout)),
            "{refused:?}"
        );
    }
    there.read_exact(&mut vec![0; filled]).expect("it exists");
    let found = recv_region_with(&there, Timeout::NonBlocking);
    assert!(
        matches!(found, Err(RegionTransferError::Timeout)),
        "nothing was sent: {found:?}"
    );
}

fn send_to_a_closed_peer_fails() {
    let (here, there) = pair();
    drop(there);
    let refused = send(&here, &region());
    assert!(
        matches!(refused, Err(RegionTransferError::Disconnected)),
        "{refused:?}"
    );
}

fn only_a_memfd_can_be_passed() {
    let (here, there) = pair();
    let name = format!("interlatch-passing-{}", std::process::id());
    let options = RegionOptions::new(4096).remove_on_drop(true);
    let named = options
        .create(&RegionName::posix(&name).expect("the name is valid"))
        .expect("the name is free");
    let refused = send(&here, &named);
    assert!(
        matches!(
            refused,
            Err(RegionTransferError::Region(RegionError::NotSealed))
        ),
        "{refused:?}"
    );
    let key = RegionName::sysv(std::process::id() as i32).expect("a key");
    let segment = options.create(&key).expect("the name is free");
    let refused = send(&here, &segment);
    assert!(
        matches!(refused, Err(RegionTransferError::NoDescriptor)),
        "{refused:?}"
    );
    let found = recv_region_with(&there, Timeout::NonBlocking);
    assert!(
        matches!(found, Err(RegionTransferError::Timeout)),
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

fn other_data_is_rejected() {
    let (here, there) = pair();
    let region = region();
    pass(
        &here,
        b'x',
        &[region.descriptor().expect("a memfd has one")],
    );
    let before = descriptors();
    let refused = receive(&there).expect_err("the byte is wrong");
    assert!(
        matches!(refused, RegionTransferError::OtherByte { found: b'x' }),
        "{refused:?}"
    );
    assert_eq!(descriptors(), before, "the descriptors are closed");
    send(&here, &region).expect("the buffer has room");
    assert!(receive(&there).expect("the stream still works").is_some());
}

fn several_descriptors_are_rejected_and_closed() {
    let (here, there) = pair();
    let region = region();
    let descriptor = region.descriptor().expect("a memfd has one");
    let before = descriptors();
    for count in [0, 2, 3, 4, 5, 250] {
        pass(&here, b'R', &vec![descriptor; count]);
        let refused = receive(&there).expect_err("the number of descriptors is wrong");
        let said = refused.to_string();
        assert!(
            said.starts_with("expected a region with 1 descriptor, found "),
            "{said}"
        );
        assert!(
            matches!(refused, RegionTransferError::Descriptors { found, truncated }
            if found == count || (found < count && truncated)),
            "{refused:?}"
        );
        assert_eq!(descriptors(), before, "{count} are closed");
    }
    send(&here, &region).expect("the buffer has room");
    assert!(receive(&there).expect("the stream still works").is_some());
}

fn unsealed_memory_is_rejected() {
    let (here, there) = pair();
    let (pipe, _writer) = std::io::pipe().expect("a pipe");
    let memory = memfd_create("unsealed", MFdFlags::MFD_ALLOW_SEALING).expect("a memfd");
    File::from(memory.try_clone().expect("a copy"))
        .set_len(1 << 14)
        .expect("memory");
    for passed in [pipe.as_fd(), memory.as_fd(), here.as_fd()] {
        pass(&here, b'R', &[passed]);
        let refused = receive(&there).expect_err("the memory holds no region");
        assert!(
            matches!(refused, RegionTransferError::Region(RegionError::NotSealed)),
            "{refused:?}"
        );
    }
}

fn memory_without_a_region_is_rejected() {
    let (here, there) = pair();
    let memory = memfd_create("sealed", MFdFlags::MFD_ALLOW_SEALING).expect("a memfd");
    File::from(memory.try_clone().expect("a copy"))
        .set_len(1 << 14)
        .expect("memory");
    let seals = FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK);
    fcntl(&memory, seals).expect("the memfd can be sealed");
    pass(&here, b'R', &[memory.as_fd()]);
    let refused = receive(&there).expect_err("the memory holds no region");
    assert!(
        matches!(
            refused,
            RegionTransferError::Region(RegionError::NotARegion { .. })
        ),
        "{refused:?}"
    );
}

fn receive_without_a_free_descriptor_fails() {
    let (here, there) = pair();
    let sent = region();
    sent.create::<Semaphore>("semaphore", ())
        .expect("the name is free");
    send(&here, &sent).expect("the buffer has room");
    drop(sent);
    let highest = *descriptors().last().expect("descriptors are open") as u64;
    let full: Vec<File> = (0..highest)
        .map_while(|_| File::open("/dev/null").ok())
        .collect();
    let open = descriptors().len() as u64;
    // With one free descriptor, the region arrives, but its header cannot be checked.
    for free in [0, 1] {
        let limited = Limited::to(open + free);
        let refused = receive(&there);
        drop(limited);
        let error = refused.expect_err("the process has no free descriptor");
        assert!(
            matches!(error, RegionTransferError::DescriptorLimit),
            "{free}: {error:?}"
        );
        assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
        assert_eq!(descriptors().len() as u64, open, "nothing stays open");
    }
    let limited = Limited::to(open + 2);
    let received = receive(&there).expect("two descriptors suffice");
    drop(limited);
    drop(full);
    let received = received.expect("the stream has not ended");
    received
        .attach::<Semaphore>("semaphore")
        .expect("nothing is lost");
    let more = recv_region_with(&there, Timeout::NonBlocking);
    assert!(
        matches!(more, Err(RegionTransferError::Timeout)),
        "the message is consumed once: {more:?}"
    );
}

fn concurrent_receivers_get_each_region_once() {
    const REGIONS: u64 = 100;
    let (here, there) = pair();
    for number in 0..REGIONS {
        let region = region();
        let name = number.to_string();
        region.create::<Semaphore>(&name, ()).expect("room");
        send(&here, &region).expect("the buffer has room");
    }
    drop(here);
    let received = std::thread::scope(|scope| {
        let receiver = || {
            let mut seen = Vec::new();
            while let Some(region) = receive(&there).expect("only regions are sent") {
                let objects: Vec<String> = region.objects().map(|o| o.name.to_string()).collect();
                seen.extend(objects);
            }
            seen
        };
        let receivers = [scope.spawn(receiver), scope.spawn(receiver)];
        receivers.map(|receiver| receiver.join().expect("no receiver fails"))
    });
    let mut numbers: Vec<u64> = received
        .iter()
        .flatten()
        .map(|name| name.trim_matches('"').parse().expect("a number"))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..REGIONS).collect::<Vec<_>>());
}

fn socket_with_credentials_is_rejected() {
    let (here, there) = pair();
    nix::sys::socket::setsockopt(&there, nix::sys::socket::sockopt::PassCred, &true)
        .expect("the call is allowed");
    send(&here, &region()).expect("the buffer has room");
    let refused = receive(&there).expect_err("the socket passes credentials");
    assert!(
        matches!(refused, RegionTransferError::Credentials),
        "{refused:?}"
    );
}
