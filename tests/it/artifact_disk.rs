//! The files of artifacts and tables on disk: what happens to them, what `verify` says of that, and
//! what `repair` makes of it.

mod killed;
#[cfg(target_os = "linux")]
mod memory;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use prost::Message;
use tempfile::TempDir;
use wandb_image::sink::extract::extract;
use wandb_image::sink::logged::find_log;
use wandb_image::sink::reader::LogReader;
use wandb_image::sink::records::{
    ArtifactManifest, ArtifactManifestEntry, ArtifactRecord, Record, RecordType,
};
use wandb_image::sink::repair::{Repaired, repair};
use wandb_image::sink::verify::{Fault, FaultKind, Report, verify};
use wandb_image::{Artifact, Durability, Error, Image, Mode, Pixels, Row, Run, Table, init};

use crate::client::Client;
use crate::framed::{Framed, exit, record, run as run_record};

const SOON: Duration = Duration::from_secs(60);

/// MD5 of "hello\n".
const HELLO: &str = "artifacts/b1/b1946ac92492d2347c6235b4d2611184";
const HELLO_BASE64: &str = "sZRqySSS0jR8YjW00mERhA==";

/// A run in a folder of its own, and a place for the user's files beside it.
struct Desk {
    dir: TempDir,
    run: Run,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let run = init().dir(dir.path()).start().unwrap();
        Self { dir, run }
    }

    fn path(&self) -> &Path {
        self.run.dir().unwrap()
    }

    /// A file of the user's.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn log(&self, name: &str, files: &[&Path]) {
        let mut artifact = Artifact::new(name, "dataset").unwrap();
        for file in files {
            artifact.add_file(file).unwrap();
        }
        self.run.log_artifact(artifact).unwrap();
    }

    fn flushed(&self) {
        self.run.flush(SOON).unwrap();
    }

    /// The run's files of artifacts.
    fn stored(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }
}

fn artifacts(run: &Path) -> Vec<ArtifactRecord> {
    let log = LogReader::open(find_log(run).unwrap()).unwrap();
    let records = log.map(|record| record.unwrap().record_type);
    records
        .filter_map(|record| match record {
            Some(RecordType::Artifact(artifact)) => Some(artifact),
            _ => None,
        })
        .collect()
}

fn names(run: &Path) -> Vec<String> {
    artifacts(run).into_iter().map(|one| one.name).collect()
}

fn picture(level: u8) -> Image {
    Pixels::new(2, 1, Mode::L, vec![level, level])
        .unwrap()
        .into()
}

fn table(level: u8) -> Table {
    let mut table = Table::new(["n", "picture"]).unwrap();
    table.add_row((i64::from(level), picture(level))).unwrap();
    table
}

/// The faults that are no notes.
fn faults(report: &Report) -> Vec<&Fault> {
    let faults = report.faults.iter();
    faults.filter(|fault| !fault.is_note).collect()
}

fn check_sound(run: &Path) {
    let report = verify(run).unwrap();
    assert!(report.is_sound(), "{:#?}", report.faults);
}

/// One fault of this kind and no other, that says all of this.
fn check(run: &Path, kind: FaultKind, expected: &[&str]) {
    let report = verify(run).unwrap();
    let found = faults(&report);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].kind, kind, "{}", found[0]);
    let text = found[0].to_string();
    for expected in expected {
        assert!(text.contains(expected), "{expected:?} is not in: {text}");
    }
}

fn lost(result: wandb_image::Result<()>) -> (bool, u64, u64) {
    fn unwrapped(error: &Error) -> &Error {
        match error {
            Error::Incomplete { first, .. } => unwrapped(first.as_deref().unwrap()),
            Error::Shared(error) => unwrapped(error),
            error => error,
        }
    }
    let error = result.unwrap_err();
    match unwrapped(&error) {
        Error::RunDirectoryLost {
            log_restored,
            media_lost,
            artifact_files_lost,
            ..
        } => (*log_restored, *media_lost, *artifact_files_lost),
        error => panic!("{error}"),
    }
}

// ---- while the run is written ----

#[test]
fn a_file_is_linked_and_outlives_its_own_name() {
    let desk = Desk::new();
    let file = desk.file("a", "hello\n");
    desk.log("data", &[&file]);
    desk.flushed();
    let number = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(number(&file), number(&desk.path().join(HELLO)));
    fs::remove_file(&file).unwrap();
    desk.run.finish().unwrap();
    check_sound(desk.path());
}

#[test]
fn a_file_of_another_disk_is_copied_past_what_a_killed_process_left() {
    let elsewhere = Path::new("/dev/shm");
    let other = tempfile::tempdir_in(elsewhere);
    let Ok(other) = other else { return };
    let desk = Desk::new();
    let file = other.path().join("a");
    fs::write(&file, "hello\n").unwrap();
    let mine = desk.file("mine", "mine");
    fs::hard_link(&mine, desk.path().join("files/.media.part")).unwrap();
    fs::create_dir_all(desk.path().join("artifacts/b1")).unwrap();
    fs::write(desk.path().join("artifacts/b1/.media.part"), "half").unwrap();
    desk.log("data", &[&file]);
    desk.flushed();
    assert_eq!(desk.stored(HELLO), "hello\n");
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    assert!(!desk.path().join("files/.media.part").exists());
}

