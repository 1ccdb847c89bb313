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

    /// Of what a manifest says, where that is an MD5.
    pub(super) fn from_base64(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

/// The XXH128 of some bytes in base64, as the Python SDK can have it in the place of MD5.
pub(crate) fn xxh128(bytes: &[u8]) -> String {
    STANDARD.encode(XxHash3_128::oneshot(bytes).to_be_bytes())
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
pub(crate) struct ManifestHasher(Md5Hasher);

impl Default for ManifestHasher {
    fn default() -> Self {
        let mut hasher = Md5Hasher::default();
        hasher.update(b"wandb-artifact-manifest-v1\n");
        Self(hasher)
    }
}

impl ManifestHasher {
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
        assert_eq!(Md5::from_base64(&digest.base64()), Some(digest));
        assert_eq!(Md5::from_base64("sZRqySSS0jR8YjW00mE="), None);
        assert_eq!(Md5::from_hex(&digest.hex()), Some(digest));
        assert_eq!(Md5::from_hex(&digest.hex().to_uppercase()), Some(digest));
        assert_eq!(Md5::from_hex("+1946ac92492d2347c6235b4d2611184"), None);
        assert_eq!(Md5::from_hex("b1946ac92492d2347c6235b4d26111"), None);
        let mut hasher = Md5Hasher::default();
        hasher.update(b"hel");
        hasher.update(b"lo\n");
        assert_eq!(hasher.finish(), digest);
    }
}
