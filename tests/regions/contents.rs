//! The objects in a region: lookup by name, errors for missing objects, and errors for other types.

use super::harness::Test;
use super::hostile::HEADER;
use interlatch::channel::Slot;
use interlatch::platform::{AtomicU64, Ordering::Relaxed};
use interlatch::region::{ConfigError, ShmObject, TypeInfo};
use interlatch::{
    BoundedBuffer, Buffer, Region, RegionError, RegionOptions, RingBuffer, RobustMutex, Semaphore,
    ShmSafe,
};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;

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
        Test::new("swapped_fields_are_refused", swapped_fields_are_refused),
        Test::new(
            "swapped_fields_of_items_are_refused",
            swapped_fields_of_items_are_refused,
        ),
        Test::new(
            "identity_has_the_name_that_a_program_gives_it",
            identity_has_the_name_that_a_program_gives_it,
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
            "one_of_several_threads_creates_an_object",
            one_of_several_threads_creates_an_object,
        ),
        Test::new(
            "failed_creation_leaves_its_memory_free",
            failed_creation_leaves_its_memory_free,
        ),
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

/// Maps the region again, as a second process would.
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
    // Any process may create an object.
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
    assert_eq!(
        missing.to_string(),
        r#"the region has no object "missing"; create it before attaching"#
    );
}

fn attach_as_other_type_names_both_types() {
    let region = Region::memfd("types", 4096).expect("a page");
    let _: &Semaphore = region.create("object", ()).expect("the region has room");
    let error = region.attach::<RobustMutex<u64>>("object").err();
    let error = error.expect("the types differ");
    assert!(matches!(error, RegionError::OtherType { .. }), "{error:?}");
    let (found, expected) = (size_of::<Semaphore>(), size_of::<RobustMutex<u64>>());
    assert_eq!(
        error.to_string(),
        format!(
            "object \"object\" holds Semaphore ({found} bytes), \
             expected RobustMutex<u64> ({expected} bytes)"
        )
    );
    let unsized_type = region.attach::<Queue>("object").err();
    assert_eq!(
        unsized_type.expect("the types differ").to_string(),
        "object \"object\" holds Semaphore (4 bytes), expected BoundedBuffer<u64>"
    );
    let _: &RobustMutex<u64> = region.create("total", ()).expect("the region has room");
    let sized_type = region.attach::<Semaphore>("total");
    assert_eq!(
        sized_type.expect_err("the types differ").to_string(),
        format!(
            "object \"total\" holds RobustMutex<u64> ({expected} bytes), expected Semaphore (4 bytes)"
        )
    );
}

