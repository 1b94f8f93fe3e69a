// A browser with an authenticator registers a passkey and approves a proposal with it.
// Takes {base, token, sentence, verified}; says {"step": …} lines.
import { chromium } from "playwright-core";

const { base, token, sentence, verified } = JSON.parse(process.argv[2]);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox"],
});
try {
    const context = await browser.newContext({ httpCredentials: { username: "", password: token } });
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

    const opened = await page.goto(`${base}/approvals/passkey`);
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
    say({ step: "approved", said: await page.textContent("#said"), shown, complaints });
} finally {
    await browser.close();
}
