//! Named regions of each kind: lookup, errors and removal.

use super::harness::Test;
use super::hostile::variant;
use super::process::{Actor, TIMEOUT};
use super::scratch::{Scratch, parse_name};
use interlatch::region::InvalidRegionName;
use interlatch::{Region, RegionError, RegionName, RegionOptions, Semaphore};
use interlatch_testing::process::assert_child_succeeds;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal::SIGBUS;
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Uid, fork, mkfifo, setuid};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::PathBuf;
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "named_region_is_found_by_name",
            named_region_is_found_by_name,
        ),
        Test::new(
            "remove_on_drop_removes_the_name",
            remove_on_drop_removes_the_name,
        ),
        Test::new(
            "drop_in_forked_child_keeps_the_name",
            drop_in_forked_child_keeps_the_name,
        ),
        Test::new(
            "foreign_segment_is_not_modified",
            foreign_segment_is_not_modified,
        ),
        Test::new(
            "region_of_earlier_boot_is_an_error",
            region_of_earlier_boot_is_an_error,
        ),
        Test::new("region_is_private_by_default", region_is_private_by_default),
        Test::new(
            "region_of_other_user_is_denied",
            region_of_other_user_is_denied,
        ),
        Test::new(
            "name_of_other_file_is_an_error",
            name_of_other_file_is_an_error,
        ),
        Test::new(
            "invalid_region_name_is_an_error",
            invalid_region_name_is_an_error,
        ),
        Test::new(
            "full_file_system_is_an_error_at_creation",
            full_file_system_is_an_error_at_creation,
        ),
        Test::new(
            "truncated_file_is_an_error_and_ends_its_users",
            truncated_file_is_an_error_and_ends_its_users,
        ),
    ]
}

fn named_region_is_found_by_name() {
    for name in &Scratch::new().names {
        let missing = RegionOptions::attach(name).err();
        assert!(
            matches!(missing, Some(RegionError::NotFound(_))),
            "{missing:?}"
        );
        let region = RegionOptions::new(4096)
            .create(name)
            .expect("the region can be created");
        let semaphore: &Semaphore = region.create("ready", ()).expect("the region has room");
        let same = RegionOptions::attach(name).expect("the region exists");
        semaphore.release(1).expect("the permits fit");
        let attached: &Semaphore = same.attach("ready").expect("the object exists");
        assert_eq!((attached.permits(), same.size()), (1, 4096));
        assert_eq!(same.creator().0, std::process::id());
        let twice = RegionOptions::new(4096).create(name).err();
        assert!(
            matches!(twice, Some(RegionError::RegionExists(_))),
            "{twice:?}"
        );
        let again = RegionOptions::new(1 << 16).create_or_attach(name);
        assert_eq!(again.expect("the region exists").size(), 4096);
        drop((region, same));
        let mapped = RegionOptions::attach(name).expect("the name stays");
        name.remove().expect("the region exists");
        assert!(matches!(
            RegionOptions::attach(name).err(),
            Some(RegionError::NotFound(_))
        ));
        assert!(matches!(
            name.remove().err(),
            Some(RegionError::NotFound(_))
        ));
        let semaphore: &Semaphore = mapped.attach("ready").expect("the mapping stays valid");
        assert_eq!(semaphore.permits(), 1);
    }
}

fn remove_on_drop_removes_the_name() {
    for name in &Scratch::new().names {
        let options = RegionOptions::new(4096).remove_on_drop(true);
        drop(options.create(name).expect("the region can be created"));
        assert!(RegionOptions::attach(name).is_err(), "{name} is removed");
        // A later region with the same name belongs to another creator.
        let first = options.create(name).expect("the region can be created");
        name.remove().expect("the region exists");
        let second = RegionOptions::new(4096)
            .create(name)
            .expect("the region can be created");
        drop(first);
        assert!(
            RegionOptions::attach(name).is_ok(),
            "{name} belongs to another creator"
        );
        drop(second);
        name.remove().expect("the region exists");
    }
}

