//! The objects in a region: lookup by name, and errors for missing objects and other types.

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
        Test::new("object_is_found_by_name", object_is_found_by_name),
        Test::new(
            "attach_as_other_type_names_both_types",
            attach_as_other_type_names_both_types,
        ),
        Test::new(
            "attach_with_other_layout_names_both_layouts",
            attach_with_other_layout_names_both_layouts,
        ),
        Test::new(
            "one_process_uses_an_object_as_one_type",
            one_process_uses_an_object_as_one_type,
        ),
        Test::new(
            "overlapping_objects_are_an_error",
            overlapping_objects_are_an_error,
        ),
        Test::new(
            "object_in_use_is_not_overwritten",
            object_in_use_is_not_overwritten,
        ),
        Test::new(
            "type_name_may_use_any_alphabet",
            type_name_may_use_any_alphabet,
        ),
        Test::new("object_is_created_once", object_is_created_once),
        Test::new(
            "invalid_object_name_is_an_error",
            invalid_object_name_is_an_error,
        ),
        Test::new("full_directory_is_an_error", full_directory_is_an_error),
        Test::new(
            "alignment_above_a_page_is_an_error",
            alignment_above_a_page_is_an_error,
        ),
        Test::new("invalid_config_is_an_error", invalid_config_is_an_error),
    ]
}

type Queue = BoundedBuffer<u64, [Slot<u64>]>;

/// Maps the region again, as another process does.
fn map_again(region: &Region) -> Region {
    let descriptor = region.descriptor().expect("a memfd has a descriptor");
    let copy = descriptor.try_clone_to_owned().expect("a descriptor");
    Region::from_descriptor(copy).expect("a region")
}

