//! `SampleLogger`: when it samples, what, and where that goes.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use wandb_image::sink::MemorySink;
use wandb_image::{
    Choose, DType, Error, Every, FileType, Grid, HostTensor, Image, ImageOptions, IntoSamples,
    IntoWandbImage, Keep, Mode, Normalize, Pixels, Result, Row, Run, RunMode, SampleLogger,
    Samples, Snapshot,
};

use crate::client::{Client, hashes, parse};

// ---- what is logged ----

fn run() -> (Run, MemorySink) {
    let sink = MemorySink::new();
    (wandb_image::init().start_on(sink.clone()).unwrap(), sink)
}

/// The rows once the run has ended: by step, each key with its value.
fn rows(run: &Run, sink: &MemorySink) -> BTreeMap<u64, Value> {
    run.finish().unwrap();
    let rows = sink.rows().into_iter().map(|row| {
        let mut values = json!({});
        for item in &row.item {
            let value = serde_json::from_str(&item.value_json).unwrap();
            let path = item.path();
            let leaf = path.iter().fold(&mut values, |at, key| &mut at[*key]);
            *leaf = value;
        }
        (values["_step"].as_u64().unwrap(), values)
    });
    rows.collect()
}

fn steps(run: &Run, sink: &MemorySink) -> Vec<u64> {
    rows(run, sink).into_keys().collect()
}

fn captions(row: &Value) -> Vec<&str> {
    let captions = row["k"]["captions"].as_array().unwrap();
    captions.iter().map(|c| c.as_str().unwrap()).collect()
}

/// The first byte of each picture of the row.
fn shades(row: &Value, sink: &MemorySink) -> Vec<u8> {
    let files = sink.files();
    let shade = |path: &Value| {
        let file = files.iter().find(|file| *path == *file.path).unwrap();
        let picture = image::load_from_memory(&file.bytes).unwrap();
        picture.as_bytes()[0]
    };
    let paths = row["k"]["filenames"].as_array().unwrap();
    paths.iter().map(shade).collect()
}

/// A batch whose image `i` is as bright as `from + i`.
fn batch(from: u8, images: u8) -> HostTensor {
    let values = (from..from + images).flat_map(|shade| [shade; 4]).collect();
    HostTensor::new([images.into(), 1, 2, 2], values).unwrap()
}

fn one() -> HostTensor {
    batch(7, 1)
}

fn raw() -> ImageOptions {
    ImageOptions::new().normalize(Normalize::Off)
}

fn logger(run: &Run) -> SampleLogger {
    SampleLogger::new(run, "k")
        .every(Every::steps(1))
        .options(raw())
}

/// A tensor that nobody may look at.
struct Untouchable;

impl IntoWandbImage for Untouchable {
    fn to_host(&self) -> Result<HostTensor> {
        panic!("to_host")
    }
    fn shape(&self) -> Result<Vec<usize>> {
        panic!("shape")
    }
    fn dtype(&self) -> Result<DType> {
        panic!("dtype")
    }
    fn select(&self, _: &[usize]) -> Result<Snapshot> {
        panic!("select")
    }
    fn snapshot(&self) -> Result<Snapshot> {
        panic!("snapshot")
    }
}

/// Must not be called where nothing is due.
fn not_due() -> Untouchable {
    panic!("not due")
}

// ---- when ----

/// The steps at which the closure ran, and a row was written.
fn sampled(every: Every, ticks: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let (run, sink) = run();
    let samples = logger(&run).every(every);
    let mut made = Vec::new();
    for step in ticks {
        let before = made.len();
        let make = || {
            made.push(step);
            one()
        };
        let due = samples.tick(step, make).unwrap();
        assert_eq!(made.len() - before, usize::from(due), "step {step}");
    }
    assert_eq!(steps(&run, &sink), made);
    made
}

fn check(every: Every, ticks: impl IntoIterator<Item = u64>, expected: &[u64]) {
    let name = format!("{every:?}");
    assert_eq!(sampled(every, ticks), expected, "{name}");
}

#[test]
fn each_schedule_is_due_at_its_steps() {
    check(Every::steps(3), 0..10, &[0, 3, 6, 9]);
    check(Every::steps(1), 0..4, &[0, 1, 2, 3]);
    check(Every::steps(0), 0..4, &[0, 1, 2, 3]);
    check(Every::first(3), 0..10, &[0, 1, 2]);
    check(Every::first(0), 0..10, &[]);
    check(Every::epochs(1), 0..10, &[]);
    let decades = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
    check(Every::log_spaced(), 0..=1000, &decades);
    check(Every::seconds(0.0), 0..4, &[0, 1, 2, 3]);
    check(Every::seconds(1e9), 3..9, &[3]);
    check(Every::seconds(f64::INFINITY), 0..4, &[0]);
}

#[test]
fn a_combination_is_due_where_any_of_it_is() {
    check(Every::steps(4).or(Every::first(2)), 0..9, &[0, 1, 4, 8]);
    check(Every::steps(2).or(Every::steps(3)), 0..7, &[0, 2, 3, 4, 6]);
    check(Every::first(1).or(Every::log_spaced()), 0..6, &[0, 1, 2, 5]);
    check(Every::seconds(1e9).or(Every::steps(3)), 1..8, &[1, 3, 6]);
    let by_default = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 3000];
    check(Every::default(), 0..3001, &by_default);
}

