"""JSON-RPC to the service, with nothing but the standard library."""

import ipaddress
import itertools
import json
import urllib.error
import urllib.request
from urllib.parse import urlsplit

# More than any answer has.
_LARGEST_ANSWER = 1 << 20


class RemoteSignerError(Exception):
    """The service refused, or could not be asked.

    `code` is the JSON-RPC error's, `problem` the problem document that came with it; both are None
    where no answer came.
    """

    def __init__(self, message, code=None, problem=None):
        super().__init__(message)
        self.code = code
        self.problem = problem


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The token is for one place."""

    def redirect_request(self, *_):
        return None


class Endpoint:
    """`POST /rpc` of a service."""

    def __init__(self, url, token, timeout, context=None):
        parts = urlsplit(url)
        local = _is_this_machine(parts.hostname)
        if parts.scheme != "https" and not (parts.scheme == "http" and local):
            raise ValueError("the URL begins with https://, or with http:// for this machine")
        if parts.username or parts.password:
            raise ValueError("the token is an argument of its own, not a part of the URL")
        self._url = url
        self._token = token
        self._timeout = timeout
        handlers = [_NoRedirects(), urllib.request.HTTPSHandler(context=context)]
        if local:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)
        self._ids = itertools.count(1)

    def call(self, method, params):
        """The result of a call. It is never repeated here."""
        number = next(self._ids)
        body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        request = urllib.request.Request(
            self._url,
            data=json.dumps(body).encode(),
            headers={"content-type": "application/json", "authorization": f"Bearer {self._token}"},
            method="POST",
        )
        try:
            with self._opener.open(request, timeout=self._timeout) as response:
                text = response.read(_LARGEST_ANSWER)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read(_LARGEST_ANSWER)
        except OSError as error:
            raise RemoteSignerError(f"the signer did not answer: {error}") from None
        try:
            answer = json.loads(text)
            error = answer.get("error")
        except (ValueError, AttributeError):
            raise RemoteSignerError("the signer's answer is not JSON-RPC") from None
        if error:
            raise RemoteSignerError(error.get("message"), error.get("code"), error.get("data"))
        if answer.get("id") != number or "result" not in answer:
            raise RemoteSignerError("the signer's answer is not to this call")
        return answer["result"]

    def __repr__(self):
        return f"Endpoint({self._url!r})"


def _is_this_machine(host):
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
