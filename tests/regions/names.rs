//! Regions with a name, of each kind: found by it, refused, removed.

use super::harness::Test;
use super::hostile::variant;
use super::process::{Actor, TIMEOUT};
use super::scratch::{Scratch, parse_name};
use interlatch::region::InvalidRegionName;
use interlatch::{Region, RegionError, RegionName, RegionOptions, Semaphore};
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
        Test::new("a_named_region_is_found_by_its_name", is_found_by_its_name),
        Test::new("a_name_that_goes_with_its_creator", goes_with_its_creator),
        Test::new(
            "a_name_stays_when_a_forked_child_drops_its_copy",
            stays_when_a_child_drops_it,
        ),
        Test::new(
            "a_segment_of_somebody_else_is_left_alone",
            a_segment_of_somebody_else_is_left_alone,
        ),
        Test::new(
            "a_region_of_an_earlier_boot_is_refused",
            a_region_of_an_earlier_boot_is_refused,
        ),
        Test::new("a_region_is_private_unless_said_otherwise", is_private),
        Test::new(
            "a_region_of_somebody_else_is_denied",
            somebody_elses_is_denied,
        ),
        Test::new(
            "a_name_of_something_else_is_refused",
            something_else_is_refused,
        ),
        Test::new(
            "a_name_that_cannot_be_is_refused",
            a_name_that_cannot_be_is_refused,
        ),
        Test::new(
            "a_full_disk_is_an_error_at_creation",
            a_full_disk_is_an_error,
        ),
        Test::new(
            "a_truncated_file_is_refused_and_ends_who_uses_it",
            a_truncated_file,
        ),
    ]
}

fn is_found_by_its_name() {
    for name in &Scratch::new().names {
        let missing = RegionOptions::attach(name).err();
        assert!(
            matches!(missing, Some(RegionError::NotFound(_))),
            "{missing:?}"
        );
        let region = RegionOptions::new(4096).create(name).expect("room");
        let semaphore: &Semaphore = region.create("ready", ()).expect("room");
        let same = RegionOptions::attach(name).expect("it exists");
        semaphore.release(1).expect("few");
        let attached: &Semaphore = same.attach("ready").expect("there");
        assert_eq!((attached.permits(), same.size()), (1, 4096));
        assert_eq!(same.creator().0, std::process::id());
        let twice = RegionOptions::new(4096).create(name).err();
        assert!(
            matches!(twice, Some(RegionError::RegionExists(_))),
            "{twice:?}"
        );
        let again = RegionOptions::new(1 << 16).create_or_attach(name);
        assert_eq!(again.expect("it exists").size(), 4096);
        drop((region, same));
        let kept = RegionOptions::attach(name).expect("the name stays");
        name.remove().expect("it exists");
        assert!(matches!(
            RegionOptions::attach(name).err(),
            Some(RegionError::NotFound(_))
        ));
        assert!(matches!(
            name.remove().err(),
            Some(RegionError::NotFound(_))
        ));
        let semaphore: &Semaphore = kept.attach("ready").expect("who has it mapped keeps it");
        assert_eq!(semaphore.permits(), 1);
    }
}

fn goes_with_its_creator() {
    for name in &Scratch::new().names {
        let options = RegionOptions::new(4096).remove_on_drop(true);
        drop(options.create(name).expect("room"));
        assert!(RegionOptions::attach(name).is_err(), "{name} is gone");
        // A later one of the same name is not its own.
        let first = options.create(name).expect("room");
        name.remove().expect("it exists");
        let second = RegionOptions::new(4096).create(name).expect("room");
        drop(first);
        assert!(
            RegionOptions::attach(name).is_ok(),
            "{name} is another one's"
        );
        drop(second);
        name.remove().expect("it exists");
    }
}

fn stays_when_a_child_drops_it() {
    let scratch = Scratch::new();
    for name in &scratch.names {
        let region = RegionOptions::new(4096).remove_on_drop(true).create(name);
        let region = region.expect("room");
        // SAFETY: this process has one thread, and the child only drops the region and exits.
        match unsafe { fork() }.expect("a child") {
            ForkResult::Child => {
                drop(region);
                std::process::exit(0);
            }
            ForkResult::Parent { child } => {
                let status = waitpid(child, None).expect("the child is ours");
                assert_eq!(status, WaitStatus::Exited(child, 0));
            }
        }
        assert!(
            RegionOptions::attach(name).is_ok(),
            "{name} is the parent's"
        );
    }
}

