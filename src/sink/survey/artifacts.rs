//! The artifacts that the log names, and whether `wandb sync` can upload them.

use std::path::Path;

use super::Survey;
use crate::error::counted;
use crate::sink::Md5;
use crate::sink::artifacts::{
    ArtifactFiles, Digested, Looked, Named, State, algorithm_of, named_in,
};
use crate::sink::fault::{FaultKind, MAX_TOLD, Place, cut};
use crate::sink::manifest::MAX_UNPACKED;
use crate::sink::records::ArtifactRecord;
use crate::sink::resumed::Upload;

/// Files of an artifact that aren't as its record says: how many, and the first.
#[derive(Default)]
struct Amiss {
    missing: Counted,
    unreadable: Counted,
    wrong: Counted,
    /// Those that repair brings to the clean run, the list of them too.
    brought: u64,
    /// Those of them that lie in the run, but not where the record says.
    moved: u64,
    /// A list of files that wasn't read to its end: nothing is known of what else it names.
    unread: Option<Unread>,
    /// The digest of its files, where that isn't what the record says, and all else is.
    digest: Option<String>,
}

enum Unread {
    /// The list is longer than is read of one: where it is.
    TooLong(String),
    /// Nothing is left of what is read of all.
    NoRoom,
}

#[derive(Default)]
struct Counted {
    count: u64,
    first: Option<String>,
}

impl Counted {
    fn add(&mut self, first: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(first);
    }

    /// How many there are, and the first; none where there is none.
    fn told(&self) -> Option<String> {
        let first = self.first.as_deref()?;
        Some(match self.count {
            1 => format!("the file {first}"),
            n => format!("{}, the first being {first}", counted(n, "file")),
        })
    }
}

impl Survey {
    /// Tells what is amiss with an artifact, and keeps whether repair leaves it out.
    pub(super) fn artifact(&mut self, artifact: &ArtifactRecord, place: Place) {
        let amiss = Amiss::of(artifact, &mut self.artifacts);
        self.tell_amiss(artifact, &amiss, &place);
        let Some(number) = place.record else {
            return;
        };
        match amiss.why() {
            Some(why) => self.leave_out(artifact, &amiss, number, why),
            None if amiss.unread.is_some() => _ = self.unread_artifacts.insert(number),
            None => self.brings_artifacts |= amiss.brought > 0,
        }
    }

    fn leave_out(&mut self, artifact: &ArtifactRecord, amiss: &Amiss, number: u64, why: String) {
        let why = (self.left_out.len() < MAX_TOLD).then_some(why);
        self.left_out.insert(number, why);
        // W&B has those of a run that was synced.
        if !(self.is_synced() && amiss.is_only_missing()) {
            self.clients_left_out.insert(client_of(artifact));
        }
    }

    fn is_synced(&self) -> bool {
        matches!(self.upload, Upload::All { .. })
    }

