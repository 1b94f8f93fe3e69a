// The official CLOB clients, unmodified, with a signer that is nothing but a URL and a token.
// CONFIG in the environment: {rpc, clob, token, parties: [{client, library, address, wallets}]}.
// Prints one JSON object: what each party got.
import { Chain, ClobClient as ClientV1, OrderType, Side } from "@polymarket/clob-client";
import { ClobClient as ClientV2 } from "@polymarket/clob-client-v2";
import { ethers } from "ethers";
import { createWalletClient, http } from "viem";
import { polygon } from "viem/chains";

const { rpc, clob, token, parties } = JSON.parse(process.env.CONFIG);
console.error = () => {}; // the clients report every refusal there
console.log = () => {};
const authorization = `Bearer ${token}`;

const signers = {
  // Asks for the network and the accounts before every step.
  ethers: ({ address }) =>
    new ethers.providers.JsonRpcProvider({ url: rpc, headers: { authorization } }).getSigner(address),
  "ethers-basic": ({ address }) =>
    new ethers.providers.JsonRpcProvider({ url: rpc, user: "any", password: token, allowInsecureAuthentication: true }, 137).getSigner(address),
  viem: ({ address }) => createWalletClient({ account: address, chain: polygon, transport: http(rpc, { fetchOptions: { headers: { authorization } } }) }),
  "viem-batch": ({ address }) =>
    createWalletClient({ account: address, chain: polygon, transport: http(rpc, { batch: true, fetchOptions: { headers: { authorization } } }) }),
};

const connect = (party, { signatureType = 0, funder } = {}, creds) => {
  const signer = signers[party.library](party);
  return party.client === 1
    ? new ClientV1(clob, Chain.POLYGON, signer, creds, signatureType, funder)
    : new ClientV2({ host: clob, chain: 137, signer, creds, signatureType, funderAddress: funder });
};

// Tokens 1001 (plain) and 2001 (neg-risk) of the CLOB server.
const limits = [
  { tokenID: "1001", price: 0.37, size: 15.5, side: Side.BUY },
  { tokenID: "2001", price: 0.621, size: 8, side: Side.SELL },
];
const markets = [
  { tokenID: "1001", amount: 20, side: Side.BUY, orderType: OrderType.FOK },
  { tokenID: "2001", amount: 12, side: Side.SELL, orderType: OrderType.FAK },
];

const answers = [];
for (const party of parties) {
  const made = await connect(party).createApiKey();
  const derived = await connect(party).deriveApiKey();
  const again = await connect(party).createOrDeriveApiKey();
  const orders = [];
  for (const wallet of party.wallets) {
    const client = connect(party, wallet, derived);
    const options = wallet.version === 3 ? { version: 3 } : {};
    for (const order of limits) {
      const signed = await client.createOrder(order, options);
      orders.push(await client.postOrder(signed, OrderType.GTC));
    }
    for (const order of markets) {
      const signed = await client.createMarketOrder(order, options);
      orders.push(await client.postOrder(signed, order.orderType));
    }
  }
  const open = await connect(party, {}, again).getOpenOrders();
  answers.push({ ...party, keys: [made, derived, again], orders, open: open.length });
}
process.stdout.write(JSON.stringify(answers) + "\n");
