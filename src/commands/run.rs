//! `haldane run`: starts the parts of the process and ends them in order.

use crate::{
    admit::AdmitConfig,
    cluster::events::Publisher,
    commands::cli::RunArgs,
    config::strategy::Defaults,
    controller::{self},
    gocompat::duration::GoDuration,
    measure::{Means, Measurer, http::Clients, secrets},
    providers::{
        self,
        hosts::{HostPolicy, Purpose},
    },
    webhook::{
        admission::Admission,
        server::{Handler, Webhook},
    },
};
use crate::{
    cluster::{
        ca_bundle,
        cert_store::{CertStore, Issuance},
        client,
        lease::{Elector, Leadership, LeaseConfig},
        views::Views,
    },
    runtime::{
        admin::{self, Readiness},
        certs::{BadLifetimes, Lifetimes, service_names},
        http::{self, Limits},
        metrics::{self, Metric},
        shutdown::{Phase, Phases, Shutdown},
        tls::{self, LiveCertificate},
    },
};
use futures::stream;
use kube::Client;
use prometheus_client::registry::Registry;
use std::{future::ready, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::{JoinError, JoinSet},
};
use tokio_rustls::TlsAcceptor;
use tracing::info;

const CERTIFICATE: &str = "certificate";
const LISTENING: &str = "webhook port";

/// The Service of the API server in every cluster.
const API_SERVER: &str = "kubernetes.default";
/// The Service of the admin port, as in `deploy`.
const METRICS_SERVICE: &str = "haldane-metrics";

