//! Each step and setting as Argo's documentation writes it, and what it becomes.

use super::{canary, defaults, read};
use haldane::{
    config::{annotations::Wish, strategy::default_strategy},
    domain::{
        keys,
        strategy::{ArgSource, Side, Step, TemplateRef},
    },
};

fn steps(yaml: &str) -> Vec<Step> {
    canary(&format!("{{steps: [{yaml}]}}")).unwrap_or_else(|found| panic!("{yaml}: {found:?}")).strategy.steps
}

#[test]
fn enabled_is_the_default_plan() {
    assert_eq!(canary("enabled").unwrap().strategy, default_strategy(&defaults()));
    assert_eq!(canary(" enabled\n").unwrap().strategy, default_strategy(&defaults()));
    assert_eq!(canary("{steps: []}").unwrap().strategy.steps, default_strategy(&defaults()).steps);
}

#[test]
fn the_whole_strategy_pastes_in_from_argo() {
    let inner = "steps:\n- setWeight: 25\n- pause: {}\n";
    let wrapped = |outer: &str| {
        format!("{outer}:\n{}", inner.lines().map(|l| format!("  {l}\n")).collect::<Vec<_>>().concat())
    };
    let plain = canary(inner).unwrap();
    assert_eq!(canary(&wrapped("canary")).unwrap(), plain);
    let strategy = format!(
        "strategy:\n{}",
        wrapped("canary").lines().map(|l| format!("  {l}\n")).collect::<Vec<_>>().concat()
    );
    assert_eq!(canary(&strategy).unwrap(), plain);
}

#[test]
fn pauses_are_seconds_durations_or_endless() {
    let pause = |text: &str| match steps(text).remove(0) {
        Step::Pause(duration) => duration.map(|duration| duration.to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(pause("{pause: {}}"), None);
    assert_eq!(pause("{pause: {duration: 90}}").as_deref(), Some("1m30s"));
    assert_eq!(pause("{pause: {duration: \"90\"}}").as_deref(), Some("1m30s"));
    assert_eq!(pause("{pause: {duration: 1h}}").as_deref(), Some("1h"));
}

#[test]
fn an_analysis_names_templates_and_arguments() {
    let yaml = "{analysis: {templates: [{templateName: a}, {templateName: b, clusterScope: true}], args: [\
        {name: x, value: '1'}, \
        {name: y, valueFrom: {podTemplateHashValue: Latest}}, \
        {name: z, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}]}}";
    let Step::Analysis(analysis) = steps(yaml).remove(0) else { panic!() };
    assert_eq!(analysis.templates[1], TemplateRef { name: "b".into(), cluster_scope: true });
    let sources: Vec<ArgSource> = analysis.args.into_iter().map(|arg| arg.source).collect();
    let field = ArgSource::FieldRef("metadata.labels['app']".into());
    assert_eq!(sources, [ArgSource::Value("1".into()), ArgSource::PodTemplateHash(Side::Canary), field]);
}

const TEMPLATE: &str = "{metrics: [{name: up, provider: {prometheus: {query: up}}}]}";

#[test]
fn an_inline_template_that_no_step_names_runs_in_the_background() {
    let background =
        |plan: &str| -> Wish { read(&[(keys::CANARY, plan), (keys::ANALYSIS, TEMPLATE)]).unwrap() };
    let everywhere = background("enabled").strategy.background.unwrap();
    assert_eq!((everywhere.starting_step, everywhere.analysis.templates[0].is_inline()), (0, true));
    assert_eq!(background("{steps: [{analysis: {}}]}").strategy.background, None);
    let later = background("{steps: [{pause: {}}, {setWeight: 5}], analysis: {startingStep: 1}}");
    assert_eq!(later.strategy.background.unwrap().starting_step, 1);
}

#[test]
fn settings_have_argos_meaning() {
    let strategy = |yaml: &str| canary(yaml).unwrap().strategy;
    assert_eq!(strategy("enabled").abort_scale_down_delay.unwrap().to_string(), "30s");
    assert_eq!(strategy("{abortScaleDownDelaySeconds: 0}").abort_scale_down_delay, None, "0 keeps it");
    assert!(strategy("enabled").progress_deadline_abort);
    assert!(!strategy("{progressDeadlineAbort: false}").progress_deadline_abort);
    let nginx = strategy(
        "{stableService: s, canaryService: c, trafficRouting: {nginx: {stableIngress: i, \
         additionalIngressAnnotations: {canary-by-header: X}}}}",
    );
    assert_eq!((nginx.stable_service.as_deref(), nginx.canary_service.as_deref()), (Some("s"), Some("c")));
    assert_eq!(nginx.nginx.stable_ingresses, ["i"]);
    assert_eq!(nginx.nginx.additional_annotations["canary-by-header"], "X");
    let settle = read(&[(keys::CANARY, "enabled"), (keys::SETTLE, "2s")]).unwrap().strategy.settle;
    assert_eq!(settle.to_string(), "2s");
}
