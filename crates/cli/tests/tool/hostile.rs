//! A hostile process that writes arbitrary data into a region during inspection.
//!
//! The library and the tool must report a possible state or an error, and must not crash.
//!
//! `INTERLATCH_SEED` repeats a run.

use super::command::interlatch;
use super::harness::Test;
use super::random::seed;
use super::scratch::Scratch;
use interlatch::channel::message_queue::QueueLimits;
use interlatch::channel::{GrowthLimit, Slot, TurnSlot};
use interlatch::inspect::ObjectState;
use interlatch::inspect::RegionView;
use interlatch::platform::{AtomicU32, Ordering::Relaxed};
use interlatch::sync::{PairSlot, RawMutex, RobustSemaphorePair, SemaphorePair};
use interlatch::{
    BoundedBuffer, BytePipe, Channel, MessageQueue, MonitorBuffer, Region, RegionError, RegionName,
    RegionOptions, Rendezvous, RobustBoundedBuffer, RobustMonitorBuffer, RobustMutex,
    RobustSemaphore, Semaphore, UnboundedBuffer,
};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "view_survives_arbitrary_contents",
            view_survives_arbitrary_contents,
        ),
        Test::new(
            "tool_survives_arbitrary_contents",
            tool_survives_arbitrary_contents,
        ),
        Test::new(
            "inspection_survives_concurrent_writes_to_a_file",
            scribbling,
        ),
        Test::new(
            "inspection_survives_concurrent_writes_to_a_segment",
            segment,
        ),
    ]
}

const SIZE: usize = 1 << 14;

const LIMITS: QueueLimits = QueueLimits {
    messages: 4,
    bytes: 200,
};

const GROWTH: GrowthLimit = GrowthLimit {
    items: 4,
    segments: 4,
};

fn create_all(name: &RegionName) -> Result<Region, RegionError> {
    let region = RegionOptions::new(SIZE).create(name)?;
    region.create::<RawMutex>("lock", ())?;
    region.create::<RobustMutex<u64>>("robust", ())?;
    region.create::<Semaphore>("semaphore", ())?;
    region.create::<SemaphorePair>("pair", ())?;
    region.create::<RobustSemaphore<2>>("permits", ())?;
    region.create::<RobustSemaphorePair<[PairSlot; 2]>>("turns", ())?;
    region.create::<BoundedBuffer<u64, [Slot<u64>]>>("bounded", 4)?;
    region.create::<MonitorBuffer<u64, [Slot<u64>]>>("monitor", 4)?;
    region.create::<RobustBoundedBuffer<u64, [TurnSlot<u64>]>>("robust bounded", 4)?;
    region.create::<RobustMonitorBuffer<u64, [Slot<u64>]>>("robust monitor", 4)?;
    region.create::<BytePipe<[Slot<u8>]>>("pipe", 4)?;
    region.create::<Rendezvous<u64>>("rendezvous", ())?;
    region.create::<MessageQueue>("queue", LIMITS)?;
    Ok(region)
}

/// Returns an offset and the bytes to write there, chosen so that they probably affect the
/// inspection.
fn scribble(random: &mut fastrand::Rng) -> (u64, Vec<u8>) {
    let at = match random.u8(..4) {
        0 => random.u64(..64),
        // These offsets lie in the entries of the region's directory.
        1 => random.u64(64..8192),
        _ => random.u64(..SIZE as u64 + 4000),
    };
    let odd = [
        0,
        1,
        4095,
        4096,
        u64::MAX,
        u64::MAX / 2,
        1 << 32,
        1 << 63,
        random.u64(..),
    ];
    match random.u8(..4) {
        0 => (at, vec![random.u8(..)]),
        1 => (
            at,
            (0..random.usize(1..200)).map(|_| random.u8(..)).collect(),
        ),
        2 => (
            at & !3,
            odd[random.usize(..odd.len())].to_ne_bytes()[..4].to_vec(),
        ),
        _ => (
            at & !7,
            odd[random.usize(..odd.len())].to_ne_bytes().to_vec(),
        ),
    }
}

/// Inspects the region; returns whether the target was a region.
fn inspect(name: &RegionName) -> bool {
    let Ok(view) = RegionView::attach(name) else {
        return false;
    };
    std::hint::black_box((view.state(), view.size(), view.creator(), view.namespace()));
    assert!(view.objects().count() <= interlatch::region::directory::MAX_OBJECTS);
    for object in view.objects() {
        let state = view.inspect(&object);
        assert!(is_possible(&state), "{state:?}");
    }
    true
}

/// Returns whether all numbers of the state are within their limits.
fn is_possible(state: &ObjectState) -> bool {
    let at_most = |number: u64, max: Option<u64>| max.is_none_or(|max| number <= max);
    match state {
        ObjectState::Buffer(buffer) | ObjectState::BytePipe(buffer) => buffer
            .fill
            .is_none_or(|fill| at_most(fill, buffer.capacity)),
        ObjectState::Queue(queue) => {
            queue.messages <= queue.limits.messages.into()
                && queue.bytes <= queue.limits.bytes.into()
        }
        ObjectState::SegmentList(chain) => {
            chain.segments <= chain.growth.segments.into() && chain.segments <= chain.ever
        }
        ObjectState::Segment(segment) => at_most(segment.fill, segment.capacity),
        _ => true,
    }
}

fn file_of(path: &Path) -> File {
    File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("it exists")
}

