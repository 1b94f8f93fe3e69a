"""Gets builder headers from a remote signer, then makes the same ones from the key itself."""

import json
import sys

from py_builder_signing_sdk.config import BuilderConfig
from py_builder_signing_sdk.sdk_types import BuilderApiKeyCreds, RemoteBuilderConfig

given = json.loads(sys.argv[1])
remote = BuilderConfig(remote_builder_config=RemoteBuilderConfig(given["url"], given["token"]))
credentials = BuilderApiKeyCreds(given["key"], given["secret"], given["passphrase"])
local = BuilderConfig(local_builder_creds=credentials)
for request in given["requests"]:
    asked = [request["method"], request["path"], request.get("body")]
    got = remote.generate_builder_headers(*asked, request.get("timestamp"))
    own = local.generate_builder_headers(*asked, int(got["POLY_BUILDER_TIMESTAMP"]))
    print(json.dumps({"remote": got, "local": own.to_dict()}))