/// A link to the user's file was there by that name, and the file was written to.
#[test]
fn what_was_written_to_after_it_was_linked_is_not_taken_for_another_file() {
    let desk = Desk::new();
    let file = desk.file("a", "hello\n");
    desk.log("first", &[&file]);
    desk.flushed();
    let mut opened = fs::OpenOptions::new().write(true).open(&file).unwrap();
    opened.write_all(b"HELLO\n").unwrap();
    assert_eq!(desk.stored(HELLO), "HELLO\n");
    desk.log("second", &[&desk.file("b", "hello\n")]);
    desk.flushed();
    assert_eq!(desk.stored(HELLO), "hello\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), "HELLO\n");
    desk.run.finish().unwrap();
    check_sound(desk.path());
}

#[test]
fn a_file_that_has_changed_takes_no_place_of_another() {
    let desk = Desk::new();
    let mut artifact = Artifact::new("first", "dataset").unwrap();
    let file = desk.file("a", "hello\n");
    artifact.add_mutable_file(&file, "a").unwrap();
    desk.run.log_artifact(artifact).unwrap();
    desk.flushed();
    let mut artifact = Artifact::new("second", "dataset").unwrap();
    artifact.add_file(&file).unwrap();
    fs::write(&file, "hello, world\n").unwrap();
    desk.run.log_artifact(artifact).unwrap();
    let error = desk.run.flush(SOON).unwrap_err().to_string();
    assert!(error.contains("changed"), "{error}");
    assert_eq!(desk.stored(HELLO), "hello\n");
    assert_eq!(desk.run.stats().artifacts.failed, 1);
    assert!(desk.run.finish().is_err());
    check_sound(desk.path());
    assert_eq!(names(desk.path()), ["first"]);
}

#[test]
fn links_that_are_planted_are_not_followed() {
    let desk = Desk::new();
    let outside = desk.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let file = desk.file("a", "hello\n");
    symlink(&outside, desk.path().join("artifacts")).unwrap();
    desk.log("refused", &[&file]);
    let error = desk.run.flush(SOON).unwrap_err().to_string();
    assert!(
        error.contains("is a link, and a run follows none"),
        "{error}"
    );
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    fs::remove_file(desk.path().join("artifacts")).unwrap();

    let mine = desk.file("mine", "mine");
    fs::create_dir_all(desk.path().join("artifacts/b1")).unwrap();
    symlink(&mine, desk.path().join(HELLO)).unwrap();
    desk.log("taken", &[&file]);
    desk.flushed();
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    assert_eq!(desk.stored(HELLO), "hello\n");
    assert!(!desk.path().join(HELLO).is_symlink());
    assert_eq!(names(desk.path()), ["taken"]);
}

#[test]
fn files_of_artifacts_that_are_deleted_meanwhile_are_told() {
    for folder in ["artifacts", "artifacts/b1"] {
        let desk = Desk::new();
        let file = desk.file("a", "hello\n");
        desk.log("gone", &[&file]);
        desk.flushed();
        fs::remove_dir_all(desk.path().join(folder)).unwrap();
        desk.log("there", &[&desk.file("b", "bye\n")]);
        assert_eq!(lost(desk.run.flush(SOON)), (false, 0, 1), "{folder}");
        desk.flushed();
        let told = desk.run.finish().unwrap_err().to_string();
        assert!(told.contains("1 file of an artifact is gone too"), "{told}");
        check(
            desk.path(),
            FaultKind::ArtifactMissing,
            &["\"gone\"", "will not upload"],
        );
    }
}

#[test]
fn a_run_that_is_deleted_is_made_again_for_an_artifact_and_for_a_table() {
    let desk = Desk::new();
    let file = desk.file("a", "hello\n");
    let log = |what: &str| match what {
        "table" => desk.run.log(Row::new().with("t", table(1))).unwrap(),
        _ => desk.log("data", &[&file]),
    };
    for what in ["table", "artifact"] {
        fs::remove_dir_all(desk.path()).unwrap();
        log(what);
        let _ = desk.run.flush(SOON);
        assert_eq!(desk.run.stats().artifacts.failed, 0, "{what}");
        assert!(desk.path().join("artifacts").exists(), "{what}");
    }
    assert_eq!(desk.stored(HELLO), "hello\n");
    assert_eq!(names(desk.path()).len(), 2);
}

#[test]
fn artifacts_are_logged_in_a_run_that_is_resumed() {
    let desk = Desk::new();
    desk.log("first", &[&desk.file("a", "hello\n")]);
    desk.run.log(Row::new().with("t", table(1))).unwrap();
    desk.run.finish().unwrap();
    let run = init().resume(desk.path()).start().unwrap();
    let mut artifact = Artifact::new("second", "dataset").unwrap();
    artifact.add_file(desk.file("b", "bye\n")).unwrap();
    run.log_artifact(artifact).unwrap();
    run.log(Row::new().with("t", table(2))).unwrap();
    run.finish().unwrap();
    check_sound(run.dir().unwrap());
    assert_eq!(names(run.dir().unwrap()).len(), 4);
}

#[test]
fn with_fsync_artifacts_are_written_too() {
    let dir = tempfile::tempdir().unwrap();
    let run = init().dir(dir.path()).durability(Durability::Fsync);
    let desk = Desk {
        run: run.start().unwrap(),
        dir,
    };
    desk.log(
        "data",
        &[&desk.file("a", "hello\n"), &desk.file("b", "bye\n")],
    );
    desk.run.log(Row::new().with("t", table(1))).unwrap();
    desk.run.finish().unwrap();
    check_sound(desk.path());
}

// ---- what verify says, and what repair makes of it ----

/// A run of two artifacts and a table that has ended.
fn ended() -> Desk {
    let desk = Desk::new();
    desk.log(
        "data",
        &[&desk.file("a", "hello\n"), &desk.file("b", "bye\n")],
    );
    desk.flushed();
    desk.log("other", &[&desk.file("c", "other\n")]);
    desk.run.log(Row::new().with("t", table(1))).unwrap();
    desk.run.finish().unwrap();
    check_sound(desk.path());
    desk
}

/// Repairs the run, and checks that nothing is wrong with what that made, also where the damaged
/// one is deleted.
fn repaired(run: &Path, out: &Path) -> Repaired {
    let repaired = repair(run, out).unwrap();
    fs::remove_dir_all(run).unwrap();
    check_sound(&repaired.dir);
    for artifact in artifacts(&repaired.dir) {
        for entry in artifact.manifest.unwrap().contents {
            assert!(Path::new(&entry.local_path).starts_with(&repaired.dir));
        }
    }
    repaired
}

#[test]
fn a_file_that_is_gone_costs_its_artifact() {
    let desk = ended();
    fs::remove_file(desk.path().join(HELLO)).unwrap();
    let expected = [
        "the artifact \"data\" names the file \"a\" at ",
        "`wandb sync` will not upload the artifact",
        "log the artifact once more; repair leaves the artifact out",
    ];
    check(desk.path(), FaultKind::ArtifactMissing, &expected);
    let repaired = repaired(desk.path(), &desk.dir.path().join("repaired"));
    let missing = repaired.missing[0].to_string();
    assert!(
        missing.contains("the artifact \"data\", since the file \"a\""),
        "{missing}"
    );
    assert_eq!(repaired.missing_in_all, 1);
    let names = names(&repaired.dir);
    assert!(
        names.len() == 2 && names.contains(&"other".into()),
        "{names:?}"
    );
}

#[test]
fn a_file_that_was_written_to_costs_its_artifact() {
    for (text, expected) in [
        ("hello, world", "it has 12 bytes, but 6 were logged"),
        ("HELLO\n", "but b1946ac92492d2347c6235b4d2611184 was logged"),
    ] {
        let desk = ended();
        fs::write(desk.dir.path().join("a"), text).unwrap();
        let all = [expected, "\"data\"", "will not upload", "add_mutable_file"];
        check(desk.path(), FaultKind::ArtifactChanged, &all);
        let repaired = repaired(desk.path(), &desk.dir.path().join("repaired"));
        assert_eq!(names(&repaired.dir).len(), 2);
    }
}

#[test]
fn what_is_no_file_costs_its_artifact() {
    let desk = ended();
    fs::remove_file(desk.path().join(HELLO)).unwrap();
    fs::create_dir(desk.path().join(HELLO)).unwrap();
    let expected = [
        "(it is no file, but a folder or a device), which can't be read",
        "see to its permissions",
    ];
    check(desk.path(), FaultKind::ArtifactUnreadable, &expected);
}

/// Not even root reads what is behind a link to itself.
#[test]
fn a_file_that_can_not_be_read_is_not_taken_for_one_that_was_written_to() {
    let desk = ended();
    let file = desk.path().join(HELLO);
    fs::remove_file(&file).unwrap();
    symlink(&file, &file).unwrap();
    let expected = ["(Too many levels of symbolic links", "which can't be read"];
    check(desk.path(), FaultKind::ArtifactUnreadable, &expected);
    let repaired = repaired(desk.path(), &desk.dir.path().join("repaired"));
    let missing = repaired.missing[0].to_string();
    assert!(missing.contains("since the file \"a\""), "{missing}");
    assert!(missing.ends_with("can't be read"), "{missing}");
    assert_eq!((repaired.artifacts, repaired.artifacts_left_out), (2, 1));
}

/// Neither the row nor the summary keeps a table of which W&B would find nothing.
#[test]
fn a_table_goes_with_its_artifact_and_the_rest_of_its_row_stays() {
    let desk = Desk::new();
    desk.run
        .log(Row::new().with("t", table(1)).with("loss", 1))
        .unwrap();
    desk.run.log(Row::new().with("u", table(2))).unwrap();
    desk.run.finish().unwrap();
    let artifact = artifacts(desk.path()).swap_remove(0);
    let entry = &artifact.manifest.unwrap().contents[0];
    fs::remove_file(&entry.local_path).unwrap();
    let repaired = repaired(desk.path(), &desk.dir.path().join("repaired"));
    let missing: Vec<_> = repaired.missing.iter().map(ToString::to_string).collect();
    let told = "is of a table whose artifact is left out; the row keeps its other values";
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert!(missing.iter().any(|one| one.contains(told)), "{missing:?}");
    assert_eq!((repaired.artifacts, repaired.artifacts_left_out), (1, 1));
    let log = LogReader::open(find_log(&repaired.dir).unwrap()).unwrap();
    let items = log.flat_map(|record| match record.unwrap().record_type {
        Some(RecordType::History(row)) => row.item,
        Some(RecordType::Summary(summary)) => summary.update,
        _ => Vec::new(),
    });
    let tops: Vec<String> = items.map(|item| item.path()[0].into()).collect();
    let has = |key: &str| tops.iter().any(|top| top == key);
    assert!(!has("t") && has("loss") && has("u"), "{tops:?}");
    // What is whole is kept, if nothing shows it.
    let tables = fs::read_dir(repaired.dir.join("files/media/table")).unwrap();
    assert_eq!((tables.count(), repaired.files), (2, 2));
}

/// W&B has its files, and the SDK deletes them then.
#[test]
fn a_table_of_a_run_that_was_synced_stays_where_files_of_its_artifact_are_gone() {
    let desk = Desk::new();
    desk.run.log(Row::new().with("t", table(1))).unwrap();
    desk.run.finish().unwrap();
    fs::remove_dir_all(desk.path().join("artifacts")).unwrap();
    synced(desk.path());
    let repaired = repaired(desk.path(), &desk.dir.path().join("repaired"));
    let missing: Vec<_> = repaired.missing.iter().map(ToString::to_string).collect();
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].contains("the artifact \"run-"), "{missing:?}");
    assert_eq!((repaired.artifacts_left_out, repaired.files), (1, 1));
    let log = LogReader::open(find_log(&repaired.dir).unwrap()).unwrap();
    let has_table = log
        .into_iter()
        .any(|record| match record.unwrap().record_type {
            Some(RecordType::History(row)) => row.item.iter().any(|item| item.path()[0] == "t"),
            _ => false,
        });
    assert!(has_table);
}

