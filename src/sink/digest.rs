//! The hashes by which W&B names the files of artifacts.

use std::io::{self, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5 as Algorithm};
use sha2::Sha256;
use twox_hash::XxHash3_128;

use super::media::hex;

/// The MD5 of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Md5([u8; 16]);

impl Md5 {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Algorithm::digest(bytes).into())
    }

    pub(crate) fn hex(self) -> String {
        hex(&self.0)
    }

    /// As manifests have it.
    pub(crate) fn base64(self) -> String {
        STANDARD.encode(self.0)
    }

    /// Of hexadecimal digits, where they are those of an MD5.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let is_hash = text.len() == 2 * size_of::<Self>();
        let number = u128::from_str_radix(text, 16).ok();
        let is_plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        number
            .filter(|_| is_hash && is_plain)
            .map(|number| Self(number.to_be_bytes()))
    }
}

/// The XXH128 of some bytes in base64, as the Python SDK can have it in the place of MD5.
pub(crate) fn xxh128(bytes: &[u8]) -> String {
    STANDARD.encode(XxHash3_128::oneshot(bytes).to_be_bytes())
}

/// How the digests of an artifact and of its files are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DigestAlgorithm {
    Md5,
    Xxh128,
}

impl DigestAlgorithm {
    /// As the record of an artifact has it; none for one that isn't known.
    pub(super) fn of_record(name: &str) -> Option<Self> {
        match name {
            "" | "MANIFEST_MD5" => Some(Self::Md5),
            "MANIFEST_XXH128" => Some(Self::Xxh128),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Xxh128 => "XXH128",
        }
    }

    fn hasher(self) -> Hasher {
        match self {
            Self::Md5 => Hasher::Md5(Algorithm::new()),
            Self::Xxh128 => Hasher::Xxh128(Box::new(XxHash3_128::new())),
        }
    }
}

/// Takes bytes piece by piece.
enum Hasher {
    Md5(Algorithm),
    Xxh128(Box<XxHash3_128>),
}

impl Hasher {
    fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(piece),
            Self::Xxh128(hasher) => hasher.write(piece),
        }
    }

    fn finish(self) -> FileDigest {
        let (algorithm, bytes) = match self {
            Self::Md5(hasher) => (DigestAlgorithm::Md5, hasher.finalize().into()),
            Self::Xxh128(hasher) => (DigestAlgorithm::Xxh128, hasher.finish_128().to_be_bytes()),
        };
        FileDigest { algorithm, bytes }
    }
}

