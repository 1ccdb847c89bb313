//! [`RunBuilder`]: a run before it starts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;

use super::ledger::{self, Ledger};
use super::row::check_length;
use super::settings::{Environment, Settings};
use super::turn::Turn;
use super::{Run, RunMode, Shared, machine, resume, signal, start};
use crate::error::{Error, Result};
use crate::image::json;
use crate::pipeline::{Clock, Limits, Overflow, Pipeline, Voice, Writer};
use crate::sink::{self, Directory, Discard, Durability, RecordSink};
use crate::value::Json;

/// A run before it starts. Everything has a default; setters consume and return it.
///
/// A call here wins over the environment, which wins over the default. An empty variable counts
/// as unset.
///
/// | setting | variable | default |
/// | --- | --- | --- |
/// | [`mode`](Self::mode) | `WANDB_MODE` | [`Offline`](RunMode::Offline) |
/// | [`dir`](Self::dir) | `WANDB_DIR` | the current directory |
/// | [`project`](Self::project) | `WANDB_PROJECT` | `uncategorized` |
/// | [`entity`](Self::entity) | `WANDB_ENTITY` | that of the account that syncs |
/// | [`name`](Self::name) | `WANDB_NAME` | W&B makes one up |
/// | [`run_id`](Self::run_id) | `WANDB_RUN_ID` | eight random letters and digits |
/// | [`group`](Self::group) | `WANDB_RUN_GROUP` | none |
/// | [`job_type`](Self::job_type) | `WANDB_JOB_TYPE` | none |
/// | [`notes`](Self::notes) | `WANDB_NOTES` | none |
/// | [`tags`](Self::tags) | `WANDB_TAGS`, separated by commas | none |
/// | [`config`](Self::config) | | empty |
/// | [`starting_step`](Self::starting_step) | | 0 |
/// | [`resume`](Self::resume) | | a new run |
/// | [`durability`](Self::durability) | | [`Process`](Durability::Process) |
/// | [`synchronous`](Self::synchronous) | | off |
/// | [`queue_bytes`](Self::queue_bytes) | | 256 MiB |
/// | [`queue_rows`](Self::queue_rows) | | 10,000 |
/// | [`overflow`](Self::overflow) | | [`Wait`](Overflow::Wait), one second in all |
/// | [`workers`](Self::workers) | | one less than there are processors, 1 to 8 |
/// | [`finish_timeout`](Self::finish_timeout) | | five minutes |
/// | [`finish_on_signal`](Self::finish_on_signal) | | off |
/// | silence on stderr | `WANDB_SILENT` | off |
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// let run = wandb_image::init()
///     .project("digits")
///     .tags(["autoencoder", "cpu"])
/// #   .dir(dir.path())
///     .start()?;
/// run.log([("loss", 0.5)])?;
/// run.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct RunBuilder {
    pub(super) mode: Option<RunMode>,
    pub(super) dir: Option<PathBuf>,
    pub(super) project: Option<String>,
    pub(super) entity: Option<String>,
    pub(super) name: Option<String>,
    pub(super) run_id: Option<String>,
    pub(super) group: Option<String>,
    pub(super) job_type: Option<String>,
    pub(super) notes: Option<String>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) config: Vec<(String, Json)>,
    pub(super) starting_step: Option<u64>,
    resume: Option<PathBuf>,
    limits: Limits,
    is_synchronous: bool,
    pub(super) durability: Durability,
    finish_timeout: Duration,
    finish_on_signal: bool,
}

impl Default for RunBuilder {
    fn default() -> Self {
        Self {
            mode: None,
            dir: None,
            project: None,
            entity: None,
            name: None,
            run_id: None,
            group: None,
            job_type: None,
            notes: None,
            tags: None,
            config: Vec::new(),
            starting_step: None,
            resume: None,
            limits: Limits::default(),
            is_synchronous: false,
            durability: Durability::default(),
            finish_timeout: Duration::from_secs(300),
            finish_on_signal: false,
        }
    }
}

