//! The face: [`Run`], its builder, its rows.

mod builder;
mod ledger;
#[cfg(all(test, loom))]
mod loom {
    mod parcels;
    mod tests;
}
mod machine;
mod resume;
mod row;
mod settings;
mod signal;
mod start;
mod turn;
mod value;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use builder::RunBuilder;
pub use row::Row;
pub use value::Value;

use crate::artifact::Artifact;
use crate::error::{Error, Result, counted, counts};
use crate::pipeline::{Deadline, Inquiry, Leftovers, Pipeline, Stats, Voice};
use crate::sink::Durability;
use crate::value::Json;
use ledger::Ledger;
use row::{CheckedMedia, CheckedRow};
use turn::Turn;
use value::Kind;

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
/// A clone is cheap and is the same run, also on another thread. Rows go to disk in the order of
/// their steps, those of one thread in the order of its calls.
///
/// # What waits for what
///
/// [`log`](Self::log) and [`log_at`](Self::log_at) check what they are given, take a snapshot of
/// it and return: pictures are read from their device, normalised, encoded and hashed on workers,
/// and one thread writes the rows. [`Overflow`](crate::Overflow) says what happens when pictures
/// come faster than that. [`flush`](Self::flush) and [`finish`](Self::finish) are the
/// confirmation that all is on disk; [`RunBuilder::synchronous`] makes `log` one.
///
/// What fails after `log` has returned (a picture that can't be made, a disk that refuses) costs
/// that picture alone, or that row: it is counted ([`stats`](Self::stats)), told once per key on
/// stderr or through `tracing`, and returned by `flush` and `finish`. Training goes on.
///
/// # What a crash costs
///
/// Whatever [`flush`](Self::flush), or [`log`](Self::log) of a
/// [synchronous](RunBuilder::synchronous) run, has confirmed is still there after SIGKILL, a crash
/// or an abort: each row with every picture, and `flush` also confirms the summary. `wandb sync`
/// uploads it. [`RunBuilder::durability`] says what survives a loss of power.
///
/// A flush also happens by itself, about a second after something was written, so that a run that
/// never asks loses little: the rows whose pictures were still being made, those behind them, the
/// summary of the last second, and the row that [`log_at`](Self::log_at) holds open, which only a
/// `flush` of your own closes. Where such a flush fails (the disk is full), that is told once, and
/// it is tried again each second; `flush` returns what keeps failing.
///
/// What is lost, too, is the exit record: W&B takes a run without one for failed.
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
/// # What you can rely on
///
/// Each of these has its tests, which the README names.
///
/// - A run is never overwritten: its directory and its log are created exclusively, and the log is
///   locked while it is written ([`Error::RunExists`], [`Error::RunInUse`]).
/// - What was confirmed survives, as said above; a row never names a file that isn't whole.
/// - A log that ends in the middle of a record is read up to its last whole one
///   ([`LogReader`](crate::sink::reader::LogReader)), and a run can be continued, as said below.
/// - Whatever is damaged is named by [`verify`](crate::sink::verify::verify), and all that is whole
///   is saved by [`repair`](crate::sink::repair::repair).
/// - The temporary files of a killed process are removed by the next start in the same folder, or
///   when the run is resumed.
/// - Training goes on through a full disk, a directory that is read-only, deleted or replaced by a
///   link, file handles that run out and a clock that is set back. What it costs is counted and told
///   once, memory stays bounded, and logging recovers when the cause goes away.
/// - Memory is bounded whatever the input (see "Limits"), and no key leads out of the run.
/// - The API key is never read.
///
/// # After a crash
///
/// [`RunBuilder::resume`] goes on with a run that has stopped, from its directory or
/// `wandb/latest-run`: at the step after its last row, in the same log, or in a new directory with
/// the same run id where it was synced already. A run is written by one process at a time.
///
/// # Keys
///
/// Slashes group keys in W&B. An image's key also makes its file's path: it must not begin or
/// end with a slash, nor hold `//`, a part `.` or `..`, or NUL, and its folders take at most 600
/// bytes. Anything else goes; what some system refuses in a file name is percent-escaped there, and
/// a name over 200 bytes is cut. A key has the same path on every system, below the run's
/// `files/`. The path holds the hash of the picture: two keys that a system can't tell apart (`loss`
/// and `Loss`) share a file only where their pictures are the same to the byte.
///
/// # Limits
///
/// What is over one of these is an error that says so, before anything is allocated for it. A shape
/// or a file may claim what it likes.
///
/// | what | at most |
/// | --- | --- |
/// | a picture or a mask: side, size in memory | 65,500 pixels, 1 GiB |
/// | a tensor, as it arrives on the host | 4 GiB, 100,000 images or masks |
/// | the memory between two sizes of a picture ([`Resize`](crate::Resize)) | 4 GiB |
/// | boxes of a layer | 1,000,000 |
/// | a picture or mask file | 256 MiB, and the pixels above; what isn't pixels stays packed |
/// | the coefficients of a progressive JPEG file | 1 GiB |
/// | what is read of a `.npy` or `.safetensors` file | 4 GiB, and a header of 64 KiB or 100 MB |
/// | a value: its texts, the values in it, its depth | 16 MiB, 2,000,000, 63 levels below its key |
/// | a key, or all keys that lead to a nested value | 64 KiB |
/// | a key of pictures, of a layer over one | 62 KiB, 1 KiB |
/// | a caption | 1 MiB |
/// | rows and columns of a table; rows of its file in the run, which W&B's older views show | 200,000, 10,000; 10,000 |
/// | metadata of an artifact | 100 keys |
/// | a name, an alias and a tag of an artifact, a path in one | 128 characters, 4,096 bytes |
/// | files and references of an artifact | no limit but the memory for their paths and digests |
/// | what waits of all artifacts and tables, in memory | 256 MiB for all of the process; `add` and `add_row` wait |
/// | what is read of an artifact: the JSON of an image or of classes, of a table | 256 MiB, 1 GiB |
/// | — what that takes once it is read: a row of a table or the JSON of an image, texts included; its pictures | 256 MiB, 2 GiB |
/// | — the masks over a picture | 1 GiB |
///
/// Of a value that holds maps, each value in them is written with all keys that lead to it, the row's
/// among them: these count as texts and as values.
///
/// A picture is worked on in a few copies at a time, one for each worker;
/// [`RunBuilder::queue_bytes`] limits what waits.
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
#[derive(Debug)]
pub struct Run(Arc<Shared>);

