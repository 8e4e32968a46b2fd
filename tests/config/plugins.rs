//! Argo's `trafficRouting.plugins`, whose settings are pasted in.

use super::canary;
use serde_json::json;

/// The plan whose only plugin is this, with these settings.
fn plan(plugin: &str, settings: &str) -> String {
    format!("{{trafficRouting: {{plugins: {{{plugin}: {settings}}}}}}}")
}

fn of_gateway(settings: &str) -> String {
    plan("argoproj-labs/gatewayAPI", settings)
}

#[test]
fn argos_plugin_for_the_gateway_api_is_the_router_gateway() {
    for (settings, read) in [
        ("{httpRoute: web, namespace: default}", json!({"httpRoutes": ["web"], "namespace": "default"})),
        ("{httpRoutes: [{name: a}, {name: b, useHeaderRoutes: true}]}", json!({"httpRoutes": ["a", "b"]})),
        (
            "{httpRoute: web, disableInProgressLabel: false, inProgressLabelKey: example.com/canary}",
            json!({"httpRoutes": ["web"], "ignored": ["disableInProgressLabel", "inProgressLabelKey"]}),
        ),
    ] {
        let strategy = canary(&of_gateway(settings)).unwrap().strategy;
        assert_eq!(strategy.router.as_deref(), Some("gateway"), "{settings}");
        let mut expected = read;
        expected["requestMirror"] = json!(false);
        assert_eq!(*strategy.settings_of("gateway"), expected, "{settings}");
    }
    let own = canary("{trafficRouting: {gateway: {httpRoute: web}}}").unwrap().strategy;
    assert_eq!(own, canary(&of_gateway("{httpRoute: web}")).unwrap().strategy, "one router in two words");
}

#[test]
fn what_of_a_plugin_has_no_meaning_here_is_refused_by_name() {
    let plans = [
        of_gateway("{grpcRoute: web}"),
        of_gateway("{httpRouteSelector: {matchLabels: {app: web}}}"),
        of_gateway("{httpRoutes: [{name: web, useHeaderRoutes: false}]}"),
        of_gateway("{httproute: web}"),
        plan("example.com/other", "{}"),
        "{trafficRouting: {gateway: {}, plugins: {argoproj-labs/gatewayAPI: {httpRoute: web}}}}".to_owned(),
    ];
    let found = plans.map(|plan| {
        let findings = canary(&plan).unwrap_err();
        findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    });
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn argos_key_of_traefik_is_the_router_traefik() {
    let strategy = canary("{trafficRouting: {traefik: {weightedTraefikServiceName: web}}}").unwrap().strategy;
    assert_eq!(strategy.router.as_deref(), Some("traefik"));
    assert_eq!(*strategy.settings_of("traefik"), json!({"weightedTraefikServiceName": "web"}));
}
