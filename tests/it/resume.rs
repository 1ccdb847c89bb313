//! Runs that go on: after a kill, a torn log, their end, a sync; and those that can't.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use prost::Message;
use serde_json::{Value as Json, json};
use wandb_image::sink::MemorySink;
use wandb_image::sink::logged::find_log;
use wandb_image::sink::reader::LogReader;
use wandb_image::sink::records::{
    HeaderRecord, Item, Record, RecordType, RunExitRecord, RunRecord, SummaryRecord, VersionInfo,
};
use wandb_image::sink::repair::repair;
use wandb_image::sink::verify::{FaultKind, verify};
use wandb_image::{
    Artifact, Classes, Error, Image, ImageMask, Mode, Pixels, Row, Run, RunBuilder, RunMode, init,
};

use crate::child;
use crate::client::{Backend, Client, Received, hashes, parse, sha256};
use crate::framed::{self, Framed};
use crate::run::listening::Told;
use crate::soak;

const SOON: Duration = Duration::from_secs(60);

// ---- runs ----

fn builder(dir: &Path) -> RunBuilder {
    let builder = init().mode(RunMode::Offline).dir(dir).workers(1);
    builder.run_id("run1").project("digits").entity("team")
}

fn resumed(run: impl Into<PathBuf>) -> RunBuilder {
    init().mode(RunMode::Offline).workers(1).resume(run)
}

/// A picture that no other step has, with a mask whose class is named so.
fn picture(step: u64, class: &str) -> Image {
    let shades = (0..12).map(|i| (step * 31 + i * 7) as u8).collect();
    let id = class.len() as u8;
    let classes = Classes::new([(i64::from(id), class)]).unwrap();
    let mask = ImageMask::new(4, 3, vec![id; 12]).unwrap();
    Image::from(Pixels::new(4, 3, Mode::L, shades).unwrap())
        .masks("truth", mask.class_labels(classes))
        .unwrap()
}

/// The next row: it says its step.
fn log(run: &Run, class: &str) {
    let step = run.step();
    let row = Row::new()
        .with("n", step)
        .with("sample", picture(step, class));
    run.log(row).unwrap();
}

fn log_rows(run: &Run, rows: u64, class: &str) {
    (0..rows).for_each(|_| log(run, class));
}

/// A run of three rows, ended. Its directory.
fn three_rows(dir: &Path) -> PathBuf {
    let run = builder(dir)
        .config(&json!({"lr": 0.5}))
        .unwrap()
        .start()
        .unwrap();
    log_rows(&run, 3, "a");
    run.summary("best", json!({"x": 1, "y": 2})).unwrap();
    run.finish().unwrap();
    run.dir().unwrap().into()
}

// ---- what is on disk ----

fn records(run: &Path) -> Vec<RecordType> {
    let reader = LogReader::open(find_log(run).unwrap()).unwrap();
    reader
        .map(|record| record.unwrap().record_type.unwrap())
        .collect()
}

/// Where each record of a log ends.
fn ends(log: &Path) -> Vec<u64> {
    let mut reader = LogReader::open(log).unwrap();
    let mut ends = vec![reader.end()];
    while let Some(record) = reader.next() {
        record.unwrap();
        ends.push(reader.end());
    }
    ends
}

fn number(items: &[Item], key: &str) -> f64 {
    let item = items.iter().find(|item| item.path() == [key]);
    item.unwrap().value_json.parse().unwrap()
}

fn steps(run: &Path) -> Vec<f64> {
    let step = |record| match record {
        RecordType::History(row) => {
            assert_eq!(number(&row.item, "n"), number(&row.item, "_step"));
            Some(number(&row.item, "_step"))
        }
        _ => None,
    };
    records(run).into_iter().filter_map(step).collect()
}

fn counting(rows: u64) -> Vec<f64> {
    (0..rows).map(|step| step as f64).collect()
}

fn kinds(run: &Path) -> Vec<&'static str> {
    let kind = |record: &RecordType| match record {
        RecordType::Header(_) => "header",
        RecordType::Run(_) => "run",
        RecordType::Environment(_) => "environment",
        RecordType::Files(_) => "files",
        RecordType::Config(_) => "config",
        RecordType::History(_) => "history",
        RecordType::Summary(_) => "summary",
        RecordType::Exit(_) => "exit",
        RecordType::Metric(_) => "metric",
        RecordType::Artifact(_) => "artifact",
    };
    records(run).iter().map(kind).collect()
}

fn run_record(run: &Path) -> RunRecord {
    let record = |record| match record {
        RecordType::Run(run) => Some(run),
        _ => None,
    };
    records(run).into_iter().find_map(record).unwrap()
}

fn copied(run: &Path, to: &Path) -> PathBuf {
    let copy = to.join(run.file_name().unwrap());
    fs::create_dir_all(copy.join("files")).unwrap();
    let log = find_log(run).unwrap();
    fs::copy(&log, copy.join(log.file_name().unwrap())).unwrap();
    copy
}

// ---- what arrives ----

/// Rows 0, 1, … once each, every picture that one names, and the last row's summary. The number
/// of files.
fn check_arrived(received: &Received, rows: u64, local: &BTreeMap<String, String>) -> usize {
    let arrived = received.rows();
    let steps: Vec<_> = arrived
        .iter()
        .map(|row| (&row["_step"], &row["n"]))
        .collect();
    let expected: Vec<Json> = (0..rows).map(Json::from).collect();
    let expected: Vec<_> = expected.iter().map(|step| (step, step)).collect();
    assert_eq!(steps, expected);
    let runtimes: Vec<f64> = arrived
        .iter()
        .map(|row| row["_runtime"].as_f64().unwrap())
        .collect();
    assert!(runtimes.is_sorted(), "{runtimes:?}");
    let media = received.media();
    let mut named = BTreeSet::new();
    for row in &arrived {
        for file in [&row["sample"], &row["sample"]["masks"]["truth"]] {
            let path = file["path"].as_str().unwrap();
            let bytes = fs::read(received.dir.join("files").join(path)).unwrap();
            assert_eq!(file["sha256"], sha256(&bytes), "{path}");
            assert_eq!(local[path], media[path], "{path}");
            named.insert(path.to_owned());
        }
    }
    assert_eq!(received.json("summary.json")["n"], rows - 1);
    named.len()
}

