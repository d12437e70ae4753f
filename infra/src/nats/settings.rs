//! The streams' settings: created when absent, mended where they differ, refused where they cannot be.
//!
//! Settings that this program has no opinion on (placement, description, compression, metadata) stay
//! as the operator made them.

use std::fmt;

use async_nats::Client;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::api::{self, ApiError, STREAM_NOT_FOUND};

/// Why a stream is not as it must be.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// JetStream did not answer, or would not create the stream.
    #[error("set up stream `{stream}`")]
    Api {
        /// Which stream.
        stream: String,
        /// What went wrong.
        #[source]
        source: ApiError,
    },
    /// A setting differs and cannot be changed on a stream that exists.
    #[error("{difference}, and it cannot be changed")]
    Setting {
        /// Which, and how.
        difference: Difference,
        /// What JetStream said.
        #[source]
        source: ApiError,
    },
}

/// Settings that differ on a stream that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which stream.
    pub stream: String,
    /// The settings as they are.
    pub found: String,
    /// The settings as they must be.
    pub wanted: String,
}

/// A stream as it must be.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) settings: Map<String, Value>,
    /// What is only wished for: asked for at creation, and left out if the server would not have it.
    pub(super) wishes: Map<String, Value>,
}

#[derive(Deserialize)]
struct Info {
    config: Map<String, Value>,
}

impl Stream {
    /// A file stream on `<prefix>.>` that keeps everything, with `settings` of its own.
    pub(super) fn new(name: &str, prefix: &str, replicas: Option<usize>, settings: Value) -> Self {
        let mut wanted = object(json!({
            "subjects": [format!("{prefix}.>")],
            "storage": "file",
            "retention": "limits",
            "discard": "new",
            "max_msgs": -1,
            "max_bytes": -1,
            "max_age": 0,
            "max_msgs_per_subject": -1,
            "allow_direct": true,
            "allow_rollup_hdrs": false,
            "allow_msg_ttl": false,
            "sealed": false,
            "no_ack": false,
            "mirror": null,
            "sources": null,
            "subject_transform": null,
        }));
        if let Some(replicas) = replicas {
            wanted.insert("num_replicas".to_owned(), json!(replicas));
        }
        wanted.extend(object(settings));
        Self {
            name: name.to_owned(),
            settings: wanted,
            wishes: Map::new(),
        }
    }

    /// Adds what the stream may do without.
    pub(super) fn wish(mut self, wishes: Value) -> Self {
        self.wishes = object(wishes);
        self
    }

    /// Creates or mends it.
    pub(super) async fn ensure(&self, client: &Client) -> Result<(), SettingsError> {
        let path = format!("STREAM.INFO.{}", self.name);
        match api::ask::<Info>(client, &path, None).await {
            Ok(info) => self.mend(client, info.config).await,
            Err(error) if error.is(STREAM_NOT_FOUND) => self.create(client).await,
            Err(source) => Err(self.api_error(source)),
        }
    }

    async fn create(&self, client: &Client) -> Result<(), SettingsError> {
        let path = format!("STREAM.CREATE.{}", self.name);
        let mut config = self.settings.clone();
        config.insert("name".to_owned(), json!(self.name));
        let mut wished = config.clone();
        wished.extend(self.wishes.clone());
        let created = api::ask::<Info>(client, &path, Some(&wished.into())).await;
        let created = match created {
            Err(ApiError::Refused { description, .. }) if !self.wishes.is_empty() => {
                tracing::info!(
                    stream = self.name,
                    description,
                    "stream does without what was wished for"
                );
                api::ask::<Info>(client, &path, Some(&config.into())).await
            }
            created => created,
        };
        created.map_err(|source| self.api_error(source))?;
        tracing::info!(stream = self.name, "created stream");
        Ok(())
    }

    /// How the one that is there differs, for one who looks and does not touch.
    pub(super) async fn look(&self, client: &Client) -> Result<Option<Difference>, SettingsError> {
        let path = format!("STREAM.INFO.{}", self.name);
        let info = api::ask::<Info>(client, &path, None).await;
        let info = info.map_err(|source| self.api_error(source))?;
        Ok(self.difference(&info.config))
    }

    fn differing<'a>(&'a self, found: &Map<String, Value>) -> Vec<(&'a String, &'a Value)> {
        let differs = |(name, wanted): &(&String, &Value)| {
            *or_default(found.get(*name)) != *or_default(Some(wanted))
        };
        self.settings.iter().filter(differs).collect()
    }

    fn difference(&self, found: &Map<String, Value>) -> Option<Difference> {
        let wanted = self.differing(found);
        let as_it_is = |name: &String| found.get(name).unwrap_or(&Value::Null);
        (!wanted.is_empty()).then(|| Difference {
            stream: self.name.clone(),
            found: list(wanted.iter().map(|(name, _)| (*name, as_it_is(name)))),
            wanted: list(wanted.iter().copied()),
        })
    }

    async fn mend(&self, client: &Client, found: Map<String, Value>) -> Result<(), SettingsError> {
        let Some(difference) = self.difference(&found) else {
            return Ok(());
        };
        let mut config = found.clone();
        for (name, value) in self.differing(&found) {
            config.insert(name.clone(), value.clone());
        }
        let path = format!("STREAM.UPDATE.{}", self.name);
        match api::ask::<Info>(client, &path, Some(&config.into())).await {
            Ok(_) => {
                let Difference { found, wanted, .. } = difference;
                tracing::warn!(stream = self.name, found, wanted, "mended stream");
                Ok(())
            }
            Err(source @ ApiError::Refused { .. }) => {
                Err(SettingsError::Setting { difference, source })
            }
            Err(source) => Err(self.api_error(source)),
        }
    }

    fn api_error(&self, source: ApiError) -> SettingsError {
        SettingsError::Api {
            stream: self.name.clone(),
            source,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stream,
            found,
            wanted,
        } = self;
        write!(f, "stream `{stream}` has {found}, and must have {wanted}")
    }
}

/// The server leaves out what is off, zero or empty.
fn or_default(value: Option<&Value>) -> &Value {
    match value {
        None | Some(Value::Bool(false)) => &Value::Null,
        Some(Value::Number(number)) if number.as_i64() == Some(0) => &Value::Null,
        Some(value) => value,
    }
}

fn list<'a>(settings: impl Iterator<Item = (&'a String, &'a Value)>) -> String {
    let settings = settings.map(|(name, value)| format!("`{name}` = `{value}`"));
    settings.collect::<Vec<_>>().join(", ")
}

/// Written beside the literal, which always is one.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}
