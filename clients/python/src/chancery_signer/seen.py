"""What this thread has hashed lately: from a digest back to its typed data.

The clients hash typed data and then sign the digest, on one thread and in one go. So a few entries for
each thread are enough, and none is ever needed by another.
"""

import functools
import threading
from collections import OrderedDict

from eth_account import messages
from eth_utils import keccak

_KEPT = 16

_local = threading.local()
_lock = threading.Lock()
_watching = False


def typed_data(digest):
    """The typed data that was hashed to this, or None."""
    return getattr(_local, "seen", {}).get(bytes(digest))


def remember(digest, data):
    """Keeps typed data under its digest for this thread."""
    if not hasattr(_local, "seen"):
        _local.seen = OrderedDict()
    _local.seen[bytes(digest)] = data
    _local.seen.move_to_end(bytes(digest))
    while len(_local.seen) > _KEPT:
        _local.seen.popitem(last=False)


def watch():
    """Wraps the functions that hash typed data. They return what they returned before."""
    global _watching
    with _lock:
        if _watching:
            return
        _watch_eth_account()
        _watch_structs()
        _watch_deposit_wallets()
        _watching = True


def _digest(domain_hash, message_hash):
    return keccak(b"\x19\x01" + bytes(domain_hash) + bytes(message_hash))


def _watch_eth_account():
    """`encode_typed_data` is imported by name here and there; these two it looks up at each call."""
    hash_domain = messages.hash_domain
    hash_message = messages.hash_eip712_message

    @functools.wraps(hash_domain)
    def watched_domain(domain):
        result = hash_domain(domain)
        _local.domain = (domain, bytes(result))
        return result

    @functools.wraps(hash_message)
    def watched_message(types, message):
        result = hash_message(types, message)
        domain, domain_hash = getattr(_local, "domain", (None, None))
        _local.domain = (None, None)
        if domain is not None:
            data = {
                "types": dict(types),
                "primaryType": messages.get_primary_type(types),
                "domain": dict(domain),
                "message": message,
            }
            remember(_digest(domain_hash, result), data)
        return result

    messages.hash_domain = watched_domain
    messages.hash_eip712_message = watched_message


def _watch_structs():
    """Logins of both clients, and the orders of the older one."""
    try:
        from poly_eip712_structs import EIP712Struct
    except ImportError:
        return
    signable_bytes = EIP712Struct.signable_bytes

    @functools.wraps(signable_bytes)
    def watched(self, domain=None):
        result = signable_bytes(self, domain)
        remember(keccak(result), self.to_message(domain))
        return result

    EIP712Struct.signable_bytes = watched


def _watch_deposit_wallets():
    """The newer client hashes a deposit wallet's order by hand; this says what it hashes."""
    try:
        from py_clob_client_v2.order_utils.exchange_order_builder_v2 import ExchangeOrderBuilderV2
    except ImportError:
        return
    build = ExchangeOrderBuilderV2._build_poly_1271_order_signature

    @functools.wraps(build)
    def watched(self, order):
        domain, contents = order["domain"], order["message"]
        fields = [
            ("contents", "Order"),
            ("name", "string"),
            ("version", "string"),
            ("chainId", "uint256"),
            ("verifyingContract", "address"),
            ("salt", "bytes32"),
        ]
        nested = {
            "types": {
                "TypedDataSign": [{"name": name, "type": kind} for name, kind in fields],
                "Order": order["types"]["Order"],
            },
            "domain": domain,
            "message": {
                "contents": contents,
                "name": "DepositWallet",
                "version": "1",
                "chainId": domain["chainId"],
                "verifyingContract": contents["signer"],
                "salt": bytes(32),
            },
        }
        messages.encode_typed_data(full_message=nested)  # hashed, and so remembered
        return build(self, order)

    ExchangeOrderBuilderV2._build_poly_1271_order_signature = watched
