//! A snapshot's bytes, from the service's host to a file, and from a file to a directory.

pub(crate) mod source;
