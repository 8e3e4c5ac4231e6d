//! `RegionView`: a region that is only looked at.

use super::command::until;
use super::harness::Test;
use super::scratch::Scratch;
use interlatch::inspect::ObjectState;
use interlatch::inspect::{RegionState, RegionView};
use interlatch::sync::SemaphoreState;
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
        Test::new("to_look_needs_the_permission_to_read_only", read_permission),
        Test::new("a_view_has_what_the_region_has", contents),
        Test::new("a_view_of_a_memfd_is_had_by_a_path", memfd),
        Test::new("a_view_says_whether_anybody_else_has_the_region", used),
        Test::new("what_cannot_be_used_can_be_looked_at", states),
        Test::new(
            "a_segment_that_is_not_built_is_told_from_anybodys",
            half_built,
        ),
        Test::new("an_object_that_is_not_inside_is_said_to_be_so", outside),
    ]
}

/// In a thread that is not root, as which everything is permitted.
fn unprivileged<R: Send>(act: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            const NOBODY: libc::c_long = 65534;
            if geteuid().is_root() {
                // The call itself, unlike that of libc, is for one thread.
                // SAFETY: it takes numbers only.
                let left = unsafe { libc::syscall(libc::SYS_setresuid, -1, NOBODY, -1) };
                assert_eq!(left, 0, "root may become anybody");
            }
            act()
        });
        thread.join().expect("it ends")
    })
}

fn used() {
    let scratch = Scratch::new();
    let [posix, file, sysv] = &scratch.names;
    for name in [posix, file] {
        let region = RegionOptions::new(4096).create(name).expect("a region");
        let view = || RegionView::attach(name).expect("it may be read");
        assert_eq!(view().is_used_elsewhere(), Some(true), "{name}: it is here");
        drop(region);
        // Others look at all regions of the machine, and have it open for that.
        until("nobody has it", || {
            view().is_used_elsewhere() == Some(false)
        });
        let first = view();
        assert_eq!(view().is_used_elsewhere(), Some(true), "{name}: looked at");
        drop(first);
    }
    let _region = RegionOptions::new(4096).create(sysv).expect("a region");
    let view = RegionView::attach(sysv).expect("it may be read");
    assert_eq!(
        view.is_used_elsewhere(),
        None,
        "of a segment nothing is said"
    );
}

fn read_permission() {
    let scratch = Scratch::new();
    // A temporary directory lets nobody else in; and only root can map a segment that is so to build it.
    let names = match geteuid().is_root() {
        true => vec![&scratch.names[0], &scratch.names[2]],
        false => vec![&scratch.names[0]],
    };
    for name in names {
        let options = RegionOptions::new(4096).mode(0o444).remove_on_drop(true);
        let region = options.create(name).expect("a region");
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
    let secret = secret.expect("a name");
    let _region = RegionOptions::new(4096)
        .mode(0)
        .remove_on_drop(true)
        .create(&secret)
        .expect("a region");
    unprivileged(|| {
        let view = RegionView::attach(&secret);
        assert!(matches!(view, Err(RegionError::Denied(_))), "{view:?}");
    });
}

fn contents() {
    let scratch = Scratch::new();
    for name in &scratch.names {
        let region = RegionOptions::new(5000).create(name).expect("a region");
        let semaphore = region.create::<Semaphore>("ready", ()).expect("room");
        let view = RegionView::attach(name).expect("it is there");
        assert_eq!(
            (view.size(), view.creator()),
            (region.size(), region.creator())
        );
        let object = view.objects().next().expect("one");
        for permits in [0, 5] {
            semaphore.release(permits).expect("room");
            let waiters = false;
            let expected = ObjectState::Semaphore(SemaphoreState { permits, waiters });
            assert_eq!(view.inspect(&object), expected, "as it is now");
        }
        if let Some(descriptor) = view.descriptor() {
            let flags = fcntl(descriptor, FcntlArg::F_GETFL).expect("it is open");
            let mode = OFlag::from_bits_retain(flags) & OFlag::O_ACCMODE;
            assert_eq!(mode, OFlag::O_RDONLY, "it could not be written through");
        }
    }
}

fn memfd() {
    let region = Region::memfd("viewed", 4096).expect("a memfd");
    region.create::<Semaphore>("ready", ()).expect("room");
    let number = region.descriptor().expect("it has one").as_raw_fd();
    let view = RegionView::attach_path(format!("/proc/self/fd/{number}")).expect("it is ours");
    assert_eq!(
        (view.state(), view.objects().count()),
        (RegionState::Usable, 1)
    );
    let none = RegionView::attach_path("/proc/self/fd/1000000");
    assert!(matches!(none, Err(RegionError::NotFound(_))), "{none:?}");
}

/// Words of the header.
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
            .expect("it is there")
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
        let region = RegionOptions::new(4096).create(name).expect("a region");
        region.create::<Semaphore>("ready", ()).expect("room");
        harm(file());
        let view = RegionView::attach(name).expect("it is looked at");
        assert_eq!(view.state(), expected);
        let is_cut = matches!(expected, RegionState::Truncated { .. });
        assert_eq!(view.objects().count(), usize::from(!is_cut), "{expected:?}");
        std::fs::remove_file(&path).expect("it is there");
    }
}

