use crate::context::Context;
use crate::exit::{Exit, Result};
pub fn list(_c: &Context, _id: Option<&str>) -> Result<Exit> {
    unimplemented!()
}
