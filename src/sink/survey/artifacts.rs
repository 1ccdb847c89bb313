//! The artifacts that the log names, and whether `wandb sync` can upload them.

use std::path::Path;

use super::Survey;
use crate::error::counted;
use crate::sink::artifacts::{Looked, Named, State, each_named};
use crate::sink::fault::{FaultKind, Place, cut};
use crate::sink::records::ArtifactRecord;
use crate::sink::resumed::Upload;

/// Files of an artifact that aren't as its record says: how many, and the first.
#[derive(Default)]
pub(in crate::sink) struct Amiss {
    pub(in crate::sink) missing: Counted,
    pub(in crate::sink) wrong: Counted,
    /// Those that are among the run's own, but not where the record says.
    pub(in crate::sink) moved: u64,
}

#[derive(Default)]
pub(in crate::sink) struct Counted {
    count: u64,
    first: Option<String>,
}

impl Counted {
    fn add(&mut self, first: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(first);
    }

    /// How many there are, and the first; none where there is none.
    pub(in crate::sink) fn told(&self) -> Option<String> {
        let first = self.first.as_deref()?;
        Some(match self.count {
            1 => format!("the file {first}"),
            n => format!("{}, the first being {first}", counted(n, "file")),
        })
    }
}

impl Survey {
    pub(super) fn artifact(&mut self, artifact: &ArtifactRecord, place: Place) {
        match self.amiss(artifact) {
            Err(reason) => {
                let message = format!(
                    "the contents of {} can't be read ({reason}): {UNSYNCED}; repair leaves it out",
                    name(artifact)
                );
                self.fault(FaultKind::ArtifactChanged, place, message);
            }
            Ok(amiss) => self.tell_amiss(artifact, &amiss, &place),
        }
    }

    fn tell_amiss(&mut self, artifact: &ArtifactRecord, amiss: &Amiss, place: &Place) {
        let name = name(artifact);
        // Those of the SDK are deleted once they are uploaded, and a run may go elsewhere then.
        let is_synced = matches!(self.upload, Upload::All { .. });
        let missing = amiss.missing.told().filter(|_| !is_synced);
        if let Some(missing) = missing {
            let message = format!(
                "{name} names {missing}, which isn't there: {UNSYNCED}; put it back, or log the \
                 artifact once more; repair leaves the artifact out"
            );
            self.fault(FaultKind::ArtifactMissing, place.clone(), message);
        }
        if let Some(wrong) = amiss.wrong.told() {
            let upload = match is_synced {
                true => "`wandb sync` has uploaded the artifact only where that was before",
                false => UNSYNCED,
            };
            let message = format!(
                "{name} names {wrong}: it was written to after it was logged, and {upload}; log \
                 the artifact once more, with add_mutable_file where a file changes; repair leaves \
                 the artifact out"
            );
            self.fault(FaultKind::ArtifactChanged, place.clone(), message);
        }
        if amiss.moved > 0 && !is_synced {
            let message = format!(
                "{name} names {} by where the run was before: the run was moved, and {UNSYNCED}; \
                 move it back, or repair it: repair makes one that can be synced",
                counted(amiss.moved, "file")
            );
            self.fault(FaultKind::ArtifactMoved, place.clone(), message);
        }
    }

    /// What of an artifact's files isn't as it says; an error where that can't be read.
    pub(in crate::sink) fn amiss(&mut self, artifact: &ArtifactRecord) -> Result<Amiss, String> {
        let mut amiss = Amiss::default();
        let named = artifact
            .manifest
            .iter()
            .map(|manifest| &manifest.manifest_file_path);
        let named: String = named.cloned().collect();
        let contents = self.artifacts.manifest(&named);
        match &contents {
            None if !named.is_empty() => amiss
                .missing
                .add(|| format!("of its contents, {}", cut(named))),
            Some(place) if place != Path::new(&named) => amiss.moved += 1,
            _ => {}
        }
        let files = &mut self.artifacts;
        let mut room = files.contents;
        let read = each_named(artifact, contents.as_deref(), &mut room, &mut |named| {
            if !named.local_path.is_empty() {
                amiss.add(&named, files.look(&named));
            }
            Ok(())
        });
        self.artifacts.contents = room;
        read.map_err(|error| error.to_string())?;
        Ok(amiss)
    }
}

impl Amiss {
    fn add(&mut self, named: &Named, looked: Looked) {
        let place = || {
            format!(
                "{:?} at {}",
                cut(named.path.clone()),
                cut(named.local_path.clone())
            )
        };
        match looked.state {
            State::Whole | State::Unknown => {}
            _ if looked.own.is_some() => self.moved += 1,
            State::Missing => self.missing.add(place),
            State::Wrong(why) => self.wrong.add(|| format!("{} ({why})", place())),
        }
    }
}

const UNSYNCED: &str = "`wandb sync` will not upload the artifact";

pub(in crate::sink) fn name(artifact: &ArtifactRecord) -> String {
    format!("the artifact {:?}", cut(artifact.name.clone()))
}
