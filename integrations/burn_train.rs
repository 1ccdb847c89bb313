//! burn's training loop: [`WandbRenderer`] logs what its metrics say, [`SampleMetric`] what its
//! steps put out.
//!
//! One line switches it on, on [`SupervisedTraining`](burn::train::SupervisedTraining) and on
//! [`EvaluatorBuilder`](burn::train::EvaluatorBuilder): `.renderer(…)`. burn's own display stands
//! inside; its log files, checkpoints, summary and early stopping stay as they were.
//!
//! ```
//! use std::path::Path;
//!
//! use burn::train::metric::{Adaptor, LossInput, LossMetric};
//! use burn::train::renderer::default_renderer;
//! use burn::train::{
//!     EvaluatorBuilder, InferenceStep, Interrupter, Learner, LearnerModel, SupervisedTraining,
//!     TrainLoader, TrainStep, ValidLoader,
//! };
//! use wandb_image::integrations::burn_train::{SampleInput, SampleMetric, WandbRenderer};
//! use wandb_image::{Every, Run, SampleLogger};
//!
//! fn train<M: LearnerModel>(
//!     run: &Run,
//!     dir: &Path,
//!     learner: Learner<M>,
//!     train: TrainLoader<M>,
//!     valid: ValidLoader<M>,
//!     test: ValidLoader<M>,
//! ) where
//!     <M as TrainStep>::Output: Adaptor<LossInput> + Adaptor<SampleInput>,
//!     <M as InferenceStep>::Output: Adaptor<LossInput> + Adaptor<SampleInput>,
//! {
//!     let interrupter = Interrupter::new();
//!     let wandb = WandbRenderer::new(run, default_renderer(interrupter.clone(), None));
//!     let samples = |key: &str, every| SampleLogger::new(run, key).every(every).max_images(8);
//!
//!     let trained = SupervisedTraining::new(dir, train, valid)
//!         .with_interrupter(interrupter)
//!         .metrics((LossMetric::new(),))
//!         .metric_train(SampleMetric::train(&wandb, samples("train samples", Every::steps(500))))
//!         .metric_valid(SampleMetric::valid(&wandb, samples("valid samples", Every::epochs(1))))
//!         .renderer(Box::new(wandb)) // train/Loss, valid/Loss, train/epoch/Loss, epoch
//!         .num_epochs(10)
//!         .with_default_checkpointers()
//!         .launch(learner);
//!
//!     EvaluatorBuilder::new(dir)
//!         .metrics((LossMetric::new(),))
//!         .renderer(trained.renderer) // test/Loss
//!         .build(trained.model)
//!         .eval("test", test);
//! }
//! ```
//!
//! # The output of a step
//!
//! What the metrics see of a step is its output, a type of your own where it shall hold pictures:
//! [`ItemLazy`](burn::train::ItemLazy) frees it from the graph, on the thread of the metrics, and
//! one [`Adaptor`](burn::train::metric::Adaptor) for each metric takes from it what that needs.
//! Neither copies a tensor: burn's are shared. burn's `ClassificationOutput` and
//! `RegressionOutput` hold no pictures.
//!
//! ```
//! use burn::tensor::{ExecutionError, Tensor};
//! use burn::train::ItemLazy;
//! use burn::train::metric::{Adaptor, LossInput};
//! use wandb_image::Samples;
//! use wandb_image::integrations::burn_train::SampleInput;
//!
//! struct Denoised {
//!     loss: Tensor<1>,
//!     noisy: Tensor<4>,
//!     output: Tensor<4>,
//! }
//!
//! impl ItemLazy for Denoised {
//!     fn sync(self) -> Result<Self, ExecutionError> {
//!         self.loss.device().flush()?;
//!         Ok(Self {
//!             loss: self.loss.without_autodiff(),
//!             noisy: self.noisy.without_autodiff(),
//!             output: self.output.without_autodiff(),
//!         })
//!     }
//! }
//!
//! impl Adaptor<LossInput> for Denoised {
//!     fn adapt(&self) -> LossInput {
//!         LossInput::new(self.loss.clone())
//!     }
//! }
//!
//! impl Adaptor<SampleInput> for Denoised {
//!     fn adapt(&self) -> SampleInput {
//!         let (noisy, output) = (self.noisy.clone(), self.output.clone());
//!         // The closure runs only where a sample is due.
//!         SampleInput::new(|| Samples::new().column("noisy", noisy).column("output", output))
//!     }
//! }
//! ```
//!
//! # Steps
//!
//! A step is a batch that was trained on: the first has the [`step`](Run::step) that the run
//! stands at when training starts, and they count on through the epochs. Training on several
//! devices, each device's batch is one, as burn counts them. What is measured at the end of an
//! epoch, in validation and in the evaluator goes to the step of the last batch before it.
//!
//! A training that goes on from burn's checkpoint of epoch `n` (`.checkpoint(n)`) goes on at the
//! right step in a run with
//! [`starting_step`](crate::RunBuilder::starting_step)`(n * batches)`, `batches` being the number
//! of batches of an epoch: a batch that the data doesn't fill counts too. Samples are due at the
//! steps at which they would have been.
//!
//! You can log to the same run yourself. Where your steps have overtaken the loop's, it goes on
//! from yours.
//!
//! # Failures
//!
//! Nothing here stops a training. What can't be logged (the run has ended, the disk is full, a
//! closure fails or panics) is counted; the first is said when it happens, the number at the end,
//! and [`Run::finish`] returns it.
//! In a run with [`Overflow::Block`](crate::Overflow::Block), burn's thread of the metrics waits for
//! the disk, and the training with it.
//!
//! burn sends what a program says through `tracing` or `log` to `experiment.log` in its
//! directory, these warnings included.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::TensorReadError;
use burn::train::LearnerSummary;
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::{
    Metric, MetricDefinition, MetricId, MetricMetadata, MetricName, NumericEntry, SerializedEntry,
};
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};

