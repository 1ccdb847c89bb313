//! What is flushed without being asked for, and what a flush that fails costs.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use wandb_image::sink::reader::LogReader;
use wandb_image::sink::records::{Record, RecordType, SummaryRecord};
use wandb_image::sink::{MemorySink, RecordSink, logged};
use wandb_image::{Durability, Error, Result, Row, Run, RunBuilder, init};

use crate::pipeline::{Gate, LONG, SHORT, behind, check_error, eventually, plain};
use crate::run::listening::Told;

/// Notes what it is given, and refuses to flush while it is told to.
#[derive(Clone, Default)]
struct Noting {
    notes: Arc<Mutex<Vec<&'static str>>>,
    is_refusing: Arc<AtomicBool>,
    is_refusing_summaries: Arc<AtomicBool>,
}

impl Noting {
    fn notes(&self) -> Vec<&'static str> {
        self.notes.lock().unwrap().clone()
    }

    fn note(&self, what: &'static str) {
        self.notes.lock().unwrap().push(what);
    }

    fn count(&self, what: &str) -> usize {
        self.notes().iter().filter(|note| **note == what).count()
    }

    /// Waits until the run has let go of its sink, as the end of the thread that writes does.
    fn await_drop(&self) {
        eventually(|| Arc::strong_count(&self.notes) == 1);
    }

    /// Waits until so many flushes succeeded.
    fn await_flushes(&self, flushes: usize) {
        eventually(|| self.count("flush") >= flushes);
    }

    fn start(&self, builder: RunBuilder) -> Run {
        let run = builder.start_on(self.clone()).unwrap();
        assert_eq!(self.notes(), ["header", "run", "environment", "flush"]);
        self.notes.lock().unwrap().clear();
        run
    }
}

impl RecordSink for Noting {
    fn media(&mut self, _: &str, _: &[u8]) -> Result<()> {
        self.note("file");
        Ok(())
    }
    fn record(&mut self, record: &Record) -> Result<()> {
        let what = match &record.record_type {
            Some(RecordType::Header(_)) => "header",
            Some(RecordType::Run(_)) => "run",
            Some(RecordType::Environment(_)) => "environment",
            Some(RecordType::History(_)) => "row",
            Some(RecordType::Files(_)) => "files",
            Some(RecordType::Summary(_)) => "summary",
            Some(RecordType::Config(_)) => "config",
            Some(RecordType::Exit(_)) => "exit",
            Some(RecordType::Metric(_)) => "metric",
            Some(RecordType::Artifact(_)) => "artifact",
            None => "unknown",
        };
        if what == "summary" && self.is_refusing_summaries.load(Ordering::SeqCst) {
            self.note("refused");
            return Err(Error::device("planned"));
        }
        self.note(what);
        Ok(())
    }
    fn flush(&mut self) -> Result<()> {
        if self.is_refusing.load(Ordering::SeqCst) {
            self.note("refused");
            return Err(Error::device("planned"));
        }
        self.note("flush");
        Ok(())
    }
}

#[test]
fn rows_and_the_summary_are_flushed_without_being_asked_for() {
    let sink = Noting::default();
    let run = sink.start(init());
    run.log([("loss", 0.5)]).unwrap();
    sink.await_flushes(1);
    assert_eq!(sink.notes(), ["row", "summary", "flush"]);
    run.summary("best", 0.25).unwrap();
    sink.await_flushes(2);
    assert_eq!(sink.notes()[3..], ["summary", "flush"]);
    run.config("late", 1).unwrap();
    sink.await_flushes(3);
    assert_eq!(sink.notes()[5..], ["config", "flush"]);
    run.log([("sample", plain(1))]).unwrap();
    sink.await_flushes(4);
    let expected = ["file", "files", "row", "summary", "flush"];
    assert_eq!(sink.notes()[7..], expected);
}

#[test]
fn what_is_flushed_already_is_not_flushed_again() {
    let sink = Noting::default();
    let run = sink.start(init());
    run.log([("loss", 0.5)]).unwrap();
    run.flush(LONG).unwrap();
    let flushed = sink.notes();
    // Longer than a flush would take to come.
    thread::sleep(Duration::from_millis(2_200));
    assert_eq!(sink.notes(), flushed);
    run.finish().unwrap();
    thread::sleep(Duration::from_millis(1_200));
    let expected = ["summary", "exit", "flush"];
    assert_eq!(sink.notes()[flushed.len()..], expected);
}

