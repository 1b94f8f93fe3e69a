//! Latencies as a drawing: for each row how often which time occurred, on one logarithmic axis.

use std::fmt::Write as _;
use std::time::Duration;

use super::row::{Row, ms};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 20.0;
const PANEL: f64 = 96.0;
const BARS: f64 = 56.0;
/// Bars in a factor of ten.
const FINE: f64 = 30.0;

/// Draws rows below one another.
pub(super) fn draw(title: &str, rows: &[Row]) -> String {
    let rows: Vec<&Row> = rows
        .iter()
        .filter(|it| it.tally.answered.count() > 0)
        .collect();
    let times = || rows.iter().flat_map(|row| row.tally.answered.times());
    let ends = times().map(|(time, _)| place(time));
    let (first, last) = ends.fold((f64::MAX, f64::MIN), |(first, last), place| {
        (first.min(place), last.max(place))
    });
    let (first, last) = ((first / FINE).floor(), (last / FINE).ceil());
    let decades = (last - first).max(1.0);
    let x = |place: f64| LEFT + (place / FINE - first) * (WIDTH - 2.0 * LEFT) / decades;

    let height = 60.0 + PANEL * rows.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{}</text>\n",
        escaped(title)
    );
    let bottom = height - 24.0;
    let mut decade = first;
    while decade <= last && !rows.is_empty() {
        let at = x(decade * FINE);
        let time = Duration::from_secs_f64(10_f64.powf(decade) * 1e-9);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"30\" x2=\"{at:.1}\" y2=\"{bottom:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">{}</text>",
            bottom + 16.0,
            axis(time)
        );
        decade += 1.0;
    }
    for (number, row) in rows.iter().enumerate() {
        panel(&mut svg, row, 30.0 + PANEL * number as f64, x);
    }
    svg + "</svg>\n"
}

fn panel(svg: &mut String, row: &Row, top: f64, x: impl Fn(f64) -> f64) {
    let answered = &row.tally.answered;
    let mut bars: Vec<(f64, u64)> = Vec::new();
    for (time, count) in answered.times() {
        let bar = place(time).floor();
        match bars.last_mut() {
            Some((last, so_far)) if (*last - bar).abs() < 0.5 => *so_far += count,
            _ => bars.push((bar, count)),
        }
    }
    let most = bars.iter().map(|(_, count)| *count).max().unwrap_or(1) as f64;
    let floor = top + PANEL - 10.0;
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.1}\">{}: {:.0}/s, p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms</text>",
        top + 18.0,
        escaped(&row.name),
        row.a_second(),
        ms(answered.p50()),
        ms(answered.p99()),
        ms(answered.longest()),
    );
    for (bar, count) in bars {
        let (from, to) = (x(bar), x(bar + 1.0));
        // Never nothing: the rare ones are what one looks for.
        let high = (BARS * count as f64 / most).max(1.0);
        let _ = writeln!(
            svg,
            "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{high:.1}\" fill=\"#4477aa\"/>",
            floor - high,
            (to - from - 0.5).max(0.5),
        );
    }
    for (time, colour) in [(answered.p50(), "#228833"), (answered.p99(), "#cc3311")] {
        let at = x(place(time));
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{:.1}\" x2=\"{at:.1}\" y2=\"{floor:.1}\" stroke=\"{colour}\"/>",
            floor - BARS,
        );
    }
}

/// Where a time is, counted in bars.
fn place(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e9).max(1.0).log10() * FINE
}

fn axis(time: Duration) -> String {
    if time >= Duration::from_secs(1) {
        format!("{:.0} s", time.as_secs_f64())
    } else if time >= Duration::from_millis(1) {
        format!("{:.0} ms", ms(time))
    } else if time >= Duration::from_micros(1) {
        format!("{:.0} µs", ms(time) * 1e3)
    } else {
        format!("{} ns", time.as_nanos())
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests;
