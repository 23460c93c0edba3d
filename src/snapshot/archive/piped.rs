//! A large file written by a thread of its own while the next piece is inflated. With as many large files as
//! threads it gains nothing; with one large file the other core would be idle.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::mpsc::sync_channel;
use std::thread;

use super::body::{Body, Broken, buffer, unpack_owned};
use super::window::Window;
use crate::snapshot::source::Source;

/// Smaller files are written before a thread is worth it.
pub(super) const WORTH: u64 = 8 << 20;

/// Buffers on their way, besides the one that is being filled.
const BUFFERS: usize = 3;

/// What ended the writing.
pub(super) enum Halted<E> {
    Write(io::Error),
    Taker(E),
}

/// Unpacks an entry into `file`; `each` is told the length of every piece and may end it.
pub(super) fn write<S: Source + ?Sized, E>(
    window: &mut Window<'_, S>,
    body: &Body,
    buf: &mut Vec<u8>,
    file: &File,
    mut each: impl FnMut(u64) -> Result<(), E>,
) -> Result<u64, Broken<Halted<E>>> {
    let (full, pieces) = sync_channel::<(Vec<u8>, usize)>(BUFFERS);
    let (free, empties) = sync_channel::<Vec<u8>>(BUFFERS + 1);
    thread::scope(|scope| {
        let writer = move || -> io::Result<()> {
            let mut file = file;
            for (piece, len) in pieces {
                file.write_all(piece.get(..len).unwrap_or_default())?;
                let _ = free.send(piece);
            }
            Ok(())
        };
        let writer = thread::Builder::new()
            .spawn_scoped(scope, writer)
            .map_err(|e| Broken::Taker(Halted::Write(e)))?;
        let mut made = 0;
        let result = unpack_owned(window, body, buf, |buf, len| {
            let next = match empties.try_recv() {
                Ok(next) => next,
                Err(_) if made < BUFFERS => {
                    made += 1;
                    buffer()
                }
                // A writer that failed hangs up; its error is taken below.
                Err(_) => empties.recv().unwrap_or_else(|_| buffer()),
            };
            let gone = full.send((mem::replace(buf, next), len)).is_err();
            if gone {
                Err(Halted::Write(io::ErrorKind::BrokenPipe.into()))
            } else {
                each(len as u64).map_err(Halted::Taker)
            }
        });
        drop(full);
        match writer.join() {
            Ok(Ok(())) => result,
            Ok(Err(e)) => Err(Broken::Taker(Halted::Write(e))),
            Err(_) => Err(Broken::Taker(Halted::Write(io::Error::other("the writing thread panicked")))),
        }
    })
}
