//! A run that is killed keeps what it confirmed: on disk, and when it is synced.
//!
//! `WANDB_IMAGE_KILLS` says how often a process is killed, 20 times by default. A failure prints
//! the seed; `WANDB_IMAGE_SEED` takes it.

mod load;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::Value as Json;
use signal_hook::consts::signal::{SIGABRT, SIGKILL};
use wandb_image::sink::MemorySink;
use wandb_image::sink::logged::find_log;
use wandb_image::sink::reader::LogReader;
use wandb_image::sink::records::RecordType;
use wandb_image::{Error, RunMode, init};

use crate::child;
use crate::client::{Client, Received, hashes};
use crate::rows;
use crate::soak;
use load::{PerThread, Said, THREADS, Task};

const TASK: &str = "WANDB_IMAGE_TEST_KILL";
/// Pictures of this size have files of more than a page, which a kill can cut.
const LARGE_PX: u32 = 96;

/// Time enough for all that a child does until it is killed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Not a test: what [`spawn`] makes of this binary.
#[test]
#[ignore = "runs in a process of its own, which is killed"]
fn child() {
    let task = std::env::var(TASK).unwrap();
    load::run(serde_json::from_str(&task).unwrap());
}

fn spawn(root: &Path, run_id: &str, task: &Task) -> Child {
    let stderr = File::create(root.join(format!("{run_id}.stderr"))).unwrap();
    child::of_this_binary(&[], "kill::child")
        .env(TASK, serde_json::to_string(task).unwrap())
        .env("WANDB_DIR", root)
        .env("WANDB_RUN_ID", run_id)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .unwrap()
}

// ---- killing ----

/// When a process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after it began to start its run.
    Start(Duration),
    /// As soon as this number of flushes has returned: it kills itself.
    AtFlush(u64),
    /// So long after this number of flushes.
    Flush(u64, Duration),
    /// So long after it began to finish its run.
    End(Duration),
    /// So long after it was spawned.
    Any(Duration),
}

impl Moment {
    fn random(random: &mut Rng) -> Self {
        let micros = |most, random: &mut Rng| Duration::from_micros(random.u64(..most));
        match random.u8(..8) {
            0 | 1 => Moment::Start(micros(3_000, random)),
            2 => Moment::End(micros(20_000, random)),
            3 => Moment::Any(micros(600_000, random)),
            4 | 5 => Moment::AtFlush(random.u64(1..9)),
            _ => Moment::Flush(random.u64(1..9), micros(40_000, random)),
        }
    }

    fn task(self, random: &mut Rng) -> Task {
        Task {
            seed: random.u64(..1 << 32),
            flushes: match self {
                Moment::End(_) => random.u64(1..6),
                _ => 100_000,
            },
            killed_at: match self {
                Moment::AtFlush(flush) => Some(flush),
                _ => None,
            },
            fails_at: None,
            is_synchronous: random.u8(..5) == 0,
            pause_us: random.u64(..2_000),
            large_px: LARGE_PX,
        }
    }

    /// How long after this line the process is killed.
    fn after(self, said: &Said) -> Option<Duration> {
        match (self, said) {
            (Moment::Start(wait), Said::Starting) | (Moment::End(wait), Said::Finishing) => {
                Some(wait)
            }
            (Moment::Flush(flush, wait), Said::Flushed(_, number)) if *number == flush => {
                Some(wait)
            }
            _ => None,
        }
    }
}

/// What a process confirmed before it was killed.
#[derive(Debug, Default)]
struct Confirmed {
    has_started: bool,
    /// The rows of each thread.
    rows: PerThread<u64>,
    /// Of these rows, the last values in the summary.
    in_summary: PerThread<u64>,
    /// The last flush.
    flush: u64,
    has_finished: bool,
}

impl Confirmed {
    fn hear(&mut self, said: &Said) {
        match *said {
            Said::Starting | Said::Finishing => {}
            Said::Started => self.has_started = true,
            Said::Row(thread, rows) => self.rows[thread] = self.rows[thread].max(rows),
            Said::Flushed(rows, flush) => self.flushed(rows, flush),
            Said::Finished(rows, flush) => {
                self.flushed(rows, flush);
                self.has_finished = true;
            }
        }
    }

