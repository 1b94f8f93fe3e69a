//! The steps of the rotation of a client's key: the documentation's five parts.

use super::{GIVE_UP, Procedure, aside, at, early, go_back, part, way};
use crate::rotations::{State, Step};

pub(super) const CLIENT: Procedure = {
    use State::{Abandoned, Closed, Generated, Registered, RemovalAsked, RemovalProved};
    use State::{Requested, RolledBack, Submitted, Switched};
    use Step::{AskRemoval, Close, Confirm, Generate, Probe, ProveRemoval, Submit, Switch};
    Procedure {
        parts: &[
            part(
                "1 generate",
                &[at(
                    Requested,
                    &[
                        way(Generate, Generated, "have the device make the new key"),
                        early(Requested),
                        GIVE_UP,
                    ],
                )],
            ),
            part(
                "2 submit",
                &[at(
                    Generated,
                    &[
                        way(Submit, Submitted, "send the public half, and record that"),
                        early(Generated),
                        GIVE_UP,
                    ],
                )],
            ),
            part(
                "3 register",
                &[at(
                    Submitted,
                    &[
                        aside(Submit, Submitted),
                        aside(Confirm, Submitted),
                        way(Confirm, Registered, "record what they confirm"),
                        aside(Probe, Registered),
                        early(Submitted),
                        GIVE_UP,
                    ],
                )],
            ),
            part(
                "4 switch",
                &[at(
                    Registered,
                    &[
                        way(Switch, Switched, "let the new key sign"),
                        // Where the removal was asked for already.
                        aside(Switch, RemovalAsked),
                        early(Registered),
                        GIVE_UP,
                    ],
                )],
            ),
            part(
                "5 remove",
                &[
                    at(
                        Switched,
                        &[
                            way(
                                AskRemoval,
                                RemovalAsked,
                                "ask them to remove the old key, naming both",
                            ),
                            go_back("let the old key sign again"),
                        ],
                    ),
                    at(
                        RemovalAsked,
                        &[
                            aside(AskRemoval, RemovalAsked),
                            aside(ProveRemoval, RemovalProved),
                            go_back("let the old key sign again"),
                        ],
                    ),
                    at(
                        RemovalProved,
                        &[way(Close, Closed, "deactivate the old key")],
                    ),
                ],
            ),
        ],
        // Of the new key, where it may have been registered before it was given up.
        given_up: &[
            at(
                Abandoned,
                &[aside(AskRemoval, Abandoned), aside(ProveRemoval, Abandoned)],
            ),
            at(
                RolledBack,
                &[
                    aside(AskRemoval, RolledBack),
                    aside(ProveRemoval, RolledBack),
                ],
            ),
        ],
    }
};
