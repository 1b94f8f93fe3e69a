"""The key object against a signer of this test's own, which has a key and knows eth_account."""

import json
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from py_clob_client.client import ClobClient as ClientV1
from py_clob_client.signer import Signer as SignerV1
from py_clob_client.signing.eip712 import sign_clob_auth_message as login_v1
from py_clob_client_v2.order_utils.exchange_order_builder_v2 import ExchangeOrderBuilderV2
from py_clob_client_v2.order_utils.model.order_data_v2 import OrderDataV2
from py_clob_client_v2.order_utils.model.signature_type_v2 import SignatureTypeV2
from py_clob_client_v2.signer import Signer as SignerV2

from chancery_signer import Refused, RemoteKey, RemoteSignerError

# The first of the well-known development keys.
SECRET = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
LOCAL = Account.from_key(SECRET)
EXCHANGE = "0xE111180000d2663C0091e4f400237545B87B996B"


def numbers(data):
    """What arrives has text where eth_account wants integers and bytes."""
    kinds = data["types"]

    def value(kind, given):
        if kind in kinds:
            return {f["name"]: value(f["type"], given[f["name"]]) for f in kinds[kind]}
        if kind.startswith("uint"):
            return int(given)
        return bytes.fromhex(given[2:]) if kind == "bytes32" else given

    domain = {**data["domain"], "chainId": int(data["domain"]["chainId"])}
    return {**data, "domain": domain, "message": value(data["primaryType"], data["message"])}


class Server(BaseHTTPRequestHandler):
    calls = []
    answer = None  # instead of a signature

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        type(self).calls.append((self.headers["authorization"], body))
        status, reply = 200, {"jsonrpc": "2.0", "id": body["id"]}
        if self.answer is not None:
            status, more = self.answer
            reply.update(more)
        elif body["method"] == "eth_accounts":
            reply["result"] = [LOCAL.address]
        else:
            data = numbers(body["params"][1])
            signed = LOCAL.sign_message(encode_typed_data(full_message=data))
            reply["result"] = "0x" + signed.signature.hex().removeprefix("0x")
        text = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class RemoteKeyTest(unittest.TestCase):
    def setUp(self):
        Server.calls, Server.answer = [], None
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/rpc"
        self.key = RemoteKey(self.url, "token", LOCAL.address)

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()

    def sent(self):
        authorization, body = Server.calls[-1]
        self.assertEqual(authorization, "Bearer token")
        self.assertEqual(body["method"], "eth_signTypedData_v4")
        return body["params"]

    def test_a_login_is_signed_as_with_the_key_itself(self):
        for signer in (SignerV1, SignerV2):
            remote = login_v1(signer(self.key, 137), 1_700_000_000, 2**63)
            self.assertEqual(remote, login_v1(SignerV1(SECRET, 137), 1_700_000_000, 2**63))
            address, data = self.sent()
            self.assertEqual(address, LOCAL.address)
            self.assertEqual(data["message"]["nonce"], str(2**63), "no number that a double would cut")

    def test_an_order_is_signed_as_with_the_key_itself(self):
        for kind in (SignatureTypeV2.EOA, SignatureTypeV2.POLY_1271):
            order = OrderDataV2(
                maker=LOCAL.address, tokenId=str(2**255 + 1), makerAmount="1000000",
                takerAmount="2000000", side=0, signer=LOCAL.address, signatureType=kind,
                timestamp="1713138694321",
            )
            remote, local = (
                ExchangeOrderBuilderV2(EXCHANGE, 137, SignerV2(key, 137), lambda: "479249096354")
                .build_signed_order(order).signature
                for key in (self.key, SECRET)
            )
            self.assertEqual(remote, local)
            primary = "TypedDataSign" if kind == SignatureTypeV2.POLY_1271 else "Order"
            self.assertEqual(self.sent()[1]["primaryType"], primary)

    def test_what_was_not_hashed_here_is_refused_and_nothing_is_sent(self):
        account = Account.from_key(self.key)
        transaction = {"to": LOCAL.address, "value": 1, "gas": 21000, "gasPrice": 1, "nonce": 0, "chainId": 137}
        for attempt in (
            lambda: self.key.sign_msg_hash(bytes(32)),
            lambda: self.key.sign_msg(b"text"),
            lambda: self.key.sign_msg_hash_non_recoverable(bytes(32)),
            lambda: account.sign_message(encode_defunct(text="text")),
            lambda: account.sign_transaction(transaction),
            lambda: account.encrypt("password"),
            lambda: bytes(self.key),
            lambda: int(self.key),
            lambda: self.key.to_hex(),
        ):
            self.assertRaises(Refused, attempt)
        self.assertEqual(Server.calls, [])

    def test_what_another_thread_hashed_is_not_signed_here(self):
        made = []
        data = {
            "types": {"Mail": [{"name": "a", "type": "uint256"}]}, "primaryType": "Mail",
            "domain": {"name": "x"}, "message": {"a": 1},
        }

        def hash_it():
            message = encode_typed_data(full_message=data)
            from eth_account.messages import _hash_eip191_message
            made.append(_hash_eip191_message(message))

        thread = threading.Thread(target=hash_it)
        thread.start()
        thread.join()
        self.assertRaises(Refused, self.key.sign_msg_hash, made[0])

    def test_a_refusal_is_raised_with_its_code(self):
        problem = {"type": "/problems/denied"}
        Server.answer = (200, {"error": {"code": 4001, "message": "not permitted", "data": problem}})
        with self.assertRaises(RemoteSignerError) as refused:
            login_v1(SignerV1(self.key, 137), 1_700_000_000, 0)
        self.assertEqual((refused.exception.code, refused.exception.problem), (4001, problem))
        self.assertEqual(str(refused.exception), "not permitted")
        Server.answer = (401, {"error": {"code": 4100, "message": "who?"}})
        self.assertRaises(RemoteSignerError, login_v1, SignerV1(self.key, 137), 1_700_000_000, 0)

    def test_a_wrong_signature_is_not_passed_on(self):
        other = Account.from_key("0x" + "11" * 32)
        wrong = other.sign_message(encode_defunct(text="x")).signature.hex().removeprefix("0x")
        for result in ("0x" + wrong, "0x" + "00" * 65, "0x", None, 7, "0x" + "ff" * 300):
            Server.answer = (200, {"result": result})
            self.assertRaises(RemoteSignerError, login_v1, SignerV1(self.key, 137), 1_700_000_000, 0)

    def test_the_one_account_is_found_and_the_token_stays_hidden(self):
        key = RemoteKey(self.url, "token")
        self.assertEqual(Account.from_key(key).address, LOCAL.address)
        client = ClientV1("https://clob.example", chain_id=137, key=key)
        self.assertEqual(client.get_address(), LOCAL.address, "a remote key is taken for a key")
        self.assertNotIn("token", repr(key) + str(key) + repr(key._endpoint))
        for url in ("http://signer.example/rpc", "ftp://127.0.0.1/", "https://a:b@signer.example/"):
            self.assertRaises(ValueError, RemoteKey, url, "token", LOCAL.address)


if __name__ == "__main__":
    unittest.main()
