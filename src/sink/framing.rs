//! LevelDB's log framing, as W&B uses it: chunks in blocks of 32 KiB, each with a checksum.

/// The first bytes of a log: `:W&B`, the magic number 0xBEE1, version 0.
pub(super) const FILE_HEADER: [u8; 7] = [b':', b'W', b'&', b'B', 0xE1, 0xBE, 0];

pub(super) const BLOCK: u64 = 32 * 1024;
/// Checksum (4), length (2), kind (1). A block's tail shorter than this is zeros.
pub(super) const CHUNK_HEADER: u64 = 7;

/// Where in its record a chunk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    Full = 1,
    First = 2,
    Middle = 3,
    Last = 4,
}

impl Chunk {
    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Chunk::Full),
            2 => Some(Chunk::First),
            3 => Some(Chunk::Middle),
            4 => Some(Chunk::Last),
            _ => None,
        }
    }

    fn of(first: bool, last: bool) -> Self {
        match (first, last) {
            (true, true) => Chunk::Full,
            (true, false) => Chunk::First,
            (false, false) => Chunk::Middle,
            (false, true) => Chunk::Last,
        }
    }
}

pub(super) fn checksum(kind: u8, data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(data);
    hasher.finalize()
}

/// Whether these bytes of one block, from the beginning of a chunk on, are whole chunks.
pub(super) fn are_whole(mut bytes: &[u8]) -> bool {
    while let Some((header, rest)) = bytes.split_first_chunk::<{ CHUNK_HEADER as usize }>() {
        let [a, b, c, d, low, high, kind] = *header;
        let length = usize::from(u16::from_le_bytes([low, high]));
        let Some((data, after)) = rest.split_at_checked(length) else {
            return false;
        };
        let sum = u32::from_le_bytes([a, b, c, d]);
        if Chunk::from_byte(kind).is_none() || checksum(kind, data) != sum {
            return false;
        }
        bytes = after;
    }
    bytes.iter().all(|&byte| byte == 0)
}

/// The bytes left in the block that `offset` lies in.
pub(super) fn left_in_block(offset: u64) -> u64 {
    BLOCK - offset % BLOCK
}

/// The bytes of a record whose first byte goes to `offset` of the file.
pub(super) fn frame(record: &[u8], offset: u64) -> Vec<u8> {
    let mut framed = Vec::with_capacity(record.len() + 64);
    let mut rest = record;
    let mut first = true;
    loop {
        let left = left_in_block(offset + framed.len() as u64);
        if left < CHUNK_HEADER {
            framed.resize(framed.len() + left as usize, 0);
            continue;
        }
        let room = (left - CHUNK_HEADER) as usize;
        let (data, after) = rest.split_at(rest.len().min(room));
        let kind = Chunk::of(first, after.is_empty()) as u8;
        framed.extend(checksum(kind, data).to_le_bytes());
        framed.extend((data.len() as u16).to_le_bytes());
        framed.push(kind);
        framed.extend(data);
        if after.is_empty() {
            return framed;
        }
        (rest, first) = (after, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(framed: &[u8], mut offset: u64) -> Vec<(u8, usize)> {
        let mut kinds = Vec::new();
        let mut at = 0;
        while at < framed.len() {
            let left = left_in_block(offset) as usize;
            if left < 7 {
                assert!(framed[at..at + left].iter().all(|&byte| byte == 0));
                at += left;
                offset += left as u64;
                continue;
            }
            let length = usize::from(u16::from_le_bytes([framed[at + 4], framed[at + 5]]));
            kinds.push((framed[at + 6], length));
            at += 7 + length;
            offset += 7 + length as u64;
        }
        kinds
    }

    fn check(len: usize, offset: u64, expected: &[(u8, usize)]) {
        assert_eq!(kinds(&frame(&vec![7; len], offset), offset), expected);
    }

    #[test]
    fn records_are_cut_at_blocks() {
        check(5, 7, &[(1, 5)]);
        check(32768 - 14, 7, &[(1, 32768 - 14)]);
        check(32768 - 13, 7, &[(2, 32768 - 14), (4, 1)]);
        check(70_000, 7, &[(2, 32754), (3, 32761), (4, 4485)]);
        check(5, 32768 - 3, &[(1, 5)]);
        check(5, 32768 - 7, &[(2, 0), (4, 5)]);
        check(5, 32768 * 3 - 12, &[(1, 5)]);
    }

    #[test]
    fn chunks_are_whole_or_not() {
        let whole = [frame(b"first", 7), frame(b"second", 19)].concat();
        assert!(are_whole(&whole));
        assert!(are_whole(&[]));
        assert!(are_whole(&[&whole[..], &[0; 6]].concat()));
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!(!are_whole(&damaged), "{at}");
        }
        assert!(!are_whole(&[0; 7]));
        assert!(!are_whole(&whole[..whole.len() - 1]));
    }

    #[test]
    fn the_checksum_is_zlibs() {
        assert_eq!(checksum(b'1', b"23456789"), 0xCBF4_3926);
    }
}