use crate::{Error, IntoSamples, Result, Row, Run, SampleLogger, Samples, Value};

/// Logs the metrics of burn's training and evaluation to a run, around a renderer of burn's that
/// shows them as before.
///
/// | key | what | when |
/// | --- | --- | --- |
/// | `train/<metric>` | its value for the batch | each batch trained on |
/// | `train/epoch/<metric>` | its value for the epoch | at the end of each epoch |
/// | `valid/<metric>` | its value for the epoch | after each validation |
/// | `test/<metric>`, `test/<name>/<metric>` | its mean over the data | after each evaluation; the name is left out where it is `test` |
/// | `epoch` | the epoch's number, from 1 | with each of those of training |
///
/// The metrics are those registered on [`SupervisedTraining`](burn::train::SupervisedTraining) or
/// [`EvaluatorBuilder`](burn::train::EvaluatorBuilder), under their own names (`Loss`,
/// `Learning Rate`), numeric or not: text that is no number is logged as text. NaN is logged. A
/// metric that has no value for a batch (`AUROC`) has none there.
///
/// burn computes no value for a whole evaluation: it is the mean of the batches' values by the
/// number of items, as in burn's own summary.
///
/// The renderer comes back in [`LearningResult`](burn::train::LearningResult): given to an
/// evaluator, it logs the test metrics beside the last step of training.
///
/// ```
/// use burn::train::Interrupter;
/// use burn::train::renderer::default_renderer;
/// use wandb_image::integrations::burn_train::WandbRenderer;
///
/// # let run = wandb_image::init().start_on(wandb_image::sink::MemorySink::new())?;
/// let interrupter = Interrupter::new(); // give it to with_interrupter, too
/// let wandb = WandbRenderer::new(&run, default_renderer(interrupter.clone(), None));
/// # Ok::<(), wandb_image::Error>(())
/// ```
pub struct WandbRenderer {
    inner: Box<dyn MetricsRenderer>,
    course: Arc<Course>,
    names: HashMap<MetricId, MetricName>,
    /// Of the batch or the epoch that is being reported.
    train: Tallies,
    valid: Tallies,
    /// Of the evaluation under way.
    test: Tallies,
    is_training: bool,
}

