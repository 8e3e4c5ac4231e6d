//! The promises of the directory of a region.

use super::{RaceCell, Scenario, Stage};
use core::alloc::Layout;
use interlatch::RobustMonitorBuffer;
use interlatch::channel::Slot;
use interlatch::platform::ShmSafe;
use interlatch::region::directory::{
    Directory, DirectoryError, Mark, NewObject, Object, ObjectName, ObjectType,
};
use interlatch::sync::Timeout;

/// A directory, a mark which says that the memory has been initialized, and the memory of the only
/// object.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct DirectoryState {
    directory: Directory<1>,
    mark: Mark,
    object: RaceCell,
    created: [RaceCell; 3],
}

/// A directory of two objects, and the range of each object that was created.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct TwoObjects {
    directory: Directory<2>,
    ranges: [[RaceCell; 2]; 2],
}

/// Runs every scenario of a directory.
pub fn all(stage: &mut impl Stage) {
    stage.run(one_process_creates_and_all_find(2));
    stage.run(one_process_creates_and_all_find(3));
    stage.run(unbuilt_object_is_not_found());
    stage.run(listed_object_is_built());
    stage.run(one_process_builds_and_all_see_it(2));
    stage.run(one_process_builds_and_all_see_it(3));
    stage.run(half_built_object_is_not_visible());
    stage.run(errors_say_why_creation_failed());
    stage.run(failed_initialization_changes_nothing());
    stage.run(objects_do_not_overlap());
    stage.run(found_object_is_the_created_one());
}

/// The value that an object has while its creator initializes it.
const HALF: u64 = 1;
/// The value that an object has after its creator has initialized it.
const BUILT: u64 = 2;

fn name() -> ObjectName {
    ObjectName::new("object").expect("a name")
}

fn new_object(name: ObjectName) -> NewObject {
    NewObject {
        name,
        object_type: ObjectType::new::<u64>(Layout::new::<u64>()),
        config: 0,
    }
}

fn create(shared: &DirectoryState) -> Result<(), DirectoryError> {
    let build = |object: &Object| {
        assert_eq!((object.offset, object.index), (0, 0));
        shared.object.set(HALF);
        shared.object.set(BUILT);
        Ok(())
    };
    let created = shared
        .directory
        .create(new_object(name()), 0..8, Timeout::Infinite, build);
    created.map(drop)
}

fn create_or_find<const INDEX: usize>(shared: &DirectoryState) {
    match create(shared) {
        Ok(()) => shared.created[INDEX].set(1),
        Err(DirectoryError::Exists) => {}
        Err(error) => panic!("{error:?}"),
    }
    let object = shared.directory.find(&name());
    assert!(object.is_some(), "the created object is not found");
    assert_eq!(shared.object.get(), BUILT, "the object is not built");
}

/// One of several processes creates an object, and all processes find it completely built.
///
/// All processes create the same name at the same time, and the first process is killed at any
/// step. If an object is found before it is built, reading it is a race or yields a wrong value.
pub fn one_process_creates_and_all_find(processes: usize) -> Scenario<DirectoryState> {
    let mut participants = vec![
        create_or_find::<0> as fn(&DirectoryState),
        create_or_find::<1>,
    ];
    if processes > 2 {
        participants.push(create_or_find::<2>);
    }
    Scenario::new("one_process_creates_and_all_find", participants)
        .verify(|shared| {
            let created: u64 = shared.created.iter().map(|number| number.get()).sum();
            assert!(created <= 1, "{created} processes created the object");
            assert_eq!(shared.directory.objects().count(), 1);
            assert_eq!(shared.directory.claimed(), 1);
            assert!(!shared.directory.is_blank());
            assert_eq!(shared.object.get(), BUILT);
        })
        .choices(8)
        .victims(&[0])
}

/// A process that searches for an object without creating it finds a completely built object or
/// none.
///
/// The creator is killed at any step.
pub fn unbuilt_object_is_not_found() -> Scenario<DirectoryState> {
    let find = |shared: &DirectoryState| {
        if let Some(object) = shared.directory.find(&name()) {
            assert_eq!((object.offset, object.object_type.size()), (0, 8));
            assert_eq!(shared.object.get(), BUILT);
        }
    };
    Scenario::new(
        "unbuilt_object_is_not_found",
        vec![create_or_find::<0> as fn(&DirectoryState), find],
    )
    .victims(&[0])
}

