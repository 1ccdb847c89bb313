//! Training goes on through what can happen to a disk, and the run says what it cost.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wandb_image::sink::logged::{self, LoggedFile};
use wandb_image::sink::reader::LogReader;
use wandb_image::sink::records::{Record, RecordType};
use wandb_image::{Error, Image, Mode, Pixels, Result, Row, Run, RunBuilder, Stats, init};

use crate::child;
use crate::run::listening::Told;
use crate::soak;

const SOON: Duration = Duration::from_secs(60);

/// Rows before, during and after the fault.
const BEFORE: std::ops::Range<u64> = 0..3;
const DURING: std::ops::Range<u64> = 3..23;
const AFTER: std::ops::Range<u64> = 23..26;

/// A picture of about a kilobyte, unlike any other.
fn picture(step: u64) -> Image {
    let mut random = fastrand::Rng::with_seed(step);
    let noise = std::iter::repeat_with(|| random.u8(..))
        .take(32 * 32)
        .collect();
    Pixels::new(32, 32, Mode::L, noise).unwrap().into()
}

fn log(run: &Run, steps: std::ops::Range<u64>) {
    for step in steps {
        // More in all than a full disk leaves room for in the last page of the log.
        let row = Row::new()
            .with("loss", step)
            .with("note", "n".repeat(500))
            .with("val/sample", picture(step));
        run.log(row).unwrap();
    }
}

fn builder(dir: &Path) -> RunBuilder {
    init().mode(wandb_image::RunMode::Offline).dir(dir)
}

/// What came of a run.
#[derive(Debug)]
struct Outcome {
    dir: PathBuf,
    /// What `flush` said while it lasted, and afterwards.
    during: Result<()>,
    after: Result<()>,
    end: Result<()>,
    stats: Stats,
    told: Vec<String>,
}

/// Logs through a fault: `begin` brings it about, and `end` takes the cause away.
fn through(builder: RunBuilder, begin: impl FnOnce(&Path), end: impl FnOnce(&Path)) -> Outcome {
    let told = Told::default();
    tracing::subscriber::with_default(told.clone(), || {
        let run = builder.start().unwrap();
        let dir = run.dir().unwrap().to_path_buf();
        log(&run, BEFORE);
        run.flush(SOON).unwrap();
        begin(&dir);
        log(&run, DURING);
        let during = run.flush(SOON);
        assert_eq!(run.stats().queued_bytes, 0);
        end(&dir);
        log(&run, AFTER);
        let after = run.flush(SOON);
        let end = run.finish();
        Outcome {
            dir,
            during,
            after,
            end,
            stats: run.stats(),
            told: told.lines(),
        }
    })
}

fn records(run: &Path) -> Vec<Record> {
    let log = logged::find_log(run).unwrap();
    LogReader::open(log)
        .unwrap()
        .collect::<Result<_>>()
        .unwrap()
}

fn steps(run: &Path) -> BTreeSet<u64> {
    let row = |record: Record| match record.record_type {
        Some(RecordType::History(row)) => Some(row),
        _ => None,
    };
    let step = |item: &wandb_image::sink::records::Item| {
        (item.key == "_step").then(|| item.value_json.parse().unwrap())
    };
    let rows = records(run).into_iter().filter_map(row);
    rows.map(|row| row.item.iter().find_map(step).unwrap())
        .collect()
}

fn exit_code(run: &Path) -> i32 {
    match records(run).pop().unwrap().record_type {
        Some(RecordType::Exit(exit)) => exit.exit_code,
        record => panic!("the run has no end: {record:?}"),
    }
}

/// The steps whose pictures are there, whole.
fn pictures(run: &Path) -> BTreeSet<u64> {
    let is_whole = |file: &&LoggedFile| {
        let metadata = fs::symlink_metadata(run.join("files").join(&file.path));
        metadata.is_ok_and(|file_there| file_there.is_file() && Some(file_there.len()) == file.size)
    };
    let logged = logged::media(run).unwrap();
    assert!(logged.damage.is_none());
    let whole = logged.files.iter().filter(is_whole);
    whole
        .map(|file| u64::try_from(file.step).unwrap())
        .collect()
}