fn drop_in_forked_child_keeps_the_name() {
    let scratch = Scratch::new();
    for name in &scratch.names {
        let region = RegionOptions::new(4096).remove_on_drop(true).create(name);
        let region = region.expect("the region has room");
        // SAFETY: this process has one thread. The child only drops the region and exits.
        match unsafe { fork() }.expect("a child") {
            ForkResult::Child => {
                drop(region);
                std::process::exit(0);
            }
            ForkResult::Parent { child } => {
                assert_child_succeeds(child, "the child drops its copy");
            }
        }
        assert!(
            RegionOptions::attach(name).is_ok(),
            "{name} belongs to the parent"
        );
    }
}

/// Another program may use the same System V key for its own segment.
fn foreign_segment_is_not_modified() {
    const SIZE: usize = 4 * 4096;
    let scratch = Scratch::new();
    let name = &scratch.names[2];
    let (_, key) = name
        .to_string()
        .split_once("0x")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("a key");
    let key = u32::from_str_radix(&key, 16).expect("a key") as i32;
    // SAFETY: all arguments are integers.
    let id = unsafe { libc::shmget(key, SIZE, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) };
    // SAFETY: the kernel chooses unused addresses, and the segment has `SIZE` bytes.
    let bytes = unsafe {
        let start = libc::shmat(id, std::ptr::null(), 0);
        std::slice::from_raw_parts_mut(start.cast::<u8>(), SIZE)
    };
    // The program uses all bytes, the last bytes, some bytes in the middle, or some bytes in the
    // header.
    for used in [
        0..SIZE,
        8192..SIZE,
        12000..12008,
        6000..6008,
        2048..2049,
        500..510,
    ] {
        bytes.fill(0);
        bytes[used.clone()].fill(1);
        for error in [
            RegionOptions::attach(name).err(),
            RegionOptions::new(4096).create_or_attach(name).err(),
            name.remove().err(),
        ] {
            assert!(
                matches!(error, Some(RegionError::NotARegion { .. })),
                "{used:?}: {error:?}"
            );
        }
        let mut words = bytes.iter().enumerate();
        let is_unchanged = words.all(|(at, byte)| *byte == u8::from(used.contains(&at)));
        assert!(is_unchanged, "{used:?}: the segment is unchanged");
    }
    // SAFETY: `bytes` is not used after this. The second call takes integers only.
    unsafe {
        libc::shmdt(bytes.as_ptr().cast());
        libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut());
    }
}

/// In the region's header, the boot ID at offset 32 follows the PID namespace.
fn region_of_earlier_boot_is_an_error() {
    const BOOT: u64 = 32;
    let scratch = Scratch::new();
    let name = &scratch.names[1];
    drop(
        RegionOptions::new(4096)
            .create(name)
            .expect("the region can be created"),
    );
    let path = scratch.directory.path().join("region");
    let file = File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("the region exists");
    let mut boot = [0; 16];
    file.read_exact_at(&mut boot, BOOT)
        .expect("the object exists");
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("the object exists");
    let digits = text.trim().replace('-', "");
    assert_eq!(format!("{:032x}", u128::from_le_bytes(boot)), digits);
    file.write_all_at(&[7; 16], BOOT)
        .expect("the object exists");
    let error = RegionOptions::attach(name).err();
    assert!(matches!(error, Some(RegionError::EarlierBoot)), "{error:?}");
    name.remove().expect("the stale region can be removed");
}

fn region_is_private_by_default() {
    let scratch = Scratch::new();
    let path = scratch.directory.path().join("region");
    let mode = || fs::metadata(&path).expect("the region exists").mode() & 0o777;
    let name = &scratch.names[1];
    drop(
        RegionOptions::new(4096)
            .create(name)
            .expect("the region can be created"),
    );
    assert_eq!(mode(), 0o600);
    name.remove().expect("the region exists");
    let open = RegionOptions::new(4096).mode(0o666);
    drop(open.create(name).expect("the region can be created"));
    assert_eq!(mode(), 0o666, "the mode is independent of the umask");
}

