// Gets builder headers from a remote signer, then makes the same ones from the key itself. One line of
// JSON for each request: { remote, local }.
import { BuilderConfig } from "@polymarket/builder-signing-sdk";

const { url, token, key, secret, passphrase, requests } = JSON.parse(process.argv[2]);
const remote = new BuilderConfig({ remoteBuilderConfig: { url, token } });
const local = new BuilderConfig({ localBuilderCreds: { key, secret, passphrase } });
for (const { method, path, body, timestamp } of requests) {
  const got = await remote.generateBuilderHeaders(method, path, body, timestamp);
  const at = Number(got?.POLY_BUILDER_TIMESTAMP);
  const own = await local.generateBuilderHeaders(method, path, body, at);
  console.log(JSON.stringify({ remote: got, local: own }));
}
