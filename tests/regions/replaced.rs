//! Tests of named regions whose files are corrupted, truncated or replaced.
//!
//! `INTERLATCH_ATTACHES` sets the number of times the test attaches for each kind of name.
//! `INTERLATCH_SEED` repeats a run.

use super::harness::Test;
use super::hostile::{HEADER, Outcomes, SIZE, corrupt, create_all, use_all, variant};
use super::process::{Actor, TIMEOUT};
use super::random::{env_number, seed};
use super::raw::Raw;
use super::scratch::{Scratch, parse_name};
use interlatch::{Region, RegionError, RegionOptions, Semaphore};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "corrupted_named_region_is_an_error_or_usable",
            corrupted_named_region_is_an_error_or_usable,
        ),
        Test::new(
            "file_of_wrong_length_is_an_error",
            file_of_wrong_length_is_an_error,
        ),
        Test::new(
            "repeatedly_replaced_file_is_an_error_or_a_region",
            repeatedly_replaced_file_is_an_error_or_a_region,
        ),
    ]
}

/// Maps the region of this name without this crate.
fn raw(scratch: &Scratch, kind: usize) -> Raw {
    match scratch.paths.get(kind) {
        Some(path) => Raw::mapped(writable(path)),
        None => Raw::segment(scratch.key, HEADER + SIZE),
    }
}

fn writable(path: &Path) -> File {
    let file = File::options().read(true).write(true).open(path);
    file.expect("the region exists")
}

fn corrupted_named_region_is_an_error_or_usable() {
    let attaches = env_number("INTERLATCH_ATTACHES").unwrap_or(2_000);
    let mut random = fastrand::Rng::with_seed(seed());
    interlatch::sync::set_recheck_interval(Duration::ZERO);
    for kind in 0..3 {
        let scratch = Scratch::new();
        let name = &scratch.names[kind];
        let region = RegionOptions::new(SIZE)
            .create(name)
            .expect("the region can be created");
        create_all(&region).expect("the region has room");
        drop(region);
        let raw = raw(&scratch, kind);
        let clean = raw.all();
        let mut outcomes = Outcomes::default();
        for attach in 0..attaches {
            raw.write_all(&clean);
            corrupt(&raw, &mut random);
            let region = match attach % 2 {
                0 => RegionOptions::attach(name),
                _ => RegionOptions::new(SIZE).create_or_attach(name),
            };
            outcomes.count(&region.and_then(|region| use_all(&region)));
        }
        println!("{}", outcomes.table(&name.to_string()));
        outcomes.assert_variety(3);
        raw.write_all(&clean);
        name.remove().expect("the region is intact again");
        drop(raw);
        assert_eq!(scratch.remaining(), [0; 3], "{name} is removed completely");
    }
}

fn file_of_wrong_length_is_an_error() {
    const FULL: u64 = (HEADER + SIZE) as u64;
    const TRUNCATED: [u64; 4] = [1 << 40, FULL + 4096, FULL + 1, FULL - 1];
    const SHORT: [u64; 6] = [8192, 8191, 4096, 4095, 1, 0];
    for kind in 0..2 {
        let scratch = Scratch::new();
        let (name, path) = (&scratch.names[kind], &scratch.paths[kind]);
        let region = RegionOptions::new(SIZE)
            .create(name)
            .expect("the region can be created");
        create_all(&region).expect("the region has room");
        drop(region);
        for length in TRUNCATED.into_iter().chain(SHORT) {
            writable(path)
                .set_len(length)
                .expect("the length can be set");
            let errors = [
                RegionOptions::attach(name).err(),
                RegionOptions::new(SIZE).create_or_attach(name).err(),
            ];
            let is_specific = |errors: &Option<RegionError>| match errors {
                // The truncation has removed the magic number.
                Some(RegionError::NotARegion { .. }) => length < 16,
                Some(RegionError::WrongSize { expected, found }) => {
                    (*expected, *found as u64) == (FULL, length)
                }
                _ => false,
            };
            assert!(errors.iter().all(is_specific), "{length}: {errors:?}");
            let twice = RegionOptions::new(SIZE).create(name).err();
            assert!(
                matches!(twice, Some(RegionError::RegionExists(_))),
                "{twice:?}"
            );
        }
        // The remaining part of the header still identifies a region.
        fs::remove_file(path).expect("the file exists");
        drop(
            RegionOptions::new(SIZE)
                .create(name)
                .expect("the name is free"),
        );
        writable(path).set_len(100).expect("the length can be set");
        assert!(name.remove().is_ok(), "a truncated region can be removed");
    }
}