fn object_is_found_by_name() {
    let region = Region::memfd("contents", 4096).expect("a page");
    let first: &Semaphore = region.create("first", ()).expect("the region has room");
    let queue: &Queue = region.create("queue", 7).expect("the region has room");
    let same = map_again(&region);
    assert_eq!(
        same.attach::<Queue>("queue")
            .expect("the object exists")
            .capacity(),
        7
    );
    assert!(queue.is_empty());
    first.release(3).expect("the permits fit");
    let attached: &Semaphore = same.attach("first").expect("the object exists");
    assert_eq!(attached.permits(), 3);
    let names: Vec<String> = same
        .objects()
        .map(|object| object.name.to_string())
        .collect();
    assert_eq!(names, ["first", "queue"]);
    // Every process may create objects.
    let late: &Semaphore = same.create("late", ()).expect("the region has room");
    late.release(1).expect("the permits fit");
    assert_eq!(
        region
            .attach::<Semaphore>("late")
            .expect("the object exists")
            .permits(),
        1
    );
    let missing = region.attach::<Semaphore>("missing").expect_err("missing");
    assert_eq!(missing.to_string(), r#"there is no object named "missing""#);
}

fn attach_as_other_type_names_both_types() {
    let region = Region::memfd("types", 4096).expect("a page");
    let _: &Semaphore = region.create("object", ()).expect("the region has room");
    let error = region.attach::<RobustMutex<u64>>("object").err();
    let error = error.expect("the types differ");
    assert!(matches!(error, RegionError::OtherType { .. }), "{error:?}");
    let (size, align) = (size_of::<Semaphore>(), align_of::<Semaphore>());
    let found = format!(r#"the object "object" is Semaphore of {size} bytes aligned to {align}"#);
    let expected = format!(
        "expected RobustMutex<u64> of {} bytes",
        size_of::<RobustMutex<u64>>()
    );
    let message = error.to_string();
    assert!(
        message.contains(&found) && message.contains(&expected),
        "{message}"
    );
    assert!(matches!(
        region.attach::<Queue>("object").err(),
        Some(RegionError::OtherType { .. })
    ));
}

/// Two versions of a program give one type name two layouts.
fn attach_with_other_layout_names_both_layouts() {
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
    let _: &old::Config = region.create("config", ()).expect("the region has room");
    let error = region
        .attach::<new::Config>("config")
        .expect_err("the layouts differ");
    assert_eq!(
        error.to_string(),
        "the object \"config\" is Config of 16 bytes aligned to 4: \
         expected Config of 20 bytes aligned to 4"
    );
    assert_eq!(
        region
            .attach::<old::Config>("config")
            .expect("the same layout")
            .0,
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
    let _: &words::Config = region.create("config", ()).expect("the region has room");
    let _: &words::Config = region.attach("config").expect("the same type");
    let error = region.attach::<numbers::Config>("config");
    let error = error.expect_err("this process uses it as another type");
    assert!(matches!(error, RegionError::UsedAs { .. }), "{error}");
    assert_eq!(
        (
            words::Config::initial().0.len(),
            numbers::Config::initial().0.len()
        ),
        (4, 4)
    );
}

/// A peer moves the entry of the second object into the first object.
fn overlapping_objects_are_an_error() {
    let region = Region::memfd("overlap", 4096).expect("a page");
    let _: &[Semaphore] = region.create("first", 8).expect("the region has room");
    let _: &[Semaphore] = region.create("second", 8).expect("the region has room");
    let second = region.objects().nth(1).expect("a second object").offset;
    let descriptor = region.descriptor().expect("a memfd has a descriptor");
    let file = File::from(descriptor.try_clone_to_owned().expect("a descriptor"));
    let mut header = vec![0; 4096];
    file.read_exact_at(&mut header, 0)
        .expect("the object exists");
    let words = header
        .chunks_exact(8)
        .map(|word| u64::from_ne_bytes(word.try_into().expect("8")));
    let at = words
        .into_iter()
        .position(|word| word == second)
        .expect("the entry");
    let moved = (second - 8).to_ne_bytes();
    file.write_all_at(&moved, at as u64 * 8)
        .expect("the object exists");
    let same = map_again(&region);
    let _: &[Semaphore] = same.attach("first").expect("the unchanged entry");
    let error = same.attach::<[Semaphore]>("second").err();
    assert!(
        matches!(error, Some(RegionError::Damaged { .. })),
        "{error:?}"
    );
    // A peer clears the directory: nothing is created over the objects that this process uses.
    file.write_all_at(&[0; 4096 - 64], 64)
        .expect("the object exists");
    let third = region.create::<Semaphore>("third", ()).err();
    assert!(
        matches!(third, Some(RegionError::Damaged { .. })),
        "{third:?}"
    );
}

/// A peer clears the directory, so the memory of an object looks free.
fn object_in_use_is_not_overwritten() {
    let region = Region::memfd("rebuilt", 4096).expect("a page");
    let first: &RobustMutex<u64> = region.create("first", ()).expect("the region has room");
    let mut guard = first.lock().expect("the lock is free");
    *guard = 7;
    let descriptor = region.descriptor().expect("a memfd has a descriptor");
    let file = File::from(descriptor.try_clone_to_owned().expect("a descriptor"));
    // Clears everything after the magic number, the sizes and the lock of the directory.
    file.write_all_at(&[0; 4096 - 104], 104)
        .expect("the object exists");
    assert_eq!(region.objects().count(), 0, "the directory is clear");
    for error in [
        region.create::<RobustMutex<u64>>("second", ()).err(),
        region
            .create_or_attach::<RobustMutex<u64>>("first", ())
            .err(),
    ] {
        assert!(
            matches!(error, Some(RegionError::Damaged { .. })),
            "{error:?}"
        );
    }
    assert_eq!(*guard, 7, "the value is unchanged");
}

fn type_name_may_use_any_alphabet() {
    #[repr(C)]
    struct Größe(u64);
    // SAFETY: a number, that nobody writes through a shared reference.
    unsafe impl ShmSafe for Größe {
        fn initial() -> Self {
            Self(7)
        }
    }
    let region = Region::memfd("alphabet", 4096).expect("a page");
    let size: &Größe = region.create("größe", ()).expect("the region has room");
    assert_eq!(size.0, 7);
    let names: Vec<String> = region
        .objects()
        .map(|object| object.kind.type_name())
        .collect();
    assert_eq!(names, ["Größe"]);
}

fn object_is_created_once() {
    let region = Region::memfd("once", 4096).expect("a page");
    let semaphore: &Semaphore = region.create("object", ()).expect("the region has room");
    semaphore.release(2).expect("the permits fit");
    let twice = region.create::<Semaphore>("object", ()).err();
    assert!(matches!(twice, Some(RegionError::Exists(_))), "{twice:?}");
    let same = map_again(&region);
    let found: &Semaphore = same
        .create_or_attach("object", ())
        .expect("the region exists");
    assert_eq!(found.permits(), 2, "the object was not initialized again");
    let created: &Semaphore = same
        .create_or_attach("another", ())
        .expect("the region has room");
    assert_eq!(created.permits(), Semaphore::initial().permits());
}

fn invalid_object_name_is_an_error() {
    let region = Region::memfd("names", 4096).expect("a page");
    for name in ["", "a\0b", &"a".repeat(32), &"ä".repeat(16)] {
        for error in [
            region.create::<Semaphore>(name, ()).err(),
            region.attach::<Semaphore>(name).err(),
            region.create_or_attach::<Semaphore>(name, ()).err(),
        ] {
            assert!(
                matches!(error, Some(RegionError::ObjectName(_))),
                "{error:?}"
            );
        }
    }
    for name in ["a", &"a".repeat(31), "with / and \n"] {
        assert!(region.create::<Semaphore>(name, ()).is_ok(), "{name:?}");
    }
}

fn full_directory_is_an_error() {
    let region = Region::memfd("many", 1 << 16).expect("the region has room");
    let mut created = 0;
    let error = loop {
        match region.create::<Semaphore>(&created.to_string(), ()) {
            Ok(_) => created += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, RegionError::Full), "{error:?}");
    assert_eq!(created, interlatch::region::directory::MAX_OBJECTS);
    assert!(region.attach::<Semaphore>("0").is_ok());
}

fn alignment_above_a_page_is_an_error() {
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
    let region = Region::memfd("aligned", 1 << 16).expect("the region has room");
    let _: &Semaphore = region.create("first", ()).expect("the region has room");
    let page: &Page = region.create("page", ()).expect("the region has room");
    assert_eq!((page.0[0], page.0.as_ptr().addr() % 4096), (7, 0));
    let error = region.create::<TwoPages>("two", ()).err();
    assert!(
        matches!(error, Some(RegionError::Alignment(8192))),
        "{error:?}"
    );
    assert_eq!(TwoPages::initial().0[0], 0);
}

fn invalid_config_is_an_error() {
    let region = Region::memfd("plans", 4096).expect("a page");
    let error = region.create::<Queue>("queue", 0).err();
    let zero = Some(RegionError::Config(ConfigError::ZeroCapacity));
    assert_eq!(format!("{error:?}"), format!("{zero:?}"));
    let needed = Queue::layout(1000).expect("possible").size();
    match region.create::<Queue>("queue", 1000).err() {
        Some(RegionError::TooSmall { needed: found, .. }) => assert_eq!(found, needed),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        RegionOptions::new(0)
            .create(&interlatch::RegionName::file("/nowhere"))
            .err(),
        Some(RegionError::Size(0))
    ));
}
