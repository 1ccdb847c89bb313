//! The settings of a run: the builder over the environment over the defaults.

use std::ffi::OsString;
use std::path::PathBuf;

use super::RunMode;
use super::builder::RunBuilder;
use crate::error::{Error, Result};

const MAX_NAME: usize = 128;
const MAX_TAG: usize = 64;
const NO_ONLINE: &str = "this version of wandb-image has no feature `online` yet: run offline, \
                         which is the default, and upload with `wandb sync`";

/// What W&B is told of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) dir: PathBuf,
    pub(super) project: String,
    pub(super) entity: String,
    pub(super) name: String,
    pub(super) run_id: String,
    pub(super) group: String,
    pub(super) job_type: String,
    pub(super) notes: String,
    pub(super) tags: Vec<String>,
    pub(super) silent: bool,
}

/// The variables of the environment; an empty one counts as unset.
pub(super) struct Environment<F>(F);

impl Environment<fn(&str) -> Option<OsString>> {
    pub(super) fn of_process() -> Self {
        Self(|name| std::env::var_os(name))
    }
}

impl<F: Fn(&str) -> Option<OsString>> Environment<F> {
    #[cfg(test)]
    pub(super) fn new(lookup: F) -> Self {
        Self(lookup)
    }

    fn os(&self, name: &str) -> Option<OsString> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.os(name)
            .map(|value| value.to_string_lossy().into_owned())
    }

    /// The builder's value, the variable, or nothing.
    fn or(&self, given: Option<&String>, name: &str) -> String {
        given
            .cloned()
            .or_else(|| self.text(name))
            .unwrap_or_default()
    }

    pub(super) fn mode(&self, given: Option<RunMode>) -> Result<RunMode> {
        match (given, self.text("WANDB_MODE")) {
            (Some(RunMode::Online), _) => Err(setting("the run's mode", "online", NO_ONLINE)),
            (Some(mode), _) => Ok(mode),
            (None, Some(name)) => mode_of(&name),
            (None, None) => Ok(RunMode::Offline),
        }
    }

    pub(super) fn settings(&self, given: &RunBuilder) -> Result<Settings> {
        let settings = Settings {
            dir: self.dir(given),
            project: Some(self.or(given.project.as_ref(), "WANDB_PROJECT"))
                .filter(|project| !project.is_empty())
                .unwrap_or_else(|| "uncategorized".into()),
            entity: self.or(given.entity.as_ref(), "WANDB_ENTITY"),
            name: self.or(given.name.as_ref(), "WANDB_NAME"),
            run_id: self.run_id(given),
            group: self.or(given.group.as_ref(), "WANDB_RUN_GROUP"),
            job_type: self.or(given.job_type.as_ref(), "WANDB_JOB_TYPE"),
            notes: self.or(given.notes.as_ref(), "WANDB_NOTES"),
            tags: self.tags(given),
            silent: self.is_silent(),
        };
        settings.check()?;
        Ok(settings)
    }

    pub(super) fn is_silent(&self) -> bool {
        let silent = self.text("WANDB_SILENT");
        silent.is_some_and(|value| is_true(&value))
    }

    /// The run id that the variable gives.
    pub(super) fn given_run_id(&self) -> Option<String> {
        self.text("WANDB_RUN_ID")
    }

    fn dir(&self, given: &RunBuilder) -> PathBuf {
        let from_env = || self.os("WANDB_DIR").map(PathBuf::from);
        let dir = given
            .dir
            .clone()
            .or_else(from_env)
            .unwrap_or_else(|| ".".into());
        std::path::absolute(&dir).unwrap_or(dir)
    }

    fn run_id(&self, given: &RunBuilder) -> String {
        given
            .run_id
            .clone()
            .or_else(|| self.given_run_id())
            .unwrap_or_else(random_id)
    }

    fn tags(&self, given: &RunBuilder) -> Vec<String> {
        let listed = |tags: String| {
            let tags = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty());
            tags.map(String::from).collect()
        };
        let from_env = || self.text("WANDB_TAGS").map(listed);
        given.tags.clone().or_else(from_env).unwrap_or_default()
    }
}

