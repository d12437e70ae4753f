#!/usr/bin/env python3
"""A worker for Ledgerline's jobs: Python 3.9 or newer, standard library only.

    python3 examples/worker.py --queue mail                          # beside a running `ledgerline up`
    LEDGERLINE_TOKEN=… python3 worker.py --url https://ledger.example --queue mail --threads 8

Put your own work where it says KINDS. A job is handed out at least once: work that was done by an attempt
whose result never arrived is done again. `attempt.job["id"]` is the same each time: use it as your key.

How it behaves:
- It claims as many jobs as it has free threads, and waits for them on the server (long poll).
- One thread tells the server three times a lease that the jobs are still worked on. When the answer is that
  an attempt does not run any more (409), or none came for a whole lease, `attempt.stopped` is set, and
  whatever the work still returns is thrown away.
- A result is sent until it is taken or refused, always under the same key, so that a lost answer harms nobody.
- On SIGTERM or SIGINT it claims nothing more, gives what runs `--drain` seconds, and releases the rest.
"""

import argparse
import http.client
import json
import os
import pathlib
import queue
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request

CLAIM_WAIT_MS = 30_000  # how long a claim waits for a job on the server; at most 60,000
ANSWER_S_MAX = 15  # how long any other answer may take; for a claim, on top of its wait
RETRY_S = (0.2, 5.0)  # the first and the longest pause after an answer that did not come
REPORT_S_MAX = 300  # how long a result is tried to be told: the server may be restarting
RELEASE_S_MAX = 5  # the same for a job that is given back while the process ends
ERROR_BYTES_MAX, MESSAGE_BYTES_MAX = 8_000, 500  # what the server takes


# ---- KINDS: the work itself. Replace these by your own. ----------------------------------------------------


class GiveUp(Exception):
    """The work failed, and would fail again: the job is dead at once."""


def greet(attempt):
    """{"to": "ann"} -> {"greeting": "Hello, ann!"}"""
    to = (attempt.payload or {}).get("to")
    if not to:
        raise GiveUp("payload has no `to`")
    return {"greeting": f"Hello, {to}!"}


