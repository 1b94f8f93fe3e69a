"""Whether what the leaves tell was allowed: the states of keys, nonces, and what others had to approve.

Written from SP 800-57 part 1 (section 7, with the states that the service adds), OpenSSH's PROTOCOL.sshsig, and
WebAuthn level 3, section 7.2.
"""

import base64
import hashlib
import json
import uuid

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key

EDGES = {
    "pre-activation": {"active", "compromised", "destroy-pending"},
    "active": {"retiring", "suspended", "deactivated", "compromised"},
    "retiring": {"active", "suspended", "deactivated", "compromised"},
    "suspended": {"active", "deactivated", "compromised"},
    "deactivated": {"compromised", "destroy-pending"},
    "compromised": {"destroy-pending"},
    "destroy-pending": {"deactivated", "compromised", "destroyed", "pre-activation"},
    "destroyed": set(),
}


class Key:
    def __init__(self):
        self.steps, self.signed, self.whole = {}, {}, False


class Legality:
    """Weighed at the end: leaves of several replicas are not in the order in which they were written."""

    def __init__(self, report, goes_on):
        self.report, self.goes_on = report, goes_on
        self.keys, self.made, self.proposed, self.carried, self.claimed = {}, {}, {}, {}, {}

    def hear(self, index, kind, event):
        if kind == 0 and ordinary(event[1], event[11]):
            self.keys.setdefault(event[5], Key()).signed.setdefault(event[6], index)
        if kind == 5:
            self.change(index, *event[1:])

    def change(self, index, action, subject, approval, details):
        details = read(details)
        said = {name: it if isinstance(it, str) else json.dumps(it) for name, it in details.items()}
        proposal = proposal_of(approval)
        if proposal:
            self.claimed[index] = proposal
        if action in ("create-key", "adopt-key", "import-key"):
            self.keys.setdefault(subject, Key()).whole = True
        elif action == "step-key":
            steps = self.keys.setdefault(subject, Key()).steps
            epoch = details.get("epoch", 0)
            if epoch in steps:
                self.report.fault("key-step", index)
            steps[epoch] = (index, said.get("from"), said.get("to"))
        elif action == "record-credential":
            nonce = tuple(said.get(it) for it in ("chainId", "address", "nonce"))
            if self.made.setdefault(nonce, said.get("apiKey")) != said.get("apiKey"):
                self.report.fault("nonce-twice", index)
        elif action == "propose":
            self.proposed[subject] = details
        elif action == "carry-out-proposal":
            self.carried[index] = (subject, details)

    def end(self):
        for key in self.keys.values():
            self.weigh(key)
        for index, (subject, details) in self.carried.items():
            if not self.approved(self.proposed.get(subject), details):
                self.report.fault("approval", index)
        carried = {subject for subject, _ in self.carried.values()}
        for index, proposal in self.claimed.items():
            if proposal not in carried and not self.goes_on:
                self.report.fault("approval", index)

    def weigh(self, key):
        before = (0, "pre-activation") if key.whole else None
        for epoch, (index, start, to) in sorted(key.steps.items()):
            follows = before is None or (epoch - 1, start) == before
            if to not in EDGES.get(start, set()) or not follows:
                self.report.fault("key-step", index)
            before = (epoch, to)
        for epoch, index in key.signed.items():
            if epoch in key.steps:
                state = key.steps[epoch][2]
            elif key.whole:
                state = "pre-activation" if epoch == 0 else "none"
            else:
                continue  # from before the first leaf that is here
            if state != "active":
                self.report.fault("key-state", index)

    def approved(self, proposed, details):
        if proposed is None:
            return self.goes_on
        text = proposed["document"]
        digest = hashlib.sha256(text.encode()).digest()
        if not details.get("hash") == proposed["hash"] == digest.hex():
            return False
        document = json.loads(text)
        seen, counted = {document["requester"]["person"]}, []
        for given in details.get("approvals", []):
            if given["person"] in seen or not signed(given, digest):
                return False
            seen.add(given["person"])
            counted.append(given["roles"])
        places = [role for role, count in document["quorum"].items() for _ in range(count)]
        return seated(places, counted)


