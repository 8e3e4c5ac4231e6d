//! Signals that add a permit to a semaphore: `sigaction(2)`.
//!
//! **Why the handler is safe.** It may run between any two instructions of the thread, so it may do only what
//! can be done in the middle of everything (`signal-safety(7)`): it loads one atomic word, and calls
//! [`Semaphore::release`]. That is compare-and-exchange on one word, again until it succeeds, and
//! `FUTEX_WAKE`, which is a system call that takes no lock of this process. It allocates nothing, and waits
//! for nobody: if the handler has interrupted an operation on the same semaphore, that one finds a changed
//! word and tries again. `errno` is put back.

use super::SignalError;
use super::error::check;
use interlatch::platform::AtomicUsize;
use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::sync::Semaphore;
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// The numbers of signals that have a name. The first is 1.
const SIGNALS: usize = 32;

/// The address of the semaphore that each signal notifies, or zero.
static TARGETS: [AtomicUsize; SIGNALS] = [const { AtomicUsize::new(0) }; SIGNALS];

extern "C" fn add_permit(signal: i32) {
    let errno = Errno::last_raw();
    let target = TARGETS.get(signal as usize);
    // Acquire pairs with the Release of `notify_semaphore`: the semaphore was made before.
    let address = target.map_or(0, |target| target.load(Acquire));
    if address != 0 {
        // SAFETY: it was a reference that lasts as long as the program.
        let semaphore = unsafe { &*core::ptr::with_exposed_provenance::<Semaphore>(address) };
        // Of two thousand million notifications that nobody has looked at, the next one says nothing new.
        let _ = semaphore.release(1);
    }
    Errno::set_raw(errno);
}

/// A signal adds permits to a semaphore as long as this is there; then it does again what it did before.
///
/// Drop those of one signal in the order that is opposite to that in which other handlers of it were installed.
///
/// # Process death
/// A handler is that of a process: after `exec` the signal does what it does by default.
#[derive(Debug)]
#[must_use = "dropping this restores what the signal did before"]
pub struct Notification {
    signal: Signal,
    before: SigAction,
}

/// From now on each delivery of the signal, in whichever thread, adds a permit to the semaphore.
///
/// Several signals may notify one semaphore. A signal that comes again before it was delivered is delivered
/// once, as the kernel has it.
///
/// System calls that it interrupts are begun again where the kernel does so (`SA_RESTART`). All operations of
/// this crate go on after a signal, whoever handles it and however, up to the same deadline.
///
/// # Errors
/// If the signal is no notification, or notifies a semaphore already.
///
/// # Example
/// ```
/// use interlatch::Semaphore;
/// use interlatch_ipc::{Signal, notify_semaphore};
///
/// static HANGUPS: Semaphore = Semaphore::empty();
///
/// let notification = notify_semaphore(Signal::SIGHUP, &HANGUPS)?;
/// nix::sys::signal::raise(Signal::SIGHUP)?;
/// HANGUPS.acquire().forget();
/// drop(notification);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn notify_semaphore(
    signal: Signal,
    semaphore: &'static Semaphore,
) -> Result<Notification, SignalError> {
    check(signal)?;
    let address = core::ptr::from_ref(semaphore).expose_provenance();
    let target = &TARGETS[signal as usize];
    // Release pairs with the Acquire of `add_permit`.
    target
        .compare_exchange(0, address, Release, Relaxed)
        .map_err(|_| SignalError::Taken(signal))?;
    let flags = SaFlags::SA_RESTART | SaFlags::SA_ONSTACK;
    let action = SigAction::new(SigHandler::Handler(add_permit), flags, SigSet::empty());
    // SAFETY: the handler does only what may be done in one; see above.
    match unsafe { sigaction(signal, &action) } {
        Ok(before) => Ok(Notification { signal, before }),
        Err(errno) => {
            target.store(0, Relaxed);
            Err(SignalError::system("sigaction")(errno))
        }
    }
}

impl Drop for Notification {
    fn drop(&mut self) {
        // SAFETY: the program has had this action before.
        let _ = unsafe { sigaction(self.signal, &self.before) };
        // A handler that runs just now in another thread finds it, or nothing. Relaxed: nothing follows from
        // zero.
        TARGETS[self.signal as usize].store(0, Relaxed);
    }
}
