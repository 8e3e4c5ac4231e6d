//! `interlatch watch NAME`.

use crate::arguments::Watch;
use crate::error::CliError;
use crate::inspect::render;
use crate::output;
use std::io::IsTerminal;
use std::time::Duration;

/// Moves the cursor to the upper left corner and clears the screen below.
const REDRAW: &str = "\x1b[H\x1b[J";

pub fn run(arguments: &Watch, json: bool) -> Result<(), CliError> {
    let redraws = !json && std::io::stdout().is_terminal();
    let mut times = 0;
    while arguments.count.is_none_or(|count| times < count) {
        if times > 0 {
            std::thread::sleep(arguments.interval.max(Duration::from_millis(1)));
        }
        let block = render(&arguments.target, json)?;
        let before = match (redraws, json || times == 0) {
            (true, _) => REDRAW,
            (false, true) => "",
            (false, false) => "\n",
        };
        output::print(&format!("{before}{block}"))?;
        times += 1;
    }
    Ok(())
}
