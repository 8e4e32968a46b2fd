//! The model does what Kubernetes does: `kubernetes.txt` is what the real one was seen to do, and a test on a real
//! cluster holds that to it.

use crate::sim::cluster::{Cluster, template};
use haldane::domain::k8s::selector::Labels;
use serde_json::json;

const TABLE: &str = include_str!("kubernetes.txt");
/// Seconds after which everything has been done.
const PATIENCE: usize = 60;

/// The Deployment as the table tells it.
fn told(cluster: &Cluster) -> String {
    let mut sets: Vec<String> = cluster
        .stable_sets()
        .map(|set| format!("{}={}/{}", set.version, set.wanted, set.available))
        .collect();
    sets.sort();
    let reason = cluster.condition("Progressing")["reason"].take();
    let reason = reason.as_str().unwrap();
    format!("{} | {reason} | {}", sets.join(" "), cluster.endpoints.len())
}

fn act(cluster: &mut Cluster, action: &str) {
    let mut web = cluster.web.clone();
    match action.split_once(' ') {
        Some(("start" | "scale", size)) => web["spec"]["replicas"] = json!(size.parse::<i32>().unwrap()),
        Some(("template", version)) => web["spec"]["template"] = template(version),
        Some(("lose", _)) => {
            let set = cluster.sets.iter_mut().find(|set| set.wanted > 0).unwrap();
            set.pods.pop();
            cluster.touch();
        }
        _ => web["spec"]["paused"] = json!(action == "pause"),
    }
    cluster.store_web(web);
}

#[test]
fn the_model_does_what_kubernetes_does() {
    let mut cluster = Cluster::new(3, &Labels::new());
    cluster.behaviour.startup.insert("never".to_owned(), None);
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let (action, expected) = line.split_once('|').unwrap();
        act(&mut cluster, action.trim());
        for _ in 0..PATIENCE {
            cluster.work();
            cluster.pass_time(1);
        }
        assert_eq!(told(&cluster), expected.trim(), "after {action}");
    }
}
