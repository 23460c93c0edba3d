//! What happens to a target that is there already.

/// What to do with a file or directory that exists where something is to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overwrite {
    /// Fail with [`Error::Exists`](crate::Error::Exists) and leave everything as it is. The default.
    #[default]
    Refuse,
    /// Put the new file in place of the old one.
    Replace,
    /// Leave what exists and write only what is missing.
    Keep,
}
