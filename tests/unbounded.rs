//! The unbounded buffer: the names of its segments, its limits, and its removal.

use interlatch::channel::{ChannelError, GrowthLimit, RecvTimeoutError, SendError, TryRecvError};
use interlatch::inspect::RegionView;
use interlatch::platform::AtomicU32;
use interlatch::platform::Ordering::{Acquire, Release};
use interlatch::region::ConfigError;
use interlatch::sync::Timeout;
use interlatch::{
    Buffer as _, Channel, RegionError, RegionName, RegionOptions, RobustMutex, Semaphore, ShmSafe,
    UnboundedBuffer,
};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

type Buffer = UnboundedBuffer<u64>;

/// The timeout of a wait. It is much longer than the expected duration.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A growth limit with one item per segment.
const GROWTH: GrowthLimit = GrowthLimit {
    items: 1,
    segments: 50,
};

/// A directory for a buffer. The directory is removed when the test ends.
struct TestDir(TempDir);

impl TestDir {
    fn new() -> Self {
        let mut builder = tempfile::Builder::new();
        builder.prefix("interlatch-unbounded-");
        Self(builder.tempdir_in("/dev/shm").expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn name(&self, name: &str) -> RegionName {
        RegionName::file(self.path(name))
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path())
            .expect("the directory is readable")
            .flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Returns the file name of this segment of the buffer `x`.
    fn segment(&self, number: u64) -> String {
        let end = format!(".{number}");
        let files = self.files().into_iter();
        let segments = files.filter(|name| name.starts_with("x.") && name.ends_with(&end));
        // The segment has the longest file name. A shorter name belongs to another region.
        segments
            .max_by_key(String::len)
            .expect("the segment exists")
    }

    fn objects(&self, name: &str) -> Vec<String> {
        let view = RegionView::attach(&self.name(name)).expect("the object exists");
        view.objects().map(|object| object.name.text()).collect()
    }
}

/// Sends these items before any receiver exists, and keeps the stream open.
fn fill(buffer: &Buffer, items: std::ops::Range<u64>) {
    let sender = buffer.sender().expect("the channel is open");
    for item in items {
        sender.send(item).expect("the buffer has room");
    }
    // A leaked sender keeps the stream open.
    std::mem::forget(sender);
}

fn write(path: &Path, offset: u64, word: u64) {
    let file = File::options()
        .write(true)
        .open(path)
        .expect("the file exists");
    file.write_all_at(&word.to_ne_bytes(), offset)
        .expect("the file system has space");
}

#[test]
fn foreign_region_with_segment_name_is_kept() {
    let test_dir = TestDir::new();
    let buffer = Buffer::create(&test_dir.name("x"), GROWTH).expect("the buffer has room");
    let foreign = ["x.1", "x.2"].map(String::from);
    let create = |name: &String| {
        let region = RegionOptions::new(4096)
            .create(&test_dir.name(name))
            .expect("the region has room");
        region
            .create::<Semaphore>("foreign", ())
            .expect("the region has room");
    };
    foreign.iter().for_each(create);
    fill(&buffer, 0..1);
    // This name is exactly the name of the next segment.
    let first = test_dir.segment(1);
    let next = first.strip_suffix("1").expect("its number").to_owned() + "2";
    create(&next);
    let sent = buffer.sender().expect("the channel is open").send(1);
    let receiver = buffer.receiver().expect("the channel is open");
    assert_eq!(receiver.recv().expect("an item"), 0);
    drop(receiver);
    drop(buffer);
    Buffer::remove(&test_dir.name("x")).expect("the buffer exists");
    let expected = [foreign[0].clone(), foreign[1].clone(), next];
    assert_eq!(test_dir.files().len(), 3, "{:?}", test_dir.files());
    for name in expected {
        assert_eq!(test_dir.objects(&name), ["foreign"], "{name}");
    }
    let Err(SendError::Failed(1, ChannelError::Storage(error))) = sent else {
        panic!("{sent:?}");
    };
    assert_eq!(error.segment(), 2, "{error}");
}

#[test]
fn buffers_with_a_common_name_prefix_are_independent() {
    let test_dir = TestDir::new();
    let names = ["x", "x.1", "x.1.1"].map(|name| test_dir.name(name));
    let buffers = names.each_ref().map(|name| Buffer::create(name, GROWTH));
    let buffers = buffers.map(|buffer| buffer.expect("the name is free"));
    for (number, buffer) in (0..).zip(&buffers) {
        fill(buffer, 10 * number..10 * number + 5);
    }
    Buffer::remove(&names[0]).expect("the buffer exists");
    for (number, buffer) in (1..).zip(&buffers[1..]) {
        let receiver = buffer.receiver().expect("the channel is open");
        for item in 10 * number..10 * number + 5 {
            assert_eq!(receiver.try_recv().expect("an item"), item);
        }
    }
    for name in &names[1..] {
        Buffer::remove(name).expect("the buffer exists");
    }
    assert_eq!(test_dir.files(), Vec::<String>::new());
}

#[test]
fn removed_buffer_is_independent_of_its_successor() {
    let test_dir = TestDir::new();
    let old = Buffer::create(&test_dir.name("x"), GROWTH).expect("the buffer has room");
    fill(&old, 0..3);
    Buffer::remove(&test_dir.name("x")).expect("the buffer exists");
    let new = Buffer::create(&test_dir.name("x"), GROWTH).expect("the buffer has room");
    // A removed buffer cannot grow, because nothing would remove its new segments.
    let sent = old.sender().expect("the channel is open").send(3);
    let Err(SendError::Failed(3, ChannelError::Storage(error))) = sent else {
        panic!("{sent:?}");
    };
    assert!(error.to_string().contains("does not exist"), "{error}");
    fill(&new, 100..102);
    let receiver = new.receiver().expect("the channel is open");
    assert_eq!(receiver.try_recv().expect("an item"), 100);
    assert_eq!(receiver.try_recv().expect("an item"), 101);
    drop(receiver);
    drop((old, new));
    Buffer::remove(&test_dir.name("x")).expect("the buffer exists");
    assert_eq!(
        test_dir.files(),
        Vec::<String>::new(),
        "the removed buffer leaves no segment"
    );
}

/// Finds the offset of the growth limit. Three numbers precede the growth limit: the number of the
/// first segment, of the last segment, and of the first unremoved segment.
fn find_growth_limit(path: &Path) -> u64 {
    let bytes = fs::read(path).expect("the file exists");
    let word = (u64::from(GROWTH.items) << 32 | u64::from(GROWTH.segments)).to_ne_bytes();
    let words = bytes.chunks(8).enumerate().skip(8192 / 8);
    let mut found = words.filter(|(_, bytes)| *bytes == word);
    found.next().expect("the segment list has it").0 as u64 * 8
}

#[test]
fn corrupted_limit_does_not_enlarge_segments() {
    let test_dir = TestDir::new();
    let buffer = Buffer::create(&test_dir.name("x"), GROWTH).expect("the buffer has room");
    let growth = find_growth_limit(&test_dir.path("x"));
    write(&test_dir.path("x"), growth, 1 << 54 | 50);
    fill(&buffer, 0..1);
    let segment = fs::metadata(test_dir.path(&test_dir.segment(1))).expect("the object exists");
    assert!(segment.len() <= 12288, "{segment:?}");
    write(&test_dir.path("x"), growth, 0);
    let result = Buffer::attach(&test_dir.name("x")).err();
    let expected = matches!(result, Some(RegionError::Config(ConfigError::ZeroCapacity)));
    assert!(expected, "{result:?}");
}

#[test]
fn corrupted_numbers_do_not_cause_long_loops() {
    let test_dir = TestDir::new();
    let buffer = Buffer::create(&test_dir.name("x"), GROWTH).expect("the buffer has room");
    let receiver = buffer.receiver().expect("the channel is open");
    let (path, growth) = (test_dir.path("x"), find_growth_limit(&test_dir.path("x")));
    write(&path, growth, 1 << 32 | u64::from(u32::MAX));
    write(&path, growth - 24, 1 << 60);
    write(&path, growth - 16, (1 << 60) - 1);
    write(&path, growth - 8, 0);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    drop(receiver);
    drop(buffer);
    Buffer::remove(&test_dir.name("x")).expect("the buffer exists");
}

#[test]
fn at_most_two_segments_are_mapped_and_open() {
    let test_dir = TestDir::new();
    let buffer = Buffer::create(&test_dir.name("x"), GROWTH).expect("the buffer has room");
    let mapped = || {
        let maps = fs::read_to_string("/proc/self/maps").expect("proc");
        let path = test_dir.0.path().to_str().expect("text");
        maps.lines().filter(|line| line.contains(path)).count()
    };
    let open = || {
        let open = fs::read_dir("/proc/self/fd").expect("proc").flatten();
        let open = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        // The filter includes a file that was renamed after it was opened.
        let is_in_test_dir = |path: &PathBuf| path.starts_with(test_dir.0.path());
        open.filter(is_in_test_dir).count()
    };
    fill(&buffer, 0..50);
    assert!(mapped() <= 3 && open() <= 3, "{} {}", mapped(), open());
    let peer = Buffer::attach(&test_dir.name("x")).expect("the buffer exists");
    let receiver = buffer.receiver().expect("the channel is open");
    for item in 0..25 {
        assert_eq!(receiver.try_recv().expect("an item"), item);
        assert_eq!(peer.len() as u64, 49 - item);
        assert!(mapped() <= 6 && open() <= 6, "{} {}", mapped(), open());
    }
}

#[test]
fn send_without_receivers_creates_no_segment() {
    let test_dir = TestDir::new();
    let buffer = Buffer::create(&test_dir.name("x"), GROWTH).expect("the buffer has room");
    drop(buffer.receiver().expect("the channel is open"));
    let sent = buffer.sender().expect("the channel is open").send(1);
    assert_eq!(sent, Err(SendError::Disconnected(1)));
    let usage = buffer.usage().expect("the lock is free");
    assert_eq!((usage.segments, usage.created), (0, 0));
    assert_eq!(test_dir.files(), ["x"]);
}

#[test]
fn received_items_free_their_segments() {
    let test_dir = TestDir::new();
    let limit = GrowthLimit {
        items: 2,
        segments: 3,
    };
    let buffer = Buffer::create(&test_dir.name("x"), limit).expect("the buffer has room");
    fill(&buffer, 0..6);
    let sent = buffer.sender().expect("the channel is open").send(6);
    let limit = ChannelError::LimitReached { segments: 3 };
    assert_eq!(sent, Err(SendError::Failed(6, limit)));
    assert_eq!(test_dir.files().len(), 4, "the buffer and three segments");
    let receiver = buffer.receiver().expect("the channel is open");
    for (item, segments) in [(0, 3), (1, 2), (2, 2), (3, 1), (4, 1), (5, 1)] {
        assert_eq!(receiver.try_recv().expect("an item"), item);
        let usage = buffer.usage().expect("the lock is free");
        assert_eq!((usage.segments, usage.created), (segments, 3), "{item}");
        assert_eq!(buffer.len() as u64, 5 - item);
        assert_eq!(test_dir.files().len() as u64, 1 + segments);
    }
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    fill(&buffer, 6..8);
    let usage = buffer.usage().expect("the lock is free");
    assert_eq!((usage.segments, usage.created), (1, 3));
}

#[test]
fn receive_from_an_empty_queue_with_a_high_limit_does_not_loop() {
    let test_dir = TestDir::new();
    let limit = GrowthLimit {
        items: 2,
        segments: u32::MAX,
    };
    let buffer = Buffer::create(&test_dir.name("x"), limit).expect("the buffer has room");
    fill(&buffer, 0..1);
    let receiver = buffer.receiver().expect("the channel is open");
    assert_eq!(receiver.try_recv(), Ok(0));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn items_pass_by_reference() {
    let test_dir = TestDir::new();
    let buffer = Buffer::create(&test_dir.name("x"), GROWTH).expect("the buffer has room");
    let (sender, receiver) = (buffer.sender(), buffer.receiver());
    let (sender, receiver) = (
        sender.expect("the channel is open"),
        receiver.expect("the channel is open"),
    );
    for item in [7, 8] {
        let sent = sender.send_ref_with(&item, Timeout::NonBlocking);
        sent.expect("the buffer has room");
    }
    let mut found = 0;
    for item in [7, 8] {
        let received = receiver.recv_into_with(&mut found, Timeout::NonBlocking);
        received.expect("the object exists");
        assert_eq!(found, item);
    }
    let received = receiver.recv_into_with(&mut found, Timeout::NonBlocking);
    assert_eq!(received, Err(RecvTimeoutError::Timeout));
    assert_eq!(found, 8, "the destination is unchanged");
}

#[test]
fn failed_creation_leaves_no_file() {
    let test_dir = TestDir::new();
    let limits = [(0, 1), (1, 0), (0, 0)];
    for (items, segments) in limits {
        let growth = GrowthLimit { items, segments };
        let results = [
            Buffer::create(&test_dir.name("x"), growth).map(drop),
            Buffer::create_or_attach(&test_dir.name("x"), growth).map(drop),
        ];
        for result in results {
            let expected = matches!(result, Err(RegionError::Config(ConfigError::ZeroCapacity)));
            assert!(expected, "{result:?}");
        }
    }
    let growth = GrowthLimit {
        items: u32::MAX,
        segments: 1,
    };
    let result = UnboundedBuffer::<[u8; 1 << 32]>::create(&test_dir.name("x"), growth).map(drop);
    assert!(matches!(result, Err(RegionError::Config(_))), "{result:?}");
    let long = test_dir.name(&"x".repeat(250));
    assert!(Buffer::create(&long, GROWTH).is_err());
    assert_eq!(test_dir.files(), Vec::<String>::new());
}

#[test]
fn attach_never_sees_an_incomplete_buffer() {
    let test_dir = TestDir::new();
    std::thread::scope(|scope| {
        let creator = scope.spawn(|| {
            for _ in 0..2000 {
                let buffer =
                    Buffer::create(&test_dir.name("x"), GROWTH).expect("the buffer has room");
                fill(&buffer, 0..1);
                Buffer::remove(&test_dir.name("x")).expect("the buffer exists");
            }
        });
        while !creator.is_finished() {
            match Buffer::attach(&test_dir.name("x")) {
                Ok(_) | Err(RegionError::NotFound(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert_eq!(test_dir.files(), Vec::<String>::new());
}

/// Creates a buffer with three segments and does not remove it.
fn leave_buffer(test_dir: &TestDir) {
    let buffer = Buffer::create(&test_dir.name("x"), GROWTH).expect("the buffer has room");
    fill(&buffer, 0..3);
    assert_eq!(test_dir.files().len(), 4);
}

#[test]
fn buffer_of_other_boot_or_namespace_is_removed() {
    /// The offsets of the PID namespace and of the boot ID in the header.
    const OFFSETS: [u64; 2] = [24, 32];
    for word in OFFSETS {
        let test_dir = TestDir::new();
        leave_buffer(&test_dir);
        for file in test_dir.files() {
            write(&test_dir.path(&file), word, 12345);
        }
        assert!(
            Buffer::attach(&test_dir.name("x")).is_err(),
            "attaching fails"
        );
        Buffer::remove(&test_dir.name("x")).expect("the buffer exists");
        assert_eq!(test_dir.files(), Vec::<String>::new());
    }
}

#[test]
fn truncated_buffer_is_removed() {
    let test_dir = TestDir::new();
    leave_buffer(&test_dir);
    let first = File::options().write(true).open(test_dir.path("x"));
    let first = first.expect("the object exists");
    first.set_len(8192).expect("the length can be set");
    Buffer::remove(&test_dir.name("x")).expect("the buffer exists");
    assert_eq!(test_dir.files(), Vec::<String>::new());
}

#[test]
fn segments_without_their_buffer_are_removed() {
    let test_dir = TestDir::new();
    leave_buffer(&test_dir);
    fs::remove_file(test_dir.path("x")).expect("the object exists");
    Buffer::remove(&test_dir.name("x")).expect("segments exist");
    assert_eq!(test_dir.files(), Vec::<String>::new());
    let result = Buffer::remove(&test_dir.name("x"));
    let expected = matches!(result, Err(RegionError::NotFound(_)));
    assert!(expected, "{result:?}");
}

#[test]
fn other_files_are_not_removed() {
    let test_dir = TestDir::new();
    let region = RegionOptions::new(4096)
        .create(&test_dir.name("x"))
        .expect("the region has room");
    region
        .create::<Semaphore>("chain", ())
        .expect("the region has room");
    fs::write(test_dir.path("y"), "text").expect("the file system has space");
    fs::write(test_dir.path("x.1.1"), "text").expect("the file system has space");
    for name in ["x", "y"] {
        let result = Buffer::remove(&test_dir.name(name));
        assert!(result.is_err(), "{name}");
    }
    fs::remove_file(test_dir.path("x")).expect("the object exists");
    assert!(
        Buffer::remove(&test_dir.name("x")).is_err(),
        "the buffer does not exist"
    );
    assert_eq!(test_dir.files(), ["x.1.1", "y"]);
}

#[test]
fn removal_needs_no_robust_lock() {
    let test_dir = TestDir::new();
    leave_buffer(&test_dir);
    let locks = <[RobustMutex<()>; 129]>::new_leaked();
    let guards: Vec<_> = locks.iter().map(RobustMutex::lock).collect();
    assert!(
        guards.last().is_some_and(Result::is_err),
        "the thread holds the maximum of robust locks"
    );
    Buffer::remove(&test_dir.name("x")).expect("removal needs no lock");
    assert_eq!(test_dir.files(), Vec::<String>::new());
}

#[test]
fn attach_with_other_item_type_names_both_types() {
    let test_dir = TestDir::new();
    let buffer = Buffer::create(&test_dir.name("x"), GROWTH).expect("the buffer has room");
    let other = UnboundedBuffer::<u32>::attach(&test_dir.name("x")).err();
    let other = other.expect("attaching fails").to_string();
    assert!(
        other.contains("SegmentList<u64, MAX_ENDPOINTS = 8>")
            && other.contains("SegmentList<u32, MAX_ENDPOINTS = 8>"),
        "{other}"
    );
    let other = UnboundedBuffer::<i64>::create_or_attach(&test_dir.name("x"), GROWTH).err();
    assert!(
        matches!(other, Some(RegionError::OtherType { .. })),
        "{other:?}"
    );
    // A failed attach does not change the buffer.
    assert_eq!(buffer.usage().expect("a lock").created, 0);
}

#[test]
fn removal_during_growth_leaves_no_segment() {
    const ROUNDS: u32 = 15;
    const MANY: GrowthLimit = GrowthLimit {
        items: 1,
        segments: 200,
    };
    let test_dir = TestDir::new();
    let name = test_dir.name("x");
    let mut stopped = 0;
    for round in 1..=ROUNDS {
        let _buffer = Buffer::create(&name, MANY).expect("the name is free");
        let sent = AtomicU32::new(0);
        let end = std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let own = Buffer::attach(&name).expect("the buffer exists");
                let sender = own.sender().expect("the buffer is open");
                (0..u64::from(MANY.segments)).find_map(|item| {
                    sent.store(item as u32, Release);
                    sender.send(item).err()
                })
            });
            let deadline = Instant::now() + TIMEOUT;
            while sent.load(Acquire) < 6 * round {
                assert!(Instant::now() < deadline, "the buffer does not grow");
                std::thread::yield_now();
            }
            Buffer::remove(&name).expect("the buffer exists");
            sender.join().expect("the sender does not panic")
        });
        match end {
            Some(SendError::Failed(_, ChannelError::Storage(_))) => stopped += 1,
            None => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(test_dir.files(), Vec::<String>::new(), "round {round}");
    }
    assert!(stopped > 0, "no removal happened during growth");
}
