// What owners of contract wallets sign, hashed here from the fields of a relayer's body: a Safe's transaction, the
// order to deploy a Safe, a relayed call of a proxy wallet, a deposit wallet's batch. Own code, for a test peer.
import { keccak, word, create2, recover } from "../clob-server/eth.mjs";

const bytes = (hex) => {
  if (!/^0x([0-9a-fA-F]{2})*$/.test(hex ?? "")) throw new Error("not bytes");
  return Buffer.from(hex.slice(2), "hex");
};
const address = (a) => bytes(a);
const left = (a) => Buffer.concat([Buffer.alloc(12), address(a)]);
const typed = (separator, struct) => keccak(Buffer.concat([Buffer.from([0x19, 0x01]), separator, struct]));
const personal = (hash) => keccak(Buffer.concat([Buffer.from("\x19Ethereum Signed Message:\n32"), hash]));

export const SAFE_FACTORY = "0xaacfeea03eb1561c4e67d661e40682bd20e3541b";
export const MULTISEND = "0xa238cbeb142c10ef7ad8442c6d1f9e89e07e7761";
export const PROXY_FACTORY = "0xab45c5a4b0c941a2f231c04c3f49182e1a254052";
export const RELAY_HUB = "0xd216153c06e857cd7f72665e0af1d7d82172f494";
export const DEPOSIT_FACTORY = "0x00000000000fb5c9adea0298d729a0cb3823cc07";
export const RELAY = "0x3cbbcb26da902ee99311dbc31b742ec4b5df3367";

// ---- Safe -------------------------------------------------------------------------
const SAFE_DOMAIN = keccak("EIP712Domain(uint256 chainId,address verifyingContract)");
const SAFE_TX = keccak("SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas," +
  "uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)");
export function safeTxHash(chainId, safe, t) {
  const separator = keccak(Buffer.concat([SAFE_DOMAIN, word(chainId), left(safe)]));
  return typed(separator, keccak(Buffer.concat([SAFE_TX, left(t.to), word(t.value), keccak(bytes(t.data)), word(t.operation),
    word(t.safeTxGas), word(t.baseGas), word(t.gasPrice), left(t.gasToken), left(t.refundReceiver), word(t.nonce)])));
}
/** Who signed: v 31/32 is the personal message over the hash, v 27/28 the hash itself. */
export function safeSigner(hash, signature) {
  const v = parseInt((signature ?? "").slice(-2), 16);
  if (v !== 31 && v !== 32) return recover(hash, signature ?? "");
  return recover(personal(hash), signature.slice(0, -2) + (v - 4).toString(16));
}
/** The calls inside multiSend(bytes): each one's operation, target, value and data. */
export function multiSend(data) {
  const raw = bytes(data);
  if (raw.length < 68 || raw.subarray(0, 4).toString("hex") !== "8d80ff0a") throw new Error("not multiSend");
  const length = Number(BigInt("0x" + raw.subarray(36, 68).toString("hex")));
  const calls = [];
  for (let at = 68; at < 68 + length;) {
    const size = Number(BigInt("0x" + raw.subarray(at + 53, at + 85).toString("hex")));
    calls.push({ operation: raw[at], target: "0x" + raw.subarray(at + 1, at + 21).toString("hex"),
      value: BigInt("0x" + raw.subarray(at + 21, at + 53).toString("hex")).toString(), data: "0x" + raw.subarray(at + 85, at + 85 + size).toString("hex") });
    at += 85 + size;
  }
  return calls;
}

const FACTORY_DOMAIN = keccak("EIP712Domain(string name,uint256 chainId,address verifyingContract)");
const CREATE_PROXY = keccak("CreateProxy(address paymentToken,uint256 payment,address paymentReceiver)");
export function createProxyHash(chainId, p) {
  const separator = keccak(Buffer.concat([FACTORY_DOMAIN, keccak("Polymarket Contract Proxy Factory"), word(chainId), left(SAFE_FACTORY)]));
  return typed(separator, keccak(Buffer.concat([CREATE_PROXY, left(p.paymentToken), word(p.payment), left(p.paymentReceiver)])));
}

