//! burn's training loop: a small model is trained, and the rows and pictures are looked at.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::warnings::Warnings;
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataloader::{DataLoader, DataLoaderBuilder};
use burn::data::dataset::InMemDataset;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::SgdConfig;
use burn::tensor::{Device, ExecutionError, Tensor, TensorData};
use burn::train::checkpoint::KeepLastNCheckpoints;
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::{
    Adaptor, LearningRateMetric, LossInput, LossMetric, MetricAttributes, MetricDefinition,
    MetricEntry, MetricId, NumericEntry, SerializedEntry,
};
use burn::train::renderer::{
    CliMetricsRenderer, EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};
use burn::train::{
    EvaluatorBuilder, ExecutionStrategy, InferenceStep, ItemLazy, Learner, LearnerSummary,
    LearningResult, MultiDeviceOptim, SupervisedTraining, TrainOutput, TrainStep,
};
use wandb_image::integrations::burn_train::{SampleInput, SampleMetric, WandbRenderer};
use wandb_image::sink::MemorySink;
use wandb_image::sink::records::Item;
use wandb_image::{BoxedError, Every, Run, RunBuilder, SampleLogger, Samples};

const BATCH: usize = 4;
/// Three batches: 4, 4 and 2.
const TRAIN: usize = 10;
const BATCHES: u64 = 3;
const VALID: usize = 5;

/// What goes wrong where a sample is made.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Error,
    Panic,
    NotANumber,
}

#[derive(Clone, Debug)]
struct Batch {
    images: Tensor<4>,
    fault: Fault,
}

struct ToBatch(Fault);

impl Batcher<[f32; 4], Batch> for ToBatch {
    fn batch(&self, items: Vec<[f32; 4]>, device: &Device) -> Batch {
        let shape = [items.len(), 1, 2, 2];
        let mut values = items.concat();
        if self.0 == Fault::NotANumber {
            values[0] = f32::NAN;
        }
        Batch {
            images: Tensor::from_data(TensorData::new(values, shape), device),
            fault: self.0,
        }
    }
}

fn loader(items: usize, fault: Fault) -> Arc<dyn DataLoader<Batch>> {
    let item = |i: usize| [0.0, 0.25, i as f32 / TRAIN as f32, 1.0];
    let items = (0..items).map(item).collect();
    let builder = DataLoaderBuilder::new(ToBatch(fault)).batch_size(BATCH);
    builder.build(InMemDataset::new(items))
}

#[derive(Module, Debug)]
struct Model {
    layer: Linear,
}

impl Model {
    fn new() -> Self {
        let device = Device::flex().autodiff();
        device.seed(7);
        let layer = LinearConfig::new(4, 4).init(&device);
        Self { layer }
    }

    fn forward(&self, batch: Batch) -> Output {
        let Batch { images, fault } = batch;
        let flat: Tensor<2> = images.clone().flatten(1, 3);
        let output = self.layer.forward(flat).reshape(images.dims());
        let loss = (output.clone() - images.clone()).powi_scalar(2).mean();
        Output {
            loss,
            images,
            output,
            fault,
        }
    }
}

struct Output {
    loss: Tensor<1>,
    images: Tensor<4>,
    output: Tensor<4>,
    fault: Fault,
}

impl ItemLazy for Output {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(Self {
            loss: self.loss.without_autodiff(),
            images: self.images.without_autodiff(),
            output: self.output.without_autodiff(),
            fault: self.fault,
        })
    }
}

impl Adaptor<LossInput> for Output {
    fn adapt(&self) -> LossInput {
        LossInput::new(self.loss.clone())
    }
}

impl Adaptor<SampleInput> for Output {
    fn adapt(&self) -> SampleInput {
        let (input, output, fault) = (self.images.clone(), self.output.clone(), self.fault);
        SampleInput::new(move || {
            fail(fault)?;
            Ok::<_, BoxedError>(
                Samples::new()
                    .column("input", input)
                    .column("output", output),
            )
        })
    }
}

