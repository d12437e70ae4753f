//! The journal by itself: positions without gaps, versions that follow one another, chains that are whole.

use std::collections::HashMap;

use super::Finding;
use crate::Commit;

/// What an aggregate's last commit left.
struct Last {
    version: u64,
    chain: [u8; 32],
}

pub(super) fn findings(commits: &[Commit]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut streams: HashMap<&str, Last> = HashMap::new();
    let mut commands: HashMap<&str, u64> = HashMap::new();
    let mut before = 0;
    for commit in commits {
        let at = |what: String| Finding::at(commit.position, what);
        if commit.position != before + 1 {
            found.push(at(format!("stands behind position {before}")));
        }
        before = commit.position;
        if let Some(first) = commands.insert(&commit.command, commit.position) {
            found.push(at(format!("its command stands at {first} already")));
        }
        let last = streams.entry(&commit.stream).or_insert(Last {
            version: 0,
            chain: [0; 32],
        });
        if commit.version != last.version {
            let (is, wanted) = (commit.version, last.version);
            found.push(at(format!(
                "is on version {is}, its aggregate has {wanted}"
            )));
        }
        last.version = commit.version_after();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&last.chain).update(&commit.payload);
        let chain = hasher.finalize();
        if commit.chain != chain.to_hex().as_str() {
            found.push(at("is not the one that its chain was made of".to_owned()));
        }
        // Whatever follows is judged by what stands here: one change is one finding.
        last.chain = decoded(&commit.chain).unwrap_or(*chain.as_bytes());
    }
    found
}

fn decoded(hex: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(hex).ok().map(Into::into)
}