/// What holds whatever the fault was.
fn check(outcome: &Outcome, rows_failed: bool, pictures_failed: bool) {
    let Outcome { dir, stats, .. } = outcome;
    let all = DURING.end + 3;
    assert_eq!(stats.rows.accepted, all);
    assert_eq!(stats.rows.written + stats.rows.failed, all);
    assert_eq!(stats.pictures.written + stats.pictures.failed, all);
    assert_eq!(stats.rows.failed > 0, rows_failed, "{stats:?}");
    assert_eq!(stats.pictures.failed > 0, pictures_failed, "{stats:?}");
    let steps = steps(dir);
    assert_eq!(steps.len() as u64, stats.rows.written);
    assert!(
        BEFORE.chain(AFTER).all(|step| steps.contains(&step)),
        "{steps:?}"
    );
    assert!(
        AFTER.clone().all(|step| pictures(dir).contains(&step)),
        "{outcome:?}"
    );
    outcome.after.as_ref().unwrap();
    assert!(
        outcome.during.is_err() && outcome.end.is_err(),
        "{outcome:?}"
    );
    assert_eq!(exit_code(dir), i32::from(rows_failed));
    assert_eq!(parts(dir), 0);
    let told = |what: &str| {
        let lines = outcome.told.iter().filter(|line| line.starts_with(what));
        lines.count()
    };
    assert_eq!(
        told("a row at step"),
        usize::from(rows_failed),
        "{outcome:?}"
    );
    let is_told = usize::from(pictures_failed && !rows_failed);
    assert!(
        told("a picture of \"val/sample\"") >= is_told,
        "{outcome:?}"
    );
    assert!(told("a picture of \"val/sample\"") <= 1, "{outcome:?}");
}

fn parts(run: &Path) -> usize {
    let entries = fs::read_dir(run.join("files")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".part")).count()
}

fn first_failure(result: &Result<()>) -> String {
    result.as_ref().unwrap_err().to_string()
}

/// Deletes a directory at one moment.
fn delete(dir: &Path) {
    let aside = dir.with_file_name("aside");
    fs::rename(dir, &aside).unwrap();
    fs::remove_dir_all(&aside).unwrap();
    injected();
}

/// A fault was brought about.
fn injected() {
    soak::report(&[("faults_injected", 1)]);
}

fn is_lost(result: &Result<()>, log: bool, media: u64) {
    fn unwrapped(error: &Error) -> &Error {
        match error {
            Error::Incomplete { first, .. } => unwrapped(first.as_deref().unwrap()),
            Error::Shared(error) => unwrapped(error),
            error => error,
        }
    }
    let error = unwrapped(result.as_ref().unwrap_err());
    let Error::RunDirectoryLost {
        log_restored,
        media_lost,
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((*log_restored, *media_lost), (log, media), "{error}");
}

#[test]
fn a_directory_that_is_deleted_is_made_again_with_every_row() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = through(builder(dir.path()), delete, |_| ());
    check(&outcome, false, false);
    assert_eq!(steps(&outcome.dir), BTreeSet::from_iter(0..26));
    assert_eq!(pictures(&outcome.dir), BTreeSet::from_iter(3..26));
    is_lost(&outcome.during, true, 3);
    is_lost(&outcome.end, true, 3);
    let lost = outcome
        .told
        .iter()
        .filter(|line| line.contains("was deleted while"));
    assert_eq!(lost.count(), 1, "{:?}", outcome.told);
}

#[test]
fn a_directory_whose_parents_are_deleted_is_made_again_too() {
    let dir = tempfile::tempdir().unwrap();
    let delete_all = |run: &Path| delete(run.parent().unwrap());
    let outcome = through(builder(dir.path()), delete_all, |_| ());
    check(&outcome, false, false);
    is_lost(&outcome.end, true, 3);
}

#[test]
fn folders_of_pictures_that_are_deleted_are_made_again() {
    for folder in ["files", "files/media", "files/media/images/val"] {
        let dir = tempfile::tempdir().unwrap();
        let outcome = through(builder(dir.path()), |run| delete(&run.join(folder)), |_| ());
        check(&outcome, false, false);
        assert_eq!(steps(&outcome.dir), BTreeSet::from_iter(0..26));
        assert_eq!(pictures(&outcome.dir), BTreeSet::from_iter(3..26));
        is_lost(&outcome.during, false, 3);
    }
}

