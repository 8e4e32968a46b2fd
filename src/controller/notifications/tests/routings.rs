//! When the routing is read, and what applies when it cannot be.

use super::*;

fn blocked() -> Notice {
    notice("PodsUnavailable", Some(Occasion::Blocked))
}

#[tokio::test]
async fn the_first_notice_of_a_term_arrives_whatever_it_is() {
    let (address, mut requests) = receiver(&[Manner::Answer(200)]).await;
    let api = Api::with(&routing(address, ""));
    let (notifier, _events) = notifier_of(&api, Notifications::default());
    for event in ["PodsUnavailable", "WriteRefused", "MetricFailed"] {
        notifier.notify(&owner(), notice(event, None));
        assert_eq!(next(&mut requests).await, format!("/in  {event}"));
    }
    assert_eq!(api.reads("haldane-notifications"), 1, "the others cost no request");
}

#[tokio::test]
async fn a_namespace_without_a_routing_costs_one_read_of_each_place() {
    let api = Api::default();
    let (notifier, mut events) = notifier_of(&api, Notifications::default());
    for _ in 0..5 {
        notifier.notify(&owner(), blocked());
    }
    drop(notifier);
    assert_eq!(tokio::time::timeout(LIMIT, events.recv()).await, Ok(None), "nothing is lost");
    assert_eq!(api.reads("haldane-notifications"), 2);
}

#[tokio::test]
async fn an_api_server_that_is_away_loses_nothing() {
    let (address, mut requests) = receiver(&[Manner::Answer(200)]).await;
    let api = Api::with(&routing(address, ""));
    *lock(&api.failures) = 2;
    let (notifier, mut events) = notifier_of(&api, Notifications::default());
    notifier.notify(&owner(), notice("RolloutUpdated", Some(Occasion::Started)));
    assert_eq!(next(&mut requests).await, "/in  RolloutUpdated", "the reading is repeated");
    *lock(&api.failures) = usize::MAX;
    notifier.notify(&owner(), notice("RolloutAborted", Some(Occasion::Aborted)));
    assert_eq!(next(&mut requests).await, "/in  RolloutAborted", "the routing is as it was");
    assert!(events.try_recv().is_err(), "nothing is lost");
}

#[tokio::test]
async fn an_api_server_that_stays_away_is_reported() {
    let api = Api::default();
    *lock(&api.failures) = usize::MAX;
    let (notifier, mut events) = notifier_of(&api, Notifications::default());
    notifier.notify(&owner(), notice("RolloutAborted", Some(Occasion::Aborted)));
    assert_eq!(
        next(&mut events).await,
        "\"NotificationFailed\" \"RolloutAborted was not sent: the routing cannot be read: away\""
    );
}

#[tokio::test]
async fn what_the_queue_has_no_room_for_is_reported_and_counted() {
    let api = Api { hangs: true, ..Api::default() };
    let counted = Notifications::default();
    let (notifier, mut events) = notifier_of(&api, counted.clone());
    for _ in 0..300 {
        notifier.notify(&owner(), notice("RolloutAborted", Some(Occasion::Aborted)));
    }
    assert_eq!(
        next(&mut events).await,
        "\"NotificationFailed\" \"RolloutAborted was not sent: 256 others wait for the API server\""
    );
    assert_eq!(counted.lost(), 300 - 256);
    assert!(events.try_recv().is_err(), "one Event for each release");
}