#[test]
fn a_run_that_starts_later_samples_at_the_same_steps() {
    check(Every::steps(100), 1234..1500, &[1300, 1400]);
    check(Every::steps(100), 1200..1301, &[1200, 1300]);
    check(Every::log_spaced(), 51..1001, &[100, 200, 500, 1000]);
    check(Every::first(10), 7..20, &[7, 8, 9]);
    check(Every::first(10), 10..20, &[]);
}

#[test]
fn a_step_that_is_jumped_over_is_due_once() {
    let ticks = [0, 50, 150, 160, 199, 200, 450, 460, 500];
    check(Every::steps(100), ticks, &[0, 150, 200, 450, 500]);
    check(Every::log_spaced(), [3, 6, 7, 9, 60, 61], &[6, 60]);
    check(Every::first(3), [1, 7, 8], &[1, 7]);
}

#[test]
fn a_step_that_goes_back_is_not_due() {
    check(Every::steps(10), [0, 10, 5, 10, 0, 20], &[0, 10, 20]);
    check(Every::seconds(0.0), [4, 3, 4, 5, 5], &[4, 5]);
    check(Every::seconds(1e9), [4, 3], &[4]);
}

#[test]
fn time_that_has_gone_by_makes_a_tick_due() {
    let (run, sink) = run();
    let samples = logger(&run).every(Every::seconds(0.05));
    samples.tick(0, one).unwrap();
    std::thread::sleep(Duration::from_millis(60));
    samples.tick(1, one).unwrap();
    assert_eq!(steps(&run, &sink), [0, 1]);
}

#[test]
fn the_greatest_step_is_an_error_and_no_panic() {
    let (run, _) = run();
    assert!(logger(&run).tick(u64::MAX - 1, one).is_err());
    assert!(
        !logger(&run)
            .every(Every::first(1))
            .tick(u64::MAX, not_due)
            .unwrap()
    );
}

#[test]
fn the_end_of_an_epoch_makes_the_next_tick_due() {
    let (run, sink) = run();
    let samples = logger(&run).every(Every::epochs(2).or(Every::steps(100)));
    let mut due = Vec::new();
    for epoch in 1..=4 {
        let first = 10 * epoch;
        due.extend((first..first + 10).filter(|&step| samples.tick(step, one).unwrap()));
        assert_eq!(samples.end_epoch(epoch).unwrap(), epoch % 2 == 0);
        assert!(!samples.tick(0, not_due).unwrap(), "it goes back");
    }
    samples.tick(50, one).unwrap();
    samples.tick(51, not_due).unwrap();
    assert_eq!(due, [30]);
    assert_eq!(steps(&run, &sink), [30, 50]);
}

#[test]
fn epochs_count_from_0_or_1() {
    let check = |n, epochs: std::ops::Range<u64>, expected: &[u64]| {
        let (run, _) = run();
        let samples = logger(&run).every(Every::epochs(n));
        let due: Vec<u64> = epochs.filter(|&e| samples.end_epoch(e).unwrap()).collect();
        assert_eq!(due, expected);
    };
    check(1, 0..3, &[0, 1, 2]);
    check(3, 0..7, &[0, 3, 6]);
    check(3, 1..7, &[3, 6]);
    check(0, 0..2, &[0, 1]);
    let (run, _) = run();
    assert!(
        !logger(&run).end_epoch(0).unwrap(),
        "no epochs in the schedule"
    );
}

#[test]
fn a_tick_that_is_not_due_touches_nothing() {
    let (run, sink) = run();
    let samples = SampleLogger::new(&run, "k").every(Every::steps(1000));
    for step in 1..1000 {
        assert!(!samples.tick(step, not_due).unwrap());
    }
    assert!(rows(&run, &sink).is_empty());
}

#[test]
fn only_the_rank_that_logs_samples() {
    let check = |settings: fn(SampleLogger) -> SampleLogger, expected: bool| {
        let (run, sink) = run();
        let samples = settings(logger(&run));
        assert_eq!(samples.tick(0, one).unwrap(), expected);
        assert_eq!(samples.offer(0, 1.0, one).unwrap(), expected);
        assert_eq!(samples.end_epoch(0).unwrap(), expected);
        assert_eq!(!rows(&run, &sink).is_empty(), expected);
    };
    check(|s| s, true);
    check(|s| s.rank(1), false);
    check(|s| s.rank(1).logging_rank(1), true);
    check(|s| s.logging_rank(1).rank(1), true);
    check(|s| s.logging_rank(1), false);
    let (run, _) = run();
    assert!(!logger(&run).rank(3).tick(0, not_due).unwrap());
}

#[test]
fn a_disabled_run_samples_nothing() {
    let run = wandb_image::init().mode(RunMode::Disabled).start().unwrap();
    assert!(!logger(&run).tick(0, not_due).unwrap());
    assert!(!logger(&run).rank(0).offer(0, 1.0, not_due).unwrap());
}

// ---- threads and panics ----