#[test]
fn what_is_lost_is_counted_once_however_often_more_is_lost() {
    for (folder, log_restored) in [("", true), ("files", false), ("files/media/images", false)] {
        let dir = tempfile::tempdir().unwrap();
        let run = builder(dir.path()).start().unwrap();
        let run_dir = run.dir().unwrap();
        for (from, lost) in [(0, 3), (3, 2), (5, 4)] {
            log(&run, from..from + lost);
            run.flush(SOON).unwrap();
            delete(&run_dir.join(folder).components().collect::<PathBuf>());
            is_lost(&run.flush(SOON), log_restored, lost);
            run.flush(SOON).unwrap();
        }
        is_lost(&run.finish(), log_restored, 3);
        assert_eq!(steps(run_dir), BTreeSet::from_iter(0..9));
    }
}

#[test]
fn a_loss_is_told_also_where_nothing_is_logged_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let run = builder(dir.path()).start().unwrap();
    log(&run, BEFORE);
    run.flush(SOON).unwrap();
    delete(run.dir().unwrap());
    is_lost(&run.finish(), true, 3);
    is_lost(&run.finish(), true, 3);
    assert_eq!(steps(run.dir().unwrap()), BTreeSet::from_iter(BEFORE));
    assert_eq!(exit_code(run.dir().unwrap()), 0);
}

/// The files that rows from this step on name, and that aren't there.
fn missing(run: &Path, from: i64) -> Vec<(i64, String)> {
    let logged = logged::media(run).unwrap();
    let is_missing = |file: &LoggedFile| !run.join("files").join(&file.path).exists();
    let files = logged.files.into_iter();
    let missing = files.filter(|file| file.step >= from && is_missing(file));
    missing.map(|file| (file.step, file.path)).collect()
}

#[test]
fn folders_that_are_deleted_are_told_also_where_nothing_is_logged_after_it() {
    for folder in ["files", "files/media", "files/media/images/val"] {
        let dir = tempfile::tempdir().unwrap();
        let run = builder(dir.path()).start().unwrap();
        log(&run, BEFORE);
        run.flush(SOON).unwrap();
        delete(&run.dir().unwrap().join(folder));
        is_lost(&run.finish(), false, 3);
    }
}

#[test]
fn a_picture_that_is_stored_once_is_stored_again_after_its_folder_is_deleted() {
    for folder in ["files", "files/media/images"] {
        let dir = tempfile::tempdir().unwrap();
        let run = builder(dir.path()).synchronous(true).start().unwrap();
        let log = |steps: std::ops::Range<u64>| {
            steps.for_each(|_| run.log([("sample", picture(1))]).unwrap());
        };
        let run_dir = run.dir().unwrap();
        log(0..3);
        assert_eq!(missing(run_dir, 0), []);
        delete(&run_dir.join(folder));
        log(3..6);
        assert_eq!(missing(run_dir, 3), []);
        assert_eq!(missing(run_dir, 0).len(), 3);
        is_lost(&run.flush(SOON), false, 1);
        run.flush(SOON).unwrap();
        is_lost(&run.finish(), false, 1);
    }
}

#[test]
fn a_picture_that_stays_is_stored_again_where_another_of_its_row_changes() {
    for folder in ["files", "files/media/images/a", "files/media/images/b"] {
        let dir = tempfile::tempdir().unwrap();
        let run = builder(dir.path()).synchronous(true).start().unwrap();
        let log = |steps: std::ops::Range<u64>| {
            for step in steps {
                run.log([
                    ("a/stays", picture(1)),
                    ("b/changes", picture(step)),
                    ("c/stays", picture(2)),
                ])
                .unwrap();
            }
        };
        log(0..3);
        delete(&run.dir().unwrap().join(folder));
        log(3..6);
        assert_eq!(missing(run.dir().unwrap(), 3), [], "{folder}");
        let lost = match folder {
            "files" => 5,
            "files/media/images/a" => 1,
            _ => 3,
        };
        is_lost(&run.finish(), false, lost);
        assert_eq!(run.stats().pictures.written, 18);
    }
}

