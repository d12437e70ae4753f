//! What every journal must do: each function is one claim, run against every implementation.
//!
//! A test module defines `async fn fixture(claim: &str) -> Fixture` and calls
//! [`journal_contract!`](crate::journal_contract), which makes one test of each claim: so no
//! implementation can forget one. Fixtures of one log stay apart by their tenants.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Chain, CommandId, Commit, Entry, Position, StreamId, Tenant, Token};
use futures_util::stream::StreamExt;
use serde_json::json;
use uuid::Uuid;

use super::{Append, AppendError, COMMIT_BYTES_MAX, Journal, ReadError};

/// Makes one test of each claim; `$fixture` is an async function from the claim's name to a [`Fixture`].
#[macro_export]
macro_rules! journal_contract {
    ($fixture:path) => {
        $crate::journal_contract!(
            $fixture,
            an_append_is_read_back_as_it_was_written,
            an_append_with_a_stale_expectation_is_a_conflict,
            a_first_append_on_a_stream_that_has_commits_is_a_conflict,
            an_expectation_is_of_its_own_stream_only,
            a_retry_with_the_same_expectation_is_a_conflict_or_a_duplicate,
            a_retry_with_the_new_expectation_is_a_duplicate,
            a_retry_on_another_stream_is_a_duplicate,
            a_command_that_was_drawn_stands_once_by_its_expectation_alone,
            a_stream_is_read_from_any_position,
            a_stream_that_is_longer_than_one_answer_is_read_whole,
            a_stream_that_has_nothing_is_empty,
            everything_is_read_from_any_position,
            a_commit_larger_than_the_limit_is_refused,
            of_writers_at_one_place_exactly_one_wins,
            concurrent_writers_are_read_in_one_order,
            a_reader_from_before_the_writes_meets_them,
            the_head_is_the_last_commit,
            a_name_with_a_meaning_in_subjects_is_no_stream
        );
    };
    ($fixture:path, $($claim:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                let fixture = $fixture(stringify!($claim)).await;
                $crate::journal::contract::$claim(fixture).await;
            }
        )+
    };
}

/// A journal, and a tenant that nobody else writes to.
#[derive(Clone)]
pub struct Fixture {
    /// The journal under test.
    pub journal: Arc<dyn Journal>,
    /// Whose streams this claim uses.
    pub tenant: Tenant,
}

impl Fixture {
    /// A fixture whose tenant is named after the claim; the name is cut to what a token may have.
    ///
    /// # Panics
    /// When the claim's name is no token.
    pub fn new(journal: Arc<dyn Journal>, claim: &str) -> Self {
        let name: String = claim.chars().take(Token::BYTES_MAX).collect();
        let tenant = Tenant::new(name).expect("a function's name is a token");
        Self { journal, tenant }
    }

    /// A stream of this fixture.
    ///
    /// # Panics
    /// When `id` is no token.
    #[must_use]
    pub fn stream(&self, id: &str) -> StreamId {
        StreamId {
            tenant: self.tenant.clone(),
            category: Token::new("contract").expect("a plain word is a token"),
            id: Token::new(id).expect("tests use plain ids"),
        }
    }

