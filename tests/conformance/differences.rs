//! The differences between Haldane and Argo, by rule, each with its reason.

/// A rule, not a line: it must hold for every line it is given for.
#[derive(Debug)]
pub struct Rule {
    pub kind: Kind,
    pub name: &'static str,
    pub reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "kebab-case")]
pub enum Kind {
    OnPurpose,
    /// About something that Haldane does not have.
    NotApplicable,
}

const fn on_purpose(name: &'static str, reason: &'static str) -> Rule {
    Rule { kind: Kind::OnPurpose, name, reason }
}

const fn not_applicable(name: &'static str, reason: &'static str) -> Rule {
    Rule { kind: Kind::NotApplicable, name, reason }
}

pub static NEVER_SUCCESSFUL: Rule = on_purpose(
    "never-successful",
    "a metric without a successful measurement ends Inconclusive; in Argo it is Successful because no limit is exceeded",
);
pub static NO_EVIDENCE: Rule = on_purpose(
    "no-evidence",
    "a metric that never had a measurement with data ends Inconclusive; in Argo the conditions alone decide",
);
pub static REASON: Rule = on_purpose(
    "reason",
    "a phase decided by consecutiveSuccessLimit has a message and counts under its own name in the summary",
);
pub static NOTHING_MEASURED: Rule =
    on_purpose("nothing-measured", "a terminated run that measured nothing says so in its message");
pub static SLEEPS: Rule = on_purpose("sleeps", "a completed run does not request another pass");
pub static OWN_ECHO: Rule = on_purpose(
    "own-echo",
    "a run that a metric has just ended requests its last pass immediately; Argo's own write triggers it",
);
pub static ADMISSION: Rule = on_purpose(
    "admission",
    "the template is refused with the field and the fix; in Argo the run fails later",
);
pub static MERGED_ARGS: Rule = on_purpose(
    "merged-args",
    "a run is created from all of its templates at once: a missing argument, and a contradiction between two templates, have the error text of merged templates",
);
pub static NO_EMPTY_PHASE: Rule =
    not_applicable("no-empty-phase", "a run that has not started is Pending; there is no empty phase");
pub static NO_DATA: Rule = on_purpose(
    "no-data",
    "a condition that fails on an empty result says that there was no data, as later versions of Argo do",
);
pub static UNKNOWN_RANGE: Rule = not_applicable(
    "unknown-range",
    "the recording does not say which range was refused; an empty one is recognised by its reason",
);
pub static CONSTANT_PATH: Rule = on_purpose(
    "constant-path",
    "a jsonPath without braces is refused with the path that was meant; in Argo the text itself is the value",
);
pub static NOT_JSON: Rule = on_purpose(
    "not-json",
    "a 2xx body that is not JSON is an error; in Argo 1.9 it is successful, even if the conditions are not satisfied",
);
pub static NO_BYTES: Rule = on_purpose(
    "no-bytes",
    "a string has no parts, so {$.*} finds nothing in it; Argo finds the number of its first byte",
);
pub static HALF_A_CHARACTER: Rule = on_purpose(
    "half-a-character",
    "an escape of half a character, such as \\ud800, is not JSON; Argo reads a replacement character",
);
pub static AS_SPELT: Rule =
    on_purpose("as-spelt", "the fields of Prometheus' answer are case-sensitive; Argo ignores case");
pub static TIME_UNREAD: Rule =
    on_purpose("time-unread", "the time of a sample is ignored; Argo fails on one with an exponent");
