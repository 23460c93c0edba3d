//! Why an archive was refused.

use std::fmt;

/// Why an archive or an entry was refused: to be matched, not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// A name climbs out of the target with `..`.
    ClimbsOut,
    /// A name is absolute, or names a drive, a share or a device.
    Absolute,
    /// A name is empty, too long, or has a byte no file name may have.
    Name,
    /// A symbolic link leads out of the target, or an entry would be written through a link.
    Link,
    /// Two entries would become the same file, or one is a file and the other a directory.
    Collision,
    /// A limit on bytes is exceeded.
    TooLarge,
    /// A limit on the number of entries, the depth or the path length is exceeded.
    TooMany,
    /// An entry's uncompressed size is suspiciously many times its compressed size.
    Ratio,
    /// The data of two entries overlap.
    Overlap,
    /// Structure, sizes, headers or a checksum contradict each other.
    Corrupt,
    /// An entry is encrypted.
    Encrypted,
    /// An entry's compression method is neither stored nor deflate, or the archive spans several files.
    Unsupported,
    /// An entry is a device, a fifo or a socket.
    Special,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClimbsOut => "refused, the name climbs out of the target directory",
            Self::Absolute => "refused, the name is absolute or names a drive, a share or a device",
            Self::Name => "refused, the name cannot become a file name",
            Self::Link => "refused, a symbolic link leads out of the target directory or is written through",
            Self::Collision => "refused, two entries claim the same path",
            Self::TooLarge => "refused, more bytes than the limit allows",
            Self::TooMany => "refused, more entries or a deeper or longer path than the limit allows",
            Self::Ratio => "refused, it decompresses to suspiciously many bytes",
            Self::Overlap => "refused, entries share the same bytes",
            Self::Corrupt => "refused, the archive is damaged or contradicts itself",
            Self::Encrypted => "refused, the entry is encrypted",
            Self::Unsupported => "refused, the archive uses a feature this crate does not read",
            Self::Special => "refused, the entry is a device, a fifo or a socket",
        })
    }
}
