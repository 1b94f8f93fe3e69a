//! The loaded module: initialized once a process, shared by all tokens behind it, rebuilt as a whole.
//!
//! Every call into the module is registered, so that a rebuild happens only while no call is inside, and
//! a call that does not come back is noticed. Such a call cannot be cancelled: the module is marked down,
//! and callers are refused at once, until a look finds that the module answers other calls, or the lost
//! call returns. While a call is lost in the module, it is not rebuilt.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11 as Context};
use cryptoki::error::{Error, RvError};

use super::isolation;
use super::recovery::brief;
use crate::custody::CustodyError;

/// The modules of this process. They stay initialized until it ends.
static MODULES: LazyLock<Mutex<BTreeMap<PathBuf, Arc<Module>>>> = LazyLock::new(Mutex::default);

/// A PKCS#11 library in this process.
pub(super) struct Module {
    context: Context,
    path: PathBuf,
    /// The library is p11-kit's client, and the real module runs in a process of its own.
    isolated: bool,
    state: Mutex<State>,
    /// Signalled when a call leaves that a rebuild, or another call, waits for.
    left: Condvar,
    /// Held while a key is generated: parallel writers have damaged tokens.
    pub(super) generating: Arc<tokio::sync::Mutex<()>>,
}

struct State {
    /// Grows with each initialization. A session or handle of an earlier generation is void.
    generation: u64,
    phase: Phase,
    /// Calls inside the module, by number.
    inside: BTreeMap<u64, Inside>,
    calls: u64,
}

#[derive(Clone, Copy)]
struct Inside {
    back_by: Instant,
    /// The call was not back in time, and nobody waits for it.
    lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Up,
    Rebuilding,
    /// To be rebuilt before the next call.
    Down,
}

/// A call inside the module. While one lives, the module is not finalized.
pub(super) struct Call<'a> {
    module: &'a Module,
    number: u64,
    generation: u64,
    back_by: Instant,
}

/// Why a call may not enter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed {
    /// Whether a rebuild can help now: no call is inside, and no rebuild is under way.
    pub(super) can_rebuild: bool,
    /// The generation that is closed.
    pub(super) generation: u64,
}

/// Why a module is not up again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotRebuilt {
    /// Another thread is rebuilding it.
    Elsewhere,
    /// The rebuild failed.
    Failed(String),
}

impl Module {
    /// Loads and initializes the library at `path`, or shares it if this process already has it.
    pub(super) fn shared(path: &Path) -> Result<Arc<Self>, CustodyError> {
        Self::open(path, false)
    }

    /// Loads the library, or p11-kit's client instead, which starts a process for it.
    pub(super) fn open(path: &Path, isolated: bool) -> Result<Arc<Self>, CustodyError> {
        let client = isolated.then(isolation::client).transpose()?;
        let path = client.as_deref().unwrap_or(path);
        let unavailable = |error: String| {
            CustodyError::Unavailable(format!("PKCS#11 module {}: {error}", path.display()))
        };
        let path = path
            .canonicalize()
            .map_err(|e| unavailable(e.to_string()))?;
        // The lock is held while initializing: two initializations at once crash some modules.
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(&path) {
            return Ok(Arc::clone(module));
        }
        let context = Context::new(&path).map_err(|e| unavailable(brief(&e)))?;
        initialize(&context).map_err(|e| unavailable(brief(&e)))?;
        let module = Arc::new(Self {
            context,
            path: path.clone(),
            isolated,
            state: Mutex::new(State {
                generation: 1,
                phase: Phase::Up,
                inside: BTreeMap::new(),
                calls: 0,
            }),
            left: Condvar::new(),
            generating: Arc::default(),
        });
        modules.insert(path, Arc::clone(&module));
        Ok(module)
    }

