//! Limits of a process and of a file system. Each limit is an error and never a signal.

use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::scratch::{Scratch, parse_name};
use super::seccomp;
use interlatch::channel::{ChannelError, GrowthLimit, SendError};
use interlatch::{
    Channel, Region, RegionError, RegionName, RegionOptions, Semaphore, UnboundedBuffer,
};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

const MIB: usize = 1 << 20;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "file_size_limit_is_an_error_not_a_signal",
            file_size_limit_is_an_error_not_a_signal,
        ),
        Test::new(
            "cgroup_limit_is_an_error_not_a_kill",
            cgroup_limit_is_an_error_not_a_kill,
        ),
        Test::new(
            "signals_do_not_interrupt_creation",
            signals_do_not_interrupt_creation,
        ),
        Test::new(
            "interrupted_reservation_is_retried_in_smaller_parts",
            interrupted_reservation_is_retried_in_smaller_parts,
        ),
        Test::new(
            "file_system_without_unnamed_files_is_supported",
            file_system_without_unnamed_files_is_supported,
        ),
        Test::new(
            "unbounded_buffer_is_removed_without_listing_its_directory",
            unbounded_buffer_is_removed_without_listing_its_directory,
        ),
        Test::new(
            "segment_that_cannot_be_removed_is_removed_later",
            segment_that_cannot_be_removed_is_removed_later,
        ),
        Test::new("hugetlb_memfd_is_refused", hugetlb_memfd_is_refused),
    ]
}

/// Runs an actor with this role and returns its reply.
fn reply_of(role: &[String]) -> String {
    let region = Region::memfd("limits", 4096).expect("a page");
    let words = [&["limited".to_owned()], role].concat();
    let deadline = Instant::now() + TIMEOUT;
    let mut actor = Actor::start(&region, &words);
    let reply = actor.reply(deadline);
    let reply = reply.unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(actor.end(deadline), Ok(()));
    reply
}

/// Returns the words of a role with these names.
fn role(role: &str, names: &[RegionName]) -> Vec<String> {
    let names = names.iter().map(RegionName::to_string);
    [role.to_owned()].into_iter().chain(names).collect()
}

/// Runs a role in an actor.
pub fn run(arguments: &[String]) {
    let [role, rest @ ..] = arguments else {
        panic!("expected a role, got {arguments:?}")
    };
    match role.as_str() {
        "file size" => with_file_size_limit(&names_of(rest)),
        "cgroup" => in_cgroup(Path::new(&rest[0]), &names_of(&rest[1..])),
        "interrupted" => with_interruptions(&names_of(rest)),
        "signals" => with_signals(&names_of(rest)),
        "no listing" => without_listing(&names_of(rest)),
        "no removal" => without_descriptors(&names_of(rest)),
        "no unnamed files" => {
            let numbers = [&rest[0], &rest[1]].map(|number| number.parse().expect("a number"));
            without_unnamed_files(numbers, &names_of(&rest[2..]));
        }
        other => panic!("unknown role {other:?}"),
    }
    println!("passed");
}

fn names_of(names: &[String]) -> Vec<RegionName> {
    names.iter().map(|name| parse_name(name)).collect()
}

/// Creates a queue with segments of 8 MiB.
fn large_queue(name: &RegionName) -> UnboundedBuffer<[u64; 1024]> {
    let limit = GrowthLimit {
        items: 1024,
        segments: 64,
    };
    UnboundedBuffer::create(name, limit).expect("the first region is small")
}

fn file_size_limit_is_an_error_not_a_signal() {
    let scratch = Scratch::new();
    let reply = reply_of(&role("file size", &scratch.names));
    assert_eq!(reply, "passed");
    assert_eq!(scratch.remaining(), [0; 3]);
}

fn with_file_size_limit(names: &[RegionName]) {
    let queue = large_queue(&names[0]);
    let sender = queue.sender().expect("the queue is open");
    let limit = 2 * MIB as u64;
    setrlimit(Resource::RLIMIT_FSIZE, limit, limit).expect("the limit can be lowered");
    let sent = sender.send([7; 1024]);
    let Err(SendError::Failed(_, ChannelError::Storage(error))) = sent else {
        panic!("the segment exceeds the limit");
    };
    assert!(error.to_string().contains("RLIMIT_FSIZE"), "{error}");
    drop(sender);
    drop(queue);
    UnboundedBuffer::<[u64; 1024]>::remove(&names[0]).expect("the queue exists");
    let options = RegionOptions::new(2 * MIB);
    let results = [
        Region::memfd("limited", 2 * MIB),
        Region::anonymous(2 * MIB),
        options.create(&names[0]),
        options.create_or_attach(&names[1]),
    ];
    for result in results {
        // The header makes the region larger than the limit.
        let error = result.expect_err("the region exceeds the limit");
        let size = 2 * MIB + 8192;
        assert!(
            matches!(error, RegionError::FileSizeLimit { requested, limit: found }
                if (requested, found) == (size, limit)),
            "{error:?}"
        );
    }
    let options = RegionOptions::new(2 * MIB - 8192).remove_on_drop(true);
    for name in names {
        options
            .create(name)
            .expect("the region has the limit's size");
    }
    let large = RegionOptions::new(4 * MIB).remove_on_drop(true);
    large.create(&names[2]).expect("the limit is for files");
}

