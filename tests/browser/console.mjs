// A browser walks through the console: each page in both themes with axe, the palette, a halt by a form.
// Takes {base, token, pictures}; says {"step": …} lines. With `pictures`, a directory, it keeps what it sees.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const { base, token, pictures } = JSON.parse(process.argv[2]);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PAGES = ["/", "/keys", "/keys/d-wk", "/wallets", "/wallets/d-w", "/clients", "/clients/d-c", "/rotations",
    "/limits", "/recipients", "/callers", "/people", "/policy", "/halts", "/health", "/lookup"];

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
    const context = await browser.newContext();
    const page = await context.newPage();
    const complaints = [];
    const elsewhere = [];
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
    say({ step: "signed in", title: await page.title() });

    for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        for (const path of PAGES) {
            await page.goto(base + path);
            // A session of the debugger puts it there: the page's own policy lets nothing in.
            const devtools = await context.newCDPSession(page);
            await devtools.send("Runtime.evaluate", { expression: axe });
            const found = await devtools.send("Runtime.evaluate", {
                expression: "axe.run().then((it) => JSON.stringify(it.violations.map((one) => [one.id, one.nodes.map((node) => node.html).slice(0, 3)])))",
                awaitPromise: true,
            });
            await devtools.detach();
            if (pictures) {
                const name = `${path === "/" ? "today" : path.slice(1).replaceAll("/", "-")}-${colorScheme}`;
                await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
            }
            say({ step: "page", path, colorScheme, violations: JSON.parse(found.result.value) });
        }
    }

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
