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

    /// How many threads can work at a time.
    pub(crate) fn processors() -> usize {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
    }

    /// What all threads share, made when the first of them asks for it.
    macro_rules! shared_by_all {
        ($name:ident: $type:ty = $made:expr) => {
            static $name: std::sync::LazyLock<$type> = std::sync::LazyLock::new(|| $made);
        };
    }
    pub(crate) use shared_by_all;
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

    /// As few as loom can go through.
    pub(crate) fn processors() -> usize {
        1
    }

    /// What all threads of one order share.
    macro_rules! shared_by_all {
        ($name:ident: $type:ty = $made:expr) => {
            $crate::sync::checker::lazy_static! {
                static ref $name: $type = $made;
            }
        };
    }
    pub(crate) use shared_by_all;

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

    /// Runs the program in many orders of its threads, in at most so many of each number of
    /// interruptions. One interruption by itself first: the orders with two may be too many to come
    /// to all of those.
    #[cfg(not(feature = "shuttle-test"))]
    pub(crate) fn in_every_order(most: usize, program: impl Fn() + Send + Sync + 'static) {
        let program = std::sync::Arc::new(program);
        let given = loom::model::Builder::new().preemption_bound;
        for bound in given.map_or(vec![1, 2], |bound| vec![bound]) {
            let mut model = loom::model::Builder::new();
            model.preemption_bound = Some(bound);
            if model.max_duration.is_none() && model.max_permutations.is_none() {
                model.max_permutations = Some(most);
            }
            model.max_branches = 100_000;
            // Their number is looked at so often.
            model.checkpoint_interval = 500;
            let program = std::sync::Arc::clone(&program);
            model.check(move || program());
        }
    }

    /// Runs the program in many orders of its threads: half of them with a thread drawn at each
    /// step, half with few changes at drawn moments.
    #[cfg(feature = "shuttle-test")]
    pub(crate) fn in_every_order(_: usize, program: impl Fn() + Send + Sync + 'static) {
        use shuttle::scheduler::{PctScheduler, RandomScheduler};
        let orders =
            std::env::var("SHUTTLE_ORDERS").map_or(2_000, |orders| orders.parse().unwrap_or(2_000));
        let mut config = shuttle::Config::new();
        config.stack_size = STACK;
        let program = std::sync::Arc::new(program);
        let again = std::sync::Arc::clone(&program);
        let drawn = RandomScheduler::new(orders / 2);
        shuttle::Runner::new(drawn, config.clone()).run(move || again());
        let changed = PctScheduler::new(4, orders / 2);
        shuttle::Runner::new(changed, config).run(move || program());
    }
}
