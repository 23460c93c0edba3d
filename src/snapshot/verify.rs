//! Every CRC of a downloaded archive, before it gets its name.

use std::fs::File;

use crate::error::Result;

/// Reads and inflates the whole archive once; the first bad entry is the error.
#[cfg(feature = "zip")]
pub(crate) fn verify(file: &File) -> Result<()> {
    use crate::error::Error;
    let verified = super::archive::Archive::new(file)?.verify()?;
    match verified.bad.into_iter().next() {
        None => Ok(()),
        Some(bad) => Err(Error::Refused { entry: bad.name, refusal: bad.refusal, detail: bad.detail }),
    }
}

/// Without the `zip` feature there is nothing that could inflate.
#[cfg(not(feature = "zip"))]
pub(crate) fn verify(_: &File) -> Result<()> {
    Err(crate::error::Error::invalid(
        "verify(true)",
        "needs the crate's feature `zip`, which is switched off",
    ))
}
