//! The servers of NATS, and which of them keep the streams: what `docs/guides/production.md` asks for, as far
//! as a client can see it.
//!
//! Not to be seen, by nobody: how often servers ping each other, whether their machines and disks are
//! different ones, what other processes were started with.

use futures_util::future::join_all;
use infra::nats::quorum::{self, Members, Quorum};
use infra::nats::server::{self, Server};
use infra::nats::{self, Client};

use super::{Addresses, Finding, chain};

/// Fewer copies do not outlast the loss of one, and go on meanwhile.
const COPIES_MIN: usize = 3;

/// The streams in the account of the journal, each with the name of its finding.
const STREAMS: [(&str, &str); 3] = [
    ("JOURNAL", "stream `JOURNAL`"),
    ("SEALS", "stream `SEALS`"),
    ("SNAPSHOTS", "stream `SNAPSHOTS`"),
];

/// The stream in the account of the feed.
const FEED: (&str, &str) = ("FEED", "stream `FEED`");

/// Whether a process that is given these addresses finds a server as long as one is left.
pub(super) async fn addresses(addresses: &Addresses) -> Finding {
    const CHECK: &str = "nats addresses";
    let connected = nats::connection::connect_each(addresses.nats(), "ledgerline-doctor").await;
    let connected = match connected {
        Ok(connected) => connected,
        Err(error) => return Finding::failed(CHECK, chain(&error), "mend the address"),
    };
    let (mut reached, mut away) = (Vec::new(), Vec::new());
    for (address, connected) in &connected {
        match connected {
            Ok(client) => {
                let info = client.server_info();
                reached.push(format!("`{}` at {address}", info.server_name));
            }
            Err(error) => away.push(chain(error)),
        }
    }
    if !away.is_empty() {
        let advice = "start that server, or mend the address: a process moves to another one when its own dies";
        return Finding::warning(CHECK, away.join("; "), advice);
    }
    if reached.len() == 1 {
        let found = format!("only {}, of a cluster", reached.join(", "));
        let advice = "name every server in `--nats`, with commas: a process moves to another one when its own dies";
        return Finding::warning(CHECK, found, advice);
    }
    Finding::ok(CHECK, reached.join(", "))
}

/// Whether all servers of the cluster are there, and of the version that is needed.
pub(super) async fn servers(addresses: &Addresses) -> Finding {
    const CHECK: &str = "nats servers";
    let Some(system) = addresses.nats_system() else {
        return Finding::warning(
            CHECK,
            "cannot be seen without the system account".to_owned(),
            "give `--nats-system`",
        );
    };
    let seen = match nats::connect(system, "ledgerline-doctor").await {
        Ok(system) => server::all(&system).await,
        Err(error) => return Finding::failed(CHECK, chain(&error), "mend `--nats-system`"),
    };
    match seen {
        Ok(servers) => judge_servers(CHECK, &servers),
        Err(error) => Finding::failed(CHECK, chain(&error), "look at NATS"),
    }
}

fn judge_servers(check: &'static str, servers: &[Server]) -> Finding {
    let mut named: Vec<_> = servers
        .iter()
        .map(|server| format!("`{}` {}", server.name, server.version))
        .collect();
    named.sort();
    let found = named.join(", ");
    let is_old = |server: &&Server| !server::is_new_enough(&server.version);
    if servers.iter().any(|server| is_old(&server)) {
        return Finding::failed(check, found, "bring every nats-server up to what is needed");
    }
    let metas: Vec<_> = servers
        .iter()
        .filter_map(|server| server.meta.as_ref())
        .collect();
    let Some(leader) = metas.iter().find_map(|meta| meta.leader.as_deref()) else {
        let found = format!("{found}: nobody leads JetStream");
        return Finding::failed(check, found, "start the servers that are away");
    };
    let found = format!("{found}; `{leader}` leads JetStream");
    let size = metas.iter().map(|meta| meta.cluster_size).max();
    let size = size.unwrap_or_default();
    if servers.len() < size {
        let found = format!("{} of {size} answer: {found}", servers.len());
        return Finding::warning(check, found, "start the servers that are away");
    }
    if servers.len() < COPIES_MIN {
        let advice = "three servers go on without one of them; fewer do not";
        return Finding::warning(check, found, advice);
    }
    let is_other = |server: &Server| server.version != servers[0].version;
    if servers.iter().any(is_other) {
        let advice = "bring them to the same version, one at a time";
        return Finding::warning(check, found, advice);
    }
    Finding::ok(check, found)
}

/// Where each stream is kept, and whether it takes messages.
pub(super) async fn streams(client: &Client, addresses: &Addresses) -> Vec<Finding> {
    let of_journal = STREAMS.map(|(stream, check)| look(client, stream, check));
    let mut findings = join_all(of_journal).await;
    let (stream, check) = FEED;
    findings.push(
        match nats::connect(addresses.nats_feed(), "ledgerline-doctor").await {
            Ok(client) => look(&client, stream, check).await,
            Err(error) => Finding::failed(check, chain(&error), "mend `--nats-feed`"),
        },
    );
    findings
}

