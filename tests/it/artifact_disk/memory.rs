//! What memory tables of many rows with pictures take, together with an artifact of pictures, and an
//! artifact of many files.
//!
//! `WANDB_IMAGE_TABLE_ROWS` says of how many pictures in all, 800 by default, and
//! `WANDB_IMAGE_ARTIFACT_FILES` of how many files, 4,000 by default. What counts is what the work
//! adds to the memory that is the process's own (`RssAnon`): a framework may have brought along any
//! amount before.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use wandb_image::{Artifact, Image, Mode, Pixels, PngEffort, Row, Run, Table, init};

use super::{artifacts, check_sound};
use crate::child;
use crate::soak;

const SIDE_PX: u32 = 640;
/// What the pictures on their way may add, in MiB. Those that wait, with the files that are made of
/// them, take 256 at most, whoever gave them; that is 128 of pictures here, whose files are small.
const PICTURES_MIB: u64 = 200;
/// What is known of each that is made may add so many bytes: 100,000 stay below 256 MiB with that.
const PICTURE_BYTES: u64 = 512;
/// What a file may add, in bytes: far less than it holds.
const FILE_BYTES: u64 = 2 << 10;
const CONTENT_BYTES: u64 = 32 << 10;

/// The memory of this process that is no file's, in bytes.
fn own_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() << 10
}

/// The most that the work has added at any moment, in bytes.
fn added_by(work: impl FnOnce()) -> u64 {
    let before = own_bytes();
    let is_done = AtomicBool::new(false);
    let most = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = before;
            while !is_done.load(Ordering::SeqCst) {
                most = most.max(own_bytes());
                thread::sleep(Duration::from_millis(1));
            }
            most
        });
        work();
        is_done.store(true, Ordering::SeqCst);
        watch.join().unwrap()
    });
    most - before
}

/// A picture of one grey but for four pixels, so that no two are the same.
fn picture(i: u64) -> Image {
    let mut grey = vec![i as u8; (SIDE_PX * SIDE_PX) as usize];
    grey[..4].copy_from_slice(&(i as u32).to_le_bytes());
    let image: Image = Pixels::new(SIDE_PX, SIDE_PX, Mode::L, grey).unwrap().into();
    image.png_effort(PngEffort::Fast)
}

/// Not a test: what another makes of this binary.
#[test]
#[ignore = "measures the memory of its process, which another test starts"]
fn child_with_pictures() {
    let each = soak::number("WANDB_IMAGE_TEST_MANY", 0) / 4;
    let run = init().start().unwrap();
    let table = |number: u64| {
        let mut table = Table::new(["n", "picture"]).unwrap();
        for i in 0..each {
            let row = (i as i64, picture(number * each + i));
            table.add_row(row).unwrap();
        }
        run.log(Row::new().with(format!("t{number}"), table))
            .unwrap();
    };
    let artifact = || {
        let mut artifact = Artifact::new("pictures", "dataset").unwrap();
        for i in 0..each {
            let picture = picture(3 * each + i);
            artifact.add(picture, &i.to_string()).unwrap();
        }
        run.log_artifact(artifact).unwrap();
    };
    let added = added_by(|| {
        thread::scope(|scope| {
            (0..3).for_each(|number| drop(scope.spawn(move || table(number))));
            scope.spawn(artifact);
        });
        run.finish().unwrap();
    });
    println!("\nadded {}", added >> 20);
    let most = (PICTURES_MIB << 20) + 4 * each * PICTURE_BYTES;
    assert!(added < most, "{} of {} MiB", added >> 20, most >> 20);
}

fn log_files(run: &Run, folder: &Path, files: u64) {
    let mut artifact = Artifact::new("many", "dataset").unwrap();
    artifact.add_dir(folder).unwrap();
    run.log_artifact(artifact).unwrap();
    run.flush(Duration::from_secs(600)).unwrap();
    assert_eq!(fs::read_dir(folder).unwrap().count() as u64, files);
}

fn files_in(folder: PathBuf, files: u64) -> PathBuf {
    fs::create_dir(&folder).unwrap();
    for i in 0..files {
        let mut file = File::create(folder.join(i.to_string())).unwrap();
        write!(file, "{i} of {files}").unwrap();
        file.set_len(CONTENT_BYTES).unwrap();
    }
    folder
}

/// Not a test: what another makes of this binary.
#[test]
#[ignore = "measures the memory of its process, which another test starts"]
fn child_with_files() {
    let dir = PathBuf::from(std::env::var("WANDB_DIR").unwrap());
    let many = soak::number("WANDB_IMAGE_TEST_MANY", 0);
    let few = many / 8;
    let folders = [
        files_in(dir.join("few"), few),
        files_in(dir.join("many"), many),
    ];
    let run = init().start().unwrap();
    let of_few = added_by(|| log_files(&run, &folders[0], few));
    let of_many = added_by(|| log_files(&run, &folders[1], many));
    run.finish().unwrap();
    let each = of_many.saturating_sub(of_few) / (many - few);
    println!("\nadded {each}");
    assert!(each < FILE_BYTES, "{each} bytes a file, {of_few} {of_many}");
}

/// What the child says that was added.
fn added_in_child(test: &str, many: u64, expected_artifacts: usize) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let mut command = child::of_this_binary(&[], &format!("artifact_disk::memory::{test}"));
    command.env("WANDB_IMAGE_TEST_MANY", many.to_string());
    let output = command.env("WANDB_DIR", dir.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{text}");
    let run = fs::read_dir(dir.path().join("wandb")).unwrap();
    let mut paths = run.map(|entry| entry.unwrap().path());
    let is_run = |path: &PathBuf| path.to_str().unwrap().contains("/offline-run-");
    let run = paths.find(is_run).unwrap();
    check_sound(&run);
    assert_eq!(artifacts(&run).len(), expected_artifacts);
    let added = said.lines().find_map(|line| line.strip_prefix("added "));
    added.unwrap().parse().unwrap()
}

#[test]
fn three_tables_and_an_artifact_at_once_take_no_more_memory_than_is_said() {
    let pictures = soak::number("WANDB_IMAGE_TABLE_ROWS", 800);
    let added = added_in_child("child_with_pictures", pictures, 4);
    soak::report(&[("table_rows", pictures), ("artifact_peak_mib", added)]);
}

#[test]
fn an_artifact_of_many_files_takes_little_memory_for_each() {
    let files = soak::number("WANDB_IMAGE_ARTIFACT_FILES", 4_000);
    let added = added_in_child("child_with_files", files, 2);
    soak::report(&[("artifact_files", files), ("artifact_file_bytes", added)]);
}
