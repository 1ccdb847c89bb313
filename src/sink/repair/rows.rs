//! The rows and the summaries of the clean run: without what isn't there.

use std::cell::LazyCell;
use std::collections::BTreeSet;

use prost::Message;
use serde_json::Value;

use super::edits::{
    Edits, ITEMS, apply, content, mixed_keys, put_item, put_value, replaced, replacement, take_step,
};
use super::{HISTORY, Repair, SUMMARY};
use crate::error::Result;
use crate::image::json::{self, NamedFile, Way, each_named, without};
use crate::sink::fault::Place;
use crate::sink::logged::{
    parse_marked, parse_text, step_of, text_of_marked, values_of, values_with,
};
use crate::sink::records::{FILE_TYPE_MEDIA, FilesItem, FilesRecord, Item, RecordType};
use crate::sink::stored::{self, Stored};
use crate::sink::survey::{is_json, is_reference};
use crate::sink::wire::fields;

impl Repair {
    pub(super) fn row(&mut self, items: &[Item], bytes: &[u8], mut place: Place) -> Result<()> {
        self.repaired.rows += 1;
        let given = step_of(items);
        let step = self.steps.next(given);
        place.step = given.or(Some(step));
        let new_step = (given != Some(step)).then_some(step);
        if new_step.is_some() {
            let message = format!("the row got step {step}, as `wandb sync` would give it");
            self.changed(place.clone(), message);
        }
        self.list(items)?;
        let mut edits = self.edits(items, &place);
        self.told(items, &place, Self::is_gone);
        let step = new_step.or_else(|| take_step(&mut edits).then_some(step));
        if step.is_none() && edits.is_empty() && items.iter().all(is_json) {
            return self.kept(bytes);
        }
        let edited = self.edited(bytes, HISTORY, &mut edits, step, &place);
        self.kept(&edited)
    }

    pub(super) fn summary(&mut self, items: &[Item], bytes: &[u8], place: &Place) -> Result<()> {
        self.list(items)?;
        let mut edits = self.edits(items, place);
        // What rows name was told with them.
        self.told(items, place, |repair, file| {
            repair.survey.broken_in_summary.contains(&file.path) && repair.is_gone(file)
        });
        if edits.is_empty() && items.iter().all(is_json) {
            return self.kept(bytes);
        }
        let edited = self.edited(bytes, SUMMARY, &mut edits, None, place);
        self.kept(&edited)
    }

    /// Tells which of the files that items name are missing.
    fn told(&mut self, items: &[Item], place: &Place, is_told: impl Fn(&Self, &NamedFile) -> bool) {
        for (key, value) in values_of(items) {
            each_named(&key, &value, &mut |file| {
                if is_told(self, &file) {
                    self.gone(file, place);
                }
            });
        }
    }

    /// Names the row's files for upload, those that aren't.
    fn list(&mut self, items: &[Item]) -> Result<()> {
        let listed = &self.survey.listed;
        let mut paths = BTreeSet::new();
        for (key, value) in values_of(items) {
            each_named(&key, &value, &mut |NamedFile { path, .. }| {
                let is_wanted = self.copied.contains(&path) && !listed.contains(&path);
                paths.extend(is_wanted.then_some(path));
            });
        }
        let new: Vec<_> = paths.difference(&self.listed).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        self.added += new.len() as u64;
        self.listed.extend(new.iter().cloned());
        let item = |path| FilesItem {
            path,
            policy: 0,
            r#type: FILE_TYPE_MEDIA,
        };
        let files = new.into_iter().map(item).collect();
        self.write_record(RecordType::Files(FilesRecord { files }))
    }