/// Starts an actor with this role. Starting an actor requires a region, but the actor does not use
/// it.
fn start(role: &[&str]) -> Actor {
    let region = Region::memfd("names", 4096).expect("a page");
    let mut words = vec!["names".to_owned()];
    words.extend(role.iter().map(|word| (*word).to_owned()));
    Actor::start(&region, &words)
}

fn reply_of(role: &[&str]) -> String {
    let reply = start(role).reply(Instant::now() + TIMEOUT);
    reply.unwrap_or_else(|problem| panic!("{problem}"))
}

/// Runs a role in an actor.
pub fn run(role: &[String]) {
    let role: Vec<&str> = role.iter().map(String::as_str).collect();
    let reply = match role[..] {
        ["as other user", name] => as_other_user(name),
        ["full file system", directory] => on_full_file_system(PathBuf::from(directory)),
        ["touch", path] => return touch(&RegionName::file(path)),
        _ => panic!("unknown role {role:?}"),
    };
    println!("{reply}");
}

fn region_of_other_user_is_denied() {
    if !Uid::effective().is_root() {
        println!("skipped: only root can change its user");
        return;
    }
    for name in &Scratch::new().names {
        let _region = RegionOptions::new(4096)
            .create(name)
            .expect("the region can be created");
        let denied = format!("Denied: this process has no permission to use region {name}");
        assert_eq!(reply_of(&["as other user", &name.to_string()]), denied);
        name.remove().expect("this process owns the region");
    }
}

fn as_other_user(name: &str) -> String {
    const NOBODY: u32 = 65534;
    setuid(Uid::from_raw(NOBODY)).expect("root can change its user");
    match RegionOptions::attach(&parse_name(name)) {
        Ok(_) => "attached".into(),
        Err(error) => format!("{}: {error}", variant(&error)),
    }
}

fn name_of_other_file_is_an_error() {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.directory.path().join(name);
    mkfifo(&at("pipe"), Mode::S_IRWXU).expect("a pipe");
    fs::create_dir(at("directory")).expect("a directory");
    fs::write(at("file"), vec![1; 8192]).expect("a file");
    fs::write(at("zeros"), vec![0; 8192]).expect("a file");
    fs::write(at("empty"), b"").expect("a file");
    symlink(at("file"), at("link")).expect("a link");
    let attach_error = |name: &str| {
        let name = RegionName::file(at(name));
        let twice = RegionOptions::new(4096).create(&name).err();
        assert!(
            matches!(twice, Some(RegionError::RegionExists(_))),
            "{twice:?}"
        );
        assert!(name.remove().is_err(), "{name} is not a region");
        let both = RegionOptions::new(4096).create_or_attach(&name).err();
        let error = RegionOptions::attach(&name).expect_err("the path is not a region");
        assert_eq!(both.map(|both| both.to_string()), Some(error.to_string()));
        error
    };
    for name in ["pipe", "directory", "link"] {
        let error = attach_error(name);
        assert!(
            matches!(error, RegionError::NotAFile(_)),
            "{name}: {error:?}"
        );
    }
    assert!(matches!(
        attach_error("file"),
        RegionError::NotARegion { .. }
    ));
    assert!(matches!(
        attach_error("zeros"),
        RegionError::NotARegion { .. }
    ));
    assert!(matches!(
        attach_error("empty"),
        RegionError::NotARegion { .. }
    ));
    let nowhere = RegionOptions::new(4096)
        .create(&RegionName::file(at("no/where")))
        .err();
    assert!(
        matches!(nowhere, Some(RegionError::NoDirectory(_))),
        "{nowhere:?}"
    );
}

