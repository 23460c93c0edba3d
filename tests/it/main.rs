//! The integration tests: one binary, a module a capability.

#[path = "../sandbox/mod.rs"]
mod sandbox;

mod api_created;
mod api_faults;
mod api_faults_raw;
mod api_limits;
mod api_routes;
mod api_secrets;
mod api_upload;
mod api_wait;
mod architecture;
#[cfg(all(unix, feature = "zip"))]
mod archive_ahead;
#[cfg(feature = "zip")]
mod archive_damage;
#[cfg(feature = "zip")]
mod archive_doors;
#[cfg(feature = "zip")]
mod archive_equal;
#[cfg(feature = "zip")]
mod archive_extract;
#[cfg(feature = "zip")]
mod archive_honest;
#[cfg(feature = "zip")]
mod archive_hostile;
#[cfg(feature = "zip")]
mod archive_inspect;
#[cfg(all(unix, feature = "zip"))]
mod command_account;
#[cfg(all(unix, feature = "zip"))]
mod command_archive;
#[cfg(all(unix, feature = "zip"))]
mod command_create;
#[cfg(all(unix, feature = "zip"))]
mod command_download;
#[cfg(all(unix, feature = "zip"))]
mod command_exit;
#[cfg(all(unix, feature = "zip"))]
mod command_interrupt;
#[cfg(all(unix, feature = "zip"))]
mod command_mirror;
#[cfg(all(unix, feature = "zip"))]
mod command_pty;
#[cfg(all(unix, feature = "zip"))]
mod command_restore;
#[cfg(all(unix, feature = "zip"))]
mod command_support;
#[cfg(all(unix, feature = "zip"))]
mod command_terminal;
mod conformance;
mod connect_proxy;
#[cfg(all(target_os = "linux", feature = "zip"))]
mod disks;
mod download_nginx;
mod download_origin;
mod download_outage;
#[cfg(feature = "zip")]
mod examples;
#[cfg(feature = "zip")]
mod examples_remote;
#[cfg(all(target_os = "linux", feature = "zip"))]
mod extract_disks;
#[cfg(all(unix, feature = "zip"))]
mod extract_kills;
#[cfg(all(target_os = "linux", feature = "zip"))]
mod extract_shim;
mod mirror_cost;
mod mirror_damage;
mod mirror_failures;
mod mirror_find;
#[cfg(unix)]
mod mirror_kill;
mod mirror_layout;
#[cfg(all(unix, feature = "zip"))]
mod mirror_model;
mod mirror_prune;
mod mirror_review;
mod mirror_runs;
mod mirror_secrets;
mod mirror_strangers;
mod mirror_support;
mod mirror_take;
#[cfg(all(unix, feature = "zip"))]
mod mirror_year;
mod network;
mod package;
#[cfg(feature = "zip")]
mod programs;
mod proxies;
mod public_surface;
#[cfg(feature = "zip")]
mod raw_zip;
mod readme;
#[cfg(feature = "zip")]
mod remote_connections;
#[cfg(feature = "zip")]
mod remote_cost;
#[cfg(feature = "zip")]
mod remote_fault_kinds;
#[cfg(feature = "zip")]
mod remote_faults;
#[cfg(feature = "zip")]
mod remote_hosts;
#[cfg(all(unix, feature = "zip"))]
mod remote_review;
#[cfg(feature = "zip")]
mod remote_support;
mod sandbox_account;
mod sandbox_control;
mod sandbox_faults;
mod sandbox_outage;
mod sandbox_program;
mod sandbox_raw;
mod sandbox_uploads;
mod sandbox_world;
#[cfg(target_os = "linux")]
mod shim;
#[cfg(all(target_os = "linux", feature = "zip"))]
mod shim_threads;
mod support;

/// The downloads. Every test takes `Origin` from here.
#[path = "."]
mod download {
    pub const BYTEWISE: bool = false;
    pub type Origin = crate::download_origin::Origin<BYTEWISE>;

    mod download_basic;
    mod download_faults;
    mod download_files;
    mod download_limits;
    mod download_parallel;
    mod download_parts;
    mod download_places;
    mod download_remote;
    #[cfg(target_os = "linux")]
    mod download_shim;
}

/// The same tests again, with an origin that sends one byte at a time.
#[path = "."]
#[allow(clippy::duplicate_mod, reason = "the second run is the point")]
mod bytewise {
    pub const BYTEWISE: bool = true;
    pub type Origin = crate::download_origin::Origin<BYTEWISE>;

    mod download_basic;
    mod download_faults;
    mod download_files;
    mod download_parallel;
    mod download_places;
    mod download_remote;
}
