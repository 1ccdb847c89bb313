//! [`Artifact`]: files, images and tables under one name, which W&B keeps with their versions.

mod draft;
mod folder;
mod from_json;
mod image;
mod made;
mod names;
mod opened;
mod wanted;
pub(crate) mod workshop;

use std::path::Path;

use serde::Serialize;

pub(crate) use draft::{Digest, Draft, Entry, Files, Source};
pub(crate) use image::place;
pub(crate) use made::{Heading, MadeArtifact, manifest_digest};
pub(crate) use names::{check_table_key, of_table};
pub use opened::OpenArtifact;
use workshop::Undone;

use crate::error::{Error, Result};
use crate::image::Image;
use crate::table::{SharedTable, Table};
use crate::value::Json;

/// What is said of folders, of one artifact.
const MAX_SAYINGS: usize = 8;

/// Metadata has at most so many keys.
const MAX_METADATA: usize = 100;

/// Files, pictures and references under one name, of which W&B keeps every version: a data set, a
/// model, predictions. `wandb.Artifact` in Python.
///
/// It is put together first and then logged, by [`Run::log_artifact`](crate::Run::log_artifact).
/// Digests, manifest and layout are those of the Python SDK, so that the same files make the same
/// version, whoever logs them.
///
/// # What happens when
///
/// What is added is checked at once, as far as that is cheap: that a file is there, that a name is
/// free. Files are hashed and pictures are encoded in the background, on all cores; pictures that
/// wait hold at most 256 MiB, of all artifacts and tables of the process together, beyond which
/// [`add`](Self::add) waits. What fails then makes `log_artifact` fail: the run tells it, and
/// [`flush`](crate::Run::flush) and [`finish`](crate::Run::finish) return it.
///
/// A file that is added isn't read into memory, nor copied: the run's directory gets a hard link to
/// it (a copy where the file system has none, or is another). So it must stay as it is until
/// `wandb sync` has uploaded it: one that changes before it is logged is
/// [`Error::FileChanged`], and one that is written to in its place afterwards is refused by the
/// server, and named by `wandb-image verify`. It may be deleted, or replaced by another of its
/// name. [`add_mutable_file`](Self::add_mutable_file) copies one that training goes on writing to.
///
/// What is made or copied lies in a temporary folder until it is logged: in `wandb/` of `WANDB_DIR` or
/// of the current directory, or where that can't be written, in the system's temporary folder. From
/// another disk it is copied once more into the run, and the temporary folder must have room for it.
/// What a killed process left there is removed by the next one of its machine; `.wandb-image-…` of
/// another machine that ended without clearing up stays, and can be deleted by hand.
///
/// ```
/// use wandb_image::{Artifact, HostTensor, IntoWandbImage};
/// # let dir = tempfile::tempdir()?;
/// # let file = dir.path().join("labels.csv");
/// # std::fs::write(&file, "0,1\n")?;
/// # let run = wandb_image::init().dir(dir.path()).start()?;
///
/// let picture = HostTensor::new([8, 8], (0..64_u8).collect())?.to_wandb_image()?;
/// let mut data = Artifact::new("digits", "dataset")?
///     .description("one digit")
///     .metadata(&serde_json::json!({ "count": 1 }))?
///     .alias("small")?;
/// data.add_file(&file)?;
/// data.add(picture.caption("a zero"), "zero")?;
/// run.log_artifact(data)?;
/// run.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "an artifact is nothing until Run::log_artifact has it"]
pub struct Artifact {
    heading: Heading,
    draft: Draft,
    /// What is to be said when it is logged.
    sayings: Vec<String>,
}

/// What [`Artifact::add`] takes: an [`Image`], or a [`Table`]. A clone is the same table, of which one
/// is added: it has the table still where adding it was refused.
#[derive(Clone, Debug)]
pub struct ArtifactMedia(Media);

#[derive(Clone, Debug)]
enum Media {
    Image(Box<Image>),
    Table(SharedTable),
}

impl From<Image> for ArtifactMedia {
    fn from(image: Image) -> Self {
        Self(Media::Image(Box::new(image)))
    }
}

impl From<&Image> for ArtifactMedia {
    fn from(image: &Image) -> Self {
        image.clone().into()
    }
}

impl From<Table> for ArtifactMedia {
    fn from(table: Table) -> Self {
        Self(Media::Table(SharedTable::new(table)))
    }
}

