use crate::context::Context;
use crate::exit::{Exit, Result};
pub fn download(_c: &Context, _a: &crate::args::Download) -> Result<Exit> {
    unimplemented!()
}
