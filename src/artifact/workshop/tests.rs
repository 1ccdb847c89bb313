//! Its limits, its order, and what becomes of a group.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Barrier, Mutex as StdMutex};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::image::Image;
use crate::pixels::{Mode, Pixels};

fn load(bytes: u64) -> Load {
    let mut load = Load::default();
    load.add_bytes(bytes);
    load
}

/// What becomes of a group, when all of it is done.
fn settled(group: Group) -> Result<()> {
    let (sender, end) = mpsc::channel();
    let undone = group.finish(|| Ok(()), move |result| sender.send(result).unwrap());
    assert!(undone.is_none());
    end.recv_timeout(LONG).expect("it is never done")
}

/// What takes longer never comes.
const LONG: Duration = Duration::from_secs(60);

fn text(result: Result<()>) -> String {
    result.unwrap_err().to_string()
}

fn until(workshop: &Workshop, is_so: impl Fn(&State) -> bool) {
    let began = Instant::now();
    while !is_so(&workshop.lock()) {
        assert!(began.elapsed() < LONG, "it never is");
        thread::yield_now();
    }
}

/// Keeps a thread of the workshop until something is sent.
fn hold(group: &Group) -> Sender<()> {
    let (release, held) = mpsc::channel();
    let (begin, begun) = mpsc::channel();
    let job = move |_| {
        begin.send(()).unwrap();
        let _ = held.recv();
        Ok(())
    };
    group.give(load(0), job).unwrap();
    begun.recv().unwrap();
    release
}

/// Says when it is dropped.
struct Dropped(Sender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

fn give_droppable(group: &Group) -> Receiver<()> {
    let (sender, dropped) = mpsc::channel();
    let dropping = Dropped(sender);
    let job = move |_| {
        drop(dropping);
        panic!("it is done, and was to be dropped")
    };
    group.give(load(1), job).unwrap();
    dropped
}

#[test]
fn all_groups_together_stay_within_the_limit() {
    let workshop = Workshop::new(100, 4);
    let most = Arc::new(StdMutex::new((0, 0)));
    let fill = || {
        let group = workshop.group();
        for _ in 0..50 {
            let most = Arc::clone(&most);
            let job = move |room: Room| {
                most.lock().unwrap().0 += 30;
                thread::yield_now();
                let mut most = most.lock().unwrap();
                most.1 = most.0.max(most.1);
                most.0 -= 30;
                drop(room);
                Ok(())
            };
            group.give(load(30), job).unwrap();
            assert!(workshop.lock().held <= 100);
        }
        settled(group).unwrap();
    };
    thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(fill))));
    assert!((30..=100).contains(&most.lock().unwrap().1));
    assert_eq!(workshop.lock().held, 0);
}

#[test]
fn threads_are_at_most_as_many_as_was_said_and_end_with_the_last_group() {
    let workshop = Workshop::new(100, 2);
    let groups = [workshop.group(), workshop.group(), workshop.group()];
    let together = Arc::new(Barrier::new(2));
    let threads = Arc::new(StdMutex::new(Vec::new()));
    for group in groups.iter().cycle().take(30) {
        let (together, threads) = (Arc::clone(&together), Arc::clone(&threads));
        let job = move |_| {
            threads.lock().unwrap().push(thread::current().id());
            together.wait();
            Ok(())
        };
        group.give(load(1), job).unwrap();
    }
    for group in groups {
        settled(group).unwrap();
    }
    let mut ids = std::mem::take(&mut *threads.lock().unwrap());
    ids.sort_by_key(|id| format!("{id:?}"));
    ids.dedup();
    assert_eq!(ids.len(), 2);
    until(&workshop, |state| state.threads == 0);
    settled(workshop.group()).unwrap();
}

#[test]
fn the_processs_own_has_a_thread_for_each_processor() {
    let processors = thread::available_parallelism().unwrap();
    assert_eq!(OF_PROCESS.most_threads, processors.get());
    assert_eq!(OF_PROCESS.limit, 256 << 20);
}

