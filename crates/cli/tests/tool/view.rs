//! `RegionView`: read-only inspection of a region.

use super::command::wait_until;
use super::harness::Test;
use super::scratch::Scratch;
use interlatch::inspect::ObjectState;
use interlatch::inspect::{RegionState, RegionView};
use interlatch::{Region, RegionError, RegionName, RegionOptions, Semaphore};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::unistd::geteuid;
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("view_needs_only_read_permission", read_permission),
        Test::new("view_shows_the_contents_of_a_region", contents),
        Test::new("view_attaches_a_memfd_by_path", memfd),
        Test::new("view_reports_other_users_of_a_region", used),
        Test::new("unusable_regions_can_be_inspected", states),
        Test::new("incomplete_segment_differs_from_other_segments", half_built),
        Test::new("object_outside_the_region_is_reported", outside),
    ]
}

/// Runs `act` in a thread without root's privileges.
fn unprivileged<R: Send>(act: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            const NOBODY: libc::c_long = 65534;
            if geteuid().is_root() {
                // The raw system call changes only this thread's user ID. libc's `setresuid`
                // changes all threads.
                // SAFETY: all arguments are integers.
                let left = unsafe { libc::syscall(libc::SYS_setresuid, -1, NOBODY, -1) };
                assert_eq!(left, 0, "root may change its user");
            }
            act()
        });
        thread.join().expect("the process ends")
    })
}

fn used() {
    let scratch = Scratch::new();
    let [posix, file, sysv] = &scratch.names;
    for name in [posix, file] {
        let region = RegionOptions::new(4096)
            .create(name)
            .expect("a region arrives");
        let view = || RegionView::attach(name).expect("it may be read");
        assert_eq!(
            view().is_used_elsewhere(),
            Some(true),
            "{name}: this process has it attached"
        );
        drop(region);
        // Other tests inspect all regions of the machine and may have this region open for a
        // moment.
        wait_until("no process has the region open", || {
            view().is_used_elsewhere() == Some(false)
        });
        let first = view();
        assert_eq!(
            view().is_used_elsewhere(),
            Some(true),
            "{name}: another view exists"
        );
        drop(first);
    }
    let _region = RegionOptions::new(4096)
        .create(sysv)
        .expect("a region arrives");
    let view = RegionView::attach(sysv).expect("it may be read");
    assert_eq!(
        view.is_used_elsewhere(),
        None,
        "the kernel does not report it for segments"
    );
}

fn read_permission() {
    let scratch = Scratch::new();
    // Temporary directories are private, and only root can map a read-only segment to initialize
    // it.
    let names = match geteuid().is_root() {
        true => vec![&scratch.names[0], &scratch.names[2]],
        false => vec![&scratch.names[0]],
    };
    for name in names {
        let options = RegionOptions::new(4096).mode(0o444).remove_on_drop(true);
        let region = options.create(name).expect("a region arrives");
        region.create::<Semaphore>("ready", ()).expect("room");
        unprivileged(|| {
            let used = RegionOptions::attach(name);
            assert!(matches!(used, Err(RegionError::Denied(_))), "{used:?}");
            let view = RegionView::attach(name).expect("it may be read");
            assert_eq!(
                (view.state(), view.objects().count()),
                (RegionState::Usable, 1)
            );
        });
    }
    let secret = RegionName::posix(&format!("interlatch-secret-{}", std::process::id()));
    let secret = secret.expect("the name is valid");
    let _region = RegionOptions::new(4096)
        .mode(0)
        .remove_on_drop(true)
        .create(&secret)
        .expect("a region arrives");
    unprivileged(|| {
        let view = RegionView::attach(&secret);
        assert!(matches!(view, Err(RegionError::Denied(_))), "{view:?}");
    });
}

fn contents() {
    let scratch = Scratch::new();
    for name in &scratch.names {
        let region = RegionOptions::new(5000)
            .create(name)
            .expect("a region arrives");
        let semaphore = region.create::<Semaphore>("ready", ()).expect("room");
        let view = RegionView::attach(name).expect("it exists");
        assert_eq!(
            (view.size(), view.creator()),
            (region.size(), region.creator())
        );
        let object = view.objects().next().expect("one");
        for permits in [0, 5] {
            semaphore.release(permits).expect("room");
            let ObjectState::Semaphore(state) = view.inspect(&object) else {
                panic!("the object is a semaphore");
            };
            assert_eq!((state.permits, state.waiters), (permits, false));
        }
        if let Some(descriptor) = view.descriptor() {
            let flags = fcntl(descriptor, FcntlArg::F_GETFL).expect("the descriptor is open");
            let mode = OFlag::from_bits_retain(flags) & OFlag::O_ACCMODE;
            assert_eq!(mode, OFlag::O_RDONLY, "the descriptor is read-only");
        }
    }
}

