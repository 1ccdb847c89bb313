//! The face: [`Run`], its builder, its rows.

mod builder;
mod clock;
mod items;
mod machine;
mod notice;
mod row;
mod settings;
mod signal;
mod start;
mod summary;
mod value;
mod voice;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use builder::RunBuilder;
pub use row::Row;
pub use value::{Scalar, Value};

use crate::error::{Error, Result};
use crate::value::Json;
use row::PreparedRow;
use value::Kind;
use voice::Voice;
use writer::Writer;

/// A run to be configured and started: `wandb.init` in Python.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// let run = wandb_image::init().project("digits")
/// #   .dir(dir.path())
///     .start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn init() -> RunBuilder {
    RunBuilder::new()
}

/// Where a run goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunMode {
    /// To a directory that `wandb sync` uploads. The default.
    #[default]
    Offline,
    /// To W&B's server, while it runs. Not in this version: it will be the feature `online`, and
    /// [`start`](RunBuilder::start) is an error until then.
    Online,
    /// Nowhere: everything is accepted, checked as far as that is cheap, and dropped.
    Disabled,
}

/// A run of W&B: rows, pictures, config and summary, in a directory that `wandb sync` uploads.
///
/// A clone is cheap and is the same run, also on another thread. What one thread logs is on
/// disk in the order of its calls.
///
/// # Its end
///
/// [`finish`](Self::finish) writes what is left and says whether all is on disk. Dropping the
/// last clone without it does the same, and can only report a failure: also where a program
/// returns early with an error, which the run can't know of; [`finish_with`](Self::finish_with)
/// tells it. A clone dropped by a thread that panics marks the run failed (exit code 1). A signal
/// ends it with exit code 255 where [`RunBuilder::finish_on_signal`] was called; its docs say
/// what is lost otherwise, and under `panic = "abort"`.
///
/// # Keys
///
/// Slashes group keys in W&B. An image's key also makes its file's path: it must not begin or
/// end with a slash, nor hold `//`, a part `.` or `..`, or NUL. Anything else goes; what some
/// system refuses in a file name is percent-escaped there, and a name over 200 bytes is cut.
///
/// ```
/// use wandb_image::{HostTensor, IntoWandbImage, Row};
/// # let dir = tempfile::tempdir()?;
///
/// let run = wandb_image::init().project("digits")
/// #   .dir(dir.path())
///     .start()?;
/// for step in 0..3 {
///     let pixels = HostTensor::new([8, 8], (0..64).map(|i| (i * step) as f32).collect())?;
///     run.log(Row::new().with("loss", 1.0 / f64::from(step + 1)).with("sample", pixels.to_wandb_image()?))?;
/// }
/// run.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Run(Arc<Shared>);

impl Run {
    /// Writes a row at the next step: 0 (or the starting step), then the last step + 1.
    ///
    /// When this returns, the row and its pictures are with the operating system: the end of
    /// this process can't take them. A row that [`log_at`](Self::log_at) left open is written
    /// first. Nothing of a row is written when anything in it is refused.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] for a key that can't be, every error that making a picture has,
    /// [`Error::Io`] when the disk refuses (the run goes on, without this row; a row that was
    /// open stays so), [`Error::Finished`] after the end.
    ///
    /// ```
    /// # let run = wandb_image::init().start_on(wandb_image::sink::MemorySink::new())?;
    /// run.log([("loss", 0.5)])?;
    /// assert_eq!(run.step(), 1);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn log(&self, row: impl Into<Row>) -> Result<()> {
        self.0.log(None, row.into())
    }

    /// Adds to the row of `step`, which is written when the step moves on, at
    /// [`flush`](Self::flush) and at the end. Where a key comes again, the last value stays.
    ///
    /// Steps rise; they may have gaps.
    ///
    /// # Errors
    ///
    /// As for [`log`](Self::log), [`Error::Step`] for a step below the open one, and
    /// [`Error::StepWritten`] for one that is on disk already. When the row before can't be
    /// written, it stays open and nothing of this call is taken: call it again.
    ///
    /// ```
    /// # let sink = wandb_image::sink::MemorySink::new();
    /// # let run = wandb_image::init().start_on(sink.clone())?;
    /// run.log_at(10, [("loss", 0.5)])?;
    /// run.log_at(10, [("accuracy", 0.9)])?;
    /// run.log_at(20, [("loss", 0.4)])?;
    /// assert_eq!(sink.rows().len(), 1); // step 10; step 20 is still open
    /// assert!(run.log_at(10, [("late", 1)]).is_err());
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn log_at(&self, step: u64, row: impl Into<Row>) -> Result<()> {
        self.0.log(Some(step), row.into())
    }

    /// Sets a value of the summary, which otherwise holds the last value of each key that was
    /// logged. A row with the same key, logged later, sets it again. It is written at
    /// [`flush`](Self::flush) and at the end.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] for a key that can't be, [`Error::Value`] for an image,
    /// [`Error::Finished`] after the end.
    pub fn summary(&self, key: &str, value: impl Into<Value>) -> Result<()> {
        row::check_key(key)?;
        let json = json_only(value.into(), "the summary")?;
        self.0.writer().set_summary(key, &json)
    }

    /// Sets a value of the config, at once.
    ///
    /// # Errors
    ///
    /// As for [`summary`](Self::summary), and [`Error::Io`] when the disk refuses.
    pub fn config(&self, key: &str, value: impl Into<Value>) -> Result<()> {
        builder::check_config_key(key)?;
        let json = json_only(value.into(), "the config")?;
        self.0.writer().set_config(key, &json)
    }

    /// Writes the open row and, where it changed, the summary, so that a process that is killed
    /// later has both. More values for the open step are refused after that.
    ///
    /// An offline run writes in the caller, so there is nothing to wait for: `timeout` is for
    /// what may still be under way in other modes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the disk refuses, [`Error::Finished`] after the end.
    pub fn flush(&self, timeout: Duration) -> Result<()> {
        let _ = timeout;
        self.0.writer().flush()
    }

    /// Ends the run: writes the open row, the summary and the exit record. All is on disk, or
    /// this is an error, after which it can be called again. Once it has succeeded, calling it
    /// again does nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the disk refuses.
    pub fn finish(&self) -> Result<()> {
        self.finish_with(0)
    }

    /// Ends the run with an exit code: 0 is success, anything else a failure. Where a thread
    /// panicked, 0 becomes 1.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the disk refuses.
    #[doc(alias = "exit_code")]
    pub fn finish_with(&self, exit_code: i32) -> Result<()> {
        self.0.finish(exit_code)
    }

    /// The run's directory, absolute: what `wandb sync` takes. None where nothing is written to
    /// disk.
    pub fn dir(&self) -> Option<&Path> {
        self.0.dir.as_deref()
    }

    /// The run's identity in its project.
    #[doc(alias = "id")]
    pub fn run_id(&self) -> &str {
        &self.0.run_id
    }

    /// The step that [`log`](Self::log) would take now.
    pub fn step(&self) -> u64 {
        self.0.writer().next_step()
    }

    /// Where the run goes.
    pub fn mode(&self) -> RunMode {
        self.0.mode
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.store(true, Ordering::SeqCst);
        }
    }
}

