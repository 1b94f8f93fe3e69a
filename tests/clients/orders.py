"""The official Python clients, unmodified, with a RemoteKey. The same as orders.mjs, which see."""

import json
import os
import sys

from py_clob_client import client as v1
from py_clob_client import clob_types as types_v1
from py_clob_client_v2 import ClobClient as ClientV2
from py_clob_client_v2 import MarketOrderArgs, OrderArgs, PartialCreateOrderOptions

from chancery_signer import RemoteKey

config = json.loads(os.environ["CONFIG"])
LIMITS = [("1001", 0.37, 15.5, "BUY"), ("2001", 0.621, 8.0, "SELL")]
MARKETS = [("1001", 20.0, "BUY", "FOK"), ("2001", 12.0, "SELL", "FAK")]


def connect(party, wallet=None, creds=None):
    wallet = wallet or {}
    # One of the parties does not say which account it is.
    address = None if party.get("only_account") else party["address"]
    key = RemoteKey(config["rpc"], party.get("token") or config["token"], address)
    client = v1.ClobClient if party["client"] == 1 else ClientV2
    return client(
        config["clob"], chain_id=137, key=key, creds=creds,
        signature_type=wallet.get("signatureType", 0), funder=wallet.get("funder"),
    )


def answers_of(party):
    client = connect(party)
    if party["client"] == 1:
        made, derived = client.create_api_key(), client.derive_api_key()
        again = client.create_or_derive_api_creds()
    else:
        made, derived = client.create_api_key(), client.derive_api_key()
        again = client.create_or_derive_api_key()
    orders = []
    for wallet in party["wallets"]:
        client = connect(party, wallet, derived)
        if party["client"] == 1:
            for token, price, size, side in LIMITS:
                args = types_v1.OrderArgs(token_id=token, price=price, size=size, side=side)
                orders.append(client.post_order(client.create_order(args), "GTC"))
            for token, amount, side, kind in MARKETS:
                args = types_v1.MarketOrderArgs(token_id=token, amount=amount, side=side, order_type=kind)
                orders.append(client.post_order(client.create_market_order(args), kind))
            continue
        options = PartialCreateOrderOptions(version=wallet.get("version"))
        for token, price, size, side in LIMITS:
            args = OrderArgs(token_id=token, price=price, size=size, side=side)
            orders.append(client.post_order(client.create_order(args, options), "GTC"))
        for token, amount, side, kind in MARKETS:
            args = MarketOrderArgs(token_id=token, amount=amount, side=side, order_type=kind)
            orders.append(client.post_order(client.create_market_order(args, options), kind))
    keys = [{"key": creds.api_key, "secret": creds.api_secret} for creds in (made, derived, again)]
    return {**party, "keys": keys, "orders": orders}


json.dump([answers_of(party) for party in config["parties"]], sys.stdout)