/// A record names files by text.
#[cfg(target_os = "linux")]
#[test]
fn repair_refuses_a_directory_that_no_record_can_name_where_files_are_brought() {
    use std::os::unix::ffi::OsStrExt;
    let desk = ended();
    let out = desk.dir.path().join(std::ffi::OsStr::from_bytes(b"\xFF"));
    let error = repair(desk.path(), &out).unwrap_err().to_string();
    assert!(error.contains("isn't UTF-8"), "{error}");
    assert!(error.contains("choose another directory"), "{error}");
    assert!(!out.exists());
    let plain = Desk::new();
    plain.run.finish().unwrap();
    repair(plain.path(), &out).unwrap();
}

#[test]
fn a_run_that_was_moved_is_told_and_made_whole_by_repair() {
    let desk = ended();
    let moved = desk
        .dir
        .path()
        .join("moved")
        .join(desk.path().file_name().unwrap());
    fs::create_dir(moved.parent().unwrap()).unwrap();
    let before = artifacts(desk.path());
    fs::rename(desk.path(), &moved).unwrap();
    let report = verify(&moved).unwrap();
    let found = faults(&report);
    assert_eq!(found.len(), 3, "{found:#?}");
    for fault in found {
        assert_eq!(fault.kind, FaultKind::ArtifactMoved);
        let text = fault.to_string();
        let expected = "the run was moved, and `wandb sync` will not upload the artifact";
        assert!(text.contains(expected), "{text}");
        assert!(
            text.contains("repair makes one that can be synced"),
            "{text}"
        );
    }
    let repaired = repaired(&moved, &desk.dir.path().join("repaired"));
    assert_eq!(repaired.missing_in_all, 0);
    let after = artifacts(&repaired.dir);
    let without_places = |mut artifact: ArtifactRecord| {
        let manifest = artifact.manifest.as_mut().unwrap();
        manifest
            .contents
            .iter_mut()
            .for_each(|entry| entry.local_path.clear());
        artifact
    };
    let plain = |all: Vec<ArtifactRecord>| all.into_iter().map(without_places);
    assert!(plain(before).eq(plain(after)));
    let Some(client) = Client::find() else { return };
    let received = client.sync(&repaired.dir);
    let data = received.artifact("dataset", "data");
    assert_eq!(
        fs::read_to_string(data.dir.join("files/a")).unwrap(),
        "hello\n"
    );
}

