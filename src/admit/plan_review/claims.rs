//! Volumes that both versions mount: which claims let pods of the canary run while stable does.

use crate::admit::object::Object;
use crate::{
    document::finding::{Finding, Findings},
    domain::keys,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Most claims of a template that are looked up.
const MAX: usize = 8;

/// Access modes of claims by their names, of those that could be read.
pub type AccessModes = BTreeMap<String, Vec<String>>;

/// The claims of a pod template that are looked up.
#[must_use]
pub fn names(template: &Value) -> BTreeSet<&str> {
    mounted(template).map(|(_, claim)| claim).take(MAX).collect()
}

/// The access modes that a claim asks for.
#[must_use]
pub fn access_modes(claim: &Value) -> Vec<String> {
    let modes = claim.pointer("/spec/accessModes").and_then(Value::as_array);
    modes.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What is wrong with the claims, and what is only worth knowing. Of a claim that is not known, both are possible.
#[must_use]
pub fn check(object: Object<'_>, known: &AccessModes) -> (Findings, Vec<String>) {
    let (mut findings, mut warnings) = (Findings::new(), Vec::new());
    for (volume, claim) in mounted(object.template()) {
        let modes = known.get(claim).map(Vec::as_slice);
        let only =
            |mode: &str| modes.is_some_and(|modes| !modes.is_empty() && modes.iter().all(|m| m == mode));
        if only("ReadWriteOncePod") {
            findings.push(Finding::new(
                format!("spec.template.spec.volumes[{volume}].persistentVolumeClaim.claimName"),
                claim,
                format!("this claim has access mode ReadWriteOncePod, so only one pod at a time can use it, and a canary pod cannot start while stable runs; use a claim with ReadWriteMany, or opt out with the annotation {}: disabled", keys::CANARY),
            ));
            continue;
        }
        let effect = if only("ReadWriteOnce") {
            "; its access mode is ReadWriteOnce, so a canary pod starts only on the node that has the volume, and on another it waits with FailedAttachVolume until the release is aborted"
        } else if modes.is_some() {
            ""
        } else {
            "; with access mode ReadWriteOnce a canary pod starts only on the node that has the volume"
        };
        warnings.push(format!(
            "volume {volume:?}: canary pods mount PersistentVolumeClaim {claim:?} at the same time as stable, so both versions use its data{effect}"
        ));
    }
    (findings, warnings)
}

/// Volumes with the claims that they mount.
fn mounted(template: &Value) -> impl Iterator<Item = (&str, &str)> {
    let volumes = template.pointer("/spec/volumes").and_then(Value::as_array);
    volumes.into_iter().flatten().filter_map(|volume| {
        let claim = volume.pointer("/persistentVolumeClaim/claimName")?.as_str()?;
        Some((volume.get("name")?.as_str()?, claim))
    })
}