#[test]
fn of_many_threads_at_one_step_one_samples() {
    const THREADS: usize = 8;
    let every = [
        Every::steps(1),
        Every::seconds(0.0),
        Every::first(50).or(Every::seconds(0.0)),
    ];
    for every in every {
        let (run, sink) = run();
        let samples = logger(&run).every(every);
        let made = AtomicUsize::new(0);
        let barrier = Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (run, samples, made, barrier) = (&run, &samples, &made, &barrier);
                scope.spawn(move || {
                    for step in 0..50 {
                        barrier.wait();
                        let make = || {
                            made.fetch_add(1, Ordering::Relaxed);
                            one()
                        };
                        samples.tick(step, make).unwrap();
                        run.log_at(step, [(format!("thread {thread}"), thread)])
                            .unwrap();
                        barrier.wait();
                    }
                });
            }
        });
        assert_eq!(made.into_inner(), 50);
        let rows = rows(&run, &sink);
        assert!(rows.keys().copied().eq(0..50));
        for row in rows.values() {
            assert!(
                (0..THREADS).all(|n| row[format!("thread {n}")] == n),
                "{row}"
            );
            assert_eq!(row["k"]["count"], 1);
        }
    }
}

#[test]
fn many_threads_arm_and_take_an_epoch_once() {
    let (run, sink) = run();
    let samples = logger(&run).every(Every::epochs(1));
    let barrier = Barrier::new(8);
    let due = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for step in 0..20 {
                    samples.end_epoch(step).unwrap();
                    barrier.wait();
                    let sampled = samples.tick(step, one).unwrap();
                    due.fetch_add(sampled.into(), Ordering::Relaxed);
                    barrier.wait();
                }
            });
        }
    });
    assert_eq!(due.into_inner(), 20);
    assert!(steps(&run, &sink).into_iter().eq(0..20));
}

#[test]
fn a_closure_that_panics_leaves_all_intact() {
    let (run, sink) = run();
    let samples = logger(&run).keep(Keep::Highest(1));
    samples.tick(0, one).unwrap();
    let failing = || -> HostTensor { panic!("this panic is meant") };
    let panicked = catch_unwind(AssertUnwindSafe(|| samples.tick(1, failing)));
    assert!(panicked.is_err());
    assert!(
        !samples.tick(1, not_due).unwrap(),
        "the step counts as sampled"
    );
    samples.tick(2, one).unwrap();

    let panicked = catch_unwind(AssertUnwindSafe(|| samples.offer(3, 9.0, failing)));
    assert!(panicked.is_err());
    assert!(samples.offer(4, 1.0, one).unwrap());
    assert!(samples.end_epoch(0).unwrap());
    assert_eq!(steps(&run, &sink), [0, 2, 4]);
}

// ---- what ----

fn check_choice(choose: Choose, max_images: usize, images: u8, expected: &[u8]) {
    let (run, sink) = run();
    let samples = logger(&run).choose(choose).max_images(max_images);
    samples.tick(0, || batch(0, images)).unwrap();
    let rows = rows(&run, &sink);
    assert_eq!(shades(&rows[&0], &sink), expected, "{choose:?}");
}

#[test]
fn images_of_a_batch_are_chosen() {
    check_choice(Choose::First, 3, 7, &[0, 1, 2]);
    check_choice(Choose::First, 9, 3, &[0, 1, 2]);
    check_choice(Choose::Even, 3, 7, &[0, 3, 6]);
    check_choice(Choose::Even, 1, 7, &[0]);
    let (run, sink) = run();
    SampleLogger::new(&run, "k")
        .tick(0, || batch(0, 100))
        .unwrap();
    assert_eq!(rows(&run, &sink)[&0]["k"]["count"], 16, "the default");
}

#[test]
fn a_seeded_choice_stays_the_same_throughout_a_run() {
    let (run, sink) = run();
    let samples = logger(&run).choose(Choose::Seeded(7)).max_images(4);
    for step in 0..3 {
        samples.tick(step, || batch(0, 100)).unwrap();
    }
    let rows = rows(&run, &sink);
    let chosen = shades(&rows[&0], &sink);
    assert!(
        chosen.len() == 4 && chosen.is_sorted_by(|a, b| a < b),
        "{chosen:?}"
    );
    assert_ne!(chosen, [0, 1, 2, 3]);
    assert!(rows.values().all(|row| shades(row, &sink) == chosen));
}

/// A tensor on a device of its own, which lets only what is selected leave it.
struct OnDevice {
    tensor: HostTensor,
    selected: Arc<Mutex<Vec<Vec<usize>>>>,
    /// Held by each snapshot that isn't read yet.
    token: Arc<()>,
}

impl OnDevice {
    fn new(tensor: HostTensor) -> Self {
        Self {
            tensor,
            selected: Arc::default(),
            token: Arc::default(),
        }
    }
}

impl IntoWandbImage for OnDevice {
    fn to_host(&self) -> Result<HostTensor> {
        panic!("the whole tensor left its device")
    }
    fn shape(&self) -> Result<Vec<usize>> {
        Ok(self.tensor.shape().to_vec())
    }
    fn select(&self, indices: &[usize]) -> Result<Snapshot> {
        self.selected.lock().unwrap().push(indices.to_vec());
        self.tensor.select(indices)
    }
    fn snapshot(&self) -> Result<Snapshot> {
        let (tensor, token) = (self.tensor.clone(), Arc::clone(&self.token));
        let read = move || {
            drop(token);
            Ok(tensor)
        };
        Ok(Snapshot::new(
            self.tensor.shape(),
            self.tensor.dtype(),
            read,
        ))
    }
}

