//! Runs a batch: as many commands at a time as the limit, in order per aggregate, answers in the
//! order of the lines.

use std::collections::{HashMap, VecDeque};

use axum::body::Bytes;
use axum::extract::Request;
use bytes::{BufMut as _, BytesMut};
use domain::Name;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;

use super::command::{Command, Key, Sort};
use super::lines::{Line, Lines};
use crate::app::App;
use crate::auth::Caller;
use crate::command::issue::{Issued, Issuer};
use crate::command::{ReceiptBody, Target};
use crate::exchange::Exchange;
use crate::problem::{ApiError, FieldError, Problem};

/// How large an answer's line usually is: room for one is made at once.
const ANSWER_BYTES: usize = 320;

type Outcome = Result<(u16, ReceiptBody), ApiError>;

/// One batch on its way.
pub(super) struct Run {
    app: App,
    caller: Caller,
    correlation: Name,
    trace: String,
    sort: Sort,
    lines: Lines,
    answers: Answers,
    /// Lines read so far.
    read: usize,
    /// Commands that wait for an earlier one on the same aggregate; an entry without any says that
    /// one is being carried out.
    busy: HashMap<Key, VecDeque<(usize, Command)>>,
    running: FuturesUnordered<BoxFuture<'static, (usize, Key, Outcome)>>,
    /// Commands that run or wait.
    in_flight: usize,
}

/// Answers on their way to the client, put back into the order of the lines.
struct Answers {
    client: UnboundedSender<Bytes>,
    request_id: String,
    /// The path that problems of lines name as their instance.
    instance: String,
    /// The number of the first line that is not answered.
    first: usize,
    /// The answers from that line on, as far as they are there.
    ready: VecDeque<Option<Outcome>>,
    out: BytesMut,
}

#[derive(Serialize)]
struct AnswerLine<'a> {
    line: usize,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<&'a ReceiptBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a Problem>,
}

impl Run {
    pub(super) fn new(
        app: App,
        caller: Caller,
        exchange: Exchange,
        request: Request,
        sort: Sort,
        client: UnboundedSender<Bytes>,
    ) -> Self {
        let answers = Answers {
            client,
            request_id: exchange.request_id().to_owned(),
            instance: request.uri().path().to_owned(),
            first: 1,
            ready: VecDeque::new(),
            out: BytesMut::new(),
        };
        Self {
            sort,
            lines: Lines::new(
                request.into_body().into_data_stream(),
                app.limits.body_bytes_max,
            ),
            correlation: exchange.correlation(),
            trace: exchange.trace().to_string(),
            app,
            caller,
            answers,
            read: 0,
            busy: HashMap::new(),
            running: FuturesUnordered::new(),
            in_flight: 0,
        }
    }

    /// Until every line is answered, the client has gone, or the server is to stop.
    pub(super) async fn finish_all(mut self) {
        let shutdown = self.app.shutdown.clone();
        let mut reading = true;
        while reading || self.in_flight > 0 {
            let may_read = reading && self.in_flight < self.app.limits.batch_in_flight_max;
            tokio::select! {
                // Reading comes first: the more is in flight, the fuller are the group commits.
                biased;
                line = self.lines.next(), if may_read => match line {
                    Some(line) => reading = self.take(line),
                    None => reading = false,
                },
                Some(done) = self.running.next(), if self.in_flight > 0 => {
                    self.finish(done);
                    while let Some(Some(done)) = self.running.next().now_or_never() {
                        self.finish(done);
                    }
                }
                // What runs is finished by its own deadline or by the end of the process.
                () = shutdown.cancelled(), if reading => reading = false,
                // Nobody reads the answers any more, so nobody knows what was taken: take no more.
                () = self.answers.client.closed() => return,
            }
            self.answers.flush();
        }
    }

