//! The settings of a Namespace for its Deployments: its label opts them in, and its annotations are their defaults.

use super::{
    annotations::{Choice, INTERNAL_KEYS, KEYS, choice, path, plan_key},
    declared_plan::{DeclaredPlan, read_annotations, restart_annotations},
    strategy::Defaults,
};
use crate::{
    document::{
        fields::nearest,
        finding::{Finding, Findings},
    },
    domain::{k8s::selector::Labels, keys, restarts::Restarts},
};
use std::collections::BTreeSet;

/// The only value of the label with which a Namespace opts its Deployments in.
pub const ENABLED: &str = "enabled";

/// Labels of a Namespace that Haldane knows.
const LABELS: [&str; 4] = [keys::CANARY, keys::ENFORCE, keys::WARN, keys::AUDIT];

/// The namespaces whose Deployments Haldane does not manage: Haldane and the cluster must start without it.
#[must_use]
pub const fn reserved(own_namespace: &str) -> [&str; 2] {
    [own_namespace, "kube-system"]
}

/// The parts of a Namespace that concern its Deployments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Namespace {
    name: String,
    labels: Labels,
    annotations: Labels,
    is_reserved: bool,
}

/// The effective annotations of a Deployment: its own, completed by the Namespace's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    annotations: Labels,
    inherited: BTreeSet<&'static str>,
    namespace: String,
}

impl Namespace {
    /// The Namespace with this name; `own_namespace` is Haldane's.
    #[must_use]
    pub fn new(name: &str, own_namespace: &str, labels: Labels, annotations: Labels) -> Self {
        let is_reserved = reserved(own_namespace).contains(&name);
        Self { name: name.to_owned(), labels, annotations, is_reserved }
    }

    /// Its labels.
    #[must_use]
    pub const fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Whether it opts in its Deployments that have a route and do not opt in or out themselves.
    #[must_use]
    pub fn opts_in(&self) -> bool {
        !self.is_reserved && self.labels.get(keys::CANARY).is_some_and(|value| value == ENABLED)
    }

    /// The effective annotations of an opted-in Deployment with the annotations `own`.
    ///
    /// Its own annotations take precedence, key by key. Both keys of a plan count as one: a Deployment with a plan
    /// uses its own, and `enabled` means the default plan, which is the Namespace's if there is one.
    #[must_use]
    pub fn settings(&self, own: &Labels) -> Settings {
        let mut settings = Settings { annotations: own.clone(), ..Settings::default() };
        let brings_plan = own.contains_key(keys::BLUE_GREEN)
            || own.get(keys::CANARY).is_some_and(|text| text.trim() != ENABLED);
        if self.opts_in() {
            self.name.clone_into(&mut settings.namespace);
            for key in KEYS.iter().filter(|key| key.by_namespace).map(|key| key.name) {
                let is_plan = key == keys::CANARY || key == keys::BLUE_GREEN;
                let is_own = if is_plan { brings_plan } else { own.contains_key(key) };
                if let Some(value) = self.annotations.get(key).filter(|_| !is_own) {
                    settings.annotations.insert(key.to_owned(), value.clone());
                    settings.inherited.insert(key);
                }
            }
        }
        let is_blue_green = settings.annotations.contains_key(keys::BLUE_GREEN);
        if !is_blue_green {
            settings.annotations.entry(keys::CANARY.to_owned()).or_insert_with(|| ENABLED.to_owned());
        } else if !brings_plan && !settings.inherited.contains(keys::CANARY) {
            settings.annotations.remove(keys::CANARY);
        }
        settings
    }

    /// Checks the labels and defaults, even if the label that opts in is not set yet. Returns the defaults.
    ///
    /// # Errors
    /// All findings.
    pub fn check(&self, defaults: &Defaults) -> Result<DeclaredPlan, Findings> {
        let mut findings = self.labels_at_fault();
        findings.extend(self.foreign_annotations());
        let settings = Settings { annotations: self.defaults(), ..Settings::default() };
        let declared = settings.read(defaults).map_err(|found| findings.extend(found)).ok();
        declared.filter(|_| findings.is_empty()).ok_or(findings)
    }

    /// Whether there are defaults without effect, because the label is missing.
    #[must_use]
    pub fn has_no_effect(&self) -> bool {
        !self.opts_in() && self.annotations.keys().any(|key| key.starts_with(keys::PREFIX))
    }

