//! Shared libraries with a copy of the crate, for tests of several copies in one process.

use std::ffi::{CStr, CString, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds an example that is a shared library, unless it is up to date, and returns its path.
/// `cargo test --test` builds no examples.
pub fn build(example: &str) -> PathBuf {
    let library = path(example);
    let profile = library.ancestors().nth(2).expect("target/PROFILE");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--example", example]);
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    build
        .arg("--target-dir")
        .arg(profile.parent().expect("target"));
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let built = build.status().expect("cargo starts");
    assert!(built.success(), "the library {example} is not built");
    library
}

/// Returns the path of a shared library that [`build`] has built.
pub fn path(example: &str) -> PathBuf {
    let program = std::env::current_exe().expect("this program");
    let profile = program.ancestors().nth(2).expect("target/PROFILE/deps");
    profile.join(format!("examples/lib{example}.so"))
}

/// A loaded library.
pub struct Library(*mut c_void);

impl Library {
    /// Loads the library.
    pub fn open(path: &Path) -> Self {
        let path = CString::new(path.as_os_str().as_encoded_bytes()).expect("no zero byte");
        // SAFETY: the constructors of the library are those of Rust's standard library.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null(), "{path:?} cannot be loaded");
        Self(library)
    }

    /// Returns the address of a function of the library.
    pub fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: the handle is that of a loaded library, and the name is a C string.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!found.is_null(), "the library has no function {name:?}");
        found
    }

    /// Closes the library.
    ///
    /// # Safety
    /// No code uses a function or a value of the library afterwards.
    pub unsafe fn close(self) {
        // SAFETY: the caller does not use the library any more.
        let closed = unsafe { libc::dlclose(self.0) };
        assert_eq!(closed, 0, "the library can be closed");
    }
}
