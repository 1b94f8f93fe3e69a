// A browser with an authenticator registers a passkey and approves a proposal with it.
// Takes {base, token, sentence, verified, pictures}; says {"step": …} lines.
import { chromium } from "playwright-core";
import { inBothThemes } from "./looking.mjs";

const { base, token, sentence, verified, pictures } = JSON.parse(process.argv[2]);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox"],
});
try {
    const context = await browser.newContext();
    const page = await context.newPage();
    const complaints = [];
    page.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    const devtools = await context.newCDPSession(page);
    await devtools.send("WebAuthn.enable");
    const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", {
        options: {
            protocol: "ctap2",
            transport: "internal",
            hasResidentKey: true,
            hasUserVerification: true,
            isUserVerified: true,
            automaticPresenceSimulation: true,
        },
    });

    await page.goto(`${base}/approvals/passkey`);
    await page.fill("input[name=token]", token);
    await page.click("button");
    await page.waitForURL(`${base}/approvals/passkey`);
    const opened = await page.reload();
    say({ step: "opened", status: opened.status(), policy: opened.headers()["content-security-policy"] });
    await page.fill("#name", "laptop");
    await page.click("#make");
    await page.waitForFunction(() => document.getElementById("said").textContent !== "");
    say({ step: "asked", said: await page.textContent("#said") });
    await page.waitForFunction(() => document.getElementById("said").textContent === "Registered.", null, { timeout: 60_000 });
    say({ step: "registered" });

    if (!verified) {
        await devtools.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: false });
    }
    await page.goto(`${base}/approvals`);
    await page.click(`text=${sentence}`);
    await page.waitForSelector("#approve");
    const shown = await page.textContent("main");
    await page.click("#approve");
    await page.waitForFunction(() => document.getElementById("said").textContent !== "", null, { timeout: 60_000 });
    // Whoever looks by the debugger takes the authenticator away.
    await inBothThemes(context, page, { path: "/approvals/proposal", pictures }, say);
    const said = await page.textContent("#said");
    await page.goto(`${base}/approvals/passkey`);
    await inBothThemes(context, page, { path: "/approvals/passkeys", pictures }, say);
    say({ step: "approved", said, shown, complaints });
} finally {
    await browser.close();
}
