//! Where Haldane answers otherwise than Argo, by rule, each with its reason.

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
    "a metric without one good measurement ends Inconclusive, where Argo says Successful for want of a limit",
);
pub static NO_EVIDENCE: Rule = on_purpose(
    "no-evidence",
    "a metric that never had a measurement with data ends Inconclusive, where Argo takes the conditions' word for it",
);
pub static REASON: Rule = on_purpose(
    "reason",
    "a phase decided by consecutiveSuccessLimit has a message and counts under its own name in the summary",
);
pub static NOTHING_MEASURED: Rule =
    on_purpose("nothing-measured", "a terminated run that measured nothing says so in its message");
pub static SLEEPS: Rule = on_purpose("sleeps", "a completed run does not ask to be woken");
pub static OWN_ECHO: Rule = on_purpose(
    "own-echo",
    "a run that a metric has just ended asks for the concluding pass at once, where Argo is woken by its own write",
);
pub static ADMISSION: Rule = on_purpose(
    "admission",
    "refused when the template is read, in words that name field and fix, where Argo only fails the run",
);
pub static MERGED_ARGS: Rule = on_purpose(
    "merged-args",
    "a run is made of its templates in one go: a missing argument, and what two of them say differently, \
     is told as when they are merged",
);
pub static NO_EMPTY_PHASE: Rule =
    not_applicable("no-empty-phase", "a run that has not begun is Pending, there is no empty phase");
pub static NO_DATA: Rule = on_purpose(
    "no-data",
    "a condition that fails on an empty result says that there was no data, as later versions of Argo do",
);
pub static UNKNOWN_RANGE: Rule = not_applicable(
    "unknown-range",
    "the recording does not say which range was refused; an empty one is known by its reason",
);
pub static NOT_JSON: Rule = on_purpose(
    "not-json",
    "a 2xx body that is not JSON is an error; Argo 1.9 calls it successful, whatever the conditions say",
);
pub static NO_BYTES: Rule = on_purpose(
    "no-bytes",
    "a text has no parts: {$.*} of one finds nothing, where Argo finds the number of its first byte",
);
pub static HALF_A_CHARACTER: Rule = on_purpose(
    "half-a-character",
    "an escape of half a character, such as \\ud800, is not JSON, where Argo reads a replacement character",
);
pub static AS_SPELT: Rule = on_purpose(
    "as-spelt",
    "the fields of Prometheus' answer are read as Prometheus spells them, where Argo takes any case",
);
pub static TIME_UNREAD: Rule = on_purpose(
    "time-unread",
    "the time of a sample is not looked at, where Argo fails on one that is written with an exponent",
);
pub static PANICS: Rule =
    on_purpose("panics", "where Argo's controller panics, there is an error that says why");
