//! A snapshot's bytes, from the service's host to a file, and from a file to a directory.

#[cfg(feature = "zip")]
pub(crate) mod archive;
pub(crate) mod overwrite;
pub(crate) mod source;
