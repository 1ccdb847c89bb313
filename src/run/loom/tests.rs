//! Small programs against a run, each in every order in which its threads can come to their locks:
//! callers, a worker, the spare worker and the writer, all of them the real ones. Only the sink
//! and the clock are stand-ins.
//!
//! loom goes through the orders one after the other: those with one thread that is interrupted where
//! it needn't wait, and again with two (or with `LOOM_MAX_PREEMPTIONS`), up to `LOOM_MAX_DURATION`
//! seconds or `LOOM_MAX_PERMUTATIONS` orders a program and number (1,500 where neither is set).
//! shuttle draws `SHUTTLE_ORDERS` (2,000 by default) of them, without a bound. A wait with a limit
//! has none here, so a wake-up that is missing is a deadlock, which fails; so does a thread that
//! never ends.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, dispatcher};

use super::super::turn::Turn;
use super::super::{Run, RunBuilder, init};
use crate::convert::{ImageOptions, IntoWandbImage};
use crate::encode::FileType;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::pipeline::sync::checker::thread::{self, JoinHandle};
use crate::pipeline::{
    Clock, Deadline, Leftovers, Limits, Overflow, Pipeline, Queued, QueuedRow, Stats, Voice,
    Writer, sync,
};
use crate::sink::records::{HistoryRecord, Record, RecordType};
use crate::sink::{FilePlace, Kept, MemorySink, RecordSink, StagedFile};
use crate::tensor::{DType, HostTensor, Snapshot};

/// No time passes here by itself.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// Counts what is told as an error, and prints nothing a thousand times.
struct Listener(Arc<AtomicU64>);

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &SpanRecord<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Runs the program in every order, and the check after each, when all threads have ended.
pub(super) fn explore(program: fn(&Disk), after: fn(&Disk)) {
    let orders = Arc::new(AtomicU64::new(0));
    let told = Arc::new(AtomicU64::new(0));
    let last = Arc::new(Mutex::new(None::<Disk>));
    let check_last = move |last: &Mutex<Option<Disk>>| {
        if let Some(disk) = last.lock().unwrap().take() {
            assert_eq!(Arc::strong_count(&disk.is_broken), 1, "the writer lives on");
            after(&disk);
        }
    };
    let body = {
        let (orders, last) = (Arc::clone(&orders), Arc::clone(&last));
        let told = Arc::clone(&told);
        move || {
            check_last(&last);
            orders.fetch_add(1, Ordering::SeqCst);
            sync::restart();
            told.store(0, Ordering::SeqCst);
            let disk = Disk {
                told: Arc::clone(&told),
                ..Disk::default()
            };
            *last.lock().unwrap() = Some(disk.clone());
            program(&disk);
        }
    };
    let listener = Dispatch::new(Listener(told));
    dispatcher::with_default(&listener, || sync::in_every_order(MOST, body));
    check_last(&last);
    println!("{} orders", orders.load(Ordering::SeqCst));
}

/// Orders of each number of interruptions.
const MOST: usize = 1_500;

pub(super) fn nothing_more(_: &Disk) {}

// ---- the world around a run ----

/// Keeps everything, or refuses everything while it is broken.
#[derive(Clone, Default)]
pub(super) struct Disk {
    pub(super) kept: MemorySink,
    /// How much of it the last flush confirmed.
    pub(super) flushed: Arc<AtomicUsize>,
    is_broken: Arc<AtomicBool>,
    told: Arc<AtomicU64>,
}

impl Disk {
    fn set_broken(&self, is_broken: bool) {
        self.is_broken.store(is_broken, Ordering::SeqCst);
    }

    fn check(&self) -> Result<()> {
        match self.is_broken.load(Ordering::SeqCst) {
            true => Err(Error::device("planned")),
            false => Ok(()),
        }
    }

    /// The number of errors that were told.
    pub(super) fn told(&self) -> u64 {
        self.told.load(Ordering::SeqCst)
    }

    pub(super) fn start(&self, builder: RunBuilder) -> Run {
        builder.workers(1).start_on(self.clone()).unwrap()
    }

