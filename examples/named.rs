//! Two programs that know one name. Start both, in any order, from any directory:
//! `named NAME send` and `named NAME receive`.
//!
//! Kill one of them: the other one hears of it. `named NAME remove` removes what is left.

use interlatch::{Buffer, Options, RegionName, RobustMonitorBuffer, Slot};
use std::process::ExitCode;

type Queue = RobustMonitorBuffer<u64, [Slot<u64>]>;

const CAPACITY: usize = 256;
const ITEMS: u64 = 1_000_000;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("named: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, part] = &arguments[..] else {
        return Err("expected a name, and `send`, `receive` or `remove`".into());
    };
    let name = RegionName::posix(name)?;
    if part == "remove" {
        return Ok(name.remove()?);
    }
    let region = Options::new(1 << 16).create_or_attach(&name)?;
    let queue: &Queue = region.create_or_attach("queue", CAPACITY)?;
    match part.as_str() {
        "send" => {
            let sender = queue.sender()?;
            (1..=ITEMS).try_for_each(|item| sender.send(item))?;
            println!("sent 1 to {ITEMS}");
        }
        "receive" => {
            let (mut count, mut sum) = (0, 0);
            for item in queue.receiver()? {
                count += 1;
                sum += item;
            }
            name.remove()?;
            println!("received {count} items, sum {sum}");
            if count != ITEMS {
                return Err("the sender has gone before its end".into());
            }
        }
        other => return Err(format!("expected send, receive or remove, found {other:?}").into()),
    }
    Ok(())
}