fn fail(fault: Fault) -> Result<(), BoxedError> {
    match fault {
        Fault::None | Fault::NotANumber => Ok(()),
        Fault::Error => Err("no sample today".into()),
        Fault::Panic => panic!("meant to"),
    }
}

impl TrainStep for Model {
    type Input = Batch;
    type Output = Output;

    fn step(&self, batch: Batch) -> TrainOutput<Output> {
        let output = self.forward(batch);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl InferenceStep for Model {
    type Input = Batch;
    type Output = Output;

    fn step(&self, batch: Batch) -> Output {
        self.forward(batch)
    }
}

/// A training of two epochs, before it is launched.
struct Training {
    run: Run,
    sink: MemorySink,
    dir: tempfile::TempDir,
    fault: Fault,
}

impl Training {
    fn new(fault: Fault) -> Self {
        Self::with(RunBuilder::new(), tempfile::tempdir().unwrap(), fault)
    }

    fn with(builder: RunBuilder, dir: tempfile::TempDir, fault: Fault) -> Self {
        let sink = MemorySink::new();
        let run = builder.start_on(sink.clone()).unwrap();
        Self {
            run,
            sink,
            dir,
            fault,
        }
    }

    fn renderer(&self) -> WandbRenderer {
        WandbRenderer::new(&self.run, Box::new(CliMetricsRenderer::new()))
    }

    fn builder(&self) -> SupervisedTraining<Model> {
        let (train, valid) = (loader(TRAIN, self.fault), loader(VALID, self.fault));
        SupervisedTraining::new(self.dir.path(), train, valid)
            .with_application_logger(None)
            .metrics((LossMetric::new(),))
            .num_epochs(2)
    }

    /// Two pictures of every second step, three of each validation.
    fn samplers(&self, wandb: &WandbRenderer) -> (SampleMetric, SampleMetric) {
        let train = SampleLogger::new(&self.run, "train samples")
            .every(Every::steps(2))
            .max_images(2);
        let valid = SampleLogger::new(&self.run, "valid samples")
            .every(Every::epochs(1))
            .max_images(3);
        (
            SampleMetric::train(wandb, train),
            SampleMetric::valid(wandb, valid),
        )
    }

    /// With everything.
    fn launch(&self) -> (LearningResult<Model>, u64) {
        let wandb = self.renderer();
        let (train, valid) = self.samplers(&wandb);
        let builder = self.builder().metric_train(train.clone());
        let builder = builder
            .metric_valid(valid)
            .with_default_checkpointers()
            .with_checkpointing_strategy(KeepLastNCheckpoints::new(2))
            .renderer(Box::new(wandb));
        let trained = builder.launch(learner());
        assert!(trained.error.is_none() && trained.interrupted.is_none());
        (trained, train.failures())
    }

    fn rows(&self) -> Vec<BTreeMap<String, String>> {
        drop(self.run.finish());
        let rows = self.sink.rows().into_iter().map(|row| {
            let item = |item: &Item| (item.path().join("."), item.value_json.clone());
            row.item.iter().map(item).collect()
        });
        rows.collect()
    }

    fn read(&self, path: &str) -> String {
        let path = self.dir.path().join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

fn learner() -> Learner<Model> {
    Learner::new(Model::new(), SgdConfig::new().init(), 0.1)
}

/// Column by column: the step, and what stands under each of these keys, in the rows that have
/// one of them.
fn table(rows: &[BTreeMap<String, String>], keys: &[&str]) -> Vec<(u64, Vec<Option<String>>)> {
    let values = |row: &BTreeMap<String, String>| {
        let step = row["_step"].parse().unwrap();
        let values = keys.iter().map(|key| row.get(*key).cloned());
        (step, values.collect::<Vec<_>>())
    };
    let rows = rows.iter().map(values);
    rows.filter(|(_, values)| values.iter().any(Option::is_some))
        .collect()
}

fn steps_of(rows: &[BTreeMap<String, String>], key: &str) -> Vec<u64> {
    let rows = table(rows, &[key]);
    rows.into_iter().map(|(step, _)| step).collect()
}

fn numbers(rows: &[BTreeMap<String, String>], key: &str) -> Vec<f64> {
    let values = rows.iter().filter_map(|row| row.get(key));
    values.map(|value| value.parse().unwrap()).collect()
}

/// How many pictures each row holds under this key, by its step.
fn pictures(rows: &[BTreeMap<String, String>], key: &str) -> BTreeMap<u64, usize> {
    let count = |row: &BTreeMap<String, String>| {
        let count = row.get(&format!("{key}.count"))?.parse().unwrap();
        Some((row["_step"].parse().unwrap(), count))
    };
    rows.iter().filter_map(count).collect()
}

#[test]
fn metrics_and_samples_arrive_at_their_steps() {
    let training = Training::new(Fault::None);
    let (trained, failures) = training.launch();
    assert_eq!(failures, 0);
    EvaluatorBuilder::new(training.dir.path())
        .with_application_logger(None)
        .metrics((LossMetric::new(),))
        .renderer(trained.renderer)
        .build(trained.model)
        .eval_all([
            ("test", loader(3, Fault::None)),
            ("Other Digits", loader(VALID, Fault::None)),
        ]);
    let rows = training.rows();

    assert_eq!(steps_of(&rows, "train/Loss"), [0, 1, 2, 3, 4, 5]);
    assert_eq!(numbers(&rows, "epoch"), [1., 1., 1., 2., 2., 2.]);
    for key in ["valid/Loss", "train/epoch/Loss"] {
        assert_eq!(steps_of(&rows, key), [2, 5], "{key}");
    }
    for key in ["test/Loss", "test/Other Digits/Loss"] {
        assert_eq!(steps_of(&rows, key), [5], "{key}");
    }
    assert_eq!(rows.len(), 6);

    assert_eq!(
        pictures(&rows, "train samples"),
        BTreeMap::from([(0, 4), (2, 4), (4, 4)])
    );
    assert_eq!(
        pictures(&rows, "valid samples"),
        BTreeMap::from([(2, 6), (5, 6)])
    );
}

/// The numbers of one of burn's own log files, in order; the last is that of the epoch.
fn logged_by_burn(text: &str) -> Vec<f64> {
    let numbers = text.lines().map(|line| line.split(',').next().unwrap());
    numbers.map(|number| number.parse().unwrap()).collect()
}

#[test]
fn values_are_those_of_burns_own_files() {
    let training = Training::new(Fault::None);
    let (trained, _) = training.launch();
    drop(trained);
    let rows = training.rows();
    let (losses, epochs) = (
        numbers(&rows, "train/Loss"),
        numbers(&rows, "train/epoch/Loss"),
    );
    let valid = numbers(&rows, "valid/Loss");
    for epoch in 0..2 {
        let file = training.read(&format!("train/epoch-{}/Loss.log", epoch + 1));
        let mut expected = losses[epoch * 3..][..3].to_vec();
        expected.push(epochs[epoch]);
        assert_eq!(logged_by_burn(&file), expected);
        let file = training.read(&format!("valid/epoch-{}/Loss.log", epoch + 1));
        assert_eq!(logged_by_burn(&file).last(), Some(&valid[epoch]));
    }
    assert!(epochs[1] < epochs[0], "it learns nothing: {epochs:?}");
    for file in ["model-1.bpk", "optim-2.bpk", "scheduler-2.bpk"] {
        let path = training.dir.path().join("checkpoint").join(file);
        assert!(path.is_file(), "no {file}");
    }
    let samples = Path::new("train/epoch-1/train_samples.log");
    assert!(!training.dir.path().join(samples).exists());
}

#[test]
fn a_training_resumes_at_its_step() {
    let first = Training::new(Fault::None);
    let _ = first
        .builder()
        .num_epochs(1)
        .with_default_checkpointers()
        .renderer(Box::new(first.renderer()))
        .launch(learner());
    let builder = RunBuilder::new().starting_step(BATCHES);
    let second = Training::with(builder, first.dir, Fault::None);
    let wandb = second.renderer();
    let (train, valid) = second.samplers(&wandb);
    let trained = second
        .builder()
        .metric_train(train)
        .metric_valid(valid)
        .with_default_checkpointers()
        .checkpoint(1)
        .renderer(Box::new(wandb))
        .launch(learner());
    assert!(trained.error.is_none());
    drop(trained);
    let rows = second.rows();
    assert_eq!(steps_of(&rows, "train/Loss"), [3, 4, 5]);
    assert_eq!(numbers(&rows, "epoch"), [2., 2., 2.]);
    assert_eq!(steps_of(&rows, "valid/Loss"), [5]);
    assert_eq!(pictures(&rows, "train samples"), BTreeMap::from([(4, 4)]));
    assert_eq!(pictures(&rows, "valid samples"), BTreeMap::from([(5, 6)]));
}

/// The metrics arrive, no sample does, and training ends as it should.
fn check_fault(fault: Fault, expected: u64) {
    let training = Training::new(fault);
    let (trained, failures) = training.launch();
    assert_eq!(failures, expected, "{fault:?}");
    drop(trained);
    let error = training.run.finish().unwrap_err().to_string();
    assert!(
        error.contains("the first failure: a sample under \"train samples\" at step 0"),
        "{error}"
    );
    let rows = training.rows();
    assert_eq!(steps_of(&rows, "train/Loss"), [0, 1, 2, 3, 4, 5]);
    assert_eq!(steps_of(&rows, "valid/Loss"), [2, 5]);
    assert!(training.sink.files().is_empty());
}

#[test]
fn a_closure_runs_only_where_it_is_due_and_stops_nothing() {
    // Steps 0, 2 and 4, and two validations: of ten batches, the closures of five fail.
    check_fault(Fault::Error, 5);
    check_fault(Fault::Panic, 5);
}

#[test]
fn nan_arrives() {
    let training = Training::new(Fault::NotANumber);
    let (trained, failures) = training.launch();
    drop(trained);
    assert_eq!(failures, 0);
    let rows = training.rows();
    for row in table(&rows, &["train/Loss"]) {
        assert_eq!(row.1, [Some("NaN".into())]);
    }
    assert_eq!(steps_of(&rows, "train/Loss").len(), 6);
    assert_eq!(pictures(&rows, "train samples").len(), 3);
}

#[test]
fn a_run_that_has_ended_stops_nothing() {
    let training = Training::new(Fault::None);
    training.run.finish().unwrap();
    let (trained, failures) = training.launch();
    // Six batches, two epochs' values each for training and for validation, five samples.
    assert_eq!(failures, 6 + 4 + 5);
    drop(trained);
    assert!(training.rows().is_empty());
    assert_eq!(
        logged_by_burn(&training.read("train/epoch-2/Loss.log")).len(),
        4
    );
}

#[test]
fn rows_of_ones_own_push_the_loop_on() {
    let training = Training::new(Fault::None);
    let wandb = training.renderer();
    training.run.log([("parameters", 20)]).unwrap();
    let trained = training
        .builder()
        .renderer(Box::new(wandb))
        .launch(learner());
    training.run.log([("between", 1)]).unwrap();
    EvaluatorBuilder::new(training.dir.path())
        .with_application_logger(None)
        .metrics((LossMetric::new(),))
        .renderer(trained.renderer)
        .build(trained.model)
        .eval("test", loader(3, Fault::None));
    let rows = training.rows();
    assert_eq!(steps_of(&rows, "train/Loss"), [1, 2, 3, 4, 5, 6]);
    assert_eq!(steps_of(&rows, "valid/Loss"), [3, 6]);
    assert_eq!(steps_of(&rows, "between"), [7]);
    assert_eq!(steps_of(&rows, "test/Loss"), [8]);
}

/// A thread of the program's own takes steps of the run while training goes on: of what the loop
/// logs nothing is lost.
#[test]
fn rows_of_another_thread_cost_nothing() {
    let training = Training::new(Fault::None);
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let own = std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut rows = 0_u64;
            while !is_done.load(Ordering::Relaxed) || rows < 10 {
                training.run.log([("own", rows)]).unwrap();
                rows += 1;
                std::thread::sleep(Duration::from_micros(50));
            }
            rows
        });
        let (trained, failures) = training.launch();
        is_done.store(true, Ordering::Relaxed);
        assert_eq!(failures, 0);
        drop(trained);
        other.join().unwrap()
    });
    let rows = training.rows();
    assert_eq!(steps_of(&rows, "own").len() as u64, own);
    assert_eq!(steps_of(&rows, "train/Loss").len(), 6);
    assert_eq!(steps_of(&rows, "valid/Loss").len(), 2);
    assert!(!pictures(&rows, "train samples").is_empty());
    assert_eq!(pictures(&rows, "valid samples").len(), 2);
}

