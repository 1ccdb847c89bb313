//! What can go wrong, in words that say what was given, what was expected and what to do.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of a framework or a codec, whatever its type: the enum never depends on a feature.
pub type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// Why a picture wasn't made or a row wasn't written.
///
/// ```
/// use wandb_image::{Error, HostTensor, IntoWandbImage};
///
/// let tensor = HostTensor::new([5, 4, 4], vec![0_f32; 80])?;
/// let error = tensor.to_wandb_image().unwrap_err();
/// assert!(matches!(error, Error::Channels { channels: 5, .. }));
/// # Ok::<(), Error>(())
/// ```
///
/// `Debug` shows the same text as `Display`, so that a `main` that returns an error prints what
/// to do.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor of a rank that is no picture.
    #[error(
        "a tensor of shape {shape:?} has rank {}, but a picture has rank 2 (height, width), \
         3 (one image) or 4 (a batch): select or reshape it first",
        shape.len()
    )]
    Rank {
        /// The shape given.
        shape: Vec<usize>,
    },

    /// A tensor without elements.
    #[error(
        "a tensor of shape {shape:?} is empty: a picture needs every dimension to be at least 1"
    )]
    Empty {
        /// The shape given.
        shape: Vec<usize>,
    },

    /// A number of channels that no mode has.
    #[error(
        "a tensor of shape {shape:?}, read as {dimensions}, has {channels} channels, but a \
         picture has 1 (L), 3 (RGB) or 4 (RGBA){hint}"
    )]
    Channels {
        /// The shape given.
        shape: Vec<usize>,
        /// How it was read, such as `(C, H, W)`.
        dimensions: &'static str,
        /// The channels found there.
        channels: usize,
        /// What to do, beginning with a separator; empty where nothing is known.
        hint: String,
    },

    /// A picture over the greatest dimension or area.
    #[error(
        "a picture of {width}×{height} pixels is too large: {limit}; make it smaller, or lay a grid \
         out with fewer images, or more or fewer of them a row"
    )]
    TooLarge {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// What is allowed.
        limit: &'static str,
    },

    /// A dtype that has no picture.
    #[error("a tensor of dtype {dtype} has no picture: {hint}")]
    Dtype {
        /// The framework's own name of the dtype.
        dtype: String,
        /// What to do.
        hint: &'static str,
    },

    /// Elements that don't fill the shape.
    #[error(
        "a tensor of shape {shape:?} has {} elements, but {given} were given",
        element_count(shape)
    )]
    Length {
        /// The shape given.
        shape: Vec<usize>,
        /// The number of elements given.
        given: usize,
    },

    /// An index past the end.
    #[error("image {index} was asked for, but the batch holds {len}")]
    Index {
        /// The index given.
        index: usize,
        /// The images there are.
        len: usize,
    },

    /// An option with a value it can't have.
    #[error("{option} is {given}, but {expected}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// The value given.
        given: String,
        /// What is allowed, and what to do.
        expected: String,
    },

    /// Pixels whose number doesn't fit their size and mode.
    #[error("{width}×{height} pixels of mode {mode} are {expected} bytes, but {given} were given")]
    PixelCount {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The mode's name.
        mode: &'static str,
        /// Bytes expected.
        expected: usize,
        /// Bytes given.
        given: usize,
    },

    /// A picture that can't be written in the format asked for.
    #[error("a picture of mode {mode} can't be a {format} file: {hint}")]
    Format {
        /// The mode's name.
        mode: &'static str,
        /// The file format.
        format: &'static str,
        /// What to do.
        hint: &'static str,
    },

    /// An encoder's own failure.
    #[error("the {format} encoder failed on a picture of {width}×{height}: {source}")]
    Encode {
        /// The file format.
        format: &'static str,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The encoder's error.
        source: BoxedError,
    },

    /// A file that is no picture, or a damaged one.
    #[error("{} can't be read as a picture: {reason}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        reason: String,
    },

    /// A tensor file (safetensors, npy) that can't be read.
    #[error("{} can't be read as a tensor file: {reason}", path.display())]
    TensorFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        reason: String,
    },

    /// A framework couldn't bring a tensor to the host.
    #[error("the tensor could not be read from its device: {source}")]
    Device {
        /// The framework's error.
        source: BoxedError,
    },

    /// The batch that several images share failed once, for all of them.
    #[error(transparent)]
    Shared(Arc<Error>),

    /// Whatever was to give samples failed: a model's forward pass, for example.
    #[error("there are no samples to log: {source}")]
    Sample {
        /// The failure, of any type.
        source: BoxedError,
    },

    /// Columns of samples that don't go together.
    #[error(
        "the columns of the samples have {}, but a sample has one image in each: give all columns \
         as many images",
        column_counts(columns)
    )]
    Columns {
        /// The name of each column, and the images in it.
        columns: Vec<(String, usize)>,
    },

    /// A key that W&B can't hold.
    #[error("the key {:?} can't be logged: {reason}", beginning(key))]
    Key {
        /// The key given; of one that is over 64 KiB long, its beginning.
        key: String,
        /// What is wrong with it, and what to do.
        reason: &'static str,
    },

    /// A step that lies before the row that is open.
    #[error(
        "step {step} was logged after step {last}: steps must rise, since W&B drops or renumbers \
         rows that go back; log at step {last} or later, or let `log` count"
    )]
    Step {
        /// The step given.
        step: u64,
        /// The last step that was logged.
        last: u64,
    },

    /// A step whose row is on disk already, or lies before one that is.
    #[error(
        "step {step} can't take more: its row was closed by `log`, by a later step, by flush or by \
         finish, and those up to step {last} are closed already; log at step {next} or later, and \
         use `log_at` for all that belongs to one step"
    )]
    StepWritten {
        /// The step given.
        step: u64,
        /// The last step that is on disk.
        last: u64,
        /// The first step that can be logged now.
        next: u64,
    },

    /// A step that a run has from before it was resumed.
    #[error(
        "step {step} was logged before the run was resumed, and can't take more: it goes on at step \
         {next}; where training goes on from an older checkpoint, skip the steps below the step() \
         that the run begins with"
    )]
    StepBeforeResume {
        /// The step given.
        step: u64,
        /// The first step after what was logged before.
        next: u64,
    },

    /// A call on a run that has ended.
    #[error("the run {run_id} is finished: start a new one to log more")]
    Finished {
        /// The run's id.
        run_id: String,
    },

    /// An image that can't be logged under its key.
    #[error("{}: {source}", place_of(key, *index))]
    Image {
        /// The key.
        key: String,
        /// Which image of a list, the first being 0; `None` for an image alone.
        index: Option<usize>,
        /// What is wrong with it.
        source: Arc<Error>,
    },

    /// A mask or boxes that can't lie over their image.
    #[error("{kind} {layer:?}: {source}")]
    Layer {
        /// `mask` or `boxes`.
        kind: &'static str,
        /// The layer's key.
        layer: String,
        /// What is wrong with it.
        source: Arc<Error>,
    },

    /// A key that a mask or boxes can't have.
    #[error("{reason}")]
    LayerKey {
        /// What is wrong with it, and what to do.
        reason: &'static str,
    },

    /// A mask of another size than its image.
    #[error(
        "it has {}×{} pixels, but its image has {}×{}: a mask has one class id for each pixel of \
         its image, so give both the same size (MaskOptions has resize, for an image that was \
         resized, and layout, for scores whose classes come last)",
        mask.0, mask.1, picture.0, picture.1
    )]
    MaskSize {
        /// Width and height of the mask, in pixels.
        mask: (u32, u32),
        /// Width and height of the image, in pixels.
        picture: (u32, u32),
    },

    /// A picture that is not on this machine.
    #[error(
        "the image is a reference to {uri}, and has no pixels here: a run holds files, so download \
         it and use Image::from_path"
    )]
    Reference {
        /// Where the picture is.
        uri: String,
    },

    /// The directory of a new run is there already.
    #[error(
        "the run directory {} exists already, and a run is never overwritten: use another run id \
         or another WANDB_DIR",
        path.display()
    )]
    RunExists {
        /// The directory.
        path: PathBuf,
    },

    /// A run that can't be continued: see [`RunBuilder::resume`](crate::RunBuilder::resume).
    #[error("the run in {} can't be continued: {reason}", path.display())]
    Resume {
        /// The run's directory.
        path: PathBuf,
        /// What stands against it, and what to do.
        reason: String,
    },

    /// A step before the first one of a run that starts later.
    #[error(
        "step {step} lies before step {first}, at which this run starts: log at step {first} or later"
    )]
    StepBeforeStart {
        /// The step given.
        step: u64,
        /// The run's starting step.
        first: u64,
    },

    /// The directory of a new run can't be made.
    #[error(
        "could not create {}: {source}; a run is written below its `dir`, or WANDB_DIR, or the \
         current directory: choose one that can be written",
        path.display()
    )]
    RunDirectory {
        /// What could not be made.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },

    /// A run that is being written, and that another writer was to go on with. A file system
    /// without locks, as some in a network, can't tell.
    #[error(
        "the run {} is being written by another process, or by another Run of this one: wait until \
         it has ended, or end it",
        path.display()
    )]
    RunInUse {
        /// The run's directory.
        path: PathBuf,
    },

    /// The directory of a run was deleted while it was written, and can't be made again yet. That
    /// is tried again before each row; where its log can't be copied, at each flush alone, which
    /// comes about once a second.
    #[error(
        "the run directory {} was deleted while the run was written, and can't be made again: \
         {source}; rows are refused until it can, and those before them are kept until this \
         process ends",
        path.display()
    )]
    RunDirectoryGone {
        /// The directory.
        path: PathBuf,
        /// Why it can't be made again.
        source: std::io::Error,
    },

    /// The directory of a run was deleted while it was written, or folders of its media files or of
    /// its artifacts were deleted or moved.
    /// The run goes on; [`flush`](crate::Run::flush) and [`finish`](crate::Run::finish) return
    /// this.
    #[error(
        "{} while the run was written: {}; what is logged from now on is written",
        deleted(path, *log_restored),
        left(*log_restored, *media_lost, *artifact_files_lost)
    )]
    RunDirectoryLost {
        /// The directory.
        path: PathBuf,
        /// The log was deleted too, and made again with all its records.
        log_restored: bool,
        /// Media files that rows in the log name and that are gone.
        media_lost: u64,
        /// Files of artifacts that the log names and that are gone: `wandb sync` will not upload
        /// those artifacts.
        artifact_files_lost: u64,
    },

    /// A setting of the run with a value it can't have.
    #[error("{name} is {given:?}, but {expected}")]
    Setting {
        /// The setting: a builder's method or an environment variable.
        name: &'static str,
        /// The value given.
        given: String,
        /// What is allowed, and what to do.
        expected: &'static str,
    },

    /// A value that can't become JSON.
    #[error("a value can't be logged: {reason}")]
    Value {
        /// What serde said.
        reason: String,
    },

    /// A row, or a picture of a row, that was accepted and couldn't be written. A row keeps its
    /// other values.
    #[error("{what} at step {step} was not written: {source}")]
    Unwritten {
        /// What it is, with its key.
        what: String,
        /// Its step.
        step: u64,
        /// Why.
        source: Arc<Error>,
    },

    /// Pictures that [`media_json`](crate::Run::media_json) was asked for, and that were dropped.
    #[error(
        "the media of {key:?} at step {step} was dropped, since the queue was full: ask for fewer \
         or smaller pictures at a time, or choose a larger queue_bytes or Overflow::Block"
    )]
    Dropped {
        /// The key given.
        key: String,
        /// The step given.
        step: u64,
    },

    /// Not everything that was logged is on disk: what [`flush`](crate::Run::flush) and
    /// [`finish`](crate::Run::finish) say.
    #[error("{}", incomplete(self))]
    Incomplete {
        /// Rows that were still on their way when the time was up.
        rows_queued: u64,
        /// Pictures that were still on their way when the time was up.
        pictures_queued: u64,
        /// Artifacts, and tables, that were still on their way when the time was up.
        artifacts_queued: u64,
        /// How long was waited, where the time was up.
        waited: Option<Duration>,
        /// Rows that the disk refused.
        rows_failed: u64,
        /// Pictures that couldn't be made, and those that the disk refused.
        pictures_failed: u64,
        /// Artifacts, and tables, that couldn't be made, and those that the disk refused.
        artifacts_failed: u64,
        /// Pictures that were dropped since the queue was full.
        pictures_dropped: u64,
        /// The first failure.
        first: Option<Arc<Error>>,
    },

    /// An artifact that can't be.
    #[error("{reason}")]
    Artifact {
        /// What is wrong with it, and what to do.
        reason: String,
    },

    /// A path in an artifact that can't be.
    #[error(
        "the path {path:?} in an artifact can't be: {reason}; give one such as \"train/0.png\""
    )]
    ArtifactPath {
        /// The path, or its beginning.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A file in the folder of an artifact that isn't there, or isn't what the artifact says.
    #[error("{path:?} of the artifact in {} can't be read: {reason}", dir.display())]
    ArtifactFile {
        /// The folder.
        dir: PathBuf,
        /// The file's path in it.
        path: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },

    /// JSON that isn't that of an image or a table of an artifact.
    #[error("the JSON of an artifact can't be read: {reason}")]
    ArtifactJson {
        /// What is wrong with it, and what was expected.
        reason: String,
    },

    /// A value of a table that can't be read.
    #[error("row {row} of the table, column {column:?}: {source}")]
    Cell {
        /// The row, the first being 0.
        row: usize,
        /// The name of the column.
        column: String,
        /// What is wrong with it.
        source: Arc<Error>,
    },

    /// An artifact that couldn't be made, or written: nothing of it is uploaded.
    #[error("the artifact {name:?} is not on disk: {source}")]
    ArtifactUnwritten {
        /// Its name.
        name: String,
        /// Why.
        source: Arc<Error>,
    },

    /// A table, or a row of one, that can't be.
    #[error("{reason}")]
    Table {
        /// What is wrong with it, and what to do.
        reason: String,
    },

    /// A file that was added to an artifact, and changed before it was taken.
    #[error(
        "{} has changed since it was added to an artifact, which would have a wrong digest: add it \
         when it is written, or by Artifact::add_mutable_file, which copies it",
        path.display()
    )]
    FileChanged {
        /// The file.
        path: PathBuf,
    },

    /// An image whose masks are files, without any classes: W&B draws no mask of an artifact
    /// without the names of its classes.
    #[error(
        "an image with a mask of a file needs the names of classes where it goes into an artifact \
         or a table, and none was given: name them by Image::classes, or by \
         ImageMask::class_labels"
    )]
    NoClasses,

    /// A panic of a tensor, a closure or a sink of your own, which was caught.
    #[error("it panicked while {when}: {message}")]
    Panicked {
        /// What was being done.
        when: &'static str,
        /// What the panic said.
        message: String,
    },

    /// A thread that couldn't be started.
    #[error("could not start a thread {purpose}: {source}; {advice}")]
    Thread {
        /// What it was for, as the message says it.
        purpose: &'static str,
        /// What to do.
        advice: &'static str,
        /// The system's error.
        source: std::io::Error,
    },

    /// The operating system refused.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried, a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },

    /// The handlers of [`RunBuilder::finish_on_signal`](crate::RunBuilder::finish_on_signal)
    /// couldn't be installed.
    #[error(
        "could not watch SIGINT and SIGTERM: {source}; start the run without `finish_on_signal`"
    )]
    Signal {
        /// The system's error.
        source: std::io::Error,
    },

    /// A transaction log that can't be read on.
    #[error("{} is damaged at byte {offset}: {reason}", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// Where reading stopped.
        offset: u64,
        /// What was found there.
        reason: String,
    },

    /// A damaged run of which no clean one can be made.
    #[error("{} can't be repaired: {reason}", path.display())]
    Unrepairable {
        /// The run.
        path: PathBuf,
        /// Why.
        reason: String,
    },

    /// A class id with two names.
    #[error(
        "class id {id} was given twice, as {first:?} and as {second:?}, but an id has one name: \
         leave one out, or give it an id of its own"
    )]
    ClassTwice {
        /// The id.
        id: i64,
        /// Its name at first.
        first: String,
        /// Its name afterwards.
        second: String,
    },

    /// A file that is no mask, or a damaged one.
    #[error("{} can't be read as a mask: {reason}", path.display())]
    MaskFile {
        /// The file.
        path: PathBuf,
        /// What it is, and what was expected.
        reason: String,
    },

    /// A class id that a mask can't hold.
    #[error("{}", mask_id(*id, *row, *column, *mask))]
    MaskId {
        /// The id.
        id: i128,
        /// Its row, from the top, the first being 0.
        row: usize,
        /// Its column, from the left, the first being 0.
        column: usize,
        /// Which mask of a batch it is in, the first being 0; `None` for a mask alone.
        mask: Option<usize>,
    },

    /// A tensor whose shape or dtype is none of a mask or of boxes.
    #[error("a tensor of shape {shape:?} and dtype {dtype} can't be {reason}")]
    LayerTensor {
        /// The shape given.
        shape: Vec<usize>,
        /// The dtype given.
        dtype: &'static str,
        /// What it was to be, what was expected, and what to do.
        reason: String,
    },

    /// A box that can't be drawn.
    #[error("box {index} {reason}")]
    Box {
        /// Which box of the layer, the first being 0.
        index: usize,
        /// What is wrong with it, and what to do.
        reason: String,
    },

    /// A tensor over the greatest size, or of too many images.
    #[error(
        "a tensor of shape {shape:?} is too large: {limit}; log fewer of its images \
         (ImageOptions::max_images takes the first), or select or resize them first"
    )]
    TensorTooLarge {
        /// The shape given.
        shape: Vec<usize>,
        /// What is over the limit.
        limit: &'static str,
    },
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// Wraps a framework's failure to bring a tensor to the host.
    ///
    /// ```
    /// let error = wandb_image::Error::device("out of memory");
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the tensor could not be read from its device: out of memory"
    /// );
    /// ```
    pub fn device(source: impl Into<BoxedError>) -> Self {
        Error::Device {
            source: source.into(),
        }
    }
}

