//! Finds the records of a transaction log, and goes on after damage.

use std::io::{self, Read};

use super::framing::{BLOCK, CHUNK_HEADER, Chunk, FILE_HEADER, checksum};
use super::wire;

/// The longest record that is read, in bytes: 64 MiB. Memory is taken as its parts come.
pub const MAX_RECORD: usize = 64 << 20;

const HEADER: usize = CHUNK_HEADER as usize;

/// How many bytes of a block are checked in search of a chunk: each about a hundred times.
const MAX_SEARCHED: usize = 4 << 20;

/// A stretch of a log that holds no whole record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// Where the first record begins that is not whole.
    pub from: u64,
    /// The byte after it: where the next whole record begins, or the end of the file.
    pub to: u64,
    /// What was found.
    pub reason: String,
    /// Whether it reaches to the end of the file: no whole record follows. That is how a log ends
    /// whose writer was killed, or lost power.
    pub at_end: bool,
}

/// What a log holds, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Record(Payload),
    Damage(Damage),
}

/// A whole record, its checksums right.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) start: u64,
    /// The byte after it.
    pub(super) end: u64,
    pub(super) bytes: Vec<u8>,
}

/// Reads a log block by block. Holds one block and one record at a time.
///
/// After damage it goes on at the next chunk in the block whose checksum is right, and where there
/// is none, at the next block.
pub(super) struct Scanner<R> {
    input: R,
    block: Vec<u8>,
    /// Where in the file the block begins.
    base: u64,
    /// Where in the block the next chunk is.
    at: usize,
    /// A record whose last part hasn't come.
    pending: Option<Pending>,
    /// Damage that no whole record has followed so far.
    damage: Option<Open>,
    /// The record that ended the damage told last.
    ready: Option<Payload>,
    /// How many bytes of the block were checked in search of a chunk.
    searched: usize,
    begins_well: bool,
}

struct Pending {
    start: u64,
    bytes: Vec<u8>,
}

struct Open {
    from: u64,
    reason: String,
}

enum Step {
    Record(Payload),
    More,
    End,
}

impl<R: Read> Scanner<R> {
    pub(super) fn new(input: R) -> io::Result<Self> {
        let mut scanner = Self {
            input,
            block: Vec::new(),
            base: 0,
            at: FILE_HEADER.len(),
            pending: None,
            damage: None,
            ready: None,
            searched: 0,
            begins_well: true,
        };
        scanner.read_block()?;
        if !scanner.block.starts_with(&FILE_HEADER) {
            scanner.begins_well = false;
            scanner.note(0, NO_HEADER.into());
            scanner.at = match chunk_at(&scanner.block, FILE_HEADER.len()) {
                Ok(_) => FILE_HEADER.len(),
                Err(_) => scanner.search(0),
            };
        }
        Ok(scanner)
    }

