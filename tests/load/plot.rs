//! Draws the traffic split over time.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::report::Summary;
use crate::stats::Second;
use crate::values::share;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 876.0;
const TOP: f64 = 96.0;
const BOTTOM: f64 = 352.0;

/// Distinguishable also for people who do not see all colours.
const COLOURS: [&str; 7] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442"];
const UNKNOWN: &str = "#999999";
const FAILED: &str = "#000000";
const LOST: &str = "#d00000";

/// Steps between the numbers on the time axis, in seconds.
const STEPS: [u64; 11] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200];

/// A chart: the share of every version, stacked; the share of failed requests as a line;
/// a mark at every second in which a request was lost.
pub fn svg(summary: &Summary) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = draw(&mut out, summary);
    out
}

fn draw(out: &mut String, summary: &Summary) -> std::fmt::Result {
    let seconds = summary.timeline.as_slice();
    let names: BTreeSet<&str> =
        seconds.iter().flat_map(|second| second.by_version.keys()).map(String::as_str).collect();
    // The unknown last, so that versions keep their colours whether or not there are any.
    let (mut versions, unknown): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| *name != "unknown");
    versions.extend(unknown);
    let axis = Axis { seconds: seconds.last().map_or(1, |last| last.t + 1) };

    write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>Traffic split by version</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"28\" font-size=\"17\" font-weight=\"bold\">\
         Traffic split by version</text>\n"
    )?;
    let target = summary.host.as_ref().unwrap_or(&summary.url);
    let line = format!(
        "{target}, {}, from {}: {} requests, {} lost",
        summary.pace, summary.started, summary.sent, summary.lost
    );
    text(out, LEFT, 48.0, "start", &line)?;

    let mut below = vec![0.0; seconds.len()];
    for (index, version) in versions.iter().enumerate() {
        area(out, &axis, seconds, version, colour(index, version), &mut below)?;
    }
    frame(out, &axis)?;
    failed_line(out, &axis, seconds)?;
    lost_marks(out, &axis, seconds)?;
    legend(out, &versions, summary)?;
    out.write_str("</svg>\n")
}

struct Axis {
    seconds: u64,
}

impl Axis {
    fn x(&self, t: u64) -> f64 {
        LEFT + (RIGHT - LEFT) * share(t, self.seconds)
    }

    fn y(share: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * share
    }

    fn step(&self) -> u64 {
        let fits = |step: &u64| self.seconds / step <= 12;
        STEPS.into_iter().find(|step| fits(step)).unwrap_or(1200)
    }
}

fn colour(index: usize, version: &str) -> &'static str {
    if version == "unknown" {
        return UNKNOWN;
    }
    COLOURS.get(index % COLOURS.len()).copied().unwrap_or(UNKNOWN)
}

/// One version, on top of the ones before it; every second is one step.
fn area(
    out: &mut String,
    axis: &Axis,
    seconds: &[Second],
    version: &str,
    colour: &str,
    below: &mut [f64],
) -> std::fmt::Result {
    let mut top = String::new();
    let mut bottom = Vec::new();
    for (second, below) in seconds.iter().zip(below) {
        let answers = second.by_version.values().sum();
        let own = second.by_version.get(version).copied().unwrap_or_default();
        let (from, to) = (axis.x(second.t), axis.x(second.t + 1));
        let low = Axis::y(*below);
        *below += share(own, answers);
        let high = Axis::y(*below);
        write!(top, "{from:.1},{high:.1} {to:.1},{high:.1} ")?;
        bottom.push(format!("{to:.1},{low:.1} {from:.1},{low:.1} "));
    }
    bottom.reverse();
    let points = top + &bottom.concat();
    writeln!(out, "<polygon fill=\"{colour}\" fill-opacity=\"0.75\" points=\"{}\"/>", points.trim_end())
}