def seated(places, people):
    """Whether each place is taken by somebody of its own."""
    if not places:
        return True
    for number, roles in enumerate(people):
        if places[0] in roles and seated(places[1:], people[:number] + people[number + 1 :]):
            return True
    return False


def read(text):
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def ordinary(operation, record):
    return operation == "order" or (operation == "assertion" and read(record).get("errand") is None)


def proposal_of(approval):
    if not approval.startswith("proposal "):
        return None
    try:
        return uuid.UUID(approval[len("proposal ") :].split(",")[0].split(" ")[0]).bytes
    except ValueError:
        return None


def signed(given, digest):
    """Whether the signature is one of this digest, by the key that stands beside it."""
    try:
        key, signature = bytes.fromhex(given["public_key"]), given["signature"]
        if "ssh" in signature:
            ssh(key, signature["ssh"], digest)
        else:
            passkey(key, signature["passkey"], digest)
    except (InvalidSignature, KeyError, ValueError, TypeError, IndexError):
        return False
    return True


class Strings:
    """Strings as the SSH protocol writes them."""

    def __init__(self, raw):
        self.rest = raw

    def next(self):
        length = int.from_bytes(self.rest[:4], "big")
        found, self.rest = self.rest[4 : 4 + length], self.rest[4 + length :]
        if len(found) != length:
            raise ValueError("it ends too early")
        return found


def ssh(key, armored, digest):
    lines = armored.strip().splitlines()
    if (lines[0], lines[-1]) != ("-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"):
        raise ValueError("no signature of ssh-keygen")
    blob = base64.b64decode("".join(lines[1:-1]), validate=True)
    if blob[:10] != b"SSHSIG\0\0\0\1":
        raise ValueError("another version")
    parts = Strings(blob[10:])
    by, namespace, reserved, algorithm, signature = (parts.next() for _ in range(5))
    if by != key or namespace != b"chancery-approval" or parts.rest:
        raise ValueError("by another key, or for something else")
    message = digest.hex().encode() + b"\n"
    hashed = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}[algorithm](message).digest()
    whole = b"SSHSIG"
    for part in (namespace, reserved, algorithm, hashed):
        whole += len(part).to_bytes(4, "big") + part
    of_key, of_signature = Strings(key), Strings(signature)
    name = of_key.next()
    if of_signature.next() != name:
        raise ValueError("a key of one kind, a signature of another")
    raw, behind = of_signature.next(), of_signature.rest
    curve = of_key.next() if b"ecdsa" in name else None
    public = of_key.next()
    if name.startswith(b"sk-"):
        if len(behind) != 5 or not behind[0] & 1:
            raise ValueError("nobody touched the token")
        application = hashlib.sha256(of_key.next()).digest()
        whole = application + behind + hashlib.sha256(whole).digest()
    elif behind:
        raise ValueError("something behind the signature")
    if curve is None:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(raw, whole)
    else:
        numbers = Strings(raw)
        r, s = (int.from_bytes(numbers.next(), "big") for _ in range(2))
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
        point.verify(utils.encode_dss_signature(r, s), whole, ec.ECDSA(hashes.SHA256()))


def passkey(key, assertion, digest):
    def decoded(name):
        text = assertion[name]
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    client, data = decoded("client_data"), decoded("authenticator_data")
    said = json.loads(client)
    challenge = said["challenge"]
    challenge = base64.urlsafe_b64decode(challenge + "=" * (-len(challenge) % 4))
    if said["type"] != "webauthn.get" or challenge != digest or said.get("crossOrigin"):
        raise ValueError("for something else")
    host = said["origin"].split("://")[1].split(":")[0].split(".")
    domains = (".".join(host[at:]) for at in range(len(host)))
    if all(hashlib.sha256(it.encode()).digest() != data[:32] for it in domains):
        raise ValueError("for another domain")
    if len(data) != 37 or data[32] & 5 != 5:
        raise ValueError("nobody was verified")
    whole = data + hashlib.sha256(client).digest()
    load_der_public_key(key).verify(decoded("signature"), whole, ec.ECDSA(hashes.SHA256()))
