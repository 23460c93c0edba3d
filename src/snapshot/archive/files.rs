//! Folders, files by all workers, and links last.

use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions};
use std::io::{ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::body::{Body, Broken, buffer, unpack};
use super::directory::Directory;
use super::entry::permissions;
use super::fault::Fault;
use super::format::STORED;
use super::options::ExtractOptions;
use super::piped::{self, Halted};
use super::plan::{ExtractPlan, Folder, Leaf};
use super::verify::reading;
use super::window::Window;
use super::work::{Batches, Meter, cores};
use super::{Archive, times};
use crate::error::{Error, Refusal, Result};
use crate::snapshot::source::Source;

/// What all workers share.
pub(super) struct Work<'a, S: Source> {
    pub(super) archive: &'a Archive<S>,
    pub(super) options: &'a ExtractOptions,
    pub(super) plan: &'a ExtractPlan,
    /// Where the tree grows.
    pub(super) root: &'a Path,
    /// The target as the caller named it, for errors.
    pub(super) dir: &'a Path,
    pub(super) stop: AtomicBool,
    /// Large files get a writing thread: there are fewer of them than threads.
    pub(super) piped: bool,
}

impl<S: Source> Work<'_, S> {
    fn directory(&self) -> &Directory {
        &self.archive.directory
    }

    /// Makes the whole tree in the staging directory.
    pub(super) fn run(&self, bytes: u64) -> Result<()> {
        for folder in &self.plan.folders {
            self.make_folder(folder)?;
        }
        let files = &self.plan.files;
        let meter = Meter::new(self.options, bytes, (files.len() + self.plan.links.len()) as u64);
        let sizes: Vec<u64> =
            files.iter().map(|leaf| self.directory().record(leaf.index).map_or(0, |r| r.size)).collect();
        let batches = Batches::of(&sizes);
        let threads = self.options.threads.unwrap_or_else(cores);
        let worker =
            || (Window::new(&*self.archive.source, self.directory().start), buffer(), PathBuf::new());
        batches.run(
            threads,
            worker,
            |(window, buf, path), batch| {
                let leaves = || batch.iter().filter_map(|i| files.get(*i as usize));
                window.until(
                    leaves().filter_map(|leaf| self.body(leaf)).map(|b| b.at + b.packed).max().unwrap_or(0),
                );
                for leaf in leaves() {
                    if self.stop.load(Ordering::Relaxed) {
                        break;
                    }
                    self.write(leaf, window, buf, path, &meter)?;
                }
                Ok(())
            },
            &self.stop,
        )?;
        if self.options.verify {
            batches.run(
                threads,
                buffer,
                |buf, batch| {
                    batch
                        .iter()
                        .filter_map(|i| files.get(*i as usize))
                        .try_for_each(|leaf| self.read_back(leaf, buf))
                },
                &self.stop,
            )?;
        }
        for (leaf, target) in self.plan.links.iter().zip(&self.plan.targets) {
            let path = self.root.join(self.plan.path(&leaf.path));
            symlink(target, &path).map_err(|e| self.made("linking", leaf, &path, e))?;
            self.go_on(meter.add(0, 1))?;
        }
        self.go_on(meter.tell())
    }

    fn go_on(&self, flow: ControlFlow<()>) -> Result<()> {
        match flow {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                self.stop.store(true, Ordering::Relaxed);
                Err(Error::Cancelled { action: "extracting to", path: self.dir.to_owned() })
            }
        }
    }

    /// Counts a written piece; an error when the work is to stop.
    fn wrote(&self, bytes: u64, meter: &Meter<'_>) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Cancelled { action: "extracting to", path: self.dir.to_owned() });
        }
        self.go_on(meter.add(bytes, 0))
    }

    fn body(&self, leaf: &Leaf) -> Option<Body> {
        let record = self.directory().record(leaf.index)?;
        let at = self.plan.layout.as_ref()?.data_at(leaf.index, record)?;
        Some(Body::of(record, &self.directory().central(leaf.index), at))
    }

    /// The error of a path that could not be made in a fresh tree. If it is there already, the file system takes
    /// two names for one (case, Unicode forms).
    fn made(&self, action: &'static str, leaf: &Leaf, path: &Path, e: std::io::Error) -> Error {
        if e.kind() == ErrorKind::AlreadyExists {
            let fault =
                Fault::new(Refusal::Collision, "this file system takes its path and another entry's for one");
            return fault.of(self.directory().name(leaf.index));
        }
        beyond(self.plan.path(&leaf.path), &e).unwrap_or_else(|| Error::io(action, path, e))
    }

    fn make_folder(&self, folder: &Folder) -> Result<()> {
        let path = self.root.join(self.plan.path(&folder.path));
        #[cfg_attr(not(unix), allow(unused_mut))]
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        if let Some(mode) = folder
            .index
            .filter(|_| !self.options.drop_modes)
            .and_then(|i| permissions(&self.directory().central(i)))
        {
            // What the user may not do in it is taken away when all is in it.
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, mode | 0o700);
        }
        builder.create(&path).map_err(|e| {
            beyond(self.plan.path(&folder.path), &e).unwrap_or_else(|| Error::io("creating", &path, e))
        })
    }

    /// Writes one file: open, write, set its time, close.
    fn write(
        &self,
        leaf: &Leaf,
        window: &mut Window<'_, S>,
        buf: &mut Vec<u8>,
        path: &mut PathBuf,
        meter: &Meter<'_>,
    ) -> Result<()> {
        let name = self.directory().name(leaf.index);
        let Some(body) = self.body(leaf) else {
            return Err(Fault::corrupt("its data was not found").of(name));
        };
        let central = self.directory().central(leaf.index);
        path.clear();
        path.push(self.root);
        path.push(self.plan.path(&leaf.path));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if let Some(mode) = permissions(&central).filter(|_| !self.options.drop_modes) {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        }
        let open = || options.open(&*path).map_err(|e| self.made("creating", leaf, path, e));
        let file = if self.piped && body.size > piped::WORTH {
            let file = open()?;
            let written = piped::write(window, &body, buf, &file, |len| self.wrote(len, meter));
            written.map(drop).map_err(|broken| match broken {
                Broken::Source(e) => reading(Some(name), e),
                Broken::Bad(fault) => fault.of(name),
                Broken::Taker(Halted::Write(e)) => Error::io("writing", &*path, e),
                Broken::Taker(Halted::Taker(e)) => e,
            })?;
            file
        } else {
            let mut file: Option<File> = None;
            let written = unpack(window, &body, buf, |piece| {
                let file = match &mut file {
                    Some(file) => file,
                    none => none.insert(open()?),
                };
                file.write_all(piece).map_err(|e| Error::io("writing", &*path, e))?;
                self.wrote(piece.len() as u64, meter)
            });
            written.map(drop).map_err(|broken| match broken {
                Broken::Source(e) => reading(Some(name), e),
                Broken::Bad(fault) => fault.of(name),
                Broken::Taker(e) => e,
            })?;
            match file {
                Some(file) => file,
                None => open()?,
            }
        };
        if let Some(at) =
            times::modified(&central).filter(|_| !self.options.drop_times).and_then(times::system)
        {
            file.set_times(FileTimes::new().set_modified(at))
                .map_err(|e| Error::io("setting the time of", &*path, e))?;
        }
        drop(file);
        self.go_on(meter.add(0, 1))
    }

    /// Reads a written file again and compares size and checksum.
    fn read_back(&self, leaf: &Leaf, buf: &mut Vec<u8>) -> Result<()> {
        let Some(record) = self.directory().record(leaf.index) else { return Ok(()) };
        let path = self.root.join(self.plan.path(&leaf.path));
        let file = open_any(&path).map_err(|e| Error::io("reading back", &path, e))?;
        let body = Body { at: 0, packed: record.size, size: record.size, crc: record.crc, method: STORED };
        let mut window = Window::new(&file, record.size);
        unpack(&mut window, &body, buf, |_| Ok::<(), Error>(())).map(drop).map_err(|broken| match broken {
            Broken::Source(e) => Error::io("reading back", &path, e),
            Broken::Taker(e) => e,
            Broken::Bad(_) => Error::io(
                "reading back",
                &path,
                std::io::Error::new(
                    ErrorKind::InvalidData,
                    "the file is not what was written; check the disk",
                ),
            ),
        })
    }

    /// Gives folders their final permissions and times, the deepest first: making something in them would undo both.
    pub(super) fn finish(&self, root: &Path, folders: &[Folder]) -> Result<()> {
        for folder in folders.iter().rev() {
            let Some(central) = folder.index.map(|i| self.directory().central(i)) else { continue };
            let path = root.join(self.plan.path(&folder.path));
            if let Some(at) =
                times::modified(&central).filter(|_| !self.options.drop_times).and_then(times::system)
            {
                #[cfg(unix)]
                File::open(&path)
                    .and_then(|dir| dir.set_times(FileTimes::new().set_modified(at)))
                    .map_err(|e| Error::io("setting the time of", &path, e))?;
                #[cfg(not(unix))]
                let _ = at;
            }
            #[cfg(unix)]
            if let Some(mode) =
                permissions(&central).filter(|mode| !self.options.drop_modes && mode & 0o700 != 0o700)
            {
                use std::os::unix::fs::PermissionsExt;
                let restrict = |m: fs::Metadata| {
                    fs::set_permissions(&path, fs::Permissions::from_mode(m.permissions().mode() & mode))
                };
                fs::metadata(&path)
                    .and_then(restrict)
                    .map_err(|e| Error::io("setting the permissions of", &path, e))?;
            }
        }
        Ok(())
    }
}

/// The refusal of a path that is too long where the target is.
pub(super) fn beyond(path: &str, e: &std::io::Error) -> Option<Error> {
    (e.kind() == ErrorKind::InvalidFilename).then(|| {
        let detail = "its path below the target, or a part of it, is longer than the file system takes; \
                      choose a target with a shorter path";
        Fault::new(Refusal::TooMany, detail).of(path)
    })
}

/// Opens a file of ours, even one whose mode does not let its owner read it.
fn open_any(path: &Path) -> std::io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path)?.permissions();
        if mode.mode() & 0o400 == 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o400))?;
            let file = File::open(path);
            fs::set_permissions(path, mode)?;
            return file;
        }
    }
    File::open(path)
}

#[cfg(unix)]
fn symlink(target: &str, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn symlink(_: &str, _: &Path) -> std::io::Result<()> {
    Err(std::io::Error::new(ErrorKind::Unsupported, "links are made on unix only; use `Links::Skip`"))
}
