//! `docs/reference.md`, written from the tables that the parser reads.

use clap::{ArgAction, CommandFactory};
use haldane::{
    admit::plan_review::{
        differences::DIFFERENCES,
        foreign_policies::{APIS, Effect},
    },
    commands::cli::Cli,
    config::{
        annotations::{INTERNAL_KEYS, KEYS},
        blue_green, metric,
        namespace::ENABLED,
        settings::{REFUSED, SETTINGS},
        steps::{self, REFUSED_STEPS, STEPS},
        template,
    },
    document::{fields::describe, schema::Schema},
    domain::{keys, request::Verb, state::Phase},
    notify::{Occasion, PLACEHOLDERS, Routing},
    policy::RULES,
    providers::PROVIDERS,
    routers::ROUTERS,
    runtime::metrics::Metric,
};
use std::fmt::Write;
use strum::{EnumMessage, IntoEnumIterator};

fn policy_rules() -> String {
    let mut text = String::from(
        "\n## Policy rules\n\nKeys of `rules` in a profile; [policy](policy.md) says how to write and bind profiles.\n",
    );
    for rule in RULES {
        write!(text, "\n### `{0}`\n\n{1}\n\n```yaml\n{0}: {2}\n```\n", rule.id, rule.doc, rule.example)
            .unwrap();
    }
    text
}

/// Steps and the fields of the two kinds of plan.
fn plan_fields() -> String {
    let mut text = String::new();
    text += "\n## Steps\n\nItems of `steps` in `haldane.dev/canary`; each item has one of these keys.\n\n| step | what it does | example |\n| --- | --- | --- |\n";
    for step in STEPS {
        writeln!(text, "| `{}` | {} | `{}` |", step.key, step.doc, step.example).unwrap();
    }

    text += &refused(REFUSED_STEPS);

    text += "\n## Fields of `haldane.dev/canary`\n\nThose of Argo's `strategy.canary`, and of a Rollout's spec where the text says so.\n\n| field | what it does | example |\n| --- | --- | --- |\n";
    for setting in SETTINGS {
        writeln!(text, "| `{}` | {} | `{}` |", setting.key, setting.doc, setting.example).unwrap();
    }
    text += &refused(REFUSED);

    text += "\n## Fields of `haldane.dev/blue-green`\n\nThose of Argo's `strategy.blueGreen`.\n\n| field | what it does | example |\n| --- | --- | --- |\n";
    for setting in blue_green::SETTINGS {
        writeln!(text, "| `{}` | {} | `{}` |", setting.key, setting.doc, setting.example).unwrap();
    }
    text += &refused(blue_green::REFUSED);
    text
}

fn annotations() -> String {
    let mut text = String::new();
    for key in KEYS {
        write!(
            text,
            "\n### `{}`\n\n{}\n\n```yaml\n{}: {}\n```\n",
            key.name,
            key.doc,
            key.name,
            quoted(key.example)
        )
        .unwrap();
    }
    let inherited: Vec<_> =
        KEYS.iter().filter(|key| key.by_namespace).map(|key| format!("`{}`", key.name)).collect();
    write!(
        text,
        "\nA Namespace with the label `{}: {ENABLED}` opts in its Deployments that have a route, and may give them defaults by {}.\n",
        keys::CANARY,
        inherited.join(", ")
    )
    .unwrap();
    let internal: Vec<_> = INTERNAL_KEYS.iter().map(|key| format!("`{key}`")).collect();
    write!(text, "\nWritten by Haldane only, a forged value has no effect: {}.\n", internal.join(", "))
        .unwrap();
    text
}

fn selecting_apis() -> String {
    let mut text = String::from(
        "\n## Objects that select pods\n\nLooked at when a Deployment is admitted, where their API is installed: one that selects stable's pods (a ServiceMonitor: its Service) and would miss the canary's, whose labels differ. Monitors are read in the Deployment's namespace.\n\n| API group | kind | a canary is |\n| --- | --- | --- |\n",
    );
    for api in APIS {
        let effect = match api.effect {
            Effect::Refused => "refused".to_owned(),
            Effect::Told(consequence) => format!("warned about: {consequence}"),
        };
        writeln!(text, "| `{}` | `{}` | {effect} |", api.group, api.kind).unwrap();
    }
    text
}

