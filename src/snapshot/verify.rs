//! Every CRC of a downloaded archive, before it gets its name.

use std::fs::File;

use crate::error::Result;

/// Reads and inflates the whole archive once.
pub(crate) fn verify(_file: &File) -> Result<()> {
    Err(crate::error::Error::invalid("verify(true)", "is not available yet"))
}
