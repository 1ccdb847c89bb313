//! The names of media files: from a key to a path that every system takes.

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::image::json::layer_place;
use crate::image::json::table::{TABLE_FILE, TABLE_FOLDER};
use crate::image::{LayerKind, MEDIA_SUBDIR};

/// The longest name of a file or folder, in bytes. File systems take 255; W&B's server adds to
/// them.
const MAX_NAME: usize = 200;

/// The digits of the content's hash in a file's name.
pub(super) const HASH_DIGITS: usize = 20;

/// The longest path that a key's folders make, in bytes: macOS takes 1,024 for a whole path, that of
/// the run's directory included.
const MAX_FOLDERS: usize = 600;

/// The digits of the key's hash in a name that was cut.
const CUT_DIGITS: usize = 12;

/// A key under which a picture can be logged.
///
/// Its slashes make folders. Characters that some system refuses are percent-escaped in the file
/// name alone; the key in the row stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MediaKey(String);

impl MediaKey {
    pub(crate) fn new(key: &str) -> Result<Self> {
        match fault(key) {
            Some(reason) => Err(Error::Key {
                key: key.into(),
                reason,
            }),
            None => Ok(Self(key.into())),
        }
    }

    /// The path of an image's file, relative to the run's `files/`.
    pub(crate) fn image_path(&self, step: u64, sha256: &str, extension: &str) -> String {
        self.path(MEDIA_SUBDIR, step, sha256, extension)
    }

    /// The path of the file of a mask or of boxes, relative to the run's `files/`.
    pub(crate) fn layer_path(&self, kind: LayerKind, step: u64, sha256: &str) -> String {
        let (folder, extension) = layer_place(kind);
        self.path(&folder, step, sha256, extension)
    }

    /// The path of a table's file, relative to the run's `files/`.
    pub(crate) fn table_path(&self, step: u64, sha256: &str) -> String {
        self.path(TABLE_FOLDER, step, sha256, TABLE_FILE)
    }

    fn path(&self, folder: &str, step: u64, sha256: &str, extension: &str) -> String {
        let hash = sha256.get(..HASH_DIGITS).unwrap_or(sha256);
        let ending = format!("_{step}_{hash}.{extension}");
        let (folders, name) = self.0.rsplit_once('/').unwrap_or(("", &self.0));
        let mut path = format!("{folder}/");
        path += &folders_on_disk(folders);
        path + &name_on_disk(name, MAX_NAME - ending.len()) + &ending
    }
}

/// The folders of a key, each with a slash after it.
fn folders_on_disk(folders: &str) -> String {
    let parts = folders.split('/').filter(|part| !part.is_empty());
    parts.map(|part| folder_on_disk(part) + "/").collect()
}

/// A folder's name, which no file can have: the last dot of one that looks like a file's is
/// escaped.
fn folder_on_disk(part: &str) -> String {
    const DOT: &str = "%2E";
    let name = name_on_disk(part, MAX_NAME + 1 - DOT.len());
    match name.rsplit_once('.') {
        Some((stem, extension)) if looks_like_a_file(&name) => [stem, DOT, extension].concat(),
        _ => name,
    }
}

/// Whether it holds the hash that stands before the extension of every file.
fn looks_like_a_file(name: &str) -> bool {
    let mut pieces = name.as_bytes().windows(HASH_DIGITS + 2);
    pieces.any(|piece| match piece {
        [b'_', hash @ .., b'.'] => hash.iter().all(u8::is_ascii_hexdigit),
        _ => false,
    })
}

/// The path under which the file of an image is kept, relative to the run's `files/`, with slashes:
/// alike on every system.
///
/// `sha256` is the hash of the file's bytes in hexadecimal digits, of which the name holds 20; so
/// two files share a name only where their bytes are the same. See [`Run`](crate::Run), under
/// "Keys", for what a key may be.
///
/// ```
/// use wandb_image::sink::image_path;
///
/// let hash = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
/// let path = image_path("val/how good?", 7, hash, "png")?;
/// assert_eq!(path, "media/images/val/how good%3F_7_2c26b46b68ffc68ff99b.png");
/// assert!(image_path("../secrets", 7, hash, "png").is_err());
/// # Ok::<(), wandb_image::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Key`] for a key that makes no path, [`Error::Option`] for a hash or an extension that
/// is none.
pub fn image_path(key: &str, step: u64, sha256: &str, extension: &str) -> Result<String> {
    let key = MediaKey::new(key)?;
    check_hash(sha256)?;
    check_extension(extension)?;
    Ok(key.image_path(step, sha256, extension))
}