    fn flushed(&mut self, rows: PerThread<u64>, flush: u64) {
        for (known, rows) in self.rows.iter_mut().zip(rows) {
            *known = rows.max(*known);
        }
        self.in_summary = rows;
        self.flush = flush;
    }
}

/// A run whose process was killed.
struct Killed {
    run_id: String,
    moment: Moment,
    confirmed: Confirmed,
}

fn kill_one(root: &Path, index: usize, random: &mut Rng) -> Killed {
    let moment = Moment::random(random);
    let task = moment.task(random);
    let run_id = format!("k{index}");
    let mut child = spawn(root, &run_id, &task);
    let said = listen(&mut child);
    let confirmed = hear_until(moment, &said, &mut child);
    let status = child.wait().unwrap();
    let as_planned = status.signal() == Some(SIGKILL) || status.success();
    let stderr = || fs::read_to_string(root.join(format!("{run_id}.stderr"))).unwrap();
    assert!(as_planned, "{run_id}, {task:?}: {status}: {}", stderr());
    Killed {
        run_id,
        moment,
        confirmed,
    }
}

/// What the child says, until its output ends.
fn listen(child: &mut Child) -> Receiver<Said> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, said) = channel();
    thread::spawn(move || {
        let mut said = lines.filter_map(|line| Said::read(&line.unwrap()));
        said.try_for_each(|said| sender.send(said))
    });
    said
}

/// Kills the process when the moment has come. What it said before is heard to the end.
fn hear_until(moment: Moment, said: &Receiver<Said>, child: &mut Child) -> Confirmed {
    let mut confirmed = Confirmed::default();
    let deadline = Instant::now() + PATIENCE;
    let mut kill_at = match moment {
        Moment::Any(wait) => Some(Instant::now() + wait),
        _ => None,
    };
    loop {
        let until = kill_at.unwrap_or(deadline).min(deadline);
        match said.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(said) => {
                confirmed.hear(&said);
                kill_at = kill_at.or(moment.after(&said).map(|wait| Instant::now() + wait));
            }
            Err(RecvTimeoutError::Disconnected) => return confirmed,
            Err(RecvTimeoutError::Timeout) => break,
        }
    }
    child.kill().unwrap();
    assert!(kill_at.is_some(), "{moment:?} never came: {confirmed:?}");
    said.iter().for_each(|said| confirmed.hear(&said));
    confirmed
}

// ---- what is on disk ----

/// What a log holds up to its end, or to where it is torn.
#[derive(Default)]
struct OnDisk {
    rows: Vec<Json>,
    records: Vec<RecordType>,
    /// The files that records name, each with its hash.
    files: BTreeMap<String, String>,
    is_torn: bool,
}

impl OnDisk {
    /// None where the run has no log yet.
    fn read(dir: &Path) -> Option<Self> {
        let log = find_log(dir).ok()?;
        let stored = hashes(&dir.join("files"));
        let mut found = Self::default();
        for record in LogReader::open(&log).unwrap() {
            match record {
                Ok(record) => found.take(record.record_type.unwrap(), &stored),
                Err(Error::Log { reason, .. }) if reason.contains("torn") => found.is_torn = true,
                Err(error) => panic!("{error}"),
            }
        }
        Some(found)
    }

    fn take(&mut self, record: RecordType, stored: &BTreeMap<String, String>) {
        match &record {
            RecordType::History(row) => {
                let row = plain(rows::nested(row));
                self.check_files(&row);
                self.rows.push(row);
            }
            RecordType::Files(files) => {
                for file in &files.files {
                    let hash = stored.get(&file.path);
                    let hash = hash.unwrap_or_else(|| panic!("{} isn't there", file.path));
                    self.files.insert(file.path.clone(), hash.clone());
                }
            }
            _ => {}
        }
        self.records.push(record);
    }