    /// The annotations that a Deployment gets from it.
    fn defaults(&self) -> Labels {
        let ours = self.annotations.iter().filter(|(key, _)| key.starts_with(keys::PREFIX));
        let mut defaults: Labels = ours.map(|(key, value)| (key.clone(), value.clone())).collect();
        if !defaults.contains_key(keys::BLUE_GREEN) {
            defaults.entry(keys::CANARY.to_owned()).or_insert_with(|| ENABLED.to_owned());
        }
        defaults
    }

    fn labels_at_fault(&self) -> Findings {
        let finding = |(key, value): (&String, &String)| {
            let place = format!("metadata.labels[{key}]");
            let problem = match nearest(key, &LABELS) {
                _ if key == keys::CANARY && value != ENABLED => {
                    format!("must be {ENABLED:?}, or not set")
                }
                _ if key == keys::CANARY && self.is_reserved => {
                    "Haldane does not manage Deployments of this namespace, because Haldane and the cluster must start without it; remove the label".to_owned()
                }
                _ if LABELS.contains(&key.as_str()) => return None,
                Some(known) => format!("unknown label, did you mean {known:?}?"),
                None => format!("unknown label, allowed are {}", LABELS.join(", ")),
            };
            Some(Finding::new(place, value, problem))
        };
        self.labels.iter().filter(|(key, _)| key.starts_with(keys::PREFIX)).filter_map(finding).collect()
    }

    /// Annotations, and one value, that only Deployments can have.
    fn foreign_annotations(&self) -> Findings {
        let of_deployments = KEYS.iter().filter(|key| !key.by_namespace).map(|key| key.name);
        let foreign: Vec<&str> = of_deployments.chain(INTERNAL_KEYS).collect();
        let finding = |(key, value): (&String, &String)| {
            if foreign.contains(&key.as_str()) {
                return Some(Finding::new(
                    path(key),
                    value,
                    "is allowed on a Deployment only, not on its Namespace; remove it",
                ));
            }
            let is_out = key == keys::CANARY && choice(&self.annotations) == Choice::Out;
            let problem = format!(
                "is allowed on a Deployment only; to opt in no Deployments of this namespace, remove its label {}",
                keys::CANARY
            );
            is_out.then(|| Finding::new(path(key), value, problem))
        };
        self.annotations.iter().filter_map(finding).collect()
    }
}

impl Settings {
    /// Whether a Deployment opts itself in or out.
    #[must_use]
    pub fn own(annotations: Labels) -> Self {
        Self { annotations, ..Self::default() }
    }

    /// What is a restart. A key that cannot be read names nothing.
    #[must_use]
    pub fn restarts(&self) -> Restarts {
        let named = self.annotations.get(keys::RESTART_ANNOTATIONS);
        Restarts {
            are_canaries: self.annotations.get(keys::RESTART).is_some_and(|value| value == "canary"),
            annotations: named.map(|text| restart_annotations(text)).unwrap_or_default(),
        }
    }

    /// Reads the plan.
    ///
    /// # Errors
    /// All findings, each with the path of its text.
    pub fn read(&self, defaults: &Defaults) -> Result<DeclaredPlan, Findings> {
        read_annotations(&self.annotations, defaults).map_err(|found| self.located(found))
    }

    /// The finding with its actual path: checks use the usual annotation for the plan, and treat every annotation
    /// as the Deployment's own.
    #[must_use]
    pub fn locate(&self, mut finding: Finding) -> Finding {
        let key = plan_key(&self.annotations);
        if key == keys::BLUE_GREEN
            && let Some(rest) = finding.path.strip_prefix(&path(keys::CANARY))
        {
            finding.path = format!("{}{}", path(key), rest.replace("stableService", "activeService"));
        }
        if self.inherited.iter().any(|key| finding.path.starts_with(&path(key))) {
            finding.path = format!("Namespace[{}].{}", self.namespace, finding.path);
        }
        finding
    }

