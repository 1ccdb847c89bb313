//! Each fault of a run that `verify` names, what `repair` makes of it, and what `wandb sync` then
//! uploads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use prost::Message;
use serde_json::{Value, json};
use tempfile::TempDir;
use wandb_image::sink::logged::find_log;
use wandb_image::sink::reader::LogReader;
use wandb_image::sink::records::{
    ConfigRecord, HeaderRecord, HistoryRecord, Item, Record, RecordType, RunRecord, SummaryRecord,
};
use wandb_image::sink::repair::{Repaired, repair};
use wandb_image::sink::verify::{Fault, FaultKind, Report, verify};
use wandb_image::{Error, Image, Mode, Pixels, Row, RunMode};

use crate::client::{Client, hashes, sha256};
use crate::framed::{BLOCK, Framed, exit, files, item, record, row, run};

const PICTURE: &[u8] = b"the bytes of a picture";
const PATH: &str = "media/images/sample_0_x.png";

/// A run made record by record.
struct Desk {
    dir: TempDir,
    name: String,
    records: Vec<Record>,
}

impl Desk {
    /// A sound run: a header, the run, a picture, two rows, the exit.
    fn new() -> Self {
        let desk = Self {
            dir: tempfile::tempdir().unwrap(),
            name: "offline-run-20250101_000000-r1".into(),
            records: vec![
                record(RecordType::Header(HeaderRecord { version_info: None })),
                run("r1"),
                files(&[PATH]),
                row(0, image("sample", PATH)),
                row(1, vec![item(&["loss"], "NaN")]),
                exit(),
            ],
        };
        desk.file(PATH, PICTURE);
        desk
    }

    fn run(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }

    fn log(&self) -> PathBuf {
        self.run().join("run-r1.wandb")
    }

    fn file(&self, path: &str, bytes: &[u8]) -> &Self {
        let path = self.run().join("files").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    fn with(mut self, at: usize, record: Record) -> Self {
        self.records.insert(at, record);
        self
    }

    fn without(mut self, at: usize) -> Self {
        self.records.remove(at);
        self
    }

    fn write(&self) -> Framed {
        let log = Framed::of(&self.records);
        fs::write(self.log(), &log.bytes).unwrap();
        log
    }

    fn verify(&self) -> Report {
        verify(self.run()).unwrap()
    }

    /// Repairs the run, and checks that nothing is wrong with what that made.
    fn repair(&self) -> Repaired {
        let source = tree(&self.run());
        let repaired = repair(self.run(), self.dir.path().join("repaired")).unwrap();
        assert_eq!(tree(&self.run()), source, "the damaged run was touched");
        let report = verify(&repaired.dir).unwrap();
        assert!(report.is_sound(), "{:#?}", report.faults);
        assert_eq!(report.rows, repaired.rows);
        repaired
    }
}

/// Every file below a directory, with its bytes.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(tree(&path)),
            false => _ = files.insert(path.clone(), fs::read(path).unwrap_or_default()),
        }
    }
    files
}

/// The leaves of an image, as this crate and the SDK write them.
fn image(key: &str, path: &str) -> Vec<Item> {
    let leaf = |name: &str, value: Value| item(&[key, name], &value.to_string());
    vec![
        leaf("_type", json!("image-file")),
        leaf("path", json!(path)),
        leaf("sha256", json!(sha256(PICTURE))),
        leaf("size", json!(PICTURE.len())),
        leaf("format", json!("png")),
        leaf("width", json!(4)),
        leaf("height", json!(2)),
    ]
}

/// One fault of this kind, and no other; notes beside it are passed over unless it is one.
fn check(report: &Report, kind: FaultKind, expected: &str) {
    let is_seen = |fault: &&Fault| match kind.is_note() {
        true => fault.kind == kind,
        false => !fault.kind.is_note(),
    };
    let found: Vec<_> = report.faults.iter().filter(is_seen).collect();
    assert_eq!(
        found.len(),
        1,
        "{kind:?} expected once: {:#?}",
        report.faults
    );
    assert_eq!(found[0].kind, kind, "{}", found[0]);
    assert_eq!(report.is_sound(), kind.is_note());
    let text = found[0].to_string();
    assert!(text.contains(expected), "{expected:?} is not in: {text}");
}

fn missing(repaired: &Repaired) -> Vec<String> {
    repaired.missing.iter().map(ToString::to_string).collect()
}

fn changed(repaired: &Repaired) -> Vec<String> {
    repaired.changed.iter().map(ToString::to_string).collect()
}

/// The records of a repaired run.
fn records(repaired: &Repaired) -> Vec<Record> {
    let log = LogReader::open(find_log(&repaired.dir).unwrap()).unwrap();
    log.collect::<Result<_, _>>().unwrap()
}

fn rows(records: &[Record]) -> Vec<HistoryRecord> {
    let row = |record: &Record| match &record.record_type {
        Some(RecordType::History(row)) => Some(row.clone()),
        _ => None,
    };
    records.iter().filter_map(row).collect()
}

fn is_exit(record: &Record) -> bool {
    matches!(record.record_type, Some(RecordType::Exit(_)))
}

// ---- the log ----

#[test]
fn a_sound_run_has_no_fault_and_is_repaired_to_itself() {
    let desk = Desk::new();
    desk.write();
    let report = desk.verify();
    assert!(report.faults.is_empty(), "{:#?}", report.faults);
    assert_eq!((report.records, report.rows, report.media_files), (6, 2, 1));
    assert_eq!(report.run_id.as_deref(), Some("r1"));
    let repaired = desk.repair();
    assert_eq!(records(&repaired), desk.records);
    assert_eq!((repaired.missing.len(), repaired.changed.len()), (0, 0));
    assert_eq!(
        fs::read(repaired.dir.join("files").join(PATH)).unwrap(),
        PICTURE
    );
}

fn check_no_log(bytes: Option<&[u8]>, kind: FaultKind, expected: &str) {
    let desk = Desk::new();
    if let Some(bytes) = bytes {
        fs::write(desk.log(), bytes).unwrap();
    }
    check(&desk.verify(), kind, expected);
    let error = repair(desk.run(), desk.dir.path().join("repaired")).unwrap_err();
    assert!(matches!(error, Error::Unrepairable { .. }), "{error}");
    assert!(!desk.dir.path().join("repaired").join(&desk.name).exists());
}

#[test]
fn a_run_without_records_is_named_plainly() {
    let text = "the directory holds no .wandb file, which is a run's log: give the directory \
                offline-run-… or the file run-….wandb";
    check_no_log(None, FaultKind::NoLog, text);
    check_no_log(Some(b""), FaultKind::EmptyLog, "the log is empty");
    let killed = "header and no record: its writer was killed before it wrote any";
    check_no_log(Some(b":W&B\xE1\xBE\x00"), FaultKind::EmptyLog, killed);
    let text = "bytes 0 to 10: it does not begin as a W&B transaction log does, and holds no";
    check_no_log(Some(b"not a log."), FaultKind::NoHeader, text);
}