#[test]
fn only_what_is_chosen_leaves_its_device() {
    let check = |options: ImageOptions, expected: &[usize]| {
        let (run, sink) = run();
        let tensor = OnDevice::new(batch(0, 7));
        let samples = logger(&run)
            .choose(Choose::Even)
            .max_images(3)
            .options(options);
        samples.tick(0, || &tensor).unwrap();
        let selected = tensor.selected.lock().unwrap().clone();
        assert_eq!(selected, [expected], "at the end of the tick");
        let shade = |&index: &usize| index as u8;
        let expected: Vec<u8> = expected.iter().map(shade).collect();
        assert_eq!(shades(&rows(&run, &sink)[&0], &sink), expected);
    };
    check(raw(), &[0, 3, 6]);
    check(raw().max_images(2), &[0, 3]);
}

#[test]
fn columns_stand_next_to_each_other() {
    let (run, sink) = run();
    let target = batch(30, 3);
    let samples = logger(&run).choose(Choose::Even).max_images(2);
    samples
        .tick(0, || {
            Samples::new()
                .column("input", batch(10, 3))
                .column("output", Ok::<_, Error>(batch(20, 3)))
                .column("target", &target)
                .captions(|i| format!("digit {i}"))
        })
        .unwrap();
    let rows = rows(&run, &sink);
    assert_eq!(shades(&rows[&0], &sink), [10, 20, 30, 12, 22, 32]);
    let expected = [
        "input, digit 0",
        "output, digit 0",
        "target, digit 0",
        "input, digit 2",
        "output, digit 2",
        "target, digit 2",
    ];
    assert_eq!(captions(&rows[&0]), expected);
}

fn check_captions<S: IntoSamples>(
    settings: fn(SampleLogger) -> SampleLogger,
    samples: S,
    expected: Value,
) {
    let (run, sink) = run();
    settings(logger(&run)).tick(0, || samples).unwrap();
    assert_eq!(rows(&run, &sink)[&0]["k"]["captions"], expected);
}

#[test]
fn captions_come_from_the_samples_the_logger_or_the_image() {
    let named = |samples: SampleLogger| samples.captions(|i| format!("mine {i}"));
    let image = || pixels(1, 1, Mode::L, &[0]);
    check_captions(|s| s, batch(0, 2), Value::Null);
    check_captions(named, batch(0, 2), json!(["mine 0", "mine 1"]));
    check_captions(|s| s, image().caption("own"), json!(["own"]));
    check_captions(
        |s| s,
        vec![image(), image().caption("own")],
        json!([null, "own"]),
    );
    check_captions(named, image().caption("own"), json!(["mine 0"]));
    let column = || Samples::new().column("input", image().caption("own"));
    check_captions(|s| s, column(), json!(["input, own"]));
    check_captions(named, column(), json!(["input, mine 0"]));
    let captioned = column().captions(|i| format!("sample {i}"));
    check_captions(named, captioned, json!(["input, sample 0"]));
    let nested = Samples::new()
        .column("left", column())
        .column("right", column());
    check_captions(
        named,
        nested,
        json!(["left input, mine 0", "right input, mine 0"]),
    );
}

fn check_count(samples: impl IntoSamples, expected: u64) {
    let (run, sink) = run();
    assert!(logger(&run).tick(0, || samples).unwrap());
    assert_eq!(rows(&run, &sink)[&0]["k"]["count"], expected);
}

#[test]
fn everything_that_can_become_samples_does() {
    let grey = HostTensor::new([2, 2], vec![0_u8; 4]).unwrap();
    let image = one().to_wandb_image_with(&raw()).unwrap();
    check_count(&grey, 1);
    check_count(grey, 1);
    check_count(batch(0, 3), 3);
    check_count(Ok::<_, std::fmt::Error>(batch(0, 3)), 3);
    check_count(vec![image.clone(), image.clone()], 2);
    check_count(image, 1);
}

#[test]
fn a_column_can_have_options_of_its_own() {
    let (run, sink) = run();
    let jpg = raw().file_type(FileType::jpg());
    let samples = logger(&run).options(jpg);
    samples
        .tick(0, || {
            Samples::new()
                .column_with("a", one(), &raw())
                .column("b", one())
        })
        .unwrap();
    let rows = rows(&run, &sink);
    let names = rows[&0]["k"]["filenames"].as_array().unwrap();
    let names: Vec<&str> = names.iter().map(|name| name.as_str().unwrap()).collect();
    assert!(
        names[0].ends_with(".png") && names[1].ends_with(".jpg"),
        "{names:?}"
    );
}

// ---- errors ----

fn check_error<S: IntoSamples>(
    settings: fn(SampleLogger) -> SampleLogger,
    make: impl FnOnce() -> S,
    expected: &str,
) {
    let (run, sink) = run();
    let samples = settings(logger(&run));
    let error = samples.tick(0, make).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    assert!(!samples.tick(0, not_due).unwrap());
    assert!(rows(&run, &sink).is_empty());
}

