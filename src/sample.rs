//! [`SampleLogger`]: when and what to sample of a training run.
//!
//! It decides, takes the snapshot and hands the row to the run; what a training loop pays for a
//! step that isn't due is one comparison.

mod choose;
mod every;
mod gate;
mod keep;
mod samples;

use std::time::Instant;

pub use choose::Choose;
pub use every::Every;
pub use keep::Keep;
pub use samples::{IntoSamples, Samples};

use crate::convert::ImageOptions;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::run::{Row, Run, RunMode};
use gate::Gate;
use keep::{Harvest, Kept};
use samples::Treatment;

/// Samples a training run: pictures under one key, when they are due.
///
/// [`tick`](Self::tick) runs its closure only where the schedule says so; otherwise it touches no
/// tensor and takes no lock. [`offer`](Self::offer) keeps the most telling samples of an epoch.
/// Share it between threads by reference or in an `Arc`; a logger holds its run open as a clone of
/// [`Run`] does.
///
/// | setting | default |
/// | --- | --- |
/// | [`every`](Self::every) | [`log_spaced`](Every::log_spaced) steps, or every 1,000 |
/// | [`max_images`](Self::max_images) | 16 |
/// | [`choose`](Self::choose) | [`First`](Choose::First) |
/// | [`options`](Self::options) | [`ImageOptions::new`] |
/// | [`captions`](Self::captions) | none |
/// | [`keep`](Self::keep) | the 16 [`Highest`](Keep::Highest) scores |
/// | [`rank`](Self::rank), [`logging_rank`](Self::logging_rank) | 0, 0 |
///
/// ```
/// use wandb_image::{Every, HostTensor, ImageOptions, Normalize, Row, SampleLogger};
/// # let run = wandb_image::init().start_on(wandb_image::sink::MemorySink::new())?;
///
/// let samples = SampleLogger::new(&run, "samples")
///     .every(Every::log_spaced().or(Every::steps(100)))
///     .max_images(4)
///     .options(ImageOptions::new().normalize(Normalize::Unit));
/// for step in 0..1000 {
///     let loss = 1.0 / (step + 1) as f64;
///     run.log_at(step, Row::new().with("loss", loss))?;
///     samples.tick(step, || HostTensor::new([16, 1, 8, 8], vec![0.5_f32; 1024]))?;
/// }
/// # Ok::<(), wandb_image::Error>(())
/// ```
///
/// # One row a step
///
/// Pictures are logged through [`Run::log_at`]: everything that is logged at a step shares its
/// row, from whatever logger or thread. A key has one value in a row, so give each logger a key of
/// its own. Log the loop's scalars through `log_at` with the same step too: [`Run::log`] closes the
/// row, and a tick of that step is [`Error::StepWritten`] then.
///
/// # Pictures that don't change
///
/// Log fixed inputs and targets at every step that is due, as columns of their own: a picture
/// that is, byte for byte, one that the key had in its last row is stored once, and the later row
/// names the same file. W&B's client 0.31.0 was seen to take that well: `wandb sync`, of a run
/// that has ended and (`wandb beta sync --live`) of one that goes on, uploads the file once and
/// every row arrives with its name; `wandb leet` draws it at every step, with the caption of each.
/// A [joined](Samples::joined) picture changes as a whole.
///
/// # Data-parallel training
///
/// Give every process its [`rank`](Self::rank). One rank logs, 0 by default; the ticks of the
/// others return at once: they wait for nothing and nobody, run no closure and take no lock. The
/// same goes for a run in [`RunMode::Disabled`].
#[must_use]
pub struct SampleLogger {
    run: Run,
    key: String,
    gate: Gate,
    choose: Choose,
    max_images: usize,
    options: ImageOptions,
    captions: Option<Box<Captions>>,
    kept: Kept,
    rank: usize,
    logging_rank: usize,
    /// Whether this process logs at all.
    logs: bool,
    begun: Instant,
}

type Captions = dyn Fn(usize) -> String + Send + Sync;

impl SampleLogger {
    /// Samples under this key, into this run. Everything else has a default.
    ///
    /// A key that can't be is an error of the first tick that is due: see [`Run`], under "Keys".
    pub fn new(run: &Run, key: impl Into<String>) -> Self {
        Self {
            run: run.clone(),
            key: key.into(),
            gate: Gate::new(Every::default()),
            choose: Choose::default(),
            max_images: 16,
            options: ImageOptions::new(),
            captions: None,
            kept: Kept::new(Keep::default()),
            rank: 0,
            logging_rank: 0,
            logs: run.mode() != RunMode::Disabled,
            begun: Instant::now(),
        }
    }

    /// When samples are due. By default at [`log_spaced`](Every::log_spaced) steps, and every
    /// 1,000 steps.
    pub fn every(mut self, every: Every) -> Self {
        self.gate = Gate::new(every);
        self
    }