impl WandbRenderer {
    /// Logs to `run` what `inner` shows:
    /// [`default_renderer`](burn::train::renderer::default_renderer), or any other.
    #[must_use]
    pub fn new(run: &Run, inner: Box<dyn MetricsRenderer>) -> Self {
        Self {
            inner,
            course: Arc::new(Course::new(run)),
            names: HashMap::new(),
            train: Tallies::default(),
            valid: Tallies::default(),
            test: Tallies::default(),
            is_training: false,
        }
    }

    /// How often it could not log something so far, samples included. What is accepted and fails
    /// later is in the run's own count.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.course.failures()
    }

    /// A batch is done; what was measured of it is known.
    fn end_batch(&mut self) {
        let train = std::mem::take(&mut self.train);
        let valid = std::mem::take(&mut self.valid);
        // Data-parallel workers still report training while the first one validates.
        let of_training = match (train.is_empty(), valid.is_empty()) {
            (true, true) => self.is_training,
            (is_none, _) => !is_none,
        };
        if of_training {
            self.course.end_batch(train.values("train/"));
        }
    }

    /// An epoch's training or validation is done; what is known now holds for all of it.
    fn end_split(&mut self) {
        let train = std::mem::take(&mut self.train).values("train/epoch/");
        let valid = std::mem::take(&mut self.valid).values("valid/");
        self.course.end_split(train.chain(valid));
    }

    fn end_test(&mut self) {
        let test = std::mem::take(&mut self.test).values("test/");
        self.course.end_test(test);
    }
}

impl MetricsRendererTraining for WandbRenderer {
    fn update_train(&mut self, state: MetricState) {
        self.train.set(&self.names, &state);
        self.inner.update_train(state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.valid.set(&self.names, &state);
        self.inner.update_valid(state);
    }

    fn on_train_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn StdError>> {
        self.inner.on_train_end(summary)
    }
}

impl MetricsRendererEvaluation for WandbRenderer {
    fn update_test(&mut self, name: EvaluationName, state: MetricState) {
        let place = match name.as_str() {
            "" | "test" => String::new(),
            name => format!("{name}/"),
        };
        self.test.add(&self.names, &place, &state);
        self.inner.update_test(name, state);
    }

    fn on_test_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn StdError>> {
        self.inner.on_test_end(summary)
    }
}

impl TrainingProgressLogger for WandbRenderer {
    fn start(
        &mut self,
        total_epochs: usize,
        starting_epoch: usize,
        total_items: Option<usize>,
        label: Option<&str>,
    ) {
        self.course.start(starting_epoch);
        self.inner
            .start(total_epochs, starting_epoch, total_items, label);
    }

    fn update_epoch(&mut self, epoch: usize) {
        self.course.start_epoch(epoch.saturating_add(1));
        self.inner.update_epoch(epoch);
    }

    fn start_split(&mut self, split: &str, total_items: usize) {
        self.is_training = split == "train";
        self.inner.start_split(split, total_items);
    }

    fn update_split(&mut self, items_processed: usize) {
        self.end_batch();
        self.inner.update_split(items_processed);
    }

    fn end_split(&mut self) {
        WandbRenderer::end_split(self);
        self.inner.end_split();
    }

    fn end(&mut self) {
        self.course.say_failures();
        self.inner.end();
    }

    fn log_event_training(&mut self, event: String) {
        self.inner.log_event_training(event);
    }
}

impl EvaluationProgressLogger for WandbRenderer {
    fn start_global_progress(&mut self, total_tests: usize) {
        self.inner.start_global_progress(total_tests);
    }

    fn start_test(&mut self, name: &str, total_items: usize) {
        self.inner.start_test(name, total_items);
    }

