//! PURE. What may happen to files that exist already.

/// What a download or an extraction does where its target exists already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overwrite {
    /// Leave it alone and fail with [`Error::Exists`](crate::Error::Exists). The default.
    #[default]
    Refuse,
    /// Put the new file in its place, in one step: there is never a moment without a whole file.
    Replace,
    /// Leave it alone, and succeed without doing the work again when it is the same already.
    Keep,
}
