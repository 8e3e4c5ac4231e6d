//! The version of the region format.

/// The version of the region format: the layout of the header, of the directory, and of every type
/// of this crate that can be in a region.
///
/// Two programs can share a region only if their versions are equal. Attaching compares the
/// versions. The identity of a type of this crate contains only its name, parameters and size, so
/// the version must change when the fields of such a type change, or when a value in a field gets
/// another meaning.
pub const FORMAT_VERSION: u8 = 5;

/// The digest of all layouts for each version. If a layout has changed, `tests/layouts.rs` fails
/// and prints the new line. Raise the version, and add the line instead of changing an existing
/// one.
#[expect(dead_code, reason = "tests/layouts.rs reads the source")]
const DIGESTS: [(u8, u64); 2] = [
    (4, 0x57f4_ea54_66b0_108d), //
    (5, 0x5711_f039_3dc0_7bd5),
];

/// The letters with which a region begins. The version follows.
const LETTERS: u64 = u64::from_be_bytes(*b"interla\0");

/// The word with which a region begins.
pub(super) const MAGIC: u64 = LETTERS | FORMAT_VERSION as u64;

/// Returns the version of the format of a region that begins with this word. Returns `None` if the
/// word is not the beginning of a region. No version is 0 or greater than 31, so that no text is
/// mistaken for a region.
pub(super) fn version_of(word: u64) -> Option<u8> {
    let version = (word ^ LETTERS) as u8;
    (word & !0xff == LETTERS && (1..32).contains(&version)).then_some(version)
}
