//! What is fuzzed, and what must hold of any input.

use haldane::{
    admit::{AdmitConfig, Case, facts::Facts},
    analysis::{args, condition},
    config::{
        annotations::KEYS,
        declared_plan::read_annotations,
        namespace::{ENABLED, Namespace},
        profile::read_profile,
        strategy::Defaults,
        template,
    },
    document::finding::Findings,
    domain::{
        k8s::selector::Labels,
        keys,
        metric::ResolvedArg,
        request::Verb,
        review::{Stage, User},
        value::{MetricValue, Reading},
    },
    notify::Routing,
    policy::{Occasion, Subject},
    providers::{self, Defaults as Providers, Question, Release, Sample, Step, http::HttpResponse},
    webhook::review,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Something that parses.
pub struct Target {
    /// Also the folder of its corpus.
    pub name: &'static str,
    /// Feeds it one input; an error says what was wrong with the answer.
    pub run: fn(&[u8]) -> Result<(), String>,
    /// What is deep, wide, or expands when it is repeated.
    pub patterns: &'static [&'static str],
    /// The same after a beginning.
    pub within: &'static [(&'static str, &'static str)],
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "review",
        run: review,
        patterns: &["[", "{\"a\":", "[{\"a\":[", "{\"a\":1,", "\"", "\\u0000", "-", "1", " "],
        within: &[],
    },
    Target { name: "annotations", run: annotations, patterns: YAML, within: PLANS },
    Target { name: "namespace", run: namespace, patterns: YAML, within: PLANS },
    Target {
        name: "expression",
        run: expression,
        patterns: &[
            "(",
            "[",
            "{",
            "!",
            "-",
            "not ",
            "a.",
            "a?.",
            "a[",
            "1+",
            "1-(",
            "1**",
            "1 ? 2 : ",
            "\"a\" + ",
            "len(",
            "filter(",
            "true and ",
            "1 ?? ",
            "1 | ",
            "let a = 1; ",
            "#",
            ".",
            "1..",
            "a => ",
            "\"",
            "result[0] > 1 || ",
            "[1,2,3] == ",
        ],
        within: &[("true", " and 'a' matches '[^a]{50}'"), ("'a' matches '", "\\\\pL")],
    },
    Target { name: "template", run: template, patterns: YAML, within: PLANS },
    Target { name: "policy", run: policy, patterns: YAML, within: &[] },
    Target {
        name: "routing",
        run: routing,
        patterns: YAML,
        within: &[
            ("destinations:\n", "- {name: a, slack: {url: 'http://a'}}\n"),
            ("destinations: [{name: a, message: '", "{{event}}"),
        ],
    },
    Target {
        name: "arguments",
        run: arguments,
        patterns: &["{{", "}}", "{{args.a}}", "{{args.", "{{ args.a }}", "{", "{{args.b}}", "{{{{args.a}}}}"],
        within: &[],
    },
    Target {
        name: "replies",
        run: replies,
        patterns: &[
            "[",
            "{\"data\":",
            "[{\"value\":[",
            "{\"metric\":{\"a\":\"b\"},\"value\":[1,\"1\"]},",
            "[1,\"NaN\"],",
            "\"",
            "-",
            "1",
            " ",
            "\\u0000",
        ],
        within: &[("[", "{\"\":0},"), ("{\"data\":[", "[[0],"), ("[", "[1],")],
    },
    Target {
        name: "paths",
        run: paths,
        patterns: &["{", "{.", "[", "{..", "['a','a']", "{range ", "{end}", "[?(@.", "\\", "'"],
        within: &[("{", "['a','a']"), ("{", "..[*]"), ("{", "..*"), ("{$[", "*,"), ("{", "[?(@..a)]")],
    },
];

/// Plans that ask for more than their length.
const PLANS: &[(&str, &str)] = &[
    ("dryRun:\n", "- {metricName: '\\pL'}\n"),
    ("dryRun:\n", "- {metricName: '(?i)[\\pL\\pN]{40}'}\n"),
    ("metrics: [{name: a, provider: {web: {url: 'http://a'}}}]\ndryRun:\n", "- {metricName: '[^b]{50}'}\n"),
    (
        "metrics:\n",
        "- {name: a, successCondition: '\"a\" matches \"[^a]{50}\"', provider: {web: {url: 'http://a'}}}\n",
    ),
    ("steps:\n", "- {analysis: {templates: [{templateName: a}], dryRun: [{metricName: '[^b]{50}'}]}}\n"),
    ("steps:\n- analysis:\n    templates:\n", "    - {templateName: a}\n"),
    ("? ", "a"),
];

