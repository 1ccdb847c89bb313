//! What threads wait with: `std`'s locks, threads and clock, and in a test under `--cfg loom` those
//! of a model checker, loom or (with `shuttle-test`) shuttle. See CONTRIBUTING.md, "Concurrency".

#[cfg(all(test, loom))]
pub(crate) use model::*;
#[cfg(not(all(test, loom)))]
pub(crate) use real::*;

#[cfg(not(all(test, loom)))]
mod real {
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread::Builder;
    pub(crate) use std::thread_local;
    pub(crate) use std::time::Instant;
}

/// A wait with a limit of time has none here: what would go on only since the time is up is a
/// deadlock, which both report. Time stands still unless a model lets it pass.
#[cfg(all(test, loom))]
mod model {
    use std::cell::Cell;
    use std::io;
    use std::time::Duration;

    #[cfg(not(feature = "shuttle-test"))]
    pub(crate) use loom as checker;
    #[cfg(feature = "shuttle-test")]
    pub(crate) use shuttle as checker;

    pub(crate) use checker::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use checker::thread_local;

    // All threads of a model run on one of the system's.
    std::thread_local! {
        static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    /// Begins at the beginning.
    pub(crate) fn restart() {
        NOW.set(Duration::ZERO);
    }

    /// Lets time pass.
    pub(crate) fn pass(time: Duration) {
        NOW.set(NOW.get() + time);
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct Instant(Duration);

    impl Instant {
        pub(crate) fn now() -> Self {
            Self(NOW.get())
        }

        pub(crate) fn elapsed(self) -> Duration {
            NOW.get() - self.0
        }
    }

    /// What making a picture takes, in the checker's unit.
    #[cfg(not(feature = "shuttle-test"))]
    pub(crate) const STACK: usize = (256 << 10) / size_of::<usize>();
    #[cfg(feature = "shuttle-test")]
    pub(crate) const STACK: usize = 256 << 10;

    /// A thread whose stack is large enough.
    pub(crate) struct Builder(checker::thread::Builder);

    impl Builder {
        pub(crate) fn new() -> Self {
            Self(checker::thread::Builder::new().stack_size(STACK))
        }

        pub(crate) fn name(self, name: String) -> Self {
            Self(self.0.name(name))
        }

        pub(crate) fn spawn(
            self,
            work: impl FnOnce() + Send + 'static,
        ) -> io::Result<checker::thread::JoinHandle<()>> {
            self.0.spawn(work)
        }
    }
}