async fn look(client: &Client, stream: &str, check: &'static str) -> Finding {
    match quorum::of(client, stream).await {
        Ok(Some(quorum)) => judge_stream(check, &quorum),
        Ok(None) => Finding::failed(
            check,
            "there is none in this account".to_owned(),
            "name the accounts of the service with `--nats` and `--nats-feed`; its first start makes it",
        ),
        Err(error) => Finding::failed(check, chain(&error), "look at NATS"),
    }
}

fn judge_stream(check: &'static str, quorum: &Quorum) -> Finding {
    let Some(members) = &quorum.members else {
        let found = "one copy, on a server that is in no cluster".to_owned();
        return Finding::ok(check, found);
    };
    if let Err(error) = quorum.check() {
        return Finding::failed(check, chain(&error), "start the servers that are away");
    }
    let found = kept_by(members);
    if quorum.copies < COPIES_MIN {
        let advice = "start every process of the service with `--replicas 3`";
        return Finding::warning(check, found, advice);
    }
    let are_well = members
        .others
        .iter()
        .all(|member| member.current && member.is_heard());
    if !are_well {
        let advice = "look at that server; until it has caught up no other one may go away";
        return Finding::warning(check, found, advice);
    }
    Finding::ok(check, found)
}

/// `n1` leads; `n2`; `n3` is behind.
fn kept_by(members: &Members) -> String {
    let leader = members.leader.iter().map(|name| format!("`{name}` leads"));
    let others = members.others.iter().map(|member| {
        let state = match (member.is_heard(), member.current) {
            (true, true) => "",
            (true, false) => " is behind",
            (false, true | false) => " is away",
        };
        format!("`{}`{state}", member.name)
    });
    leader.chain(others).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use infra::nats::server::Meta;
    use serde_json::json;

    use super::*;
    use crate::compose::doctor::Verdict;

    /// Three servers that answer, of a cluster of three.
    fn three() -> Vec<Server> {
        let server = |name: &str| Server {
            name: name.to_owned(),
            version: "2.15.1".to_owned(),
            meta: Some(Meta {
                leader: Some("n2".to_owned()),
                cluster_size: 3,
            }),
        };
        ["n3", "n1", "n2"].map(server).to_vec()
    }

    /// `JOURNAL` in three copies, of which the last is as it is given.
    fn journal(last: serde_json::Value) -> Quorum {
        let well = json!({"name": "n2", "current": true, "active": 300_000_000});
        let members = json!({"leader": "n1", "replicas": [well, last]});
        Quorum {
            stream: "JOURNAL".to_owned(),
            copies: 3,
            members: serde_json::from_value(members).expect("as a server says it"),
        }
    }

    fn judged(finding: Finding) -> (Verdict, String) {
        (finding.verdict, finding.found)
    }

    #[test]
    fn three_servers_of_one_version_are_as_they_should_be() {
        let found = "`n1` 2.15.1, `n2` 2.15.1, `n3` 2.15.1; `n2` leads JetStream";
        let expected = (Verdict::Ok, found.to_owned());
        assert_eq!(judged(judge_servers("servers", &three())), expected);
    }

    #[test]
    fn servers_that_are_away_too_old_or_different_are_named() {
        let two = three().split_off(1);
        let found = "2 of 3 answer: `n1` 2.15.1, `n2` 2.15.1; `n2` leads JetStream";
        let expected = (Verdict::Warning, found.to_owned());
        assert_eq!(judged(judge_servers("servers", &two)), expected);

        let mut servers = three();
        "2.15.2".clone_into(&mut servers[1].version);
        assert_eq!(
            judged(judge_servers("servers", &servers)).0,
            Verdict::Warning
        );
        "2.14.9".clone_into(&mut servers[1].version);
        assert_eq!(
            judged(judge_servers("servers", &servers)).0,
            Verdict::Failed
        );

        let mut servers = three();
        for meta in servers.iter_mut().filter_map(|server| server.meta.as_mut()) {
            meta.leader = None;
        }
        assert_eq!(
            judged(judge_servers("servers", &servers)).0,
            Verdict::Failed
        );
    }

    #[test]
    fn a_stream_is_judged_by_its_copies_and_who_keeps_them() {
        let well = json!({"name": "n3", "current": true, "active": 300_000_000});
        let behind = json!({"name": "n3", "current": false, "active": 300_000_000});
        let away = json!({"name": "n3", "current": false, "active": 60_000_000_000_u64});
        for (last, expected) in [
            (&well, (Verdict::Ok, "`n1` leads, `n2`, `n3`")),
            (
                &behind,
                (Verdict::Warning, "`n1` leads, `n2`, `n3` is behind"),
            ),
            (&away, (Verdict::Warning, "`n1` leads, `n2`, `n3` is away")),
        ] {
            let (verdict, found) = judged(judge_stream("stream", &journal(last.clone())));
            assert_eq!((verdict, &*found), expected);
        }
        let one_copy = Quorum {
            copies: 1,
            ..journal(well)
        };
        assert_eq!(
            judged(judge_stream("stream", &one_copy)).0,
            Verdict::Warning
        );
        let on_one_server = Quorum {
            members: None,
            ..one_copy
        };
        assert_eq!(
            judged(judge_stream("stream", &on_one_server)).0,
            Verdict::Ok
        );
    }
}