const YAML: &[&str] = &[
    "[",
    "{",
    "{a: ",
    "- ",
    "? ",
    "a:\n ",
    "\"",
    "'",
    "|\n",
    "&a [",
    "&a a: *a\n",
    "!!map ",
    "# \n",
    "---\n",
    " ",
    "\t",
    "a: b\n",
    "- a\n",
    "{steps: [",
    "steps: [{setWeight: 1}, ",
    "<<: ",
    "%",
    "*a ",
    "\\",
    "{\"a\":\"b\"},",
    "metrics: [{name: a}, ",
];

fn defaults() -> Defaults {
    Defaults { settle: "6s".parse().unwrap(), annotation_prefix: "nginx.ingress.kubernetes.io".into() }
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// A body that is read gets an answer with its own identifier.
fn review(body: &[u8]) -> Result<(), String> {
    let Ok(review) = review::parse(body) else { return Ok(()) };
    let config = AdmitConfig {
        defaults: defaults(),
        providers: Providers::default(),
        hosts: providers::hosts::HostPolicy::default(),
        own_namespace: "haldane-system".to_owned(),
        own_user: "haldane".to_owned(),
    };
    for stage in [Stage::Mutate, Stage::Validate, Stage::Warn] {
        let facts = Facts { may: Ok(true), ..Facts::default() };
        let case = Case::read(stage, &review, &config, now()).in_namespace(Ok(Namespace::default()));
        let _ = case.questions();
        let answer = review::answer(stage, &review, &case.decide(&facts).verdict)
            .map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
        if answer["response"]["uid"] != review.uid.as_str() {
            return Err(format!("an answer to another review: {answer}"));
        }
    }
    Ok(())
}

/// A plan is read, or refused with findings that name their place on one line.
fn annotations(text: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(text);
    for key in [keys::CANARY, keys::ANALYSIS, keys::SETTLE] {
        let mut annotations = Labels::from([(keys::CANARY.to_owned(), "enabled".to_owned())]);
        annotations.insert(key.to_owned(), text.clone().into_owned());
        if let Err(findings) = read_annotations(&annotations, &defaults()) {
            explained(&findings)?;
        }
    }
    Ok(())
}

/// A Namespace's defaults are read or refused like a plan, and so is a key that nobody knows.
fn namespace(text: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(text).into_owned();
    let enabled = Labels::from([(keys::CANARY.to_owned(), ENABLED.to_owned())]);
    let inherited = KEYS.iter().filter(|key| key.by_namespace).map(|key| key.name.to_owned());
    for key in inherited.chain([format!("{}{text}", keys::PREFIX)]) {
        let annotations = Labels::from([(key.clone(), text.clone())]);
        let with = |labels| Namespace::new("shop", "haldane-system", labels, annotations.clone());
        for namespace in [with(enabled.clone()), with(Labels::from([(key, text.clone())]))] {
            if let Err(findings) = namespace.check(&defaults()) {
                explained(&findings)?;
            }
            if let Err(findings) = namespace.settings(&enabled).read(&defaults()) {
                explained(&findings)?;
            }
        }
    }
    Ok(())
}

/// Whatever a metrics server answers is a value that conditions can judge, or a reason why not.
fn replies(body: &[u8]) -> Result<(), String> {
    let defaults = Providers::default();
    let oauth2 = json!({"tokenUrl": "http://p.example/token", "clientId": "a", "clientSecret": "b"});
    for (key, config) in [
        ("prometheus", json!({"address": "http://p.example", "query": "up"})),
        (
            "prometheus",
            json!({"address": "http://p.example", "query": "up", "authentication": {"oauth2": oauth2}}),
        ),
        ("web", json!({"url": "http://w.example", "jsonPath": "{$.data[*].value}"})),
        ("web", json!({"url": "http://w.example", "jsonPath": "{$.data[?(@.value > 0)]}"})),
        ("web", json!({"url": "http://w.example"})),
        ("webhook", json!({"url": "http://w.example"})),
    ] {
        for status in [200, 204, 400, 422, 503] {
            let provider = providers::find(key).ok_or("no such provider")?;
            judged(provider.measure(&asked(&config, &defaults)), status, body)?;
        }
    }
    Ok(())
}

/// Whatever a path asks of answers that are deep and wide, it ends.
fn paths(text: &[u8]) -> Result<(), String> {
    let deep = (0..100).fold(json!(1), |inner, _| json!({"a": inner, "b": [1]}));
    let wide = json!({"a": vec![json!({"a": [1, 2, 3]}); 2000]});
    let config = json!({"url": "http://w.example", "jsonPath": String::from_utf8_lossy(text)});
    let (provider, defaults) = (providers::find("web").ok_or("no such provider")?, Providers::default());
    for answer in [deep, wide] {
        judged(provider.measure(&asked(&config, &defaults)), 200, answer.to_string().as_bytes())?;
    }
    Ok(())
}

fn asked<'a>(config: &'a Value, defaults: &'a Providers) -> Question<'a> {
    Question { config, defaults, now: now(), name: "n", release: Release::default() }
}

/// Answers every request of a measurement alike, until it ends.
fn judged(mut step: Step, status: u16, body: &[u8]) -> Result<(), String> {
    for _ in 0..5 {
        step = match step {
            Step::Http(_, then) => then(HttpResponse { status, body: body.to_vec() }),
            Step::Job(..) => return Err("a Job for an HTTP provider".to_owned()),
            Step::Done(Ok(Sample { reading: Reading::Value { value, .. }, .. })) => {
                return reasoned(condition::eval("len(result) > 0 && result[0] > 1", &value, now()));
            }
            Step::Done(outcome) => return reasoned(outcome),
        };
    }
    Err("it asks for ever".to_owned())
}

fn template(text: &[u8]) -> Result<(), String> {
    match template::parse("fuzzed", &String::from_utf8_lossy(text), "data[template.yaml]") {
        Ok(_) => Ok(()),
        Err(findings) => explained(&findings),
    }
}

/// A profile judges a request, or is refused with findings.
fn policy(text: &[u8]) -> Result<(), String> {
    let data = Labels::from([("profile".to_owned(), String::from_utf8_lossy(text).into_owned())]);
    let profile = match read_profile(&data) {
        Ok(profile) => profile,
        Err(findings) => return explained(&findings),
    };
    let user = User { username: "system:serviceaccount:ci:deployer".to_owned(), ..User::default() };
    for occasion in [Occasion::Create, Occasion::Release, Occasion::OptOut, Occasion::Order(Verb::Promote)] {
        let subject = Subject {
            user: &user,
            now: now(),
            occasion,
            opted_in: false,
            plan: None,
            template: &Value::Null,
            has_route: true,
            is_unexposed: true,
            override_freeze: None,
        };
        let found = profile.check(&subject);
        if found.iter().any(|violation| violation.finding.problem.is_empty()) {
            return Err(format!("a violation without a reason: {found:?}"));
        }
    }
    Ok(())
}

/// A routing that is read is no larger than one may be written, or it is refused with findings.
fn routing(text: &[u8]) -> Result<(), String> {
    let data = Labels::from([("routing".to_owned(), String::from_utf8_lossy(text).into_owned())]);
    match Routing::read(&data) {
        Ok(routing) if routing.bytes > 64 << 10 => Err(format!("{} bytes are kept", routing.bytes)),
        Ok(routing) => match routing.refused(&providers::hosts::HostPolicy::default().of_notifications()) {
            refused if refused.is_empty() => Ok(()),
            refused => explained(&refused),
        },
        Err(findings) => explained(&findings),
    }
}

fn explained(findings: &Findings) -> Result<(), String> {
    let bad = |problem: &str| problem.is_empty() || problem.contains('\n');
    match findings.iter().find(|finding| finding.path.is_empty() || bad(&finding.problem)) {
        _ if findings.is_empty() => Err("refused without a finding".to_owned()),
        Some(finding) => Err(format!("a finding that explains nothing: {finding:?}")),
        None => Ok(()),
    }
}

/// A condition that passes the check says yes, no, or why not.
fn expression(text: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(text);
    reasoned(condition::check(&text))?;
    for value in [
        MetricValue::Float(0.5),
        MetricValue::Vector(vec![1.0, f64::NAN]),
        MetricValue::Vector(Vec::new()),
        MetricValue::from(json!({"a": [1, "b", null, {"c": true}], "error_rate": 0.1})),
    ] {
        reasoned(condition::eval(&text, &value, now()))?;
    }
    reasoned(condition::time(&text, now()))
}

fn reasoned<T>(result: Result<T, String>) -> Result<(), String> {
    match result {
        Err(why) if why.trim().is_empty() => Err("refused without a reason".to_owned()),
        _ => Ok(()),
    }
}

/// Known arguments are put in, and nothing else is changed.
fn arguments(text: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(text);
    let known = [arg("a", "{{args.b}}"), arg("b", "")];
    match args::substitute(&text, &known) {
        Ok(filled) if !args::has_placeholder(&text) && filled != text => Err(format!("became {filled:?}")),
        result => reasoned(result),
    }
}

fn arg(name: &str, value: &str) -> ResolvedArg {
    ResolvedArg { name: name.to_owned(), value: value.to_owned() }
}