fn view_survives_arbitrary_contents() {
    let scratch = Scratch::new();
    drop(create_all(&scratch.names[1]).expect("room"));
    let inspected = corrupt_and_inspect(&scratch.directory.path().join("region"), 10_000);
    assert!(inspected > 5000, "too few valid headers: {inspected}");
    let scratch = Scratch::new();
    let queue = UnboundedBuffer::create(&scratch.names[1], GROWTH).expect("room");
    let sender = queue.sender().expect("the first");
    (0..6_u64).for_each(|item| sender.send(item).expect("room"));
    let files = std::fs::read_dir(scratch.directory.path()).expect("it exists");
    for file in files {
        let inspected = corrupt_and_inspect(&file.expect("a file").path(), 2_000);
        assert!(inspected > 1000, "too few valid headers: {inspected}");
    }
    drop(sender);
}

/// Repeatedly writes odd data into the region in this file, inspects it, and restores it.
///
/// Returns the number of inspections that accepted the file as a region.
fn corrupt_and_inspect(path: &Path, rounds: usize) -> usize {
    let (file, mut random) = (file_of(path), fastrand::Rng::with_seed(seed()));
    let whole = std::fs::read(path).expect("a region arrives");
    let name = RegionName::file(path);
    let mut inspected = 0;
    for _ in 0..rounds {
        file.write_all_at(&whole, 0).expect("whole again");
        for _ in 0..random.usize(1..8) {
            let (at, bytes) = scribble(&mut random);
            file.write_all_at(&bytes, at).expect("room");
        }
        file.set_len(whole.len() as u64).expect("as it was");
        inspected += usize::from(inspect(&name));
    }
    file.write_all_at(&whole, 0).expect("whole again");
    inspected
}

fn tool_survives_arbitrary_contents() {
    let scratch = Scratch::new();
    let mut random = fastrand::Rng::with_seed(seed());
    drop(create_all(&scratch.names[1]).expect("room"));
    let file = file_of(&scratch.directory.path().join("region"));
    let whole = std::fs::read(scratch.directory.path().join("region")).expect("a region arrives");
    let name = scratch.names[1].to_string();
    for round in 0..40 {
        file.write_all_at(&whole, 0).expect("whole again");
        for _ in 0..random.usize(1..30) {
            let (at, bytes) = scribble(&mut random);
            file.write_all_at(&bytes, at).expect("room");
        }
        file.set_len(whole.len() as u64).expect("as it was");
        let output = match round % 2 {
            0 => interlatch(&["inspect", &name]),
            _ => interlatch(&["--json", "inspect", &name]),
        };
        assert!([Some(0), Some(1)].contains(&output.code), "{output:?}");
        let is_text = |c: char| !c.is_control() || c == '\n';
        assert!(
            output.out.chars().all(is_text) && output.err.chars().all(is_text),
            "{output:?}"
        );
        if round % 2 == 1 && output.code == Some(0) {
            output.document();
        }
    }
}

/// Runs `look` while another thread calls `write` in a loop.
fn while_writing(write: impl Fn(&mut fastrand::Rng) + Sync, look: impl FnOnce()) {
    let ends = AtomicU32::new(0);
    let mut random = fastrand::Rng::with_seed(seed());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while ends.load(Relaxed) == 0 {
                write(&mut random);
            }
        });
        // A panic also drops this guard, so the other thread ends.
        let _stop = StopOnDrop(&ends);
        look();
    });
}

struct StopOnDrop<'a>(&'a AtomicU32);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(1, Relaxed);
    }
}

fn scribbling() {
    let scratch = Scratch::new();
    drop(create_all(&scratch.names[1]).expect("room"));
    let file = file_of(&scratch.directory.path().join("region"));
    let whole = std::fs::read(scratch.directory.path().join("region")).expect("a region arrives");
    let name = scratch.names[1].to_string();
    let write = |random: &mut fastrand::Rng| {
        let (at, bytes) = scribble(random);
        file.write_all_at(&bytes, at).expect("room");
        if random.u8(..8) == 0 {
            file.set_len(whole.len() as u64).expect("as it was");
            file.write_all_at(&whole, 0).expect("whole again");
        }
    };
    while_writing(write, || {
        let inspected = (0..5000).filter(|_| inspect(&scratch.names[1])).count();
        assert!(inspected > 0, "the file was never a region");
        for _ in 0..10 {
            let output = interlatch(&["inspect", &name]);
            assert!([Some(0), Some(1)].contains(&output.code), "{output:?}");
        }
    });
}

/// System V memory is inspected through a mapping, not by `pread`.
fn segment() {
    let scratch = Scratch::new();
    let region = create_all(&scratch.names[2]).expect("room");
    // A hostile process that has mapped the segment may write any word.
    let lock: &RawMutex = region.attach("lock").expect("it exists");
    let words = (&raw const *lock).cast::<AtomicU32>();
    // SAFETY: the region outlives the slice and has this many words from its first object on. From
    // here on, this process accesses these words only atomically.
    let words = unsafe { std::slice::from_raw_parts(words, SIZE / 4) };
    let write =
        |random: &mut fastrand::Rng| words[random.usize(..SIZE / 4)].store(random.u32(..), Relaxed);
    while_writing(write, || {
        for _ in 0..2000 {
            assert!(inspect(&scratch.names[2]), "the header is intact");
        }
        interlatch(&["inspect", &scratch.names[2].to_string()]).success();
    });
}
