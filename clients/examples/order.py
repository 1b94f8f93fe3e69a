"""An order, and a client assertion, with nothing but Python's own library."""

import json
import os
import time
import urllib.error
import urllib.request
import uuid

URL, WALLET, CLIENT = (os.environ[it] for it in ("CHANCERY_URL", "WALLET", "CLIENT"))
ORDER = {
    "tokenID": "71321045679252212594626385532706912750332728571942532289631379312455583992999",
    "side": "BUY", "price": "0.56", "size": "21.04", "tickSize": "0.01", "negRisk": False,
}  # fmt: skip


class Refused(Exception):
    """The service said no. `problem` says why, and what to do."""

    def __init__(self, problem):
        super().__init__(f"{problem['title']}: {problem['detail']}. {problem['action']}")
        self.problem = problem


def ask(path, body, tries=5):
    """Asks under one key, so that asking again brings the same answer and never a second signature."""
    key = str(uuid.uuid4())
    for tried in range(tries):
        with open(os.environ["CHANCERY_TOKEN_FILE"], encoding="ascii") as file:
            token = file.read().strip()  # anew each time: it may have been replaced
        headers = {
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            "idempotency-key": key,
        }
        request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            problem = json.load(error)
            wait = error.headers.get("retry-after")
            if wait is None or tried == tries - 1:
                raise Refused(problem) from None
            time.sleep(float(wait))
        except OSError:  # the connection broke, and nobody knows what came of it
            if tried == tries - 1:
                raise
            time.sleep(0.2)


print(json.dumps(ask(f"/v1/wallets/{WALLET}/orders", ORDER)))
print(json.dumps(ask(f"/v1/clients/{CLIENT}/assertions", {})))
