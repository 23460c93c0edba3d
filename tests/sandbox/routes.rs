//! Which route a method and path name. Pure.

use super::sign::decode;
use super::world::Kind;

/// A route of the service, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    ServiceStatus,
    Me,
    Info(Kind),
    Status(Kind),
    /// `GET /apps/status`, `GET /databases/status`
    Statuses(Kind),
    Start(Kind),
    Stop(Kind),
    Restart,
    Delete(Kind),
    List(Kind),
    /// `GET /users/snapshots`
    ListAccount,
    Create(Kind),
    Restore(Kind),
    RestoreStatus(Kind),
    Upload,
    Commit,
    /// Anything on the snapshot host.
    Object,
    Unknown,
}

impl Route {
    /// The route of an API request and the id in its path, decoded.
    pub fn of(method: &str, path: &str) -> (Self, String) {
        let Some(path) = path.strip_prefix("/v2/") else { return (Self::Unknown, String::new()) };
        let parts: Vec<&str> = path.split('/').collect();
        let kind = match parts[0] {
            "apps" => Kind::App,
            "databases" => Kind::Database,
            _ => {
                let route = match (method, parts.as_slice()) {
                    ("GET", ["service", "status"]) => Self::ServiceStatus,
                    ("GET", ["users", "me"]) => Self::Me,
                    ("GET", ["users", "snapshots"]) => Self::ListAccount,
                    _ => Self::Unknown,
                };
                return (route, String::new());
            }
        };
        let app = kind == Kind::App;
        let id = parts.get(1).map(|id| decode(id)).unwrap_or_default();
        let route = match (method, &parts[1..]) {
            ("POST", []) if app => Self::Upload,
            ("GET", ["status"]) => Self::Statuses(kind),
            (_, ["" | "." | "..", ..]) => Self::Unknown,
            ("GET", [_]) => Self::Info(kind),
            ("DELETE", [_]) => Self::Delete(kind),
            ("GET", [_, "status"]) => Self::Status(kind),
            ("POST", [_, "start"]) => Self::Start(kind),
            ("POST", [_, "stop"]) => Self::Stop(kind),
            ("POST", [_, "restart"]) if app => Self::Restart,
            ("POST", [_, "commit"]) if app => Self::Commit,
            ("GET", [_, "snapshots"]) => Self::List(kind),
            ("POST", [_, "snapshots"]) => Self::Create(kind),
            ("POST", [_, "snapshots", "restore"]) => Self::Restore(kind),
            ("GET", [_, "snapshots", "restore"]) => Self::RestoreStatus(kind),
            _ => Self::Unknown,
        };
        (route, id)
    }

    /// Its plain word, the same for apps and databases.
    pub fn word(self) -> &'static str {
        match self {
            Self::ServiceStatus => "service",
            Self::Me => "account",
            Self::Info(_) => "info",
            Self::Status(_) => "status",
            Self::Statuses(_) => "statuses",
            Self::Start(_) => "start",
            Self::Stop(_) => "stop",
            Self::Restart => "restart",
            Self::Delete(_) => "delete",
            Self::List(_) => "list",
            Self::ListAccount => "account-list",
            Self::Create(_) => "create",
            Self::Restore(_) => "restore",
            Self::RestoreStatus(_) => "restore-status",
            Self::Upload => "upload",
            Self::Commit => "commit",
            Self::Object => "download",
            Self::Unknown => "unknown",
        }
    }

    /// The kind of the resource in its path.
    pub fn kind(self) -> Option<Kind> {
        match self {
            Self::Info(k) | Self::Status(k) | Self::Start(k) | Self::Stop(k) | Self::Delete(k) => Some(k),
            Self::List(k) | Self::Create(k) | Self::Restore(k) | Self::RestoreStatus(k) => Some(k),
            Self::Restart | Self::Commit => Some(Kind::App),
            _ => None,
        }
    }

    /// The scope a limited key needs.
    pub fn scope(self) -> Option<&'static str> {
        match self {
            Self::Me => Some("account:read"),
            Self::List(_) | Self::ListAccount | Self::RestoreStatus(_) => Some("snapshots:read"),
            Self::Create(_) | Self::Restore(_) => Some("snapshots:write"),
            Self::Info(Kind::App) | Self::Status(Kind::App) | Self::Statuses(Kind::App) => Some("apps:read"),
            Self::Info(_) | Self::Status(_) | Self::Statuses(_) => Some("databases:read"),
            Self::Start(Kind::App) | Self::Stop(Kind::App) | Self::Restart | Self::Upload | Self::Delete(Kind::App) => {
                Some("apps:write")
            }
            Self::Start(_) | Self::Stop(_) | Self::Delete(_) => Some("databases:write"),
            Self::Commit => Some("apps:deploy"),
            Self::ServiceStatus | Self::Object | Self::Unknown => None,
        }
    }
}

/// Whether a path fits a pattern in which `*` stands for one part and a last `**` for all that follow.
pub fn fits(pattern: &str, path: &str) -> bool {
    let path = path.strip_prefix("/v2").unwrap_or(path);
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return true,
            (Some("**"), _) => return true,
            (Some("*"), Some(_)) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}
