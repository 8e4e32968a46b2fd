//! Addresses and headers from Secrets.

use super::*;

fn with_key(address: SocketAddr, key: &str) -> String {
    let header = format!("{{key: Authorization, valueFrom: {{secretKeyRef: {{name: chat, key: {key}}}}}}}");
    routing(address, &format!("headers: [{header}]"))
}

#[tokio::test]
async fn a_secret_that_comes_later_is_waited_for() {
    let (address, mut requests) = receiver(&[Manner::Answer(200)]).await;
    let api = Api::with(&with_key(address, "token"));
    *lock(&api.missing) = 2;
    let (notifier, mut events) = notifier_of(&api, Notifications::default());
    notifier.notify(&owner(), notice("RolloutUpdated", Some(Occasion::Started)));
    assert_eq!(next(&mut requests).await, "/in Bearer t0k3n RolloutUpdated");
    assert!(events.try_recv().is_err(), "nothing is lost");
}

#[tokio::test]
async fn a_secret_that_stays_away_is_reported() {
    let (address, _requests) = receiver(&[Manner::Answer(200)]).await;
    let api = Api::with(&with_key(address, "token"));
    *lock(&api.missing) = usize::MAX;
    let (notifier, mut events) = notifier_of(&api, Notifications::default());
    notifier.notify(&owner(), notice("RolloutUpdated", Some(Occasion::Started)));
    let reported = next(&mut events).await;
    assert!(reported.contains("there is no secret \\\"chat\\\" in shop"), "{reported}");
    assert!(api.reads("secrets/chat") > 1, "it was tried again");
}

#[tokio::test]
async fn what_a_person_must_correct_in_a_secret_is_not_tried_again() {
    let (address, mut requests) = receiver(&[Manner::Answer(200)]).await;
    for (key, problem) in [
        ("absent", "secret \\\"chat\\\" has no key \\\"absent\\\""),
        ("lines", "the value of header \\\"Authorization\\\" must be one line of at most 8192 bytes"),
    ] {
        let api = Api::with(&with_key(address, key));
        let (notifier, mut events) = notifier_of(&api, Notifications::default());
        notifier.notify(&owner(), notice("RolloutUpdated", Some(Occasion::Started)));
        let reported = next(&mut events).await;
        assert!(reported.contains(problem) && !reported.contains("s3cret"), "{reported}");
        assert_eq!(api.reads("secrets/chat"), 1, "{key}");
    }
    assert!(requests.try_recv().is_err(), "nothing was sent");
}
