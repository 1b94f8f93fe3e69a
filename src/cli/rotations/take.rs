//! A step of a rotation as a command, whichever kind of rotation has it.

use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Subcommand};

use super::Of;
use crate::rotations::steps::{ClientStep, NewStep, WalletStep};

/// A step to take. A word that both kinds have takes the same in both.
#[derive(Debug)]
pub(in crate::cli) struct Take {
    pub(super) of: Of,
    pub(super) step: NewStep,
}

impl Subcommand for Take {
    fn augment_subcommands(command: Command) -> Command {
        let of_clients = ClientStep::augment_subcommands(Command::new("client"));
        let of_wallets = WalletStep::augment_subcommands(Command::new("wallet"));
        let own = |step: &&Command| of_clients.find_subcommand(step.get_name()).is_none();
        let of_wallets = of_wallets.get_subcommands().filter(own);
        let all = of_clients.get_subcommands().chain(of_wallets);
        command.subcommands(all.cloned().map(Of::augment_args))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        ClientStep::has_subcommand(name) || WalletStep::has_subcommand(name)
    }
}

impl FromArgMatches for Take {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let (name, given) = matches.subcommand().unwrap_or(("", matches));
        Ok(Self {
            of: Of::from_arg_matches(given)?,
            step: if ClientStep::has_subcommand(name) {
                NewStep::Client(ClientStep::from_arg_matches(matches)?)
            } else {
                NewStep::Wallet(WalletStep::from_arg_matches(matches)?)
            },
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