/// However many small loads come meanwhile.
#[test]
fn who_comes_first_has_room_first_and_one_larger_than_the_limit_when_nothing_else_is_there() {
    let workshop = Workshop::new(10, 1);
    let group = workshop.group();
    let (keep, kept) = mpsc::channel();
    let job = move |room| {
        keep.send(room).unwrap();
        Ok(())
    };
    group.give(load(5), job).unwrap();
    let room: Room = kept.recv().unwrap();
    let (say, said) = mpsc::channel();
    thread::scope(|scope| {
        for (place, bytes) in [1000, 1].into_iter().enumerate() {
            let (say, group) = (say.clone(), &group);
            let job = move |_| {
                say.send(bytes).unwrap();
                Ok(())
            };
            scope.spawn(move || group.give(load(bytes), job).unwrap());
            until(&workshop, |state| state.line.len() == place + 1);
        }
        // What holds nothing waits for nobody.
        group.give(load(0), |_| Ok(())).unwrap();
        drop(room);
    });
    settled(group).unwrap();
    drop(say);
    assert_eq!(said.iter().collect::<Vec<_>>(), [1000, 1]);
}

#[test]
fn what_pictures_share_counts_once_while_one_of_them_is_on_its_way() {
    let workshop = Workshop::new(1600, 1);
    let group = workshop.group();
    let shared = Pixels::new(20, 20, Mode::L, vec![0; 400]).unwrap();
    let shared = Image::from(shared);
    let release = hold(&group);
    for rows in 1..=3 {
        group.give(Load::of([&shared]), |_| Ok(())).unwrap();
        assert_eq!(workshop.lock().held, 400 + rows * 400);
    }
    release.send(()).unwrap();
    settled(group).unwrap();
    assert_eq!(workshop.lock().held, 0);
    assert_eq!(workshop.lock().memory.bytes(), 0);
}

#[test]
fn a_group_of_many_jobs_keeps_no_other_waiting() {
    let workshop = Workshop::new(10, 1);
    let (many, one) = (workshop.group(), workshop.group());
    let order = Arc::new(StdMutex::new(Vec::new()));
    let say = |what| {
        let order = Arc::clone(&order);
        move |_| {
            order.lock().unwrap().push(what);
            Ok(())
        }
    };
    let release = hold(&many);
    (0..3).for_each(|_| many.give(load(0), say("many")).unwrap());
    one.give(load(0), say("one")).unwrap();
    release.send(()).unwrap();
    settled(many).unwrap();
    settled(one).unwrap();
    assert_eq!(*order.lock().unwrap(), ["many", "one", "many", "many"]);
}

#[test]
fn a_failure_and_a_panic_are_those_of_their_group_alone() {
    let workshop = Workshop::new(10, 1);
    let [failing, panicking, fine] = [workshop.group(), workshop.group(), workshop.group()];
    let release = hold(&fine);
    failing.give(load(1), |_| Err(Error::NoClasses)).unwrap();
    let dropped = give_droppable(&failing);
    panicking.give(load(1), |_| panic!("oh no")).unwrap();
    fine.give(load(1), |_| Ok(())).unwrap();
    release.send(()).unwrap();
    dropped.recv().unwrap();
    assert!(text(settled(panicking)).contains("oh no"));
    assert!(text(failing.give(load(1), |_| Ok(()))).contains("classes"));
    assert!(text(settled(failing)).contains("classes"));
    settled(fine).unwrap();
    assert_eq!(workshop.lock().held, 0);
}

#[test]
fn a_caller_that_waits_for_room_learns_of_a_failure() {
    let workshop = Workshop::new(10, 1);
    let group = workshop.group();
    let (release, held) = mpsc::channel::<()>();
    let (keep, _kept) = mpsc::channel();
    let fail = move |room: Room| {
        let _ = held.recv();
        keep.send(room).unwrap();
        Err(Error::NoClasses)
    };
    group.give(load(10), fail).unwrap();
    thread::scope(|scope| {
        let given = scope.spawn(|| group.give(load(1), |_| Ok(())));
        until(&workshop, |state| state.line.len() == 1);
        release.send(()).unwrap();
        assert!(text(given.join().unwrap()).contains("classes"));
    });
}

#[test]
fn what_waits_of_a_group_that_is_dropped_goes_with_it() {
    let workshop = Workshop::new(10, 1);
    let (unwanted, fine) = (workshop.group(), workshop.group());
    let release = hold(&fine);
    let dropped = give_droppable(&unwanted);
    drop(unwanted);
    dropped.recv().unwrap();
    assert_eq!(workshop.lock().groups.len(), 1);
    release.send(()).unwrap();
    settled(fine).unwrap();
    until(&workshop, |state| state.threads == 0);
}

