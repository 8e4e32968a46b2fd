//! A pass that fails because of the record.

use super::*;
use crate::{
    cluster::{
        lease::{Elector, LeaseConfig},
        records::StateError,
        views::Views,
    },
    config::strategy::Defaults,
    controller::{self, Context, context::ReconcileError, reconcile::on_error},
    measure::{self, Measurer},
    providers,
    runtime::metrics,
};
use k8s_openapi::api::apps::v1::Deployment;

fn context(api: &Api, notifier: Notifier) -> Context {
    let (client, mut registry) = (api.client().0, metrics::registry());
    let lease = LeaseConfig {
        namespace: "haldane-system".into(),
        name: "haldane".into(),
        identity: "haldane-1".into(),
        duration: LIMIT,
        renew: LIMIT / 4,
    };
    let secrets = Reader {
        client: client.clone(),
        own_namespace: "haldane-system".into(),
        service_account: "haldane".into(),
    };
    let http = Clients::new(HostPolicy::default()).unwrap();
    let means = measure::Means { http, secrets, defaults: providers::Defaults::default() };
    Context {
        own_namespace: "haldane-system".into(),
        defaults: Defaults { settle: "1s".parse().unwrap(), annotation_prefix: String::new() },
        measurer: Measurer::new(means).0,
        publisher: Publisher::new(client.clone(), "haldane-1"),
        notifier: Some(notifier),
        leadership: Elector::new(client.clone(), lease, &mut registry).1,
        watches: controller::Watches::new(Views::new(client.clone())),
        active: controller::Active::default(),
        queue: controller::Queue::new().0,
        claims: controller::Claims::default(),
        failures: controller::Backoff::default(),
        metrics: controller::Metrics::new(&mut registry),
        client,
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_used_is_sent_to_those_who_ask_for_what_is_blocked() {
    let (address, mut requests) = receiver(&[Manner::Answer(200)]).await;
    let blocked =
        format!("destinations: [{{name: a, events: [blocked], webhook: {{url: 'http://{address}/'}}}}]");
    let api = Api::with(&blocked);
    let (notifier, _events) = notifier_of(&api, Notifications::default());
    let context = Arc::new(context(&api, notifier));
    let web = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u-1"}});
    let web: Arc<Deployment> = Arc::new(serde_json::from_value(web).unwrap());
    let failure = ReconcileError::State(StateError::Foreign("haldane-web".into()));
    drop(on_error(web, &failure, context));
    assert_eq!(next(&mut requests).await, "/  InvalidSpec");
}