    /// At most this many images of a batch, and of each column of [`Samples`]; 16 by default.
    /// Which ones, [`choose`](Self::choose) says; only they leave their device. 0 is an error of
    /// the first tick that is due.
    ///
    /// W&B shows 108 pictures of one list: more go on under more keys, as
    /// [`Overlong::Split`](crate::Overlong::Split) says it.
    pub fn max_images(mut self, images: usize) -> Self {
        self.max_images = images;
        self
    }

    /// Which images of a batch that holds more than [`max_images`](Self::max_images). The first
    /// ones by default.
    ///
    /// ```
    /// use wandb_image::{Choose, SampleLogger};
    /// # let run = wandb_image::init().start_on(wandb_image::sink::MemorySink::new())?;
    ///
    /// let samples = SampleLogger::new(&run, "samples").max_images(8).choose(Choose::Seeded(7));
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn choose(mut self, choose: Choose) -> Self {
        self.choose = choose;
        self
    }

    /// How tensors become pictures. A wrong option is an error of the first tick that is due.
    ///
    /// [`grid`](ImageOptions::grid) has no say here: the images of a batch are a list.
    pub fn options(mut self, options: ImageOptions) -> Self {
        self.options = options;
        self
    }

    /// The caption of each sample of a tick, by its index in the batch, where
    /// [`Samples::captions`] doesn't give one. None by default.
    pub fn captions(mut self, caption: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        self.captions = Some(Box::new(caption));
        self
    }

    /// Which of the samples that are [offered](Self::offer) stay. The 16 of the highest scores by
    /// default.
    pub fn keep(mut self, keep: Keep) -> Self {
        self.kept = Kept::new(keep);
        self
    }

    /// The rank of this process in data-parallel training. 0 by default.
    pub fn rank(mut self, rank: usize) -> Self {
        self.rank = rank;
        self.settle()
    }

    /// The rank that logs; the others' ticks do nothing. 0 by default.
    pub fn logging_rank(mut self, rank: usize) -> Self {
        self.logging_rank = rank;
        self.settle()
    }

    /// The key under which it logs.
    pub fn key(&self) -> &str {
        &self.key
    }

    fn settle(mut self) -> Self {
        self.logs = self.rank == self.logging_rank && self.run.mode() != RunMode::Disabled;
        self
    }

    /// Logs what `make` returns at this step, if that is due, and says whether it was.
    ///
    /// Otherwise `make` isn't run, no lock is taken, and the clock is read only where the schedule
    /// has [`seconds`](Every::seconds): it costs a few nanoseconds. Of several threads that tick
    /// at one step, one runs its closure.
    ///
    /// A tick is due once for each step that the schedule names, also where steps jump over it;
    /// one whose step lies before, or at, the last that was due isn't. The first tick is due where
    /// its own step is named.
    ///
    /// When it returns, the tensors are snapshots: what happens to them later isn't seen. Pictures
    /// are made and encoded afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Sample`] for an error in what `make` returns; [`Error::Columns`] for columns of
    /// unequal length; every error of making a picture and of [`Run::log_at`]. The step counts as
    /// sampled: the next attempt is the next one that is due. So it is where `make` panics, which
    /// unwinds into the caller.
    ///
    /// ```
    /// use wandb_image::{Every, HostTensor, SampleLogger};
    /// # let run = wandb_image::init().start_on(wandb_image::sink::MemorySink::new())?;
    ///
    /// let samples = SampleLogger::new(&run, "samples").every(Every::steps(10));
    /// assert!(samples.tick(0, || HostTensor::new([2, 2], vec![0_u8; 4]))?);
    /// assert!(!samples.tick(1, || -> HostTensor { unreachable!("not due") })?);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    #[inline]
    pub fn tick<S: IntoSamples>(&self, step: u64, make: impl FnOnce() -> S) -> Result<bool> {
        let due = self.logs && self.gate.pass(step, || self.now());
        if due {
            self.sample(step, make)?;
        }
        Ok(due)
    }

    #[cold]
    fn sample<S: IntoSamples>(&self, step: u64, make: impl FnOnce() -> S) -> Result<()> {
        let captions = |index| self.captions.as_ref().map(|caption| caption(index));
        let pictures = self.pictures(make().into_samples()?, &captions)?;
        self.run.log_at(step, self.row(pictures))
    }

    fn pictures(
        &self,
        samples: Samples<'_>,
        captions: &dyn Fn(usize) -> Option<String>,
    ) -> Result<Vec<Image>> {
        if self.max_images == 0 {
            return Err(Error::Option {
                option: "max_images",
                given: "0".into(),
                expected: "it must be at least 1; to log nothing, use Every::first(0)".into(),
            });
        }
        samples.into_images(&Treatment {
            choose: self.choose,
            max_images: self.max_images,
            options: &self.options,
            captions,
        })
    }

    fn row(&self, pictures: Vec<Image>) -> Row {
        Row::new().with(&*self.key, pictures)
    }

