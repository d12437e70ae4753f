"""What schemathesis cannot know from the description, and cannot be told by its configuration."""

import re

import schemathesis

POSITION_MAX = 2**63 - 1
UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
ENTITY_TAG = re.compile(r'\*|"[0-9]{1,15}"')


@schemathesis.serializer("application/x-ndjson")
def ndjson(ctx, value):
    """The text as it is: whatever its lines are, each of them is answered."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@schemathesis.hook
def before_call(ctx, case, kwargs):
    wait_for_nothing(case.headers, "Ledgerline-Min-Position")
    wait_for_nothing(case.query, "min_position")
    claim_at_once(case)
    if case.meta is not None and case.meta.generation.mode.is_positive:
        say_the_version_once(case)
        name_an_assignment(case)


def wait_for_nothing(container, name):
    """A valid position becomes 0; what is no position stays, and has to be refused.

    Who asks for a position that nobody has been given waits five seconds for 504, as is documented.
    The other tests of the API ask that way; here every such request would be a finding.
    """
    value = str((container or {}).get(name, ""))
    if value.isascii() and value.isdigit() and int(value) <= POSITION_MAX:
        container[name] = "0"


def claim_at_once(case):
    """A claim that may wait does not: there are few jobs, and a minute for each is long."""
    body = case.body
    if case.path == "/v1/jobs/claim" and isinstance(body, dict):
        wait_ms = body.get("wait_ms")
        if isinstance(wait_ms, (int, float)) and 0 <= wait_ms <= 60_000:
            body["wait_ms"] = 0


def say_the_version_once(case):
    """`If-Match` and `expected_version` must be the same where both are sent: no schema can say that.

    Also, the coverage phase of 4.32 sends `If-Match: 0` as a value that fits the header's pattern,
    which it does not. Only valid cases are changed: what is made to break the schema is sent as it is.
    """
    if not case.headers or "If-Match" not in case.headers:
        return
    twice = isinstance(case.body, dict) and case.body.get("expected_version") is not None
    if twice or not ENTITY_TAG.fullmatch(str(case.headers["If-Match"])):
        case.headers.pop("If-Match")


def name_an_assignment(case):
    """Where `id` is a UUID, fuzzing in 4.32 also puts other fields of earlier answers in its place and
    calls the case valid, without asking the schema of the parameter. Nobody has this one.
    """
    parameters = case.path_parameters or {}
    if "id" in parameters and not UUID.fullmatch(str(parameters["id"])):
        parameters["id"] = "0190d5a6-1c5e-7b3a-9d54-000000000000"
