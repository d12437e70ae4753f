//! Three nats-servers that are one cluster, with the configuration of `docs/guides/production.md`.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use async_nats::{Client, ConnectOptions};
use bytes::Bytes;
use futures_util::StreamExt as _;
use infra::embedded::locate::{self, Search};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use crate::network::Network;
use crate::support::program::{Folder, log_file, wait};
use crate::support::{TestResult, nats, until, within};

/// The page whose configuration is tested here.
const GUIDE: &str = "docs/guides/production.md";

/// How many servers.
pub(crate) const MEMBERS: usize = 3;

/// Streams that must be the same on every server when all is quiet, each with its account.
const STREAMS: [(&str, &str); 3] = [("LEDGER", "JOURNAL"), ("LEDGER", "SEALS"), ("FEED", "FEED")];

/// Whoever is asked while there is no leader does not answer: better to ask the next one soon.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// A user of the configuration, by its name; in these tests that is its password as well.
pub(crate) const LEDGER: &str = "ledgerline";
pub(crate) const FEED: &str = "ledgerline_feed";
pub(crate) const SYSTEM: &str = "ledgerline_system";

/// The cluster. Its servers end with it.
pub(crate) struct Servers {
    program: PathBuf,
    folder: Arc<Folder>,
    network: Option<Network>,
    members: Vec<Member>,
}

struct Member {
    /// Where clients and other servers find it.
    client: String,
    route: String,
    routes: Vec<String>,
    process: Option<Child>,
}

impl Servers {
    /// Starts all of them, on `network` or else on the loopback interface.
    pub(crate) async fn start(folder: Arc<Folder>, network: Option<Network>) -> TestResult<Self> {
        let page = fs::read_to_string(GUIDE)?;
        let config = page.split("```conf\n").nth(1);
        let config = config.and_then(|rest| rest.split("```").next());
        let config = config.context("the guide has a configuration")?;
        fs::write(folder.path().join("server.conf"), config)?;
        let mut servers = Self {
            program: locate::nats_server(&Search::of_environment())?.path,
            members: members(network.as_ref())?,
            folder,
            network,
        };
        for member in 0..MEMBERS {
            servers.run(member)?;
        }
        until("the cluster has a leader", async || {
            let info = servers.ask(LEDGER, &[0, 1, 2], "INFO", Bytes::new()).await;
            Ok(info.is_ok_and(|info| info["error"].is_null()).then_some(()))
        })
        .await?;
        Ok(servers)
    }

    /// Starts a server that does not run.
    pub(crate) fn run(&mut self, member: usize) -> TestResult {
        let Self {
            program,
            folder,
            network,
            members,
        } = self;
        let name = name(member);
        let mut command = match network {
            None => Command::new(&*program),
            Some(network) => {
                let mut command = Command::new("ip");
                command
                    .args(["netns", "exec", &network.space(member)])
                    .arg(&*program);
                command
            }
        };
        let member = &mut members[member];
        let log = log_file(folder, &format!("{name}.log"))?;
        command
            .arg("--config")
            .arg(folder.path().join("server.conf"))
            .env("NATS_NAME", &name)
            .env("NATS_LISTEN", &member.client)
            .env("NATS_STORE", folder.path().join(&name))
            .env("NATS_ROUTE_LISTEN", &member.route)
            .env("NATS_ROUTES", format!("[{}]", member.routes.join(", ")))
            .env("NATS_ROUTE_PASSWORD", "route")
            .env("NATS_SYSTEM_PASSWORD", SYSTEM)
            .env("NATS_LEDGER_PASSWORD", LEDGER)
            .env("NATS_FEED_PASSWORD", FEED)
            .env("NATS_SUBSCRIBER_PASSWORD", "subscriber")
            .env("NATS_WORKER_PASSWORD", "worker")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        member.process = Some(command.spawn().context("start nats-server")?);
        Ok(())
    }

    /// Sends a signal that ends a server, and waits for its end.
    pub(crate) fn end(&mut self, member: usize, signal: Signal) -> TestResult {
        let process = self.members[member].process.take();
        let mut process = process.context("it runs")?;
        let pid = Pid::from_raw(process.id() as i32).context("a process has a number")?;
        rustix::process::kill_process(pid, signal)?;
        wait(&mut process)?.context("it ends")?;
        Ok(())
    }