#[test]
fn a_folder_of_runs_names_the_last() {
    let desk = Desk::new();
    desk.write();
    let expected = format!("it holds 1 run: give one, such as {}", desk.run().display());
    let report = verify(desk.dir.path()).unwrap();
    check(&report, FaultKind::NoLog, &expected);
    let error = find_log(desk.dir.path()).unwrap_err().to_string();
    assert!(error.contains(&expected), "{error}");
}

#[test]
fn what_is_not_there_is_an_error() {
    let error = verify("no/such/run").unwrap_err().to_string();
    assert!(
        error.contains("could not find the log of the run no/such/run"),
        "{error}"
    );
}

fn check_damage(desk: &Desk, bytes: &[u8], kind: FaultKind, expected: &str, kept: &[usize]) {
    fs::write(desk.log(), bytes).unwrap();
    check(&desk.verify(), kind, expected);
    let repaired = desk.repair();
    let kept: Vec<_> = kept.iter().map(|&i| desk.records[i].clone()).collect();
    assert_eq!(records(&repaired), kept);
}

#[test]
fn a_damaged_log_is_named_by_its_bytes() {
    let desk = Desk::new();
    let Framed { bytes, places } = desk.write();
    let ((from, to), end) = (places[4], bytes.len());
    let flipped = |at: usize| {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0xFF;
        flipped
    };
    let expected = format!("after step 0, bytes {from} to {to}: the checksum does not match: ");
    check_damage(
        &desk,
        &flipped(from + 9),
        FaultKind::Unreadable,
        &expected,
        &[0, 1, 2, 3, 5],
    );
    let desk = Desk::new();
    let expected = format!(
        "after step 1, bytes {} to {}: the log is torn here",
        places[5].0,
        end - 1
    );
    check_damage(
        &desk,
        &bytes[..end - 1],
        FaultKind::TornEnd,
        &expected,
        &[0, 1, 2, 3, 4],
    );
    let desk = Desk::new();
    let expected =
        "before step 0, bytes 0 to 7: it does not begin as a W&B transaction log does, so";
    check_damage(
        &desk,
        &flipped(0),
        FaultKind::NoHeader,
        expected,
        &[0, 1, 2, 3, 4, 5],
    );
    let repaired = repair(desk.run(), desk.dir.path().join("again")).unwrap();
    let expected = ["before step 0, bytes 0 to 7: the log got a new header"];
    assert_eq!(
        (changed(&repaired), missing(&repaired)),
        (expected.map(String::from).to_vec(), vec![])
    );
    let desk = Desk::new();
    let mut log = Framed::of(&desk.records[..4]);
    let from = log.bytes.len();
    log.chunk(4, b"the end of a lost record");
    let to = log.bytes.len();
    desk.records[4..]
        .iter()
        .for_each(|record| log.push(&record.encode_to_vec()));
    let expected = format!(
        "between steps 0 and 1, which follow one another, bytes {from} to {to}: a part of a \
         record stands out of order: "
    );
    let all = [0, 1, 2, 3, 4, 5];
    check_damage(&desk, &log.bytes, FaultKind::Unreadable, &expected, &all);
}

#[test]
fn a_record_that_is_none_is_left_out() {
    let desk = Desk::new();
    let with = |bytes: &[u8]| {
        let mut log = Framed::of(&desk.records[..4]);
        log.push(bytes);
        desk.records[4..]
            .iter()
            .for_each(|record| log.push(&record.encode_to_vec()));
        log.bytes
    };
    let all = [0, 1, 2, 3, 4, 5];
    let expected = "record 5, byte ";
    check_damage(
        &desk,
        &with(&[0x12, 0xFF, 0]),
        FaultKind::NotProtobuf,
        expected,
        &all,
    );
    let desk = Desk::new();
    let bad_text = [0x12, 6, 0x0A, 4, 0x82, 1, 1, 0xFF];
    check_damage(
        &desk,
        &with(&bad_text),
        FaultKind::NotProtobuf,
        "no record of W&B",
        &all,
    );
    let desk = Desk::new();
    let expected = "the record has no type, at which `wandb sync` panics";
    check_damage(&desk, &with(&[8, 5]), FaultKind::NoType, expected, &all);
}

#[test]
fn a_type_that_is_not_known_here_is_kept() {
    let desk = Desk::new();
    let telemetry: &[u8] = &[8, 5, 0x5A, 2, 0x0A, 0];
    let newer: &[u8] = &[8, 6, 0xC2, 0xBB, 2, 1, b'x'];
    let mut log = Framed::of(&desk.records[..4]);
    log.push(telemetry);
    log.push(newer);
    desk.records[4..]
        .iter()
        .for_each(|record| log.push(&record.encode_to_vec()));
    fs::write(desk.log(), &log.bytes).unwrap();
    check(
        &desk.verify(),
        FaultKind::UnknownType,
        "of type 5048, which wandb 0.31.0 doesn't",
    );
    let repaired = desk.repair();
    let written = fs::read(find_log(&repaired.dir).unwrap()).unwrap();
    assert_eq!(written, log.bytes);
}

#[test]
fn the_run_record_comes_first_and_has_an_id() {
    let desk = Desk::new().without(1).with(3, run("r1"));
    desk.write();
    let expected = "2 records (1 row) stand here before the run record";
    check(&desk.verify(), FaultKind::BeforeRun, expected);
    let repaired = desk.repair();
    assert_eq!(records(&repaired)[1], run("r1"));
    assert_eq!(rows(&records(&repaired)).len(), 2);

    let desk = Desk::new().without(1);
    desk.write();
    check(
        &desk.verify(),
        FaultKind::NoRun,
        "the log has no run record",
    );
    let repaired = desk.repair();
    assert!(changed(&repaired)[0].contains("a run record was made, with the run id \"r1\""));
    assert_eq!(verify(&repaired.dir).unwrap().run_id.as_deref(), Some("r1"));

    let desk = Desk::new().without(1).with(1, run(""));
    desk.write();
    check(
        &desk.verify(),
        FaultKind::NoRunId,
        "the run record has no run_id",
    );
    let repaired = desk.repair();
    assert_eq!(records(&repaired)[1], run("r1"), "the project stays");
}

#[test]
fn a_second_run_record_is_an_update_or_of_another_run() {
    let mut update = RunRecord {
        run_id: "r1".into(),
        display_name: "renamed".into(),
        ..RunRecord::default()
    };
    let desk = Desk::new().with(4, record(RecordType::Run(update.clone())));
    desk.write();
    assert!(desk.verify().faults.is_empty());
    assert_eq!(records(&desk.repair()), desk.records);

    update.run_id = "r2".into();
    let desk = Desk::new().with(4, record(RecordType::Run(update)));
    desk.write();
    check(
        &desk.verify(),
        FaultKind::OtherRun,
        "names the run \"r2\", but the log is of \"r1\"",
    );
    assert_eq!(records(&desk.repair()).len(), 6);
}