/// One process replaces the region with other files while other processes create, attach to and
/// remove the region.
fn repeatedly_replaced_file_is_an_error_or_a_region() {
    for kind in 0..2 {
        let scratch = Scratch::new();
        let (name, path) = (&scratch.names[kind], &scratch.paths[kind]);
        let shared = Region::memfd("shared", 4096).expect("a page");
        let path = path.to_str().expect("text").to_owned();
        let _replacer = Actor::start(&shared, &["replace".into(), path, seed().to_string()]);
        let role = ["use replaced".to_owned(), name.to_string()];
        let users: Vec<Actor> = (0..2).map(|_| Actor::start(&shared, &role)).collect();
        for mut user in users {
            let deadline = Instant::now() + TIMEOUT;
            let message = user
                .reply(deadline)
                .unwrap_or_else(|problem| panic!("{problem}"));
            println!("{message}");
            assert_eq!(user.end(deadline), Ok(()), "{name}");
        }
    }
}

/// Replaces the file in an actor until the actor is killed.
pub fn replace(arguments: &[String]) {
    let [path, seed] = arguments else {
        panic!("expected a path and a seed, got {arguments:?}")
    };
    let path = Path::new(path);
    let mut random = fastrand::Rng::with_seed(seed.parse().expect("a number"));
    loop {
        // Other processes create and remove the region at the same time.
        let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
        // The test writes only new files, because truncating an existing file would kill the
        // processes that map it.
        let file = |bytes: &[u8]| File::create_new(path)?.write_all(bytes);
        let _ = match random.u8(..8) {
            0 => mkfifo(path, Mode::S_IRWXU).map_err(io::Error::from),
            1 => symlink("/nonexistent", path),
            2 => symlink("/dev/null", path),
            3 => fs::create_dir(path),
            4 => file(b""),
            5 => file(&[random.u8(..); 8192]),
            _ => Ok(()),
        };
        (0..random.usize(..20_000)).for_each(|_| std::hint::spin_loop());
    }
}

/// Creates, attaches to and removes a region of this name in an actor, even if another file has the
/// name.
pub fn use_replaced(arguments: &[String]) {
    let [name] = arguments else {
        panic!("expected a name, got {arguments:?}")
    };
    let name = parse_name(name);
    let options = RegionOptions::new(4096);
    let (mut worked, mut replaced) = (0, 0);
    let mut variants = BTreeSet::new();
    while worked < MIN_COUNT || replaced < MIN_COUNT {
        let created = options.create_or_attach(&name);
        let found = RegionOptions::attach(&name);
        let [created, found] =
            [created, found].map(|region| region.and_then(|region| use_region(&region)));
        for outcome in [created, found, name.remove()] {
            match outcome {
                Ok(()) => worked += 1,
                Err(error) => {
                    replaced += u32::from(matches!(error, RegionError::NotAFile(_)));
                    variants.insert(variant(&error));
                }
            }
        }
    }
    println!("{name}: {worked} worked, errors {variants:?}");
    assert!(
        !variants.contains("System"),
        "an unspecific error: {variants:?}"
    );
}

/// The minimum number of successes and of replaced files before the test ends.
const MIN_COUNT: u32 = 500;

fn use_region(region: &Region) -> Result<(), RegionError> {
    let semaphore: &Semaphore = region.create_or_attach("semaphore", ())?;
    semaphore.release(1).expect("the permits fit");
    semaphore
        .try_acquire()
        .expect("at least one permit")
        .forget();
    Ok(())
}
