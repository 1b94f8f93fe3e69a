//! Far more than the service can do, and what it does then.

use std::time::Duration;

use anyhow::Context;

use super::load::{PART, Pace};
use super::measure::Measure;
use super::options::Flood;
use super::plan::Plan;
use super::ratios::Ratio;
use super::row::{Row, ms};

/// How long one looks whether it is as before.
const AFTERWARDS: Duration = Duration::from_secs(3);

/// So many parts make a rate.
const STEADY: usize = 5;

/// Every plan that asks for something.
pub(super) async fn all(measure: &mut Measure<'_>, flood: Flood) -> anyhow::Result<()> {
    let plans = measure.plans();
    for plan in plans.iter().filter(|it| it.operation.is_some()) {
        let ratios = one(measure, plan, flood).await;
        let ratios = ratios.with_context(|| plan.name())?;
        measure.ratios.extend(ratios);
    }
    Ok(())
}

/// The best, the flood, and the time after it.
async fn one(measure: &mut Measure<'_>, plan: &Plan, flood: Flood) -> anyhow::Result<Vec<Ratio>> {
    let connections = measure.options.most_connections();
    let name = plan.name();
    let row = plan.row(connections);
    let before = measure
        .row(row.clone(), plan, connections, Pace::Closed)
        .await?;
    let rate = flood.factor * before.tally.a_second();
    let flooded = format!("{name}, {} × as much", flood.factor);
    let during = measure
        .without_warm_up(
            flooded,
            plan,
            flood.connections,
            Pace::Flood(rate),
            measure.time(),
        )
        .await?;
    let after = measure
        .without_warm_up(
            format!("{row}, after it"),
            plan,
            connections,
            Pace::Closed,
            AFTERWARDS,
        )
        .await?;
    Ok(ratios(&before, &during, &after, measure.time()))
}

fn ratios(before: &Row, during: &Row, after: &Row, planned: Duration) -> Vec<Ratio> {
    let new = |kind, value, text| Ratio {
        row: during.name.clone(),
        kind,
        value,
        text,
    };
    let goodput = during.a_second() / before.a_second();
    let p99 = ms(during.tally.since_sent.p99());
    let mut ratios = vec![
        new(
            "goodput-of-peak",
            goodput,
            format!("{:.0} % of the best goes on", 100.0 * goodput),
        ),
        new(
            "p99-ms-of-accepted",
            p99,
            format!("p99 of what is accepted {p99:.1} ms since it was sent"),
        ),
    ];
    let refused = during.tally.refused.count() as f64;
    let accepted = during.tally.answered.count() as f64;
    let things = during.plan().map_or(1, Plan::things) as f64;
    if let (Some(used), Some(each)) = (during.used, before.each(|used| used.service))
        && refused > 0.0
    {
        let all = used.service.as_secs_f64() * 1e6;
        let one = (all - each * accepted * things).max(0.0) / refused;
        let text = format!(
            "{:.0} refused a second, {one:.0} µs of the service's processor time each",
            during.tally.refused_a_second()
        );
        ratios.push(new("cpu-us-a-refusal", one, text));
    }
    if let Some(memory) = during.memory {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let text = format!(
            "resident memory {:.0} MiB before, {:.0} at most, {:.0} after",
            mib(memory.before),
            mib(memory.most),
            mib(memory.after)
        );
        ratios.push(new("memory-mib-at-most", mib(memory.most), text));
    }
    // What was under way when the flood ended is waited for, and counts.
    let tail = during.tally.time.saturating_sub(planned);
    let normal = 0.9 * before.tally.a_second() * PART.as_secs_f64();
    let (value, text) = match steady(&after.tally.course, normal) {
        Some(parts) => {
            let back = tail + PART * parts;
            (
                ms(back),
                format!("as before {:.0} ms after the end", ms(back)),
            )
        }
        None => (
            f64::MAX,
            format!(
                "not as before {:.0} s after the end",
                AFTERWARDS.as_secs_f64()
            ),
        ),
    };
    ratios.push(new("ms-until-as-before", value, text));
    ratios
}

/// After how many parts the rate is as much as this.
fn steady(course: &[u64], normal: f64) -> Option<u32> {
    let mut windows = course.windows(STEADY);
    let enough = |parts: &[u64]| parts.iter().sum::<u64>() as f64 >= normal * STEADY as f64;
    let first = windows.position(enough)?;
    u32::try_from(first).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_before_from_the_first_part_on_that_half_a_second_is() {
        assert_eq!(steady(&[10; 8], 9.0), Some(0));
        assert_eq!(steady(&[0, 0, 2, 10, 10, 10, 10, 10], 9.0), Some(3));
        assert_eq!(steady(&[5; 8], 9.0), None);
        assert_eq!(steady(&[10; 3], 9.0), None);
    }
}