/// A process that sees an object in the list, whatever its name, sees it completely built.
///
/// A reader that sees an entry too early may read older values of its words. It then finds no
/// object with the expected name, and such a search notices nothing.
pub fn listed_object_is_built() -> Scenario<DirectoryState> {
    let list = |shared: &DirectoryState| {
        if shared.directory.objects().next().is_some() {
            assert_eq!(shared.object.get(), BUILT);
        }
    };
    Scenario::new(
        "listed_object_is_built",
        vec![create_or_find::<0> as fn(&DirectoryState), list],
    )
}

const MARKED: u64 = 7;

fn build_once<const INDEX: usize>(shared: &DirectoryState) {
    let build = || {
        shared.object.set(HALF);
        shared.object.set(BUILT);
        shared.created[INDEX].set(1);
        Ok::<(), ()>(())
    };
    let built = (shared.directory).build_once(&shared.mark, MARKED, Timeout::Infinite, build);
    assert_eq!(built, Ok(Ok(())));
    assert_eq!(shared.mark.get(), MARKED);
    assert_eq!(shared.object.get(), BUILT);
}

/// One of several processes builds shared memory, and all processes see it completely built.
///
/// All processes can access the memory before it is a region. All processes call `build_once`, and
/// the first process is killed at any step.
pub fn one_process_builds_and_all_see_it(processes: usize) -> Scenario<DirectoryState> {
    let mut participants = vec![build_once::<0> as fn(&DirectoryState), build_once::<1>];
    if processes > 2 {
        participants.push(build_once::<2>);
    }
    Scenario::new("one_process_builds_and_all_see_it", participants)
        .verify(|shared| {
            assert_eq!(shared.mark.get(), MARKED);
            assert_eq!(shared.object.get(), BUILT);
            let built: u64 = shared.created[1..].iter().map(|number| number.get()).sum();
            assert!(built <= 1, "{built} surviving processes built it");
        })
        .choices(8)
        .victims(&[0])
}

/// If a process sees the mark without calling `build_once`, it also sees the completely built
/// memory.
///
/// The builder is killed at any step.
pub fn half_built_object_is_not_visible() -> Scenario<DirectoryState> {
    let read_mark = |shared: &DirectoryState| match shared.mark.get() {
        0 => {}
        MARKED => assert_eq!(shared.object.get(), BUILT),
        other => panic!("unknown mark {other}"),
    };
    Scenario::new(
        "half_built_object_is_not_visible",
        vec![build_once::<0> as fn(&DirectoryState), read_mark],
    )
    .victims(&[0])
}

/// Each error of a creation names its cause, and a failed creation changes nothing.
pub fn errors_say_why_creation_failed() -> Scenario<DirectoryState> {
    let alone = |shared: &DirectoryState| {
        let never = |_: &Object| panic!("a failed creation must not build");
        let [first, second] =
            ["object", "another"].map(|name| new_object(ObjectName::new(name).expect("one")));
        let small = shared
            .directory
            .create(first, 1..8, Timeout::NonBlocking, never);
        assert_eq!(small.err(), Some(DirectoryError::TooSmall { offset: 8 }));
        assert_eq!(shared.directory.objects().count(), 0);
        create(shared).expect("the directory has a free entry");
        let twice = shared
            .directory
            .create(first, 0..64, Timeout::NonBlocking, never);
        assert_eq!(twice.err(), Some(DirectoryError::Exists));
        let full = shared
            .directory
            .create(second, 0..64, Timeout::NonBlocking, never);
        assert_eq!(full.err(), Some(DirectoryError::Full));
        assert!(ObjectName::new("").is_err() && ObjectName::new("a\0").is_err());
        assert!(ObjectName::new(&"a".repeat(31)).is_ok());
        assert!(ObjectName::new(&"a".repeat(32)).is_err());
    };
    Scenario::new("errors_say_why_creation_failed", vec![alone])
}

