//! A run: the floors, then every plan with every number of connections.

use std::time::Duration;

use anyhow::Context;

use super::device::Kind;
use super::floor;
use super::histogram::Histogram;
use super::load::{self, Pace, Tally, Target};
use super::options::Options;
use super::plan::{Desk, Operation, Plan};
use super::processes::Used;
use super::ratios::{self, Ratio};
use super::row::{HEADINGS, Memory, NAME, Row, Subject, ms};
use super::world::World;
use crate::custody::Algorithm;

/// How often the service's memory is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// A run.
pub(super) struct Measure<'a> {
    pub(super) options: &'a Options,
    pub(super) target: &'a Target,
    pub(super) desks: &'a [Desk],
    /// `None`: somebody else's service, of which nothing is known but its answers.
    pub(super) world: Option<&'a World>,
    pub(super) rows: Vec<Row>,
    pub(super) ratios: Vec<Ratio>,
    pub(super) left_out: Vec<String>,
}

impl Measure<'_> {
    /// Says how it is done.
    pub(super) fn begin(&self) {
        self.say(&self.how());
        if let Some(world) = self.world {
            self.say(&format!(
                "`chancery serve` was ready in {:.0} ms; everything is in {}",
                ms(world.ready),
                world.place()
            ));
        }
        self.say(&format!("{:NAME$}{HEADINGS}", ""));
    }

    /// The floors, and every plan with every number of connections.
    pub(super) async fn table(&mut self) -> anyhow::Result<()> {
        let plans = self.plans();
        if let Some(world) = self.world {
            self.floors(world, &plans).await?;
        }
        let pace = self.options.rate.map_or(Pace::Closed, Pace::Open);
        for plan in &plans {
            for connections in &self.options.connections {
                let name = plan.row(*connections);
                if self.is_wanted(&name) {
                    self.row(name, plan, *connections, pace).await?;
                }
            }
        }
        self.ratios = ratios::of(&self.rows, cores());
        Ok(())
    }

    /// Says what follows.
    pub(super) fn conclude(&self) {
        self.say("");
        for ratio in &self.ratios {
            self.say(&format!("{}: {}", ratio.row, ratio.text));
        }
        for why in &self.left_out {
            self.say(&format!("left out: {why}"));
        }
    }

    fn how(&self) -> String {
        match (self.options.flood(), self.options.rate) {
            (Some(flood), _) => format!(
                "{} × what it does at its best, on {} connections; what finds them all busy is left out",
                flood.factor, flood.connections
            ),
            (None, Some(rate)) => format!(
                "open loop, {rate}/s: a time runs from the moment when a request was due, sent or not"
            ),
            (None, None) => "closed loop: a connection asks again when it was answered, so that a slow \
                answer hides those that would have been asked meanwhile (--rate asks whatever was answered)"
                .to_owned(),
        }
    }

    /// What is asked for. Remembers what cannot be.
    pub(super) fn plans(&mut self) -> Vec<Plan> {
        let mut plans = vec![Plan::nothing()];
        for desk in self.desks {
            for operation in self.options.operations() {
                match Plan::new(desk, operation) {
                    Ok(plan) => plans.push(plan),
                    Err(why) => {
                        let of = desk.device.map_or("", |it| it.name());
                        self.left_out
                            .push(format!("{} {of}: {why}", operation.name()));
                    }
                }
                let takes_batches = desk.device.is_none_or(Kind::takes_batches);
                if operation == Operation::Order && takes_batches {
                    let batches = self.options.batches();
                    plans.extend(batches.filter_map(|size| Plan::batch(desk, size).ok()));
                }
            }
        }
        let connections = &self.options.connections;
        plans.retain(|plan| {
            connections
                .iter()
                .any(|many| self.is_wanted(&plan.row(*many)))
        });
        plans
    }

    fn is_wanted(&self, name: &str) -> bool {
        name.contains(&self.options.only)
    }

    async fn floors(&mut self, world: &World, plans: &[Plan]) -> anyhow::Result<()> {
        let commits = floor::commits(&world.config, self.time()).await?;
        let mut rows = vec![self.floor(
            "commit of one row, one at a time".to_owned(),
            Subject::Commit,
            1,
            commits,
            None,
        )];
        self.say(&rows[0].line());
        for device in &world.devices {
            for (operation, algorithm) in [
                (Operation::Order, Algorithm::Secp256k1),
                (Operation::Assertion, Algorithm::Rsa2048),
            ] {
                let is_asked = |plan: &Plan| {
                    plan.device == Some(device.kind) && plan.operation == Some(operation)
                };
                if !plans.iter().any(is_asked) {
                    continue;
                }
                for at_once in device.kind.at_once(cores()) {
                    let name = device.kind.raw_row(operation.name(), at_once);
                    let what = floor::What::Sign {
                        algorithm,
                        at_once,
                        time: self.time(),
                    };
                    let told = world.floor(device.backend, what).await;
                    let told = told.with_context(|| name.clone())?;
                    let subject = Subject::Device(device.kind, operation);
                    let spent = Some((told.time, told.spent));
                    let row = self.floor(name, subject, at_once, told.latencies, spent);
                    self.say(&row.line());
                    rows.push(row);
                }
            }
        }
        self.rows.extend(rows);
        Ok(())
    }

    fn floor(
        &self,
        name: String,
        subject: Subject,
        at_once: usize,
        latencies: Vec<Duration>,
        spent: Option<(Duration, Duration)>,
    ) -> Row {
        let used = |load| Used {
            service: Duration::ZERO,
            postgres: Duration::ZERO,
            load,
        };
        Row {
            name,
            subject,
            at_once,
            pace: Pace::Closed,
            tally: Tally {
                answered: Histogram::of(latencies),
                time: spent.map_or(self.time(), |(time, _)| time),
                ..Tally::default()
            },
            used: spent.map(|(_, spent)| used(spent)),
            memory: None,
        }
    }

    /// Measures after a warm-up.
    pub(super) async fn row(
        &mut self,
        name: String,
        plan: &Plan,
        connections: usize,
        pace: Pace,
    ) -> anyhow::Result<Row> {
        let warm_up = Duration::from_secs_f64(self.options.warm_up);
        if !warm_up.is_zero() {
            let warm = load::run(self.target, plan, connections, pace, warm_up).await;
            warm.with_context(|| name.clone())?;
        }
        self.without_warm_up(name, plan, connections, pace, self.time())
            .await
    }

    /// Measures at once.
    pub(super) async fn without_warm_up(
        &mut self,
        name: String,
        plan: &Plan,
        connections: usize,
        pace: Pace,
        time: Duration,
    ) -> anyhow::Result<Row> {
        let used = || self.world.and_then(World::used);
        let memory = || self.world.and_then(World::memory);
        let (used_before, memory_before) = (used(), memory());
        let mut most = memory_before;
        let mut asking = std::pin::pin!(load::run(self.target, plan, connections, pace, time));
        let tally = loop {
            match tokio::time::timeout(LOOK, &mut asking).await {
                Ok(tally) => break tally.with_context(|| name.clone())?,
                Err(_) => most = most.max(memory()),
            }
        };
        let used = used_before.zip(used());
        let after = memory();
        let memory = memory_before.zip(most).zip(after);
        let row = Row {
            name,
            subject: Subject::Plan(plan.clone()),
            at_once: connections,
            pace,
            tally,
            used: used.map(|(before, after)| after.since(&before)),
            memory: memory.map(|((before, most), after)| Memory {
                before,
                most: most.max(after),
                after,
            }),
        };
        self.say(&row.line());
        for remark in row.remarks() {
            self.say(&format!("{:NAME$}  {remark}", ""));
        }
        self.rows.push(row.clone());
        Ok(row)
    }

    /// For each point.
    pub(super) fn time(&self) -> Duration {
        Duration::from_secs_f64(self.options.seconds)
    }

    /// To people; not among the JSON.
    fn say(&self, line: &str) {
        if self.options.json_to_stdout() {
            super::super::remark(line);
        } else {
            super::super::print_line(line);
        }
    }
}

/// The processors that everything shares.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
