//! The command on a pseudo-terminal: what is on the screen, keys, and what was there in between.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::command_support::{DEADLINE, World, until};

pub const CTRL_C: &str = "\x03";

/// The command on a terminal.
pub struct Terminal<'w> {
    world: &'w World,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    // The terminal is there as long as this is.
    _master: Box<dyn MasterPty + Send>,
    keyboard: Box<dyn Write + Send>,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

/// What the terminal has shown.
struct Seen {
    parser: vt100::Parser,
    raw: Vec<u8>,
    frames: Vec<String>,
    wrapped: BTreeSet<String>,
}

impl Seen {
    /// Takes what was printed in small pieces, so that no frame between two others is missed.
    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\r' | b'\n')) {
            self.parser.process(piece);
            let screen = self.parser.screen();
            let (rows, columns) = screen.size();
            let row = |i: u16| screen.contents_between(i, 0, i, columns);
            self.wrapped.extend((0..rows).filter(|i| screen.row_wrapped(*i)).map(row));
            let frame = screen.contents();
            if self.frames.last() != Some(&frame) {
                self.frames.push(frame);
            }
        }
    }
}

impl<'w> Terminal<'w> {
    pub fn start(world: &'w World, columns: u16, command: CommandBuilder) -> Self {
        let size = PtySize { rows: 24, cols: columns, ..PtySize::default() };
        let pair = native_pty_system().openpty(size).unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let (mut output, keyboard) = (pair.master.try_clone_reader().unwrap(), pair.master.take_writer().unwrap());
        let parser = vt100::Parser::new(24, columns, 0);
        let empty = Seen { parser, raw: Vec::new(), frames: Vec::new(), wrapped: BTreeSet::new() };
        let seen = Arc::new((Mutex::new(empty), Condvar::new()));
        let theirs = Arc::clone(&seen);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The end of the other side is an error on Linux.
            while let Ok(n @ 1..) = output.read(&mut buffer) {
                theirs.0.lock().unwrap().take(&buffer[..n]);
                theirs.1.notify_all();
            }
        });
        Self { world, child, _master: pair.master, keyboard, seen, reader: Some(reader) }
    }

    /// Waits until a frame is as wanted, even if it is gone by now.
    #[track_caller]
    pub fn see(&self, wanted: impl Fn(&str) -> bool) {
        let (seen, changed) = &*self.seen;
        let waits = |seen: &mut Seen| !seen.frames.iter().any(|frame| wanted(frame));
        let (seen, timeout) = changed.wait_timeout_while(seen.lock().unwrap(), DEADLINE, waits).unwrap();
        assert!(!timeout.timed_out(), "not seen in {:#?}", seen.frames);
    }

    /// Waits until this is on the screen.
    #[track_caller]
    pub fn see_text(&self, text: &str) {
        self.see(|frame| frame.contains(text));
    }

    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for its end, which must come.
    #[track_caller]
    pub fn end(mut self) -> Shown {
        let Some(status) = until(|| self.child.try_wait().unwrap()) else {
            let last = self.seen.0.lock().unwrap().frames.last().cloned();
            panic!("it does not end: {last:#?}");
        };
        self.reader.take().unwrap().join().unwrap();
        assert_eq!(status.signal(), None, "killed");
        let seen = self.seen.0.lock().unwrap();
        let shown = Shown {
            code: i32::try_from(status.exit_code()).unwrap(),
            screen: seen.parser.screen().contents(),
            raw: String::from_utf8_lossy(&seen.raw).into_owned(),
            frames: seen.frames.clone(),
            wrapped: seen.wrapped.clone(),
        };
        self.world.check(&format!("{}\n{}", shown.raw, shown.frames.join("\n")));
        drop(seen);
        shown
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a run on a terminal ended.
#[derive(Debug)]
pub struct Shown {
    pub code: i32,
    /// The last frame.
    pub screen: String,
    /// With all control sequences.
    pub raw: String,
    pub frames: Vec<String>,
    /// The rows that were too long for the terminal, at any time.
    pub wrapped: BTreeSet<String>,
}