fn json_only(value: Value, place: &str) -> Result<Json> {
    match value.0 {
        Kind::Json(json) => Ok(json),
        Kind::Image(_) | Kind::Images(_) => Err(Error::Value {
            reason: format!("{place} takes no image: log it, and its last one is in the summary"),
        }),
    }
}

/// What all clones of a run share.
struct Shared {
    mode: RunMode,
    run_id: String,
    dir: Option<PathBuf>,
    voice: Voice,
    /// A thread that held a clone has panicked.
    failed: AtomicBool,
    /// What a `finish` that failed was given: the end has it all the same.
    exit_code: AtomicI32,
    writer: Mutex<Writer>,
}

impl Shared {
    fn new(
        mode: RunMode,
        run_id: String,
        dir: Option<PathBuf>,
        voice: Voice,
        writer: Writer,
    ) -> Self {
        Self {
            mode,
            run_id,
            dir,
            voice,
            failed: AtomicBool::new(false),
            exit_code: AtomicI32::new(0),
            writer: Mutex::new(writer),
        }
    }

    /// A panic elsewhere doesn't harm the writer: each of its changes is whole.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, step: Option<u64>, row: Row) -> Result<()> {
        self.writer().check(step)?;
        let values = self.prepare(row)?;
        let sayings = self.accept(step, values)?;
        sayings.iter().for_each(|text| self.voice.warn(text));
        Ok(())
    }

    /// Pictures are encoded here, outside the lock.
    fn prepare(&self, row: Row) -> Result<PreparedRow> {
        match self.mode {
            RunMode::Disabled => row.check().map(|()| PreparedRow::new()),
            RunMode::Offline | RunMode::Online => row.prepare(),
        }
    }

    fn accept(&self, step: Option<u64>, values: PreparedRow) -> Result<Vec<String>> {
        let mut writer = self.writer();
        match step {
            None => writer.log(values),
            Some(step) => writer.log_at(step, values),
        }
    }

    fn exit_code(&self, given: i32) -> i32 {
        match given {
            0 => i32::from(self.failed.load(Ordering::SeqCst)),
            code => code,
        }
    }

    fn finish(&self, exit_code: i32) -> Result<()> {
        let exit_code = self.exit_code(exit_code);
        let totals = {
            let mut writer = self.writer();
            if writer.finished() {
                return Ok(());
            }
            self.exit_code.store(exit_code, Ordering::SeqCst);
            writer.finish(exit_code)?;
            writer.totals()
        };
        self.say_end(&totals);
        Ok(())
    }

    /// Ends the run where nobody can take an error: it is said instead.
    fn finish_anyway(&self, exit_code: i32) {
        let exit_code = self.exit_code(exit_code);
        let (result, totals) = {
            let mut writer = self.writer();
            if writer.finished() {
                return;
            }
            (writer.finish_anyway(exit_code), writer.totals())
        };
        if let Err(error) = result {
            self.voice
                .error(&format!("the run {} is incomplete: {error}", self.run_id));
        }
        self.say_end(&totals);
    }

    fn say_start(&self) {
        if let Some(dir) = &self.dir {
            let (run_id, dir) = (&self.run_id, dir.display());
            self.voice
                .line(&format!("run {run_id} is written to {dir}"));
            self.voice
                .line(&format!("upload it when it has ended: wandb sync {dir}"));
        }
    }

    fn say_end(&self, totals: &[String]) {
        totals.iter().for_each(|text| self.voice.warn(text));
        if let Some(dir) = &self.dir {
            let (run_id, dir) = (&self.run_id, dir.display());
            self.voice
                .line(&format!("run {run_id} has ended; it is in {dir}"));
            self.voice.line(&format!("upload it: wandb sync {dir}"));
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let asked = self.exit_code.load(Ordering::SeqCst);
        if self.dir.is_some() && !self.writer().finished() && self.exit_code(asked) == 0 {
            self.voice.line(UNFINISHED);
        }
        self.finish_anyway(asked);
    }
}

const UNFINISHED: &str = "the run was dropped without finish(), and is recorded as a success; \
                          call finish() at its end, or finish_with(1) where it failed";

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("run_id", &self.run_id)
            .field("mode", &self.mode)
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}
