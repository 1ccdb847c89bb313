//! The files of the clean run.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use super::Repair;
use crate::error::Result;
use crate::sink::fault::Place;
use crate::sink::log::io_error;
use crate::sink::stored::{Files, Stored};

impl Repair {
    pub(super) fn files(&mut self) -> Result<()> {
        let survey = &self.survey;
        let only_listed = survey.listed.difference(&survey.broken);
        let wanted: BTreeSet<_> = survey.whole.iter().chain(only_listed).cloned().collect();
        for path in wanted {
            let found = self.survey.files.look(&path).clone();
            match found {
                Stored::File { .. } => self.copy(path, &found)?,
                Stored::Link => self.missing(
                    Place::of_path(path),
                    "the file is a link out of the run, and wasn't followed: copy what it leads to",
                ),
                Stored::Unsafe(reason) => {
                    self.missing(
                        Place::of_path(path),
                        format!("the file, since its path {reason}"),
                    );
                }
                Stored::Unreadable(reason) => self.missing(
                    Place::of_path(path),
                    format!("the file, since it can't be read ({reason})"),
                ),
                Stored::Missing => {
                    self.missing(Place::of_path(path), "the file, since it is not there");
                }
            }
        }
        self.repaired.files = self.copied.len() as u64;
        Ok(())
    }

    fn copy(&mut self, path: String, expected: &Stored) -> Result<()> {
        let place = self.directory.path().join("files").join(&path);
        let mut to = match create(&place) {
            // Two ways to write one path.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return self.same(path),
            created => created.map_err(|source| io_error("create", &place, source))?,
        };
        let copied = self.survey.files.copy(&path, &mut to);
        if copied == *expected {
            self.copied.insert(path);
            return Ok(());
        }
        fs::remove_file(&place).map_err(|source| io_error("remove", &place, source))?;
        match copied {
            Stored::Unreadable(reason) => {
                let source = io::Error::other(reason);
                Err(io_error("copy the file to", &place, source))
            }
            _ => {
                self.missing(
                    Place::of_path(path),
                    "the file, since it changed while it was copied",
                );
                Ok(())
            }
        }
    }

    /// A file that another path led to already, if it is the same.
    fn same(&mut self, path: String) -> Result<()> {
        let mut clean = Files::new(self.directory.path().join("files"));
        match self.survey.files.known(&path) == Some(clean.look(&path)) {
            true => _ = self.copied.insert(path),
            false => self.missing(
                Place::of_path(path),
                "the file, since another has its name here",
            ),
        }
        Ok(())
    }
}

fn create(place: &Path) -> io::Result<File> {
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(place)
}