    fn tell_amiss(&mut self, artifact: &ArtifactRecord, amiss: &Amiss, place: &Place) {
        let name = name(artifact);
        // Those of the SDK are deleted once they are uploaded, and a run may go elsewhere then.
        let is_synced = self.is_synced();
        let upload = match is_synced {
            true => "`wandb sync` has uploaded the artifact only where that was before",
            false => UNSYNCED,
        };
        let missing = amiss.missing.told().filter(|_| !is_synced);
        if let Some(missing) = missing {
            let message = format!(
                "{name} names {missing}, which isn't there: {UNSYNCED}; put it back, or log the \
                 artifact once more; {LEFT_OUT}"
            );
            self.fault(FaultKind::ArtifactMissing, place.clone(), message);
        }
        if let Some(unreadable) = amiss.unreadable.told() {
            let message = format!(
                "{name} names {unreadable}, which can't be read: {upload}; see to its \
                 permissions, its place or its disk, or log the artifact once more; {LEFT_OUT}"
            );
            self.fault(FaultKind::ArtifactUnreadable, place.clone(), message);
        }
        if let Some(wrong) = amiss.wrong.told() {
            let message = format!(
                "{name} names {wrong}: it was written to after it was logged, and {upload}; log \
                 the artifact once more, with add_mutable_file where a file changes; {LEFT_OUT}"
            );
            self.fault(FaultKind::ArtifactChanged, place.clone(), message);
        }
        if let Some(Unread::TooLong(list)) = &amiss.unread {
            let message = format!(
                "{name} names its files in a list that is longer than is read here, over {} MiB or \
                 with a line of over 1 MiB, {list}: whether they are there isn't known; repair \
                 keeps the artifact as it stands",
                MAX_UNPACKED >> 20
            );
            self.fault(FaultKind::ArtifactUnread, place.clone(), message);
        }
        if let Some(digest) = &amiss.digest {
            let message = format!(
                "{name} has the digest {:?}, but what it names has {digest}: W&B would take it \
                 for another version; log the artifact once more; {LEFT_OUT}",
                cut(artifact.digest.clone())
            );
            self.fault(FaultKind::ArtifactDigest, place.clone(), message);
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

    /// Tells of what `wandb sync` finds as long as that stays where it is.
    pub(super) fn artifacts_at_end(&mut self) {
        let elsewhere = std::mem::take(&mut self.artifacts.elsewhere);
        let Some(first) = elsewhere.first.filter(|_| !self.is_synced()) else {
            return;
        };
        let first = cut(first.display().to_string());
        let (files, stay) = match elsewhere.files {
            1 => (
                format!("1 file outside of this directory, {first}"),
                "it stays",
            ),
            n => (
                format!("{n} files outside of this directory, the first being {first}"),
                "they stay",
            ),
        };
        let message = format!(
            "the artifacts name {files}: `wandb sync` uploads them as long as {stay} there; \
             `wandb-image repair` brings them along, for a run that goes elsewhere"
        );
        self.fault(FaultKind::ArtifactOutside, Place::default(), message);
    }

    pub(super) fn tables_at_end(&mut self) {
        let clients = std::mem::take(&mut self.clients_left_out);
        self.leave_out_tables(|client| clients.contains(client));
    }

    /// Keeps which tables go with their artifacts. Their own files stay.
    pub(in crate::sink) fn leave_out_tables(&mut self, is_left_out: impl Fn(&Md5) -> bool) {
        for (path, table) in &self.tables {
            if is_left_out(&table.client) && self.whole.contains(path) {
                if !table.is_in_row {
                    self.broken_in_summary.insert(path.clone());
                }
                self.without_artifact.insert(path.clone());
            }
        }
    }
}

impl Amiss {
    /// What of an artifact's files isn't as it says.
    fn of(artifact: &ArtifactRecord, files: &mut ArtifactFiles) -> Self {
        let (mut amiss, mut digested) = (Self::default(), Digested::default());
        let algorithm = algorithm_of(artifact);
        let mut look = |amiss: &mut Self, files: &mut ArtifactFiles, named: Named| {
            digested.add(&named);
            if !named.local_path.is_empty() {
                amiss.add(&named, files.look(&named));
            }
        };
        for named in named_in(artifact) {
            look(&mut amiss, files, named);
        }
        let contents = artifact.manifest.iter();
        let contents = contents.map(|manifest| &*manifest.manifest_file_path);
        for contents in contents.filter(|path| !path.is_empty()) {
            let found = files.contents(contents);
            let state = match &found.place {
                None => found.state,
                Some(place) => {
                    files.saw_list(place);
                    amiss.brought += 1;
                    amiss.moved += u64::from(place != Path::new(contents));
                    let mut take = |files: &mut ArtifactFiles, line| {
                        look(&mut amiss, files, Named::of_line(line, algorithm));
                    };
                    files.read_contents(place, &mut take)
                }
            };
            amiss.unread = match state {
                State::Unknown => Some(Unread::NoRoom),
                State::TooLong => Some(Unread::TooLong(cut(contents.into()))),
                _ => None,
            };
            if amiss.unread.is_some() {
                return amiss;
            }
            amiss.add_state(state, || {
                format!("of its contents, {}", cut(contents.into()))
            });
        }
        let is_compared = !artifact.digest.is_empty() && amiss.why().is_none();
        let algorithm = algorithm.filter(|_| is_compared);
        let digest = algorithm.and_then(|algorithm| digested.finish(algorithm));
        amiss.digest = digest.filter(|digest| !digest.eq_ignore_ascii_case(&artifact.digest));
        amiss
    }

    fn add(&mut self, named: &Named, looked: Looked) {
        if looked.source.is_some() {
            self.brought += 1;
            let is_moved = !looked.state.is_there() && looked.state != State::Unknown;
            self.moved += u64::from(is_moved);
            return;
        }
        self.add_state(looked.state, || {
            let (path, place) = (named.path.clone(), named.local_path.clone());
            format!("{:?} at {}", cut(path), cut(place))
        });
    }

    fn add_state(&mut self, state: State, place: impl Fn() -> String) {
        match state {
            State::Whole | State::Uncompared | State::Unknown | State::TooLong => {}
            State::Missing => self.missing.add(place),
            State::Unreadable(why) => self.unreadable.add(|| format!("{} ({why})", place())),
            State::Wrong(why) => self.wrong.add(|| format!("{} ({why})", place())),
        }
    }

    fn is_only_missing(&self) -> bool {
        self.unreadable.count == 0 && self.wrong.count == 0 && self.digest.is_none()
    }

    /// Why repair leaves the artifact out; none where it doesn't.
    fn why(&self) -> Option<String> {
        let files = [
            (&self.missing, "is gone"),
            (&self.unreadable, "can't be read"),
            (&self.wrong, "was changed"),
        ];
        let mut files = files
            .into_iter()
            .filter_map(|(files, what)| Some(format!("{} {what}", files.told()?)));
        let digest = || {
            let digest = self.digest.as_ref()?;
            Some(format!("its digest isn't that of what it names, {digest}"))
        };
        files.next().or_else(digest)
    }
}

const UNSYNCED: &str = "`wandb sync` will not upload the artifact";
const LEFT_OUT: &str = "repair leaves the artifact out, and takes a table of it out of its row";

/// What tables know it by.
pub(in crate::sink) fn client_of(artifact: &ArtifactRecord) -> Md5 {
    Md5::of(artifact.client_id.as_bytes())
}

pub(in crate::sink) fn name(artifact: &ArtifactRecord) -> String {
    format!("the artifact {:?}", cut(artifact.name.clone()))
}