#[test]
fn every_device_of_several_has_its_steps() {
    let training = Training::new(Fault::None);
    let devices = vec![Device::flex(), Device::flex()];
    let strategy = ExecutionStrategy::multi(devices, MultiDeviceOptim::OptimMainDevice);
    let wandb = training.renderer();
    let (train, valid) = training.samplers(&wandb);
    let trained = training
        .builder()
        .metric_train(train)
        .metric_valid(valid)
        .metric_train_numeric(LearningRateMetric::new())
        .with_training_strategy(strategy.into())
        .renderer(Box::new(wandb))
        .launch(learner());
    assert!(trained.error.is_none());
    drop(trained);
    let rows = training.rows();
    let steps = steps_of(&rows, "train/Loss");
    assert_eq!(steps, Vec::from_iter(0..steps.len() as u64));
    assert_eq!(steps_of(&rows, "valid/Loss").len(), 2);
    assert_eq!(steps_of(&rows, "train/Learning Rate"), steps);
    assert!(
        numbers(&rows, "train/Learning Rate")
            .iter()
            .all(|rate| *rate == 0.1)
    );
    let sampled = steps.into_iter().filter(|step| step % 2 == 0);
    let pictures = pictures(&rows, "train samples").into_keys();
    assert_eq!(Vec::from_iter(pictures), Vec::from_iter(sampled));
}