fn frame(out: &mut String, axis: &Axis) -> std::fmt::Result {
    for percent in [0u64, 25, 50, 75, 100] {
        let y = Axis::y(share(percent, 100));
        writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\" \
             stroke=\"#000000\" stroke-opacity=\"0.25\"/>"
        )?;
        text(out, LEFT - 8.0, y + 4.0, "end", &format!("{percent} %"))?;
    }
    let mut t = 0;
    while t <= axis.seconds {
        let x = axis.x(t);
        writeln!(
            out,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{BOTTOM}\" y2=\"{}\" stroke=\"#000000\"/>",
            BOTTOM + 5.0
        )?;
        text(out, x, BOTTOM + 34.0, "middle", &t.to_string())?;
        t += axis.step();
    }
    let middle = f64::midpoint(LEFT, RIGHT);
    text(out, middle, BOTTOM + 56.0, "middle", "seconds since the start")?;
    let middle = f64::midpoint(TOP, BOTTOM);
    writeln!(
        out,
        "<text transform=\"translate(18 {middle}) rotate(-90)\" text-anchor=\"middle\">\
         share of requests</text>"
    )
}

fn failed_line(out: &mut String, axis: &Axis, seconds: &[Second]) -> std::fmt::Result {
    if seconds.iter().all(|second| second.failed == 0) {
        return Ok(());
    }
    let mut points = String::new();
    for second in seconds {
        let y = Axis::y(share(second.failed, second.sent));
        let (from, to) = (axis.x(second.t), axis.x(second.t + 1));
        write!(points, "{from:.1},{y:.1} {to:.1},{y:.1} ")?;
    }
    writeln!(
        out,
        "<polyline fill=\"none\" stroke=\"{FAILED}\" stroke-width=\"2\" points=\"{}\"/>",
        points.trim_end()
    )
}

fn lost_marks(out: &mut String, axis: &Axis, seconds: &[Second]) -> std::fmt::Result {
    for second in seconds.iter().filter(|second| second.lost > 0) {
        let x = f64::midpoint(axis.x(second.t), axis.x(second.t + 1));
        let tip = BOTTOM + 6.0;
        writeln!(
            out,
            "<path fill=\"{LOST}\" d=\"M{x:.1} {tip}l5 10h-10z\"><title>second {}: {} lost</title>\
             </path>",
            second.t, second.lost
        )?;
    }
    Ok(())
}

fn legend(out: &mut String, versions: &[&str], summary: &Summary) -> std::fmt::Result {
    let y = 76.0;
    let mut x = LEFT;
    let mut entry = |out: &mut String, mark: &str, label: &str| -> std::fmt::Result {
        write!(out, "<g transform=\"translate({x:.0} {y})\">{mark}")?;
        text(out, 20.0, 0.0, "start", label)?;
        out.write_str("</g>\n")?;
        // A rough width of the text, since nothing here can measure it.
        x += 44.0 + label.chars().map(|_| 7.0).sum::<f64>();
        Ok(())
    };
    for (index, version) in versions.iter().enumerate() {
        let colour = colour(index, version);
        let mark =
            format!("<rect y=\"-11\" width=\"14\" height=\"14\" fill=\"{colour}\" fill-opacity=\"0.75\"/>");
        entry(out, &mark, version)?;
    }
    if summary.ok < summary.sent {
        let mark = format!("<line x2=\"14\" y1=\"-4\" y2=\"-4\" stroke=\"{FAILED}\" stroke-width=\"2\"/>");
        entry(out, &mark, "failed, of all requests")?;
    }
    if summary.lost > 0 {
        let mark = format!("<path fill=\"{LOST}\" d=\"M7 -10l5 10h-10z\"/>");
        entry(out, &mark, "requests lost")?;
    }
    Ok(())
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, content: &str) -> std::fmt::Result {
    let content = escape(content);
    writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace(|c: char| c.is_control(), "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_cannot_break_the_drawing() {
        assert_eq!(escape("<a>&\u{1}"), "&lt;a&gt;&amp;\u{fffd}");
    }

    #[test]
    fn the_time_axis_has_few_numbers_at_any_length() {
        for seconds in [1, 9, 10, 60, 61, 599, 3600, 3700] {
            let axis = Axis { seconds };
            assert!(seconds / axis.step() <= 12, "{seconds}");
        }
        assert_eq!(Axis { seconds: 60 }.step(), 5);
    }
}