    fn update_test_progress(&mut self, items_processed: usize) {
        self.inner.update_test_progress(items_processed);
    }

    fn end_test(&mut self) {
        WandbRenderer::end_test(self);
        self.inner.end_test();
    }

    fn end_global_progress(&mut self) {
        self.course.say_failures();
        self.inner.end_global_progress();
    }

    fn log_event_evaluation(&mut self, event: String) {
        self.inner.log_event_evaluation(event);
    }
}

impl MetricsRenderer for WandbRenderer {
    fn manual_close(&mut self) {
        self.inner.manual_close();
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.names
            .insert(definition.metric_id.clone(), definition.name.clone());
        self.inner.register_metric(definition);
    }
}

/// What metrics said, by the end of the key under which it is logged.
#[derive(Default)]
struct Tallies(BTreeMap<String, Tally>);

enum Tally {
    Number { mean: f64, count: f64 },
    Text(String),
}

impl Tallies {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the value in place of the last one.
    fn set(&mut self, names: &HashMap<MetricId, MetricName>, state: &MetricState) {
        if let Some((name, tally)) = named_tally(names, state) {
            self.0.insert(name.into(), tally);
        }
    }

    /// Adds the value to those of the other batches.
    fn add(&mut self, names: &HashMap<MetricId, MetricName>, place: &str, state: &MetricState) {
        let Some((name, tally)) = named_tally(names, state) else {
            return;
        };
        let key = format!("{place}{name}");
        let sum = match self.0.remove(&key) {
            Some(before) => before.plus(tally),
            None => tally,
        };
        self.0.insert(key, sum);
    }

    fn values(self, prefix: &'static str) -> impl Iterator<Item = (String, Value)> {
        let values = self.0.into_iter();
        values.map(move |(name, tally)| (format!("{prefix}{name}"), tally.value()))
    }
}

impl Tally {
    fn of_number(entry: &NumericEntry) -> Self {
        let (value, count) = match entry {
            NumericEntry::Value(value) | NumericEntry::Final(value) => (*value, 1),
            NumericEntry::Aggregated {
                aggregated_value,
                count,
            } => (*aggregated_value, *count),
        };
        Self::Number {
            mean: value,
            count: count as f64,
        }
    }

    /// The serialized form of a metric that is registered as text, which many numbers are.
    fn of_text(text: &str) -> Self {
        match NumericEntry::deserialize(text) {
            Ok(entry) => Self::of_number(&entry),
            Err(_) => Self::Text(text.into()),
        }
    }

    /// What is of no item doesn't count beside what is.
    fn plus(self, later: Self) -> Self {
        match (self, later) {
            (before, Self::Number { count: 0.0, .. }) => before,
            (Self::Number { count: 0.0, .. }, later) => later,
            (Self::Number { mean, count }, Self::Number { mean: m, count: n }) => Self::Number {
                mean: (mean * count + m * n) / (count + n),
                count: count + n,
            },
            (_, later) => later,
        }
    }

    fn value(self) -> Value {
        match self {
            Self::Number { mean, .. } => mean.into(),
            Self::Text(text) => text.into(),
        }
    }
}

/// Where there is a value.
fn named_tally<'n>(
    names: &'n HashMap<MetricId, MetricName>,
    state: &MetricState,
) -> Option<(&'n str, Tally)> {
    let (entry, tally) = match state {
        MetricState::Numeric(entry, number) => (entry, Tally::of_number(number.as_ref()?)),
        MetricState::Generic(entry) if entry.serialized_entry.is_not_available() => return None,
        MetricState::Generic(entry) => (entry, Tally::of_text(&entry.serialized_entry.serialized)),
    };
    // burn registers every metric before its first value.
    Some((names.get(&entry.metric_id)?.as_str(), tally))
}

/// Where a training stands: what its renderer and its metrics share.
struct Course {
    run: Run,
    place: Mutex<Place>,
    failures: AtomicU64,
    /// How many of them had a part in what was said at an end.
    said: AtomicU64,
}

