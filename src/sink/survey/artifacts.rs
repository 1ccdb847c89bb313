//! The artifacts that the log names, and whether `wandb sync` can upload them.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use super::Survey;
use crate::error::{beginning, counted};
use crate::sink::Md5;
use crate::sink::artifacts::{
    ArtifactFiles, Digested, Elsewhere, Looked, MAX_CONTENTS, MAX_HELD, MAX_OUTSIDE, Named, State,
    algorithm_of, named_in,
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
    /// Files that are there, and that nothing is known to compare with.
    uncompared: Counted,
    /// Why it isn't known that its files, or the list of them, are those that were logged.
    unknown: Option<String>,
    /// A list of its files lies outside of the run.
    has_list_outside: bool,
}

enum Unread {
    /// The list is longer than is read of one: where it is.
    TooLong(String),
    /// Nothing is left of what is read of all, or of the memory that it takes: where the list is.
    NoRoom(String),
}

impl Display for Unread {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(list) => write!(
                f,
                "is longer than is read here, over {} MiB or with a line of over 1 MiB, {list}",
                MAX_UNPACKED >> 20
            ),
            Self::NoRoom(list) => write!(
                f,
                "isn't read to its end, {list}, since lists take over {} GiB, or {} MiB of memory",
                MAX_CONTENTS >> 30,
                MAX_HELD >> 20
            ),
        }
    }
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
        if let Some(unread) = &amiss.unread {
            let message = format!(
                "{name} names its files in a list that {unread}: whether they are there isn't known; \
                 repair keeps the artifact as it stands"
            );
            self.fault(FaultKind::ArtifactUnread, place.clone(), message);
        }
        if let Some(unknown) = &amiss.unknown {
            let message = format!("{name} may be another than was logged: {unknown}; {LEFT_OUT}");
            self.fault(FaultKind::ArtifactUncompared, place.clone(), message);
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
        let relative = std::mem::take(&mut self.artifacts.relative);
        if let Some(files) = relative.told().filter(|_| !self.is_synced()) {
            let message = format!(
                "the artifacts name {files} by relative paths: `wandb sync` uploads them only from the \
                 folder in which the program ran, and repair doesn't bring them along"
            );
            self.fault(FaultKind::ArtifactRelative, Place::default(), message);
        }
        let elsewhere = std::mem::take(&mut self.artifacts.elsewhere);
        let beyond = std::mem::take(&mut self.artifacts.beyond);
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
             `wandb-image repair` brings them along, for a run that goes elsewhere{}",
            but_for(&beyond)
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
        for named in named_in(artifact) {
            amiss.look(&named, &mut digested, files);
        }
        let lists = artifact.manifest.iter();
        let lists = lists.map(|manifest| &*manifest.manifest_file_path);
        for list in lists.filter(|list| !list.is_empty()) {
            amiss.look_in(list, artifact, &mut digested, files);
        }
        if let Some(uncompared) = amiss.uncompared.told() {
            let why = format!(
                "{}, so that {uncompared} can't be compared",
                by_what(artifact)
            );
            amiss.unknown.get_or_insert(why);
        }
        let is_compared = amiss.unread.is_none() && amiss.why().is_none();
        if is_compared && !artifact.digest.is_empty() {
            amiss.compare(
                artifact,
                algorithm_of(artifact).and_then(|by| digested.finish(by)),
            );
        }
        amiss
    }

    fn look(&mut self, named: &Named, digested: &mut Digested, files: &mut ArtifactFiles) {
        digested.add(named);
        if !named.local_path.is_empty() {
            self.add(named, files.look(named));
        }
    }

    /// Looks at what a list of its files names. One outside of the run has to be that of the
    /// artifact first: a log that somebody else wrote may name another's, and nothing of that is to
    /// be seen.
    fn look_in(
        &mut self,
        list: &str,
        artifact: &ArtifactRecord,
        digested: &mut Digested,
        files: &mut ArtifactFiles,
    ) {
        let found = files.contents(list);
        let Some(place) = found.place else {
            return self.add_list(found.state, list);
        };
        if files.is_outside(&place) && !self.is_proven(&place, list, artifact, files) {
            return;
        }
        let is_there = found.state.is_there();
        if is_there {
            files.saw_list(Path::new(list));
        }
        self.brought += 1;
        self.moved += u64::from(!is_there);
        let algorithm = algorithm_of(artifact);
        let state = files.read_contents(&place, &mut |files, line| {
            self.look(&Named::of_line(line, algorithm), digested, files);
        });
        self.add_list(state, list);
    }

    /// Whether a list outside of the run is that of the artifact, by the digest of that.
    fn is_proven(
        &mut self,
        place: &Path,
        list: &str,
        artifact: &ArtifactRecord,
        files: &mut ArtifactFiles,
    ) -> bool {
        self.has_list_outside = true;
        let (mut digested, algorithm) = (Digested::of(artifact), algorithm_of(artifact));
        let state = files.read_contents(place, &mut |_, line| {
            digested.add(&Named::of_line(line, algorithm));
        });
        if state != State::Whole {
            self.add_list(state, list);
            return false;
        }
        let digest = algorithm.map(|algorithm| digested.finish(algorithm));
        let why = match digest {
            _ if artifact.digest.is_empty() => "its record has no digest to compare it with".into(),
            None => by_what(artifact),
            Some(None) => {
                self.unread = Some(Unread::NoRoom(cut(list.into())));
                return false;
            }
            Some(digest) => {
                self.compare(artifact, digest);
                return self.digest.is_none();
            }
        };
        let list = cut(list.into());
        let why = format!("the list of its files, {list}, lies outside of the run, and {why}");
        self.unknown = Some(why);
        false
    }

    /// Of what a list outside names the digest isn't told: it is what guards the list.
    fn compare(&mut self, artifact: &ArtifactRecord, digest: Option<String>) {
        let other = digest.filter(|digest| !digest.eq_ignore_ascii_case(&artifact.digest));
        self.digest = other.map(|digest| match self.has_list_outside {
            true => "another".into(),
            false => format!("the digest {digest}"),
        });
    }

    fn add_list(&mut self, state: State, list: &str) {
        match state {
            State::Unknown => self.unread = Some(Unread::NoRoom(cut(list.into()))),
            State::TooLong => self.unread = Some(Unread::TooLong(cut(list.into()))),
            state => self.add_state(state, || format!("of its contents, {}", cut(list.into()))),
        }
    }

    fn add(&mut self, named: &Named, looked: Looked) {
        if looked.source.is_some() {
            self.brought += 1;
            let is_moved = !looked.state.is_there() && looked.state != State::Unknown;
            self.moved += u64::from(is_moved);
            return;
        }
        let file = || {
            let (path, place) = (named.path.clone(), named.local_path.clone());
            format!("{:?} at {}", cut(path), cut(place))
        };
        if named.algorithm.is_none() && looked.state.is_there() {
            self.uncompared.add(file);
        }
        self.add_state(looked.state, file);
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
            Some(format!(
                "its digest isn't that of what it names, which has {digest}"
            ))
        };
        files
            .next()
            .or_else(digest)
            .or_else(|| self.unknown.clone())
    }
}

/// Which digests an artifact has, of which those of its files can't be made here.
fn by_what(artifact: &ArtifactRecord) -> String {
    format!(
        "its digests are {:?}, and only MD5 and XXH128 are known here",
        beginning(&artifact.digest_algorithm)
    )
}

/// Which files outside repair doesn't bring along.
fn but_for(beyond: &Elsewhere) -> String {
    let Some(first) = &beyond.first else {
        return String::new();
    };
    format!(
        ", but for {} beyond the {} GiB that are compared, the first being {}",
        counted(beyond.files, "file"),
        MAX_OUTSIDE >> 30,
        cut(first.display().to_string())
    )
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
