//! Names that somebody else may write to: regions behind them that are ruined, cut, or replaced by
//! something else.
//!
//! `INTERLATCH_ATTACHES` says how often each kind is ruined, `INTERLATCH_SEED` repeats a run.

use super::harness::Test;
use super::hostile::{HEADER, Outcomes, SIZE, create_all, scribble, use_all, variant};
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
            "whatever_a_peer_writes_behind_a_name_is_an_error_or_an_object",
            whatever_a_peer_writes_behind_a_name,
        ),
        Test::new(
            "a_file_of_another_length_is_refused",
            another_length_is_refused,
        ),
        Test::new(
            "a_name_that_always_means_something_else_is_an_error_or_a_region",
            a_name_that_always_means_something_else,
        ),
    ]
}

/// The region of this name as somebody without this crate has it.
fn raw(scratch: &Scratch, kind: usize) -> Raw {
    match scratch.paths.get(kind) {
        Some(path) => Raw::mapped(writable(path)),
        None => Raw::segment(scratch.key, HEADER + SIZE),
    }
}

fn writable(path: &Path) -> File {
    let file = File::options().read(true).write(true).open(path);
    file.expect("it exists")
}

fn whatever_a_peer_writes_behind_a_name() {
    let attaches = env_number("INTERLATCH_ATTACHES").unwrap_or(2_000);
    let mut random = fastrand::Rng::with_seed(seed());
    interlatch::sync::set_recheck_interval(Duration::ZERO);
    for kind in 0..3 {
        let scratch = Scratch::new();
        let name = &scratch.names[kind];
        let region = RegionOptions::new(SIZE).create(name).expect("room");
        create_all(&region).expect("room");
        drop(region);
        let raw = raw(&scratch, kind);
        let clean = raw.all();
        let mut outcomes = Outcomes::default();
        for attach in 0..attaches {
            raw.write_all(&clean);
            scribble(&raw, &mut random);
            let region = match attach % 2 {
                0 => RegionOptions::attach(name),
                _ => RegionOptions::new(SIZE).create_or_attach(name),
            };
            outcomes.count(&region.and_then(|region| use_all(&region)));
        }
        println!("{}", outcomes.table(&name.to_string()));
        outcomes.assert_errors_of(3);
        raw.write_all(&clean);
        name.remove().expect("it is whole again");
        drop(raw);
        assert_eq!(scratch.remaining(), [0; 3], "nothing stays of {name}");
    }
}

fn another_length_is_refused() {
    const WHOLE: u64 = (HEADER + SIZE) as u64;
    const CUT: [u64; 4] = [1 << 40, WHOLE + 4096, WHOLE + 1, WHOLE - 1];
    const SHORT: [u64; 6] = [8192, 8191, 4096, 4095, 1, 0];
    for kind in 0..2 {
        let scratch = Scratch::new();
        let (name, path) = (&scratch.names[kind], &scratch.paths[kind]);
        let region = RegionOptions::new(SIZE).create(name).expect("room");
        create_all(&region).expect("room");
        drop(region);
        for length in CUT.into_iter().chain(SHORT) {
            writable(path).set_len(length).expect("nobody prevents it");
            let refused = [
                RegionOptions::attach(name).err(),
                RegionOptions::new(SIZE).create_or_attach(name).err(),
            ];
            let is_named = |refused: &Option<RegionError>| match refused {
                // Nothing is left that says what it was.
                Some(RegionError::NotARegion { .. }) => length < 16,
                Some(RegionError::WrongSize { expected, found }) => {
                    (*expected, *found as u64) == (WHOLE, length)
                }
                _ => false,
            };
            assert!(refused.iter().all(is_named), "{length}: {refused:?}");
            let twice = RegionOptions::new(SIZE).create(name).err();
            assert!(
                matches!(twice, Some(RegionError::RegionExists(_))),
                "{twice:?}"
            );
        }
        // What is left of the header says that it was a region.
        fs::remove_file(path).expect("it is there");
        drop(
            RegionOptions::new(SIZE)
                .create(name)
                .expect("there is none"),
        );
        writable(path).set_len(100).expect("nobody prevents it");
        assert!(name.remove().is_ok(), "of no use to anybody");
    }
}

/// One process puts this and that in the place of the region, others attach, make it, and remove it.
fn a_name_that_always_means_something_else() {
    for kind in 0..2 {
        let scratch = Scratch::new();
        let (name, path) = (&scratch.names[kind], &scratch.paths[kind]);
        let scene = Region::memfd("scene", 4096).expect("a page");
        let path = path.to_str().expect("text").to_owned();
        let _replacer = Actor::start(&scene, &["replace".into(), path, seed().to_string()]);
        let part = ["insist".to_owned(), name.to_string()];
        let users: Vec<Actor> = (0..2).map(|_| Actor::start(&scene, &part)).collect();
        for mut user in users {
            let deadline = Instant::now() + TIMEOUT;
            let said = user
                .reply(deadline)
                .unwrap_or_else(|problem| panic!("{problem}"));
            println!("{said}");
            assert_eq!(user.end(deadline), Ok(()), "{name}");
        }
    }
}

/// In an actor: puts something else there until it is killed.
pub fn replace(rest: &[String]) {
    let [path, seed] = rest else {
        panic!("a path and a seed, not {rest:?}")
    };
    let path = Path::new(path);
    let mut random = fastrand::Rng::with_seed(seed.parse().expect("a number"));
    loop {
        // Others put a region there at the same time, and remove it.
        let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
        // A file that is there is not written to: it would be cut under who uses it.
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

/// In an actor: attaches to, makes and removes a region of that name, whatever is there.
pub fn insist(rest: &[String]) {
    let [name] = rest else {
        panic!("a name, not {rest:?}")
    };
    let name = parse_name(name);
    let options = RegionOptions::new(4096);
    let (mut worked, mut other) = (0, 0);
    let mut refusals = BTreeSet::new();
    while worked < OFTEN || other < OFTEN {
        let made = options.create_or_attach(&name);
        let found = RegionOptions::attach(&name);
        let [made, found] = [made, found].map(|region| region.and_then(|region| works(&region)));
        for outcome in [made, found, name.remove()] {
            match outcome {
                Ok(()) => worked += 1,
                Err(error) => {
                    other += u32::from(matches!(error, RegionError::NotAFile(_)));
                    refusals.insert(variant(&error));
                }
            }
        }
    }
    println!("{name}: {worked} worked, others heard {refusals:?}");
    assert!(
        !refusals.contains("System"),
        "an error without a name: {refusals:?}"
    );
}

/// Both have to happen before the test ends: a region of that name worked, and there was something else.
const OFTEN: u32 = 500;

fn works(region: &Region) -> Result<(), RegionError> {
    let semaphore: &Semaphore = region.create_or_attach("semaphore", ())?;
    semaphore.release(1).expect("few");
    semaphore.try_acquire().expect("one at least").forget();
    Ok(())
}