fn invalid_region_name_is_an_error() {
    let character = |name: &str| InvalidRegionName::Character(name.into());
    for (name, error, message) in [
        (
            "",
            InvalidRegionName::Empty,
            "the name of a region is empty",
        ),
        (
            "a/b",
            character("a/b"),
            "the name \"a/b\" contains a slash or a zero byte, or is one or two dots; use `file:PATH` for a \
             path",
        ),
        (
            "..",
            character(".."),
            "the name \"..\" contains a slash or a zero byte, or is one or two dots; use `file:PATH` for a \
             path",
        ),
        (
            &"a".repeat(256),
            InvalidRegionName::TooLong(256),
            "the name of a region has 256 bytes, expected at most 255",
        ),
    ] {
        match RegionName::posix(name) {
            Err(RegionError::RegionName(found)) => {
                assert_eq!((found.to_string().as_str(), found), (message, error));
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(RegionName::posix("a\0b").is_err());
    assert!(RegionName::posix(&"a".repeat(255)).is_ok());
    assert!(RegionName::sysv(0).is_err(), "the private key");
}

fn full_file_system_is_an_error_at_creation() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("text");
    let reply = reply_of(&["full file system", path]);
    println!("{reply}");
    assert!(
        reply.starts_with("skipped") || reply.starts_with("passed"),
        "{reply}"
    );
}

/// Creates regions on a file system of 64 KiB in a new mount namespace.
fn on_full_file_system(directory: PathBuf) -> String {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNS) {
        return format!("skipped: mount namespaces are not available: {error}");
    }
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .expect("the mounts can be made private");
    let small = mount(
        Some("small"),
        &directory,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("size=64k"),
    );
    if let Err(error) = small {
        return format!("skipped: no file system can be mounted: {error}");
    }
    let descriptors = || {
        fs::read_dir("/proc/self/fd")
            .expect("the directory is readable")
            .count()
    };
    let before = descriptors();
    let name = RegionName::file(directory.join("region"));
    for _ in 0..3 {
        let error = RegionOptions::new(1 << 20).create(&name).err();
        assert!(matches!(error, Some(RegionError::NoSpace(_))), "{error:?}");
    }
    assert_eq!(descriptors(), before, "no descriptor is left");
    assert_eq!(
        fs::read_dir(&directory)
            .expect("the directory is readable")
            .count(),
        0,
        "no file is left"
    );
    let fits = RegionOptions::new(8192).create(&name);
    assert!(fits.is_ok(), "the space is free again: {fits:?}");
    // The file system has no space for two regions of this size. The second call must attach.
    let large = RegionName::file(directory.join("large"));
    let first = RegionOptions::new(40 << 10).create_or_attach(&large);
    assert!(first.is_ok(), "{first:?}");
    let second = RegionOptions::new(40 << 10).create_or_attach(&large);
    assert!(second.is_ok(), "the region exists already: {second:?}");
    "passed".into()
}

fn truncated_file_is_an_error_and_ends_its_users() {
    let scratch = Scratch::new();
    let path = scratch.directory.path().join("region");
    let name = &scratch.names[1];
    let region = RegionOptions::new(1 << 16)
        .create(name)
        .expect("the region can be created");
    let mut actor = start(&["touch", path.to_str().expect("text")]);
    assert_eq!(
        actor.reply(Instant::now() + TIMEOUT).as_deref(),
        Ok("attached")
    );
    let file = File::options()
        .write(true)
        .open(&path)
        .expect("the region exists");
    file.set_len(8192).expect("the length can be set");
    actor.tell("continue");
    let status = waitpid(actor.pid(), None).expect("this process has the child");
    assert!(
        matches!(status, WaitStatus::Signaled(_, SIGBUS, _)),
        "{status:?}"
    );
    let error = RegionOptions::attach(name)
        .err()
        .map(|error| error.to_string());
    let reply = "the region was created with 73728 bytes and has 8192 now: it was truncated, or its header \
                is damaged";
    assert_eq!(error.as_deref(), Some(reply));
    drop(region);
    name.remove().expect("the truncated region can be removed");
}

/// Waits for a line from the parent in an actor, then writes to the end of the region.
fn touch(name: &RegionName) {
    let region = RegionOptions::attach(name).expect("the region exists");
    let words: &[Semaphore] = region.create("words", 8000).expect("the region has room");
    println!("attached");
    std::io::stdin()
        .read_line(&mut String::new())
        .expect("the parent sends a line");
    words[7999].release(1).expect("the permits fit");
}
