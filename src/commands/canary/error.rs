//! Why a command of `kubectl canary` failed.

use crate::{
    cluster::{api, records::StateError, world::ObserveError},
    domain::keys,
};
use kube::config::{InferConfigError, KubeconfigError};

/// See the module. Each text says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum CanaryError {
    /// The kubeconfig file.
    #[error("cannot read the kubeconfig: {0}")]
    Kubeconfig(#[from] KubeconfigError),
    /// No cluster is configured.
    #[error("no cluster is configured: {0}; set KUBECONFIG, or use --kubeconfig")]
    Config(#[from] InferConfigError),
    /// The API server's answer, or none.
    #[error("{}", api::message(.0))]
    Api(#[from] kube::Error),
    /// The Deployment does not exist.
    #[error(
        "Deployment {name:?} does not exist in namespace {namespace:?}; kubectl canary list -A shows all managed Deployments"
    )]
    Absent {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The Deployment takes no canaries.
    #[error(
        "Deployment {namespace}/{name} is not managed by Haldane; opt it in with kubectl -n {namespace} annotate deployment {name} {}=enabled",
        keys::CANARY
    )]
    NotManaged {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// There is no analysis run, or none of this name.
    #[error("{0}")]
    NoRun(String),
    /// `undo` has nothing to go back to.
    #[error("{0}")]
    NoWayBack(String),
    /// `set image` names no container of the template.
    #[error("{0}")]
    NoContainer(String),
    /// `explain` has no such field, `man` no such command.
    #[error("{0}")]
    NoField(String),
    /// Its record.
    #[error(transparent)]
    State(#[from] StateError),
    /// What is around it.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// A manifest that cannot be read.
    #[error("{0}")]
    File(String),
    /// It cannot be printed in this format.
    #[error("cannot print: {0}")]
    Format(String),
    /// The dashboard cannot listen.
    #[error("cannot listen on port {0} of localhost: {1}; choose another one with --port")]
    Listen(u16, std::io::Error),
    /// The terminal or the pipe is gone.
    #[error("cannot print: {0}")]
    Output(#[from] std::io::Error),
}
