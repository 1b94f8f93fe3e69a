"""An independent verifier of exports of the audit log.

It shares no code with the service: written from RFC 6962, RFC 8949 and C2SP's signed-note and
tlog-checkpoint. Usage: verify.py [--answers FILE] EXPORT KEY [CHECKPOINT ...]; with --each EXPORT is a
folder, and every file in it is verified. Prints a JSON report; exit status 1 where a log does not prove itself.
"""

import argparse
import base64
import binascii
import hashlib
import json
import pathlib
import sys
import uuid

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from legality import Legality
from limits import Limits

ENDS = (1, 2, 3)  # released, refused, abandoned


def of_bytes(width):
    return lambda it: isinstance(it, bytes) and len(it) == width


def whole(low, high):
    return lambda it: isinstance(it, int) and low <= it < high


ID, HASH = of_bytes(16), of_bytes(32)
U32, U64 = whole(0, 1 << 32), whole(0, 1 << 64)
I32, I64 = whole(-(1 << 31), 1 << 31), whole(-(1 << 63), 1 << 63)


def text(it):
    return isinstance(it, str)


def absent_or(kind):
    """What is absent is null, but at the end, where nothing stands for it."""
    return lambda it: it is None or kind(it)


# The fields of each kind of event.
EVENTS = {
    0: [ID, text, ID, ID, ID, ID, I64, HASH, HASH, absent_or(text), HASH, text, absent_or(text)],
    1: [ID, I32, HASH, HASH, absent_or(U32), absent_or(text)],
    2: [ID, I32, text, absent_or(U32), absent_or(text)],
    3: [ID, I32, text, absent_or(U32), absent_or(text)],
    4: [ID, text, text],
    5: [ID, text, ID, text, text],
    6: [ID, ID, ID, I64, ID, ID, HASH, text, I64, absent_or(text)],
    7: [ID, U64],
    8: [ID, text, text, HASH],
    9: [ID, U64],
}


def read_leaf(raw):
    """The time of a leaf, the kind of its event, and its fields."""
    version, at_ms, software, (kind, (fields,)) = read_cbor(raw)
    wanted = EVENTS.get(kind, [])
    given = fields + [None] * (len(wanted) - len(fields))
    shape = zip(wanted, given, strict=True)
    whole_leaf = version == 1 and I64(at_ms) and text(software) and wanted
    if not whole_leaf or fields[-1] is None or not all(fits(it) for fits, it in shape):
        raise Malformed("no leaf of this version")
    return at_ms, kind, given


class Malformed(Exception):
    """Not what it has to be."""


def read_key(text):
    """name+hash+base64(type, key): the name, the four bytes that name the key, the key."""
    name, digest, key = text.split("+", 2)
    raw = base64.b64decode(key, validate=True)
    if raw[0] != 1 or len(raw) != 33:
        raise Malformed("not an Ed25519 key of a log")
    ident = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    if ident.hex() != digest:
        raise Malformed("the key's hash does not fit")
    return name, ident, Ed25519PublicKey.from_public_bytes(raw[1:])


def read_checkpoint(note, key):
    """The origin, size and root of a note that the key has signed."""
    name, ident, public = key
    text, lines = note[: note.rindex("\n\n") + 1], note[note.rindex("\n\n") + 2 :]
    signed = False
    for line in lines.splitlines():
        dash, who, signature = line.split(" ", 2)
        raw = base64.b64decode(signature, validate=True)
        if dash == "\u2014" and who == name and raw[:4] == ident:
            public.verify(raw[4:], text.encode())
            signed = True
    if not signed:
        raise Malformed("nobody that is known has signed the checkpoint")
    origin, size, root = text.split("\n")[:3]
    if origin != name or str(int(size)) != size:
        raise Malformed("a checkpoint of another log, or not of a size")
    return origin, int(size), base64.b64decode(root, validate=True)


