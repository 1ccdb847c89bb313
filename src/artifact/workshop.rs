//! Work in the background on all cores, in bounded memory.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::background::begin;
use crate::error::{Error, Result};

/// What waits at most, in bytes: as much as the queue of a run holds by default.
pub(crate) const ROOM: u64 = 256 << 20;

/// Takes jobs and does them on threads of its own, which end when nothing is left and this is
/// dropped.
#[derive(Debug)]
pub(crate) struct Workshop(Arc<Shared>);

type Job = Box<dyn FnOnce(Room) -> Result<()> + Send>;

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    for_workers: Condvar,
    for_callers: Condvar,
    limit: u64,
    most_threads: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<(Room, Job)>,
    /// Bytes of jobs that wait, are done, or left something that waits still.
    held: u64,
    threads: usize,
    idle: usize,
    working: usize,
    is_closed: bool,
    failure: Option<Arc<Error>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (jobs, held) = (self.jobs.len(), self.held);
        write!(f, "State({jobs} jobs, {held} bytes)")
    }
}

/// The room that something takes, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shared.lock().held -= self.bytes;
        self.shared.for_callers.notify_all();
    }
}

impl Default for Workshop {
    fn default() -> Self {
        let processors = std::thread::available_parallelism();
        Self::new(ROOM, processors.map_or(1, std::num::NonZero::get))
    }
}

impl Workshop {
    fn new(limit: u64, most_threads: usize) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            for_workers: Condvar::new(),
            for_callers: Condvar::new(),
            limit,
            most_threads,
        }))
    }

    /// Takes a job, once there is room for the bytes that it holds; a larger one is taken when
    /// nothing else is there. Nothing is taken any more where one has failed.
    pub(crate) fn give(
        &self,
        bytes: u64,
        job: impl FnOnce(Room) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let shared = &self.0;
        let mut state = shared.lock();
        let is_full = |held: u64| held > 0 && held.saturating_add(bytes) > shared.limit;
        while is_full(state.held) && state.failure.is_none() {
            state = wait(&shared.for_callers, state);
        }
        state.check()?;
        state.held += bytes;
        let room = Room {
            shared: Arc::clone(shared),
            bytes,
        };
        state.jobs.push_back((room, Box::new(job)));
        let needs_thread = state.idle < state.jobs.len() && state.threads < shared.most_threads;
        state.threads += usize::from(needs_thread);
        drop(state);
        shared.for_workers.notify_one();
        match needs_thread {
            true => self.start_thread(),
            false => Ok(()),
        }
    }

    fn start_thread(&self) -> Result<()> {
        let shared = Arc::clone(&self.0);
        let thread = std::thread::Builder::new().name("wandb-image-artifact".into());
        let started = thread.spawn(move || shared.work()).map(drop);
        started.or_else(|source| {
            let mut state = self.0.lock();
            state.threads -= 1;
            // Others do it.
            if state.threads > 0 {
                return Ok(());
            }
            let job = state.jobs.pop_back();
            drop(state);
            drop(job);
            Err(Error::Thread { source })
        })
    }

    /// Waits until all is done, and returns the first failure.
    pub(crate) fn settle(&self) -> Result<()> {
        let mut state = self.0.lock();
        while !state.jobs.is_empty() || state.working > 0 {
            state = wait(&self.0.for_callers, state);
        }
        state.check()
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        // A job may hold what drops to the user's own code.
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        self.0.for_workers.notify_all();
        drop(jobs);
    }
}

impl State {
    fn check(&self) -> Result<()> {
        match &self.failure {
            None => Ok(()),
            Some(error) => Err(Error::Shared(Arc::clone(error))),
        }
    }
}

impl Shared {
    /// A panic elsewhere doesn't harm the state: each of its changes is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        begin();
        while let Some((room, job)) = self.next_job() {
            let done = catch_unwind(AssertUnwindSafe(|| job(room)));
            let done =
                done.unwrap_or_else(|panic| Err(Error::panicked("an artifact was made", &*panic)));
            let mut state = self.lock();
            state.working -= 1;
            if let Err(error) = done {
                state.failure.get_or_insert_with(|| Arc::new(error));
            }
            drop(state);
            self.for_callers.notify_all();
        }
    }

    /// None when nothing will come any more.
    fn next_job(&self) -> Option<(Room, Job)> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                state.working += 1;
                return Some(job);
            }
            if state.is_closed {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            state = wait(&self.for_workers, state);
            state.idle -= 1;
        }
    }
}

fn wait<'a>(condition: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    condition
        .wait(state)
        .unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn all_jobs_are_done_within_the_limit() {
        let workshop = Workshop::new(100, 4);
        let (held, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        for _ in 0..50 {
            let (held, most) = (Arc::clone(&held), Arc::clone(&most));
            let job = move |room: Room| {
                let now = held.fetch_add(room.bytes, Ordering::SeqCst) + room.bytes;
                most.fetch_max(now, Ordering::SeqCst);
                std::thread::yield_now();
                held.fetch_sub(room.bytes, Ordering::SeqCst);
                Ok(())
            };
            workshop.give(30, job).unwrap();
        }
        workshop.settle().unwrap();
        assert!((30..=100).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(workshop.0.lock().held, 0);
    }

    #[test]
    fn what_is_larger_than_the_limit_comes_alone() {
        let workshop = Workshop::new(10, 2);
        workshop.give(1000, |_| Ok(())).unwrap();
        workshop.give(5, |_| Ok(())).unwrap();
        workshop.settle().unwrap();
    }

    #[test]
    fn room_that_a_job_keeps_is_waited_for() {
        let workshop = Workshop::new(10, 1);
        let (kept, rooms) = mpsc::channel();
        let keep = move |room| {
            kept.send(room).unwrap();
            Ok(())
        };
        workshop.give(10, keep).unwrap();
        let room = rooms.recv().unwrap();
        std::thread::scope(|scope| {
            let given = scope.spawn(|| workshop.give(1, |_| Ok(())));
            drop(room);
            given.join().unwrap().unwrap();
        });
        workshop.settle().unwrap();
    }

    #[test]
    fn a_failure_and_a_panic_are_returned_and_nothing_waits() {
        let workshop = Workshop::new(10, 2);
        workshop.give(1, |_| Err(Error::NoClasses)).unwrap();
        assert!(
            workshop
                .settle()
                .unwrap_err()
                .to_string()
                .contains("classes")
        );
        assert!(workshop.give(1, |_| Ok(())).is_err());
        let workshop = Workshop::new(10, 2);
        workshop.give(1, |_| panic!("oh no")).unwrap();
        let error = workshop.settle().unwrap_err().to_string();
        assert!(error.contains("oh no"), "{error}");
    }
}
