//! Signals as messages, and as permits of a semaphore.

use super::harness::Test;
use super::process::{TIMEOUT, test, tool};
use interlatch::Semaphore;
use interlatch::sync::Deadline;
use interlatch::sync::Timeout;
use interlatch_ipc::wait::until_readable;
use interlatch_ipc::{ReceivedSignal, Signal, SignalError, SignalFd, notify_semaphore};
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, raise, sigaction};
use std::time::Duration;

pub fn tests() -> Vec<Test> {
    vec![
        test(
            "signals::signals_are_received_with_their_sender",
            signals_are_received_with_their_sender,
        ),
        test(
            "signals::end_of_a_child_is_received",
            end_of_a_child_is_received,
        ),
        test(
            "signals::receive_without_a_signal_times_out",
            receive_without_a_signal_times_out,
        ),
        test("signals::repeated_signals_merge", repeated_signals_merge),
        test("signals::drop_restores_the_mask", drop_restores_the_mask),
        test(
            "signals::shared_signal_stays_blocked_until_the_last_drop",
            shared_signal_stays_blocked_until_the_last_drop,
        ),
        test(
            "signals::unread_signal_is_delivered_after_drop",
            unread_signal_is_delivered_after_drop,
        ),
        test(
            "signals::unsupported_signals_are_rejected",
            unsupported_signals_are_rejected,
        ),
        test(
            "signals::each_delivery_releases_a_permit",
            each_delivery_releases_a_permit,
        ),
        test(
            "signals::several_signals_notify_one_semaphore",
            several_signals_notify_one_semaphore,
        ),
        test(
            "signals::registered_signal_is_rejected",
            registered_signal_is_rejected,
        ),
        test(
            "signals::drop_restores_the_previous_action",
            drop_restores_the_previous_action,
        ),
        test(
            "signals::full_semaphore_stays_full",
            full_semaphore_stays_full,
        ),
        test("signals::handler_preserves_errno", handler_preserves_errno),
    ]
}

fn next(signals: &SignalFd) -> ReceivedSignal {
    let received = signals.recv_timeout(TIMEOUT).expect("a signal can be read");
    received.expect("it was sent")
}

fn mask() -> SigSet {
    SigSet::thread_get_mask().expect("there is one")
}

fn signals_are_received_with_their_sender() {
    let signals = SignalFd::new([Signal::SIGUSR1, Signal::SIGUSR2]).expect("they can be");
    for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGUSR1] {
        raise(signal).expect("it is sent");
        let ready = until_readable(&signals, Timeout::after(TIMEOUT));
        assert!(ready.expect("it can be polled"));
        let process = Some(std::process::id());
        assert_eq!(next(&signals), ReceivedSignal { signal, process });
        assert_eq!(signals.try_recv().expect("it can be read"), None);
    }
}

fn end_of_a_child_is_received() {
    let signals = SignalFd::new([Signal::SIGCHLD]).expect("it can be");
    let mut child = tool("true", &[]).spawn().expect("it starts");
    let expected = ReceivedSignal {
        signal: Signal::SIGCHLD,
        process: Some(child.id()),
    };
    assert_eq!(next(&signals), expected);
    assert!(child.wait().expect("ours").success());
}

fn receive_without_a_signal_times_out() {
    let signals = SignalFd::new([Signal::SIGUSR1]).expect("it can be");
    assert_eq!(signals.try_recv().expect("it can be read"), None);
    let waited = signals.recv_timeout(Duration::from_millis(5));
    assert_eq!(waited.expect("it can be read"), None);
    let waited = signals.recv_deadline(Deadline::after(Duration::from_millis(5)));
    assert_eq!(waited.expect("it can be read"), None);
    assert_eq!(
        signals
            .recv_timeout(Duration::ZERO)
            .expect("it can be read"),
        None
    );
}

fn repeated_signals_merge() {
    let signals = SignalFd::new([Signal::SIGUSR1]).expect("it can be");
    raise(Signal::SIGUSR1).expect("it is sent");
    raise(Signal::SIGUSR1).expect("it is sent");
    next(&signals);
    assert_eq!(signals.try_recv().expect("it can be read"), None);
}

/// Also if two of them go in the order in which they came.
fn drop_restores_the_mask() {
    let before = mask();
    let first = SignalFd::new([Signal::SIGUSR1]).expect("it can be");
    let second = SignalFd::new([Signal::SIGUSR1, Signal::SIGUSR2]).expect("they can be");
    assert!(mask().contains(Signal::SIGUSR2));
    drop(second);
    assert!(mask().contains(Signal::SIGUSR1), "it is the first one's");
    let second = SignalFd::new([Signal::SIGUSR2]).expect("it can be");
    drop(first);
    assert!(!mask().contains(Signal::SIGUSR1));
    assert!(mask().contains(Signal::SIGUSR2), "it is the second one's");
    drop(second);
    assert_eq!(mask(), before);
}

