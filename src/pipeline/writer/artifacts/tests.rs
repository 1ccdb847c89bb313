//! What comes to the sink of an artifact, and when.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::convert::IntoWandbImage;
use crate::image::Seen;
use crate::pipeline::clock::Clock;
use crate::pipeline::row::{Prepared, PreparedImage, PreparedRow};
use crate::sink::RecordSink;
use crate::sink::records::Record;
use crate::table::{Lost, RunFile};
use crate::tensor::HostTensor;

/// Takes note of what comes.
#[derive(Clone, Default)]
struct Notes {
    words: Arc<Mutex<Vec<&'static str>>>,
    /// The last record of an artifact.
    artifact: Arc<Mutex<ArtifactRecord>>,
    /// How often it says that it has lost files.
    losses: Arc<AtomicUsize>,
    refuses_rows: bool,
}

impl Notes {
    fn note(&self, word: &'static str) {
        self.words.lock().unwrap().push(word);
    }

    /// Since this was last asked: each word with how often it came in a row.
    fn take(&self) -> Vec<(&'static str, usize)> {
        let words = std::mem::take(&mut *self.words.lock().unwrap());
        let runs = words.chunk_by(|a, b| a == b);
        runs.map(|run| (run[0], run.len())).collect()
    }

    fn lose(&self, times: usize) {
        self.losses.store(times, Ordering::SeqCst);
    }
}

