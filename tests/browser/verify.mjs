// Opens the page that verifies proofs, from the disk, and says what it says of each.
// Takes {page, key, proofs, changes}; says {"case": …, "said": …} lines.
import { chromium } from "playwright-core";

const { page: file, key, proofs, changes } = JSON.parse(process.argv[2]);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox"],
});
try {
    const context = await browser.newContext({ offline: true });
    const page = await context.newPage();
    const asked = [];
    const complaints = [];
    page.on("request", (request) => asked.push(request.url()));
    page.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(`file://${file}`);

    const look = async (text, by) => {
        await page.evaluate(
            ([text, by]) => {
                document.getElementById("key").value = by;
                document.getElementById("text").value = text;
                document.getElementById("said").textContent = "";
                document.getElementById("text").dispatchEvent(new Event("input"));
            },
            [text, by],
        );
        await page.waitForFunction(() => document.getElementById("said").textContent !== "");
        return page.textContent("#said");
    };
    for (const [n, proof] of proofs.entries()) {
        const said = await look(proof, key);
        say({ case: `proof ${n}`, said, leaf: await page.textContent("#leaf") });
    }
    // As somebody uses it: the file is chosen.
    await page.fill("#key", key);
    await page.setInputFiles("#file", { name: "a.tlog-proof", mimeType: "text/plain", buffer: Buffer.from(proofs[0]) });
    await page.waitForFunction(() => document.getElementById("said").textContent.startsWith("Proved"));
    say({ case: "file", said: await page.textContent("#said") });
    const other = key.replace(/.$/, (last) => (last === "A" ? "B" : "A"));
    say({ case: "other key", said: await look(proofs[0], other) });

    // Whatever is changed anywhere is seen.
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \n";
    let unseen = [];
    for (let n = 0; n < changes; n++) {
        const proof = proofs[n % proofs.length];
        const at = Math.floor((n * proof.length) / changes);
        const letter = letters[(n * 7) % letters.length];
        const changed = proof.slice(0, at) + letter + proof.slice(at + 1);
        if (changed === proof) continue;
        const said = await look(changed, key);
        if (!said.startsWith("Not proved")) unseen.push({ at, letter, said });
    }
    say({ case: "changes", unseen, asked, complaints });
} finally {
    await browser.close();
}
