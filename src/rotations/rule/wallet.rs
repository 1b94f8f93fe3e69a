//! The steps of the rotation of a wallet.

use super::{GIVE_UP, Procedure, at, go_back, part, way};
use crate::rotations::{State, Step};

pub(super) const WALLET: Procedure = {
    use State::{
        Closed, CredentialDeleted, Credentialed, CutOver, Drained, Generated, Profiled, Requested,
    };
    use Step::{Close, Credential, DeleteCredential, Drain, Generate, Profile};
    Procedure {
        parts: &[
            part(
                "1 generate",
                &[at(
                    Requested,
                    &[
                        way(Generate, Generated, "have the device make the new key"),
                        GIVE_UP,
                    ],
                )],
            ),
            part(
                "2 profile",
                &[at(
                    Generated,
                    &[
                        way(
                            Profile,
                            Profiled,
                            "put the new wallet on record; its key is activated",
                        ),
                        GIVE_UP,
                    ],
                )],
            ),
            part(
                "3 credential",
                &[at(
                    Profiled,
                    &[
                        way(Credential, Credentialed, "have the CLOB make its API key"),
                        GIVE_UP,
                    ],
                )],
            ),
            part(
                "4 cut over",
                &[at(
                    Credentialed,
                    &[
                        way(
                            Step::CutOver,
                            CutOver,
                            "once it is funded, approved and tried with a small order: take new orders with the new wallet only",
                        ),
                        GIVE_UP,
                    ],
                )],
            ),
            part(
                "5 drain",
                &[at(
                    CutOver,
                    &[
                        way(
                            Drain,
                            Drained,
                            "have the CLOB cancel what is open of the old wallet, and see that nothing is left",
                        ),
                        go_back("go back to the old wallet"),
                    ],
                )],
            ),
            part(
                "6 close",
                &[
                    at(
                        Drained,
                        &[way(
                            DeleteCredential,
                            CredentialDeleted,
                            "have the CLOB delete the old wallet's API key",
                        )],
                    ),
                    at(
                        CredentialDeleted,
                        &[way(
                            Close,
                            Closed,
                            "once allowances are revoked and what was left is moved: deactivate the old key, and say who looked",
                        )],
                    ),
                ],
            ),
        ],
        given_up: &[],
    }
};
