//! Each step and setting as Argo's documentation writes it, and what it becomes.

use super::{canary, defaults, read};
use haldane::{
    config::{declared_plan::DeclaredPlan, strategy::default_strategy},
    domain::{
        keys,
        strategy::{
            AnalysisStep, AntiAffinity, ArgSource, CanaryScale, HeaderRoute, HeaderValue, ProgressThreshold,
            Side, Step, TemplateRef,
        },
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
    assert_eq!(pause("{pause: {duration: 0}}").as_deref(), Some("0s"));
}

#[test]
fn a_pause_next_to_an_analysis_is_its_minimum_time() {
    let at_least = |text: &str| match steps(text).remove(0) {
        Step::Analysis(step) => step.at_least.map(|span| span.to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(at_least("{pause: {}, analysis: {templates: [{templateName: a}]}}"), None);
    assert_eq!(at_least("{analysis: {}, pause: {duration: 90}}").as_deref(), Some("1m30s"));
}

#[test]
fn of_several_sizes_argos_first_counts() {
    let scale = |text: &str| steps(&format!("{{setCanaryScale: {{{text}}}}}")).remove(0);
    assert_eq!(scale("replicas: 3, weight: 50"), Step::SetCanaryScale(CanaryScale::Replicas(3)));
    assert_eq!(scale("weight: 50"), Step::SetCanaryScale(CanaryScale::Weight(50_u8.try_into().unwrap())));
    assert_eq!(
        scale("matchTrafficWeight: true, replicas: 3"),
        Step::SetCanaryScale(CanaryScale::MatchTrafficWeight)
    );
    assert_eq!(scale(""), Step::SetCanaryScale(CanaryScale::MatchTrafficWeight));
}

#[test]
fn a_header_route_is_exact_a_prefix_or_a_pattern_and_goes_without_a_match() {
    let route = |value: &str| {
        let text = format!(
            "{{setHeaderRoute: {{name: r, match: [{{headerName: X-A, headerValue: {{{value}}}}}]}}}}"
        );
        match steps(&text).remove(0) {
            Step::SetHeaderRoute(HeaderRoute { mut matching, .. }) => matching.remove(0).value,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(route("exact: yes-1"), HeaderValue::Exact("yes-1".into()));
    assert_eq!(route("prefix: qa"), HeaderValue::Prefix("qa".into()));
    assert_eq!(route("regex: 'a|b.*'"), HeaderValue::Regex("a|b.*".into()));
    let removed = HeaderRoute { name: "r".into(), matching: vec![] };
    assert_eq!(steps("{setHeaderRoute: {name: r}}"), [Step::SetHeaderRoute(removed)]);
}

#[test]
fn what_nginx_cannot_route_is_refused() {
    let set = |name: &str| {
        format!("{{setHeaderRoute: {{name: {name}, match: [{{headerName: X, headerValue: {{exact: a}}}}]}}}}")
    };
    let plan = |steps: &str, more: &str| format!("{{steps: [{steps}]{more}}}");
    let removed = "{setHeaderRoute: {name: a}}";
    assert!(canary(&plan(&format!("{}, {removed}, {}", set("a"), set("b")), "")).is_ok());
    assert!(canary(&plan(&format!("{}, {}", set("a"), set("a")), "")).is_ok(), "replaced");
    let header = |name| {
        format!(", trafficRouting: {{nginx: {{additionalIngressAnnotations: {{canary-by-header: {name}}}}}}}")
    };
    assert!(canary(&plan(&set("a"), &header("x"))).is_ok(), "the same header");
    let managed = ", trafficRouting: {managedRoutes: [{name: other}]}";
    let two = "{setHeaderRoute: {name: a, match: [{headerName: X, headerValue: {exact: a}}, {headerName: Y, headerValue: {exact: a}}]}}";
    let odd =
        "{setHeaderRoute: {name: a, match: [{headerName: X, headerValue: {exact: 'a b', regex: '(?!x)'}}]}}";
    let broken = [
        plan(&format!("{}, {}", set("a"), set("b")), ""),
        plan(&set("a"), &header("Y")),
        plan(&set("a"), managed),
        plan(two, ""),
        plan(odd, ""),
    ];
    let found: Vec<String> =
        broken.iter().flat_map(|text| canary(text).unwrap_err()).map(|finding| finding.to_string()).collect();
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn an_analysis_names_templates_and_arguments() {
    let yaml = "{analysis: {templates: [{templateName: a}, {templateName: b, clusterScope: true}], args: [\
        {name: x, value: '1'}, \
        {name: y, valueFrom: {podTemplateHashValue: Latest}}, \
        {name: z, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}]}}";
    let Step::Analysis(AnalysisStep { analysis, at_least: None }) = steps(yaml).remove(0) else { panic!() };
    assert_eq!(analysis.templates[1], TemplateRef { name: "b".into(), cluster_scope: true });
    let sources: Vec<ArgSource> = analysis.args.into_iter().map(|arg| arg.source).collect();
    let field = ArgSource::FieldRef("metadata.labels['app']".into());
    assert_eq!(sources, [ArgSource::Value("1".into()), ArgSource::PodTemplateHash(Side::Canary), field]);
}

#[test]
fn an_analysis_has_rules_and_marks_of_its_own() {
    let yaml = "{analysis: {templates: [{templateName: a}], dryRun: [{metricName: 'slow.*'}], \
        measurementRetention: [{metricName: up, limit: 3}], analysisRunMetadata: {labels: {team: shop}}}}";
    let Step::Analysis(AnalysisStep { analysis, .. }) = steps(yaml).remove(0) else { panic!() };
    insta::assert_snapshot!(serde_json::to_string(&analysis).unwrap(), @r#"{"templates":[{"name":"a"}],"dryRun":[{"metricName":"slow.*"}],"measurementRetention":[{"metricName":"up","limit":3}],"metadata":{"labels":{"team":"shop"}}}"#);
    let found = canary("{steps: [{analysis: {dryRun: [{metricName: '*'}]}}]}").unwrap_err();
    insta::assert_snapshot!(found[0], @r#"metadata.annotations[haldane.dev/canary].steps[0].analysis.dryRun[0].metricName: "*": is not a regular expression: repetition operator missing expression"#);
}

#[test]
fn weights_are_parts_of_max_traffic_weight() {
    let plan = |total: &str| {
        canary(&format!(
            "{{steps: [{{setWeight: 5}}, {{setWeight: 250}}], trafficRouting: {{maxTrafficWeight: {total}}}}}"
        ))
    };
    let strategy = plan("1000").unwrap().strategy;
    assert_eq!((strategy.weight_at(0).share_of(1000), strategy.weight_at(1).percent()), (5, 25));
    for (total, problem) in [
        ("100", "must be a whole number from 0 to 100"),
        ("99", "must be a whole number from 100 to 1000000"),
    ] {
        let found = plan(total).unwrap_err();
        assert!(found.iter().any(|finding| finding.problem == problem), "{found:?}");
    }
}

const TEMPLATE: &str = "{metrics: [{name: up, provider: {prometheus: {query: up}}}]}";

#[test]
fn an_inline_template_that_no_step_names_runs_in_the_background() {
    let background =
        |plan: &str| -> DeclaredPlan { read(&[(keys::CANARY, plan), (keys::ANALYSIS, TEMPLATE)]).unwrap() };
    let everywhere = background("enabled").strategy.background.unwrap();
    assert_eq!((everywhere.starting_step, everywhere.analysis.templates[0].is_inline()), (0, true));
    assert_eq!(background("{steps: [{analysis: {}}]}").strategy.background, None);
    let later = background("{steps: [{pause: {}}, {setWeight: 5}], analysis: {startingStep: 1}}");
    assert_eq!(later.strategy.background.unwrap().starting_step, 1);
}

#[test]
fn blue_green_is_compiled_into_steps() {
    let plan = |text: &str| {
        let declared = read(&[(keys::BLUE_GREEN, text)]).unwrap_or_else(|found| panic!("{text}: {found:?}"));
        let steps: Vec<String> =
            declared.strategy.steps.iter().map(|step| serde_json::to_string(step).unwrap()).collect();
        (steps.join(" "), declared.strategy)
    };
    let (steps, strategy) = plan("activeService: web\npreviewService: web-preview");
    insta::assert_snapshot!(steps, @r#"{"setCanaryScale":{"weight":100}} {"setCanaryScale":"matchTrafficWeight"} {"setWeight":100}"#);
    assert_eq!(strategy.scale_down_delay.to_string(), "30s");
    assert_eq!(strategy.preview_service.as_deref(), Some("web-preview"));
    let (steps, _) = plan(
        "strategy: {blueGreen: {activeService: web, previewReplicaCount: 1, autoPromotionEnabled: false, \
         prePromotionAnalysis: {templates: [{templateName: a}]}, postPromotionAnalysis: {templates: [{templateName: b}]}}}",
    );
    insta::assert_snapshot!(steps, @r#"{"setCanaryScale":{"replicas":1}} {"analysis":{"templates":[{"name":"a"}]}} {"pause":null} {"setCanaryScale":"matchTrafficWeight"} {"setWeight":100} {"analysis":{"templates":[{"name":"b"}]}}"#);
    let (steps, _) = plan("{activeService: web, autoPromotionSeconds: 60}");
    assert!(steps.contains(r#"{"pause":"1m"}"#), "{steps}");
}

#[test]
fn one_deployment_has_one_plan() {
    let both = read(&[(keys::CANARY, "enabled"), (keys::BLUE_GREEN, "{activeService: web}")]).unwrap_err();
    assert_eq!(both[0].path, "metadata.annotations[haldane.dev/blue-green]");
    let same = read(&[(keys::BLUE_GREEN, "{activeService: web, previewService: web}")]).unwrap_err();
    assert!(same[0].problem.contains("must not be activeService"), "{same:?}");
    assert_eq!(read(&[(keys::BLUE_GREEN, "{}")]).unwrap_err()[0].problem, "is required");
    assert!(read(&[(keys::BLUE_GREEN, "enabled")]).unwrap_err()[0].problem.contains("activeService"));
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
    let settings = nginx.settings_of("nginx");
    assert_eq!(settings["stableIngresses"], serde_json::json!(["i"]));
    assert_eq!(settings["additionalAnnotations"]["canary-by-header"], "X");
    assert_eq!(strategy("{scaleDownDelaySeconds: 300}").scale_down_delay.to_string(), "5m");
    assert_eq!(strategy("{rollbackWindow: {revisions: 3}}").rollback_window, 3);
    assert_eq!(strategy("{minPodsPerReplicaSet: 2}").min_pods, 2);
    let threshold = strategy("{replicaProgressThreshold: {type: Pods, value: 2}}").progress_threshold;
    assert_eq!(threshold, Some(ProgressThreshold::Pods(2)));
    let required = strategy("{antiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {}}}");
    assert_eq!(required.pods.anti_affinity, Some(AntiAffinity::Required));
    assert_eq!(strategy("{canaryMetadata: {labels: {track: canary}}}").pods.labels["track"], "canary");
    assert_eq!(strategy("{dynamicStableScale: false}"), strategy("{}"));
    let settle = read(&[(keys::CANARY, "enabled"), (keys::SETTLE, "2s")]).unwrap().strategy.settle;
    assert_eq!(settle.to_string(), "2s");
}

#[test]
fn a_canary_ingress_carries_no_other_annotations() {
    let routing =
        |key: &str| format!("{{trafficRouting: {{nginx: {{additionalIngressAnnotations: {{{key}: x}}}}}}}}");
    for key in ["canary-by-cookie", "nginx.ingress.kubernetes.io/canary-by-header-value", "canary-weight"] {
        assert!(canary(&routing(key)).is_ok(), "{key}");
    }
    let foreign = [
        "configuration-snippet",
        "nginx.ingress.kubernetes.io/server-snippet",
        "cert-manager.io/cluster-issuer",
        "canary-weight-of-others",
    ];
    for key in foreign {
        let findings = canary(&routing(key)).unwrap_err();
        let text = findings[0].to_string();
        assert!(text.contains(key) && text.contains("canary-by-cookie"), "{text}");
    }
}

#[test]
fn names_of_objects_cannot_lead_elsewhere() {
    let paths = [
        "{stableService: web, canaryService: ../secrets/x}",
        "{stableService: web, canaryService: web.canary}",
        "{stableService: 'web?dryRun=All'}",
        "{steps: [{analysis: {templates: [{templateName: ../../other/configmaps/x, clusterScope: true}]}}]}",
        "{trafficRouting: {nginx: {stableIngress: a/b}}}",
        "{trafficRouting: {nginx: {annotationPrefix: a/b}}}",
    ];
    for plan in paths {
        let text = canary(plan).unwrap_err()[0].to_string();
        assert!(text.contains("must be the name of a"), "{text}");
    }
}