/// Two versions of a program use one type name for two different layouts.
fn attach_with_other_layout_names_both_layouts() {
    mod old {
        #[repr(C)]
        #[derive(interlatch::ShmType)]
        pub struct Config(pub [u32; 4]);
        // SAFETY: the type consists of words without pointers, and no shared reference writes to
        // them.
        unsafe impl interlatch::ShmSafe for Config {
            unsafe fn init_in_place(at: *mut Self) {
                // SAFETY: the caller passes an aligned `at` that is valid for writes.
                unsafe { at.write(Self([1; 4])) }
            }
        }
    }
    mod new {
        #[repr(C)]
        #[derive(Debug, interlatch::ShmType)]
        pub struct Config(pub [u32; 5]);
        // SAFETY: the type consists of words without pointers, and no shared reference writes to
        // them.
        unsafe impl interlatch::ShmSafe for Config {
            unsafe fn init_in_place(at: *mut Self) {
                // SAFETY: the caller passes an aligned `at` that is valid for writes.
                unsafe { at.write(Self([1; 5])) }
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
        "object \"config\" holds Config (16 bytes), expected Config (20 bytes); the layouts differ: \
         found Config { 0: [u32; 4] at 0 }, expected Config { 0: [u32; 5] at 0 }"
    );
    assert_eq!(
        region
            .attach::<old::Config>("config")
            .expect("the same layout")
            .0,
        [1; 4]
    );
}

/// Two structs have the same name, size and alignment, but their fields are swapped, as in two
/// different programs.
fn swapped_fields_are_refused() {
    mod one {
        #[repr(C)]
        #[derive(interlatch::ShmSafe)]
        pub struct Order {
            pub price: interlatch::platform::AtomicU64,
            pub amount: interlatch::platform::AtomicU64,
        }
    }
    mod other {
        #[repr(C)]
        #[derive(Debug, interlatch::ShmSafe)]
        pub struct Order {
            pub amount: interlatch::platform::AtomicU64,
            pub price: interlatch::platform::AtomicU64,
        }
    }
    let region = Region::memfd("swapped", 4096).expect("a page");
    let order: &one::Order = region.create("order", ()).expect("the region has room");
    order.price.store(7, Relaxed);
    order.amount.store(1, Relaxed);
    let same = map_again(&region);
    let error = same.attach::<other::Order>("order");
    assert_eq!(
        error.expect_err("another layout").to_string(),
        "object \"order\" holds Order (16 bytes), expected Order (16 bytes); the layouts differ: \
         found Order { price: AtomicU64 at 0, amount: AtomicU64 at 8 }, \
         expected Order { amount: AtomicU64 at 0, price: AtomicU64 at 8 }"
    );
    let attached: &one::Order = same.attach("order").expect("the same layout");
    assert_eq!(attached.price.load(Relaxed), 7);
}

/// The item type of a buffer and the data type of a mutex are part of the object's type identity.
fn swapped_fields_of_items_are_refused() {
    mod one {
        #[repr(C)]
        #[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable, interlatch::ShmType)]
        pub struct Item {
            pub at: u64,
            pub value: u64,
        }
        use zerocopy::{FromBytes, Immutable, IntoBytes};
    }
    mod other {
        #[repr(C)]
        #[derive(
            Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, interlatch::ShmType,
        )]
        pub struct Item {
            pub value: u64,
            pub at: u64,
        }
        use zerocopy::{FromBytes, Immutable, IntoBytes};
    }
    let region = Region::memfd("swapped", 4096).expect("a page");
    let _: &RobustMutex<one::Item> = region.create("mutex", ()).expect("the region has room");
    let _: &RingBuffer<one::Item> = region.create("ring", 2).expect("the region has room");
    let layouts = |name: &str| {
        format!(
            "the layouts differ: found {name}<Item {{ at: u64 at 0, value: u64 at 8 }}>, \
             expected {name}<Item {{ value: u64 at 0, at: u64 at 8 }}>"
        )
    };
    let mutex = region.attach::<RobustMutex<other::Item>>("mutex").err();
    let mutex = mutex.expect("another layout").to_string();
    assert!(mutex.ends_with(&layouts("RobustMutex")), "{mutex}");
    let ring = region.attach::<RingBuffer<other::Item>>("ring").err();
    let ring = ring.expect("another layout").to_string();
    assert!(ring.ends_with(&layouts("RingBuffer")), "{ring}");
    assert!(
        map_again(&region)
            .attach::<RingBuffer<one::Item>>("ring")
            .is_ok()
    );
}

/// A program can rename a type and keep the old name in the type's identity.
fn identity_has_the_name_that_a_program_gives_it() {
    #[repr(C)]
    #[derive(ShmSafe)]
    struct Account(Semaphore);
    #[repr(C)]
    #[derive(ShmSafe)]
    #[shm(name = "Account")]
    struct Konto(Semaphore);
    let region = Region::memfd("renamed", 4096).expect("a page");
    let account: &Account = region.create("account", ()).expect("the region has room");
    account.0.release(2).expect("the permits fit");
    let same = map_again(&region);
    let konto: &Konto = same.attach("account").expect("the same name");
    assert_eq!(konto.0.permits(), 2);
}

