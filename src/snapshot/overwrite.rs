//! PURE. What happens to a target that is there already.

/// What a download or an extraction does with a file or directory that already exists at its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overwrite {
    /// Fail with [`Error::Exists`](crate::Error::Exists) and leave everything as it is. The default.
    #[default]
    Refuse,
    /// Put the new file in place of the old one, in one step: there is never a moment without a whole file.
    Replace,
    /// Leave what exists. An extraction writes only what is missing; a download succeeds at once when the file is
    /// the same snapshot, and otherwise fails as with [`Refuse`](Self::Refuse).
    Keep,
}
