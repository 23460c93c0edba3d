//! PURE. One app or database in detail.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::decode::{id, lenient, number, text, when};

/// An app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AppInfo {
    /// Its id.
    #[serde(deserialize_with = "id")]
    pub id: String,
    /// Its name.
    #[serde(default, deserialize_with = "lenient")]
    pub name: String,
    /// Its description.
    #[serde(default, rename = "desc", deserialize_with = "text")]
    pub description: Option<String>,
    /// The account it belongs to.
    #[serde(default, deserialize_with = "lenient")]
    pub owner: String,
    /// The cluster it runs on.
    #[serde(default, deserialize_with = "lenient")]
    pub cluster: String,
    /// Its memory in MB.
    #[serde(default, deserialize_with = "number")]
    pub ram: u64,
    /// Its language.
    #[serde(default, deserialize_with = "lenient")]
    pub language: String,
    /// Its domain at the service.
    #[serde(default, deserialize_with = "text")]
    pub domain: Option<String>,
    /// Its custom domain.
    #[serde(default, deserialize_with = "text")]
    pub custom: Option<String>,
    /// When it was created.
    #[serde(default, with = "when")]
    pub created_at: Option<OffsetDateTime>,
}

/// A database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatabaseInfo {
    /// Its id.
    #[serde(deserialize_with = "id")]
    pub id: String,
    /// Its name.
    #[serde(default, deserialize_with = "lenient")]
    pub name: String,
    /// The account it belongs to.
    #[serde(default, deserialize_with = "lenient")]
    pub owner: String,
    /// The cluster it runs on.
    #[serde(default, deserialize_with = "lenient")]
    pub cluster: String,
    /// Its memory in MB.
    #[serde(default, deserialize_with = "number")]
    pub ram: u64,
    /// Its engine.
    #[serde(default, rename = "type", deserialize_with = "lenient")]
    pub engine: String,
    /// The port it listens on.
    #[serde(default, deserialize_with = "number")]
    pub port: u64,
    /// When it was created.
    #[serde(default, with = "when")]
    pub created_at: Option<OffsetDateTime>,
}

/// An app that was created from a zip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UploadedApp {
    /// Its id.
    #[serde(deserialize_with = "id")]
    pub id: String,
    /// Its name.
    #[serde(default, deserialize_with = "lenient")]
    pub name: String,
    /// Its description.
    #[serde(default, deserialize_with = "text")]
    pub description: Option<String>,
    /// Its domain at the service.
    #[serde(default, deserialize_with = "text")]
    pub domain: Option<String>,
    /// The cluster it runs on.
    #[serde(default, deserialize_with = "text")]
    pub cluster: Option<String>,
    /// Its memory in MB.
    #[serde(default, deserialize_with = "number")]
    pub ram: u64,
    /// Its number of processors.
    #[serde(default, deserialize_with = "number")]
    pub cpu: u64,
    /// Its language.
    #[serde(default, deserialize_with = "language")]
    pub language: Language,
}

/// The language of an uploaded app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Language {
    /// Its name: `javascript`, ...
    #[serde(default, deserialize_with = "lenient")]
    pub name: String,
    /// Its version: `recommended`, `latest`, ...
    #[serde(default, deserialize_with = "text")]
    pub version: Option<String>,
}

/// Reads an object or a bare name.
fn language<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Language, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(name) => Language { name, version: None },
        object => Language::deserialize(object).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_an_object_or_a_name() {
        let read = |json: &str| serde_json::from_str::<UploadedApp>(json).unwrap();
        let full = read(r#"{"id":"a","ram":"256","cpu":1,"language":{"name":"python","version":"latest"}}"#);
        assert_eq!((full.ram, full.language.version.as_deref()), (256, Some("latest")));
        let short = read(r#"{"id":"a","language":"python","domain":"","cluster":7}"#);
        assert_eq!((short.language.name.as_str(), short.domain, short.cluster), ("python", None, None));
        assert_eq!(read(r#"{"id":"a","language":null}"#).language, Language::default());
        let saved = serde_json::to_string(&full).unwrap();
        assert_eq!(serde_json::from_str::<UploadedApp>(&saved).unwrap(), full);
    }

    #[test]
    fn only_the_id_is_required() {
        let app: AppInfo = serde_json::from_str(r#"{"id":"a","desc":"d","tomorrow":[]}"#).unwrap();
        assert_eq!((app.description.as_deref(), app.ram), (Some("d"), 0));
        let database: DatabaseInfo = serde_json::from_str(r#"{"id":"d","type":"postgres"}"#).unwrap();
        assert_eq!(database.engine, "postgres");
        assert!(serde_json::from_str::<AppInfo>(r#"{"name":"a"}"#).is_err());
    }
}