#[test]
fn a_folder_that_is_deleted_is_told_also_where_many_are_written_to() {
    const FOLDERS: u64 = 12;
    let dir = tempfile::tempdir().unwrap();
    let run = builder(dir.path()).start().unwrap();
    let log = |steps: std::ops::Range<u64>| {
        for step in steps {
            let key = format!("k{}/sample", step % FOLDERS);
            run.log([(key, picture(step))]).unwrap();
        }
    };
    log(0..2 * FOLDERS);
    run.flush(SOON).unwrap();
    delete(&run.dir().unwrap().join("files/media/images/k3"));
    // The first one that is written to is the one that is gone, and isn't open any more.
    log(2 * FOLDERS + 3..4 * FOLDERS);
    is_lost(&run.flush(SOON), false, 2);
    is_lost(&run.finish(), false, 2);
    assert_eq!(missing(run.dir().unwrap(), 24), []);
}

#[test]
fn a_log_that_has_another_name_elsewhere_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let run = builder(dir.path()).start().unwrap();
    let log = |steps: std::ops::Range<u64>| steps.for_each(|n| run.log([("loss", n)]).unwrap());
    log(0..10);
    run.flush(SOON).unwrap();
    let copy = dir.path().join("copy.wandb");
    fs::hard_link(logged::find_log(run.dir().unwrap()).unwrap(), &copy).unwrap();
    delete(run.dir().unwrap());
    log(10..20);
    is_lost(&run.flush(SOON), true, 0);
    let len = fs::metadata(&copy).unwrap().len();
    log(20..30);
    is_lost(&run.finish(), true, 0);
    assert_eq!(steps(run.dir().unwrap()), BTreeSet::from_iter(0..30));
    assert_eq!(fs::metadata(&copy).unwrap().len(), len);
}

#[test]
fn a_run_of_scalars_that_is_deleted_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let run = builder(dir.path()).start().unwrap();
    let log = |steps: std::ops::Range<u64>| steps.for_each(|n| run.log([("loss", n)]).unwrap());
    log(0..500);
    run.flush(SOON).unwrap();
    delete(run.dir().unwrap());
    log(500..1000);
    is_lost(&run.flush(SOON), true, 0);
    log(1000..1500);
    run.flush(SOON).unwrap();
    is_lost(&run.finish(), true, 0);
    assert_eq!(steps(run.dir().unwrap()), BTreeSet::from_iter(0..1500));
}

#[test]
fn a_picture_that_is_logged_again_after_a_loss_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let run = builder(dir.path()).synchronous(true).start().unwrap();
    run.log([("sample", picture(1))]).unwrap();
    delete(run.dir().unwrap());
    run.log([("sample", picture(1))]).unwrap();
    is_lost(&run.finish(), true, 1);
    assert_eq!(pictures(run.dir().unwrap()), BTreeSet::from([1]));
}

// Windows renames no directory with an open file in it.
#[cfg(unix)]
#[test]
fn a_directory_that_is_renamed_is_written_on() {
    let dir = tempfile::tempdir().unwrap();
    let run = builder(dir.path()).start().unwrap();
    log(&run, BEFORE);
    run.flush(SOON).unwrap();
    let renamed = dir.path().join("offline-run-elsewhere");
    fs::rename(run.dir().unwrap(), &renamed).unwrap();
    log(&run, DURING);
    run.finish().unwrap();
    assert!(!run.dir().unwrap().exists());
    assert_eq!(steps(&renamed), BTreeSet::from_iter(0..23));
    assert_eq!(pictures(&renamed), BTreeSet::from_iter(0..23));
}

#[cfg(unix)]
mod links {
    use std::os::unix::fs::symlink;

    use super::*;