    /// The steps of the rows, in their order.
    pub(super) fn steps(&self) -> Vec<i64> {
        let rows = self.kept.rows().into_iter();
        rows.filter_map(|row| Some(row.step?.num)).collect()
    }

    /// The number of pictures that rows name. Each of them is there, before its row.
    fn pictures(&self) -> u64 {
        let (mut files, mut named) = (Vec::new(), 0);
        for kept in self.kept.kept() {
            match kept {
                Kept::Media(file) => files.push(file.path),
                Kept::Record(Record {
                    record_type: Some(RecordType::History(row)),
                    ..
                }) => {
                    let paths = paths(&row);
                    assert!(paths.iter().all(|path| files.contains(path)), "{paths:?}");
                    named += paths.len() as u64;
                }
                Kept::Record(_) => {}
            }
        }
        named
    }

    pub(super) fn has_end(&self) -> bool {
        let is_exit = |record: &RecordType| matches!(record, RecordType::Exit(_));
        let records = self.kept.records();
        assert!(records.iter().filter(|record| is_exit(record)).count() <= 1);
        records.last().is_some_and(is_exit)
    }
}

impl RecordSink for Disk {
    fn media(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.check()?;
        self.kept.media(path, bytes)
    }
    /// Takes note of it, and reads nothing.
    fn take_file(&mut self, file: &StagedFile<'_>) -> Result<PathBuf> {
        let path = match file.place {
            FilePlace::Media(path) => path.into(),
            place => place.path(),
        };
        self.media(&path, &[])?;
        Ok(path.into())
    }
    fn record(&mut self, record: &Record) -> Result<()> {
        self.check()?;
        self.kept.record(record)
    }
    fn flush(&mut self) -> Result<()> {
        self.check()?;
        self.flushed.store(self.kept.kept().len(), Ordering::SeqCst);
        self.kept.flush()
    }
}

fn paths(row: &HistoryRecord) -> Vec<String> {
    let is_path = |path: &[&str]| matches!(path, [_, "path"]);
    let items = row.item.iter().filter(|item| is_path(&item.path()));
    items
        .map(|item| item.value_json.trim_matches('"').into())
        .collect()
}

/// A picture of one pixel.
fn picture(level: u8) -> Image {
    let pixel = HostTensor::new([1, 1], vec![level]).unwrap();
    pixel.to_wandb_image_with(&options()).unwrap()
}

fn options() -> ImageOptions {
    ImageOptions::new().file_type(FileType::Bmp)
}

/// A picture that can't be made.
fn unmakeable() -> Image {
    struct Gone;
    impl IntoWandbImage for Gone {
        fn to_host(&self) -> Result<HostTensor> {
            Err(Error::device("planned"))
        }
        fn shape(&self) -> Result<Vec<usize>> {
            Ok(vec![1, 1])
        }
        fn dtype(&self) -> Result<DType> {
            Ok(DType::U8)
        }
        fn snapshot(&self) -> Result<Snapshot> {
            let read = || Err(Error::device("planned"));
            Ok(Snapshot::new([1, 1], DType::U8, read))
        }
    }
    Gone.to_wandb_image_with(&options()).unwrap()
}

/// Another caller, with the run.
fn beside(run: &Run, work: impl FnOnce(&Run) + Send + 'static) -> JoinHandle<()> {
    let run = run.clone();
    spawn(move || work(&run))
}

pub(super) fn spawn(work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let builder = thread::Builder::new().stack_size(sync::STACK);
    builder.spawn(work).unwrap()
}

/// At every moment the sums are right.
pub(super) fn check_sums(stats: Stats) {
    for counts in [stats.rows, stats.pictures, stats.artifacts] {
        let sum = counts.written + counts.dropped + counts.failed + counts.queued;
        assert_eq!(counts.accepted, sum, "{counts:?}");
    }
}

