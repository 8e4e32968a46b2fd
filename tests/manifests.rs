//! What the manifests, the flags and the code must agree on.
// The lints allow it in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use clap::Parser;
use haldane::{
    admit::{
        plan_review::foreign_policies::APIS, scale::AUTOSCALERS, stale_condition::DEPLOYMENT_CONTROLLERS,
    },
    cluster::ca_bundle,
    commands::cli::{Cli, Command, RunArgs},
    config::{
        annotations::INTERNAL_KEYS,
        namespace::{ENABLED, reserved},
    },
    decide::{ABORT_PREFIX, RELEASE},
    domain::{k8s::label_rewrite::CANARY_OF_LABEL, keys},
    notify::CONFIG_MAP,
    objects::marks::{MANAGED_BY, MANAGED_BY_LABEL},
    policy::Mode,
    routers::kinds,
    runtime::http::Limits,
    webhook::server::TIME_LIMIT,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path};
use strum::IntoEnumIterator;

/// The documents of a YAML file of this repository.
fn documents(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

fn of_kind(path: &str, kind: &str) -> Value {
    let found = documents(path).into_iter().find(|document| document["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {path}"))
}

fn configurations() -> [Value; 2] {
    ["mutating", "validating"].map(|name| documents(&format!("webhook-config/{name}.yaml")).remove(0))
}

/// What the process uses when it is told nothing.
fn defaults() -> RunArgs {
    let Command::Run(args) = Cli::parse_from(["haldane", "run", "--pod-name=x"]).command else {
        unreachable!()
    };
    *args
}

#[test]
fn both_webhooks_match_the_same_requests() {
    let [mutating, validating] = configurations().map(|configuration| configuration["webhooks"][0].clone());
    for field in ["rules", "matchConditions", "namespaceSelector", "failurePolicy", "timeoutSeconds"] {
        assert!(!mutating[field].is_null(), "{field}");
        assert_eq!(mutating[field], validating[field], "{field}");
    }
}

#[test]
fn the_floor_is_for_the_autoscaling_controller_alone() {
    about_a_controller("deployments/scale", AUTOSCALERS);
}

/// What decides about a subresource: without Haldane Kubernetes' controllers work as usual, and nobody else's
/// writes come to it.
fn about_a_controller(resource: &str, users: [&str; 2]) -> Value {
    let [mutating, _] = configurations();
    let webhooks = mutating["webhooks"].as_array().unwrap();
    let webhook = webhooks.iter().find(|webhook| webhook["rules"][0]["resources"] == json!([resource]));
    let webhook = webhook.unwrap().clone();
    assert_eq!(webhook["failurePolicy"], "Ignore", "{resource}");
    let named = users.map(|user| format!("'{user}'")).join(", ");
    let condition = webhook["matchConditions"][0]["expression"].as_str().unwrap();
    assert_eq!(condition, format!("request.userInfo.username in [{named}]"));
    webhook
}

#[test]
fn what_an_abort_says_ends_with_its_template_and_costs_no_other_status_a_request() {
    let status = about_a_controller("deployments/status", DEPLOYMENT_CONTROLLERS);
    let condition = |index: usize| status["matchConditions"][index]["expression"].as_str().unwrap();
    assert!(condition(1).contains("observedGeneration"), "{}", condition(1));
    assert!(condition(2).contains(&format!("startsWith('{ABORT_PREFIX}')")), "{}", condition(2));
    assert!(condition(2).contains(&format!("c.type == '{RELEASE}'")), "{}", condition(2));
    assert!(condition(2).contains(&format!("'{}' in object", keys::HELD)), "{}", condition(2));
}

#[test]
fn policy_reaches_deployments_that_are_not_opted_in_and_locks_nobody_out() {
    let [_, validating] = configurations();
    let webhooks = validating["webhooks"].as_array().unwrap();
    let others = &webhooks[2..];
    for webhook in others {
        assert_eq!(webhook["failurePolicy"], "Ignore", "{}", webhook["name"]);
        assert_eq!(webhook["clientConfig"], webhooks[0]["clientConfig"]);
        assert_eq!(webhook["timeoutSeconds"], webhooks[0]["timeoutSeconds"]);
    }
    for mode in Mode::iter() {
        let name = format!("{mode}.policy.haldane.dev");
        let webhook = others.iter().find(|webhook| webhook["name"] == name.as_str()).expect(&name);
        let terms = webhook["namespaceSelector"]["matchExpressions"].as_array().unwrap();
        assert_eq!(terms[0], webhooks[0]["namespaceSelector"]["matchExpressions"][0]);
        assert_eq!(terms[1], json!({"key": mode.label(), "operator": "Exists"}));
        let opted_in = expression(&webhooks[0], "opted-in");
        assert_eq!(
            expression(webhook, "not-opted-in-itself"),
            format!("!{opted_in}"),
            "a request is judged once"
        );
    }
    let templates = others.iter().find(|webhook| webhook["name"] == "template.haldane.dev").unwrap();
    assert_eq!(templates["objectSelector"]["matchLabels"], json!({keys::TEMPLATE_LABEL: "true"}));
    let routings = others.iter().find(|webhook| webhook["name"] == "notifications.haldane.dev").unwrap();
    let name = expression(routings, "routes-notifications");
    assert!(name.starts_with(&format!("object.metadata.name == '{CONFIG_MAP}' && ")), "{name}");
    assert!(name.contains(CANARY_OF_LABEL), "records are Haldane's own");
    let profiles = others.last().unwrap();
    assert_eq!(profiles["matchConditions"], templates["matchConditions"]);
    assert_eq!(profiles["objectSelector"]["matchLabels"], json!({keys::POLICY: "true"}));
    let place = json!({"kubernetes.io/metadata.name": defaults().namespace});
    assert_eq!(profiles["namespaceSelector"]["matchLabels"], place);
}

#[test]
fn namespaces_opt_in_those_that_say_nothing_themselves_and_nobody_else() {
    let [mutating, validating] = configurations().map(|configuration| configuration["webhooks"].clone());
    let (ours, last) = (&mutating[1], &validating[1]);
    for field in ["rules", "matchConditions", "namespaceSelector", "failurePolicy", "timeoutSeconds"] {
        assert!(!ours[field].is_null() && ours[field] == last[field], "{field}");
    }
    let terms = ours["namespaceSelector"]["matchExpressions"].as_array().unwrap();
    assert_eq!(terms[0]["values"], json!(reserved(&defaults().namespace)));
    assert_eq!(terms[0], mutating[0]["namespaceSelector"]["matchExpressions"][0]);
    assert_eq!(terms[1], json!({"key": keys::CANARY, "operator": "In", "values": [ENABLED]}));
    // Whatever the first entry matches, this one does not: a request is decided once.
    let opted_in = expression(&mutating[0], "opted-in");
    assert_eq!(expression(ours, "not-opted-in-itself"), format!("!{opted_in}"));
    let new = expression(ours, "is-new-only-if-it-has-keys");
    assert!(new.starts_with("oldObject != null ||"), "making one that says nothing needs no Haldane: {new}");
}

/// A match condition of a webhook.
fn expression<'a>(webhook: &'a Value, name: &str) -> &'a str {
    let conditions = webhook["matchConditions"].as_array().unwrap();
    let found = conditions.iter().find(|condition| condition["name"] == name);
    found.unwrap_or_else(|| panic!("no condition {name}"))["expression"].as_str().unwrap()
}