#[test]
fn a_metric_registered_for_both_keeps_to_its_own() {
    let training = Training::new(Fault::None);
    let wandb = training.renderer();
    let (train, _) = training.samplers(&wandb);
    let trained = training
        .builder()
        .metrics_text((train,))
        .renderer(Box::new(wandb))
        .launch(learner());
    assert!(trained.error.is_none());
    drop(trained);
    let rows = training.rows();
    assert_eq!(
        pictures(&rows, "train samples"),
        BTreeMap::from([(0, 4), (2, 4), (4, 4)])
    );
}

/// A renderer that keeps what it was told.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    fn told(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }
}

impl MetricsRendererTraining for Recorder {
    fn update_train(&mut self, _: MetricState) {
        self.told("update_train");
    }

    fn update_valid(&mut self, _: MetricState) {
        self.told("update_valid");
    }

    fn on_train_end(
        &mut self,
        _: Option<LearnerSummary>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        self.told("on_train_end");
        Err("as it was".into())
    }
}

impl MetricsRendererEvaluation for Recorder {
    fn update_test(&mut self, name: EvaluationName, _: MetricState) {
        self.told(format!("update_test {name}"));
    }

    fn on_test_end(&mut self, _: Option<LearnerSummary>) -> Result<(), Box<dyn std::error::Error>> {
        self.told("on_test_end");
        Err("as it was".into())
    }
}

