//! How the API is called, without a client. Nothing here knows zip.

pub(crate) mod envelope;
pub(crate) mod http;
pub(crate) mod http_date;
pub(crate) mod proxy;
pub(crate) mod redirect;
pub(crate) mod retry;
pub(crate) mod settings;