/// If the initialization of an object or of the memory fails, the next process can initialize it.
///
/// The failed initialization leaves a half-built object. If a process finds this object, or finds
/// the memory marked, it reads a wrong value.
pub fn failed_initialization_changes_nothing() -> Scenario<DirectoryState> {
    let alone = |shared: &DirectoryState| {
        let directory = &shared.directory;
        let fails = |_: &Object| {
            shared.object.set(HALF);
            Err(DirectoryError::Busy)
        };
        let failed = directory.create(new_object(name()), 0..8, Timeout::Infinite, fails);
        assert_eq!(failed.err(), Some(DirectoryError::Busy));
        assert!(directory.is_blank() && directory.find(&name()).is_none());
        create_or_find::<0>(shared);
        let fails = || {
            shared.object.set(HALF);
            Err(())
        };
        let failed = directory.build_once(&shared.mark, MARKED, Timeout::Infinite, fails);
        assert_eq!((failed, shared.mark.get()), (Ok(Err(())), 0));
        build_once::<1>(shared);
    };
    Scenario::new("failed_initialization_changes_nothing", vec![alone])
}

/// Objects that two processes create do not overlap, and both are found.
///
/// One object has an odd size, and its creator is killed at any step. The other object is aligned.
pub fn objects_do_not_overlap() -> Scenario<TwoObjects> {
    fn create<const INDEX: usize>(shared: &TwoObjects) {
        let name = ["first", "second"][INDEX];
        let layout = [Layout::new::<[u8; 3]>(), Layout::new::<u64>()][INDEX];
        let new = NewObject {
            name: ObjectName::new(name).expect("a name"),
            object_type: ObjectType::new::<u64>(layout),
            config: INDEX as u64,
        };
        let record = |object: &Object| {
            let end = object.offset + object.object_type.size();
            shared.ranges[INDEX][0].set(object.offset);
            shared.ranges[INDEX][1].set(end);
            Ok(())
        };
        let created = shared
            .directory
            .create(new, 4..24, Timeout::Infinite, record);
        let object = created.expect("the directory has two entries");
        let found = shared.directory.find(&object.name).expect("it was created");
        assert_eq!((found.config, found.offset), (INDEX as u64, object.offset));
    }
    Scenario::new("objects_do_not_overlap", vec![create::<0>, create::<1>])
        .verify(|shared| {
            let mut end = 4;
            for object in shared.directory.objects() {
                let range = &shared.ranges[object.config as usize];
                assert!(object.offset >= end, "the objects overlap");
                let align = object.object_type.align();
                assert_eq!(object.offset % align, 0, "the object is not aligned");
                assert_eq!(object.offset, range[0].get());
                end = range[1].get();
            }
            let second = ObjectName::new("second").expect("a name");
            assert!(shared.directory.find(&second).is_some());
            assert!(end <= 24);
        })
        .choices(8)
        .victims(&[0])
}

/// Each field of a found object is that of the created object.
///
/// One object is a buffer whose type states its numbers of slots and of endpoints. The other object
/// has neither.
pub fn found_object_is_the_created_one() -> Scenario<TwoObjects> {
    type Channel = RobustMonitorBuffer<u64, [Slot<u64>; 4], 3>;
    let alone = |shared: &TwoObjects| {
        let types = [
            ObjectType::new::<Channel>(Layout::new::<Channel>()),
            ObjectType::new::<u64>(Layout::new::<u64>()),
        ];
        let names = ["channel", "number"].map(|name| ObjectName::new(name).expect("a name"));
        for (index, (name, object_type)) in names.into_iter().zip(types).enumerate() {
            let new = NewObject {
                name,
                object_type,
                config: 7 + index as u64,
            };
            let build = |_: &Object| Ok(());
            let created = (shared.directory).create(new, 64..4096, Timeout::Infinite, build);
            let created = created.expect("the directory has two entries");
            let found = shared.directory.find(&name).expect("it was created");
            assert_eq!((found.name, found.object_type), (name, object_type));
            assert_eq!((found.offset, found.config), (created.offset, new.config));
            assert_eq!((found.index, created.index), (index, index));
        }
        let found = names.map(|name| shared.directory.find(&name).expect("it was created"));
        let [channel, number] = found.map(|object| object.object_type);
        assert_eq!(
            (channel.slots(), channel.max_endpoints()),
            (Some(4), Some(3))
        );
        assert_eq!((number.slots(), number.max_endpoints()), (None, None));
        assert_ne!(channel.declaration(), number.declaration());
        assert_ne!(channel.fingerprint(), number.fingerprint());
    };
    Scenario::new("found_object_is_the_created_one", vec![alone])
}
