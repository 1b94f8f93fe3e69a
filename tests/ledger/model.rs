//! Every order in which a group can overlap with what takes its ground away, on the migration's own
//! functions and a real Postgres.
//!
//! Each actor is a transaction of two steps, its call and its commit, and all orders of the steps are gone
//! through; who waits for a lock goes on when the lock comes. Then a guard is taken out of the function,
//! and there has to be an order that breaks the promise: so the test can see what it looks for.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::{Database, Postgres};

const FUNCTIONS: &str = include_str!("../../migrations/20261129170100_reserve_in_groups.sql");
const GATE: &str = "perform pg_advisory_xact_lock_shared(7163082334074663545), ";

/// A guard of `sign_group`, and what stands in its place where it is taken out.
struct Guard {
    name: &'static str,
    text: &'static str,
    without: &'static str,
}

const THE_GATE: Guard = Guard {
    name: "sign_without_gate",
    text: GATE,
    without: "perform ",
};
const THE_TURN: Guard = Guard {
    name: "sign_without_turn",
    text: "if fits is distinct from true then",
    without: "if false then",
};
const THE_ATTEMPT: Guard = Guard {
    name: "sign_without_attempt",
    text: "and attempt = coalesce((select max(t.attempt) from takeovers t where t.intent_id = e.intent), 1)",
    without: "",
};

const THE_VERSION: Guard = Guard {
    name: "sign_without_version",
    text: "and r.authority between (select h.tightened from authority_head h where h.the_only)
                                       and (select h.version from authority_head h where h.the_only)",
    without: "",
};

/// A function as it is, or without one of its guards.
#[derive(Clone, Copy)]
struct Form {
    function: &'static str,
    isolation: &'static str,
}

const AS_IT_IS: Form = Form {
    function: "sign_group",
    isolation: "read committed",
};

impl Guard {
    async fn take_out(&self, database: &Database) -> Form {
        let from = FUNCTIONS.find("create function sign_group(").unwrap();
        let to = from + FUNCTIONS[from..].find("\n$$;").unwrap() + 4;
        let whole = FUNCTIONS[from..to].replacen("sign_group", self.name, 1);
        assert_eq!(whole.matches(self.text).count(), 1, "{}", self.name);
        database.run(&whole.replace(self.text, self.without)).await;
        Form {
            function: self.name,
            ..AS_IT_IS
        }
    }
}

/// What came of an actor.
#[derive(Clone, Debug, Default)]
struct Outcome {
    /// Whether the call has done what it is for; `None`: it raised.
    did: Option<bool>,
    /// At which step of all it was called, and committed.
    called: usize,
    committed: usize,
}

/// Rows of one scene: a key, a caller's credential, a run, and an intent that is open, its lease over.
struct Scene {
    key: Uuid,
    token: Uuid,
    caller: Uuid,
    run: i32,
    intent: Uuid,
    /// How far what decides had come when it was decided that this may be signed.
    decided: i64,
}

impl Outcome {
    fn has_done(&self) -> bool {
        self.did == Some(true)
    }

    /// Whether its effect came after another's was acknowledged.
    fn came_after(&self, other: &Self) -> bool {
        self.has_done() && other.has_done() && self.committed > other.committed
    }
}

impl Scene {
    async fn new(database: &Database) -> Self {
        let [key, token, caller, intent] = [(); 4].map(|()| Uuid::new_v4());
        let name = key.simple();
        let sql = format!(
            "insert into callers (id, name, owner, roles) values ('{caller}', 'c{name}', 'd', '{{trader}}');
             insert into caller_tokens (id, caller_id, token_hash, expires_at)
                 values ('{token}', '{caller}', sha256('{token}'), now() + interval '1 hour');
             insert into keys (id, name, purpose, algorithm, backend, environment, owner, origin, state, epoch,
                               cryptoperiod_ends_at)
                 values ('{key}', 'k{name}', 'wallet', 'secp256k1', 'b', 'e', 'd', 'created', 'active', 1,
                         now() + interval '1 hour');
             insert into intents (id, caller_id, subject_id, key_id, key_epoch, batch, lease_until, run, operation, digest)
                 values ('{intent}', '{caller}', '{key}', '{key}', 1, 1, now() - interval '1 hour', 0, 'order',
                         sha256('{intent}'));
             update swept set until = now() - interval '2 hours';
             insert into writers (boot, writer, version) values ('{intent}', 'w', '0')"
        );
        database.run(&sql).await;
        let run = format!("select run from writers where boot = '{intent}'");
        Self {
            key,
            token,
            caller,
            run: i32::try_from(database.count(&run).await).unwrap(),
            intent,
            decided: database.count("select version from authority_head").await,
        }
    }

