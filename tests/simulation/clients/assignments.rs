//! People who change one assignment at the same time. A note is written down as often as it is asked for, so
//! one that stands there twice is seen.

use domain::assignment::{Assignment, Command, Priority, Request};
use domain::{StreamId, Text};
use uuid::Uuid;

use super::{Client, name, stream};

pub(super) async fn change(client: Client, id: Uuid) {
    let assignment: StreamId = stream::<Assignment>(id);
    let rng = client.world.rng.clone();
    let ask = async |command| {
        client
            .ask(|process| &process.assignments, &assignment, command)
            .await
    };
    ask(requested()).await;
    for number in 0..rng.from(3..=12) {
        let text = Text::new(format!("note {number}")).expect("a text");
        let reason = Text::new("no part").expect("a text");
        let command = match rng.below(10) {
            0 => Command::Start {
                assignee: name("ann"),
                group: None,
            },
            1 => Command::Hold { reason },
            2 => Command::Resume,
            3 => Command::Requeue { group: None },
            _ => Command::Note { text },
        };
        ask(command).await;
        client.pause(8_000).await;
    }
}

fn requested() -> Command {
    Command::Request(Box::new(Request {
        title: Text::new("Replace the pump").expect("a title"),
        description: None,
        kind: name("repair"),
        group: name("plant"),
        requester: name("rita"),
        assignee: None,
        priority: Priority::NORMAL,
        labels: Default::default(),
        window: None,
        effort_minutes: None,
        external_ref: None,
    }))
}
