"""Makes a key, steps it, signs with it and suspends it, with a client generated from /openapi.json."""

import json
import sys
import uuid

from chancery_client import AuthenticatedClient
from chancery_client.api.keys import create_key, show_key, step_key
from chancery_client.api.orders import sign_order
from chancery_client.api.wallets import create_wallet
from chancery_client.models import KeyState, KeyStep, NewKey, NewWallet, OrderRequest
from chancery_client.models import Problem, Purpose, Side

given = json.loads(sys.argv[1])
operator = AuthenticatedClient(given["url"], token=given["operator"])
trader = AuthenticatedClient(given["url"], token=given["trader"])


def once():
    return str(uuid.uuid4())


def step(to, reason):
    body = KeyStep(to=to, reason=reason)
    return step_key.sync("generated", client=operator, body=body, idempotency_key=once())


def sign():
    body = OrderRequest(
        price="0.56",
        size="21.04",
        side=Side.BUY,
        token_id="71321045679252212594626385532706912750332728571942532289631379312455583992999",
        tick_size="0.01",
        neg_risk=False,
    )
    return sign_order.sync("generated-w", client=trader, body=body, idempotency_key=once())


new = NewKey(name="generated", purpose=Purpose.WALLET, backend="soft", environment="dev01", owner="d")
made = create_key.sync(client=operator, body=new, idempotency_key=once())
active = step(KeyState.ACTIVE, "a generated client")
wallet = NewWallet(name="generated-w", key="generated", owner="d", chain_id=137)
wallet = create_wallet.sync(client=operator, body=wallet, idempotency_key=once())
signed = sign()
suspended = step(KeyState.SUSPENDED, "found in a log")
refused = sign()
assert isinstance(refused, Problem), refused
print(
    json.dumps(
        {
            "made": made.state,
            "active": active.state,
            "address": wallet.address,
            "signer": signed.order["signer"],
            "suspended": suspended.state,
            "shown": show_key.sync("generated", client=operator).state,
            "refused": refused.type_,
        }
    )
)