/// In what the canary's pods differ.
fn differences() -> String {
    let mut text = String::from(
        "\n## Canary pods\n\nWhat canary pods have of what stable's pods have. Followed: the same, or a counterpart of its own; warning, refused: by name, when a plan or a release is applied; documented: as written here.\n\n| what | the canary has | |\n| --- | --- | --- |\n",
    );
    for row in &DIFFERENCES {
        writeln!(text, "| {} | {} | {} |", row.what, row.canary, row.handling).unwrap();
    }
    text
}

pub(super) fn reference() -> String {
    let mut text = String::from(
        "# Reference\n\n\
         Generated from the tables in the code by `make docs`; do not edit it.\n\n\
         ## Annotations of a Deployment\n\n\
         Names and meanings are the same as in Argo Rollouts. An unknown key, field or value is refused at admission, by name.\n",
    );
    text += &annotations();
    text += &plan_fields();
    text += &table(
        "Analyses",
        "Fields of `analysis` in a step or at the top level (there also `startingStep`), and of `prePromotionAnalysis` and `postPromotionAnalysis`.",
        &describe(steps::analysis),
    );

    text += "\n## Orders\n\n`kubectl annotate deployment NAME haldane.dev/do=ORDER`. Each needs its own name as a verb on `deployments` in API group `apps`; ClusterRole `haldane-operator` grants all. `promote --step N` continues with step N, counted from 1, and needs `promote`.\n\n| order | what it does |\n| --- | --- |\n";
    for verb in Verb::iter() {
        writeln!(text, "| `{verb}` | {} |", documentation(&verb)).unwrap();
    }

    text +=
        "\n## Phases\n\nKey `phase` of the ConfigMap `haldane-NAME`.\n\n| phase | meaning |\n| --- | --- |\n";
    for phase in Phase::iter() {
        writeln!(text, "| `{phase}` | {} |", documentation(&phase)).unwrap();
    }

    text += &table(
        "Analysis templates",
        "Fields of the annotation `haldane.dev/analysis`, and of an AnalysisTemplate's spec in a labelled ConfigMap.",
        &describe(template::template),
    );
    text += &table(
        "Metrics",
        "Items of `metrics` in an analysis template. Every string may contain `{{args.NAME}}`.",
        &describe(metric::metric),
    );

    text += "\n## Arguments\n\nItems of `args` in a template, where they are declared, and in a step, where they get values.\n\n| source | meaning |\n| --- | --- |\n";
    for (source, doc) in argument_sources() {
        writeln!(text, "| `{source}` | {doc} |").unwrap();
    }

    text += &policy_rules();

    text += &selecting_apis();
    text += &differences();

    text += "\n## Metric providers\n\nKeys of `provider` in an analysis template.\n";
    for provider in PROVIDERS {
        let example = provider.example().trim_end().replace('\n', "\n  ");
        write!(
            text,
            "\n### `{0}`\n\n{1}\n\n```yaml\n{0}:\n  {example}\n```\n\n| field | meaning |\n| --- | --- |\n",
            provider.key(),
            provider.doc()
        )
        .unwrap();
        text += &rows(&describe(|node| provider.check(node)));
    }

    text += &traffic_routers();
    text += &notifications();

    text += "\n## Flags of `haldane run`\n\nEach can be given as an environment variable instead.\n\n| flag | variable | default | meaning |\n| --- | --- | --- | --- |\n";
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    for flag in run.get_arguments().filter(|flag| flag.get_env().is_some()) {
        let default: Vec<_> = flag.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        writeln!(
            text,
            "| `--{}` | `{}` | {} | {} |",
            flag.get_long().unwrap(),
            flag.get_env().unwrap().to_string_lossy(),
            match default.first() {
                Some(value) => format!("`{value}`"),
                None if flag.is_required_set() => "(required)".to_owned(),
                None if matches!(flag.get_action(), ArgAction::SetTrue) => "`false`".to_owned(),
                None => "none".to_owned(),
            },
            flag.get_help().unwrap()
        )
        .unwrap();
    }

    text += "\n## Metrics\n\n`/metrics` on port 8080 of every replica, as OpenMetrics text. A histogram has `_bucket`, `_sum` and `_count`.\n\n| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n";
    for metric in Metric::iter() {
        let labels = metric.labels().split(", ").filter(|label| !label.is_empty());
        let labels = labels.map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        writeln!(text, "| `{}` | {} | {labels} | {} |", metric.full_name(), metric.kind(), metric.help())
            .unwrap();
    }
    text
}