    /// Nanoseconds since the logger was made.
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Offers one sample of this score, to be logged at the end of the epoch if it is among those
    /// that [`keep`](Self::keep) names, and says whether it is so far.
    ///
    /// `make` runs only then, and what it returns holds one image, or one in each column. At most
    /// as many as are kept are held at a time, as snapshots. Captions name step and score, unless
    /// [`Samples::captions`] gives them.
    ///
    /// # Errors
    ///
    /// [`Error::Sample`] for an error in what `make` returns, [`Error::Option`] for more than one
    /// image, and every error of making a picture.
    ///
    /// ```
    /// use wandb_image::{HostTensor, Keep, SampleLogger};
    /// # let run = wandb_image::init().start_on(wandb_image::sink::MemorySink::new())?;
    ///
    /// let worst = SampleLogger::new(&run, "worst").keep(Keep::Highest(2));
    /// for (step, loss) in [0.5, 0.1, 0.9, 0.7].into_iter().enumerate() {
    ///     worst.offer(step as u64, loss, || HostTensor::new([1, 8, 8], vec![0.5_f32; 64]))?;
    /// }
    /// assert!(worst.end_epoch(0)?); // the samples of loss 0.9 and 0.7, at step 3
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn offer<S: IntoSamples>(
        &self,
        step: u64,
        score: f64,
        make: impl FnOnce() -> S,
    ) -> Result<bool> {
        if !self.logs {
            return Ok(false);
        }
        let Some(place) = self.kept.place(step, score) else {
            return Ok(false);
        };
        let samples = make().into_samples()?;
        check_single(&samples)?;
        let caption = |_| Some(format!("step {step}, score {score:.4}"));
        let pictures = self.pictures(samples, &caption)?;
        Ok(self.kept.put(place, pictures))
    }

    /// Announces the end of epoch `epoch`, counted from 0 or from 1, and says whether it was due.
    ///
    /// It is due where the schedule's [`Every::epochs`] names it; a schedule without epochs names
    /// all. Then the samples that were offered and kept are logged, in one row: at the last step
    /// at which one was offered, or, where that is written already, the first that still can be.
    /// Where none was offered, a schedule with epochs makes the next [`tick`](Self::tick) due,
    /// whatever its step.
    ///
    /// Due or not, the next epoch begins with no samples kept.
    ///
    /// # Errors
    ///
    /// Every error of [`Run::log_at`].
    pub fn end_epoch(&self, epoch: u64) -> Result<bool> {
        if !self.logs {
            return Ok(false);
        }
        let named = self.gate.every().epoch(epoch);
        let harvest = self.kept.end_epoch();
        match (named, harvest) {
            (Some(false), _) | (None, None) => Ok(false),
            (_, Some(harvest)) => self.log_harvest(harvest).map(|()| true),
            (Some(true), None) => {
                self.gate.arm();
                Ok(true)
            }
        }
    }

    fn log_harvest(&self, Harvest { step, pictures }: Harvest) -> Result<()> {
        self.log_from(step, pictures).map(drop)
    }

    /// Logs at this step, or where it is written already, at the first that still can be. Other
    /// threads may move the run on in between, so it is tried until a step is accepted.
    fn log_from(&self, mut step: u64, pictures: Vec<Image>) -> Result<u64> {
        let row = self.row(pictures);
        loop {
            step = match self.run.log_at(step, row.clone()) {
                Err(Error::Step { last, .. }) => last,
                Err(Error::StepWritten { next, .. }) => next,
                Err(Error::StepBeforeStart { first, .. }) => first,
                result => return result.map(|()| step),
            };
        }
    }

    /// As [`tick`](Self::tick), at a step that another thread may have taken: where it is written
    /// already, at the first that still can be. Returns the step, where it was due.
    #[allow(dead_code, reason = "for integrations that hook into a training loop")]
    pub(crate) fn tick_from<S: IntoSamples>(
        &self,
        step: u64,
        make: impl FnOnce() -> S,
    ) -> Result<Option<u64>> {
        if !self.logs || !self.gate.pass(step, || self.now()) {
            return Ok(None);
        }
        let captions = |index| self.captions.as_ref().map(|caption| caption(index));
        let pictures = self.pictures(make().into_samples()?, &captions)?;
        self.log_from(step, pictures).map(Some)
    }
}

fn check_single(samples: &Samples<'_>) -> Result<()> {
    match samples.len()? {
        1 => Ok(()),
        images => Err(Error::Option {
            option: "the number of images in a sample that is offered",
            given: images.to_string(),
            expected: "a score is that of one image: select it, and offer each alone".into(),
        }),
    }
}

impl std::fmt::Debug for SampleLogger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SampleLogger")
            .field("key", &self.key)
            .field("every", self.gate.every())
            .field("logs", &self.logs)
            .finish_non_exhaustive()
    }
}