/// At the end nothing is on its way, and the counts are those of the disk.
fn check_end(run: &Run, disk: &Disk) -> Stats {
    let stats = run.stats();
    check_sums(stats);
    let queued = (stats.rows.queued, stats.pictures.queued, stats.queued_bytes);
    assert_eq!(queued, (0, 0, 0));
    let steps = disk.steps();
    assert!(steps.is_sorted(), "{steps:?}");
    assert_eq!(steps.len() as u64, stats.rows.written);
    assert_eq!(disk.pictures(), stats.pictures.written);
    stats
}

// ---- the programs ----

#[test]
fn flush_confirms_what_came_before_it() {
    let program = |disk: &Disk| {
        let run = disk.start(init());
        run.log([("a", picture(0))]).unwrap();
        run.flush(LONG).unwrap();
        assert_eq!((disk.steps(), disk.pictures()), (vec![0], 1));
        run.finish().unwrap();
        check_end(&run, disk);
    };
    explore(program, |disk| assert!(disk.has_end()));
}

#[test]
fn two_callers_log_and_one_of_them_flushes() {
    let program = |disk: &Disk| {
        let run = disk.start(init());
        let other = beside(&run, |run| run.log([("a", picture(0))]).unwrap());
        run.log([("b", picture(1))]).unwrap();
        let step = run.step();
        check_sums(run.stats());
        run.flush(LONG).unwrap();
        assert!(disk.steps().len() as u64 >= step, "{step}");
        assert_eq!(disk.pictures(), disk.steps().len() as u64);
        other.join().unwrap();
        run.finish().unwrap();
        let stats = check_end(&run, disk);
        assert_eq!((stats.rows.written, stats.pictures.written), (2, 2));
        assert_eq!(disk.steps(), [0, 1]);
    };
    explore(program, |disk| assert!(disk.has_end()));
}

#[test]
fn a_row_is_logged_before_the_end_or_refused() {
    let program = |disk: &Disk| {
        let run = disk.start(init());
        let taken = Arc::new(AtomicU64::new(0));
        let other = {
            let taken = Arc::clone(&taken);
            beside(&run, move |run| match run.log([("a", picture(0))]) {
                Ok(()) => drop(taken.fetch_add(1, Ordering::SeqCst)),
                Err(Error::Finished { .. }) => {}
                Err(error) => panic!("{error}"),
            })
        };
        run.finish().unwrap();
        other.join().unwrap();
        let stats = check_end(&run, disk);
        assert_eq!(stats.rows.written, taken.load(Ordering::SeqCst));
        assert!(disk.has_end());
    };
    explore(program, nothing_more);
}

#[test]
fn two_callers_finish() {
    let program = |disk: &Disk| {
        let run = disk.start(init());
        run.log([("a", picture(0))]).unwrap();
        let disk_too = disk.clone();
        let other = beside(&run, move |run| {
            run.finish().unwrap();
            assert!(disk_too.has_end());
        });
        run.finish().unwrap();
        assert!(disk.has_end());
        check_end(&run, disk);
        other.join().unwrap();
    };
    explore(program, nothing_more);
}

/// The time of the end is up before it begins: the threads go on by themselves, and end.
#[test]
fn a_run_that_nobody_waits_for_is_written() {
    let program = |disk: &Disk| {
        let run = disk.start(init().finish_timeout(Duration::ZERO));
        run.log([("a", picture(0))]).unwrap();
        run.log([("b", picture(1))]).unwrap();
    };
    explore(program, |disk| {
        assert_eq!((disk.steps(), disk.pictures()), (vec![0, 1], 2));
        assert!(disk.has_end());
    });
}

/// A pipeline by itself, which nobody gives an end.
pub(super) fn start_pipeline(disk: &Disk, workers: usize) -> Pipeline {
    let writer = Writer::new(Box::new(disk.clone()), Clock::start(), "id".into());
    let limits = Limits {
        workers,
        ..Limits::default()
    };
    Pipeline::start(limits, Voice::new(true), writer).unwrap()
}

/// Logs a row of one value, or of none, into it.
pub(super) fn log_row(pipeline: &Pipeline, step: u64, value: Option<(&str, Queued)>) {
    pipeline.open_row();
    close_row(pipeline, step, value);
}

