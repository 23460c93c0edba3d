use crate::context::Context;
use crate::exit::{Exit, Result};
pub fn mirror(_c: &Context, _a: &crate::args::Mirror) -> Result<Exit> {
    unimplemented!()
}
