//! What the service says, and how it is asked. Nothing here knows zip.

pub(crate) mod failure;
pub(crate) mod http;
pub(crate) mod settings;
