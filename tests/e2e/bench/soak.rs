//! Many releases for a long time, good and bad, while leaders are killed: what grows, and what is left.
//!
//! `make soak MINUTES=45 DEPLOYMENTS=50` writes docs/soak.md and its plot from what it has measured.

use crate::harness::{App, SOON, Space, eventually, haldane};
use serde_json::json;
use std::{
    collections::BTreeMap,
    env,
    fmt::Write,
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// Releases under way at once: the node takes 110 pods.
const AT_ONCE: usize = 8;
/// Every so many releases of a Deployment are bad.
const BAD: u32 = 4;
/// Leaders that are killed in the course of the run.
const KILLS: u32 = 3;
/// Between samples.
const BEAT: Duration = Duration::from_secs(2);
/// Growth of a process over two thirds of its life that is no leak, in KiB.
const TOLERANCE: u64 = 4 << 10;

const STRATEGY: &str = "{abortScaleDownDelaySeconds: 1, steps: [{setWeight: 50}, {pause: {duration: 2s}}]}";

/// What one process of Haldane uses at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    seconds: f64,
    memory: u64,
    files: u64,
    threads: u64,
}

/// The samples of each process.
type Processes = BTreeMap<String, Vec<Sample>>;

fn number(name: &str, default: u32) -> u32 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn sample(pid: &str, seconds: f64) -> Option<Sample> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    let files = u64::try_from(files).ok()?;
    Some(Sample { seconds, memory: field("VmRSS:")?, files, threads: field("Threads:")? })
}

/// A Deployment with a route of its own.
fn deploy(space: &Space, name: &str) {
    let app = App { name: name.to_owned(), ..App::canary(STRATEGY) };
    let app = app.sized(1).annotated("haldane.dev/settle", "1s");
    let app = app.changed("/spec/progressDeadlineSeconds", json!(8));
    let mut ingress = app.ingress(space);
    ingress["spec"]["rules"][0]["host"] = json!(format!("{name}.{}", space.host));
    for object in [app.service(), ingress, app.deployment()] {
        space.apply(&object.to_string()).ok();
    }
    space.rolled_out(name);
}

/// One release, from the change to its end.
fn release(space: &Space, name: &str, version: u32) {
    let is_bad = version.is_multiple_of(BAD);
    let delay = if is_bad { "START_DELAY=1h" } else { "START_DELAY=0s" };
    eventually(&format!("the release {version} of {name} to be taken"), 2 * SOON, || {
        let output = space.set_env(name, &[&format!("VERSION=v{version}"), delay]);
        if output.code == 0 { Ok(()) } else { Err(output.err) }
    });
    let wanted = if is_bad { "Aborted" } else { "Promoted" };
    eventually(&format!("the release {version} of {name} to be {wanted}"), 3 * SOON, || {
        let state = space.state(name);
        let ended =
            state["history"].as_array().and_then(|history| history.last().cloned()).unwrap_or_default();
        let is_over =
            if is_bad { state["rollout"]["stage"]["name"] == "aborted" } else { state["rollout"].is_null() };
        let is_mine = ended["revision"] == state["revision"] && ended["outcome"] == wanted;
        if is_over && is_mine { Ok(()) } else { Err(state["rollout"]["stage"].to_string()) }
    });
}

