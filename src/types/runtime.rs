//! PURE. How an app, a database and the service itself are doing.

use std::fmt;

use time::OffsetDateTime;

use crate::api::decode::{self, Problem, Unreadable};
use crate::api::json::Value;

/// A reading of the service: formatted text (`118.6MB`), or a bare number when raw data was asked for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reading {
    /// As the service formatted it.
    Text(String),
    /// A bare number.
    Number(f64),
}

impl Reading {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.clone().into_owned())),
            number => number.as_f64().map(Self::Number),
        }
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
        }
    }
}

fn reading(item: &Value, name: &str) -> Option<Reading> {
    decode::field(item, &[name]).and_then(Reading::read)
}

/// Bytes over the network.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Traffic {
    /// Since the start.
    pub total: Option<Reading>,
    /// Right now.
    pub now: Option<Reading>,
}

/// How an app or a database is doing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RuntimeStatus {
    /// Whether it runs.
    pub running: bool,
    /// The service's word: `running`, `exited`, ...
    pub status: Option<String>,
    /// Processor use.
    pub cpu: Option<Reading>,
    /// Memory in use.
    pub ram: Option<Reading>,
    /// Disk in use.
    pub storage: Option<Reading>,
    /// Network traffic.
    pub network: Traffic,
    /// Since when it runs.
    pub uptime: Option<OffsetDateTime>,
}

impl RuntimeStatus {
    pub(crate) fn read(item: &Value) -> Result<Self, Problem> {
        let network = decode::field(item, &["network"]).unwrap_or(&Value::Null);
        Ok(Self {
            running: running(item)?,
            status: decode::optional_string(item, &["status"]),
            cpu: reading(item, "cpu"),
            ram: reading(item, "ram"),
            storage: reading(item, "storage"),
            network: Traffic { total: reading(network, "total"), now: reading(network, "now") },
            uptime: decode::optional_millis(item, &["uptime"]),
        })
    }
}

/// One line of the status of all apps or all databases.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RunningStatus {
    /// The app's or database's id.
    pub id: String,
    /// Whether it runs.
    pub running: bool,
    /// Processor use, while it runs.
    pub cpu: Option<Reading>,
    /// Memory in use, while it runs.
    pub ram: Option<Reading>,
}

impl RunningStatus {
    pub(crate) fn read(item: &Value) -> Result<Self, Problem> {
        Ok(Self {
            id: decode::string(item, &["id"])?,
            running: running(item)?,
            cpu: reading(item, "cpu"),
            ram: reading(item, "ram"),
        })
    }
}

/// Which apps or databases run: those that could be read, and what could not be.
///
/// Dereferences to the statuses.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Statuses {
    /// One of each app or database, in the service's order.
    pub statuses: Vec<RunningStatus>,
    /// The items that could not be read, and why.
    pub unreadable: Vec<Unreadable>,
}

impl Statuses {
    pub(crate) fn read(response: &Value) -> Result<Self, Problem> {
        let items = response.as_array().ok_or("is no list")?;
        let (statuses, unreadable) = decode::list(items, RunningStatus::read);
        Ok(Self { statuses, unreadable })
    }
}

impl std::ops::Deref for Statuses {
    type Target = [RunningStatus];

    fn deref(&self) -> &[RunningStatus] {
        &self.statuses
    }
}

impl IntoIterator for Statuses {
    type Item = RunningStatus;
    type IntoIter = std::vec::IntoIter<RunningStatus>;

    fn into_iter(self) -> Self::IntoIter {
        self.statuses.into_iter()
    }
}

fn running(item: &Value) -> Result<bool, Problem> {
    decode::required(item, &["running"])?.as_bool().ok_or_else(|| "has a `running` that is no boolean".into())
}

/// How the service itself is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceStatus {
    /// `online`, `degraded` or `unknown`.
    pub status: String,
    /// More in words, when there is more.
    pub message: Option<String>,
}

impl ServiceStatus {
    /// Whether the service calls itself `online`.
    pub fn is_online(&self) -> bool {
        self.status == "online"
    }

    pub(crate) fn read(item: &Value) -> Result<Self, Problem> {
        let status = decode::string(item, &["status"])?;
        // The word of an envelope, which this route does not have: it says nothing about the service.
        if status.eq_ignore_ascii_case("success") {
            return Err("is an envelope, where the service's own status should be".into());
        }
        Ok(Self { status, message: decode::optional_string(item, &["message"]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::json::json;

    #[test]
    fn text_and_numbers_are_both_readings() {
        let text = json!({ "cpu": "0.42%", "ram": "118.6MB", "status": "running", "running": true,
            "storage": "1MB", "network": { "total": "2KB", "now": "0B" }, "uptime": 1_795_196_400_000_i64 });
        let text = RuntimeStatus::read(&text).unwrap();
        assert_eq!(text.cpu.unwrap().to_string(), "0.42%");
        assert!(text.uptime.is_some());
        let raw = json!({ "cpu": 0.42, "ram": 118, "running": false, "network": null, "uptime": null });
        let raw = RuntimeStatus::read(&raw).unwrap();
        assert_eq!((raw.cpu, raw.uptime), (Some(Reading::Number(0.42)), None));
        assert!(RuntimeStatus::read(&json!({ "running": "yes" })).is_err());
        for envelope in [json!({ "status": "Success" }), json!({ "status": "success", "response": {} })] {
            assert!(ServiceStatus::read(&envelope).is_err(), "{envelope:?}");
        }
        assert_eq!(
            ServiceStatus::read(&json!({ "status": "tomorrow", "new": 1 })).unwrap().status,
            "tomorrow"
        );
    }
}
