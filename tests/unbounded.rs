//! What belongs to a queue that grows, and what does not: its names, its limits, and what is left of one.

use interlatch::channel::{ChannelError, GrowthLimit, RecvTimeoutError, SendError, TryRecvError};
use interlatch::inspect::RegionView;
use interlatch::region::ConfigError;
use interlatch::sync::Timeout;
use interlatch::{
    Channel, RegionError, RegionName, RegionOptions, RobustMutex, Semaphore, UnboundedBuffer,
};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

type Queue = UnboundedBuffer<u64>;

/// A segment for each item.
const GROWTH: GrowthLimit = GrowthLimit {
    items: 1,
    segments: 50,
};

/// A directory for a queue, which goes with it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let mut place = tempfile::Builder::new();
        place.prefix("interlatch-unbounded-");
        Self(place.tempdir_in("/dev/shm").expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn name(&self, name: &str) -> RegionName {
        RegionName::file(self.path(name))
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("it is there").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// The segment of this number of the queue `x`, which is there.
    fn segment(&self, number: u64) -> String {
        let end = format!(".{number}");
        let files = self.files().into_iter();
        let segments = files.filter(|name| name.starts_with("x.") && name.ends_with(&end));
        // A shorter one is none of the queue's.
        segments.max_by_key(String::len).expect("it is there")
    }

    fn objects(&self, name: &str) -> Vec<String> {
        let view = RegionView::attach(&self.name(name)).expect("it is there");
        view.objects().map(|object| object.name.text()).collect()
    }
}

/// Sends so many items to nobody.
fn fill(queue: &Queue, items: std::ops::Range<u64>) {
    let sender = queue.sender().expect("open");
    for item in items {
        sender.send(item).expect("room");
    }
    // The stream does not end.
    std::mem::forget(sender);
}

fn write(path: &Path, offset: u64, word: u64) {
    let file = File::options().write(true).open(path).expect("it is there");
    file.write_all_at(&word.to_ne_bytes(), offset)
        .expect("room");
}

#[test]
fn a_region_whose_name_is_that_of_a_segment_is_let_alone() {
    let place = Place::new();
    let queue = Queue::create(&place.name("x"), GROWTH).expect("room");
    let foreign = ["x.1", "x.2"].map(String::from);
    let make = |name: &String| {
        let region = RegionOptions::new(4096)
            .create(&place.name(name))
            .expect("room");
        region.create::<Semaphore>("mine", ()).expect("room");
    };
    foreign.iter().for_each(make);
    fill(&queue, 0..1);
    // A name that is exactly that of the next one.
    let first = place.segment(1);
    let next = first.strip_suffix("1").expect("its number").to_owned() + "2";
    make(&next);
    let sent = queue.sender().expect("open").send(1);
    let receiver = queue.receiver().expect("open");
    assert_eq!(receiver.recv().expect("there"), 0);
    drop(receiver);
    drop(queue);
    Queue::remove(&place.name("x")).expect("it is there");
    let there = [foreign[0].clone(), foreign[1].clone(), next];
    assert_eq!(place.files().len(), 3, "{:?}", place.files());
    for name in there {
        assert_eq!(place.objects(&name), ["mine"], "{name}");
    }
    let Err(SendError::Failed(1, ChannelError::Storage(error))) = sent else {
        panic!("{sent:?}");
    };
    assert_eq!(error.segment(), 2, "{error}");
}

#[test]
fn queues_whose_names_begin_alike_do_not_meet() {
    let place = Place::new();
    let names = ["x", "x.1", "x.1.1"].map(|name| place.name(name));
    let queues = names.each_ref().map(|name| Queue::create(name, GROWTH));
    let queues = queues.map(|queue| queue.expect("nobody else has that name"));
    for (number, queue) in (0..).zip(&queues) {
        fill(queue, 10 * number..10 * number + 5);
    }
    Queue::remove(&names[0]).expect("it is there");
    for (number, queue) in (1..).zip(&queues[1..]) {
        let receiver = queue.receiver().expect("open");
        for item in 10 * number..10 * number + 5 {
            assert_eq!(receiver.try_recv().expect("it is there"), item);
        }
    }
    for name in &names[1..] {
        Queue::remove(name).expect("it is there");
    }
    assert_eq!(place.files(), Vec::<String>::new());
}

#[test]
fn who_goes_on_after_the_removal_is_not_in_the_next_queue() {
    let place = Place::new();
    let old = Queue::create(&place.name("x"), GROWTH).expect("room");
    fill(&old, 0..3);
    Queue::remove(&place.name("x")).expect("it is there");
    let new = Queue::create(&place.name("x"), GROWTH).expect("room");
    fill(&old, 3..5);
    fill(&new, 100..102);
    let receiver = new.receiver().expect("open");
    assert_eq!(receiver.try_recv().expect("it is there"), 100);
    assert_eq!(receiver.try_recv().expect("it is there"), 101);
    drop(receiver);
    drop((old, new));
    Queue::remove(&place.name("x")).expect("it is there");
    assert_eq!(place.files(), Vec::<String>::new(), "with the old one's");
}

/// Where the words are that say how far a queue grows, and before it the first and last segment, and the first
/// that is not removed.
fn growth_in(path: &Path) -> u64 {
    let bytes = fs::read(path).expect("it is there");
    let word = (u64::from(GROWTH.items) << 32 | u64::from(GROWTH.segments)).to_ne_bytes();
    let words = bytes.chunks(8).enumerate().skip(8192 / 8);
    let mut found = words.filter(|(_, bytes)| *bytes == word);
    found.next().expect("the chain has it").0 as u64 * 8
}

#[test]
fn a_peer_does_not_decide_how_much_is_reserved() {
    let place = Place::new();
    let queue = Queue::create(&place.name("x"), GROWTH).expect("room");
    let growth = growth_in(&place.path("x"));
    write(&place.path("x"), growth, 1 << 54 | 50);
    fill(&queue, 0..1);
    let segment = fs::metadata(place.path(&place.segment(1))).expect("it is there");
    assert!(segment.len() <= 12288, "{segment:?}");
    write(&place.path("x"), growth, 0);
    let refused = Queue::attach(&place.name("x")).err();
    let expected = matches!(
        refused,
        Some(RegionError::Config(ConfigError::ZeroCapacity))
    );
    assert!(expected, "{refused:?}");
}

#[test]
fn a_peer_does_not_decide_how_many_steps_are_taken() {
    let place = Place::new();
    let queue = Queue::create(&place.name("x"), GROWTH).expect("room");
    let receiver = queue.receiver().expect("open");
    let (path, growth) = (place.path("x"), growth_in(&place.path("x")));
    write(&path, growth, 1 << 32 | u64::from(u32::MAX));
    write(&path, growth - 24, 1 << 60);
    write(&path, growth - 16, (1 << 60) - 1);
    write(&path, growth - 8, 0);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    drop(receiver);
    drop(queue);
    Queue::remove(&place.name("x")).expect("it is there");
}

#[test]
fn no_more_than_two_segments_are_mapped_and_open() {
    let place = Place::new();
    let queue = Queue::create(&place.name("x"), GROWTH).expect("room");
    let mapped = || {
        let maps = fs::read_to_string("/proc/self/maps").expect("proc");
        let path = place.0.path().to_str().expect("text");
        maps.lines().filter(|line| line.contains(path)).count()
    };
    let open = || {
        let open = fs::read_dir("/proc/self/fd").expect("proc").flatten();
        let open = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        // Also of a file that has got its name later.
        let of_this = |path: &PathBuf| path.starts_with(place.0.path());
        open.filter(of_this).count()
    };
    fill(&queue, 0..50);
    assert!(mapped() <= 3 && open() <= 3, "{} {}", mapped(), open());
    let receiver = queue.receiver().expect("open");
    for item in 0..25 {
        assert_eq!(receiver.try_recv().expect("it is there"), item);
        assert!(mapped() <= 3 && open() <= 3, "{} {}", mapped(), open());
    }
}

#[test]
fn what_is_sent_by_reference_is_received_where_it_is_wanted() {
    let place = Place::new();
    let queue = Queue::create(&place.name("x"), GROWTH).expect("room");
    let (sender, receiver) = (queue.sender(), queue.receiver());
    let (sender, receiver) = (sender.expect("open"), receiver.expect("open"));
    for item in [7, 8] {
        let sent = sender.send_ref_with(&item, Timeout::NonBlocking);
        sent.expect("room");
    }
    let mut found = 0;
    for item in [7, 8] {
        let received = receiver.recv_into_with(&mut found, Timeout::NonBlocking);
        received.expect("it is there");
        assert_eq!(found, item);
    }
    let received = receiver.recv_into_with(&mut found, Timeout::NonBlocking);
    assert_eq!(received, Err(RecvTimeoutError::Timeout));
    assert_eq!(found, 8, "nothing was received");
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    let place = Place::new();
    let refusals = [(0, 1), (1, 0), (0, 0)];
    for (items, segments) in refusals {
        let growth = GrowthLimit { items, segments };
        let made = [
            Queue::create(&place.name("x"), growth).map(drop),
            Queue::create_or_attach(&place.name("x"), growth).map(drop),
        ];
        for refused in made {
            let expected = matches!(refused, Err(RegionError::Config(ConfigError::ZeroCapacity)));
            assert!(expected, "{refused:?}");
        }
    }
    let growth = GrowthLimit {
        items: u32::MAX,
        segments: 1,
    };
    let refused = UnboundedBuffer::<[u8; 1 << 32]>::create(&place.name("x"), growth).map(drop);
    assert!(
        matches!(refused, Err(RegionError::Config(_))),
        "{refused:?}"
    );
    let long = place.name(&"x".repeat(250));
    assert!(Queue::create(&long, GROWTH).is_err());
    assert_eq!(place.files(), Vec::<String>::new());
}

#[test]
fn nobody_finds_half_a_queue() {
    let place = Place::new();
    std::thread::scope(|scope| {
        let maker = scope.spawn(|| {
            for _ in 0..2000 {
                let queue = Queue::create(&place.name("x"), GROWTH).expect("room");
                fill(&queue, 0..1);
                Queue::remove(&place.name("x")).expect("it is there");
            }
        });
        while !maker.is_finished() {
            match Queue::attach(&place.name("x")) {
                Ok(_) | Err(RegionError::NotFound(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert_eq!(place.files(), Vec::<String>::new());
}

/// A queue with three segments, of which nobody knows any more.
fn abandoned(place: &Place) {
    let queue = Queue::create(&place.name("x"), GROWTH).expect("room");
    fill(&queue, 0..3);
    assert_eq!(place.files().len(), 4);
}

#[test]
fn what_is_left_of_another_time_or_place_is_removed() {
    /// Words of the header: the pid namespace, and the boot.
    const WORDS: [u64; 2] = [24, 32];
    for word in WORDS {
        let place = Place::new();
        abandoned(&place);
        for file in place.files() {
            write(&place.path(&file), word, 12345);
        }
        assert!(Queue::attach(&place.name("x")).is_err(), "it is of no use");
        Queue::remove(&place.name("x")).expect("it is there");
        assert_eq!(place.files(), Vec::<String>::new());
    }
}

#[test]
fn what_is_left_of_a_queue_that_was_cut_short_is_removed() {
    let place = Place::new();
    abandoned(&place);
    let first = File::options().write(true).open(place.path("x"));
    let first = first.expect("it is there");
    first.set_len(8192).expect("nobody prevents it");
    Queue::remove(&place.name("x")).expect("it is there");
    assert_eq!(place.files(), Vec::<String>::new());
}

#[test]
fn segments_whose_queue_is_gone_are_removed() {
    let place = Place::new();
    abandoned(&place);
    fs::remove_file(place.path("x")).expect("it is there");
    Queue::remove(&place.name("x")).expect("there is something");
    assert_eq!(place.files(), Vec::<String>::new());
    let refused = Queue::remove(&place.name("x"));
    let expected = matches!(refused, Err(RegionError::NotFound(_)));
    assert!(expected, "{refused:?}");
}

#[test]
fn what_is_no_queue_is_not_removed() {
    let place = Place::new();
    let region = RegionOptions::new(4096)
        .create(&place.name("x"))
        .expect("room");
    region.create::<Semaphore>("chain", ()).expect("room");
    fs::write(place.path("y"), "text").expect("room");
    fs::write(place.path("x.1.1"), "text").expect("room");
    for name in ["x", "y"] {
        let refused = Queue::remove(&place.name(name));
        assert!(refused.is_err(), "{name}");
    }
    fs::remove_file(place.path("x")).expect("it is there");
    assert!(Queue::remove(&place.name("x")).is_err(), "there is none");
    assert_eq!(place.files(), ["x.1.1", "y"]);
}

#[test]
fn who_holds_too_many_locks_removes_all_the_same() {
    let place = Place::new();
    abandoned(&place);
    let locks = [const { RobustMutex::new(()) }; 129];
    let held: Vec<_> = locks.iter().map(RobustMutex::lock).collect();
    assert!(held.last().is_some_and(Result::is_err), "that many");
    Queue::remove(&place.name("x")).expect("it needs none");
    assert_eq!(place.files(), Vec::<String>::new());
}

#[test]
fn a_queue_of_other_items_says_so() {
    let place = Place::new();
    let queue = Queue::create(&place.name("x"), GROWTH).expect("room");
    let other = UnboundedBuffer::<u32>::attach(&place.name("x")).err();
    let other = other.expect("not of that type").to_string();
    assert!(
        other.contains("SegmentList<u64, MAX_ENDPOINTS = 8>")
            && other.contains("SegmentList<u32, MAX_ENDPOINTS = 8>"),
        "{other}"
    );
    let other = UnboundedBuffer::<i64>::create_or_attach(&place.name("x"), GROWTH).err();
    assert!(
        matches!(other, Some(RegionError::OtherType { .. })),
        "{other:?}"
    );
    // Nobody hears of one that is not theirs.
    assert_eq!(queue.usage().expect("a lock").created, 0);
}
