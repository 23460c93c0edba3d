use crate::context::Context;
use crate::exit::{Exit, Result};
pub fn restore(_c: &Context, _a: &crate::args::Restore) -> Result<Exit> {
    unimplemented!()
}
