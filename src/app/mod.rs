//! The wired service: built once from its settings, in tests too. Only what stands above sees it.

mod asking;
mod away;
mod clocks;
mod explaining;
mod first_policy;
mod looking;
mod measuring;
mod opening;
mod rows;
mod settings;
mod watched;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::administrators::Administrators;
use crate::attestation::{self, Attestations};
use crate::audit::Log;
use crate::authority::Authority;
use crate::callers::Callers;
use crate::clob::accounts::Accounts;
use crate::clob::api_keys::{self, ApiKeys};
use crate::clob::builders::Builders;
use crate::clob::drains::Drains;
use crate::clob::exposure::{self, Exposure};
use crate::clob::l2;
use crate::clob::market::Markets;
use crate::clob::relayer::{self, Relayers, Submissions};
use crate::clob::venue::Venues;
use crate::clob::wallets::Wallets;
use crate::clock::Clock;
use crate::cryptoperiods::{self, Cryptoperiods};
use crate::custody::Vault;
use crate::destruction::Destructions;
use crate::evidence::Evidence;
use crate::idempotency;
use crate::keys::Keys;
use crate::ledger::Ledger;
use crate::limits::Limiter;
use crate::lookups::Lookups;
use crate::notices::Notices;
use crate::oauth::broker::{self, Broker};
use crate::oauth::clients::Clients;
use crate::people::People;
use crate::policy::Rights;
use crate::proposals::Proposals;
use crate::recipients::Recipients;
use crate::resealing::Resealing;
use crate::rotations::wallet::WalletRotations;
use crate::rotations::{self, Rotations};
use crate::sealing::Keyring;
use crate::sessions::{self, Sessions};
use crate::signing::{self, Signer};
use away::Away;
pub use explaining::Explaining;
pub use measuring::LookedUp;
pub use opening::StartError;
pub use settings::Settings;

/// The service. Cheap to clone: each request gets a handle of its own.
#[derive(Clone)]
pub struct App(Arc<Modules>);

/// What the service is made of.
pub struct Modules {
    /// Who may call.
    pub callers: Callers,
    /// Which callers have signed in with a browser.
    pub sessions: Sessions,
    /// The people whose the callers are, and who approve.
    pub people: People,
    /// What waits for approval.
    pub proposals: Proposals,
    /// Who is told of proposals, alarms and deadlines.
    pub notices: Notices,
    /// Who lets the others in.
    pub administrators: Administrators,
    /// Who may do what.
    pub rights: Rights,
    /// What every decision stands on, by version.
    pub authority: Authority,
    /// How much everybody may do.
    pub limits: Limiter,
    /// The door.
    pub signer: Signer,
    /// The keys.
    pub keys: Keys,
    /// When keys' cryptoperiods end.
    pub cryptoperiods: Cryptoperiods,
    /// The replacement of wallets.
    pub wallet_rotations: WalletRotations,
    /// Whether a wallet has open orders.
    pub drains: Drains,
    /// Which signed orders may still come to pass.
    pub exposure: Exposure,
    /// What devices say of the keys.
    pub attestations: Attestations,
    /// How often devices are asked.
    attestation: attestation::Settings,
    /// How keys are destroyed.
    pub destructions: Destructions,
    /// The keys that what rests is sealed under.
    pub resealing: Resealing,
    /// The devices that have not answered for a while.
    away: Away,
    /// How often keys' ends are looked after.
    look_after: cryptoperiods::Settings,
    /// The wallets.
    pub wallets: Wallets,
    /// Whom wallets may send to.
    pub recipients: Recipients,
    /// The builders' API keys.
    pub builders: Builders,
    /// How headers of level 2 are made.
    pub l2: l2::Settings,
    /// What the relayer is asked to carry out.
    pub submissions: Submissions,
    /// The wallets by their keys' addresses.
    pub accounts: Accounts,
    /// The CLOBs that the service speaks to.
    pub venues: Venues,
    /// What the CLOBs say of their markets.
    pub markets: Markets,
    /// The CLOB's API keys.
    pub api_keys: ApiKeys,
    /// Cancelled when the service stops.
    pub(crate) stop: CancellationToken,
    /// The OAuth clients.
    pub clients: Clients,
    /// The clients' access tokens.
    pub tokens: Broker,
    /// How keys are replaced.
    pub rotations: Rotations,
    /// The devices.
    pub vault: Arc<Vault>,
    /// The audit log.
    pub log: Log,
    /// The Merkle tree over the audit log.
    pub evidence: Evidence,
    /// What auditors find in the audit log.
    pub lookups: Lookups,
    /// Postgres.
    pub ledger: Ledger,
    /// Seals answers that are credentials.
    pub sealing: Arc<Keyring>,
    /// How long idempotency keys are kept.
    pub idempotency: idempotency::Settings,
    /// The time.
    pub clock: Clock,
    /// Whose turn it is to have an order explained, which computes.
    pub explaining: Explaining,
    /// What runs besides requests; shutdown waits for it.
    pub tasks: TaskTracker,
}

