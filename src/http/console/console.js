// What is nicer with a script: copying, moving by keys, going anywhere, exact times, numbers as they change. Nothing
// needs it.

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const make = (name, text = "", attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
};

for (const button of all("button.copy")) {
    // What has no text of its own stands for the text that it stands over.
    const own = button.dataset.copy;
    button.hidden = false;
    button.setAttribute("aria-label", `Copy ${own ?? "this text"}`);
    button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(own ?? button.closest("section").querySelector("pre").textContent);
        button.textContent = "copied";
        setTimeout(() => { button.textContent = "copy"; }, 1500);
    });
}

const exact = document.getElementById("exact");
if (exact) {
    const near = new Map(all("time").map((it) => [it, it.textContent]));
    const show = () => {
        const is = localStorage.getItem("exact") === "yes";
        for (const [it, text] of near) it.textContent = is ? it.dateTime : text;
        exact.textContent = is ? "Times from now" : "Exact times (UTC)";
    };
    exact.hidden = near.size === 0;
    exact.addEventListener("click", () => {
        localStorage.setItem("exact", localStorage.getItem("exact") === "yes" ? "no" : "yes");
        show();
    });
    show();
}

// A form that is on its way is not sent again; going back makes it whole.
for (const form of all("form[method=post]")) {
    form.addEventListener("submit", () => {
        for (const button of all("button", form)) button.disabled = true;
    });
}
addEventListener("pageshow", () => {
    for (const button of all("form[method=post] button")) button.disabled = false;
});

// Numbers that stand on the page are asked for again while somebody sees it, until the session has ended.
const now = document.getElementById("now");
if (now) {
    const again = async () => {
        if (document.hidden) return;
        const answer = await fetch("/console/now", { redirect: "error" }).catch(() => null);
        if (answer === null) return; // away for a moment
        if (!answer.ok) {
            clearInterval(every);
            return;
        }
        const said = await answer.json();
        for (const it of all("[data-now]", now)) it.textContent = said[it.dataset.now];
    };
    const every = setInterval(again, 5000);
}

// One box that goes to any page, or looks up what was typed or pasted.
const palette = () => {
    const dialog = make("dialog", "", { "aria-label": "Go to, or look up" });
    const input = make("input", "", { "aria-label": "A page, or anything to look up", autocomplete: "off", spellcheck: "false" });
    const list = make("ul");
    const known = all("nav a, main td:first-child a");
    const places = new Map(known.map((it) => [it.getAttribute("href"), it.textContent]));
    const fill = () => {
        const sought = input.value.trim();
        const found = [...places].filter(([, text]) => text.toLowerCase().includes(sought.toLowerCase()));
        const links = found.slice(0, 12).map(([to, text]) => [to, text]);
        if (sought !== "") links.push([`/lookup?q=${encodeURIComponent(sought)}`, `Look up ${sought}`]);
        list.replaceChildren(...links.map(([to, text]) => {
            const item = make("li");
            item.append(make("a", text, { href: to }));
            return item;
        }));
    };
    input.addEventListener("input", fill);
    dialog.addEventListener("keydown", (event) => {
        const links = all("a", list);
        const at = links.indexOf(document.activeElement);
        if (event.key === "Enter" && at < 0 && links.length > 0) links[0].click();
        if (event.key === "ArrowDown") (links[at + 1] ?? input).focus();
        if (event.key === "ArrowUp") (links[at - 1] ?? input).focus();
        if (event.key.startsWith("Arrow")) event.preventDefault();
    });
    dialog.addEventListener("close", () => dialog.remove());
    dialog.append(input, list);
    document.body.append(dialog);
    fill();
    dialog.showModal();
    input.focus();
};

const help = () => {
    const dialog = make("dialog", "", { "aria-label": "Keys" });
    const list = make("ul");
    for (const line of ["/ or Ctrl-K: go to a page, or look something up", "j, k: the next line, the one before", "Enter: open it", "?: this list", "Esc: close"]) {
        list.append(make("li", line));
    }
    dialog.append(list);
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
};

let here = -1;
const move = (by) => {
    const rows = all("main tbody tr");
    if (rows.length === 0) return;
    rows[here]?.classList.remove("here");
    here = Math.min(Math.max(here + by, 0), rows.length - 1);
    rows[here].classList.add("here");
    rows[here].scrollIntoView({ block: "nearest" });
    rows[here].querySelector("a")?.focus();
};

addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "k" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        palette();
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    if (event.key === "/") {
        event.preventDefault();
        palette();
    }
    if (event.key === "?") help();
    if (event.key === "j") move(1);
    if (event.key === "k") move(-1);
});
