//! Threads that work in the background: the system is told, and so are those that must not wait for
//! them on one.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Result};
use crate::sync::thread_local;

thread_local! {
    #[allow(
        clippy::missing_const_for_thread_local,
        reason = "loom's macro takes no const block"
    )]
    static IS_HERE: Cell<bool> = Cell::new(false);
}

/// This thread makes what others wait for, and runs from now on.
pub(crate) fn begin() {
    IS_HERE.with(|is_here| is_here.set(true));
    step_back();
}

/// Whether this thread makes what others wait for.
pub(crate) fn is_here() -> bool {
    IS_HERE.with(Cell::get)
}

/// Does the work, in which the user's own code may panic.
pub(crate) fn guarded<T>(when: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Error::panicked(when, &*panic)))
}

#[cfg(any(not(target_os = "linux"), miri, all(test, loom)))]
pub(crate) use elsewhere::step_back;
#[cfg(all(target_os = "linux", not(miri), not(all(test, loom))))]
pub(crate) use linux::step_back;

#[cfg(all(target_os = "linux", not(miri), not(all(test, loom))))]
mod linux {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };

    /// This thread no longer takes the processor from a thread that runs, such as the one that
    /// has just woken it: Linux's `SCHED_BATCH`. It gets its fair share as before, and its nice
    /// value stays.
    ///
    /// Best effort: where the system refuses, all works, and `log` may take longer now and then.
    pub(crate) fn step_back() {
        let _ = try_step_back();
    }

    /// Whether the system agreed.
    fn try_step_back() -> bool {
        let Some(priority) = nice_value().and_then(priority_of) else {
            return false;
        };
        let batch = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
        set_thread_priority_and_policy(thread_native_id(), priority, batch).is_ok()
    }

    /// The nice value of this thread: the 19th field of its `stat` (see `proc_pid_stat(5)`), the
    /// second of which is a name in parentheses.
    fn nice_value() -> Option<i32> {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        fields.split_whitespace().nth(16)?.parse().ok()
    }

    /// The crate spreads the 40 nice values, 19 to -20, over 0 to 99.
    fn priority_of(nice: i32) -> Option<ThreadPriority> {
        let value = u8::try_from((19 - nice) * 5 / 2).ok()?;
        value.try_into().ok().map(ThreadPriority::Crossplatform)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_policy_changes_and_the_nice_value_stays() {
            let thread = std::thread::spawn(|| {
                let before = nice_value().unwrap();
                let has_agreed = try_step_back();
                let policy = thread_priority::thread_schedule_policy().unwrap();
                (before, nice_value().unwrap(), has_agreed, policy)
            });
            let (before, after, has_agreed, policy) = thread.join().unwrap();
            assert_eq!(before, after);
            let batch = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
            assert_eq!(policy == batch, has_agreed, "a sandbox may refuse it");
        }

        #[test]
        fn every_nice_value_has_a_priority() {
            for nice in -20..20 {
                assert!(priority_of(nice).is_some(), "{nice}");
            }
        }
    }
}

#[cfg(any(not(target_os = "linux"), miri, all(test, loom)))]
mod elsewhere {
    /// Nothing is needed, or known, here: Miri doesn't know the system's call.
    pub(crate) fn step_back() {}
}
