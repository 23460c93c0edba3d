//! One entry as a stream. It is inflated by a thread of its own, so the stream borrows nothing.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::body::{Body, Broken, buffer_for, unpack};
use super::fault::Fault;
use super::window::Window;
use crate::error::{Error, Result};
use crate::snapshot::source::Source;

/// Pieces of 256 KiB that wait for the reader at most.
const AHEAD: usize = 2;

/// The content of one entry, as [`Archive::reader`](crate::Archive::reader) gives it.
///
/// The end (`Ok(0)`) comes only after size and CRC-32 have been found right; an error of the archive comes as
/// an [`io::Error`] with the crate's [`Error`] inside. Dropping it early ends the work.
pub struct EntryReader {
    pieces: Receiver<Piece>,
    piece: Vec<u8>,
    at: usize,
    done: bool,
}

enum Piece {
    Data(Vec<u8>),
    Failed(io::Error),
    Done,
}

impl EntryReader {
    pub(super) fn start<S: Source + 'static>(source: Arc<S>, name: String, body: Body) -> Result<Self> {
        let (sender, pieces) = sync_channel(AHEAD);
        let work = move || inflate(&*source, &name, &body, &sender);
        let thread = thread::Builder::new().name("archive-entry".into()).spawn(work);
        thread.map_err(|e| Error::io("starting a thread to read", "the archive", e))?;
        Ok(Self { pieces, piece: Vec::new(), at: 0, done: false })
    }
}

fn inflate<S: Source>(source: &S, name: &str, body: &Body, sender: &SyncSender<Piece>) {
    let mut window = Window::new(source, body.at + body.packed);
    let last = match unpack(&mut window, body, &mut buffer_for(body), |piece| {
        sender.send(Piece::Data(piece.to_vec()))
    }) {
        Ok(_) => Piece::Done,
        Err(Broken::Source(e)) => Piece::Failed(e),
        Err(Broken::Bad(fault)) => Piece::Failed(invalid(fault, name)),
        // The reader is gone.
        Err(Broken::Taker(_)) => return,
    };
    let _ = sender.send(last);
}

fn invalid(fault: Fault, name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault.of(name))
}

impl Read for EntryReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while self.at == self.piece.len() {
            if self.done {
                return Ok(0);
            }
            match self.pieces.recv() {
                Ok(Piece::Data(piece)) => (self.piece, self.at) = (piece, 0),
                Ok(Piece::Done) => self.done = true,
                Ok(Piece::Failed(e)) => return Err(e),
                Err(_) => return Err(io::Error::other("reading the entry failed before")),
            }
        }
        let n = self.piece.get(self.at..).unwrap_or_default().read(out)?;
        self.at += n;
        Ok(n)
    }
}

impl std::fmt::Debug for EntryReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EntryReader").field("done", &self.done).finish_non_exhaustive()
    }
}
