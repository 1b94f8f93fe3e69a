// A browser walks through the console: each page in both themes with axe, the palette, a halt by a form, a proof that
// verifies and proofs that were changed. Takes {base, token, auditor, rotation, pictures}; says {"step": …} lines. With
// `pictures`, a directory, it keeps what it sees.
import { chromium } from "playwright-core";
import { inBothThemes } from "./looking.mjs";

const { base, token, auditor, rotation, pictures } = JSON.parse(process.argv[2]);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const PAGES = ["/", "/keys", "/keys/d-wk", "/wallets", "/wallets/d-w", "/wallets/d-w/operations", "/clients", "/clients/d-c", "/rotations", "/approvals",
    "/approvals/passkey", "/limits", "/limits/key/d-wk", "/recipients", "/callers", "/callers/d-trader", "/people", "/policy",
    "/policy/explain?caller=d-trader&action=sign_order&resource=wallet:d-w&context=side=BUY", rotation, "/halts", "/health", "/lookup"];
const OF_AUDITORS = ["/audit/events", "/audit/signers?key=d-wk"];

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const complaints = [];
const elsewhere = [];

const signedIn = async (token, settings = {}) => {
    const context = await browser.newContext(settings);
    const page = await context.newPage();
    page.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("request", (request) => {
        if (!request.url().startsWith(base)) elsewhere.push(request.url());
    });
    await page.goto(`${base}/keys`);
    await page.fill("input[name=token]", token);
    await page.click("button");
    await page.waitForURL(`${base}/keys`);
    return [context, page];
};

// A leaf that a checkpoint covers: its proof verifies, and whatever is changed in it is seen.
const leaves = async () => {
    const [context, page] = await signedIn(auditor);
    for (const path of OF_AUDITORS) {
        await page.goto(base + path);
        await inBothThemes(context, page, { path, pictures }, say);
    }
    const leaf = `${base}/log/leaves/0`;
    do {
        await page.goto(leaf);
    } while ((await page.$("#proof")) === null);
    const verdict = async () => {
        await page.waitForFunction(() => !document.getElementById("verdict").textContent.includes("takes its script"));
        return page.textContent("#verdict");
    };
    say({ step: "verified", said: await verdict(), proved: await page.textContent("#proved") });
    await page.reload();
    say({ step: "verified again", said: await verdict() });
    await inBothThemes(context, page, { path: "/log/leaves/0", pictures }, say);
    const file = await context.request.get(`${leaf}/proof`);
    const same = (await file.text()) === (await page.textContent("#proof-text"));
    say({ step: "file", same, kept: file.headers()["content-disposition"] });

    const other = (c) => (c === "A" ? "B" : "A");
    const changes = {
        "the leaf": (it) => it.replace(/(\nextra .{20})(.)/, (_, before, c) => before + other(c)),
        "the index": (it) => it.replace("\nindex 0\n", "\nindex 1\n"),
        "a hash": (it) => it.replace(/(\nindex 0\n.{20})(.)/, (_, before, c) => before + other(c)),
        "the root": (it) => it.replace(/(\n\n[^\n]+\n[0-9]+\n.{20})(.)/, (_, before, c) => before + other(c)),
        "the key": (it) => it.replace(/(id="log-key" value="[^"+]+\+[^"+]+\+[^"]{20})([^"])/, (_, before, c) => before + other(c)),
        "which leaf it is": (it) => it.replace('data-index="0"', 'data-index="1"'),
    };
    for (const [what, change] of Object.entries(changes)) {
        await page.route(leaf, async (route) => {
            const answer = await route.fetch();
            const text = await answer.text();
            await route.fulfill({ response: answer, body: change(text) });
        });
        await page.goto(leaf);
        say({ step: "changed", what, said: await verdict() });
        await page.unroute(leaf);
    }
    await page.evaluate(() => {
        for (const name of Object.keys(localStorage).filter((it) => it.startsWith("log "))) localStorage.setItem(name, "another");
    });
    await page.goto(leaf);
    say({ step: "changed", what: "the key, since it was last seen", said: await verdict() });

    const [, plain] = await signedIn(auditor, { javaScriptEnabled: false });
    await plain.goto(leaf);
    say({ step: "without a script", said: await plain.textContent("#verdict") });
};

try {
    const [context, page] = await signedIn(token);
    say({ step: "signed in", title: await page.title() });
    for (const path of PAGES) {
        await page.goto(base + path);
        await inBothThemes(context, page, { path, pictures }, say);
    }
    await leaves();

    await page.goto(`${base}/keys`);
    await page.keyboard.press("/");
    await page.fill("dialog input", "halts");
    await page.keyboard.press("Enter");
    await page.waitForURL(`${base}/halts`);
    say({ step: "went" });
    await page.selectOption("select[name='f.on']", "wallet");
    await page.fill("input[name='f.name']", "d-w");
    await page.fill("input[name='f.reason']", "a drill");
    await page.click("text=Halt now");
    await page.waitForSelector("text=a drill");
    await page.goto(`${base}/wallets`);
    const band = await page.textContent(".halts");
    say({ step: "halted", band });
    await page.click("text=Sign out");
    await page.waitForURL(`${base}/sign-in`);
    say({ step: "done", complaints, elsewhere });
} finally {
    await browser.close();
}