/// Two programs may have chosen one key.
fn a_segment_of_somebody_else_is_left_alone() {
    const SIZE: usize = 4 * 4096;
    let scratch = Scratch::new();
    let name = &scratch.names[2];
    let (_, key) = name
        .to_string()
        .split_once("0x")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("a key");
    let key = u32::from_str_radix(&key, 16).expect("a key") as i32;
    // SAFETY: it takes numbers only.
    let id = unsafe { libc::shmget(key, SIZE, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) };
    // SAFETY: the kernel chooses a place; the segment has that many bytes.
    let bytes = unsafe {
        let start = libc::shmat(id, std::ptr::null(), 0);
        std::slice::from_raw_parts_mut(start.cast::<u8>(), SIZE)
    };
    // All of it is in use, or the end, or something in the middle, or something in the header.
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
        for refused in [
            RegionOptions::attach(name).err(),
            RegionOptions::new(4096).create_or_attach(name).err(),
            name.remove().err(),
        ] {
            assert!(
                matches!(refused, Some(RegionError::NotARegion { .. })),
                "{used:?}: {refused:?}"
            );
        }
        let mut words = bytes.iter().enumerate();
        let is_as_it_was = words.all(|(at, byte)| *byte == u8::from(used.contains(&at)));
        assert!(is_as_it_was, "{used:?}: nothing was written");
    }
    // SAFETY: attached above, and not used any more; the second takes numbers only.
    unsafe {
        libc::shmdt(bytes.as_ptr().cast());
        libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut());
    }
}

/// The number of the boot follows the pid namespace in the header.
fn a_region_of_an_earlier_boot_is_refused() {
    const BOOT: u64 = 32;
    let scratch = Scratch::new();
    let name = &scratch.names[1];
    drop(RegionOptions::new(4096).create(name).expect("room"));
    let path = scratch.directory.path().join("region");
    let file = File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("it exists");
    let mut boot = [0; 16];
    file.read_exact_at(&mut boot, BOOT).expect("it is there");
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("it is there");
    let digits = text.trim().replace('-', "");
    assert_eq!(format!("{:032x}", u128::from_le_bytes(boot)), digits);
    file.write_all_at(&[7; 16], BOOT).expect("it is there");
    let refused = RegionOptions::attach(name).err();
    assert!(
        matches!(refused, Some(RegionError::EarlierBoot)),
        "{refused:?}"
    );
    name.remove().expect("it is of no use to anybody");
}

fn is_private() {
    let scratch = Scratch::new();
    let path = scratch.directory.path().join("region");
    let mode = || fs::metadata(&path).expect("it exists").mode() & 0o777;
    let name = &scratch.names[1];
    drop(RegionOptions::new(4096).create(name).expect("room"));
    assert_eq!(mode(), 0o600);
    name.remove().expect("it exists");
    let open = RegionOptions::new(4096).mode(0o666);
    drop(open.create(name).expect("room"));
    assert_eq!(mode(), 0o666, "whatever the umask");
}

/// Starts a part in a process of its own; the region is only for the harness.
fn start(part: &[&str]) -> Actor {
    let region = Region::memfd("names", 4096).expect("a page");
    let mut words = vec!["names".to_owned()];
    words.extend(part.iter().map(|word| (*word).to_owned()));
    Actor::start(&region, &words)
}

fn said(part: &[&str]) -> String {
    let reply = start(part).reply(Instant::now() + TIMEOUT);
    reply.unwrap_or_else(|problem| panic!("{problem}"))
}

/// In an actor.
pub fn play(part: &[String]) {
    let part: Vec<&str> = part.iter().map(String::as_str).collect();
    let said = match part[..] {
        ["as somebody else", name] => as_somebody_else(name),
        ["full disk", directory] => on_a_full_disk(PathBuf::from(directory)),
        ["touch", path] => return touch(&RegionName::file(path)),
        _ => panic!("no actor plays {part:?}"),
    };
    println!("{said}");
}

fn somebody_elses_is_denied() {
    if !Uid::effective().is_root() {
        println!("skipped: only root can become somebody else");
        return;
    }
    for name in &Scratch::new().names {
        let _region = RegionOptions::new(4096).create(name).expect("room");
        let denied = format!("Denied: this process has no permission to use region {name}");
        assert_eq!(said(&["as somebody else", &name.to_string()]), denied);
        name.remove().expect("it is ours");
    }
}

fn as_somebody_else(name: &str) -> String {
    const NOBODY: u32 = 65534;
    setuid(Uid::from_raw(NOBODY)).expect("root may");
    match RegionOptions::attach(&parse_name(name)) {
        Ok(_) => "attached".into(),
        Err(error) => format!("{}: {error}", variant(&error)),
    }
}