#[test]
fn every_run_record_without_an_id_gets_that_of_the_log() {
    let update = |run_id: &str| {
        let (run_id, display_name) = (run_id.into(), "renamed".into());
        record(RecordType::Run(RunRecord {
            run_id,
            display_name,
            ..RunRecord::default()
        }))
    };
    for later in ["", "r1"] {
        let desk = Desk::new().without(1).with(1, run(""));
        let desk = desk.with(4, update(later));
        desk.write();
        let repaired = desk.repair();
        assert!(repaired.missing.is_empty(), "{:?}", repaired.missing);
        let records = records(&repaired);
        assert_eq!(records.len(), desk.records.len());
        assert_eq!(records[1], run("r1"), "the project stays");
        assert_eq!(records[4], update("r1"));
        assert!(verify(&repaired.dir).unwrap().is_sound());
    }
}

#[test]
fn rows_after_the_exit_come_before_it() {
    let late = row(2, vec![item(&["loss"], "1")]);
    let desk = Desk::new().with(6, late).with(7, exit());
    desk.write();
    let expected = "2 records (1 row) stand here after the exit record";
    check(&desk.verify(), FaultKind::AfterExit, expected);
    let repaired = desk.repair();
    let records = records(&repaired);
    assert_eq!(rows(&records).len(), 3);
    assert_eq!(records.iter().position(is_exit), Some(records.len() - 1));
}

#[test]
fn a_missing_exit_is_a_note_and_none_is_made() {
    let desk = Desk::new().without(5);
    desk.write();
    check(
        &desk.verify(),
        FaultKind::NoExit,
        "W&B will take it for failed",
    );
    assert!(!records(&desk.repair()).iter().any(is_exit));
}

fn check_steps(given: &[Option<&str>], kind: FaultKind, expected: &str, repaired: &[&str]) {
    let mut desk = Desk::new();
    let row = |step: &Option<&str>| {
        let step = step.map(|step| item(&["_step"], step));
        let item = [item(&["a"], "1")].into_iter().chain(step).collect();
        record(RecordType::History(HistoryRecord { item, step: None }))
    };
    desk.records.splice(3..5, given.iter().map(row));
    desk.write();
    check(&desk.verify(), kind, expected);
    let step = |row: &HistoryRecord| row.item.last().unwrap().value_json.clone();
    let steps: Vec<_> = rows(&records(&desk.repair())).iter().map(step).collect();
    assert_eq!(steps, repaired);
}

#[test]
fn steps_are_told_as_wandb_sync_would_give_them() {
    let rising =
        "step 3 comes after step 3, but steps must rise: `wandb sync` gives the row step 4";
    check_steps(
        &[Some("3"), Some("3")],
        FaultKind::StepNotRising,
        rising,
        &["3", "4"],
    );
    let falling = "step 1 comes after step 7";
    check_steps(
        &[Some("7"), Some("1")],
        FaultKind::StepNotRising,
        falling,
        &["7", "8"],
    );
    let none = "the row has no step, so `wandb sync` gives it step 6";
    check_steps(
        &[Some("5"), None, Some("9")],
        FaultKind::NoStep,
        none,
        &["5", "6", "9"],
    );
    check_steps(
        &[Some("5"), Some("6.5")],
        FaultKind::NoStep,
        none,
        &["5", "6"],
    );
}

#[test]
fn a_value_that_is_no_json_is_left_out() {
    let values = vec![item(&["bad", "leaf"], "{"), item(&["good"], "-Infinity")];
    let desk = Desk::new().with(5, row(2, values));
    desk.write();
    check(
        &desk.verify(),
        FaultKind::InvalidJson,
        "step 2, \"bad.leaf\", record 6",
    );
    let repaired = desk.repair();
    let kept = row(2, vec![item(&["good"], "-Infinity")]);
    assert_eq!(records(&repaired)[5], kept);
    assert!(missing(&repaired)[0].contains("\"bad.leaf\""));
}

// ---- files ----

/// The picture of the sound run is not as it should be, and is taken out of its row.
fn check_picture(desk: &Desk, kind: FaultKind, expected: &str) {
    desk.write();
    check(&desk.verify(), kind, expected);
    let repaired = desk.repair();
    let missing = missing(&repaired);
    assert!(
        missing[0].starts_with("step 0, \"sample\", "),
        "{missing:?}"
    );
    let rows = rows(&records(&repaired));
    assert_eq!(rows[0].item, [item(&["_step"], "0")]);
    assert_eq!((rows.len(), repaired.files), (2, 0));
}

#[test]
fn a_picture_that_is_missing_or_altered_is_named() {
    let desk = Desk::new();
    fs::remove_file(desk.run().join("files").join(PATH)).unwrap();
    let place = format!("step 0, \"sample\", {PATH}, record 4, byte ");
    check_picture(&desk, FaultKind::MissingFile, &place);
    let desk = Desk::new();
    desk.file(PATH, b"cut");
    check_picture(
        &desk,
        FaultKind::WrongSize,
        "has 3 bytes, but its row says 22",
    );
    let desk = Desk::new();
    desk.file(PATH, b"the bytes of a PICTURE");
    check_picture(
        &desk,
        FaultKind::WrongHash,
        &format!("its row says {}", sha256(PICTURE)),
    );
    let desk = Desk::new();
    fs::remove_file(desk.run().join("files").join(PATH)).unwrap();
    fs::create_dir(desk.run().join("files").join(PATH)).unwrap();
    let expected = "can't be read (it is no file, but a folder or a device)";
    check_picture(&desk, FaultKind::UnreadableFile, expected);
}

/// Not even root reads what is behind a link to itself.
#[cfg(unix)]
#[test]
fn a_picture_that_can_not_be_read_is_not_taken_for_one_that_is_gone() {
    let desk = Desk::new();
    let picture = desk.run().join("files").join(PATH);
    fs::remove_file(&picture).unwrap();
    std::os::unix::fs::symlink(&picture, &picture).unwrap();
    desk.write();
    let report = desk.verify();
    check(
        &report,
        FaultKind::UnreadableFile,
        "can't be read (Too many",
    );
    check(&report, FaultKind::UnreadableFile, "see to its permissions");
    let missing = missing(&desk.repair());
    assert!(
        missing[0].contains("can't be read (Too many"),
        "{missing:?}"
    );
}

fn at_path(path: &str) -> Desk {
    let mut desk = Desk::new();
    desk.records[2] = files(&[path]);
    desk.records[3] = row(0, image("sample", path));
    desk
}

#[test]
fn a_path_that_leaves_the_run_is_named() {
    let desk = at_path("../secret.png");
    fs::write(desk.run().join("secret.png"), PICTURE).unwrap();
    check_picture(&desk, FaultKind::UnsafePath, "the path holds `..`");
    check_picture(
        &at_path("/etc/hostname"),
        FaultKind::UnsafePath,
        "the path is absolute",
    );
    let desk = Desk::new().with(3, files(&["../x"]));
    desk.write();
    check(
        &desk.verify(),
        FaultKind::UnsafePath,
        "../x: the path holds `..`",
    );
    assert_eq!(records(&desk.repair()).len(), 6);
}

