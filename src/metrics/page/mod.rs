//! Numbers as Prometheus reads them.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::Spread;

/// The `Content-Type` of the page.
pub use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

/// What tells the numbers of a family apart.
pub type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// Numbers of one name.
#[derive(Clone, Debug)]
pub struct Family {
    /// Without the suffix that a counter gets.
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    numbers: Vec<(Labels, Number)>,
}

#[derive(Clone, Debug)]
enum Number {
    Count(u64),
    Level(f64),
    Spread(Spread),
}

impl Number {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => ConstCounter::new(*count).encode(encoder),
            Self::Level(level) => ConstGauge::new(*level).encode(encoder),
            Self::Spread(it) => {
                encoder.encode_histogram::<NoLabelSet>(it.sum, it.count, &it.buckets, None)
            }
        }
    }
}

/// Labels of words and names.
fn labels<'a, const N: usize>(labels: [(&'static str, &'a str); N]) -> Labels {
    let owned = |(name, value): (_, &'a str)| (name, Cow::Owned(value.to_owned()));
    labels.into_iter().map(owned).collect()
}

impl Family {
    fn new(name: &'static str, help: &'static str, kind: MetricType) -> Self {
        Self {
            name,
            help,
            kind,
            numbers: Vec::new(),
        }
    }

    /// Counters. Prometheus knows them by the name and `_total`.
    pub fn counts(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, MetricType::Counter)
    }

    /// Numbers that rise and fall.
    pub fn levels(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, MetricType::Gauge)
    }

    /// Histograms.
    pub fn spreads(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, MetricType::Histogram)
    }

    /// A single counter.
    pub fn counted(name: &'static str, help: &'static str, count: u64) -> Self {
        let mut family = Self::counts(name, help);
        family.count([], count);
        family
    }

    /// A single number that rises and falls.
    pub fn level<const N: usize>(
        name: &'static str,
        help: &'static str,
        of: [(&'static str, &str); N],
        level: impl Into<f64>,
    ) -> Self {
        let mut family = Self::levels(name, help);
        family.set(of, level);
        family
    }

    /// A single histogram.
    pub fn spread(name: &'static str, help: &'static str, spread: Spread) -> Self {
        let mut family = Self::spreads(name, help);
        family.observed([], spread);
        family
    }

    /// Adds a counter.
    pub fn count<const N: usize>(&mut self, of: [(&'static str, &str); N], count: u64) {
        self.numbers.push((labels(of), Number::Count(count)));
    }

    /// Adds a number.
    pub fn set<const N: usize>(&mut self, of: [(&'static str, &str); N], level: impl Into<f64>) {
        self.numbers.push((labels(of), Number::Level(level.into())));
    }

    /// Adds a histogram.
    pub fn observed<const N: usize>(&mut self, of: [(&'static str, &str); N], spread: Spread) {
        self.numbers.push((labels(of), Number::Spread(spread)));
    }
}

#[derive(Debug)]
struct Page(Vec<Family>);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family {
            name,
            help,
            kind,
            numbers,
        } in &self.0
        {
            let mut family = encoder.encode_descriptor(name, help, None, *kind)?;
            for (labels, number) in numbers {
                number.encode(family.encode_family(labels)?)?;
            }
        }
        Ok(())
    }
}

/// The page, in the text format of Prometheus.
///
/// # Panics
/// Never: a string takes what is written to it.
pub fn text(families: Vec<Family>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(families)));
    let mut page = String::new();
    prometheus_client::encoding::prometheus_text::encode(&mut page, &registry)
        .expect("a string takes what is written to it");
    page
}

#[cfg(test)]
mod tests;