/// What is exempt is guarded, so that nobody else can make it: `marks::is_canary`, and the policy in `records.yaml`.
#[test]
fn a_profile_cannot_be_got_around_by_one_label_of_haldanes_objects() {
    let exempt = format!(
        "!(object.metadata.?labels['{MANAGED_BY_LABEL}'] == optional.of('{MANAGED_BY}') && '{CANARY_OF_LABEL}' in \
         object.metadata.?labels.orValue({{}}) && object.metadata.?ownerReferences.orValue([]).exists(o, \
         o.apiVersion == 'apps/v1' && o.kind == 'Deployment'))"
    );
    let webhooks =
        configurations().map(|configuration| configuration["webhooks"].as_array().unwrap().clone());
    let policies =
        documents("webhook-config/warnings.yaml").into_iter().map(|document| document["spec"].clone());
    let conditions: Vec<Value> = webhooks
        .into_iter()
        .flatten()
        .chain(policies)
        .filter_map(|webhook| webhook["matchConditions"].as_array().cloned())
        .flatten()
        .filter(|condition| condition["name"] == "not-of-haldane")
        .collect();
    assert_eq!(conditions.len(), 7, "{conditions:?}");
    assert!(conditions.iter().all(|condition| condition["expression"] == exempt.as_str()), "{conditions:?}");
}

