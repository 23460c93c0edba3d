//! Every CRC of a downloaded archive, before it gets its name.

use std::fs::File;

use crate::error::Result;

/// Reads and inflates the whole archive once, and fails with the first thing that is wrong.
#[cfg(feature = "zip")]
pub(crate) fn verify(file: &File) -> Result<()> {
    use super::archive::Archive;
    use crate::error::Error;

    let found = Archive::new(file)?.verify()?;
    match found.bad.into_iter().next() {
        None => Ok(()),
        Some(bad) => Err(Error::Refused { entry: bad.name, refusal: bad.refusal, detail: bad.detail }),
    }
}

#[cfg(not(feature = "zip"))]
pub(crate) fn verify(_: &File) -> Result<()> {
    Err(crate::error::Error::invalid("verify(true)", "needs the crate's feature `zip`; switch it on"))
}
