//! Signals as messages and as semaphore permits.

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
    received.expect("the message was sent")
}

fn mask() -> SigSet {
    SigSet::thread_get_mask().expect("it exists")
}

fn signals_are_received_with_their_sender() {
    let signals =
        SignalFd::new([Signal::SIGUSR1, Signal::SIGUSR2]).expect("the signals can be blocked");
    for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGUSR1] {
        raise(signal).expect("the signal is sent");
        let ready = until_readable(&signals, Timeout::after(TIMEOUT));
        assert!(ready.expect("the descriptor can be polled"));
        let process = Some(std::process::id());
        assert_eq!(next(&signals), ReceivedSignal { signal, process });
        assert_eq!(
            signals.try_recv().expect("the descriptor can be read"),
            None
        );
    }
}

fn end_of_a_child_is_received() {
    let signals = SignalFd::new([Signal::SIGCHLD]).expect("the call is allowed");
    let mut child = tool("true", &[]).spawn().expect("the process starts");
    let expected = ReceivedSignal {
        signal: Signal::SIGCHLD,
        process: Some(child.id()),
    };
    assert_eq!(next(&signals), expected);
    assert!(child.wait().expect("this process reaps it").success());
}

fn receive_without_a_signal_times_out() {
    let signals = SignalFd::new([Signal::SIGUSR1]).expect("the call is allowed");
    assert_eq!(
        signals.try_recv().expect("the descriptor can be read"),
        None
    );
    let waited = signals.recv_timeout(Duration::from_millis(5));
    assert_eq!(waited.expect("the descriptor can be read"), None);
    let waited = signals.recv_deadline(Deadline::after(Duration::from_millis(5)));
    assert_eq!(waited.expect("the descriptor can be read"), None);
    assert_eq!(
        signals
            .recv_timeout(Duration::ZERO)
            .expect("the descriptor can be read"),
        None
    );
}

fn repeated_signals_merge() {
    let signals = SignalFd::new([Signal::SIGUSR1]).expect("the call is allowed");
    raise(Signal::SIGUSR1).expect("the signal is sent");
    raise(Signal::SIGUSR1).expect("the signal is sent");
    next(&signals);
    assert_eq!(
        signals.try_recv().expect("the descriptor can be read"),
        None
    );
}

/// The test drops the two readers of the signals in both orders.
fn drop_restores_the_mask() {
    let before = mask();
    let first = SignalFd::new([Signal::SIGUSR1]).expect("the call is allowed");
    let second =
        SignalFd::new([Signal::SIGUSR1, Signal::SIGUSR2]).expect("the signals can be blocked");
    assert!(mask().contains(Signal::SIGUSR2));
    drop(second);
    assert!(
        mask().contains(Signal::SIGUSR1),
        "the first reader blocks it"
    );
    let second = SignalFd::new([Signal::SIGUSR2]).expect("the call is allowed");
    drop(first);
    assert!(!mask().contains(Signal::SIGUSR1));
    assert!(
        mask().contains(Signal::SIGUSR2),
        "the second reader blocks it"
    );
    drop(second);
    assert_eq!(mask(), before);
}

/// Regression test: dropping the first reader unblocked the signal, which then terminated the
/// process.
fn shared_signal_stays_blocked_until_the_last_drop() {
    let before = mask();
    let first =
        SignalFd::new([Signal::SIGUSR1, Signal::SIGUSR2]).expect("the signals can be blocked");
    let second = SignalFd::new([Signal::SIGUSR1]).expect("the call is allowed");
    drop(first);
    assert!(
        mask().contains(Signal::SIGUSR1),
        "the second reader blocks it"
    );
    assert!(!mask().contains(Signal::SIGUSR2), "no reader blocks it");
    raise(Signal::SIGUSR1).expect("the signal is sent");
    assert_eq!(next(&second).signal, Signal::SIGUSR1);
    drop(second);
    assert_eq!(mask(), before);
}

