//! The sink on disks that lose power, and on disks that fail.

mod artifacts;
mod fake;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::directory::Directory;
use super::framing::FILE_HEADER;
use super::reader::LogReader;
use super::records::{HistoryRecord, Record, RecordType};
use super::{Durability, RecordSink, sha256};
use crate::error::Error;
use crate::image::Image;
use crate::pixels::{Mode, Pixels};
use crate::run::Run;
use fake::{Disk, FakeFolder, State, Unsynced};

const SOON: Duration = Duration::from_secs(60);

fn picture(level: u8) -> Image {
    Pixels::new(2, 1, Mode::L, vec![level, level])
        .unwrap()
        .into()
}

fn started(directory: Directory<FakeFolder>) -> Run {
    let run = crate::init().synchronous(true).workers(1);
    run.start_on(directory).unwrap()
}

fn flush(run: &Run, disk: &Disk) {
    run.flush(SOON).unwrap();
    disk.state().confirmed = run.step();
}

fn scalar(step: u8) -> [(&'static str, u8); 1] {
    [("loss", step)]
}

/// Rows with pictures and without, under old keys and new ones, and flushes between them.
fn log_all(run: &Run, disk: &Disk) {
    run.log(scalar(0)).unwrap();
    run.log([("sample", picture(1))]).unwrap();
    flush(run, disk);
    run.log([("sample", picture(2))]).unwrap();
    run.log([("val/sample", picture(3))]).unwrap();
    flush(run, disk);
    run.log(scalar(4)).unwrap();
    flush(run, disk);
    run.log([("val/sample", vec![picture(5), picture(6)])])
        .unwrap();
    run.log(scalar(6)).unwrap();
    run.finish().unwrap();
    disk.state().confirmed = run.step();
}

// ---- the order ----

/// The calls that change something, since this was last asked.
fn changes(disk: &Disk) -> Vec<String> {
    let calls = std::mem::take(&mut disk.state().calls);
    let is_change = |call: &String| !call.starts_with("open") && !call.starts_with("look");
    calls.into_iter().filter(is_change).collect()
}

#[test]
fn each_thing_is_synced_before_what_relies_on_it() {
    let disk = Disk::new();
    let mut sink = disk.directory(Durability::Fsync).unwrap();
    sink.record(&Record::default()).unwrap();
    sink.flush().unwrap();
    assert_eq!(
        changes(&disk),
        [
            "create_folder offline-run-1-a",
            "link latest-run",
            "sync_folder wandb",
            "create_folder logs",
            "sync_folder offline-run-1-a",
            "create_folder files",
            "sync_folder offline-run-1-a",
            "create_log run-a.wandb.part",
            "write",
            "write",
            "sync",
            "rename run-a.wandb.part run-a.wandb",
            "sync_folder files",
            "sync_folder offline-run-1-a",
            "sync_folder wandb",
        ]
    );
    sink.media("media/images/a.png", b"a").unwrap();
    sink.record(&Record::default()).unwrap();
    assert_eq!(
        changes(&disk),
        [
            "sync_folder offline-run-1-a",
            "create_folder media",
            "sync_folder files",
            "create_folder images",
            "sync_folder files/media",
            "create_file .media.part",
            "write",
            "sync",
            "rename .media.part a.png",
            "sync_folder files/media/images",
            "write",
        ]
    );
    sink.media("media/images/b.png", b"b").unwrap();
    assert_eq!(
        changes(&disk),
        [
            "create_file .media.part",
            "write",
            "sync",
            "rename .media.part b.png",
            "sync_folder files/media/images",
        ]
    );
    sink.flush().unwrap();
    assert_eq!(changes(&disk), ["sync"]);
    sink.flush().unwrap();
    assert!(changes(&disk).is_empty());
}

#[test]
fn a_log_that_is_made_again_is_synced_before_it_has_its_name() {
    let disk = Disk::new();
    let mut sink = disk.directory(Durability::Fsync).unwrap();
    sink.record(&Record::default()).unwrap();
    sink.flush().unwrap();
    disk.state().delete("offline-run-1-a");
    changes(&disk);
    sink.flush().unwrap_err();
    let calls = changes(&disk);
    let of_log = ["create_log", "write", "sync", "rename"];
    let kind = |call: &String| call.split(' ').next().unwrap().to_owned();
    let kinds: Vec<_> = calls
        .iter()
        .map(kind)
        .filter(|kind| of_log.contains(&&**kind))
        .collect();
    assert_eq!(kinds[..4], of_log, "{calls:?}");
}

#[test]
fn nothing_is_synced_unasked() {
    let disk = Disk::new();
    let mut sink = disk.directory(Durability::Process).unwrap();
    sink.media("media/images/a.png", b"a").unwrap();
    sink.record(&Record::default()).unwrap();
    sink.flush().unwrap();
    let calls = changes(&disk);
    assert!(
        !calls.iter().any(|call| call.starts_with("sync")),
        "{calls:?}"
    );
}

// ---- loss of power ----

/// The rows of a log, as far as it can be read.
fn rows(state: &State) -> Vec<HistoryRecord> {
    let log = state.read("offline-run-1-a/run-a.wandb");
    let log = log.unwrap_or_else(|_| FILE_HEADER.into());
    let Ok(reader) = LogReader::from_reader("run-a.wandb", &log[..]) else {
        return Vec::new();
    };
    let records = reader.map_while(crate::Result::ok);
    let row = |record: Record| match record.record_type {
        Some(RecordType::History(row)) => Some(row),
        _ => None,
    };
    records.filter_map(row).collect()
}

/// What is wrong with the files that a row names: each picture, by its hash where it is alone.
fn faults(row: &HistoryRecord, state: &State) -> Vec<String> {
    let values: BTreeMap<String, &str> = row
        .item
        .iter()
        .map(|item| (item.path().join("/"), item.value_json.trim_matches('"')))
        .collect();
    let pictures = values.iter().filter_map(|(key, value)| {
        let place = key.strip_suffix("/path").map(|_| vec![(*value).to_owned()]);
        let listed = key.strip_suffix("/filenames");
        place.or_else(|| listed.map(|_| serde_json::from_str(value).unwrap()))
    });
    let fault = |path: String| {
        let hash = path.rsplit_once('_').unwrap().1.split('.').next().unwrap();
        match state.read(&format!("offline-run-1-a/files/{path}")) {
            Ok(bytes) if sha256(&bytes).starts_with(hash) => None,
            Ok(_) => Some(format!("{path} is not whole")),
            Err(_) => Some(format!("{path} is missing")),
        }
    };
    pictures.flatten().filter_map(fault).collect()
}

/// What a disk holds that it must not, or lacks that it must have.
fn losses(after: &State) -> Vec<String> {
    let rows = rows(after);
    let mut losses: Vec<_> = rows.iter().flat_map(|row| faults(row, after)).collect();
    if (rows.len() as u64) < after.confirmed {
        losses.push(format!("{} rows of {}", rows.len(), after.confirmed));
    }
    losses
}

/// What is lost where the power goes after each call: all that isn't synced, nothing, names alone,
/// content alone, and many mixtures.
fn losses_at_each_call(durability: Durability) -> (usize, Vec<String>) {
    let disk = Disk::remembering();
    let run = started(disk.directory(durability).unwrap());
    log_all(&run, &disk);
    let mut past = disk.state().past.take().unwrap();
    // With what the end confirmed.
    past.push(disk.state().clone());
    assert_eq!(rows(past.last().unwrap()).len(), 7);
    let mut all = Vec::new();
    let mut random = fastrand::Rng::with_seed(5);
    for (call, state) in past.iter().enumerate() {
        let mut try_one = |choose: &mut dyn FnMut(Unsynced) -> usize| {
            let after = state.after_power_loss(&mut |what| choose(what));
            all.extend(losses(&after).iter().map(|loss| format!("{call}: {loss}")));
        };
        try_one(&mut |_| 0);
        try_one(&mut |_| usize::MAX);
        try_one(&mut |what| usize::from(what == Unsynced::Name));
        try_one(&mut |what| usize::MAX * usize::from(what != Unsynced::Name));
        for _ in 0..30 {
            try_one(&mut |what| match what {
                Unsynced::Name | Unsynced::Content => random.usize(0..2),
                Unsynced::Bytes(n) => random.usize(0..=n),
            });
        }
    }
    (past.len(), all)
}

#[test]
fn with_fsync_a_loss_of_power_takes_nothing_that_was_confirmed() {
    let (calls, losses) = losses_at_each_call(Durability::Fsync);
    assert!(calls > 80, "{calls}");
    assert!(losses.is_empty(), "{losses:#?}");
}

/// Without `fsync` the same test finds losses: it can fail.
#[test]
fn without_fsync_a_loss_of_power_is_seen() {
    let (_, losses) = losses_at_each_call(Durability::Process);
    let seen = |what: &str| losses.iter().any(|loss| loss.contains(what));
    for what in ["rows of", "is missing", "is not whole"] {
        assert!(seen(what), "{what}: {losses:#?}");
    }
}

#[test]
fn what_a_failed_sync_forgot_is_written_again() {
    let disk = Disk::new();
    let run = started(disk.directory(Durability::Fsync).unwrap());
    run.log(scalar(0)).unwrap();
    disk.fail(Arc::new(|_, call| {
        (call == "sync").then_some(io::ErrorKind::Other)
    }));
    run.flush(SOON).unwrap_err();
    run.log(scalar(1)).unwrap();
    run.flush(SOON).unwrap_err();
    disk.heal();
    flush(&run, &disk);
    let after = disk.state().after_power_loss(&mut |_| 0);
    assert_eq!(rows(&after).len(), 2);
    assert!(losses(&after).is_empty());
}

/// A run with a row that was confirmed, and another the sync of which has failed, and fails.
fn with_a_failed_sync() -> (Disk, Run) {
    let disk = Disk::new();
    let run = started(disk.directory(Durability::Fsync).unwrap());
    run.log(scalar(0)).unwrap();
    flush(&run, &disk);
    run.log(scalar(1)).unwrap();
    disk.fail(Arc::new(|_, call| {
        (call == "sync").then_some(io::ErrorKind::Other)
    }));
    run.flush(SOON).unwrap_err();
    (disk, run)
}

#[test]
fn what_a_failed_sync_lost_is_never_confirmed() {
    let (disk, run) = with_a_failed_sync();
    disk.state().evict();
    disk.heal();
    run.log(scalar(2)).unwrap();
    for _ in 0..3 {
        let error = run.flush(SOON).unwrap_err().to_string();
        assert!(error.contains("not kept what was written"), "{error}");
    }
    let error = run.finish().unwrap_err().to_string();
    assert!(error.contains("not kept what was written"), "{error}");
    assert_eq!(rows(&disk.state()).len(), 1);
}

/// What can't be read back is lost also where the directory is deleted, and the log made again.
#[test]
fn what_a_failed_sync_lost_is_not_confirmed_by_a_copy() {
    for evicted in [false, true] {
        let (disk, run) = with_a_failed_sync();
        if evicted {
            disk.state().evict();
        }
        disk.state().delete("offline-run-1-a");
        disk.heal();
        let error = run.flush(SOON).unwrap_err().to_string();
        assert_eq!(error.contains("was deleted while"), !evicted, "{error}");
        for _ in 0..2 {
            run.log(scalar(2)).unwrap();
            let flushed = run.flush(SOON);
            let is_ruined = flushed.is_err_and(|error| {
                let error = error.to_string();
                error.contains("not kept what was written")
            });
            assert_eq!(is_ruined, evicted);
        }
    }
}

// ---- faults ----

/// Three calls fail from the n-th on, whichever they are. The loop goes on, nothing half is left,
/// and rows after it are whole.
fn check_fault(at: usize, kind: io::ErrorKind) -> bool {
    // A name that isn't found is gone: no fault.
    let is_fault = move |call: &str| (kind, call) != (io::ErrorKind::NotFound, "look_up");
    let disk = Disk::failing(Arc::new(move |n, call| {
        ((at..at + 3).contains(&n) && is_fault(call)).then_some(kind)
    }));
    let Ok(directory) = disk.directory(Durability::Fsync) else {
        return true;
    };
    let Ok(run) = crate::init().workers(1).start_on(directory) else {
        return true;
    };
    for step in 0..6 {
        run.log([
            ("sample", picture(step)),
            ("other/sample", picture(step + 50)),
        ])
        .unwrap();
        let _ = run.flush(SOON);
    }
    let has_failed = disk.state().calls.len() > at;
    disk.heal();
    for step in 6..8 {
        run.log([
            ("sample", picture(step)),
            ("other/sample", picture(step + 50)),
        ])
        .unwrap();
    }
    let end = run.finish();
    let state = disk.state().clone();
    let rows = rows(&state);
    let faults: Vec<_> = rows.iter().flat_map(|row| faults(row, &state)).collect();
    assert!(faults.is_empty(), "{at}: {faults:?}");
    let stats = run.stats();
    assert_eq!(rows.len() as u64, stats.rows.written, "{at}");
    assert_eq!(stats.rows.written + stats.rows.failed, 8, "{at}");
    assert_eq!(stats.pictures.written + stats.pictures.failed, 16, "{at}");
    assert_eq!(stats.queued_bytes, 0, "{at}");
    let lost = stats.rows.failed + stats.pictures.failed;
    assert_eq!(end.is_err(), lost > 0, "{at}: {end:?}");
    let names = state.all_names();
    assert!(
        !names.iter().any(|name| name.ends_with(".part")),
        "{names:?}"
    );
    has_failed
}

#[test]
fn a_fault_at_any_call_costs_what_it_hit_alone() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::NotFound] {
        let calls = (0..).take_while(|&at| check_fault(at, kind)).count();
        assert!(calls > 100, "{calls}");
    }
}

