//! Arguments: how their values are resolved and substituted in a metric.

use crate::{
    domain::{
        metric::{Arg, Metric, MetricSpec, MinSamples, ProviderRef, RawMetric, ResolvedArg, SecretKeyRef},
        strategy::{ArgBinding, ArgSource, Side},
    },
    gocompat::duration::GoDuration,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;
use std::collections::BTreeMap;

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// `text` with every `{{args.NAME}}` replaced; a value is not searched again.
///
/// # Errors
/// Argo's error text for a name that is not an argument (if there are several, the last one), and for braces that
/// are not closed.
pub fn substitute(text: &str, args: &[ResolvedArg]) -> Result<String, String> {
    let mut resolved = String::with_capacity(text.len());
    let mut unknown = None;
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once(OPEN) {
        let (tag, after) = tail.split_once(CLOSE).ok_or_else(|| {
            format!("Cannot find end tag={CLOSE:?} in the template={text:?} starting from {tail:?}")
        })?;
        resolved.push_str(before);
        match value_of(tag.trim(), args) {
            Some(value) => resolved.push_str(value),
            None => unknown = Some(tag),
        }
        rest = after;
    }
    resolved.push_str(rest);
    unknown.map_or(Ok(resolved), |tag| Err(format!("failed to resolve {OPEN}{tag}{CLOSE}")))
}

/// Whether `text` contains arguments.
#[must_use]
pub fn has_placeholder(text: &str) -> bool {
    text.contains(OPEN)
}

fn value_of<'a>(tag: &str, args: &'a [ResolvedArg]) -> Option<&'a str> {
    let name = tag.strip_prefix("args.")?;
    args.iter().rfind(|arg| arg.name == name).map(|arg| arg.value.as_str())
}

/// [`substitute`] in every string of a JSON value, names of fields included.
///
/// # Errors
/// As for [`substitute`].
pub fn substitute_json(value: &Value, args: &[ResolvedArg]) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(substitute(text, args)?),
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| substitute_json(item, args)).collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| {
                Ok::<_, String>((substitute(key, args)?, substitute_json(value, args)?))
            };
            Value::Object(fields.iter().map(field).collect::<Result<_, _>>()?)
        }
        other => other.clone(),
    })
}

/// The values of a step's arguments, from the `pod-template-hash` of both sides and the fields of the Deployment.
///
/// # Errors
/// Which value is missing.
pub fn bind(
    bindings: &[ArgBinding],
    hash: impl Fn(Side) -> Option<String>,
    field: impl Fn(&str) -> Result<String, String>,
) -> Result<Vec<ResolvedArg>, String> {
    let value = |source: &ArgSource| match source {
        ArgSource::Value(value) => Ok(value.clone()),
        ArgSource::PodTemplateHash(side) => {
            hash(*side).ok_or_else(|| format!("the {side} side has no pod-template-hash yet"))
        }
        ArgSource::FieldRef(path) => field(path),
    };
    bindings
        .iter()
        .map(|arg| Ok(ResolvedArg { name: arg.name.clone(), value: value(&arg.source)? }))
        .collect()
}

/// The arguments of the templates of a run; the given values override their defaults.
#[derive(Debug, Default)]
pub struct RunArgs {
    /// Arguments with a known value.
    pub values: Vec<ResolvedArg>,
    /// Arguments whose value is in a Secret.
    pub secrets: BTreeMap<String, SecretKeyRef>,
}

impl RunArgs {
    /// Overrides the templates' defaults with `given`. As in Argo, arguments that no template declares are ignored.
    ///
    /// # Errors
    /// Argo's error text for an argument without a value.
    pub fn merge(given: &[ResolvedArg], declared: &[Arg]) -> Result<Self, String> {
        let mut merged = Self::default();
        for arg in declared {
            let value = given.iter().rfind(|g| g.name == arg.name).map(|g| &g.value).or(arg.value.as_ref());
            match (&arg.secret, value) {
                (Some(secret), _) => {
                    merged.secrets.insert(arg.name.clone(), secret.clone());
                }
                (None, Some(value)) => {
                    merged.values.push(ResolvedArg { name: arg.name.clone(), value: value.clone() });
                }
                (None, None) => return Err(format!("args.{} was not resolved", arg.name)),
            }
        }
        Ok(merged)
    }

    /// A metric with its arguments substituted and its texts parsed.
    pub(super) fn resolve(&self, raw: &RawMetric) -> Result<MetricSpec, String> {
        let text = |text: &Option<String>| -> Result<Option<String>, String> {
            let text = text.as_deref().map(|text| substitute(text, &self.values)).transpose()?;
            Ok(text.filter(|text| !text.is_empty()))
        };
        let span = |label: &str, given: &Option<String>| -> Result<Option<GoDuration>, String> {
            let parse =
                |text: String| text.parse().map_err(|why| format!("invalid {label} string: {text:?} {why}"));
            text(given)?.map(parse).transpose()
        };
        let number = |given: &Option<IntOrString>| given.as_ref().map(|n| self.number(n)).transpose();
        Ok(Metric {
            name: substitute(&raw.name, &self.values)?,
            initial_delay: span("startDelay", &raw.initial_delay)?,
            interval: span("interval", &raw.interval)?,
            count: number(&raw.count)?,
            success_condition: text(&raw.success_condition)?,
            failure_condition: text(&raw.failure_condition)?,
            failure_limit: number(&raw.failure_limit)?,
            inconclusive_limit: number(&raw.inconclusive_limit)?,
            consecutive_error_limit: number(&raw.consecutive_error_limit)?,
            consecutive_success_limit: number(&raw.consecutive_success_limit)?,
            min_samples: raw
                .min_samples
                .as_ref()
                .map(|few| -> Result<_, String> {
                    Ok(MinSamples {
                        query: substitute(&few.query, &self.values)?,
                        count: self.number(&few.count)?,
                        extend_up_to: span("extendUpTo", &few.extend_up_to)?,
                    })
                })
                .transpose()?,
            no_data: raw.no_data,
            skip_rehearsal: raw.skip_rehearsal,
            provider: self.provider(&raw.provider)?,
        })
    }

    fn number(&self, number: &IntOrString) -> Result<i32, String> {
        match number {
            IntOrString::Int(number) => Ok(*number),
            IntOrString::String(text) => {
                let text = substitute(text, &self.values)?;
                text.parse().map_err(|_| format!("{text:?} is not a whole number"))
            }
        }
    }

    /// Secrets stay placeholders: the result is stored in a `ConfigMap`.
    fn provider(&self, raw: &ProviderRef) -> Result<ProviderRef, String> {
        let kept = self
            .secrets
            .keys()
            .map(|name| ResolvedArg { name: name.clone(), value: format!("{OPEN}args.{name}{CLOSE}") });
        let args: Vec<_> = self.values.iter().cloned().chain(kept).collect();
        Ok(ProviderRef { key: raw.key.clone(), config: substitute_json(&raw.config, &args)? })
    }
}
