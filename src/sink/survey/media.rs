//! The files that rows and summaries name.

use super::{Survey, Table, is_json, is_reference};
use crate::image::json::{NamedFile, each_named, label_key};
use crate::sink::Md5;
use crate::sink::fault::{FaultKind, MAX_NAME, MAX_TOLD, Place, cut_to};
use crate::sink::logged::values_of;
use crate::sink::records::Item;
use crate::sink::stored::{self, Files, Mismatch, Stored};

impl Survey {
    pub(super) fn items(&mut self, items: &[Item], place: &Place) {
        for item in items.iter().filter(|item| !is_json(item)) {
            let mut place = place.clone();
            place.key = Some(item.path().join("."));
            let message = "the value is no JSON, so `wandb sync` drops it: repair leaves it out";
            self.fault(FaultKind::InvalidJson, place, message);
        }
        for (key, value) in values_of(items) {
            each_named(&key, &value, &mut |file| self.named(&key, file, place));
        }
    }

    fn named(&mut self, key: &str, file: NamedFile, place: &Place) {
        self.labels_of(key, &file, place);
        match place.step {
            Some(_) => self.media(file, place),
            None => {
                let is_told = self.summarised.len() < MAX_TOLD;
                let named = self.summarised.entry(file.path.clone());
                named.or_insert_with(|| (place.clone(), slim(file, is_told)));
            }
        }
    }

    /// Layers beyond so many without names aren't looked into.
    fn labels_of(&mut self, key: &str, file: &NamedFile, place: &Place) {
        let labels = label_key(key, file).filter(|labels| !self.labels.contains(labels));
        if let Some(labels) = labels.filter(|_| self.unlabeled.len() < MAX_TOLD) {
            self.unlabeled.entry(labels).or_insert_with(|| {
                let place = Place {
                    key: Some(file.key.clone()),
                    step: place.step,
                    ..Place::default()
                };
                place.cut()
            });
        }
    }

    /// Checks a file that a row names.
    fn media(&mut self, file: NamedFile, place: &Place) {
        if is_reference(&file.path) {
            return;
        }
        let place = Place {
            key: Some(file.key.clone()),
            path: Some(file.path.clone()),
            ..place.clone()
        };
        match media_fault(&mut self.files, &file) {
            Some((kind, message)) => {
                self.broken.insert(file.path);
                self.fault(kind, place, message);
            }
            None => {
                self.table(&file, &place);
                self.whole_file(file.path, place);
            }
        }
    }

    fn table(&mut self, file: &NamedFile, place: &Place) {
        if let Some(client_id) = &file.artifact {
            let table = self.tables.entry(file.path.clone()).or_insert(Table {
                client: Md5::of(client_id.as_bytes()),
                is_in_row: false,
            });
            table.is_in_row |= place.step.is_some();
        }
    }

    fn whole_file(&mut self, path: String, place: Place) {
        if self.whole.insert(path.clone()) && !self.listed.contains(&path) {
            let is_told = self.unlisted.len() < MAX_TOLD;
            let place = if is_told {
                place.cut()
            } else {
                Place::default()
            };
            self.unlisted.push((place, path));
        }
    }

    pub(super) fn files_at_end(&mut self) {
        for (place, file) in std::mem::take(&mut self.summarised).into_values() {
            match self.files.look(&file.path) {
                Stored::Missing if is_reference(&file.path) => {}
                Stored::Missing if !self.broken.contains(&file.path) => {
                    self.of_summary_alone(file, place);
                }
                _ if !self.broken.contains(&file.path) => {
                    let path = file.path.clone();
                    self.media(file, &place);
                    if self.broken.contains(&path) {
                        self.broken_in_summary.insert(path);
                    }
                }
                _ => {}
            }
        }
        for (place, path) in std::mem::take(&mut self.unlisted) {
            if !self.listed.contains(&path) {
                let message = "no `files` record names the file, so `wandb sync` doesn't upload \
                               it, and doesn't say so: repair adds one";
                self.fault(FaultKind::NotListed, place, message);
            }
        }
        for path in self.listed.clone() {
            self.listed_file(path);
        }
    }