#[cfg(unix)]
#[test]
fn a_link_that_leaves_the_run_is_not_followed() {
    let desk = at_path("media/out/secret.png");
    let secret = desk.dir.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("secret.png"), PICTURE).unwrap();
    std::os::unix::fs::symlink(&secret, desk.run().join("files/media/out")).unwrap();
    check_picture(
        &desk,
        FaultKind::Link,
        "a link leads out of the run's files/",
    );
}

#[test]
fn a_picture_that_no_record_lists_is_listed() {
    let desk = Desk::new().without(2);
    desk.write();
    check(
        &desk.verify(),
        FaultKind::NotListed,
        "no `files` record names the file",
    );
    let repaired = desk.repair();
    let records = records(&repaired);
    assert_eq!(records[2], files(&[PATH]));
    assert!(changed(&repaired)[0].contains("added for 1 file"));
}

#[test]
fn of_a_list_what_is_there_stays() {
    let list = json!({
        "_type": "images/separated", "count": 2, "filenames": ["media/gone.png", PATH],
        "captions": ["gone", "there"], "format": "png", "width": 4, "height": 2,
    });
    let items = |list: &Value| {
        let leaves = list.as_object().unwrap().iter();
        leaves
            .map(|(name, value)| item(&["list", name], &value.to_string()))
            .collect()
    };
    let mut desk = Desk::new();
    desk.records[3] = row(0, items(&list));
    desk.write();
    check(
        &desk.verify(),
        FaultKind::MissingFile,
        "step 0, \"list\", media/gone.png",
    );
    let mut kept = list;
    kept["count"] = json!(1);
    kept["filenames"] = json!([PATH]);
    kept["captions"] = json!(["there"]);
    assert_eq!(records(&desk.repair())[3], row(0, items(&kept)));
}

/// A row with a picture, a mask whose file isn't there, and boxes.
fn with_layers() -> Desk {
    let layers = |mut items: Vec<Item>| {
        for (folder, layer, kind) in [("masks", "m", "mask"), ("boxes", "b", "boxes2D")] {
            let leaf = |name: &str, value: Value| {
                item(&["sample", folder, layer, name], &value.to_string())
            };
            items.push(leaf("_type", json!(kind)));
            items.push(leaf("path", json!(format!("media/{layer}"))));
            items.push(leaf("size", json!(3)));
        }
        items
    };
    let mut desk = Desk::new();
    desk.file("media/b", b"box");
    desk.records[2] = files(&[PATH, "media/b", "media/m"]);
    desk.records[3] = row(0, layers(image("sample", PATH)));
    desk.write();
    desk
}

#[test]
fn a_layer_is_checked_and_taken_out_alone() {
    let desk = with_layers();
    let report = desk.verify();
    check(
        &report,
        FaultKind::MissingFile,
        "step 0, \"sample.masks.m\", media/m",
    );
    let is_label = |kind| kind == FaultKind::NoClassLabels;
    let unlabeled = report.faults.iter().filter(|fault| is_label(fault.kind));
    assert_eq!(unlabeled.count(), 2);
    let repaired = desk.repair();
    let row = &rows(&records(&repaired))[0];
    let has = |path: &[&str]| row.item.iter().any(|item| item.path() == path);
    assert!(has(&["sample", "path"]) && has(&["sample", "boxes", "b", "path"]));
    assert!(!row.item.iter().any(|item| item.path().contains(&"masks")));
    assert_eq!(records(&repaired)[2], files(&[PATH, "media/b"]));
}

#[test]
fn a_picture_that_is_gone_takes_its_layers_with_it_and_that_is_told() {
    let desk = with_layers();
    fs::remove_file(desk.run().join("files").join(PATH)).unwrap();
    let repaired = desk.repair();
    let missing = missing(&repaired);
    let expected = "the media file, with its masks and boxes, which is not there";
    assert!(
        missing.iter().any(|one| one.contains(expected)),
        "{missing:?}"
    );
    let row = &rows(&records(&repaired))[0];
    assert!(!row.item.iter().any(|item| item.path().contains(&"sample")));
}

#[test]
fn labels_in_the_config_are_found_and_their_lack_is_a_note() {
    let mask = |name: &str, value: Value| item(&["sample", "masks", "m", name], &value.to_string());
    let mut items = image("sample", PATH);
    items.extend([mask("_type", json!("mask")), mask("path", json!(PATH))]);
    let mut desk = Desk::new();
    desk.records[3] = row(0, items);
    desk.write();
    let expected = "step 0, \"sample.masks.m\": the config has no names of classes";
    check(&desk.verify(), FaultKind::NoClassLabels, expected);
    let label = "sample_wandb_delimeter_m";
    let config = ConfigRecord {
        update: vec![item(
            &["_wandb", "mask/class_labels", label],
            r#"{"value":{"0":"a"}}"#,
        )],
        remove: Vec::new(),
    };
    let desk = desk.with(2, record(RecordType::Config(config)));
    desk.write();
    assert!(
        desk.verify().faults.is_empty(),
        "{:#?}",
        desk.verify().faults
    );
}

#[test]
fn an_image_in_one_value_is_taken_out_of_it() {
    let value = json!({"note": 1, "deep": {"image": {"_type": "image-file", "path": "gone"}}});
    let desk = Desk::new().with(5, row(2, vec![item(&["all"], &value.to_string())]));
    desk.write();
    check(
        &desk.verify(),
        FaultKind::MissingFile,
        "step 2, \"all.deep.image\", gone",
    );
    let left = json!({"note": 1, "deep": {}}).to_string();
    assert_eq!(
        records(&desk.repair())[5],
        row(2, vec![item(&["all"], &left)])
    );
}

#[test]
fn a_summary_names_no_file_that_is_gone() {
    let summary = |update| {
        record(RecordType::Summary(SummaryRecord {
            update,
            remove: vec![],
        }))
    };
    let mut update = image("sample", PATH);
    update.push(item(&["loss"], "0.5"));
    let desk = Desk::new()
        .without(2)
        .without(2)
        .with(3, summary(update.clone()));
    desk.write();
    check(
        &desk.verify(),
        FaultKind::NotListed,
        "\"sample\", media/images/sample_0_x.png, record 4",
    );
    assert_eq!(records(&desk.repair())[3], files(&[PATH]));

    let desk = Desk::new().with(3, summary(update));
    fs::remove_file(desk.run().join("files").join(PATH)).unwrap();
    check_picture(&desk, FaultKind::MissingFile, "step 0, \"sample\"");
    let log = find_log(desk.dir.path().join("repaired").join(&desk.name)).unwrap();
    let records: Vec<_> = LogReader::open(log).unwrap().map(Result::unwrap).collect();
    assert!(
        records.contains(&summary(vec![item(&["loss"], "0.5")])),
        "{records:#?}"
    );
}