#[test]
fn only_what_opts_in_or_is_managed_can_be_refused_while_haldane_is_down() {
    let [mutating, _] = configurations().map(|configuration| configuration["webhooks"].clone());
    let opted_in = expression(&mutating[0], "opted-in");
    for key in [keys::CANARY, keys::BLUE_GREEN].into_iter().chain(INTERNAL_KEYS) {
        assert!(opted_in.contains(&format!("'{key}'")), "{key}");
    }
    assert!(!opted_in.contains(&format!("'{}'", keys::PREFIX)), "a misspelt key opts nothing in");
    let (ours, namespace) = (named(&mutating, "no-effect.haldane.dev"), &mutating[1]);
    assert_eq!(ours["failurePolicy"], "Ignore");
    assert_eq!(ours["clientConfig"]["service"]["path"], "/warn");
    // Each request is decided by one entry: that of the Deployment, of its Namespace, or this one.
    assert_eq!(expression(ours, "not-opted-in-itself"), format!("!{opted_in}"));
    let terms =
        |webhook: &Value, index: usize| webhook["namespaceSelector"]["matchExpressions"][index].clone();
    assert_eq!(terms(ours, 0), terms(&mutating[0], 0));
    assert_eq!(terms(ours, 1), json!({"key": keys::CANARY, "operator": "NotIn", "values": [ENABLED]}));
    assert_eq!(terms(namespace, 1)["operator"], "In");
    assert!(expression(namespace, "is-new-only-if-it-has-keys").ends_with(expression(ours, "has-keys")));
}

/// A webhook of a configuration.
fn named<'a>(webhooks: &'a Value, name: &str) -> &'a Value {
    webhooks.as_array().unwrap().iter().find(|webhook| webhook["name"] == name).expect(name)
}

#[test]
fn policies_of_the_api_server_warn_about_opting_in_without_effect() {
    let all = documents("webhook-config/warnings.yaml");
    let (policies, bindings): (Vec<_>, Vec<_>) =
        all.iter().partition(|document| document["kind"] == "ValidatingAdmissionPolicy");
    assert_eq!(policies.len(), bindings.len());
    for (policy, binding) in policies.into_iter().zip(bindings) {
        assert_eq!(policy["spec"]["failurePolicy"], "Ignore");
        assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
        assert_eq!(binding["spec"]["validationActions"], json!(["Warn"]), "nothing is refused");
    }
    let reserved: Vec<_> = reserved(&defaults().namespace).map(|name| format!("'{name}'")).into();
    let variables = all[2]["spec"]["variables"].as_array().unwrap();
    let own = variables.iter().find(|variable| variable["name"] == "is_reserved").unwrap();
    assert_eq!(own["expression"], format!("request.namespace in [{}]", reserved.join(", ")));
}

#[test]
fn there_are_no_custom_resources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["deploy", "webhook-config"] {
        let files = fs::read_dir(root.join(folder)).unwrap().map(|file| file.unwrap().path());
        for path in files.filter(|path| path.is_file()) {
            for document in documents(path.to_str().unwrap()) {
                assert_ne!(document["kind"], "CustomResourceDefinition", "{}", path.display());
            }
        }
    }
}