#[test]
fn a_file_that_was_changed_in_a_run_that_was_moved_is_told_by_where_it_is() {
    let desk = ended();
    let moved = desk.dir.path().join("moved");
    fs::create_dir(&moved).unwrap();
    let moved = moved.join(desk.path().file_name().unwrap());
    fs::rename(desk.path(), &moved).unwrap();
    let changed = moved.join("artifacts/b1/b1946ac92492d2347c6235b4d2611184");
    fs::write(&changed, "other, and longer\n").unwrap();
    let report = verify(&moved).unwrap();
    let expected = format!(
        "(it has 18 bytes, but 6 were logged: {})",
        changed.display()
    );
    let told: Vec<_> = faults(&report).iter().map(ToString::to_string).collect();
    assert!(
        told.iter().any(|text| text.contains(&expected)),
        "{told:#?}"
    );
    let repaired = repaired(&moved, &desk.dir.path().join("repaired"));
    let told = repaired.missing.iter().map(ToString::to_string);
    let told: Vec<_> = told.collect();
    assert!(
        told.iter().any(|text| text.contains(&expected)),
        "{told:#?}"
    );
}

fn synced(run: &Path) {
    let log = find_log(run).unwrap();
    fs::write(format!("{}.synced", log.display()), "").unwrap();
}

#[test]
fn of_a_run_that_was_synced_files_may_be_gone_but_not_changed() {
    let desk = ended();
    fs::remove_dir_all(desk.path().join("artifacts")).unwrap();
    assert!(!verify(desk.path()).unwrap().is_sound());
    synced(desk.path());
    check_sound(desk.path());

    let desk = ended();
    let file = each_file(&desk.path().join("artifacts"));
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, vec![b'x'; bytes.len()]).unwrap();
    synced(desk.path());
    let report = verify(desk.path()).unwrap();
    let fault = report
        .faults
        .iter()
        .find(|fault| fault.message.contains("written to after"));
    let message = &fault.unwrap().message;
    assert!(message.contains("only where that was before"), "{message}");
}

/// One of the files.
fn each_file(folder: &Path) -> PathBuf {
    let entry = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path();
    match entry.is_dir() {
        true => each_file(&entry),
        false => entry,
    }
}

#[test]
fn digests_are_compared_as_they_were_made_and_those_of_another_kind_are_not() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let local = file.path().to_str().unwrap();
    let xxh128 = "BrBatnM6YYV4r1+UiS85UA==";
    let found = |algorithm: &str, text: &str, size: i64| {
        fs::write(file.path(), text).unwrap();
        let dir = claiming_by(algorithm, vec![claim(xxh128, size, local)], "");
        let run = dir.path().join("offline-run-20250101_000000-r1");
        let is_sound = verify(&run).unwrap().is_sound();
        let repaired = repair(&run, dir.path().join("repaired")).unwrap();
        (is_sound, repaired.artifacts)
    };
    assert_eq!(found("MANIFEST_XXH128", "abc", 3), (true, 1));
    assert_eq!(found("MANIFEST_XXH128", "abd", 3), (false, 0));
    assert_eq!(found("MANIFEST_XXH128", "abc", 4), (false, 0));
    assert_eq!(found("MANIFEST_MD5", "abc", 3), (false, 0));
    assert_eq!(found("", "abc", 3), (false, 0));
    // Nobody knows whether it is what was logged.
    assert_eq!(found("ANOTHER", "abd", 3), (true, 0));
}

/// A run whose log names these files of an artifact.
fn claiming(entries: Vec<ArtifactManifestEntry>, contents: &str) -> TempDir {
    claiming_by("", entries, contents)
}

fn claiming_by(algorithm: &str, entries: Vec<ArtifactManifestEntry>, contents: &str) -> TempDir {
    claimed(ArtifactRecord {
        digest_algorithm: algorithm.into(),
        ..artifact_of(entries, contents)
    })
}

fn artifact_of(entries: Vec<ArtifactManifestEntry>, contents: &str) -> ArtifactRecord {
    let manifest = ArtifactManifest {
        contents: entries,
        manifest_file_path: contents.into(),
        ..ArtifactManifest::default()
    };
    ArtifactRecord {
        name: "data".into(),
        manifest: Some(manifest),
        ..ArtifactRecord::default()
    }
}

