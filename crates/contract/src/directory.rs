//! What the directory of a region promises.

use super::{RaceCell, Scenario, Stage};
use core::alloc::Layout;
use interlatch::platform::ShmSafe;
use interlatch::region::directory::{
    Directory, DirectoryError, Mark, NewObject, Object, ObjectName, ObjectType,
};
use interlatch::sync::Timeout;

/// A directory, and the place where its one object will be.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct Found {
    directory: Directory<1>,
    mark: Mark,
    object: RaceCell,
    created: [RaceCell; 3],
}

/// Every scenario, with its victims alive.
pub fn all(stage: &mut impl Stage) {
    stage.run(one_creates_and_all_find(2));
    stage.run(one_creates_and_all_find(3));
    stage.run(nobody_finds_what_is_not_built());
    stage.run(one_builds_and_all_see_it(2));
    stage.run(one_builds_and_all_see_it(3));
    stage.run(nobody_sees_what_is_half_built());
    stage.run(says_why_nothing_was_created());
}

/// In the middle of building, the object is this.
const HALF: u64 = 1;
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

fn create(shared: &Found) -> Result<(), DirectoryError> {
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

fn create_or_find<const WHO: usize>(shared: &Found) {
    match create(shared) {
        Ok(()) => shared.created[WHO].set(1),
        Err(DirectoryError::Exists) => {}
        Err(refused) => panic!("{refused:?}"),
    }
    assert!(shared.directory.find(&name()).is_some(), "it exists");
    assert_eq!(shared.object.get(), BUILT, "and is built");
}

/// All come at once. One creates the object, and all find it built; also if one is killed.
pub fn one_creates_and_all_find(processes: usize) -> Scenario<Found> {
    let mut participants = vec![create_or_find::<0> as fn(&Found), create_or_find::<1>];
    if processes > 2 {
        participants.push(create_or_find::<2>);
    }
    Scenario::new("one_creates_and_all_find", participants)
        .verify(|shared| {
            let created: u64 = shared.created.iter().map(|number| number.get()).sum();
            assert!(created <= 1, "{created} created it");
            assert_eq!(shared.directory.objects().count(), 1);
            assert_eq!(shared.object.get(), BUILT);
        })
        .choices(8)
        .victims(&[0])
}

/// Who only looks finds the object built or not at all.
pub fn nobody_finds_what_is_not_built() -> Scenario<Found> {
    let look = |shared: &Found| {
        if let Some(object) = shared.directory.find(&name()) {
            assert_eq!((object.offset, object.object_type.size()), (0, 8));
            assert_eq!(shared.object.get(), BUILT);
        }
    };
    Scenario::new(
        "nobody_finds_what_is_not_built",
        vec![create_or_find::<0> as fn(&Found), look],
    )
    .victims(&[0])
}

const MARKED: u64 = 7;

fn build_once<const WHO: usize>(shared: &Found) {
    let build = || {
        shared.object.set(HALF);
        shared.object.set(BUILT);
        shared.created[WHO].set(1);
        Ok::<(), ()>(())
    };
    let built = (shared.directory).build_once(&shared.mark, MARKED, Timeout::Infinite, build);
    assert_eq!(built, Ok(Ok(())));
    assert_eq!(shared.mark.get(), MARKED);
    assert_eq!(shared.object.get(), BUILT);
}

/// Memory that others can see before it is a region: all that come at once build it, and one of them does;
/// also if one is killed.
pub fn one_builds_and_all_see_it(processes: usize) -> Scenario<Found> {
    let mut participants = vec![build_once::<0> as fn(&Found), build_once::<1>];
    if processes > 2 {
        participants.push(build_once::<2>);
    }
    Scenario::new("one_builds_and_all_see_it", participants)
        .verify(|shared| {
            assert_eq!(shared.mark.get(), MARKED);
            assert_eq!(shared.object.get(), BUILT);
            let built: u64 = shared.created[1..].iter().map(|number| number.get()).sum();
            assert!(built <= 1, "{built} of those that live built it");
        })
        .choices(8)
        .victims(&[0])
}

/// Who only looks sees it built or not at all.
pub fn nobody_sees_what_is_half_built() -> Scenario<Found> {
    let look = |shared: &Found| match shared.mark.get() {
        0 => {}
        MARKED => assert_eq!(shared.object.get(), BUILT),
        other => panic!("{other}"),
    };
    Scenario::new(
        "nobody_sees_what_is_half_built",
        vec![build_once::<0> as fn(&Found), look],
    )
    .victims(&[0])
}

/// Each refusal has its name, and changes nothing.
pub fn says_why_nothing_was_created() -> Scenario<Found> {
    let alone = |shared: &Found| {
        let never = |_: &Object| panic!("nothing is built");
        let [first, second] =
            ["object", "another"].map(|name| new_object(ObjectName::new(name).expect("one")));
        let small = shared
            .directory
            .create(first, 1..8, Timeout::NonBlocking, never);
        assert_eq!(small.err(), Some(DirectoryError::TooSmall { offset: 8 }));
        assert_eq!(shared.directory.objects().count(), 0);
        create(shared).expect("there is room");
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
    Scenario::new("says_why_nothing_was_created", vec![alone])
}
