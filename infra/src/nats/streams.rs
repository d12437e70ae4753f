//! All streams of the service, for one who looks and does not touch.

use async_nats::Client;

use super::settings::{Difference, SettingsError};
use super::{feed, journal, seals, snapshots};

/// What a start would change on the streams that are there; `replicas` as it would be told.
///
/// # Errors
/// When JetStream does not answer, or has not all of them.
pub async fn differences(
    client: &Client,
    feed_client: &Client,
    replicas: Option<usize>,
) -> Result<Vec<Difference>, SettingsError> {
    let streams = [
        (client, journal::wanted(&journal::Settings::kept(replicas))),
        (client, seals::wanted(replicas)),
        (client, snapshots::wanted(replicas)),
        (feed_client, feed::wanted(&feed::Settings::kept(replicas))),
    ];
    let mut differences = Vec::new();
    for (client, stream) in streams {
        differences.extend(stream.look(client).await?);
    }
    Ok(differences)
}