    /// What takes the files that weren't copied out of the items.
    fn edits(&mut self, items: &[Item], place: &Place) -> Edits {
        let mut edits = Edits::new();
        let mixed = LazyCell::new(|| mixed_keys(items));
        for (key, value) in values_with(items, parse_marked) {
            let of_key = without(&key, &value, &|file| self.is_gone(file));
            let of_key = of_key.into_iter().map(|edit| (edit.path, edit.value));
            let of_key: Vec<_> = of_key.collect();
            match !of_key.is_empty() && mixed.contains(&*key) {
                true => self.merged(&key, value, of_key, &mut edits, place),
                false => edits.extend(of_key.into_iter().map(replacement)),
            }
        }
        edits
    }

    /// What is left of a key whose items overwrite one another, in one item: else one that was
    /// overwritten would come back, with the files it names.
    fn merged(
        &mut self,
        key: &str,
        mut value: Value,
        of_key: Vec<(Way, Option<Value>)>,
        edits: &mut Edits,
        place: &Place,
    ) {
        let mut left = true;
        for (path, new) in of_key {
            match (&path[1..], new) {
                ([], Some(new)) => value = new,
                ([], None) => left = false,
                (rest, new) => apply(&mut value, rest, new.as_ref()),
            }
        }
        if left && parse_text(&text_of_marked(&value)).is_none() {
            left = false;
            let place = Place {
                key: Some(key.into()),
                ..place.clone()
            };
            self.missing(place, "a value that is nested too deep");
        }
        edits.extend([replacement((vec![key.into()], left.then_some(value)))]);
    }

    fn is_gone(&self, file: &NamedFile) -> bool {
        if is_reference(&file.path) || self.survey.of_summary.contains(&file.path) {
            return false;
        }
        if self.survey.without_artifact.contains(&file.path) {
            return true;
        }
        match self.survey.files.known(&file.path) {
            Some(Stored::File { size, sha256 }) if self.copied.contains(&file.path) => {
                stored::mismatch(file, *size, sha256).is_some()
            }
            Some(_) => true,
            // The survey looked at every file that a value names.
            None => false,
        }
    }

    fn gone(&mut self, file: NamedFile, place: &Place) {
        let why = match self.survey.files.known(&file.path) {
            _ if self.survey.without_artifact.contains(&file.path) => {
                "is of a table whose artifact is left out".into()
            }
            Some(Stored::File { .. }) => "holds other bytes than its row says".into(),
            Some(Stored::Unsafe(_) | Stored::Link) => "lies outside of the run".into(),
            Some(Stored::Unreadable(reason)) => format!("can't be read ({reason})"),
            _ => String::from("is not there"),
        };
        let layers = match file.has_layers {
            true => ", with its masks and boxes",
            false => "",
        };
        let whose = if place.step.is_some() {
            "row"
        } else {
            "summary"
        };
        let place = Place {
            key: Some(file.key),
            path: Some(file.path),
            ..place.clone()
        };
        self.missing(
            place,
            format!("the media file{layers}, which {why}; the {whose} keeps its other values"),
        );
    }

    /// The record with the items that are left of its field `number`.
    fn edited(
        &mut self,
        record: &[u8],
        number: u32,
        edits: &mut Edits,
        step: Option<i64>,
        place: &Place,
    ) -> Vec<u8> {
        let message = content(record, number);
        let mut edited = Vec::new();
        for field in fields(&message).flatten() {
            let item = field.content.filter(|_| field.number == ITEMS);
            match item.and_then(|item| Item::decode(item).ok()) {
                None => edited.extend(field.raw),
                Some(item) if step.is_some() && item.path() == [json::STEP] => {}
                Some(item) if !is_json(&item) => self.no_json(&item, place),
                Some(item) => put_item(&mut edited, &item, field.raw, edits),
            }
        }
        if let Some(step) = step {
            put_value(&mut edited, &[json::STEP.into()], step.to_string());
        }
        replaced(record, number, &edited)
    }

    fn no_json(&mut self, item: &Item, place: &Place) {
        let place = Place {
            key: Some(item.path().join(".")),
            ..place.clone()
        };
        self.missing(place, "a value that is no JSON");
    }
}
