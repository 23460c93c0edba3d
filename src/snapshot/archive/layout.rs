//! Local headers held against the directory, and every byte of the file accounted for.
//!
//! Read in the order of the data through one window, so that the headers of neighbours come in one read.

use std::io;

use super::directory::{Directory, Record};
use super::fault::{Fault, Judged};
use super::format::{
    CENTRAL, Central, DESCRIBED, DESCRIPTOR, ENCRYPTED, END, END_LEN, LOCAL, LOCAL_LEN, Local, MASKED, PATCH,
    STRONG, UTF8, ZIP64, fields, u16_at, u32_at, u64_at,
};
use super::name;
use super::window::{SPAN, Window};
use crate::error::Refusal;
use crate::snapshot::source::Source;

/// Headers closer together than this come in one read.
const NEAR: u64 = 64 << 10;

/// Where each looked-at entry's data begins, as a distance from its local header; 0 for the others.
pub(super) struct Layout(Vec<u32>);

impl Layout {
    pub(super) fn data_at(&self, index: u32, record: &Record) -> Option<u64> {
        let head = *self.0.get(index as usize)?;
        if head == 0 { None } else { record.header.checked_add(head.into()) }
    }
}

/// Looks at the local headers of the entries that `wanted` picks and at the bytes around them. `fault` is told
/// every contradiction, with the entry it belongs to.
///
/// # Errors
/// What the source fails with.
pub(super) fn check<S: Source + ?Sized>(
    source: &S,
    directory: &Directory,
    wanted: impl Fn(u32) -> bool,
    mut fault: impl FnMut(Option<u32>, Fault),
) -> io::Result<Layout> {
    let order = directory.by_offset();
    let mut layout = Layout(vec![0; directory.len()]);
    let mut window = Window::new(source, directory.start);
    let all = directory.indices().all(&wanted);
    let mut reach = 0;
    for (place, &index) in order.iter().enumerate() {
        let Some(record) = directory.record(index) else { continue };
        let next =
            order.get(place + 1).and_then(|i| directory.record(*i)).map_or(directory.start, |r| r.header);
        if record.header < reach && (all || wanted(index)) {
            fault(
                Some(index),
                Fault::new(Refusal::Overlap, "its bytes are also another entry's; do not trust this archive"),
            );
        }
        if place == 0 && all {
            strangers(&mut window, 0, record.header, directory.start, true)?
                .unwrap_or_else(|f| fault(None, f));
        }
        if !wanted(index) {
            reach = reach.max(record.header + LOCAL_LEN as u64 + record.packed);
            continue;
        }
        let mut look = |window: &mut Window<'_, S>| -> io::Result<Judged<()>> {
            reach_ahead(window, directory, &order, place);
            let head = match local(window, record, &directory.central(index), directory.start)? {
                Ok(head) => head,
                Err(fault) => return Ok(Err(fault)),
            };
            if let Some(slot) = layout.0.get_mut(index as usize) {
                *slot = head.len;
            }
            let end = record.header + u64::from(head.len) + record.packed;
            reach = reach.max(end);
            if end > next {
                let of = if next == directory.start { Refusal::Corrupt } else { Refusal::Overlap };
                return Ok(Err(Fault::new(
                    of,
                    "its data runs into what follows it; do not trust this archive",
                )));
            }
            after(window, record, &head, end, next)
        };
        let judged = look(&mut window)?;
        reach = reach.max(record.header + LOCAL_LEN as u64 + record.packed);
        judged.unwrap_or_else(|f| fault(Some(index), f));
    }
    if order.is_empty() {
        strangers(&mut window, 0, directory.start, directory.start, true)?.unwrap_or_else(|f| fault(None, f));
    }
    Ok(layout)
}

/// One entry's data offset, its local header checked. One read.
pub(super) fn locate<S: Source + ?Sized>(
    source: &S,
    directory: &Directory,
    index: u32,
) -> io::Result<Judged<u64>> {
    let Some(record) = directory.record(index) else { return Err(io::ErrorKind::NotFound.into()) };
    let central = directory.central(index);
    let near = record.header + (LOCAL_LEN + central.name.len() + 64) as u64;
    let mut window = Window::new(source, near.min(directory.start));
    Ok(local(&mut window, record, &central, directory.start)?.and_then(|head| {
        let at = record.header + u64::from(head.len);
        if at + record.packed <= directory.start {
            Ok(at)
        } else {
            Err(Fault::corrupt("its data runs into what follows it; do not trust this archive"))
        }
    }))
}

