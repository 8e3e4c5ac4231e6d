//! Formatting of untrusted text and of long text.

use std::time::Duration;

/// Escapes control characters and other characters that a terminal may interpret.
pub fn escape(text: &str) -> String {
    let mut escape = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\'' => escape.push(character),
            other => escape.extend(other.escape_debug()),
        }
    }
    escape
}

/// Escapes the same characters in a JSON document, where they occur only within strings.
pub fn escape_json(document: &str) -> String {
    let mut escape = String::with_capacity(document.len());
    for character in document.chars() {
        if character.is_ascii() && character != '\x7f' || character.escape_debug().len() == 1 {
            escape.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                escape.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    escape
}

/// Truncates text to at most `max` characters.
pub fn truncate(text: &str, max: usize) -> String {
    match text.char_indices().nth(max.saturating_sub(1)) {
        Some((at, character)) if at + character.len_utf8() < text.len() => {
            format!("{}…", &text[..at])
        }
        _ => text.to_owned(),
    }
}

/// Formats a duration by its two largest units, for example `3h 2m`.
pub fn format_age(seconds: u64) -> String {
    let whole = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    let parts: Vec<&str> = whole.split(' ').take(2).collect();
    parts.join(" ")
}

/// Formats process IDs with commas, or as a count if there are many.
pub fn format_pids(pids: &[u32]) -> String {
    const MANY: usize = 6;
    if pids.len() > MANY {
        return format!("{} processes", pids.len());
    }
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    pids.join(", ")
}

/// Formats a fill level, for example `[######----] 6/10`.
pub fn fill_bar(fill: u64, capacity: u64) -> String {
    const WIDTH: u64 = 10;
    let part = u128::from(fill.min(capacity)) * u128::from(WIDTH);
    // The bar is empty only if the buffer holds no items, and full only if the buffer is full.
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

/// Formats a fill level. The number of items or the capacity may be unknown.
pub fn fill_level(fill: Option<u64>, capacity: Option<u64>) -> String {
    match (fill, capacity) {
        (Some(fill), Some(capacity)) => fill_bar(fill, capacity),
        (Some(fill), None) => format!("{fill} items"),
        (None, Some(capacity)) => format!("?/{capacity}"),
        (None, None) => "?".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_is_full_only_for_a_full_buffer() {
        assert_eq!(fill_bar(6, 10), "[######----] 6/10");
        assert_eq!(fill_bar(0, 10), "[----------] 0/10");
        assert_eq!(fill_bar(1, 1000), "[#---------] 1/1000");
        assert_eq!(fill_bar(999, 1000), "[#########-] 999/1000");
        assert_eq!(fill_bar(3, 3), "[##########] 3/3");
        assert_eq!(fill_bar(u64::MAX, u64::MAX).matches('#').count(), 10);
        assert_eq!(fill_bar(0, 0), "[----------] 0/0");
    }

    #[test]
    fn control_characters_are_escaped() {
        let hostile = "a\x1b[2J\u{9b}31m\u{202e}\n\x7fé'\"";
        let text = escape(hostile);
        assert_eq!(text, "a\\u{1b}[2J\\u{9b}31m\\u{202e}\\n\\u{7f}é'\"");
        let document = escape_json(&serde_json::to_string(hostile).expect("text"));
        assert!(document.chars().all(|c| !c.is_control() && c != '\u{202e}'));
        let back: String = serde_json::from_str(&document).expect("still JSON");
        assert_eq!(back, hostile);
    }

    #[test]
    fn truncation_keeps_whole_characters() {
        assert_eq!(truncate("äöü", 3), "äöü");
        assert_eq!(truncate("äöüß", 3), "äö…");
        assert_eq!(format_age(3 * 3600 + 125), "3h 2m");
        assert_eq!(format_age(0), "0s");
    }
}