impl Deref for App {
    type Target = Modules;

    fn deref(&self) -> &Modules {
        &self.0
    }
}

impl App {
    /// Wires the service together. The schema has to be up to date.
    pub async fn build(settings: &Settings, clock: Clock) -> Result<Self, StartError> {
        let ledger = Self::ledger(settings)?;
        let vault = Self::vault(settings, &ledger)?;
        Self::build_with(settings, clock, ledger, vault).await
    }

    /// Wires the service with devices that are open already.
    #[expect(clippy::too_many_lines, reason = "the wiring is a list")]
    pub async fn build_with(
        settings: &Settings,
        clock: Clock,
        ledger: Ledger,
        vault: Vault,
    ) -> Result<Self, StartError> {
        ledger.check_engine().await?;
        ledger.check_schema().await?;
        let sealing = Self::keyring(settings)?;
        let vault = Arc::new(vault);
        let log = Self::log(settings, ledger.clone(), clock.clone()).await?;
        let evidence = Evidence::open(&settings.evidence, ledger.clone(), &sealing).await?;
        let tasks = TaskTracker::new();
        let authority = log.authority().clone();
        let callers = Callers::open(&settings.callers, authority.clone(), clock.clone())?;
        let policies = first_policy::bring(settings, &authority, &callers, &log).await?;
        let rules = Arc::new(settings.approvals.clone());
        let rights = Rights::new(
            &settings.policy,
            policies.clone(),
            authority.clone(),
            rules.clone(),
            log.clone(),
            &tasks,
        );
        let keys = Keys::new(log.clone(), vault.clone(), clock.clone());
        let limits = Limiter::new(authority.clone(), ledger.clone());
        let signer = Signer::new(
            &settings.signing,
            &settings.idempotency,
            signing::Equipment {
                rights: rights.clone(),
                limits: limits.clone(),
                vault: vault.clone(),
                keys: keys.clone(),
                log: log.clone(),
                evidence: evidence.clone(),
                sealing: sealing.clone(),
                clock: clock.clone(),
                tasks: tasks.clone(),
            },
        );
        let venues = Venues::open(&settings.clob)?;
        let stop = CancellationToken::new();
        tasks.spawn(authority.clone().watch(stop.clone()));
        let api_keys = ApiKeys::new(api_keys::Tools {
            signer: signer.clone(),
            venues: venues.clone(),
            vault: vault.clone(),
            log: log.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
            stop: stop.clone(),
        });
        let wallets = Wallets::new(authority.clone(), keys.clone(), clock.clone());
        let clients = Clients::new(
            &settings.oauth,
            authority.clone(),
            keys.clone(),
            clock.clone(),
        );
        let tokens = Broker::open(
            &settings.oauth,
            broker::Tools {
                rights: rights.clone(),
                signer: signer.clone(),
                clients: clients.clone(),
                log: log.clone(),
                clock: clock.clone(),
                tasks: tasks.clone(),
                stop: stop.clone(),
            },
        )?;
        let rotations = Rotations::new(rotations::Tools {
            rights: rights.clone(),
            log: log.clone(),
            keys: keys.clone(),
            clients: clients.clone(),
            signer: signer.clone(),
            settings: settings.rotations.clone(),
            clock: clock.clone(),
        });
        tasks.spawn(rotations.clone().watch(stop.clone()));
        tasks.spawn(evidence.clone().run(stop.clone()));
        for copying in evidence.copying(&stop) {
            tasks.spawn(copying);
        }
        let lookups = Lookups::new(ledger.clone());
        tasks.spawn(lookups.clone().run(stop.clone()));
        let builders = Builders {
            ledger: ledger.clone(),
            vault: vault.clone(),
        };
        let submissions = Submissions::new(relayer::Tools {
            relayers: Relayers::open(&settings.relayer)?,
            signer: signer.clone(),
            wallets: wallets.clone(),
            builders: builders.clone(),
            log: log.clone(),
        });
        tasks.spawn(submissions.clone().watch(stop.clone()));
        let drains = Drains::new(api_keys.clone(), log.clone(), clock.clone());
        tasks.spawn(exposure::watch(ledger.clone(), stop.clone()));
        Ok(Self(Arc::new(Modules {
            people: People::new(authority.clone(), callers.clone()),
            proposals: Proposals::new(log.clone(), rules),
            notices: Notices::open(&settings.notices, ledger.clone(), clock.clone())?,
            administrators: Administrators::new(callers.clone(), policies),
            sessions: Sessions::open(
                &settings.console,
                &settings.callers.jwt,
                sessions::Tools {
                    callers: callers.clone(),
                    log: log.clone(),
                    sealing: sealing.clone(),
                    clock: clock.clone(),
                },
            )?,
            callers,
            rights,
            limits,
            authority,
            attestations: Attestations::new(
                log.clone(),
                keys.clone(),
                vault.clone(),
                signer.clone(),
                clock.clone(),
            ),
            signer,
            accounts: Accounts::new(wallets.clone()),
            markets: Markets::new(&venues),
            venues,
            stop,
            builders,
            submissions,
            l2: settings.l2.clone(),
            clients,
            tokens,
            cryptoperiods: Cryptoperiods::new(
                log.clone(),
                keys.clone(),
                vault.clone(),
                clock.clone(),
            ),
            attestation: settings.attestation.clone(),
            destructions: Destructions::new(
                &settings.destruction,
                log.clone(),
                keys.clone(),
                vault.clone(),
                drains.clone(),
                clock.clone(),
            ),
            resealing: Resealing::new(log.clone(), vault.clone(), sealing.clone(), clock.clone()),
            wallet_rotations: WalletRotations::new(rotations::wallet::Tools {
                rotations: rotations.clone(),
                wallets: wallets.clone(),
                keys: keys.clone(),
                api_keys: api_keys.clone(),
                drains: drains.clone(),
            }),
            rotations,
            exposure: Exposure::new(api_keys.clone(), log.clone()),
            drains,
            recipients: Recipients::new(
                &settings.recipients,
                log.authority().clone(),
                wallets.clone(),
                clock.clone(),
            ),
            wallets,
            api_keys,
            away: Away::default(),
            look_after: settings.cryptoperiods.clone(),
            keys,
            vault,
            log,
            evidence,
            lookups,
            ledger,
            sealing,
            idempotency: settings.idempotency.clone(),
            clock,
            explaining: Explaining::new(),
            tasks,
        })))
    }

