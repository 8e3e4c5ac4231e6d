//! Bytes and text in atomic words. A peer may write any bytes, at any time.

use crate::platform::AtomicU64;
use crate::platform::Ordering::Relaxed;
use std::borrow::Cow;

/// Stores bytes in atomic words. The stores are Relaxed because a later Release store publishes
/// them.
pub(crate) fn store(words: &[AtomicU64], bytes: &[u8]) {
    for (word, bytes) in words.iter().zip(bytes.as_chunks::<8>().0) {
        word.store(u64::from_ne_bytes(*bytes), Relaxed);
    }
}

/// Loads bytes from atomic words. The loads are Relaxed because an earlier Acquire load has made
/// the bytes visible.
pub(crate) fn load<const BYTES: usize>(words: &[AtomicU64]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (bytes, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *bytes = word.load(Relaxed).to_ne_bytes();
    }
    bytes
}

/// Returns the text before the first zero byte. Bytes that are not UTF-8 become replacement
/// characters.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())])
}

/// Returns the text as an array of bytes. A text that is too long is cut at the end of a character.
pub(crate) fn encode<const BYTES: usize>(text: &str) -> [u8; BYTES] {
    let mut lengths = (0..=text.len().min(BYTES)).rev();
    let end = lengths
        .find(|length| text.is_char_boundary(*length))
        .unwrap_or(0);
    let mut bytes = [0; BYTES];
    bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn text_is_cut_at_a_character() {
        assert_eq!(decode(&encode::<8>("short")), "short");
        assert_eq!(decode(&encode::<8>("exactly8")), "exactly8");
        assert_eq!(decode(&encode::<8>("Größenordnung")), "Größen");
        assert_eq!(decode(&encode::<8>("seven..ß")), "seven..");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(decode(&[b'a', 0xff, 0, b'b']), "a\u{fffd}");
    }
}