/// A run whose log holds this artifact.
fn claimed(artifact: ArtifactRecord) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("offline-run-20250101_000000-r1");
    fs::create_dir(&run).unwrap();
    let mut artifact = record(RecordType::Artifact(artifact)).encode_to_vec();
    // A field that this crate doesn't know, of the record.
    artifact.extend([0xA0, 0x1F, 7]);
    let mut log = Framed::of(&[run_record("r1")]);
    log.push(&artifact);
    log.push(&exit().encode_to_vec());
    fs::write(run.join("run-r1.wandb"), log.bytes).unwrap();
    dir
}

fn claim(digest: &str, size: i64, local_path: &str) -> ArtifactManifestEntry {
    ArtifactManifestEntry {
        path: "a".into(),
        digest: digest.into(),
        size,
        local_path: local_path.into(),
        ..ArtifactManifestEntry::default()
    }
}

#[test]
fn what_a_log_claims_of_files_is_not_followed_into_devices() {
    let check = |kind, entry: ArtifactManifestEntry, expected: &str| {
        let dir = claiming(vec![entry], "");
        let run = dir.path().join("offline-run-20250101_000000-r1");
        check(&run, kind, &[expected, "will not upload"]);
        let repaired = repair(&run, dir.path().join("repaired")).unwrap();
        assert_eq!(names(&repaired.dir), [""; 0]);
    };
    let device = claim(HELLO_BASE64, 0, "/dev/zero");
    check(FaultKind::ArtifactUnreadable, device, "it is no file");
    let changed = FaultKind::ArtifactChanged;
    check(
        changed,
        claim(HELLO_BASE64, -1, "/proc/self/status"),
        "its length isn't that which was logged",
    );
    // It is no longer read than it says it is.
    check(
        changed,
        claim(HELLO_BASE64, 0, "/proc/self/status"),
        "its bytes aren't those that were logged",
    );
    check(
        changed,
        claim("not MD5", 6, "/dev/zero"),
        "no MD5 in base64",
    );
    check(
        changed,
        claim(HELLO_BASE64, i64::MAX, "/etc/hostname"),
        "its length isn't that which was logged",
    );
}

/// What verify notes of files outside of the run's directory.
fn outside(run: &Path) -> Option<String> {
    told_of(run, FaultKind::ArtifactOutside)
}

/// The first note of this kind of a sound run.
fn told_of(run: &Path, kind: FaultKind) -> Option<String> {
    let report = verify(run).unwrap();
    assert!(report.is_sound(), "{:#?}", report.faults);
    let mut notes = report.faults.iter();
    notes
        .find(|note| note.kind == kind)
        .map(ToString::to_string)
}

/// As the Python SDK leaves them in a folder of its own.
#[test]
fn files_from_outside_of_a_run_are_told_and_brought_to_the_clean_one() {
    let staged = tempfile::tempdir().unwrap();
    let [file, other] = ["a", "b"].map(|name| staged.path().join(name));
    fs::write(&file, "hello\n").unwrap();
    fs::write(&other, "abc").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let relative = claim(HELLO_BASE64, 6, "no/such/place");
    let hello = claim(HELLO_BASE64, 6, file.to_str().unwrap());
    let dir = claiming(vec![hello.clone(), relative, hello], "");
    let run = dir.path().join("offline-run-20250101_000000-r1");
    let told = outside(&run).unwrap();
    let expected = format!(
        "name 1 file outside of this directory, {}: ",
        file.display()
    );
    assert!(told.contains(&expected), "{told}");
    assert!(
        told.contains("`wandb-image repair` brings them along"),
        "{told}"
    );
    let repaired = repair(&run, dir.path().join("repaired")).unwrap();
    assert_eq!((repaired.artifacts, repaired.missing_in_all), (1, 0));
    let changed = repaired.changed[0].to_string();
    assert!(
        changed.contains("1 file of artifacts from outside"),
        "{changed}"
    );
    let relative = "1 file, no/such/place, by relative paths";
    let told = told_of(&run, FaultKind::ArtifactRelative).unwrap();
    assert!(told.contains(relative), "{told}");
    let changed = repaired.changed[1].to_string();
    assert!(changed.contains(relative), "{changed}");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&repaired.dir.join(HELLO)), 0o640);
    let places = |run: &Path| {
        let contents = artifacts(run).remove(0).manifest.unwrap().contents;
        contents
            .into_iter()
            .map(|entry| entry.local_path)
            .collect::<Vec<_>>()
    };
    let place = repaired.dir.join(HELLO).to_str().unwrap().to_owned();
    assert_eq!(places(&repaired.dir), [&*place, "no/such/place", &*place]);
    // It may be written to where it was.
    let number = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_ne!(number(&file), number(Path::new(&place)));
    // What a relative path leads to isn't known, also where such a file is here.
    fs::remove_file(&file).unwrap();
    assert_eq!(fs::read_to_string(&place).unwrap(), "hello\n");
    assert_eq!(outside(&repaired.dir), None);
    check(&run, FaultKind::ArtifactMissing, &["\"a\" at "]);

    // By another digest; it gets the name of its MD5, as all files there.
    let xxh128 = claim("BrBatnM6YYV4r1+UiS85UA==", 3, other.to_str().unwrap());
    let dir = claiming_by("MANIFEST_XXH128", vec![xxh128], "");
    let run = dir.path().join("offline-run-20250101_000000-r1");
    let repaired = repair(&run, dir.path().join("repaired")).unwrap();
    let place = repaired.dir.join("artifacts/90").join(md5_hex(b"abc"));
    assert_eq!(places(&repaired.dir), [place.to_str().unwrap()]);
    assert_eq!(outside(&repaired.dir), None);
    synced(&run);
    assert_eq!(outside(&run), None);
}