#[test]
fn many_releases_leave_nothing_behind() {
    let (minutes, count) = (number("SOAK_MINUTES", 45), number("SOAK_DEPLOYMENTS", 50));
    haldane::is_complete();
    let space = Space::new("soak");
    let names: Vec<String> = (0..count).map(|index| format!("web-{index}")).collect();
    names.iter().for_each(|name| deploy(&space, name));
    let started = Instant::now();
    let end = started + Duration::from_secs(60) * minutes;
    let (processes, released) = (Mutex::new(Processes::new()), [AtomicU32::new(0), AtomicU32::new(0)]);
    let share = names.len().div_ceil(AT_ONCE).max(1);
    thread::scope(|scope| {
        for own in names.chunks(share) {
            let (space, released) = (&space, &released);
            scope.spawn(move || {
                let rounds = (2_u32..).flat_map(|version| own.iter().map(move |name| (name, version)));
                for (name, version) in rounds.take_while(|_| Instant::now() < end) {
                    release(space, name, version);
                    released[usize::from(version.is_multiple_of(BAD))].fetch_add(1, Relaxed);
                }
            });
        }
        let mut killed = 0;
        while Instant::now() < end {
            let seconds = started.elapsed().as_secs_f64();
            for (pod, pid) in haldane::processes() {
                let taken = sample(&pid, seconds);
                let mut processes = processes.lock().expect("no panic");
                processes.entry(format!("{pod}/{pid}")).or_default().extend(taken);
            }
            if started.elapsed() > (end - started) / (KILLS + 1) * (killed + 1) && killed < KILLS {
                eprintln!("killed {}", haldane::kill_leader());
                killed += 1;
            }
            thread::sleep(BEAT);
        }
    });
    let processes = processes.into_inner().expect("no panic");
    let released = released.map(AtomicU32::into_inner);
    report(minutes, count, released, &processes);
    let records: Vec<String> = {
        let mut records: Vec<_> = names.iter().map(|name| format!("ConfigMap/haldane-{name}")).collect();
        records.sort();
        records
    };
    eventually("only records to be left", SOON, || {
        let mut ours = space.ours();
        ours.sort();
        if ours == records { Ok(()) } else { Err(format!("{ours:?}")) }
    });
    for (name, samples) in &processes {
        let (Some(settled), Some(last)) = (samples.get(samples.len() / 3), samples.last()) else { continue };
        let allowed = settled.memory * 13 / 10 + TOLERANCE;
        assert!(last.memory <= allowed, "{name} grew from {} to {} KiB", settled.memory, last.memory);
        assert!(last.files <= settled.files * 2 + 32, "{name}: {} files, then {}", settled.files, last.files);
    }
}

fn report(minutes: u32, count: u32, [good, bad]: [u32; 2], processes: &Processes) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut text = format!(
        "# Soak\n\nWritten by `make soak MINUTES={minutes} DEPLOYMENTS={count}`; do not edit it.\n\n\
         {count} Deployments were released over and over for {minutes} min on the cluster of the tests, {AT_ONCE} at a time, every \
         {BAD}th release of each bad (never ready); {KILLS} times the leader was killed with SIGKILL. {good} releases were promoted and \
         {bad} aborted, each as it should be. Afterwards nothing was left of their canaries but the records.\n\n\
         ![memory of each process over time](soak.svg)\n\n\
         A process ends where its pod's container was killed. Memory is the resident set.\n\n\
         | process | lived | memory after a third of it | at its end | most | files at its end | threads |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (number, samples) in processes.values().enumerate() {
        let (Some(first), Some(settled), Some(last)) =
            (samples.first(), samples.get(samples.len() / 3), samples.last())
        else {
            continue;
        };
        let most = samples.iter().map(|sample| sample.memory).max().unwrap_or(0);
        writeln!(
            text,
            "| {} | {:.0} s | {:.1} MiB | {:.1} MiB | {:.1} MiB | {} | {} |",
            number + 1,
            last.seconds - first.seconds,
            mebibytes(settled.memory),
            mebibytes(last.memory),
            mebibytes(most),
            last.files,
            last.threads
        )
        .expect("a String");
    }
    fs::write(root.join("soak.md"), text).expect("docs/");
    fs::write(root.join("soak.svg"), plot(processes)).expect("docs/");
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// Memory over time, a line for each process.
fn plot(processes: &Processes) -> String {
    const COLOURS: [&str; 6] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];
    let all = || processes.values().flatten();
    let (width, height, left, bottom) = (860.0, 320.0, 60.0, 280.0);
    let longest = all().map(|sample| sample.seconds).fold(1.0, f64::max);
    let most = all().map(|sample| mebibytes(sample.memory)).fold(1.0, f64::max) * 1.2;
    let x = |seconds: f64| left + seconds / longest * (width - left - 20.0);
    let y = |memory: f64| bottom - memory / most * (bottom - 20.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <path d=\"M{left} 20V{bottom}H{}\" fill=\"none\" stroke=\"#333\"/>\n",
        width - 20.0
    );
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (memory, seconds) = (most * part, longest * part);
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.0}\" text-anchor=\"end\">{memory:.0} MiB</text>",
            left - 6.0,
            y(memory)
        );
        let _ = writeln!(
            out,
            "<text x=\"{:.0}\" y=\"{}\" text-anchor=\"middle\">{:.1} min</text>",
            x(seconds),
            bottom + 18.0,
            seconds / 60.0
        );
    }
    for (samples, colour) in processes.values().zip(COLOURS.iter().cycle()) {
        let points = samples.iter().map(|s| format!("{:.1},{:.1}", x(s.seconds), y(mebibytes(s.memory))));
        let points: Vec<String> = points.collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            points.join(" ")
        );
    }
    out + "</svg>\n"
}