#[derive(Clone, Copy)]
struct Place {
    /// The step of the batch that is trained on.
    batch: u64,
    /// The step of the last batch that was trained on.
    last: Option<u64>,
    epoch: usize,
}

impl Place {
    /// The step of what is measured between batches.
    fn rest(self) -> u64 {
        self.last.unwrap_or(self.batch)
    }
}

impl Course {
    fn new(run: &Run) -> Self {
        let place = Place {
            batch: run.step(),
            last: None,
            epoch: 1,
        };
        Self {
            run: run.clone(),
            place: Mutex::new(place),
            failures: AtomicU64::new(0),
            said: AtomicU64::new(0),
        }
    }

    fn place(&self) -> Place {
        *self.lock()
    }

    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, epoch: usize) {
        let batch = self.run.step();
        *self.lock() = Place {
            batch,
            last: None,
            epoch,
        };
    }

    fn start_epoch(&self, epoch: usize) {
        self.lock().epoch = epoch;
    }

    fn end_batch(&self, values: impl Iterator<Item = (String, Value)>) {
        let Place { batch, epoch, .. } = self.place();
        let step = self.log(batch, values, Some(epoch));
        self.stand_after(step);
    }

    fn end_split(&self, values: impl Iterator<Item = (String, Value)>) {
        let place = self.place();
        self.log_at_rest(values, Some(place.epoch));
    }

    fn end_test(&self, values: impl Iterator<Item = (String, Value)>) {
        self.log_at_rest(values, None);
    }

    fn log_at_rest(&self, values: impl Iterator<Item = (String, Value)>, epoch: Option<usize>) {
        let place = self.place();
        let step = self.log(place.rest(), values, epoch);
        if step != place.rest() {
            self.stand_after(step);
        }
    }

    /// The step of the batch was taken.
    fn move_batch(&self, step: u64) {
        self.lock().batch = step;
    }

    fn stand_after(&self, step: u64) {
        let mut place = self.lock();
        place.last = Some(step);
        place.batch = step.saturating_add(1);
    }

    /// Logs the values, if there are any, at this step or as soon after as the run takes them.
    /// Returns the step.
    fn log(
        &self,
        step: u64,
        values: impl Iterator<Item = (String, Value)>,
        epoch: Option<usize>,
    ) -> u64 {
        let mut values = values.peekable();
        if values.peek().is_none() {
            return step;
        }
        let epoch = epoch.map(|epoch| ("epoch".into(), epoch.into()));
        let row: Row = values.chain(epoch).collect();
        log_from(&self.run, step, &row).unwrap_or_else(|error| {
            self.fail("metrics".into(), step, error);
            step
        })
    }

    /// Counts a failure, says the first, and leaves it to the run's `finish`.
    fn fail(&self, what: String, step: u64, error: Error) {
        if self.failures.fetch_add(1, Ordering::Relaxed) == 0 {
            self.run.warn(&format!(
                "{what} of burn's training loop at step {step} can't be logged: {error}; training \
                 goes on, and what else fails is counted"
            ));
        }
        self.run.fail(Error::Unwritten {
            what,
            step,
            source: Arc::new(error),
        });
    }

    fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn say_failures(&self) {
        let failures = self.failures();
        if failures > self.said.swap(failures, Ordering::Relaxed) {
            self.run.warn(&format!(
                "burn's training loop has ended; {failures} times in all it could not log its \
                 metrics or samples"
            ));
        }
    }
}

/// Another thread may take each step in between, so it is tried until one is accepted.
fn log_from(run: &Run, mut step: u64, row: &Row) -> Result<u64> {
    loop {
        let Err(error) = run.log_at(step, row.clone()) else {
            return Ok(step);
        };
        step = first_open_step(&error).ok_or(error)?;
    }
}

fn first_open_step(error: &Error) -> Option<u64> {
    match *error {
        Error::Step { last, .. } => Some(last),
        Error::StepWritten { next, .. } => Some(next),
        Error::StepBeforeStart { first, .. } => Some(first),
        _ => None,
    }
}

