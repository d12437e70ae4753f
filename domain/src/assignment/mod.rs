//! Assignment: work that somebody asks of a group, and that one person or agent does.
//! Stream `assignment.<id>`. Reads no clock: `context` says when the decision is made.
//!
//! ```text
//!            ┌──────────── requeue (from any open state) ───────────┐
//! request ─▶ queued ─▶ assigned ─▶ in_progress ─▶ completed ─▶ closed
//!              └──────────┴─── hold ▶ on_hold ◀ hold ───┘    (cancel: from any open state)
//! ```
//!
//! Invariants: requested once; an ended assignment (completed, closed, cancelled) changes only by
//! closing, reopening or a note; every move from one standing to another carries both in a
//! [`Change`], so that whoever reads the one event knows who held the work, in which state, since when.

mod fields;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

pub use self::fields::*;
use crate::{Aggregate, Category, Context, Name, Timestamp};

/// What may be asked of an assignment.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Ask a group for work.
    Request(Box<Request>),
    /// Give it to somebody, in another group if one is named.
    Assign { assignee: Name, group: Option<Name> },
    /// Put it into a group's queue, back into its own if none is named.
    Requeue { group: Option<Name> },
    /// Begin to work on it, taking it over where it was somebody else's.
    Start { assignee: Name, group: Option<Name> },
    /// Write something down.
    Note { text: Note },
    /// Let it wait.
    Hold { reason: Reason },
    /// Go on where it was put on hold.
    Resume,
    /// Say that the work is done.
    Complete { outcome: Outcome },
    /// Confirm the end of what was completed.
    Close,
    /// Take an ended assignment up again.
    Reopen { reason: Option<Reason> },
    /// End it undone.
    Cancel { reason: Option<Reason> },
}

/// Facts on disk: add variants and fields, never change their meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr, VariantNames)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    /// A group was asked for work; it waits in the group's queue.
    Requested(Box<Request>),
    /// Somebody without it was given it, or its holder got it in another group.
    Assigned { change: Change },
    /// It went from one person straight to another.
    HandedOver { change: Change },
    /// It went into a group's queue.
    Requeued { change: Change },
    /// Its holder began to work on it.
    Started { change: Change },
    /// Something was written down.
    Noted { text: Note },
    /// It waits for something.
    PutOnHold { reason: Reason, change: Change },
    /// It goes on where it was put on hold.
    Resumed { change: Change },
    /// The work is done.
    Completed { outcome: Outcome, change: Change },
    /// The end was confirmed.
    Closed { change: Change },
    /// It was taken up again.
    Reopened {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
        change: Change,
    },
    /// It ended undone.
    Cancelled {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
        change: Change,
    },
}

/// Why an assignment says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Refusal {
    /// There is none of this id.
    #[error("no such assignment")]
    Unknown,
    /// The id is taken.
    #[error("assignment was already requested")]
    AlreadyRequested,
    /// It has to be reopened first.
    #[error("assignment has ended as `{0}`")]
    Ended(Status),
    /// Only an ended assignment can be reopened.
    #[error("assignment has not ended, it is `{0}`")]
    NotEnded(Status),
    /// Only a completed assignment can be closed.
    #[error("assignment is not completed, it is `{0}`")]
    NotCompleted(Status),
    /// There is nothing to resume.
    #[error("assignment is not on hold, it is `{0}`")]
    NotOnHold(Status),
}

/// Only what the next decision needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    held: Option<Held>,
}

/// The standing of a requested assignment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Held {
    standing: Standing,
    since: Timestamp,
    hold_reason: Option<Reason>,
    /// Where a resumed assignment goes on.
    resumes_as: Status,
}

impl Aggregate for Assignment {
    const CATEGORY: Category = Category::new("assignment");
    const STATE_VERSION: u32 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(&self, command: &Command, context: &Context) -> Result<Vec<Event>, Refusal> {
        let Some(held) = &self.held else {
            return match command {
                Command::Request(request) => Ok(requested(request, context)),
                _ => Err(Refusal::Unknown),
            };
        };
        let status = held.standing.status;
        match command {
            Command::Request(_) => Err(Refusal::AlreadyRequested),
            Command::Note { text } => Ok(vec![Event::Noted { text: text.clone() }]),

            Command::Complete { .. } if status == Status::Completed => Ok(vec![]),
            Command::Close if status == Status::Closed => Ok(vec![]),
            Command::Cancel { .. } if status == Status::Cancelled => Ok(vec![]),

            Command::Close if status == Status::Completed => Ok(vec![Event::Closed {
                change: held.to(Status::Closed),
            }]),
            Command::Close if !status.is_ended() => Err(Refusal::NotCompleted(status)),
            Command::Reopen { reason } if status.is_ended() => {
                let change = held.to(held.standing.status_when_taken_up());
                Ok(vec![Event::Reopened {
                    reason: reason.clone(),
                    change,
                }])
            }
            Command::Reopen { .. } => Err(Refusal::NotEnded(status)),
            _ if status.is_ended() => Err(Refusal::Ended(status)),

            Command::Assign { assignee, group } => Ok(held.assign(assignee, group.as_ref())),
            Command::Start { assignee, group } => Ok(held.start(assignee, group.as_ref(), context)),
            Command::Requeue { group } => Ok(held.requeue(group.as_ref())),
            Command::Hold { reason } if held.hold_reason.as_ref() == Some(reason) => Ok(vec![]),
            Command::Hold { reason } => {
                let change = held.to(Status::OnHold);
                Ok(vec![Event::PutOnHold {
                    reason: reason.clone(),
                    change,
                }])
            }
            Command::Resume if status != Status::OnHold => Err(Refusal::NotOnHold(status)),
            Command::Resume => Ok(vec![Event::Resumed {
                change: held.to(held.resumes_as),
            }]),
            Command::Complete { outcome } => {
                let change = held.to(Status::Completed);
                Ok(vec![Event::Completed {
                    outcome: outcome.clone(),
                    change,
                }])
            }
            Command::Close => Err(Refusal::NotCompleted(status)),
            Command::Cancel { reason } => {
                let change = held.to(Status::Cancelled);
                Ok(vec![Event::Cancelled {
                    reason: reason.clone(),
                    change,
                }])
            }
        }
    }

