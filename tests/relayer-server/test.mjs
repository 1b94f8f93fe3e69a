// Self-check: every body of tests/vectors/wallet-operations.json is taken, and what is wrong with one is refused.
// node --test test.mjs; CHANCERY_VECTORS names another folder of vectors.
import test from "node:test";
import assert from "node:assert/strict";
import crypto from "node:crypto";
import fs from "node:fs";
import { Relayer } from "./server.mjs";
import * as h from "./hashes.mjs";

const folder = process.env.CHANCERY_VECTORS ?? new URL("../vectors", import.meta.url).pathname;
const file = JSON.parse(fs.readFileSync(`${folder}/wallet-operations.json`, "utf8"));
const vectors = file.vectors.filter((v) => v.body), of = (id) => structuredClone(vectors.find((v) => v.id === id));
const builder = { key: "b", secret: crypto.randomBytes(32).toString("base64url"), passphrase: "p" };

async function start(config) {
  const relayer = new Relayer(config), s = await relayer.listen(0);
  relayer.builders.set(builder.key, builder);
  const headers = (method, path, body) => { const ts = String(Math.floor(Date.now() / 1000)); return { POLY_BUILDER_API_KEY: builder.key, POLY_BUILDER_PASSPHRASE: builder.passphrase, POLY_BUILDER_TIMESTAMP: ts,
    POLY_BUILDER_SIGNATURE: crypto.createHmac("sha256", Buffer.from(builder.secret, "base64url")).update(ts + method + path + body).digest("base64").replace(/\+/g, "-").replace(/\//g, "_") }; };
  const call = async (method, path, body, more = {}) => {
    const r = await fetch(s.url + path, { method, body, headers: { "content-type": "application/json", ...headers(method, path.split("?")[0], body ?? ""), ...more } });
    return { status: r.status, body: await r.json(), hint: r.headers.get("x-relayer-hint") };
  };
  /** The wallet of a vector as it has to be for its body to be next. */
  const ready = (v) => {
    const type = v.kind === "safeTx" ? "SAFE" : v.kind === "proxyRelay" ? "PROXY" : "WALLET";
    if (v.kind === "createProxy" || v.kind === "depositCreate") return;
    const session = v.params.signer === "session key", owner = session ? "0x757903d552e009dd3399d77d0e2380fae4b50c27" : v.owner;
    const wallet = relayer.wallet(v.wallet, type, owner);
    Object.assign(wallet, { deployed: true, nonce: BigInt(v.params.nonce), sessions: session ? { [v.owner.toLowerCase()]: 4e9 } : {} });
  };
  const submit = (v, body = JSON.stringify(v.body)) => call("POST", "/submit", body);
  return { relayer, call, ready, submit, close: s.close };
}

test("every body of the vectors is taken, once, and spends its nonce", async () => {
  let taken = 0;
  for (const chain_id of [137, 80002]) {
    for (const v of vectors.filter((it) => it.chainId === chain_id)) {
      const at = await start({ chain_id, ...(v.params.relay ? { relay: v.params.relay.toLowerCase() } : {}), clock_offset_s: v.params.deadline ? Number(v.params.deadline) - 600 - Math.floor(Date.now() / 1000) : 0, skew_s: 1e10 });
      at.ready(v);
      const first = await at.submit(v);
      assert.equal(first.status, 200, `${v.id}: ${JSON.stringify(first)}`);
      assert.equal((await at.submit(v)).status, 409, v.id);
      for (const state of ["NEW", "EXECUTED", "MINED", "CONFIRMED", "CONFIRMED"]) {
        const looked = await at.call("GET", `/transaction?id=${first.body.transactionID}`);
        assert.equal(looked.body[0]?.state, state, `${v.id}: ${JSON.stringify(looked)}`);
      }
      assert.equal((await at.submit(v)).status, 400, `${v.id} again`);
      assert.equal(at.relayer.executed.length, v.calls.length, v.id);
      taken += 1;
      await at.close();
    }
  }
  assert.equal(taken, 41);
});

test("a deposit wallet follows from its owner", () => {
  assert.equal(h.depositWallet("0x757903d552e009dd3399d77d0e2380fae4b50c27"), "0x15c9e3c76824bdeb95f96f9c9b35d36389144fe8");
});

test("what is wrong with a body is refused, and nothing is executed", async () => {
  const cases = [
    ["safe-approve-pusd", (b) => { b.nonce = "1"; }, /invalid signature/],
    ["safe-approve-pusd", (b) => { b.signatureParams.gasPrice = "1"; }, /invalid signature/],
    ["safe-redeem-two-markets", (b) => { b.to = b.from; }, /invalid operation/],
    ["safe-approve-pusd", (b) => { b.proxyWallet = b.from; }, /signature|belong/],
    ["proxy-redeem", (b) => { b.signatureParams.gasLimit = "1"; }, /invalid signature/],
    ["proxy-redeem", (b) => { b.signatureParams.relay = b.from; }, /invalid payload/],
    ["deposit-approve", (b) => { b.depositWalletParams.calls[0].data += "00"; }, /invalid signature/],
    ["deposit-approve", (b) => { b.depositWalletParams.deadline = "1"; }, /deadline/],
    ["deposit-approve", (b) => { b.type = "X"; }, /unsupported/],
    ["safe-create", (b) => { b.signatureParams.payment = "1"; }, /invalid signature/],
  ];
  for (const [id, change, why] of cases) {
    const v = of(id), at = await start({ clock_offset_s: v.params.deadline ? Number(v.params.deadline) - 600 - Math.floor(Date.now() / 1000) : 0, skew_s: 1e10 });
    at.ready(v);
    change(v.body);
    const r = await at.submit(v);
    assert.equal(r.status, 400, `${id}: ${JSON.stringify(r)}`);
    assert.match(r.body.error, why, id);
    assert.equal(at.relayer.transactions.length, 0);
    await at.close();
  }
});

test("nonces, busy wallets, the relayer's own list and unknown builders", async () => {
  const v = of("safe-approve-pusd"), at = await start({ settle: "never" });
  at.ready(v);
  const asked = await at.call("GET", `/nonce?address=${v.owner}&type=SAFE`);
  assert.deepEqual(asked.body, { nonce: "0" });
  at.relayer.wallets.get(v.wallet.toLowerCase()).nonce = 7n;
  assert.match((await at.submit(v)).body.error, /batch nonce 0 does not match on-chain nonce 7/);
  at.relayer.wallets.get(v.wallet.toLowerCase()).nonce = 0n;
  at.relayer.config.blocked = [v.body.to.toLowerCase()];
  assert.match((await at.submit(v)).body.error, /not permitted/);
  at.relayer.config.blocked = [];
  const stranger = await at.call("POST", "/submit", JSON.stringify(v.body), { POLY_BUILDER_PASSPHRASE: "x" });
  assert.equal(stranger.status, 401);
  assert.equal((await at.submit(v, JSON.stringify(v.body) + " ")).status, 200, "the text is what is signed, whatever it looks like");
  assert.match((await at.submit(v)).body.error, /busy/);
  assert.equal((await at.call("GET", "/transactions")).body.length, 1);
  await at.close();
});

test("session keys: authorized by the owner's batch, then they sign, and move nothing out", async () => {
  const v = of("deposit-authorize-session-key"), at = await start({ settle: "at_once", clock_offset_s: Number(v.params.deadline) - 600 - Math.floor(Date.now() / 1000), skew_s: 1e10 });
  at.ready(v);
  assert.equal((await at.submit(v)).status, 200);
  const wallet = at.relayer.wallets.get(v.wallet.toLowerCase());
  assert.deepEqual(wallet.sessions, { "0xb65332b89b24171b67c5459c0bf95c485419e71c": 1815534000 });
  const revoke = of("deposit-revoke-session-key");
  wallet.nonce = BigInt(revoke.params.nonce);
  const revoked = await at.submit(revoke);
  assert.equal(revoked.status, 200, JSON.stringify(revoked));
  const stranger = of("deposit-session-key-merge");
  wallet.nonce = BigInt(stranger.params.nonce);
  assert.match((await at.submit(stranger)).hint, /no session key/);
  await at.close();
});

test("outcomes and faults", async () => {
  for (const [outcome, state, nonce] of [["FAILED", "FAILED", 1n], ["INVALID", "INVALID", 0n]]) {
    const v = of("safe-approve-pusd"), at = await start({ outcome, settle: "at_once" });
    at.ready(v);
    assert.equal((await at.submit(v)).body.state, state);
    assert.equal(at.relayer.wallets.get(v.wallet.toLowerCase()).nonce, nonce);
    assert.equal(at.relayer.executed.length, 0);
    await at.close();
  }
  const v = of("safe-approve-pusd"), at = await start();
  at.ready(v);
  at.relayer.faults.push({ path: "/submit", phase: "after", drop: true, times: 1 });
  await assert.rejects(at.submit(v));
  assert.equal(at.relayer.transactions.length, 1, "taken, and the answer was lost");
  await at.close();
});