impl TrainingProgressLogger for Recorder {
    fn start(&mut self, epochs: usize, first: usize, items: Option<usize>, label: Option<&str>) {
        self.told(format!("start {epochs} {first} {items:?} {label:?}"));
    }

    fn update_epoch(&mut self, epoch: usize) {
        self.told(format!("update_epoch {epoch}"));
    }

    fn start_split(&mut self, split: &str, items: usize) {
        self.told(format!("start_split {split} {items}"));
    }

    fn update_split(&mut self, items: usize) {
        self.told(format!("update_split {items}"));
    }

    fn end_split(&mut self) {
        self.told("end_split");
    }

    fn end(&mut self) {
        self.told("end");
    }

    fn log_event_training(&mut self, event: String) {
        self.told(format!("log_event_training {event}"));
    }
}

impl EvaluationProgressLogger for Recorder {
    fn start_global_progress(&mut self, tests: usize) {
        self.told(format!("start_global_progress {tests}"));
    }

    fn start_test(&mut self, name: &str, items: usize) {
        self.told(format!("start_test {name} {items}"));
    }

    fn update_test_progress(&mut self, items: usize) {
        self.told(format!("update_test_progress {items}"));
    }

    fn end_test(&mut self) {
        self.told("end_test");
    }

    fn end_global_progress(&mut self) {
        self.told("end_global_progress");
    }