/// A burn metric that samples what the steps put out, where a [`SampleLogger`] says that it is
/// due. It is no number: it has no file among burn's logs, and the run gets its pictures alone.
///
/// Register [`train`](Self::train) with `metric_train` and [`valid`](Self::valid) with
/// `metric_valid`: `metrics_text` would register one of them for both. Where that happened, the
/// metric leaves out what isn't its own, and the run says so once.
///
/// The output of the step needs an `Adaptor<SampleInput>`; [the module](self) shows one. A batch
/// that isn't due costs a lock, a box and the clones of tensor handles that the adaptor makes:
/// well under a microsecond, and no copy of any tensor.
///
/// ```
/// # use burn::train::Interrupter;
/// # use burn::train::renderer::default_renderer;
/// use wandb_image::integrations::burn_train::{SampleMetric, WandbRenderer};
/// use wandb_image::{Every, SampleLogger};
///
/// # let run = wandb_image::init().start_on(wandb_image::sink::MemorySink::new())?;
/// # let wandb = WandbRenderer::new(&run, default_renderer(Interrupter::new(), None));
/// let samples = SampleLogger::new(&run, "samples").every(Every::steps(500)).max_images(8);
/// let metric = SampleMetric::train(&wandb, samples);
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct SampleMetric {
    sampler: Arc<Sampler>,
    /// No batch of this epoch came yet.
    is_fresh: bool,
    /// The step of the last sample.
    sampled: Option<u64>,
}

struct Sampler {
    logger: SampleLogger,
    name: MetricName,
    course: Arc<Course>,
    split: Split,
    has_strayed: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Split {
    Train,
    Valid,
}

impl SampleMetric {
    /// Samples batches that are trained on, at their own step. For `metric_train`.
    ///
    /// With [`Every::epochs`](crate::Every::epochs), the first batch after each such epoch.
    /// `wandb` is the renderer of the same training, and tells the steps.
    pub fn train(wandb: &WandbRenderer, logger: SampleLogger) -> Self {
        Self::new(wandb, logger, Split::Train)
    }

    /// Samples validation: its first batch, at the step of the last batch that was trained on. For
    /// `metric_valid`, or `metric` of an evaluator.
    ///
    /// With [`Every::epochs`](crate::Every::epochs), in the validation of each such epoch; with
    /// [`Every::steps`](crate::Every::steps), in the first validation after each such step.
    /// `wandb` is the renderer of the same training, and tells the steps.
    pub fn valid(wandb: &WandbRenderer, logger: SampleLogger) -> Self {
        Self::new(wandb, logger, Split::Valid)
    }

    fn new(wandb: &WandbRenderer, logger: SampleLogger, split: Split) -> Self {
        let sampler = Sampler {
            name: Arc::new(logger.key().to_owned()),
            logger,
            course: Arc::clone(&wandb.course),
            split,
            has_strayed: AtomicBool::new(false),
        };
        Self {
            sampler: Arc::new(sampler),
            is_fresh: true,
            sampled: None,
        }
    }

    /// How often the renderer, and all metrics that were made for it, could not log something so
    /// far: ask a clone that you keep. What is accepted and fails later is in the run's own count.
    pub fn failures(&self) -> u64 {
        self.sampler.course.failures()
    }

    fn entry(&self) -> SerializedEntry {
        let text = match self.sampled {
            Some(step) => format!("sampled at step {step}"),
            None => "no sample yet".into(),
        };
        SerializedEntry::new(text, String::new())
    }
}

impl Sampler {
    /// Whether the batch is of the split that this metric is for: burn tells a learning rate with
    /// those that are trained on.
    fn is_own(&self, metadata: &MetricMetadata) -> bool {
        let is_own = metadata.lr.is_some() == (self.split == Split::Train);
        if !is_own && !self.has_strayed.swap(true, Ordering::Relaxed) {
            self.course.run.warn(&format!(
                "the metric that samples {:?} is registered for training and for validation: give \
                 SampleMetric::train to metric_train and SampleMetric::valid to metric_valid",
                self.name
            ));
        }
        is_own
    }

