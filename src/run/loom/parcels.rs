//! Artifacts, and the tables of rows, on their way. Threads of the program make them, in the place
//! of those that finish real ones: loom takes five threads in all, so there is no worker beside the
//! spare one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::tests::{
    Disk, LONG, check_sums, close_row, explore, log_row, nothing_more, spawn, start_pipeline,
};
use crate::artifact::{Artifact, MadeArtifact};
use crate::error::{Error, Result};
use crate::image::Seen;
use crate::pipeline::{Counts, Deadline, Pipeline, Queued, Stats, TableId};
use crate::run::init;
use crate::sink::records::{Record, RecordType};
use crate::sink::{Kept, MediaKey, Staging};
use crate::table::{Lost, MadeTable, RunFile};

// ---- artifacts and tables ----

/// More files than are taken in one go.
const FILES: usize = 40;

/// An artifact of many files.
fn artifact() -> MadeArtifact {
    MadeArtifact::of_n_files(FILES, 1)
}

// All threads of a program run on one of the system's.
std::thread_local! {
    static STAGING: Arc<Staging> = Arc::new(Staging::create_in(&std::env::temp_dir()).unwrap());
}

/// A table of so many rows.
fn table(rows: u64) -> MadeTable {
    MadeTable {
        entries: BTreeMap::new(),
        run_file: RunFile {
            staging: STAGING.with(Arc::clone),
            name: "table".into(),
            sha256: format!("{rows:0<64}"),
            size: 1,
        },
        columns: 1,
        rows,
        lost: Lost::default(),
        seen: Seen::default(),
    }
}

fn planned<T>() -> Result<T> {
    Err(Error::device("planned"))
}

fn start(disk: &Disk) -> Pipeline {
    start_pipeline(disk, 0)
}

/// Logs a row, with a table where there is one.
fn log(pipeline: &Pipeline, step: u64, table: Option<TableId>) {
    log_row(pipeline, step, table.map(under_key));
}

fn under_key(table: TableId) -> (&'static str, Queued) {
    let key = MediaKey::new("t").unwrap();
    ("t", Queued::Table(key, table))
}

fn flush(pipeline: &Pipeline) -> Result<()> {
    let inquiry = pipeline.inquire();
    inquiry.flush(&inquiry.begin_flush(), Deadline::after(LONG))
}

fn finish(pipeline: &Pipeline) -> Result<()> {
    pipeline.close();
    pipeline.finish(0, Deadline::after(LONG))
}

// ---- what the disk has ----

/// What was kept, in order: a word of each, without the summaries. The files of an artifact, which
/// come before its record, are none.
fn story(kept: &[Kept]) -> Vec<String> {
    let mut files = 0;
    let word = |kept| match word(kept)? {
        word if word == "file" => {
            files += 1;
            None
        }
        word => {
            assert!(word != "a" || files == FILES, "{files}");
            Some(word)
        }
    };
    kept.iter().filter_map(word).collect()
}

fn word(kept: &Kept) -> Option<String> {
    match kept {
        Kept::Media(file) if file.path.starts_with("media/table/") => Some("table".into()),
        Kept::Media(_) => Some("file".into()),
        Kept::Record(Record { record_type, .. }) => match record_type {
            Some(RecordType::Artifact(artifact)) => Some(artifact.name.clone()),
            Some(RecordType::History(row)) => Some(format!("row {}", row.step.unwrap().num)),
            Some(RecordType::Exit(_)) => Some("end".into()),
            _ => None,
        },
    }
}

fn kept(disk: &Disk) -> Vec<String> {
    story(&disk.kept.kept())
}

/// What the last flush confirmed of that.
fn confirmed(disk: &Disk) -> Vec<String> {
    let flushed = disk.flushed.load(Ordering::SeqCst);
    story(&disk.kept.kept()[..flushed])
}

/// Whether these come in this order, with others in between.
fn in_order(story: &[String], words: &[&str]) -> bool {
    let mut words = words.iter().peekable();
    for said in story {
        words.next_if(|word| *word == said);
    }
    words.peek().is_none()
}

