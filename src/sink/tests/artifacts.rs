//! The files of artifacts on disks that lose power, and on disks that fail.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fake::{Disk, FakeFolder, State, Unsynced};
use super::{Directory, changes};
use crate::error::{Error, Result};
use crate::sink::digest::{DigestAlgorithm, FileDigest};
use crate::sink::reader::LogReader;
use crate::sink::records::{
    ArtifactManifest, ArtifactManifestEntry, ArtifactRecord, Record, RecordType,
};
use crate::sink::{Durability, FilePlace, Md5, RecordSink, StagedFile, Stamp};

/// Takes a file of an artifact.
fn take(sink: &mut Directory<FakeFolder>, dir: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let from = dir.join("file");
    fs::write(&from, bytes).unwrap();
    sink.take_file(&StagedFile {
        from: &from,
        place: FilePlace::Artifact(&Md5::of(bytes).hex()),
        may_move: false,
        stamp: Some(Stamp::of(&from).unwrap()),
    })
}

/// Takes a file of an artifact, and writes the record that names it.
fn log(sink: &mut Directory<FakeFolder>, dir: &Path, bytes: &[u8]) -> Result<()> {
    take(sink, dir, bytes)?;
    let entry = ArtifactManifestEntry {
        digest: Md5::of(bytes).base64(),
        size: bytes.len() as i64,
        ..ArtifactManifestEntry::default()
    };
    let manifest = ArtifactManifest {
        contents: vec![entry],
        ..ArtifactManifest::default()
    };
    sink.record(&Record {
        record_type: Some(RecordType::Artifact(ArtifactRecord {
            manifest: Some(manifest),
            ..ArtifactRecord::default()
        })),
        ..Record::default()
    })
}

fn begun(disk: &Disk) -> Directory<FakeFolder> {
    let mut sink = disk.directory(Durability::Fsync).unwrap();
    sink.record(&Record::default()).unwrap();
    sink.flush().unwrap();
    sink
}

#[test]
fn files_of_artifacts_are_synced_before_the_record_that_names_them() {
    let (disk, dir) = (Disk::new(), tempfile::tempdir().unwrap());
    let mut sink = begun(&disk);
    changes(&disk);
    log(&mut sink, dir.path(), b"hello\n").unwrap();
    let expected = [
        "create_folder artifacts",
        "create_folder b1",
        "create_file .media.part",
        "write",
        "sync",
        "rename .media.part b1946ac92492d2347c6235b4d2611184",
        "remove_file .media.part",
        "sync_folder offline-run-1-a",
        "sync_folder artifacts",
        "sync_folder artifacts/b1",
        "write",
    ];
    assert_eq!(changes(&disk), expected);
    // What was synced isn't once more.
    sink.record(&Record {
        record_type: Some(RecordType::Artifact(ArtifactRecord::default())),
        ..Record::default()
    })
    .unwrap();
    assert_eq!(changes(&disk), ["write"]);
}

/// How often a folder of artifacts was looked up for a row, since this was last asked.
fn look_ups(sink: &mut Directory<FakeFolder>, disk: &Disk) -> usize {
    disk.state().calls.clear();
    assert!(!sink.has_lost());
    let state = disk.state();
    let is_look_up = |call: &&String| call.starts_with("look") && call.contains("artifacts");
    state.calls.iter().filter(is_look_up).count()
}

#[test]
fn rows_look_up_no_folders_of_artifacts_that_are_written() {
    let (disk, dir) = (Disk::new(), tempfile::tempdir().unwrap());
    let mut sink = begun(&disk);
    take(&mut sink, dir.path(), b"hello\n").unwrap();
    assert_eq!(look_ups(&mut sink, &disk), 2);
    log(&mut sink, dir.path(), b"hello\n").unwrap();
    assert_eq!(look_ups(&mut sink, &disk), 0);
    sink.flush().unwrap();
    let state = disk.state();
    assert!(
        state
            .calls
            .iter()
            .any(|call| call.ends_with("artifacts/b1"))
    );
}