pub(super) fn close_row(pipeline: &Pipeline, step: u64, value: Option<(&str, Queued)>) {
    let value = value.map(|(key, value)| (key.into(), value));
    pipeline.close_row(QueuedRow {
        step,
        logged: Clock::start().now(),
        values: value.into_iter().collect(),
    });
}

#[test]
fn the_threads_of_a_pipeline_that_is_dropped_end() {
    let program = |disk: &Disk| {
        let pipeline = start_pipeline(disk, 1);
        pipeline.set_config("a", serde_json::json!(1).into());
    };
    explore(program, |disk| assert_eq!(disk.kept.records().len(), 1));
}

/// No row takes its picture.
#[test]
fn the_threads_of_a_pipeline_that_is_dropped_with_an_open_row_end() {
    let program = |disk: &Disk| {
        let pipeline = start_pipeline(disk, 1);
        let mut leftovers = Leftovers::default();
        pipeline.open_row();
        pipeline.accept("a", 0, vec![picture(0)], &mut leftovers);
        pipeline.tidy(leftovers);
    };
    explore(program, |disk| assert_eq!(disk.kept.records(), []));
}

/// A caller that waits for room, while another ends the run.
#[test]
fn a_caller_that_waits_for_room_sees_the_end() {
    let program = |disk: &Disk| {
        let builder = init().queue_bytes(1);
        let run = disk.start(builder.overflow(Overflow::Block));
        run.log([("a", picture(0))]).unwrap();
        let other = beside(&run, |run| match run.log([("a", picture(1))]) {
            Ok(()) | Err(Error::Finished { .. }) => {}
            Err(error) => panic!("{error}"),
        });
        let is_whole = run.finish().is_ok();
        other.join().unwrap();
        let stats = check_end(&run, disk);
        assert!(disk.has_end());
        assert_eq!(is_whole, stats.pictures.dropped == 0);
    };
    explore(program, nothing_more);
}

#[test]
fn a_queue_that_blocks_drops_nothing() {
    let program = |disk: &Disk| {
        let builder = init().queue_bytes(1).queue_rows(1);
        let run = disk.start(builder.overflow(Overflow::Block));
        for level in 0..3 {
            run.log([("a", picture(level))]).unwrap();
        }
        run.finish().unwrap();
        let stats = check_end(&run, disk);
        assert_eq!((stats.rows.written, stats.pictures.written), (3, 3));
    };
    explore(program, nothing_more);
}

#[test]
fn two_callers_wait_for_one_place() {
    let program = |disk: &Disk| {
        let builder = init().queue_bytes(1);
        let run = disk.start(builder.overflow(Overflow::Block));
        let other = beside(&run, |run| run.log([("a", picture(0))]).unwrap());
        run.log([("b", picture(1))]).unwrap();
        other.join().unwrap();
        run.finish().unwrap();
        assert_eq!(check_end(&run, disk).pictures.written, 2);
    };
    explore(program, nothing_more);
}

#[test]
fn the_oldest_is_dropped_and_counted() {
    let program = |disk: &Disk| {
        let builder = init().queue_bytes(1);
        let run = disk.start(builder.overflow(Overflow::DropOldest));
        for level in 0..3 {
            run.log([("a", picture(level))]).unwrap();
            check_sums(run.stats());
        }
        let is_whole = run.finish().is_ok();
        let stats = check_end(&run, disk);
        assert_eq!((stats.rows.written, stats.pictures.accepted), (3, 3));
        assert_eq!(is_whole, stats.pictures.dropped == 0);
    };
    explore(program, nothing_more);
}

/// The time for which a caller waits for room runs out at any moment, or never.
#[test]
fn a_wait_for_room_ends_with_room_or_with_the_time() {
    let program = |disk: &Disk| {
        let run = disk.start(init().queue_bytes(1));
        let clock = beside(&run, |run| run.0.pipeline.pass(Duration::from_secs(2)));
        for level in 0..2 {
            run.log([("a", picture(level))]).unwrap();
        }
        clock.join().unwrap();
        let is_whole = run.finish().is_ok();
        let stats = check_end(&run, disk);
        assert_eq!((stats.rows.written, stats.pictures.accepted), (2, 2));
        assert_eq!(is_whole, stats.pictures.dropped == 0);
    };
    explore(program, nothing_more);
}

