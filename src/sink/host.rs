//! The machine that this process runs on, as the names of shared folders tell it from others.

use std::fs;

/// What it is called.
#[cfg(not(miri))]
pub(crate) fn host() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

/// Miri's `uname` leaves bytes unset that the system's sets, and that are read with the rest.
#[cfg(miri)]
pub(crate) fn host() -> String {
    "miri".into()
}

/// A machine that runs, as a name of a file says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    host: String,
    /// The beginning of what Linux calls this start of it, which containers share that have names
    /// of their own; else nothing.
    boot: String,
}

/// The longest name of a machine that is told apart, in characters.
const MAX_HOST: usize = 64;
/// So many digits are enough to tell starts apart.
const BOOT_DIGITS: usize = 8;

impl Machine {
    pub(super) fn this() -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            host: host().chars().take(MAX_HOST).map(plain).collect(),
            boot: boot
                .chars()
                .take(BOOT_DIGITS)
                .filter(char::is_ascii_alphanumeric)
                .collect(),
        }
    }

    /// As [`parse`](Self::parse) reads it.
    pub(super) fn text(&self) -> String {
        format!("{}-{}", self.host, self.boot)
    }

    /// None where it is no such text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, boot) = text.split_once('-')?;
        let (host, boot) = (host.into(), boot.into());
        Some(Self { host, boot })
    }

    /// Whether both are one machine: by its name, or since it was started at the same moment.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.host == other.host || (!self.boot.is_empty() && self.boot == other.boot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_known_by_its_name_or_by_its_start() {
        let this = Machine::this();
        assert_eq!(Machine::parse(&this.text()), Some(this.clone()));
        let check = |text: &str, other: &str, expected: bool| {
            let [one, other] = [text, other].map(|text| Machine::parse(text).unwrap());
            assert_eq!(one.is_same_as(&other), expected, "{text}");
        };
        check("node1-1a2b", "node1-3c4d", true);
        check("pod1-1a2b", "pod2-1a2b", true);
        check("node1-1a2b", "node2-3c4d", false);
        check("node1-", "node2-", false);
        assert_eq!(Machine::parse("left"), None);
    }
}