/// A cgroup with a memory limit, which is removed when the test ends.
struct Cgroup(PathBuf);

impl Cgroup {
    /// Creates a cgroup, or returns the reason why this process cannot.
    fn new(limit: usize) -> Result<Self, String> {
        let name = format!("interlatch-test-{}", std::process::id());
        let problem = |error: std::io::Error| format!("no cgroup can be created: {error}");
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let (parent, file) = match v1.join("memory.limit_in_bytes").exists() {
            true => (v1, "memory.limit_in_bytes"),
            false => (Path::new("/sys/fs/cgroup"), "memory.max"),
        };
        let cgroup = Self(parent.join(name));
        fs::create_dir(&cgroup.0).map_err(problem)?;
        fs::write(cgroup.0.join(file), limit.to_string()).map_err(problem)?;
        Ok(cgroup)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn cgroup_limit_is_an_error_not_a_kill() {
    let cgroup = match Cgroup::new(64 * MIB) {
        Ok(cgroup) => cgroup,
        Err(reason) => return println!("NOT CHECKED: {reason}"),
    };
    let scratch = Scratch::new();
    let path = cgroup.0.display().to_string();
    let mut words = role("cgroup", &scratch.names);
    words.insert(1, path);
    assert_eq!(reply_of(&words), "passed");
    assert_eq!(scratch.remaining(), [0; 3]);
    let path = cgroup.0.clone();
    drop(cgroup);
    assert!(!path.exists(), "the cgroup is removed");
}

/// Enters the cgroup, which limits memory to 64 MiB, and creates regions up to the limit.
fn in_cgroup(cgroup: &Path, names: &[RegionName]) {
    let own = std::process::id().to_string();
    fs::write(cgroup.join("cgroup.procs"), own).expect("root can move a process");
    let options = RegionOptions::new(128 * MIB);
    let results = [
        Region::memfd("limited", 128 * MIB),
        options.create(&names[0]),
        options.create_or_attach(&names[2]),
        // `/dev/shm` is in memory, however the file is named.
        options.create(&RegionName::file(
            Path::new("/dev/shm").join(names[0].to_string().replace("posix:", "")),
        )),
    ];
    for result in results {
        let error = result.expect_err("the region exceeds the limit");
        assert!(
            matches!(&error, RegionError::CgroupMemory { available, cgroup: found, .. }
                if *available <= 64 * MIB as u64 && found == cgroup),
            "{error:?}"
        );
    }
    let queue = large_queue(&names[0]);
    let sender = queue.sender().expect("the queue is open");
    let mut sent = 0;
    let error = loop {
        match sender.send([7; 1024]) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(sent >= 2 * 1024, "only {sent} items fit into 64 MiB");
    let SendError::Failed(_, ChannelError::Storage(error)) = error else {
        panic!("the next segment exceeds the limit");
    };
    assert!(error.to_string().contains("the cgroup "), "{error}");
    drop(sender);
    drop(queue);
    UnboundedBuffer::<[u64; 1024]>::remove(&names[0]).expect("the queue exists");
    // The largest region that the check accepts does not exceed the limit.
    let (mut least, mut most) = (0, 64 * MIB);
    while most - least > MIB {
        let size = least.midpoint(most);
        match Region::memfd("limited", size) {
            Ok(_) => least = size,
            Err(RegionError::CgroupMemory { .. }) => most = size,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(least >= 32 * MIB, "only {least} bytes are accepted");
}

fn signals_do_not_interrupt_creation() {
    let scratch = Scratch::new();
    let reply = reply_of(&role("signals", &scratch.names));
    assert_eq!(reply, "passed");
    assert_eq!(scratch.remaining(), [0; 3]);
}

/// Sets the interval of the timer that sends `SIGALRM`.
fn set_timer(microseconds: libc::suseconds_t) {
    let interval = libc::timeval {
        tv_sec: 0,
        tv_usec: microseconds,
    };
    let timer = libc::itimerval {
        it_interval: interval,
        it_value: interval,
    };
    // SAFETY: the call reads the structure, which outlives the call, and writes nothing.
    let set = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
    assert_eq!(set, 0);
}

extern "C" fn ignore(_: libc::c_int) {}

fn with_signals(names: &[RegionName]) {
    let handler = SigAction::new(
        SigHandler::Handler(ignore),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGALRM, &handler) }.expect("the signal can be handled");
    for microseconds in [300, 1_000, 10_000] {
        set_timer(microseconds);
        for _ in 0..5 {
            Region::memfd("signals", 64 * MIB).expect("a signal does not prevent creation");
        }
        let options = RegionOptions::new(32 * MIB).remove_on_drop(true);
        for name in names {
            options
                .create(name)
                .expect("a signal does not prevent creation");
        }
        let queue = large_queue(&names[0]);
        let sender = queue.sender().expect("the queue is open");
        for _ in 0..4096 {
            let sent = sender.send([7; 1024]);
            assert!(sent.is_ok(), "a signal does not prevent growth");
        }
        drop(sender);
        drop(queue);
        UnboundedBuffer::<[u64; 1024]>::remove(&names[0]).expect("the queue exists");
    }
    set_timer(0);
}

fn interrupted_reservation_is_retried_in_smaller_parts() {
    let scratch = Scratch::new();
    let reply = reply_of(&role("interrupted", &scratch.names));
    assert_eq!(reply, "passed");
    assert_eq!(scratch.remaining(), [0; 3]);
}

/// Creates regions where each reservation of more than 1 MiB is interrupted. Some
/// kernels end `fallocate` with `EINTR` when a signal arrives.
fn with_interruptions(names: &[RegionName]) {
    const LENGTH: u32 = 3;
    let (call, errno) = (libc::SYS_fallocate, libc::EINTR as u32);
    seccomp::fail_if(call, LENGTH, libc::BPF_JGT, MIB as u32, errno);
    let options = RegionOptions::new(10 * MIB + 1).remove_on_drop(true);
    let region = Region::memfd("interrupted", 10 * MIB + 1).expect("the memory suffices");
    let descriptor = region.descriptor().expect("a memfd has one");
    let file = File::from(descriptor.try_clone_to_owned().expect("a copy"));
    let allocated = file.metadata().expect("a status").blocks() * 512;
    assert!(allocated > 10 * MIB as u64, "only {allocated} bytes");
    for name in names {
        options.create(name).expect("the memory suffices");
    }
    let queue = large_queue(&names[0]);
    let sender = queue.sender().expect("the queue is open");
    assert!(sender.send([7; 1024]).is_ok(), "the queue grows");
    drop(sender);
    drop(queue);
    UnboundedBuffer::<[u64; 1024]>::remove(&names[0]).expect("the queue exists");
}

fn file_system_without_unnamed_files_is_supported() {
    let refusals = [
        Errno::EOPNOTSUPP,
        Errno::EISDIR,
        Errno::ENOENT,
        Errno::EINVAL,
    ];
    for refusal in refusals {
        // Without hard links, the file is renamed.
        for link in [0, libc::EPERM, libc::EOPNOTSUPP] {
            let scratch = Scratch::new();
            let words = [
                "no unnamed files".to_owned(),
                (refusal as i32).to_string(),
                link.to_string(),
                scratch.names[0].to_string(),
                scratch.names[1].to_string(),
            ];
            assert_eq!(reply_of(&words), "passed");
            assert_eq!(scratch.remaining(), [0; 3], "no temporary file remains");
        }
    }
}

/// Runs where `open` fails with the first error if `O_TMPFILE` is set, and where `linkat` fails
/// with the second error unless it is 0.
fn without_unnamed_files([refusal, link]: [u32; 2], names: &[RegionName]) {
    /// The bit of `O_TMPFILE` that `O_DIRECTORY` does not contain.
    const TMPFILE: u32 = (libc::O_TMPFILE & !libc::O_DIRECTORY) as u32;
    const FLAGS: u32 = 2;
    seccomp::fail_if(libc::SYS_openat, FLAGS, libc::BPF_JSET, TMPFILE, refusal);
    if link != 0 {
        seccomp::fail(libc::SYS_linkat, link);
    }
    for name in names {
        let options = RegionOptions::new(4096).remove_on_drop(true);
        let region = options.create(name).expect("a temporary file is created");
        let ready: &Semaphore = region.create("ready", ()).expect("room");
        ready.release(1).expect("there are no permits");
        let again = options.create(name);
        assert!(
            matches!(again, Err(RegionError::RegionExists(_))),
            "{again:?}"
        );
        let same = options.create_or_attach(name).expect("the region exists");
        let same: &Semaphore = same.attach("ready").expect("the object exists");
        assert!(same.try_acquire().is_some());
        drop(region);
        // A creation that fails later removes the temporary file.
        let huge = RegionOptions::new(1 << 50).create(name);
        assert!(huge.is_err(), "{huge:?}");
    }
    let missing = RegionOptions::new(4096).create(&RegionName::file("/nonexistent/directory/x"));
    assert!(
        matches!(missing, Err(RegionError::NoDirectory(_))),
        "{missing:?}"
    );
    assert!(
        RegionOptions::new(4096)
            .create(&RegionName::file(""))
            .is_err()
    );
}

/// A limit with one item in each segment.
const SMALL: GrowthLimit = GrowthLimit {
    items: 1,
    segments: 50,
};

fn unbounded_buffer_is_removed_without_listing_its_directory() {
    let scratch = Scratch::new();
    let reply = reply_of(&role("no listing", &scratch.names));
    assert_eq!(reply, "passed");
    assert_eq!(scratch.remaining(), [0; 3]);
}

fn without_listing(names: &[RegionName]) {
    let queues = [&names[0], &names[1]].map(|name| {
        let queue = UnboundedBuffer::<u64>::create(name, SMALL).expect("the name is free");
        let (sender, receiver) = (queue.sender(), queue.receiver());
        let sender = sender.expect("the queue is open");
        for item in 0..20 {
            sender.send(item).expect("the queue grows");
        }
        for item in 0..5 {
            let receiver = receiver.as_ref().expect("the queue is open");
            assert_eq!(receiver.try_recv().expect("an item"), item);
        }
        name
    });
    seccomp::fail(libc::SYS_getdents64, libc::EACCES as u32);
    let mut entries = fs::read_dir("/").expect("the directory can be opened");
    let entry = entries.next().expect("an entry or an error");
    assert!(entry.is_err(), "no directory can be listed");
    for name in queues {
        UnboundedBuffer::<u64>::remove(name).expect("the list names the segments");
    }
}

fn segment_that_cannot_be_removed_is_removed_later() {
    let scratch = Scratch::new();
    let reply = reply_of(&role("no removal", &scratch.names));
    assert_eq!(reply, "passed");
    assert_eq!(scratch.remaining(), [0; 3]);
}

/// Drains segments without a free descriptor, which the removal of a segment needs.
fn without_descriptors(names: &[RegionName]) {
    let name = &names[1];
    let queue = UnboundedBuffer::<u64>::create(name, SMALL).expect("the name is free");
    let sender = queue.sender().expect("the queue is open");
    let receiver = queue.receiver().expect("the queue is open");
    let files = || {
        let path = name.to_string();
        let path = Path::new(path.strip_prefix("file:").expect("a file"));
        let entries = fs::read_dir(path.parent().expect("a directory"));
        entries.expect("a descriptor is free").count()
    };
    for item in 0..2 {
        sender.send(item).expect("the queue grows");
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, 3, hard).expect("the limit can be lowered");
    assert_eq!(receiver.try_recv().expect("the segment is mapped"), 0);
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the limit can be raised");
    assert_eq!(files(), 3, "the drained segment could not be removed");
    for item in 2..4 {
        sender.send(item).expect("the queue grows");
    }
    for item in 1..4 {
        assert_eq!(receiver.try_recv().expect("an item"), item);
    }
    assert_eq!(files(), 2, "the drained segment is removed later");
    drop((sender, receiver));
    drop(queue);
    UnboundedBuffer::<u64>::remove(name).expect("the queue exists");
}

fn hugetlb_memfd_is_refused() {
    let flags = MFdFlags::MFD_HUGETLB | MFdFlags::MFD_ALLOW_SEALING;
    let memory = match memfd_create("huge", flags) {
        Ok(memory) => memory,
        Err(errno) => return println!("NOT CHECKED: the kernel has no hugetlb memfd: {errno}"),
    };
    let file = File::from(memory.try_clone().expect("a copy"));
    file.set_len(2 * MIB as u64).expect("one huge page");
    fcntl(&memory, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK)).expect("it can be sealed");
    let refused = Region::from_descriptor(memory);
    assert!(matches!(refused, Err(RegionError::HugeTlb)), "{refused:?}");
}
