//! Who keeps a stream, and whether so many of them are in touch that it takes messages.
//!
//! A server that is cut off from the others goes on answering about a stream: as its leader, until it
//! notices that nobody follows (10 to 20 seconds, measured with 2.15), and then as one of its servers,
//! with what it has itself. So an answer alone says nothing. What counts is whether it names a leader,
//! and of how many servers that leader has heard lately.

use std::time::Duration;

use async_nats::Client;
use serde::Deserialize;

use super::api::{self, ApiError, STREAM_NOT_FOUND};

/// How long a leader may not have heard of a server and still count on it. It hears of each once a
/// second; a server that hears nothing of its leader for four has another one elected.
const HEARD_WITHIN: Duration = Duration::from_secs(4);

/// A stream, and who keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    /// Its name.
    pub stream: String,
    /// How many copies of it there are to be.
    pub copies: usize,
    /// The servers of the cluster that keep it; none for a server that is in no cluster.
    pub members: Option<Members>,
}

/// The servers that keep a stream.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Members {
    /// The name of the one that leads the others, where there is one.
    #[serde(default)]
    pub leader: Option<String>,
    /// The others; without a leader, all of them.
    #[serde(default, rename = "replicas")]
    pub others: Vec<Member>,
}

/// A server that keeps a stream, as another one knows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Whether it has everything, but for what is under way.
    #[serde(default)]
    pub current: bool,
    /// Whether it is known to be away.
    #[serde(default)]
    offline: bool,
    /// How long ago it was heard of, in nanoseconds; 0 for never.
    #[serde(default)]
    active: u64,
}

/// Why a stream takes no messages now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoQuorum {
    /// Nobody leads it.
    #[error("stream `{stream}` has no leader: the server in reach is cut off, or too few are left")]
    NoLeader {
        /// Its name.
        stream: String,
    },
    /// Whoever leads it is alone with too few.
    #[error(
        "stream `{stream}` has no majority: its leader `{leader}` has not heard of {} for `{}` s",
        unheard.join(", "), HEARD_WITHIN.as_secs()
    )]
    NoMajority {
        /// Its name.
        stream: String,
        /// Who leads it.
        leader: String,
        /// Of whom it does not hear, each in backticks.
        unheard: Vec<String>,
    },
}

/// Asks who keeps `stream`; none where there is no such stream.
///
/// # Errors
/// When JetStream does not answer: where the stream has a leader, only that one does.
pub async fn of(client: &Client, stream: &str) -> Result<Option<Quorum>, ApiError> {
    #[derive(Deserialize)]
    struct Info {
        config: Config,
        #[serde(default)]
        cluster: Option<Members>,
    }
    #[derive(Deserialize)]
    struct Config {
        num_replicas: usize,
    }
    match api::ask::<Info>(client, &format!("STREAM.INFO.{stream}"), None).await {
        Ok(info) => Ok(Some(Quorum {
            stream: stream.to_owned(),
            copies: info.config.num_replicas,
            members: info.cluster,
        })),
        Err(error) if error.is(STREAM_NOT_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Quorum {
    /// Whether the stream takes messages, as far as that can be seen without one.
    ///
    /// # Errors
    /// When it has no leader, or one that is in touch with too few.
    pub fn check(&self) -> Result<(), NoQuorum> {
        let stream = || self.stream.clone();
        let Some(members) = &self.members else {
            return Ok(());
        };
        let Some(leader) = &members.leader else {
            return Err(NoQuorum::NoLeader { stream: stream() });
        };
        let unheard = members.others.iter().filter(|member| !member.is_heard());
        let unheard: Vec<_> = unheard.map(|member| format!("`{}`", member.name)).collect();
        let all = members.others.len() + 1;
        if unheard.len() * 2 < all {
            return Ok(());
        }
        Err(NoQuorum::NoMajority {
            stream: stream(),
            leader: leader.clone(),
            unheard,
        })
    }
}

impl Member {
    /// Whether it was heard of lately.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        let heard_within = 1..HEARD_WITHIN.as_nanos();
        !self.offline && heard_within.contains(&u128::from(self.active))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `JOURNAL` with three copies, as a server answers about it.
    fn journal(cluster: serde_json::Value) -> Quorum {
        Quorum {
            stream: "JOURNAL".to_owned(),
            copies: 3,
            members: serde_json::from_value(cluster).expect("as a server says it"),
        }
    }

    fn with_leader(active_ms: [u64; 2]) -> Quorum {
        let [n2, n3] = active_ms.map(|ms| ms * 1_000_000);
        journal(json!({"name": "c", "leader": "n1", "replicas": [
            {"name": "n2", "current": true, "active": n2, "peer": "p"},
            {"name": "n3", "current": true, "active": n3, "peer": "q"},
        ]}))
    }

    #[test]
    fn a_leader_that_hears_of_one_of_two_has_its_majority() {
        assert_eq!(with_leader([300, 900]).check(), Ok(()));
        assert_eq!(with_leader([900, 60_000]).check(), Ok(()));
    }

    #[test]
    fn a_leader_that_has_heard_of_nobody_for_seconds_has_none() {
        let refused = with_leader([4_100, 4_100]).check().expect_err("cut off");
        assert_eq!(
            refused.to_string(),
            "stream `JOURNAL` has no majority: its leader `n1` has not heard of `n2`, `n3` for `4` s"
        );
    }

    #[test]
    fn a_server_that_is_away_does_not_count() {
        let away = json!({"name": "n2", "offline": true, "active": 300_000_000});
        let never = json!({"name": "n3", "active": 0});
        let refused = journal(json!({"leader": "n1", "replicas": [away, never]})).check();
        assert!(
            matches!(refused, Err(NoQuorum::NoMajority { .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn a_stream_that_nobody_leads_takes_nothing() {
        let current = json!({"name": "n2", "current": true, "active": 300_000_000});
        let refused = journal(json!({"replicas": [current]})).check();
        assert!(
            matches!(refused, Err(NoQuorum::NoLeader { .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn one_server_alone_and_one_copy_in_a_cluster_need_nobody() {
        let alone = Quorum {
            members: None,
            ..journal(json!({}))
        };
        assert_eq!(alone.check(), Ok(()));
        assert_eq!(journal(json!({"leader": "n1"})).check(), Ok(()));
    }
}