    /// Tells those who are to be told, until it stops.
    pub fn tell_people(&self) {
        self.notices.run(&self.tasks, &self.stop);
    }

    /// Looks at all keys in their devices, now and every few minutes, until it stops. One replica does
    /// it for all; one that starts looks by itself, for its devices may be set up otherwise.
    pub fn look_into_devices(&self) {
        let minutes = self.attestation.every_minutes;
        let every = Duration::from_mins(minutes.into());
        let app = self.clone();
        self.tasks.spawn(async move {
            let mut recent = None;
            loop {
                let round = Box::pin(app.attestations.round(recent));
                match app.stop.run_until_cancelled(round).await {
                    None => return,
                    Some(Ok(_)) => {}
                    Some(Err(error)) => tracing::warn!(%error, "keys are not looked at"),
                }
                let pause = app.stop.run_until_cancelled(tokio::time::sleep(every));
                if minutes == 0 || pause.await.is_none() {
                    return;
                }
                recent = Some(every / 2);
            }
        });
    }

    /// Lets what is under way come to its end, at most for `patience`.
    pub async fn shut_down(self, patience: Duration) {
        let tasks = self.tasks.clone();
        tasks.close();
        self.stop.cancel();
        drop(self); // the last handle of the group goes, and its writer ends
        if tokio::time::timeout(patience, tasks.wait()).await.is_err() {
            tracing::warn!("work under way was left behind; its leases end it");
        }
    }
}