#[test]
fn a_flush_comes_between_rows_that_never_pause() {
    let sink = Noting::default();
    let run = sink.start(init());
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                run.log([("loss", 0.5)]).unwrap();
            }
        });
        sink.await_flushes(2);
        is_over.store(true, Ordering::SeqCst);
    });
    run.finish().unwrap();
    let notes = sink.notes();
    let first = notes.iter().position(|note| *note == "flush").unwrap();
    let (before, after) = notes.split_at(first);
    assert!(before.contains(&"row") && after.contains(&"row"));
}

#[test]
fn a_row_before_a_slow_picture_is_flushed_while_that_is_made() {
    let (sink, gate) = (Noting::default(), Gate::default());
    let run = sink.start(init());
    run.log([("loss", 0.5)]).unwrap();
    run.log([("sample", behind(&gate, 1))]).unwrap();
    run.log([("loss", 0.25)]).unwrap();
    sink.await_flushes(1);
    assert_eq!(sink.notes(), ["row", "summary", "flush"]);
    gate.open();
    run.finish().unwrap();
    assert_eq!(sink.count("row"), 3);
}

#[test]
fn an_open_row_stays_open() {
    let sink = Noting::default();
    let run = sink.start(init());
    run.log([("loss", 0.5)]).unwrap();
    run.log_at(5, [("loss", 0.25)]).unwrap();
    sink.await_flushes(1);
    run.log_at(5, [("accuracy", 0.75)]).unwrap();
    assert_eq!(sink.count("row"), 1);
    run.finish().unwrap();
    assert_eq!(sink.count("row"), 2);
}

#[test]
fn the_summary_is_in_the_log_of_a_run_that_never_asked() {
    let dir = tempfile::tempdir().unwrap();
    let run = init().dir(dir.path()).start().unwrap();
    run.log([("loss", 0.5)]).unwrap();
    run.summary("best", 0.25).unwrap();
    let log = wandb_image::sink::logged::find_log(run.dir().unwrap()).unwrap();
    let has_best = || {
        let records = wandb_image::sink::reader::LogReader::open(&log).unwrap();
        let mut records = records.filter_map(|record| record.ok()?.record_type);
        records.any(|record| match record {
            RecordType::Summary(summary) => summary.update.iter().any(|item| item.key == "best"),
            _ => false,
        })
    };
    eventually(has_best);
}

/// Refuses flushes and lets them recover; `refuse` says how.
fn check_refused(refuse: fn(&Noting) -> &AtomicBool) {
    let (sink, told) = (Noting::default(), Told::default());
    let run = tracing::subscriber::with_default(told.clone(), || sink.start(init()));
    refuse(&sink).store(true, Ordering::SeqCst);
    run.log([("loss", 0.5)]).unwrap();
    eventually(|| sink.count("refused") >= 2);
    check_error(run.flush(LONG), &["planned"]);
    assert_eq!(run.stats().rows.written, 1);
    run.log([("loss", 0.25)]).unwrap();
    refuse(&sink).store(false, Ordering::SeqCst);
    sink.await_flushes(1);
    run.flush(LONG).unwrap();
    run.finish().unwrap();
    let told = told.lines();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("planned"), "{told:?}");
}

#[test]
fn a_flush_that_fails_is_told_once_and_tried_again() {
    check_refused(|sink| &sink.is_refusing);
    check_refused(|sink| &sink.is_refusing_summaries);
}

#[test]
fn a_flush_that_came_to_nothing_says_what_failed_by_itself_before() {
    let (sink, gate) = (Noting::default(), Gate::default());
    let run = sink.start(init());
    sink.is_refusing.store(true, Ordering::SeqCst);
    run.log([("loss", 0.5)]).unwrap();
    run.log([("sample", behind(&gate, 1))]).unwrap();
    eventually(|| sink.count("refused") >= 1);
    let expected = ["1 row and 1 picture still on their way", "planned"];
    eventually(|| {
        run.flush(SHORT)
            .unwrap_err()
            .to_string()
            .contains("planned")
    });
    check_error(run.flush(SHORT), &expected);
    gate.open();
    sink.is_refusing.store(false, Ordering::SeqCst);
    run.flush(LONG).unwrap();
    run.finish().unwrap();
}

#[test]
fn the_thread_that_writes_ends_with_the_run() {
    for is_finished in [true, false] {
        let sink = Noting::default();
        let run = sink.start(init());
        run.log([("loss", 0.5)]).unwrap();
        sink.await_flushes(1);
        if is_finished {
            run.finish().unwrap();
            sink.await_drop();
        }
        drop(run);
        sink.await_drop();
        assert_eq!(sink.notes()[3..], ["summary", "exit", "flush"]);
    }
}