/// A file that the summary alone names, and that holds something else, is told.
#[test]
fn an_altered_file_of_the_summary_is_told() {
    let mut update = image("sample", PATH);
    update.push(item(&["loss"], "0.5"));
    let summary = SummaryRecord {
        update,
        remove: vec![],
    };
    let desk = Desk::new()
        .without(3)
        .with(3, record(RecordType::Summary(summary)));
    desk.file(PATH, b"other bytes");
    desk.write();
    let expected = "\"sample\", media/images/sample_0_x.png, record 4";
    check(&desk.verify(), FaultKind::WrongSize, expected);
    let repaired = desk.repair();
    let [told] = &missing(&repaired)[..] else {
        panic!("{:?}", repaired.missing)
    };
    assert!(
        told.contains("holds other bytes than its row says; the summary keeps"),
        "{told}"
    );
    assert!(records(&repaired).iter().any(|record| matches!(
        &record.record_type,
        Some(RecordType::Summary(summary)) if summary.update == [item(&["loss"], "0.5")]
    )));
}

/// What serde_json doesn't read is no name of a file.
#[test]
fn a_value_with_nan_in_the_place_of_a_type_is_kept() {
    let desk = Desk::new().with(
        4,
        row(1, vec![item(&["odd"], r#"{"_type":NaN,"path":"x"}"#)]),
    );
    let desk = desk.without(5).with(5, row(2, vec![item(&["loss"], "1")]));
    desk.write();
    assert!(desk.verify().is_sound());
    assert_eq!(records(&desk.repair()), desk.records);
}

/// Nothing is lost behind a field that is none of W&B's.
#[test]
fn a_row_with_a_group_in_it_is_no_record() {
    let desk = Desk::new();
    let mut log = Framed::of(&desk.records[..5]);
    let mut bytes = desk.records[4].encode_to_vec();
    // A group of the field 15 before the items: the length of the row grows by its two bytes.
    assert_eq!(bytes[0], 0x12);
    bytes[1] += 2;
    bytes.splice(2..2, [0x7B, 0x7C]);
    log.push(&bytes);
    log.push(&desk.records[5].encode_to_vec());
    fs::write(desk.log(), &log.bytes).unwrap();
    check(
        &desk.verify(),
        FaultKind::NotProtobuf,
        "its fields can't be told apart",
    );
    let mut reader = LogReader::open(desk.log()).unwrap();
    assert!(reader.any(|record| record.is_err()));
    assert_eq!(records(&desk.repair()), desk.records);
}

#[test]
fn a_file_of_the_user_is_no_temporary_one() {
    let path = "data/half.part";
    let desk = Desk::new().with(2, files(&[path]));
    desk.file(path, b"x");
    desk.write();
    assert!(
        desk.verify().faults.is_empty(),
        "{:?}",
        desk.verify().faults
    );
}

#[test]
fn two_ways_to_write_a_path_are_one_file() {
    let path = PATH.replace("images/", "images//");
    let desk = Desk::new()
        .with(4, files(&[&path]))
        .with(5, row(1, image("again", &path)));
    desk.write();
    let repaired = repair(desk.run(), desk.dir.path().join("repaired")).unwrap();
    assert_eq!((missing(&repaired), repaired.rows), (vec![], 3));
}

// ---- the directory ----

#[test]
fn notes_are_of_the_directory() {
    let desk = Desk::new();
    desk.write();
    desk.file(".media.part", b"half");
    let expected = ".media.part: a temporary file was left";
    check(&desk.verify(), FaultKind::TemporaryFile, expected);
    desk.file("media/images/orphan.png", b"x");
    let expected = "no row names 1 media file, the first being media/images/orphan.png";
    check(&desk.verify(), FaultKind::UnnamedFiles, expected);
    let left = desk.repair().left_behind.unwrap();
    assert!(left.contains(expected), "{left}");
    let lost = Desk::new().without(3);
    lost.write();
    let expected = "no row names 1 media file, the first being media/images/sample_0_x.png: ";
    check(&lost.verify(), FaultKind::UnnamedFiles, expected);
    assert_eq!(lost.repair().left_behind, None);
    fs::write(desk.run().join("run-r1.wandb.synced"), "").unwrap();
    check(
        &desk.verify(),
        FaultKind::Synced,
        "the run was synced before",
    );
    let desk = Desk::new().with(2, files(&["config.yaml"]));
    desk.write();
    check(
        &desk.verify(),
        FaultKind::ListedMissing,
        "config.yaml: a `files` record names it",
    );
    assert_eq!(records(&desk.repair()).len(), 6);
}

#[test]
fn several_logs_are_a_fault_and_the_own_one_is_read() {
    let desk = Desk::new();
    desk.write();
    fs::write(desk.run().join("a.wandb"), "").unwrap();
    let report = desk.verify();
    let expected = "holds 2 .wandb files (a.wandb, run-r1.wandb), but a run's has one";
    check(&report, FaultKind::SeveralLogs, expected);
    assert_eq!(report.log, Some(desk.log()));
    assert_eq!(records(&desk.repair()), desk.records);
}

#[cfg(unix)]
#[test]
fn a_run_that_is_written_is_told() {
    let desk = Desk::new().without(5);
    desk.write();
    let writer = File::options().write(true).open(desk.log()).unwrap();
    writer.lock().unwrap();
    let report = desk.verify();
    check(&report, FaultKind::BeingWritten, "the run is being written");
    let has_end = |fault: &Fault| fault.kind != FaultKind::NoExit;
    assert!(report.faults.iter().all(has_end), "{:?}", report.faults);
    drop(writer);
    // A child that another test forks holds it for a moment longer.
    let is_written = |fault: &Fault| fault.kind == FaultKind::BeingWritten;
    let is_free = || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        !desk.verify().faults.iter().any(is_written)
    };
    assert!((0..100).any(|_| is_free()));
}

#[test]
fn a_directory_of_an_online_run_is_told_and_renamed() {
    let mut desk = Desk::new();
    let before = desk.run();
    desk.name = "run-20250101_000000-r1".into();
    fs::rename(before, desk.run()).unwrap();
    desk.write();
    check(
        &desk.verify(),
        FaultKind::NotOffline,
        "named \"run-20250101_000000-r1\"",
    );
    let repaired = desk.repair();
    assert!(
        repaired
            .dir
            .ends_with("repaired/offline-run-20250101_000000-r1")
    );
}

#[test]
fn the_clean_run_goes_where_it_is_asked_for() {
    let desk = Desk::new();
    desk.write();
    let own = desk.dir.path().join("offline-run-x-clean");
    assert_eq!(repair(desk.log(), &own).unwrap().dir, own);
    let error = repair(desk.run(), &own).unwrap_err();
    assert!(
        matches!(&error, Error::RunExists { path } if *path == own),
        "{error}"
    );
    let error = repair(desk.run(), desk.run().join("files"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("would lie in it: choose another directory"),
        "{error}"
    );
    assert!(verify(&own).unwrap().is_sound());
}

// ---- at random ----

/// A run of this crate's own, over several blocks, with pictures and lists.
fn real_run(dir: &Path) -> PathBuf {
    let builder = wandb_image::init().mode(RunMode::Offline).dir(dir);
    let run = builder.run_id("real").synchronous(true).start().unwrap();
    for step in 0..40_u8 {
        let picture = |shade: u8| {
            Image::from(Pixels::new(4, 2, Mode::L, vec![shade; 8]).unwrap()).caption("c")
        };
        let mut row = Row::new().with("loss", 1.0 / f64::from(step + 1));
        if step % 3 == 0 {
            row = row.with("image", picture(step));
        }
        if step % 5 == 0 {
            row = row.with("list", vec![picture(100 + step), picture(150 + step)]);
        }
        if step % 10 == 0 {
            row = row.with("text", "t".repeat(20_000));
        }
        run.log(row).unwrap();
    }
    run.finish().unwrap();
    run.dir().unwrap().to_path_buf()
}

/// The rows by their steps: the items, sorted.
fn rows_by_step(log: &[u8]) -> BTreeMap<String, Vec<String>> {
    let text = |item: &Item| format!("{}={}", item.path().join("."), item.value_json);
    let by_step = |row: &HistoryRecord| {
        let mut items: Vec<_> = row.item.iter().map(text).collect();
        items.sort();
        (step_of(row), items)
    };
    rows(&all_records(log)).iter().map(by_step).collect()
}

/// The step of each record that is a row.
fn steps_of_records(log: &[u8]) -> Vec<Option<String>> {
    let step = |record: &Record| match &record.record_type {
        Some(RecordType::History(row)) => Some(step_of(row)),
        _ => None,
    };
    all_records(log).iter().map(step).collect()
}

fn step_of(row: &HistoryRecord) -> String {
    let mut items = row.item.iter();
    let step = items.find(|item| item.path() == ["_step"]);
    step.unwrap().value_json.clone()
}

fn all_records(log: &[u8]) -> Vec<Record> {
    let log = LogReader::from_reader("log", log).unwrap();
    log.collect::<Result<_, _>>().unwrap()
}

#[test]
fn flips_at_random_lose_the_rows_they_hit_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let damaged = real_run(dir.path());
    let log = find_log(&damaged).unwrap();
    let whole = fs::read(&log).unwrap();
    assert!(whole.len() > 3 * BLOCK);
    let all = rows_by_step(&whole);
    let places = crate::torn::places(&whole);
    let steps = steps_of_records(&whole);
    assert_eq!(steps.len(), places.len());
    let rounds = if crate::torn::is_long() { 500 } else { 25 };
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..rounds {
        let mut bytes = whole.clone();
        let hits: BTreeSet<usize> = (0..random.usize(1..6))
            .map(|_| random.usize(7..bytes.len()))
            .collect();
        for &at in &hits {
            bytes[at] ^= random.u8(1..);
        }
        fs::write(&log, &bytes).unwrap();
        let out = dir.path().join(format!("offline-run-{round}-real"));
        let repaired = repair(&damaged, &out).unwrap();
        let report = verify(&out).unwrap();
        assert!(report.is_sound(), "{hits:?}: {:#?}", report.faults);
        let is_hit = |&(start, end): &(usize, usize)| hits.range(start..end).next().is_some();
        let mut expected = all.clone();
        for (_, step) in places.iter().zip(&steps).filter(|(place, _)| is_hit(place)) {
            step.as_ref().map(|step| expected.remove(step));
        }
        let found = rows_by_step(&fs::read(find_log(&out).unwrap()).unwrap());
        assert_eq!(found, expected, "{hits:?}");
        assert_eq!(repaired.rows as usize, found.len());
        fs::remove_dir_all(out).unwrap();
    }
}

/// Records that a hostile writer framed well: nothing panics, and the clean run is sound.
#[test]
fn contents_at_random_under_right_checksums_are_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let damaged = real_run(dir.path());
    let log = find_log(&damaged).unwrap();
    let reader = LogReader::open(&log).unwrap();
    let payloads: Vec<Vec<u8>> = reader.payloads().collect::<Result<_, _>>().unwrap();
    let rounds = if crate::torn::is_long() { 1000 } else { 40 };
    let mut random = fastrand::Rng::with_seed(6);
    for round in 0..rounds {
        let mut framed = Framed::new();
        for payload in &payloads {
            framed.push(&changed_at_random(payload, &mut random));
        }
        fs::write(&log, &framed.bytes).unwrap();
        let out = dir.path().join(format!("offline-run-{round}-real"));
        repair(&damaged, &out).unwrap();
        let report = verify(&out).unwrap();
        assert!(report.is_sound(), "round {round}: {:#?}", report.faults);
        fs::remove_dir_all(out).unwrap();
    }
}

fn changed_at_random(payload: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut changed = payload.to_vec();
    let at = random.usize(..changed.len());
    match random.u8(..10) {
        0 => changed[at] = random.u8(..),
        1 => changed[at] ^= 1 << random.u8(..8),
        2 => changed.truncate(at),
        3 => _ = changed.remove(at),
        _ => {}
    }
    changed
}

// ---- what W&B's own client makes of it ----

/// Flips a byte of the record that holds the row of this step.
fn damage_row(log: &Path, step: i64) {
    let mut bytes = fs::read(log).unwrap();
    let at = crate::torn::places(&bytes)
        .into_iter()
        .find(|&(start, end)| {
            let record = Record::decode(&bytes[start + 7..end]);
            match record.ok().and_then(|record| record.record_type) {
                Some(RecordType::History(row)) => row
                    .item
                    .iter()
                    .any(|item| item.path() == ["_step"] && item.value_json == step.to_string()),
                _ => false,
            }
        });
    let (start, end) = at.unwrap();
    bytes[(start + 7 + end) / 2] ^= 0x55;
    fs::write(log, bytes).unwrap();
}

fn steps(rows: &[Value]) -> Vec<u64> {
    rows.iter()
        .map(|row| row["_step"].as_u64().unwrap())
        .collect()
}

#[test]
fn what_wandb_sync_loses_behind_damage_arrives_when_repaired() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let damaged = real_run(dir.path());
    damage_row(&find_log(&damaged).unwrap(), 7);
    let repaired = repair(&damaged, dir.path().join("repaired")).unwrap();

    let plain = client.sync(&damaged);
    assert_eq!(
        steps(&plain.rows()),
        (0..7).collect::<Vec<_>>(),
        "sync reads on by itself"
    );

    let received = client.sync(&repaired.dir);
    let kept: Vec<u64> = (0..40).filter(|&step| step != 7).collect();
    assert_eq!(steps(&received.rows()), kept);
    assert_eq!(received.media(), hashes(&damaged.join("files")));
    assert_eq!(received.json("exit.json")["exitcode"], json!(0));
}

