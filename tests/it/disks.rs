//! File systems made for a test, in an image on a loop device. Only root may do that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::{TempDir, tempdir};

fn run(command: &str, arguments: &[&Path]) -> String {
    let mut words = command.split(' ');
    let mut command = Command::new(words.next().unwrap());
    let output = command.args(words).args(arguments).stderr(Stdio::piped()).output();
    let output = output.unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A mounted image, unmounted and gone when dropped.
pub struct Disk {
    dir: TempDir,
    device: PathBuf,
}

impl Disk {
    pub fn ext4() -> Self {
        Self::make("mkfs.ext4 -q", "mount")
    }

    /// Without symbolic links, hard links, permission bits and `:`; names that differ in case are one.
    pub fn exfat() -> Self {
        Self::make("mkfs.exfat", "mount.exfat-fuse")
    }

    /// A new file system of 64 MiB.
    fn make(mkfs: &str, mount: &str) -> Self {
        let dir = tempdir().unwrap();
        let image = dir.path().join("image");
        fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        run(mkfs, &[&image]);
        Self::mount(dir, mount)
    }

    fn mount(dir: TempDir, mount: &str) -> Self {
        let device = PathBuf::from(run("losetup --find --show", &[&dir.path().join("image")]));
        fs::create_dir(dir.path().join("mounted")).unwrap();
        let disk = Self { dir, device };
        run(mount, &[&disk.device, &disk.path()]);
        disk
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    /// The disk as a power cut at this moment leaves it: a copy of what has reached it, mounted anew.
    pub fn after_a_power_cut(&self) -> Self {
        let dir = tempdir().unwrap();
        fs::copy(self.dir.path().join("image"), dir.path().join("image")).unwrap();
        Self::mount(dir, "mount")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
        let _ = Command::new("losetup").arg("-d").arg(&self.device).status();
    }
}

/// A directory seen at a second place, until it is dropped.
pub struct Bind(pub PathBuf);

impl Bind {
    pub fn new(from: &Path, to: &Path) -> Self {
        run("mount --bind", &[from, to]);
        Self(to.to_owned())
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