    fn log_event_evaluation(&mut self, event: String) {
        self.told(format!("log_event_evaluation {event}"));
    }
}

impl MetricsRenderer for Recorder {
    fn manual_close(&mut self) {
        self.told("manual_close");
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.told(format!("register_metric {}", definition.name));
    }
}

/// A renderer that is told things by hand, its run and what it passed on.
struct ByHand {
    renderer: WandbRenderer,
    recorder: Recorder,
    sink: MemorySink,
    run: Run,
}

impl ByHand {
    fn new() -> Self {
        let (recorder, sink) = (Recorder::default(), MemorySink::new());
        let run = RunBuilder::new().start_on(sink.clone()).unwrap();
        let renderer = WandbRenderer::new(&run, Box::new(recorder.clone()));
        Self {
            renderer,
            recorder,
            sink,
            run,
        }
    }

    fn register(&mut self, name: &str) -> MetricId {
        let name = Arc::new(name.to_owned());
        let metric_id = MetricId::new(Arc::clone(&name));
        self.renderer.register_metric(MetricDefinition {
            metric_id: metric_id.clone(),
            name,
            description: None,
            attributes: MetricAttributes::None,
        });
        metric_id
    }

    /// The rows, without what the run itself puts there.
    fn rows(&self) -> Vec<String> {
        drop(self.run.finish());
        let rows = self.sink.rows().into_iter().map(|row| {
            let values = row
                .item
                .iter()
                .filter(|item| !["_timestamp", "_runtime"].contains(&&*item.path().join(".")));
            let values =
                values.map(|item| format!("{}={}", item.path().join("."), item.value_json));
            Vec::from_iter(values).join(" ")
        });
        rows.collect()
    }
}

fn text(id: &MetricId, serialized: &str) -> MetricState {
    let entry = SerializedEntry::new("shown".into(), serialized.into());
    MetricState::Generic(MetricEntry::new(id.clone(), entry))
}

fn number(id: &MetricId, number: impl Into<Option<NumericEntry>>) -> MetricState {
    let entry = SerializedEntry::new("shown".into(), "0".into());
    MetricState::Numeric(MetricEntry::new(id.clone(), entry), number.into())
}

fn mean_of(aggregated_value: f64, count: usize) -> NumericEntry {
    NumericEntry::Aggregated {
        aggregated_value,
        count,
    }
}

