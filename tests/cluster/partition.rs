//! The server that leads the journal, then one that does not, is parted from the two others, while
//! clients reach both sides.

use std::sync::atomic::Ordering;
use std::time::Instant;

use ledgerline_check::Outcome;
use serde_json::json;

use crate::house::{House, pauses, spread, times};
use crate::leader::Clients;
use crate::load::check;
use crate::network::Network;
use crate::record::{self, Recorder};
use crate::support::service::Service as _;
use crate::support::{Api, Dice, TestResult, fresh_id, say, until};

/// How often; `LEDGERLINE_PARTITIONS` asks for more.
const PARTITIONS: usize = 1;

/// The server that is parted.
const PARTED: usize = 0;

/// Those that go on without it.
const OTHERS: [usize; 2] = [1, 2];

/// Commands that are sent to the parted side at once.
const COMMANDS: usize = 4;

/// What the others acknowledge while the one is parted.
const ACKNOWLEDGED: u64 = 100;

/// A command whose outcome is known only when the servers are one again.
struct Pending {
    id: String,
    began: u64,
}

impl Pending {
    fn some(recorder: &Recorder) -> Vec<Self> {
        let began = recorder.now();
        let some = (0..COMMANDS).map(|_| fresh_id());
        some.map(|id| Self { id, began }).collect()
    }

    async fn send(&self, api: &Api) -> TestResult<Outcome> {
        let body = json!({"id": self.id, "title": "T", "kind": "k", "group": "g"});
        let headers = [("Idempotency-Key", &*self.id)];
        record::outcome(&api.post_with("/v1/assignments", &body, &headers).await?)
    }

    /// Sends it until its outcome is known.
    async fn resolve(self, api: &Api, recorder: &Recorder) -> TestResult {
        let outcome = until("a command has an outcome", async || {
            let outcome = self.send(api).await?;
            Ok((outcome != Outcome::Unknown).then_some(outcome))
        });
        let outcome = outcome.await?;
        let asked = record::write("parted", "assignment", &self.id, &self.id);
        recorder.add(asked, self.began, outcome);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parted_server_acknowledges_nothing_and_what_the_others_did_is_there_when_it_is_back()
-> TestResult {
    let network = match Network::make() {
        Ok(network) => network,
        Err(error) => {
            say(&format!(
                "nothing is parted: no network namespaces here: {error:#}"
            ));
            return Ok(());
        }
    };
    let partitions = times("LEDGERLINE_PARTITIONS", PARTITIONS);
    let mut dice = Dice::thrown();
    let house = House::start("partition", Some(network), &OTHERS).await?;
    let process = house.process("parted", "api", &[PARTED])?;
    let parted = house.client("default", "admin")?.at(&process.base);
    let clients = Clients::on(&house, &mut dice)?;
    let recorder = &clients.load.recorder;
    let (mut cut, mut healed) = (Vec::new(), Vec::new());
    let mut refused = 0;
    for partition in 0..partitions {
        let leader = if partition % 2 == 0 {
            PARTED
        } else {
            OTHERS[0]
        };
        house.servers.lead(leader).await?;
        clients.go_on(1 + dice.below(ACKNOWLEDGED)).await?;
        cut.push(recorder.now());
        house.servers.part(PARTED, true)?;
        let pending = Pending::some(recorder);
        let answers = pending.iter().map(|command| command.send(&parted));
        // The first answers may take until the parted server knows that it is.
        for outcome in futures_util::future::join_all(answers).await {
            let outcome = outcome?;
            anyhow::ensure!(outcome == Outcome::Unknown, "acknowledged: {outcome:?}");
            refused += 1;
        }
        clients.go_on(ACKNOWLEDGED).await?;
        house
            .follows(recorder, &format!("partition-{partition}"))
            .await?;
        for command in &pending {
            let outcome = command.send(&parted).await?;
            anyhow::ensure!(outcome == Outcome::Unknown, "acknowledged: {outcome:?}");
            refused += 1;
        }
        let joined = Instant::now();
        house.servers.part(PARTED, false)?;
        for command in pending {
            command.resolve(&parted, recorder).await?;
        }
        healed.push(joined.elapsed());
        house.servers.are_current().await?;
    }
    house.follows(recorder, "healed").await?;
    let load = clients.end().await?;
    let calls = load.recorder.history().calls;
    say(&format!(
        "{partitions} partitions, the others' writes paused for {}; the parted side answered {refused} commands with \
         \"not known\", and took them {} after it was joined again; {} calls, {} acknowledged",
        spread(pauses(&calls, &cut)),
        spread(healed),
        calls.len(),
        load.acknowledged.load(Ordering::SeqCst)
    ));
    check(&house, &load.recorder).await?;
    house.servers.agree().await
}
