//! The load: lives of assignments, rendered before they are needed.
//!
//! One life is four commands and five events: it is requested, started by somebody who did not have
//! it (assigned and started), noted on, completed. Every command has an idempotency key, as a client
//! should give one. Groups and people repeat, so that rows of the workload are touched again.

use commands::Clock as _;
use domain::assignment::{Assignment, Command, Request};
use domain::{Actor, Aggregate as _, CommandId, Context, Digest, Name, NewCommit, Text};
use hyper::body::Bytes;
use infra::SystemClock;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

use super::http::{Rendered, Target};

/// How many commands one life has.
pub(super) const COMMANDS_PER_LIFE: usize = 4;
/// How many events come of them.
pub(super) const EVENTS_PER_LIFE: u64 = 5;
/// The most commands that the batch endpoint takes at once.
pub(super) const BATCH_COMMANDS_MAX: usize = 10_000;

/// As many as a house of some size has.
const GROUPS: u64 = 20;
const PEOPLE: u64 = 200;

const DESCRIPTION: &str = "Found on the morning round; the pressure falls within an hour. Bring the \
                           small seals, and ask at the gate for the key to the yard.";
const NOTE: &str = "The seal was worn through. Ordered two, one for the shelf.";
const OUTCOME: &str = "replaced, tested under load for ten minutes";

/// Where ids come from that nobody has had.
#[derive(Debug)]
pub(super) struct Fresh {
    run: Uuid,
    next: AtomicU64,
}

/// One assignment of the load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) id: Uuid,
    number: u64,
}

/// The commands of a life, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Request,
    Start,
    Note,
    Complete,
}

impl Step {
    pub(super) const ALL: [Self; COMMANDS_PER_LIFE] =
        [Self::Request, Self::Start, Self::Note, Self::Complete];

    fn verb(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Start => "start",
            Self::Note => "note",
            Self::Complete => "complete",
        }
    }
}

impl Fresh {
    pub(super) fn new() -> Self {
        Self {
            run: SystemClock.fresh_id(),
            next: AtomicU64::new(0),
        }
    }

    /// The next life. Its id is spread like those that come from idempotency keys (version 5).
    pub(super) fn life(&self) -> Life {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Life {
            id: Uuid::new_v5(&self.run, &number.to_be_bytes()),
            number,
        }
    }

    pub(super) fn lives(&self, count: usize) -> Vec<Life> {
        (0..count).map(|_| self.life()).collect()
    }
}

impl Life {
    /// One of its commands as a request of its own.
    pub(super) fn render(self, step: Step, target: &Target) -> Rendered {
        let mut body = self.body(step);
        let path = match step {
            Step::Request => {
                body["id"] = json!(self.id);
                "/v1/assignments".to_owned()
            }
            Step::Start | Step::Note | Step::Complete => {
                format!("/v1/assignments/{}/{}", self.id, step.verb())
            }
        };
        target.post(&path, Some(&self.key(step)), body.to_string())
    }

    /// One of its commands as a line of a batch.
    pub(super) fn line(self, step: Step) -> String {
        let line = json!({
            "command": format!("assignment.{}", step.verb()),
            "id": self.id,
            "key": self.key(step),
            "data": self.body(step),
        });
        format!("{line}\n")
    }

    fn key(self, step: Step) -> String {
        format!("{}-{}", self.id, step.verb())
    }

    fn body(self, step: Step) -> Value {
        match step {
            Step::Request => json!({
                "title": format!("Replace the seal of pump {}", self.number),
                "description": DESCRIPTION,
                "kind": "repair",
                "group": format!("workshop-{}", self.number % GROUPS),
                "priority": 1 + self.number % 5,
                "labels": {"site": "north"},
                "external_ref": format!("T-{}", self.number),
            }),
            Step::Start => json!({ "assignee": self.assignee() }),
            Step::Note => json!({ "text": NOTE }),
            Step::Complete => json!({ "outcome": OUTCOME }),
        }
    }

    fn assignee(self) -> String {
        format!("person-{}", self.number % PEOPLE)
    }

    fn command(self, step: Step) -> Command {
        match step {
            Step::Request => {
                let mut body = self.body(step);
                body["requester"] = json!("bench");
                let request: Request = serde_json::from_value(body).expect("our request is one");
                Command::Request(Box::new(request))
            }
            Step::Start => {
                let assignee = Name::new(self.assignee()).expect("our names are names");
                Command::Start {
                    assignee,
                    group: None,
                }
            }
            Step::Note => Command::Note {
                text: Text::new(NOTE).expect("our note is one"),
            },
            Step::Complete => Command::Complete {
                outcome: Text::new(OUTCOME).expect("our outcome is one"),
            },
        }
    }

    /// The commits of this life, byte for byte as long as the program's own.
    pub(super) fn payloads(self) -> Vec<Bytes> {
        let now = SystemClock.now();
        let actor = Actor {
            principal: Name::new("admin").expect("a name"),
            on_behalf_of: None,
        };
        let mut state = Assignment::default();
        let mut version = 0;
        let commit = |step| {
            let events = state.decide(&self.command(step), &Context::at(now));
            let events = events.expect("nothing refuses a life of the load");
            events.iter().for_each(|event| state.evolve(event, now));
            let commit = NewCommit {
                id: CommandId(self.id),
                at: now,
                occurred_at: None,
                actor: &actor,
                correlation: Some(&actor.principal),
                causation: None,
                request: Digest::default(),
                version,
                events: &events,
            };
            version += events.len() as u64;
            Bytes::from(commit.encode().expect("events are JSON"))
        };
        Step::ALL.map(commit).to_vec()
    }
}

/// Batches of whole lives with at most [`BATCH_COMMANDS_MAX`] commands each, step by step, so that
/// one batch has many assignments under way at once.
pub(super) fn batch(lives: &[Life], steps: &[Step]) -> String {
    let lines = steps
        .iter()
        .flat_map(|step| lives.iter().map(|life| life.line(*step)));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use domain::{Chain, Commit, Position, StreamId, Tenant, Token};

    use super::*;

    #[test]
    fn a_life_is_four_commits_and_five_events() {
        let life = Fresh::new().life();
        let tenant = Tenant::new("t").expect("a token");
        let stream = StreamId::new(tenant, Assignment::CATEGORY, Token::from(life.id));
        let decode = |payload: &Bytes| {
            Commit::decode(Position(1), stream.clone(), Chain::default(), None, payload)
        };
        let payloads = life.payloads();
        let commits = payloads
            .iter()
            .map(|payload| decode(payload).expect("a commit"));
        let versions: Vec<u64> = commits.map(|commit| commit.version_after()).collect();
        assert_eq!(versions, [1, 3, 4, EVENTS_PER_LIFE]);
    }

    #[test]
    fn a_batch_has_each_step_of_all_lives_before_the_next_step() {
        let fresh = Fresh::new();
        let text = batch(&fresh.lives(2), &Step::ALL);
        let verbs: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("json")["command"].clone())
            .collect();
        assert_eq!(verbs.len(), 2 * COMMANDS_PER_LIFE);
        assert_eq!(verbs[0], verbs[1]);
        assert_eq!(verbs[7], "assignment.complete");
    }

    #[test]
    fn no_two_lives_share_an_id() {
        let fresh = Fresh::new();
        assert_ne!(fresh.life().id, fresh.life().id);
        assert_ne!(fresh.life().id, Fresh::new().life().id);
    }
}