fn something_else_is_refused() {
    let scratch = Scratch::new();
    let at = |name: &str| scratch.directory.path().join(name);
    mkfifo(&at("pipe"), Mode::S_IRWXU).expect("a pipe");
    fs::create_dir(at("directory")).expect("a directory");
    fs::write(at("file"), vec![1; 8192]).expect("a file");
    fs::write(at("zeros"), vec![0; 8192]).expect("a file");
    fs::write(at("empty"), b"").expect("a file");
    symlink(at("file"), at("link")).expect("a link");
    let refusal = |name: &str| {
        let name = RegionName::file(at(name));
        let twice = RegionOptions::new(4096).create(&name).err();
        assert!(
            matches!(twice, Some(RegionError::RegionExists(_))),
            "{twice:?}"
        );
        assert!(name.remove().is_err(), "{name} is none of ours");
        let both = RegionOptions::new(4096).create_or_attach(&name).err();
        let refused = RegionOptions::attach(&name).expect_err("no region");
        assert_eq!(both.map(|both| both.to_string()), Some(refused.to_string()));
        refused
    };
    for name in ["pipe", "directory", "link"] {
        let refused = refusal(name);
        assert!(
            matches!(refused, RegionError::NotAFile(_)),
            "{name}: {refused:?}"
        );
    }
    assert!(matches!(refusal("file"), RegionError::NotARegion { .. }));
    assert!(matches!(refusal("zeros"), RegionError::NotARegion { .. }));
    assert!(matches!(refusal("empty"), RegionError::NotARegion { .. }));
    let nowhere = RegionOptions::new(4096)
        .create(&RegionName::file(at("no/where")))
        .err();
    assert!(
        matches!(nowhere, Some(RegionError::NoDirectory(_))),
        "{nowhere:?}"
    );
}

fn a_name_that_cannot_be_is_refused() {
    let character = |name: &str| InvalidRegionName::Character(name.into());
    for (name, error, said) in [
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
                assert_eq!((found.to_string().as_str(), found), (said, error));
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(RegionName::posix("a\0b").is_err());
    assert!(RegionName::posix(&"a".repeat(255)).is_ok());
    assert!(RegionName::sysv(0).is_err(), "the private key");
}

fn a_full_disk_is_an_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("text");
    let said = said(&["full disk", path]);
    println!("{said}");
    assert!(
        said.starts_with("skipped") || said.starts_with("as it should be"),
        "{said}"
    );
}

/// In a mount namespace of its own, with a file system of 64 KiB.
fn on_a_full_disk(directory: PathBuf) -> String {
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNS) {
        return format!("skipped: no mount namespace can be made: {error}");
    }
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("ours alone");
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
    let descriptors = || fs::read_dir("/proc/self/fd").expect("there").count();
    let before = descriptors();
    let name = RegionName::file(directory.join("region"));
    for _ in 0..3 {
        let refused = RegionOptions::new(1 << 20).create(&name).err();
        assert!(
            matches!(refused, Some(RegionError::NoSpace(_))),
            "{refused:?}"
        );
    }
    assert_eq!(descriptors(), before, "no descriptor is left");
    assert_eq!(
        fs::read_dir(&directory).expect("there").count(),
        0,
        "and no file"
    );
    let fits = RegionOptions::new(8192).create(&name);
    assert!(fits.is_ok(), "the space is free again: {fits:?}");
    // There is no room for a second one.
    let large = RegionName::file(directory.join("large"));
    let first = RegionOptions::new(40 << 10).create_or_attach(&large);
    assert!(first.is_ok(), "{first:?}");
    let second = RegionOptions::new(40 << 10).create_or_attach(&large);
    assert!(second.is_ok(), "it is there already: {second:?}");
    "as it should be".into()
}

fn a_truncated_file() {
    let scratch = Scratch::new();
    let path = scratch.directory.path().join("region");
    let name = &scratch.names[1];
    let region = RegionOptions::new(1 << 16).create(name).expect("room");
    let mut actor = start(&["touch", path.to_str().expect("text")]);
    assert_eq!(
        actor.reply(Instant::now() + TIMEOUT).as_deref(),
        Ok("attached")
    );
    let file = File::options().write(true).open(&path).expect("it exists");
    file.set_len(8192).expect("nobody prevents it");
    actor.tell("go on");
    let status = waitpid(actor.pid(), None).expect("the child is ours");
    assert!(
        matches!(status, WaitStatus::Signaled(_, SIGBUS, _)),
        "{status:?}"
    );
    let refused = RegionOptions::attach(name)
        .err()
        .map(|error| error.to_string());
    let said = "the region was created with 73728 bytes and has 8192 now: it was truncated, or its header \
                is damaged";
    assert_eq!(refused.as_deref(), Some(said));
    drop(region);
    name.remove().expect("it is ours all the same");
}

/// In an actor: uses the end of the region when the parent says so.
fn touch(name: &RegionName) {
    let region = RegionOptions::attach(name).expect("it exists");
    let words: &[Semaphore] = region.create("words", 8000).expect("room");
    println!("attached");
    std::io::stdin()
        .read_line(&mut String::new())
        .expect("the parent says so");
    words[7999].release(1).expect("few");
}
