use crate::context::Context;
use crate::exit::{Exit, Result};
pub fn create(_c: &Context, _a: &crate::args::Create) -> Result<Exit> {
    unimplemented!()
}
pub fn upload(_c: &Context, _zip: &std::path::Path) -> Result<Exit> {
    unimplemented!()
}
