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
}

impl Sabotage {
    pub(crate) const ALL: [Self; 5] = [
        Self::ExpectationIgnored,
        Self::AcknowledgedLost,
        Self::EntriesPassedOver,
        Self::CheckpointAhead,
        Self::ReceiptsForgotten,
    ];
}
