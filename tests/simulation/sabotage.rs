//! What is broken on purpose, to show that the simulation would see it.

/// One promise that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// The journal takes every commit, whatever its writer expected.
    ExpectationIgnored,
    /// The journal acknowledges some commits that it does not keep.
    AcknowledgedLost,
    /// Some entries never reach those who follow the journal.
    EntriesPassedOver,
    /// The reactor's checkpoint runs ahead of its effects.
    CheckpointAhead,
    /// The read side says that it has read to the end, and knows no command.
    ReceiptsForgotten,
    /// Some commits never reach the projector.
    CommitsUnread,
    /// Whoever writes to the tables does, from wherever they are and in whatever term.
    FenceIgnored,
    /// The tables' checkpoint moves by itself, before the rows are written.
    CheckpointApart,
    /// Of a batch that cannot be written to its end, the first tables keep their part.
    BatchWrittenInPart,
    /// Some rows are not found when they are looked for.
    RowsNotFound,
}

impl Sabotage {
    pub(crate) const ALL: [Self; 10] = [
        Self::ExpectationIgnored,
        Self::AcknowledgedLost,
        Self::EntriesPassedOver,
        Self::CheckpointAhead,
        Self::ReceiptsForgotten,
        Self::CommitsUnread,
        Self::FenceIgnored,
        Self::CheckpointApart,
        Self::BatchWrittenInPart,
        Self::RowsNotFound,
    ];
}