    /// Every file that a row names was named to be uploaded, and is what the row says.
    fn check_files(&self, row: &Json) {
        for (path, sha256) in named(row) {
            let hash = self.files.get(&path);
            let hash = hash.unwrap_or_else(|| panic!("{path} has no record, in {row}"));
            match sha256 {
                Some(sha256) => assert_eq!(*hash, sha256, "{path}"),
                None => assert!(path.contains(&hash[..20]), "{path} has the hash {hash}"),
            }
        }
    }

    fn exit_code(&self) -> Option<i32> {
        let mut codes = self.records.iter().filter_map(|record| match record {
            RecordType::Exit(exit) => Some(exit.exit_code),
            _ => None,
        });
        codes.next()
    }

    fn summary(&self) -> Json {
        plain(rows::summary(&self.records))
    }

    fn config(&self) -> Json {
        rows::config(self.records.iter().cloned())
    }
}

/// With numbers that can be compared, however they were written.
fn plain(mut json: Json) -> Json {
    rows::plain_numbers(&mut json);
    json
}

/// The files that a value names, each with its hash where the value says it.
fn named(value: &Json) -> Vec<(String, Option<String>)> {
    let text = |value: &Json| value.as_str().map(String::from);
    let mut files = Vec::new();
    match value {
        Json::Object(entries) => {
            let path = entries.get("path").and_then(text);
            let sha256 = entries.get("sha256").and_then(text);
            files.extend(path.map(|path| (path, sha256)));
            let listed = entries.get("filenames").and_then(Json::as_array);
            let listed = listed.into_iter().flatten().filter_map(text);
            files.extend(listed.map(|path| (path, None)));
            files.extend(entries.values().flat_map(named));
        }
        Json::Array(values) => files.extend(values.iter().flat_map(named)),
        _ => {}
    }
    files
}

/// What the row `i` of each thread must hold, as a run in memory writes it.
#[derive(Default)]
struct Expected(BTreeMap<(usize, u64), Json>);

impl Expected {
    fn row(&mut self, thread: usize, i: u64) -> &Json {
        self.0.entry((thread, i)).or_insert_with(|| {
            let sink = MemorySink::new();
            let run = init().start_on(sink.clone()).unwrap();
            run.log(load::row(thread, i, LARGE_PX)).unwrap();
            run.finish().unwrap();
            comparable(&plain(rows::nested(&sink.rows()[0])))
        })
    }

    /// Checks that a row holds what its threads logged, all of it and nothing else. Returns the
    /// numbers of their rows.
    fn check(&mut self, row: &Json) -> PerThread<Option<u64>> {
        let numbers = THREADS.map(|key| row[key].as_u64());
        let mut expected = serde_json::Map::new();
        for (thread, number) in numbers.iter().enumerate() {
            let own = number.map(|i| self.row(thread, i).as_object().unwrap().clone());
            expected.extend(own.into_iter().flatten());
        }
        assert_eq!(comparable(row), Json::Object(expected));
        numbers
    }
}

/// A row without its time and step, and its paths without the step in them.
fn comparable(row: &Json) -> Json {
    let mut row = row.clone();
    forget(&mut row, &["_step", "_timestamp", "_runtime"]);
    forget_steps(&mut row);
    row
}

fn forget_steps(value: &mut Json) {
    match value {
        Json::String(text) if text.starts_with("media/") => {
            *text = text.rsplit('_').next().unwrap().into();
        }
        Json::Array(values) => values.iter_mut().for_each(forget_steps),
        Json::Object(entries) => entries.values_mut().for_each(forget_steps),
        _ => {}
    }
}

/// Checks the rows and returns how many there are of each thread.
fn check_rows(rows: &[Json], expected: &mut Expected) -> PerThread<u64> {
    let mut counts = PerThread::default();
    let mut last_step = None;
    for row in rows {
        let step = row["_step"].as_u64();
        assert!(step > last_step, "{step:?} after {last_step:?}");
        last_step = step;
        let numbers = expected.check(row);
        for (count, number) in counts.iter_mut().zip(numbers) {
            if let Some(number) = number {
                assert_eq!(number, *count, "a row is missing, or there twice");
                *count += 1;
            }
        }
    }
    counts
}

