//! All kinds of objects on the canary side: the pair's own, and the ones that routers make.

use super::ROUTERS;
use crate::objects::manifest::Kind;
use serde_json::Value;
use std::sync::LazyLock;

/// An API that a router reads.
#[expect(clippy::struct_excessive_bools, reason = "each is independent of the others")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource {
    /// What it reads.
    pub kind: Kind,
    /// Whether it makes such objects for the canary as well.
    pub is_written: bool,
    /// Whether a cluster may be without this API.
    pub is_optional: bool,
    /// Whether its objects are in no namespace.
    pub is_cluster_wide: bool,
    /// Whether users' objects of this kind own those that are made for the canary.
    pub is_owned_by_route: bool,
}

impl Resource {
    /// An API of every cluster, of which the router makes objects.
    #[must_use]
    pub const fn written(kind: Kind) -> Self {
        Self { kind, is_written: true, is_optional: false, is_cluster_wide: false, is_owned_by_route: false }
    }

    /// An API whose objects are in no namespace, and which is only read. Haldane does without, where it may not read it.
    #[must_use]
    pub const fn cluster_wide(kind: Kind) -> Self {
        Self { kind, is_written: false, is_optional: true, is_cluster_wide: true, is_owned_by_route: false }
    }

    /// The same of an API that a cluster may be without.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// The same of an API whose objects belong to users' objects of it, and go with them.
    #[must_use]
    pub const fn owned_by_route(self) -> Self {
        Self { is_owned_by_route: true, ..self }
    }
}

fn resources() -> impl Iterator<Item = &'static Resource> {
    ROUTERS.iter().flat_map(|router| router.resources())
}

/// Kinds of objects that are made for a canary, in the order in which they are made.
static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let routes = resources().filter(|resource| resource.is_written).map(|resource| resource.kind);
    let mut kinds: Vec<Kind> = Kind::OF_PAIR.into_iter().chain(routes).collect();
    kinds.sort_unstable();
    kinds
});

/// Kinds of objects that are made for a canary, in the order in which they are made.
#[must_use]
pub fn kinds() -> &'static [Kind] {
    &KINDS
}

/// Kinds of the users' objects that are read around a Deployment.
pub fn read_kinds() -> impl Iterator<Item = Kind> {
    let read = resources().filter(|resource| !resource.is_written).map(|resource| resource.kind);
    kinds().iter().copied().filter(|kind| *kind != Kind::DEPLOYMENT).chain(read)
}

/// Kinds of which users' objects own those that are made for a canary.
pub fn owned_by_routes() -> impl Iterator<Item = Kind> {
    resources().filter(|resource| resource.is_owned_by_route).map(|resource| resource.kind)
}

/// Whether a cluster may be without the API of this kind.
#[must_use]
pub fn is_optional(kind: Kind) -> bool {
    resources().any(|resource| resource.kind == kind && resource.is_optional)
}

/// Kinds of objects that are made for a canary, of whose APIs a cluster may be without.
pub fn optional_kinds() -> impl Iterator<Item = Kind> {
    kinds().iter().copied().filter(|kind| is_optional(*kind))
}

/// Whether the objects of this kind are in no namespace.
#[must_use]
pub fn is_cluster_wide(kind: Kind) -> bool {
    resources().any(|resource| resource.kind == kind && resource.is_cluster_wide)
}

/// Kind and name of an observed object, if it is of a kind of ours.
#[must_use]
pub fn named(object: &Value) -> Option<(Kind, &str)> {
    let name = object.get("kind")?.as_str()?;
    let kind = *kinds().iter().find(|kind| kind.name() == name)?;
    Some((kind, object.get("metadata")?.get("name")?.as_str()?))
}
