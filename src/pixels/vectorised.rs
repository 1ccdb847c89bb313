//! Plain loops, compiled more than once: the processor chooses at run time.

use multiversion::multiversion;

/// Runs a loop over data, compiled for the widest registers that this processor has.
///
/// To profit from them, everything down to the loop must be `#[inline(always)]`, the closure too.
/// What it computes is the same everywhere: each operation is IEEE's, in the order written.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn vectorised<R, F: FnOnce() -> R>(pass: F) -> R {
    pass()
}

#[cfg(test)]
#[multiversion(targets("x86_64+avx2"))]
fn at_most_avx2<R, F: FnOnce() -> R>(pass: F) -> R {
    pass()
}

/// The loop gives the same on each path that this processor has. With `--release` they differ.
#[cfg(test)]
pub(super) fn check_every_path<R: PartialEq + std::fmt::Debug>(pass: impl Fn() -> R) {
    let plain = pass();
    assert_eq!(at_most_avx2(&pass), plain);
    assert_eq!(vectorised(&pass), plain);
}