impl io::Write for Hasher {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.update(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The digest of a file, whichever of both it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileDigest {
    algorithm: DigestAlgorithm,
    bytes: [u8; 16],
}

impl FileDigest {
    /// Of what a manifest says, where that is one.
    pub(super) fn from_base64(algorithm: DigestAlgorithm, text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?.try_into().ok()?;
        Some(Self { algorithm, bytes })
    }

    /// Of a file from here to its end.
    pub(super) fn of(algorithm: DigestAlgorithm, mut source: impl Read) -> io::Result<Self> {
        let mut hasher = algorithm.hasher();
        io::copy(&mut source, &mut hasher)?;
        Ok(hasher.finish())
    }

    pub(super) fn algorithm(self) -> DigestAlgorithm {
        self.algorithm
    }

    pub(super) fn hex(self) -> String {
        hex(&self.bytes)
    }

    /// None where it is another.
    pub(super) fn md5(self) -> Option<Md5> {
        (self.algorithm == DigestAlgorithm::Md5).then_some(Md5(self.bytes))
    }
}

impl From<Md5> for FileDigest {
    fn from(md5: Md5) -> Self {
        Self {
            algorithm: DigestAlgorithm::Md5,
            bytes: md5.0,
        }
    }
}

/// Takes a file piece by piece.
#[derive(Clone, Default)]
pub(crate) struct Md5Hasher(Algorithm);

impl Md5Hasher {
    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(crate) fn finish(self) -> Md5 {
        Md5(self.0.finalize().into())
    }
}

/// The same of SHA-256, in hexadecimal digits.
#[derive(Clone, Default)]
pub(crate) struct Sha256Hasher(Sha256);

impl Sha256Hasher {
    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(crate) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// The same of the MD5 and of the digest that a manifest has, which may be another.
pub(super) struct BothHasher {
    md5: Md5Hasher,
    other: Option<Hasher>,
}

impl BothHasher {
    pub(super) fn new(algorithm: DigestAlgorithm) -> Self {
        let is_other = algorithm != DigestAlgorithm::Md5;
        Self {
            md5: Md5Hasher::default(),
            other: is_other.then(|| algorithm.hasher()),
        }
    }

    pub(super) fn update(&mut self, piece: &[u8]) {
        self.md5.update(piece);
        if let Some(other) = &mut self.other {
            other.update(piece);
        }
    }

    pub(super) fn finish(self) -> (Md5, FileDigest) {
        let md5 = self.md5.finish();
        (md5, self.other.map_or_else(|| md5.into(), Hasher::finish))
    }
}

/// Hashes what is read through it.
pub(super) struct Md5Reader<R> {
    source: R,
    hasher: Md5Hasher,
}

impl<R: Read> Md5Reader<R> {
    pub(super) fn new(source: R) -> Self {
        let hasher = Md5Hasher::default();
        Self { source, hasher }
    }

    /// Of what was read.
    pub(super) fn finish(self) -> Md5 {
        self.hasher.finish()
    }
}

impl<R: Read> Read for Md5Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

/// Of a file from here to its end.
pub(super) fn md5_of(source: impl Read) -> io::Result<Md5> {
    let mut source = Md5Reader::new(source);
    io::copy(&mut source, &mut io::sink())?;
    Ok(source.finish())
}

/// Takes what a manifest names, in the order of the paths: the digest of an artifact.
pub(crate) struct ManifestHasher(Hasher);

impl Default for ManifestHasher {
    /// By MD5.
    fn default() -> Self {
        Self::by(DigestAlgorithm::Md5)
    }
}

impl ManifestHasher {
    pub(super) fn by(algorithm: DigestAlgorithm) -> Self {
        let mut hasher = algorithm.hasher();
        hasher.update(b"wandb-artifact-manifest-v1\n");
        Self(hasher)
    }

    /// `digest` is as manifests have it.
    pub(crate) fn update(&mut self, path: &str, digest: &str) {
        self.0.update(format!("{path}:{digest}\n").as_bytes());
    }

    /// In hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        self.0.finish().hex()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_in_both_ways() {
        let digest = Md5::of(b"hello\n");
        assert_eq!(digest.hex(), "b1946ac92492d2347c6235b4d2611184");
        assert_eq!(digest.base64(), "sZRqySSS0jR8YjW00mERhA==");
        let read = |text: &str| FileDigest::from_base64(DigestAlgorithm::Md5, text);
        assert_eq!(
            read(&digest.base64()).and_then(FileDigest::md5),
            Some(digest)
        );
        assert_eq!(read("sZRqySSS0jR8YjW00mE="), None);
        assert_eq!(Md5::from_hex(&digest.hex()), Some(digest));
        assert_eq!(Md5::from_hex(&digest.hex().to_uppercase()), Some(digest));
        assert_eq!(Md5::from_hex("+1946ac92492d2347c6235b4d2611184"), None);
        assert_eq!(Md5::from_hex("b1946ac92492d2347c6235b4d26111"), None);
        let mut hasher = Md5Hasher::default();
        hasher.update(b"hel");
        hasher.update(b"lo\n");
        assert_eq!(hasher.finish(), digest);
    }
    /// What `xxhash.xxh128` and `hashlib.md5` of Python make of it.
    #[test]
    fn either_digest_is_made_in_pieces() {
        let text = "a line of a file that is longer than one piece of either\n".repeat(2000);
        let check = |algorithm, base64: &str, hex: &str| {
            let made = FileDigest::of(algorithm, text.as_bytes()).unwrap();
            assert_eq!(made.hex(), hex);
            assert_eq!(FileDigest::from_base64(algorithm, base64), Some(made));
        };
        check(
            DigestAlgorithm::Md5,
            "jE7opGeh8k+XUh5o4rqbWQ==",
            "8c4ee8a467a1f24f97521e68e2ba9b59",
        );
        check(
            DigestAlgorithm::Xxh128,
            "lI/yfY1XXlTU676Gq4p6Mg==",
            "948ff27d8d575e54d4ebbe86ab8a7a32",
        );
        let short = FileDigest::from_base64(DigestAlgorithm::Xxh128, "lI/yfY1XXlTU676Gq4p6");
        assert_eq!(short, None);
    }
}
