//! The integration tests: one binary, a module a capability.

#[path = "../sandbox/mod.rs"]
mod sandbox;

mod download_basic;
mod download_origin;
mod sandbox_account;
mod sandbox_faults;
mod sandbox_raw;
mod sandbox_uploads;
mod sandbox_world;