#[test]
fn everything_is_passed_on() {
    let mut by_hand = ByHand::new();
    let id = by_hand.register("Loss");
    let renderer = &mut by_hand.renderer;
    renderer.start(3, 2, Some(10), Some("label"));
    renderer.start_split("train", 10);
    renderer.update_train(number(&id, None));
    renderer.update_split(4);
    renderer.log_event_training("event".into());
    renderer.update_valid(text(&id, "0"));
    renderer.end_split();
    renderer.update_epoch(2);
    renderer.end();
    assert!(renderer.on_train_end(None).is_err());
    renderer.start_global_progress(1);
    renderer.start_test("digits", 5);
    renderer.update_test(EvaluationName::new("digits"), number(&id, None));
    renderer.update_test_progress(5);
    renderer.log_event_evaluation("event".into());
    renderer.end_test();
    renderer.end_global_progress();
    assert!(renderer.on_test_end(None).is_err());
    renderer.manual_close();
    assert_eq!(
        *by_hand.recorder.0.lock().unwrap(),
        [
            "register_metric Loss",
            "start 3 2 Some(10) Some(\"label\")",
            "start_split train 10",
            "update_train",
            "update_split 4",
            "log_event_training event",
            "update_valid",
            "end_split",
            "update_epoch 2",
            "end",
            "on_train_end",
            "start_global_progress 1",
            "start_test digits 5",
            "update_test digits",
            "update_test_progress 5",
            "log_event_evaluation event",
            "end_test",
            "end_global_progress",
            "on_test_end",
            "manual_close",
        ]
    );
}

/// What becomes of these values of a metric of this name, in training.
fn check_value(name: &str, state: impl Fn(&MetricId) -> MetricState, expected: Option<&str>) {
    let mut by_hand = ByHand::new();
    let id = by_hand.register(name);
    by_hand.renderer.start(1, 1, None, None);
    by_hand.renderer.start_split("train", 1);
    by_hand.renderer.update_train(state(&id));
    by_hand.renderer.update_split(1);
    let rows = by_hand.rows();
    match expected {
        None => assert!(rows.is_empty(), "{rows:?}"),
        Some(expected) => assert_eq!(rows, [format!("epoch=1 {expected} _step=0")]),
    }
    assert_eq!(by_hand.renderer.failures(), 0);
}

#[test]
fn values_arrive_whatever_they_are() {
    check_value(
        "Loss",
        |id| number(id, mean_of(0.1, 32)),
        Some("train/Loss=0.1"),
    );
    check_value(
        "Loss",
        |id| number(id, mean_of(0.1, 0)),
        Some("train/Loss=0.1"),
    );
    check_value(
        "Loss",
        |id| number(id, NumericEntry::Value(f64::NAN)),
        Some("train/Loss=NaN"),
    );
    check_value(
        "Loss",
        |id| number(id, NumericEntry::Value(f64::NEG_INFINITY)),
        Some("train/Loss=-Infinity"),
    );
    check_value("AUROC", |id| number(id, None), None);
    check_value("Loss", |id| text(id, "0.5,32"), Some("train/Loss=0.5"));
    check_value("Loss", |id| text(id, "0.5"), Some("train/Loss=0.5"));
    check_value(
        "GPU",
        |id| text(id, "0: 3 of 24 GB"),
        Some("train/GPU=\"0: 3 of 24 GB\""),
    );
    check_value("AUROC", |id| text(id, "N/A"), None);
    check_value("samples", |id| text(id, ""), None);
}

#[test]
fn names_arrive_whatever_they_are() {
    let names = [
        "Top-K Accuracy @ 5 %",
        "_step",
        "a/b//c/",
        "",
        "F1.macro",
        "Größe \"2\"\n",
    ];
    for name in names {
        check_value(
            name,
            |id| number(id, NumericEntry::Value(1.5)),
            Some(&format!("train/{name}=1.5")),
        );
    }
}