/// Who writes a log that names somebody's files has to know what is in them.
#[test]
fn no_file_outside_of_a_run_is_brought_but_that_which_its_digest_says() {
    let staged = tempfile::tempdir().unwrap();
    let secret = staged.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    for (algorithm, digest) in [
        ("", HELLO_BASE64),
        ("MANIFEST_XXH128", HELLO_BASE64),
        ("ANOTHER", HELLO_BASE64),
        ("ANOTHER", ""),
        ("", ""),
    ] {
        let entry = claim(digest, 6, secret.to_str().unwrap());
        let dir = claiming_by(algorithm, vec![entry], "");
        let run = dir.path().join("offline-run-20250101_000000-r1");
        let repaired = repair(&run, dir.path().join("repaired")).unwrap();
        assert!(
            !repaired.dir.join("artifacts").exists(),
            "{algorithm} {digest}"
        );
        // The clean run doesn't go on naming it either.
        assert_eq!((repaired.artifacts, repaired.artifacts_left_out), (0, 1));
        assert_eq!(repaired.missing_in_all, 1);
    }
}

#[test]
fn an_artifact_that_nothing_is_known_to_compare_with_is_left_out_and_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "hello\n").unwrap();
    let entry = claim(HELLO_BASE64, 6, file.path().to_str().unwrap());
    let dir = claiming_by("ANOTHER", vec![entry], "");
    let run = dir.path().join("offline-run-20250101_000000-r1");
    let report = verify(&run).unwrap();
    let mut faults = report.faults.iter();
    let told = faults.find(|fault| fault.kind == FaultKind::ArtifactUncompared);
    let told = told.unwrap().to_string();
    assert!(told.contains("its digests are \"ANOTHER\""), "{told}");
    assert!(told.contains("repair leaves the artifact out"), "{told}");
    assert_eq!(outside(&run), None);
    let repaired = repair(&run, dir.path().join("repaired")).unwrap();
    let missing = repaired.missing[0].to_string();
    assert!(
        missing.contains("\"data\", since its digests are \"ANOTHER\", and only MD5 and XXH128"),
        "{missing}"
    );
    assert!(missing.contains("the file \"a\" at "), "{missing}");
}

/// Who is shown what is said of a log could write another that names the file by that.
#[test]
fn of_a_file_outside_of_a_run_neither_length_nor_digest_is_told() {
    let staged = tempfile::tempdir().unwrap();
    let secret = staged.path().join("secret");
    fs::write(&secret, "a secret of thirty-four characters").unwrap();
    let xxh128 = "BrBatnM6YYV4r1+UiS85UA==";
    let md5 = md5_hex(b"a secret of thirty-four characters");
    for (algorithm, digest, size) in [
        ("", HELLO_BASE64, 6),
        ("", HELLO_BASE64, 34),
        ("MANIFEST_XXH128", xxh128, 3),
        ("MANIFEST_XXH128", xxh128, 34),
    ] {
        let entry = claim(digest, size, secret.to_str().unwrap());
        let dir = claiming_by(algorithm, vec![entry], "");
        let run = dir.path().join("offline-run-20250101_000000-r1");
        let report = verify(&run).unwrap();
        let repaired = repair(&run, dir.path().join("repaired")).unwrap();
        let extracted = extract(&run, "data", dir.path().join("extracted")).unwrap_err();
        let told = format!("{:?} {:?} {extracted}", report.faults, repaired.missing);
        assert!(told.contains("was written to after"), "{told}");
        let is_named = |what: &str| told.contains(what);
        assert!(!is_named("34 bytes") && !is_named("it has MD5"), "{told}");
        assert!(!is_named("it has XXH128"), "{told}");
        assert!(!is_named(&md5), "{told}");
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_tree(&entry.path(), &to),
            false => _ = fs::copy(entry.path(), &to).unwrap(),
        }
    }
}

/// What lies in the run, be it among its artifacts or elsewhere there, is taken from the copy.
#[test]
fn a_run_that_was_copied_is_made_whole_of_its_own_files() {
    let dir = claiming(Vec::new(), "");
    let name = "offline-run-20250101_000000-r1";
    let run = dir.path().join(name);
    let file = run.join("files/code/main.py");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "hello\n").unwrap();
    let other = dir.path().join("other");
    let log = Framed::of(&[
        run_record("r1"),
        record(RecordType::Artifact(artifact_of(
            vec![claim(HELLO_BASE64, 6, file.to_str().unwrap())],
            "",
        ))),
        exit(),
    ]);
    fs::write(run.join("run-r1.wandb"), log.bytes).unwrap();
    let copy = other.join("run-renamed");
    copy_tree(&run, &copy);
    assert!(outside(&copy).is_some());
    assert_eq!(outside(&run), None);
    let own = |out: &str| {
        let repaired = repair(&copy, dir.path().join(out)).unwrap();
        assert_eq!(
            (repaired.artifacts, repaired.changed_in_all),
            (1, 0),
            "{repaired:#?}"
        );
        let inode = |path: PathBuf| fs::metadata(path).unwrap().ino();
        assert_eq!(
            inode(repaired.dir.join(HELLO)),
            inode(copy.join("files/code/main.py"))
        );
        check_sound(&repaired.dir);
    };
    own("there");
    fs::write(&file, "HELLO\n").unwrap();
    own("changed");
    fs::remove_dir_all(&run).unwrap();
    check(&copy, FaultKind::ArtifactMoved, &["names 1 file by where"]);
    own("gone");

    let desk = ended();
    let copy = desk.dir.path().join("copy").join(name);
    copy_tree(desk.path(), &copy);
    assert!(outside(&copy).is_some());
    let repaired = repaired(&copy, &desk.dir.path().join("repaired"));
    assert_eq!((repaired.artifacts, repaired.artifacts_left_out), (3, 0));
}

