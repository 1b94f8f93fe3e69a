#!/usr/bin/env node
// A small in-memory relayer of contract wallets, for tests. 127.0.0.1 only. See README.md.
import http from "node:http";
import crypto from "node:crypto";
import fs from "node:fs";
import { pathToFileURL } from "node:url";
import { isAddress, lower, keccak, recover, proxyWallet, safeWallet } from "../clob-server/eth.mjs";
import * as h from "./hashes.mjs";

const DEFAULTS = {
  chain_id: 137,
  settle: "steps",          // steps: each look moves a transaction on; at_once: when it is taken; never
  outcome: "CONFIRMED",     // or FAILED (mined and reverted: the nonce is spent), INVALID (never mined: it is not)
  owner_check: true,        // the wallet has to be the one that follows from the signer
  typed_safe: true,         // a Safe's transaction may be signed as typed data (v 27/28) too
  blocked: [],              // targets that the relayer's own list refuses, in lower case
  relay: h.RELAY,           // who submits relayed calls of proxy wallets, in lower case
  registry_delay: 0,        // so many submissions to a wallet after its deployment are refused
  skew_s: 300,
  clock_offset_s: 0,
};
const STATES = ["NEW", "EXECUTED", "MINED", "CONFIRMED"];
const AUTHORIZE = "24017fae", REVOKE = "e63f952f", TRANSFERS = ["a9059cbb", "f242432a", "2eb2c2d6"];

class HttpError extends Error {
  constructor(status, error, hint) { super(error); this.status = status; this.body = { error }; this.hint = hint; }
}
const reject = (status, error, hint) => { throw new HttpError(status, error, hint); };
const same = (a, b) => { const x = Buffer.from(String(a)), y = Buffer.from(String(b)); return x.length === y.length && crypto.timingSafeEqual(x, y); };
const number = (v) => /^\d{1,78}$/.test(v ?? "");
const argument = (data, i) => BigInt("0x" + data.slice(10 + 64 * i, 74 + 64 * i));

export class Relayer {
  constructor(config = {}, state) { this.config = { ...DEFAULTS, ...config }; this.state = state; this.reset(); this.remember(); }

  reset() {
    this.builders = new Map();   // key -> {key, secret, passphrase, address}
    this.wallets = new Map();    // address -> {type, owner, nonce, deployed, sessions, refusals}
    this.transactions = [];
    this.executed = [];          // each call that took effect: wallet, nonce, target, data
    this.faults = [];
    this.log = [];
  }
  now() { return Math.floor(Date.now() / 1000) + this.config.clock_offset_s; }

  // ---- builders and wallets over a restart, where there is a file for them ------------------
  remember() {
    if (!this.state || !fs.existsSync(this.state)) return;
    const { builders, wallets } = JSON.parse(fs.readFileSync(this.state, "utf8"));
    for (const b of builders) this.builders.set(b.key, b);
    for (const w of wallets) this.wallets.set(w.address, { ...w, nonce: BigInt(w.nonce) });
  }
  keep() {
    if (!this.state) return;
    const wallets = [...this.wallets.values()].map((w) => ({ ...w, nonce: w.nonce.toString() }));
    fs.writeFileSync(this.state + ".new", JSON.stringify({ builders: [...this.builders.values()], wallets }), { mode: 0o600 });
    fs.renameSync(this.state + ".new", this.state);
  }

