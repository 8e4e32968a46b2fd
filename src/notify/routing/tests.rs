use super::{super::notice::tests::notice, *};

fn routing(text: &str) -> Result<Routing, String> {
    let data = Labels::from([("routing".to_owned(), text.to_owned())]);
    let shown = |findings: Findings| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    Routing::read(&data).map_err(shown)
}

fn receivers(text: &str, notice: &Notice) -> Vec<String> {
    routing(text).unwrap().of(notice).map(|one| one.name.clone()).collect()
}

#[test]
fn what_a_destination_is_sent_follows_its_events() {
    let all = "destinations:
      - {name: usual, slack: {url: 'https://a.example.com'}}
      - {name: none, slack: {url: 'https://a.example.com'}, events: []}
      - {name: reason, slack: {url: 'https://a.example.com'}, events: [RolloutQueued, MetricFailed]}
      - {name: paused, slack: {url: 'https://a.example.com'}, events: [paused]}
      - {name: all, slack: {url: 'https://a.example.com'}, events: [all]}";
    let of = |event, occasion| receivers(all, &Notice { event, occasion, ..notice() });
    assert_eq!(of("RolloutAborted", Some(Occasion::Aborted)), ["usual", "all"]);
    assert_eq!(of("RolloutPaused", Some(Occasion::WaitsForPerson)), ["usual", "paused", "all"]);
    assert_eq!(of("RolloutPaused", Some(Occasion::Paused)), ["paused", "all"]);
    assert_eq!(of("MetricFailed", None), ["reason", "all"]);
}

#[test]
fn the_example_is_read() {
    let read = routing(EXAMPLE).unwrap();
    let formats: Vec<_> = read.destinations.iter().map(|one| (one.format, one.timeout.as_secs())).collect();
    assert_eq!(formats, [(Format::Slack, 10), (Format::CloudEvents, 5), (Format::Teams, 10)]);
    let Text::Secret(reference) = &read.destinations[1].headers[0].1 else { panic!("{read:?}") };
    assert_eq!((reference.name.as_str(), reference.key.as_str()), ("audit", "token"));
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    let text = "destinations:
      - {name: A, slack: {url: 'https://u:p@a.example.com'}}
      - {name: b, slak: {url: 'https://a.example.com'}}
      - {name: c}
      - {name: d, slack: {url: 'ftp://a'}, teams: {url: 'https://a.example.com'}}
      - {name: e, webhook: {}}
      - {name: f, webhook: {url: 'https://a.example.com', urlFrom: {secretKeyRef: {name: x, key: y}}}}
      - name: g
        webhook:
          url: https://a.example.com
          timeoutSeconds: 60
          headers:
            - {key: Content-Type, value: text/plain}
            - {key: X-Token}
            - {key: Host, value: a}
            - {key: '{{args.x}}', value: a}
        events: [strated]
        message: '{{deployment}} {{verison}}'";
    insta::assert_snapshot!(routing(text).unwrap_err(), @r#"
    data[routing].destinations[0].name: "A": must be the name of an object: lower case letters, digits, '-' and '.', beginning and ending with a letter or digit, at most 253 characters
    data[routing].destinations[0].slack.url: "https://u:p@a.example.com": must not contain a user or password: send a header with valueFrom.secretKeyRef
    data[routing].destinations[1].slak: unknown field, did you mean "slack"?
    data[routing].destinations[2]: must have one of slack, teams, webhook, cloudEvents
    data[routing].destinations[3].slack.url: "ftp://a": "ftp://a" is not an http or https URL
    data[routing].destinations[4].webhook: must have either url or urlFrom
    data[routing].destinations[5].webhook: must have either url or urlFrom
    data[routing].destinations[6].webhook.headers[0].key: "Content-Type": is set by Haldane and cannot be changed
    data[routing].destinations[6].webhook.headers[1]: must have either value or valueFrom
    data[routing].destinations[6].webhook.headers[2].key: "Host": is set by Haldane and cannot be changed
    data[routing].destinations[6].webhook.headers[3].key: "{{args.x}}": is not a header name
    data[routing].destinations[6].webhook.timeoutSeconds: "60": must be a whole number from 1 to 30
    data[routing].destinations[6].events[0]: "strated": must be all, a group (started, paused, waitsForPerson, promoted, aborted, replaced, blocked), or the reason of an Event of Haldane's
    data[routing].destinations[6].message: "{{deployment}} {{verison}}": has the unknown placeholder {{verison}}, allowed are namespace, deployment, event, occasion, message, next, revision, phase, step, steps, weight, stableImages, canaryImages
    "#);
}

#[test]
fn two_destinations_of_one_name_and_too_many_are_refused() {
    let one = |name: &str| format!("{{name: {name}, slack: {{url: 'https://a.example.com'}}}}");
    let twice = routing(&format!("destinations: [{}, {}]", one("a"), one("a"))).unwrap_err();
    assert_eq!(twice, "data[routing].destinations[1].name: \"a\": is the name of an earlier destination");
    let many = (0..21).map(|index| one(&format!("a{index}"))).collect::<Vec<_>>().join(", ");
    assert_eq!(
        routing(&format!("destinations: [{many}]")).unwrap_err(),
        "data[routing]: may have at most 20 destinations"
    );
}

#[test]
fn a_routing_that_takes_much_memory_is_refused_however_short_it_is_written() {
    let with = |headers: &str| {
        format!("destinations: [{{name: a, slack: {{url: 'https://a', headers: {headers}}}}}]")
    };
    let long = "x".repeat(60_000);
    let kib = "x".repeat(8 << 10);
    for (text, problem) in [
        (
            with(&format!("[{{key: A, value: {long}{long}}}]")),
            ": \"120082 bytes\": may have at most 65536 bytes",
        ),
        (
            with(&format!("[{{key: A, value: &a {long}}}, {{key: B, value: *a}}]")),
            ": \"120059 bytes\": may have at most 65536 bytes, aliases counted",
        ),
        (
            with(&format!("[{{key: A, value: {long}}}]")),
            ".destinations[0].slack.headers[0].value: may have at most 8192 bytes",
        ),
        (
            with(&format!("[{}]", vec!["{key: A, value: a}"; 21].join(", "))),
            ".destinations[0].slack.headers: may have at most 20 headers",
        ),
        (
            format!("destinations: [{{name: a, slack: {{url: 'https://a/{long}'}}}}]"),
            ".destinations[0].slack.url: may have at most 8192 bytes",
        ),
    ] {
        let refused = routing(&text).unwrap_err();
        assert_eq!(refused, format!("data[routing]{problem}"));
    }
    assert!(routing(&with(&format!("[{{key: A, value: {kib}}}]"))).is_ok());
}

#[test]
fn a_host_that_is_not_allowed_is_refused_where_it_is_written_down() {
    let text = "destinations:
      - {name: a, slack: {urlFrom: {secretKeyRef: {name: chat, key: url}}}}
      - {name: b, webhook: {url: 'http://vault.vault/x'}}";
    let hosts = HostPolicy { notified: vec!["hooks.slack.com".parse().unwrap()], ..HostPolicy::default() };
    let refused = routing(text).unwrap().refused(&hosts.of_notifications());
    assert_eq!(
        refused.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "data[routing].destinations[1].webhook.url: \"http://vault.vault/x\": vault.vault is not among the allowed notification hosts; an administrator allows it with --notification-hosts-allowed"
        ]
    );
}
