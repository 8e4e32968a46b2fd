use super::*;
use json_patch::{AddOperation, PatchOperation};
use jsonptr::PointerBuf;
use proptest::prelude::*;
use serde_json::json;

/// As kube-apiserver sends it for `kubectl rollout resume`, shortened.
fn request() -> Value {
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "0df28fbd-5f5f-11e8-bc74-36e6bb280816",
            "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "requestKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "name": "web",
            "namespace": "shop",
            "operation": "UPDATE",
            "userInfo": {
                "username": "jane", "uid": "7", "groups": ["dev", "system:authenticated"],
                "extra": {"scopes.example.com/scope": ["a", "b"]}
            },
            "object": {"kind": "Deployment", "spec": {"paused": false, "unheardOf": [1.50]}},
            "oldObject": {"kind": "Deployment", "spec": {"paused": true}},
            "dryRun": true,
            "options": {"kind": "PatchOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "kubectl-rollout"}
        }
    })
}

fn parsed(request: &Value) -> Result<Review, BadReview> {
    parse(request.to_string().as_bytes())
}

fn review() -> Review {
    parsed(&request()).unwrap()
}

/// The `response` of an answer that echoes the request's uid.
fn response(stage: Stage, verdict: &Verdict) -> Value {
    let answer: Value = serde_json::from_slice(&answer(stage, &review(), verdict).unwrap()).unwrap();
    assert_eq!((&answer["apiVersion"], &answer["kind"]), (&json!(API_VERSION), &json!(KIND)));
    assert_eq!(answer["response"]["uid"], review().uid);
    answer["response"].clone()
}

fn patch() -> Vec<PatchOperation> {
    let path = PointerBuf::from_tokens(["spec", "paused"]);
    vec![PatchOperation::Add(AddOperation { path, value: true.into() })]
}

#[test]
fn a_review_is_read_whole() {
    let review = review();
    assert_eq!((review.group.as_str(), review.kind.as_str()), ("apps", "Deployment"));
    assert_eq!((review.namespace.as_str(), review.name.as_str()), ("shop", "web"));
    assert_eq!(review.operation, Operation::Update);
    assert_eq!(review.user.groups, ["dev", "system:authenticated"]);
    assert_eq!(review.user.extra["scopes.example.com/scope"], ["a", "b"]);
    assert_eq!(review.field_manager.as_deref(), Some("kubectl-rollout"));
    assert!(review.dry_run && review.sub_resource.is_none());
    assert_eq!(review.object.unwrap()["spec"]["unheardOf"], json!([1.50]), "unknown fields are kept");
    assert_eq!(review.old_object.unwrap()["spec"]["paused"], true);
}

#[test]
fn a_creation_has_nulls_and_gaps() {
    let mut sparse = request();
    sparse["request"] = json!({
        "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE",
        "userInfo": {}, "object": {}, "oldObject": null, "options": null, "dryRun": null, "subResource": "",
    });
    let review = parsed(&sparse).unwrap();
    assert_eq!((review.old_object, review.field_manager, review.sub_resource), (None, None, None));
    assert_eq!((review.name.as_str(), review.dry_run), ("", false));
}