pub static GO_TYPES: Rule = on_purpose(
    "go-types",
    "methods of Go's time.Time that answer with a type of their own, such as Month(), are refused by name: \
     no such value ever equals a number",
);
pub static SURE_OF_TYPES: Rule = on_purpose(
    "sure-of-types",
    "the original takes max(1, result) or findIndex() for a whole number and fails if it is none; here nothing else equals one",
);
pub static TYPED_MAP: Rule = on_purpose(
    "typed-map",
    "no provider answers with a Go map of floats: the types of fields are not known beforehand, and a missing one is nil, not 0",
);
pub static WORDS: Rule = on_purpose("words", "an error as in Argo, told in other words");
pub static OBJECTS_OF_ARGO: Rule = not_applicable(
    "objects-of-argo",
    "AnalysisRun objects with a time to live, and experiments, do not exist here",
);
pub static DEPLOYMENT_FIELDS: Rule = not_applicable(
    "deployment-fields",
    "a fieldRef of a template is a field of the Deployment, read before a run is made; Argo's run keeps it unread",
);
pub static FIELD_THERE: Rule = on_purpose(
    "field-there",
    "a fieldRef that names nothing is an error, where Argo puts an empty text: a query with it would see nothing",
);
pub static CONTROL_CHARACTERS: Rule = on_purpose(
    "control-characters",
    "a value is put into the string itself, so control characters do no harm",
);
pub static SECRETS_STAY: Rule = on_purpose(
    "secrets-stay",
    "a run stores the names of its secrets only; they are read, and found missing, when a measurement is made",
);
pub static NO_METRICS: Rule = on_purpose(
    "no-metrics",
    "a run without metrics is refused when it is made, not when it is first reconciled",
);
pub static DYNAMIC_STABLE_SCALE: Rule = on_purpose(
    "dynamic-stable-scale",
    "refused by name: stable keeps its size, so that an abort is safe at any moment",
);
pub static WEIGHT_TOTAL: Rule = on_purpose(
    "weight-total",
    "maxTrafficWeight below 100 is refused: NGINX honours a total only above 100, so the weights would mean something else there",
);
pub static ROLLING_UPDATE: Rule = on_purpose(
    "rolling-update",
    "maxSurge and maxUnavailable are refused by name: stable is replaced by the Deployment's own rolling update, where it has them",
);
pub static REFUSED_BY_NAME: Rule = on_purpose(
    "refused-by-name",
    "a field that is not supported is refused by name, each with its reason in the reference",
);
pub static ONE_POD: Rule = on_purpose(
    "one-pod",
    "a canary has its least number of pods also before it gets traffic, so that it is known to start",
);
pub static KEPT: Rule = on_purpose(
    "kept",
    "a canary that is kept after an abort keeps its size; Argo's size is 0, and nothing brings it there",
);
pub static SAID_IN_FULL: Rule = on_purpose(
    "said-in-full",
    "a field has its value although it is false, and a number all its digits, where Argo finds nothing or writes 1e+06",
);
pub static CANARY_HASH: Rule =
    on_purpose("canary-hash", "podTemplateHashValue Canary means Latest, where Argo puts an empty text");
pub static DEFAULT_PLAN: Rule = on_purpose(
    "default-plan",
    "a strategy without steps gets the default plan, where Argo releases to everybody at once",
);
pub static NO_CANARY: Rule = not_applicable(
    "no-canary",
    "a first release, and the template that serves already, are rolled by Kubernetes without a canary",
);
pub static ROUTED_ANYWAY: Rule = on_purpose(
    "routed-anyway",
    "traffic is routed wherever an Ingress leads to the Service: trafficRouting need not be given for it",
);
pub static SERVICES_FOUND: Rule =
    on_purpose("services-found", "Services need not be named: those that select the pods are split");
pub static PLAN_CHECKED: Rule = on_purpose(
    "plan-checked",
    "a number, duration or argument that cannot be meant is refused when it is applied, where Argo makes something of it",
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
    on_purpose("no-delay", "an initialDelay of no time is none, where Argo measures one pass later");
pub static CONDITION_NAMED: Rule =
    on_purpose("condition-named", "the error of a condition names the condition; Argo has its reason alone");
pub static OTHER_ROUTERS: Rule = not_applicable(
    "other-routers",
    "traffic is routed by NGINX annotations only; other routers are refused by name",
);
pub static FRACTIONS: Rule =
    on_purpose("fractions", "a fraction of a second is waited for, where Argo drops it");
pub static MILLISECONDS: Rule = on_purpose(
    "milliseconds",
    "durations are kept in whole milliseconds: nothing can be observed on a finer scale",
);
pub static AT_ITS_END: Rule =
    on_purpose("at-its-end", "a pause is over at the moment of its end, Argo's at the first moment after it");
pub static PAUSE_FIELDS: Rule = not_applicable(
    "pause-fields",
    "the status fields by which Argo remembers a pause do not exist: a step has been entered, or left",
);
pub static NO_SUCH_STATE: Rule =
    not_applicable("no-such-state", "a state in which Argo panics cannot be expressed");
pub static BLUE_GREEN: Rule =
    not_applicable("blue-green", "asked of a blue-green rollout, which has no canary step there");
