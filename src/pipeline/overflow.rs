//! What happens when pictures come faster than they are written.

use std::time::Duration;

use crate::error::{Error, Result};

/// What [`log`](crate::Run::log) does with pictures when the run's queue is full.
///
/// Between `log` and the disk stands a queue, bounded in bytes
/// ([`queue_bytes`](crate::RunBuilder::queue_bytes), 256 MiB by default) and in rows
/// ([`queue_rows`](crate::RunBuilder::queue_rows), 10,000 by default). It is full when pictures
/// are logged faster than they are encoded, or when the disk is slow. What is counted is the
/// memory that is held: of a picture that isn't made yet its tensor and its pixels, of one that
/// is made the bytes of its file, until it is written. A picture that alone is larger than the
/// bound is taken when the queue is empty. Of a closed row's other values, and of those of the
/// summary and the config, what they take over 1 KiB is counted too, such as that of a long text
/// or list: so pictures give way to them.
///
/// Scalars, texts and lists are never dropped, whatever is chosen. A row whose pictures are dropped
/// is written with its other values. So where the disk stands still, rows without pictures go on to
/// queue, beyond both bounds, unless the policy is [`Block`](Self::Block). The first drop is told
/// as a warning, the number at the end of the run and in [`Run::stats`](crate::Run::stats).
///
/// ```
/// use std::time::Duration;
/// use wandb_image::Overflow;
///
/// let builder = wandb_image::init()
///     .queue_bytes(1 << 30)
///     .overflow(Overflow::Wait(Duration::from_millis(100)));
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// Waits for room, at most this long in all, and then drops the pictures that are being
    /// logged. The default, with one second.
    ///
    /// "In all" is over every call of every thread, until all of it has been written again: a
    /// burst is waited for, and a training loop that always logs more than can be written isn't
    /// slowed down for good. A row without pictures doesn't wait for room, but it comes after the call of
    /// another thread that does.
    Wait(Duration),
    /// Waits for room without limit: nothing is dropped, and training is as fast as the disk. Rows
    /// without pictures wait too, and so do values of the summary and the config, where
    /// [`queue_rows`](crate::RunBuilder::queue_rows) is reached or their long values find no room.
    /// Pictures of one step that fill the queue by themselves are taken beyond its bound, since
    /// their row isn't written before the step moves on; and so are that row's long values.
    Block,
    /// Never waits: makes room by dropping the oldest pictures that aren't written yet, and the
    /// new ones where that is not enough.
    DropOldest,
}

impl Default for Overflow {
    fn default() -> Self {
        Self::Wait(Duration::from_secs(1))
    }
}

/// The size of the pipeline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: u64,
    pub(crate) rows: usize,
    pub(crate) overflow: Overflow,
    pub(crate) workers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            rows: 10_000,
            overflow: Overflow::default(),
            workers: default_workers(),
        }
    }
}

impl Limits {
    pub(crate) fn check(&self) -> Result<()> {
        check_positive("queue_bytes", self.bytes)?;
        check_positive("queue_rows", self.rows as u64)?;
        check_positive("workers", self.workers as u64)
    }
}

fn check_positive(option: &'static str, given: u64) -> Result<()> {
    if given > 0 {
        return Ok(());
    }
    Err(Error::Option {
        option,
        given: "0".into(),
        expected: "it must be at least 1".into(),
    })
}

/// One processor is left to the training loop, and more than a few are of no use to pictures.
fn default_workers() -> usize {
    const MOST: usize = 8;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    processors.saturating_sub(1).clamp(1, MOST)
}
