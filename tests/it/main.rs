//! The integration tests: one binary, a module a capability.

#[path = "../sandbox/mod.rs"]
mod sandbox;

mod sandbox_raw;
mod sandbox_world;
