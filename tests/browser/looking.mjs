// What is looked at on a page: what axe complains of, and how it looks.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// A session of the debugger puts axe there: the page's own policy lets nothing in.
export async function violations(context, page) {
    const devtools = await context.newCDPSession(page);
    await devtools.send("Runtime.evaluate", { expression: axe });
    const found = await devtools.send("Runtime.evaluate", {
        expression: "axe.run().then((it) => JSON.stringify(it.violations.map((one) => [one.id, one.nodes.map((node) => node.html).slice(0, 3)])))",
        awaitPromise: true,
    });
    await devtools.detach();
    return JSON.parse(found.result.value);
}

// In both themes: what `see` says of each, with a picture where a directory is given.
export async function inBothThemes(context, page, { path, pictures }, say) {
    for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        if (pictures) {
            const name = path === "/" ? "today" : path.slice(1).replaceAll(/[^a-z0-9]+/g, "-");
            await page.screenshot({ path: `${pictures}/${name}-${colorScheme}.png`, fullPage: true });
        }
        say({ step: "page", path, colorScheme, violations: await violations(context, page) });
    }
}