/// What stands in the log when a synchronous `log` has returned.
fn check_synchronous(durability: Durability, expected: &[&str]) {
    let sink = Noting::default();
    let run = sink.start(init().synchronous(true).durability(durability));
    let row = Row::new().with("loss", 0.5).with("sample", plain(1));
    run.log(row).unwrap();
    let notes = sink.notes();
    assert!(notes.starts_with(expected), "{notes:?}");
}

#[test]
fn a_synchronous_row_is_flushed_where_it_must_survive_a_loss_of_power() {
    let expected = ["file", "files", "row", "summary", "flush"];
    check_synchronous(Durability::Process, &expected[..3]);
    check_synchronous(Durability::Fsync, &expected);

    let sink = Noting::default();
    let builder = init().synchronous(true).durability(Durability::Fsync);
    let run = sink.start(builder);
    sink.is_refusing.store(true, Ordering::SeqCst);
    check_error(run.log([("loss", 0.5)]), &["planned"]);
    sink.is_refusing.store(false, Ordering::SeqCst);
    run.log([("loss", 0.25)]).unwrap();
    assert_eq!(sink.count("row"), 2);
    let _ = run.finish();
}

/// The keys of the summary, in the order in which they were written.
fn summary_keys(records: impl IntoIterator<Item = RecordType>) -> Vec<String> {
    let summary = |record| match record {
        RecordType::Summary(SummaryRecord { update, .. }) => Some(update),
        _ => None,
    };
    let items = records.into_iter().filter_map(summary).flatten();
    items.map(|item| item.path()[0].to_owned()).collect()
}

fn records_of(run: &Path) -> Vec<RecordType> {
    let records = LogReader::open(logged::find_log(run).unwrap()).unwrap();
    let records = records.map(|record| record.unwrap().record_type.unwrap());
    records.collect()
}

#[test]
fn a_summary_that_is_too_long_for_a_record_is_written_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let run = init().dir(dir.path()).start().unwrap();
    let text = "x".repeat(15 << 20);
    let keys = ["a", "b", "c", "d", "e"];
    // Before a flush comes by itself.
    run.log(
        keys[..4]
            .iter()
            .map(|key| (*key, text.as_str()))
            .collect::<Row>(),
    )
    .unwrap();
    run.summary(keys[4], text.as_str()).unwrap();
    run.flush(LONG).unwrap();
    run.finish().unwrap();
    let records = records_of(run.dir().unwrap());
    assert!(matches!(records.last(), Some(RecordType::Exit(_))));
    let written = summary_keys(records);
    for key in keys {
        assert_eq!(written.iter().filter(|other| *other == key).count(), 1);
    }
}

/// Takes no summary with a key that begins with `long`.
#[derive(Clone, Default)]
struct Particular(MemorySink);

impl RecordSink for Particular {
    fn media(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.0.media(path, bytes)
    }
    fn record(&mut self, record: &Record) -> Result<()> {
        let keys = summary_keys(record.record_type.clone());
        match keys.iter().any(|key| key.starts_with("long")) {
            true => Err(Error::Io {
                action: "write to",
                path: "the/log".into(),
                source: io::Error::new(io::ErrorKind::InvalidInput, "it is too long"),
            }),
            false => self.0.record(record),
        }
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_value_that_no_record_holds_keeps_no_other_out_of_the_summary() {
    let sink = Particular::default();
    let run = init().start_on(sink.clone()).unwrap();
    // Too much for one part.
    let text = "x".repeat(9 << 20);
    run.summary("long", text.as_str()).unwrap();
    run.log([("loss", 0.5)]).unwrap();
    check_error(run.flush(LONG), &["\"long\"", "summary", "it is too long"]);
    run.flush(LONG).unwrap();
    run.summary("long too", text.as_str()).unwrap();
    check_error(run.finish(), &["\"long\"", "it is too long"]);
    check_error(run.finish(), &["\"long\""]);
    let records = sink.0.records();
    assert!(matches!(records.last(), Some(RecordType::Exit(_))));
    assert!(summary_keys(records).contains(&"loss".into()));
}

#[test]
fn nothing_follows_an_exit_record_whose_flush_failed() {
    let sink = Noting::default();
    let run = sink.start(init());
    run.log([("loss", 0.5)]).unwrap();
    sink.is_refusing.store(true, Ordering::SeqCst);
    check_error(run.finish(), &["planned"]);
    let logged = run.log([("loss", 0.25)]);
    assert!(matches!(logged, Err(Error::Finished { .. })), "{logged:?}");
    sink.is_refusing.store(false, Ordering::SeqCst);
    run.finish().unwrap();
    let mut notes = sink.notes();
    notes.retain(|note| *note != "refused");
    assert_eq!(notes, ["row", "summary", "exit", "flush"]);
}
