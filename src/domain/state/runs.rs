//! The analyses of one attempt.

use super::{Rollout, RunRecord};

/// Analyses that are kept.
const RUN_LIMIT: usize = 12;

impl Rollout {
    /// The analyses that are not completed, by name.
    pub fn runs_under_way(&self) -> impl Iterator<Item = &str> {
        let rehearsed = self.rehearsal.iter().filter_map(|rehearsal| rehearsal.run.as_ref());
        let counted = self.share.iter().filter_map(|share| share.run.as_ref());
        let runs = self.runs.iter().map(|record| &record.run).chain(rehearsed).chain(counted);
        runs.filter(|run| run.completed_at.is_none()).map(|run| run.name.as_str())
    }

    /// The newest analysis in the background.
    #[must_use]
    pub fn background_run(&self) -> Option<&RunRecord> {
        self.runs.iter().rfind(|record| record.step.is_none())
    }

    /// Adds an analysis. Beyond the limit it forgets the oldest that has ended, except the newest in the background, which
    /// counts until the end of the rollout.
    pub fn add_run(&mut self, record: RunRecord) {
        self.runs.push(record);
        while self.runs.len() > RUN_LIMIT {
            let background = self.runs.iter().rposition(|record| record.step.is_none());
            let ended =
                self.runs.iter().enumerate().position(|(index, record)| {
                    record.run.completed_at.is_some() && Some(index) != background
                });
            let Some(ended) = ended else { return };
            self.runs.remove(ended);
        }
    }

    /// The number in the name of the next analysis of a step, or in the background; `base` is the name without it. No other
    /// analysis that is kept has both.
    #[must_use]
    pub fn next_run_number(&self, step: Option<usize>, base: &str) -> usize {
        let number = |record: &RunRecord| match record.run.name.strip_prefix(base)? {
            "" => Some(0),
            rest => rest.strip_prefix('.')?.parse::<usize>().ok(),
        };
        let known = self.runs.iter().filter(|record| record.step == step).filter_map(number).max();
        let first = usize::try_from(self.attempt).unwrap_or(1).saturating_sub(1);
        known.map_or(first, |known| known.saturating_add(1).max(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::metric::AnalysisRun;
    use jiff::Timestamp;
    use serde_json::json;

    fn rollout() -> Rollout {
        let strategy = json!({"steps": [], "progressDeadlineAbort": true, "settle": "6s"});
        let at = "2026-01-01T00:00:00Z";
        let rollout = json!({
            "revision": 2, "hash": "b", "spec": {"strategy": strategy}, "startedAt": at, "attempt": 1,
            "rewrite": {"of": "web", "keys": ["app"]}, "baselineReplicas": 4, "canaryReplicas": 1,
            "traffic": {"weight": 20, "routes": true, "askedAt": at}, "stage": {"name": "start"},
        });
        serde_json::from_value(rollout).unwrap()
    }

    fn record(step: Option<usize>, name: String, has_ended: bool) -> RunRecord {
        let completed_at = has_ended.then_some(Timestamp::UNIX_EPOCH);
        RunRecord { step, run: AnalysisRun { name, completed_at, ..AnalysisRun::default() } }
    }

    #[test]
    fn the_analysis_in_the_background_is_kept_however_many_steps_follow() {
        let mut rollout = rollout();
        for has_ended in [false, true] {
            rollout.runs.clear();
            rollout.add_run(record(None, "web-2".into(), has_ended));
            for step in 0..20 {
                rollout.add_run(record(Some(step), format!("web-2-{step}"), true));
            }
            let names: Vec<_> = rollout.runs.iter().map(|record| record.run.name.as_str()).collect();
            assert_eq!((names.len(), names[0], names[1], names[11]), (12, "web-2", "web-2-9", "web-2-19"));
            assert_eq!(rollout.background_run().unwrap().run.name, "web-2");
        }
    }

    #[test]
    fn an_analysis_that_is_repeated_often_never_has_the_name_of_one_that_is_kept() {
        let mut rollout = rollout();
        for expected in 0..30 {
            let number = rollout.next_run_number(Some(1), "web-2-1");
            assert_eq!(number, expected);
            let name = if number == 0 { "web-2-1".to_owned() } else { format!("web-2-1.{number}") };
            rollout.add_run(record(Some(1), name, true));
        }
        assert_eq!(rollout.next_run_number(None, "web-2"), 0);
        rollout.attempt = 3;
        rollout.runs.clear();
        assert_eq!(rollout.next_run_number(Some(1), "web-2-1"), 2);
    }
}
