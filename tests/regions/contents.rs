//! What is in a region: named objects, and what is said of those that are not there or something else.

use super::harness::Test;
use interlatch::channel::Slot;
use interlatch::region::{ConfigError, ShmObject};
use interlatch::{
    BoundedBuffer, Buffer, Region, RegionError, RegionOptions, RobustMutex, Semaphore, ShmSafe,
};
use std::fs::File;
use std::os::unix::fs::FileExt;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "an_object_is_found_by_its_name",
            an_object_is_found_by_its_name,
        ),
        Test::new(
            "another_type_is_refused_with_both_named",
            another_type_is_refused,
        ),
        Test::new(
            "another_layout_is_refused_with_both_named",
            another_layout_is_refused,
        ),
        Test::new(
            "one_process_uses_an_object_as_one_type",
            one_process_uses_an_object_as_one_type,
        ),
        Test::new(
            "objects_that_a_peer_lays_over_each_other_are_refused",
            overlapping_objects_are_refused,
        ),
        Test::new(
            "what_this_process_uses_is_not_built_over",
            what_is_used_is_not_built_over,
        ),
        Test::new(
            "a_type_may_be_named_in_any_alphabet",
            a_type_may_be_named_in_any_alphabet,
        ),
        Test::new("an_object_is_created_once", an_object_is_created_once),
        Test::new("an_object_is_named", an_object_is_named),
        Test::new("a_region_has_so_many_objects", a_region_has_so_many_objects),
        Test::new("a_whole_page_is_the_most_that_is_aligned", alignment),
        Test::new(
            "a_plan_that_cannot_be_is_refused",
            a_plan_that_cannot_be_is_refused,
        ),
    ]
}

type Queue = BoundedBuffer<u64, [Slot<u64>]>;

/// The same region as another process has it.
fn other(region: &Region) -> Region {
    let descriptor = region.descriptor().expect("a memfd has one");
    let copy = descriptor.try_clone_to_owned().expect("one more");
    Region::from_descriptor(copy).expect("it is a region")
}

