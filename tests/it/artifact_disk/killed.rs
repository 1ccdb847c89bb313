//! Processes that are killed while they log artifacts and tables, and a disk that is full.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use fastrand::Rng;
use wandb_image::{Artifact, Error, Row, init};

use super::{Desk, SOON, artifacts, check_sound, table};
use crate::child;
use crate::soak;

const TASK: &str = "WANDB_IMAGE_TEST_ARTIFACTS";

/// Not a test: what the others make of this binary.
#[test]
#[ignore = "runs in a process of its own, which other tests start"]
fn child() {
    match std::env::var(TASK).as_deref() {
        Ok("until killed") => until_killed(),
        Ok("full disk") => full_disk(),
        task => panic!("no task of a child: {task:?}"),
    }
}

fn command(before: &[&str], task: &str, dir: &Path) -> Command {
    let mut command = child::of_this_binary(before, "artifact_disk::killed::child");
    command.env(TASK, task).env("WANDB_DIR", dir);
    command
}

/// A file that no other is like.
fn file(dir: &Path, seed: u64) -> std::path::PathBuf {
    let mut random = Rng::with_seed(seed);
    let path = dir.join(format!("file-{seed}"));
    let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
        .take(9_000)
        .collect();
    fs::write(&path, bytes).unwrap();
    path
}

fn artifact(dir: &Path, seed: u64) -> Artifact {
    let mut artifact = Artifact::new(format!("data-{seed}"), "dataset").unwrap();
    artifact.add_file(file(dir, 2 * seed)).unwrap();
    // A full disk refuses the copy at once, and the artifact goes without it.
    match artifact.add_mutable_file(file(dir, 2 * seed + 1), "copied") {
        Ok(()) | Err(Error::Io { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    artifact.add(super::picture(seed as u8), "shown").unwrap();
    artifact
}

fn until_killed() {
    let dir = std::env::var("WANDB_DIR").unwrap();
    let run = init().start().unwrap();
    println!("\nstarted");
    for seed in 0..10_000 {
        run.log_artifact(artifact(Path::new(&dir), seed)).unwrap();
        run.log(Row::new().with("t", table(seed as u8))).unwrap();
        if seed % 3 == 0 {
            run.flush(SOON).unwrap();
            println!("flushed {}", seed + 1);
        }
    }
}

/// The run beside others.
fn the_run(dir: &Path, id: &str) -> std::path::PathBuf {
    let entries = fs::read_dir(dir.join("wandb")).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths
        .find(|path| path.to_str().unwrap().ends_with(&format!("-{id}")))
        .unwrap()
}

#[test]
fn a_process_that_is_killed_leaves_whole_artifacts_and_the_next_start_no_staging() {
    let (kills, seed) = (soak::number("WANDB_IMAGE_ARTIFACT_KILLS", 4), soak::seed());
    let mut random = Rng::with_seed(seed);
    println!("seed {seed}");
    let dir = tempfile::tempdir().unwrap();
    for kill in 0..kills {
        let id = format!("k{kill}");
        let mut command = command(&[], "until killed", dir.path());
        command
            .env("WANDB_RUN_ID", &id)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut confirmed = 0;
        let flushes = random.usize(1..6);
        for line in lines.by_ref().map(Result::unwrap) {
            if let Some(flushed) = line.strip_prefix("flushed ") {
                confirmed = flushed.parse().unwrap();
                if confirmed >= 3 * flushes {
                    break;
                }
            }
        }
        std::thread::sleep(Duration::from_micros(random.u64(..40_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(confirmed > 0, "it ended before it was killed");
        let run = the_run(dir.path(), &id);
        let report = wandb_image::sink::verify::verify(&run).unwrap();
        let is_whole = |fault: &&wandb_image::sink::verify::Fault| {
            fault.kind != wandb_image::sink::verify::FaultKind::TornEnd
        };
        let faults: Vec<_> = super::faults(&report)
            .into_iter()
            .filter(is_whole)
            .collect();
        assert!(faults.is_empty(), "{faults:#?}");
        // A table is an artifact too.
        let found = whole(&run);
        assert!(found >= 2 * confirmed, "{found} of {}", 2 * confirmed);
    }
    let after = init().dir(dir.path()).run_id("after").start().unwrap();
    after.finish().unwrap();
    let entries = fs::read_dir(dir.path().join("wandb")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let staged: Vec<_> = names
        .filter(|name| name.starts_with(".wandb-image-"))
        .collect();
    assert_eq!(staged, [""; 0]);
}

/// How many artifacts the log names up to where it is torn.
fn whole(run: &Path) -> usize {
    use wandb_image::sink::{logged::find_log, reader::LogReader, records::RecordType};
    let log = LogReader::open(find_log(run).unwrap()).unwrap();
    let records = log.filter_map(Result::ok);
    let is_artifact = |record: &wandb_image::sink::records::Record| {
        matches!(record.record_type, Some(RecordType::Artifact(_)))
    };
    records.filter(is_artifact).count()
}

#[test]
fn a_full_disk_costs_the_artifacts_and_tables_of_that_time() {
    let dir = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size=2m tmpfs {}", dir.path().display());
    let exec = format!("{mount} && exec \"$0\" \"$@\"");
    let ways = [["unshare", "-m"], ["unshare", "-rm"]];
    let works = |way: &&[&str; 2]| {
        let tried = Command::new(way[0])
            .args([way[1], "sh", "-c", &mount])
            .output();
        tried.is_ok_and(|output| output.status.success())
    };
    let Some([unshare, how]) = ways.iter().find(works) else {
        let _ = writeln!(
            std::io::stderr(),
            "\nSKIPPED: a full disk: mount is refused here"
        );
        return;
    };
    let mut command = command(&[unshare, how, "sh", "-c", &exec], "full disk", dir.path());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

fn full_disk() {
    let dir = std::path::PathBuf::from(std::env::var("WANDB_DIR").unwrap());
    // The user's files are on another disk.
    let elsewhere = tempfile::tempdir().unwrap();
    let desk = Desk {
        run: init().start().unwrap(),
        dir: elsewhere,
    };
    let log = |seed: u64| {
        desk.run
            .log_artifact(artifact(desk.dir.path(), seed))
            .unwrap();
        let _ = desk.run.log(Row::new().with("t", table(seed as u8)));
        desk.run.flush(SOON)
    };
    log(0).unwrap();
    let filler = dir.join("filler");
    let mut full = fs::File::create(&filler).unwrap();
    while full.write_all(&[7; 1024]).is_ok() {}
    while full.write_all(&[7]).is_ok() {}
    drop(full);
    let error = log(1).unwrap_err().to_string();
    assert!(error.contains("No space left on device"), "{error}");
    let failed = desk.run.stats().artifacts.failed;
    assert!(failed > 0, "{:?}", desk.run.stats());
    fs::remove_file(&filler).unwrap();
    log(2).unwrap();
    assert_eq!(desk.run.stats().artifacts.failed, failed);
    assert!(desk.run.finish().is_err());
    check_sound(desk.path());
    let stats = desk.run.stats().artifacts;
    assert_eq!(artifacts(desk.path()).len() as u64, stats.written);
    assert_eq!(stats.written + stats.failed, stats.accepted);
}
