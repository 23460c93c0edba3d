//! I/O. One connection after the other into a part file.

use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use super::meter::Meter;
use super::part::{Part, Syncer};
use super::stream::{Step, Stream};
use crate::error::{Error, Result};

/// How much is written at once, in bytes. TLS gives at most 16 KiB a read.
pub(crate) const BUFFER: usize = 512 * 1024;
/// After how many bytes the disk is told to start writing, so that the last sync is a short one.
pub(crate) const SYNC_EVERY: u64 = 8 * 1024 * 1024;

/// Reads `stream` to its end into `part`; gives the number of bytes.
pub(crate) fn run(part: &mut Part, stream: &mut Stream, meter: &mut Meter<'_>) -> Result<u64> {
    let mut sink =
        Sink { part, buffer: vec![0; BUFFER], filled: 0, written: stream.at, syncing: None, synced: 0 };
    sink.synced = sink.written;
    let ended = pump(&mut sink, stream, meter);
    // What came is kept, whatever ended the transfer.
    let flushed = sink.flush();
    let settled = sink.settle();
    ended.and(flushed).and(settled)?;
    let length = sink.written;
    let path = sink.part.path().to_owned();
    sink.part.file.set_len(length).map_err(|e| Error::io("writing", path, e))?;
    Ok(length)
}

fn pump(sink: &mut Sink<'_>, stream: &mut Stream, meter: &mut Meter<'_>) -> Result<()> {
    loop {
        match stream.step(sink.room())? {
            Step::Bytes(count) => {
                sink.filled += count;
                if sink.filled == sink.buffer.len() {
                    sink.flush()?;
                }
            }
            Step::Opened => {
                if sink.written == 0 && sink.filled == 0 {
                    sink.part.begin(&stream.known, 0, 0)?;
                }
                if stream.attempt == 1 {
                    meter.progress.resumed_from = stream.at;
                }
            }
            Step::StartOver => {
                sink.start_over()?;
                meter.progress.resumed_from = 0;
            }
            Step::Broke => {}
            Step::End => {
                meter.tick(stream.at, stream.total(), stream.attempt)?;
                return Ok(());
            }
        }
        meter.tick(stream.at, stream.total(), stream.attempt)?;
    }
}

/// Bytes on their way to the part file.
struct Sink<'p> {
    part: &'p mut Part,
    buffer: Vec<u8>,
    filled: usize,
    written: u64,
    syncing: Option<Syncing>,
    synced: u64,
}

impl Sink<'_> {
    fn room(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.filled..).unwrap_or_default()
    }

    fn flush(&mut self) -> Result<()> {
        let Some(bytes) = self.buffer.get(..self.filled).filter(|b| !b.is_empty()) else { return Ok(()) };
        let writer = self.part.writer();
        writer.write(bytes, self.written)?;
        self.written += self.filled as u64;
        self.filled = 0;
        writer.note(0, self.written)?;
        if let Some(piece) = self.part.pieces.first_mut() {
            piece.done = self.written;
        }
        if self.written.saturating_sub(self.synced) >= SYNC_EVERY {
            self.synced = self.written;
            let syncing = match self.syncing.take() {
                Some(syncing) => syncing,
                None => Syncing::start(self.part.syncer()?),
            };
            syncing.wish(vec![(0, self.written)]);
            self.syncing = Some(syncing);
        }
        Ok(())
    }

    fn start_over(&mut self) -> Result<()> {
        self.settle()?;
        self.part.clear()?;
        (self.filled, self.written, self.synced) = (0, 0, 0);
        Ok(())
    }

    /// Waits for the disk as far as it was told to write.
    fn settle(&mut self) -> Result<()> {
        match self.syncing.take() {
            Some(syncing) => syncing.end().map_err(|e| Error::io("syncing", self.part.path(), e)),
            None => Ok(()),
        }
    }
}

/// A thread that syncs while the transfer goes on.
pub(crate) struct Syncing {
    wishes: Sender<Vec<(usize, u64)>>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Syncing {
    pub(crate) fn start(syncer: Syncer) -> Self {
        let (wishes, inbox) = mpsc::channel::<Vec<(usize, u64)>>();
        let thread = std::thread::spawn(move || {
            while let Ok(mut done) = inbox.recv() {
                // Only the newest wish matters.
                while let Ok(newer) = inbox.try_recv() {
                    done = newer;
                }
                syncer.sync(&done)?;
            }
            Ok(())
        });
        Self { wishes, thread }
    }

    /// Asks for what is written by now: so many bytes of these pieces.
    pub(crate) fn wish(&self, done: Vec<(usize, u64)>) {
        // A thread that failed is gone; `end` says why.
        let _ = self.wishes.send(done);
    }

    pub(crate) fn end(self) -> std::io::Result<()> {
        drop(self.wishes);
        self.thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the syncing thread failed")))
    }
}
