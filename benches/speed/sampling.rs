//! How the crate is used here: a run, samples of it by key and step, and what they left on disk.

use std::fs;
use std::path::{Path, PathBuf};

use wandb_image::{Every, FileType, ImageOptions, Overflow, Run, RunBuilder, SampleLogger};

use crate::Result;

/// An offline run in `dir`, with the defaults.
pub(crate) fn start(dir: &Path) -> Result<Run> {
    Ok(builder(dir)?.start()?)
}

/// The same, but for one that takes pictures as fast as they go: what the disk can't follow is
/// waited for, not dropped.
pub(crate) fn start_blocking(dir: &Path) -> Result<Run> {
    Ok(builder(dir)?.overflow(Overflow::Block).start()?)
}

fn builder(dir: &Path) -> Result<RunBuilder> {
    fs::create_dir_all(dir)?;
    Ok(wandb_image::init().project("speed").dir(dir))
}

/// Samples of a whole batch, each picture by itself, every so many steps.
pub(crate) fn sampler(run: &Run, every: u64, file_type: FileType) -> SampleLogger {
    SampleLogger::new(run, "samples")
        .every(Every::steps(every))
        .max_images(usize::MAX)
        .options(ImageOptions::new().file_type(file_type))
}

/// What a finished run left on disk.
pub(crate) struct Left {
    pub(crate) dir: PathBuf,
    pub(crate) pictures: u64,
    pub(crate) bytes: u64,
}

/// Ends the run.
pub(crate) fn end(run: &Run) -> Result<Left> {
    run.finish()?;
    let dir = run.dir().ok_or("the run has no directory")?.to_path_buf();
    let (mut pictures, mut bytes) = (0, 0);
    let media = dir.join("files/media/images");
    let files = media.exists().then(|| fs::read_dir(media)).transpose()?;
    for entry in files.into_iter().flatten() {
        pictures += 1;
        bytes += entry?.metadata()?.len();
    }
    Ok(Left {
        dir,
        pictures,
        bytes,
    })
}

impl Left {
    /// Fails where pictures are missing: a figure without them would say nothing.
    pub(crate) fn check(self, pictures: u64) -> Result<Self> {
        if self.pictures == pictures {
            return Ok(self);
        }
        let found = self.pictures;
        Err(format!("{pictures} pictures were logged, and {found} are on disk").into())
    }

    pub(crate) fn remove(self) -> Result<()> {
        Ok(fs::remove_dir_all(self.dir)?)
    }
}
