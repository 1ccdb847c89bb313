//! Whether a tick is due: one atomic for those that aren't, a lock for the others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::every::Every;

/// No step comes so far: a row's step is at most `i64::MAX`.
const NEVER: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Gate {
    every: Every,
    /// The least time between two ticks that are due for it.
    nanos: Option<u64>,
    /// Whether a tick may be due for something else than its step.
    by_event: bool,
    /// The greatest step that ticked, where that says which steps go back.
    last: AtomicU64,
    /// No step below this is due, but for its time. 0 until the first tick, and after the end
    /// of an epoch that is due.
    next_step: AtomicU64,
    /// When a tick is due for its time.
    next_nanos: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The first step that can be due: one after the last that was.
    first: u64,
    /// The next step that the schedule names, once there was a tick.
    next: Option<u64>,
    /// An epoch that is due has ended.
    armed: bool,
}

impl Gate {
    pub(super) fn new(every: Every) -> Self {
        let nanos = every.nanos();
        Self {
            by_event: nanos.is_some() || every.has_epochs(),
            every,
            nanos,
            last: AtomicU64::new(0),
            next_step: AtomicU64::new(0),
            next_nanos: AtomicU64::new(if nanos.is_some() { 0 } else { NEVER }),
            state: Mutex::default(),
        }
    }

    pub(super) fn every(&self) -> &Every {
        &self.every
    }

    /// Whether this tick is due: true for one of those that come with the same step.
    ///
    /// `now` is asked for only where the schedule has seconds.
    #[inline]
    pub(super) fn pass(&self, step: u64, now: impl Fn() -> u64) -> bool {
        if self.by_event && self.goes_back(step) {
            return false;
        }
        let by_step = step >= self.next_step.load(Ordering::Acquire);
        let now = self.nanos.map(|_| now());
        let by_time = now.is_some_and(|now| now >= self.next_nanos.load(Ordering::Acquire));
        (by_step || by_time) && self.pass_slowly(step, now)
    }

    /// Steps that a schedule of steps has passed by lie below its next one anyway.
    fn goes_back(&self, step: u64) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        if step > last {
            self.last.fetch_max(step, Ordering::Relaxed);
        }
        step < last
    }

    #[cold]
    fn pass_slowly(&self, step: u64, now: Option<u64>) -> bool {
        let mut state = self.state();
        let next = *state.next.get_or_insert_with(|| self.step_from(step));
        let by_time = now.is_some_and(|now| now >= self.next_nanos.load(Ordering::Acquire));
        let by_step = step >= next && next != NEVER;
        let due = step >= state.first && (by_step || by_time || state.armed);
        if due {
            state.armed = false;
            state.first = step.saturating_add(1);
            state.next = Some(next.max(self.step_from(state.first)));
        }
        if let (true, true, Some(nanos), Some(now)) = (due, by_time, self.nanos, now) {
            self.next_nanos
                .store(now.saturating_add(nanos), Ordering::Release);
        }
        self.publish(&state);
        due
    }

    /// Makes the next tick due.
    pub(super) fn arm(&self) {
        let mut state = self.state();
        state.armed = true;
        self.publish(&state);
    }

    fn publish(&self, state: &State) {
        let next = match (state.armed, state.next) {
            (true, _) => state.first,
            (false, next) => next.unwrap_or(0),
        };
        self.next_step.store(next, Ordering::Release);
    }

    fn step_from(&self, step: u64) -> u64 {
        self.every.step_from(step).unwrap_or(NEVER)
    }

    /// Nothing panics while it is held.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