    /// Parts a server from the two others, or joins it to them again.
    pub(crate) fn part(&self, member: usize, parted: bool) -> TestResult {
        let network = self.network.as_ref();
        network.context("it has a network")?.part(member, parted)
    }

    /// The addresses of some servers, for `user`.
    pub(crate) fn url(&self, user: &str, members: &[usize]) -> String {
        let urls = members
            .iter()
            .map(|member| format!("nats://{user}:{user}@{}", self.members[*member].client));
        urls.collect::<Vec<_>>().join(",")
    }

    async fn connect(&self, user: &str, members: &[usize]) -> TestResult<Client> {
        let addresses: Vec<_> = members
            .iter()
            .map(|member| self.members[*member].client.clone())
            .collect();
        let options = ConnectOptions::with_user_and_password(user.to_owned(), user.to_owned());
        let options = options.request_timeout(Some(ANSWER_WITHIN));
        Ok(options.connect(addresses).await?)
    }

    /// What one of `members` answers on `$JS.API.<path>`.
    async fn ask(
        &self,
        user: &str,
        members: &[usize],
        path: &str,
        body: Bytes,
    ) -> TestResult<Value> {
        let client = self.connect(user, members).await?;
        let answer = client.request(format!("$JS.API.{path}"), body).await?;
        Ok(serde_json::from_slice(&answer.payload)?)
    }

    /// The server that leads the journal, as `members` say.
    pub(crate) async fn leader(&self, members: &[usize]) -> TestResult<usize> {
        until("the journal has a leader", async || {
            let info = self.journal(members).await;
            let leader = |info: Value| info["cluster"]["leader"].as_str().map(str::to_owned);
            let leader = info.ok().and_then(leader);
            Ok(leader.and_then(|leader| (0..MEMBERS).find(|member| name(*member) == leader)))
        })
        .await
    }

    /// Makes `wanted` the leader of the journal.
    pub(crate) async fn lead(&self, wanted: usize) -> TestResult {
        let body = json!({"placement": {"preferred": name(wanted)}}).to_string();
        until("the wanted server leads", async || {
            if self.leader(&[0, 1, 2]).await? == wanted {
                return Ok(Some(()));
            }
            let path = "STREAM.LEADER.STEPDOWN.JOURNAL";
            // Whatever it answers: who leads then is what counts.
            let body = body.clone().into();
            self.ask(LEDGER, &[0, 1, 2], path, body).await.ok();
            Ok(None)
        })
        .await
    }

    /// The server that the client with this name is connected to.
    pub(crate) async fn of_client(&self, client: &str) -> TestResult<usize> {
        let system = self.connect(SYSTEM, &[0, 1, 2]).await?;
        let answers = every(&system, "CONNZ", &json!({})).await?;
        let holds = |answer: &&Value| named(&answer["data"]["connections"], client) != &Value::Null;
        let server = answers.iter().find(holds).context("it is connected")?;
        let server = &server["server"]["name"];
        let found = (0..MEMBERS).find(|member| *server == name(*member));
        found.with_context(|| format!("a server: {server}"))
    }

    /// Waits until every server has the journal as its leader has it, but for what is under way, and knows
    /// who leads JetStream.
    pub(crate) async fn are_current(&self) -> TestResult {
        for member in 0..MEMBERS {
            until("a server knows who leads JetStream", async || {
                let asked = [member];
                let names = self.ask(LEDGER, &asked, "STREAM.NAMES", Bytes::new());
                Ok(names
                    .await
                    .is_ok_and(|names| names["error"].is_null())
                    .then_some(()))
            })
            .await?;
        }
        until("every server has caught up", async || {
            let Ok(info) = self.journal(&[0, 1, 2]).await else {
                return Ok(None);
            };
            let replicas = info["cluster"]["replicas"].as_array();
            let replicas = replicas.into_iter().flatten();
            let current = replicas
                .filter(|replica| replica["current"] == true && replica["offline"].is_null());
            Ok((current.count() == MEMBERS - 1).then_some(()))
        })
        .await
    }