impl Settings {
    fn check(&self) -> Result<()> {
        check_run_id(&self.run_id)?;
        check_name("the project", &self.project)?;
        self.tags.iter().try_for_each(|tag| check_tag(tag))
    }
}

/// Also what a log says may be no place for a file.
pub(super) fn check_run_id(run_id: &str) -> Result<()> {
    check_name("the run id", run_id)
}

fn check_name(name: &'static str, value: &str) -> Result<()> {
    let expected = match value {
        "" => "it must not be empty",
        _ if value.trim() != value => "it must not begin or end with white space",
        _ if value.chars().count() > MAX_NAME => "it must be at most 128 characters long",
        _ if value
            .chars()
            .any(|c| r"/\#?%:".contains(c) || c.is_control()) =>
        {
            r"it must hold none of / \ # ? % : and no control character"
        }
        _ => return Ok(()),
    };
    Err(setting(name, value, expected))
}

fn check_tag(tag: &str) -> Result<()> {
    if (1..=MAX_TAG).contains(&tag.chars().count()) {
        return Ok(());
    }
    Err(setting("a tag", tag, "it must be 1 to 64 characters long"))
}

fn mode_of(name: &str) -> Result<RunMode> {
    match name {
        "offline" | "dryrun" => Ok(RunMode::Offline),
        "disabled" => Ok(RunMode::Disabled),
        "online" | "run" => Err(setting("WANDB_MODE", name, NO_ONLINE)),
        _ => Err(setting(
            "WANDB_MODE",
            name,
            "it must be offline, dryrun (the same) or disabled",
        )),
    }
}

fn is_true(value: &str) -> bool {
    !matches!(
        &*value.to_lowercase(),
        "0" | "false" | "no" | "off" | "n" | "f"
    )
}

fn setting(name: &'static str, given: &str, expected: &'static str) -> Error {
    Error::Setting {
        name,
        given: given.into(),
        expected,
    }
}

