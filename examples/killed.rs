//! A process is killed in the middle of a transfer, while it owns the lock. The next owner learns
//! of the death, repairs the accounts, and continues.

use interlatch::sync::RobustLockError;
use interlatch::{Region, RobustMutex};
use std::io::{BufRead, BufReader, Write, stdout};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};

type Accounts = RobustMutex<[u64; 2]>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    match std::env::args().nth(1) {
        None => survive(),
        Some(descriptor) => stop_in_the_middle(descriptor.parse()?),
    }
}

fn survive() -> Result<(), Box<dyn std::error::Error>> {
    let region = Region::memfd("accounts", 4096)?;
    let accounts: &Accounts = region.create("accounts", ())?;
    *accounts.lock().map_err(|error| error.to_string())? = [100, 0];

    let descriptor = region.descriptor().ok_or("a memfd has one")?;
    let inherited = nix::unistd::dup(descriptor)?; // unlike the original, it stays open after exec
    let mut child = Command::new(std::env::current_exe()?)
        .arg(inherited.as_raw_fd().to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("piped")?;
    BufReader::new(output).read_line(&mut String::new())?;
    child.kill()?;
    child.wait()?;

    let accounts = match accounts.lock() {
        Ok(accounts) => accounts,
        // The previous owner died during the transfer: repair its accounts.
        Err(RobustLockError::OwnerDied(mut guard)) => {
            writeln!(stdout(), "the owner died and left {:?}", *guard)?;
            guard[1] = 100 - guard[0];
            guard.mark_consistent()
        }
        Err(error) => return Err(error.to_string().into()),
    };
    writeln!(stdout(), "repaired: {:?}", *accounts)?;
    (*accounts == [70, 30])
        .then_some(())
        .ok_or("the accounts are not repaired".into())
}

fn stop_in_the_middle(descriptor: i32) -> Result<(), Box<dyn std::error::Error>> {
    // SAFETY: the parent passes an open descriptor, which only this process owns.
    let region = Region::from_descriptor(unsafe { OwnedFd::from_raw_fd(descriptor) })?;
    let accounts: &Accounts = region.attach("accounts")?;
    let mut accounts = accounts.lock().map_err(|error| error.to_string())?;
    accounts[0] -= 30;
    writeln!(stdout(), "in the middle")?;
    loop {
        std::thread::park();
    }
}