fn check_confirmed(killed: &Killed, found: PerThread<u64>, summary: &Json, config: &Json) {
    let confirmed = &killed.confirmed;
    for (thread, key) in THREADS.iter().enumerate() {
        let (rows, found) = (confirmed.rows[thread], found[thread]);
        assert!(found >= rows, "{key}: {found} rows of {rows} confirmed");
        let last = confirmed.in_summary[thread].checked_sub(1);
        let in_summary = summary[key].as_u64();
        assert!(in_summary >= last, "{key}: {in_summary:?}, not {last:?}");
    }
    for place in [summary, config] {
        let flush = place["flush"].as_u64().unwrap_or(0);
        assert!(flush >= confirmed.flush, "{flush}, not {}", confirmed.flush);
    }
}

// ---- what arrives ----

fn check_received(received: &Received, disk: &OnDisk, expected: &mut Expected, killed: &Killed) {
    let rows = received_rows(received);
    let found = check_rows(&rows, expected);
    assert!(rows == disk.rows, "the rows differ");
    assert_eq!(received.media(), disk.files);
    let summary = plain(json_or_none(received, "summary.json"));
    let mut in_log = disk.summary();
    // The client sets the step to that of the last row, also of one after the last summary.
    forget(&mut in_log, &["_step", "_timestamp", "_runtime"]);
    for (key, value) in in_log.as_object().unwrap() {
        assert_eq!(pruned(&summary[key]), pruned(value), "{key} in the summary");
    }
    let config = received_config(received);
    check_confirmed(killed, found, &summary, &config);
    let exit_code = received.json("exit.json")["exitcode"].as_i64();
    assert_eq!(exit_code, Some(disk.exit_code().unwrap_or(1).into()));
}

fn forget(row: &mut Json, keys: &[&str]) {
    for key in keys {
        row.as_object_mut().unwrap().remove(*key);
    }
}

fn received_rows(received: &Received) -> Vec<Json> {
    match received.dir.join("history.jsonl").exists() {
        true => received.rows().into_iter().map(plain).collect(),
        false => Vec::new(),
    }
}

/// What arrived under that name; a run that was killed as it began has nothing there.
fn json_or_none(received: &Received, name: &str) -> Json {
    match received.dir.join(name).exists() {
        true => received.json(name),
        false => Json::Object(serde_json::Map::new()),
    }
}

/// The number of the last flush, from the file that the client uploads at the end. Of its requests,
/// it may send the first one, which has no config yet, once more after the others.
fn received_config(received: &Received) -> Json {
    let yaml = fs::read_to_string(received.dir.join("files/config.yaml")).unwrap_or_default();
    let flush = yaml.split("\nflush:\n    value: ").nth(1);
    let flush = flush.and_then(|rest| rest.lines().next()?.parse::<u64>().ok());
    serde_json::json!({ "flush": flush })
}

/// Without maps that are empty.
fn pruned(value: &Json) -> Json {
    match value {
        Json::Object(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| (key.clone(), pruned(value)));
            let is_empty = |value: &Json| value.as_object().is_some_and(serde_json::Map::is_empty);
            entries.filter(|(_, value)| !is_empty(value)).collect()
        }
        value => value.clone(),
    }
}

// ---- the test ----

fn the_run(root: &Path, run_id: &str) -> Option<PathBuf> {
    let folders = fs::read_dir(root.join("wandb")).ok()?;
    let mut paths = folders.map(|folder| folder.unwrap().path());
    paths.find(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("offline-run-") && name.ends_with(&format!("-{run_id}"))
    })
}

/// The run that is started after all kills.
const LAST: &str = "last";

fn run_to_the_end(root: &Path) {
    let run = init().mode(RunMode::Offline).dir(root).run_id(LAST).start();
    run.unwrap().finish().unwrap();
}

/// The files and links below a folder that were to get another name.
fn temporary_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(temporary_files(&entry.path()));
        } else if entry.file_name().to_string_lossy().ends_with(".part") {
            found.push(entry.path());
        }
    }
    found
}

