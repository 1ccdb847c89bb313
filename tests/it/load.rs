//! A run under constant load: what it holds, what memory that takes, and whether all of it is on
//! disk. For `scripts/soak.sh`, which builds it in release.
//!
//! `WANDB_IMAGE_LOAD_SECONDS` says how long, 10 by default.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use wandb_image::sink::logged::find_log;
use wandb_image::sink::reader::LogReader;
use wandb_image::sink::records::RecordType;
use wandb_image::{Image, Mode, Overflow, Pixels, Row, Run, init};

use crate::client::sha256;
use crate::rows::nested;
use crate::soak;

/// What is asked of the run, each second.
const SCALAR_ROWS: u32 = 1_000;
const PICTURES: u32 = 50;
const SIDE_PX: u32 = 128;
/// Threads of either kind.
const THREADS: u32 = 2;
/// What may be added to the memory between the first quarter and the last.
const GROWTH_MIB: f64 = 16.0;

/// The process's memory, in MiB.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<f64>().unwrap() / 1024.0
}

/// Calls `work` so often each second, as well as it can, until it is over. How often it did.
fn at_rate(per_second: u32, is_over: &AtomicBool, mut work: impl FnMut(u64)) -> u64 {
    let began = Instant::now();
    let mut done = 0_u64;
    while !is_over.load(Ordering::SeqCst) {
        let due = Duration::from_secs_f64(done as f64 / f64::from(per_second));
        thread::sleep(due.saturating_sub(began.elapsed()));
        work(done);
        done += 1;
    }
    done
}

/// A picture with some noise, of which no two are the same.
fn picture(thread: u32, i: u64) -> Image {
    let mut random = Rng::with_seed((u64::from(thread) << 32) | i);
    let noise = random.u32(..);
    let bytes = (0..SIDE_PX * SIDE_PX * 3).map(|at| ((at * at / 97) ^ (noise >> (at % 24))) as u8);
    Image::from(Pixels::new(SIDE_PX, SIDE_PX, Mode::Rgb, bytes.collect()).unwrap())
}

fn log_scalars(run: &Run, thread: u32, is_over: &AtomicBool) -> u64 {
    at_rate(SCALAR_ROWS / THREADS, is_over, |i| {
        let row = Row::new()
            .with("thread", thread)
            .with("loss", 1.0 / (i + 1) as f64);
        run.log(row).unwrap();
    })
}

fn log_pictures(run: &Run, thread: u32, is_over: &AtomicBool) -> u64 {
    at_rate(PICTURES / THREADS, is_over, |i| {
        let row = Row::new().with("sample", picture(thread, i));
        run.log(row).unwrap();
    })
}

/// Ends the threads also where the one that waits for them panics.
struct UntilDropped<'a>(&'a AtomicBool);

impl Drop for UntilDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The memory at intervals while all threads log, and how many rows and pictures they logged.
fn hold(run: &Run, time: Duration) -> (Vec<f64>, u64, u64) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let is_over = &is_over;
        let running = UntilDropped(is_over);
        let scalars: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || log_scalars(run, thread, is_over)))
            .collect();
        let pictures: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || log_pictures(run, thread, is_over)))
            .collect();
        let began = Instant::now();
        let mut memory = Vec::new();
        while began.elapsed() < time {
            thread::sleep(Duration::from_millis(200));
            memory.push(resident_mib());
        }
        drop(running);
        let sum = |threads: Vec<thread::ScopedJoinHandle<'_, u64>>| -> u64 {
            let counts = threads.into_iter().map(|thread| thread.join().unwrap());
            counts.sum()
        };
        (memory, sum(scalars), sum(pictures))
    })
}

/// The rows in the log, and the files that they name, each of which is what the row says.
fn read_back(dir: &Path) -> (u64, BTreeSet<String>) {
    let (mut rows, mut files) = (0, BTreeSet::new());
    for record in LogReader::open(find_log(dir).unwrap()).unwrap() {
        let Some(RecordType::History(row)) = record.unwrap().record_type else {
            continue;
        };
        let row = nested(&row);
        assert_eq!(row["_step"], rows);
        rows += 1;
        if let Some(path) = row["sample"]["path"].as_str() {
            let bytes = std::fs::read(dir.join("files").join(path)).unwrap();
            assert_eq!(row["sample"]["sha256"], sha256(&bytes), "{path}");
            files.insert(path.to_owned());
        }
    }
    (rows, files)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
#[ignore = "takes long, and measures the memory of its process: scripts/soak.sh runs it"]
fn a_run_holds_a_constant_load() {
    let seconds = soak::number("WANDB_IMAGE_LOAD_SECONDS", 10);
    let dir = tempfile::tempdir().unwrap();
    let builder = init().dir(dir.path()).overflow(Overflow::Block);
    let run = builder.start().unwrap();
    let began = Instant::now();
    let (memory, scalars, pictures) = hold(&run, Duration::from_secs(seconds));
    let took = began.elapsed().as_secs_f64();
    run.finish().unwrap();
    let (rows, files) = read_back(run.dir().unwrap());

    let logged = scalars + pictures;
    assert_eq!((rows, files.len() as u64), (logged, pictures));
    let quarter = memory.len() / 4;
    let growth = mean(&memory[memory.len() - quarter..]) - mean(&memory[..quarter]);
    let peak = memory.iter().copied().fold(0.0, f64::max);
    let per_second = |n: u64| (n as f64 / took).round() as u64;
    soak::report(&[
        ("load_rows_per_s", per_second(logged)),
        ("load_pictures_per_s", per_second(pictures)),
        ("asked_rows_per_s", (SCALAR_ROWS + PICTURES).into()),
        ("asked_pictures_per_s", PICTURES.into()),
        ("peak_mib", peak.ceil() as u64),
        ("growth_mib", growth.ceil().max(0.0) as u64),
        ("rows_confirmed", logged),
        ("rows_found", rows),
        ("files_checked", files.len() as u64),
    ]);
    assert!(growth < GROWTH_MIB, "{growth} MiB more: {memory:?}");
}
