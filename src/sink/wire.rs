//! Protobuf's wire format, read without a schema: what a record is, and its fields as they stand.

/// The numbers of `Record`'s fields that say nothing of its type: num, control, uuid, info.
const UNTYPED: [u32; 4] = [1, 16, 19, 200];

/// A field as it stands in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    /// The content of a message, string or bytes; none of a number.
    pub(super) content: Option<&'a [u8]>,
    /// With its tag.
    pub(super) raw: &'a [u8],
}

/// Bytes that are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The fields of a message, in order. Ends after what is malformed.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Malformed>> {
    let mut rest = Some(message);
    std::iter::from_fn(move || {
        let bytes = rest.take().filter(|bytes| !bytes.is_empty())?;
        let field = field(bytes).ok_or(Malformed);
        rest = field.ok().map(|field| &bytes[field.raw.len()..]);
        Some(field)
    })
}

fn field(bytes: &[u8]) -> Option<Field<'_>> {
    let (tag, after_tag) = varint(bytes)?;
    let number = u32::try_from(tag >> 3).ok().filter(|&number| number > 0)?;
    let (content, after) = match tag & 7 {
        0 => (None, varint(after_tag)?.1),
        1 => (None, after_tag.get(8..)?),
        2 => {
            let (length, after) = varint(after_tag)?;
            let (content, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
            (Some(content), after)
        }
        5 => (None, after_tag.get(4..)?),
        _ => return None,
    };
    Some(Field {
        number,
        content,
        raw: &bytes[..bytes.len() - after.len()],
    })
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (i, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7F).checked_shl(7 * i as u32)?;
        if byte < 0x80 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

/// The number of the field that says what a record is, known here or not; none where it has no
/// type.
pub(super) fn record_type(record: &[u8]) -> Result<Option<u32>, Malformed> {
    let mut last = None;
    for field in fields(record) {
        let field = field?;
        if field.content.is_some() && !UNTYPED.contains(&field.number) {
            last = Some(field.number);
        }
    }
    Ok(last)
}

/// Appends a field that is a message, a string or bytes.
pub(super) fn put(message: &mut Vec<u8>, number: u32, content: &[u8]) {
    put_varint(message, u64::from(number) << 3 | 2);
    put_varint(message, content.len() as u64);
    message.extend(content);
}

fn put_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::super::records::{Record, RecordInfo, RecordType, RunExitRecord};
    use super::*;

    fn check(record: &[u8], expected: Result<Option<u32>, Malformed>) {
        assert_eq!(record_type(record), expected, "{record:?}");
    }

    #[test]
    fn a_record_is_what_its_field_says() {
        let exit = RunExitRecord {
            exit_code: 0,
            runtime: 0,
        };
        let mut record = Record {
            num: 300,
            record_type: Some(RecordType::Exit(exit)),
            info: Some(RecordInfo {
                stream_id: "run".into(),
            }),
        };
        check(&record.encode_to_vec(), Ok(Some(18)));
        record.record_type = None;
        check(&record.encode_to_vec(), Ok(None));
        check(b"", Ok(None));
        check(&[0x08, 0x01], Ok(None));
        let mut unknown = vec![0x08, 0x01];
        put(&mut unknown, 5000, &[0xFF; 300]);
        check(&unknown, Ok(Some(5000)));
    }

    #[test]
    fn hostile_bytes_are_malformed() {
        check(&[0x12], Err(Malformed));
        check(&[0x12, 0x02, 0x00], Err(Malformed));
        check(&[0x00, 0x00], Err(Malformed));
        check(&[0x13], Err(Malformed));
        check(&[0xFF; 20], Err(Malformed));
        let length = [
            0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01,
        ];
        check(&length, Err(Malformed));
        check(&[0x0D, 0, 0, 0], Err(Malformed));
        check(&[0x09, 0, 0, 0, 0, 0, 0, 0], Err(Malformed));
    }

    #[test]
    fn fields_are_read_as_they_were_put() {
        let mut message = Vec::new();
        put(&mut message, 1, b"");
        put(&mut message, 200, &[7; 200]);
        let found: Vec<_> = fields(&message).collect::<Result<_, _>>().unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|f| (f.number, f.content.unwrap().len()))
            .collect();
        assert_eq!(found, [(1, 0), (200, 200)]);
        let raw: Vec<_> = fields(&message).map(|f| f.unwrap().raw).collect();
        assert_eq!(raw.concat(), message);
    }
}
