//! The pure parts of a command's journey: decide, evolve, encode, decode, and the fold of a read model.
//!
//! `cargo bench --bench core`

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use domain::assignment::{Assignment, Command, Event, Priority, Request};
use domain::{
    Actor, Aggregate as _, Chain, CommandId, Commit, Context, Digest, Name, NewCommit, Position,
    StreamId, Tenant, Text, Timestamp, Token,
};
use projections::assignment::{Until, fold};
use std::hint::black_box;
use uuid::Uuid;

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn now() -> Timestamp {
    "2026-01-05T10:00:00Z".parse().expect("a time")
}

fn commands() -> Vec<Command> {
    let request = Request {
        title: Text::new("Replace the pump").expect("a title"),
        description: Some(Text::new("The left one. Ask Rita where it is.").expect("a text")),
        kind: name("repair"),
        group: name("plant"),
        requester: name("rita"),
        assignee: None,
        priority: Priority::NORMAL,
        labels: Default::default(),
        window: None,
        effort_minutes: None,
        external_ref: Some(name("T-1")),
    };
    vec![
        Command::Request(Box::new(request)),
        Command::Assign {
            assignee: name("ann"),
            group: None,
        },
        Command::Start {
            assignee: name("ann"),
            group: None,
        },
        Command::Hold {
            reason: Text::new("no part").expect("a reason"),
        },
        Command::Resume,
        Command::Complete {
            outcome: Text::new("replaced").expect("an outcome"),
        },
        Command::Close,
    ]
}

/// One life of an assignment: every state on the way, and what was decided in it.
fn life() -> Vec<(Assignment, Command, Vec<Event>)> {
    let context = Context::at(now());
    let mut state = Assignment::default();
    let step = |command: Command| {
        let before = state.clone();
        let events = state
            .decide(&command, &context)
            .expect("the life is allowed");
        events.iter().for_each(|event| state.evolve(event, now()));
        (before, command, events)
    };
    commands().into_iter().map(step).collect()
}

fn encode(version: u64, actor: &Actor, events: &[Event]) -> Vec<u8> {
    let commit = NewCommit {
        id: CommandId(Uuid::from_u128(u128::from(version) + 1)),
        at: now(),
        occurred_at: None,
        actor,
        correlation: None,
        causation: None,
        request: Digest::default(),
        version,
        events,
    };
    commit.encode().expect("events are JSON")
}

fn decode(payload: &[u8]) -> Commit {
    let tenant = Tenant::new("default").expect("a token");
    let stream = StreamId::new(
        tenant,
        Assignment::CATEGORY,
        Token::from(Uuid::from_u128(7)),
    );
    Commit::decode(Position(1), stream, Chain::default(), None, payload).expect("a commit")
}

fn core(criterion: &mut Criterion) {
    let context = Context::at(now());
    let actor = Actor {
        principal: name("ann"),
        on_behalf_of: None,
    };
    let life = life();
    let (assigned, start, started) = &life[2];
    criterion.bench_function("decide", |b| {
        b.iter(|| black_box(assigned).decide(black_box(start), &context));
    });
    criterion.bench_function("evolve", |b| {
        let evolve = |mut state: Assignment| {
            state.evolve(&started[0], now());
            state
        };
        b.iter_batched(|| assigned.clone(), evolve, BatchSize::SmallInput);
    });
    criterion.bench_function("encode", |b| {
        b.iter(|| encode(2, &actor, black_box(started)))
    });
    let payload = encode(2, &actor, started);
    criterion.bench_function("decode commit", |b| b.iter(|| decode(black_box(&payload))));
    let commit = decode(&payload);
    criterion.bench_function("decode event", |b| {
        b.iter(|| black_box(&commit).payload.events[0].decode::<Event>());
    });
    let mut version = 0;
    let commits: Vec<Commit> = life
        .iter()
        .map(|(_, _, events)| {
            let payload = encode(version, &actor, events);
            version += events.len() as u64;
            decode(&payload)
        })
        .collect();
    criterion.bench_function("fold a life of seven commits", |b| {
        b.iter(|| fold(black_box(&commits), Until::default()));
    });
}

criterion_group!(benches, core);
criterion_main!(benches);
