//! The owner whose thing belongs to a second copy of the library, in a shared library.

use super::owner::find;
use super::roles::AS_ANY;
use super::subject::Scene;
use interlatch::{Region, RegionName, RobustMutex};
use interlatch_testing::library::{self, Library};
use interlatch_testing::process::TIMEOUT;
use interlatch_testing::scratch::parse_name;
use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int};
use std::os::fd::AsRawFd;

/// The example that is the shared library.
pub const LIBRARY: &str = "identity_library";

/// The arguments are the descriptor of the region, the subject, the name, and the function that
/// makes the first copy look. The function does not return.
type OwnInCopy = extern "C" fn(c_int, *const c_char, *const c_char, extern "C" fn());

thread_local! {
    /// What the first copy looks at.
    static SCENE: RefCell<Option<(&'static Region, RegionName, String)>> =
        const { RefCell::new(None) };
}

/// The role of the owner.
pub fn own(region: Region, arguments: &[String]) {
    let [subject, name] = arguments else {
        panic!("expected a subject and a name, got {arguments:?}");
    };
    // The owner is killed, so it drops nothing.
    let region: &'static Region = Box::leak(Box::new(region));
    SCENE.set(Some((region, parse_name(name), subject.clone())));
    // Both copies have a robust list in this thread: the kernel must visit both.
    let own = Region::memfd("first copy", 4096).expect("a page");
    let own: &'static Region = Box::leak(Box::new(own));
    let lock: &RobustMutex<u64> = own.create("lock", ()).expect("the region has room");
    std::mem::forget(lock.lock());
    let library = Library::open(&library::path(LIBRARY));
    let found = library.symbol(c"own_in_copy");
    // SAFETY: the library defines this function with this type.
    let own_in_copy: OwnInCopy = unsafe { std::mem::transmute(found) };
    let text = |text: &str| CString::new(text).expect("no zero byte");
    let (subject, name) = (text(subject), text(name));
    let descriptor = region.descriptor().expect("a memfd").as_raw_fd();
    own_in_copy(descriptor, subject.as_ptr(), name.as_ptr(), look);
}

/// Looks at the object with the first copy, and prints what it finds.
extern "C" fn look() {
    let (region, name, subject) = SCENE.take().expect("the owner has a scene");
    let scene = Scene {
        region,
        name: &name,
        timeout: TIMEOUT,
    };
    match (find(&subject).look)(&scene) {
        Ok(_) => println!("copy: {AS_ANY}"),
        Err(error) => println!("copy: failed: {error}"),
    }
}