#[test]
fn a_body_that_is_not_a_v1_review_is_refused_with_the_reason() {
    let with = |key: &str, value: Value| {
        let mut request = request();
        request[key] = value;
        parsed(&request).unwrap_err().to_string()
    };
    assert_eq!(
        with("apiVersion", "admission.k8s.io/v1beta1".into()),
        r#"expected admission.k8s.io/v1 AdmissionReview, got "admission.k8s.io/v1beta1" "AdmissionReview""#
    );
    assert!(with("kind", "Pod".into()).contains(r#"got "admission.k8s.io/v1" "Pod""#));
    assert_eq!(with("request", Value::Null), "the AdmissionReview has no request");
    assert!(with("request", json!({"uid": 1})).starts_with("the body is not an AdmissionReview: "));
    for twice in [
        request().to_string().replacen('{', "{\"kind\": \"Pod\", ", 1),
        request().to_string().replace("\"uid\":", "\"uid\": \"other\", \"uid\":"),
    ] {
        let error = parse(twice.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("duplicate field"), "{error}");
    }
    assert!(parse(b"").unwrap_err().to_string().contains("EOF"));
    assert!(parse(b"[]").is_err());
}

#[test]
fn a_name_that_is_a_path_is_refused_before_anything_is_looked_up() {
    for (field, paths) in [
        ("namespace", ["haldane-system/secrets/haldane-tls?x=", "..", "a%2Fb", "Shop"]),
        ("name", ["../secrets/haldane-tls", "web?x=", "web\n", "-"]),
    ] {
        for path in paths {
            let mut request = request();
            request["request"][field] = path.into();
            let refused = parsed(&request).unwrap_err().to_string();
            assert!(
                refused.starts_with(&format!("request.{field}: must be a name of an object")),
                "{refused}"
            );
        }
    }
}

#[test]
fn more_annotations_than_the_api_server_stores_are_refused() {
    for field in ["object", "oldObject"] {
        let with = |bytes: usize| {
            let mut request = request();
            request["request"][field]["metadata"]["annotations"] = json!({"a": "x".repeat(bytes - 1)});
            parsed(&request)
        };
        assert!(with(MAX_ANNOTATIONS_BYTES).is_ok());
        let refused = with(MAX_ANNOTATIONS_BYTES + 1).unwrap_err().to_string();
        let problem = "metadata.annotations: must have no more than 262144 bytes in all";
        assert_eq!(refused, format!("request.{field}.{problem}"));
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let (open, close) = ("[".repeat(1_000_000), "]".repeat(1_000_000));
    let deep = request().to_string().replace("[1.5]", &format!("{open}{close}"));
    assert!(parse(deep.as_bytes()).unwrap_err().to_string().contains("recursion limit"));
}

#[test]
fn allowing_says_nothing_more() {
    assert_eq!(response(Stage::Mutate, &Verdict::allow()), json!({"uid": review().uid, "allowed": true}));
}

#[test]
fn a_patch_is_sent_in_the_mutating_phase_only() {
    let mutated = response(Stage::Mutate, &Verdict::allow_with(patch()));
    let text = STANDARD.decode(mutated["patch"].as_str().unwrap()).unwrap();
    assert_eq!(mutated["patchType"], "JSONPatch");
    let operations: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(operations, json!([{"op": "add", "path": "/spec/paused", "value": true}]));

    let validated = response(Stage::Validate, &Verdict::allow_with(patch()));
    assert_eq!(validated, json!({"uid": review().uid, "allowed": true}));
}

#[test]
fn a_denial_names_every_field() {
    let causes = vec![
        Finding::new("metadata.annotations[haldane.dev/canary].steps[0]", "150", "must be at most 100"),
        Finding::new("spec.strategy.type", "", "must be RollingUpdate"),
    ];
    let denied = response(Stage::Validate, &Verdict::invalid("plan", causes));
    assert_eq!(denied["allowed"], false);
    insta::assert_json_snapshot!(denied["status"]);
}

#[test]
fn a_denial_without_fields_has_no_details() {
    let status =
        response(Stage::Mutate, &Verdict::forbid("rights", "jane may not promote"))["status"].clone();
    let wanted =
        json!({"status": "Failure", "code": 403, "reason": "Forbidden", "message": "jane may not promote"});
    assert_eq!(status, wanted);
}

#[test]
fn warnings_and_audit_annotations_go_along() {
    let verdict = Verdict {
        warnings: vec!["two\nlines".to_owned()],
        audit: BTreeMap::from([("rule".to_owned(), "hold".to_owned())]),
        ..Verdict::allow()
    };
    let response = response(Stage::Mutate, &verdict);
    assert_eq!(response["warnings"], json!(["two lines"]));
    assert_eq!(response["auditAnnotations"], json!({"rule": "hold"}));
}

#[test]
fn too_many_warnings_are_counted() {
    let many = vec!["w".repeat(250); 20];
    let fitted = fitted(&many);
    assert_eq!(fitted.len(), 17);
    assert_eq!(fitted.last().unwrap(), "… and 4 more warnings");
}

#[test]
fn an_http_error_is_a_status() {
    let body = failure(StatusCode::PAYLOAD_TOO_LARGE, "too much").unwrap();
    insta::assert_json_snapshot!(serde_json::from_slice::<Value>(&body).unwrap());
}

proptest! {
    #[test]
    fn warnings_always_fit(warnings in prop::collection::vec("(\\PC|[\\n\\t]){0,600}", 0..40)) {
        let fitted = fitted(&warnings);
        prop_assert!(fitted.iter().all(|w| w.chars().count() <= WARNING_CHARS && !w.contains(char::is_control)));
        prop_assert!(fitted.iter().map(|w| w.chars().count()).sum::<usize>() <= ALL_WARNINGS_CHARS);
        prop_assert!(fitted.len() <= warnings.len());
    }

    #[test]
    fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&body);
    }
}