#[test]
fn other_fields_of_an_artifact_stay_as_they_are() {
    let dir = claiming(vec![claim(HELLO_BASE64, 6, "/no/such/place")], "");
    let run = dir.path().join("offline-run-20250101_000000-r1");
    fs::create_dir_all(run.join("artifacts/b1")).unwrap();
    fs::write(run.join(HELLO), "hello\n").unwrap();
    check(
        &run,
        FaultKind::ArtifactMoved,
        &["1 file by where the run was before"],
    );
    let repaired = repaired(&run, &dir.path().join("repaired"));
    let log = LogReader::open(find_log(&repaired.dir).unwrap()).unwrap();
    let payload = log.payloads().nth(1).unwrap().unwrap();
    let unknown = payload.windows(3).any(|bytes| bytes == [0xA0, 0x1F, 7]);
    assert!(unknown, "{payload:?}");
    let record = Record::decode(&*payload).unwrap();
    let Some(RecordType::Artifact(artifact)) = record.record_type else {
        panic!("{record:?}");
    };
    let entry = &artifact.manifest.unwrap().contents[0];
    assert_eq!(entry.local_path, repaired.dir.join(HELLO).to_str().unwrap());
    assert_eq!(
        (&*entry.path, &*entry.digest, entry.size),
        ("a", HELLO_BASE64, 6)
    );
}

// ---- contents in a file ----

/// One more than a record names itself.
const MANY: usize = 100_001;

fn of_many(run: &Run, file: &Path) {
    let mut artifact = Artifact::new("many", "dataset").unwrap();
    artifact.add_file(file).unwrap();
    for i in 1..MANY {
        let name = format!("{i:06}.png");
        artifact
            .add_reference_as("https://example.invalid/x.png", &name)
            .unwrap();
    }
    run.log_artifact(artifact).unwrap();
}

#[test]
fn an_artifact_of_many_files_names_a_file_of_its_contents() {
    let desk = Desk::new();
    let file = desk.file("a", "hello\n");
    of_many(&desk.run, &file);
    desk.run.finish().unwrap();
    let manifest = artifacts(desk.path())[0].manifest.clone().unwrap();
    assert_eq!(manifest.contents.len(), 0);
    let contents = PathBuf::from(&manifest.manifest_file_path);
    assert!(contents.starts_with(desk.path()));
    check_sound(desk.path());

    // A run that was moved.
    let moved = desk
        .dir
        .path()
        .join("moved")
        .join(desk.path().file_name().unwrap());
    fs::create_dir(moved.parent().unwrap()).unwrap();
    fs::rename(desk.path(), &moved).unwrap();
    check(
        &moved,
        FaultKind::ArtifactMoved,
        &["2 files by where the run was before"],
    );
    let repaired = repaired(&moved, &desk.dir.path().join("repaired"));
    assert_eq!(repaired.missing_in_all, 0);
    assert_eq!(
        fs::read_to_string(repaired.dir.join(HELLO)).unwrap(),
        "hello\n"
    );

    if let Some(client) = Client::find() {
        let received = client.sync(&repaired.dir);
        let many = received.artifact("dataset", "many");
        assert_eq!(
            fs::read_to_string(many.dir.join("files/a")).unwrap(),
            "hello\n"
        );
        let arrived = many.json("manifest.json");
        assert_eq!(arrived["contents"].as_object().unwrap().len(), MANY);
        assert_eq!(arrived["contents"]["a"]["size"], 6);
        assert_eq!(
            many.json("committed.json"),
            many.json("artifact.json")["digest"]
        );
        // The client deletes the contents once it has read them, and no other file.
        let synced = find_log(&repaired.dir).unwrap();
        fs::remove_file(format!("{}.synced", synced.display())).unwrap();
        assert!(repaired.dir.join(HELLO).exists());
    }
    let contents = artifacts(&repaired.dir)[0].manifest.clone().unwrap();
    let contents = PathBuf::from(contents.manifest_file_path);
    assert_eq!(contents.exists(), Client::find().is_none());
    let _ = fs::remove_file(contents);
    let expected = ["the file of its contents, ", "will not upload"];
    check(&repaired.dir, FaultKind::ArtifactMissing, &expected);
}

#[test]
fn an_artifact_of_long_paths_names_a_file_of_its_contents() {
    const PATHS: usize = 17_000;
    let desk = Desk::new();
    let mut artifact = Artifact::new("long", "dataset").unwrap();
    for number in 0..PATHS {
        let name = format!("{number:04000}");
        artifact
            .add_reference_as("https://example.invalid/x.png", &name)
            .unwrap();
    }
    desk.run.log_artifact(artifact).unwrap();
    desk.run.finish().unwrap();
    let manifest = artifacts(desk.path())[0].manifest.clone().unwrap();
    assert_eq!(manifest.contents.len(), 0);
    assert!(Path::new(&manifest.manifest_file_path).starts_with(desk.path()));
    check_sound(desk.path());
}

#[test]
fn contents_that_are_none_are_told() {
    let place = tempfile::tempdir().unwrap();
    let contents = place.path().join("contents.gz");
    fs::write(&contents, "no gzip").unwrap();
    let dir = claiming(Vec::new(), contents.to_str().unwrap());
    let run = dir.path().join("offline-run-20250101_000000-r1");
    check(
        &run,
        FaultKind::ArtifactChanged,
        &["the file of its contents, ", "(it is no list of files: "],
    );
    let device = claiming(Vec::new(), "/dev/zero");
    let run = device.path().join("offline-run-20250101_000000-r1");
    check(
        &run,
        FaultKind::ArtifactUnreadable,
        &["the file of its contents, /dev/zero (it is no file"],
    );
    let empty = claiming(Vec::new(), "/proc/self/status");
    let run = empty.path().join("offline-run-20250101_000000-r1");
    check(&run, FaultKind::ArtifactChanged, &["(it is empty)"]);
}

/// Others may write longer ones than this crate reads.
#[test]
fn an_artifact_whose_list_of_files_is_too_long_is_told_and_stays_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let line = place.path().join("line.gz");
    fs::write(&line, packed(&" ".repeat(2 << 20))).unwrap();
    let file = place.path().join("file.gz");
    let sparse = fs::File::create(&file).unwrap();
    sparse.set_len((1 << 30) + 1).unwrap();
    for contents in [line, file] {
        let dir = claiming(Vec::new(), contents.to_str().unwrap());
        let run = dir.path().join("offline-run-20250101_000000-r1");
        check_sound(&run);
        let faults = verify(&run).unwrap().faults;
        let is_told = |fault: &Fault| fault.kind == FaultKind::ArtifactUnread;
        let told = faults.iter().find(|fault| is_told(fault)).unwrap();
        let expected = "a list that is longer than is read here";
        assert!(told.message.contains(expected), "{told}");
        let repaired = repair(&run, dir.path().join("repaired")).unwrap();
        assert_eq!(artifacts(&run), artifacts(&repaired.dir));
        assert_eq!((repaired.artifacts, repaired.artifacts_left_out), (1, 0));
    }
}

