//! A sequence lock, checked in every execution that the memory model allows.
//!
//! A sequence lock lets readers copy data while a writer may change it. The writer makes a counter
//! odd, writes, and makes it even. A reader copies the data between two loads of the counter, and
//! retries if they differ or are odd. Boehm ("Can seqlocks get along with programming language
//! memory models?", MSPC 2012) shows how easily its orderings are wrong.
//!
//! ```sh
//! cargo run --example seqlock               # the correct lock: exhaustive
//! cargo run --example seqlock -- --no-fence # without the reader's fence: the failing execution
//! ```

use interlatch_engine::{AtomicU32, Limits, Report, Setup, Verdict, explore, fence};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Two words that are always equal when no writer is inside.
#[derive(Default)]
struct SeqLock {
    sequence: Word,
    data: [Word; 2],
}

struct Word(AtomicU32);

impl Default for Word {
    fn default() -> Self {
        Self(AtomicU32::new(0))
    }
}

impl SeqLock {
    /// Writes. There is only one writer.
    fn write(&self, value: u32) {
        let sequence = self.sequence.0.load(Relaxed);
        self.sequence.0.store(sequence + 1, Relaxed);
        // Pairs with the reader's fence: a reader that sees the new data sees the odd counter.
        fence(Release);
        for word in &self.data {
            word.0.store(value, Relaxed);
        }
        // Pairs with the Acquire of the next reader, which sees the new data.
        self.sequence.0.store(sequence + 2, Release);
    }

    /// Reads once. Returns `None` if a writer interfered.
    fn try_read(&self, with_fence: bool) -> Option<[u32; 2]> {
        let before = self.sequence.0.load(Acquire);
        let data = [0, 1].map(|index| self.data[index].0.load(Relaxed));
        if with_fence {
            fence(Acquire);
        }
        let after = self.sequence.0.load(Relaxed);
        (before == after && before.is_multiple_of(2)).then_some(data)
    }
}

fn check(with_fence: bool) -> Report {
    explore(Limits::default(), |model: &mut Setup| {
        let lock = Rc::new(SeqLock::default());
        let reader = lock.clone();
        model.process(move || (1..=2).for_each(|value| lock.write(value)));
        model.process(move || {
            if let Some([one, other]) = reader.try_read(with_fence) {
                assert_eq!(one, other, "the copy is torn");
            }
        });
    })
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let with_fence = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => true,
        ["--no-fence"] => false,
        _ => {
            eprintln!("usage: seqlock [--no-fence]");
            return ExitCode::from(2);
        }
    };
    let report = check(with_fence);
    println!("{report}");
    match report.verdict {
        Verdict::Exhaustive => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