impl Run {
    /// Logs a row at the next step: 0 (or the starting step), then the last step + 1.
    ///
    /// When this returns, the row is accepted; see [`Run`], under "What waits for what". A row
    /// that [`log_at`](Self::log_at) left open is closed first. Nothing of a row is accepted when
    /// anything in it is refused: a clone of the row holds its tables still then.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] for a key that can't be, [`Error::Image`] for what is known to be wrong with
    /// a picture without making it, [`Error::Finished`] after the end. On a thread of a run's own,
    /// which can't wait (in a tensor that is being read, or a listener of `tracing` that is told
    /// something), [`Error::Value`] while another thread logs. Where the run is
    /// [synchronous](RunBuilder::synchronous), also [`Error::Unwritten`] for what could not be
    /// made or written.
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

    /// Adds to the row of `step`, which is closed when the step moves on, at
    /// [`flush`](Self::flush) and at the end. Where a key comes again, the last value stays.
    /// Several threads may add to one row.
    ///
    /// Steps rise; they may have gaps.
    ///
    /// # Errors
    ///
    /// As for [`log`](Self::log), [`Error::Step`] for a step below the open one, and
    /// [`Error::StepWritten`] for one that is closed already.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # let sink = wandb_image::sink::MemorySink::new();
    /// # let run = wandb_image::init().start_on(sink.clone())?;
    /// run.log_at(10, [("loss", 0.5)])?;
    /// run.log_at(10, [("accuracy", 0.9)])?;
    /// run.log_at(20, [("loss", 0.4)])?;
    /// assert!(run.log_at(10, [("late", 1)]).is_err());
    /// run.flush(Duration::from_secs(10))?;
    /// assert_eq!(sink.rows().len(), 2); // step 10 and step 20
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn log_at(&self, step: u64, row: impl Into<Row>) -> Result<()> {
        self.0.log(Some(step), row.into())
    }