fn memfd() {
    let region = Region::memfd("viewed", 4096).expect("a memfd");
    region.create::<Semaphore>("ready", ()).expect("room");
    let number = region
        .descriptor()
        .expect("the socket has an address")
        .as_raw_fd();
    let view = RegionView::attach_path(format!("/proc/self/fd/{number}")).expect("it is ours");
    assert_eq!(
        (view.state(), view.objects().count()),
        (RegionState::Usable, 1)
    );
    let none = RegionView::attach_path("/proc/self/fd/1000000");
    assert!(matches!(none, Err(RegionError::NotFound(_))), "{none:?}");
}

/// Offsets in the header.
const NAMESPACE: u64 = 24;
const BOOT: u64 = 32;

fn states() {
    let scratch = Scratch::new();
    let path = PathBuf::from(scratch.directory.path()).join("region");
    let file = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .expect("it exists")
    };
    type Harm = fn(std::fs::File);
    let harms: [(RegionState, Harm); 7] = [
        (RegionState::Usable, |_| ()),
        (RegionState::OtherNamespace, |file| {
            file.write_all_at(&[1; 8], NAMESPACE).expect("written");
        }),
        (RegionState::EarlierBoot, |file| {
            file.write_all_at(&[1; 8], BOOT).expect("written");
        }),
        (
            RegionState::Truncated {
                created_with: 12288,
            },
            |file| {
                file.set_len(100).expect("cut");
            },
        ),
        (RegionState::Damaged, |file| {
            file.set_len(1 << 40).expect("sparse");
        }),
        (RegionState::Damaged, |file| replace(&file, 8192, 12287)),
        (RegionState::Damaged, |file| replace(&file, 8192, 8194)),
    ];
    for (expected, harm) in harms {
        let name = &scratch.names[1];
        let region = RegionOptions::new(4096)
            .create(name)
            .expect("a region arrives");
        region.create::<Semaphore>("ready", ()).expect("room");
        harm(file());
        let view = RegionView::attach(name).expect("it is another view exists");
        assert_eq!(view.state(), expected);
        let is_cut = matches!(expected, RegionState::Truncated { .. });
        assert_eq!(view.objects().count(), usize::from(!is_cut), "{expected:?}");
        std::fs::remove_file(&path).expect("it exists");
    }
}

/// Replaces the last word in the directory that has the value `old`: the offset of the first
/// object.
fn replace(file: &std::fs::File, old: u64, new: u64) {
    let mut header = [0; 8192];
    file.read_exact_at(&mut header, 0).expect("a header");
    let words = header.as_chunks::<8>().0;
    let at = words.iter().rposition(|word| *word == old.to_ne_bytes());
    let at = at.expect("it has an object") as u64 * 8;
    file.write_all_at(&new.to_ne_bytes(), at).expect("written");
}

/// A segment that is removed when this value is dropped.
struct Bare(i32);

impl Drop for Bare {
    fn drop(&mut self) {
        // SAFETY: `IPC_RMID` ignores the null pointer.
        unsafe { libc::shmctl(self.0, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

fn half_built() {
    let scratch = Scratch::new();
    let key = scratch.names[2].to_string();
    let key = u32::from_str_radix(&key["sysv:0x".len()..], 16).expect("hexadecimal") as i32;
    // SAFETY: all arguments are integers.
    let id = unsafe { libc::shmget(key, 12288, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) };
    let bare = Bare(id);
    let view = RegionView::attach(&scratch.names[2]).expect("it may be built yet");
    assert_eq!(view.state(), RegionState::Unbuilt { is_begun: false });
    // SAFETY: the kernel chooses an unused address.
    let memory = unsafe { libc::shmat(bare.0, std::ptr::null(), 0) }.cast::<u64>();
    // SAFETY: the segment has 12288 bytes, and no other process accesses it.
    unsafe { memory.add(1).write_volatile(12288) };
    let view = RegionView::attach(&scratch.names[2]).expect("it may be built yet");
    assert_eq!(view.state(), RegionState::Unbuilt { is_begun: true });
    let same = RegionView::attach_segment(bare.0).expect("by its id");
    assert_eq!(same.state(), view.state());
    // SAFETY: the segment has 8192 bytes, and no other process accesses it.
    unsafe { memory.write_volatile(7) };
    let other = RegionView::attach(&scratch.names[2]);
    assert!(
        matches!(other, Err(RegionError::NotARegion { found: 7, .. })),
        "{other:?}"
    );
    // SAFETY: `memory` is the address of the mapping and is not used afterwards.
    unsafe { libc::shmdt(memory.cast()) };
}

fn outside() {
    let scratch = Scratch::new();
    let region = RegionOptions::new(4096)
        .create(&scratch.names[0])
        .expect("a region arrives");
    region.create::<Semaphore>("ready", ()).expect("room");
    let view = RegionView::attach(&scratch.names[0]).expect("it exists");
    let object = view.objects().next().expect("one");
    for offset in [0, 8191, 8193, 12286, 12288, u64::MAX - 3, u64::MAX] {
        let mut moved = object;
        moved.offset = offset;
        assert_eq!(view.inspect(&moved), ObjectState::Outside, "at {offset}");
    }
}
