"""A key object for eth_account and the CLOB clients whose key stays in Chancery."""

from .key import Refused, RemoteKey
from .rpc import RemoteSignerError

__all__ = ["Refused", "RemoteKey", "RemoteSignerError"]