/// The process could not start, or a part of it failed permanently.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No configuration for the Kubernetes API, or an unusable one.
    #[error("Kubernetes API: {0}")]
    Client(#[from] kube::Error),
    /// The lease would end before it is renewed.
    #[error("--lease-duration must be at least 1s and twice --lease-renew")]
    Lease,
    /// Certificates could expire before they are renewed.
    #[error(
        "--certificate-lifetime, --authority-lifetime and --authority-overlap do not fit each other: {0}"
    )]
    Lifetimes(#[from] BadLifetimes),
    /// The signal handlers cannot be installed.
    #[error("signals: {0}")]
    Signals(io::Error),
    /// A port cannot be opened.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// TLS cannot be set up at all.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP clients for metric providers cannot be created.
    #[error("HTTP client: {0}")]
    Http(reqwest::Error),
    /// A part of the process panicked.
    #[error("internal error: {0}")]
    Part(#[from] JoinError),
}

/// Runs webhook and controller until SIGTERM or SIGINT, then ends them in order.
///
/// # Expected flow
/// Readiness fails immediately. The lease is released, so that another replica leads. The webhook continues to
/// serve for `--drain` and asks its clients to close their connections. Then requests in flight are finished and
/// the ports close.
///
/// # Errors
/// When the process cannot start or a part of it panics. API errors are retried and never returned.
pub async fn run(args: RunArgs) -> Result<(), RunError> {
    let (lease, issuance) = (lease_config(&args)?, issuance(&args)?);
    let mut registry = metrics::registry();
    let client = client::connect(&mut registry).await?;
    let shutdown = Shutdown::install().map_err(RunError::Signals)?;
    let readiness = Readiness::after(&[CERTIFICATE, LISTENING]);
    let parts = parts(&args, client.clone(), &mut registry)?;
    metrics::register(&mut registry, Metric::Tasks, metrics::Tasks::here());
    let webhook = Arc::new(Webhook::new(parts.admission, &mut registry));
    let store = Arc::new(cert_store(&args, issuance, client.clone(), &mut registry));
    let (elector, leadership) = Elector::new(client.clone(), lease, &mut registry);
    let live = Arc::new(LiveCertificate::default());
    let (https, admin) = (listen(args.webhook_address).await?, listen(args.admin_address).await?);
    readiness.set(LISTENING, true);

    let (phases, mut tasks) = (shutdown.phases(), JoinSet::new());
    tasks.spawn(serve_admin(admin, readiness.clone(), Arc::new(registry), phases.clone()));
    tasks.spawn(serve_webhook(
        https,
        TlsAcceptor::from(Arc::new(tls::server_config(Arc::clone(&live))?)),
        webhook,
        phases.clone(),
    ));
    let control = control(client.clone(), args.clone(), parts.settings, leadership.clone(), phases.clone());
    let (running, ended) = oneshot::channel::<()>();
    tasks.spawn(async move {
        control.await;
        drop(running);
    });
    tasks.spawn(keep_certificate(client, store, live, readiness.clone(), leadership, phases.clone()));
    // Another replica may lead only when this one has stopped writing.
    tasks.spawn(elector.run(async { drop(ended.await) }));
    info!(pod = args.pod_name, "started");

    let mut conduct = std::pin::pin!(shutdown.conduct(&readiness, span(args.drain)));
    loop {
        tokio::select! {
            () = &mut conduct => break,
            Some(ended) = tasks.join_next() => ended?,
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}

/// The parts of the process, created from the flags.
struct Parts {
    admission: Admission,
    settings: Settings,
}

/// The settings of the controller.
struct Settings {
    defaults: Defaults,
    providers: providers::Defaults,
    http: Clients,
    notifications: Clients,
    metrics: controller::Metrics,
    views: Arc<Views>,
}

/// What admission is set to by these flags.
#[must_use]
pub fn admit_config(args: &RunArgs) -> AdmitConfig {
    let own =
        [args.service_name.as_str(), METRICS_SERVICE].map(|service| format!("{service}.{}", args.namespace));
    AdmitConfig {
        defaults: Defaults { settle: args.settle, annotation_prefix: args.ingress_annotation_prefix.clone() },
        providers: providers::Defaults { prometheus_address: Some(args.prometheus_address.clone()) },
        hosts: HostPolicy {
            allowed: args.metric_hosts_allowed.clone(),
            denied: args.metric_hosts_denied.clone(),
            control: own.into_iter().chain([API_SERVER.to_owned()]).collect(),
            notified: args.notification_hosts_allowed.clone(),
            purpose: Purpose::Metric,
        },
        own_namespace: args.namespace.clone(),
        own_user: format!("system:serviceaccount:{}:{}", args.namespace, args.service_account),
    }
}

fn parts(args: &RunArgs, client: Client, registry: &mut Registry) -> Result<Parts, RunError> {
    let config = admit_config(args);
    let AdmitConfig { defaults, providers, hosts, .. } = config.clone();
    let notifications = Clients::new(hosts.of_notifications()).map_err(RunError::Http)?;
    let http = Clients::new(hosts).map_err(RunError::Http)?;
    let views = Views::new(client.clone());
    let admission = Admission::new(client, Arc::clone(&views), config, http.clone());
    let metrics = controller::Metrics::new(registry);
    Ok(Parts { admission, settings: Settings { defaults, providers, http, notifications, metrics, views } })
}

/// Runs the controller while this replica leads.
async fn control(client: Client, args: RunArgs, settings: Settings, leadership: Leadership, phases: Phases) {
    let Settings { defaults, providers, http, notifications, metrics, views } = settings;
    let work = || async {
        let _term = metrics.rollouts.term();
        let secrets = secrets::Reader {
            client: client.clone(),
            own_namespace: args.namespace.clone(),
            service_account: args.service_account.clone(),
        };
        let publisher = Publisher::new(client.clone(), &args.pod_name);
        let notifier = controller::Notifier::new(controller::NotifierMeans {
            client: client.clone(),
            own_namespace: args.namespace.clone(),
            http: notifications.clone(),
            secrets: secrets.clone(),
            publisher: publisher.clone(),
            counted: metrics.notifications.clone(),
            patience: controller::Patience::default(),
        });
        let means = Means { http: http.clone(), secrets, defaults: providers.clone() };
        let (measurer, answered) = Measurer::new(means);
        let (queue, woken) = controller::Queue::new();
        let context = controller::Context {
            client: client.clone(),
            own_namespace: args.namespace.clone(),
            defaults: defaults.clone(),
            measurer,
            publisher,
            notifier: Some(notifier),
            leadership: leadership.clone(),
            watches: controller::Watches::new(Arc::clone(&views)),
            active: controller::Active::default(),
            queue,
            claims: controller::Claims::default(),
            failures: controller::Backoff::default(),
            metrics: metrics.clone(),
        };
        controller::run(Arc::new(context), stream::select(answered, woken)).await;
    };
    tokio::select! {
        () = phases.reached(Phase::Draining) => {}
        () = leadership.clone().while_leading(work) => {}
    }
}

/// Serves the admin port until everything else has ended.
async fn serve_admin(listener: TcpListener, readiness: Readiness, registry: Arc<Registry>, phases: Phases) {
    let answer = move |request| ready(admin::answer(&request, &readiness, &registry));
    // The limit per client leaves connections for the kubelet, whose probes decide whether this pod is restarted.
    let limits = Limits { per_peer: 64, ..Limits::default() };
    http::serve(listener, limits, |stream| ready(Ok(stream)), answer, phases).await;
}

async fn serve_webhook<H: Handler>(
    listener: TcpListener,
    tls: TlsAcceptor,
    webhook: Arc<Webhook<H>>,
    phases: Phases,
) {
    let answer = move |request| {
        let webhook = Arc::clone(&webhook);
        async move { webhook.answer(request).await }
    };
    let accept = |stream| tls.accept(stream);
    http::serve(listener, Limits::default(), accept, answer, phases).await;
}

/// Serves the stored certificate; while this replica leads, renews and publishes it.
async fn keep_certificate(
    client: Client,
    store: Arc<CertStore>,
    live: Arc<LiveCertificate>,
    readiness: Readiness,
    leadership: Leadership,
    phases: Phases,
) {
    let mut bundle = store.bundle();
    let loaded = async {
        if bundle.changed().await.is_ok() {
            readiness.set(CERTIFICATE, true);
        }
    };
    let lead = leadership.while_leading(|| ca_bundle::keep(client.clone(), &store));
    tokio::select! {
        () = phases.reached(Phase::Stopping) => {}
        _ = async { tokio::join!(store.follow(&live), loaded, lead) } => {}
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, RunError> {
    http::bind(address).await.map_err(|error| RunError::Listen(address, error))
}

fn issuance(args: &RunArgs) -> Result<Issuance, RunError> {
    if args.bring_certificate {
        return Ok(Issuance::Provided);
    }
    let lifetimes = Lifetimes::new(
        args.authority_lifetime.signed(),
        args.certificate_lifetime.signed(),
        args.authority_overlap.signed(),
    )?;
    Ok(Issuance::Own(lifetimes))
}

fn cert_store(args: &RunArgs, issuance: Issuance, client: Client, registry: &mut Registry) -> CertStore {
    let names = service_names(&args.service_name, &args.namespace);
    CertStore::new(client, &args.namespace, &args.secret_name, names, issuance, registry)
}

fn lease_config(args: &RunArgs) -> Result<LeaseConfig, RunError> {
    let (duration, renew) = (span(args.lease_duration), span(args.lease_renew));
    if duration < Duration::from_secs(1) || duration < renew * 2 {
        return Err(RunError::Lease);
    }
    let (namespace, name, identity) =
        (args.namespace.clone(), args.lease_name.clone(), args.pod_name.clone());
    Ok(LeaseConfig { namespace, name, identity, duration, renew })
}

fn span(duration: GoDuration) -> Duration {
    duration.signed().unsigned_abs()
}
