//! What Haldane's processes use, over time.

use crate::harness::{cluster::block_on, haldane};
use std::{collections::BTreeMap, fs, time::Duration};

/// A process has its caches, connections and threads by then.
const WARM: Duration = Duration::from_secs(30);
/// Longer than between two samples, also while something comes back.
const LATELY: Duration = Duration::from_mins(1);

/// What one process uses at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub at: Duration,
    /// Resident set, in KiB.
    pub memory: u64,
    pub files: u64,
    /// Asynchronous tasks.
    pub tasks: u64,
}

/// The samples of each process, oldest first.
#[derive(Debug, Default)]
pub struct Samples(pub BTreeMap<String, Vec<Sample>>);

impl Samples {
    /// Adds one of each process that runs and answers.
    pub fn take(&mut self, at: Duration) {
        for haldane::Process { pod, ip, pid } in haldane::processes().unwrap_or_default() {
            self.0.entry(format!("{pod}/{pid}")).or_default().extend(sample(&ip, &pid, at));
        }
    }

    /// Fails the test if a process that lives at the end has grown since `half`, when it was left alone.
    #[track_caller]
    pub fn assert_nothing_grew(&self, half: Duration) {
        let end = self.0.values().flatten().map(|sample| sample.at).max().unwrap_or_default();
        let lives = |samples: &&Vec<Sample>| samples.last().is_some_and(|last| last.at + LATELY > end);
        let living: Vec<_> = self.0.values().filter(lives).collect();
        assert_eq!(living.len(), 2, "replicas at the end");
        for samples in living {
            let since = half.max(samples[0].at + WARM);
            let left_alone: Vec<_> = samples.iter().filter(|sample| sample.at >= since).copied().collect();
            let (first, last) = thirds(&left_alone).expect("samples of the second half");
            let sides = format!("first {first:?}, then {last:?}");
            assert!(last.memory <= first.memory * 115 / 100 + (4 << 10), "memory grew: {sides}");
            assert!(last.files <= first.files * 3 / 2 + 16, "open files grew: {sides}");
            assert!(last.tasks <= first.tasks * 3 / 2 + 16, "tasks grew: {sides}");
        }
    }
}

/// The medians of the first third and of the last.
pub fn thirds(samples: &[Sample]) -> Option<(Sample, Sample)> {
    let third = samples.len() / 3;
    Some((median(samples.get(..third)?)?, median(samples.get(samples.len() - third..)?)?))
}

fn median(samples: &[Sample]) -> Option<Sample> {
    let middle = |read: fn(&Sample) -> u64| {
        let mut values: Vec<u64> = samples.iter().map(read).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied()
    };
    Some(Sample {
        at: samples.first()?.at,
        memory: middle(|sample| sample.memory)?,
        files: middle(|sample| sample.files)?,
        tasks: middle(|sample| sample.tasks)?,
    })
}

fn sample(ip: &str, pid: &str, at: Duration) -> Option<Sample> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let memory = line.split_whitespace().next()?.parse().ok()?;
    let files = u64::try_from(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count()).ok()?;
    Some(Sample { at, memory, files, tasks: tasks(ip)? })
}

fn tasks(ip: &str) -> Option<u64> {
    let url = format!("http://{ip}:8080/metrics");
    let text = block_on(async {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().ok()?;
        client.get(url).send().await.ok()?.text().await.ok()
    })?;
    text.lines().find_map(|line| line.strip_prefix("haldane_tasks "))?.parse().ok()
}
