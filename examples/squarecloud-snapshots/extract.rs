use crate::context::Context;
use crate::exit::{Exit, Result};
pub fn extract(_c: &Context, _a: &crate::args::Extract) -> Result<Exit> {
    unimplemented!()
}
