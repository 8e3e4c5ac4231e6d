//! The memory of a region as somebody maps it who does not use this crate, and writes what it likes.

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

/// Memory that is mapped as long as this lives.
pub struct Raw {
    start: NonNull<c_void>,
    length: usize,
    kind: Kind,
}

enum Kind {
    Mapped,
    Segment,
}

// SAFETY: a mapping, of which words are read and written.
unsafe impl Send for Raw {}

impl Raw {
    /// All of a file, or of what else has a descriptor.
    pub fn mapped(descriptor: impl AsFd) -> Self {
        let file = File::from(descriptor.as_fd().try_clone_to_owned().expect("one more"));
        let length = file.metadata().expect("it is open").len() as usize;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let whole = NonZeroUsize::new(length).expect("it is not empty");
        // SAFETY: the kernel chooses a place where nothing is.
        let start = unsafe { mmap(None, whole, protection, MapFlags::MAP_SHARED, &file, 0) };
        Self {
            start: start.expect("it can be mapped"),
            length,
            kind: Kind::Mapped,
        }
    }

    /// A System V segment of that many bytes.
    pub fn segment(key: i32, length: usize) -> Self {
        // SAFETY: it takes numbers only; the second chooses a place where nothing is.
        let start = unsafe { libc::shmat(libc::shmget(key, length, 0), std::ptr::null(), 0) };
        assert_ne!(start.addr(), usize::MAX, "{}", Errno::last());
        Self {
            start: NonNull::new(start).expect("not at zero"),
            length,
            kind: Kind::Segment,
        }
    }

    /// The words, each of which somebody else may change at any time.
    fn word(&self, index: usize) -> *mut u64 {
        assert!(index < self.words());
        // SAFETY: inside the mapping.
        unsafe { self.start.as_ptr().cast::<u64>().add(index) }
    }

    /// How many there are.
    pub fn words(&self) -> usize {
        self.length / 8
    }

    pub fn read(&self, index: usize) -> u64 {
        // SAFETY: mapped; volatile, since it is shared.
        unsafe { self.word(index).read_volatile() }
    }

    pub fn write(&self, index: usize, value: u64) {
        // SAFETY: mapped; volatile, since it is shared.
        unsafe { self.word(index).write_volatile(value) }
    }

    /// What is there now.
    pub fn all(&self) -> Vec<u64> {
        (0..self.words()).map(|index| self.read(index)).collect()
    }

    pub fn write_all(&self, words: &[u64]) {
        words
            .iter()
            .enumerate()
            .for_each(|(index, word)| self.write(index, *word));
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: mapped by this, and nobody uses it after this.
        let gone = unsafe {
            match self.kind {
                Kind::Mapped => munmap(self.start, self.length),
                Kind::Segment => Errno::result(libc::shmdt(self.start.as_ptr())).map(drop),
            }
        };
        gone.expect("it was mapped");
    }
}
