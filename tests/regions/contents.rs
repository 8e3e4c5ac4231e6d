//! What is in a region: named objects, and what is said of those that are not there or something else.

use super::harness::Test;
use super::hostile::HEADER;
use interlatch::channel::Slot;
use interlatch::platform::Ordering::Relaxed;
use interlatch::region::{ConfigError, ShmObject};
use interlatch::{
    BoundedBuffer, Buffer, Region, RegionError, RegionOptions, RingBuffer, RobustMutex, Semaphore,
    ShmSafe,
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
    assert_eq!(
        missing.to_string(),
        r#"the region has no object "missing"; create it before attaching"#
    );
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
    let (found, expected) = (size_of::<Semaphore>(), size_of::<RobustMutex<u64>>());
    assert_eq!(
        refused.to_string(),
        format!(
            "object \"object\" holds Semaphore ({found} bytes), \
             expected RobustMutex<u64> ({expected} bytes)"
        )
    );
    let unsized_type = region.attach::<Queue>("object").err();
    assert_eq!(
        unsized_type.expect("a semaphore").to_string(),
        "object \"object\" holds Semaphore (4 bytes), expected BoundedBuffer<u64>"
    );
    let _: &RobustMutex<u64> = region.create("total", ()).expect("room");
    let sized_type = region.attach::<Semaphore>("total").expect_err("a mutex");
    assert_eq!(
        sized_type.to_string(),
        format!(
            "object \"total\" holds RobustMutex<u64> ({expected} bytes), expected Semaphore (4 bytes)"
        )
    );
}

/// The same name for two layouts, as in two versions of a program.
fn another_layout_is_refused() {
    mod old {
        #[repr(C)]
        #[derive(interlatch::ShmType)]
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
        #[derive(Debug, interlatch::ShmType)]
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
        "object \"config\" holds Config (16 bytes), expected Config (20 bytes); the layouts differ: \
         found Config { 0: [u32; 4] at 0 }, expected Config { 0: [u32; 5] at 0 }"
    );
    assert_eq!(
        region.attach::<old::Config>("config").expect("the same").0,
        [1; 4]
    );
}

/// The same name, size and alignment for two structs, as in two programs: the fields are swapped.
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
    let order: &one::Order = region.create("order", ()).expect("room");
    order.price.store(7, Relaxed);
    order.amount.store(1, Relaxed);
    let same = self::other(&region);
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

/// The items of a buffer and the data of a mutex belong to the identity.
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
    let _: &RobustMutex<one::Item> = region.create("mutex", ()).expect("room");
    let _: &RingBuffer<one::Item> = region.create("ring", 2).expect("room");
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
        other(&region)
            .attach::<RingBuffer<one::Item>>("ring")
            .is_ok()
    );
}

/// A program that renames a type keeps the name in its identity.
fn identity_has_the_name_that_a_program_gives_it() {
    #[repr(C)]
    #[derive(ShmSafe)]
    struct Account(Semaphore);
    #[repr(C)]
    #[derive(ShmSafe)]
    #[shm(name = "Account")]
    struct Konto(Semaphore);
    let region = Region::memfd("renamed", 4096).expect("a page");
    let account: &Account = region.create("account", ()).expect("room");
    account.0.release(2).expect("few");
    let same = other(&region);
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
        // SAFETY: numbers, that nobody writes through a shared reference.
        unsafe impl interlatch::ShmSafe for Config {
            fn initial() -> Self {
                Self([0; 4])
            }
        }
    }
    let region = Region::memfd("aliases", 4096).expect("a page");
    let config: &one::Config = region.create("config", ()).expect("room");
    let _: &one::Config = region.attach("config").expect("the same again");
    let refused = region.attach::<two::Config>("config");
    let refused = refused.expect_err("it is written through the other one");
    assert!(matches!(refused, RegionError::UsedAs { .. }), "{refused}");
    let text = refused.to_string();
    assert!(
        text.contains("one::Config") && text.contains("two::Config"),
        "{text}"
    );
    let refused = region.attach::<numbers::Config>("config");
    let refused = refused.expect_err("its numbers are not atomic");
    assert!(
        matches!(refused, RegionError::OtherType { .. }),
        "{refused}"
    );
    let lengths = (
        config.0.len(),
        two::Config::initial().0.len(),
        numbers::Config::initial().0.len(),
    );
    assert_eq!(lengths, (4, 4, 4));
}

/// The entry of the second object is moved half into the first one.
fn overlapping_objects_are_refused() {
    let region = Region::memfd("overlap", 4096).expect("a page");
    let _: &[Semaphore] = region.create("first", 8).expect("room");
    let _: &[Semaphore] = region.create("second", 8).expect("room");
    let second = region.objects().nth(1).expect("there are two").offset;
    let descriptor = region.descriptor().expect("a memfd has one");
    let file = File::from(descriptor.try_clone_to_owned().expect("one more"));
    let mut header = vec![0; HEADER];
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
    file.write_all_at(&[0; HEADER - 64], 64)
        .expect("it is there");
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
    file.write_all_at(&[0; HEADER - 104], 104)
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
    #[derive(interlatch::ShmType)]
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
        .map(|object| object.object_type.type_name())
        .collect();
    assert_eq!(names, ["Größe"]);
}

fn an_object_is_created_once() {
    let region = Region::memfd("once", 4096).expect("a page");
    let semaphore: &Semaphore = region.create("object", ()).expect("room");
    semaphore.release(2).expect("few");
    let twice = region.create::<Semaphore>("object", ()).err();
    assert!(
        matches!(twice, Some(RegionError::ObjectExists(_))),
        "{twice:?}"
    );
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
    #[derive(interlatch::ShmType)]
    struct Page([u8; 4096]);
    // SAFETY: bytes, that nobody writes through a shared reference.
    unsafe impl ShmSafe for Page {
        fn initial() -> Self {
            Self([7; 4096])
        }
    }
    #[repr(C, align(8192))]
    #[derive(interlatch::ShmType)]
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