/// Puts another number where the directory has this one, which is that of the first object's place.
fn replace(file: &std::fs::File, old: u64, new: u64) {
    let mut header = [0; 8192];
    file.read_exact_at(&mut header, 0).expect("a header");
    let words = header.as_chunks::<8>().0;
    let at = words.iter().rposition(|word| *word == old.to_ne_bytes());
    let at = at.expect("it has an object") as u64 * 8;
    file.write_all_at(&new.to_ne_bytes(), at).expect("written");
}

/// Such a segment, removed with this.
struct Bare(i32);

impl Drop for Bare {
    fn drop(&mut self) {
        // SAFETY: this command ignores the pointer.
        unsafe { libc::shmctl(self.0, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

fn half_built() {
    let scratch = Scratch::new();
    let key = scratch.names[2].to_string();
    let key = u32::from_str_radix(&key["sysv:0x".len()..], 16).expect("hexadecimal") as i32;
    // SAFETY: it takes numbers only.
    let id = unsafe { libc::shmget(key, 12288, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) };
    let bare = Bare(id);
    let view = RegionView::attach(&scratch.names[2]).expect("it may be built yet");
    assert_eq!(view.state(), RegionState::Unbuilt { is_begun: false });
    // SAFETY: the kernel chooses a place where nothing is.
    let memory = unsafe { libc::shmat(bare.0, std::ptr::null(), 0) }.cast::<u64>();
    // SAFETY: the second word of a segment of 12288 bytes, which nobody else uses.
    unsafe { memory.add(1).write_volatile(12288) };
    let view = RegionView::attach(&scratch.names[2]).expect("it may be built yet");
    assert_eq!(view.state(), RegionState::Unbuilt { is_begun: true });
    let same = RegionView::attach_segment(bare.0).expect("by its id");
    assert_eq!(same.state(), view.state());
    // SAFETY: as above.
    unsafe { memory.write_volatile(7) };
    let other = RegionView::attach(&scratch.names[2]);
    assert!(
        matches!(other, Err(RegionError::NotARegion { found: 7, .. })),
        "{other:?}"
    );
    // SAFETY: mapped above, and used no more.
    unsafe { libc::shmdt(memory.cast()) };
}

fn outside() {
    let scratch = Scratch::new();
    let region = RegionOptions::new(4096)
        .create(&scratch.names[0])
        .expect("a region");
    region.create::<Semaphore>("ready", ()).expect("room");
    let view = RegionView::attach(&scratch.names[0]).expect("it is there");
    let object = view.objects().next().expect("one");
    for offset in [0, 8191, 8193, 12286, 12288, u64::MAX - 3, u64::MAX] {
        let mut moved = object;
        moved.offset = offset;
        assert_eq!(view.inspect(&moved), ObjectState::Outside, "at {offset}");
    }
}