fn check_classes(received: &Received, expected: &Json) {
    let config = received.json("config.json");
    let layers = &config["_wandb"]["value"]["mask/class_labels"];
    assert_eq!(
        layers["sample_wandb_delimeter_truth"]["value"], *expected,
        "{config}"
    );
}

fn sync(client: &Client, run: &Path, backend: &Backend) {
    client.wandb(&["sync"], run, Some(backend));
}

fn is_beside(run: &Path, ending: &str) -> bool {
    let mut log = find_log(run).unwrap().into_os_string();
    log.push(ending);
    Path::new(&log).exists()
}

// ---- processes of their own ----

const TASK: &str = "WANDB_IMAGE_TEST_TASK";
const RUN: &str = "WANDB_IMAGE_TEST_RUN";

/// Not a test: what [`spawn`] makes of this binary.
#[test]
#[ignore = "runs in a process of its own, which other tests start"]
fn child() {
    let class = std::env::var(TASK).unwrap();
    let run = match std::env::var_os(RUN) {
        None => init().run_id("run1").project("digits").start(),
        Some(run) => init().resume(run).start(),
    };
    let run = run.unwrap();
    println!("\nat {}", run.dir().unwrap().display());
    loop {
        log_rows(&run, 3, &class);
        run.flush(SOON).unwrap();
        println!("confirmed {}", run.step());
    }
}

fn spawn(class: &str, dir: &Path, run: Option<&Path>) -> Child {
    child::of_this_binary(&[], "resume::child")
        .env(TASK, class)
        .env("WANDB_DIR", dir)
        .envs(run.map(|run| (RUN, run)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The directory of a run that a process logs, and that is killed after so many flushes and a
/// little; and how many rows were confirmed.
fn killed(
    class: &str,
    dir: &Path,
    run: Option<&Path>,
    flushes: u64,
    little: Duration,
) -> (PathBuf, u64) {
    let mut child = spawn(class, dir, run);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = |word: &str| {
        let line = lines.find_map(|line| Some(line.ok()?.strip_prefix(word)?.to_owned()));
        line.unwrap_or_else(|| panic!("the child said nothing that begins with {word:?}"))
    };
    let run = PathBuf::from(next("at "));
    let mut confirmed: u64 = 0;
    for _ in 0..flushes {
        confirmed = next("confirmed ").parse().unwrap();
    }
    std::thread::sleep(little);
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines.map_while(Result::ok) {
        let rows = line
            .strip_prefix("confirmed ")
            .and_then(|rows| rows.parse().ok());
        confirmed = rows.unwrap_or(confirmed);
    }
    (run, confirmed)
}

/// What a process says on stderr that goes on with the run.
fn said(dir: &Path, run: &Path) -> String {
    let mut child = spawn("a", dir, Some(run));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let confirmed = lines.find(|line| line.as_ref().unwrap().starts_with("confirmed"));
    assert!(confirmed.is_some());
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stderr).unwrap()
}

// ---- with W&B's client ----

fn rounds() -> u64 {
    soak::number("WANDB_IMAGE_RESUMES", 3)
}

#[test]
fn a_run_that_is_killed_again_and_again_arrives_whole() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (mut run, mut rows) = (None, 0);
    let class_names: BTreeMap<usize, String> = (1..=rounds() as usize)
        .map(|round| (round, "x".repeat(round)))
        .take(250)
        .collect();
    let seed = soak::seed();
    eprintln!("seed {seed}, which WANDB_IMAGE_SEED takes");
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 1..=rounds() {
        let class = &class_names[&(1 + (round as usize - 1) % class_names.len())];
        let little = Duration::from_micros(random.u64(..20_000));
        let (killed, confirmed) =
            killed(class, dir.path(), run.as_deref(), random.u64(1..=3), little);
        assert!(
            confirmed > rows,
            "{confirmed} rows in round {round} after {rows}"
        );
        (run, rows) = (Some(killed), confirmed);
    }
    let run = resumed(run.unwrap()).start().unwrap();
    assert!(
        run.step() >= rows,
        "{} of {rows} rows are there",
        run.step()
    );
    log(&run, "last one");
    run.finish().unwrap();
    let all = run.step();
    let path = run.dir().unwrap();

    let received = client.sync(path);
    let files = check_arrived(&received, all, &hashes(&path.join("files")));
    let mut classes = json!({"8": "last one"});
    for (id, name) in class_names.iter().filter(|(id, _)| **id != 8) {
        classes[id.to_string()] = json!(name);
    }
    check_classes(&received, &classes);
    assert_eq!(
        received.json("exit.json"),
        json!({"complete": true, "exitcode": 0})
    );
    soak::report(&[
        ("resumes", rounds()),
        ("rows_confirmed", rows),
        ("rows_found", all),
        ("files_checked", files as u64),
    ]);
}

#[test]
fn a_run_goes_on_after_its_end() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let run = resumed(&path)
        .config(&json!({"lr": 0.5, "epochs": 2}))
        .unwrap()
        .start()
        .unwrap();
    assert_eq!(run.dir(), Some(fs::canonicalize(&path).unwrap().as_path()));
    log_rows(&run, 2, "bb");
    run.summary("best", json!({"y": 3})).unwrap();
    run.finish_with(3).unwrap();

    let received = client.sync(&path);
    check_arrived(&received, 5, &hashes(&path.join("files")));
    check_classes(&received, &json!({"1": "a", "2": "bb"}));
    assert_eq!(received.json("summary.json")["best"], json!({"y": 3}));
    assert_eq!(received.json("config.json")["lr"], json!({"value": 0.5}));
    assert_eq!(received.json("config.json")["epochs"], json!({"value": 2}));
    assert_eq!(received.json("exit.json")["exitcode"], 3);
}