impl RecordSink for Notes {
    fn media(&mut self, _: &str, _: &[u8]) -> Result<()> {
        self.note("picture");
        Ok(())
    }
    fn take_file(&mut self, file: &StagedFile<'_>) -> Result<PathBuf> {
        self.note("file");
        Ok(file.place.path().into())
    }
    fn record(&mut self, record: &Record) -> Result<()> {
        match &record.record_type {
            Some(RecordType::Artifact(artifact)) => {
                *self.artifact.lock().unwrap() = artifact.clone();
                self.note("artifact");
            }
            Some(RecordType::History(_)) if self.refuses_rows => {
                return Err(Error::device("planned"));
            }
            Some(RecordType::History(_)) => self.note("row"),
            _ => {}
        }
        Ok(())
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
    fn has_lost(&mut self) -> bool {
        let less = |losses: usize| losses.checked_sub(1);
        let lost = self
            .losses
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        lost.is_ok()
    }
}

fn begin() -> (Writer, Notes) {
    let notes = Notes::default();
    let writer = Writer::new(Box::new(notes.clone()), Clock::start(), "id".into());
    (writer, notes)
}

fn row(step: u64) -> PreparedRow {
    let dot = HostTensor::new([1, 1], vec![1_u8]).unwrap();
    let image = PreparedImage::make(&dot.to_wandb_image().unwrap()).unwrap();
    let picture = Prepared::Image(MediaKey::new("p").unwrap(), image);
    PreparedRow {
        step,
        logged: Clock::start().now(),
        values: BTreeMap::from([("p".into(), picture)]),
    }
}

/// What comes in each turn of an artifact of these files.
fn check(n: usize, size: u64, turns: &[usize]) {
    let (mut writer, notes) = begin();
    writer.begin_artifact(MadeArtifact::of_n_files(n, size));
    for (turn, &expected) in turns.iter().enumerate() {
        let is_last = turn + 1 == turns.len();
        assert_eq!(writer.take_files().unwrap(), is_last, "turn {turn}");
        let mut came = vec![("file", expected)];
        came.retain(|(_, files)| *files > 0);
        came.extend(is_last.then_some(("artifact", 1)));
        assert_eq!(notes.take(), came, "turn {turn}");
    }
    let artifact = notes.artifact.lock().unwrap().clone();
    let contents = artifact.manifest.unwrap().contents;
    let paths: Vec<_> = contents.into_iter().map(|entry| entry.path).collect();
    let expected: Vec<_> = (0..n).map(|number| format!("{number:06}")).collect();
    assert_eq!(paths, expected);
}

#[test]
fn files_are_taken_a_few_at_a_time() {
    check(0, 1, &[0]);
    check(FILES_AT_A_TIME - 1, 1, &[FILES_AT_A_TIME - 1]);
    check(FILES_AT_A_TIME, 1, &[FILES_AT_A_TIME, 0]);
    check(
        2 * FILES_AT_A_TIME + 1,
        1,
        &[FILES_AT_A_TIME, FILES_AT_A_TIME, 1],
    );
    check(2, BYTES_AT_A_TIME + 1, &[1, 1, 0]);
    check(5, BYTES_AT_A_TIME / 2, &[2, 2, 1]);
}

/// Takes all that is left, and returns what came.
fn take_all(writer: &mut Writer, notes: &Notes) -> Vec<(&'static str, usize)> {
    while !writer.take_files().unwrap() {}
    notes.take()
}

#[test]
fn an_artifact_begins_anew_where_files_are_lost() {
    let n = FILES_AT_A_TIME + 1;
    let (mut writer, notes) = begin();
    assert!(writer.row(&row(0)).0.failure.is_none());
    writer.begin_artifact(MadeArtifact::of_n_files(n, 1));
    notes.lose(1);
    notes.take();
    assert_eq!(
        take_all(&mut writer, &notes),
        [("file", 2 * n), ("artifact", 1)]
    );
    // The picture of the row before is handed over once more.
    writer.row(&row(1));
    assert_eq!(notes.take(), [("picture", 1), ("row", 1)]);
    writer.row(&row(2));
    assert_eq!(notes.take(), [("row", 1)]);
}

#[test]
fn an_artifact_begins_anew_where_a_row_learns_that_files_are_lost() {
    let n = FILES_AT_A_TIME + 1;
    let (mut writer, notes) = begin();
    writer.begin_artifact(MadeArtifact::of_n_files(n, 1));
    assert!(!writer.take_files().unwrap());
    notes.lose(1);
    writer.row(&row(0));
    let first = [("file", n - 1), ("picture", 2), ("row", 1)];
    assert_eq!(notes.take(), first);
    assert_eq!(
        take_all(&mut writer, &notes),
        [("file", 1 + n), ("artifact", 1)]
    );
}

#[test]
fn what_is_lost_again_and_again_keeps_nobody_waiting() {
    let (mut writer, notes) = begin();
    writer.begin_artifact(MadeArtifact::of_n_files(1, 1));
    notes.lose(usize::MAX);
    assert_eq!(
        take_all(&mut writer, &notes),
        [("file", 3), ("artifact", 1)]
    );
}

/// Its artifact is in the log, and uploaded.
#[test]
fn a_table_is_written_where_its_row_is_refused_after_it() {
    for refuses_rows in [false, true] {
        let notes = Notes {
            refuses_rows,
            ..Notes::default()
        };
        let mut writer = Writer::new(Box::new(notes.clone()), Clock::start(), "id".into());
        let table = Prepared::Table(MediaKey::new("t").unwrap(), Box::new(table()));
        let row = PreparedRow {
            values: BTreeMap::from([("t".into(), table)]),
            ..row(0)
        };
        let (outcome, _) = writer.row(&row);
        assert_eq!(outcome.failure.is_some(), refuses_rows);
        assert_eq!(outcome.tables_written, 1);
        assert_eq!(notes.take()[..2], [("file", 1), ("artifact", 1)]);
    }
}

/// Without rows.
fn table() -> MadeTable {
    MadeTable {
        entries: BTreeMap::new(),
        run_file: RunFile {
            staging: Arc::new(Staging::create_in(&std::env::temp_dir()).unwrap()),
            name: "table".into(),
            sha256: "0".repeat(64),
            size: 1,
        },
        columns: 1,
        rows: 0,
        lost: Lost::default(),
        seen: Seen::default(),
    }
}

/// Whether the record names a file of the contents, where each path is so long.
fn check_contents(paths: usize, len: usize, is_in_file: bool) {
    let (mut writer, notes) = begin();
    let entry = |number: usize| {
        let entry = Entry {
            digest: Digest::Address("https://example.invalid".into()),
            size: 0,
            source: Source::Reference,
        };
        (format!("{number:0len$}"), entry)
    };
    let heading = Heading::new("a".into(), "dataset".into());
    writer.begin_artifact(MadeArtifact::of_files(heading, (0..paths).map(entry)));
    let came = take_all(&mut writer, &notes);
    assert_eq!(came.len(), 1 + usize::from(is_in_file), "{came:?}");
    let artifact = notes.artifact.lock().unwrap().clone();
    assert!(artifact.encoded_len() < 33 << 20);
    let manifest = artifact.manifest.unwrap();
    assert_eq!(manifest.contents.is_empty(), is_in_file);
    assert_eq!(manifest.manifest_file_path.is_empty(), !is_in_file);
}

#[test]
fn contents_that_are_too_long_for_a_record_are_in_a_file() {
    check_contents(100, 100, false);
    check_contents(1000, 32 << 10, false);
    check_contents(1024, 32 << 10, true);
}