/// How many artifacts the log names, each of whose files is there.
fn whole_artifacts(state: &State) -> usize {
    const RUN: &str = "offline-run-1-a";
    let Ok(log) = state.read(&format!("{RUN}/run-a.wandb")) else {
        return 0;
    };
    let records = LogReader::from_reader("log", &*log).into_iter().flatten();
    let mut artifacts = 0;
    for record in records.filter_map(Result::ok) {
        let Some(RecordType::Artifact(artifact)) = record.record_type else {
            continue;
        };
        for entry in artifact.manifest.unwrap().contents {
            let digest = FileDigest::from_base64(DigestAlgorithm::Md5, &entry.digest);
            let hash = digest.unwrap().hex();
            let path = format!("{RUN}/{}", FilePlace::Artifact(&hash).path());
            let bytes = state.read(&path).unwrap();
            assert_eq!(Md5::of(&bytes).base64(), entry.digest);
        }
        artifacts += 1;
    }
    artifacts
}

#[test]
fn a_loss_of_power_leaves_no_artifact_without_its_files() {
    let (disk, dir) = (Disk::remembering(), tempfile::tempdir().unwrap());
    let mut sink = begun(&disk);
    for bytes in [&b"hello\n"[..], b"bye\n", b"hello\n", b"and more"] {
        log(&mut sink, dir.path(), bytes).unwrap();
        sink.flush().unwrap();
    }
    let past = disk.state().past.take().unwrap();
    let mut most = 0;
    for state in &past {
        for kept in [0, 1, usize::MAX] {
            let after = state.after_power_loss(&mut |unsynced| match unsynced {
                // The log is kept as it is: the worst for what it names.
                Unsynced::Name => kept.min(1),
                Unsynced::Bytes(bytes) => bytes.min(kept),
                Unsynced::Content => 1,
            });
            most = most.max(whole_artifacts(&after));
        }
    }
    assert_eq!(most, 4);
}

#[test]
fn a_fault_at_any_call_costs_its_artifact_alone() {
    let calls = {
        let (disk, dir) = (Disk::new(), tempfile::tempdir().unwrap());
        let mut sink = begun(&disk);
        log(&mut sink, dir.path(), b"hello\n").unwrap();
        disk.state().calls.len()
    };
    let mut failed = 0;
    for at in 0..calls {
        let (disk, dir) = (Disk::new(), tempfile::tempdir().unwrap());
        let mut sink = begun(&disk);
        let before = disk.state().calls.len();
        let fault =
            move |number, _: &str| (number == before + at).then_some(io::ErrorKind::StorageFull);
        disk.fail(Arc::new(fault));
        let first = log(&mut sink, dir.path(), b"hello\n");
        disk.heal();
        failed += usize::from(first.is_err());
        log(&mut sink, dir.path(), b"bye\n").unwrap();
        sink.flush().unwrap();
        let artifacts = whole_artifacts(&disk.state());
        assert_eq!(artifacts, 1 + usize::from(first.is_ok()), "at {at}");
        let names = disk.state().all_names();
        assert!(
            !names.iter().any(|name| name.ends_with(".part")),
            "{names:?}"
        );
    }
    assert!(failed > 5, "{failed}");
}

/// Two paths of an artifact name one staged file where their bytes are the same.
#[test]
fn a_staged_file_that_is_named_twice_is_there_once_where_there_are_no_links() {
    let (disk, dir) = (Disk::new(), tempfile::tempdir().unwrap());
    disk.state().moves = true;
    let mut sink = begun(&disk);
    let (from, hash) = (dir.path().join("staged"), Md5::of(b"hello\n").hex());
    fs::write(&from, b"hello\n").unwrap();
    let staged = StagedFile {
        from: &from,
        place: FilePlace::Artifact(&hash),
        may_move: true,
        stamp: None,
    };
    let place = sink.take_file(&staged).unwrap();
    assert!(!from.exists());
    assert_eq!(sink.take_file(&staged).unwrap(), place);
    // Another file can't be had any more.
    let other = FilePlace::Artifact("b1946ac92492d2347c6235b4d2611185");
    let other = StagedFile {
        place: other,
        ..staged
    };
    assert!(sink.take_file(&other).is_err());
    disk.state().delete("offline-run-1-a/artifacts");
    assert!(sink.take_file(&staged).is_err());
}

#[cfg(unix)]
fn is_as(path: &Path, bytes: &[u8]) -> bool {
    fs::read(path).unwrap() == bytes
}

