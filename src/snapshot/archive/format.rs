//! PURE. The records of the ZIP format (APPNOTE 4.3), read out of bytes. Nothing is judged here.

pub(super) const LOCAL: [u8; 4] = *b"PK\x03\x04";
pub(super) const CENTRAL: [u8; 4] = *b"PK\x01\x02";
pub(super) const EOCD: [u8; 4] = *b"PK\x05\x06";
pub(super) const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";

pub(super) const LOCAL_LEN: usize = 30;
pub(super) const CENTRAL_LEN: usize = 46;
pub(super) const EOCD_LEN: usize = 22;

pub(super) const STORED: u16 = 0;
pub(super) const DEFLATE: u16 = 8;
pub(super) const AES: u16 = 99;

/// General purpose bits (APPNOTE 4.4.4).
pub(super) const ENCRYPTED: u16 = 1;
pub(super) const DESCRIBED: u16 = 1 << 3;
pub(super) const PATCH: u16 = 1 << 5;
pub(super) const STRONG: u16 = 1 << 6;
pub(super) const UTF8: u16 = 1 << 11;
pub(super) const MASKED: u16 = 1 << 13;

/// Extra field ids (APPNOTE 4.5.2, 4.6.9).
pub(super) const ZIP64: u16 = 0x0001;
pub(super) const NTFS: u16 = 0x000a;
pub(super) const TIMESTAMP: u16 = 0x5455;
pub(super) const UNICODE_PATH: u16 = 0x7075;

pub(super) fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*b.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*b.get(at..)?.first_chunk()?))
}

pub(super) fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*b.get(at..)?.first_chunk()?))
}

/// A header of the central directory (APPNOTE 4.3.12).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CentralHeader<'a> {
    pub(super) host: u8,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) time: u16,
    pub(super) date: u16,
    pub(super) crc: u32,
    pub(super) compressed: u32,
    pub(super) size: u32,
    pub(super) disk: u16,
    pub(super) attributes: u32,
    pub(super) offset: u32,
    pub(super) name: &'a [u8],
    pub(super) extra: &'a [u8],
    /// The header's length, name, extra field and comment included.
    pub(super) len: usize,
}

impl<'a> CentralHeader<'a> {
    /// The header at the start of `b`; `None` when there is none or it does not fit.
    pub(super) fn parse(b: &'a [u8]) -> Option<Self> {
        let fixed: &[u8; CENTRAL_LEN] = b.first_chunk().filter(|b| b.starts_with(&CENTRAL))?;
        let name_end = CENTRAL_LEN + usize::from(u16_at(fixed, 28)?);
        let extra_end = name_end + usize::from(u16_at(fixed, 30)?);
        let len = extra_end + usize::from(u16_at(fixed, 32)?);
        if b.len() < len {
            return None;
        }
        Some(Self {
            host: *fixed.get(5)?,
            flags: u16_at(fixed, 8)?,
            method: u16_at(fixed, 10)?,
            time: u16_at(fixed, 12)?,
            date: u16_at(fixed, 14)?,
            crc: u32_at(fixed, 16)?,
            compressed: u32_at(fixed, 20)?,
            size: u32_at(fixed, 24)?,
            disk: u16_at(fixed, 34)?,
            attributes: u32_at(fixed, 38)?,
            offset: u32_at(fixed, 42)?,
            name: b.get(CENTRAL_LEN..name_end)?,
            extra: b.get(name_end..extra_end)?,
            len,
        })
    }
}

/// The fixed part of a local file header (APPNOTE 4.3.7).
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalHeader {
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) compressed: u32,
    pub(super) size: u32,
    pub(super) name_len: usize,
    pub(super) extra_len: usize,
}

impl LocalHeader {
    pub(super) fn parse(b: &[u8]) -> Option<Self> {
        if !b.starts_with(&LOCAL) {
            return None;
        }
        Some(Self {
            flags: u16_at(b, 6)?,
            method: u16_at(b, 8)?,
            crc: u32_at(b, 14)?,
            compressed: u32_at(b, 18)?,
            size: u32_at(b, 22)?,
            name_len: u16_at(b, 26)?.into(),
            extra_len: u16_at(b, 28)?.into(),
        })
    }

    /// Header, name and extra field together.
    pub(super) fn len(&self) -> usize {
        LOCAL_LEN + self.name_len + self.extra_len
    }
}

/// The fields of an extra area. Ends at the first one that does not fit: real tools leave such tails, as
/// padding for example, and what is needed from the area is checked where it is needed.
pub(super) fn fields(mut extra: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (id, len) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let body = extra.get(4..4 + len)?;
        extra = extra.get(4 + len..)?;
        Some((id, body))
    })
}

/// All fields with that id.
pub(super) fn fields_of(extra: &[u8], id: u16) -> impl Iterator<Item = &[u8]> {
    fields(extra).filter(move |(found, _)| *found == id).map(|(_, body)| body)
}

/// What begins like a signature, from there to the end of `b`.
fn signed(b: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..b.len()).filter_map(|at| b.get(at..)).filter(|b| b.starts_with(b"PK"))
}

/// Whether something in `b`, bytes between entries or behind the end, is a header to a reader of the stream. Readers differ
/// in what else has to be right.
pub(super) fn has_signature(b: &[u8]) -> bool {
    signed(b).any(|b| match b.first_chunk() {
        // Behind the letters alone, in a text for example, is no method that any reader knows.
        Some(&LOCAL) => u16_at(b, 8).is_none_or(|method| method < 256),
        Some(&(CENTRAL | EOCD | DESCRIPTOR)) => true,
        _ => false,
    })
}

/// Whether a local file header or an EOCD record that makes sense is in `b`, the bytes in front of an archive: programs have
/// bare signatures in them.
pub(super) fn has_record(b: &[u8]) -> bool {
    signed(b).any(|b| match b.first_chunk() {
        // No reader takes other methods, or an entry without a name in either place; versions, some ignore.
        Some(&LOCAL) => LocalHeader::parse(b).is_some_and(|header| {
            (header.method <= 20 || (93..=99).contains(&header.method)) && header.len() > LOCAL_LEN
        }),
        Some(&EOCD) => b.len() >= EOCD_LEN && u16_at(b, 4) == Some(0) && u16_at(b, 8) == u16_at(b, 10),
        _ => false,
    })
}

/// CRC-32 of something short: names. The data's checksums are the `zip` crate's work.
pub(super) fn crc32_of_name(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_has_the_published_check_value() {
        assert_eq!(crc32_of_name(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn fields_end_where_they_stop_making_sense() {
        let extra = b"\x55\x54\x02\x00ab\x01\x00\x00\x00\x0a\x00\xff\x00tail";
        let found: Vec<_> = fields(extra).collect();
        assert_eq!(found, [(0x5455, &b"ab"[..]), (1, &b""[..])]);
        assert_eq!(fields(b"\0\0\0").count(), 0);
    }

    #[test]
    fn a_central_header_must_fit() {
        let mut b = vec![0; CENTRAL_LEN];
        b[..4].copy_from_slice(&CENTRAL);
        b[28] = 1;
        assert!(CentralHeader::parse(&b).is_none());
        b.push(b'x');
        assert_eq!(CentralHeader::parse(&b).map(|c| c.name.to_vec()), Some(b"x".to_vec()));
    }
}