/// Destinations, the groups of Events, and the placeholders of a message.
fn notifications() -> String {
    let schema = Routing::schema();
    let [destinations] = schema.fields() else { panic!("{schema:?}") };
    let what = "Items of `destinations` in the only key of the ConfigMap `haldane-notifications`, and the fields of each format; [notifications](notifications.md) says how to write it.";
    let mut text = table("Notifications", what, &destinations.schema);
    let slack = destinations.schema.fields().iter().find(|field| field.key == "slack").unwrap();
    text += "\n| field of a format | meaning |\n| --- | --- |\n";
    text += &rows(&slack.schema);
    text += "\n### Groups of Events\n\n| group | when |\n| --- | --- |\n";
    for group in Occasion::iter() {
        writeln!(text, "| `{}` | {} |", <&str>::from(group), documentation(&group)).unwrap();
    }
    text += "\n### Placeholders of a message\n\n| placeholder | value |\n| --- | --- |\n";
    for (name, doc, _) in PLACEHOLDERS {
        writeln!(text, "| `{{{{{name}}}}}` | {doc} |").unwrap();
    }
    text
}

fn traffic_routers() -> String {
    let mut text = String::from(
        "\n## Traffic routers\n\nChosen when a rollout starts, and kept until it ends: the one that `trafficRouting` names, else the first that finds a route to a Service of the Deployment. What a router cannot do is refused.\n",
    );
    for router in ROUTERS {
        let of = router.capabilities(&serde_json::Value::Null);
        write!(text, "\n### `{}`\n\n{}\n\n", router.key(), router.doc()).unwrap();
        let yes = |can: bool| if can { "yes" } else { "no" };
        writeln!(
            text,
            "Header routes at a time: {}; headers of a route: {}; mirror routes: {}; canary pods without traffic: {}.",
            of.header_routes,
            of.headers_of_route,
            yes(of.mirrors),
            yes(!of.by_pods)
        )
        .unwrap();
        if !router.fields().is_empty() {
            text += "\n| field | meaning |\n| --- | --- |\n";
        }
        for field in router.fields() {
            writeln!(text, "| `{}` | {} |", field.key, field.doc).unwrap();
        }
        if let Some(plugin) = router.plugin() {
            write!(
                text,
                "\nAlso Argo's plugin `plugins: {{{}: …}}`:\n\n| field | meaning |\n| --- | --- |\n",
                plugin.key
            )
            .unwrap();
            for field in plugin.fields {
                writeln!(text, "| `{}` | {} |", field.key, field.doc).unwrap();
            }
            text += &refused(plugin.refused);
        }
    }
    text
}

/// The documented fields of an argument, in a step and in a template.
fn argument_sources() -> Vec<(String, &'static str)> {
    fn collect(schema: &Schema, path: &str, found: &mut Vec<(String, &'static str)>) {
        for field in schema.fields() {
            let path = format!("{path}{}", field.key);
            if !field.doc.is_empty() && !found.iter().any(|(known, _)| *known == path) {
                found.push((path.clone(), field.doc));
            }
            collect(&field.schema, &format!("{path}."), found);
        }
    }
    let mut found = Vec::new();
    for analysis in [describe(steps::analysis), describe(template::template)] {
        let args = analysis.fields().iter().find(|field| field.key == "args").unwrap();
        collect(&args.schema, "", &mut found);
    }
    found
}

fn table(title: &str, what: &str, schema: &Schema) -> String {
    format!("\n## {title}\n\n{what}\n\n| field | meaning |\n| --- | --- |\n{}", rows(schema))
}

/// A row for each field.
fn rows(schema: &Schema) -> String {
    let mut text = String::new();
    for field in schema.fields() {
        writeln!(text, "| `{}` | {} |", field.key, field.doc).unwrap();
    }
    text
}

fn refused(fields: &[(&str, &str)]) -> String {
    let mut text =
        "\nRefused at admission, by name:\n\n| field of Argo | reason |\n| --- | --- |\n".to_owned();
    for (key, why) in fields {
        writeln!(text, "| `{key}` | {why} |").unwrap();
    }
    text
}

/// Quotes a plain scalar to which YAML would give another meaning.
fn quoted(example: &str) -> String {
    if example.starts_with('{') { format!("'{}'", example.replace('\'', "''")) } else { example.to_owned() }
}

fn documentation(item: &impl EnumMessage) -> &'static str {
    item.get_documentation().unwrap()
}