impl RunBuilder {
    /// The defaults; [`wandb_image::init`](crate::init) is the same.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the run goes. `WANDB_MODE`, or [`Offline`](RunMode::Offline).
    pub fn mode(mut self, mode: RunMode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// The folder in which `wandb/offline-run-…` is made. `WANDB_DIR`, or the current directory.
    ///
    /// The run's directory is held open, and no link in it is followed. Where it is renamed while
    /// the run is written, the run goes on in it; Windows refuses that. Where it is deleted, or
    /// its log is, that is made again with every row, from the log, which is still open; the
    /// pictures and the files of artifacts that went with it are counted, told, and part of what
    /// [`flush`](Run::flush) and [`finish`](Run::finish) return ([`Error::RunDirectoryLost`]).
    /// Where something else has taken its place, such as a link, or the disk has no room, rows are
    /// refused until that is over ([`Error::RunDirectoryGone`]).
    ///
    /// Folders of pictures and of artifacts are made again too where they are deleted, and what was
    /// in them is counted and told. Of pictures there is one for each part of keys before the last
    /// slash, and the first 256 are watched. A file that is deleted alone isn't noticed.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// The project, at most 128 characters. `WANDB_PROJECT`, or `uncategorized`.
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// The user or team. `WANDB_ENTITY`, or the default of the account that syncs.
    pub fn entity(mut self, entity: impl Into<String>) -> Self {
        self.entity = Some(entity.into());
        self
    }

    /// The name that W&B shows. `WANDB_NAME`, or one that W&B makes up.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The run's identity in its project: 1 to 128 characters, none of `/ \ # ? % :`.
    /// `WANDB_RUN_ID`, or eight random letters and digits.
    #[doc(alias = "id")]
    pub fn run_id(mut self, run_id: impl Into<String>) -> Self {
        self.run_id = Some(run_id.into());
        self
    }

    /// The group that the run belongs to. `WANDB_RUN_GROUP`, or none.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// The kind of the run within its group. `WANDB_JOB_TYPE`, or none.
    pub fn job_type(mut self, job_type: impl Into<String>) -> Self {
        self.job_type = Some(job_type.into());
        self
    }

    /// A longer description. `WANDB_NOTES`, or none.
    pub fn notes(mut self, notes: impl Into<String>) -> Self {
        self.notes = Some(notes.into());
        self
    }

    /// Tags, each of 1 to 64 characters. `WANDB_TAGS`, or none.
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// The run's inputs, such as hyperparameters: a struct or a map. Called again, it adds.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for what is no struct or map, or can't be JSON; [`Error::Key`] for an
    /// empty key and for `_wandb`.
    ///
    /// ```
    /// #[derive(serde::Serialize)]
    /// struct Config {
    ///     learning_rate: f64,
    ///     layers: Vec<usize>,
    /// }
    ///
    /// let config = Config { learning_rate: 1e-3, layers: vec![16, 32] };
    /// let builder = wandb_image::init().config(&config)?;
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn config(mut self, config: &(impl Serialize + ?Sized)) -> Result<Self> {
        self.config.extend(entries(config)?);
        Ok(self)
    }

    /// The step that the first [`Run::log`] takes. 0 by default; in a run that
    /// [goes on](Self::resume), the step after its last row.
    pub fn starting_step(mut self, step: u64) -> Self {
        self.starting_step = Some(step);
        self
    }

    /// Goes on with a run that has stopped: after a crash, a kill, a power cut, or its end.
    ///
    /// `run` is its directory, `wandb/latest-run` (the newest run where links are made: on Unix),
    /// or its `.wandb` file. Rows are appended to its log after the last whole record, at the step
    /// after the last row; what a kill or a power cut left of a record is cut off, and said. A
    /// record of its end goes too. Config, summary and the names of classes add to those that are
    /// there, `_runtime` goes on rising, and [`stats`](Run::stats) count anew. A run of the Python
    /// SDK can be continued as well.
    ///
    /// # A run that was synced
    ///
    /// `wandb sync` uploads a log once, and from its beginning. So a run whose upload has ended
    /// (there is a file `….wandb.synced`), or has only begun (`….wandb.syncstate`), goes on in a
    /// new directory beside its own, with the same run id: config, summary and the names of
    /// classes are carried over, the rows are not. Sync that directory too, and W&B has one run
    /// with the rows of both, each once. The first directory is left as it is. [`Run::dir`] says
    /// where the run is.
    ///
    /// # Settings
    ///
    /// The run keeps its own. What is set here, or by `WANDB_RUN_ID`, must be the same, so that
    /// one program can start a run and go on with it; other variables don't count.
    /// [`config`](Self::config) adds to the run's, and [`starting_step`](Self::starting_step) may
    /// leave a gap in the steps.
    ///
    /// A [disabled](RunMode::Disabled) run doesn't look at it.
    ///
    /// # Errors
    ///
    /// [`start`](Self::start) returns [`Error::RunInUse`] while the run is being written,
    /// [`Error::Resume`] where it can't be continued: it was killed before it had a log, it is
    /// damaged in the middle (see `wandb-image repair`), another directory goes on with it
    /// already, or a setting contradicts it; and [`Error::Io`] where there is none. No record is changed then. What fails after these
    /// checks, as a thread that can't be started ([`Error::Thread`]) or a disk that takes no
    /// further config, leaves every whole record, but what followed the last is cut off.
    ///
    /// A file system without locks, as some in a network, keeps nobody out: there, resume no run
    /// that may still be written.
    ///
    /// ```
    /// # let dir = tempfile::tempdir()?;
    /// # let first = wandb_image::init()
    /// #   .dir(dir.path())
    /// #   .start()?;
    /// # first.log([("loss", 0.5)])?;
    /// # let killed = first.dir().unwrap().to_owned();
    /// # drop(first);
    /// let run = wandb_image::init().resume(&killed).start()?;
    /// assert_eq!(run.step(), 1); // its last row had step 0
    /// run.log([("loss", 0.4)])?;
    /// run.finish()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resume(mut self, run: impl Into<PathBuf>) -> Self {
        self.resume = Some(run.into());
        self
    }