    /// All of them [located](Self::locate).
    #[must_use]
    pub fn located(&self, findings: Findings) -> Findings {
        findings.into_iter().map(|finding| self.locate(finding)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &str = "{steps: [{setWeight: 20}, {pause: {}}]}";

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn namespace(annotations: &[(&str, &str)]) -> Namespace {
        Namespace::new("shop", "haldane-system", labels(&[(keys::CANARY, ENABLED)]), labels(annotations))
    }

    fn defaults() -> Defaults {
        Defaults { settle: "6s".parse().unwrap(), annotation_prefix: "nginx.ingress.kubernetes.io".into() }
    }

    fn problems(namespace: &Namespace) -> Vec<String> {
        let findings = namespace.check(&defaults()).err().unwrap_or_default();
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn annotations_of_a_deployment_take_precedence_key_by_key() {
        let namespace = namespace(&[(keys::CANARY, STEPS), (keys::SETTLE, "1s"), (keys::RESTART, "canary")]);
        let of = |own: &[(&str, &str)]| namespace.settings(&labels(own)).annotations;
        let all = labels(&[(keys::CANARY, STEPS), (keys::SETTLE, "1s"), (keys::RESTART, "canary")]);
        assert_eq!(of(&[]), all);
        assert_eq!(of(&[(keys::CANARY, "enabled")]), all, "`enabled` means the default plan");
        let own = of(&[(keys::CANARY, "{steps: []}"), (keys::SETTLE, "2s")]);
        assert_eq!((own[keys::CANARY].as_str(), own[keys::SETTLE].as_str()), ("{steps: []}", "2s"));
        let blue_green = of(&[(keys::BLUE_GREEN, "{activeService: web}")]);
        assert!(!blue_green.contains_key(keys::CANARY), "one plan, its own: {blue_green:?}");
    }

    #[test]
    fn without_a_plan_anywhere_it_is_the_default_one() {
        let settings = namespace(&[]).settings(&Labels::new());
        assert_eq!(settings.annotations, labels(&[(keys::CANARY, ENABLED)]));
        let blue_green = namespace(&[(keys::BLUE_GREEN, "{activeService: web}")]);
        let settings = blue_green.settings(&labels(&[(keys::CANARY, ENABLED)]));
        assert_eq!(settings.annotations, labels(&[(keys::BLUE_GREEN, "{activeService: web}")]));
    }

    #[test]
    fn without_the_label_the_annotations_have_no_effect() {
        let silent =
            Namespace { labels: Labels::new(), ..namespace(&[(keys::CANARY, STEPS), (keys::SETTLE, "1s")]) };
        let settings = silent.settings(&labels(&[(keys::CANARY, ENABLED)]));
        assert_eq!(settings.annotations, labels(&[(keys::CANARY, ENABLED)]));
        assert!(silent.has_no_effect() && !silent.opts_in());
    }

    #[test]
    fn findings_have_the_path_of_their_text() {
        let namespace = namespace(&[(keys::BLUE_GREEN, "{activeService: web}"), (keys::SETTLE, "soon")]);
        let settings = namespace.settings(&labels(&[(keys::ANALYSIS, "{}")]));
        let places = [
            format!("{}.stableService", path(keys::CANARY)),
            path(keys::SETTLE),
            path(keys::ANALYSIS),
            "spec.selector".to_owned(),
        ];
        let findings = places.map(|place| Finding::new(place, "", "bad")).to_vec();
        let located = settings.located(settings.located(findings));
        let located: Vec<&str> = located.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(
            located,
            [
                "Namespace[shop].metadata.annotations[haldane.dev/blue-green].activeService",
                "Namespace[shop].metadata.annotations[haldane.dev/settle]",
                "metadata.annotations[haldane.dev/analysis]",
                "spec.selector",
            ]
        );
    }

    #[test]
    fn a_namespace_is_read_whole_and_all_of_its_faults_are_reported() {
        let good = namespace(&[(keys::CANARY, STEPS), (keys::SETTLE, "1s"), ("team", "shop")]);
        assert_eq!(problems(&good), Vec::<String>::new());
        let bad = Namespace {
            labels: labels(&[(keys::CANARY, "on"), ("haldane.dev/enforced", "baseline"), (keys::WARN, "x")]),
            ..namespace(&[
                (keys::CANARY, "{steps: [{setWeigth: 5}]}"),
                (keys::DO, "promote"),
                (keys::SETTLE, "soon"),
                ("haldane.dev/setle", "1s"),
            ])
        };
        insta::assert_snapshot!(problems(&bad).join("\n"));
        let out = namespace(&[(keys::CANARY, "disabled")]);
        assert!(problems(&out)[0].contains("remove its label haldane.dev/canary"), "{:?}", problems(&out));
    }

    #[test]
    fn reserved_namespaces_opt_nothing_in() {
        for name in ["kube-system", "haldane-system"] {
            let label = labels(&[(keys::CANARY, ENABLED)]);
            let namespace = Namespace::new(name, "haldane-system", label, Labels::new());
            assert!(!namespace.opts_in());
            assert!(
                problems(&namespace)[0].contains("Haldane does not manage"),
                "{:?}",
                problems(&namespace)
            );
        }
    }
}
