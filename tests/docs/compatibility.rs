//! Every field of Argo Rollouts 1.9 is read or refused by name, and the pages about compatibility say which.

use crate::root;
use haldane::{
    config::{
        blue_green, metric, settings,
        steps::{self, REFUSED_STEPS, STEPS},
        template,
    },
    document::{fields::describe, schema::Schema},
};
use std::{collections::BTreeSet, fs};

/// Argo's fields, each kind with those that Haldane knows. Source: argo-rollouts 1.9.0
/// `pkg/apis/rollouts/v1alpha1/types.go` and `analysis_types.go`.
fn kinds() -> Vec<(&'static str, &'static str, BTreeSet<&'static str>)> {
    let names = |schema: Schema| schema.fields().iter().map(|field| field.key).collect::<BTreeSet<_>>();
    let refused = |fields: &'static [(&'static str, &'static str)]| fields.iter().map(|(name, _)| *name);
    vec![
        (
            "CanaryStrategy",
            "canaryService stableService steps trafficRouting maxUnavailable maxSurge analysis antiAffinity \
             canaryMetadata stableMetadata scaleDownDelaySeconds scaleDownDelayRevisionLimit \
             abortScaleDownDelaySeconds dynamicStableScale pingPong minPodsPerReplicaSet replicaProgressThreshold",
            settings::SETTINGS.iter().map(|known| known.key).chain(refused(settings::REFUSED)).collect(),
        ),
        (
            "BlueGreenStrategy",
            "activeService previewService previewReplicaCount autoPromotionEnabled autoPromotionSeconds \
             maxUnavailable scaleDownDelaySeconds scaleDownDelayRevisionLimit prePromotionAnalysis antiAffinity \
             postPromotionAnalysis previewMetadata activeMetadata abortScaleDownDelaySeconds",
            blue_green::SETTINGS.iter().map(|known| known.key).chain(refused(blue_green::REFUSED)).collect(),
        ),
        (
            "CanaryStep",
            "setWeight pause experiment analysis setCanaryScale setHeaderRoute setMirrorRoute plugin",
            STEPS.iter().map(|known| known.key).chain(refused(REFUSED_STEPS)).collect(),
        ),
        (
            "RolloutAnalysis",
            "templates args dryRun measurementRetention analysisRunMetadata",
            names(describe(steps::analysis)),
        ),
        (
            "AnalysisTemplateSpec",
            "metrics args dryRun measurementRetention templates",
            names(describe(template::template)),
        ),
        (
            "Metric",
            "name interval initialDelay count successCondition failureCondition failureLimit inconclusiveLimit \
             consecutiveErrorLimit provider consecutiveSuccessLimit",
            names(describe(metric::metric)),
        ),
    ]
}

#[test]
fn every_field_of_argo_is_known_or_refused_by_name() {
    for (kind, fields, known) in kinds() {
        let missing: Vec<_> = fields.split_whitespace().filter(|field| !known.contains(field)).collect();
        assert!(missing.is_empty(), "{kind}: {missing:?}");
    }
}

#[test]
fn the_compatibility_pages_name_every_field() {
    let pages = ["docs/argo-compatibility.md", "docs/analysis.md"];
    let told: String = pages.iter().map(|page| fs::read_to_string(root().join(page)).unwrap()).collect();
    let providers = "prometheus kayenta web datadog wavefront newRelic job cloudWatch graphite influxdb skywalking plugin";
    let routers =
        "istio nginx alb smi ambassador appMesh traefik apisix plugins managedRoutes maxTrafficWeight";
    let kinds = kinds();
    let all = kinds.iter().map(|(_, fields, _)| *fields).chain([providers, routers]);
    // A field in backticks, alone or at the end of a path.
    let is_told = |field: &str| {
        ["`", ".", " "].iter().any(|before| {
            ["`", ":", " "].iter().any(|after| told.contains(&format!("{before}{field}{after}")))
        })
    };
    let missing: Vec<_> = all.flat_map(str::split_whitespace).filter(|field| !is_told(field)).collect();
    assert!(missing.is_empty(), "{pages:?} do not mention {missing:?}");
}