fn an_object_is_found_by_its_name() {
    let region = Region::memfd("contents", 4096).expect("a page");
    let first: &Semaphore = region.create("first", ()).expect("room");
    let queue: &Queue = region.create("queue", 7).expect("room");
    let same = other(&region);
    assert_eq!(same.attach::<Queue>("queue").expect("there").capacity(), 7);
    assert!(queue.is_empty());
    first.release(3).expect("few");
    let attached: &Semaphore = same.attach("first").expect("there");
    assert_eq!(attached.permits(), 3);
    let names: Vec<String> = same
        .objects()
        .map(|object| object.name.to_string())
        .collect();
    assert_eq!(names, ["first", "queue"]);
    // Both sides may create.
    let late: &Semaphore = same.create("late", ()).expect("room");
    late.release(1).expect("few");
    assert_eq!(
        region.attach::<Semaphore>("late").expect("there").permits(),
        1
    );
    let missing = region.attach::<Semaphore>("missing").expect_err("missing");
    assert_eq!(missing.to_string(), r#"there is no object named "missing""#);
}

fn another_type_is_refused() {
    let region = Region::memfd("types", 4096).expect("a page");
    let _: &Semaphore = region.create("object", ()).expect("room");
    let refused = region.attach::<RobustMutex<u64>>("object").err();
    let refused = refused.expect("it is a semaphore");
    assert!(
        matches!(refused, RegionError::OtherType { .. }),
        "{refused:?}"
    );
    let (size, align) = (size_of::<Semaphore>(), align_of::<Semaphore>());
    let found = format!(r#"the object "object" is Semaphore of {size} bytes aligned to {align}"#);
    let expected = format!(
        "expected RobustMutex<u64> of {} bytes",
        size_of::<RobustMutex<u64>>()
    );
    let said = refused.to_string();
    assert!(said.contains(&found) && said.contains(&expected), "{said}");
    assert!(matches!(
        region.attach::<Queue>("object").err(),
        Some(RegionError::OtherType { .. })
    ));
}

/// The same name for two layouts, as in two versions of a program.
fn another_layout_is_refused() {
    mod old {
        #[repr(C)]
        pub struct Config(pub [u32; 4]);
        // SAFETY: words, that nobody writes through a shared reference.
        unsafe impl interlatch::ShmSafe for Config {
            fn initial() -> Self {
                Self([1; 4])
            }
        }
    }
    mod new {
        #[repr(C)]
        #[derive(Debug)]
        pub struct Config(pub [u32; 5]);
        // SAFETY: words, that nobody writes through a shared reference.
        unsafe impl interlatch::ShmSafe for Config {
            fn initial() -> Self {
                Self([1; 5])
            }
        }
    }
    let region = Region::memfd("layouts", 4096).expect("a page");
    let _: &old::Config = region.create("config", ()).expect("room");
    let refused = region
        .attach::<new::Config>("config")
        .expect_err("it is older");
    assert_eq!(
        refused.to_string(),
        "the object \"config\" is Config of 16 bytes aligned to 4: \
         expected Config of 20 bytes aligned to 4"
    );
    assert_eq!(
        region.attach::<old::Config>("config").expect("the same").0,
        [1; 4]
    );
}

fn one_process_uses_an_object_as_one_type() {
    mod words {
        #[repr(C)]
        #[derive(Debug)]
        pub struct Config(pub [interlatch::platform::AtomicU32; 4]);
        // SAFETY: words.
        unsafe impl interlatch::ShmSafe for Config {
            fn initial() -> Self {
                Self([0; 4].map(interlatch::platform::AtomicU32::new))
            }
        }
    }
    mod numbers {
        #[repr(C)]
        #[derive(Debug)]
        pub struct Config(pub [u32; 4]);
        // SAFETY: numbers, that nobody writes through a shared reference.
        unsafe impl interlatch::ShmSafe for Config {
            fn initial() -> Self {
                Self([0; 4])
            }
        }
    }
    let region = Region::memfd("aliases", 4096).expect("a page");
    let _: &words::Config = region.create("config", ()).expect("room");
    let _: &words::Config = region.attach("config").expect("the same again");
    let refused = region.attach::<numbers::Config>("config");
    let refused = refused.expect_err("it is written through the other one");
    assert!(matches!(refused, RegionError::UsedAs { .. }), "{refused}");
    assert_eq!(
        (
            words::Config::initial().0.len(),
            numbers::Config::initial().0.len()
        ),
        (4, 4)
    );
}

/// The entry of the second object is moved half into the first one.
fn overlapping_objects_are_refused() {
    let region = Region::memfd("overlap", 4096).expect("a page");
    let _: &[Semaphore] = region.create("first", 8).expect("room");
    let _: &[Semaphore] = region.create("second", 8).expect("room");
    let second = region.objects().nth(1).expect("there are two").offset;
    let descriptor = region.descriptor().expect("a memfd has one");
    let file = File::from(descriptor.try_clone_to_owned().expect("one more"));
    let mut header = vec![0; 4096];
    file.read_exact_at(&mut header, 0).expect("it is there");
    let words = header
        .chunks_exact(8)
        .map(|word| u64::from_ne_bytes(word.try_into().expect("8")));
    let at = words
        .into_iter()
        .position(|word| word == second)
        .expect("the entry");
    let moved = (second - 8).to_ne_bytes();
    file.write_all_at(&moved, at as u64 * 8)
        .expect("it is there");
    let same = other(&region);
    let _: &[Semaphore] = same.attach("first").expect("as it was");
    let refused = same.attach::<[Semaphore]>("second").err();
    assert!(
        matches!(refused, Some(RegionError::Damaged { .. })),
        "{refused:?}"
    );
    // A directory that is wiped under a process that uses its objects: nothing is built over them.
    file.write_all_at(&[0; 4096 - 64], 64).expect("it is there");
    let over = region.create::<Semaphore>("third", ()).err();
    assert!(
        matches!(over, Some(RegionError::Damaged { .. })),
        "{over:?}"
    );
}

/// A peer wipes the directory: it looks as if nothing was there, at the place where something is.
fn what_is_used_is_not_built_over() {
    let region = Region::memfd("rebuilt", 4096).expect("a page");
    let first: &RobustMutex<u64> = region.create("first", ()).expect("room");
    let mut held = first.lock().expect("nobody else has it");
    *held = 7;
    let descriptor = region.descriptor().expect("a memfd has one");
    let file = File::from(descriptor.try_clone_to_owned().expect("one more"));
    // Behind the mark, the sizes and the lock of the directory.
    file.write_all_at(&[0; 4096 - 104], 104)
        .expect("it is there");
    assert_eq!(region.objects().count(), 0, "it is wiped");
    for refused in [
        region.create::<RobustMutex<u64>>("second", ()).err(),
        region
            .create_or_attach::<RobustMutex<u64>>("first", ())
            .err(),
    ] {
        assert!(
            matches!(refused, Some(RegionError::Damaged { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(*held, 7, "it is as it was");
}

fn a_type_may_be_named_in_any_alphabet() {
    #[repr(C)]
    struct Größe(u64);
    // SAFETY: a number, that nobody writes through a shared reference.
    unsafe impl ShmSafe for Größe {
        fn initial() -> Self {
            Self(7)
        }
    }
    let region = Region::memfd("alphabet", 4096).expect("a page");
    let size: &Größe = region.create("größe", ()).expect("room");
    assert_eq!(size.0, 7);
    let names: Vec<String> = region
        .objects()
        .map(|object| object.kind.type_name())
        .collect();
    assert_eq!(names, ["Größe"]);
}

fn an_object_is_created_once() {
    let region = Region::memfd("once", 4096).expect("a page");
    let semaphore: &Semaphore = region.create("object", ()).expect("room");
    semaphore.release(2).expect("few");
    let twice = region.create::<Semaphore>("object", ()).err();
    assert!(matches!(twice, Some(RegionError::Exists(_))), "{twice:?}");
    let same = other(&region);
    let found: &Semaphore = same.create_or_attach("object", ()).expect("it exists");
    assert_eq!(found.permits(), 2, "it was not built again");
    let made: &Semaphore = same.create_or_attach("another", ()).expect("room");
    assert_eq!(made.permits(), Semaphore::initial().permits());
}

fn an_object_is_named() {
    let region = Region::memfd("names", 4096).expect("a page");
    for name in ["", "a\0b", &"a".repeat(32), &"ä".repeat(16)] {
        for refused in [
            region.create::<Semaphore>(name, ()).err(),
            region.attach::<Semaphore>(name).err(),
            region.create_or_attach::<Semaphore>(name, ()).err(),
        ] {
            assert!(
                matches!(refused, Some(RegionError::ObjectName(_))),
                "{refused:?}"
            );
        }
    }
    for name in ["a", &"a".repeat(31), "with / and \n"] {
        assert!(region.create::<Semaphore>(name, ()).is_ok(), "{name:?}");
    }
}

fn a_region_has_so_many_objects() {
    let region = Region::memfd("many", 1 << 16).expect("room");
    let mut created = 0;
    let refused = loop {
        match region.create::<Semaphore>(&created.to_string(), ()) {
            Ok(_) => created += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, RegionError::Full), "{refused:?}");
    assert_eq!(created, interlatch::region::directory::MAX_OBJECTS);
    assert!(region.attach::<Semaphore>("0").is_ok());
}

fn alignment() {
    #[repr(C, align(4096))]
    struct Page([u8; 4096]);
    // SAFETY: bytes, that nobody writes through a shared reference.
    unsafe impl ShmSafe for Page {
        fn initial() -> Self {
            Self([7; 4096])
        }
    }
    #[repr(C, align(8192))]
    struct TwoPages([u8; 8192]);
    // SAFETY: as above.
    unsafe impl ShmSafe for TwoPages {
        fn initial() -> Self {
            Self([0; 8192])
        }
    }
    let region = Region::memfd("aligned", 1 << 16).expect("room");
    let _: &Semaphore = region.create("first", ()).expect("room");
    let page: &Page = region.create("page", ()).expect("room");
    assert_eq!((page.0[0], page.0.as_ptr().addr() % 4096), (7, 0));
    let refused = region.create::<TwoPages>("two", ()).err();
    assert!(
        matches!(refused, Some(RegionError::Alignment(8192))),
        "{refused:?}"
    );
    assert_eq!(TwoPages::initial().0[0], 0);
}

fn a_plan_that_cannot_be_is_refused() {
    let region = Region::memfd("plans", 4096).expect("a page");
    let refused = region.create::<Queue>("queue", 0).err();
    let zero = Some(RegionError::Config(ConfigError::ZeroCapacity));
    assert_eq!(format!("{refused:?}"), format!("{zero:?}"));
    let needed = Queue::layout(1000).expect("possible").size();
    match region.create::<Queue>("queue", 1000).err() {
        Some(RegionError::TooSmall { needed: said, .. }) => assert_eq!(said, needed),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        RegionOptions::new(0)
            .create(&interlatch::RegionName::file("/nowhere"))
            .err(),
        Some(RegionError::Size(0))
    ));
}