class Tree:
    """Roots of perfect subtrees from left to right, each larger than the next."""

    def __init__(self, size=0, parts=()):
        self.size, self.parts = size, list(parts)
        if len(self.parts) != size.bit_count() or any(len(part) != 32 for part in self.parts):
            raise Malformed("the roots are not those of a tree of this size")

    def append(self, leaf):
        node, at = hashlib.sha256(b"\0" + leaf).digest(), self.size
        while at & 1:
            node = hashlib.sha256(b"\1" + self.parts.pop() + node).digest()
            at >>= 1
        self.parts.append(node)
        self.size += 1

    def root(self):
        if not self.parts:
            return hashlib.sha256(b"").digest()
        node = self.parts[-1]
        for left in reversed(self.parts[:-1]):
            node = hashlib.sha256(b"\1" + left + node).digest()
        return node


def read_cbor(raw):
    """Deterministic CBOR, as far as leaves need it."""
    value, end = item(raw, 0)
    if end != len(raw):
        raise Malformed("bytes after the leaf")
    return value


def item(raw, at):
    first = raw[at]
    major, short = first >> 5, first & 31
    at += 1
    if first == 0xF6:
        return None, at
    if short < 24:
        number = short
    elif short in (24, 25, 26, 27):
        width = 1 << (short - 24)
        number = int.from_bytes(raw[at : at + width], "big")
        at += width
        if number < (24 if width == 1 else 1 << (4 * width)):
            raise Malformed("a number is not in its shortest form")
    else:
        raise Malformed("an indefinite length")
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in (2, 3):
        body = raw[at : at + number]
        if len(body) != number:
            raise Malformed("it ends too early")
        return (body if major == 2 else body.decode()), at + number
    if major == 4:
        array = []
        for _ in range(number):
            value, at = item(raw, at)
            array.append(value)
        return array, at
    raise Malformed("a kind that no leaf has")


class Report:
    """What was found."""

    def __init__(self):
        self.faults, self.covered, self.released, self.ended, self.open = [], 0, 0, 0, 0
        self.after = self.begun_before = self.answers = 0

    def fault(self, kind, index=None):
        self.faults.append({"kind": kind, "index": index})

    def json(self, leaves):
        return {
            "verified": not self.faults and self.covered > 0,
            "after": self.after,
            "leaves": leaves - self.after,
            "covered": self.covered,
            "released": self.released,
            "ended": self.ended,
            "open": self.open,
            "begun_before": self.begun_before,
            "answers": self.answers,
            "faults": self.faults,
        }


class Answers:
    """What callers have kept is what was released, byte for byte."""

    def __init__(self, path):
        self.lines, self.intents, self.known, self.changed = set(), {}, set(), []
        if path is None:
            return
        for body in pathlib.Path(path).read_bytes().split(b"\n"):
            body = body.removesuffix(b"\r")
            if not body:
                continue
            digest = hashlib.sha256(body).digest()
            self.lines.add(digest)
            try:
                self.intents[uuid.UUID(json.loads(body)["id"]).bytes] = digest
            except (KeyError, TypeError, ValueError, AttributeError):
                pass  # one without an id

    def hear(self, index, intent, digest):
        if digest in self.lines:
            self.known.add(digest)
        elif intent in self.intents:
            self.changed.append((index, self.intents[intent]))

    def end(self, report):
        changed = {digest for _, digest in self.changed}
        for index, _ in self.changed:
            report.fault("answer-changed", index)
        report.answers = len(self.known - changed)
        for _ in self.lines - self.known - changed:
            report.fault("answer-unknown")