#[test]
fn the_api_server_finds_the_webhook() {
    let service = of_kind("deploy/services.yaml", "Service");
    for (configuration, path) in configurations().into_iter().zip(["/mutate", "/validate"]) {
        assert_eq!(configuration["metadata"]["name"], ca_bundle::CONFIGURATION);
        let client = &configuration["webhooks"][0]["clientConfig"];
        let wanted = json!({
            "namespace": defaults().namespace, "name": defaults().service_name, "path": path, "port": 443,
        });
        assert_eq!(client, &json!({"service": wanted}), "and no caBundle");
    }
    assert_eq!(service["metadata"]["name"], defaults().service_name);
    assert_eq!(service["metadata"]["namespace"], defaults().namespace);
    let container =
        &of_kind("deploy/deployment.yaml", "Deployment")["spec"]["template"]["spec"]["containers"][0];
    let ports = [defaults().webhook_address.port(), defaults().admin_address.port()];
    let named =
        json!([{"name": "https", "containerPort": ports[0]}, {"name": "admin", "containerPort": ports[1]}]);
    assert_eq!(container["ports"], named);
}

#[test]
fn our_answers_come_before_the_api_server_gives_up() {
    for configuration in configurations() {
        let seconds = configuration["webhooks"][0]["timeoutSeconds"].as_u64().unwrap();
        assert!(TIME_LIMIT.as_secs_f64() < f64::from(u32::try_from(seconds).unwrap()));
    }
}

#[test]
fn there_is_time_to_shut_down() {
    let pod = &of_kind("deploy/deployment.yaml", "Deployment")["spec"]["template"]["spec"];
    let needed =
        defaults().drain.signed().as_secs() + i64::try_from(Limits::default().grace.as_secs()).unwrap();
    assert!(pod["terminationGracePeriodSeconds"].as_i64().unwrap() > needed);
}

/// That it works is tried on a cluster (`long::cert_manager`); what it refers to is there, and fits the code.
#[test]
fn the_overlay_for_cert_manager_brings_what_the_webhook_needs() {
    let overlay = documents("certs/cert-manager/kustomization.yaml").remove(0);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("certs/cert-manager");
    for resource in overlay["resources"].as_array().unwrap() {
        let base = folder.join(resource.as_str().unwrap()).canonicalize().unwrap();
        assert!(
            !folder.starts_with(&base),
            "kustomize refuses a base that the overlay is a part of: {base:?}"
        );
    }
    let patch = |kind: &str| {
        let patches = overlay["patches"].as_array().unwrap();
        let patch = patches.iter().find(|patch| patch["target"]["kind"] == kind).unwrap();
        let operations: Value = serde_saphyr::from_str(patch["patch"].as_str().unwrap()).unwrap();
        serde_json::from_value::<json_patch::Patch>(operations).unwrap()
    };
    let mut deployment = of_kind("deploy/deployment.yaml", "Deployment");
    json_patch::patch(&mut deployment, &patch("Deployment")).unwrap();
    let variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    let told = variables.last().unwrap();
    let flag = format!("--{}", told["name"].as_str().unwrap().trim_start_matches("HALDANE_"));
    let flag = flag.to_lowercase().replace('_', "-");
    let Command::Run(args) = Cli::parse_from(["haldane", "run", "--pod-name=x", &flag]).command else {
        panic!("{flag} belongs to run")
    };
    assert!(args.bring_certificate && told["value"] == "true");

    let mut role = of_kind("deploy/rbac.yaml", "Role");
    json_patch::patch(&mut role, &patch("Role")).unwrap();
    let rules = role["rules"].as_array().unwrap();
    let on_secrets: Vec<_> = rules.iter().filter(|rule| rule["resources"] == json!(["secrets"])).collect();
    assert_eq!(on_secrets.len(), 1, "{on_secrets:?}");
    assert_eq!(on_secrets[0]["verbs"], json!(["get", "list", "watch"]), "it cannot write the Secret");

    let certificates = documents("certs/cert-manager/certificate.yaml");
    let serving =
        certificates.iter().find(|one| one["spec"]["secretName"] == defaults().secret_name).unwrap();
    let called = format!("{}.{}.svc", defaults().service_name, defaults().namespace);
    assert_eq!(serving["spec"]["dnsNames"][0], called);
}

