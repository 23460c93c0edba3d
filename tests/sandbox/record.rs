//! What is kept of a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use super::routes::Route;

/// Which of the two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    Api,
    Snapshots,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub port: Port,
    pub route: Route,
    pub method: String,
    /// Still encoded, with `/v2`.
    pub path: String,
    /// Still encoded, without `?`.
    pub query: String,
    /// In their order, names as sent.
    pub headers: Vec<(String, String)>,
    pub body: Arc<Vec<u8>>,
    /// Which connection of the sandbox it came on.
    pub connection: u64,
    /// When, by the world's clock.
    pub at_ms: i64,
    pub(super) status: Arc<AtomicU16>,
}

impl Recorded {
    /// The first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        super::http::header(&self.headers, name)
    }

    /// What was answered; 0 as long as nothing was.
    pub fn status(&self) -> u16 {
        self.status.load(Ordering::SeqCst)
    }
}