#[test]
fn a_record_without_a_type_and_a_lost_picture_sync_when_repaired() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let damaged = real_run(dir.path());
    let log = find_log(&damaged).unwrap();
    let bytes = fs::read(&log).unwrap();
    let mut framed = Framed::new();
    for (index, payload) in LogReader::open(&log).unwrap().payloads().enumerate() {
        if index == 9 {
            framed.push(&[8, 5]);
        }
        framed.push(&payload.unwrap());
    }
    assert!(framed.bytes.len() > bytes.len());
    fs::write(&log, &framed.bytes).unwrap();
    let (lost, _) = hashes(&damaged.join("files")).pop_first().unwrap();
    fs::remove_file(damaged.join("files").join(&lost)).unwrap();
    assert!(
        client.panics(&damaged),
        "wandb-core takes a record without a type by now"
    );

    let repaired = repair(&damaged, dir.path().join("repaired")).unwrap();
    let received = client.sync(&repaired.dir);
    assert_eq!(steps(&received.rows()), (0..40).collect::<Vec<_>>());
    assert_eq!(received.media(), hashes(&damaged.join("files")));
    let text = fs::read_to_string(received.dir.join("history.jsonl")).unwrap();
    assert!(!text.contains(&lost), "a row names {lost}");
}

#[test]
fn a_repaired_log_syncs_by_its_file_too() {
    let Some(client) = Client::find() else { return };
    let desk = Desk::new()
        .without(2)
        .with(5, row(2, vec![item(&["late"], "1")]));
    desk.write();
    let repaired = desk.repair();
    let log = find_log(&repaired.dir).unwrap();
    let received = client.sync(&log);
    assert_eq!(steps(&received.rows()), [0, 1, 2]);
    let media = BTreeMap::from([(PATH.to_string(), sha256(PICTURE))]);
    assert_eq!(received.media(), media);
}

