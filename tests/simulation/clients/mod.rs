//! The clients: people and programs that ask for things, and ask again when they hear nothing.

mod assignments;
mod batches;
mod jobs;
mod schedules;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use commands::{Failure, Handler, Request};
use domain::{Actor, Aggregate, CommandId, Digest, Name, StreamId, Tenant, Token};
use futures_util::future::join_all;
use tokio::task::JoinHandle;
use uuid::{Uuid, Version};

use crate::machine::Process;
use crate::record::{Call, Told};
use crate::world::World;

/// As whom the clients act. Whatever else is in the journal under this name nobody asked for.
pub(crate) const CLIENT: &str = "client";

/// How long a client waits for an answer before it asks again.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long schedules go on when nothing fails any more.
const WITHOUT_FAULTS: Duration = Duration::from_secs(30);

/// Those that come to an end, and the schedules that have to be ended.
pub(crate) struct Clients {
    ending: Vec<JoinHandle<()>>,
    schedules: Vec<JoinHandle<StreamId>>,
}

/// A client's way into the service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    world: Arc<World>,
    /// Whether it may give up before it knows.
    gives_up: bool,
}

pub(crate) fn start(world: &Arc<World>) -> Clients {
    let client = |gives_up| Client {
        world: Arc::clone(world),
        gives_up,
    };
    for _ in 0..3 {
        tokio::spawn(workers::work(client(false)));
    }
    let rng = &world.rng;
    let mut ending = Vec::new();
    for _ in 0..rng.from(1..=2) {
        let assignment = rng.uuid();
        for _ in 0..2 {
            ending.push(tokio::spawn(assignments::change(client(true), assignment)));
        }
    }
    for _ in 0..rng.from(2..=10) {
        ending.push(tokio::spawn(jobs::enqueue(client(true))));
    }
    for _ in 0..rng.from(0..=2) {
        ending.push(tokio::spawn(batches::fill(client(false))));
    }
    let schedules = (0..rng.from(0..=2)).map(|_| tokio::spawn(schedules::keep(client(false))));
    Clients {
        schedules: schedules.collect(),
        ending,
    }
}

/// Lets them end.
pub(crate) async fn finish(world: &Arc<World>, clients: Clients) {
    for ended in join_all(clients.ending).await {
        ended.expect("no client panics");
    }
    let schedules = join_all(clients.schedules).await;
    if !schedules.is_empty() {
        // Without faults, everything that is due has to be decided on.
        tokio::time::sleep(WITHOUT_FAULTS).await;
    }
    for kept in schedules {
        let client = Client {
            world: Arc::clone(world),
            gives_up: false,
        };
        schedules::end(&client, kept.expect("no client panics")).await;
    }
}

impl Client {
    /// Asks until it is told, or gives up.
    async fn ask<A: Aggregate<Command: Clone>>(
        &self,
        handler: impl Fn(&Process) -> &Handler<A>,
        stream: &StreamId,
        command: A::Command,
    ) -> Told {
        let rng = &self.world.rng;
        let id = CommandId(rng.uuid_of(Version::Sha1));
        let digest = Digest(*rng.uuid().as_bytes());
        let begun = self.world.now();
        let told = loop {
            let process = self.world.process().await;
            let request = request(id, digest, command.clone());
            // Some hang up at once.
            let patience = match self.world.strikes(10) {
                true => rng.millis(0..=20),
                false => PATIENCE,
            };
            let answer = tokio::select! {
                biased;
                () = process.life.ended() => None,
                answer = tokio::time::timeout(patience, handler(&process).handle(stream, request)) =>
                    answer.ok(),
            };
            match answer {
                Some(Ok(receipt)) => break Told::Done(receipt),
                Some(Err(Failure::Refused(_))) => break Told::Refused,
                Some(Err(Failure::Unavailable(_) | Failure::Contended { .. })) | None => {}
                Some(Err(failure)) => {
                    let wrong = format!("command `{id}` on `{stream}` was answered: {failure}");
                    self.world.record.known().wrong.push(wrong);
                    break Told::Nothing;
                }
            }
            if self.gives_up && self.world.strikes(3) {
                break Told::Nothing;
            }
            tokio::time::sleep(rng.millis(1..=2_000)).await;
        };
        self.world.record.known().calls.push(Call {
            command: id,
            stream: stream.clone(),
            digest,
            begun,
            ended: self.world.now(),
            told: told.clone(),
        });
        told
    }

    /// Takes its time, unless it is calm: nothing more is to be found out then.
    async fn pause(&self, ms_max: u64) {
        let pause = self.world.rng.millis(0..=ms_max);
        tokio::select! {
            biased;
            () = self.world.calm() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn request<C>(id: CommandId, digest: Digest, command: C) -> Request<C> {
    Request {
        id,
        keyed: true,
        digest,
        actor: actor(CLIENT),
        correlation: None,
        causation: None,
        trace: None,
        occurred_at: None,
        expected_version: None,
        command,
    }
}

fn stream<A: Aggregate>(id: Uuid) -> StreamId {
    StreamId::new(tenant(), A::CATEGORY, Token::from(id))
}

fn actor(principal: &str) -> Actor {
    Actor {
        principal: name(principal),
        on_behalf_of: None,
    }
}

fn tenant() -> Tenant {
    Tenant::new("acme").expect("a token")
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}