/// A line of a file of contents.
fn line(path: &str) -> String {
    format!("{{\"path\":\"{path}\",\"digest\":\"s3://b/{path}\",\"ref\":\"s3://b/{path}\"}}\n")
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn md5_hex(bytes: &[u8]) -> String {
    use md5::{Digest, Md5};
    Md5::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A list of files that reads well may be another than was logged.
#[test]
fn contents_are_compared_with_the_md5_that_they_are_named_by() {
    let place = tempfile::tempdir().unwrap();
    let logged = packed(&line("a"));
    let contents = place.path().join(md5_hex(&logged));
    fs::write(&contents, &logged).unwrap();
    let dir = claiming(Vec::new(), contents.to_str().unwrap());
    let run = dir.path().join("offline-run-20250101_000000-r1");
    check_sound(&run);
    fs::write(&contents, packed(&line("b"))).unwrap();
    let expected = [
        "the file of its contents, ",
        "its bytes aren't those that were logged",
        "will not upload",
    ];
    check(&run, FaultKind::ArtifactChanged, &expected);
    let repaired = repair(&run, dir.path().join("repaired")).unwrap();
    assert_eq!((repaired.artifacts, repaired.artifacts_left_out), (0, 1));
}

/// The list of another project, say: what it names isn't for who only knows where it is.
#[test]
fn a_list_outside_of_a_run_is_brought_only_where_it_has_the_digest_of_its_artifact() {
    let place = tempfile::tempdir().unwrap();
    let list = place.path().join("1_2.manifest_contents.jl.gz");
    let gone = "{\"path\":\"gone\",\"digest\":\"d\",\"local_path\":\"/no/such\",\"size\":1}\n";
    fs::write(&list, packed(&line("private"))).unwrap();
    let right = md5_hex(b"wandb-artifact-manifest-v1\nprivate:s3://b/private\n");
    let run_of = |digest: &str, algorithm: &str| {
        claimed(ArtifactRecord {
            digest: digest.into(),
            digest_algorithm: algorithm.into(),
            ..artifact_of(Vec::new(), list.to_str().unwrap())
        })
    };
    let check = |digest: &str, algorithm: &str, expected: &str| {
        let dir = run_of(digest, algorithm);
        let run = dir.path().join("offline-run-20250101_000000-r1");
        let report = verify(&run).unwrap();
        let repaired = repair(&run, dir.path().join("repaired")).unwrap();
        assert_eq!((repaired.artifacts, repaired.artifacts_left_out), (0, 1));
        assert!(!repaired.dir.join("artifacts").exists());
        let told = format!("{:?} {:?}", report.faults, repaired.missing);
        assert!(told.contains(expected), "{told}");
        for hidden in ["private", "gone", &right] {
            assert!(!told.contains(hidden), "{hidden}: {told}");
        }
    };
    check("", "", "its record has no digest to compare it with");
    check(
        &right,
        "ANOTHER",
        "lies outside of the run, and its digests are",
    );
    check(&md5_hex(b"other"), "", "what it names has another: ");
    let dir = run_of(&right, "");
    let run = dir.path().join("offline-run-20250101_000000-r1");
    assert!(outside(&run).is_some());
    let repaired = repaired(&run, &dir.path().join("repaired"));
    assert_eq!((repaired.artifacts, repaired.missing_in_all), (1, 0));
    assert_eq!(outside(&repaired.dir), None);
    let manifest = artifacts(&repaired.dir).remove(0).manifest.unwrap();
    assert!(Path::new(&manifest.manifest_file_path).starts_with(&repaired.dir));
    // Nor what such a list names of files that are gone.
    fs::write(&list, packed(gone)).unwrap();
    check("", "", "its record has no digest");
}

/// As the Python SDK's `ArtifactManifest.digest` has it: by the paths in their order.
#[test]
fn the_digest_of_an_artifact_is_compared_with_what_it_names() {
    let place = tempfile::tempdir().unwrap();
    let contents = place.path().join("1_2.manifest_contents.jl.gz");
    // The SDK writes them in the order in which they were added.
    fs::write(&contents, packed(&(line("b") + &line("a")))).unwrap();
    let hello = || claim("s3://b/a", 0, "");
    let of_contents = "wandb-artifact-manifest-v1\na:s3://b/a\nb:s3://b/b\n";
    let of_record = "wandb-artifact-manifest-v1\na:s3://b/a\n";
    let verified = |digest: &str, entries, contents: &str| {
        let dir = claimed(ArtifactRecord {
            digest: digest.into(),
            ..artifact_of(entries, contents)
        });
        let run = dir.path().join("offline-run-20250101_000000-r1");
        (verify(&run).unwrap(), dir)
    };
    let contents = contents.to_str().unwrap();
    for (text, entries, contents) in [
        (of_contents, vec![], contents),
        (of_record, vec![hello()], ""),
    ] {
        let digest = md5_hex(text.as_bytes());
        let (report, _) = verified(&digest, entries.clone(), contents);
        assert!(report.is_sound(), "{:#?}", report.faults);
        let (report, dir) = verified(&md5_hex(b"other"), entries, contents);
        let found = faults(&report);
        assert_eq!(found[0].kind, FaultKind::ArtifactDigest, "{found:?}");
        // That of a list outside of the run is what guards it.
        let is_told = found[0].message.contains(&digest);
        assert_eq!(is_told, contents.is_empty(), "{}", found[0]);
        let run = dir.path().join("offline-run-20250101_000000-r1");
        let repaired = repair(run, dir.path().join("repaired")).unwrap();
        assert_eq!((repaired.artifacts, repaired.artifacts_left_out), (0, 1));
    }
}
