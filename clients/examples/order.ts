// An order, and a client assertion, with nothing but what Node.js, Deno and Bun have.
import { readFile } from "node:fs/promises";

const { CHANCERY_URL, CHANCERY_TOKEN_FILE, WALLET, CLIENT } = process.env;
const order = {
  tokenID: "71321045679252212594626385532706912750332728571942532289631379312455583992999",
  side: "BUY", price: "0.56", size: "21.04", tickSize: "0.01", negRisk: false,
};

// Asks under one key, so that asking again brings the same answer and never a second signature.
async function ask(path: string, body: object, tries = 5): Promise<any> {
  const key = crypto.randomUUID();
  for (let tried = 1; ; tried++) {
    const token = (await readFile(CHANCERY_TOKEN_FILE!, "ascii")).trim();
    let wait = 0.2;
    try {
      const answer = await fetch(CHANCERY_URL + path, {
        method: "POST",
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          "idempotency-key": key,
        },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(10_000),
      });
      if (answer.ok) return await answer.json();
      const problem = await answer.json();
      const after = answer.headers.get("retry-after");
      if (after === null) tried = tries; // nothing that waiting mends
      if (tried >= tries) throw new Error(`${problem.title}: ${problem.detail}. ${problem.action}`, { cause: problem });
      wait = Number(after);
    } catch (error) {
      if (tried >= tries) throw error; // the connection broke, and nobody knows what came of it
    }
    await new Promise((resolve) => setTimeout(resolve, wait * 1000));
  }
}

console.log(JSON.stringify(await ask(`/v1/wallets/${WALLET}/orders`, order)));
console.log(JSON.stringify(await ask(`/v1/clients/${CLIENT}/assertions`, {})));
