//! `wandb-image log`.

use std::io::Write;
use std::path::Path;

use wandb_image::decode::{read_npy, read_safetensors};
use wandb_image::{
    HostTensor, Image, ImageOptions, IntoWandbImage, Layout, Normalize, Row, Run, RunBuilder,
    RunMode, Value,
};

use crate::args::LogArgs;
use crate::failure::{Failure, Result};
use crate::progress;

/// How a file is read: by its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Safetensors,
    Npy,
    Picture,
}

impl FileKind {
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match &*extension {
            "safetensors" => Some(FileKind::Safetensors),
            "npy" => Some(FileKind::Npy),
            "png" | "jpg" | "jpeg" | "bmp" => Some(FileKind::Picture),
            _ => None,
        }
    }
}

/// The images that go under one key.
struct Entry {
    key: String,
    images: Vec<Image>,
    /// A list in W&B, even of one.
    list: bool,
}

pub(crate) fn run(args: &LogArgs) -> Result<()> {
    let entries = gather(read_all(args)?);
    let images = entries.iter().flat_map(|entry| &entry.images);
    let pixels = images
        .clone()
        .map(|i| u64::from(i.width()) * u64::from(i.height()));
    let (count, pixels) = (images.clone().count(), pixels.sum());
    let row = row(entries);
    rehearse(args, &row)?;

    let run = builder(args).finish_on_signal().start()?;
    let spinner = progress::writing(count, pixels);
    let logged = log(&run, args.step, row);
    spinner.finish_and_clear();
    if let Err(error) = logged {
        // What went wrong first is told; the exit record says that it did.
        let _ = run.finish_with(1);
        return Err(error.into());
    }
    run.finish()?;
    tell(&run)
}

fn log(run: &Run, step: Option<u64>, row: Row) -> wandb_image::Result<()> {
    match step {
        Some(step) => run.log_at(step, row),
        None => run.log(row),
    }
}

/// Finds what a run would refuse before there is one.
fn rehearse(args: &LogArgs, row: &Row) -> Result<()> {
    let run = builder(args).mode(RunMode::Disabled).start()?;
    log(&run, args.step, row.clone())?;
    Ok(run.finish()?)
}

fn builder(args: &LogArgs) -> RunBuilder {
    let mut builder = wandb_image::init();
    if let Some(project) = &args.project {
        builder = builder.project(project);
    }
    if let Some(dir) = &args.dir {
        builder = builder.dir(dir);
    }
    builder
}

/// The last line on stdout: the run's directory, alone.
fn tell(run: &Run) -> Result<()> {
    let Some(dir) = run.dir() else {
        note("WANDB_MODE=disabled: nothing was written");
        return Ok(());
    };
    let written = writeln!(std::io::stdout(), "{}", dir.display());
    written.map_err(|error| {
        Failure::new(format!(
            "the run is at {}, but stdout refused that: {error}",
            dir.display()
        ))
    })
}

fn note(text: &str) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "note: {text}");
}

fn read_all(args: &LogArgs) -> Result<Vec<Entry>> {
    let bar = progress::reading(&args.files);
    let mut entries = Vec::new();
    for path in &args.files {
        entries.extend(read(args, path)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(entries)
}

fn read(args: &LogArgs, path: &Path) -> Result<Vec<Entry>> {
    match FileKind::of(path) {
        Some(FileKind::Safetensors) => safetensors(args, path),
        Some(FileKind::Npy) => Ok(vec![npy(args, path)?]),
        Some(FileKind::Picture) => Ok(vec![picture(args, path)?]),
        None => Err(Failure::new(format!(
            "{} is of an unknown kind: a file must end in .safetensors, .npy, .png, .jpg, .jpeg \
             or .bmp",
            path.display()
        ))),
    }
}

fn safetensors(args: &LogArgs, path: &Path) -> Result<Vec<Entry>> {
    let options = args.image_options(Layout::Chw, Normalize::MinMax);
    let tensors = read_safetensors(path, &args.tensors)?;
    let entry = |(name, tensor): (String, _)| {
        let about = || format!("the tensor {name:?} of {}", path.display());
        let (images, list) = images(args, &tensor, &options, &about)?;
        Ok(Entry {
            key: args.key.clone().unwrap_or(name),
            images,
            list,
        })
    };
    tensors.into_iter().map(entry).collect()
}

fn npy(args: &LogArgs, path: &Path) -> Result<Entry> {
    let array = read_npy(path)?;
    let options = args.image_options(Layout::Hwc, Normalize::ToUint8);
    let (images, list) = images(args, &array, &options, &|| path.display().to_string())?;
    Ok(Entry {
        key: key_of(args, path),
        images,
        list,
    })
}

fn picture(args: &LogArgs, path: &Path) -> Result<Entry> {
    let mut image = Image::from_path(path)?;
    if let Some(file_type) = args.file_type() {
        image = image.file_type(file_type);
    }
    let without_effect = args.for_tensors_only();
    if !without_effect.is_empty() {
        note(&format!(
            "{} is a picture and is logged as it is, without {}",
            path.display(),
            without_effect.join(", ")
        ));
    }
    Ok(Entry {
        key: key_of(args, path),
        images: vec![captioned(args, image)],
        list: false,
    })
}

/// The images of a tensor, and whether they are a list in W&B.
fn images(
    args: &LogArgs,
    tensor: &HostTensor,
    options: &ImageOptions,
    about: &dyn Fn() -> String,
) -> Result<(Vec<Image>, bool)> {
    let batch = tensor.shape().len() == 4 && !args.grid;
    let images = match batch {
        true => tensor.to_wandb_images_with(options),
        false => tensor.to_wandb_image_with(options).map(|image| vec![image]),
    };
    let images = images.map_err(|error| Failure::about(about(), error))?;
    let images = images.into_iter().map(|image| captioned(args, image));
    Ok((images.collect(), batch))
}

fn captioned(args: &LogArgs, image: Image) -> Image {
    match &args.caption {
        Some(caption) => image.caption(caption),
        None => image,
    }
}

/// The key of what has no name of its own: the file's, without the extension.
fn key_of(args: &LogArgs, path: &Path) -> String {
    let stem = || {
        path.file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    args.key.clone().unwrap_or_else(stem)
}

/// What has the same key becomes one list.
fn gather(entries: Vec<Entry>) -> Vec<Entry> {
    let mut gathered: Vec<Entry> = Vec::new();
    for entry in entries {
        match gathered.iter_mut().find(|known| known.key == entry.key) {
            Some(known) => {
                known.images.extend(entry.images);
                known.list = true;
            }
            None => gathered.push(entry),
        }
    }
    gathered
}

fn row(entries: Vec<Entry>) -> Row {
    let value = |entry: Entry| -> (String, Value) {
        let value = match <[Image; 1]>::try_from(entry.images) {
            Ok([image]) if !entry.list => image.into(),
            Ok([image]) => vec![image].into(),
            Err(images) => images.into(),
        };
        (entry.key, value)
    };
    entries.into_iter().map(value).collect()
}