    /// A call of the function with these arguments, the rest being empty, and what it is for.
    fn sign(&self, form: Form, run: i32, turn: i32, given: &[(&str, String)], did: &str) -> String {
        let head = FUNCTIONS.split_once("sign_group(\n").unwrap().1;
        let head = head.split_once("out holds").unwrap().0;
        let arguments = head
            .split(',')
            .filter_map(|it| it.split_whitespace().next());
        let arguments = arguments.map(|name| {
            let given = given.iter().find(|(given, _)| *given == name);
            let value = given.map(|(_, value)| value.clone());
            value.unwrap_or_else(|| match name {
                "p_run" => run.to_string(),
                "p_turn" => turn.to_string(),
                "p_batch" => "1".to_owned(),
                "p_lease_ms" => "60000".to_owned(),
                "p_position" | "p_points" => "0".to_owned(),
                "r_key" => format!("'{{{}}}'", self.key),
                "r_epoch" => "'{1}'".to_owned(),
                "r_credential" => format!("'{{{}}}'", self.token),
                "r_states" => "'{active}'".to_owned(),
                "r_lasts" => "'{f}'".to_owned(),
                "r_authority" => format!("'{{{}}}'", self.decided),
                _ => "'{}'".to_owned(),
            })
        });
        let arguments: Vec<_> = arguments.collect();
        let Form {
            function,
            isolation,
        } = form;
        format!(
            "begin isolation level {isolation}; select {did} is not null from {function}({})",
            arguments.join(", ")
        )
    }

    /// The end of the intent that is open, by whoever holds it as this attempt.
    fn release(&self, form: Form, run: i32, attempt: i32) -> String {
        let one = |text: String| format!("array[{text}]");
        let given = [
            ("e_intent", format!("'{{{}}}'", self.intent)),
            ("e_attempt", format!("'{{{attempt}}}'")),
            ("e_right", "'{1}'".to_owned()),
            ("e_outcome", "'{released}'".to_owned()),
            ("e_reason", one("null::text".into())),
            ("e_r", one("null::bytea".into())),
            ("e_digest", one("sha256('d')".into())),
            ("e_order_hash", one("null::bytea".into())),
            ("e_answer", one("'a'::bytea".into())),
            ("e_sealed", "'{f}'".to_owned()),
            ("e_expires", one("null::timestamptz".into())),
            ("e_leaf", one("'l'::bytea".into())),
            ("e_hash", one(format!("sha256('{}{run}')", self.intent))),
        ];
        self.sign(form, run, 0, &given, "ended")
    }

    /// An intent under an idempotency key.
    fn intend(&self, form: Form, run: i32, turn: i32, id: Uuid) -> String {
        let one = |text: &str| format!("array[{text}]");
        let given = [
            ("i_intent", format!("'{{{id}}}'")),
            ("i_right", "'{1}'".to_owned()),
            ("i_batch", "'{0}'".to_owned()),
            ("i_operation", "'{order}'".to_owned()),
            ("i_errand", "'{\"\"}'".to_owned()),
            ("i_caller", format!("'{{{}}}'", self.caller)),
            ("i_subject", format!("'{{{}}}'", self.key)),
            ("i_request", one("sha256('q')")),
            ("i_key", "'{same}'".to_owned()),
            ("i_until", one("null::timestamptz")),
            ("i_hours", "'{24}'".to_owned()),
            ("i_digest", one("sha256('d')")),
            ("i_leaf", one("'l'::bytea")),
            ("i_hash", one(&format!("sha256('{id}')"))),
        ];
        self.sign(form, run, turn, &given, "won")
    }

    async fn another_run(&self, database: &Database) -> i32 {
        let boot = Uuid::new_v4();
        let sql =
            format!("insert into writers (boot, writer, version) values ('{boot}', 'w', '0')");
        database.run(&sql).await;
        let run = format!("select run from writers where boot = '{boot}'");
        i32::try_from(database.count(&run).await).unwrap()
    }
}

/// Whoever takes a right away holds the gate alone, as the service does.
fn alone(change: &str) -> String {
    format!("begin; select pg_advisory_xact_lock(7163082334074663545); {change}; select true")
}

/// An actor: its connection, or its call on the way.
struct Actor {
    pid: i64,
    idle: Option<PgConnection>,
    working: Option<JoinHandle<(PgConnection, Option<bool>)>>,
    outcome: Outcome,
}

impl Actor {
    async fn new(database: &Database) -> Self {
        let mut connection = PgConnection::connect(&database.over_socket())
            .await
            .unwrap();
        let pid = sqlx::query_scalar("select pg_backend_pid()::bigint");
        Self {
            pid: pid.fetch_one(&mut connection).await.unwrap(),
            idle: Some(connection),
            working: None,
            outcome: Outcome::default(),
        }
    }