  // ---- who asks: builder headers over the exact text -----------------------------------
  builder(req) {
    const bad = (hint) => reject(401, "invalid authorization", hint), p = (name) => req.headers[`poly_builder_${name}`];
    const key = this.builders.get(p("api_key"));
    if (!key) bad("unknown POLY_BUILDER_API_KEY");
    if (!same(key.passphrase, p("passphrase") ?? "")) bad("wrong passphrase");
    if (!/^\d{1,12}$/.test(p("timestamp") ?? "") || Math.abs(this.now() - Number(p("timestamp"))) > this.config.skew_s) bad("POLY_BUILDER_TIMESTAMP outside the accepted window");
    const mac = crypto.createHmac("sha256", Buffer.from(key.secret, "base64url")).update(p("timestamp") + req.method + req.path + req.body).digest("base64").replace(/\+/g, "-").replace(/\//g, "_");
    if (!same(p("signature") ?? "", mac)) bad("HMAC does not match timestamp+method+path+body");
    return key;
  }

  // ---- wallets ------------------------------------------------------------------------
  of(owner, type) {
    if (type === "SAFE" || type === "SAFE-CREATE") return safeWallet(owner);
    if (type === "PROXY") return proxyWallet(owner, this.config.chain_id) ?? reject(400, "no proxy wallets on this chain");
    return h.depositWallet(owner);
  }
  wallet(address, type, owner) {
    const at = lower(address);
    if (!this.wallets.has(at)) this.wallets.set(at, { address: at, type, owner: lower(owner), nonce: 0n, deployed: type === "PROXY", sessions: {}, refusals: 0 });
    return this.wallets.get(at);
  }
  /** The wallet that is asked about by its own address or its owner's. */
  asked(query) {
    const address = query.get("address"), type = query.get("type");
    if (!isAddress(address)) reject(400, "invalid address");
    if (!["SAFE", "PROXY", "WALLET"].includes(type)) reject(400, "invalid type");
    const own = this.wallets.get(lower(address));
    return own?.type === type ? own : this.wallet(this.of(lower(address), type), type, address);
  }
  busy(wallet) { return this.transactions.some((t) => t.wallet === wallet.address && (t.state === "NEW" || t.state === "EXECUTED")); }

  // ---- what is submitted ----------------------------------------------------------------
  submit(req) {
    const by = this.builder(req);
    let b; try { b = JSON.parse(req.body); } catch { reject(400, "invalid payload"); }
    if (!isAddress(b?.from)) reject(400, "invalid from");
    if (b.metadata !== undefined && (typeof b.metadata !== "string" || b.metadata.length > 500)) reject(400, "invalid metadata");
    const kinds = { SAFE: "safe", "SAFE-CREATE": "safeCreate", PROXY: "proxy", WALLET: "deposit", "WALLET-CREATE": "depositCreate" };
    const kind = kinds[b.type] ?? reject(400, `unsupported transaction type ${b.type}`);
    let taken; try { taken = this[kind](b); } catch (e) { if (e instanceof HttpError) throw e; reject(400, "invalid payload", e.message); }
    const { wallet, calls, create } = taken;
    calls.forEach((c, i) => { if (this.config.blocked.includes(lower(c.target))) reject(400, `call blocked: call[${i}] blocked: calls to ${c.target} are not permitted`); });
    if (this.busy(wallet)) reject(409, "wallet busy: in-flight action");
    if (!create) {
      if (wallet.refusals > 0) { wallet.refusals -= 1; reject(400, "wallet registry validation failed"); }
      if (!number(b.nonce) || BigInt(b.nonce) !== wallet.nonce) reject(400, `batch nonce ${b.nonce} does not match on-chain nonce ${wallet.nonce}`);
    }
    const id = crypto.randomUUID(), at = new Date().toISOString();
    const t = { transactionID: id, transactionHash: "", from: b.from, to: b.to, proxyAddress: wallet.address, data: b.data ?? "", nonce: b.nonce ?? "", value: "",
      signature: b.signature ?? "", state: "NEW", type: b.type, metadata: b.metadata ?? "", owner: by.key, createdAt: at, updatedAt: at, wallet: wallet.address, calls, create };
    this.transactions.push(t);
    if (this.config.settle === "at_once") while (this.step(t));
    return { transactionID: id, state: t.state };
  }
  owned(b, type, signer) {
    const wallet = lower(b.proxyWallet ?? "");
    if (signer !== lower(b.from)) reject(400, "invalid signature", signer ? `recovers to ${signer}` : "not a signature");
    if (this.config.owner_check && this.of(lower(b.from), type) !== wallet) reject(400, "wallet does not belong to the signer");
    return this.wallet(wallet, type, b.from);
  }
  safe(b) {
    const p = b.signatureParams, calls = p.operation === "1" ? h.multiSend(b.data) : [{ target: b.to, value: "0", data: b.data }];
    if (!["0", "1"].includes(p.operation) || (p.operation === "1" && (lower(b.to) !== h.MULTISEND || calls.some((c) => c.operation !== 0)))) reject(400, "invalid operation");
    const hash = h.safeTxHash(this.config.chain_id, b.proxyWallet, { to: b.to, value: 0, data: b.data, operation: p.operation, safeTxGas: p.safeTxnGas,
      baseGas: p.baseGas, gasPrice: p.gasPrice, gasToken: p.gasToken, refundReceiver: p.refundReceiver, nonce: b.nonce });
    if (!this.config.typed_safe && !/(1f|20)$/.test(b.signature)) reject(400, "invalid signature", "typed data is not taken");
    const wallet = this.owned(b, "SAFE", h.safeSigner(hash, b.signature));
    if (!wallet.deployed) reject(400, "safe is not deployed");
    return { wallet, calls };
  }
  safeCreate(b) {
    if (lower(b.to) !== h.SAFE_FACTORY || b.data !== "0x") reject(400, "invalid payload");
    const wallet = this.owned(b, "SAFE", recover(h.createProxyHash(this.config.chain_id, b.signatureParams), b.signature));
    if (wallet.deployed) reject(400, "safe already deployed");
    return { wallet, calls: [], create: true };
  }
  proxy(b) {
    const p = b.signatureParams;
    if (lower(b.to) !== h.PROXY_FACTORY || lower(p.relayHub) !== h.RELAY_HUB || lower(p.relay) !== this.config.relay) reject(400, "invalid payload", "factory, hub or relay");
    const calls = h.proxyCalls(b.data);
    if (calls.some((c) => c.typeCode !== 1)) reject(400, "invalid payload", "typeCode");
    return { wallet: this.owned(b, "PROXY", recover(h.relayDigest(b), b.signature)), calls };
  }
  deposit(b) {
    const p = b.depositWalletParams, wallet = this.wallets.get(lower(p.depositWallet));
    if (lower(b.to) !== h.DEPOSIT_FACTORY || !Array.isArray(p.calls) || !p.calls.length) reject(400, "invalid payload");
    if (!wallet?.deployed) reject(400, "wallet registry validation failed", "not deployed");
    if (!number(p.deadline) || Number(p.deadline) < this.now() + 10) reject(400, "deadline too soon");
    const { signer, session } = h.batchSigner(h.batchHash(this.config.chain_id, p.depositWallet, b.nonce, p.deadline, p.calls), b.signature);
    if (!signer || signer !== lower(b.from)) reject(400, "invalid signature", signer ? `recovers to ${signer}` : "not a signature");
    if (session ? !(wallet.sessions[signer] > this.now()) : signer !== wallet.owner) reject(400, "invalid signature", session ? "no session key of this wallet" : "not the owner");
    for (const [i, c] of p.calls.entries()) {
      const own = lower(c.target) === wallet.address, selector = c.data.slice(2, 10);
      const blocked = c.value !== "0" || (own && (session || ![AUTHORIZE, REVOKE, "0a276680", "54d1f13d"].includes(selector))) || (session && TRANSFERS.includes(selector));
      if (blocked) reject(400, `call blocked: call[${i}] blocked: calls to ${c.target} are not permitted`, session ? "by a session key" : "");
    }
    return { wallet, calls: p.calls };
  }
  depositCreate(b) {
    if (lower(b.to) !== h.DEPOSIT_FACTORY) reject(400, "invalid payload");
    const wallet = this.wallet(h.depositWallet(lower(b.from)), "WALLET", b.from);
    if (wallet.deployed) reject(400, "wallet already deployed");
    return { wallet, calls: [], create: true };
  }

  /** Moves a transaction on. Its nonce is spent when it is mined. */
  step(t) {
    const at = STATES.indexOf(t.state), next = STATES[at + 1];
    if (at < 0 || !next) return false;
    const wallet = this.wallets.get(t.wallet), fails = this.config.outcome !== "CONFIRMED";
    t.updatedAt = new Date().toISOString();
    if (this.config.outcome === "INVALID") { t.state = "INVALID"; return false; }
    t.transactionHash = "0x" + keccak(t.transactionID).toString("hex");
    t.state = next;
    if (next !== "MINED") return true;
    if (t.create) { if (!fails) { wallet.deployed = true; wallet.refusals = this.config.registry_delay; } } else wallet.nonce += 1n;
    if (fails) { t.state = "FAILED"; return false; }
    for (const c of t.calls) {
      this.executed.push({ wallet: t.wallet, nonce: t.nonce, target: lower(c.target), data: c.data });
      const selector = c.data.slice(2, 10);
      if (lower(c.target) !== t.wallet || ![AUTHORIZE, REVOKE].includes(selector)) continue;
      const session = "0x" + argument(c.data, 0).toString(16).padStart(40, "0");
      if (selector === AUTHORIZE) wallet.sessions[session] = Number(argument(c.data, 1)); else delete wallet.sessions[session];
    }
    return true;
  }
  show(t) { const { wallet, calls, create, owner, ...shown } = t; return shown; }
  look(id) {
    const t = this.transactions.find((it) => it.transactionID === id) ?? reject(404, "transaction not found");
    const shown = this.show(t);
    if (this.config.settle === "steps") this.step(t);
    return shown;
  }

  route(req) {
    const { path, query } = req;
    switch (`${req.method} ${path}`) {
      case "GET /": case "GET /ok": return "OK";
      case "POST /submit": return this.submit(req);
      case "GET /nonce": return { nonce: this.asked(query).nonce.toString() };
      case "GET /relay-payload": return { address: this.config.relay, nonce: this.asked(query).nonce.toString() };
      case "GET /deployed": return { deployed: this.asked(query).deployed };
      case "GET /transaction": return [this.look(query.get("id"))];
      case "GET /transactions": { const by = this.builder(req); return this.transactions.filter((t) => t.owner === by.key).map((t) => this.show(t)); }
    }
    const m = req.method === "GET" && /^\/v1\/account\/transactions\/([0-9a-f-]{36})$/.exec(path);
    if (m) { this.builder(req); return this.look(m[1]); }
    return reject(404, "Not found");
  }

  // ---- faults, as in clob-server ----------------------------------------------------------
  takeFault(req) {
    const i = this.faults.findIndex((f) => (!f.method || f.method === req.method) && (!f.path || (f.path.endsWith("*") ? req.path.startsWith(f.path.slice(0, -1)) : f.path === req.path)) &&
      (f.skip ? (f.skip--, false) : true));
    if (i < 0) return null;
    const f = this.faults[i];
    if (f.times !== -1 && --f.times <= 0) this.faults.splice(i, 1);
    return f;
  }
  admin(req) {
    const json = () => (req.body ? JSON.parse(req.body) : {});
    switch (`${req.method} ${req.path}`) {
      case "GET /__admin/state": return { config: this.config, executed: this.executed, transactions: this.transactions.map((t) => this.show(t)),
        wallets: [...this.wallets.values()].map((w) => ({ ...w, nonce: w.nonce.toString() })) };
      case "GET /__admin/requests": return this.log;
      case "POST /__admin/faults": { const list = json(); for (const f of Array.isArray(list) ? list : [list]) this.faults.push({ times: 1, ...f }); return this.faults; }
      case "DELETE /__admin/faults": this.faults = []; return [];
      case "POST /__admin/config": Object.assign(this.config, json()); return this.config;
      case "POST /__admin/builders": { const b = json(); this.builders.set(b.key, b); return { ok: true }; }
      // A wallet as it is on the chain: deployed, with a nonce, with session keys.
      case "POST /__admin/wallets": { const w = json(), type = w.type ?? "WALLET", it = this.wallet(w.address ?? this.of(lower(w.owner), type), type, w.owner);
        if (w.nonce !== undefined) it.nonce = BigInt(w.nonce);
        Object.assign(it, { deployed: w.deployed ?? true, sessions: w.sessions ?? it.sessions });
        return { address: it.address }; }
      case "POST /__admin/step": for (const t of this.transactions) while (this.step(t)); return { ok: true };
      case "POST /__admin/reset": this.reset(); return { ok: true };
    }
    return reject(404, "Not found");
  }

  async handle(raw, res) {
    const chunks = []; let size = 0;
    for await (const c of raw) { if ((size += c.length) > 1 << 20) { res.destroy(); return; } chunks.push(c); }
    const url = new URL(raw.url, "http://x");
    const req = { method: raw.method, path: url.pathname, query: url.searchParams, headers: raw.headers, body: Buffer.concat(chunks).toString("utf8") };
    const send = (status, body, extra = {}) => { const text = typeof body === "string" && extra.raw ? body : JSON.stringify(body); delete extra.raw; res.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text), ...extra }); res.end(text); };
    const run = (fn) => { try { return { status: 200, body: fn() }; } catch (e) {
      if (e instanceof HttpError) return { status: e.status, body: e.body, hint: e.hint };
      return { status: req.path.startsWith("/__admin") ? 400 : 500, body: { error: "internal: " + e.message } }; } };
    if (req.path.startsWith("/__admin/")) { const r = run(() => this.admin(req)); return send(r.status, r.body); }

    const entry = { at: Date.now(), method: req.method, path: req.path, query: url.search, poly: Object.fromEntries(Object.entries(req.headers).filter(([k]) => k.startsWith("poly_"))), body: req.body };
    this.log.push(entry); if (this.log.length > 5000) this.log.shift();
    const f = this.takeFault(req), wait = (ms) => new Promise((r) => setTimeout(r, ms));
    const spoil = () => { entry.fault = f.drop ? "drop" : f.status ?? "delay";
      if (f.drop) { res.destroy(); return true; }
      if (f.status) { send(f.status, f.body ?? { error: "injected" }, { ...(typeof f.body === "string" ? { raw: true } : {}), ...(f.headers ?? {}) }); return true; }
      return false; };
    if (f && f.phase !== "after") { if (f.delay_ms) await wait(f.delay_ms); if (spoil()) { entry.status = f.status ?? 0; entry.executed = false; return; } }
    const r = run(() => this.route(req));
    entry.status = r.status; entry.executed = true; if (r.hint) entry.hint = r.hint;
    this.keep();
    if (f && f.phase === "after") { if (f.delay_ms) await wait(f.delay_ms); if (spoil()) return; }
    send(r.status, r.body, r.hint ? { "x-relayer-hint": r.hint.replace(/[^\x20-\x7e]/g, "?") } : {});
  }

  listen(port = 0) {
    const server = http.createServer((q, s) => this.handle(q, s).catch(() => s.destroy()));
    server.keepAliveTimeout = 30000;
    return new Promise((ok, no) => { server.once("error", no); server.listen(port, "127.0.0.1", () => ok({ server, url: `http://127.0.0.1:${server.address().port}`, close: () => new Promise((r) => { server.closeAllConnections(); server.close(r); }) })); });
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const config = {}; let port = 9090, state;
  for (const a of process.argv.slice(2)) {
    const m = /^--([a-z0-9_-]+)=(.*)$/.exec(a);
    const k = m?.[1].replaceAll("-", "_");
    if (k === "port") port = Number(m[2]);
    else if (k === "state") state = m[2];
    else if (k && k in DEFAULTS) config[k] = typeof DEFAULTS[k] === "string" ? m[2] : JSON.parse(m[2]);
    else { console.error(`usage: node server.mjs [--port=N] [--state=FILE] ${Object.keys(DEFAULTS).map((x) => `[--${x.replaceAll("_", "-")}=..]`).join(" ")}`); process.exit(2); }
  }
  const { url } = await new Relayer(config, state).listen(port);
  console.log(`relayer-server listening on ${url}`);
}
