//! What a process logs until it is killed, and says of it.

use std::io::Write;
use std::panic;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;
use signal_hook::consts::signal::SIGKILL;
use signal_hook::low_level::raise;
use wandb_image::{
    BoundingBox, BoundingBoxes2D, Classes, Domain, Error, Image, ImageMask, Mode, Overflow, Pixels,
    Position, Result, Row, Run, init,
};

/// Each thread logs rows under its own key: 0, 1, 2, …
pub(super) const THREADS: [&str; 4] = ["log", "list", "log_at", "same row"];

/// Something for each of them.
pub(super) type PerThread<T> = [T; THREADS.len()];

/// The task of a child.
#[derive(Clone, Copy, Debug, serde::Deserialize, serde::Serialize)]
pub(super) struct Task {
    pub(super) seed: u64,
    /// It finishes after so many flushes.
    pub(super) flushes: u64,
    /// It kills itself when so many flushes have returned.
    pub(super) killed_at: Option<u64>,
    /// It fails as this flush begins.
    pub(super) fails_at: Option<u64>,
    pub(super) is_synchronous: bool,
    /// The least time from one row of a thread to its next, in microseconds.
    pub(super) pause_us: u64,
    /// In some rows a picture is so many pixels wide and high.
    pub(super) large_px: u32,
}

/// What a child says, one line each.
#[derive(Debug, serde::Deserialize, serde::Serialize)]
pub(super) enum Said {
    Starting,
    Started,
    /// A synchronous `log` has returned: the thread's rows up to this number, not included.
    Row(usize, u64),
    /// A flush has returned: the same of each thread, and the number of the flush, which is in the
    /// summary and the config.
    Flushed(PerThread<u64>, u64),
    Finishing,
    Finished(PerThread<u64>, u64),
}

const PREFIX: &str = "said ";

impl Said {
    /// What a line of a child's output says.
    pub(super) fn read(line: &str) -> Option<Self> {
        let json = line.strip_prefix(PREFIX)?;
        Some(serde_json::from_str(json).unwrap())
    }

    /// With one write, so that a kill leaves all of it or nothing.
    fn say(&self) {
        let line = format!("\n{PREFIX}{}\n", json!(self));
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes()).unwrap();
        out.flush().unwrap();
    }
}

/// The row `i` of a thread. The same for every run, but for its step.
pub(super) fn row(thread: usize, i: u64, large_px: u32) -> Row {
    let row = Row::new()
        .with(THREADS[thread], i)
        .with(format!("{}/value", THREADS[thread]), i as f64 / 8.0);
    match thread {
        0 if i % 5 == 4 => row.with("log/large", picture(i, large_px)),
        0 if i.is_multiple_of(2) => row.with("log/sample", with_layers(i / 8)),
        1 => {
            let pictures = (0..=i % 3).map(|n| picture(i / 2 + n, 6));
            row.with("list/samples", pictures.collect::<Vec<_>>())
        }
        2 => row.with("log_at/text", format!("„{i}“\n🙂")),
        3 => row.with("same row/sample", picture(i, 7).caption(format!("no. {i}"))),
        _ => row,
    }
}

/// Noise, which PNG can't make small.
fn picture(seed: u64, side_px: u32) -> Image {
    let mut random = Rng::with_seed(seed);
    let bytes = (0..side_px * side_px * 3).map(|_| random.u8(..)).collect();
    Image::from(Pixels::new(side_px, side_px, Mode::Rgb, bytes).unwrap())
}

fn with_layers(seed: u64) -> Image {
    let names = Classes::from_names(["background", "cat"]);
    let ids = (0..64).map(|i| (i * (seed + 1) % 7 / 4) as u8).collect();
    let mask = ImageMask::new(8, 8, ids).unwrap().class_labels(names);
    let corner = seed as f64 % 4.0 / 8.0;
    let place = Position::corners(corner, 0.0, corner + 0.5, 1.0);
    let boxes = BoundingBoxes2D::new([BoundingBox::new(Domain::Fraction, place, 1)]);
    let image = picture(seed, 8);
    let image = image.masks("truth", mask).unwrap();
    image.boxes("found", boxes).unwrap()
}

struct Load {
    run: Run,
    task: Task,
    /// How many rows each thread has logged.
    logged: PerThread<AtomicU64>,
    is_over: AtomicBool,
}

/// Any panic ends the process, as no kill does: its other threads would log on, also where nobody
/// listens any more.
fn abort_on_panic() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        process::abort();
    }));
}

/// Logs until it has finished, or is killed.
pub(super) fn run(task: Task) {
    abort_on_panic();
    Said::Starting.say();
    let run = init()
        .overflow(Overflow::Block)
        .synchronous(task.is_synchronous)
        .workers(1 + task.seed as usize % 3)
        .queue_bytes(1 << (12 + task.seed % 10))
        .start()
        .unwrap();
    Said::Started.say();
    let load = Load {
        run,
        task,
        logged: Default::default(),
        is_over: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        for thread in 0..THREADS.len() {
            let load = &load;
            scope.spawn(move || load.log_from(thread));
        }
        load.flush_now_and_then();
        load.is_over.store(true, Ordering::SeqCst);
    });
    Said::Finishing.say();
    let logged = load.logged();
    load.run.finish().unwrap();
    Said::Finished(logged, task.flushes).say();
}

impl Load {
    fn logged(&self) -> PerThread<u64> {
        self.logged
            .each_ref()
            .map(|rows| rows.load(Ordering::SeqCst))
    }

    fn flush_now_and_then(&self) {
        let mut random = Rng::with_seed(self.task.seed);
        for flush in 1..=self.task.flushes {
            thread::sleep(Duration::from_millis(random.u64(1..40)));
            assert_ne!(self.task.fails_at, Some(flush), "as it was told to");
            self.run.summary("flush", flush).unwrap();
            self.run.config("flush", flush).unwrap();
            let logged = self.logged();
            self.run.flush(Duration::from_secs(60)).unwrap();
            Said::Flushed(logged, flush).say();
            if self.task.killed_at == Some(flush) {
                raise(SIGKILL).unwrap();
            }
        }
    }

    fn log_from(&self, thread: usize) {
        let mut random = Rng::with_seed(self.task.seed + thread as u64);
        let mut taken = None;
        while !self.is_over.load(Ordering::SeqCst) {
            let i = self.logged[thread].load(Ordering::SeqCst);
            let row = row(thread, i, self.task.large_px);
            if !self.log(thread, row, &mut taken).unwrap() {
                continue;
            }
            self.logged[thread].store(i + 1, Ordering::SeqCst);
            if self.task.is_synchronous && thread < 2 {
                Said::Row(thread, i + 1).say();
            }
            let pause = self.task.pause_us * random.u64(1..4);
            thread::sleep(Duration::from_micros(pause));
        }
    }

    /// Whether it went in: another thread may have moved the step on.
    fn log(&self, thread: usize, row: Row, taken: &mut Option<u64>) -> Result<bool> {
        let next = self.run.step();
        let (step, is_free) = match thread {
            0 | 1 => return self.run.log(row).map(|()| true),
            2 => (next, true),
            // Into the row that is open, unless it has a row of this thread.
            _ => (next.saturating_sub(1), *taken != next.checked_sub(1)),
        };
        if !is_free {
            thread::sleep(Duration::from_micros(100));
            return Ok(false);
        }
        match self.run.log_at(step, row) {
            Ok(()) => {
                *taken = Some(step);
                Ok(true)
            }
            Err(Error::Step { .. } | Error::StepWritten { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
