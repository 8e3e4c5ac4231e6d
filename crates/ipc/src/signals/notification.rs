//! Signals that release a semaphore: `sigaction(2)`.
//!
//! **Why the handler is safe.** A handler may run between any two instructions of the thread, so it
//! may perform only async-signal-safe operations (`signal-safety(7)`). This handler loads one
//! atomic word and calls [`Semaphore::release`], which repeats compare-and-exchange on one word
//! until it succeeds and then calls `FUTEX_WAKE`, a system call that takes no lock of this process.
//! The handler allocates nothing and does not wait. If the handler interrupts an operation on the
//! same semaphore, the operation sees a changed word and retries. The handler restores `errno`.

use super::SignalError;
use super::error::check_supported;
use interlatch::platform::AtomicUsize;
use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::sync::Semaphore;
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// The size of an array with an entry for each standard signal. Signal numbers start at 1.
const SIGNALS: usize = 32;

/// The address of the semaphore that each signal notifies, or 0.
static TARGETS: [AtomicUsize; SIGNALS] = [const { AtomicUsize::new(0) }; SIGNALS];

extern "C" fn add_permit(signal: i32) {
    let errno = Errno::last_raw();
    let target = TARGETS.get(signal as usize);
    // Acquire pairs with the Release in `notify_semaphore`, so the semaphore is initialized here.
    let address = target.map_or(0, |target| target.load(Acquire));
    if address != 0 {
        // SAFETY: `notify_semaphore` stored the address of a `&'static Semaphore`.
        let semaphore = unsafe { &*core::ptr::with_exposed_provenance::<Semaphore>(address) };
        // An error means that the semaphore already holds its maximum number of permits. In that
        // case a further permit would tell the waiter nothing new.
        let _ = semaphore.release(1);
    }
    Errno::set_raw(errno);
}

/// A signal's registration with a semaphore; dropping it restores the previous action.
///
/// Handlers of one signal form a stack: drop the registrations in the opposite order of their
/// installation.
///
/// # Process death
/// A handler belongs to a process. After `exec` the signal has its default action.
///
/// # Fork
/// A forked child inherits the handler: a signal to the child releases a permit too. Dropping the
/// copy restores the action only in the child.
#[derive(Debug)]
#[must_use = "dropping this restores what the signal did before"]
pub struct SignalNotification {
    signal: Signal,
    before: SigAction,
}

/// Releases a permit of the semaphore on each delivery of the signal, in any thread.
///
/// Several signals may notify one semaphore. If a signal is sent again before its delivery, the
/// kernel delivers the signal only once.
///
/// After the handler, the kernel restarts an interrupted system call if the call can be restarted
/// (`SA_RESTART`). All operations of this crate continue after any signal and any handler, with the
/// same deadline.
///
/// # Errors
/// Returns an error if the signal cannot be caught or already notifies a semaphore.
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
) -> Result<SignalNotification, SignalError> {
    check_supported(signal)?;
    let address = core::ptr::from_ref(semaphore).expose_provenance();
    let target = &TARGETS[signal as usize];
    // Release pairs with the Acquire in `add_permit`.
    target
        .compare_exchange(0, address, Release, Relaxed)
        .map_err(|_| SignalError::InUse(signal))?;
    let flags = SaFlags::SA_RESTART | SaFlags::SA_ONSTACK;
    let action = SigAction::new(SigHandler::Handler(add_permit), flags, SigSet::empty());
    // SAFETY: the handler is async-signal-safe, as the module documentation explains.
    match unsafe { sigaction(signal, &action) } {
        Ok(before) => Ok(SignalNotification { signal, before }),
        Err(errno) => {
            target.store(0, Relaxed);
            Err(SignalError::system("sigaction")(errno))
        }
    }
}

impl Drop for SignalNotification {
    fn drop(&mut self) {
        // SAFETY: `before` is the action that `sigaction` returned for this signal.
        let _ = unsafe { sigaction(self.signal, &self.before) };
        // A handler that runs now in another thread loads the address or 0. Relaxed suffices,
        // because the value 0 publishes no data.
        TARGETS[self.signal as usize].store(0, Relaxed);
    }
}
