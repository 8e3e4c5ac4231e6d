//! Standard output: tables and JSON documents.

use crate::error::CliError;
use crate::format::escape_json;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::Write;

/// Creates a table without borders, with these column heads.
pub fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    // Wrapping by the terminal is more readable than wrapping within cells.
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heads);
    table
}

/// Returns the lines of a table without its padding on the left and right.
pub fn lines(table: &Table) -> String {
    let lines = table.lines().map(|line| {
        let line = line.trim_end();
        format!("{}\n", line.strip_prefix(' ').unwrap_or(line))
    });
    lines.collect()
}

pub fn print(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Returns a JSON document on one line.
pub fn document(value: &impl Serialize) -> Result<String, CliError> {
    let text = serde_json::to_string(value);
    let text = text.map_err(|error| CliError::Other(error.to_string()))?;
    Ok(escape_json(&text) + "\n")
}