def count(attempt):
    """{"to": 100, "pause_ms": 100} -> counts, tells how far it is, and stops when it is told to."""
    to, pause_s = attempt.payload["to"], attempt.payload.get("pause_ms", 0) / 1000
    for number in range(1, to + 1):
        attempt.progress(100 * number // to, f"{number} of {to}")
        if attempt.stopped.wait(pause_s):
            return None  # nobody wants the result any more
    return {"counted": to}


# A function takes the attempt and returns what can be written as JSON. Any exception is a failure that is
# tried again, after the backoff of the job; `GiveUp` is one that is not.
KINDS = {"greet": greet, "count": count}


# ---- The rest needs no change. -----------------------------------------------------------------------------


class Refused(Exception):
    """The server said no, and would say it again."""

    def __init__(self, status, problem):
        super().__init__(problem.get("detail") or f"status {status}")
        self.status = status


class Away(Exception):
    """No answer, or one that says "later": it is not known whether the request was carried out."""

    def __init__(self, why, after_s=None):
        super().__init__(why)
        self.after_s = after_s


class Server:
    """The HTTP API. Every method may raise `Refused` or `Away`. Used by many threads."""

    def __init__(self, url, token):
        self.url, self.token = url.rstrip("/"), token

    def post(self, path, body, key=None, wait_s=0.0):
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        data = json.dumps(body, allow_nan=False).encode()
        request = urllib.request.Request(self.url + path, data, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=wait_s + ANSWER_S_MAX) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            problem = problem_of(error)
            if error.code in (408, 429) or error.code >= 500:
                after_s = error.headers.get("Retry-After", "")
                after_s = float(after_s) if after_s.isdigit() else None
                raise Away(problem.get("detail") or f"status {error.code}", after_s) from error
            raise Refused(error.code, problem) from error
        except (OSError, ValueError, http.client.HTTPException) as error:  # no connection, a broken one, half an answer
            raise Away(str(error)) from error

    def claim(self, queues, worker, jobs_max, lease_s, capabilities):
        body = {
            "queues": queues,
            "worker": worker,
            "jobs_max": jobs_max,
            "lease_s": lease_s,
            "wait_ms": CLAIM_WAIT_MS,
            "capabilities": capabilities,
        }
        return self.post("/v1/jobs/claim", body, wait_s=CLAIM_WAIT_MS / 1000)["jobs"]

    def report(self, attempt, verb, body):
        """`heartbeat`, `complete`, `fail` or `release`. The key makes a repeat harmless."""
        key = None if verb == "heartbeat" else f"{attempt.id}-{attempt.number}-{verb}"
        path = f"/v1/jobs/{attempt.id}/{verb}"
        return self.post(path, {"attempt": attempt.number, **body}, key)


def problem_of(error):
    """The problem details of an answer; empty where something else answered."""
    try:
        problem = json.load(error)
        return problem if isinstance(problem, dict) else {}
    except (OSError, ValueError, http.client.HTTPException):
        return {}


class Attempt:
    """One try at one job, as the work sees it."""

    def __init__(self, job, lease_s):
        self.job = job
        self.id, self.number = job["id"], job["attempt"]
        self.payload = job["payload"]
        self.stopped = threading.Event()  # the work should end, and nobody wants its result
        self.heard_until = time.monotonic() + lease_s
        self._progress = {}

    def progress(self, percent=None, message=None):
        """Tells with the next heartbeat how far the work is. Costs nothing; call it as often as you like."""
        told = {}
        if percent is not None:
            told["percent"] = max(0, min(100, int(percent)))
        if message and message.strip():
            told["message"] = clean(message.strip(), MESSAGE_BYTES_MAX)
        self._progress = told

    def take_progress(self):
        told, self._progress = self._progress, {}
        return told

    def __str__(self):
        return f"{self.job['kind']} {self.id} attempt {self.number}"


class Stop(Exception):
    """A signal came while the main thread waited for the server."""


class Worker:
    """Claims in the main thread, works in others, and has one more for the heartbeats."""

    def __init__(self, server, options):
        self.server, self.options = server, options
        self.todo = queue.SimpleQueue()
        self.changed = threading.Condition()  # guards `running`
        self.running = set()  # of attempts that are to be heard of
        # Plain values: a signal comes between any two steps of the main thread, which may hold a lock.
        self.stopping = self.waiting = False

    def run(self):
        # Daemons: work that does not end by itself must not keep the process alive after the drain.
        threads = [threading.Thread(target=self.work, daemon=True) for _ in range(self.options.threads)]
        for thread in [*threads, threading.Thread(target=self.beat, daemon=True)]:
            thread.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.on_signal)
        try:
            drain_s = self.claim_until_stopped()
        except Stop:
            drain_s = self.options.drain
        self.drain(drain_s)

    def on_signal(self, _number, _frame):
        self.stopping = True
        if self.waiting:
            # Breaks off the long poll. The server takes back what it was about to hand out; jobs whose
            # answer is already here at this very moment go to others at the end of their lease.
            self.waiting = False
            raise Stop

    def claim_until_stopped(self):
        """Gives how long what runs then may still take."""
        claimed, pause_s = 0, RETRY_S[0]
        while not self.stopping:
            room = self.wait_for_room()
            if self.options.jobs is not None:
                if claimed >= self.options.jobs:
                    return float("inf")  # a bounded run ends with its jobs
                room = min(room, self.options.jobs - claimed)
            if room == 0:
                continue
            self.waiting = True
            try:
                jobs = self.claim(room)
                pause_s = RETRY_S[0]
            except Away as away:
                say(f"claim: {away}")
                time.sleep(away.after_s or pause_s)
                pause_s = min(2 * pause_s, RETRY_S[1])
                jobs = []
            self.waiting = False
            for job in jobs:
                self.take(job)
            claimed += len(jobs)
        return self.options.drain

    def wait_for_room(self):
        """How many threads are free; 0 now and then, so that a stop is seen."""
        with self.changed:
            if len(self.running) >= self.options.threads:
                self.changed.wait(0.2)
            return max(0, self.options.threads - len(self.running))

    def claim(self, room):
        options = self.options
        return self.server.claim(options.queue, options.name, room, options.lease, options.capability)

    def take(self, job):
        attempt = Attempt(job, self.options.lease)
        with self.changed:
            self.running.add(attempt)
        self.todo.put(attempt)

    def work(self):
        while True:
            attempt = self.todo.get()
            verb, body = self.do(attempt)
            if not attempt.stopped.is_set():
                self.tell(attempt, verb, body, REPORT_S_MAX)
            with self.changed:
                self.running.discard(attempt)
                self.changed.notify_all()

    def do(self, attempt):
        """Does the work; gives what is to be told of it."""
        try:
            kind = KINDS.get(attempt.job["kind"])
            if kind is None:
                # Another worker of this queue may have it.
                raise LookupError(f"kind `{attempt.job['kind']}` is not known to this worker")
            result = kind(attempt)
            json.dumps(result, allow_nan=False)  # what cannot be told is a failure of the work
            return "complete", {"result": result}
        except (Exception, SystemExit) as error:  # the job fails, the worker goes on
            text = clean(f"{type(error).__name__}: {error}", ERROR_BYTES_MAX)
            return "fail", {"error": text, "retryable": not isinstance(error, GiveUp)}

    def tell(self, attempt, verb, body, s_max):
        """Until it is taken or refused. Heartbeats keep the attempt meanwhile."""
        until, pause_s = time.monotonic() + s_max, RETRY_S[0]
        while True:
            try:
                self.server.report(attempt, verb, body)
                return say(f"{verb}: {attempt}")
            except Refused as refused:
                if verb == "complete" and refused.status in (400, 413, 422):
                    # The result itself is not taken, as one over 256 KiB: another try would be no shorter.
                    failure = {"error": f"result was refused: {refused}", "retryable": False}
                    return self.tell(attempt, "fail", failure, s_max)
                return say(f"{verb} refused: {attempt}: {refused}")  # 409: it ended, or another attempt runs
            except Away as away:
                say(f"{verb}: {attempt}: {away}")
                pause_s = min(2 * pause_s, RETRY_S[1])
                if time.monotonic() + pause_s > until:
                    return say(f"{verb} given up: {attempt}")
                time.sleep(away.after_s or pause_s)

    def beat(self):
        while True:
            time.sleep(self.options.lease / 3)
            with self.changed:
                attempts = list(self.running)
            for attempt in attempts:
                asked = time.monotonic()
                try:
                    body = {"lease_s": self.options.lease, **attempt.take_progress()}
                    self.server.report(attempt, "heartbeat", body)
                    attempt.heard_until = asked + self.options.lease
                except Refused as refused:
                    if refused.status in (404, 409):
                        self.stop(attempt, refused)
                    else:
                        say(f"heartbeat: {attempt}: {refused}")
                except Away as away:
                    say(f"heartbeat: {attempt}: {away}")
                    break  # away for one is away for all; the next round is soon enough
            for attempt in attempts:
                if time.monotonic() >= attempt.heard_until:
                    self.stop(attempt, "not heard of for a whole lease")

    def stop(self, attempt, why):
        with self.changed:
            runs = attempt in self.running
        if runs and not attempt.stopped.is_set():
            say(f"stop: {attempt}: {why}")
            attempt.stopped.set()

    def drain(self, drain_s):
        until = time.monotonic() + drain_s
        with self.changed:
            while self.running and time.monotonic() < until:
                self.changed.wait(0.2)
            undone = [attempt for attempt in self.running if not attempt.stopped.is_set()]
        for attempt in undone:
            attempt.stopped.set()
            self.tell(attempt, "release", {}, RELEASE_S_MAX)


