"""The key object."""

from eth_keys.datatypes import PrivateKey, Signature
from eth_utils import is_address, to_canonical_address, to_checksum_address

from . import seen
from .rpc import Endpoint, RemoteSignerError


class Refused(Exception):
    """Something was to be signed, or shown, that this key object does not sign or have."""


class _Public:
    """Of the public key only the address is known, and nobody asks for more."""

    def __init__(self, address):
        self._address = to_checksum_address(address)

    def to_checksum_address(self):
        return self._address

    def to_address(self):
        return self._address.lower()

    def to_canonical_address(self):
        return to_canonical_address(self._address)


class RemoteKey(PrivateKey):
    """Stands where eth_account and the CLOB clients want a private key.

    It signs what was hashed as typed data on the same thread, by sending the typed data to the
    service. Without `address` the one account that the token may use is taken.
    """

    def __init__(self, url, token, address=None, timeout=15.0, context=None):
        # Not the base class's: that one wants the key.
        self._endpoint = Endpoint(url, token, timeout, context)
        if address is None:
            accounts = self._endpoint.call("eth_accounts", [])
            if len(accounts) != 1:
                raise ValueError(f"the token may use {len(accounts)} accounts: name one of {accounts}")
            address = accounts[0]
        if not is_address(address):
            raise ValueError("the address is not one")
        self.public_key = _Public(address)
        seen.watch()

    def sign_msg_hash(self, message_hash):
        """Signs the typed data that has this hash, if it was hashed on this thread."""
        data = seen.typed_data(message_hash)
        if data is None:
            raise Refused("only typed data is signed: this hash was not made of any on this thread")
        address = self.public_key.to_checksum_address()
        result = self._endpoint.call("eth_signTypedData_v4", [address, _plain(data)])
        try:
            raw = bytes.fromhex(result.removeprefix("0x"))
            signature = Signature(raw[:64] + bytes([raw[64] - 27])) if len(raw) == 65 else None
            signer = signature.recover_public_key_from_msg_hash(bytes(message_hash))
            right = signer.to_checksum_address() == address
        except Exception:
            right = False
        if not right:
            raise RemoteSignerError("the signer's answer is not a signature of this address")
        return signature

    def sign_msg(self, message):
        raise Refused("only typed data is signed")

    def sign_msg_non_recoverable(self, message):
        raise Refused("only typed data is signed")

    def sign_msg_hash_non_recoverable(self, message_hash):
        raise Refused("only typed data is signed")

    def to_bytes(self):
        """Itself: eth_account keeps this, and hands it back as the key."""
        return self

    def to_hex(self):
        raise Refused("the key is not here")

    def __bool__(self):
        return True  # the clients ask whether there is a key

    def __bytes__(self):
        raise Refused("the key is not here")

    def __int__(self):
        raise Refused("the key is not here")

    def __index__(self):
        raise Refused("the key is not here")

    def __len__(self):
        raise Refused("the key is not here")

    def __getitem__(self, _):
        raise Refused("the key is not here")

    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return id(self)

    def __reduce__(self):
        raise Refused("a remote key holds a token and is not pickled")

    def __str__(self):
        return f"RemoteKey({self.public_key.to_checksum_address()})"

    __repr__ = __str__


def _plain(value):
    """As JSON: integers of any width as decimal text, bytes as hexadecimal text."""
    if isinstance(value, dict):
        return {str(name): _plain(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(member) for member in value]
    if isinstance(value, (bytes, bytearray)):
        return "0x" + bytes(value).hex()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    return value
