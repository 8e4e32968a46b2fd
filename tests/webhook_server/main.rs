//! The webhook's server as its peers meet it: over TLS, well-behaved and not.
// The lints allow it in test functions; their helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod hostile;
mod server;

use haldane::{
    runtime::{http::Limits, shutdown::Phase},
    webhook::server::TIME_LIMIT,
};
use reqwest::{Client, ClientBuilder, Version};
use serde_json::Value;
use server::{PATIENCE, Server, ask, eventually, pem, review, within};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A limit for which waiting takes no time worth speaking of.
const MOMENT: Duration = Duration::from_millis(200);

type Protocol = fn(ClientBuilder) -> ClientBuilder;
const PROTOCOLS: [(Protocol, Version); 2] =
    [(ClientBuilder::http1_only, Version::HTTP_11), (|client| client, Version::HTTP_2)];

async fn post_json(client: &Client, url: &str, body: &Value) -> reqwest::Result<Value> {
    client.post(url).json(body).send().await?.error_for_status()?.json().await
}

async fn post(client: &Client, url: String, name: &str) -> reqwest::Result<Value> {
    post_json(client, &url, &review(name)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn reviews_are_answered_over_both_protocols() {
    let server = Server::start(Limits::default()).await;
    for (protocol, version) in PROTOCOLS {
        let client = server.client(protocol);
        for (path, stage) in [("/mutate", "Mutate"), ("/validate?timeout=5s", "Validate"), ("/warn", "Warn")]
        {
            let response = client.post(server.url(path)).json(&review("web")).send().await.unwrap();
            assert_eq!((response.status().as_u16(), response.version()), (200, version));
            let answer: Value = response.json().await.unwrap();
            assert_eq!(answer["response"]["uid"], "u-1");
            assert_eq!(answer["response"]["warnings"][0], stage);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_leave_the_connection_usable() {
    let server = Server::start(Limits::default()).await;
    for (protocol, _) in PROTOCOLS {
        let client = server.client(protocol);
        let json = || client.post(server.url("/mutate")).header("Content-Type", "application/json");
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for (request, code) in [
            (client.get(server.url("/mutate")), 405),
            (client.post(server.url("/elsewhere")).body("{}"), 404),
            (client.post(server.url("/mutate")).body("{}"), 415),
            (json().body("{\"apiVersion\":"), 400),
            (json().body(deep), 400),
        ] {
            let response = request.send().await.unwrap();
            assert_eq!(response.status().as_u16(), code);
            assert_eq!(response.json::<Value>().await.unwrap()["code"], code);
        }
        post(&client, server.url("/mutate"), "web").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_body_is_refused_before_it_is_read() {
    let server = Server::start(Limits::default()).await;
    let client = server.client(|client| client);
    let request = client.post(server.url("/mutate")).header("Content-Type", "application/json");
    let response = request.body(vec![b' '; 64 << 20]).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 413);
    post(&client, server.url("/mutate"), "web").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_say_nothing_are_cut() {
    let server = Server::start(Limits { handshake: MOMENT, ..Limits::default() }).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    // Whether the end is orderly depends on what the client had sent; that it comes is the point.
    let _ = within("a connection without a handshake", silent.read_to_end(&mut Vec::new())).await;
    is_served(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_stop_halfway_are_cut() {
    let server = Server::start(Limits { idle: MOMENT, ..Limits::default() }).await;
    for beginning in ["", "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut stream = server.connect().await.unwrap();
        // On a busy machine it is cut before that.
        let _ = stream.write_all(beginning.as_bytes()).await;
        let _ = within("a connection without a request", stream.read_to_end(&mut Vec::new())).await;
    }
    is_served(&server).await;
}

/// Over both protocols, in the end: limits of a moment are short for a busy machine.
async fn is_served(server: &Server) {
    for (protocol, _) in PROTOCOLS {
        let client = server.client(protocol);
        let answered = async || post(&client, server.url("/mutate"), "web").await.is_ok();
        eventually("others are served", answered).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_comes_ends_with_the_time_limit() {
    let server = Server::answering_within(MOMENT, Limits::default()).await;
    let mut stream = server.connect().await.unwrap();
    let head =
        "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 128];
    let length = within("a request without a body", stream.read(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    // Its own limit is a second; the whole answer's may come first.
    let ended = ["HTTP/1.1 504 Gateway Timeout\r\n", "HTTP/1.1 408 Request Timeout\r\n"];
    assert!(ended.iter().any(|status| answer.starts_with(status)), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_hangs_costs_its_own_request_only() {
    let server = Server::answering_within(TIME_LIMIT, Limits::default()).await;
    let (client, url) = (server.client(|client| client), server.url("/mutate"));
    let hanging = tokio::spawn({
        let (client, url) = (client.clone(), url.clone());
        async move { post(&client, url, "endless").await }
    });
    eventually("the request is in work", async || server.handler.inside.load(SeqCst) == 1).await;
    eventually("another is answered", async || post(&client, url.clone(), "web").await.is_ok()).await;
    let hanging = within("the request that hangs", hanging).await.unwrap();
    assert_eq!(hanging.unwrap_err().status().unwrap().as_u16(), 504);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_defect_costs_its_own_request_only() {
    let server = Server::start(Limits::default()).await;
    for (protocol, _) in PROTOCOLS {
        let (client, url) = (server.client(protocol), server.url("/mutate"));
        let requests = ["web", "broken", "web"].map(|name| post(&client, url.clone(), name));
        let answers = futures::future::join_all(requests).await;
        let codes = answers.into_iter().map(|answer| {
            answer.map_or_else(|error| error.status().map(|code| code.as_u16()), |_| Some(200))
        });
        assert_eq!(codes.collect::<Vec<_>>(), [Some(200), Some(500), Some(200)]);
        // The same connection goes on.
        post(&client, server.url("/mutate"), "web").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_at_once_all_get_the_answer_to_their_own_request() {
    let server = Server::start(Limits::default()).await;
    for (protocol, _) in PROTOCOLS {
        let clients = [server.client(protocol), server.client(protocol), server.client(protocol)];
        let url = server.url("/mutate");
        let ask = async |number: usize| {
            let mut body = review("web");
            body["request"]["uid"] = format!("u-{number}").into();
            let answer = post_json(&clients[number % clients.len()], &url, &body).await.unwrap();
            assert_eq!(answer["response"]["uid"], format!("u-{number}"));
        };
        futures::future::join_all((0..100).map(ask)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dense_reviews_are_in_work_one_at_a_time_and_hold_up_no_other() {
    let server = Server::start(Limits::default()).await;
    let (client, url) = (server.client(|client| client), server.url("/mutate"));
    let mut dense = review("waiting");
    dense["request"]["object"] = vec![0; 600_000].into();
    let dense = || post_json(&client, &url, &dense);
    let open = async {
        eventually("a dense review is in work", async || server.handler.inside.load(SeqCst) == 1).await;
        post_json(&client, &url, &review("web")).await.unwrap();
        server.handler.gate.send_replace(true);
    };
    let (answers, ()) = tokio::join!(futures::future::join_all((0..5).map(|_| dense())), open);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    // The one dense review and the other one.
    assert_eq!(server.handler.most_inside.load(SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_wait_do_not_hold_up_those_being_read() {
    let server = Server::start(Limits::default()).await;
    let (client, url) = (server.client(|client| client), server.url("/mutate"));
    let mut body = review("web").to_string();
    body.push_str(&" ".repeat((3 << 20) - body.len()));
    let send = || client.post(&url).header("Content-Type", "application/json").body(body.clone()).send();
    for response in futures::future::join_all((0..8).map(|_| send())).await {
        assert_eq!(response.unwrap().status().as_u16(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_swapped_without_a_failed_handshake() {
    let server = Arc::new(Server::start(Limits::default()).await);
    let established = server.client(|client| client.pool_max_idle_per_host(1));
    post(&established, server.url("/mutate"), "web").await.unwrap();
    let leaves = [0, 1].map(|index| pem(&server.materials[index].chain).remove(0));
    // On a task of its own: in turns with the handshakes, each of these could meet the same certificate.
    let swapped = Arc::clone(&server);
    let swap = tokio::spawn(async move {
        for turn in [1, 0].into_iter().cycle() {
            swapped.live.install(&swapped.materials[turn]).unwrap();
            tokio::task::yield_now().await;
        }
    });
    let mut seen = [0, 0];
    let shake_hands = async {
        while seen.iter().sum::<usize>() < 300 || seen.contains(&0) {
            let stream = server.connect().await.unwrap();
            let (_, session) = stream.get_ref();
            let leaf = &session.peer_certificates().unwrap()[0];
            let which = leaves.iter().position(|known| known == leaf).expect("one of the two certificates");
            seen[which] += 1;
        }
    };
    within("300 handshakes, with both certificates", shake_hands).await;
    swap.abort();
    assert!(swap.await.unwrap_err().is_cancelled(), "every certificate could be installed");
    assert!(seen.iter().all(|count| *count > 0), "both were served: {seen:?}");
    post(&established, server.url("/mutate"), "web").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_at_shutdown_is_finished_and_no_other_accepted() {
    for (protocol, _) in PROTOCOLS {
        let server = Server::start(Limits::default()).await;
        let (client, url) = (server.client(protocol), server.url("/mutate"));
        let in_flight = tokio::spawn(async move { post(&client, url, "waiting").await });
        eventually("the request is in work", async || server.handler.inside.load(SeqCst) == 1).await;
        server.phase.send_replace(Phase::Stopping);
        eventually("the port is closed", async || TcpStream::connect(server.address).await.is_err()).await;
        assert!(!server.ended.is_finished(), "the server waits for the request");
        server.handler.gate.send_replace(true);
        within("the request", in_flight).await.unwrap().unwrap();
        within("the server", server.ended).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_outlasts_the_grace_does_not_hold_up_shutdown() {
    let server = Server::start(Limits { grace: MOMENT, ..Limits::default() }).await;
    let (client, url) = (server.client(|client| client), server.url("/mutate"));
    let endless = tokio::spawn(async move { post(&client, url, "endless").await });
    eventually("the request is in work", async || server.handler.inside.load(SeqCst) == 1).await;
    server.phase.send_replace(Phase::Stopping);
    within("the server", server.ended).await.unwrap();
    endless.await.unwrap().unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_is_given_up_with_an_answer() {
    let server = Server::start(Limits::default()).await;
    let (mut used, mut unused) = (server.connect().await.unwrap(), server.connect().await.unwrap());
    let before = ask(&mut used, "web").await.unwrap();
    assert!(!before.contains("connection: close"), "{before}");
    server.phase.send_replace(Phase::Draining);
    // Both belong to a peer that has not heard of it.
    for stream in [&mut used, &mut unused] {
        let last = ask(stream, "web").await.unwrap();
        assert!(last.starts_with("http/1.1 200") && last.contains("connection: close"), "{last}");
        let end = within("the end of the connection", stream.read_to_end(&mut Vec::new())).await;
        assert_eq!(end.unwrap(), 0, "nothing comes after it");
    }
    // Nor has one that connects now.
    let late = ask(&mut server.connect().await.unwrap(), "web").await.unwrap();
    assert!(late.starts_with("http/1.1 200"), "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_while_the_server_drains() {
    for (protocol, _) in PROTOCOLS {
        let server = Server::start(Limits::default()).await;
        let (client, url) = (server.client(protocol), server.url("/mutate"));
        let requests = (0..60).map(async |number| {
            if number == 20 {
                server.phase.send_replace(Phase::Draining);
            }
            post(&client, url.clone(), "web").await.unwrap();
        });
        futures::StreamExt::collect::<()>(futures::StreamExt::buffered(futures::stream::iter(requests), 4))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_opened_just_before_the_end_may_ask_once() {
    let server = Server::start(Limits { grace: PATIENCE, ..Limits::default() }).await;
    let mut stream = server.connect().await.unwrap();
    server.phase.send_replace(Phase::Stopping);
    eventually("the port is closed", async || TcpStream::connect(server.address).await.is_err()).await;
    let last = ask(&mut stream, "web").await.unwrap();
    assert!(last.starts_with("http/1.1 200") && last.contains("connection: close"), "{last}");
    within("the server", server.ended).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_connection_takes_the_place_of_the_one_idle_for_longest() {
    let server = Server::start(Limits { connections: 2, idle: 2 * PATIENCE, ..Limits::default() }).await;
    let (mut first, mut second) = (server.connect().await.unwrap(), server.connect().await.unwrap());
    ask(&mut first, "web").await.unwrap();
    ask(&mut second, "web").await.unwrap();
    let mut third = within("a third connection", server.connect()).await.unwrap();
    let end = within("the end of the first", first.read_to_end(&mut Vec::new())).await;
    assert_eq!(end.unwrap(), 0, "in order, and with nothing under way");
    // One place was needed, and one was taken.
    ask(&mut second, "web").await.unwrap();
    ask(&mut third, "web").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_in_use_make_room_with_their_next_answer() {
    let limits = Limits { connections: 2, idle: 2 * PATIENCE, spare: 2 * PATIENCE, ..Limits::default() };
    let server = Server::start(limits).await;
    let done = Arc::new(AtomicBool::new(false));
    let busy = [server.connect().await.unwrap(), server.connect().await.unwrap()].map(|mut stream| {
        let done = Arc::clone(&done);
        tokio::spawn(async move {
            let mut last = String::new();
            while !done.load(SeqCst) && !last.contains("connection: close") {
                last = ask(&mut stream, "web").await.expect("an answer: nothing under way is cut");
                assert!(last.starts_with("http/1.1 200"), "{last}");
            }
            last
        })
    });
    let third = async { ask(&mut server.connect().await.unwrap(), "web").await.unwrap() };
    let third = within("a third client", third).await;
    assert!(third.starts_with("http/1.1 200"), "{third}");
    done.store(true, SeqCst);
    let [first, second] = busy;
    let last = [first.await.unwrap(), second.await.unwrap()];
    assert!(last.iter().any(|head| head.contains("connection: close")), "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_cannot_take_the_places_of_others() {
    let server = Server::start(Limits { per_peer: 2, idle: 2 * PATIENCE, ..Limits::default() }).await;
    let (mut first, mut second) = (server.connect().await.unwrap(), server.connect().await.unwrap());
    // Whether the end comes within the handshake or after it depends on who is faster.
    assert!(within("the end of a third", server.connect()).await.is_err());
    ask(&mut first, "web").await.unwrap();
    ask(&mut second, "web").await.unwrap();
    drop(first);
    eventually("its place is given again", async || server.connect().await.is_ok()).await;
}