fn check_hash(sha256: &str) -> Result<()> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if sha256.len() == 64 && sha256.bytes().all(is_digit) {
        return Ok(());
    }
    Err(Error::Option {
        option: "the hash of a file",
        given: format!("{sha256:?}"),
        expected: "SHA-256 has 64 hexadecimal digits, in lower case".into(),
    })
}

fn check_extension(extension: &str) -> Result<()> {
    if (1..=16).contains(&extension.len()) && extension.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Error::Option {
        option: "the extension of a file",
        given: format!("{extension:?}"),
        expected: "it has 1 to 16 letters and digits, without a dot".into(),
    })
}

fn fault(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("a key must not be empty");
    }
    if key.starts_with('/') {
        return Some("an image's key makes a path, so it must not begin with a slash: remove it");
    }
    if key.contains('\0') {
        return Some("an image's key makes a path, so it must not hold NUL: remove it");
    }
    if key.split('/').any(str::is_empty) {
        return Some(
            "an image's key makes a path, so no part between slashes may be empty: use one slash, \
             and none at the end",
        );
    }
    if key.split('/').any(|part| part == "." || part == "..") {
        return Some(
            "an image's key makes a path, so no part between slashes may be `.` or `..`: rename it",
        );
    }
    let (folders, _) = key.rsplit_once('/').unwrap_or_default();
    if folders_on_disk(folders).len() > MAX_FOLDERS {
        return Some(
            "an image's key makes a path, and its folders take over 600 bytes: use fewer slashes, \
             or shorter parts between them",
        );
    }
    None
}

/// A part of a key as the name of a file or folder, at most `max` bytes long.
fn name_on_disk(part: &str, max: usize) -> String {
    let pieces: Vec<String> = escaped(part);
    if pieces.iter().map(String::len).sum::<usize>() <= max {
        return pieces.concat();
    }
    let mark = format!("-{}", &hex(&Sha256::digest(part))[..CUT_DIGITS]);
    let mut name = String::new();
    for piece in pieces {
        if name.len() + piece.len() + mark.len() > max {
            break;
        }
        name += &piece;
    }
    name + &mark
}

/// The characters of a part, those percent-escaped that Windows, macOS or Linux refuses.
fn escaped(part: &str) -> Vec<String> {
    let last = part.chars().count().saturating_sub(1);
    let device = is_device(part);
    let piece = |(index, c): (usize, char)| {
        let at_end = index == last && matches!(c, '.' | ' ');
        if is_refused(c) || at_end || (device && index == 0) {
            percent(c)
        } else {
            c.to_string()
        }
    };
    part.chars().enumerate().map(piece).collect()
}

fn is_refused(c: char) -> bool {
    c.is_control() || matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
}

/// Whether Windows takes the name for a device, whatever its extension.
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default().trim_end();
    let stem = stem.to_ascii_uppercase();
    let is_number = |n: &str| matches!(n.as_bytes(), [b'0'..=b'9']) || ["¹", "²", "³"].contains(&n);
    let numbered = |prefix| stem.strip_prefix(prefix).is_some_and(is_number);
    matches!(&*stem, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || numbered("COM")
        || numbered("LPT")
}

fn percent(c: char) -> String {
    let mut buffer = [0; 4];
    let bytes = c.encode_utf8(&mut buffer).bytes();
    bytes.map(|byte| format!("%{byte:02X}")).collect()
}