fn one_process_uses_an_object_as_one_type() {
    mod one {
        #[repr(C)]
        #[derive(interlatch::ShmSafe)]
        pub struct Config(pub [interlatch::platform::AtomicU32; 4]);
    }
    mod two {
        #[repr(C)]
        #[derive(Debug, interlatch::ShmSafe)]
        pub struct Config(pub [interlatch::platform::AtomicU32; 4]);
    }
    mod numbers {
        #[repr(C)]
        #[derive(Debug, interlatch::ShmType)]
        pub struct Config(pub [u32; 4]);
        // SAFETY: the type consists of numbers without pointers, and no shared reference writes to
        // them.
        unsafe impl interlatch::ShmSafe for Config {
            unsafe fn init_in_place(at: *mut Self) {
                // SAFETY: the caller passes an aligned `at` that is valid for writes.
                unsafe { at.write(Self([0; 4])) }
            }
        }
    }
    /// A type that claims the identity of another one, although its numbers are not atomic.
    #[repr(C)]
    #[derive(Debug)]
    struct Impostor([u32; 4]);
    impl interlatch::ShmType for Impostor {
        const TYPE: &'static TypeInfo = one::Config::TYPE;
    }
    // SAFETY: the type consists of numbers without pointers, and no shared reference writes to
    // them.
    unsafe impl interlatch::ShmSafe for Impostor {
        unsafe fn init_in_place(at: *mut Self) {
            // SAFETY: the caller passes an aligned `at` that is valid for writes.
            unsafe { at.write(Self([0; 4])) }
        }
    }
    let region = Region::memfd("aliases", 4096).expect("a page");
    let config: &one::Config = region.create("config", ()).expect("the region has room");
    let _: &one::Config = region.attach("config").expect("the same type");
    let error = region.attach::<two::Config>("config");
    let error = error.expect_err("this process uses it as another type");
    assert!(matches!(error, RegionError::UsedAs { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("one::Config") && text.contains("two::Config"),
        "{text}"
    );
    let error = region.attach::<Impostor>("config");
    let error = error.expect_err("this process uses it as another type");
    assert!(matches!(error, RegionError::UsedAs { .. }), "{error}");
    let error = region.attach::<numbers::Config>("config");
    let error = error.expect_err("its numbers are not atomic");
    assert!(matches!(error, RegionError::OtherType { .. }), "{error}");
    let lengths = (
        config.0.len(),
        two::Config::new_leaked().0.len(),
        numbers::Config::new_leaked().0.len(),
        Impostor::new_leaked().0.len(),
    );
    assert_eq!(lengths, (4, 4, 4, 4));
}

/// A peer changes the entry of the second object so that it overlaps the first object.
fn overlapping_objects_are_an_error() {
    let region = Region::memfd("overlap", 4096).expect("a page");
    let _: &[Semaphore] = region.create("first", 8).expect("the region has room");
    let _: &[Semaphore] = region.create("second", 8).expect("the region has room");
    let second = region.objects().nth(1).expect("a second object").offset;
    let descriptor = region.descriptor().expect("a memfd has a descriptor");
    let file = File::from(descriptor.try_clone_to_owned().expect("a descriptor"));
    let mut header = vec![0; HEADER];
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
    // A peer clears the directory. No object is created over the objects that this process uses.
    file.write_all_at(&[0; HEADER - 64], 64)
        .expect("the object exists");
    let third = region.create::<Semaphore>("third", ()).err();
    assert!(
        matches!(third, Some(RegionError::Damaged { .. })),
        "{third:?}"
    );
}

/// A peer clears the directory, so the memory of an object appears to be free while processes use
/// the object.
fn object_in_use_is_not_overwritten() {
    let region = Region::memfd("rebuilt", 4096).expect("a page");
    let first: &RobustMutex<u64> = region.create("first", ()).expect("the region has room");
    let mut guard = first.lock().expect("the lock is free");
    *guard = 7;
    let descriptor = region.descriptor().expect("a memfd has a descriptor");
    let file = File::from(descriptor.try_clone_to_owned().expect("a descriptor"));
    // The peer clears everything after the magic number, the sizes and the lock of the directory.
    file.write_all_at(&[0; HEADER - 104], 104)
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
    #[derive(interlatch::ShmType)]
    struct Größe(u64);
    // SAFETY: the type is a number without a pointer, and no shared reference writes to it.
    unsafe impl ShmSafe for Größe {
        unsafe fn init_in_place(at: *mut Self) {
            // SAFETY: the caller passes an aligned `at` that is valid for writes.
            unsafe { at.write(Self(7)) }
        }
    }
    let region = Region::memfd("alphabet", 4096).expect("a page");
    let size: &Größe = region.create("größe", ()).expect("the region has room");
    assert_eq!(size.0, 7);
    let names: Vec<String> = region
        .objects()
        .map(|object| object.object_type.type_name())
        .collect();
    assert_eq!(names, ["Größe"]);
}

fn object_is_created_once() {
    let region = Region::memfd("once", 4096).expect("a page");
    let semaphore: &Semaphore = region.create("object", ()).expect("the region has room");
    semaphore.release(2).expect("the permits fit");
    let twice = region.create::<Semaphore>("object", ()).err();
    assert!(
        matches!(twice, Some(RegionError::ObjectExists(_))),
        "{twice:?}"
    );
    let same = map_again(&region);
    let found: &Semaphore = same
        .create_or_attach("object", ())
        .expect("the region exists");
    assert_eq!(found.permits(), 2, "the object was not initialized again");
    let created: &Semaphore = same
        .create_or_attach("another", ())
        .expect("the region has room");
    assert_eq!(created.permits(), Semaphore::empty().permits());
}

fn one_of_several_threads_creates_an_object() {
    const THREADS: usize = 4;
    for _ in 0..200 {
        let region = Region::memfd("threads", 4096).expect("a page");
        let start = Barrier::new(THREADS);
        let create = || {
            start.wait();
            match region.create::<Semaphore>("object", ()) {
                Ok(_) => true,
                Err(RegionError::ObjectExists(_)) => false,
                Err(error) => panic!("{error}"),
            }
        };
        let created = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(create)).collect();
            let created = threads.into_iter().map(|thread| thread.join());
            created
                .filter(|created| matches!(created, Ok(true)))
                .count()
        });
        assert_eq!(created, 1);
        let attached = region.attach::<Semaphore>("object");
        assert!(attached.is_ok(), "{attached:?}");
    }
}

