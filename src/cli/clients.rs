//! `chancery clients`

use clap::Subcommand;

use super::client::Service;
use super::exchange::AnswerOptions;
use super::exchange_shown::client_scopes;
use super::list::List;
use super::{print_json, print_line};
use crate::oauth::broker::AccessTokenRequest;
use crate::oauth::clients::NewClient;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the clients that you may see
    List {
        #[command(flatten)]
        list: List,
    },
    /// Show a client: key, PEM, JWK
    Show {
        /// The client's name.
        name: String,
        #[command(flatten)]
        service: Service,
    },
    /// Show a client's public keys as a JSON Web Key Set
    Jwks {
        /// The client's name.
        name: String,
        #[command(flatten)]
        service: Service,
    },
    /// Show what a client's tokens may do: granted scopes, permitted ones, endpoints
    Scopes {
        /// The client's name.
        name: String,
        #[command(flatten)]
        asked: AnswerOptions,
    },
    /// Get an access token of the Exchange API
    Token {
        /// The client's name.
        name: String,
        /// A scope that it is to have; several times for several. All that you may have, without it.
        #[arg(long)]
        scope: Vec<String>,
        /// Print nothing but an Authorization header, for curl -H.
        #[arg(long)]
        header: bool,
        /// Not the one that is remembered: after the application was granted more.
        #[arg(long)]
        refresh: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Put a client id of an authorization server together with a key
    Create {
        #[command(flatten)]
        new: NewClient,
        #[command(flatten)]
        service: Service,
    },
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { list } => {
            let members = [
                "name",
                "owner",
                "environment",
                "client_id",
                "key",
                "key_state",
            ];
            list.print("/v1/clients", &members).await
        }
        Command::Show { name, service } => service.show(&format!("/v1/clients/{name}")).await,
        Command::Jwks { name, service } => {
            let path = format!("/v1/clients/{name}/jwks.json");
            service.show(&path).await
        }
        Command::Scopes { name, asked } => {
            let path = format!("/v1/clients/{name}/scopes");
            let answer = asked.service.client()?.get(&path).await?;
            asked.print(&answer, client_scopes)
        }
        Command::Token {
            name,
            scope,
            header,
            refresh,
            service,
        } => {
            let body = AccessTokenRequest {
                scope: (!scope.is_empty()).then(|| scope.join(" ")),
                refresh,
            };
            let path = format!("/v1/clients/{name}/tokens");
            let token = service.client()?.post(&path, &body).await?;
            if header {
                let text = token["access_token"].as_str().unwrap_or_default();
                print_line(&format!("Authorization: Bearer {text}"));
                Ok(())
            } else {
                print_json(&token)
            }
        }
        Command::Create { new, service } => service.ask("/v1/clients", &new).await,
    }
}