/// The directory is deleted after a flush, and then three calls fail from the n-th on. No row is
/// lost but those that are counted, and nothing half is left.
fn check_fault_of_deleted(at: usize, kind: io::ErrorKind) -> bool {
    let disk = Disk::new();
    let directory = disk.directory(Durability::Fsync).unwrap();
    let run = crate::init().workers(1).start_on(directory).unwrap();
    let log = |steps: std::ops::Range<u8>| {
        for step in steps {
            run.log([("sample", picture(step))]).unwrap();
            let _ = run.flush(SOON);
        }
    };
    log(0..2);
    disk.state().delete("offline-run-1-a");
    let begin = disk.state().calls.len() + at;
    let is_fault = move |call: &str| (kind, call) != (io::ErrorKind::NotFound, "look_up");
    disk.fail(Arc::new(move |n, call| {
        ((begin..begin + 3).contains(&n) && is_fault(call)).then_some(kind)
    }));
    log(2..6);
    let has_failed = disk.state().calls.len() > begin;
    disk.heal();
    log(6..8);
    run.finish().unwrap_err();
    let state = disk.state().clone();
    let rows = rows(&state);
    let stats = run.stats();
    assert_eq!(rows.len() as u64, stats.rows.written, "{at}");
    assert_eq!(stats.rows.written + stats.rows.failed, 8, "{at}");
    assert!(stats.rows.failed <= 3, "{at}: {stats:?}");
    // Those before it name what was deleted.
    let faults: Vec<_> = rows[2..]
        .iter()
        .flat_map(|row| faults(row, &state))
        .collect();
    assert!(faults.is_empty(), "{at}: {faults:?}");
    let names = state.all_names();
    let is_part = |name: &String| name.ends_with(".part");
    assert!(!names.iter().any(is_part), "{at}: {names:?}");
    has_failed
}

