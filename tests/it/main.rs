//! Everything that is tested over a connection: one binary, a file a capability.

mod download_basic;
mod download_origin;