    /// What the run outlasts: the end of the process, which is the default, or a loss of power
    /// too. It is about a run on disk alone.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Whether [`Run::log`] and [`Run::log_at`] wait until what they were given is written (a row
    /// that is open: until its pictures are made), and return what failed. `false` by default:
    /// they return when the row is accepted.
    ///
    /// ```
    /// # let sink = wandb_image::sink::MemorySink::new();
    /// let run = wandb_image::init().synchronous(true).start_on(sink.clone())?;
    /// run.log([("loss", 0.5)])?;
    /// assert_eq!(run.stats().rows.written, 1);
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn synchronous(mut self, is_synchronous: bool) -> Self {
        self.is_synchronous = is_synchronous;
        self
    }

    /// The most memory that pictures on their way may hold, in bytes, at least 1. 256 MiB by
    /// default. Long texts and lists take of it too, and go beyond it unless the policy is
    /// [`Overflow::Block`]. See [`Overflow`].
    pub fn queue_bytes(mut self, bytes: u64) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// The most rows on their way that pictures may be added to, at least 1. 10,000 by default.
    /// Rows of scalars alone, which are small, go beyond it, unless the policy is
    /// [`Overflow::Block`].
    pub fn queue_rows(mut self, rows: usize) -> Self {
        self.limits.rows = rows;
        self
    }

