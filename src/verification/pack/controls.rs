//! Which files of a pack answer which control of which standard.

/// A control, and the files that are evidence for it.
pub(super) struct Control {
    pub(super) standard: &'static str,
    pub(super) id: &'static str,
    pub(super) about: &'static str,
    pub(super) files: &'static [&'static str],
}

const fn control(
    standard: &'static str,
    id: &'static str,
    about: &'static str,
    files: &'static [&'static str],
) -> Control {
    Control {
        standard,
        id,
        about,
        files,
    }
}

const LEAVES: &str = "leaves.jsonl";
const STATEMENTS: &str = "statements.jsonl";

/// What a signing service owns of them; what an organisation does beside it is not here.
pub(super) const CONTROLS: [Control; 26] = [
    control(
        "CCSS v9",
        "1.01.1.1",
        "where keys come from: created in the device, adopted, or imported",
        &["keys.csv", "changes.csv"],
    ),
    control(
        "CCSS v9",
        "1.03.1.1",
        "what devices say of keys: sensitive, never extractable",
        &["keys.csv"],
    ),
    control(
        "CCSS v9",
        "1.04.1.1",
        "who was given what, and least privilege",
        &["grants.csv", "callers.csv", "policies.csv"],
    ),
    control(
        "CCSS v9",
        "1.04.2.1",
        "grants over approved channels, with signed approvals",
        &["approvals.csv", "people.csv"],
    ),
    control(
        "CCSS v9",
        "1.04.3.1",
        "who granted and revoked, signed by who did",
        &["grants.csv", "approvals.csv"],
    ),
    control(
        "CCSS v9",
        "1.05.8.1",
        "what was verified before a key was used: typed requests, policies, limits",
        &[
            "signatures.csv",
            "refusals.csv",
            "policies.csv",
            "rules.csv",
        ],
    ),
    control(
        "CCSS v9",
        "1.06.2.1",
        "what became of keys that were destroyed",
        &["key-states.csv", "changes.csv"],
    ),
    control(
        "CCSS v9",
        "2.02.1.2",
        "all actions by all users",
        &[LEAVES, STATEMENTS, "consistency.json"],
    ),
    control(
        "CCSS v9",
        "2.04.1.1",
        "the inventory of keys",
        &["keys.csv", "wallets.csv", "clients.csv"],
    ),
    control(
        "CCSS v9",
        "2.04.1.2",
        "keys that were suspended or compromised, and what was done",
        &["key-states.csv", "rotations.csv", "rules.csv"],
    ),
    control(
        "SP 800-57 pt 1 rev 5",
        "5.3.6",
        "cryptoperiods, and their ends",
        &["keys.csv", "key-states.csv"],
    ),
    control(
        "SP 800-57 pt 1 rev 5",
        "5.5",
        "compromise: what was signed since, by whom",
        &["signatures.csv", "key-states.csv"],
    ),
    control(
        "SP 800-57 pt 1 rev 5",
        "7",
        "states, and each transition with its time",
        &["key-states.csv", "changes.csv"],
    ),
    control(
        "SP 800-57 pt 1 rev 5",
        "8.3.4",
        "destruction",
        &["key-states.csv", "changes.csv"],
    ),
    control(
        "SOC 2",
        "CC6.1",
        "logical access, and keys in generation, storage, use and destruction",
        &["keys.csv", "callers.csv", "credentials.csv", "policies.csv"],
    ),
    control(
        "SOC 2",
        "CC6.2",
        "who was registered, and removed",
        &["grants.csv", "people.csv"],
    ),
    control(
        "SOC 2",
        "CC6.3",
        "least privilege and segregation of duties",
        &["policies.csv", "approvals.csv", "refusals.csv"],
    ),
    control("SOC 2", "CC7.2", "what was refused", &["refusals.csv"]),
    control(
        "SOC 2",
        "CC7.4",
        "what was stopped, and how",
        &["rules.csv", "changes.csv"],
    ),
    control(
        "SOC 2",
        "CC8.1",
        "changes, each with who agreed",
        &["changes.csv", "approvals.csv", "policies.csv"],
    ),
    control(
        "DORA RTS 2024/1774",
        "6",
        "which cryptography is used for what",
        &["keys.csv"],
    ),
    control(
        "DORA RTS 2024/1774",
        "7",
        "keys over their life; replacement of lost and compromised ones",
        &[
            "key-states.csv",
            "rotations.csv",
            "nonces-and-credentials.csv",
        ],
    ),
    control(
        "DORA RTS 2024/1774",
        "12",
        "logs that are protected against tampering and deletion",
        &[LEAVES, "to.checkpoint", "consistency.json"],
    ),
    control(
        "DORA RTS 2024/1774",
        "17",
        "change control",
        &["changes.csv", "approvals.csv"],
    ),
    control(
        "DORA RTS 2024/1774",
        "20",
        "identities",
        &["callers.csv", "credentials.csv", "people.csv"],
    ),
    control(
        "DORA RTS 2024/1774",
        "21",
        "access rights, least privilege, reviews",
        &["grants.csv", "policies.csv", "look-ups.csv"],
    ),
];
