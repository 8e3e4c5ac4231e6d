//! The memory of a region, mapped without this crate by a peer that writes arbitrary words.

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

/// A memory mapping that is unmapped on drop.
pub struct Raw {
    start: NonNull<c_void>,
    length: usize,
    kind: Kind,
}

enum Kind {
    Mapped,
    Segment,
}

// SAFETY: any thread may read and write the words of the mapping.
unsafe impl Send for Raw {}

impl Raw {
    /// Maps all memory of the file that the descriptor refers to.
    pub fn mapped(descriptor: impl AsFd) -> Self {
        let file = File::from(
            descriptor
                .as_fd()
                .try_clone_to_owned()
                .expect("a descriptor"),
        );
        let length = file.metadata().expect("the descriptor is open").len() as usize;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let whole = NonZeroUsize::new(length).expect("the file is not empty");
        // SAFETY: the kernel chooses addresses that are not in use.
        let start = unsafe { mmap(None, whole, protection, MapFlags::MAP_SHARED, &file, 0) };
        Self {
            start: start.expect("the memory can be mapped"),
            length,
            kind: Kind::Mapped,
        }
    }

    /// Attaches to a System V segment of this many bytes.
    pub fn segment(key: i32, length: usize) -> Self {
        // SAFETY: the kernel chooses addresses that are not in use.
        let start = unsafe { libc::shmat(libc::shmget(key, length, 0), std::ptr::null(), 0) };
        assert_ne!(start.addr(), usize::MAX, "{}", Errno::last());
        Self {
            start: NonNull::new(start).expect("not at zero"),
            length,
            kind: Kind::Segment,
        }
    }

    /// Returns a pointer to a word. Other processes may change the word at any time.
    fn word(&self, index: usize) -> *mut u64 {
        assert!(index < self.words());
        // SAFETY: the index is within the mapping.
        unsafe { self.start.as_ptr().cast::<u64>().add(index) }
    }

    /// Returns the number of words in the mapping.
    pub fn words(&self) -> usize {
        self.length / 8
    }

    pub fn read(&self, index: usize) -> u64 {
        // SAFETY: `word` returns a pointer into the mapping. The read is volatile, because other
        // processes may change the word.
        unsafe { self.word(index).read_volatile() }
    }

    pub fn write(&self, index: usize, value: u64) {
        // SAFETY: `word` returns a pointer into the mapping. The write is volatile, because other
        // processes may read the word.
        unsafe { self.word(index).write_volatile(value) }
    }

    /// Returns a copy of all words.
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
        // SAFETY: `self` owns the mapping, and no pointer into it outlives `self`.
        let result = unsafe {
            match self.kind {
                Kind::Mapped => munmap(self.start, self.length),
                Kind::Segment => Errno::result(libc::shmdt(self.start.as_ptr())).map(drop),
            }
        };
        result.expect("the mapping exists");
    }
}