const SDK: &str = r#"
import os, sys, wandb
settings = wandb.Settings(console="off", x_disable_stats=True, disable_git=True, save_code=False)
run = wandb.init(mode="offline", project="p", id="sdk", dir=sys.argv[1], settings=settings)
for i in range(3):
    run.log({"loss": float("nan"), "html": wandb.Html(f"<p>{i}"), "nested": {"a": {"b": i}}})
    run.config.update({"i": i}, allow_val_change=True)
run.name = "renamed"
if sys.argv[2] == "kill":
    os.kill(os.getpid(), 9)
run.finish()
"#;

/// A run by the Python SDK.
fn sdk_run(client: &Client, script: &str, dir: &Path, ending: &str) -> PathBuf {
    let mut python = client.python();
    let ran = python
        .args(["-c", script])
        .arg(dir)
        .arg(ending)
        .output()
        .unwrap();
    assert_eq!(ran.status.success(), ending == "finish", "{ran:?}");
    let runs = fs::read_dir(dir.join("wandb")).unwrap();
    let is_run = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("offline")
    };
    runs.map(|entry| entry.unwrap().path())
        .find(is_run)
        .unwrap()
}

#[test]
fn the_sdks_own_runs_are_sound_and_stay_so() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = sdk_run(&client, SDK, dir.path(), "finish");
    let report = verify(&run).unwrap();
    assert!(report.faults.is_empty(), "{:#?}", report.faults);
    assert_eq!((report.rows, report.media_files), (3, 3));
    let repaired = repair(&run, dir.path().join("repaired")).unwrap();
    assert_eq!((repaired.missing.len(), repaired.changed.len()), (0, 0));
    let log = |run: &Path| fs::read(find_log(run).unwrap()).unwrap();
    assert!(log(&run) == log(&repaired.dir), "the log is another");
}

/// One artifact by XXH128, of a file that stays the user's and of one that is copied.
const SDK_XXH128: &str = r#"
import os, sys
import wandb

folder = sys.argv[1]
run = wandb.init(project="p", dir=folder, mode="offline")
artifact = wandb.Artifact("data", "dataset", digest_algorithm="XXH128")
for name, policy in ("given", "immutable"), ("copied", "mutable"):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(name * 50_000)
    artifact.add_file(path, policy=policy)
artifact.add_reference("https://example.invalid/x.png", checksum=False)
run.log_artifact(artifact)
run.finish()
"#;

#[test]
fn what_the_sdk_made_with_xxh128_is_compared_and_brought_along() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = sdk_run(&client, SDK_XXH128, dir.path(), "finish");
    let report = verify(&run).unwrap();
    let kinds: Vec<_> = report.faults.iter().map(|fault| fault.kind).collect();
    assert_eq!(kinds, [FaultKind::ArtifactOutside], "{:#?}", report.faults);
    assert!(report.faults[0].message.contains("name 2 files outside"));

    let given = dir.path().join("given");
    let whole = fs::read(&given).unwrap();
    let mut bytes = whole.clone();
    bytes[100_000] ^= 1;
    fs::write(&given, &bytes).unwrap();
    let report = verify(&run).unwrap();
    let fault = &report.faults[0];
    assert_eq!(fault.kind, FaultKind::ArtifactChanged, "{fault}");
    let expected = "(its bytes aren't those that were logged)";
    assert!(fault.message.contains(expected), "{fault}");
    let repaired = repair(&run, dir.path().join("repaired")).unwrap();
    assert_eq!((repaired.artifacts, repaired.artifacts_left_out), (0, 1));

    fs::write(&given, &whole).unwrap();
    let repaired = repair(&run, dir.path().join("whole")).unwrap();
    fs::remove_file(&given).unwrap();
    fs::remove_dir_all(&run).unwrap();
    let report = verify(&repaired.dir).unwrap();
    assert!(report.faults.is_empty(), "{:#?}", report.faults);
    let received = client.sync(&repaired.dir);
    let data = received.artifact("dataset", "data");
    assert_eq!(fs::read(data.dir.join("files/given")).unwrap(), whole);
}

#[test]
fn the_sdks_killed_run_is_named_plainly() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = sdk_run(&client, SDK, dir.path(), "kill");
    let report = verify(&run).unwrap();
    check(
        &report,
        FaultKind::EmptyLog,
        "as the Python SDK's is, which keeps rows in memory",
    );
}

/// Nothing outside of the run is listed, neither where a link stands for `files/`, nor below it.
#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_a_folder_leads_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("media")).unwrap();
    fs::write(outside.path().join("movie.part"), "of another").unwrap();
    fs::write(outside.path().join("media/of_another.png"), "x").unwrap();
    let desk = || {
        let mut desk = Desk::new();
        desk.records[3] = row(0, vec![]);
        desk.records.remove(2);
        desk.write();
        fs::remove_dir_all(desk.run().join("files")).unwrap();
        desk
    };
    let link = |desk: &Desk, at: &str| {
        std::os::unix::fs::symlink(outside.path(), desk.run().join(at)).unwrap();
        let faults = desk.verify().faults;
        assert!(faults.is_empty(), "{faults:#?}");
        assert_eq!(desk.repair().files, 0);
    };
    link(&desk(), "files");
    let below = desk();
    fs::create_dir(below.run().join("files")).unwrap();
    link(&below, "files/media");
}

/// `ls` says what `verify` says of a file that a link leads to.
#[cfg(unix)]
#[test]
fn a_file_behind_a_link_out_of_the_run_is_not_present() {
    let desk = at_path("media/out/secret.png");
    let secret = desk.dir.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("secret.png"), PICTURE).unwrap();
    desk.write();
    let present = || wandb_image::sink::logged::media(desk.run()).unwrap().files[0].present;
    fs::remove_dir_all(desk.run().join("files/media")).unwrap();
    fs::create_dir_all(desk.run().join("files/media/out")).unwrap();
    fs::write(desk.run().join("files/media/out/secret.png"), PICTURE).unwrap();
    assert!(present());
    fs::remove_dir_all(desk.run().join("files/media/out")).unwrap();
    std::os::unix::fs::symlink(&secret, desk.run().join("files/media/out")).unwrap();
    assert!(!present());
}