    /// Sets a value of the summary, which otherwise holds the last value of each key that was
    /// logged. A row with the same key, logged later, sets it again. It is written at
    /// [`flush`](Self::flush), within about a second by itself, and at the end. While a row is open
    /// ([`log_at`](Self::log_at)), a value comes after it.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] for a key that can't be, [`Error::Value`] for an image,
    /// [`Error::Finished`] after the end.
    pub fn summary(&self, key: &str, value: impl Into<Value>) -> Result<()> {
        row::check_key(key)?;
        let json = json_only(key, value.into(), "the summary")?;
        self.0
            .give(|ledger, pipeline| ledger.set_summary(pipeline, key, json))
    }

    /// Sets a value of the config.
    ///
    /// # Errors
    ///
    /// As for [`summary`](Self::summary).
    pub fn config(&self, key: &str, value: impl Into<Value>) -> Result<()> {
        builder::check_config_key(key)?;
        let json = json_only(key, value.into(), "the config")?;
        self.0.give(|_, pipeline| pipeline.set_config(key, json))
    }

    /// Writes the files of an image, or of a list of images, and returns the JSON that a row would
    /// hold under `key`: `bind_to_run` and `to_json` in Python, `seq_to_json` for a list.
    ///
    /// [`log`](Self::log) does all this by itself, and a [`Table`](crate::Table) takes pictures as
    /// they are. This is for pictures inside a value of your own: embed the JSON there, and log that
    /// value in a later row.
    ///
    /// The pictures go the way of those that are logged, in order with the rows and under the same
    /// [`Overflow`](crate::Overflow) policy, and count in [`stats`](Self::stats); the call waits until
    /// their files are written. No row is written or counted. `step` is part of the files' names
    /// alone: it may lie before the steps of the rows, or after them. A disabled run returns the
    /// JSON and writes nothing.
    ///
    /// # Errors
    ///
    /// As for [`log`](Self::log). [`Error::Value`] for what is no image or list of images, for a
    /// list of more than 108, and on a thread of the run's own, which can't wait (in a tensor that
    /// is being read, for example). [`Error::Unwritten`] when a picture can't be made or written:
    /// those of a list that can be are written all the same. [`Error::Dropped`] when the queue is
    /// full.
    ///
    /// ```
    /// use wandb_image::{HostTensor, IntoWandbImage, Row};
    /// # let run = wandb_image::init().start_on(wandb_image::sink::MemorySink::new())?;
    ///
    /// let mut shown = Vec::new();
    /// for i in 0..3_u8 {
    ///     let picture = HostTensor::new([1, 2], vec![0, i])?.to_wandb_image()?;
    ///     shown.push(run.media_json("digits", 0, picture)?);
    /// }
    /// assert_eq!(shown[0]["_type"], "image-file");
    /// run.log(Row::new().with("digits", serde_json::json!({ "first": shown[0] })))?;
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    #[doc(alias = "bind_to_run")]
    #[doc(alias = "to_json")]
    #[doc(alias = "seq_to_json")]
    pub fn media_json(
        &self,
        key: &str,
        step: u64,
        media: impl Into<Value>,
    ) -> Result<serde_json::Value> {
        let media = CheckedMedia::new(key, media.into())?;
        self.0.media_json(step, media).map(Into::into)
    }

