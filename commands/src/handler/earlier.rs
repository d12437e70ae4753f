//! Finding out whether a command was carried out before, by another try or another process.

use domain::{Aggregate, Commit, Position, StreamId};
use futures_util::StreamExt as _;

use super::loaded::{Loaded, Recent};
use super::{Failure, Handler};
use crate::{Receipt, Request};

impl<A: Aggregate> Handler<A> {
    /// The first receipt of a keyed command that the read side, which has read the journal to
    /// `after`, does not know.
    pub(super) async fn find_earlier(
        &self,
        stream: &StreamId,
        request: &Request<A::Command>,
        after: Position,
        loaded: &Loaded<A>,
    ) -> Result<Option<Receipt>, Failure<A::Refusal>> {
        if loaded.position <= after {
            return Ok(None);
        }
        match loaded.recent(request.id, after) {
            Recent::Never => Ok(None),
            Recent::At(position) => self.receipt_at(position, stream, request).await.map(Some),
            Recent::ReadTheStream => {
                let mut commits = self.journal.read_stream(stream, after);
                while let Some(commit) = commits.next().await {
                    let commit = commit?;
                    if commit.id() == request.id {
                        return receipt_of(&commit, stream, request).map(Some);
                    }
                }
                Ok(None)
            }
        }
    }

    /// Folds what others have written. A receipt, when one of the commits is this very command's:
    /// an answer was lost, and the retry finds what its first try did.
    pub(super) async fn advance(
        &self,
        stream: &StreamId,
        request: &Request<A::Command>,
        loaded: &mut Loaded<A>,
    ) -> Result<Option<Receipt>, Failure<A::Refusal>> {
        let mut own = None;
        let mut commits = self.journal.read_stream(stream, loaded.position);
        while let Some(commit) = commits.next().await {
            let commit = commit?;
            loaded.take(&commit)?;
            if commit.id() == request.id {
                own = Some(receipt_of(&commit, stream, request)?);
            }
        }
        Ok(own)
    }

    /// The receipt of the commit at `position`, which is known to be this command's; refused where it
    /// stands on another stream, and so answered another request.
    pub(super) async fn receipt_at(
        &self,
        position: Position,
        stream: &StreamId,
        request: &Request<A::Command>,
    ) -> Result<Receipt, Failure<A::Refusal>> {
        let before = Position(position.0.saturating_sub(1));
        match self
            .journal
            .read_stream(stream, before)
            .next()
            .await
            .transpose()?
        {
            Some(commit) if commit.position == position => receipt_of(&commit, stream, request),
            Some(_) | None => Err(Failure::KeyReused),
        }
    }
}

/// What the commit's command was answered; refused where it was another request of the same key.
fn receipt_of<C, R>(
    commit: &Commit,
    stream: &StreamId,
    request: &Request<C>,
) -> Result<Receipt, Failure<R>> {
    if commit.stream != *stream || commit.payload.request != request.digest {
        return Err(Failure::KeyReused);
    }
    Ok(Receipt {
        id: stream.id.to_string(),
        version: commit.version_after(),
        position: commit.position,
        command: commit.id(),
        events: commit
            .payload
            .events
            .iter()
            .map(|event| event.name.to_string())
            .collect(),
        unchanged: false,
    })
}
