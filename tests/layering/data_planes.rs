//! What is known of a data plane stays in its router.

use super::{Source, assert_none, sources};

/// Words of one router, which nothing outside of `src/routers/` may know.
const OF_ROUTERS: [&str; 2] = ["nginx", "ingress"];

/// Where they mean something else, or are words of users: file, and why.
const NOT_OF_ROUTERS: &[(&str, &str)] = &[
    ("admit/plan_review/foreign_policies/", "the direction of a policy's rules"),
    ("commands/canary/convert/", "fields and metrics of other tools"),
    ("commands/canary/doctor/", "kinds that users have, for the report"),
    ("commands/cli.rs", "the flag --ingress-annotation-prefix"),
    ("commands/eject.rs", "the same flag"),
    ("commands/run.rs", "the same flag"),
    ("config/blue_green.rs", "the example of a key"),
    ("config/settings.rs", "the example of a key"),
    ("objects/canary_policy.rs", "the direction of a NetworkPolicy's rules"),
    ("promql/targets.rs", "a label of many exporters"),
];

/// What is not a test: files of tests end with their names, and the rest of a file follows the mark.
fn product(source: &Source) -> Option<&str> {
    let is_test = ["tests.rs", "fixtures.rs"].iter().any(|name| source.path.ends_with(name));
    (!is_test).then(|| source.text.split("#[cfg(test)]\nmod tests {").next().unwrap())
}

#[test]
fn only_a_router_knows_its_data_plane() {
    let is_excused = |source: &Source| NOT_OF_ROUTERS.iter().any(|(path, _)| source.path.starts_with(path));
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| source.room() != "routers" && !is_excused(source)) {
        for (number, line) in product(source).unwrap_or_default().lines().enumerate() {
            let lower = line.to_lowercase();
            if let Some(word) = OF_ROUTERS.iter().find(|word| lower.contains(**word)) {
                problems.push(format!("src/{}:{}: says {word}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert_none(&problems);
    for (path, _) in NOT_OF_ROUTERS {
        let mut excused = sources().into_iter().filter(|source| source.path.starts_with(path));
        let is_needed = excused.any(|source| {
            let text = product(&source).unwrap_or_default().to_lowercase();
            OF_ROUTERS.iter().any(|word| text.contains(word))
        });
        assert!(is_needed, "{path} needs no exception");
    }
}