/// Eight digits of base 36, as W&B makes them, from a generator of their own: a program that
/// seeds its random numbers neither repeats an id nor has its numbers shifted.
fn random_id() -> String {
    let mut random = crate::random::generator();
    (0..8).map(|_| random.digit(36)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(given: &RunBuilder, variables: &[(&str, &str)]) -> Result<Settings> {
        environment(variables).settings(given)
    }

    fn environment(
        variables: &[(&str, &str)],
    ) -> Environment<impl Fn(&str) -> Option<OsString> + use<>> {
        let owned = |&(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        let variables: Vec<(String, String)> = variables.iter().map(owned).collect();
        Environment::new(move |name| {
            let found = variables.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn nothing_set_gives_the_defaults() {
        let settings = resolve(&RunBuilder::new(), &[]).unwrap();
        assert_eq!(settings.dir, std::path::absolute(".").unwrap());
        assert_eq!(settings.project, "uncategorized");
        assert_eq!(settings.run_id.len(), 8);
        let base_36 = |c: char| c.is_ascii_digit() || c.is_ascii_lowercase();
        assert!(settings.run_id.chars().all(base_36), "{}", settings.run_id);
        assert!(!settings.silent);
    }

    #[test]
    fn a_seed_of_the_program_gives_no_id_twice_and_is_left_alone() {
        fastrand::seed(7);
        let numbers = (fastrand::u64(..), fastrand::u64(..));
        fastrand::seed(7);
        let first = random_id();
        assert_eq!((fastrand::u64(..), fastrand::u64(..)), numbers);
        fastrand::seed(7);
        assert_ne!(random_id(), first);
    }

    #[test]
    fn every_variable_is_read_and_the_builder_wins() {
        let variables = [
            ("WANDB_DIR", "/from/env"),
            ("WANDB_PROJECT", "env-project"),
            ("WANDB_ENTITY", "env-entity"),
            ("WANDB_NAME", "env-name"),
            ("WANDB_RUN_ID", "env-id"),
            ("WANDB_RUN_GROUP", "env-group"),
            ("WANDB_JOB_TYPE", "env-job"),
            ("WANDB_NOTES", "env-notes"),
            ("WANDB_TAGS", "a, b,,c "),
            ("WANDB_SILENT", "true"),
        ];
        let from_env = resolve(&RunBuilder::new(), &variables).unwrap();
        let expected = Settings {
            dir: "/from/env".into(),
            project: "env-project".into(),
            entity: "env-entity".into(),
            name: "env-name".into(),
            run_id: "env-id".into(),
            group: "env-group".into(),
            job_type: "env-job".into(),
            notes: "env-notes".into(),
            tags: ["a", "b", "c"].map(String::from).to_vec(),
            silent: true,
        };
        assert_eq!(from_env, expected);

        let builder = RunBuilder::new()
            .dir("/from/builder")
            .project("project")
            .entity("entity")
            .name("name")
            .run_id("id")
            .group("group")
            .job_type("job")
            .notes("notes")
            .tags(["z"]);
        let expected = Settings {
            dir: "/from/builder".into(),
            project: "project".into(),
            entity: "entity".into(),
            name: "name".into(),
            run_id: "id".into(),
            group: "group".into(),
            job_type: "job".into(),
            notes: "notes".into(),
            tags: vec!["z".into()],
            silent: true,
        };
        assert_eq!(resolve(&builder, &variables).unwrap(), expected);
    }

    #[test]
    fn an_empty_variable_is_unset() {
        let empty = [
            ("WANDB_PROJECT", ""),
            ("WANDB_RUN_ID", ""),
            ("WANDB_SILENT", ""),
        ];
        let settings = resolve(&RunBuilder::new(), &empty).unwrap();
        assert_eq!(
            (&*settings.project, settings.silent),
            ("uncategorized", false)
        );
        assert_eq!(
            environment(&[("WANDB_MODE", "")]).mode(None).unwrap(),
            RunMode::Offline
        );
    }

    fn check_silent(value: &str, expected: bool) {
        let settings = resolve(&RunBuilder::new(), &[("WANDB_SILENT", value)]).unwrap();
        assert_eq!(settings.silent, expected, "{value}");
    }

    #[test]
    fn silence_is_a_boolean() {
        check_silent("true", true);
        check_silent("1", true);
        check_silent("False", false);
        check_silent("0", false);
    }

    fn check_mode(given: Option<RunMode>, variable: &str, expected: Result<RunMode, &str>) {
        let found = environment(&[("WANDB_MODE", variable)]).mode(given);
        match (found, expected) {
            (Ok(mode), Ok(expected)) => assert_eq!(mode, expected),
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn modes() {
        check_mode(None, "offline", Ok(RunMode::Offline));
        check_mode(None, "dryrun", Ok(RunMode::Offline));
        check_mode(None, "disabled", Ok(RunMode::Disabled));
        check_mode(
            None,
            "online",
            Err("WANDB_MODE is \"online\", but this version"),
        );
        check_mode(None, "online", Err("feature `online`"));
        check_mode(
            None,
            "offlien",
            Err("must be offline, dryrun (the same) or disabled"),
        );
        check_mode(Some(RunMode::Disabled), "online", Ok(RunMode::Disabled));
        check_mode(Some(RunMode::Online), "offline", Err("feature `online`"));
    }

    fn check_refused(builder: RunBuilder, expected: &str) {
        let error = resolve(&builder, &[]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn names_that_wandb_refuses() {
        check_refused(
            RunBuilder::new().run_id(""),
            "the run id is \"\", but it must not be empty",
        );
        check_refused(RunBuilder::new().run_id("a/b"), "none of / \\ # ? % :");
        check_refused(RunBuilder::new().run_id("a\0"), "no control character");
        check_refused(RunBuilder::new().run_id(" a"), "white space");
        check_refused(RunBuilder::new().run_id("x".repeat(129)), "at most 128");
        check_refused(RunBuilder::new().project("a:b"), "the project is \"a:b\"");
        check_refused(RunBuilder::new().tags([""]), "1 to 64 characters");
    }
}
