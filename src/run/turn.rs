//! A lock that can be waited for with a limit of time.

use std::sync::PoisonError;
use std::time::Duration;

use crate::pipeline::Deadline;
use crate::pipeline::sync::{Condvar, Mutex, MutexGuard};

/// What one thread at a time may change.
#[derive(Debug, Default)]
pub(super) struct Turn<T> {
    is_taken: Mutex<bool>,
    free: Condvar,
    value: Mutex<T>,
}

impl<T> Turn<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            is_taken: Mutex::new(false),
            free: Condvar::new(),
            value: Mutex::new(value),
        }
    }

    /// Does the work when it is this thread's turn.
    pub(super) fn take<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let _taken = self.wait();
        work(&mut locked(&self.value))
    }

    /// The same, unless it isn't this thread's turn before the time is up.
    pub(super) fn take_until<R>(
        &self,
        until: Deadline,
        work: impl FnOnce(&mut T) -> R,
    ) -> Option<R> {
        let _taken = self.wait_until(until)?;
        Some(work(&mut locked(&self.value)))
    }

    fn wait(&self) -> Taken<'_, T> {
        let mut is_taken = locked(&self.is_taken);
        while *is_taken {
            is_taken = self
                .free
                .wait(is_taken)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *is_taken = true;
        Taken(self)
    }

    fn wait_until(&self, until: Deadline) -> Option<Taken<'_, T>> {
        const LONGEST: Duration = Duration::from_secs(1);
        let mut is_taken = locked(&self.is_taken);
        while *is_taken {
            let left = until.left();
            if left.is_zero() {
                return None;
            }
            is_taken = self
                .free
                .wait_timeout(is_taken, left.min(LONGEST))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        *is_taken = true;
        Some(Taken(self))
    }
}

/// The turn, until this is dropped.
struct Taken<'a, T>(&'a Turn<T>);

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        *locked(&self.0.is_taken) = false;
        self.0.free.notify_one();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_does_not_come_in_time_is_given_up() {
        let turn = Turn::new(1);
        let soon = || Deadline::after(Duration::from_millis(5));
        turn.take(|_| assert_eq!(turn.take_until(soon(), |value| *value), None));
        assert_eq!(turn.take_until(soon(), |value| *value), Some(1));
    }

    #[test]
    fn a_panic_gives_the_turn_back() {
        let turn = Turn::new(1);
        let work = || turn.take(|_| panic!("planned"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err());
        assert_eq!(turn.take(|value| *value), 1);
    }
}
