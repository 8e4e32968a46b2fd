//! Where metrics would be asked. What the installation refuses when they are measured is refused here already.

use super::advice::distinct;
use crate::admit::AdmitConfig;
use crate::{
    config::dry_start::{DryMetric, DryStart},
    document::finding::{Finding, Findings},
    domain::metric::ProviderRef,
    providers::{self, Defaults, http::checked_url},
};
use serde_json::Value;
use url::Url;

/// The addresses that a metric's provider would ask; as written where an argument stands in it whose value may make
/// it another, such as a secret, or a field of the Deployment before the host.
pub(in crate::admit) fn addresses(provider: &ProviderRef, defaults: &Defaults) -> Vec<Result<Url, String>> {
    let found = providers::find(&provider.key)
        .map(|found| found.addresses(&provider.config, defaults))
        .unwrap_or_default();
    let parsed = |address: String| checked_url(&address).map_err(|_| address);
    found.into_iter().map(parsed).collect()
}

/// The metrics that may not be asked where, or as, they say.
pub(in crate::admit) fn refused(dry_starts: &[DryStart], config: &AdmitConfig) -> Findings {
    let of = |metric: &DryMetric| {
        let place = format!("{}.provider.{}", metric.path, metric.spec.provider.key);
        let ProviderRef { key, config: asked } = &metric.spec.provider;
        let writes = providers::find(key).is_some_and(|provider| provider.may_write(asked));
        let unwritten = writes.then(|| config.hosts.check_write().err()).flatten();
        let method = asked.get("method").and_then(Value::as_str);
        let unwritten = unwritten.map(|why| match method {
            Some(method) => Finding::new(format!("{place}.method"), method, why),
            None => Finding::new(&place, "POST", why),
        });
        let known = addresses(&metric.spec.provider, &config.providers).into_iter().flatten();
        let refused = known.filter_map(|url| {
            Some((url.host_str().unwrap_or_default().to_owned(), config.hosts.check(&url).err()?))
        });
        refused.map(|(host, why)| Finding::new(&place, host, why)).chain(unwritten).collect::<Vec<_>>()
    };
    distinct(dry_starts.iter().flat_map(|dry_start| &dry_start.metrics).flat_map(of))
}
