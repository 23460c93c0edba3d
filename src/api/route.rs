//! PURE. The service's routes: method, path and query.

use crate::error::{Error, Result};
use crate::percent::{encode, encode_form};
use crate::types::Kind;

/// One route of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    Account,
    ServiceStatus,
    AccountSnapshots(Kind),
    Snapshots(Kind, &'a str),
    CreateSnapshot(Kind, &'a str),
    Restore(Kind, &'a str),
    RestoreStatus(Kind, &'a str),
    Info(Kind, &'a str),
    Status { kind: Kind, id: &'a str, raw: bool },
    AllStatus { kind: Kind, workspace: Option<&'a str> },
    Start(Kind, &'a str),
    Stop(Kind, &'a str),
    Restart(&'a str),
    Upload,
    Commit { id: &'a str, path: Option<&'a str> },
}

impl Route<'_> {
    pub(crate) fn method(&self) -> &'static str {
        match self {
            Self::CreateSnapshot(..)
            | Self::Restore(..)
            | Self::Start(..)
            | Self::Stop(..)
            | Self::Restart(_)
            | Self::Upload
            | Self::Commit { .. } => "POST",
            _ => "GET",
        }
    }

    /// The path below the base URL, with its query.
    ///
    /// # Errors
    /// [`Error::Invalid`] when an id would lead to another route.
    pub(crate) fn path(&self) -> Result<String> {
        let resource = |kind: Kind, id: &str, rest: &str| {
            check_id(format!("the {kind} id"), id)?;
            Ok(format!("/{}/{}{rest}", kind.segment(), encode(id)))
        };
        match *self {
            Self::Account => Ok("/users/me".into()),
            Self::ServiceStatus => Ok("/service/status".into()),
            Self::AccountSnapshots(kind) => Ok(format!("/users/snapshots?scope={}", kind.scope())),
            Self::Snapshots(kind, id) | Self::CreateSnapshot(kind, id) => resource(kind, id, "/snapshots"),
            Self::Restore(kind, id) | Self::RestoreStatus(kind, id) => {
                resource(kind, id, "/snapshots/restore")
            }
            Self::Info(kind, id) => resource(kind, id, ""),
            Self::Status { kind, id, raw } => {
                resource(kind, id, if raw { "/status?rawData=true" } else { "/status" })
            }
            Self::AllStatus { kind, workspace: None } => Ok(format!("/{}/status", kind.segment())),
            Self::AllStatus { kind, workspace: Some(id) } => {
                check_id("the workspace id".into(), id)?;
                Ok(format!("/{}/status?workspaceId={}", kind.segment(), encode_form(id)))
            }
            Self::Start(kind, id) => resource(kind, id, "/start"),
            Self::Stop(kind, id) => resource(kind, id, "/stop"),
            Self::Restart(id) => resource(Kind::App, id, "/restart"),
            Self::Upload => Ok("/apps".into()),
            Self::Commit { id, path: None } => resource(Kind::App, id, "/commit"),
            Self::Commit { id, path: Some(path) } => {
                resource(Kind::App, id, &format!("/commit?path={}", encode_form(path)))
            }
        }
    }
}

/// Refuses what would lead to another route; any other form of an id is the service's business.
fn check_id(what: String, id: &str) -> Result<()> {
    let reason = match id {
        "" => "is empty",
        "." | ".." => "is a path segment with a meaning of its own, not an id",
        _ if id.chars().any(char::is_control) => "contains a line break or another control character",
        _ => return Ok(()),
    };
    Err(Error::invalid(what, format!("{reason}; take it from `Client::account` or the dashboard")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_what_the_contract_says() {
        let app = "c0ffee-ws 1/ü";
        let cases = [
            (Route::Account, "GET", "/users/me"),
            (Route::ServiceStatus, "GET", "/service/status"),
            (Route::AccountSnapshots(Kind::App), "GET", "/users/snapshots?scope=applications"),
            (Route::AccountSnapshots(Kind::Database), "GET", "/users/snapshots?scope=databases"),
            (Route::Snapshots(Kind::Database, "d"), "GET", "/databases/d/snapshots"),
            (Route::CreateSnapshot(Kind::App, app), "POST", "/apps/c0ffee-ws%201%2F%C3%BC/snapshots"),
            (Route::Restore(Kind::App, "a"), "POST", "/apps/a/snapshots/restore"),
            (Route::RestoreStatus(Kind::App, "a"), "GET", "/apps/a/snapshots/restore"),
            (Route::Info(Kind::App, "a"), "GET", "/apps/a"),
            (Route::Status { kind: Kind::App, id: "a", raw: true }, "GET", "/apps/a/status?rawData=true"),
            (
                Route::AllStatus { kind: Kind::App, workspace: Some("w x") },
                "GET",
                "/apps/status?workspaceId=w+x",
            ),
            (Route::Stop(Kind::Database, "d"), "POST", "/databases/d/stop"),
            (Route::Restart("a"), "POST", "/apps/a/restart"),
            (Route::Upload, "POST", "/apps"),
            (Route::Commit { id: "a", path: Some("/x y") }, "POST", "/apps/a/commit?path=%2Fx+y"),
        ];
        for (route, method, path) in cases {
            assert_eq!((route.method(), route.path().unwrap().as_str()), (method, path), "{route:?}");
        }
    }

    #[test]
    fn ids_that_lead_elsewhere_are_refused() {
        for id in ["", ".", "..", "a\nb", "a\0"] {
            assert!(Route::Info(Kind::App, id).path().is_err(), "{id:?}");
        }
        assert_eq!(Route::Info(Kind::App, "../x").path().unwrap(), "/apps/..%2Fx");
    }
}