/// Lets the window read on over the following headers as long as they are near.
fn reach_ahead<S: Source + ?Sized>(
    window: &mut Window<'_, S>,
    directory: &Directory,
    order: &[u32],
    place: usize,
) {
    let following = order.get(place..).unwrap_or_default();
    let record = |index: &u32| directory.record(*index);
    let Some(first) = following.first().and_then(record) else { return };
    if window.has(first.header, LOCAL_LEN + 256) {
        return;
    }
    let mut until = first.header;
    for index in following {
        let Some(record) = record(index) else { break };
        if record.header.saturating_sub(until) > NEAR || until - first.header > SPAN as u64 {
            break;
        }
        until = record.header + (LOCAL_LEN + directory.central(*index).name.len() + 64) as u64;
    }
    window.until(until.min(directory.start));
}

/// What a good local header tells.
struct Head {
    /// Header, name and extra field together.
    len: u32,
    /// A data descriptor follows the data.
    described: bool,
    /// Sizes and checksum are in the header already, descriptor or not.
    complete: bool,
    crc: u32,
}

/// Reads the local header and holds it against the central one.
fn local<S: Source + ?Sized>(
    window: &mut Window<'_, S>,
    record: &Record,
    central: &Central<'_>,
    limit: u64,
) -> io::Result<Judged<Head>> {
    let bad = |detail: &'static str| Ok(Err(Fault::corrupt(detail)));
    let Some(local) = Local::parse(window.bytes(record.header, LOCAL_LEN)?) else {
        return bad("its data does not begin where the directory says; get the file again");
    };
    let len = local.len();
    if record.header + len as u64 > limit {
        return bad("the header before its data is longer than the file; do not trust this archive");
    }
    let bytes = window.bytes(record.header, len)?;
    let name_end = LOCAL_LEN + local.name_len;
    let (name, extra) =
        (bytes.get(LOCAL_LEN..name_end).unwrap_or_default(), bytes.get(name_end..).unwrap_or_default());
    if name != central.name {
        return bad("the header before its data has another name; do not trust this archive");
    }
    match name::unicode_path(extra, name) {
        Ok(None) => {}
        Ok(Some(path)) if path == name::decode(central).0.as_bytes() => {}
        _ => return bad("the header before its data has another Unicode path; do not trust this archive"),
    }
    let watched = ENCRYPTED | DESCRIBED | PATCH | STRONG | MASKED | if name.is_ascii() { 0 } else { UTF8 };
    if local.method != central.method || (local.flags ^ central.flags) & watched != 0 {
        return bad(
            "the header before its data has another method or other flags; do not trust this archive",
        );
    }
    let (mut size, mut packed) = (u64::from(local.size), u64::from(local.packed));
    let open = u64::from(u32::MAX);
    let mut wides = fields(extra).filter(|(id, _)| *id == ZIP64).map(|(_, body)| body);
    // In a local header the field has both sizes (APPNOTE 4.5.3).
    let wide = wides.next().and_then(|b| Some((u64_at(b, 0)?, u64_at(b, 8)?)));
    if wides.next().is_some() {
        return bad("the header before its data has two zip64 fields; do not trust this archive");
    }
    if size == open || packed == open {
        let Some((wide_size, wide_packed)) = wide else {
            return bad("the header before its data lacks a zip64 field that it needs");
        };
        (size, packed) =
            (if size == open { wide_size } else { size }, if packed == open { wide_packed } else { packed });
    } else if wide.is_some_and(|wide| wide != (size, packed) && wide != (0, 0)) {
        // Superfluous: zeros are room kept for sizes that were not needed, other numbers are believed by some.
        return bad(
            "the header before its data has a zip64 field that contradicts it; do not trust this archive",
        );
    }
    let described = central.flags & DESCRIBED != 0;
    let same = |said: u64, is: u64| said == is || (described && said == 0);
    if !same(size, record.size) || !same(packed, record.packed) || !same(local.crc.into(), record.crc.into())
    {
        return bad("the header before its data has another size or checksum; get the file again");
    }
    let complete = (size, packed, local.crc) == (record.size, record.packed, record.crc);
    Ok(Ok(Head { len: u32::try_from(len).unwrap_or(u32::MAX), described, complete, crc: record.crc }))
}

