//! What memory a table of many rows with pictures takes, and an artifact of many files.
//!
//! `WANDB_IMAGE_TABLE_ROWS` says of how many rows, 600 by default, and
//! `WANDB_IMAGE_ARTIFACT_FILES` of how many files, 3,000 by default.

use std::fs;
use std::path::Path;

use wandb_image::{Artifact, Image, Mode, Pixels, Row, Table, init};

use super::{artifacts, check_sound};
use crate::child;
use crate::soak;

const SIDE_PX: u32 = 640;
/// What the process may hold at most, in MiB: less than the pictures take. Those that wait, with the
/// files that are made of them, take 256 at most; that is 128 of pictures here, whose files are small.
const LIMIT_MIB: u64 = 220;

/// The most memory that this process has held, in MiB.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() / 1024
}

/// A picture of one grey but for four pixels, so that no two are the same.
fn picture(i: u64) -> Image {
    let mut grey = vec![i as u8; (SIDE_PX * SIDE_PX) as usize];
    grey[..4].copy_from_slice(&(i as u32).to_le_bytes());
    Pixels::new(SIDE_PX, SIDE_PX, Mode::L, grey).unwrap().into()
}

fn counts() -> (u64, u64) {
    (
        soak::number("WANDB_IMAGE_TABLE_ROWS", 600),
        soak::number("WANDB_IMAGE_ARTIFACT_FILES", 3_000),
    )
}

/// Not a test: what the other makes of this binary.
#[test]
#[ignore = "measures the memory of its process, which another test starts"]
fn child() {
    let dir = std::env::var("WANDB_DIR").unwrap();
    let numbers = std::env::var("WANDB_IMAGE_TEST_MANY").unwrap();
    let (rows, files) = numbers.split_once(' ').unwrap();
    let (rows, files): (u64, u64) = (rows.parse().unwrap(), files.parse().unwrap());
    let run = init().start().unwrap();
    let mut table = Table::new(["n", "picture"]).unwrap();
    for i in 0..rows {
        table.add_row((i as i64, picture(i))).unwrap();
    }
    run.log(Row::new().with("t", table)).unwrap();
    let mut artifact = Artifact::new("many", "dataset").unwrap();
    let folder = Path::new(&dir).join("mine");
    fs::create_dir(&folder).unwrap();
    for i in 0..files {
        fs::write(folder.join(i.to_string()), i.to_string()).unwrap();
    }
    artifact.add_dir(&folder).unwrap();
    run.log_artifact(artifact).unwrap();
    run.finish().unwrap();
    let peak = peak_mib();
    println!("\npeak {peak}");
    assert!(peak < LIMIT_MIB, "{peak} MiB");
}

#[test]
fn many_rows_with_pictures_and_many_files_take_no_more_memory_than_is_said() {
    let (rows, files) = counts();
    let dir = tempfile::tempdir().unwrap();
    let mut command = child::of_this_binary(&[], "artifact_disk::memory::child");
    command.env("WANDB_IMAGE_TEST_MANY", format!("{rows} {files}"));
    let output = command.env("WANDB_DIR", dir.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let said = String::from_utf8_lossy(&output.stdout);
    let peak = said.lines().find_map(|line| line.strip_prefix("peak "));
    soak::report(&[
        ("table_rows", rows),
        ("artifact_files", files),
        ("artifact_peak_mib", peak.unwrap().parse().unwrap()),
    ]);
    let run = fs::read_dir(dir.path().join("wandb")).unwrap();
    let mut paths = run.map(|entry| entry.unwrap().path());
    let is_run = |path: &std::path::PathBuf| path.to_str().unwrap().contains("/offline-run-");
    let run = paths.find(is_run).unwrap();
    check_sound(&run);
    assert_eq!(artifacts(&run).len(), 2);
}
