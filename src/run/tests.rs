//! What a caller may meet that would have it wait for itself, and what is counted.

use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber, dispatcher};

use super::{Run, init};
use crate::artifact::Artifact;
use crate::artifact::workshop::Workshop;
use crate::convert::image_read_by;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::memory::Load;
use crate::sink::{MemorySink, RecordSink, StagedFile, records};
use crate::tensor::HostTensor;

/// Logs what it is told into the run itself.
struct Listener {
    run: OnceLock<Run>,
    logged: Mutex<Sender<bool>>,
}

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        let run = self.run.get().unwrap();
        // Refused where another has its turn.
        let is_logged = run.log([("told", 1)]).is_ok();
        self.logged.lock().unwrap().send(is_logged).unwrap();
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What takes longer never comes.
const LONG: Duration = Duration::from_secs(20);

fn check(is_synchronous: bool) {
    let (logged, told) = mpsc::channel();
    let listener = Dispatch::new(Listener {
        run: OnceLock::new(),
        logged: Mutex::new(logged),
    });
    let builder = init().synchronous(is_synchronous);
    let start = || builder.start_on(MemorySink::new()).unwrap();
    let run = dispatcher::with_default(&listener, start);
    let listening = listener.downcast_ref::<Listener>().unwrap();
    listening.run.set(run.clone()).unwrap();
    let (done, end) = mpsc::channel();
    let logging = run.clone();
    std::thread::spawn(move || {
        let artifact = Artifact::made_in(&Workshop::without_threads(), "a");
        done.send(logging.log_artifact(artifact)).unwrap();
    });
    let given = end.recv_timeout(LONG).expect("it waits for itself");
    assert_eq!(given.is_err(), is_synchronous);
    let is_logged = told.recv_timeout(LONG).unwrap();
    let error = run.finish_within(LONG).unwrap_err().to_string();
    assert!(error.contains("ulimit -u"), "{error}");
    let stats = run.stats();
    assert_eq!((stats.artifacts.failed, stats.artifacts.queued), (1, 0));
    assert_eq!(stats.rows.written, u64::from(is_logged));
}

#[test]
fn a_listener_that_logs_is_told_of_a_thread_that_cannot_be_started() {
    check(false);
    check(true);
}

/// Logs into the run when it is dropped: of a caller that has its turn still, that waits for itself.
struct LogsLast(Run);

impl Drop for LogsLast {
    fn drop(&mut self) {
        let _ = self.0.log([("last", 1)]);
    }
}

/// A picture of a tensor that logs into the run when it is dropped.
fn picture(run: &Run) -> Image {
    let tensor = LogsLast(run.clone());
    image_read_by(move || {
        let _tensor = &tensor;
        HostTensor::new([1, 1], vec![0_u8])
    })
}

/// Does it on a thread that may wait for itself, and is refused.
fn check_refused(run: &Run, log: impl FnOnce(&Run) -> Result<()> + Send + 'static) {
    let (done, end) = mpsc::channel();
    let run = run.clone();
    std::thread::spawn(move || done.send(log(&run)).unwrap());
    let given = end.recv_timeout(LONG).expect("it waits for itself");
    assert!(given.is_err());
}

#[test]
fn what_is_refused_is_dropped_when_others_have_their_turn() {
    let run = init().start_on(MemorySink::new()).unwrap();
    run.log_at(1, [("a", 1)]).unwrap();
    check_refused(&run, |run| run.log_at(0, [("p", picture(run))]));
    run.finish().unwrap();
    check_refused(&run, |run| run.log([("p", picture(run))]));
    check_refused(&run, |run| run.media_json("p", 0, picture(run)).map(drop));
    let workshop = Workshop::new(1 << 20, 1);
    let (group, (release, held)) = (workshop.group(), mpsc::channel::<()>());
    let hold = move |_room| {
        let _ = held.recv();
        Ok(())
    };
    group.give(Load::default(), hold).unwrap();
    check_refused(&run, move |run| {
        let mut artifact = Artifact::made_in(&workshop, "a");
        artifact.add(picture(run), "p")?;
        run.log_artifact(artifact)
    });
    drop(release);
}

/// Takes one file.
struct OneFile(MemorySink);

impl RecordSink for OneFile {
    fn media(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.0.media(path, bytes)
    }
    fn take_file(&mut self, file: &StagedFile<'_>) -> Result<PathBuf> {
        match self.0.files().is_empty() {
            true => self.0.take_file(file),
            false => Err(Error::device("planned")),
        }
    }
    fn record(&mut self, record: &records::Record) -> Result<()> {
        self.0.record(record)
    }
    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

#[test]
fn what_was_written_of_an_artifact_that_fails_counts_as_written() {
    let dir = tempfile::tempdir().unwrap();
    let run = init().start_on(OneFile(MemorySink::new())).unwrap();
    run.flush(LONG).unwrap();
    let before = run.stats().bytes_written;
    let mut artifact = Artifact::new("a", "dataset").unwrap();
    for name in ["one", "two"] {
        let path = dir.path().join(name);
        std::fs::write(&path, vec![0; 1000]).unwrap();
        artifact.add_file(&path).unwrap();
    }
    run.log_artifact(artifact).unwrap();
    run.flush(LONG).unwrap_err();
    assert_eq!(run.stats().bytes_written - before, 1000);
}