#[test]
fn what_can_not_be_sampled_is_an_error_of_the_tick() {
    check_error(
        |s| s.max_images(0),
        one,
        "max_images is 0, but it must be at least 1",
    );
    check_error(
        |s| s.options(ImageOptions::new().max_side(0)),
        one,
        "max_side is 0",
    );
    check_error(|s| s, Samples::new, "the number of columns in Samples is 0");
    check_error(|s| s, Vec::<Image>::new, "its list of images is empty");
    check_error(
        |s| s,
        || HostTensor::new([5, 4, 4], vec![0_u8; 80]),
        "has 5 channels",
    );
    check_error(
        |s| s,
        || Err::<HostTensor, _>(std::io::Error::other("no forward pass")),
        "there are no samples to log: no forward pass",
    );
    let unequal = || {
        let samples = Samples::new().column("input", batch(0, 3));
        samples.column("output", batch(0, 1))
    };
    check_error(
        |s| s,
        unequal,
        "the columns of the samples have 3 images in \"input\", 1 image in \"output\"",
    );
    let cut = || {
        let samples = Samples::new().column("input", batch(0, 3));
        samples.column_with("output", batch(0, 3), &raw().max_images(2))
    };
    check_error(|s| s, cut, "3 images in \"input\", 2 images in \"output\"");
    let failed = || {
        let failed = Err::<HostTensor, _>(std::io::Error::other("no forward pass"));
        Samples::new()
            .column("input", one())
            .column("output", failed)
    };
    check_error(
        |s| s,
        failed,
        "there are no samples to log: no forward pass",
    );
    check_error(
        |s| s,
        || {
            Samples::new()
                .column("input", one())
                .joined(Grid::new().nrow(0))
        },
        "nrow is 0",
    );
}

#[test]
fn a_key_that_can_not_be_is_an_error_of_the_tick() {
    let (run, _) = run();
    for key in ["", "_step", "a//b", "/a"] {
        let samples = SampleLogger::new(&run, key).every(Every::steps(1));
        let error = samples.tick(0, one).unwrap_err();
        assert!(matches!(error, Error::Key { .. }), "{key:?}: {error}");
    }
}

#[test]
fn an_error_of_this_crate_stays_what_it_is() {
    let (run, _) = run();
    let error = logger(&run)
        .tick(0, || Err::<Image, _>(Error::device("lost")))
        .unwrap_err();
    assert!(matches!(error, Error::Device { .. }), "{error}");
}

// ---- offers ----

/// The scores whose closures ran, and the captions of what was logged.
fn offered(keep: Keep, scores: &[f64]) -> (Vec<String>, Vec<String>) {
    let (run, sink) = run();
    let samples = logger(&run).keep(keep);
    let mut made = Vec::new();
    for (step, score) in (0..).zip(scores) {
        let make = || {
            made.push(score.to_string());
            one()
        };
        samples.offer(step, *score, make).unwrap();
    }
    assert!(samples.end_epoch(0).unwrap());
    let rows = rows(&run, &sink);
    assert!(
        rows.keys().copied().eq([scores.len() as u64 - 1]),
        "{rows:?}"
    );
    let row = rows.values().next().unwrap();
    (made, captions(row).into_iter().map(Into::into).collect())
}

fn check_kept(keep: Keep, scores: &[f64], made: &[&str], kept: &[&str]) {
    let found = offered(keep, scores);
    assert_eq!(found.0, made, "{keep:?} of {scores:?} made");
    assert_eq!(found.1, kept, "{keep:?} of {scores:?} kept");
}

#[test]
fn the_highest_and_the_lowest_scores_are_kept() {
    let inf = f64::INFINITY;
    check_kept(
        Keep::Highest(2),
        &[0.5, 0.1, 0.9, 0.7, 0.2],
        &["0.5", "0.1", "0.9", "0.7"],
        &["step 2, score 0.9000", "step 3, score 0.7000"],
    );
    check_kept(
        Keep::Lowest(2),
        &[0.5, 0.1, 0.9, 0.2],
        &["0.5", "0.1", "0.2"],
        &["step 1, score 0.1000", "step 3, score 0.2000"],
    );
    check_kept(
        Keep::Highest(2),
        &[1.0, f64::NAN, inf, f64::NAN, f64::NAN],
        &["1", "NaN", "inf", "NaN"],
        &["step 1, score NaN", "step 3, score NaN"],
    );
    check_kept(
        Keep::Lowest(2),
        &[f64::NAN, 1.0, inf, -inf],
        &["NaN", "1", "inf", "-inf"],
        &["step 3, score -inf", "step 1, score 1.0000"],
    );
    check_kept(
        Keep::Highest(1),
        &[1.0, 1.0, 1.0],
        &["1"],
        &["step 0, score 1.0000"],
    );
    check_kept(
        Keep::Highest(9),
        &[-0.0, 0.0],
        &["-0", "0"],
        &["step 0, score -0.0000", "step 1, score 0.0000"],
    );
}