#[test]
fn a_metric_that_is_not_registered_is_left_out() {
    check_value(
        "Loss",
        |_| number(&MetricId::new(Arc::new("other".into())), mean_of(1.0, 1)),
        None,
    );
}

/// In data-parallel training, the other workers still report while the first one validates.
#[test]
fn a_batch_that_comes_late_is_of_training() {
    let mut by_hand = ByHand::new();
    let id = by_hand.register("Loss");
    let renderer = &mut by_hand.renderer;
    let value = |value| number(&id, NumericEntry::Value(value));
    renderer.start(1, 1, None, None);
    renderer.start_split("train", 2);
    renderer.update_train(value(1.0));
    renderer.update_split(1);
    renderer.update_train(number(&id, NumericEntry::Final(1.5)));
    renderer.end_split();
    renderer.start_split("valid", 1);
    renderer.update_train(value(2.0));
    renderer.update_split(2);
    renderer.update_valid(value(9.0));
    renderer.update_split(1);
    renderer.update_valid(number(&id, NumericEntry::Final(9.0)));
    renderer.end_split();
    renderer.update_epoch(1);
    renderer.end();
    assert_eq!(
        by_hand.rows(),
        [
            "epoch=1 train/Loss=1.0 train/epoch/Loss=1.5 _step=0",
            "epoch=1 train/Loss=2.0 valid/Loss=9.0 _step=1",
        ]
    );
}

#[test]
fn an_evaluation_is_the_mean_of_its_batches_by_their_items() {
    let mut by_hand = ByHand::new();
    let ids = ["Loss", "Score", "Note"].map(|name| by_hand.register(name));
    let renderer = &mut by_hand.renderer;
    let name = EvaluationName::new("test");
    for (value, count) in [(1.0, 3), (f64::NAN, 0), (5.0, 1)] {
        renderer.update_test(name.clone(), number(&ids[0], mean_of(value, count)));
        let values = NumericEntry::Value(count as f64);
        renderer.update_test(name.clone(), number(&ids[1], values));
        renderer.update_test(name.clone(), text(&ids[2], &format!("at {value}")));
    }
    renderer.end_test();
    assert_eq!(
        by_hand.rows(),
        ["test/Loss=2.0 test/Note=\"at 5\" test/Score=1.3333333333333333 _step=0"]
    );
}

#[test]
fn the_first_failure_is_said_and_the_number_of_all_at_the_end() {
    let mut by_hand = ByHand::new();
    let id = by_hand.register("Loss");
    by_hand.run.finish().unwrap();
    let renderer = &mut by_hand.renderer;
    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || {
        renderer.start(1, 1, None, None);
        for _ in 0..3 {
            renderer.update_train(number(&id, NumericEntry::Value(1.0)));
            renderer.update_split(1);
        }
        renderer.end();
        renderer.end_global_progress();
    });
    assert_eq!(renderer.failures(), 3);
    let warnings = warnings.texts();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0]
            .starts_with("metrics of burn's training loop at step 0 can't be logged: the run"),
        "{warnings:?}"
    );
    assert!(warnings[1].contains("3 times in all"), "{warnings:?}");
}

/// The packages that a feature brings, as `cargo tree` names them.
fn packages(feature: &str) -> String {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--no-default-features"])
        .args(["-e", "normal", "--prefix", "none", "--features", feature])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo tree failed for {feature}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_loop_comes_by_its_own_feature_and_without_a_dashboard() {
    let (burn, burn_train) = (packages("burn"), packages("burn-train"));
    assert!(burn.contains("\nburn-core v") && !burn.contains("\nburn-train v"));
    assert!(burn_train.contains("\nburn-train v"));
    for heavy in ["ratatui", "nvml-wrapper", "sysinfo", "cubecl"] {
        assert!(!burn_train.contains(&format!("\n{heavy} v")), "{heavy}");
    }
}