impl Artifact {
    /// An artifact that holds nothing yet.
    ///
    /// `name` has letters, digits, dashes, underscores and dots, at most 128. `kind` is what W&B
    /// groups artifacts by: `"dataset"`, `"model"` or a word of your own.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for a name or a type that W&B doesn't take, or keeps for its own.
    ///
    /// ```
    /// let error = wandb_image::Artifact::new("my digits", "dataset").unwrap_err();
    /// assert!(error.to_string().contains("\"my digits\""));
    /// ```
    pub fn new(name: impl Into<String>, kind: impl Into<String>) -> Result<Self> {
        let (name, kind) = (name.into(), kind.into());
        names::check_name(&name)?;
        names::check_type(&kind, &name)?;
        Ok(Self {
            draft: Draft::of_artifact(&name),
            heading: Heading::new(name, kind),
            sayings: Vec::new(),
        })
    }

    /// A text about it. None by default.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.heading.description = text.into();
        self
    }

    /// Values about it, under at most 100 keys: anything that serde describes as a map. NaN becomes
    /// null, as in the Python SDK.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for what is no map, for more keys, and for an infinite number, which W&B's
    /// server refuses.
    ///
    /// ```
    /// # use wandb_image::Artifact;
    /// let data = Artifact::new("digits", "dataset")?;
    /// let error = data.metadata(&[1, 2]).unwrap_err();
    /// assert!(error.to_string().contains("a map"));
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn metadata(mut self, values: &(impl Serialize + ?Sized)) -> Result<Self> {
        let json = Json::from_serialize(values)?.checked("metadata")?;
        self.heading.metadata = metadata(json)?;
        Ok(self)
    }

    /// A name for this version, such as `"best"`; `"latest"` it has in any case. Can be called
    /// again.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for one that is empty, over 128 characters long, or holds a slash or a
    /// colon.
    pub fn alias(mut self, alias: impl Into<String>) -> Result<Self> {
        let alias = alias.into();
        names::check_alias(&alias)?;
        self.heading.add_alias(alias);
        Ok(self)
    }

    /// A word by which W&B finds this version. Can be called again.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for one that has other characters than letters, digits, dashes,
    /// underscores, and spaces between them.
    pub fn tag(mut self, tag: impl Into<String>) -> Result<Self> {
        let tag = tag.into();
        names::check_tag(&tag)?;
        self.heading.add_tag(tag);
        Ok(self)
    }

    /// The folder of an artifact that was downloaded, to read it back: what `artifact.download()` of
    /// the Python SDK returns, or `wandb artifact get` leaves. Who wrote the artifact makes no
    /// difference.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] for a folder that isn't there or can't be opened.
    ///
    /// ```
    /// let error = wandb_image::Artifact::open("no/such").unwrap_err();
    /// assert!(error.to_string().starts_with("could not open the artifact in no/such"));
    /// ```
    #[doc(alias = "download")]
    #[doc(alias = "use_artifact")]
    pub fn open(dir: impl AsRef<Path>) -> Result<OpenArtifact> {
        OpenArtifact::new(dir.as_ref())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.heading.name
    }

    /// Its type.
    #[doc(alias = "type")]
    pub fn kind(&self) -> &str {
        &self.heading.kind
    }

    /// Adds a file under its own name, at the root of the artifact.
    ///
    /// # Errors
    ///
    /// As for [`add_file_as`](Self::add_file_as), and [`Error::ArtifactPath`] for a name that isn't
    /// UTF-8.
    pub fn add_file(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let name = folder::name_of(path)?;
        self.add_file_as(path, name)
    }

    /// Adds a file under a path in the artifact, with slashes. Empty parts of it, and `.`, are left
    /// out. The same file may be added again.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] for one that isn't there or is no file; [`Error::ArtifactPath`] for a path that
    /// leads out of the artifact, ends with a slash or holds a backslash; [`Error::Artifact`] where
    /// another file has that path, or where it would be a folder too. Paths that differ in capitals
    /// alone are taken, and the run says so once.
    ///
    /// ```
    /// # use wandb_image::Artifact;
    /// let mut data = Artifact::new("digits", "dataset")?;
    /// let error = data.add_file_as("no/such.csv", "labels.csv").unwrap_err();
    /// assert!(error.to_string().starts_with("could not read no/such.csv"));
    /// let error = data.add_file_as("Cargo.toml", "../Cargo.toml").unwrap_err();
    /// assert!(error.to_string().contains("`..`"));
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn add_file_as(&mut self, path: impl AsRef<Path>, name: &str) -> Result<()> {
        self.draft.add_file(path.as_ref(), name)
    }

    /// Adds a file that may change afterwards, such as a checkpoint that training overwrites: it is
    /// copied before this returns. `policy="mutable"` in Python, where it is the default.
    ///
    /// # Errors
    ///
    /// As for [`add_file_as`](Self::add_file_as).
    #[doc(alias = "policy")]
    pub fn add_mutable_file(&mut self, path: impl AsRef<Path>, name: &str) -> Result<()> {
        self.draft.add_copy(path.as_ref(), name)
    }

    /// Adds all files of a folder, and of those in it, under their paths in it, those whose names
    /// begin with a dot too. Links are followed, to files and to folders, and what they lead to is
    /// added under the link's path. A folder without files leaves no trace, as in the Python SDK:
    /// where nothing at all is found, the run says so when the artifact is logged.
    ///
    /// What this crate is writing meanwhile is left out, which the run says too: directories of runs
    /// that haven't ended (`wandb/offline-run-…` and `wandb/latest-run` in `.`), and the temporary
    /// folders of artifacts and tables. On Windows, and where the file system has no locks, only the
    /// latter are known.
    ///
    /// # Errors
    ///
    /// As for [`add_file_as`](Self::add_file_as); [`Error::Io`] also for a link that leads to a
    /// folder that it lies in, or to nothing; [`Error::Artifact`] for the directory itself of a run
    /// that hasn't ended. What was added before the error stays.
    pub fn add_dir(&mut self, path: impl AsRef<Path>) -> Result<()> {
        self.add_dir_as(path, "")
    }

    /// The same, under a path in the artifact.
    ///
    /// # Errors
    ///
    /// As for [`add_dir`](Self::add_dir).
    pub fn add_dir_as(&mut self, path: impl AsRef<Path>, name: &str) -> Result<()> {
        self.add_each(path.as_ref(), name, Draft::add_file)
    }

    /// The same of a folder whose files may change afterwards, as
    /// [`add_mutable_file`](Self::add_mutable_file): they are copied before this returns. It is what a
    /// folder takes whose files grow in place from one version to the next.
    ///
    /// # Errors
    ///
    /// As for [`add_dir`](Self::add_dir).
    ///
    /// ```
    /// use wandb_image::Artifact;
    /// # let dir = tempfile::tempdir()?;
    /// # let folder = dir.path();
    /// # std::fs::write(folder.join("labels.csv"), "0,zero\n")?;
    ///
    /// let mut digits = Artifact::new("digits", "dataset")?;
    /// digits.add_mutable_dir(folder, "")?; // "" for the top of the artifact
    /// std::fs::write(folder.join("labels.csv"), "0,zero\n1,one\n")?; // for the next version
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "policy")]
    pub fn add_mutable_dir(&mut self, path: impl AsRef<Path>, name: &str) -> Result<()> {
        self.add_each(path.as_ref(), name, Draft::add_copy)
    }

    fn add_each(
        &mut self,
        path: &Path,
        name: &str,
        add: impl Fn(&Draft, &Path, &str) -> Result<()>,
    ) -> Result<()> {
        let walked = folder::each_file(path, &mut |path, within| {
            let name = match name {
                "" => within.into(),
                _ => format!("{name}/{within}"),
            };
            add(&self.draft, path, &name)
        })?;
        let sayings = walked.sayings(&self.heading.name, path);
        let room = MAX_SAYINGS.saturating_sub(self.sayings.len());
        self.sayings.extend(sayings.into_iter().take(room));
        Ok(())
    }

    /// Adds the address of a file that stays where it is (`s3://`, `gs://`, `http://`, `https://`),
    /// under its name in a bucket, or its last part elsewhere. Nothing is read of it: its address is
    /// its digest, as with `checksum=False` in Python.
    ///
    /// # Errors
    ///
    /// As for [`add_reference_as`](Self::add_reference_as).
    ///
    /// ```
    /// # use wandb_image::Artifact;
    /// let mut data = Artifact::new("digits", "dataset")?;
    /// data.add_reference("s3://bucket/digits/zero.png")?;
    /// let error = data.add_reference("digits/zero.png").unwrap_err();
    /// assert!(error.to_string().contains("s3://"));
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn add_reference(&mut self, uri: &str) -> Result<()> {
        let reference = folder::Reference::new(uri)?;
        let name = reference.name()?;
        self.draft.add_reference(&name, reference.uri())
    }

    /// The same, under a path in the artifact.
    ///
    /// # Errors
    ///
    /// [`Error::Artifact`] for what is no such address or where another file has that path,
    /// [`Error::ArtifactPath`] for a path that leads out of the artifact.
    pub fn add_reference_as(&mut self, uri: &str, name: &str) -> Result<()> {
        let reference = folder::Reference::new(uri)?;
        self.draft.add_reference(name, reference.uri())
    }

    /// Adds an [`Image`] or a [`Table`] under a name, which gets the ending
    /// `.image-file.json` or `.table.json`. Its files stand beside it as the Python SDK lays them
    /// out: pictures in `media/images/`, masks in `media/images/mask/`, the names of classes in
    /// `media/classes/`.
    ///
    /// The names of classes are those of [`Image::classes`] and of
    /// [the layers](crate::ImageMask::class_labels). Ids without one are called `class_3` and so on,
    /// and the run says so once where others have names (0 and 255 of a mask aside). Only those of a
    /// mask that was read from a file are never named so, as in the SDK: it needs names. A layer of
    /// boxes without any box needs none. A [reference](Image::from_reference) is added as one.
    ///
    /// # Errors
    ///
    /// [`Error::NoClasses`] for masks of files without the name of any class, [`Error::Artifact`]
    /// where another image has that name, and what [`Run::log`](crate::Run::log) refuses. On a thread
    /// of a run's own, which can't wait, [`Error::Value`] where there is no room. The artifact is as
    /// before then, and a clone of the [`ArtifactMedia`] has the table still:
    ///
    /// ```
    /// use wandb_image::{Artifact, ArtifactMedia, Table};
    ///
    /// let mut data = Artifact::new("digits", "dataset")?;
    /// let media = ArtifactMedia::from(Table::new(["truth"])?);
    /// if data.add(media.clone(), "../truths").is_err() {
    ///     data.add(media, "truths")?;
    /// }
    /// # Ok::<(), wandb_image::Error>(())
    /// ```
    pub fn add(&mut self, media: impl Into<ArtifactMedia>, name: &str) -> Result<()> {
        match media.into().0 {
            Media::Image(image) => self.draft.add_image(*image, name),
            Media::Table(table) => self.add_table(&table, name),
        }
    }

    fn add_table(&mut self, shared: &SharedTable, name: &str) -> Result<()> {
        let table = shared.take(name)?;
        let reserved = self.draft.jobs().check();
        match reserved.and_then(|()| self.draft.reserve_table(name)) {
            Ok(name) => table.add_to(&self.draft, name),
            Err(error) => {
                shared.put_back(table);
                Err(error)
            }
        }
    }

    /// Hands it over in the background, when all of it is made.
    #[must_use]
    pub(crate) fn finish(
        self,
        take: impl FnOnce(Result<MadeArtifact>) + Send + 'static,
    ) -> Option<Undone> {
        let Self {
            heading,
            draft,
            sayings,
        } = self;
        draft.finish(
            move |files| Ok(MadeArtifact::new(heading, files.finished(), sayings)),
            take,
        )
    }

    /// One that is made there.
    #[cfg(test)]
    pub(crate) fn made_in(workshop: &std::sync::Arc<workshop::Workshop>, name: &str) -> Self {
        Self {
            heading: Heading::new(name.into(), "dataset".into()),
            draft: Draft::made_in(workshop),
            sayings: Vec::new(),
        }
    }
}

fn metadata(json: Json) -> Result<String> {
    let refused = |reason: String| Err(Error::Value { reason });
    match &json {
        Json::Map(entries) if entries.len() > MAX_METADATA => refused(format!(
            "metadata has {} keys, and W&B takes at most {MAX_METADATA}: leave some out",
            entries.len()
        )),
        Json::Map(_) if has_infinite(&json) => refused(
            "metadata holds an infinite number, which W&B's server refuses: leave it out".into(),
        ),
        Json::Map(entries) if entries.is_empty() => Ok(String::new()),
        Json::Map(_) => Ok(json.without_nan().to_text()),
        _ => refused("metadata is a map, or a struct: give its values names".into()),
    }
}

fn has_infinite(json: &Json) -> bool {
    match json {
        Json::F64(value) => value.is_infinite(),
        Json::List(values) => values.iter().any(has_infinite),
        Json::Map(entries) => entries.iter().any(|(_, value)| has_infinite(value)),
        _ => false,
    }
}