#[test]
fn a_flush_ends_when_its_time_is_up() {
    let program = |disk: &Disk| {
        let run = disk.start(init());
        run.log([("a", picture(0))]).unwrap();
        let clock = beside(&run, |run| run.0.pipeline.pass(2 * LONG));
        match run.flush(LONG) {
            Ok(()) => assert_eq!(disk.pictures(), 1),
            Err(Error::Incomplete { waited, .. }) => assert_eq!(waited, Some(LONG)),
            Err(error) => panic!("{error}"),
        }
        clock.join().unwrap();
        run.finish().unwrap();
        check_end(&run, disk);
    };
    explore(program, nothing_more);
}

#[test]
fn a_call_gets_its_json_while_another_logs() {
    let program = |disk: &Disk| {
        let run = disk.start(init());
        let other = beside(&run, |run| {
            let json = run.media_json("m", 0, picture(0)).unwrap();
            assert_eq!(json["_type"], "image-file");
        });
        run.log([("a", picture(1))]).unwrap();
        run.flush(LONG).unwrap();
        other.join().unwrap();
        assert_eq!(disk.kept.files().len(), 2);
        run.finish().unwrap();
        let stats = run.stats();
        check_sums(stats);
        assert_eq!((stats.pictures.written, stats.queued_bytes), (2, 0));
    };
    explore(program, nothing_more);
}

/// A call's pictures are dropped for those of a row, and it learns so, or gets its JSON.
#[test]
fn a_call_whose_pictures_are_dropped_is_answered() {
    let program = |disk: &Disk| {
        let builder = init().queue_bytes(1);
        let run = disk.start(builder.overflow(Overflow::DropOldest));
        let other = beside(&run, |run| match run.media_json("m", 0, picture(0)) {
            Ok(json) => assert_eq!(json["_type"], "image-file"),
            Err(Error::Dropped { .. }) => {}
            Err(error) => panic!("{error}"),
        });
        run.log([("a", picture(1))]).unwrap();
        other.join().unwrap();
        let is_whole = run.finish().is_ok();
        let stats = run.stats();
        check_sums(stats);
        assert_eq!(is_whole, stats.pictures.dropped == 0);
        assert_eq!((stats.pictures.accepted, stats.queued_bytes), (2, 0));
    };
    explore(program, nothing_more);
}

#[test]
fn a_picture_that_fails_is_counted_and_its_row_is_written() {
    let program = |disk: &Disk| {
        let run = disk.start(init());
        run.log([("a", unmakeable()), ("b", picture(1))]).unwrap();
        run.flush(LONG).unwrap_err();
        assert_eq!((disk.steps(), disk.pictures()), (vec![0], 1));
        run.flush(LONG).unwrap();
        run.finish().unwrap_err();
        let stats = check_end(&run, disk);
        assert_eq!((stats.pictures.written, stats.pictures.failed), (1, 1));
    };
    explore(program, |disk| assert!(disk.has_end()));
}

#[test]
fn a_disk_that_refuses_and_recovers_loses_only_what_it_refused() {
    let program = |disk: &Disk| {
        let run = disk.start(init());
        let disk_too = disk.clone();
        let breaking = beside(&run, move |run| {
            disk_too.set_broken(true);
            run.log([("a", picture(0))]).unwrap();
            // What was logged may be written before, in between, or not at all.
            let _ = run.flush(LONG);
            disk_too.set_broken(false);
        });
        run.log([("b", picture(1))]).unwrap();
        breaking.join().unwrap();
        let lost = run.stats().rows.failed + run.stats().pictures.failed;
        run.log([("c", picture(2))]).unwrap();
        assert_eq!(run.finish().is_ok(), lost == 0);
        let stats = run.stats();
        check_sums(stats);
        assert_eq!((stats.rows.accepted, stats.pictures.accepted), (3, 3));
        assert_eq!(stats.rows.written, disk.steps().len() as u64);
        assert!(disk.steps().contains(&2) && disk.has_end());
        assert_eq!((stats.pictures.queued, stats.queued_bytes), (0, 0));
    };
    explore(program, nothing_more);
}