/// The tokens that are no JSON stay where an image is taken out from between them.
#[test]
fn numbers_that_are_none_stay_beside_an_image_that_is_taken_out() {
    let image = r#"{"_type":"image-file","path":"gone"}"#;
    let all = format!(r#"{{"a":NaN,"deep":{{"b":-Infinity,"image":{image}}},"c":"NaN"}}"#);
    let list = format!("[Infinity,{image},NaN]");
    let row = |all: &str, list: &str| row(2, vec![item(&["all"], all), item(&["list"], list)]);
    let desk = Desk::new().with(5, row(&all, &list));
    desk.write();
    let left = r#"{"a":NaN,"c":"NaN","deep":{"b":-Infinity}}"#;
    assert_eq!(records(&desk.repair())[5], row(left, "[Infinity,NaN]"));
}

/// A value that a later item of its row overwrites is not brought back by what is taken out of
/// that one; the step stays in any case.
#[test]
fn what_was_overwritten_does_not_come_back() {
    let check = |items: &[(&[&str], &str)], kept: &[(&[&str], &str)]| {
        let row = |items: &[(&[&str], &str)]| {
            let items = items.iter().map(|(path, json)| item(path, json));
            row(2, items.collect())
        };
        let desk = Desk::new().with(5, row(items));
        desk.write();
        assert!(!desk.verify().is_sound(), "{items:?}");
        assert_eq!(records(&desk.repair())[5], row(kept), "{items:?}");
    };
    let gone = r#"{"_type":"image-file","path":"gone"}"#;
    let secret = r#"[NaN,{"_type":"mask","path":"/etc/passwd"}]"#;
    let layered = format!(r#"{{"a":{secret},"b":Infinity}}"#);
    let k: &[&str] = &["k"];
    check(&[(k, secret), (&["k", "masks"], gone)], &[(k, "{}")]);
    check(
        &[(&["k", "a"], gone), (k, &layered), (&["k", "a", "c"], gone)],
        &[(k, r#"{"a":{},"b":Infinity}"#)],
    );
    check(
        &[
            (&["k", "a"], gone),
            (k, "1"),
            (&["k", "b"], "NaN"),
            (&["k", "a"], gone),
        ],
        &[(k, r#"{"b":NaN}"#)],
    );
    check(&[(k, secret), (k, gone), (&["l"], "1")], &[(&["l"], "1")]);
    let list = json!({"filenames": [PATH, "gone"], "x": 1}).to_string();
    check(
        &[(k, &list), (&["k", "l"], &list), (&["k", "m"], secret)],
        &[(
            k,
            &json!({"filenames": [PATH], "l": {"filenames": [PATH], "x": 1}, "m": [0], "x": 1})
                .to_string()
                .replace("[0]", "[NaN]"),
        )],
    );
    let partly = json!({"filenames": [PATH, 7, "gone"], "count": 3});
    check(
        &[(k, &partly.to_string())],
        &[(k, &json!({"filenames": [PATH, 7], "count": 2}).to_string())],
    );
}

#[test]
fn a_step_stays_where_an_image_at_its_key_is_taken_out() {
    let item = vec![
        item(&["_step"], "2"),
        item(&["_step", "path"], r#""gone""#),
        item(&["_step", "_type"], r#""image-file""#),
    ];
    let both = record(RecordType::History(HistoryRecord { item, step: None }));
    let desk = Desk::new().with(5, both);
    desk.write();
    assert!(!desk.verify().is_sound());
    assert_eq!(records(&desk.repair())[5], row(2, vec![]));
}

/// Steps are counted once, and as `wandb sync` counts.
#[test]
fn two_steps_in_a_row_are_read_as_wandb_sync_reads_them() {
    let Some(client) = Client::find() else { return };
    let both = |first: &str, last: &str| {
        let item = vec![
            item(&["_step"], first),
            item(&["a"], "1"),
            item(&["_step"], last),
        ];
        record(RecordType::History(HistoryRecord { item, step: None }))
    };
    let mut desk = Desk::new();
    desk.records[3] = both("5", "9");
    desk.records[4] = both("20", "12");
    desk.write();
    let arrived = client.sync(&desk.run());
    assert_eq!(steps(&arrived.rows()), [9, 12]);
    let resumed = wandb_image::init()
        .mode(RunMode::Offline)
        .resume(desk.run());
    let run = resumed.start().unwrap();
    assert_eq!(run.step(), 13);
    run.finish().unwrap();
    let faults = desk.verify().faults;
    assert!(
        !faults
            .iter()
            .any(|fault| fault.kind == FaultKind::StepNotRising)
    );
}

/// What stands in the place of a log and isn't one is named, by whatever reads it.
#[cfg(unix)]
#[test]
fn a_pipe_or_a_link_in_the_place_of_a_log_is_refused() {
    let check = |make: fn(&Path), expected: &str| {
        let desk = Desk::new();
        desk.write();
        let log = desk.log();
        fs::rename(&log, desk.dir.path().join("elsewhere")).unwrap();
        make(&log);
        let itself = (!log.is_dir()).then(|| log.clone());
        for given in itself.into_iter().chain([desk.run()]) {
            let refused = [
                verify(&given).err(),
                repair(&given, desk.dir.path().join("out")).err(),
                wandb_image::sink::logged::media(&given).err(),
            ];
            for error in refused {
                let error = error.unwrap().to_string();
                assert!(error.contains(expected), "{error}");
            }
        }
        let resumed = wandb_image::init()
            .mode(RunMode::Offline)
            .resume(desk.run());
        let error = resumed.start().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let fifo = |log: &Path| {
        let made = std::process::Command::new("mkfifo").arg(log).status();
        assert!(made.unwrap().success());
    };
    check(fifo, "a log is a file, but this is a pipe or a device");
    let link = |log: &Path| std::os::unix::fs::symlink("../elsewhere", log).unwrap();
    check(
        link,
        "a log is a file, but this is a link, which isn't followed",
    );
    check(
        |log| fs::create_dir(log).unwrap(),
        "a log is a file, but this is a directory",
    );
}

/// A log that never got its own name is named, and read where it is given itself.
#[test]
fn a_log_with_its_temporary_name_is_named_and_read() {
    let desk = Desk::new();
    desk.write();
    let begun = desk.log().with_extension("wandb.part");
    fs::rename(desk.log(), &begun).unwrap();
    let expected = "run-r1.wandb.part: the log has its temporary name still";
    check(&desk.verify(), FaultKind::BegunLog, expected);
    let error = repair(desk.run(), desk.dir.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("give that file"), "{error}");
    let report = verify(&begun).unwrap();
    assert!(report.faults.is_empty(), "{:#?}", report.faults);
    assert_eq!(report.rows, 2);
    assert_eq!(
        wandb_image::sink::logged::media(&begun)
            .unwrap()
            .files
            .len(),
        1
    );
    let repaired = repair(&begun, desk.dir.path().join("repaired")).unwrap();
    assert!(repaired.dir.join("run-r1.wandb").is_file());
    assert_eq!(records(&repaired), desk.records);
}
