//! Small programs against a workshop of one or two threads, each in every order in which its threads
//! can come to their lock (see `run/loom/tests.rs`). That a thread never ends is a deadlock, too.

use super::super::*;
use crate::sync::checker::thread;
use crate::sync::{self, in_every_order};

/// What became of groups, in the order in which they ended.
#[derive(Clone)]
struct Ends(Arc<(Mutex<Vec<(&'static str, bool)>>, Condvar)>);

impl Ends {
    fn new() -> Self {
        Self(Arc::new((Mutex::new(Vec::new()), Condvar::new())))
    }

    fn end(&self, name: &'static str, group: Group) {
        let ends = self.clone();
        let undone = group.finish(
            || Ok(()),
            move |result| {
                ends.0.0.lock().unwrap().push((name, result.is_ok()));
                ends.0.1.notify_all();
            },
        );
        assert!(undone.is_none());
    }

    /// All of them, once there are so many.
    fn all(&self, n: usize) -> Vec<(&'static str, bool)> {
        let mut ends = self.0.0.lock().unwrap();
        while ends.len() < n {
            ends = self.0.1.wait(ends).unwrap();
        }
        let mut all = ends.clone();
        all.sort_unstable();
        all
    }
}

fn load(bytes: u64) -> Load {
    let mut load = Load::default();
    load.add_bytes(bytes);
    load
}

fn explore(program: fn()) {
    in_every_order(2_000, move || {
        sync::restart();
        program();
    });
}

fn beside(work: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    let builder = thread::Builder::new().stack_size(sync::STACK);
    builder.spawn(work).unwrap()
}

fn check_empty(workshop: &Workshop) {
    let state = workshop.lock();
    assert_eq!((state.held, state.line.len(), state.waiting), (0, 0, 0));
}

/// One of them waits for the room of the other.
#[test]
fn two_callers_share_the_room_of_two_threads() {
    explore(|| {
        let workshop = Workshop::new(1, 2);
        // As long as it is there, so are the threads: loom counts those that have ended, too.
        let last = workshop.group();
        let ends = Ends::new();
        let fill = |name, workshop: &Arc<Workshop>, ends: &Ends| {
            let group = workshop.group();
            group.give(load(1), |_room| Ok(())).unwrap();
            ends.end(name, group);
        };
        let other = {
            let (workshop, ends) = (Arc::clone(&workshop), ends.clone());
            beside(move || fill("b", &workshop, &ends))
        };
        fill("a", &workshop, &ends);
        assert_eq!(ends.all(2), [("a", true), ("b", true)]);
        check_empty(&workshop);
        other.join().unwrap();
        drop(last);
    });
}

#[test]
fn a_group_that_fails_harms_no_other() {
    explore(|| {
        let workshop = Workshop::new(2, 2);
        let ends = Ends::new();
        let (failing, fine) = (workshop.group(), workshop.group());
        failing.give(load(1), |_| Err(Error::NoClasses)).unwrap();
        fine.give(load(1), |_| Ok(())).unwrap();
        // It may have failed already.
        let _ = failing.give(load(2), |_| Ok(()));
        ends.end("failing", failing);
        ends.end("fine", fine);
        assert_eq!(ends.all(2), [("failing", false), ("fine", true)]);
        check_empty(&workshop);
    });
}

#[test]
fn a_group_that_is_dropped_leaves_nothing() {
    explore(|| {
        let workshop = Workshop::new(1, 2);
        let ends = Ends::new();
        let (dropped, fine) = (workshop.group(), workshop.group());
        dropped.give(load(1), |_room| Ok(())).unwrap();
        let other = beside(move || drop(dropped));
        fine.give(load(1), |_room| Ok(())).unwrap();
        ends.end("fine", fine);
        assert_eq!(ends.all(1), [("fine", true)]);
        other.join().unwrap();
    });
}

/// A table in an artifact: the artifact ends after it.
#[test]
fn a_group_ends_after_what_ends_in_it() {
    explore(|| {
        let workshop = Workshop::new(2, 1);
        let ends = Ends::new();
        let (all, part) = (workshop.group(), workshop.group());
        let count = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let (counts, seen) = (Arc::clone(&count), Arc::clone(&count));
        part.give(load(1), |_room| Ok(())).unwrap();
        let other = beside(move || {
            part.finish_in(&all, move || {
                counts.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                Ok(())
            })
            .unwrap();
            all.give(load(1), |_room| Ok(())).unwrap();
            ends.end("all", all);
            assert_eq!(ends.all(1), [("all", true)]);
            assert_eq!(seen.load(std::sync::atomic::Ordering::SeqCst), 1);
        });
        other.join().unwrap();
        check_empty(&workshop);
    });
}

#[test]
fn a_group_that_is_dropped_takes_along_what_ends_in_it() {
    explore(|| {
        let workshop = Workshop::new(1, 1);
        let (all, part) = (workshop.group(), workshop.group());
        part.give(load(1), |_room| Ok(())).unwrap();
        part.finish_in(&all, || Ok(())).unwrap();
        drop(all);
        let ends = Ends::new();
        let fine = workshop.group();
        fine.give(load(1), |_room| Ok(())).unwrap();
        ends.end("fine", fine);
        assert_eq!(ends.all(1), [("fine", true)]);
    });
}
