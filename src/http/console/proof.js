
// What shows it on a page of the console. The proof, the key and the leaf's index stand on the page: what the service
// says of the leaf is compared with what it has proved.

const section = document.getElementById("proof");
const field = document.getElementById("log-key");
const verdict = document.getElementById("verdict");
const table = document.getElementById("proved");

// The first key of a log that this browser saw stays, so that another one does not go unnoticed.
function seen(key) {
    const place = `log ${key.slice(0, key.indexOf("+"))}`;
    const before = localStorage.getItem(place);
    if (before === null) localStorage.setItem(place, key);
    if (before === null) return "This browser had not seen this log before: compare its key once with a copy that somebody else gave you.";
    if (before === key) return "The key is the one that this browser has seen before.";
    throw new Refused("this browser has seen another key of this log before; find out why before you believe anything here");
}

async function tell() {
    const key = field.value.trim();
    let [words, proved, leaf] = ["", false, []];
    try {
        const { proof, checkpoint } = await look(document.getElementById("proof-text").textContent, key);
        if (String(proof.index) !== section.dataset.index) refuse(`the proof is of the leaf at index ${proof.index}`);
        const known = seen(key);
        words = `Verified in this browser: the leaf is in ${checkpoint.origin}, as of its checkpoint of ${checkpoint.size} leaves. ${known}`;
        proved = true;
        leaf = rows(proof.leaf);
    } catch (error) {
        if (proved) words += " The leaf itself cannot be read here.";
        else if (error instanceof Refused) words = `Not verified: ${error.message}.`;
        else if (error.name === "NotSupportedError") words = "Not verified: this browser does not know Ed25519. Take a newer one, or verify the file.";
        else words = `Not verified: ${error.message}.`;
    }
    verdict.textContent = words;
    verdict.className = `state ${proved ? "good" : "bad"}`;
    table.hidden = leaf.length === 0;
    table.tBodies[0].replaceChildren(...leaf.map(([name, value]) => {
        const row = document.createElement("tr");
        const head = document.createElement("th");
        head.scope = "row";
        head.textContent = name;
        row.append(head, Object.assign(document.createElement("td"), { textContent: value }));
        return row;
    }));
}

field.addEventListener("input", tell);
await tell();