    fn evolve(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Requested(request) => {
                self.held = Some(Held {
                    standing: Standing::queued(request.group.clone()),
                    since: at,
                    hold_reason: None,
                    resumes_as: Status::Queued,
                });
            }
            Event::PutOnHold { reason, change } => self.go_to(change, at, Some(reason)),
            Event::Assigned { change }
            | Event::HandedOver { change }
            | Event::Requeued { change }
            | Event::Started { change }
            | Event::Resumed { change }
            | Event::Completed { change, .. }
            | Event::Closed { change }
            | Event::Reopened { change, .. }
            | Event::Cancelled { change, .. } => self.go_to(change, at, None),
            Event::Noted { .. } => {}
        }
    }
}

impl Assignment {
    /// The state it is in; none before it was requested.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.held.as_ref().map(|held| held.standing.status)
    }

    fn go_to(&mut self, change: &Change, at: Timestamp, hold_reason: Option<&Reason>) {
        let before = self.held.take();
        let resumes_as = match before {
            // A second hold only changes the reason: what it goes on as was said by the first.
            Some(held) if held.standing.status == Status::OnHold => held.resumes_as,
            _ => change.from.status,
        };
        self.held = Some(Held {
            standing: change.to.clone(),
            since: change.from.since.max(at),
            hold_reason: hold_reason.cloned(),
            resumes_as,
        });
    }
}

/// Waits in the queue, and is given to somebody at once where the request names them.
fn requested(request: &Request, context: &Context) -> Vec<Event> {
    let mut events = vec![Event::Requested(Box::new(request.clone()))];
    if let Some(assignee) = &request.assignee {
        let from = Standing::queued(request.group.clone());
        let to = Standing {
            assignee: Some(assignee.clone()),
            status: Status::Assigned,
            ..from.clone()
        };
        let change = Change {
            from: from.since(context.happened_at()),
            to,
        };
        events.push(Event::Assigned { change });
    }
    events
}

impl Held {
    fn assign(&self, assignee: &Name, group: Option<&Name>) -> Vec<Event> {
        let group = group.unwrap_or(&self.standing.group);
        let to = |status| Standing {
            status,
            group: group.clone(),
            assignee: Some(assignee.clone()),
        };
        match &self.standing.assignee {
            Some(holder) if holder == assignee && *group == self.standing.group => vec![],
            Some(holder) if holder == assignee => {
                vec![Event::Assigned {
                    change: self.change(to(self.standing.status)),
                }]
            }
            Some(_) => vec![Event::HandedOver {
                change: self.change(to(Status::Assigned)),
            }],
            None => vec![Event::Assigned {
                change: self.change(to(Status::Assigned)),
            }],
        }
    }

    fn start(&self, assignee: &Name, group: Option<&Name>, context: &Context) -> Vec<Event> {
        let mut events = self.assign(assignee, group);
        let assigned = match events.last() {
            Some(Event::Assigned { change } | Event::HandedOver { change }) => change
                .to
                .clone()
                .since(self.since.max(context.happened_at())),
            _ => self.period(),
        };
        if assigned.status != Status::InProgress {
            let to = Standing {
                status: Status::InProgress,
                ..assigned.clone().into()
            };
            events.push(Event::Started {
                change: Change { from: assigned, to },
            });
        }
        events
    }

    fn requeue(&self, group: Option<&Name>) -> Vec<Event> {
        let to = Standing::queued(group.unwrap_or(&self.standing.group).clone());
        if to == self.standing {
            return vec![];
        }
        vec![Event::Requeued {
            change: self.change(to),
        }]
    }

    /// The same holder in another state.
    fn to(&self, status: Status) -> Change {
        self.change(Standing {
            status,
            ..self.standing.clone()
        })
    }

    fn change(&self, to: Standing) -> Change {
        Change {
            from: self.period(),
            to,
        }
    }

    fn period(&self) -> Period {
        self.standing.clone().since(self.since)
    }
}

impl Event {
    /// The move that the event brought; none for a note, and for the request, which moves from nothing.
    #[must_use]
    pub fn change(&self) -> Option<&Change> {
        match self {
            Self::Requested(_) | Self::Noted { .. } => None,
            Self::Assigned { change }
            | Self::HandedOver { change }
            | Self::Requeued { change }
            | Self::Started { change }
            | Self::PutOnHold { change, .. }
            | Self::Resumed { change }
            | Self::Completed { change, .. }
            | Self::Closed { change }
            | Self::Reopened { change, .. }
            | Self::Cancelled { change, .. } => Some(change),
        }
    }
}

impl crate::Event for Event {
    const NAMES: &'static [&'static str] = Self::VARIANTS;

    fn name(&self) -> &'static str {
        self.into()
    }

    fn version(&self) -> u16 {
        1
    }
}

impl crate::Refusal for Refusal {
    fn code(&self) -> &'static str {
        self.into()
    }

    fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}