#[test]
fn the_role_names_the_lease_and_the_secret() {
    let role = of_kind("deploy/rbac.yaml", "Role");
    let named = |resource: &str| {
        let rules = role["rules"].as_array().unwrap().iter();
        let named = rules.filter(|rule| rule["resources"] == json!([resource]));
        named.map(|rule| rule["resourceNames"].clone()).find(|names| !names.is_null()).unwrap()
    };
    assert_eq!(named("leases"), json!([defaults().lease_name]));
    assert_eq!(named("secrets"), json!([defaults().secret_name]));
}

#[test]
fn the_container_can_do_nothing_but_run() {
    let pod = &of_kind("deploy/deployment.yaml", "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"], json!({"type": "RuntimeDefault"}));
    assert!(pod["volumes"].is_null() && pod["hostNetwork"].is_null() && pod["hostPID"].is_null());
    for container in pod["containers"].as_array().unwrap() {
        let wanted = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        });
        assert_eq!(container["securityContext"], wanted);
        assert!(container["resources"]["limits"]["memory"].is_string(), "memory is bounded");
    }
    // The API server admits no other pod there, so an installation shows that these fields are enough.
    let namespace = of_kind("deploy/namespace.yaml", "Namespace");
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
}

#[test]
fn a_network_policy_covers_the_pods_and_opens_their_ports_only() {
    let deployment = of_kind("deploy/deployment.yaml", "Deployment");
    let policy = of_kind("deploy/network-policy.yaml", "NetworkPolicy")["spec"].clone();
    assert_eq!(policy["podSelector"], deployment["spec"]["selector"]);
    assert_eq!(policy["policyTypes"], json!(["Ingress"]));
    let ports = policy["ingress"].as_array().unwrap().iter().map(|rule| rule["ports"][0]["port"].clone());
    assert_eq!(ports.collect::<Vec<_>>(), ["https", "admin"]);
}

/// The resource of a kind.
fn plural(kind: &str) -> String {
    match kind.to_lowercase() {
        kind if kind.ends_with('y') => format!("{}ies", kind.trim_end_matches('y')),
        kind if kind.ends_with('s') => format!("{kind}es"),
        kind => format!("{kind}s"),
    }
}

#[test]
fn every_api_that_selects_pods_may_be_listed() {
    let role = of_kind("deploy/rbac.yaml", "ClusterRole");
    let holds = |rule: &Value, field: &str, wanted: &str| {
        rule[field].as_array().unwrap().iter().any(|item| item == wanted)
    };
    for api in APIS {
        let (group, resource) = (api.group, plural(api.kind));
        let mut rules = role["rules"].as_array().unwrap().iter().filter(|rule| {
            holds(rule, "apiGroups", group)
                && holds(rule, "resources", &resource)
                && holds(rule, "verbs", "list")
        });
        assert!(rules.next().is_some(), "no rule lets Haldane list {resource}.{group}");
    }
}

#[test]
fn every_kind_that_haldane_makes_may_be_written_watched_and_deleted() {
    let role = of_kind("deploy/rbac.yaml", "ClusterRole");
    let rules = role["rules"].as_array().unwrap();
    for kind in kinds() {
        let (group, resource) =
            (kind.api_version().rsplit_once('/').map_or("", |(group, _)| group), plural(&kind.to_string()));
        let of_kind = rules.iter().find(|rule| {
            rule["apiGroups"].as_array().unwrap().contains(&json!(group))
                && rule["resources"].as_array().unwrap().contains(&json!(resource))
        });
        let verbs = of_kind.unwrap_or_else(|| panic!("no rule for {resource}.{group}"))["verbs"].clone();
        assert_eq!(verbs, json!(["get", "list", "watch", "create", "patch", "delete"]), "{resource}.{group}");
    }
}

