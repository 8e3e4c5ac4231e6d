//! Filters that make system calls of this process fail, to imitate other file systems and kernels.

use libc::{BPF_ABS, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};

/// The offset of the call number in `seccomp_data`.
const NUMBER: u32 = 0;
/// The offset of the first argument in `seccomp_data`. Each argument takes 8 bytes.
const ARGUMENTS: u32 = 16;

fn statement(code: u32, value: u32) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k: value,
    }
}

/// Continues with the next instruction if the condition is true, and otherwise skips `count`
/// instructions.
fn skip_unless(condition: u32, value: u32, count: u8) -> sock_filter {
    sock_filter {
        jf: count,
        ..statement(BPF_JMP | condition | BPF_K, value)
    }
}

fn load(offset: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

/// Makes a system call with this number fail if `condition` (`BPF_JSET`, `BPF_JGT`) is true for the
/// lower half of an argument and `value`.
pub fn fail_if(call: libc::c_long, argument: u32, condition: u32, value: u32, errno: u32) {
    install(&[
        load(NUMBER),
        skip_unless(libc::BPF_JEQ, call as u32, 3),
        load(ARGUMENTS + 8 * argument),
        skip_unless(condition, value, 1),
        statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ERRNO | errno),
        statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW),
    ]);
}

/// Makes all system calls with this number fail.
pub fn fail(call: libc::c_long, errno: u32) {
    install(&[
        load(NUMBER),
        skip_unless(libc::BPF_JEQ, call as u32, 1),
        statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ERRNO | errno),
        statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW),
    ]);
}

/// Adds a filter to this process.
fn install(program: &[sock_filter]) {
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel only reads the program, which outlives the calls.
    unsafe {
        let unprivileged = libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        assert_eq!(unprivileged, 0, "the process gives up new privileges");
        let mode = libc::SECCOMP_MODE_FILTER;
        let set = libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter);
        assert_eq!(set, 0, "the filter is valid");
    }
}