    /// Registers a call that should be back after `patience`.
    pub(super) fn enter(&self, patience: Duration) -> Result<Call<'_>, Closed> {
        self.enter_if(patience, State::open)
    }

    /// Registers the call of a look: whether a module in which a call hangs answers others.
    pub(super) fn enter_to_look(&self, patience: Duration) -> Result<Call<'_>, Closed> {
        self.enter_if(patience, |state| {
            if state.phase == Phase::Down && state.lost_one() {
                return Ok(());
            }
            state.open()
        })
    }

    /// An isolated module is entered by one call at a time: p11-kit's process does no more, and when that
    /// process dies, its client leaves calls that wait for each other's answers waiting for ever.
    fn enter_if(
        &self,
        patience: Duration,
        open: impl Fn(&State) -> Result<(), Closed>,
    ) -> Result<Call<'_>, Closed> {
        let turn_by = Instant::now() + patience;
        let mut state = self.state();
        open(&state)?;
        while self.isolated && !state.inside.is_empty() {
            let left = turn_by.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(state.closed(false));
            }
            let waited = self.left.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            open(&state)?;
        }
        Ok(self.let_in(&mut state, Instant::now() + patience))
    }

    fn let_in(&self, state: &mut State, back_by: Instant) -> Call<'_> {
        state.calls += 1;
        let number = state.calls;
        let lost = false;
        state.inside.insert(number, Inside { back_by, lost });
        Call {
            module: self,
            number,
            generation: state.generation,
            back_by,
        }
    }

    /// Whether a call makes sense: the module is up, or down and free to be rebuilt.
    pub(super) fn answers(&self) -> bool {
        self.state()
            .open()
            .map_or_else(|c| c.can_rebuild, |()| true)
    }

    /// Whether the module is down, and nobody is rebuilding it.
    pub(super) fn is_down(&self) -> bool {
        self.state().phase == Phase::Down
    }

    /// Gives up calls that are inside for longer than they should be, and marks the module down if there
    /// are any. For callers who stopped waiting.
    pub(super) fn suspect_a_hang(&self, now: Instant) -> bool {
        let mut state = self.state();
        let late = |inside: &&mut Inside| !inside.lost && inside.back_by <= now;
        let lost = state.inside.values_mut().filter(late);
        let lost = lost.map(|inside| inside.lost = true).count();
        if lost > 0 {
            if state.phase == Phase::Up {
                state.phase = Phase::Down;
            }
            tracing::error!(
                custody.module = %self.path.display(),
                calls = lost,
                "a call into the PKCS#11 module hangs; it is down until it answers others"
            );
        }
        if lost > 0 && self.isolated {
            let killed = isolation::kill();
            tracing::warn!(processes = killed, "killed the process of the module");
        }
        lost > 0
    }

    /// Records that the module answered a look, though a call is lost in it.
    pub(super) fn answered(&self, generation: u64) {
        let mut state = self.state();
        if state.phase == Phase::Down && state.generation == generation && state.lost_one() {
            state.phase = Phase::Up;
            tracing::warn!(
                custody.module = %self.path.display(),
                "the PKCS#11 module answers others than the call that hangs"
            );
        }
    }

    /// Finalizes and initializes, unless somebody already did since `generation`. Waits for `patience`
    /// for the calls inside to leave; if one does not, the module stays down.
    ///
    /// Sessions are opened so that dropping one calls nothing (see `token.rs`), so those of earlier
    /// generations may be dropped later, when their numbers mean somebody else's session.
    pub(super) fn rebuild(&self, generation: u64, patience: Duration) -> Result<(), NotRebuilt> {
        let mut state = self.state();
        if state.phase == Phase::Rebuilding {
            return Err(NotRebuilt::Elsewhere);
        }
        if state.generation != generation {
            return Ok(());
        }
        let hangs = || NotRebuilt::Failed("a call into the PKCS#11 module hangs".into());
        if state.lost_one() && !self.isolated {
            state.phase = Phase::Down;
            return Err(hangs());
        }
        state.phase = Phase::Rebuilding;
        let (mut state, _) = self
            .left
            .wait_timeout_while(state, patience, |state| !state.inside.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        if !state.inside.is_empty() {
            state.phase = Phase::Down;
            return Err(hangs());
        }
        drop(state); // who calls meanwhile is refused at once

        if let Err(error) = self.context.clone().finalize() {
            tracing::debug!(
                error = brief(&error),
                "C_Finalize failed; initializing anyway"
            );
        }
        let initialized = initialize(&self.context);
        let mut state = self.state();
        state.generation += 1;
        state.phase = if initialized.is_ok() {
            Phase::Up
        } else {
            Phase::Down
        };
        tracing::warn!(
            custody.module = %self.path.display(),
            custody.generation = state.generation,
            up = initialized.is_ok(),
            "initialized the PKCS#11 module again"
        );
        initialized.map_err(|error| NotRebuilt::Failed(brief(&error)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a call is lost.
    fn lost_one(&self) -> bool {
        self.inside.values().any(|inside| inside.lost)
    }

    fn open(&self) -> Result<(), Closed> {
        match self.phase {
            Phase::Up => Ok(()),
            Phase::Rebuilding => Err(self.closed(false)),
            Phase::Down => Err(self.closed(self.inside.is_empty())),
        }
    }

    fn closed(&self, can_rebuild: bool) -> Closed {
        Closed {
            can_rebuild,
            generation: self.generation,
        }
    }
}

impl Call<'_> {
    /// The library.
    pub(super) fn context(&self) -> &Context {
        &self.module.context
    }

    /// The generation that this call runs in.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// When it should be back.
    pub(super) fn back_by(&self) -> Instant {
        self.back_by
    }

    /// Whether no other thread may call the module meanwhile.
    pub(super) fn is_alone(&self) -> bool {
        self.module.isolated
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut state = self.module.state();
        state.inside.remove(&self.number);
        if state.phase == Phase::Rebuilding || self.module.isolated {
            self.module.left.notify_all();
        }
    }
}

fn initialize(context: &Context) -> Result<(), Error> {
    match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // Another user of the library in this process, or a finalize that failed half-way.
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        other => other,
    }
}
