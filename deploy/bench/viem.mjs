// How many orders the official TypeScript client builds and signs a second in one process, with its key in memory and
// nothing on record: what one would have instead of the service. Prints one JSON object.
//
//     cd tests/clients && npm ci --ignore-scripts && cd - && node deploy/bench/viem.mjs [SECONDS] [viem|ethers]
//
// PACKAGES in the environment: another directory with these packages.
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const packages = process.env.PACKAGES ?? new URL("../../tests/clients", import.meta.url).pathname;
const from = createRequire(pathToFileURL(resolve(packages, "package.json")));
const load = (name) => {
  try {
    return from(name);
  } catch {
    console.error(`${name} is not in ${packages}: npm ci --ignore-scripts there`);
    process.exit(1);
  }
};
const seconds = Number(process.argv[2] ?? 5);
const library = process.argv[3] ?? "viem";
if (!(seconds > 0) || !["viem", "ethers"].includes(library)) {
  console.error("usage: node deploy/bench/viem.mjs [SECONDS] [viem|ethers]");
  process.exit(2);
}

const { OrderBuilder, Side } = load("@polymarket/clob-client-v2");
const key = "0x" + "5a".repeat(32);
const signer = {
  viem: () => {
    const { createWalletClient, http } = load("viem");
    const { privateKeyToAccount } = load("viem/accounts");
    const { polygon } = load("viem/chains");
    return createWalletClient({ account: privateKeyToAccount(key), chain: polygon, transport: http("http://127.0.0.1:1") });
  },
  ethers: () => new (load("ethers").ethers.Wallet)(key),
}[library]();
const builder = new OrderBuilder(signer, 137);
const order = () => ({
  tokenID: "71321045679252212594626385532706912750332728571942532289631379312455583992563",
  side: Side.BUY, price: 0.56, size: 21.04,
});
const run = async (time) => {
  const start = performance.now();
  let count = 0;
  while (performance.now() - start < time * 1e3) {
    const signed = await builder.buildOrder(order(), { tickSize: "0.01", negRisk: false }, 2);
    if (!/^0x[0-9a-f]{130}$/.test(signed.signature)) throw new Error(`no signature: ${JSON.stringify(signed)}`);
    count += 1;
  }
  return count / ((performance.now() - start) / 1e3);
};
await run(1);
const a_second = await run(seconds);
console.log(JSON.stringify({ client: "@polymarket/clob-client-v2", library, seconds, a_second: Math.round(a_second) }));