#[test]
fn a_reservoir_gives_every_sample_the_same_chance() {
    const EPOCHS: u64 = 1000;
    let (run, sink) = run();
    let keep = Keep::Reservoir {
        samples: 3,
        seed: 7,
    };
    let samples = logger(&run).keep(keep);
    for epoch in 0..EPOCHS {
        for i in 0..10 {
            samples.offer(epoch * 10 + i, 0.0, one).unwrap();
        }
        samples.end_epoch(epoch).unwrap();
    }
    let mut counts = [0_u32; 10];
    for row in rows(&run, &sink).values() {
        let steps = captions(row).into_iter().map(|caption| {
            let step = caption.strip_prefix("step ").unwrap();
            step.split_once(',').unwrap().0.parse::<usize>().unwrap()
        });
        let steps: Vec<usize> = steps.collect();
        assert!(
            steps.len() == 3 && steps.is_sorted_by(|a, b| a < b),
            "{steps:?}"
        );
        steps.into_iter().for_each(|step| counts[step % 10] += 1);
    }
    // 300 are expected of each, with a standard deviation of 14.5.
    assert!(
        counts.iter().all(|count| (240..360).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn a_reservoir_makes_only_what_it_keeps_and_repeats_its_choice() {
    let offered = || {
        let keep = Keep::Reservoir {
            samples: 2,
            seed: 7,
        };
        offered(keep, &[0.0; 100])
    };
    let (made, kept) = offered();
    assert_eq!(offered(), (made.clone(), kept.clone()));
    assert_eq!(kept.len(), 2);
    // Of n offers, about k · ln(n / k) + k are kept for a time: here about 10.
    assert!((2..25).contains(&made.len()), "{}", made.len());
}

#[test]
fn no_more_is_held_than_is_kept() {
    for keep in [
        Keep::Highest(3),
        Keep::Lowest(3),
        Keep::Reservoir {
            samples: 3,
            seed: 1,
        },
    ] {
        let (run, _) = run();
        let samples = logger(&run).keep(keep);
        let tensor = OnDevice::new(one());
        for step in 0..100 {
            let score = (step * 37 % 100) as f64;
            samples.offer(step, score, || &tensor).unwrap();
            assert!(Arc::strong_count(&tensor.token) <= 1 + 3, "{keep:?}");
        }
        assert_eq!(Arc::strong_count(&tensor.token), 1 + 3, "{keep:?}");
    }
}

#[test]
fn an_epoch_begins_with_nothing() {
    let (run, sink) = run();
    let samples = logger(&run).every(Every::epochs(2)).keep(Keep::Highest(1));
    let ends: Vec<bool> = (1..=4)
        .map(|epoch| {
            samples.offer(epoch, 10.0 - epoch as f64, one).unwrap();
            samples.end_epoch(epoch).unwrap()
        })
        .collect();
    assert_eq!(ends, [false, true, false, true]);
    assert!(
        !samples.tick(5, not_due).unwrap(),
        "the epoch had its samples"
    );
    let rows = rows(&run, &sink);
    assert!(rows.keys().copied().eq([2, 4]));
    assert_eq!(captions(&rows[&4]), ["step 4, score 6.0000"]);
}

fn check_step(before: fn(&Run), expected: &[u64]) {
    let (run, sink) = run();
    let samples = logger(&run);
    samples.offer(5, 1.0, one).unwrap();
    before(&run);
    assert!(samples.end_epoch(0).unwrap());
    assert_eq!(steps(&run, &sink), expected);
    let rows = rows(&run, &sink);
    assert_eq!(rows.values().last().unwrap()["k"]["count"], 1);
}

#[test]
fn offers_are_logged_at_the_last_step_or_the_next_that_is_free() {
    check_step(|_| (), &[5]);
    check_step(|run| run.log_at(5, [("loss", 1)]).unwrap(), &[5]);
    check_step(|run| run.log_at(3, [("loss", 1)]).unwrap(), &[3, 5]);
    check_step(|run| run.log_at(7, [("loss", 1)]).unwrap(), &[7]);
    check_step(
        |run| {
            run.log_at(7, [("loss", 1)]).unwrap();
            run.flush(Duration::from_secs(60)).unwrap();
        },
        &[7, 8],
    );
    check_step(
        |run| {
            run.log_at(5, [("loss", 1)]).unwrap();
            run.log_at(6, [("loss", 1)]).unwrap();
        },
        &[5, 6],
    );
}

#[test]
fn an_offer_is_one_image() {
    let (run, sink) = run();
    let samples = logger(&run);
    let error = samples
        .offer(0, 1.0, || batch(0, 2))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("in a sample that is offered is 2, but"),
        "{error}"
    );
    let pair = || {
        Samples::new()
            .column("input", one())
            .column("output", one())
    };
    samples.offer(1, 1.0, pair).unwrap();
    samples
        .offer(2, 2.0, || pair().captions(|_| "mine".into()))
        .unwrap();
    samples.end_epoch(0).unwrap();
    let expected = [
        "input, mine",
        "output, mine",
        "input, step 1, score 1.0000",
        "output, step 1, score 1.0000",
    ];
    assert_eq!(captions(&rows(&run, &sink)[&2]), expected);
}

#[test]
fn many_threads_offer_together() {
    for keep in [
        Keep::Highest(5),
        Keep::Reservoir {
            samples: 5,
            seed: 7,
        },
    ] {
        let (run, sink) = run();
        let samples = logger(&run).keep(keep);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let samples = &samples;
                scope.spawn(move || {
                    for i in 0..100 {
                        let score = f64::from(i * 8 + thread);
                        samples.offer(0, score, one).unwrap();
                    }
                });
            }
        });
        samples.end_epoch(0).unwrap();
        let rows = rows(&run, &sink);
        let kept = captions(&rows[&0]);
        assert_eq!(kept.len(), 5, "{keep:?}");
        if keep == Keep::Highest(5) {
            let expected = [799, 798, 797, 796, 795].map(|n| format!("step 0, score {n}.0000"));
            assert_eq!(kept, expected);
        }
    }
}

// ---- joined pictures ----

