//! A shared library with a copy of interlatch, which takes the things of `tests/identity`.

#[path = "../identity/owner.rs"]
mod owner;
#[expect(
    dead_code,
    reason = "this library only takes things; the test looks at them"
)]
#[path = "../identity/subject.rs"]
mod subject;
#[path = "../identity/subjects.rs"]
mod subjects;
#[path = "../identity/ways.rs"]
mod ways;

use interlatch::Region;
use interlatch_testing::process::TIMEOUT;
use interlatch_testing::scratch::parse_name;
use owner::Owner;
use std::ffi::{CStr, c_char, c_int};
use std::os::fd::BorrowedFd;
use subject::Scene;
use ways::Way;

/// Takes the thing of a subject with this copy of interlatch, makes the first copy look at it, and
/// keeps it until the process is killed.
///
/// # Safety
/// The descriptor is that of a region and stays open. The texts are C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn own_in_copy(
    descriptor: c_int,
    subject: *const c_char,
    name: *const c_char,
    look_in_first_copy: extern "C" fn(),
) {
    // SAFETY: the caller passes an open descriptor.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let copy = descriptor.try_clone_to_owned().expect("a descriptor");
    let region = Region::from_descriptor(copy).expect("the owner's region");
    // SAFETY: the caller passes C strings.
    let [subject, name] = [subject, name].map(|text| unsafe { CStr::from_ptr(text) });
    let [subject, name] = [subject, name].map(|text| text.to_str().expect("UTF-8 text"));
    let name = parse_name(name);
    let owner = Owner {
        look_in_first_copy: Some(look_in_first_copy),
        ..Owner::new(Way::parse("second copy"), subject, &region, &name)
    };
    let scene = Scene {
        region: &region,
        name: &name,
        timeout: TIMEOUT,
    };
    (owner.subject.own)(&scene, &owner);
}
