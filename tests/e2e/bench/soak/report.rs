//! The page about a run: docs/soak.md and docs/soak.svg.

use super::{
    AT_ONCE, BAD, Kind,
    samples::{Sample, Samples, thirds},
};
use std::{collections::BTreeMap, fmt::Write, fs, path::Path, time::Duration};

const COLOURS: [&str; 6] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];
const WIDTH: f64 = 860.0;
const PANEL: f64 = 190.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;

/// What there is to tell.
pub struct Run<'a> {
    pub minutes: u32,
    pub count: u32,
    pub seed: u32,
    /// Those that ended as they should.
    pub releases: &'a [Kind],
    pub faults: &'a [(Duration, &'static str)],
    pub samples: &'a Samples,
}

/// Writes both files.
pub fn write(run: &Run<'_>) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    fs::write(docs.join("soak.md"), page(run)).expect("docs/");
    fs::write(docs.join("soak.svg"), plots(run)).expect("docs/");
}

fn page(run: &Run<'_>) -> String {
    let Run { minutes, count, seed, releases, faults, samples } = run;
    let of = |kind: Kind| releases.iter().filter(|release| **release == kind).count();
    let (good, unready, bad) = (of(Kind::Good), of(Kind::NeverReady), of(Kind::JudgedBad));
    let mut page = format!(
        "# Soak\n\nWritten by `make soak MINUTES={minutes} DEPLOYMENTS={count} SEED={seed}`; do not edit it.\n\n\
         {count} Deployments were released over and over for {minutes} min on the cluster of the tests, {AT_ONCE} at a time, every \
         {BAD}th release of each bad, while {} faults struck. {good} releases were promoted and {} aborted, each as it should be: \
         {bad} that their analysis judged bad, {unready} that never became ready. Afterwards nothing was left of their canaries but \
         the records.\n\n![memory, open files and tasks of each process over time](soak.svg)\n\n\
         Grey lines are faults. Haldane's own processes were disturbed in the first half only, and must not grow in the second. \
         Figures are medians of the first and of the last third of a process' life.\n\n\
         | process | from | to | memory, MiB | open files | tasks |\n| --- | --- | --- | --- | --- | --- |\n",
        faults.len(),
        bad + unready,
    );
    for (number, own) in samples.0.values().enumerate() {
        let Some((first, last)) = thirds(own) else { continue };
        let (memory, then) = (mebibytes(&first), mebibytes(&last));
        let (from, to) = (own[0].at.as_secs(), own[own.len() - 1].at.as_secs());
        writeln!(
            page,
            "| {} | {from} s | {to} s | {memory:.1}, {then:.1} | {}, {} | {}, {} |",
            number + 1,
            first.files,
            last.files,
            first.tasks,
            last.tasks
        )
        .expect("a String");
    }
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    for (_, name) in *faults {
        *times.entry(name).or_default() += 1;
    }
    page.push_str("\n| fault | times |\n| --- | --- |\n");
    for (name, count) in times {
        writeln!(page, "| {name} | {count} |").expect("a String");
    }
    page
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mebibytes(sample: &Sample) -> f64 {
    sample.memory as f64 / 1024.0
}

/// What an axis says, and what it shows of a sample.
type Panel = (&'static str, fn(&Sample) -> f64);

/// What is drawn, one below the other.
const PANELS: [Panel; 3] = [
    ("memory, MiB", mebibytes),
    ("open files", |sample| f64::from(u32::try_from(sample.files).unwrap_or(u32::MAX))),
    ("tasks", |sample| f64::from(u32::try_from(sample.tasks).unwrap_or(u32::MAX))),
];

fn plots(run: &Run<'_>) -> String {
    let all = || run.samples.0.values().flatten();
    let longest = all().map(|sample| sample.at.as_secs_f64()).fold(1.0, f64::max);
    let x = |at: Duration| LEFT + at.as_secs_f64() / longest * (WIDTH - LEFT - RIGHT);
    let height = PANEL * 3.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let mut line = |text: String| writeln!(out, "{text}").expect("a String");
    let mut top = 0.0;
    for (name, read) in PANELS {
        let (head, foot) = (top + 25.0, top + PANEL - 25.0);
        let most = all().map(read).fold(1.0, f64::max) * 1.1;
        let y = |value: f64| foot - value / most * (foot - head);
        line(format!("<text x=\"{LEFT}\" y=\"{:.0}\" font-weight=\"bold\">{name}</text>", head - 8.0));
        for (at, _) in run.faults {
            line(format!("<path d=\"M{0:.1} {head}V{foot}\" stroke=\"#ccc\"/>", x(*at)));
        }
        line(format!("<path d=\"M{LEFT} {head}V{foot}H{}\" fill=\"none\" stroke=\"#333\"/>", WIDTH - RIGHT));
        for part in [0.0, 0.5, 1.0] {
            let (value, at) = (most * part, Duration::from_secs_f64(longest * part));
            let (left, below) = (LEFT - 6.0, foot + 16.0);
            line(format!("<text x=\"{left}\" y=\"{:.0}\" text-anchor=\"end\">{value:.0}</text>", y(value)));
            let minutes = at.as_secs_f64() / 60.0;
            let place = format!("x=\"{:.0}\" y=\"{below}\" text-anchor=\"middle\"", x(at));
            line(format!("<text {place}>{minutes:.1} min</text>"));
        }
        for (samples, colour) in run.samples.0.values().zip(COLOURS.iter().cycle()) {
            let points = samples.iter().map(|sample| format!("{:.1},{:.1}", x(sample.at), y(read(sample))));
            let points = points.collect::<Vec<_>>().join(" ");
            line(format!(
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
            ));
        }
        top += PANEL;
    }
    out + "</svg>\n"
}
