//! PURE. The paths of the routes that name an app, a database or a workspace.

use crate::error::{Error, Result};
use crate::percent::encode;
use crate::types::Kind;

/// The path of a route of one app or database: `/apps/{id}` and `rest`.
///
/// # Errors
/// [`Error::Invalid`] when the id would lead to another route.
pub(crate) fn resource(kind: Kind, id: &str, rest: &str) -> Result<String> {
    check_id(&format!("the {kind} id"), id)?;
    Ok(format!("/{}/{}{rest}", kind.segment(), encode(id)))
}

/// Refuses what would lead to another route; any other form of an id is the service's business.
pub(crate) fn check_id(what: &str, id: &str) -> Result<()> {
    let reason = match id {
        "" => "is empty",
        "." | ".." => "is a path segment with a meaning of its own, not an id",
        _ if id.chars().any(char::is_control) => "contains a line break or another control character",
        _ => return Ok(()),
    };
    let reason = format!("{reason}; take it from `Client::account` or the dashboard");
    Err(Error::invalid(what.to_owned(), reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment() {
        let path = |id| resource(Kind::App, id, "/snapshots").unwrap();
        assert_eq!(path("c0ffee-ws 1/ü"), "/apps/c0ffee-ws%201%2F%C3%BC/snapshots");
        assert_eq!(path("../x"), "/apps/..%2Fx/snapshots");
        assert_eq!(resource(Kind::Database, "d", "").unwrap(), "/databases/d");
    }

    #[test]
    fn ids_that_lead_elsewhere_are_refused() {
        for id in ["", ".", "..", "a\nb", "a\0"] {
            assert!(resource(Kind::App, id, "").is_err(), "{id:?}");
        }
    }
}
