//! Where ingress-nginx and Traefik count the requests of both sides.

use super::{routes::annotation, settings::Settings};
use crate::routers::{
    Intent, Requests, Routes, Timed,
    raw::name_of,
    requests::{one_of, traefik},
};
use serde_json::Value;

/// Annotations of the user's Ingresses with which more than the weight decides where a request goes, or is counted.
const DECIDING: [&str; 2] = ["affinity", "custom-http-errors"];

/// Only what reached a pod is in it, unlike `nginx_ingress_controller_requests`: redirects and refused requests are
/// nobody's.
///
/// Sources: ingress-nginx `rootfs/etc/nginx/lua/monitor.lua`, `internal/ingress/metric/collectors/socket.go`.
const NGINX: &str = "nginx_ingress_controller_response_duration_seconds";
const CAUSES: &str = "an older Ingress, or a canary Ingress of somebody else, has the same host and path; the ingress controller has not taken over the canary's Ingress, as its log says; pods of the canary are ready at times only";

/// See [`crate::routers::TrafficRouter::requests`].
pub(super) fn of(intent: &Intent<'_>, routes: &Routes<'_>) -> Option<Requests> {
    let settings = Settings::of(intent.settings);
    let key = |key: &str| format!("{}/{key}", settings.annotation_prefix);
    let decides =
        |ingress: &&Value| DECIDING.iter().any(|deciding| annotation(ingress, &key(deciding)).is_some());
    if settings.additional(false).next().is_some() || routes.found.iter().any(decides) {
        return None;
    }
    let namespace = &intent.owner.namespace;
    let ingresses = one_of(routes.found.iter().map(|ingress| name_of(ingress)));
    let stable = one_of(intent.services.keys().map(String::as_str));
    let canary = one_of(intent.services.values().map(String::as_str));
    let upstream = format!("{namespace}-{canary}-[a-z0-9-]+");
    let nginx = |matchers: String| Timed {
        metric: NGINX,
        // An upgraded connection is counted when it ends.
        matchers: format!("{matchers},ingress=~\"{ingresses}\",status!~\"1..\""),
    };
    // A scraper may have labels of its own by these names.
    let of_stable = ["", "exported_"].map(|prefix| {
        nginx(format!(
            "{prefix}namespace=\"{namespace}\",{prefix}service=~\"{stable}\",canary!~\"{upstream}\""
        ))
    });
    // Traefik's names of services that are known by the number of their port.
    let traefik =
        |end: &str| traefik(&format!("{namespace}-{ingresses}-{stable}-[0-9]+{end}@kubernetesingressnginx"));
    Some(Requests {
        canary: [nginx(format!("canary=~\"{upstream}\""))].into_iter().chain(traefik("-canary")).collect(),
        others: of_stable.into_iter().chain(traefik("")).collect(),
        causes: CAUSES,
    })
}