    /// Logs an artifact: an output of the run, of which W&B keeps every version.
    ///
    /// When this returns, it is accepted: files are hashed and pictures are made in the background
    /// (see [`Artifact`]), and it is written as soon as that is done, whatever rows come meanwhile: its
    /// files are taken a few at a time, and rows are written in between. Artifacts of one name are
    /// written in the order in which they were logged, so that the last is W&B's latest version; all of
    /// a name have one type, and the run says so where they haven't.
    /// [`flush`](Self::flush) and [`finish`](Self::finish) wait for it. Nothing of an artifact is
    /// uploaded where something in it couldn't be made: the run tells that, and they return it.
    ///
    /// `wandb sync` uploads it from the run's directory: its files lie in `artifacts/`, and the
    /// record names them by their whole paths, so the directory must stay where it is until then.
    /// Of a run that was moved, [`repair`](crate::sink::repair::repair) makes one that can be synced.
    ///
    /// The contents of an artifact, as a list, are in a file there too where they are over 100,000
    /// files or 32 MiB long, and `wandb sync` deletes that once it has read it: where that sync fails
    /// later on, the artifact has to be logged once more. [`verify`](crate::sink::verify::verify) says
    /// so.
    ///
    /// # Errors
    ///
    /// [`Error::Finished`] after the end, which costs the artifact: make it again for another run.
    /// Where the run is [synchronous](RunBuilder::synchronous), also [`Error::Incomplete`] for what
    /// could not be made or written.
    ///
    /// ```
    /// use wandb_image::Artifact;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let run = wandb_image::init().dir(dir.path()).start()?;
    /// let mut buckets = Artifact::new("raw", "dataset")?;
    /// buckets.add_reference("s3://bucket/train.tar")?;
    /// run.log_artifact(buckets)?;
    /// run.finish()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn log_artifact(&self, artifact: Artifact) -> Result<()> {
        if self.0.mode == RunMode::Disabled {
            return self.0.give(|_, _| ());
        }
        self.0.give(|_, pipeline| pipeline.give_artifact(artifact))
    }

    /// Waits until everything that was logged before is on disk: the open row, which takes no
    /// more values after that, every row, picture, table and artifact on its way, and the summary
    /// where it changed. A process that is killed later has lost nothing of it. What other threads log
    /// after it began, it doesn't wait for: neither their rows nor their artifacts.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`] says what isn't on disk: what is still on its way after `timeout`,
    /// and what was dropped or has failed since the last `flush`. [`Error::Finished`] after the
    /// end.
    pub fn flush(&self, timeout: Duration) -> Result<()> {
        self.0.flush(Deadline::after(timeout))
    }

    /// Ends the run: everything that was logged is written, then the summary and the exit
    /// record. Waits for at most [`finish_timeout`](RunBuilder::finish_timeout), five minutes by
    /// default, and tells on stderr how far it is when it takes longer than a second. Once the
    /// run has ended, calling it again does nothing but to return the same.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`] says what isn't on disk: what is still on its way when the time is
    /// up, or what the end itself met (call it again then), and whatever was dropped or has failed
    /// since the run began, with its first failure. Where the exit record is written already and
    /// only its flush has failed, nothing more can be logged.
    pub fn finish(&self) -> Result<()> {
        self.finish_with(0)
    }

    /// [`finish`](Self::finish), with another limit of time.
    ///
    /// # Errors
    ///
    /// As for [`finish`](Self::finish).
    pub fn finish_within(&self, timeout: Duration) -> Result<()> {
        self.0.finish(0, Deadline::after(timeout))
    }

    /// Ends the run with an exit code: 0 is success, anything else a failure. Where a thread
    /// panicked, or rows are missing since the disk refused them, 0 becomes 1.
    ///
    /// # Errors
    ///
    /// As for [`finish`](Self::finish).
    #[doc(alias = "exit_code")]
    pub fn finish_with(&self, exit_code: i32) -> Result<()> {
        self.0
            .finish(exit_code, Deadline::after(self.0.finish_timeout))
    }

    /// What became of everything that was logged, up to now.
    pub fn stats(&self) -> Stats {
        self.0.pipeline.stats()
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
        self.0.next_step.load(Ordering::SeqCst)
    }

    /// Where the run goes.
    pub fn mode(&self) -> RunMode {
        self.0.mode
    }

    /// Says what a hook of an integration can't return.
    #[allow(dead_code, reason = "for integrations that hook into a training loop")]
    pub(crate) fn warn(&self, text: &str) {
        self.0.voice.warn(text);
    }

    /// Leaves it to `flush` and `finish` to return what a hook of an integration can't.
    #[allow(dead_code, reason = "for integrations that hook into a training loop")]
    pub(crate) fn fail(&self, error: Error) {
        self.0.pipeline.fail(error);
    }
}

impl Clone for Run {
    fn clone(&self) -> Self {
        self.0.handles.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.store(true, Ordering::SeqCst);
        }
        if self.0.handles.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.end();
        }
    }
}

fn json_only(key: &str, value: Value, place: &str) -> Result<Json> {
    match value.0 {
        Kind::Json(json) => json.checked(key),
        Kind::Image(_) | Kind::Images(_) | Kind::Table(_) => Err(Error::Value {
            reason: format!(
                "{place} takes no image and no table: log it, and its last one is in the summary"
            ),
        }),
    }
}