#[test]
fn a_fault_at_any_call_that_makes_a_run_again_costs_what_it_hit_alone() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::NotFound] {
        let calls = (0..)
            .take_while(|&at| check_fault_of_deleted(at, kind))
            .count();
        assert!(calls > 60, "{calls}");
    }
}

/// A look-up that fails shows nothing: a folder that may not be entered for a moment is there.
#[test]
fn what_cannot_be_looked_up_is_not_taken_for_lost() {
    let disk = Disk::new();
    let mut sink = disk.directory(Durability::Process).unwrap();
    sink.media("media/images/a.png", b"a").unwrap();
    sink.flush().unwrap();
    let fail = |kind| disk.fail(Arc::new(move |_, call| (call == "look_up").then_some(kind)));
    for kind in [io::ErrorKind::Other, io::ErrorKind::TimedOut] {
        fail(kind);
        assert!(!sink.has_lost());
        sink.media("media/images/b.png", b"b").unwrap();
        sink.flush().unwrap();
        disk.heal();
        assert!(!sink.has_lost());
    }
    fail(io::ErrorKind::NotADirectory);
    assert!(sink.has_lost());
}

/// A log that can't be copied is copied once, and then once for each flush.
#[test]
fn a_copy_that_fails_is_not_tried_for_each_row() {
    let disk = Disk::new();
    let mut sink = disk.directory(Durability::Process).unwrap();
    sink.record(&Record::default()).unwrap();
    sink.flush().unwrap();
    disk.state().delete("offline-run-1-a");
    disk.fail(Arc::new(|_, call| {
        (call == "write").then_some(io::ErrorKind::StorageFull)
    }));
    let copies = |disk: &Disk| {
        let calls = std::mem::take(&mut disk.state().calls);
        let copies = calls.iter().filter(|call| call.starts_with("create_log"));
        copies.count()
    };
    copies(&disk);
    assert!(sink.has_lost());
    for _ in 0..5 {
        let refused = [
            sink.record(&Record::default()).unwrap_err(),
            sink.media("media/images/a.png", b"a").unwrap_err(),
        ];
        for error in refused {
            assert!(matches!(&error, Error::RunDirectoryGone { .. }), "{error}");
        }
        sink.has_lost();
    }
    assert_eq!(copies(&disk), 1);
    sink.flush().unwrap_err();
    assert_eq!(copies(&disk), 1);
    disk.heal();
    sink.flush().unwrap_err();
    assert_eq!(copies(&disk), 1);
    sink.record(&Record::default()).unwrap();
    let log = disk.state().read("offline-run-1-a/run-a.wandb").unwrap();
    let records = LogReader::from_reader("run-a.wandb", &log[..]).unwrap();
    assert_eq!(records.map(crate::Result::unwrap).count(), 2);
}