    /// What happens when the queue is full. By default [`log`](Run::log) waits for one second in
    /// all, and then pictures are dropped.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.limits.overflow = overflow;
        self
    }

    /// Threads that make pictures, at least 1. By default one less than there are processors, so
    /// that one is left to the training loop, but at most 8. One more works while a caller waits,
    /// for room or for the end, since a processor is free then.
    ///
    /// On Linux they run under the policy `SCHED_BATCH`: none takes the processor from a thread
    /// of the training loop that runs.
    pub fn workers(mut self, workers: usize) -> Self {
        self.limits.workers = workers;
        self
    }

    /// How long [`Run::finish`], or the drop of the last clone, waits for what is on its way.
    /// Five minutes by default.
    pub fn finish_timeout(mut self, timeout: Duration) -> Self {
        self.finish_timeout = timeout;
        self
    }

    /// Ends the run when the process gets SIGINT (Ctrl-C) or SIGTERM: the open row, the summary
    /// and an exit record with code 255 are written, then the signal does what it does by
    /// default. A second signal doesn't wait for that. Off by default, since a library shouldn't
    /// take a program's signals unasked; it has no effect where there are no such signals
    /// (Windows).
    ///
    /// Without it, a signal ends the process at once, as `std::process::exit`, an abort
    /// (`panic = "abort"`), SIGKILL and a crash do: what [`Run::flush`] confirmed is there and
    /// syncs, but rows that are still on their way, the values gathered by [`Run::log_at`] for the
    /// last step, the summary of about the last second, and the exit record are missing, and W&B
    /// takes a run without one for failed (exit code 1). See [`Run`], under "What a crash costs".
    pub fn finish_on_signal(mut self) -> Self {
        self.finish_on_signal = true;
        self
    }

    /// Starts the run.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a setting that W&B refuses, or a mode that this build lacks;
    /// [`Error::RunExists`], [`Error::RunDirectory`] and [`Error::Io`] for the run's directory.
    /// [`resume`](Self::resume) has some of its own.
    pub fn start(mut self) -> Result<Run> {
        let environment = Environment::of_process();
        let mode = environment.mode(self.mode)?;
        match (mode, self.resume.take()) {
            (RunMode::Offline | RunMode::Online, Some(run)) => {
                resume::start(self, &environment, mode, &run)
            }
            (RunMode::Offline | RunMode::Online, None) => self.start_anew(&environment, mode),
            (RunMode::Disabled, _) => self.start_nowhere(&environment),
        }
    }

    fn start_anew(
        self,
        environment: &Environment<impl Fn(&str) -> Option<OsString>>,
        mode: RunMode,
    ) -> Result<Run> {
        let settings = environment.settings(&self)?;
        let watch = self.check()?;
        let clock = Clock::start();
        let name = sink::offline_name(&clock.stamp(), &settings.run_id);
        let wandb_dir = settings.dir.join("wandb");
        let run_id = &settings.run_id;
        let (sink, made) = Directory::create_latest(&wandb_dir, &name, run_id, self.durability)?;
        let dir = sink.path().to_path_buf();
        let begun = self
            .begin(mode, settings, Some(dir), clock, Box::new(sink))
            .inspect_err(|_| made.take_back())?;
        Ok(started(begun, watch))
    }

    fn start_nowhere(
        self,
        environment: &Environment<impl Fn(&str) -> Option<OsString>>,
    ) -> Result<Run> {
        let settings = environment.settings(&self)?;
        let watch = self.check()?;
        let sink = Box::new(Discard);
        let begun = self.begin(RunMode::Disabled, settings, None, Clock::start(), sink);
        Ok(started(begun?, watch))
    }

    /// Starts the run on a sink of your own, such as a [`MemorySink`](crate::sink::MemorySink)
    /// in tests. [`mode`](Self::mode) and [`dir`](Self::dir) don't matter then.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start), [`Error::Option`] after [`resume`](Self::resume), since
    /// there is no log to go on with, and whatever the sink returns.
    pub fn start_on(self, sink: impl RecordSink + 'static) -> Result<Run> {
        if let Some(run) = &self.resume {
            return Err(no_log(run));
        }
        let settings = Environment::of_process().settings(&self)?;
        let watch = self.check()?;
        let sink = Box::new(sink);
        let begun = self.begin(RunMode::Offline, settings, None, Clock::start(), sink);
        Ok(started(begun?, watch))
    }

    /// What can be refused before anything is made.
    pub(super) fn check(&self) -> Result<Option<signal::Watch>> {
        self.starting_step.map_or(Ok(()), ledger::check_step)?;
        self.limits.check()?;
        self.finish_on_signal.then(signal::watch).transpose()
    }

    /// Writes the first records, and starts the threads that write the others.
    pub(super) fn begin(
        self,
        mode: RunMode,
        settings: Settings,
        dir: Option<PathBuf>,
        clock: Clock,
        sink: Box<dyn RecordSink>,
    ) -> Result<Shared> {
        let starting_step = self.starting_step.unwrap_or(0);
        let mut writer = Writer::new(sink, clock, settings.run_id.clone());
        writer.begin(
            start::header(),
            start::run(&settings, &self.config, starting_step, clock.begun_at()),
            machine::environment(clock.begun_at()),
        )?;
        let ledger = Ledger::new(clock, settings.run_id.clone(), starting_step);
        self.begun(Begun {
            mode,
            dir,
            run_id: settings.run_id,
            is_resumed: false,
            voice: Voice::new(settings.silent),
            ledger,
            writer,
        })
    }

    /// Starts the threads.
    pub(super) fn begun(self, begun: Begun) -> Result<Shared> {
        let pipeline = Pipeline::start(self.limits, begun.voice.clone(), begun.writer)?;
        Ok(Shared {
            mode: begun.mode,
            run_id: begun.run_id,
            dir: begun.dir,
            is_resumed: begun.is_resumed,
            voice: begun.voice,
            is_synchronous: self.is_synchronous,
            durability: self.durability,
            finish_timeout: self.finish_timeout,
            handles: AtomicUsize::new(1),
            failed: AtomicBool::new(false),
            exit_code: AtomicI32::new(0),
            asked: Mutex::new(None),
            next_step: AtomicU64::new(begun.ledger.next_step()),
            has_said_end: AtomicBool::new(false),
            ledger: Turn::new(begun.ledger),
            pipeline,
        })
    }
}