fn unread_signal_is_delivered_after_drop() {
    static LEFT: Semaphore = Semaphore::empty();
    let notification = notify_semaphore(Signal::SIGUSR1, &LEFT).expect("the call is allowed");
    let signals = SignalFd::new([Signal::SIGUSR1]).expect("the call is allowed");
    raise(Signal::SIGUSR1).expect("the signal is sent");
    assert_eq!(LEFT.permits(), 0, "the signal is blocked");
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
        let error =
            SignalFd::new([Signal::SIGUSR1, signal]).expect_err("the signal is unsupported");
        assert!(error.to_string().starts_with(signal.as_str()), "{error}");
        let error = notify_semaphore(signal, &NONE).expect_err("the signal is unsupported");
        assert!(
            matches!(error, SignalError::Unsupported(it) if it == signal),
            "{error}"
        );
    }
    assert_eq!(mask(), before, "nothing is blocked");
}

fn each_delivery_releases_a_permit() {
    static DELIVERED: Semaphore = Semaphore::empty();
    let notification = notify_semaphore(Signal::SIGUSR1, &DELIVERED).expect("the call is allowed");
    for _ in 0..1000 {
        raise(Signal::SIGUSR1).expect("the signal is sent");
    }
    assert_eq!(DELIVERED.permits(), 1000);
    drop(notification);
}

fn several_signals_notify_one_semaphore() {
    static SHARED: Semaphore = Semaphore::empty();
    let both = [Signal::SIGUSR1, Signal::SIGUSR2];
    let both = both.map(|signal| notify_semaphore(signal, &SHARED).expect("the call is allowed"));
    raise(Signal::SIGUSR1).expect("the signal is sent");
    raise(Signal::SIGUSR2).expect("the signal is sent");
    assert_eq!(SHARED.permits(), 2);
    drop(both);
}

fn registered_signal_is_rejected() {
    static FIRST: Semaphore = Semaphore::empty();
    static SECOND: Semaphore = Semaphore::empty();
    let notification = notify_semaphore(Signal::SIGUSR1, &FIRST).expect("the call is allowed");
    let error = notify_semaphore(Signal::SIGUSR1, &SECOND).expect_err("the signal is registered");
    assert!(
        matches!(error, SignalError::InUse(Signal::SIGUSR1)),
        "{error}"
    );
    raise(Signal::SIGUSR1).expect("the signal is sent");
    assert_eq!((FIRST.permits(), SECOND.permits()), (1, 0));
    drop(notification);
    drop(notify_semaphore(Signal::SIGUSR1, &SECOND).expect("the signal is free again"));
}

fn set(handler: SigHandler) -> SigHandler {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: neither ignoring a signal nor its default action runs a handler.
    let before = unsafe { sigaction(Signal::SIGUSR1, &action) };
    before.expect("the action is valid").handler()
}

fn drop_restores_the_previous_action() {
    static BEFORE: Semaphore = Semaphore::empty();
    set(SigHandler::SigIgn);
    let notification = notify_semaphore(Signal::SIGUSR1, &BEFORE).expect("the call is allowed");
    drop(notification);
    raise(Signal::SIGUSR1).expect("the signal is ignored");
    assert_eq!(BEFORE.permits(), 0);
    assert!(matches!(set(SigHandler::SigDfl), SigHandler::SigIgn));
}

fn full_semaphore_stays_full() {
    static FULL: Semaphore = Semaphore::empty();
    FULL.release(interlatch::sync::MAX_PERMITS)
        .expect("the semaphore is empty");
    let notification = notify_semaphore(Signal::SIGUSR1, &FULL).expect("the call is allowed");
    raise(Signal::SIGUSR1).expect("the signal is sent");
    assert_eq!(FULL.permits(), interlatch::sync::MAX_PERMITS);
    drop(notification);
}

/// Only a signal handler that calls libc could overwrite `errno`.
fn handler_preserves_errno() {
    static KEPT: Semaphore = Semaphore::empty();
    let notification = notify_semaphore(Signal::SIGUSR1, &KEPT).expect("the call is allowed");
    raise(Signal::SIGUSR1).expect("the signal is sent");
    Errno::set_raw(Errno::EXDEV as i32);
    raise(Signal::SIGUSR1).expect("the signal is sent");
    assert_eq!(Errno::last(), Errno::EXDEV);
    drop(notification);
}