    fn of_summary_alone(&mut self, file: NamedFile, place: Place) {
        let place = Place {
            key: Some(file.key),
            path: Some(file.path.clone()),
            ..place
        };
        let message = "the summary names the file, but it is not there, and no row of this log \
                       names it: a run that was resumed after a sync has it in its earlier \
                       directory, or it is lost; repair keeps the value";
        self.of_summary.insert(file.path);
        self.fault(FaultKind::SummaryFile, place, message);
    }

    fn listed_file(&mut self, path: String) {
        if self.broken.contains(&path) || self.whole.contains(&path) {
            return;
        }
        let found = match self.files.look(&path) {
            Stored::Unsafe(reason) => Some((FaultKind::UnsafePath, unsafe_message(reason))),
            Stored::Missing => Some((
                FaultKind::ListedMissing,
                "a `files` record names it, but it is not there, nor does a row name it".into(),
            )),
            Stored::Unreadable(reason) => Some((
                FaultKind::ListedMissing,
                format!(
                    "a `files` record names it, but it can't be read ({reason}), nor does a row \
                     name it"
                ),
            )),
            // A file that was given to the SDK's `save` is a link.
            Stored::Link | Stored::File { .. } => None,
        };
        if let Some((kind, message)) = found {
            let place = Place::of_path(path);
            self.fault(kind, place, message);
        }
    }
}

/// What is needed of a file once its record is gone; one key stands with many files.
fn slim(file: NamedFile, is_told: bool) -> NamedFile {
    let longest = if is_told { MAX_NAME } else { 64 };
    NamedFile {
        key: cut_to(longest, file.key),
        kind: None,
        caption: None,
        format: None,
        artifact: file.artifact.filter(|_| is_told),
        ..file
    }
}

/// What is wrong with a file that a row names.
fn media_fault(files: &mut Files, named: &NamedFile) -> Option<(FaultKind, String)> {
    match files.look(&named.path) {
        Stored::File { size, sha256 } => wrong_file(stored::mismatch(named, *size, sha256)?),
        Stored::Missing => {
            let message = format!("the media file is not there: {WITHOUT_IT}");
            Some((FaultKind::MissingFile, message))
        }
        Stored::Unreadable(reason) => {
            let message = format!(
                "the media file can't be read ({reason}): {WITHOUT_IT}; see to its permissions, \
                 its place or its disk"
            );
            Some((FaultKind::UnreadableFile, message))
        }
        Stored::Unsafe(reason) => Some((FaultKind::UnsafePath, unsafe_message(reason))),
        Stored::Link => {
            let message = "a link leads out of the run's files/, and isn't followed: put the \
                           file itself there";
            Some((FaultKind::Link, message.into()))
        }
    }
}

const WITHOUT_IT: &str = "`wandb sync` uploads the row without it, and doesn't say so; repair takes \
                          it out of the row";

fn wrong_file(mismatch: Mismatch) -> Option<(FaultKind, String)> {
    Some(match mismatch {
        Mismatch::Size { expected, found } => (
            FaultKind::WrongSize,
            format!(
                "the media file has {found} bytes, but its row says {expected}: it was cut or \
                 changed; repair takes it out of the row"
            ),
        ),
        Mismatch::Hash { expected, found } => (
            FaultKind::WrongHash,
            format!(
                "the media file has SHA-256 {found}, but its row says {expected}: it was changed; \
                 repair takes it out of the row"
            ),
        ),
    })
}

fn unsafe_message(reason: &str) -> String {
    format!(
        "the path {reason}, but is to lead to a file below the run's files/: `wandb sync` passes \
         over it; repair leaves it out"
    )
}
