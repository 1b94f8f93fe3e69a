//! Proves invariants of a policy set, or shows a request that breaks one.
//!
//! An invariant is a policy set itself: all that may ever be permitted, of the actions that its heads name. It
//! holds where no request whatever, with whatever roles, owners, names and amounts, is permitted by the policy
//! and not by the invariant. One more is always looked at: that no rule can fail to be evaluated, which the
//! service would answer with a denial. The work is done by the program `cvc5`, found by `CVC5` or in `PATH`.
//!
//!     chancery-prove POLICY.cedar [INVARIANT.cedar…]
//!
//! Without invariants, those in `invariants/` beside the policy. Ends with 0 where all hold, 1 where one does
//! not, 2 where it cannot be told.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr as _;
use std::time::Instant;

use cedar_policy::{ActionConstraint, Entities, EntityUid, Policy, PolicySet, RequestEnv, Schema};
use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env};

const SCHEMA: &str = include_str!("../../../src/policy/schema.cedarschema");

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let mut files = std::env::args_os().skip(1).map(PathBuf::from);
    let Some(policy) = files.next() else {
        say("usage: chancery-prove POLICY.cedar [INVARIANT.cedar…]");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let proved = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(prove(&policy, files.collect())));
    match proved {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("chancery-prove: {error}"));
            ExitCode::from(2)
        }
    }
}

fn say(line: &str) {
    println!("{line}");
}

async fn prove(file: &Path, mut invariants: Vec<PathBuf>) -> Outcome<bool> {
    if invariants.is_empty() {
        invariants = beside(file)?;
    }
    let schema = Schema::from_cedarschema_str(SCHEMA)?.0;
    let policies = read(file)?;
    let solver = LocalSolver::cvc5().map_err(|error| {
        format!(
            "the program cvc5 cannot be run: {error}; Debian has it as cvc5, and CVC5 can name it"
        )
    })?;
    let mut prover = Prover {
        compiler: CedarSymCompiler::new(solver)?,
        actions: schema.action_entities()?,
        kinds: schema.request_envs().collect(),
        schema,
    };
    let mut holds = prover.never_errs(&policies).await?;
    for file in &invariants {
        holds &= prover.is_within(&policies, file).await?;
    }
    Ok(holds)
}

fn read(file: &Path) -> Outcome<PolicySet> {
    let named = |error: &dyn Error| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
    Ok(PolicySet::from_str(&text).map_err(|error| named(&error))?)
}

fn beside(file: &Path) -> Outcome<Vec<PathBuf>> {
    let directory = file.with_file_name("invariants");
    let entries = std::fs::read_dir(&directory);
    let entries = entries.map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "cedar") {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(format!("{}: there is no invariant", directory.display()).into());
    }
    Ok(found)
}

struct Prover {
    compiler: CedarSymCompiler<LocalSolver>,
    schema: Schema,
    /// Which belongs to which group.
    actions: Entities,
    /// Who can ask for what, on what kind of thing.
    kinds: Vec<RequestEnv>,
}

impl Prover {
    /// That no rule fails, whatever the request.
    async fn never_errs(&mut self, policies: &PolicySet) -> Outcome<bool> {
        let (since, mut looked_at, mut holds) = (Instant::now(), 0, true);
        for policy in policies.policies() {
            for kind in &self.kinds {
                let compiled = CompiledPolicy::compile(policy, kind, &self.schema)?;
                let found = self
                    .compiler
                    .check_never_errors_with_counterexample_opt(&compiled);
                looked_at += 1;
                if let Some(request) = found.await? {
                    let name = policy.annotation("id").unwrap_or("a rule without @id");
                    say(&format!(
                        "FAILS   {name} cannot be evaluated for\n{}",
                        shown(&request)
                    ));
                    holds = false;
                    break;
                }
            }
        }
        if holds {
            let ms = since.elapsed().as_millis();
            say(&format!(
                "proved  no rule ever fails ({looked_at} questions, {ms} ms)"
            ));
        }
        Ok(holds)
    }

    /// That nothing is permitted but what the invariant permits.
    async fn is_within(&mut self, policies: &PolicySet, file: &Path) -> Outcome<bool> {
        let (since, mut looked_at) = (Instant::now(), 0);
        let invariant = read(file)?;
        let name = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .replace('-', " ");
        for kind in &self.kinds {
            let speaks = |it: &Policy| speaks_of(it, kind.action(), &self.actions);
            if !invariant.policies().any(speaks) {
                continue;
            }
            let permitted = CompiledPolicySet::compile(policies, kind, &self.schema)?;
            let bound = CompiledPolicySet::compile(&invariant, kind, &self.schema)?;
            let found = self
                .compiler
                .check_implies_with_counterexample_opt(&permitted, &bound);
            looked_at += 1;
            if let Some(request) = found.await? {
                say(&format!(
                    "FAILS   {name}: this is permitted\n{}",
                    shown(&request)
                ));
                return Ok(false);
            }
        }
        if looked_at == 0 {
            return Err(format!("{}: it speaks of no action that there is", file.display()).into());
        }
        let ms = since.elapsed().as_millis();
        say(&format!("proved  {name} ({looked_at} questions, {ms} ms)"));
        Ok(true)
    }
}

/// Whether the head of a policy names an action, or a group of it.
fn speaks_of(policy: &Policy, action: &EntityUid, actions: &Entities) -> bool {
    let names = |named: &EntityUid| named == action || actions.is_ancestor_of(named, action);
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::In(all) => all.iter().any(names),
        ActionConstraint::Eq(one) => names(&one),
    }
}

/// A request for people.
fn shown(found: &Env) -> String {
    let request = &found.request;
    let line = |what: &str, uid: Option<&EntityUid>| {
        let Some(uid) = uid else {
            return format!("  {what:9} anybody or anything");
        };
        let attributes = found.entities.get(uid).map(|entity| {
            let attributes = entity.attrs().map(|(name, value)| match value {
                Ok(value) => format!("{name} = {value}"),
                Err(_) => format!("{name} = ?"),
            });
            attributes.collect::<Vec<_>>().join(", ")
        });
        let attributes = attributes.filter(|it| !it.is_empty());
        let attributes = attributes.map_or(String::new(), |it| format!(" with {it}"));
        format!("  {what:9} {}{attributes}", uid.type_name())
    };
    let action = request
        .action()
        .map_or("any".to_owned(), |it| it.id().unescaped().to_owned());
    let mut lines = vec![
        line("who", request.principal()),
        format!("  does      {action}"),
        line("on", request.resource()),
    ];
    if let Some(context) = request.context() {
        lines.push(format!("  with      {context}"));
    }
    lines.join("\n")
}