#[test]
fn a_run_that_was_synced_goes_on_beside_itself() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let first = three_rows(dir.path());
    let backend = Backend::start(&client);
    sync(&client, &first, &backend);
    assert!(is_beside(&first, ".synced"));
    let before = fs::read(find_log(&first).unwrap()).unwrap();
    let mut local = hashes(&first.join("files"));

    let second = go_on_beside(&first, 3, "bb");
    local.extend(hashes(&second.join("files")));
    let record = run_record(&second);
    assert_eq!((&*record.run_id, record.starting_step), ("run1", 3));
    assert_eq!((&*record.project, &*record.entity), ("digits", "team"));
    sync(&client, &second, &backend);

    let third = go_on_beside(&dir.path().join("wandb/latest-run"), 5, "ccc");
    local.extend(hashes(&third.join("files")));
    sync(&client, &third, &backend);
    // What is synced already is passed over.
    sync(&client, &dir.path().join("wandb"), &backend);
    for run in [&first, &second] {
        check_refused(resumed(run), "goes on with it already");
    }
    assert_eq!(fs::read(find_log(&first).unwrap()).unwrap(), before);

    let received = backend.received();
    check_arrived(&received, 7, &local);
    check_classes(&received, &json!({"1": "a", "2": "bb", "3": "ccc"}));
    assert_eq!(
        received.json("summary.json")["best"],
        json!({"x": 1, "y": 2})
    );
    assert_eq!(received.json("config.json")["lr"], json!({"value": 0.5}));
    assert_eq!(received.json("run.json")["project"], "digits");
    assert_eq!(
        received.json("exit.json"),
        json!({"complete": true, "exitcode": 0})
    );
}

/// Two more rows of a run, from `step` on, in a directory of their own.
fn go_on_beside(run: &Path, step: u64, class: &str) -> PathBuf {
    let first = fs::canonicalize(run).unwrap();
    let run = resumed(run).start().unwrap();
    let path = run.dir().unwrap().to_owned();
    assert_ne!(path, first);
    assert_eq!((path.parent(), run.step()), (first.parent(), step));
    log_rows(&run, 2, class);
    run.finish().unwrap();
    path
}

#[test]
fn a_torn_run_whose_sync_gave_up_arrives_once() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let first = three_rows(dir.path());
    let log = find_log(&first).unwrap();
    let length = fs::metadata(&log).unwrap().len();
    fs::OpenOptions::new()
        .write(true)
        .open(&log)
        .unwrap()
        .set_len(length - 3)
        .unwrap();
    let backend = Backend::start(&client);
    sync(&client, &first, &backend);
    assert!(is_beside(&first, ".syncstate") && !is_beside(&first, ".synced"));

    let mut local = hashes(&first.join("files"));
    let second = go_on_beside(&first, 3, "bb");
    local.extend(hashes(&second.join("files")));
    sync(&client, &second, &backend);
    let received = backend.received();
    check_arrived(&received, 5, &local);
    check_classes(&received, &json!({"1": "a", "2": "bb"}));
    assert_eq!(
        received.json("summary.json")["best"],
        json!({"x": 1, "y": 2})
    );
}

/// The picture in the summary that goes on with it is in the first directory.
#[test]
fn a_run_that_goes_on_beside_itself_is_sound_there() {
    let dir = tempfile::tempdir().unwrap();
    let first = three_rows(dir.path());
    let log = find_log(&first).unwrap();
    fs::write(log.with_extension("wandb.synced"), "").unwrap();
    let run = resumed(&first).start().unwrap();
    run.log([("n", 3)]).unwrap();
    run.finish().unwrap();
    let second = run.dir().unwrap();
    let report = verify(second).unwrap();
    assert!(report.is_sound(), "{:#?}", report.faults);
    let notes = report
        .faults
        .iter()
        .filter(|fault| fault.kind == FaultKind::SummaryFile);
    assert_eq!(notes.count(), 2, "{:#?}", report.faults);
    let repaired = repair(second, dir.path().join("repaired")).unwrap();
    assert_eq!((repaired.missing.len(), repaired.changed.len()), (0, 0));
    assert_eq!(records(&repaired.dir), records(second));
}

/// What sync has uploaded of a damaged run is there twice when the repaired one is synced too, as
/// repair says.
#[test]
fn a_repaired_run_whose_rows_were_uploaded_says_so() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let clean = repair(&path, dir.path().join("clean")).unwrap();
    assert_eq!(clean.uploaded, None);
    let log = find_log(&path).unwrap();
    let mut bytes = fs::read(&log).unwrap();
    let rows = kinds(&path).iter().rposition(|kind| *kind == "history");
    bytes[ends(&log)[rows.unwrap()] as usize + 9] ^= 1;
    fs::write(&log, bytes).unwrap();
    let backend = Backend::start(&client);
    sync(&client, &path, &backend);

    let repaired = repair(&path, dir.path().join("repaired")).unwrap();
    let said = repaired.uploaded.unwrap();
    assert!(
        said.contains("delete the run on the server before"),
        "{said}"
    );
    check_refused(
        resumed(&path),
        "a sync of this one began, so delete the run on the server before",
    );
    sync(&client, &repaired.dir, &backend);
    let arrived = backend.received().rows();
    let steps: Vec<_> = arrived
        .iter()
        .map(|row| row["n"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, [0, 1, 0, 1], "the rows of before are there twice");
}

