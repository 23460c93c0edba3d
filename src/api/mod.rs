//! What the service says, and how it is asked. Nothing here knows zip.

pub(crate) mod awaited;
pub(crate) mod decode;
pub(crate) mod envelope;
pub(crate) mod failure;
pub(crate) mod http;
pub(crate) mod json;
pub(crate) mod multipart;
pub(crate) mod pace;
pub(crate) mod redact;
pub(crate) mod retry;
pub(crate) mod route;
pub(crate) mod settings;
