//! `verify`: every byte of downloaded snapshots against its CRC.
use crate::context::Context;
use crate::exit::{Exit, Result};
pub fn verify(_c: &Context, _f: &[std::path::PathBuf]) -> Result<Exit> {
    unimplemented!()
}
