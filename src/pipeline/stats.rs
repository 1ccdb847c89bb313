//! What became of everything that was logged.

use std::time::Duration;

/// What became of everything that a run was given, at one moment: [`Run::stats`](crate::Run::stats).
///
/// ```
/// use wandb_image::{HostTensor, IntoWandbImage, Row};
///
/// let run = wandb_image::init().start_on(wandb_image::sink::MemorySink::new())?;
/// let picture = HostTensor::new([8, 8], vec![0.5_f32; 64])?.to_wandb_image()?;
/// run.log(Row::new().with("loss", 0.5).with("sample", picture))?;
/// run.finish()?;
///
/// let stats = run.stats();
/// assert_eq!((stats.rows.written, stats.pictures.written), (1, 1));
/// assert_eq!((stats.pictures.queued, stats.queued_bytes), (0, 0));
/// # Ok::<(), wandb_image::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Rows: one per [`log`](crate::Run::log), one per step of [`log_at`](crate::Run::log_at).
    pub rows: Counts,
    /// Pictures, each of a list by itself, also those of
    /// [`media_json`](crate::Run::media_json).
    pub pictures: Counts,
    /// Artifacts ([`log_artifact`](crate::Run::log_artifact)), and tables, whose pictures don't
    /// count as such but where they couldn't be made.
    pub artifacts: Counts,
    /// Bytes that pictures and long values on their way hold now, as
    /// [`Overflow`](crate::Overflow) counts them.
    pub queued_bytes: u64,
    /// Bytes of picture files and records that were given to the disk.
    pub bytes_written: u64,
    /// Time that the workers spent on making pictures: reading tensors from their device,
    /// normalising, encoding and hashing, added up over the workers.
    pub encode_time: Duration,
}

/// Of rows, of pictures or of artifacts: at every moment `accepted` = `written` + `dropped` + `failed` +
/// `queued`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Taken by `log`, `log_at` and `media_json`. A picture that a later call replaced, under the same key and
    /// step, doesn't count any more.
    pub accepted: u64,
    /// With the operating system.
    pub written: u64,
    /// Dropped since the queue was full, as [`Overflow`](crate::Overflow) says it. Rows never are.
    pub dropped: u64,
    /// Pictures that couldn't be made, and what the disk refused.
    pub failed: u64,
    /// On their way.
    pub queued: u64,
}

impl Counts {
    pub(super) fn accept(&mut self, n: u64) {
        self.accepted += n;
        self.queued += n;
    }

    pub(super) fn take_back(&mut self, n: u64) {
        self.accepted -= n;
        self.queued -= n;
    }

    pub(super) fn write(&mut self, n: u64) {
        self.queued -= n;
        self.written += n;
    }

    pub(super) fn drop(&mut self, n: u64) {
        self.queued -= n;
        self.dropped += n;
    }

    pub(super) fn fail(&mut self, n: u64) {
        self.queued -= n;
        self.failed += n;
    }
}