fn waits_for_itself(what: &str) -> Error {
    Error::Value {
        reason: format!(
            "{what} on a thread that makes pictures or writes them, and which would wait for \
             itself: do it on a thread of your own"
        ),
    }
}

/// What all clones of a run share.
struct Shared {
    mode: RunMode,
    run_id: String,
    dir: Option<PathBuf>,
    /// Whether it goes on with rows of before.
    is_resumed: bool,
    voice: Voice,
    is_synchronous: bool,
    durability: Durability,
    finish_timeout: Duration,
    /// Clones of the run. Who ends it on a signal holds none.
    handles: AtomicUsize,
    /// A thread that held a clone has panicked.
    failed: AtomicBool,
    /// What a `finish` that failed was given: the end has it all the same.
    exit_code: AtomicI32,
    asked: Mutex<Option<Deadline>>,
    next_step: AtomicU64,
    has_said_end: AtomicBool,
    ledger: Turn<Ledger>,
    pipeline: Pipeline,
}

impl Shared {
    fn log(&self, step: Option<u64>, row: Row) -> Result<()> {
        let row = row.checked()?;
        let row = match self.mode {
            RunMode::Disabled => CheckedRow::default(),
            RunMode::Offline | RunMode::Online => row,
        };
        let mut leftovers = Leftovers::default();
        let result = self.in_turn(|ledger| {
            let inquiry = self.inquire();
            ledger.log(&self.pipeline, step, row, &mut leftovers)?;
            self.next_step.store(ledger.next_step(), Ordering::SeqCst);
            self.settled(inquiry)
        });
        self.pipeline.tidy(leftovers);
        result
    }

    fn media_json(&self, step: u64, media: CheckedMedia) -> Result<Json> {
        ledger::check_step(step)?;
        let key = media.key.clone();
        if !Pipeline::may_wait() {
            return Err(waits_for_itself(&format!(
                "the JSON of {key:?} was asked for"
            )));
        }
        let mut leftovers = Leftovers::default();
        let given = self.in_turn(|ledger| {
            let inquiry = self.inquire();
            let call = ledger.media(&self.pipeline, step, media, &mut leftovers)?;
            Ok((call, self.settled(inquiry)))
        });
        self.pipeline.tidy(leftovers);
        let (call, settled) = given?;
        let json = self.pipeline.answer(call, &key, step)?;
        settled.map(|()| json)
    }

    /// Does the work when it is this thread's turn. Whose turn it is may wait for a thread of the
    /// pipeline, which therefore doesn't wait.
    fn in_turn<T>(&self, work: impl FnOnce(&mut Ledger) -> Result<T>) -> Result<T> {
        match Pipeline::may_wait() {
            true => self.ledger.take(work),
            false => {
                let done = self.ledger.take_until(Deadline::now(), work);
                done.unwrap_or_else(|| Err(waits_for_itself("it was logged")))
            }
        }
    }

    /// The same for what has a limit of time. None where that is up.
    fn in_turn_until<T>(&self, until: Deadline, work: impl FnOnce(&mut Ledger) -> T) -> Option<T> {
        let until = match Pipeline::may_wait() {
            true => until,
            false => Deadline::now(),
        };
        self.ledger.take_until(until, work)
    }

