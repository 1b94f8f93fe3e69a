//! One fetch at a time for a place, however many wait for it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::Instrument as _;

use super::breaker::Breaker;
use super::failure::{FetchError, TokenError};
use super::fetch::Fetch;
use super::life::Age;
use super::place::Place;
use super::scope_set::ScopeSet;
use super::slot::{Look, Outcome, Slot};
use super::{Broker, Held, TokenNeed, dice, lock};
use crate::metrics::TOKENS;

impl Broker {
    /// A token of this generation, or a later one: remembered, or fetched by whoever is first.
    pub(super) async fn held(
        &self,
        wish: &TokenNeed,
        place: &Place,
        generation: i64,
        permitted: &ScopeSet,
    ) -> Result<Arc<Held>, TokenError> {
        let slot = self.0.slots.get_with(place.hash(), Arc::default);
        loop {
            let (mut flight, own) = {
                let mut looked = lock(&slot);
                let now = Instant::now();
                let look = looked.look(now, generation);
                TOKENS.asked(matches!(look, Look::Serve(_) | Look::Refresh(_)));
                match look {
                    Look::Serve(held) => return Ok(held),
                    Look::Refresh(held) => {
                        if lock(&self.breaker(place)).pass(now).is_ok() {
                            let tell = looked.begin();
                            self.launch(wish, place, permitted, slot.clone(), tell);
                        }
                        return Ok(held);
                    }
                    Look::Wait(flight) => (flight, false),
                    Look::Rest(error, rest) => return Err(resting(error, rest)),
                    Look::Fetch => {
                        if let Err((error, rest)) = lock(&self.breaker(place)).pass(now) {
                            let last = looked.last(now, generation);
                            return last.ok_or_else(|| resting(error, rest));
                        }
                        let tell = looked.begin();
                        let flight = tell.subscribe();
                        self.launch(wish, place, permitted, slot.clone(), tell);
                        (flight, true)
                    }
                }
            };
            let landed = flight.wait_for(Option::is_some).await;
            let Some(landed) = landed.ok().and_then(|outcome| outcome.clone()) else {
                continue; // the fetch died
            };
            let now = Instant::now();
            match landed {
                Ok(held) if held.generation >= generation && held.life.age(now) != Age::Over => {
                    return Ok(held);
                }
                Ok(_) => {} // somebody reported it while it was on its way
                Err(error) => {
                    if let Some(last) = lock(&slot).last(now, generation) {
                        return Ok(last);
                    }
                    if own || !error.is_the_leaders_own() {
                        let rest = lock(&slot).rests(now);
                        let rest = rest.or_else(|| lock(&self.breaker(place)).rests(now));
                        return Err(TokenError::Fetch {
                            error,
                            retry_after: rest,
                        });
                    }
                }
            }
        }
    }

    pub(super) fn breaker(&self, place: &Place) -> Arc<Mutex<Breaker>> {
        self.0.breakers.get_with(place.presented(), Arc::default)
    }

    /// Fetches a token in a task of its own: who caused it may hang up, others wait for it.
    fn launch(
        &self,
        wish: &TokenNeed,
        place: &Place,
        permitted: &ScopeSet,
        slot: Arc<Mutex<Slot>>,
        tell: watch::Sender<Outcome>,
    ) {
        let fetch = Fetch {
            broker: self.clone(),
            place: place.clone(),
            caller: wish.caller.clone(),
            permitted: permitted.clone(),
            request: wish.request,
        };
        let breaker = self.breaker(place);
        let work = async move {
            let (generation, done) = fetch.run().await;
            let now = Instant::now();
            match &done {
                Ok(held) => {
                    lock(&slot).filled(held);
                    if lock(&breaker).close() {
                        tracing::info!(client = %fetch.place.client.name, "the client is taken again");
                    }
                }
                Err(error) => {
                    lock(&slot).failed(now, error, generation, dice());
                    let still = lock(&slot).last(now, generation).is_some();
                    fetch.complain(error, still);
                    if error.denies_client() && lock(&breaker).trip(now, error) {
                        tracing::error!(client = %fetch.place.client.name,
                            environment = %fetch.place.client.environment, %error,
                            "the authorization server does not take a client: no new tokens for it");
                    }
                }
            }
            tell.send_replace(Some(done));
        };
        self.0.tasks.spawn(work.in_current_span());
    }
}

fn resting(error: FetchError, rest: Duration) -> TokenError {
    TokenError::Fetch {
        error,
        retry_after: Some(rest),
    }
}