/// Judges what lies between an entry's data and the next entry: its descriptor, and nothing that is an entry.
fn after<S: Source + ?Sized>(
    window: &mut Window<'_, S>,
    record: &Record,
    head: &Head,
    end: u64,
    next: u64,
) -> io::Result<Judged<()>> {
    let mut from = end;
    if head.described {
        let room = usize::try_from(next - end).unwrap_or(usize::MAX).min(24);
        let len = descriptor(window.bytes(end, room)?, record, head.crc, next - end);
        match len {
            Some(len) => from += len as u64,
            None if head.complete => {}
            None => {
                return Ok(Err(Fault::corrupt(
                    "the descriptor after its data contradicts the directory; get the file again",
                )));
            }
        }
    }
    strangers(window, from, next, next, false)
}

/// The length of the descriptor that says what the directory says: with or without signature, of 32 or 64 bits
/// (APPNOTE 4.3.9). Of several that fit, the one that fills the gap.
fn descriptor(b: &[u8], record: &Record, crc: u32, gap: u64) -> Option<usize> {
    let narrow = |at: usize| {
        let fits = u32_at(b, at)? == crc
            && u64::from(u32_at(b, at + 4)?) == record.packed
            && u64::from(u32_at(b, at + 8)?) == record.size;
        fits.then_some(at + 12)
    };
    let wide = |at: usize| {
        let fits = u32_at(b, at)? == crc
            && u64_at(b, at + 4)? == record.packed
            && u64_at(b, at + 12)? == record.size;
        fits.then_some(at + 20)
    };
    let signed = b.starts_with(&DESCRIPTOR);
    let forms =
        [if signed { narrow(4) } else { None }, if signed { wide(4) } else { None }, narrow(0), wide(0)];
    let fitting = || forms.iter().flatten().copied();
    fitting().find(|len| *len as u64 == gap).or_else(|| fitting().next())
}

/// Looks for entries and directories in bytes that belong to no entry. Before the first entry there may be a
/// program whose code has a signature in it, so there it must make sense as a record, too.
fn strangers<S: Source + ?Sized>(
    window: &mut Window<'_, S>,
    from: u64,
    to: u64,
    limit: u64,
    prefix: bool,
) -> io::Result<Judged<()>> {
    const STEP: u64 = 64 << 10;
    let mut at = from;
    while at < to {
        let len = (to - at).min(STEP);
        // A record may begin at the step's end: look at its fixed part, too.
        let look = usize::try_from((to - at).min(STEP + LOCAL_LEN as u64)).unwrap_or(0);
        window.until(limit.min(at.saturating_add(SPAN as u64)).max(at + look as u64));
        let bytes = window.bytes(at, look)?;
        let mut skip = 0;
        while let Some(found) =
            bytes.get(skip..).and_then(|b| b.windows(4).position(|w| w.starts_with(b"PK")))
        {
            let here = skip + found;
            if here as u64 >= len {
                break;
            }
            if bytes.get(here..).is_some_and(|b| stranger(b, at + here as u64, to, prefix)) {
                return Ok(Err(Fault::corrupt(
                    "between its entries are others that its directory does not list; do not trust this archive",
                )));
            }
            skip = here + 1;
        }
        at += len;
    }
    Ok(Ok(()))
}

fn stranger(b: &[u8], at: u64, to: u64, prefix: bool) -> bool {
    if !prefix {
        return [LOCAL, CENTRAL, END].iter().any(|signature| b.starts_with(signature));
    }
    if b.starts_with(&END) {
        let sum = u32_at(b, 12).zip(u32_at(b, 16)).map(|(len, offset)| u64::from(len) + u64::from(offset));
        return b.len() >= END_LEN
            && u16_at(b, 4) == Some(0)
            && u16_at(b, 8) == u16_at(b, 10)
            && sum.is_some_and(|sum| sum <= at);
    }
    let Some(local) = Local::parse(b) else { return false };
    let version = u16_at(b, 4).is_some_and(|v| v & 0xFF <= 63);
    let method = local.method <= 20 || (93..=99).contains(&local.method);
    let name = (1..=4096).contains(&local.name_len);
    version && method && name && at + local.len() as u64 <= to
}