    /// Its call.
    fn call(&mut self, sql: String) {
        let mut connection = self.idle.take().unwrap();
        self.working = Some(tokio::spawn(async move {
            let rows = sqlx::raw_sql(AssertSqlSafe(sql))
                .fetch_all(&mut connection)
                .await;
            let last = rows.ok().and_then(|rows| rows.into_iter().next_back());
            (connection, last.map(|row| sqlx::Row::get(&row, 0)))
        }));
    }

    /// Its commit.
    async fn commit(&mut self) {
        let done = if self.outcome.did.is_some() {
            "commit"
        } else {
            "rollback"
        };
        let connection = self.idle.as_mut().unwrap();
        sqlx::raw_sql(done).execute(connection).await.unwrap();
    }

    /// Whether its call has an answer; false once it waits for a lock.
    async fn is_ready(&mut self, database: &Database) -> bool {
        let waits = format!(
            "select count(*) from pg_locks where pid = {} and not granted",
            self.pid
        );
        while let Some(task) = self.working.take_if(|task| !task.is_finished()) {
            let is_waiting = database.count(&waits).await > 0;
            self.working = Some(task);
            if is_waiting {
                return false;
            }
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
        if let Some(task) = self.working.take() {
            let (connection, did) = task.await.unwrap();
            self.idle = Some(connection);
            self.outcome.did = did;
        }
        true
    }
}

/// Goes through the steps in this order, each number being an actor's next step. The steps of an actor that
/// waits for a lock come when the lock has come.
async fn play(order: &[usize], calls: &[String], actors: &mut [Actor], database: &Database) {
    let mut due = order.to_vec();
    let mut now = 0;
    while !due.is_empty() {
        let mut next = None;
        for (place, actor) in due.iter().enumerate() {
            if !due[..place].contains(actor) && actors[*actor].is_ready(database).await {
                next = Some(place);
                break;
            }
        }
        let Some(place) = next else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let number = due.remove(place);
        let actor = &mut actors[number];
        now += 1;
        if due.contains(&number) {
            actor.outcome = Outcome {
                called: now,
                ..Outcome::default()
            };
            actor.call(calls[number].clone());
        } else {
            actor.outcome.committed = now;
            actor.commit().await;
        }
    }
}

/// Plays all orders of what these actors do, and says in which the promise is broken.
async fn explore<C>(
    database: &Database,
    calls: impl AsyncFn(&Scene) -> Vec<String>,
    is_kept: C,
) -> Vec<String>
where
    C: Fn(&[Outcome]) -> bool,
{
    let mut actors = Vec::new();
    for _ in 0..3 {
        actors.push(Actor::new(database).await);
    }
    let mut broken = Vec::new();
    for order in orders(actors.len()) {
        let scene = Scene::new(database).await;
        let calls = calls(&scene).await;
        play(&order, &calls, &mut actors, database).await;
        let outcomes: Vec<_> = actors.iter().map(|it| it.outcome.clone()).collect();
        if !is_kept(&outcomes) {
            broken.push(format!("{order:?}: {outcomes:?}"));
        }
    }
    broken
}

/// All orders of two steps of each of so many actors.
fn orders(actors: usize) -> Vec<Vec<usize>> {
    fn more(left: &mut [usize], so_far: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
        if left.iter().all(|it| *it == 0) {
            all.push(so_far.clone());
        }
        for actor in 0..left.len() {
            if left[actor] > 0 {
                left[actor] -= 1;
                so_far.push(actor);
                more(left, so_far, all);
                so_far.pop();
                left[actor] += 1;
            }
        }
    }
    let mut all = Vec::new();
    more(&mut vec![2; actors], &mut Vec::new(), &mut all);
    all
}

/// A key is suspended, or a caller revoked, while one intent is released and another begun.
async fn take_away(database: &Database, form: Form, revokes: bool) -> Vec<String> {
    let calls = async |scene: &Scene| {
        let other = scene.another_run(database).await;
        let change = if revokes {
            format!(
                "update callers set revoked_at = now() where id = '{}'",
                scene.caller
            )
        } else {
            format!(
                "update keys set state = 'suspended' where id = '{}'",
                scene.key
            )
        };
        vec![
            alone(&change),
            scene.release(form, scene.run, 1),
            scene.intend(form, other, 0, Uuid::new_v4()),
        ]
    };
    explore(database, calls, |it| {
        !it[1].came_after(&it[0]) && !it[2].came_after(&it[0])
    })
    .await
}

/// A halt is set, or another thing tightened, while one intent is released and another begun.
async fn tighten(database: &Database, form: Form) -> Vec<String> {
    let calls = async |scene: &Scene| {
        let other = scene.another_run(database).await;
        let halt = "update authority_head set version = version + 1, tightened = version + 1";
        vec![
            alone(halt),
            scene.release(form, scene.run, 1),
            scene.intend(form, other, 0, Uuid::new_v4()),
        ]
    };
    explore(database, calls, |it| {
        it[0].has_done() && !it[1].came_after(&it[0]) && !it[2].came_after(&it[0])
    })
    .await
}

/// Something is loosened meanwhile: it waits for nobody, and takes nothing away.
async fn loosen(database: &Database) -> Vec<String> {
    let calls = async |scene: &Scene| {
        let other = scene.another_run(database).await;
        let loosen = "begin; select pg_advisory_xact_lock_shared(7163082334074663545);
                      update authority_head set version = version + 1; select true";
        vec![
            loosen.to_owned(),
            scene.release(AS_IT_IS, scene.run, 1),
            scene.intend(AS_IT_IS, other, 0, Uuid::new_v4()),
        ]
    };
    explore(database, calls, |it| it.iter().all(Outcome::has_done)).await
}

/// A call whose answer is lost, whoever takes the next turn, and the same call in that turn.
async fn lose_an_answer(database: &Database, form: Form) -> Vec<String> {
    let calls = async |scene: &Scene| {
        let taking = format!("begin; select is_there from take_turn({}, 1)", scene.run);
        vec![
            scene.intend(form, scene.run, 0, Uuid::new_v4()),
            taking,
            scene.intend(form, scene.run, 1, Uuid::new_v4()),
        ]
    };
    explore(database, calls, |it| {
        let (lost, taken, again) = (&it[0], &it[1], &it[2]);
        let told = taken.did.unwrap_or(false);
        let was_there = lost.has_done() && lost.committed < taken.committed;
        let came_later = lost.has_done() && lost.committed > taken.committed;
        told == was_there && !came_later && !(lost.has_done() && again.has_done())
    })
    .await
}

/// An intent is taken over, and ended by both who held it.
async fn take_over(database: &Database, form: Form) -> Vec<String> {
    let calls = async |scene: &Scene| {
        let taking = format!(
            "begin; select exists (select from take_over(60000, 100) where intent_id = '{}')",
            scene.intent
        );
        let other = scene.another_run(database).await;
        vec![
            taking,
            scene.release(form, scene.run, 1),
            scene.release(form, other, 2),
        ]
    };
    explore(database, calls, |it| {
        let (taking, first, second) = (&it[0], &it[1], &it[2]);
        let one = !(first.has_done() && second.has_done());
        let is_over = taking.has_done() && first.has_done() && first.called > taking.committed;
        let has_none =
            second.has_done() && !(taking.has_done() && taking.committed < second.committed);
        one && !is_over && !has_none
    })
    .await
}

/// Two replicas claim one idempotency key, and the caller is revoked.
async fn claim_twice(database: &Database, form: Form) -> Vec<String> {
    let calls = async |scene: &Scene| {
        let other = scene.another_run(database).await;
        let revoke = format!(
            "update callers set revoked_at = now() where id = '{}'",
            scene.caller
        );
        vec![
            scene.intend(form, scene.run, 0, Uuid::new_v4()),
            scene.intend(form, other, 0, Uuid::new_v4()),
            alone(&revoke),
        ]
    };
    explore(database, calls, |it| {
        let both = it[0].has_done() && it[1].has_done();
        !both && !it[0].came_after(&it[2]) && !it[1].came_after(&it[2])
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_of_calls_and_commits_keeps_the_promises_and_each_guard_is_needed() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database().await;
    let bare = "alter table keys disable trigger user;
                alter table keys drop constraint keys_signs_only_with_public_key";
    database.run(bare).await;

    for broken in [
        take_away(&database, AS_IT_IS, false).await,
        take_away(&database, AS_IT_IS, true).await,
        lose_an_answer(&database, AS_IT_IS).await,
        take_over(&database, AS_IT_IS).await,
        claim_twice(&database, AS_IT_IS).await,
        tighten(&database, AS_IT_IS).await,
        loosen(&database).await,
    ] {
        assert!(broken.is_empty(), "{broken:#?}");
    }

    let without = THE_GATE.take_out(&database).await;
    assert!(!take_away(&database, without, false).await.is_empty());
    assert!(!take_away(&database, without, true).await.is_empty());
    assert!(!tighten(&database, without).await.is_empty());
    let without = THE_TURN.take_out(&database).await;
    assert!(!lose_an_answer(&database, without).await.is_empty());
    let without = THE_ATTEMPT.take_out(&database).await;
    assert!(!take_over(&database, without).await.is_empty());
    let without = THE_VERSION.take_out(&database).await;
    assert!(!tighten(&database, without).await.is_empty());
    // What is looked at has to be newer than the lock.
    let one_snapshot = Form {
        isolation: "repeatable read",
        ..AS_IT_IS
    };
    assert!(!take_away(&database, one_snapshot, false).await.is_empty());
    assert!(!tighten(&database, one_snapshot).await.is_empty());
}