/// Whoever wrote to the file has set its time back: linked or copied, it is refused. Other systems
/// don't say when it was touched.
#[cfg(unix)]
#[test]
fn a_change_that_its_length_and_time_hide_is_found() {
    let (disk, dir) = (Disk::new(), tempfile::tempdir().unwrap());
    let name = "offline-run-1-a";
    let real = Directory::create(dir.path(), name, "a", Durability::Process);
    let sinks: [Box<dyn RecordSink>; 2] = [Box::new(begun(&disk)), Box::new(real.unwrap())];
    for mut sink in sinks {
        let from = dir.path().join("file");
        fs::write(&from, "hello\n").unwrap();
        let stamp = Stamp::of(&from).unwrap();
        let hash = Md5::of(b"hello\n").hex();
        let given = StagedFile {
            from: &from,
            place: FilePlace::Artifact(&hash),
            may_move: false,
            stamp: Some(stamp),
        };
        // That it was linked in between is no change.
        fs::hard_link(&from, dir.path().join("link")).unwrap();
        fs::remove_file(dir.path().join("link")).unwrap();
        sink.take_file(&given).unwrap();
        let place = dir.path().join(name).join(given.place.path());
        // What lies in the run is a link to it.
        let _ = fs::remove_file(place);
        let before = fs::metadata(&from).unwrap().modified().unwrap();
        // The system's clock ticks slowly.
        while Stamp::of(&from).unwrap().is_untouched_since(&stamp) || is_as(&from, b"hello\n") {
            let file = fs::File::options().write(true).open(&from).unwrap();
            io::Write::write_all(&mut &file, b"HELLO\n").unwrap();
            file.set_modified(before).unwrap();
        }
        let error = sink.take_file(&given).unwrap_err();
        assert!(matches!(error, Error::FileChanged { .. }), "{error}");
    }
}

/// Another file in its place has the same bytes, or the disk has numbered it anew.
#[cfg(unix)]
#[test]
fn a_file_of_another_number_is_taken_where_its_bytes_are_the_same() {
    let (disk, dir) = (Disk::new(), tempfile::tempdir().unwrap());
    let name = "offline-run-1-a";
    let real = Directory::create(dir.path(), name, "a", Durability::Process);
    let sinks: [Box<dyn RecordSink>; 2] = [Box::new(begun(&disk)), Box::new(real.unwrap())];
    for mut sink in sinks {
        let [from, other] = ["file", "other"].map(|name| dir.path().join(name));
        fs::write(&from, "hello\n").unwrap();
        let stamp = Stamp::of(&from).unwrap();
        let time = fs::metadata(&from).unwrap().modified().unwrap();
        let given = StagedFile {
            from: &from,
            place: FilePlace::Artifact("b1946ac92492d2347c6235b4d2611184"),
            may_move: false,
            stamp: Some(stamp),
        };
        let put = |bytes: &str| {
            fs::write(&other, bytes).unwrap();
            let file = fs::File::options().write(true).open(&other).unwrap();
            file.set_modified(time).unwrap();
            fs::rename(&other, &from).unwrap();
        };
        put("HELLO\n");
        let error = sink.take_file(&given).unwrap_err();
        assert!(matches!(error, Error::FileChanged { .. }), "{error}");
        put("hello\n");
        sink.take_file(&given).unwrap();
    }
}

/// What is a run's own temporary file isn't said to be one of the user's.
#[test]
fn a_temporary_file_that_was_written_to_is_named_as_one() {
    let (disk, dir) = (Disk::new(), tempfile::tempdir().unwrap());
    let mut sink = begun(&disk);
    let from = dir.path().join("staged");
    fs::write(&from, "other").unwrap();
    let error = sink.take_file(&StagedFile {
        from: &from,
        place: FilePlace::Artifact("b1946ac92492d2347c6235b4d2611184"),
        may_move: true,
        stamp: None,
    });
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(error.to_string().contains("temporary file"), "{error}");
}

#[test]
fn a_file_that_has_changed_leaves_what_has_its_place() {
    let (disk, dir) = (Disk::new(), tempfile::tempdir().unwrap());
    let mut sink = begun(&disk);
    log(&mut sink, dir.path(), b"hello\n").unwrap();
    let from = dir.path().join("file");
    let stamp = Stamp::of(&from).unwrap();
    fs::write(&from, "hello, world\n").unwrap();
    let error = sink.take_file(&StagedFile {
        from: &from,
        place: FilePlace::Artifact(&Md5::of(b"hello\n").hex()),
        may_move: false,
        stamp: Some(stamp),
    });
    let error = error.unwrap_err();
    assert!(matches!(error, Error::FileChanged { .. }), "{error}");
    assert_eq!(whole_artifacts(&disk.state()), 1);
}