/// The hash that names a file's content, in 64 lower-case hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef";

    fn path(key: &str) -> String {
        MediaKey::new(key).unwrap().image_path(7, HASH, "png")
    }

    fn check(key: &str, expected: &str) {
        let expected = format!("media/images/{expected}_7_0123456789abcdef0123.png");
        assert_eq!(path(key), expected, "{key}");
    }

    #[test]
    fn keys_become_names_that_every_system_takes() {
        check("samples", "samples");
        check("val/samples", "val/samples");
        check("a b.c-d_é🙂", "a b.c-d_é🙂");
        check(r#"\:*?"<>|"#, "%5C%3A%2A%3F%22%3C%3E%7C");
        check("tab\tdel\u{7f}nel\u{85}", "tab%09del%7Fnel%C2%85");
        check("ends./with ", "ends%2E/with%20");
        check("...", "..%2E");
        check(
            "NUL/con.x/COM1/com10/CONSOLE",
            "%4EUL/%63on.x/%43OM1/com10/CONSOLE",
        );
        check("com¹/LPT³.txt/COM⁴", "%63om¹/%4CPT³.txt/COM⁴");
        check("CON /prn .x/conin$", "%43ON%20/%70rn .x/%63onin$");
        check(".hidden", ".hidden");
    }

    fn check_cut(key: &str) {
        let path = path(key);
        let other = format!("{key}!");
        for part in path.split('/') {
            assert!(part.len() <= MAX_NAME, "{part}");
        }
        assert!(path.ends_with("_7_0123456789abcdef0123.png"), "{path}");
        assert_ne!(path, self::path(&other), "two long keys share a name");
    }

    #[test]
    fn layers_have_folders_of_their_own() {
        let key = MediaKey::new("val/a").unwrap();
        let path = |kind| key.layer_path(kind, 7, HASH);
        assert_eq!(
            path(LayerKind::Mask),
            "media/images/mask/val/a_7_0123456789abcdef0123.mask.png"
        );
        assert_eq!(
            path(LayerKind::Boxes),
            "media/metadata/boxes2D/val/a_7_0123456789abcdef0123.boxes2D.json"
        );
    }

    #[test]
    fn long_names_are_cut_with_a_hash() {
        check_cut(&"k".repeat(300));
        check_cut(&"🙂".repeat(100));
        check_cut(&"?".repeat(150));
        check_cut(&format!("{}/{}", "d".repeat(300), "k".repeat(300)));
        check(&"k".repeat(172), &"k".repeat(172));
        check_cut(&"k".repeat(173));
    }

    #[test]
    fn no_folder_has_the_name_of_a_file() {
        let hash = "0123456789abcdef0123";
        check(&format!("a_7_{hash}.png/b"), &format!("a_7_{hash}%2Epng/b"));
        let upper = hash.to_uppercase();
        check(
            &format!("A_7_{upper}.MASK.PNG/b"),
            &format!("A_7_{upper}.MASK%2EPNG/b"),
        );
        check(&format!("a_7_{hash}/b"), &format!("a_7_{hash}/b"));
        check("a_7_0123.png/b.png", "a_7_0123.png/b.png");
        check_cut(&format!("{}_7_{hash}.png/b", "k".repeat(171)));
    }

    #[test]
    fn many_folders_are_refused_before_a_system_does_it() {
        check_refused(&format!("{}b", "a/".repeat(301)), "over 600 bytes");
        let key = format!("{}b", "a/".repeat(300));
        check(&key, &key);
        check_refused(&format!("{}b", "é??/".repeat(100)), "over 600 bytes");
    }

    #[test]
    fn a_hash_and_an_extension_are_no_way_out() {
        let hash = "0".repeat(64);
        let refused = |hash: &str, extension: &str, expected: &str| {
            let error = super::image_path("k", 0, hash, extension).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        };
        refused("", "png", "64 hexadecimal digits");
        refused(&"../..".repeat(20)[..64], "png", "64 hexadecimal digits");
        refused(&hash, "", "1 to 16 letters");
        refused(&hash, "../x", "1 to 16 letters");
        assert!(super::image_path("k", 0, &hash, "png").is_ok());
    }

    fn check_refused(key: &str, expected: &str) {
        let error = MediaKey::new(key).unwrap_err().to_string();
        assert!(error.contains(expected), "{key:?}: {error}");
    }

    #[test]
    fn keys_that_make_no_path_are_refused() {
        check_refused("", "must not be empty");
        check_refused("/samples", "begin with a slash");
        check_refused("a\0b", "NUL");
        check_refused("a//b", "may be empty");
        check_refused("a/", "may be empty");
        check_refused("..", "`.` or `..`");
        check_refused("a/../b", "`.` or `..`");
        check_refused("./a", "`.` or `..`");
    }
}