/// A log that sync wouldn't take is left as it is.
#[test]
fn a_log_that_sync_can_not_take_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("offline-run-1-a");
    fs::create_dir(&path).unwrap();
    let check = |payloads: &[Vec<u8>], expected: &str| {
        let mut log = Framed::new();
        payloads.iter().for_each(|payload| log.push(payload));
        fs::write(path.join("run-a.wandb"), &log.bytes).unwrap();
        check_refused(resumed(&path), expected);
        check_refused(resumed(&path), "wandb-image repair");
        assert_eq!(fs::read(path.join("run-a.wandb")).unwrap(), log.bytes);
        assert!(!verify(&path).unwrap().is_sound());
    };
    let run = |id| framed::run(id).encode_to_vec();
    let row = || framed::row(0, vec![]).encode_to_vec();
    check(
        &[run("a"), vec![8, 5]],
        "a record without a type stands at byte ",
    );
    check(
        &[row(), run("a")],
        "something stands before its run record, at byte 7 ",
    );
    check(
        &[run("a"), run("b")],
        r#"names the run "b", but the log is of "a""#,
    );
    // Records of types that are known to sync, and of the same run.
    let mut log = Framed::new();
    let telemetry = vec![8, 5, 0x5A, 2, 0x0A, 0];
    [run("a"), run("a"), telemetry, row()]
        .iter()
        .for_each(|payload| log.push(payload));
    fs::write(path.join("run-a.wandb"), &log.bytes).unwrap();
    assert_eq!(resumed(&path).start().unwrap().step(), 1);
}

/// Only what a torn record can be is cut off.
#[test]
fn an_end_that_is_altered_is_refused_and_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let log = find_log(&path).unwrap();
    let bytes = fs::read(&log).unwrap();
    let ends = ends(&log);
    let check = |bytes: &[u8]| {
        fs::write(&log, bytes).unwrap();
        check_refused(resumed(&path), "isn't how a kill or a power cut ends a log");
        assert!(fs::read(&log).unwrap() == bytes, "the log was touched");
    };
    let mut flipped = bytes.clone();
    flipped[ends[ends.len() - 2] as usize + 9] ^= 1;
    check(&flipped);
    check(&[&bytes[..], &[7; 100]].concat());
    check(&[&bytes[..], &[7; 100_000]].concat());
    let mut long = Framed::of(&[framed::run("run1")]);
    long.push(&framed::row(0, vec![framed::item(&["k"], &"1".repeat(65 << 20))]).encode_to_vec());
    check(&long.bytes);
}

#[test]
fn a_run_of_the_python_sdk_goes_on() {
    let Some(client) = Client::find() else { return };
    for is_synced in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let output = client
            .python()
            .arg("-c")
            .arg(SDK_RUN)
            .arg(dir.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let first = fs::canonicalize(dir.path().join("wandb/latest-run")).unwrap();
        let backend = Backend::start(&client);
        if is_synced {
            sync(&client, &first, &backend);
        }
        let run = resumed(&first).start().unwrap();
        assert_eq!((run.step(), run.run_id()), (3, "sdk1"));
        log_rows(&run, 2, "bb");
        run.finish().unwrap();
        let last = run.dir().unwrap();
        assert_eq!(last != first, is_synced);
        sync(&client, last, &backend);
        let received = backend.received();
        let rows = received.rows();
        let steps: Vec<_> = rows.iter().map(|row| (&row["_step"], &row["n"])).collect();
        let expected = [0, 1, 2, 3, 4].map(Json::from);
        assert_eq!(steps, expected.each_ref().map(|step| (step, step)));
        let summary = received.json("summary.json");
        assert_eq!(summary["b"], json!({"min": 1}), "{summary}");
        assert_eq!(
            (&summary["n"], &summary["best"]),
            (&json!(4), &json!({"z": 1}))
        );
        let config = received.json("config.json");
        let metrics = config["_wandb"]["value"]["m"].as_array().unwrap();
        assert!(metrics.iter().any(|metric| metric["1"] == "b"), "{config}");
        assert_eq!(config["lr"], json!({"value": 0.5}));
        assert_eq!(config["model"], json!({"value": {"x": [1], "y": null}}));
    }
}

/// Three rows.
const SDK_RUN: &str = "
import sys, wandb
run = wandb.init(mode='offline', project='p', id='sdk1', dir=sys.argv[1],
                 config={'lr': 0.5, 'model': {'x': [1], 'y': float('nan')}})
run.define_metric('b', summary='min')
for step in range(3):
    run.log({'n': step, 'b': 3 - step})
run.summary['best'] = {'z': 1}
run.finish()
";

// ---- without ----

#[test]
fn an_exit_record_gives_way() {
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let before = kinds(&path);
    let run = resumed(&path).start().unwrap();
    log_rows(&run, 1, "a");
    run.finish().unwrap();
    let row = ["files", "history", "summary", "exit"];
    let expected = [&before[..before.len() - 1], &row].concat();
    assert_eq!(kinds(&path), expected);
    let reader = LogReader::open(find_log(&path).unwrap()).unwrap();
    let numbers: Vec<i64> = reader.map(|record| record.unwrap().num).collect();
    assert_eq!(numbers, (1..=expected.len() as i64).collect::<Vec<_>>());
}

#[test]
fn a_log_torn_at_any_byte_of_its_last_row_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let run = builder(dir.path()).start().unwrap();
    let path = run.dir().unwrap().to_owned();
    log_rows(&run, 2, "a");
    run.flush(SOON).unwrap();
    run.log([("n", run.step())]).unwrap();
    run.flush(SOON).unwrap();
    let log = find_log(&path).unwrap();
    let log_bytes = fs::read(&log).unwrap();
    let rows = kinds(&path)
        .iter()
        .rposition(|kind| *kind == "history")
        .unwrap();
    let ends = ends(&log);
    for length in ends[rows]..=ends[rows + 1] {
        let copies = tempfile::tempdir().unwrap();
        let copy = copied(&path, copies.path());
        let torn = &log_bytes[..length as usize];
        fs::write(find_log(&copy).unwrap(), torn).unwrap();
        let kept = 2 + u64::from(length == ends[rows + 1]);
        let run = resumed(&copy).start().unwrap();
        assert_eq!(run.step(), kept, "cut at {length}");
        run.log([("n", kept)]).unwrap();
        run.finish().unwrap();
        assert_eq!(steps(&copy), counting(kept + 1), "cut at {length}");
    }
    drop(run);
}