#[test]
fn everything_that_haldane_makes_is_guarded() {
    let policy = of_kind("webhook-config/records.yaml", "ValidatingAdmissionPolicy")["spec"].clone();
    let wanted = json!({
        "matchLabels": {MANAGED_BY_LABEL: MANAGED_BY},
        "matchExpressions": [{"key": CANARY_OF_LABEL, "operator": "Exists"}],
    });
    assert_eq!(policy["matchConstraints"]["objectSelector"], wanted);
    let rules = policy["matchConstraints"]["resourceRules"].as_array().unwrap().clone();
    let guarded: BTreeSet<String> = rules
        .iter()
        .flat_map(|rule| rule["resources"].as_array().unwrap())
        .map(|resource| resource.as_str().unwrap().to_owned())
        .collect();
    let made: BTreeSet<String> = kinds()
        .iter()
        .map(|kind| plural(&kind.to_string()))
        .chain(["configmaps", "jobs"].map(str::to_owned))
        .collect();
    assert_eq!(guarded, made);
    let own_user = format!("'system:serviceaccount:{}:{}'", defaults().namespace, defaults().service_account);
    let condition = policy["matchConditions"][0]["expression"].as_str().unwrap();
    assert_eq!(condition, format!("request.userInfo.username != {own_user}"));
}

/// Whatever RBAC lets Haldane's account change, the policy limits; RBAC alone limits what is listed here.
#[test]
fn haldanes_own_account_is_held_to_what_haldane_does() {
    const BY_RBAC_ALONE: [&str; 4] = [
        "events",
        "subjectaccessreviews",
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
    ];
    let texts = |rule: &Value, field: &str| -> Vec<String> {
        rule[field].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let policy = of_kind("deploy/own-account.yaml", "ValidatingAdmissionPolicy")["spec"].clone();
    let held: BTreeSet<(String, String)> = policy["matchConstraints"]["resourceRules"]
        .as_array()
        .unwrap()
        .iter()
        .inspect(|rule| assert_eq!(rule["operations"], json!(["CREATE", "UPDATE", "DELETE"])))
        .flat_map(|rule| {
            texts(rule, "resources").into_iter().map(|name| (texts(rule, "apiGroups").remove(0), name))
        })
        .collect();
    let role = of_kind("deploy/rbac.yaml", "ClusterRole");
    let writes = |rule: &&Value| {
        texts(rule, "verbs").iter().any(|verb| !["get", "list", "watch"].contains(&verb.as_str()))
    };
    let mut granted: BTreeSet<(String, String)> = role["rules"]
        .as_array()
        .unwrap()
        .iter()
        .filter(writes)
        .flat_map(|rule| {
            texts(rule, "resources").into_iter().map(|name| (texts(rule, "apiGroups").remove(0), name))
        })
        .filter(|(_, name)| !BY_RBAC_ALONE.contains(&name.as_str()))
        .collect();
    // By the Role in its own namespace.
    granted.insert((String::new(), "secrets".to_owned()));
    assert_eq!(held, granted);

    let own_user = format!("'system:serviceaccount:{}:{}'", defaults().namespace, defaults().service_account);
    assert_eq!(
        policy["matchConditions"][0]["expression"],
        format!("request.userInfo.username == {own_user}")
    );
    let variables = policy["variables"].as_array().unwrap();
    let variable = |name: &str| {
        let found = variables.iter().find(|variable| variable["name"] == name).unwrap();
        found["expression"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        variable("is_own"),
        format!(
            "[object, oldObject].all(o, o == null || ( o.metadata.?labels['{MANAGED_BY_LABEL}'] == \
             optional.of('{MANAGED_BY}') && '{CANARY_OF_LABEL}' in o.metadata.?labels.orValue({{}})))"
        )
    );
    let certificate = variable("is_certificate");
    for name in [defaults().namespace, defaults().secret_name] {
        assert!(certificate.contains(&format!("'{name}'")), "{name}");
    }
    assert!(variable("is_hold").contains(&format!("startsWith('{}')", keys::PREFIX)));
    let binding = of_kind("deploy/own-account.yaml", "ValidatingAdmissionPolicyBinding");
    assert_eq!(binding["spec"]["policyName"], "haldane-own-account");
    assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
}
