//! Whatever the aggregate: versions without gaps, a whole chain, each command once.

use std::collections::HashMap;

use commands::chain;
use commands::seal::RawCommit;
use domain::{Chain, CommandId, Position};

use super::Streams;

pub(super) fn judge(raw: &[RawCommit], streams: &Streams<'_>, faults: &mut Vec<String>) {
    let mut commands: HashMap<CommandId, Position> = HashMap::new();
    for (stream, commits) in streams {
        let mut version = 0;
        for commit in commits {
            if let Some(before) = commands.insert(commit.id(), commit.position) {
                faults.push(format!(
                    "command `{}` was carried out at `{before}` and at `{}`",
                    commit.id(),
                    commit.position
                ));
            }
            if commit.payload.version != version {
                faults.push(format!(
                    "commit at `{}` of `{stream}` has version `{}` behind `{version}`",
                    commit.position, commit.payload.version
                ));
            }
            version = commit.version_after();
        }
    }
    let mut chains: HashMap<&str, Chain> = HashMap::new();
    for commit in raw {
        let chain = chains.entry(&commit.stream).or_default();
        *chain = chain::extend(*chain, &commit.payload);
        let position = commit.position.0;
        if chain.to_string() != commit.chain {
            faults.push(format!(
                "chain of `{}` is broken at `{position}`",
                commit.stream
            ));
        }
    }
}
