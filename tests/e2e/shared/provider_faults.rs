//! A provider that does not answer, or not what was asked, decides nothing.

use crate::harness::{App, Load, Provider, SOON, Space, eventually, provider::Manner};

/// Waits until so many measurements have ended in an error.
fn errors(space: &Space, wanted: u64) {
    eventually(&format!("{wanted} errors"), SOON, || {
        let run = &space.state("web")["rollout"]["runs"][0]["run"];
        let errors = run["results"][0]["error"].as_u64().unwrap_or_default();
        if errors >= wanted { Ok(()) } else { Err(run.to_string()) }
    });
}

#[test]
fn silence_nonsense_and_no_data_neither_promote_nor_abort() {
    let provider = Provider::start(0.0);
    let space = Space::new("provider");
    let metrics = format!("metrics: [{}]", provider.metric("interval: 1s, count: 2,"));
    let app =
        App::canary("steps: [{setWeight: 20}, {analysis: {}}]").annotated("haldane.dev/analysis", &metrics);
    space.deploy(&app);
    space.answers("v1");
    let load = Load::start(&space, 20);
    let manners = [Manner::Silence, Manner::Garbage, Manner::Empty];
    provider.behave(Manner::Silence);
    space.set_env("web", &["VERSION=v2"]).ok();
    space.reaches("web", SOON, &[("step", "2/2")]);
    for (manner, number) in manners.into_iter().zip(1..) {
        provider.behave(manner);
        errors(&space, number);
        assert_eq!(space.weight("web").as_deref(), Some("20"), "{manner:?} changes no traffic");
        assert_eq!(space.summary("web")["phase"], "Progressing", "{manner:?}");
    }
    provider.set(0.0);
    space.is_healthy("web", 2 * SOON);
    assert_eq!(space.state("web")["history"][0]["outcome"], "Promoted");
    load.stop().assert_nothing_failed("while the provider was silent, talked nonsense and had no data");
}
