//! The worker protocol over NATS: what comes in on the feed's account, where workers may log in, goes to
//! the router of the API.

use std::sync::Arc;

use api::gateway::{ALL_SUBJECTS, Gateway, Message, STATUS};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use infra::nats;
use infra::nats::requests::{Answering, Asked, Told};
use tokio_util::sync::CancellationToken;

/// The gateway, as NATS asks it.
struct OverNats(Gateway);

/// Answers workers until `stop`, then ends what was begun.
pub(super) async fn serve(client: nats::Client, router: api::Router, stop: CancellationToken) {
    let gateway = OverNats(Gateway::new(router, client.max_payload()));
    let served = nats::requests::serve(client, ALL_SUBJECTS, Arc::new(gateway), stop).await;
    if let Err(error) = served {
        tracing::error!(%error, "workers are served over nats no longer");
    }
}

impl Answering for OverNats {
    fn answer<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Told> {
        async {
            let message = message(asked);
            let answer = self.0.answer(&message).await;
            let must_arrive = Gateway::must_arrive(&message, &answer);
            let mut headers = answer.headers;
            headers.push((STATUS, answer.status.as_str().to_owned()));
            Told {
                headers,
                body: answer.body,
                must_arrive,
            }
        }
        .boxed()
    }

    fn unheard<'a>(&'a self, asked: &'a Asked, told: &'a Told) -> BoxFuture<'a, ()> {
        async {
            let jobs = told.body.clone();
            self.0.give_back(&message(asked), &jobs).await;
        }
        .boxed()
    }
}

fn message(asked: &Asked) -> Message {
    Message {
        subject: asked.subject.clone(),
        headers: asked.headers.clone(),
        body: asked.body.clone(),
    }
}
