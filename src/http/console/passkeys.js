// What a page without a script cannot do: ask for a passkey, and send what it signs.

const element = (id) => document.getElementById(id);
const say = (text) => { element("said").textContent = text; };

const encode = (buffer) => {
    const text = String.fromCharCode(...new Uint8Array(buffer));
    return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
};
const decode = (text) => {
    const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(plain, (c) => c.charCodeAt(0));
};
const fromHex = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));

async function post(path, body, key) {
    const answer = await fetch(path, {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": key },
        body: JSON.stringify(body),
    });
    const said = await answer.json();
    if (!answer.ok) {
        throw new Error(`${said.title}: ${said.detail}`);
    }
    return { status: answer.status, said };
}

// Has a passkey sign a challenge: what the service takes.
async function assertion(rpId, challenge, ids) {
    const credential = await navigator.credentials.get({
        publicKey: {
            rpId,
            challenge,
            userVerification: "required",
            allowCredentials: ids.map((id) => ({ type: "public-key", id: decode(id) })),
        },
    });
    return {
        credential_id: encode(credential.rawId),
        authenticator_data: encode(credential.response.authenticatorData),
        client_data: encode(credential.response.clientDataJSON),
        signature: encode(credential.response.signature),
    };
}

function doing(button, work) {
    button.addEventListener("click", async () => {
        button.disabled = true;
        try {
            await work();
        } catch (error) {
            say(error.message);
        }
        button.disabled = false;
    });
}

const decide = element("decide");
if (decide) {
    const { proposal, hash, passkeys, party } = decide.dataset;
    doing(element("approve"), async () => {
        if (passkeys === "") {
            throw new Error("You have no passkey that is registered here.");
        }
        const passkey = await assertion(party, fromHex(hash), passkeys.split(" "));
        await post(`/v1/approvals/${proposal}/approve`, { signature: { passkey } }, crypto.randomUUID());
        say("Approved.");
    });
}

const register = element("register");
if (register) {
    const { person, id, party } = register.dataset;
    doing(element("make"), async () => {
        const made = await navigator.credentials.create({
            publicKey: {
                rp: { id: party, name: "Chancery" },
                user: { id: decode(id), name: person, displayName: person },
                challenge: crypto.getRandomValues(new Uint8Array(32)),
                pubKeyCredParams: [{ type: "public-key", alg: -7 }],
                authenticatorSelection: { userVerification: "required" },
                attestation: "none",
            },
        });
        const publicKey = new Uint8Array(made.response.getPublicKey());
        const head = new TextEncoder().encode(`chancery-passkey\n${person}\n`);
        const about = new Uint8Array([...head, ...publicKey]);
        const challenge = await crypto.subtle.digest("SHA-256", about);
        const body = {
            name: element("name").value,
            passkey: {
                public_key: encode(publicKey),
                assertion: await assertion(party, challenge, [encode(made.rawId)]),
            },
        };
        // The same request again, until others have approved it.
        const key = crypto.randomUUID();
        for (;;) {
            const { status, said } = await post(`/v1/people/${person}/keys`, body, key);
            if (status === 201) {
                say("Registered.");
                return;
            }
            say(`Waiting for approval ${said.id}; leave this page open. ${said.missing ?? ""}`);
            await new Promise((done) => setTimeout(done, 1000));
        }
    });
}