fn pixels(width: u32, height: u32, mode: Mode, bytes: &[u8]) -> Image {
    Image::from(Pixels::new(width, height, mode, bytes.to_vec()).unwrap())
}

fn check_joined(images: &[Image], grid: Grid, size: (u32, u32), mode: Mode, expected: &[u8]) {
    let joined = Image::joined(images.to_vec(), grid).unwrap();
    assert_eq!(
        (joined.width(), joined.height(), joined.mode()),
        (size.0, size.1, mode)
    );
    let pixels = joined.pixels().unwrap();
    assert_eq!(
        (pixels.width(), pixels.height(), pixels.mode()),
        (size.0, size.1, mode)
    );
    assert_eq!(pixels.as_bytes(), expected);
}

#[test]
fn images_are_joined_pixel_for_pixel() {
    let bare = Grid::new().padding(0);
    let framed = Grid::new().padding(1).pad_value(0.4);
    let (a, b) = (
        pixels(1, 2, Mode::L, &[1, 2]),
        pixels(1, 2, Mode::L, &[3, 4]),
    );
    check_joined(std::slice::from_ref(&a), framed, (1, 2), Mode::L, &[1, 2]);
    check_joined(
        &[a.clone(), b.clone()],
        bare,
        (2, 2),
        Mode::L,
        &[1, 3, 2, 4],
    );
    let expected = [
        102, 102, 102, 102, 102, 102, 1, 102, 3, 102, 102, 2, 102, 4, 102, 102, 102, 102, 102, 102,
    ];
    check_joined(&[a.clone(), b.clone()], framed, (5, 4), Mode::L, &expected);
    let stacked = bare.nrow(1);
    check_joined(&[a, b], stacked, (1, 4), Mode::L, &[1, 2, 3, 4]);
}

#[test]
fn images_of_other_sizes_stand_in_the_middle_of_their_cell() {
    let grid = Grid::new().padding(0).pad_value(1.0);
    let (large, small) = (pixels(3, 3, Mode::L, &[7; 9]), pixels(1, 1, Mode::L, &[5]));
    let w = 255;
    let expected = [7, 7, 7, w, w, w, 7, 7, 7, w, 5, w, 7, 7, 7, w, w, w];
    check_joined(&[large, small], grid, (6, 3), Mode::L, &expected);
    let (wide, high) = (
        pixels(2, 1, Mode::L, &[1, 2]),
        pixels(1, 2, Mode::L, &[3, 4]),
    );
    let expected = [1, 2, 3, w, w, w, 4, w];
    check_joined(&[wide, high], grid, (4, 2), Mode::L, &expected);
}

#[test]
fn modes_become_the_one_that_holds_all() {
    let bare = Grid::new().padding(0);
    let grey = || pixels(1, 1, Mode::L, &[9]);
    let grey_alpha = || pixels(1, 1, Mode::La, &[8, 3]);
    let colour = || pixels(1, 1, Mode::Rgb, &[1, 2, 3]);
    let all = || pixels(1, 1, Mode::Rgba, &[4, 5, 6, 7]);
    let check = |a, b, mode, expected: &[u8]| check_joined(&[a, b], bare, (2, 1), mode, expected);
    check(grey(), colour(), Mode::Rgb, &[9, 9, 9, 1, 2, 3]);
    check(colour(), all(), Mode::Rgba, &[1, 2, 3, 255, 4, 5, 6, 7]);
    check(grey(), grey_alpha(), Mode::La, &[9, 255, 8, 3]);
    check(
        grey_alpha(),
        colour(),
        Mode::Rgba,
        &[8, 8, 8, 3, 1, 2, 3, 255],
    );
    let framed = Grid::new().padding(1);
    let joined = Image::joined([all(), all()], framed)
        .unwrap()
        .pixels()
        .unwrap();
    assert_eq!(
        joined.as_bytes()[..4],
        [0, 0, 0, 255],
        "the padding is opaque"
    );
}

#[test]
fn joined_columns_equal_a_grid_of_the_batch() {
    let options = ImageOptions::new().normalize(Normalize::Unit);
    let grid = Grid::new().nrow(2).padding(3).pad_value(0.4);
    let values: Vec<f32> = (0..3 * 2 * 3 * 4).map(|i| i as f32 / 72.0).collect();
    let batch = HostTensor::new([3, 2, 3, 4], values.clone()).unwrap();
    assert!(
        batch.to_wandb_image().is_err(),
        "two channels are no picture"
    );
    let batch = HostTensor::new([2, 3, 3, 4], values).unwrap();
    let whole = batch
        .to_wandb_image_with(&options.clone().grid(grid))
        .unwrap();
    let parts = batch.to_wandb_images_with(&options).unwrap();
    let joined = Image::joined(parts, grid).unwrap();
    assert_eq!(joined.pixels().unwrap(), whole.pixels().unwrap());
    assert_eq!(joined.observed().unwrap(), whole.observed().unwrap());
}