    /// The id of this fixture's command `number`.
    #[must_use]
    pub fn command(&self, number: u64) -> CommandId {
        let name = format!("{} {number}", self.tenant);
        CommandId(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
    }

    /// A commit of one small event.
    #[must_use]
    pub fn append(&self, id: &str, expected: Position, command: u64) -> Append {
        self.append_padded(id, expected, command, 0)
    }

    /// A commit of one event with `padding_bytes` more bytes in it.
    #[must_use]
    pub fn append_padded(
        &self,
        id: &str,
        expected: Position,
        command: u64,
        padding_bytes: usize,
    ) -> Append {
        let command = self.command(command);
        let payload = json!({
            "commit": command,
            "at": "2026-11-21T12:00:00Z",
            "actor": {"principal": "tester"},
            "request": "00".repeat(16),
            "version": 0,
            "events": [{"type": "noted", "data": {"text": "x".repeat(padding_bytes)}, "v": 1}],
        });
        let payload = Bytes::from(payload.to_string());
        Append {
            stream: self.stream(id),
            expected,
            id: command,
            chain: crate::chain::extend(Chain::default(), &payload),
            payload,
            trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        }
    }

    /// Appends and expects it to be taken.
    ///
    /// # Panics
    /// When it is not.
    pub async fn appended(&self, id: &str, expected: Position, command: u64) -> Position {
        let append = self.append(id, expected, command);
        let position = self.journal.append(append).await;
        position.expect("the append is in order")
    }

    /// The stream's commits behind `after`.
    ///
    /// # Panics
    /// When one cannot be read.
    pub async fn read(&self, id: &str, after: Position) -> Vec<Commit> {
        let stream = self.stream(id);
        let commits = self.journal.read_stream(&stream, after);
        let commits: Vec<Result<Commit, ReadError>> = commits.collect().await;
        let commits: Result<Vec<_>, _> = commits.into_iter().collect();
        commits.expect("every commit is readable")
    }

    /// The first `count` commits of this fixture's tenant behind `after`, from the whole journal.
    ///
    /// # Panics
    /// When one cannot be read.
    pub async fn read_all(&self, after: Position, count: usize) -> Vec<Commit> {
        let entries = self.journal.read_all(after);
        let mine = entries.filter_map(async |entry| match entry {
            Entry::Commit(commit) => {
                (commit.stream.tenant == self.tenant).then(|| Arc::unwrap_or_clone(commit))
            }
            Entry::Unreadable { position, reason } => panic!("`{position}`: {reason}"),
        });
        mine.take(count).collect().await
    }
}

/// Every part of it: payload, chain, trace, stream, position.
pub async fn an_append_is_read_back_as_it_was_written(fixture: Fixture) {
    let append = fixture.append("a", Position::START, 1);
    let position = fixture.journal.append(append.clone()).await;
    let position = position.expect("nothing stands in the way");
    let commits = fixture.read("a", Position::START).await;
    assert_eq!(commits.len(), 1);
    let commit = &commits[0];
    assert_eq!(commit.position, position);
    assert_eq!(commit.stream, append.stream);
    assert_eq!(commit.chain, append.chain);
    assert_eq!(commit.trace, append.trace);
    assert_eq!(commit.id(), append.id);
    assert_eq!(commit.payload.events.len(), 1);
}

/// Another writer was first.
pub async fn an_append_with_a_stale_expectation_is_a_conflict(fixture: Fixture) {
    let first = fixture.appended("a", Position::START, 1).await;
    fixture.appended("a", first, 2).await;
    let late = fixture.journal.append(fixture.append("a", first, 3)).await;
    assert!(
        matches!(late, Err(AppendError::Conflict { .. })),
        "{late:?}"
    );
    assert_eq!(fixture.read("a", Position::START).await.len(), 2);
}

/// An aggregate is created once.
pub async fn a_first_append_on_a_stream_that_has_commits_is_a_conflict(fixture: Fixture) {
    fixture.appended("a", Position::START, 1).await;
    let again = fixture.append("a", Position::START, 2);
    let again = fixture.journal.append(again).await;
    assert!(
        matches!(again, Err(AppendError::Conflict { .. })),
        "{again:?}"
    );
}

/// Streams do not hinder each other, even where one's name begins with the other's.
pub async fn an_expectation_is_of_its_own_stream_only(fixture: Fixture) {
    fixture.appended("a", Position::START, 1).await;
    fixture.appended("ab", Position::START, 2).await;
    fixture.appended("b", Position::START, 3).await;
    assert_eq!(fixture.read("a", Position::START).await.len(), 1);
}

/// The answer was lost and the writer does not know: it must not be written twice.
pub async fn a_retry_with_the_same_expectation_is_a_conflict_or_a_duplicate(fixture: Fixture) {
    let position = fixture.appended("a", Position::START, 1).await;
    let retry = fixture.append("a", Position::START, 1);
    match fixture.journal.append(retry).await {
        Err(AppendError::Conflict { .. }) => {}
        Err(AppendError::Duplicate(first)) => assert_eq!(first, position),
        other => panic!("{other:?}"),
    }
    let commits = fixture.read("a", Position::START).await;
    assert_eq!(commits.len(), 1);
    assert_eq!(
        commits[0].id(),
        fixture.command(1),
        "the writer finds itself by reading back"
    );
}

/// The writer has read back, and tries the same command behind itself.
pub async fn a_retry_with_the_new_expectation_is_a_duplicate(fixture: Fixture) {
    let position = fixture.appended("a", Position::START, 1).await;
    let retry = fixture
        .journal
        .append(fixture.append("a", position, 1))
        .await;
    let Err(AppendError::Duplicate(first)) = retry else {
        panic!("{retry:?}");
    };
    assert_eq!(first, position);
    assert_eq!(fixture.read("a", Position::START).await.len(), 1);
}

/// Nobody can send it again, so it need not be remembered: what keeps it from standing twice is where its writer expects
/// the stream to end.
pub async fn a_command_that_was_drawn_stands_once_by_its_expectation_alone(fixture: Fixture) {
    let drawn = || {
        let mut append = fixture.append("a", Position::START, 1);
        append.id = CommandId(Uuid::from_u128(7 << 76));
        assert!(append.id.is_drawn());
        append
    };
    let first = fixture.journal.append(drawn()).await;
    first.expect("the append is in order");
    match fixture.journal.append(drawn()).await {
        Err(AppendError::Conflict { .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(fixture.read("a", Position::START).await.len(), 1);
}

/// A command id is of the whole journal.
pub async fn a_retry_on_another_stream_is_a_duplicate(fixture: Fixture) {
    let position = fixture.appended("a", Position::START, 1).await;
    let retry = fixture.append("b", Position::START, 1);
    let retry = fixture.journal.append(retry).await;
    let Err(AppendError::Duplicate(first)) = retry else {
        panic!("{retry:?}");
    };
    assert_eq!(first, position);
    assert!(fixture.read("b", Position::START).await.is_empty());
}

/// From the start, from the middle, from the end, from behind the end.
pub async fn a_stream_is_read_from_any_position(fixture: Fixture) {
    let mut positions = vec![Position::START];
    for command in 1..=5 {
        let expected = positions[positions.len() - 1];
        positions.push(fixture.appended("a", expected, command).await);
        fixture
            .appended(&format!("other-{command}"), Position::START, 100 + command)
            .await;
    }
    for (index, after) in positions.iter().enumerate() {
        let read = fixture.read("a", *after).await;
        let read: Vec<Position> = read.iter().map(|commit| commit.position).collect();
        assert_eq!(read, positions[index + 1..]);
    }
    let behind = Position(positions[5].0 + 1_000_000);
    assert!(fixture.read("a", behind).await.is_empty());
}

/// Longer than any one answer of a server.
pub async fn a_stream_that_is_longer_than_one_answer_is_read_whole(fixture: Fixture) {
    let mut last = Position::START;
    for command in 1..=600 {
        last = fixture.appended("a", last, command).await;
    }
    let read = fixture.read("a", Position::START).await;
    assert_eq!(read.len(), 600);
    assert!(read.is_sorted_by_key(|commit| commit.position));
    assert_eq!(read[599].position, last);
}

/// No commit is no error.
pub async fn a_stream_that_has_nothing_is_empty(fixture: Fixture) {
    assert!(fixture.read("nobody", Position::START).await.is_empty());
}

/// Over streams, in the one order.
pub async fn everything_is_read_from_any_position(fixture: Fixture) {
    let before = fixture.journal.head().await.expect("the journal answers");
    let mut positions = vec![before];
    for command in 1..=5 {
        let id = format!("s{command}");
        positions.push(fixture.appended(&id, Position::START, command).await);
    }
    for (index, after) in positions[..5].iter().enumerate() {
        let read = fixture.read_all(*after, 5 - index).await;
        let read: Vec<Position> = read.iter().map(|commit| commit.position).collect();
        assert_eq!(read, positions[index + 1..]);
    }
}

/// One byte less and the limit itself are taken, one byte more is not.
pub async fn a_commit_larger_than_the_limit_is_refused(fixture: Fixture) {
    let bare = fixture.append("a", Position::START, 1).payload.len();
    let mut last = Position::START;
    for (command, bytes) in [(1, COMMIT_BYTES_MAX - 1), (2, COMMIT_BYTES_MAX)] {
        let append = fixture.append_padded("a", last, command, bytes - bare);
        assert_eq!(append.payload.len(), bytes);
        let taken = fixture.journal.append(append).await;
        last = taken.expect("it is not larger than the limit");
    }
    let append = fixture.append_padded("a", last, 3, COMMIT_BYTES_MAX + 1 - bare);
    let refused = fixture.journal.append(append).await;
    let Err(AppendError::TooLarge { bytes, bytes_max }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((bytes, bytes_max), (COMMIT_BYTES_MAX + 1, COMMIT_BYTES_MAX));
    assert_eq!(fixture.read("a", Position::START).await.len(), 2);
}

/// However many try: of those that expect the same, one is written.
pub async fn of_writers_at_one_place_exactly_one_wins(fixture: Fixture) {
    let mut last = Position::START;
    for round in 0..5 {
        let appends = (0..400).map(|writer| fixture.append("a", last, round * 1_000 + writer));
        let appends = appends.map(|append| fixture.journal.append(append));
        let answers = futures_util::future::join_all(appends).await;
        let mut won = Vec::new();
        for answer in answers {
            match answer {
                Ok(position) => won.push(position),
                Err(AppendError::Conflict { .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(won.len(), 1);
        last = won[0];
    }
    assert_eq!(fixture.read("a", Position::START).await.len(), 5);
}

/// Many streams at once, enough of them that appends are written in groups.
pub async fn concurrent_writers_are_read_in_one_order(fixture: Fixture) {
    const WRITERS: u64 = 400;
    const ROUNDS: u64 = 3;
    let before = fixture.journal.head().await.expect("the journal answers");
    let writers = (0..WRITERS).map(|writer| {
        let fixture = fixture.clone();
        tokio::spawn(async move {
            let mut positions = vec![Position::START];
            for round in 0..ROUNDS {
                let last = positions[positions.len() - 1];
                let command = writer * ROUNDS + round;
                positions.push(fixture.appended(&format!("w{writer}"), last, command).await);
            }
            positions
        })
    });
    let written = futures_util::future::join_all(writers).await;
    let all = fixture.read_all(before, (WRITERS * ROUNDS) as usize).await;
    assert!(all.is_sorted_by(|a, b| a.position < b.position));
    for (writer, positions) in written.into_iter().enumerate() {
        let positions = positions.expect("the writer did not panic");
        let id = format!("w{writer}");
        let mine = all.iter().filter(|commit| commit.stream.id.as_str() == id);
        let mine: Vec<_> = mine.map(|commit| (commit.position, commit.id())).collect();
        let commands = (0..ROUNDS).map(|round| fixture.command(writer as u64 * ROUNDS + round));
        let told: Vec<_> = positions[1..].iter().copied().zip(commands).collect();
        assert_eq!(
            mine, told,
            "each writer was told where its own commits stand"
        );
    }
}

/// A reader that waits is woken.
pub async fn a_reader_from_before_the_writes_meets_them(fixture: Fixture) {
    let before = fixture.journal.head().await.expect("the journal answers");
    let reader = fixture.clone();
    let reader = tokio::spawn(async move { reader.read_all(before, 3).await });
    let mut last = Position::START;
    for command in 1..=3 {
        last = fixture.appended("a", last, command).await;
    }
    let read = reader.await.expect("the reader did not panic");
    assert_eq!(read.len(), 3);
    assert_eq!(read[2].position, last);
}

/// Nothing that was acknowledged stands behind the head.
pub async fn the_head_is_the_last_commit(fixture: Fixture) {
    let position = fixture.appended("a", Position::START, 1).await;
    let head = fixture.journal.head().await.expect("the journal answers");
    assert!(head >= position);
}

/// Such a stream cannot even be asked for, whatever the implementation would make of it.
pub async fn a_name_with_a_meaning_in_subjects_is_no_stream(fixture: Fixture) {
    fixture.appended("a", Position::START, 1).await;
    for id in ["*", ">", "a.b", "a b", "a\r\nb", "a\0b", ""] {
        assert!(Token::new(id).is_err(), "{id:?}");
        let stream = format!("{}.contract.{id}", fixture.tenant);
        assert!(stream.parse::<StreamId>().is_err(), "{stream:?}");
        assert!(Tenant::new(id).is_err(), "{id:?}");
    }
}
