use crate::context::Context;
use crate::exit::{Exit, Result};
pub fn ls(_c: &Context, _a: &crate::args::Ls) -> Result<Exit> {
    unimplemented!()
}
pub fn cat(_c: &Context, _s: &str, _p: &str) -> Result<Exit> {
    unimplemented!()
}
pub fn diff(_c: &Context, _a: &str, _b: &str) -> Result<Exit> {
    unimplemented!()
}
pub fn verify(_c: &Context, _f: &[std::path::PathBuf]) -> Result<Exit> {
    unimplemented!()
}