#[test]
fn zeros_at_the_end_are_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let log = find_log(&path).unwrap();
    let mut bytes = fs::read(&log).unwrap();
    bytes.extend([0; 70_000]);
    fs::write(&log, bytes).unwrap();
    let run = resumed(&path).start().unwrap();
    log_rows(&run, 1, "a");
    run.finish().unwrap();
    assert_eq!(steps(&path), counting(4));
}

#[test]
fn a_run_that_goes_on_says_where_and_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let check = |change: &dyn Fn(&Path), expected: &[&str]| {
        let wandb_dir = tempfile::tempdir().unwrap();
        let copy = copied(&path, wandb_dir.path());
        change(&find_log(&copy).unwrap());
        let said = said(wandb_dir.path(), &copy);
        for text in expected {
            assert_eq!(said.matches(text).count(), 1, "{text:?} in {said}");
        }
    };
    let beside = |log: &Path, ending: &str| {
        let mut name = log.as_os_str().to_owned();
        name.push(ending);
        fs::write(name, "").unwrap();
    };
    let torn = |log: &Path| {
        let file = fs::OpenOptions::new().write(true).open(log).unwrap();
        let before_last = ends(log).into_iter().rev().nth(1).unwrap();
        file.set_len(before_last + 9).unwrap();
    };
    check(
        &|_| {},
        &["run run1 goes on in ", " at step 3\n", "wandb sync "],
    );
    check(
        &torn,
        &[
            "warning: the log ended with 9 bytes of no whole record",
            " at step 3\n",
        ],
    );
    let emptied = |log: &Path| fs::write(log, "").unwrap();
    check(
        &emptied,
        &["warning: the log holds no record", "the run begins anew"],
    );
    check(
        &|log| beside(log, ".synced"),
        &["was synced: the run goes on in a new directory"],
    );
    check(
        &|log| beside(log, ".syncstate"),
        &["warning: a sync of ", "did not come to the end"],
    );
}

/// MD5 of "hello\n".
const HELLO: &str = "artifacts/b1/b1946ac92492d2347c6235b4d2611184";

/// Whichever way it goes on, and from wherever the run was moved to.
#[test]
fn a_run_that_goes_on_says_which_artifacts_have_lost_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    fs::write(&file, "hello\n").unwrap();
    let run = builder(dir.path()).start().unwrap();
    for name in ["first", "second"] {
        let mut artifact = Artifact::new(name, "dataset").unwrap();
        artifact.add_file(&file).unwrap();
        run.log_artifact(artifact).unwrap();
        // Else the second may come first.
        run.flush(std::time::Duration::from_secs(60)).unwrap();
    }
    run.finish().unwrap();
    let path = run.dir().unwrap();
    let told = |ending: Option<&str>, is_lost: bool| {
        let wandb_dir = tempfile::tempdir().unwrap();
        let copy = copied(path, wandb_dir.path());
        if let Some(ending) = ending {
            let mut name = find_log(&copy).unwrap().into_os_string();
            name.push(ending);
            fs::write(name, "").unwrap();
        }
        if !is_lost {
            fs::create_dir_all(copy.join("artifacts/b1")).unwrap();
            fs::copy(&file, copy.join(HELLO)).unwrap();
        }
        let told = Told::default();
        tracing::subscriber::with_default(told.clone(), || {
            resumed(&copy).start().unwrap().finish().unwrap();
        });
        let lines = told.lines().into_iter();
        let lines: Vec<_> = lines.filter(|line| line.contains("artifact")).collect();
        lines
    };
    let lost = "of 2 artifacts, the first being the artifact \"first\", 2 files are gone, and ";
    for (ending, upload) in [
        (None, "`wandb sync` will not upload it: log it once more"),
        (Some(".synced"), "W&B has it only where it was uploaded"),
    ] {
        assert_eq!(told(ending, false), [""; 0], "{ending:?}");
        let lines = told(ending, true);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with(&format!("{lost}{upload}")),
            "{lines:?}"
        );
    }
}

#[test]
fn a_run_that_was_moved_says_that_its_artifacts_stay_behind() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    fs::write(&file, "hello\n").unwrap();
    let run = builder(dir.path()).start().unwrap();
    let mut artifact = Artifact::new("data", "dataset").unwrap();
    artifact.add_file(&file).unwrap();
    run.log_artifact(artifact).unwrap();
    run.finish().unwrap();
    let wandb_dir = tempfile::tempdir().unwrap();
    let path = run.dir().unwrap();
    let moved = wandb_dir.path().join(path.file_name().unwrap());
    fs::rename(path, &moved).unwrap();
    let told = Told::default();
    tracing::subscriber::with_default(told.clone(), || {
        resumed(&moved).start().unwrap().finish().unwrap();
    });
    let lines = told.lines();
    let expected = "the artifact \"data\" names files by where the run was before it was moved, and \
                    `wandb sync` will not upload them from here: run `wandb-image repair`";
    assert!(
        lines.iter().any(|line| line.starts_with(expected)),
        "{lines:?}"
    );
}

#[test]
fn what_the_last_rows_held_comes_into_the_summary() {
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let log = find_log(&path).unwrap();
    let all = kinds(&path);
    let last_row = all.iter().rposition(|kind| *kind == "history").unwrap();
    let end = ends(&log)[last_row + 1];
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..end as usize]).unwrap();
    assert!(!kinds(&path).contains(&"summary"));
    resumed(&path).start().unwrap().finish().unwrap();
    let summary = records(&path).into_iter().find_map(|record| match record {
        RecordType::Summary(summary) => Some(summary),
        _ => None,
    });
    let summary = summary.unwrap().update;
    assert_eq!(
        (number(&summary, "n"), number(&summary, "_step")),
        (2.0, 2.0)
    );
    let type_of = summary
        .iter()
        .find(|item| item.path() == ["sample", "_type"]);
    assert_eq!(type_of.unwrap().value_json, "\"image-file\"");
}

