//! The service beside what it stands on. Everything shares the machine's processors, so these are the
//! result, not the figures.

use serde_json::{Value, json};

use super::plan::Operation;
use super::processes::Used;
use super::row::{Row, Subject, ms};

/// One comparison.
#[derive(Clone, Debug)]
pub(super) struct Ratio {
    pub(super) row: String,
    pub(super) kind: &'static str,
    pub(super) value: f64,
    pub(super) text: String,
}

impl Ratio {
    fn new(row: &Row, kind: &'static str, value: f64, text: String) -> Self {
        Self {
            row: row.name.clone(),
            kind,
            value,
            text,
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "row": self.row, "kind": self.kind, "value": self.value, "text": self.text })
    }
}

/// All that these rows give, measured on so many cores.
pub(super) fn of(rows: &[Row], cores: usize) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for row in rows.iter().filter(|row| row.plan().is_some()) {
        ratios.extend(over_the_floor(row, rows));
        ratios.extend(of_the_device(row, rows, cores as f64));
        ratios.extend(outside_the_device(row, rows));
        ratios.extend(beside_an_order(row, rows));
    }
    ratios
}

/// One at a time: what is above the sum of what cannot be avoided.
fn over_the_floor(row: &Row, rows: &[Row]) -> Option<Ratio> {
    let plan = row.plan().filter(|it| it.batch.is_none())?;
    if row.at_once != 1 || !plan.operation?.asks_the_device() {
        return None;
    }
    let commit = rows
        .iter()
        .find(|it| matches!(it.subject, Subject::Commit))?;
    let alone = floors(row, rows).find(|floor| floor.at_once == 1)?;
    let floor = alone.tally.answered.p50() + commit.tally.answered.p50() * 2;
    let p50 = row.tally.answered.p50();
    let over = ms(p50) - ms(floor);
    let text = format!(
        "p50 {:.2} ms; device and two commits {:.2} ms; {over:.2} ms over",
        ms(p50),
        ms(floor),
    );
    Some(Ratio::new(
        row,
        "ms-over-device-and-two-commits",
        over,
        text,
    ))
}

/// Many at a time: against the most that the device gives, on all cores and on those that are left.
fn of_the_device(row: &Row, rows: &[Row], cores: f64) -> Vec<Ratio> {
    if row.at_once == 1 && row.plan().is_none_or(|it| it.batch.is_none()) {
        return Vec::new();
    }
    let best = floors(row, rows).max_by(|one, other| one.a_second().total_cmp(&other.a_second()));
    let Some(best) = best else {
        return Vec::new();
    };
    let most = best.a_second();
    let share = row.a_second() / most;
    let text = format!("{:.0} % of the device's best {most:.0}/s", 100.0 * share);
    let mut ratios = vec![Ratio::new(row, "share-of-device", share, text)];
    // A device that computes elsewhere loses nothing to what else these cores do.
    if let (Some(outside), Some(device)) = (outside(row, rows), best.each(Used::all))
        && device * most > 0.5e6 * cores
    {
        let load = row.each(|used| used.load).unwrap_or_default();
        let left = cores - row.a_second() * (outside + load) / 1e6;
        let share = row.a_second() / (most * left / cores);
        let text = format!(
            "{:.0} % of it on the {left:.2} of {cores} cores that all else leaves",
            100.0 * share
        );
        ratios.push(Ratio::new(
            row,
            "share-of-device-on-cores-left",
            share,
            text,
        ));
    }
    ratios
}

/// Processor time of service and Postgres an order, without the device's.
fn outside_the_device(row: &Row, rows: &[Row]) -> Option<Ratio> {
    let outside = outside(row, rows)?;
    let text = format!("{outside:.0} µs of processor time outside the device call");
    Some(Ratio::new(row, "cpu-us-outside-device", outside, text))
}

/// What does not ask the device, against an order at as many connections.
fn beside_an_order(row: &Row, rows: &[Row]) -> Option<Ratio> {
    let plan = row.plan()?;
    let operation = plan.operation.filter(|it| *it != Operation::Order)?;
    let order = rows.iter().find(|other| {
        other.at_once == row.at_once
            && other.plan().is_some_and(|it| {
                it.operation == Some(Operation::Order)
                    && it.batch.is_none()
                    && it.device == plan.device
            })
    })?;
    let cost = |row: &Row, device: bool| {
        if device {
            outside(row, rows)
        } else {
            row.each(|used| used.service + used.postgres)
        }
    };
    let mine = cost(row, operation.asks_the_device())?;
    let ratio = mine / cost(order, true).filter(|it| *it > 0.0)?;
    let text = format!("{ratio:.2} × an order's processor time outside the device");
    Some(Ratio::new(row, "cost-beside-an-order", ratio, text))
}

/// Microseconds of service and Postgres, without what the device takes where it computes in the service.
fn outside(row: &Row, rows: &[Row]) -> Option<f64> {
    let both = row.each(|used| used.service + used.postgres)?;
    let device = floors(row, rows).max_by(|one, other| one.at_once.cmp(&other.at_once));
    let device = device.and_then(|floor| floor.each(|used| used.load));
    let is_needed = row.plan()?.operation?.asks_the_device();
    match device {
        Some(device) if is_needed => Some(both - device),
        // The keystore's signature cannot be told apart: it counts.
        _ => Some(both),
    }
}

/// The device of a row, by itself.
fn floors<'a>(row: &Row, rows: &'a [Row]) -> impl Iterator<Item = &'a Row> + use<'a> {
    let wanted = row.plan().and_then(|it| it.device.zip(it.operation));
    rows.iter().filter(move |floor| match floor.subject {
        Subject::Device(kind, operation) => wanted == Some((kind, operation)),
        Subject::Commit | Subject::Plan(_) => false,
    })
}

#[cfg(test)]
mod tests;
