//! Text for people: harmless, and short.

use std::time::Duration;

/// Without control characters and whatever else a terminal may take for more than a character.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\'' => clean.push(character),
            other => clean.extend(other.escape_debug()),
        }
    }
    clean
}

/// The same for a document of JSON, in which such characters are between quotes only.
pub fn clean_json(document: &str) -> String {
    let mut clean = String::with_capacity(document.len());
    for character in document.chars() {
        if character.is_ascii() && character != '\x7f' || character.escape_debug().len() == 1 {
            clean.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                clean.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    clean
}

/// So many characters at most.
pub fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most.saturating_sub(1)) {
        Some((at, character)) if at + character.len_utf8() < text.len() => {
            format!("{}…", &text[..at])
        }
        _ => text.to_owned(),
    }
}

/// The two largest parts of a time, as `3h 2m`.
pub fn age(seconds: u64) -> String {
    let whole = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    let parts: Vec<&str> = whole.split(' ').take(2).collect();
    parts.join(" ")
}

/// Numbers with commas; if there are many, only how many.
pub fn pids(pids: &[u32]) -> String {
    const MANY: usize = 6;
    if pids.len() > MANY {
        return format!("{} processes", pids.len());
    }
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    pids.join(", ")
}

/// How full, as `[######----] 6/10`.
pub fn bar(fill: u64, capacity: u64) -> String {
    const WIDTH: u64 = 10;
    let part = u128::from(fill.min(capacity)) * u128::from(WIDTH);
    // Something is shown of one item among many, and room of one place.
    let full = part.div_ceil(u128::from(capacity.max(1))) as usize;
    let full = match fill < capacity {
        true => full.min(WIDTH as usize - 1),
        false => full,
    };
    let empty = WIDTH as usize - full;
    format!(
        "[{}{}] {fill}/{capacity}",
        "#".repeat(full),
        "-".repeat(empty)
    )
}

/// The same, of what may be unknown.
pub fn level(fill: Option<u64>, capacity: Option<u64>) -> String {
    match (fill, capacity) {
        (Some(fill), Some(capacity)) => bar(fill, capacity),
        (Some(fill), None) => format!("{fill} items"),
        (None, Some(capacity)) => format!("?/{capacity}"),
        (None, None) => "?".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_full_only_when_the_buffer_is() {
        assert_eq!(bar(6, 10), "[######----] 6/10");
        assert_eq!(bar(0, 10), "[----------] 0/10");
        assert_eq!(bar(1, 1000), "[#---------] 1/1000");
        assert_eq!(bar(999, 1000), "[#########-] 999/1000");
        assert_eq!(bar(3, 3), "[##########] 3/3");
        assert_eq!(bar(u64::MAX, u64::MAX).matches('#').count(), 10);
        assert_eq!(bar(0, 0), "[----------] 0/0");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        let hostile = "a\x1b[2J\u{9b}31m\u{202e}\n\x7fé'\"";
        let text = clean(hostile);
        assert_eq!(text, "a\\u{1b}[2J\\u{9b}31m\\u{202e}\\n\\u{7f}é'\"");
        let document = clean_json(&serde_json::to_string(hostile).expect("text"));
        assert!(document.chars().all(|c| !c.is_control() && c != '\u{202e}'));
        let back: String = serde_json::from_str(&document).expect("still JSON");
        assert_eq!(back, hostile);
    }

    #[test]
    fn what_is_too_long_is_cut_at_a_character() {
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöüß", 3), "äö…");
        assert_eq!(age(3 * 3600 + 125), "3h 2m");
        assert_eq!(age(0), "0s");
    }
}