/// Nothing is on its way any more; of rows and artifacts, so many were accepted, written, and failed.
fn check(stats: Stats, rows: u64, artifacts: [u64; 3]) {
    check_sums(stats);
    let Counts {
        accepted,
        written,
        failed,
        queued,
        ..
    } = stats.artifacts;
    assert_eq!(([accepted, written, failed], queued), (artifacts, 0));
    assert_eq!((stats.rows.written, stats.queued_bytes), (rows, 0));
}

fn ended_and_told_once(disk: &Disk) {
    assert!(disk.has_end());
    assert_eq!(disk.told(), 1);
}

const TABLE: &str = "run-id-t";

// ---- the programs ----

#[test]
fn a_flush_waits_for_an_artifact_that_is_being_made() {
    let program = |disk: &Disk| {
        let pipeline = start(disk);
        let made = pipeline.await_artifact("a");
        let maker = spawn(|| made(Ok(artifact())));
        log(&pipeline, 0, None);
        check_sums(pipeline.stats());
        flush(&pipeline).unwrap();
        let confirmed = confirmed(disk);
        assert!(in_order(&confirmed, &["a"]), "{confirmed:?}");
        assert!(in_order(&confirmed, &["row 0"]), "{confirmed:?}");
        maker.join().unwrap();
        check(pipeline.stats(), 1, [1, 1, 0]);
    };
    explore(program, nothing_more);
}

/// An artifact, and a row that waits for its table.
#[test]
fn a_flush_waits_for_nothing_that_is_logged_after_it_began() {
    let program = |disk: &Disk| {
        let pipeline = start(disk);
        let made = pipeline.await_artifact("a");
        let maker = spawn(|| made(Ok(artifact())));
        log(&pipeline, 0, None);
        let inquiry = pipeline.inquire();
        let begun = inquiry.begin_flush();
        let held = pipeline.await_artifact("b");
        let (id, held_too) = pipeline.await_table("t", 1);
        log(&pipeline, 1, Some(id));
        inquiry.flush(&begun, Deadline::after(LONG)).unwrap();
        let confirmed = confirmed(disk);
        assert!(in_order(&confirmed, &["a"]), "{confirmed:?}");
        assert!(in_order(&confirmed, &["row 0"]), "{confirmed:?}");
        assert_eq!(confirmed.len(), 2);
        drop(inquiry);
        held(Ok(artifact()));
        held_too(Ok(table(1)));
        flush(&pipeline).unwrap();
        maker.join().unwrap();
        check(pipeline.stats(), 2, [3, 3, 0]);
    };
    explore(program, nothing_more);
}

#[test]
fn the_end_comes_after_an_artifact_and_the_rows_behind_it() {
    let program = |disk: &Disk| {
        let pipeline = start(disk);
        log(&pipeline, 0, None);
        let made = pipeline.await_artifact("a");
        let maker = spawn(|| made(Ok(artifact())));
        log(&pipeline, 1, None);
        finish(&pipeline).unwrap();
        let kept = kept(disk);
        assert!(in_order(&kept, &["a", "end"]), "{kept:?}");
        assert!(in_order(&kept, &["row 0", "row 1", "end"]), "{kept:?}");
        assert_eq!(kept.len(), 4);
        maker.join().unwrap();
        check(pipeline.stats(), 2, [1, 1, 0]);
    };
    explore(program, |disk| assert!(disk.has_end()));
}

#[test]
fn a_row_waits_for_its_table_and_those_behind_it_wait_for_the_row() {
    let program = |disk: &Disk| {
        let pipeline = start(disk);
        let (id, made) = pipeline.await_table("t", 0);
        let maker = spawn(|| made(Ok(table(1))));
        log(&pipeline, 0, Some(id));
        log(&pipeline, 1, None);
        flush(&pipeline).unwrap();
        assert_eq!(confirmed(disk), ["table", TABLE, "row 0", "row 1"]);
        finish(&pipeline).unwrap();
        maker.join().unwrap();
        check(pipeline.stats(), 2, [1, 1, 0]);
    };
    explore(program, |disk| assert!(disk.has_end()));
}