    /// Whether the file begins with W&B's header.
    pub(super) fn begins_well(&self) -> bool {
        self.begins_well
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Found>> {
        if let Some(record) = self.ready.take() {
            return Ok(Some(Found::Record(record)));
        }
        loop {
            match self.step()? {
                Step::Record(record) => return Ok(Some(self.after_damage(record))),
                Step::More => {}
                Step::End => return Ok(self.damage_at_end()),
            }
        }
    }

    fn after_damage(&mut self, record: Payload) -> Found {
        let Some(damage) = self.damage.take() else {
            return Found::Record(record);
        };
        let to = record.start;
        self.ready = Some(record);
        Found::Damage(damage.until(to, false))
    }

    fn damage_at_end(&mut self) -> Option<Found> {
        if let Some(torn) = self.pending.take() {
            self.note(torn.start, "the last record has no end: it is torn".into());
        }
        let end = self.base + self.block.len() as u64;
        let damage = self.damage.take()?;
        Some(Found::Damage(damage.until(end, true)))
    }

    fn step(&mut self) -> io::Result<Step> {
        if !self.has_chunk()? {
            return Ok(Step::End);
        }
        let at = self.at;
        match chunk_at(&self.block, at) {
            Ok((kind, length)) => {
                self.at += HEADER + length;
                Ok(self.take(kind, at..at + HEADER + length))
            }
            Err(reason) => {
                let begins = self.pending.take().map(|torn| torn.start);
                self.note(begins.unwrap_or(self.base + at as u64), reason);
                self.at = self.next_chunk();
                Ok(Step::More)
            }
        }
    }

    /// Whether there can be a chunk at `at`, after the padding of a block where it stands there.
    fn has_chunk(&mut self) -> io::Result<bool> {
        let is_padding = BLOCK as usize - self.at.min(BLOCK as usize) < HEADER;
        if is_padding && self.block.len() as u64 == BLOCK {
            self.base += BLOCK;
            self.at = 0;
            self.read_block()?;
            return self.has_chunk();
        }
        let left = self.block.len().saturating_sub(self.at);
        if left > 0 && left < HEADER && !is_padding {
            let begins = self.pending.take().map(|torn| torn.start);
            let begins = begins.unwrap_or(self.base + self.at as u64);
            self.note(begins, TORN.into());
            self.at = self.block.len();
        }
        Ok(left >= HEADER)
    }

    /// Takes a part of a record into account.
    fn take(&mut self, kind: Chunk, chunk: std::ops::Range<usize>) -> Step {
        let start = self.base + chunk.start as u64;
        let data = &self.block[chunk.start + HEADER..chunk.end];
        let begun = self.pending.take();
        match (kind, begun) {
            (Chunk::Full, None) => self.complete(start, data.to_vec()),
            (Chunk::First, None) => {
                self.pending = Some(Pending::new(start, data));
                Step::More
            }
            (Chunk::Middle | Chunk::Last, Some(mut record)) => {
                if record.bytes.len() + data.len() > MAX_RECORD {
                    let limit = format!("a record is longer than {} MiB", MAX_RECORD >> 20);
                    self.note(record.start, limit);
                    return Step::More;
                }
                record.bytes.extend(data);
                match kind {
                    Chunk::Last => self.complete(record.start, record.bytes),
                    _ => {
                        self.pending = Some(record);
                        Step::More
                    }
                }
            }
            (_, begun) => self.out_of_order(kind, start, chunk, begun),
        }
    }

    fn out_of_order(
        &mut self,
        kind: Chunk,
        start: u64,
        chunk: std::ops::Range<usize>,
        begun: Option<Pending>,
    ) -> Step {
        let from = begun.as_ref().map_or(start, |record| record.start);
        self.note(from, "a part of a record stands out of order".into());
        match begun {
            Some(_) => self.take(kind, chunk),
            None => Step::More,
        }
    }

    /// What ends damage has to look like a record, since a chunk may stand inside of another.
    fn complete(&mut self, start: u64, bytes: Vec<u8>) -> Step {
        if self.damage.is_some() && wire::record_type(&bytes).is_err() {
            return Step::More;
        }
        let end = self.base + self.at as u64;
        Step::Record(Payload { start, end, bytes })
    }

    /// Damage from there on, unless some lies before it that nothing whole has followed.
    fn note(&mut self, from: u64, reason: String) {
        self.damage.get_or_insert(Open { from, reason });
    }

    /// Where to go on after the chunk at `at`, which is broken: behind it, if its length is right. A
    /// wrong one can lead to a chunk too, past whole ones that stand in a row up to there.
    fn next_chunk(&mut self) -> usize {
        let claimed = self.at + HEADER + claimed_length(&self.block[self.at..]);
        let next = self.search(self.at + 1);
        match chunk_at(&self.block, claimed) {
            Ok(_) if !self.leads(next, claimed) => claimed,
            _ => next,
        }
    }

    /// Whether whole chunks stand in a row from one place to another.
    fn leads(&self, from: usize, to: usize) -> bool {
        let mut at = from;
        while at < to {
            match chunk_at(&self.block, at) {
                Ok((_, length)) => at += HEADER + length,
                Err(_) => return false,
            }
        }
        at == to
    }

    /// The next place in the block where a chunk is whole, or the block's end: also where too much
    /// looks like a chunk to try it all.
    fn search(&mut self, from: usize) -> usize {
        let end = self.block.len();
        for at in from..end {
            if self.searched > MAX_SEARCHED {
                break;
            }
            let kind = self.block.get(at + HEADER - 1).copied();
            if kind.and_then(Chunk::from_byte).is_none() {
                continue;
            }
            if chunk_at(&self.block, at).is_ok() {
                return at;
            }
            let length = claimed_length(&self.block[at..]);
            if at + HEADER + length <= end {
                self.searched += length;
            }
        }
        end
    }

    fn read_block(&mut self) -> io::Result<()> {
        self.block.clear();
        self.searched = 0;
        self.input
            .by_ref()
            .take(BLOCK)
            .read_to_end(&mut self.block)?;
        Ok(())
    }
}

impl Pending {
    fn new(start: u64, data: &[u8]) -> Self {
        let bytes = data.to_vec();
        Self { start, bytes }
    }
}

impl Open {
    fn until(self, to: u64, at_end: bool) -> Damage {
        Damage {
            from: self.from,
            to,
            reason: self.reason,
            at_end,
        }
    }
}

/// Whether a log ends there as a kill or a loss of power leaves it: with the beginning of one
/// record, or zeros, or with both. `input` begins with a block, and `at` is where in
/// it the last whole record ends.
pub(super) fn ends_torn(mut input: impl Read, mut at: usize) -> io::Result<bool> {
    let (mut block, mut length, mut is_begun) = (Vec::new(), 0, false);
    loop {
        block.clear();
        input.by_ref().take(BLOCK).read_to_end(&mut block)?;
        let is_full = block.len() as u64 == BLOCK;
        while at < block.len() && BLOCK as usize - at >= HEADER {
            match chunk_at(&block, at) {
                Ok((kind, data)) if goes_on(kind, is_begun) && length + data <= MAX_RECORD => {
                    (length, is_begun) = (length + data, true);
                    at += HEADER + data;
                }
                Ok(_) => return Ok(false),
                Err(_) if !is_full && is_cut(&block[at..], is_begun) => return Ok(true),
                Err(_) => return ends_in_zeros(&block[at..], input),
            }
        }
        if !is_full {
            return Ok(true);
        }
        at = 0;
    }
}

/// Whether a chunk is a part of one record that has no end.
fn goes_on(kind: Chunk, is_begun: bool) -> bool {
    match kind {
        Chunk::First => !is_begun,
        Chunk::Middle => is_begun,
        Chunk::Full | Chunk::Last => false,
    }
}

/// Whether what is left of a log is the beginning of a chunk, of a record that has begun or not.
fn is_cut(rest: &[u8], is_begun: bool) -> bool {
    let Some(kind) = rest.get(HEADER - 1) else {
        return true;
    };
    let fits = match Chunk::from_byte(*kind) {
        Some(Chunk::Full | Chunk::First) => !is_begun,
        Some(Chunk::Middle | Chunk::Last) => is_begun,
        None => false,
    };
    fits && rest.len() < HEADER + claimed_length(rest)
}

/// Whether what is left of a log is a chunk whose end is zeros, as all that follows is.
fn ends_in_zeros(rest: &[u8], mut input: impl Read) -> io::Result<bool> {
    let is_zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
    let whole = HEADER + claimed_length(rest);
    let end = match rest.len() < whole {
        true => HEADER,
        false => whole,
    };
    let mut block = rest[end - 1..].to_vec();
    while is_zero(&block) {
        block.clear();
        if input.by_ref().take(BLOCK).read_to_end(&mut block)? == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is wrong with a file that is no log.
pub(super) const NO_HEADER: &str = "it does not begin as a W&B transaction log does";

const TORN: &str = "the log is torn here";

fn claimed_length(chunk: &[u8]) -> usize {
    match chunk {
        [_, _, _, _, low, high, ..] => usize::from(u16::from_le_bytes([*low, *high])),
        _ => 0,
    }
}

/// The kind and length of the chunk there, or what is wrong with it.
fn chunk_at(block: &[u8], at: usize) -> Result<(Chunk, usize), String> {
    let chunk = block.get(at..).unwrap_or_default();
    let Some((header, rest)) = chunk.split_at_checked(HEADER) else {
        return Err(TORN.into());
    };
    let length = claimed_length(header);
    if header.iter().all(|&byte| byte == 0) {
        return Err("zeros stand where a record should begin".into());
    }
    if at + HEADER + length > BLOCK as usize {
        return Err(format!("a chunk claims {length} bytes, past its block"));
    }
    let (Some(data), &[c0, c1, c2, c3, _, _, kind]) = (rest.get(..length), header) else {
        return Err(TORN.into());
    };
    if checksum(kind, data) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err("the checksum does not match".into());
    }
    match Chunk::from_byte(kind) {
        Some(kind) => Ok((kind, length)),
        None => Err(format!("a chunk of the unknown kind {kind}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::framing::frame;
    use super::*;

    /// A record of a type, with so many bytes of content.
    fn record(number: u32, len: usize) -> Vec<u8> {
        let mut record = Vec::new();
        wire::put(&mut record, number, &vec![0xA5; len]);
        record
    }

    /// A log, and where each record begins and ends.
    fn log(records: &[Vec<u8>]) -> (Vec<u8>, Vec<(usize, usize)>) {
        let mut log = FILE_HEADER.to_vec();
        let mut places = Vec::new();
        for record in records {
            let left = BLOCK as usize - log.len() % BLOCK as usize;
            let start = log.len() + if left < HEADER { left } else { 0 };
            log.extend(frame(record, log.len() as u64));
            places.push((start, log.len()));
        }
        (log, places)
    }

    /// `start..end` of each record, `!from..to: reason` of damage, with `!!` at the end.
    fn scan(bytes: &[u8]) -> Vec<String> {
        let mut scanner = Scanner::new(bytes).unwrap();
        let mut told = Vec::new();
        while let Some(found) = scanner.next().unwrap() {
            told.push(match found {
                Found::Record(record) => format!("{}..{}", record.start, record.end),
                Found::Damage(d) => {
                    let mark = if d.at_end { "!!" } else { "!" };
                    format!("{mark}{}..{}: {}", d.from, d.to, d.reason)
                }
            });
        }
        told
    }

    fn check(bytes: &[u8], expected: &[&str]) {
        assert_eq!(scan(bytes), expected);
    }

    /// A block in which everything looks like a chunk is given up, and the next is read.
    #[test]
    fn a_search_has_an_end() {
        let mut bytes = FILE_HEADER.to_vec();
        bytes.extend([0x40, 1].repeat(16 << 10));
        bytes.truncate(BLOCK as usize - 100);
        let whole = frame(&record(2, 10), bytes.len() as u64);
        bytes.extend(whole);
        bytes.resize(BLOCK as usize, 0);
        let after = frame(&record(3, 20), BLOCK);
        bytes.extend(&after);
        let found = scan(&bytes);
        let last = format!("{BLOCK}..{}", bytes.len());
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[1], last);
    }

    #[test]
    fn a_search_that_finds_something_has_the_same_end() {
        let mut bytes = FILE_HEADER.to_vec();
        while bytes.len() < BLOCK as usize / 2 {
            bytes.extend([0x40, 1].repeat(100));
            bytes.extend(frame(&record(2, 10), bytes.len() as u64));
        }
        bytes.resize(BLOCK as usize, 0);
        bytes.extend(frame(&record(3, 20), BLOCK));
        let found = scan(&bytes);
        let last = format!("{BLOCK}..{}", bytes.len());
        assert!((3..9).contains(&found.len()), "{found:?}");
        assert_eq!(found[found.len() - 1], last);
    }

    #[test]
    fn records_follow_damage_in_the_same_block() {
        let (bytes, _) = log(&[record(2, 10), record(3, 20), record(4, 30)]);
        check(&bytes, &["7..26", "26..55", "55..94"]);
        let changed = |at: usize, to: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = to;
            bytes
        };
        let mismatch = ["7..26", "!26..55: the checksum does not match", "55..94"];
        check(&changed(50, 0), &mismatch);
        check(&changed(30, 7), &mismatch);
        check(&changed(32, 9), &mismatch);
        let past = "!26..55: a chunk claims 65302 bytes, past its block";
        check(&changed(31, 0xFF), &["7..26", past, "55..94"]);
        let header = "!0..7: it does not begin as a W&B transaction log does";
        check(&changed(3, 0), &[header, "7..26", "26..55", "55..94"]);
    }

    /// Rows of one size, whose frames are a power of two: a bit of the length leads to another one.
    #[test]
    fn a_length_that_leads_to_a_later_record_loses_none_between() {
        let (mut bytes, places) = log(&[2, 3, 4, 5].map(|number| record(number, 55)));
        let place = |i: usize| format!("{}..{}", places[i].0, places[i].1);
        assert_eq!(places[0].1 - places[0].0, 64);
        bytes[places[1].0 + 4] ^= 64;
        let lost = format!("!{}: the checksum does not match", place(1));
        check(&bytes, &[&place(0), &lost, &place(2), &place(3)]);
    }

    #[test]
    fn zeros_and_a_torn_end_are_told() {
        let (mut bytes, _) = log(&[record(2, 10), record(3, 20)]);
        check(&bytes[..40], &["7..26", "!!26..40: the log is torn here"]);
        check(&bytes[..30], &["7..26", "!!26..30: the log is torn here"]);
        let zeros = "zeros stand where a record should begin";
        bytes.resize(70_000, 0);
        check(
            &bytes,
            &["7..26", "26..55", &format!("!!55..70000: {zeros}")],
        );
        bytes.truncate(55);
        bytes.resize(BLOCK as usize, 0);
        bytes.extend(frame(&record(2, 10), BLOCK));
        check(
            &bytes,
            &[
                "7..26",
                "26..55",
                &format!("!55..32768: {zeros}"),
                "32768..32787",
            ],
        );
        check(
            b"",
            &["!!0..0: it does not begin as a W&B transaction log does"],
        );
    }

    #[test]
    fn a_record_of_many_parts_is_lost_as_a_whole_and_no_other() {
        let records = [
            record(2, 10),
            record(3, 100_000),
            record(4, 40_000),
            record(5, 10),
        ];
        let (bytes, places) = log(&records);
        let place = |i: usize| format!("{}..{}", places[i].0, places[i].1);
        for at in (places[1].0..places[1].1).step_by(997) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x10;
            let told = scan(&bytes);
            let lost = format!("!{}..{}: ", places[1].0, places[2].0);
            assert_eq!(
                [&*told[0], &told[2], &told[3]],
                [place(0), place(2), place(3)],
                "{at}"
            );
            assert!(
                told[1].starts_with(&lost) && told.len() == 4,
                "{at}: {told:?}"
            );
        }
    }

    #[test]
    fn parts_out_of_order_are_damage() {
        let (bytes, _) = log(&[record(3, 40_000)]);
        let begun = &bytes[..BLOCK as usize];
        let again = [begun, &frame(&record(2, 10), BLOCK)].concat();
        let torn = "!7..32768: a part of a record stands out of order";
        check(&again, &[torn, "32768..32787"]);
        let (whole, _) = log(&[record(2, 10)]);
        let orphan = [&whole[..], &bytes[BLOCK as usize..]].concat();
        check(
            &orphan,
            &[
                "7..26",
                "!!26..7283: a part of a record stands out of order",
            ],
        );
    }

    #[test]
    fn a_record_over_the_limit_is_passed_over() {
        let (bytes, places) = log(&[record(3, MAX_RECORD), record(2, 10)]);
        let (start, end) = places[1];
        let limit = format!("!7..{start}: a record is longer than 64 MiB");
        check(&bytes, &[&limit, &format!("{start}..{end}")]);
    }
}