    /// Returns the step of a sample, where one was due.
    fn tick(&self, input: &SampleInput) -> Option<u64> {
        let place = self.course.place();
        let step = match self.split {
            Split::Train => place.batch,
            Split::Valid => place.rest(),
        };
        let sampled = self.caught(step, || self.logger.tick_from(step, || input.take()));
        match (self.split, sampled.flatten()?) {
            (_, sampled) if sampled == step => {}
            (Split::Train, sampled) => self.course.move_batch(sampled),
            (Split::Valid, sampled) => self.course.stand_after(sampled),
        }
        sampled.flatten()
    }

    fn end_epoch(&self) {
        let place = self.course.place();
        let epoch = u64::try_from(place.epoch).unwrap_or(u64::MAX);
        self.caught(place.rest(), || self.logger.end_epoch(epoch));
    }

    /// Whatever `sample` does, training goes on.
    fn caught<T>(&self, step: u64, sample: impl FnOnce() -> Result<T>) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(sample)) {
            Ok(Ok(sampled)) => return Some(sampled),
            Ok(Err(error)) => self.fail(step, error),
            Err(panic) => self.fail(step, Error::panicked("its closure ran", &*panic)),
        }
        None
    }

    fn fail(&self, step: u64, error: Error) {
        let what = format!("a sample under {:?}", self.name);
        self.course.fail(what, step, error);
    }
}

impl Metric for SampleMetric {
    type Input = SampleInput;

    fn name(&self) -> MetricName {
        Arc::clone(&self.sampler.name)
    }

    fn description(&self) -> Option<String> {
        Some("pictures logged to a W&B run".into())
    }

    fn update(
        &mut self,
        input: &SampleInput,
        metadata: &MetricMetadata,
    ) -> Result<SerializedEntry, TensorReadError> {
        if self.sampler.is_own(metadata) {
            if std::mem::take(&mut self.is_fresh) && self.sampler.split == Split::Valid {
                self.sampler.end_epoch();
            }
            self.sampled = self.sampler.tick(input).or(self.sampled);
        }
        Ok(self.entry())
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        if self.sampler.split == Split::Train {
            self.sampler.end_epoch();
        }
        Ok(self.entry())
    }

    fn clear(&mut self) {
        self.is_fresh = true;
    }
}

/// What [`SampleMetric`] takes from a step's output: how to make its samples, which is done where
/// they are due.
///
/// ```
/// use burn::tensor::Tensor;
/// use burn::train::metric::Adaptor;
/// use wandb_image::integrations::burn_train::SampleInput;
///
/// struct Generated {
///     images: Tensor<4>,
/// }
///
/// impl Adaptor<SampleInput> for Generated {
///     fn adapt(&self) -> SampleInput {
///         let images = self.images.clone(); // a handle: burn's tensors are shared
///         SampleInput::new(|| images)
///     }
/// }
/// ```
#[must_use]
pub struct SampleInput(Cell<Option<Box<MakeSamples>>>);

type MakeSamples = dyn FnOnce() -> Result<Samples<'static>>;

impl SampleInput {
    /// Samples that this closure makes: a tensor, [`Samples`], a `Result` of them; whatever is
    /// [`IntoSamples`]. What it computes, it computes only where a sample is due.
    ///
    /// An error, or a panic, of the closure is counted and said; training goes on.
    pub fn new<S: IntoSamples + 'static>(make: impl FnOnce() -> S + 'static) -> Self {
        Self(Cell::new(Some(Box::new(move || make().into_samples()))))
    }

    /// burn hands each to one metric, once.
    fn take(&self) -> Result<Samples<'static>> {
        self.0
            .take()
            .map_or_else(|| Ok(Samples::new()), |make| make())
    }
}
