//! Which APIs of the table the cluster serves. Asked again after a while, on the next request.

use crate::{
    admit::plan_review::foreign_policies::{APIS, Api as Row},
    cluster::objects::every,
    runtime::clock,
};
use futures::future::try_join_all;
use kube::{
    Api, Client, Discovery,
    api::{ApiResource, DynamicObject},
};
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// An API that has just been installed is looked at after this time.
const FRESH: Duration = Duration::from_secs(30);

/// See the module.
pub struct Installed {
    client: Client,
    known: Mutex<Option<(Instant, Served)>>,
}

/// The rows that are served, and how.
type Served = Arc<[(&'static Row, ApiResource)]>;

impl Installed {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// The objects of all these APIs that may choose pods of `namespace`.
    ///
    /// # Errors
    /// The API server's.
    pub async fn objects(&self, namespace: &str) -> kube::Result<Vec<Value>> {
        let served = self.served().await?;
        let lists = served.iter().map(|(row, resource)| self.list(row, resource, namespace));
        Ok(try_join_all(lists).await?.into_iter().flatten().collect())
    }

    /// One asks and the others wait, so that a crowd asks once.
    async fn served(&self) -> kube::Result<Served> {
        let mut known = self.known.lock().await;
        let now = clock::monotonic();
        if let Some((_, served)) = known.as_ref().filter(|(at, _)| now.duration_since(*at) < FRESH) {
            return Ok(Arc::clone(served));
        }
        let groups: Vec<&str> = APIS.iter().map(|row| row.group).collect();
        let found = Discovery::new(self.client.clone()).filter(&groups).run().await?;
        let resource = |row: &'static Row| Some((row, found.get(row.group)?.recommended_kind(row.kind)?.0));
        let served: Served = APIS.iter().filter_map(resource).collect();
        *known = Some((now, Arc::clone(&served)));
        Ok(served)
    }

    async fn list(&self, row: &Row, resource: &ApiResource, namespace: &str) -> kube::Result<Vec<Value>> {
        let client = self.client.clone();
        let api: Api<DynamicObject> = if row.is_cluster_wide {
            Api::all_with(client, resource)
        } else {
            Api::namespaced_with(client, namespace, resource)
        };
        let found = match every(&api, "").await {
            // Removed meanwhile.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Vec::new()),
            found => found?,
        };
        // Lists leave out what their objects are.
        let object = |object: DynamicObject| {
            let mut value = serde_json::to_value(object).unwrap_or_default();
            if let Some(fields) = value.as_object_mut() {
                fields.insert("apiVersion".to_owned(), resource.api_version.clone().into());
                fields.insert("kind".to_owned(), resource.kind.clone().into());
            }
            value
        };
        Ok(found.into_iter().map(object).collect())
    }
}