/// A run whose first records are written.
pub(super) struct Begun {
    pub(super) mode: RunMode,
    pub(super) dir: Option<PathBuf>,
    pub(super) run_id: String,
    /// Whether it goes on.
    pub(super) is_resumed: bool,
    pub(super) voice: Voice,
    pub(super) ledger: Ledger,
    pub(super) writer: Writer,
}

pub(super) fn started(shared: Shared, watch: Option<signal::Watch>) -> Run {
    let run = Run(Arc::new(shared));
    if let Some(watch) = watch {
        watch.add(&run.0);
    }
    run.0.say_start();
    run
}

fn no_log(run: &Path) -> Error {
    Error::Option {
        option: "resume",
        given: run.display().to_string(),
        expected: "a sink of your own holds no log to go on with: call start() instead of \
                   start_on()"
            .into(),
    }
}

fn entries(config: &(impl Serialize + ?Sized)) -> Result<Vec<(String, Json)>> {
    let Json::Map(entries) = Json::from_serialize(config)? else {
        return Err(Error::Value {
            reason: "the config is no struct or map, so its values have no keys: give a struct, a \
                     map, or serde_json::json!({\"key\": value})"
                .into(),
        });
    };
    let checked = entries.into_iter().map(|(key, value)| {
        check_config_key(&key)?;
        let value = value.checked(&key)?;
        Ok((key, value))
    });
    checked.collect()
}

pub(super) fn check_config_key(key: &str) -> Result<()> {
    check_length(key)?;
    match key {
        json::WANDB => Err(Error::Key {
            key: key.into(),
            reason: "this part of the config is W&B's own: rename it",
        }),
        _ => Ok(()),
    }
}