/// The Python SDK writes what a row does to the summary before it, and that needn't be its values.
#[test]
fn rows_of_the_python_sdk_stay_out_of_the_summary() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("offline-run-1-a");
    fs::create_dir(&path).unwrap();
    let check = |producer: &str, expected: &[&str]| {
        let producer = Some(VersionInfo {
            producer: producer.into(),
            min_consumer: String::new(),
        });
        let header = framed::record(RecordType::Header(HeaderRecord {
            version_info: producer,
        }));
        let row = framed::row(0, vec![framed::item(&["loss"], "7")]);
        let log = Framed::of(&[header, framed::run("a"), row]).bytes;
        fs::write(path.join("run-a.wandb"), log).unwrap();
        resumed(&path).start().unwrap().finish().unwrap();
        let summary = records(&path).into_iter().find_map(|record| match record {
            RecordType::Summary(summary) => Some(summary.update),
            _ => None,
        });
        let summary = summary.unwrap();
        let keys: Vec<_> = summary.iter().map(|item| item.path()[0]).collect();
        assert_eq!(keys, expected);
    };
    check("wandb-image 0.1.0", &["_step", "_wandb", "loss"]);
    check("0.31.0", &["_wandb"]);
}

#[test]
fn leaves_of_before_are_removed_from_the_summary() {
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let run = resumed(&path).start().unwrap();
    run.summary("best", 7).unwrap();
    run.summary("best", json!({"y": 7})).unwrap();
    run.finish().unwrap();
    let removed = records(&path)
        .into_iter()
        .filter_map(|record| match record {
            RecordType::Summary(summary) => Some(summary.remove),
            _ => None,
        });
    let removed: Vec<Item> = removed.flatten().collect();
    let paths: Vec<_> = removed.iter().map(Item::path).collect();
    assert_eq!(paths, [["best", "x"]]);
}

#[test]
fn the_config_holds_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let added = |config: Json| {
        let before = records(&path).len() - 1;
        resumed(&path)
            .config(&config)
            .unwrap()
            .start()
            .unwrap()
            .finish()
            .unwrap();
        let records = records(&path);
        let added = records[before..].iter().filter_map(|record| match record {
            RecordType::Config(config) => Some(config.update.clone()),
            _ => None,
        });
        let added = added.flatten().map(|item| (item.key, item.value_json));
        added
            .map(|(key, json)| format!("{key}={json}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(added(json!({"lr": 0.5})), Vec::<String>::new());
    assert_eq!(
        added(json!({"lr": 0.25, "depth": 3})),
        ["depth=3", "lr=0.25"]
    );
    assert_eq!(added(json!({"lr": 0.25, "depth": 3})), Vec::<String>::new());
}

#[test]
fn names_of_classes_are_kept_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let run = resumed(&path).start().unwrap();
    log_rows(&run, 1, "a");
    log_rows(&run, 1, "bb");
    run.finish().unwrap();
    let names = records(&path)
        .into_iter()
        .filter_map(|record| match record {
            RecordType::Config(config) => {
                Some(parse(&config.update[0].value_json)["value"].clone())
            }
            _ => None,
        });
    let names: Vec<Json> = names.collect();
    assert_eq!(names, [json!({"1": "a"}), json!({"1": "a", "2": "bb"})]);
}

#[test]
fn the_runtime_goes_on_rising() {
    let dir = tempfile::tempdir().unwrap();
    let check = |records: &[Record]| {
        let path = dir.path().join("offline-run-1-a");
        fs::create_dir_all(&path).unwrap();
        let log = [&[framed::run("a")], records].concat();
        fs::write(path.join("run-a.wandb"), Framed::of(&log).bytes).unwrap();
        let run = resumed(&path).start().unwrap();
        log_rows(&run, 1, "a");
        run.finish().unwrap();
        let times = crate::resume::records(&path)
            .into_iter()
            .filter_map(|record| match record {
                RecordType::History(row) => Some(number(&row.item, "_runtime")),
                RecordType::Exit(exit) => Some(exit.runtime.into()),
                _ => None,
            });
        let times: Vec<f64> = times.collect();
        let last_two = &times[times.len() - 2..];
        assert!(
            last_two.iter().all(|time| (5000.0..5600.0).contains(time)),
            "{times:?}"
        );
    };
    let row = framed::row(0, vec![framed::item(&["_runtime"], "5000.5")]);
    check(&[row]);
    let runtime = 5000;
    check(&[framed::record(RecordType::Exit(RunExitRecord {
        exit_code: 0,
        runtime,
    }))]);
}

#[test]
fn steps_rise_over_the_stop() {
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let run = resumed(&path).start().unwrap();
    let error = run.log_at(2, [("n", 2)]).unwrap_err();
    assert!(
        matches!(error, Error::StepBeforeResume { step: 2, next: 3 }),
        "{error}"
    );
    run.log_at(7, [("n", 7)]).unwrap();
    run.finish().unwrap();
    let run = resumed(&path).starting_step(20).start().unwrap();
    assert_eq!(run.step(), 20);
    assert!(run.log_at(19, [("n", 19)]).is_err());
    run.log([("n", 20)]).unwrap();
    run.finish().unwrap();
    assert_eq!(steps(&path), [0.0, 1.0, 2.0, 7.0, 20.0]);
}

#[test]
fn a_run_without_rows_goes_on_where_it_was_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let run = builder(dir.path()).starting_step(9).start().unwrap();
    run.finish().unwrap();
    assert_eq!(resumed(run.dir().unwrap()).start().unwrap().step(), 9);
}

