//! Calls to KMS: made, timed, and repeated where that makes sense.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kms::error::{BoxError, ProvideErrorMetadata, SdkError};
use tokio::time::{Instant, sleep};

use super::pace::Pace;
use super::trouble::{self, Trouble};
use super::{AwsKms, Settings};
use crate::custody::{CustodyError, Pauses, Tries, Turn};
use crate::id::{CallerId, KeyId};
use crate::traces;

/// After so many failures in a row KMS is left alone for a while, and callers are refused at once.
const FAILURES: u32 = 8;
const REST: Duration = Duration::from_secs(1);

/// The first pause before another attempt, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// A client for these settings, with the host's credentials.
pub(super) async fn client(settings: &Settings) -> Client {
    let mut host = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(settings.region.clone()));
    if let Some(profile) = &settings.profile {
        host = host.profile_name(profile);
    }
    client_of(&host.load().await, settings)
}

/// A client for these settings. It retries nothing by itself.
pub(super) fn client_of(host: &SdkConfig, settings: &Settings) -> Client {
    let attempt = Duration::from_millis(settings.attempt_timeout_ms);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(settings.connect_timeout_ms))
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt)
        .build();
    let mut config = aws_sdk_kms::config::Builder::from(host)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(url) = &settings.endpoint_url {
        config = config.endpoint_url(url);
    }
    Client::from_conf(config.interceptor(Propagates).build())
}

/// Says of which trace a call is part.
#[derive(Debug)]
struct Propagates;

impl Intercept for Propagates {
    fn name(&self) -> &'static str {
        "Propagates"
    }

    // After it was signed: what is on the way may take the header out again.
    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(trace) = traces::outgoing() {
            let headers = context.request_mut().headers_mut();
            headers.insert(traces::TRACEPARENT, trace);
        }
        Ok(())
    }
}

/// Counts failures in a row, and keeps callers away from a KMS that is down.
#[derive(Default)]
pub(super) struct Breaker(Mutex<(u32, Option<Instant>)>);

/// The line that a signature stands in.
pub(super) struct Line<'a> {
    pub(super) pace: &'a Pace,
    pub(super) caller: CallerId,
    pub(super) tries: &'a Tries,
    pub(super) turn: &'a Turn,
}

impl Line<'_> {
    /// Waits for the turn that was taken before the intent, or for another: a signature that KMS turned
    /// away stands in front of its caller's line.
    async fn wait(&self, patience: Duration) -> Result<(), CustodyError> {
        let deadline = Instant::now() + patience;
        if let Some(told) = self.turn.take() {
            // Others may have come between, and KMS may have slowed down; but there is an intent now.
            let deadline = self.turn.at_most(deadline + patience);
            return self.pace.redeem(told, deadline).await;
        }
        if self.tries.begun() {
            return self.pace.turn_again(self.caller, deadline).await;
        }
        self.pace.turn(self.caller, deadline).await
    }
}

impl Breaker {
    /// Whether KMS is left alone, or somebody looks whether it is back.
    pub(super) fn is_open(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 >= FAILURES
    }

    /// Lets a call through, or refuses it: one call at a time tries whether KMS is back.
    fn pass(&self) -> Result<(), CustodyError> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match *state {
            (failures, Some(until)) if failures >= FAILURES && now < until => Err(
                CustodyError::Unavailable("KMS did not answer a moment ago".into()),
            ),
            (failures, _) if failures >= FAILURES => {
                state.1 = Some(now + REST);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn worked(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (0, None);
    }

    fn failed(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = state.0.saturating_add(1);
        if state.0 >= FAILURES {
            state.1 = Some(Instant::now() + REST);
        }
    }
}

impl AwsKms {
    /// Makes a call about a key, and repeats it where that makes sense and there is time. A signature takes
    /// a turn before each attempt, and the attempt is counted.
    pub(super) async fn again<T, E, R, F>(
        &self,
        id: KeyId,
        line: Option<&Line<'_>>,
        call: impl Fn() -> F,
    ) -> Result<T, CustodyError>
    where
        E: ProvideErrorMetadata,
        F: Future<Output = Result<T, SdkError<E, R>>>,
    {
        let deadline = || {
            let deadline = Instant::now() + self.timeout();
            line.map_or(deadline, |line| line.turn.at_most(deadline))
        };
        let mut until = deadline();
        let mut pauses = Pauses::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut attempt = 0;
        loop {
            attempt += 1;
            self.breaker.pass()?;
            if let Some(line) = line {
                line.wait(until.saturating_duration_since(Instant::now()))
                    .await?;
                if attempt == 1 {
                    until = deadline();
                }
                line.tries.count();
            }
            let trouble = match self.once(id, &call).await {
                Ok(answer) => {
                    if let Some(line) = line {
                        line.pace.go_on();
                    }
                    return Ok(answer);
                }
                Err(trouble) => trouble,
            };
            let error = match trouble {
                Trouble::Final(error) => return Err(error),
                Trouble::Throttled => {
                    if let Some(line) = line {
                        line.pace.slow_down();
                    }
                    let retry_after = LONGEST_PAUSE;
                    CustodyError::Throttled { retry_after }
                }
                Trouble::KeyAway(error) | Trouble::Away(error) => error,
            };
            let wait = pauses.draw();
            if attempt >= self.settings.attempts || Instant::now() + wait >= until {
                return Err(error);
            }
            tracing::debug!(key.id = %id, attempt, %error, "KMS is asked again");
            sleep(wait).await;
        }
    }

    /// Makes a call once.
    pub(super) async fn once<T, E, R, F>(
        &self,
        id: KeyId,
        call: impl Fn() -> F,
    ) -> Result<T, Trouble>
    where
        E: ProvideErrorMetadata,
        F: Future<Output = Result<T, SdkError<E, R>>>,
    {
        match call().await {
            Ok(answer) => {
                self.breaker.worked();
                Ok(answer)
            }
            Err(error) => {
                let trouble = trouble::read(id, &error);
                match &trouble {
                    Trouble::Away(_) => self.breaker.failed(),
                    _ => self.breaker.worked(), // KMS answered
                }
                Err(trouble)
            }
        }
    }
}