    async fn journal(&self, members: &[usize]) -> TestResult<Value> {
        let client = self.connect(LEDGER, members).await?;
        within("the state of the journal", nats::info(&client, "JOURNAL")).await?
    }

    /// Waits until every server says the same of its own copy of every stream: how many messages, how
    /// many bytes, and which is the last.
    pub(crate) async fn agree(&self) -> TestResult {
        let client = self.connect(SYSTEM, &[0, 1, 2]).await?;
        let mut last = Vec::new();
        let agreed = until("every server has the same", async || {
            last = copies(&client).await?;
            let same = last.windows(2).all(|pair| pair[0] == pair[1]);
            Ok((same && last.len() == MEMBERS).then_some(()))
        })
        .await;
        agreed.with_context(|| format!("{last:#?}"))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for process in self
            .members
            .iter_mut()
            .filter_map(|member| member.process.as_mut())
        {
            process.kill().ok();
            process.wait().ok();
        }
    }
}

/// What each server has of each stream, as it says itself.
async fn copies(system: &Client) -> TestResult<Vec<Vec<Value>>> {
    let question = json!({"accounts": true, "streams": true});
    let mut copies = Vec::new();
    for answer in every(system, "JSZ", &question).await? {
        let accounts = &answer["data"]["account_details"];
        let states = STREAMS.map(|(account, stream)| {
            let state = &named(&named(accounts, account)["stream_detail"], stream)["state"];
            json!([
                stream,
                state["messages"],
                state["bytes"],
                state["first_seq"],
                state["last_seq"]
            ])
        });
        copies.push(states.to_vec());
    }
    Ok(copies)
}

/// What every server answers to a question to all of them.
async fn every(system: &Client, about: &str, question: &Value) -> TestResult<Vec<Value>> {
    let inbox = system.new_inbox();
    let mut answers = system.subscribe(inbox.clone()).await?;
    let subject = format!("$SYS.REQ.SERVER.PING.{about}");
    let question = question.to_string();
    system
        .publish_with_reply(subject, inbox, question.into())
        .await?;
    let mut every = Vec::new();
    while every.len() < MEMBERS {
        let answer = within("what a server says", answers.next()).await?;
        every.push(serde_json::from_slice(
            &answer.context("an answer")?.payload,
        )?);
    }
    Ok(every)
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let mut list = list.as_array().into_iter().flatten();
    list.find(|one| one["name"] == name).unwrap_or(&Value::Null)
}

/// How a server is called.
fn name(member: usize) -> String {
    format!("n{}", member + 1)
}

/// A loopback address that nobody else has. A port that was found free on the common one is taken by somebody
/// else before it is used, or while its server is away.
fn own_address() -> Ipv4Addr {
    static CLUSTERS: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let cluster = CLUSTERS.fetch_add(1, Ordering::Relaxed);
    Ipv4Addr::new(127, high.max(1), low, cluster)
}

fn members(network: Option<&Network>) -> TestResult<Vec<Member>> {
    let (clients, routes): (Vec<_>, Vec<_>) = match network {
        Some(network) => (0..MEMBERS)
            .map(|member| {
                let client = format!("{}:4222", network.client(member));
                (client, "0.0.0.0:6222".to_owned())
            })
            .unzip(),
        None => {
            let address = own_address();
            (0..MEMBERS)
                .map(|member| {
                    let at = |port: usize| format!("{address}:{}", port + member);
                    (at(4222), at(6222))
                })
                .unzip()
        }
    };
    let member = |member: usize| {
        let others = (0..MEMBERS).filter(|other| *other != member);
        let route = |other: usize| match network {
            Some(network) => format!("{}:6222", network.route(other, member)),
            None => routes[other].clone(),
        };
        Member {
            client: clients[member].clone(),
            route: routes[member].clone(),
            routes: others
                .map(|other| format!("nats-route://route:route@{}", route(other)))
                .collect(),
            process: None,
        }
    };
    Ok((0..MEMBERS).map(member).collect())
}