/// The kills' folder, which stays where a check fails.
fn folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("wandb-image-kill-")
        .disable_cleanup(std::env::var_os("WANDB_IMAGE_KEEP").is_some())
        .tempdir()
        .unwrap()
}

#[test]
fn a_process_that_fails_is_not_taken_for_one_that_was_killed() {
    let root = folder();
    let moment = Moment::AtFlush(9);
    let task = Task {
        fails_at: Some(2),
        ..moment.task(&mut Rng::with_seed(soak::seed()))
    };
    let mut child = spawn(root.path(), "failing", &task);
    let said = listen(&mut child);
    assert_eq!(hear_until(moment, &said, &mut child).flush, 1);
    assert_eq!(child.wait().unwrap().signal(), Some(SIGABRT));
}

#[test]
fn what_was_confirmed_survives_a_kill_and_is_uploaded() {
    let (kills, seed) = (soak::number("WANDB_IMAGE_KILLS", 20), soak::seed());
    let mut random = Rng::with_seed(seed);
    let root = folder();
    println!("seed {seed}, in {}", root.path().display());
    let (mut expected, mut total) = (Expected::default(), Total::default());
    let mut killed = Vec::new();
    for index in 0..kills as usize {
        killed.push(kill_one(root.path(), index, &mut random));
        total.temporary_files += temporary_files(root.path()).len() as u64;
    }
    run_to_the_end(root.path());
    assert_eq!(temporary_files(root.path()), Vec::<PathBuf>::new());

    let mut begun = BTreeMap::new();
    for run in &killed {
        println!("{}: {:?}, {:?}", run.run_id, run.moment, run.confirmed);
        let dir = the_run(root.path(), &run.run_id);
        assert!(dir.is_some() || !run.confirmed.has_started);
        let Some(disk) = dir.as_deref().and_then(OnDisk::read) else {
            assert!(!run.confirmed.has_started, "it has no log");
            total.before_begin += 1;
            continue;
        };
        let found = check_rows(&disk.rows, &mut expected);
        check_confirmed(run, found, &disk.summary(), &disk.config());
        if run.confirmed.has_finished {
            assert_eq!(disk.exit_code(), Some(0));
        }
        total.add(run, &disk, found);
        begun.insert(run.run_id.clone(), disk);
    }

    if let Some(client) = Client::find() {
        let mut received = client.sync_all(&root.path().join("wandb"));
        for run in &killed {
            let received = received.remove(&run.run_id);
            assert_eq!(received.is_some(), begun.contains_key(&run.run_id));
            if let Some(received) = received {
                println!("{} as it was received", run.run_id);
                check_received(&received, &begun[&run.run_id], &mut expected, run);
                total.received += 1;
            }
        }
        assert!(received.remove(LAST).is_some());
        assert_eq!(received.keys().collect::<Vec<_>>(), Vec::<&String>::new());
    }
    total.report(kills, seed);
    assert!(total.rows_confirmed > 0, "no row was confirmed by any run");
}

/// What the checks found in all.
#[derive(Default)]
struct Total {
    before_begin: u64,
    torn: u64,
    /// After each kill, the next start having removed those of before.
    temporary_files: u64,
    rows_confirmed: u64,
    rows_found: u64,
    files: u64,
    received: u64,
}

impl Total {
    fn add(&mut self, killed: &Killed, disk: &OnDisk, found: PerThread<u64>) {
        self.torn += u64::from(disk.is_torn);
        self.rows_confirmed += killed.confirmed.rows.iter().sum::<u64>();
        self.rows_found += found.iter().sum::<u64>();
        self.files += disk.files.len() as u64;
    }

    fn report(&self, kills: u64, seed: u64) {
        soak::report(&[
            ("kills", kills),
            ("killed_before_the_run_began", self.before_begin),
            ("logs_torn_by_it", self.torn),
            ("temporary_files_left_by_it", self.temporary_files),
            ("rows_confirmed", self.rows_confirmed),
            ("rows_found", self.rows_found),
            ("files_checked", self.files),
            ("runs_synced", self.received),
            ("seed", seed),
        ]);
    }
}
