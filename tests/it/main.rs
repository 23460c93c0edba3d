//! The integration tests: one binary, a module a capability.

#[path = "../sandbox/mod.rs"]
mod sandbox;

mod api_faults;
mod api_faults_raw;
mod api_limits;
mod api_routes;
mod api_secrets;
mod api_upload;
mod api_wait;
mod conformance;
mod sandbox_account;
mod sandbox_faults;
mod sandbox_raw;
mod sandbox_uploads;
mod sandbox_world;
mod support;