// ---- proxy wallet (GSN v1) ----------------------------------------------------------
export function relayDigest(b) {
  const p = b.signatureParams;
  return personal(keccak(Buffer.concat([Buffer.from("rlx:"), address(b.from), address(b.to), bytes(b.data), word(p.relayerFee),
    word(p.gasPrice), word(p.gasLimit), word(b.nonce), address(p.relayHub), address(p.relay)])));
}
/** The calls inside proxy((uint8,address,uint256,bytes)[]). */
export function proxyCalls(data) {
  const raw = bytes(data);
  if (raw.subarray(0, 4).toString("hex") !== "34ee9791") throw new Error("not proxy(calls)");
  const at = (offset) => BigInt("0x" + raw.subarray(4 + offset, 36 + offset).toString("hex"));
  const base = Number(at(0)) + 32, calls = [];
  for (let i = 0; i < Number(at(base - 32)); i++) {
    const call = base + Number(at(base + 32 * i)), inner = call + Number(at(call + 96));
    calls.push({ typeCode: Number(at(call)), target: "0x" + at(call + 32).toString(16).padStart(40, "0"), value: at(call + 64).toString(),
      data: "0x" + raw.subarray(4 + inner + 32, 4 + inner + 32 + Number(at(inner))).toString("hex") });
  }
  return calls;
}

// ---- deposit wallet -----------------------------------------------------------------
const WALLET_DOMAIN = keccak("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
const CALL = keccak("Call(address target,uint256 value,bytes data)");
const BATCH = keccak("Batch(address wallet,uint256 nonce,uint256 deadline,Call[] calls)Call(address target,uint256 value,bytes data)");
export function batchHash(chainId, wallet, nonce, deadline, calls) {
  const separator = keccak(Buffer.concat([WALLET_DOMAIN, keccak("DepositWallet"), keccak("1"), word(chainId), left(wallet)]));
  const each = calls.map((c) => keccak(Buffer.concat([CALL, left(c.target), word(c.value), keccak(bytes(c.data))])));
  return typed(separator, keccak(Buffer.concat([BATCH, left(wallet), word(nonce), word(deadline), keccak(Buffer.concat(each))])));
}
/** Who signed a batch: the owner with 65 bytes, or a session key, whose signature says whose it is. */
export function batchSigner(hash, signature) {
  if (!signature.endsWith("6492".repeat(16))) return { signer: recover(hash, signature), session: false };
  const raw = bytes(signature);
  const [signer, kind, offset, length] = [0, 1, 2, 3].map((i) => BigInt("0x" + raw.subarray(32 * i, 32 * i + 32).toString("hex")));
  if (raw.length !== 256 || kind !== 0n || offset !== 96n || length !== 65n) return { signer: null, session: true };
  const by = recover(hash, "0x" + raw.subarray(128, 193).toString("hex"));
  return { signer: by && BigInt(by) === signer ? by : null, session: true };
}

// ---- which deposit wallet an owner has ------------------------------------------------
// Source of the codes: Solady, LibClone. The constructor stores the target in the slot that the runtime code names.
const DEPOSIT = {
  beacon: ["7a18edfe055488a3128f01f563e5b479d92ffc3a", "19", "363d3d373d3d363d602036600436635c60da1b60e01b36527fa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50545afa5036515af43d6000803e604d573d6000fd5b3d6000f3"],
  uups: ["58ca52ebe0dadfdf531cde7062e76746de4db1eb", "09", "363d3d373d3d363d7f360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc545af43d6000803e6038573d6000fd5b3d6000f3"],
};
export function depositWallet(owner, form = "beacon") {
  const [target, slot, runtime] = DEPOSIT[form], args = Buffer.concat([left(DEPOSIT_FACTORY), left(owner)]);
  const length = (runtime.length / 2 + args.length).toString(16).padStart(4, "0");
  const code = Buffer.concat([Buffer.from(`61${length}3d8160233d3973${target}60${slot}5155f3${runtime}`, "hex"), args]);
  return create2(DEPOSIT_FACTORY, keccak(args), keccak(code));
}