#[test]
fn one_thread_is_enough_for_groups_that_end_in_others() {
    let workshop = Workshop::new(10, 1);
    let order = Arc::new(StdMutex::new(Vec::new()));
    let [all, table, part] = [workshop.group(), workshop.group(), workshop.group()];
    let say = |what| {
        let order = Arc::clone(&order);
        move || {
            order.lock().unwrap().push(what);
            Ok(())
        }
    };
    let release = hold(&part);
    part.finish_in(&table, say("part")).unwrap();
    table.finish_in(&all, say("table")).unwrap();
    let (sender, end) = mpsc::channel();
    let undone = all.finish(say("all"), move |result| sender.send(result).unwrap());
    assert!(undone.is_none());
    release.send(()).unwrap();
    end.recv().unwrap().unwrap();
    assert_eq!(*order.lock().unwrap(), ["part", "table", "all"]);
}

#[test]
fn a_group_fails_with_one_that_ends_in_it() {
    let workshop = Workshop::new(10, 1);
    let (all, part) = (workshop.group(), workshop.group());
    let release = hold(&all);
    part.give(load(1), |_| Err(Error::NoClasses)).unwrap();
    part.finish_in(&all, || panic!("it has failed")).unwrap();
    let dropped = give_droppable(&all);
    release.send(()).unwrap();
    dropped.recv().unwrap();
    assert!(text(settled(all)).contains("classes"));
    // Also where its own work does.
    let (all, part) = (workshop.group(), workshop.group());
    part.finish_in(&all, || panic!("oh no")).unwrap();
    assert!(text(settled(all)).contains("oh no"));
}

#[test]
fn what_ends_in_a_group_that_fails_or_is_dropped_goes_with_it() {
    let workshop = Workshop::new(10, 1);
    let unwanted = |all: &Group| {
        let part = workshop.group();
        let dropped = give_droppable(&part);
        part.finish_in(all, || panic!("nobody wants it")).unwrap();
        dropped
    };
    let (failing, other) = (workshop.group(), workshop.group());
    let release = hold(&other);
    failing.give(load(1), |_| Err(Error::NoClasses)).unwrap();
    let dropped = unwanted(&failing);
    release.send(()).unwrap();
    dropped.recv().unwrap();
    assert!(text(settled(failing)).contains("classes"));
    let all = workshop.group();
    let release = hold(&other);
    let dropped = unwanted(&all);
    drop(all);
    dropped.recv().unwrap();
    release.send(()).unwrap();
    settled(other).unwrap();
    assert!(workshop.lock().groups.is_empty());
}

#[test]
fn a_thread_that_makes_pictures_never_waits_for_room() {
    let workshop = Workshop::new(10, 1);
    let group = workshop.group();
    let again = Arc::clone(&workshop);
    let (sender, given) = mpsc::channel();
    let job = move |_room| {
        let inner = again.group();
        sender.send(inner.give(load(1), |_| Ok(()))).unwrap();
        inner.give(load(0), |_| Ok(()))
    };
    group.give(load(10), job).unwrap();
    assert!(text(given.recv().unwrap()).contains("wait for itself"));
    settled(group).unwrap();
}

/// Here the threads of the parent are there, and hold what they have for ever.
#[test]
fn a_process_that_was_forked_begins_anew() {
    static PROCESS: AtomicU32 = AtomicU32::new(1);
    let system = System {
        process: || PROCESS.load(Ordering::SeqCst),
        ..System::REAL
    };
    let workshop = Workshop::on(system, 10, 1);
    let [begun, ended, dropped] = [workshop.group(), workshop.group(), workshop.group()];
    let (keep, kept) = mpsc::channel();
    let take = move |room| {
        keep.send(room).unwrap();
        Ok(())
    };
    begun.give(load(5), take).unwrap();
    let room: Room = kept.recv_timeout(LONG).unwrap();
    std::mem::forget(hold(&ended));
    ended.give(load(5), |_| Ok(())).unwrap();
    assert!(ended.finish(|| Ok(()), |_: Result<()>| ()).is_none());

    PROCESS.store(2, Ordering::SeqCst);
    let fine = workshop.group();
    fine.give(load(0), |_| Ok(())).unwrap();
    settled(fine).unwrap();
    drop(room);
    assert_eq!(workshop.lock().held, 0);
    drop(dropped);
    assert!(text(begun.give(load(1), |_| Ok(()))).contains("forked"));
    assert!(text(settled(begun)).contains("forked"));
    until(&workshop, |state| state.threads == 0);
}