#[test]
fn a_run_killed_before_its_first_record_begins_at_last() {
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let log = find_log(&path).unwrap();
    let bytes = fs::read(&log).unwrap();
    let ends = ends(&log);
    // In the file's header, after it, in the header record, after it, and in the run record.
    for length in [0, 3, ends[0], ends[0] + 5, ends[1], ends[2] - 1] {
        fs::write(&log, &bytes[..length as usize]).unwrap();
        let run = builder(dir.path()).resume(&path).start().unwrap();
        assert_eq!((run.step(), run.run_id()), (0, "run1"));
        log_rows(&run, 1, "a");
        run.finish().unwrap();
        assert_eq!(kinds(&path)[..3], ["header", "run", "environment"]);
        assert_eq!(
            (&*run_record(&path).project, steps(&path)),
            ("digits", counting(1))
        );
    }
}

#[test]
fn a_run_is_named_by_its_directory_a_link_or_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let mut rows = 3;
    let mut check = |named: PathBuf| {
        let run = builder(dir.path()).resume(named).start().unwrap();
        assert_eq!(run.dir(), Some(fs::canonicalize(&path).unwrap().as_path()));
        assert_eq!(run.step(), rows);
        log_rows(&run, 1, "a");
        run.finish().unwrap();
        rows += 1;
    };
    check(path.clone());
    check(find_log(&path).unwrap());
    check(path.join("files/.."));
    if cfg!(unix) {
        check(dir.path().join("wandb/latest-run"));
    }
    assert_eq!(steps(&path), counting(rows));
}

#[cfg(unix)]
#[test]
fn the_run_that_goes_on_is_the_latest() {
    let dir = tempfile::tempdir().unwrap();
    let first = three_rows(dir.path());
    let later = builder(dir.path()).run_id("run2").start().unwrap();
    later.finish().unwrap();
    let latest = dir.path().join("wandb/latest-run");
    assert_eq!(
        Path::new(later.dir().unwrap().file_name().unwrap()),
        fs::read_link(&latest).unwrap()
    );
    resumed(&first).start().unwrap().finish().unwrap();
    assert_eq!(
        Path::new(first.file_name().unwrap()),
        fs::read_link(&latest).unwrap()
    );
}

// ---- refused ----

fn check_refused(builder: RunBuilder, expected: &str) {
    let error = builder.start().unwrap_err();
    let text = error.to_string();
    assert!(text.contains(expected), "{text:?} doesn't say {expected:?}");
}

#[test]
fn a_run_that_is_being_written_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let check = |path: &Path| {
        let error = resumed(path).start().unwrap_err();
        assert!(matches!(error, Error::RunInUse { .. }), "{error}");
    };
    let run = builder(dir.path()).start().unwrap();
    let path = run.dir().unwrap();
    check(path);
    run.finish().unwrap();
    let again = resumed(path).start().unwrap();
    check(path);
    drop(again);
    drop(run);

    let dir = tempfile::tempdir().unwrap();
    let mut child = spawn("a", dir.path(), None);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let at = lines.find_map(|line| line.unwrap().strip_prefix("at ").map(PathBuf::from));
    let path = at.unwrap();
    check(&path);
    child.kill().unwrap();
    child.wait().unwrap();
    resumed(&path).start().unwrap().finish().unwrap();
}

#[test]
fn a_run_that_was_killed_as_it_began_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wandb/offline-run-1-run1");
    fs::create_dir_all(path.join("files")).unwrap();
    let expected = "killed while it started: it holds no row, so start a new run";
    check_refused(resumed(&path), expected);
    let part = path.join("run-run1.wandb.part");
    let file = fs::File::create(&part).unwrap();
    let expected = format!("`wandb-image repair {} --out DIR`", part.display());
    check_refused(resumed(&path), &expected);
    if cfg!(unix) {
        file.lock().unwrap();
        let error = resumed(&path).start().unwrap_err();
        assert!(matches!(error, Error::RunInUse { .. }), "{error}");
    }
    assert!(part.exists());
}

#[test]
fn damage_in_the_middle_is_refused_and_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let log = find_log(&path).unwrap();
    let mut bytes = fs::read(&log).unwrap();
    let ends = ends(&log);
    bytes[ends[4] as usize + 9] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let check = |expected: &str| check_refused(resumed(&path), expected);
    check(&format!("{} is damaged at byte {}", log.display(), ends[4]));
    check("the checksum does not match");
    check(&format!(
        "`wandb-image repair {} --out DIR`",
        path.display()
    ));
    assert_eq!(fs::read(&log).unwrap(), bytes);

    let repaired = dir.path().join("offline-run-2-repaired");
    repair(&path, &repaired).unwrap();
    let run = resumed(&repaired).start().unwrap();
    let step = run.step();
    log_rows(&run, 1, "a");
    run.finish().unwrap();
    assert_eq!(steps(&repaired).last(), Some(&(step as f64)));
}

#[test]
fn rows_after_the_end_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let log = find_log(&path).unwrap();
    let bytes = fs::read(&log).unwrap();
    let all = kinds(&path);
    let row = all.iter().rposition(|kind| *kind == "history").unwrap();
    let ends = ends(&log);
    // Records stand in one block here, so that one can be copied to its end as it is.
    let row = &bytes[ends[row] as usize..ends[row + 1] as usize];
    fs::write(&log, [&bytes, row].concat()).unwrap();
    let exit = ends[ends.len() - 2];
    check_refused(resumed(&path), &format!("at byte {exit} of its log"));
}