fn column_counts(columns: &[(String, usize)]) -> String {
    let counts = columns.iter().map(|(name, images)| {
        let s = if *images == 1 { "" } else { "s" };
        format!("{images} image{s} in {name:?}")
    });
    Vec::from_iter(counts).join(", ")
}

impl Error {
    /// The error of one image of a list.
    pub(crate) fn of_listed(self, key: &str, index: usize) -> Self {
        self.of_image(key, Some(index))
    }

    /// The error of an image under a key, or of one of a list.
    pub(crate) fn of_image(self, key: &str, index: Option<usize>) -> Self {
        Error::Image {
            key: key.into(),
            index,
            source: Arc::new(self),
        }
    }

    /// What a panic that was caught said.
    pub(crate) fn panicked(when: &'static str, panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Error::Panicked {
            when,
            message: text.unwrap_or_else(|| "it gave no message".into()),
        }
    }
}

/// The text, or as much of a long one as a message takes.
pub(crate) fn beginning(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

/// Which image of a row.
fn place_of(key: &str, index: Option<usize>) -> String {
    match index {
        Some(index) => format!("image {index} of the list {key:?}"),
        None => format!("the image {key:?}"),
    }
}

/// What was deleted of a run.
fn deleted(path: &Path, log: bool) -> String {
    match log {
        true => format!(
            "the run directory {}, or the log in it, was deleted",
            path.display()
        ),
        false => format!(
            "folders of the run directory {} were deleted or moved",
            path.display()
        ),
    }
}

/// What was saved of a deleted run, and what wasn't.
fn left(log: bool, media: u64, of_artifacts: u64) -> String {
    let saved = match log {
        true => "its log was made again with all its rows, ",
        false => "no row is lost, ",
    };
    let lost = match media {
        0 => "and no media file that they name is missing".into(),
        1 => "but 1 media file that they name is gone, and can't be brought back".into(),
        n => format!("but {n} media files that they name are gone, and can't be brought back"),
    };
    let artifacts = match of_artifacts {
        0 => String::new(),
        1 => "; 1 file of an artifact is gone too: log that artifact once more".into(),
        n => format!("; {n} files of artifacts are gone too: log those artifacts once more"),
    };
    format!("{saved}{lost}{artifacts}")
}

/// The text of [`Error::MaskId`].
fn mask_id(id: i128, row: usize, column: usize, mask: Option<usize>) -> String {
    let of_mask = mask.map_or_else(String::new, |mask| format!(" of mask {mask}"));
    let remedy = match i64::try_from(id) {
        Ok(id) => format!(
            "MaskOptions::remap({id}, to) gives it another id, if it is an ignore index, and \
             MaskOptions::remap_outside(to) all such ids"
        ),
        Err(_) => "MaskOptions::remap_outside(to) gives all such ids another".into(),
    };
    format!(
        "id {id} at row {row}, column {column}{of_mask} is outside 0 to 255, which a mask holds: \
         {remedy}"
    )
}

fn element_count(shape: &[usize]) -> String {
    shape
        .iter()
        .try_fold(1_usize, |product, &dim| product.checked_mul(dim))
        .map_or_else(|| "more than fit into memory".into(), |n| n.to_string())
}

/// The text of [`Error::Incomplete`]: what is lost, what is late, and what to do.
fn incomplete(error: &Error) -> String {
    let Error::Incomplete {
        rows_queued,
        pictures_queued,
        artifacts_queued,
        waited,
        rows_failed,
        pictures_failed,
        artifacts_failed,
        pictures_dropped,
        first,
    } = error
    else {
        return String::new();
    };
    let late = waited.map(|waited| {
        format!(
            "{} still on their way after {} s: call it again, or give it more time",
            counts(*rows_queued, *pictures_queued, *artifacts_queued),
            waited.as_secs_f32()
        )
    });
    let dropped = (*pictures_dropped > 0).then(|| {
        format!(
            "{} dropped, since the queue was full (see Overflow)",
            counted(*pictures_dropped, "picture")
        )
    });
    let failed = (*rows_failed + *pictures_failed + *artifacts_failed > 0).then(|| {
        format!(
            "{} failed",
            counts(*rows_failed, *pictures_failed, *artifacts_failed)
        )
    });
    let first = first
        .as_ref()
        .map(|first| format!("the first failure: {first}"));
    let parts: Vec<String> = [late, dropped, failed, first]
        .into_iter()
        .flatten()
        .collect();
    format!("not all that was logged is on disk: {}", parts.join("; "))
}

/// What there is of rows and pictures, in words.
/// As "2 rows and 1 picture"; of nothing, "0 rows".
pub(crate) fn counts(rows: u64, pictures: u64, artifacts: u64) -> String {
    let parts = [
        (rows, "row"),
        (pictures, "picture"),
        (artifacts, "artifact"),
    ];
    let parts = parts.into_iter().filter(|(n, _)| *n > 0);
    let parts: Vec<String> = parts.map(|(n, thing)| counted(n, thing)).collect();
    match parts.split_last() {
        None => counted(0, "row"),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

pub(crate) fn counted(n: u64, thing: &str) -> String {
    counted_as(n, thing, &format!("{thing}s"))
}

/// The same of things whose plural isn't made with an s.
pub(crate) fn counted_as(n: u64, one: &str, many: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        _ => format!("{n} {many}"),
    }
}