    /// All that is below a folder, with contents.
    fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut all = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => all.extend(contents(&path)),
                false => all.push((path.clone(), fs::read(&path).unwrap())),
            }
        }
        all
    }

    #[test]
    fn a_directory_that_becomes_a_link_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let plant = |run: &Path| {
            let aside = run.with_file_name("aside");
            fs::rename(run, &aside).unwrap();
            symlink(other.path(), run).unwrap();
            fs::remove_dir_all(&aside).unwrap();
            injected();
        };
        let outcome = through(builder(dir.path()), plant, |run| {
            fs::remove_file(run).unwrap()
        });
        assert_eq!(contents(other.path()), []);
        let refused = first_failure(&outcome.during);
        assert!(
            refused.contains("is a link, and a run follows none"),
            "{refused}"
        );
        assert_eq!(outcome.stats.rows.failed, 20);
        is_lost(&outcome.after, true, 3);
        assert_eq!(
            steps(&outcome.dir),
            BTreeSet::from_iter(BEFORE.chain(AFTER))
        );
        assert_eq!(pictures(&outcome.dir), BTreeSet::from_iter(AFTER));
        assert_eq!(exit_code(&outcome.dir), 1);
        // One of rows, one of this key, and one of what else is written.
        let refusals = outcome
            .told
            .iter()
            .filter(|line| line.contains("is a link"));
        assert!(refusals.count() <= 3, "{:?}", outcome.told);
    }

    /// A folder in the run's `files/` becomes a link, and is put back.
    fn check_folder(folder: &str, target: &Path) {
        let dir = tempfile::tempdir().unwrap();
        let before = contents(target);
        let aside = dir.path().join("aside");
        let outcome = through(
            builder(dir.path()),
            |run| {
                fs::rename(run.join(folder), &aside).unwrap();
                symlink(target, run.join(folder)).unwrap();
                injected();
            },
            |run| {
                fs::remove_file(run.join(folder)).unwrap();
                fs::rename(&aside, run.join(folder)).unwrap();
            },
        );
        assert_eq!(contents(target), before);
        check(&outcome, false, true);
        assert_eq!(outcome.stats.pictures.failed, 20);
        let refused = first_failure(&outcome.during);
        assert!(
            refused.contains("is a link, and a run follows none"),
            "{refused}"
        );
        assert_eq!(
            pictures(&outcome.dir),
            BTreeSet::from_iter(BEFORE.chain(AFTER))
        );
    }

    #[test]
    fn links_in_files_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir_all(outside.path().join("media/images/val")).unwrap();
        fs::create_dir_all(outside.path().join("images/val")).unwrap();
        fs::create_dir_all(outside.path().join("val")).unwrap();
        fs::write(outside.path().join("val/file"), "mine").unwrap();
        for folder in [
            "files",
            "files/media",
            "files/media/images",
            "files/media/images/val",
        ] {
            check_folder(folder, outside.path());
        }
    }

    #[test]
    fn links_in_files_to_a_place_in_the_run_are_not_followed() {
        for (link, target, place) in [
            ("files/media", "../logs", "logs"),
            ("files/media", "other", "files/other"),
            ("files", "logs", "logs"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let run = builder(dir.path()).synchronous(true).start().unwrap();
            let run_dir = run.dir().unwrap();
            fs::create_dir_all(run_dir.join(place)).unwrap();
            let _ = fs::remove_dir_all(run_dir.join(link));
            symlink(target, run_dir.join(link)).unwrap();
            injected();
            let refused = first_failure(&run.log([("sample", picture(1))]));
            assert!(refused.contains("is a link"), "{refused}");
            assert_eq!(contents(&run_dir.join(place)), []);
            fs::remove_file(run_dir.join(link)).unwrap();
            run.log([("sample", picture(2))]).unwrap();
            assert_eq!(pictures(run_dir), BTreeSet::from([1]));
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_picture_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let mine = dir.path().join("mine");
        fs::write(&mine, "mine").unwrap();
        let name = {
            let run = builder(dir.path()).synchronous(true).start().unwrap();
            run.log([("sample", picture(1))]).unwrap();
            logged::media(run.dir().unwrap()).unwrap().files[0]
                .path
                .clone()
        };
        let run = builder(dir.path()).synchronous(true).start().unwrap();
        let files = run.dir().unwrap().join("files");
        fs::create_dir_all(files.join("media/images")).unwrap();
        symlink(&mine, files.join(&name)).unwrap();
        symlink(&mine, files.join(".media.part")).unwrap();
        injected();
        run.log([("sample", picture(1))]).unwrap();
        run.finish().unwrap();
        assert_eq!(fs::read(&mine).unwrap(), b"mine");
        assert!(!files.join(&name).is_symlink());
        assert_eq!(pictures(run.dir().unwrap()), BTreeSet::from([0]));
        assert_eq!(parts(run.dir().unwrap()), 0);
    }
}

/// A child that another test forks holds the lock for a moment longer.
fn wait_until_free(log: &Path) {
    let file = fs::File::open(log).unwrap();
    let deadline = Instant::now() + SOON;
    while let Err(error) = file.try_lock_shared() {
        let log = log.display();
        assert!(Instant::now() < deadline, "{log} is still held: {error}");
        std::thread::sleep(Duration::from_millis(1));
    }
    file.unlock().unwrap();
}

#[test]
fn a_run_is_written_by_one_at_a_time_and_leaves_no_temporary_file() {
    let dir = tempfile::tempdir().unwrap();
    let plant = |run: &Run| {
        let part = run.dir().unwrap().join("files/.media.part");
        fs::write(&part, "half of a pict").unwrap();
        part
    };
    let live = builder(dir.path()).run_id("live").start().unwrap();
    let part = plant(&live);
    // The run before is still being written.
    let second = builder(dir.path()).run_id("second").start().unwrap();
    assert!(part.exists());
    log(&live, BEFORE);
    live.finish().unwrap();
    assert!(!part.exists());
    let part = plant(&second);
    let log = logged::find_log(second.dir().unwrap()).unwrap();
    drop(second);
    wait_until_free(&log);
    let third = builder(dir.path()).run_id("third").start().unwrap();
    assert_eq!(part.exists(), cfg!(windows));
    third.finish().unwrap();
}

/// Faults that need a process of their own: this binary, run again at [`child`] alone.
#[cfg(target_os = "linux")]
mod processes {
    use std::io::{BufRead, BufReader, Lines, Write};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::process::{Child, ChildStdout, Command, Output, Stdio};

    use super::*;

    const TASK: &str = "WANDB_IMAGE_TEST_FAULT";

    /// Not a test: what the others make of this binary.
    #[test]
    #[ignore = "runs in a process of its own, which other tests start"]
    fn child() {
        let dir = PathBuf::from(std::env::var("WANDB_DIR").unwrap());
        match std::env::var(TASK).as_deref() {
            Ok("full disk") => full_disk(&dir),
            Ok("read-only") => read_only(&dir),
            Ok("out of reach") => out_of_reach(&dir),
            Ok("file handles") => file_handles(&dir),
            Ok("same run") => same_run(&dir),
            task => panic!("no task of a child: {task:?}"),
        }
    }

    /// A command line that ends in this binary.
    fn command(before: &[&str], task: &str, dir: &Path) -> Command {
        let mut command = child::of_this_binary(before, "faults::processes::child");
        command.env(TASK, task).env("WANDB_DIR", dir);
        command
    }

    /// The faults of a child are counted here: it gets no variables of this crate's.
    fn check_child(mut command: Command) {
        let output: Output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        injected();
    }

    /// Whether the command works here.
    fn works(command: &[&str]) -> bool {
        let output = Command::new(command[0]).args(&command[1..]).output();
        output.is_ok_and(|output| output.status.success())
    }

    /// Says past the capture, for `scripts/soak.sh`, which fault can't be brought about here.
    fn skip(fault: &str, needs: &str) {
        assert!(
            std::env::var_os("WANDB_IMAGE_REQUIRE_FAULTS").is_none(),
            "{fault} is required, but {needs} is refused here"
        );
        let mut stderr = std::io::stderr();
        let _ = writeln!(stderr, "\nSKIPPED: {fault}: {needs} is refused here");
    }

    #[test]
    fn a_full_disk_costs_what_was_logged_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let mount = format!("mount -t tmpfs -o size=256k tmpfs {}", dir.path().display());
        let exec = format!("{mount} && exec \"$0\" \"$@\"");
        let ways = [["unshare", "-m"], ["unshare", "-rm"]];
        let works = |way: &&[&str; 2]| works(&[way[0], way[1], "sh", "-c", &mount]);
        let Some([unshare, how]) = ways.iter().find(works) else {
            return skip("a full disk", "`unshare -m` with `mount -t tmpfs`");
        };
        let before = [unshare, how, "sh", "-c", &*exec];
        check_child(command(&before, "full disk", dir.path()));
    }

    fn full_disk(dir: &Path) {
        let filler = dir.join("filler");
        let fill = |_: &Path| {
            let mut file = fs::File::create(&filler).unwrap();
            while file.write_all(&[7; 1024]).is_ok() {}
        };
        let outcome = through(builder(dir), fill, |_| fs::remove_file(&filler).unwrap());
        check(&outcome, true, true);
        for result in [&outcome.during, &outcome.end] {
            let text = first_failure(result);
            assert!(text.contains("No space left on device"), "{text}");
        }
    }

    /// Runs a child whom permissions stop.
    fn check_unprivileged(fault: &str, task: &str) {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let nobody = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ];
        let is_root = fs::metadata(dir.path()).unwrap().uid() == 0;
        let before: &[&str] = if is_root { &nobody } else { &[] };
        let exe = std::env::current_exe().unwrap();
        let list = [exe.to_str().unwrap(), "--list"];
        if is_root && !works(&[&nobody[..], &list].concat()) {
            return skip(fault, "`setpriv --reuid=65534` with this binary");
        }
        check_child(command(before, task, dir.path()));
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_directory_that_is_read_only_costs_pictures_alone() {
        check_unprivileged("a read-only directory", "read-only");
    }

    fn read_only(dir: &Path) {
        let set = |run: &Path, mode: u32| {
            for folder in ["", "files", "files/media", "files/media/images/val"] {
                set_mode(&run.join(folder), mode);
            }
        };
        let outcome = through(builder(dir), |run| set(run, 0o555), |run| set(run, 0o755));
        check(&outcome, false, true);
        assert_eq!(outcome.stats.pictures.failed, 20);
        let text = first_failure(&outcome.end);
        assert!(text.contains("Permission denied"), "{text}");
    }

    #[test]
    fn a_folder_that_may_not_be_entered_for_a_moment_is_not_taken_for_lost() {
        check_unprivileged("a folder out of reach", "out of reach");
    }

    fn out_of_reach(dir: &Path) {
        let set = |run: &Path, mode: u32| set_mode(&run.join("files"), mode);
        let run = builder(dir).run_id("scalars").start().unwrap();
        let run_dir = run.dir().unwrap();
        log(&run, BEFORE);
        run.flush(SOON).unwrap();
        set(run_dir, 0o000);
        run.log([("loss", 3)]).unwrap();
        run.flush(SOON).unwrap();
        set(run_dir, 0o755);
        run.finish().unwrap();
        assert_eq!(pictures(run_dir), BTreeSet::from_iter(BEFORE));

        let pictures_too = builder(dir).run_id("pictures");
        let outcome = through(pictures_too, |run| set(run, 0o000), |run| set(run, 0o755));
        check(&outcome, false, true);
        assert_eq!(outcome.stats.pictures.failed, 20);
        for result in [&outcome.during, &outcome.end] {
            let text = first_failure(result);
            assert!(text.contains("Permission denied"), "{text}");
        }
        assert_eq!(
            pictures(&outcome.dir),
            BTreeSet::from_iter(BEFORE.chain(AFTER))
        );
    }

    #[test]
    fn file_handles_that_run_out_cost_pictures_alone() {
        let dir = tempfile::tempdir().unwrap();
        let limit = ["prlimit", "--nofile=100"];
        if !works(&[limit[0], limit[1], "true"]) {
            return skip("file handles that run out", "`prlimit --nofile`");
        }
        check_child(command(&limit, "file handles", dir.path()));
    }

    fn file_handles(dir: &Path) {
        let handles = std::cell::RefCell::new(Vec::new());
        let take = |_: &Path| {
            handles
                .borrow_mut()
                .extend(std::iter::from_fn(|| fs::File::open("/dev/null").ok()));
        };
        let outcome = through(builder(dir), take, |_| handles.borrow_mut().clear());
        check(&outcome, false, true);
        assert_eq!(outcome.stats.pictures.failed, 20);
        let text = first_failure(&outcome.end);
        assert!(text.contains("Too many open files"), "{text}");
    }

    const STARTERS: usize = 3;

    /// Several processes, with several threads each, start the same run in the same second.
    #[test]
    fn of_many_that_start_the_same_run_one_gets_it() {
        let deadline = Instant::now() + Duration::from_secs(120);
        let mut collisions = 0;
        while collisions < 3 {
            assert!(
                Instant::now() < deadline,
                "no two of them have ever started in the same second"
            );
            let dir = tempfile::tempdir().unwrap();
            let (won, exist) = start_together(dir.path());
            assert_eq!(won.len() + exist, STARTERS * STARTERS);
            let distinct: BTreeSet<_> = won.iter().collect();
            assert_eq!(distinct.len(), won.len(), "two have the same directory");
            for run in &won {
                assert_eq!(steps(Path::new(run)), BTreeSet::from_iter(0..50));
            }
            collisions += usize::from(exist > 0);
        }
    }

    /// A process that starts the same run when it is told to.
    struct Starter {
        child: Child,
        lines: Lines<BufReader<ChildStdout>>,
    }

    impl Starter {
        fn new(dir: &Path) -> Self {
            let mut command = command(&[], "same run", dir);
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            Self { child, lines }
        }

        /// Waits until it waits.
        fn wait_for(&mut self) {
            let is_ready = |line: std::io::Result<String>| line.unwrap() == READY;
            assert!(self.lines.any(is_ready), "it ended before it was ready");
        }

        /// What it says until its end.
        fn end(mut self) -> Vec<String> {
            let lines = self.lines.map(Result::unwrap).collect();
            assert!(self.child.wait().unwrap().success());
            lines
        }
    }

    const READY: &str = "ready";

    /// The directories that were got, and how often there was one already.
    fn start_together(dir: &Path) -> (Vec<String>, usize) {
        let mut starters: Vec<_> = std::iter::repeat_with(|| Starter::new(dir))
            .take(STARTERS)
            .collect();
        starters.iter_mut().for_each(Starter::wait_for);
        // They wait for the end of their input.
        for starter in &mut starters {
            drop(starter.child.stdin.take());
        }
        let lines: Vec<_> = starters.into_iter().flat_map(Starter::end).collect();
        let won = lines.iter().filter_map(|line| line.strip_prefix("won "));
        let exist = lines.iter().filter(|line| *line == "exists").count();
        (won.map(String::from).collect(), exist)
    }

    fn same_run(dir: &Path) {
        println!("\n{READY}");
        std::io::read_to_string(std::io::stdin()).unwrap();
        let start = || match builder(dir).run_id("same").start() {
            Ok(run) => {
                (0..50).for_each(|n| run.log([("loss", n)]).unwrap());
                run.finish().unwrap();
                format!("won {}", run.dir().unwrap().display())
            }
            Err(Error::RunExists { .. }) => "exists".into(),
            Err(error) => panic!("{error}"),
        };
        let lines = std::thread::scope(|scope| {
            let threads = [(); STARTERS].map(|()| scope.spawn(start));
            threads.map(|thread| thread.join().unwrap())
        });
        println!("\n{}", lines.join("\n"));
    }
}

/// A row that would make a record too long for the log's readers fails, and no other.
#[test]
fn a_row_that_no_reader_takes_costs_itself_alone() {
    let dir = tempfile::tempdir().unwrap();
    let run = wandb_image::init().dir(dir.path()).start().unwrap();
    let path = run.dir().unwrap().to_path_buf();
    run.log([("a", "x")]).unwrap();
    let text = "x".repeat(15 << 20);
    run.log(["a", "b", "c", "d", "e"].map(|key| (key, text.clone())))
        .unwrap();
    run.log([("a", "y")]).unwrap();
    let error = run.finish().unwrap_err().to_string();
    assert!(error.contains("1 row"), "{error}");
    assert!(error.contains("log fewer or smaller values"), "{error}");
    assert_eq!(steps(&path).into_iter().collect::<Vec<_>>(), [0, 2]);
}