/// As wandb 0.16 ends a run: its only summary is the last record, where no sync reads it.
#[test]
fn a_summary_after_the_end_is_refused_and_comes_back_by_repair() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("offline-run-1-a");
    fs::create_dir(&path).unwrap();
    let best = framed::item(&["best"], "7");
    let summary = SummaryRecord {
        update: vec![best.clone()],
        remove: vec![],
    };
    let summary = framed::record(RecordType::Summary(summary));
    let row = framed::row(0, vec![framed::item(&["n"], "0")]);
    let bytes = Framed::of(&[framed::run("a"), row, framed::exit(), summary]).bytes;
    fs::write(path.join("run-a.wandb"), &bytes).unwrap();
    check_refused(resumed(&path), "more follows the record of its end");
    assert_eq!(fs::read(path.join("run-a.wandb")).unwrap(), bytes);

    let repaired = repair(&path, dir.path().join("offline-run-2-a")).unwrap();
    let run = resumed(&repaired.dir).start().unwrap();
    log_rows(&run, 1, "a");
    run.finish().unwrap();
    let kept = |record: &RecordType| matches!(record, RecordType::Summary(summary) if summary.update.contains(&best));
    assert!(records(&repaired.dir).iter().any(kept));
}

/// Of directories without rows the later goes on with the earlier, not each with the other.
#[test]
fn a_run_that_was_synced_again_and_again_without_rows_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = three_rows(dir.path());
    for _ in 0..3 {
        fs::write(find_log(&last).unwrap().with_extension("wandb.synced"), "").unwrap();
        let run = resumed(&last).start().unwrap();
        assert_eq!(run.step(), 3);
        run.finish().unwrap();
        let next = run.dir().unwrap().to_owned();
        check_refused(resumed(&last), "goes on with it already");
        last = next;
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_beside_a_log_keeps_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let other = dir.path().join("wandb/offline-run-2-run1");
    fs::create_dir(&other).unwrap();
    for pipe in [path.join("run-x.wandb.part"), other.join("run-run1.wandb")] {
        let made = Command::new("mkfifo").arg(pipe).status().unwrap();
        assert!(made.success());
    }
    resumed(&path).start().unwrap().finish().unwrap();
    fs::write(find_log(&path).unwrap().with_extension("wandb.synced"), "").unwrap();
    resumed(&path).start().unwrap().finish().unwrap();
}

#[test]
fn settings_that_contradict_the_run_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = three_rows(dir.path());
    let before = fs::read(find_log(&path).unwrap()).unwrap();
    let check = |given: fn(RunBuilder) -> RunBuilder, expected: &str| {
        check_refused(given(resumed(&path)), expected);
    };
    check(
        |b| b.run_id("x"),
        r#"its run id is "run1", but run_id is "x": leave it out"#,
    );
    check(
        |b| b.project("x"),
        r#"its project is "digits", but project is "x""#,
    );
    check(
        |b| b.entity("x"),
        r#"its entity is "team", but entity is "x""#,
    );
    check(|b| b.name("x"), r#"its name is "", but name is "x""#);
    check(|b| b.group("x"), r#"its group is "", but group is "x""#);
    check(
        |b| b.job_type("x"),
        r#"its job_type is "", but job_type is "x""#,
    );
    check(|b| b.notes("x"), r#"its notes is "", but notes is "x""#);
    check(|b| b.tags(["x"]), r#"its tags is [], but tags is ["x"]"#);
    check(
        |b| b.starting_step(2),
        "its next step is 3, but starting_step is 2",
    );
    check(
        |b| b.dir("/no/such"),
        "doesn't lie in the folder wandb of dir /no/such",
    );
    check(
        |b| b.starting_step(u64::MAX),
        "the step is 18446744073709551615",
    );
    check(|b| b.workers(0), "workers");
    assert_eq!(fs::read(find_log(&path).unwrap()).unwrap(), before);
    builder(dir.path())
        .resume(&path)
        .tags([""; 0])
        .start()
        .unwrap();
}

#[test]
fn a_place_that_holds_no_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str, files: &[&str]| {
        let path = dir.path().join(name);
        fs::create_dir(&path).unwrap();
        for file in files {
            fs::write(path.join(file), "not a log").unwrap();
        }
        path
    };
    let check = |path: PathBuf, expected: &str| check_refused(resumed(path), expected);
    check(dir.path().join("none"), "could not find the run");
    check(folder("empty", &[]), "isn't called offline-run-…");
    check(
        folder("run-1-a", &["run-a.wandb"]),
        "isn't called offline-run-…",
    );
    check(folder("offline-run-1-a", &[]), "it has no .wandb file");
    check(
        folder("offline-run-2-a", &["a.wandb", "b.wandb"]),
        "holds 2 .wandb files",
    );
    check(
        folder("offline-run-3-a", &["run-a.wandb"]),
        "does not begin as a W&B transaction log",
    );
    let file = folder("offline-run-4-a", &["notes.txt"]).join("notes.txt");
    check(file, "neither a directory nor a .wandb file");
    let last = dir.path().join("offline-run-4-a");
    let expected = format!("it holds 4 runs: give one, such as {}", last.display());
    check(dir.path().into(), &expected);
}

#[test]
fn a_log_that_is_no_runs_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("offline-run-1-a");
    fs::create_dir(&path).unwrap();
    let check = |records: &[Record], expected: &str| {
        let bytes = Framed::of(records).bytes;
        fs::write(path.join("run-a.wandb"), &bytes).unwrap();
        check_refused(resumed(&path), expected);
        assert_eq!(fs::read(path.join("run-a.wandb")).unwrap(), bytes);
    };
    check(&[framed::row(0, vec![])], "its log has no run record");
    check(
        &[framed::exit(), framed::row(0, vec![])],
        "more follows the record of its end, at byte 7",
    );
    check(&[framed::run("")], "names no run id");
    for synced in [".synced", ".syncstate"] {
        fs::write(path.join(format!("run-a.wandb{synced}")), "").unwrap();
        check(
            &[framed::run("../../a")],
            r#"the run id is "../../a", but it must hold none of"#,
        );
        check(&[], "its log holds nothing, and was synced so");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn only_a_run_on_disk_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let error = resumed(dir.path()).start_on(MemorySink::new()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Option {
                option: "resume",
                ..
            }
        ),
        "{error}"
    );
    let run = init()
        .mode(RunMode::Disabled)
        .resume("no/such")
        .start()
        .unwrap();
    assert_eq!((run.step(), run.dir()), (0, None));
}
