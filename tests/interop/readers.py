"""What the machines write, read by other parsers: as it was meant, and no otherwise.

`tests/written.rs` makes the messages, from seeds, with their meaning: start line, field lines in order,
content, trailers, where each ends, whether another may follow. h11 and llhttp read them in programs of
their own (`peers/read_h11.py`, `peers/read_llhttp.mjs`), whole and octet by octet.
`SEED=n tests/interop/run --only readers` reads one seed again.
"""

import base64
import collections
import dataclasses
import itertools
import json
import os
import pathlib

import install
from harness import Holds, at_least, check

PEERS = pathlib.Path(__file__).with_name("peers")
WRITER = "what_is_written_has_a_meaning_and_each_kind_comes_up"
SECONDS = 60.0

# What a reader does otherwise, each against one sentence of an RFC or beside it, and known to be the
# reader's own way. It changes what is expected of one kind of message; all else must be right.
H11_CLOSES = "h11 keeps no connection of version 1.0, whatever it is told (RFC 9112 §9.3)"
H11_OCTETS = "h11 refuses octets from 0x80 in a target, which are no URI (RFC 9112 §3.2)"
LLHTTP_OCTETS = "llhttp refuses octets from 0x80 in a target, which are no URI (RFC 9112 §3.2)"
LLHTTP_SCHEMES = "llhttp refuses a scheme that is not all letters (RFC 3986 §3.1)"
LLHTTP_METHODS = "llhttp refuses methods that are not in its list (RFC 9110 §9.1)"
LLHTTP_LEAVES = "llhttp leaves HTTP behind CONNECT and Upgrade unanswered (RFC 9110 §7.8)"

# Of a message that is read otherwise, the first of these that differs is told.
ORDER = ["error", "start", "fields", "content", "trailers", "end", "waits", "persists"]


@dataclasses.dataclass
class Account:
    """What one reader read, and what it read otherwise than it was meant."""

    version: str
    whole: int = 0
    cut: int = 0
    octets: int = 0
    differences: list[str] = dataclasses.field(default_factory=list)
    exceptions: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def compare(self, where: str, meant: list[dict], read: list[dict]) -> None:
        for number, (one, other) in enumerate(itertools.zip_longest(meant, read, fillvalue={})):
            for key in sorted(one.keys() | other.keys(), key=ORDER.index):
                if one.get(key) != other.get(key):
                    # What follows in this stream would only follow from it.
                    self.differences.append(
                        f"{where}, message {number + 1} of {len(meant)}, {key}: "
                        f"meant {one.get(key)!r}, read {other.get(key)!r}"
                    )
                    return


def is_request(message: dict) -> bool:
    return isinstance(message["start"][0], str)


def has_odd_target(message: dict) -> bool:
    return is_request(message) and not message["start"][1].isascii()


# ---------------------------------------------------------------------------- what each is to read


def h11(account: Account, _about: dict, messages: list[dict], cut: bool) -> list[dict]:
    meant = []
    for message in messages:
        if has_odd_target(message):
            account.exceptions[H11_OCTETS] += not cut
            return [*meant, {"error": "illegal request line"}]
        if message["start"][2] == 0 and message["persists"]:
            account.exceptions[H11_CLOSES] += not cut
            message = {**message, "persists": False}
        meant.append(message)
    return meant


def llhttp(account: Account, about: dict, messages: list[dict], cut: bool) -> list[dict]:
    meant = []
    for message in messages:
        # Expect it leaves to its caller; where a message ends is seen by single octets only.
        message = {**message, "waits": None, "end": message["end"] if cut else None}
        if is_request(message):
            method, target, _ = message["start"]
            if method not in about["methods"]:
                account.exceptions[LLHTTP_METHODS] += not cut
                return [*meant, {"error": "HPE_INVALID_METHOD"}]
            scheme, colon, _ = target.partition("://")
            if has_odd_target(message) or colon and not scheme.isalpha():
                why = LLHTTP_OCTETS if has_odd_target(message) else LLHTTP_SCHEMES
                account.exceptions[why] += not cut
                return [*meant, {"error": "HPE_INVALID_URL"}]
            if method == "CONNECT" or any(n.lower() == "upgrade" for n, _ in message["fields"]):
                account.exceptions[LLHTTP_LEAVES] += not cut
                message["persists"] = "leaves"
        meant.append(message)
    return meant


# ---------------------------------------------------------------------------- the checks


def written(h) -> pathlib.Path:
    """The file of streams; the second reader gets that of the first."""
    if not hasattr(h, "streams"):
        path = next(h.fresh)
        variables = [f"WRITTEN={path}", "RUST_BACKTRACE=0"]
        done = h.run(["env", *variables, install.written(), "--exact", WRITER], SECONDS)
        if done.status != 0:
            said = (done.stdout.decode(errors="replace") + done.stderr).partition("panicked")[2]
            raise RuntimeError(f"the writer: {said[:800]!r}")
        h.streams = path
    return h.streams


def read(h, command: list[str], expects) -> Account:
    file = written(h)
    done = h.run([*command[:-1], str(PEERS / command[-1]), str(file)], SECONDS)
    if done.status != 0:
        raise RuntimeError(f"the reader: {done.stderr[-500:]!r}")
    about, *readings = map(json.loads, done.stdout.splitlines())
    account = Account(about["version"])
    streams = [json.loads(line) for line in file.read_bytes().splitlines()]
    for stream, reading in zip(streams, readings, strict=True):
        kind = "requests" if stream["asked"] is None else "responses"
        account.octets += len(base64.b64decode(stream["octets"]))
        for how in ("whole", "cut"):
            meant = expects(account, about, stream["messages"], how == "cut")
            if reading[how] is not None:
                account.compare(f"SEED={stream['seed']}, {kind}, {how}", meant, reading[how])
        account.whole += len(reading["whole"])
        account.cut += len(reading["cut"] or [])
    return account


def rows(account: Account, *exceptions: str):
    yield "read otherwise than meant", [], account.differences[:5]
    all_seeds = not {"SEED", "SEEDS"}.intersection(os.environ)
    for why in exceptions:
        # One that is not needed any more must not stay.
        yield f"but: {why}", at_least(1 if all_seeds else 0), account.exceptions[why]
    least = 2000 if all_seeds else 1
    enough = Holds(f">= {least} messages", lambda _: account.whole >= least)
    yield f"{account.version} read", enough, f"{account.whole} messages, {account.octets} octets"
    yield f"{account.version} read octet by octet", at_least(least), account.cut


@check("h11", "readers of what is written", "written", "h11")
def _(h):
    account = read(h, [str(install.VENV / "bin" / "python"), "read_h11.py"], h11)
    yield from rows(account, H11_CLOSES, H11_OCTETS)


@check("llhttp", "readers of what is written", "written", "node")
def _(h):
    account = read(h, ["node", "--no-deprecation", "read_llhttp.mjs"], llhttp)
    yield from rows(account, LLHTTP_METHODS, LLHTTP_OCTETS, LLHTTP_SCHEMES, LLHTTP_LEAVES)