/// It was unblocked, and ended the process.
fn shared_signal_stays_blocked_until_the_last_drop() {
    let before = mask();
    let first = SignalFd::new([Signal::SIGUSR1, Signal::SIGUSR2]).expect("they can be");
    let second = SignalFd::new([Signal::SIGUSR1]).expect("it can be");
    drop(first);
    assert!(mask().contains(Signal::SIGUSR1), "it is the second one's");
    assert!(!mask().contains(Signal::SIGUSR2), "it is nobody's");
    raise(Signal::SIGUSR1).expect("it is sent");
    assert_eq!(next(&second).signal, Signal::SIGUSR1);
    drop(second);
    assert_eq!(mask(), before);
}

fn unread_signal_is_delivered_after_drop() {
    static LEFT: Semaphore = Semaphore::empty();
    let notification = notify_semaphore(Signal::SIGUSR1, &LEFT).expect("it can be");
    let signals = SignalFd::new([Signal::SIGUSR1]).expect("it can be");
    raise(Signal::SIGUSR1).expect("it is sent");
    assert_eq!(LEFT.permits(), 0, "it is blocked");
    drop(signals);
    assert_eq!(LEFT.permits(), 1);
    drop(notification);
}

fn unsupported_signals_are_rejected() {
    static NONE: Semaphore = Semaphore::empty();
    let before = mask();
    for signal in [
        Signal::SIGKILL,
        Signal::SIGSTOP,
        Signal::SIGSEGV,
        Signal::SIGABRT,
    ] {
        let error = SignalFd::new([Signal::SIGUSR1, signal]).expect_err("it is none");
        assert!(error.to_string().starts_with(signal.as_str()), "{error}");
        let error = notify_semaphore(signal, &NONE).expect_err("it is none");
        assert!(
            matches!(error, SignalError::Unsupported(it) if it == signal),
            "{error}"
        );
    }
    assert_eq!(mask(), before, "nothing is blocked");
}

fn each_delivery_releases_a_permit() {
    static DELIVERED: Semaphore = Semaphore::empty();
    let notification = notify_semaphore(Signal::SIGUSR1, &DELIVERED).expect("it can be");
    for _ in 0..1000 {
        raise(Signal::SIGUSR1).expect("it is sent");
    }
    assert_eq!(DELIVERED.permits(), 1000);
    drop(notification);
}

fn several_signals_notify_one_semaphore() {
    static SHARED: Semaphore = Semaphore::empty();
    let both = [Signal::SIGUSR1, Signal::SIGUSR2];
    let both = both.map(|signal| notify_semaphore(signal, &SHARED).expect("it can be"));
    raise(Signal::SIGUSR1).expect("it is sent");
    raise(Signal::SIGUSR2).expect("it is sent");
    assert_eq!(SHARED.permits(), 2);
    drop(both);
}

fn registered_signal_is_rejected() {
    static FIRST: Semaphore = Semaphore::empty();
    static SECOND: Semaphore = Semaphore::empty();
    let notification = notify_semaphore(Signal::SIGUSR1, &FIRST).expect("it can be");
    let error = notify_semaphore(Signal::SIGUSR1, &SECOND).expect_err("it is taken");
    assert!(
        matches!(error, SignalError::InUse(Signal::SIGUSR1)),
        "{error}"
    );
    raise(Signal::SIGUSR1).expect("it is sent");
    assert_eq!((FIRST.permits(), SECOND.permits()), (1, 0));
    drop(notification);
    drop(notify_semaphore(Signal::SIGUSR1, &SECOND).expect("it is free again"));
}

fn set(handler: SigHandler) -> SigHandler {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: it is ignored, or does what it does by default.
    let before = unsafe { sigaction(Signal::SIGUSR1, &action) };
    before.expect("it can be set").handler()
}

fn drop_restores_the_previous_action() {
    static BEFORE: Semaphore = Semaphore::empty();
    set(SigHandler::SigIgn);
    let notification = notify_semaphore(Signal::SIGUSR1, &BEFORE).expect("it can be");
    drop(notification);
    raise(Signal::SIGUSR1).expect("it is ignored");
    assert_eq!(BEFORE.permits(), 0);
    assert!(matches!(set(SigHandler::SigDfl), SigHandler::SigIgn));
}

fn full_semaphore_stays_full() {
    static FULL: Semaphore = Semaphore::empty();
    FULL.release(interlatch::sync::MAX_PERMITS)
        .expect("so many fit");
    let notification = notify_semaphore(Signal::SIGUSR1, &FULL).expect("it can be");
    raise(Signal::SIGUSR1).expect("it is sent");
    assert_eq!(FULL.permits(), interlatch::sync::MAX_PERMITS);
    drop(notification);
}

/// It would be overwritten only by a handler that calls libc.
fn handler_preserves_errno() {
    static KEPT: Semaphore = Semaphore::empty();
    let notification = notify_semaphore(Signal::SIGUSR1, &KEPT).expect("it can be");
    raise(Signal::SIGUSR1).expect("it is sent");
    Errno::set_raw(Errno::EXDEV as i32);
    raise(Signal::SIGUSR1).expect("it is sent");
    assert_eq!(Errno::last(), Errno::EXDEV);
    drop(notification);
}