class Story:
    """Each intent ends once, and nothing that is unique comes twice."""

    def __init__(self, report, goes_on, answers):
        self.report, self.intents, self.early, self.jtis = report, {}, {}, set()
        self.answers = answers
        self.goes_on, self.legality = goes_on, Legality(report, goes_on)
        self.limits = Limits(report)

    def hear(self, index, raw):
        try:
            at, kind, event = read_leaf(raw)
            if kind == 0:
                self.begins(index, event)
            elif kind in ENDS:
                self.ends(index, kind, event)
            self.legality.hear(index, kind, event)
            self.limits.hear(index, at, kind, event)
        except (Malformed, IndexError, TypeError, ValueError):
            self.report.fault("no-leaf", index)

    def begins(self, index, event):
        intent = event[0]  # its bytes: an object for each would be many times as large
        if intent in self.intents:
            self.report.fault("intent-twice", index)
        self.intents[intent] = self.early.pop(intent, None) is not None
        try:
            record = json.loads(event[11])
        except ValueError:
            self.report.fault("record", index)
            return
        try:
            jti = uuid.UUID(record["claims"]["jti"]).bytes
        except (KeyError, TypeError, ValueError, AttributeError):
            return  # not an assertion
        if jti in self.jtis:
            self.report.fault("jti-twice", index)
        self.jtis.add(jti)

    def ends(self, index, kind, event):
        intent = event[0]
        if kind == ENDS[0]:
            self.report.released += 1
            self.answers.hear(index, intent, event[3])
        else:
            self.report.ended += 1
        if intent in self.intents:
            twice, self.intents[intent] = self.intents[intent], True
        else:
            twice, self.early[intent] = intent in self.early, index
        if twice:
            self.report.fault("end-twice", index)

    def end(self):
        self.legality.end()
        self.limits.end()
        self.answers.end(self.report)
        self.report.open = sum(1 for ended in self.intents.values() if not ended)
        if self.goes_on:  # what ended may have begun before the first leaf
            self.report.begun_before = len(self.early)
            return
        for index in sorted(self.early.values()):
            self.report.fault("end-without-intent", index)


def begin(before, origin, key, report):
    """The tree before the first leaf, which a checkpoint of its own covers."""
    try:
        parts = [base64.b64decode(part, validate=True) for part in before["frontier"]]
        tree = Tree(before["size"], parts)
    except (Malformed, ValueError, binascii.Error):
        report.fault("before")
        return Tree()
    try:
        signed = read_checkpoint(before["checkpoint"], key)
    except (Malformed, InvalidSignature, ValueError, binascii.Error):
        signed = None
    if signed != (origin, tree.size, tree.root()):
        report.fault("before")
    return tree


def verify(path, key, kept, answers):
    report = Report()
    with open(path, encoding="utf-8") as lines:
        head = json.loads(next(lines))
        if head["chancery_export"] != 1:
            raise Malformed("another version of the format")
        checkpoints = []
        for note in [head["checkpoint"], *kept]:
            try:
                origin, size, root = read_checkpoint(note, key)
                if origin != head["origin"]:
                    raise Malformed("a checkpoint of another log")
                checkpoints.append((size, root))
            except (Malformed, InvalidSignature, ValueError, binascii.Error):
                report.fault("checkpoint")
        tree, before = Tree(), head.get("after")
        if before:
            tree = begin(before, head["origin"], key, report)
        report.after = tree.size
        checkpoints = sorted(it for it in checkpoints if it[0] >= tree.size)
        story = Story(report, before is not None, Answers(answers))

        def compare():
            while checkpoints and checkpoints[0][0] == tree.size:
                if checkpoints.pop(0)[1] == tree.root():
                    report.covered = tree.size
                else:
                    report.fault("root")

        compare()
        for line in lines:
            entry = json.loads(line)
            if entry["index"] != tree.size:
                report.fault("out-of-order", tree.size)
            raw = base64.b64decode(entry["leaf"], validate=True)
            index = tree.size
            tree.append(raw)
            story.hear(index, raw)
            compare()
        for _ in checkpoints:
            report.fault("cut")
        story.end()
    return report.json(tree.size)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--each", action="store_true")
    arguments.add_argument("--answers")
    arguments.add_argument("export", type=pathlib.Path)
    arguments.add_argument("key", type=read_key)
    arguments.add_argument("checkpoints", nargs="*", type=pathlib.Path)
    said = arguments.parse_args()
    kept = [file.read_text(encoding="utf-8") for file in said.checkpoints]
    paths = sorted(said.export.iterdir()) if said.each else [said.export]
    verified = True
    for path in paths:
        try:
            found = verify(path, said.key, kept, said.answers)
        except (Malformed, ValueError, KeyError, StopIteration) as error:
            found = {"verified": False, "unreadable": str(error), "faults": []}
        verified &= found["verified"]
        print(json.dumps({"file": path.name, **found}))
    sys.exit(0 if verified else 1)


main()