#[test]
fn joined_samples_are_one_picture_each() {
    let (run, sink) = run();
    let samples = logger(&run);
    let make = || {
        let samples = Samples::new()
            .column("input", batch(10, 2))
            .column("output", batch(20, 2));
        samples
            .captions(|i| format!("digit {i}"))
            .joined(Grid::new().padding(1))
    };
    samples.tick(0, make).unwrap();
    let rows = rows(&run, &sink);
    assert_eq!(
        captions(&rows[&0]),
        ["input | output, digit 0", "input | output, digit 1"]
    );
    let paths = rows[&0]["k"]["filenames"].as_array().unwrap();
    assert_eq!(
        (&rows[&0]["k"]["width"], &rows[&0]["k"]["height"]),
        (&json!(7), &json!(4))
    );
    let file = sink
        .files()
        .into_iter()
        .find(|file| paths[1] == *file.path)
        .unwrap();
    let picture = image::load_from_memory(&file.bytes).unwrap();
    let line = [0, 11, 11, 0, 21, 21, 0];
    let expected = [[0; 7], line, line, [0; 7]].concat();
    assert_eq!(picture.as_bytes(), expected);
}

#[test]
fn what_can_not_be_joined_is_an_error() {
    let check = |result: Result<Image>, expected: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(
        Image::joined([], Grid::new()),
        "the number of images to join is 0",
    );
    let empty = Image::from(image::DynamicImage::new_luma8(0, 3));
    check(Image::joined([empty], Grid::new()), "empty");
    let wide = pixels(40_000, 1, Mode::L, &[0; 40_000]);
    check(
        Image::joined([wide.clone(), wide], Grid::new()),
        "too large",
    );
}

#[test]
fn a_joined_picture_has_the_file_type_of_its_first() {
    let (run, sink) = run();
    let jpg = || pixels(8, 8, Mode::Rgb, &[9; 192]).file_type(FileType::jpg());
    let png = || pixels(8, 8, Mode::La, &[9; 128]);
    let joined = Image::joined([jpg(), jpg()], Grid::new()).unwrap();
    assert_eq!(joined.format(), "jpg");
    let refused = Image::joined([png(), png()], Grid::new())
        .unwrap()
        .file_type(FileType::jpg());
    run.log(Row::new().with("k", joined)).unwrap();
    assert!(
        run.log(Row::new().with("k", refused)).is_err(),
        "JPEG has no alpha"
    );
    assert_eq!(rows(&run, &sink)[&0]["k"]["format"], "jpg");
}

// ---- pictures that don't change ----

/// Rows at steps 0, 10 and 20 with an input that stays the same and an output that doesn't.
fn log_fixed_input(run: &Run) {
    let input = batch(10, 2);
    let samples = logger(run).every(Every::steps(10));
    for step in 0..=20 {
        let make = || {
            let samples = Samples::new().column("input", &input);
            samples.column("output", batch(100 + step, 2))
        };
        samples.tick(step.into(), make).unwrap();
        run.log_at(step.into(), [("loss", step)]).unwrap();
    }
}

/// The files of each row that has any: input 0, output 0, input 1, output 1.
fn named(rows: impl IntoIterator<Item = Value>) -> Vec<[String; 4]> {
    let lists = rows
        .into_iter()
        .filter_map(|row| row["k"].get("filenames").cloned());
    lists
        .map(|list| serde_json::from_value(list).unwrap())
        .collect()
}

/// The inputs are the same files in each row, and the outputs aren't.
fn check_named(rows: &[[String; 4]], stored: usize) {
    let [first, others @ ..] = rows else {
        panic!("no row");
    };
    assert_eq!(others.len(), 2);
    for row in others {
        assert_eq!([&row[0], &row[2]], [&first[0], &first[2]]);
    }
    let files: BTreeSet<&String> = rows.iter().flatten().collect();
    assert_eq!(
        (files.len(), stored),
        (8, 8),
        "2 inputs, and 2 outputs in 3 rows"
    );
}

#[test]
fn a_picture_that_does_not_change_is_stored_once() {
    let (run, sink) = run();
    log_fixed_input(&run);
    let rows = rows(&run, &sink);
    check_named(&named(rows.values().cloned()), sink.files().len());
    for (step, row) in rows.iter().filter(|(_, row)| row.get("k").is_some()) {
        let step = *step as u8;
        assert_eq!(shades(row, &sink), [10, 100 + step, 11, 101 + step]);
    }
}

#[test]
fn a_file_that_several_rows_name_arrives_once_and_in_each() {
    let Some(client) = Client::find() else { return };
    let dir = tempfile::tempdir().unwrap();
    let builder = wandb_image::init().mode(RunMode::Offline).dir(dir.path());
    let run = builder.project("digits").entity("team").start().unwrap();
    log_fixed_input(&run);
    run.finish().unwrap();
    let path = run.dir().unwrap();
    let sent = hashes(&path.join("files"));

    let received = client.sync(path);
    assert_eq!(received.media(), sent);
    check_named(&named(received.rows()), received.media().len());
    let requests = std::fs::read_to_string(received.dir.join("requests.log")).unwrap();
    for file in sent.keys() {
        let uploads = requests
            .lines()
            .filter(|line| line.contains("PUT") && line.contains(file));
        assert_eq!(uploads.count(), 1, "{file}");
    }

    let records = client.wandb(&["leet", "inspect", "--json"], path, None);
    let rows = records
        .lines()
        .map(parse)
        .filter(|record| record["type"] == "history");
    let rows = rows
        .map(|record| json!({"k": {"filenames": record["history"]["item"].get("k.filenames")}}));
    let rows = rows.filter(|row| row["k"]["filenames"].is_array());
    check_named(&named(rows), sent.len());
}
