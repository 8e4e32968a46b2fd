//! Flags and environment of the `haldane` binary.

use crate::{domain::hosts::Hosts, gocompat::duration::GoDuration, runtime::telemetry::LogFormat};
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;

/// Canary releases for plain Kubernetes Deployments, without CRDs.
#[derive(Debug, Parser)]
#[command(name = "haldane", version)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the admission webhook and the controller.
    Run(Box<RunArgs>),
    /// Turn every opted-in Deployment into a plain one, with or without a running controller.
    Eject(EjectArgs),
}

/// The flags of `haldane eject`.
#[derive(Debug, Clone, Args)]
pub struct EjectArgs {
    /// Promote running rollouts without their remaining steps and analyses.
    #[arg(long, conflicts_with = "revert")]
    pub finish: bool,
    /// Roll running rollouts back to the version that served before.
    #[arg(long)]
    pub revert: bool,
    /// Only list what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Only Deployments of this namespace; by default, all of the cluster.
    #[arg(long, value_name = "NAMESPACE")]
    pub only: Option<String>,
    /// How long to wait until rollouts have ended.
    #[arg(long, default_value = "15m")]
    pub timeout: GoDuration,
    /// Namespace of Haldane and its lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "haldane-system")]
    pub namespace: String,
    /// Lease that elects the leader.
    #[arg(long, env = "HALDANE_LEASE_NAME", default_value = "haldane")]
    pub lease_name: String,
    /// How long a change of weight takes to reach the data plane.
    #[arg(long, env = "HALDANE_SETTLE", default_value = "6s")]
    pub settle: GoDuration,
    /// Prefix of the ingress controller's annotations, as in its flag --annotations-prefix.
    #[arg(long, env = "HALDANE_INGRESS_ANNOTATION_PREFIX", default_value = "nginx.ingress.kubernetes.io")]
    pub ingress_annotation_prefix: String,
    /// The log filter, e.g. `info,haldane=debug`.
    #[arg(long, env = "HALDANE_LOG", default_value = "warn")]
    pub log: String,
}

/// The flags of `haldane run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Address of the HTTPS port for the API server.
    #[arg(long, env = "HALDANE_WEBHOOK_ADDRESS", default_value = "[::]:8443")]
    pub webhook_address: SocketAddr,
    /// Address of the plain HTTP port for /healthz, /readyz and /metrics.
    #[arg(long, env = "HALDANE_ADMIN_ADDRESS", default_value = "[::]:8080")]
    pub admin_address: SocketAddr,
    /// Namespace of this process, its lease and its Secret.
    #[arg(long, env = "POD_NAMESPACE", default_value = "haldane-system")]
    pub namespace: String,
    /// Name of this pod, its identity as a leader.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: String,
    /// Service account of this process, by which it recognises its own writes.
    #[arg(long, env = "POD_SERVICE_ACCOUNT", default_value = "haldane")]
    pub service_account: String,
    /// Service by which the API server calls the webhook.
    #[arg(long, env = "HALDANE_SERVICE_NAME", default_value = "haldane-webhook")]
    pub service_name: String,
    /// Secret with the serving certificate, shared by all replicas.
    #[arg(long, env = "HALDANE_SECRET_NAME", default_value = "haldane-tls")]
    pub secret_name: String,
    /// Lifetime of the certificate authority that Haldane creates.
    #[arg(long, env = "HALDANE_AUTHORITY_LIFETIME", default_value = "8760h")]
    pub authority_lifetime: GoDuration,
    /// Lifetime of the serving certificate that Haldane creates; it is renewed after two thirds of it.
    #[arg(long, env = "HALDANE_CERTIFICATE_LIFETIME", default_value = "2160h")]
    pub certificate_lifetime: GoDuration,
    /// How long a new authority is published before it signs; at most a quarter of the certificate's lifetime.
    #[arg(long, env = "HALDANE_AUTHORITY_OVERLAP", default_value = "1h")]
    pub authority_overlap: GoDuration,
    /// Never write the Secret: someone else, such as cert-manager, provides the certificate.
    #[arg(long, env = "HALDANE_BRING_CERTIFICATE")]
    pub bring_certificate: bool,
    /// Lease that elects the leader.
    #[arg(long, env = "HALDANE_LEASE_NAME", default_value = "haldane")]
    pub lease_name: String,
    /// How long other replicas wait for a leader that does not renew its lease, in whole seconds.
    #[arg(long, env = "HALDANE_LEASE_DURATION", default_value = "15s")]
    pub lease_duration: GoDuration,
    /// How often the leader renews its lease; less than half the duration.
    #[arg(long, env = "HALDANE_LEASE_RENEW", default_value = "5s")]
    pub lease_renew: GoDuration,
    /// How long to continue serving after SIGTERM, until API servers have noticed.
    #[arg(long, env = "HALDANE_DRAIN", default_value = "5s")]
    pub drain: GoDuration,
    /// Address of Prometheus for metrics without an address.
    #[arg(long, env = "HALDANE_PROMETHEUS_ADDRESS", default_value = "http://prometheus.monitoring:9090")]
    pub prometheus_address: String,
    /// The only hosts that metrics may query, separated by commas: `*.monitoring`, `10.0.0.0/8`.
    #[arg(long, env = "HALDANE_METRIC_HOSTS_ALLOWED", value_delimiter = ',')]
    pub metric_hosts_allowed: Vec<Hosts>,
    /// Hosts that metrics must not query, in addition to the machine itself, link-local and metadata addresses.
    #[arg(long, env = "HALDANE_METRIC_HOSTS_DENIED", value_delimiter = ',')]
    pub metric_hosts_denied: Vec<Hosts>,
    /// Hosts that notifications may be sent to, in addition to `--metric-hosts-allowed`; what is denied for metrics is denied here too.
    #[arg(
        long,
        env = "HALDANE_NOTIFICATION_HOSTS_ALLOWED",
        value_delimiter = ',',
        default_value = "hooks.slack.com,*.webhook.office.com,*.logic.azure.com,*.api.powerplatform.com"
    )]
    pub notification_hosts_allowed: Vec<Hosts>,
    /// How long a change of weight takes to reach the data plane.
    #[arg(long, env = "HALDANE_SETTLE", default_value = "6s")]
    pub settle: GoDuration,
    /// Prefix of the ingress controller's annotations, as in its flag --annotations-prefix.
    #[arg(long, env = "HALDANE_INGRESS_ANNOTATION_PREFIX", default_value = "nginx.ingress.kubernetes.io")]
    pub ingress_annotation_prefix: String,
    /// The format of log lines.
    #[arg(long, env = "HALDANE_LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// The log filter, e.g. `info,haldane=debug`.
    #[arg(long, env = "HALDANE_LOG", default_value = "info")]
    pub log: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_pod_name_is_all_it_takes() {
        let cli = Cli::try_parse_from(["haldane", "run", "--pod-name=haldane-0"]).unwrap();
        let Command::Run(args) = cli.command else { panic!("{cli:?}") };
        assert_eq!((args.pod_name.as_str(), args.settle), ("haldane-0", GoDuration::from_secs(6)));
        let error = Cli::try_parse_from(["haldane", "run", "--drain=5", "--pod-name=x"]).unwrap_err();
        assert!(error.to_string().contains("must be a duration such as"), "{error}");
    }
}