#[test]
fn a_synchronous_run_confirms_each_row_to_each_caller() {
    let program = |disk: &Disk| {
        let run = disk.start(init().synchronous(true));
        let disk_too = disk.clone();
        let other = beside(&run, move |run| {
            run.log([("a", picture(0))]).unwrap();
            assert!(!disk_too.steps().is_empty());
        });
        run.log([("b", 1)]).unwrap();
        assert!(!disk.steps().is_empty());
        other.join().unwrap();
        assert_eq!(disk.steps(), [0, 1]);
        run.finish().unwrap();
        check_end(&run, disk);
    };
    explore(program, nothing_more);
}

/// Whoever flushes meanwhile, a caller that waits for its own row learns that it was refused.
#[test]
fn a_row_that_fails_is_told_to_the_call_that_waits_for_it() {
    let program = |disk: &Disk| {
        let pipeline = Arc::new(start_pipeline(disk, 0));
        disk.set_broken(true);
        let shared = Arc::clone(&pipeline);
        let other = spawn(move || {
            let inquiry = shared.inquire();
            log_row(&shared, 0, None);
            inquiry.settle().unwrap_err();
        });
        let inquiry = pipeline.inquire();
        let _ = inquiry.flush(&inquiry.begin_flush(), Deadline::after(LONG));
        drop(inquiry);
        other.join().unwrap();
        disk.set_broken(false);
        pipeline.finish(0, Deadline::after(LONG)).unwrap_err();
        check_sums(pipeline.stats());
        assert_eq!(pipeline.stats().rows.failed, 1);
    };
    explore(program, |disk| assert!(disk.has_end()));
}

/// More threads than loom takes.
#[cfg(feature = "shuttle-test")]
#[test]
fn three_callers_log_flush_and_ask_for_json_with_two_workers() {
    let program = |disk: &Disk| {
        let builder = init().workers(2).queue_bytes(20);
        let run = builder.overflow(Overflow::Block).start_on(disk.clone());
        let run = run.unwrap();
        let others = [0, 1].map(|caller| {
            let disk = disk.clone();
            beside(&run, move |run| {
                run.log([("a", picture(caller)), ("b", picture(9))])
                    .unwrap();
                run.media_json("m", 7, picture(caller + 2)).unwrap();
                run.flush(LONG).unwrap();
                assert!(!disk.steps().is_empty());
                run.log([("c", 1)]).unwrap();
            })
        });
        run.log([("a", picture(5))]).unwrap();
        run.summary("best", 1).unwrap();
        others.into_iter().for_each(|other| other.join().unwrap());
        run.finish().unwrap();
        let stats = run.stats();
        check_sums(stats);
        assert_eq!((stats.rows.written, stats.pictures.written), (5, 7));
        assert_eq!((disk.pictures(), stats.queued_bytes), (5, 0));
        assert_eq!(disk.steps(), [0, 1, 2, 3, 4]);
    };
    explore(program, |disk| assert!(disk.has_end()));
}

#[test]
fn one_caller_at_a_time_has_its_turn() {
    let program = |_: &Disk| {
        let turn = Arc::new(Turn::new(0));
        let add = |turn: &Turn<i32>| {
            turn.take(|value| {
                let before = *value;
                thread::yield_now();
                *value = before + 1;
            });
        };
        let others = [0, 1].map(|_| {
            let turn = Arc::clone(&turn);
            thread::spawn(move || add(&turn))
        });
        let until = Deadline::after(LONG);
        assert!(turn.take_until(until, |value| *value).is_some());
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(turn.take(|value| *value), 2);
    };
    explore(program, nothing_more);
}