pub static PANICS: Rule = on_purpose("panics", "an error with a reason; Argo's controller panics");
pub static GO_TYPES: Rule = on_purpose(
    "go-types",
    "methods of Go's time.Time that return a type of their own, such as Month(), are refused by name: such a value never equals a number",
);
pub static SURE_OF_TYPES: Rule = on_purpose(
    "sure-of-types",
    "the original assumes that max(1, result) and findIndex() are whole numbers, and fails if they are not; here any other value is just unequal",
);
pub static TYPED_MAP: Rule = on_purpose(
    "typed-map",
    "no provider returns a Go map of floats: the types of fields are unknown before the measurement, and a missing field is nil, not 0",
);
pub static WORDS: Rule = on_purpose("words", "the same error as in Argo, with another text");
pub static OBJECTS_OF_ARGO: Rule = not_applicable(
    "objects-of-argo",
    "AnalysisRun objects with a time to live, and experiments, do not exist here",
);
pub static DEPLOYMENT_FIELDS: Rule = not_applicable(
    "deployment-fields",
    "a fieldRef of a template is a field of the Deployment, and is resolved before a run is created; Argo's run stores it unresolved",
);
pub static FIELD_THERE: Rule = on_purpose(
    "field-there",
    "a fieldRef to a missing field is an error, because a query with an empty string would find nothing; Argo substitutes an empty string",
);
pub static CONTROL_CHARACTERS: Rule = on_purpose(
    "control-characters",
    "a value is substituted in the parsed string, so control characters are harmless",
);
pub static SECRETS_STAY: Rule = on_purpose(
    "secrets-stay",
    "a run stores only the names of its secrets; a missing one is an error of the measurement",
);
pub static NO_METRICS: Rule = on_purpose(
    "no-metrics",
    "a run without metrics is refused when it is created, not when it is first reconciled",
);
pub static DYNAMIC_STABLE_SCALE: Rule = on_purpose(
    "dynamic-stable-scale",
    "refused by name: stable keeps its size, so that an abort is safe at any moment",
);
pub static WEIGHT_TOTAL: Rule = on_purpose(
    "weight-total",
    "maxTrafficWeight below 100 is refused: NGINX ignores a total below 100, so the weights would have another meaning",
);
pub static ROLLING_UPDATE: Rule = on_purpose(
    "rolling-update",
    "maxSurge and maxUnavailable are refused by name: the Deployment's own rolling update replaces stable, and has these fields",
);
pub static REFUSED_BY_NAME: Rule = on_purpose(
    "refused-by-name",
    "a field that is not supported is refused by name, each with its reason in the reference",
);
pub static ONE_POD: Rule = on_purpose(
    "one-pod",
    "a canary has its minimum number of pods even before it gets traffic, so that problems at start-up are found first",
);
pub static KEPT: Rule = on_purpose(
    "kept",
    "a canary that is kept after an abort keeps its size; in Argo the calculated size is 0 but is not applied",
);
pub static SAID_IN_FULL: Rule = on_purpose(
    "said-in-full",
    "a field that is false has that value, and a number has all its digits; Argo finds nothing, or writes 1e+06",
);
pub static CANARY_HASH: Rule =
    on_purpose("canary-hash", "podTemplateHashValue Canary means Latest; Argo substitutes an empty string");
pub static DEFAULT_PLAN: Rule = on_purpose(
    "default-plan",
    "a strategy without steps gets the default plan; Argo releases to all users immediately",
);
pub static NO_CANARY: Rule = not_applicable(
    "no-canary",
    "Kubernetes rolls out a first release, and a template that already serves, without a canary",
);
pub static ROUTED_ANYWAY: Rule = on_purpose(
    "routed-anyway",
    "traffic is split if an Ingress routes to the Service, even without trafficRouting",
);
pub static SERVICES_FOUND: Rule =
    on_purpose("services-found", "Services need not be named: those that select the pods are split");
pub static PLAN_CHECKED: Rule = on_purpose(
    "plan-checked",
    "an invalid number, duration or argument is refused when it is applied; Argo uses some value for it",
);
pub static PAUSED_ANALYSIS: Rule =
    on_purpose("paused-analysis", "one step may have a pause and an analysis: the verdict ends it");
pub static HEADER_ROUTES: Rule =
    on_purpose("header-routes", "NGINX has routes by header, so setHeaderRoute works on it");
pub static OTHER_PROVIDERS: Rule = not_applicable(
    "other-providers",
    "metrics are measured by Prometheus, web services and Jobs only; other providers are refused by name",
);
pub static NO_DELAY: Rule =
    on_purpose("no-delay", "an initialDelay of 0 has no effect; Argo measures one pass later");
pub static CONDITION_NAMED: Rule =
    on_purpose("condition-named", "the error of a condition names the condition; Argo's has only the reason");
pub static OTHER_ROUTERS: Rule = not_applicable(
    "other-routers",
    "traffic is routed by NGINX annotations, Gateway API and Traefik's API; other routers are refused by name",
);
pub static FRACTIONS: Rule =
    on_purpose("fractions", "a wait includes fractions of a second; Argo ignores them");
pub static MILLISECONDS: Rule = on_purpose(
    "milliseconds",
    "durations are stored in whole milliseconds: nothing depends on smaller differences",
);
pub static AT_ITS_END: Rule =
    on_purpose("at-its-end", "a pause ends at its end time; in Argo it ends just after it");
pub static PAUSE_FIELDS: Rule =
    not_applicable("pause-fields", "the status fields in which Argo stores a pause do not exist");
pub static NO_SUCH_STATE: Rule =
    not_applicable("no-such-state", "a state in which Argo panics cannot be expressed");
pub static BLUE_GREEN: Rule =
    not_applicable("blue-green", "the recording is about a blue-green rollout, which has no canary steps");