    /// Where the run is synchronous, of what is given from now on.
    fn inquire(&self) -> Option<Inquiry<'_>> {
        self.is_synchronous.then(|| self.pipeline.inquire())
    }

    /// Where the run is synchronous, waits for what was given.
    fn settled(&self, inquiry: Option<Inquiry<'_>>) -> Result<()> {
        let Some(inquiry) = inquiry else {
            return Ok(());
        };
        match self.durability {
            Durability::Process => inquiry.settle(),
            Durability::Fsync => inquiry.settle_flushed(),
        }
    }

    fn give(&self, entry: impl FnOnce(&mut Ledger, &Pipeline)) -> Result<()> {
        // Where it is refused, it is dropped when others have their turn: it may hold an artifact.
        let mut entry = Some(entry);
        self.in_turn(|ledger| {
            ledger.check_running(&self.pipeline)?;
            let inquiry = self.inquire();
            entry
                .take()
                .into_iter()
                .for_each(|entry| entry(ledger, &self.pipeline));
            self.settled(inquiry)
        })
    }

    fn flush(&self, until: Deadline) -> Result<()> {
        let inquiry = self.pipeline.inquire();
        let closed = self.in_turn_until(until, |ledger| {
            ledger.check_running(&self.pipeline)?;
            ledger.close(&self.pipeline);
            Ok(inquiry.begin_flush())
        });
        match closed {
            Some(begun) => begun.and_then(|flush| inquiry.flush(&flush, until)),
            None => self.pipeline.late(until),
        }
    }

    fn finish(&self, exit_code: i32, until: Deadline) -> Result<()> {
        let exit_code = self.exit_code(exit_code);
        self.exit_code.store(exit_code, Ordering::SeqCst);
        *self.asked() = Some(until);
        self.pipeline.close();
        let closed = self.in_turn_until(until, |ledger| ledger.close(&self.pipeline));
        let result = match closed {
            Some(()) => self.pipeline.finish(exit_code, until),
            None => self.pipeline.late(until),
        };
        if self.pipeline.has_ended() && !self.has_said_end.swap(true, Ordering::SeqCst) {
            self.say_end();
        }
        result
    }

    fn exit_code(&self, given: i32) -> i32 {
        match given {
            0 => i32::from(self.failed.load(Ordering::SeqCst)),
            code => code,
        }
    }

    /// Ends the run where nobody can take an error: it is said instead.
    fn finish_anyway(&self, exit_code: i32, until: Deadline) {
        if self.pipeline.has_ended() {
            return;
        }
        if let Err(error) = self.finish(exit_code, until) {
            self.voice
                .error(&format!("the run {} is incomplete: {error}", self.run_id));
        }
    }

    /// Until when the last `finish` was to wait.
    fn asked(&self) -> MutexGuard<'_, Option<Deadline>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The user's last handle goes. Another thread may be at the end of the run: it is waited for,
    /// since the process may end next.
    fn end(&self) {
        let exit_code = self.exit_code.load(Ordering::SeqCst);
        let asked = *self.asked();
        let is_success = self.exit_code(exit_code) == 0 && !self.pipeline.has_ended();
        if asked.is_none() && self.dir.is_some() && is_success {
            self.voice.line(UNFINISHED);
        }
        let until = asked.unwrap_or_else(|| Deadline::after(self.finish_timeout));
        self.finish_anyway(exit_code, until);
    }

    fn say_start(&self) {
        if let Some(dir) = &self.dir {
            let (run_id, dir) = (&self.run_id, dir.display());
            let step = self.next_step.load(Ordering::SeqCst);
            self.voice.line(&match self.is_resumed {
                true => format!("run {run_id} goes on in {dir} at step {step}"),
                false => format!("run {run_id} is written to {dir}"),
            });
            self.voice
                .line(&format!("upload it when it has ended: wandb sync {dir}"));
        }
    }

    fn say_end(&self) {
        if let Some(text) = lost(&self.pipeline.stats()) {
            self.voice.warn(&text);
        }
        if let Some(dir) = &self.dir {
            let (run_id, dir) = (&self.run_id, dir.display());
            self.voice
                .line(&format!("run {run_id} has ended; it is in {dir}"));
            self.voice.line(&format!("upload it: wandb sync {dir}"));
        }
    }
}

/// What was lost in all, where anything was.
fn lost(stats: &Stats) -> Option<String> {
    let Stats {
        rows,
        pictures,
        artifacts,
        ..
    } = stats;
    let dropped = (pictures.dropped > 0).then(|| {
        let dropped = counted(pictures.dropped, "picture");
        format!("{dropped} dropped, since the queue was full")
    });
    let failed = (rows.failed + pictures.failed + artifacts.failed > 0).then(|| {
        let failed = counts(rows.failed, pictures.failed, artifacts.failed);
        format!("{failed} failed")
    });
    let parts: Vec<String> = [dropped, failed].into_iter().flatten().collect();
    let all = counts(rows.accepted, pictures.accepted, artifacts.accepted);
    (!parts.is_empty()).then(|| format!("of {all} in all: {}", parts.join("; ")))
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

#[cfg(test)]
mod tests;
