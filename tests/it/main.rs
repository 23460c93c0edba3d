//! The integration tests: one binary, a file a capability.

#[cfg(feature = "zip")]
mod archive_damage;
#[cfg(feature = "zip")]
mod archive_equal;
#[cfg(feature = "zip")]
mod archive_extract;
#[cfg(feature = "zip")]
mod archive_hostile;
#[cfg(feature = "zip")]
mod raw_zip;