def clean(text, bytes_max):
    """`text` as the server takes it: without control characters, and not too long."""
    printable = "".join(c if c.isprintable() or c == " " else "?" for c in text.replace("\n", " "))
    return printable.encode(errors="replace")[:bytes_max].decode(errors="ignore")


def say(line):
    # In one piece: many threads say something.
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stderr.flush()


def server_of(options):
    """Where the server is, and as whom: from the arguments, or as `ledgerline up` has left it."""
    url, token = options.url, os.environ.get("LEDGERLINE_TOKEN")
    if options.token_file:
        token = pathlib.Path(options.token_file).read_text().strip()
    if not url or not token:
        path = pathlib.Path(options.data_dir) / "endpoints.json"
        if not path.exists():
            sys.exit(f"no --url with LEDGERLINE_TOKEN or --token-file, and no `{path}`: is `ledgerline up` running?")
        endpoints = json.loads(path.read_text())
        url = url or endpoints["http"]
        token = token or pathlib.Path(endpoints["token_file"]).read_text().strip()
    return Server(url, token)


def arguments():
    parser = argparse.ArgumentParser(description="Does jobs of Ledgerline.")
    parser.add_argument("--queue", action="append", required=True, help="from which queue; may be repeated")
    parser.add_argument("--name", default=f"{socket.gethostname()}-{os.getpid()}", help="of this worker")
    parser.add_argument("--threads", type=int, default=4, help="how many jobs at once")
    parser.add_argument("--lease", type=int, default=30, help="seconds of silence after which others get its jobs")
    parser.add_argument("--drain", type=float, default=20, help="seconds that running jobs have at a stop")
    parser.add_argument("--capability", action="append", default=[], help="what it can do; may be repeated")
    parser.add_argument("--jobs", type=int, help="end after so many jobs")
    parser.add_argument("--url", default=os.environ.get("LEDGERLINE_URL"), help="of the server")
    parser.add_argument("--token-file", default=os.environ.get("LEDGERLINE_TOKEN_FILE"), help="with the token")
    data_dir = os.environ.get("LEDGERLINE_DATA_DIR", ".ledgerline")
    parser.add_argument("--data-dir", default=data_dir, help="of a running `ledgerline up`")
    options = parser.parse_args()
    if options.threads < 1 or (options.jobs is not None and options.jobs < 1):
        parser.error("--threads and --jobs are at least 1")
    return options


if __name__ == "__main__":
    chosen = arguments()
    try:
        Worker(server_of(chosen), chosen).run()
    except Refused as refusal:
        sys.exit(f"refused: {refusal}")