/// An object whose initial value cannot be computed.
#[repr(C)]
#[derive(ShmSafe)]
struct Failing {
    #[shm(initial = failing_value())]
    word: AtomicU64,
}

fn failing_value() -> AtomicU64 {
    panic!("no initial value")
}

fn failed_creation_leaves_its_memory_free() {
    let region = Region::memfd("failed", 4096).expect("a page");
    let create = || {
        region
            .create::<Failing>("object", ())
            .map(|failing| failing.word.load(Relaxed))
    };
    assert!(catch_unwind(AssertUnwindSafe(create)).is_err());
    assert_eq!(region.objects().count(), 0);
    // The next object lies in the memory in which the creation failed.
    let created = region.create::<Semaphore>("object", ());
    assert!(created.is_ok(), "{created:?}");
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
    #[derive(interlatch::ShmType)]
    struct Page([u8; 4096]);
    // SAFETY: the type consists of bytes without pointers, and no shared reference writes to them.
    unsafe impl ShmSafe for Page {
        unsafe fn init_in_place(at: *mut Self) {
            // SAFETY: the caller passes an aligned `at` that is valid for writes.
            unsafe { at.write(Self([7; 4096])) }
        }
    }
    #[repr(C, align(8192))]
    #[derive(interlatch::ShmType)]
    struct TwoPages([u8; 8192]);
    // SAFETY: the type consists of bytes without pointers, and no shared reference writes to them.
    unsafe impl ShmSafe for TwoPages {
        unsafe fn init_in_place(at: *mut Self) {
            // SAFETY: the caller passes an aligned `at` that is valid for writes.
            unsafe { at.write(Self([0; 8192])) }
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
    assert_eq!(TwoPages::new_leaked().0[0], 0);
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
