//! Pages that are lists of the API, part by part.

use super::Place;
use super::asking::Visit;
use super::cells::{Column, Kind};
use super::page::{Page, Refused, Section, Table};

/// A list, and how it is shown.
pub(super) struct List {
    /// Its path, which is the API's without `/v1`.
    path: &'static str,
    title: &'static str,
    about: &'static str,
    /// The command that shows the same.
    command: &'static str,
    columns: &'static [Column],
    /// What to do first, where there is nothing.
    empty: &'static str,
}

const LISTS: [List; 7] = [
    List {
        path: "/keys",
        title: "Keys",
        about: "The keys that you may see, and what they may be used for.",
        command: "chancery keys list",
        columns: &[
            ("Key", "name", Kind::Link("/keys/")),
            ("State", "state", Kind::State),
            ("Purpose", "purpose", Kind::Text),
            ("Owner", "owner", Kind::Text),
            ("Environment", "environment", Kind::Text),
            ("Device", "backend", Kind::Text),
            ("Period ends", "cryptoperiod_ends_at", Kind::Time),
        ],
        empty: "There is no key yet: chancery keys create makes the first one.",
    },
    List {
        path: "/wallets",
        title: "Wallets",
        about: "For whom keys sign on which chain.",
        command: "chancery wallets list",
        columns: &[
            ("Wallet", "name", Kind::Link("/wallets/")),
            ("Owner", "owner", Kind::Text),
            ("Key", "key", Kind::Link("/keys/")),
            ("Its state", "key_state", Kind::State),
            ("Chain", "chainId", Kind::Text),
            ("Type", "signatureType", Kind::Text),
            ("Maker", "maker", Kind::Code),
        ],
        empty: "There is no wallet yet: chancery wallets create makes one of a key.",
    },
    List {
        path: "/clients",
        title: "Clients",
        about: "For which OAuth clients keys sign assertions.",
        command: "chancery clients list",
        columns: &[
            ("Client", "name", Kind::Link("/clients/")),
            ("Owner", "owner", Kind::Text),
            ("Environment", "environment", Kind::Text),
            ("There it is", "client_id", Kind::Code),
            ("Key", "key", Kind::Link("/keys/")),
            ("Its state", "key_state", Kind::State),
        ],
        empty: "There is no client yet: chancery clients create makes one of a key.",
    },
    List {
        path: "/rotations",
        title: "Rotations",
        about: "How keys are replaced, step by step.",
        command: "chancery rotations list",
        columns: &[
            ("Rotation", "id", Kind::Link("/rotations/")),
            ("Of client", "client", Kind::Link("/clients/")),
            ("Of wallet", "wallet", Kind::Link("/wallets/")),
            ("State", "state", Kind::State),
            ("Waits for", "status.waits_for", Kind::Text),
            ("Due", "target_at", Kind::Time),
        ],
        empty: "Nothing was rotated yet: chancery rotations due says what is due.",
    },
    List {
        path: "/recipients",
        title: "Recipients",
        about: "Whom wallets may send to, and from when.",
        command: "chancery recipients list",
        columns: &[
            ("Recipient", "name", Kind::Text),
            ("Address", "address", Kind::Code),
            ("Chain", "chainId", Kind::Text),
            ("For the desk", "owner", Kind::Text),
            ("Stands from", "stands_from", Kind::Time),
            ("Added by", "added_by_name", Kind::Text),
            ("Agreed to", "approval", Kind::Text),
        ],
        empty: "Wallets may send to nobody: chancery recipients add proposes the first.",
    },
    List {
        path: "/callers",
        title: "Callers",
        about: "Who may call, and as what.",
        command: "chancery callers list",
        columns: &[
            ("Caller", "name", Kind::Link("/callers/")),
            ("Owner", "owner", Kind::Text),
            ("Roles", "roles", Kind::Text),
            ("Person", "person", Kind::Link("/people/")),
            ("Last credential ends", "token_expires_at", Kind::Time),
            ("Revoked", "revoked_at", Kind::Time),
        ],
        empty: "Nobody may call: chancery callers bootstrap makes the first operator.",
    },
    List {
        path: "/people",
        title: "People",
        about: "The people who approve, and whose callers are.",
        command: "chancery people list",
        columns: &[
            ("Person", "name", Kind::Link("/people/")),
            ("Roles", "roles", Kind::Text),
            ("Callers", "callers", Kind::Link("/callers/")),
            ("Since", "created_at", Kind::Time),
            ("Until", "ended_at", Kind::Time),
        ],
        empty: "There is nobody who could approve: chancery people create registers the first.",
    },
];

/// The list at a path, if there is one.
pub(super) fn at(path: &str) -> Option<&'static List> {
    const ALL: &[List] = &LISTS;
    ALL.iter().find(|it| it.path == path)
}

impl List {
    /// The part of it that is asked for.
    pub(super) async fn show(&self, visit: &Visit, place: &Place) -> Result<Page, Refused> {
        let answer = visit.look(&place.list()).await?;
        let mut table = Table::of(self.columns, &answer.body, (visit.now, self.empty));
        table.next = answer.next;
        let page = Page::new(self.title, &place.path, (self.about, self.command));
        Ok(page.with(Section::Table(table)))
    }
}