    /// Takes one line; says whether to read on.
    fn take(&mut self, line: Line) -> bool {
        let limits = &self.app.limits;
        self.read += 1;
        let number = self.read;
        if number > limits.batch_lines_max {
            let limit = limits.batch_lines_max;
            self.answers.put(
                number,
                Err(ApiError::TooLarge {
                    what: "batch in lines",
                    limit,
                }),
            );
            return false;
        }
        let issuer = Issuer {
            caller: &self.caller,
            correlation: &self.correlation,
            trace: &self.trace,
            clock: &*self.app.clock,
        };
        match line {
            Line::Whole(bytes) => match self.sort.read(number, &bytes, &issuer) {
                Ok(command) => {
                    self.answers.expect(number);
                    self.start(number, command);
                }
                Err(error) => self.answers.put(number, Err(error)),
            },
            Line::TooLong => {
                let limit = limits.body_bytes_max;
                self.answers.put(
                    number,
                    Err(ApiError::TooLarge {
                        what: "line",
                        limit,
                    }),
                );
                return false;
            }
            Line::Broken => {
                let broken = FieldError::field("", "must be a body that does not break off");
                self.answers
                    .put(number, Err(ApiError::Malformed(vec![broken])));
                return false;
            }
        }
        true
    }

    fn start(&mut self, number: usize, command: Command) {
        self.in_flight += 1;
        let key = command.key();
        match self.busy.get_mut(&key) {
            Some(waiting) => waiting.push_back((number, command)),
            None => {
                self.busy.insert(key.clone(), VecDeque::new());
                self.run(number, key, command);
            }
        }
    }

    fn run(&self, number: usize, key: Key, command: Command) {
        let app = self.app.clone();
        self.running.push(match command {
            Command::Assignment(issued) => carry_out(app, number, key, issued),
            Command::Job(issued) => carry_out(app, number, key, issued),
            Command::Queue(issued) => carry_out(app, number, key, issued),
            Command::Schedule(issued) => carry_out(app, number, key, issued),
            Command::Batch(issued) => carry_out(app, number, key, issued),
        });
    }

    fn finish(&mut self, (number, key, outcome): (usize, Key, Outcome)) {
        self.in_flight -= 1;
        self.answers.put(number, outcome);
        match self.busy.get_mut(&key).and_then(VecDeque::pop_front) {
            Some((number, command)) => self.run(number, key, command),
            None => {
                self.busy.remove(&key);
            }
        }
    }
}

/// A block, where the arguments of an `async fn` would be there twice.
fn carry_out<A: Target>(
    app: App,
    number: usize,
    key: Key,
    issued: Issued<A>,
) -> BoxFuture<'static, (usize, Key, Outcome)> {
    async move {
        let limit = app.limits.request_timeout;
        let handled = A::handler(&app).handle(&issued.stream, issued.request);
        let outcome = match tokio::time::timeout(limit, handled).await {
            Ok(Ok(receipt)) => {
                let created = issued.creates && !receipt.unchanged;
                Ok((if created { 201 } else { 200 }, ReceiptBody::from(receipt)))
            }
            Ok(Err(failure)) => Err(ApiError::from(failure)),
            Err(_elapsed) => Err(ApiError::TimedOut(limit.as_secs())),
        };
        (number, key, outcome)
    }
    .boxed()
}

impl Answers {
    /// Makes room for the answer of line `number`.
    fn expect(&mut self, number: usize) {
        let places = number + 1 - self.first;
        if self.ready.len() < places {
            self.ready.resize_with(places, || None);
        }
    }

    fn put(&mut self, number: usize, outcome: Outcome) {
        self.expect(number);
        self.ready[number - self.first] = Some(outcome);
    }

    /// Sends the answers that are next in order.
    fn flush(&mut self) {
        while let Some(Some(_)) = self.ready.front() {
            let Some(Some(outcome)) = self.ready.pop_front() else {
                break;
            };
            self.write(self.first, outcome);
            self.first += 1;
        }
        if !self.out.is_empty() {
            // A client that has gone is noticed by the loop.
            self.client.send(self.out.split().freeze()).ok();
        }
    }

    fn write(&mut self, line: usize, outcome: Outcome) {
        self.out.reserve(ANSWER_BYTES);
        let written = match outcome {
            Ok((status, receipt)) => self.json(&AnswerLine {
                line,
                status,
                receipt: Some(&receipt),
                problem: None,
            }),
            Err(error) => {
                let problem = error.into_problem(&self.instance, &self.request_id);
                let status = problem.status;
                self.json(&AnswerLine {
                    line,
                    status,
                    receipt: None,
                    problem: Some(&problem),
                })
            }
        };
        written.expect("an answer has only text and numbers");
        self.out.put_u8(b'\n');
    }

    fn json(&mut self, line: &AnswerLine<'_>) -> serde_json::Result<()> {
        serde_json::to_writer((&mut self.out).writer(), line)
    }
}