/// What is deleted leaves its number to what is made after it.
#[test]
fn a_folder_that_is_made_again_under_its_number_was_lost() {
    let disk = Disk::new();
    disk.state().numbers_repeat = true;
    let mut sink = disk.directory(Durability::Process).unwrap();
    let mut write = |folder: u8| sink.media(&format!("media/{folder}/a.png"), b"a").unwrap();
    (0..12).for_each(&mut write);
    disk.state().delete("offline-run-1-a/files/media/3");
    write(3);
    assert!(sink.has_lost());
    assert!(!sink.has_lost());
}

/// A look-up of the log's name costs no more than that: rows without pictures do none.
#[test]
fn a_row_of_scalars_looks_nothing_up() {
    let disk = Disk::new();
    let mut sink = disk.directory(Durability::Process).unwrap();
    sink.flush().unwrap();
    disk.state().calls.clear();
    sink.record(&Record::default()).unwrap();
    assert!(!disk.state().calls.is_empty());
    assert!(
        !disk
            .state()
            .calls
            .iter()
            .any(|call| call.starts_with("look_up"))
    );
}

#[test]
fn a_file_system_whose_numbers_differ_is_taken_for_none_that_lost_the_run() {
    let disk = Disk::new();
    disk.state().numbers_differ = true;
    let run = started(disk.directory(Durability::Process).unwrap());
    log_all(&run, &disk);
    assert_eq!(rows(&disk.state()).len(), 7);
}

#[test]
fn a_run_that_is_deleted_is_made_again_also_where_numbers_differ() {
    let disk = Disk::new();
    disk.state().numbers_differ = true;
    let run = started(disk.directory(Durability::Process).unwrap());
    run.log(scalar(0)).unwrap();
    flush(&run, &disk);
    for step in 1..3 {
        disk.state().delete("offline-run-1-a");
        run.log(scalar(step)).unwrap();
        let error = run.flush(SOON).unwrap_err().to_string();
        assert!(error.contains("was deleted while"), "{error}");
    }
    run.finish().unwrap_err();
    assert_eq!(rows(&disk.state()).len(), 3);
}