/// Before it is made, meanwhile, and after that.
#[test]
fn a_table_that_is_replaced_is_not_written() {
    let program = |disk: &Disk| {
        let pipeline = start(disk);
        pipeline.open_row();
        let (first, made) = pipeline.await_table("t", 0);
        let maker = spawn(|| made(Ok(table(1))));
        let (second, made) = pipeline.await_table("t", 0);
        let other = spawn(|| made(Ok(table(2))));
        pipeline.replace_table(first);
        check_sums(pipeline.stats());
        close_row(&pipeline, 0, Some(under_key(second)));
        finish(&pipeline).unwrap();
        assert_eq!(kept(disk), ["table", TABLE, "row 0", "end"]);
        let path = disk.kept.files().remove(0).path;
        assert!(path.starts_with("media/table/t_0_2000"), "{path}");
        [maker, other]
            .into_iter()
            .for_each(|maker| maker.join().unwrap());
        check(pipeline.stats(), 1, [1, 1, 0]);
    };
    explore(program, nothing_more);
}

/// The first of a key that fails is told before a flush returns it, and no other.
#[test]
fn an_artifact_that_fails_is_told_and_returned_once() {
    let program = |disk: &Disk| {
        let pipeline = start(disk);
        let made = pipeline.await_artifact("a");
        let maker = spawn(|| made(planned()));
        log(&pipeline, 0, None);
        flush(&pipeline).unwrap_err();
        assert_eq!(disk.told(), 1);
        flush(&pipeline).unwrap();
        assert_eq!(kept(disk), ["row 0"]);
        finish(&pipeline).unwrap_err();
        maker.join().unwrap();
        check(pipeline.stats(), 1, [1, 0, 1]);
    };
    explore(program, ended_and_told_once);
}

#[test]
fn a_table_that_fails_is_told_and_its_row_is_written() {
    let program = |disk: &Disk| {
        let pipeline = start(disk);
        let (id, made) = pipeline.await_table("t", 0);
        let maker = spawn(|| made(planned()));
        log(&pipeline, 0, Some(id));
        flush(&pipeline).unwrap_err();
        assert_eq!((confirmed(disk), disk.told()), (vec!["row 0".into()], 1));
        flush(&pipeline).unwrap();
        finish(&pipeline).unwrap_err();
        maker.join().unwrap();
        check(pipeline.stats(), 1, [1, 0, 1]);
    };
    explore(program, ended_and_told_once);
}

/// Nobody waits for them: they are written all the same, and the threads end.
#[test]
fn what_is_being_made_when_a_pipeline_is_dropped_is_written() {
    let program = |disk: &Disk| {
        let pipeline = start(disk);
        let made = pipeline.await_artifact("a");
        let _ = spawn(|| made(Ok(artifact())));
        let (id, made) = pipeline.await_table("t", 0);
        let _ = spawn(|| made(Ok(table(1))));
        log(&pipeline, 0, Some(id));
    };
    explore(program, |disk| {
        let kept = kept(disk);
        assert!(in_order(&kept, &["a"]), "{kept:?}");
        assert!(in_order(&kept, &["table", TABLE, "row 0"]), "{kept:?}");
        assert_eq!(kept.len(), 4);
    });
}

/// The time of the end is up before it begins.
#[test]
fn an_artifact_of_a_run_that_nobody_waits_for_is_written_before_its_end() {
    let program = |disk: &Disk| {
        let run = disk.start(init().finish_timeout(std::time::Duration::ZERO));
        let mut artifact = Artifact::new("b", "dataset").unwrap();
        artifact.add_reference("s3://bucket/file").unwrap();
        run.log_artifact(artifact).unwrap();
        run.log([("a", 1)]).unwrap();
    };
    explore(program, |disk| {
        let kept = kept(disk);
        assert!(in_order(&kept, &["b", "end"]), "{kept:?}");
        assert!(in_order(&kept, &["row 0", "end"]), "{kept:?}");
        // That the time was up, where it was.
        assert!(disk.told() <= 1);
    });
}
