//! Client and relay: against servers of this package, and against servers that the test itself is, which
//! do what no decent server does at the worst moment.

mod common;

use common::{Peer, Program, Told, field, get, listen, pattern};
use std::net::TcpListener;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const SERVER: &str = env!("CARGO_BIN_EXE_epoll_server");
const CLIENT: &str = env!("CARGO_BIN_EXE_tokio_client");
const RELAY: &str = env!("CARGO_BIN_EXE_relay");

/// Runs the client to its end: whether it was content, and what it told.
fn client(arguments: &[&str]) -> (bool, Told) {
    let done = Command::new(CLIENT).args(arguments).output().expect("it was built");
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    (done.status.success(), Told(String::from_utf8_lossy(&done.stdout).into_owned()))
}

/// A server that is played by the test: each connection by the next of the scripts.
fn origin<const N: usize>(scripts: [fn(&mut Peer); N]) -> (String, JoinHandle<()>) {
    let (listener, address) = listen();
    let playing = thread::spawn(move || {
        let begun = Instant::now();
        for script in scripts {
            let mut peer = accept(&listener, begun);
            script(&mut peer);
        }
    });
    (address, playing)
}

fn accept(listener: &TcpListener, begun: Instant) -> Peer {
    listener.set_nonblocking(true).expect("an option");
    loop {
        match listener.accept() {
            Ok((sock, _)) => {
                sock.set_nonblocking(false).expect("an option");
                return Peer::of(sock);
            }
            Err(_) => {
                assert!(begun.elapsed() < common::PATIENCE, "nobody connects");
                thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn relay_to(upstream: &str) -> Program {
    Program::start(RELAY, &["--upstream", upstream])
}

// ------------------------------------------------------------------------ the client

#[test]
fn many_requests_go_over_few_connections() {
    let server = Program::start(SERVER, &["--max-requests", "100"]);
    let url = format!("http://{}/", server.address);
    let (fine, told) = client(&[&url, "--requests", "2000", "--at-once", "4"]);
    assert!(fine, "{}", told.0);
    assert_eq!(told.number("status 200"), 2000);
    assert_eq!(told.number("octets"), 2000 * 13);
    assert_eq!(told.number("retries"), 0, "{}", told.0);
    assert_eq!(told.number("connections") + told.number("reused"), 2000);
    // Full ones, but for the last of each task.
    let made = told.number("connections");
    assert!((20..=24).contains(&made), "{}", told.0);
    let account = server.end();
    account.is_complete();
    assert_eq!(account.number("connections"), made);
}

#[test]
fn uploads_are_echoed_and_expectations_heeded() {
    let server = Program::start(SERVER, &[]);
    for more in [&[][..], &["--expect"][..]] {
        let url = format!("http://{}/echo", server.address);
        let mut arguments =
            vec![url.as_str(), "--requests", "6", "--at-once", "2", "--octets", "3000000"];
        arguments.extend(more);
        let (fine, told) = client(&arguments);
        assert!(fine, "{}", told.0);
        assert_eq!(told.number("octets"), 6 * 3_000_000);
        assert_eq!(told.number("connections"), 2, "{}", told.0);
    }
    // Nobody wants the content here: with an expectation none of it is sent.
    let url = format!("http://{}/none", server.address);
    let (fine, told) = client(&[&url, "--requests", "3", "--octets", "3000000", "--expect"]);
    assert!(fine, "{}", told.0);
    assert_eq!(told.number("status 404"), 3);
    server.end().is_complete();
}

/// Pauses longer than the server waits: each connection is found to be closed before it is used, and not
/// afterwards.
#[test]
fn idle_connections_that_were_closed_are_noticed_in_time() {
    let server = Program::start(SERVER, &["--idle", "0.3"]);
    let url = format!("http://{}/", server.address);
    let (fine, told) = client(&[&url, "--requests", "8", "--at-once", "2", "--pause", "600"]);
    assert!(fine, "{}", told.0);
    assert_eq!(told.number("status 200"), 8);
    assert_eq!((told.number("connections"), told.number("stale")), (8, 6), "{}", told.0);
    assert_eq!(told.number("retries"), 0);
    server.end().is_complete();
}

#[test]
fn a_verdict_decides_about_a_retry() {
    // Both serve one request and close as the second comes, unanswered: it crossed the close.
    let first: fn(&mut Peer) = |peer| {
        peer.head();
        peer.send(OK);
        peer.head();
    };
    let second: fn(&mut Peer) = |peer| {
        let head = peer.head();
        assert!(head.starts_with("GET ") || head.starts_with("POST "), "{head}");
        peer.send(OK);
    };
    let (address, playing) = origin([first, second]);
    let url = format!("http://{address}/");
    let (fine, told) = client(&[&url, "--requests", "2"]);
    assert!(fine, "{}", told.0);
    assert_eq!((told.number("retries"), told.number("connections")), (1, 2), "{}", told.0);
    playing.join().expect("as it was played");

    // The same with a method that must not be repeated.
    let (address, playing) = origin([first]);
    let url = format!("http://{address}/");
    let (fine, told) = client(&[&url, "--requests", "2", "--method", "POST"]);
    assert!(!fine, "{}", told.0);
    assert_eq!((told.number("retries"), told.number("failures")), (0, 1), "{}", told.0);
    playing.join().expect("as it was played");
}

// ------------------------------------------------------------------------ the relay

#[test]
fn requests_go_through_a_relay_on_few_connections() {
    let server = Program::start(SERVER, &["--max-requests", "0"]);
    let relay = relay_to(&server.address.to_string());
    let mut peers: Vec<Peer> = (0..10).map(|_| relay.connect()).collect();
    for _ in 0..50 {
        for peer in &mut peers {
            peer.send(get("/", ""));
            let (head, content) = peer.response();
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert_eq!(field(&head, "via").as_deref(), Some("1.1 relay"));
            assert_eq!(content, b"Hello, World!");
        }
    }
    // Pipelined ones are answered in order, and 1.0 gets what 1.0 knows.
    let mut peer = relay.connect();
    peer.send(get("/bytes/1", "") + &get("/none", "") + &get("/bytes/2", ""));
    let lengths = [1, 10, 2].map(|_| peer.response().1.len());
    assert_eq!(lengths, [1, 10, 2]);
    let mut old = relay.connect();
    for _ in 0..2 {
        old.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert!(old.response().0.contains("Connection: keep-alive\r\n"));
    }
    old.send("GET / HTTP/1.0\r\n\r\n");
    assert!(old.response().0.contains("Connection: close\r\n"));
    assert_eq!(old.rest().0, "");
    drop((peers, peer, old));
    let told = relay.end();
    told.is_complete();
    assert_eq!(told.number("requests"), 506);
    assert_eq!(told.number("upstream connections"), 1, "{}", told.0);
    assert_eq!(told.number("own responses") + told.number("broken responses"), 0);
    server.end().is_complete();
}

#[test]
fn content_streams_through_a_relay_both_ways() {
    let server = Program::start(SERVER, &[]);
    let relay = relay_to(&server.address.to_string());
    let content = pattern(12_000_000);
    let mut peer = relay.connect();
    for _ in 0..2 {
        peer.send(format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            content.len()
        ));
        let mut sender = Peer(peer.0.try_clone().expect("a clone"));
        let to_send = content.clone();
        let sending = thread::spawn(move || sender.send(to_send));
        // Longer than it takes to fill every buffer on the way there and back.
        thread::sleep(Duration::from_millis(200));
        let (head, got) = peer.response();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(got == content, "the echo differs");
        sending.join().expect("it took all of it");
    }
    drop(peer);
    let told = relay.end();
    told.is_complete();
    assert_eq!(told.number("upstream connections"), 1, "{}", told.0);
    // It never held more than its buffers.
    assert!(told.number("resident loaded") < 40_000, "{}", told.0);
    server.end().is_complete();
}

#[test]
fn fields_of_one_hop_stay_there_and_trailers_go_on() {
    let (address, playing) = origin([|peer| {
        let head = peer.head();
        for line in ["Host: a\r\n", "A: 1\r\n", "Via: 1.1 edge\r\n", "Connection: keep-alive\r\n"] {
            assert!(head.contains(line), "{line} in {head}");
        }
        assert!(!head.contains("X-Hop") && !head.contains("close"), "{head}");
        assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
        // The relay cuts chunks as they come; the trailer is at the end.
        let mut content = String::new();
        while !content.ends_with("0\r\nSum: 7\r\n\r\n") {
            content.push(char::from(peer.content(1)[0]));
        }
        peer.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
        peer.send("HTTP/1.1 200 OK\r\nConnection: X-Own\r\nX-Own: 1\r\nB: 2\r\n");
        peer.send("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nSum: 8\r\n\r\n");
        // Kept for the next one.
        peer.head();
        peer.send(OK);
    }]);
    let relay = Program::start(RELAY, &["--upstream", &address, "--name", "edge"]);
    let mut peer = relay.connect();
    peer.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nA: 1\r\n");
    peer.send("Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nSum: 7\r\n\r\n");
    assert!(peer.head().starts_with("HTTP/1.1 103 "));
    let head = peer.head();
    assert!(head.contains("B: 2\r\n") && head.contains("Connection: close\r\n"), "{head}");
    assert!(!head.contains("X-Own") && head.contains("Date: "), "{head}");
    assert_eq!(peer.rest().0, "3\r\nabc\r\n0\r\nSum: 8\r\n\r\n");
    let mut peer = relay.connect();
    peer.send(get("/", ""));
    assert_eq!(peer.response().1, b"ok");
    playing.join().expect("as it was played");
    drop(peer);
    let told = relay.end();
    told.is_complete();
    assert_eq!(told.number("upstream connections"), 1, "{}", told.0);
}

#[test]
fn an_upgrade_becomes_a_tunnel() {
    let (address, playing) = origin([|peer| {
        let head = peer.head();
        assert!(head.contains("Upgrade: websocket\r\n"), "{head}");
        let options = field(&head, "connection").expect("options");
        assert!(options.contains("upgrade"), "{head}");
        // The first octets of the tunnel come with the switch.
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n");
        peer.send("Upgrade: websocket\r\n\r\nserver first");
        assert_eq!(peer.content(12), b"client first");
        let (rest, _) = peer.rest();
        assert_eq!(rest.len(), 100_000);
        peer.send(rest);
    }]);
    let relay = relay_to(&address);
    let mut peer = relay.connect();
    let upgrade = get("/", "Connection: upgrade\r\nUpgrade: websocket\r\n");
    peer.send(upgrade + "client first");
    let head = peer.head();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("Upgrade: websocket"), "{head}");
    assert_eq!(peer.content(12), b"server first");
    peer.send(vec![b'x'; 100_000]);
    peer.half_close();
    assert_eq!(peer.rest().0.len(), 100_000);
    playing.join().expect("as it was played");
    let told = relay.end();
    told.is_complete();
    assert_eq!(told.number("close Tunnel"), 1, "{}", told.0);
}

#[test]
fn a_relay_tries_again_what_is_safe_and_nothing_else() {
    // Serves one, and goes away as the second comes: as a server that is reloaded does.
    let fickle: fn(&mut Peer) = |peer| {
        peer.head();
        peer.send(OK);
        peer.head();
    };
    let steady: fn(&mut Peer) = |peer| {
        assert!(peer.head().starts_with("GET /two "));
        peer.send(OK);
    };
    let (address, playing) = origin([fickle, steady]);
    let relay = relay_to(&address);
    let mut peer = relay.connect();
    for target in ["/one", "/two"] {
        peer.send(get(target, ""));
        let (head, content) = peer.response();
        assert_eq!(content, b"ok", "{head}");
    }
    playing.join().expect("as it was played");
    drop(peer);
    let told = relay.end();
    assert_eq!(told.number("retries"), 1, "{}", told.0);

    // A POST is not made twice, and its client learns so.
    let (address, playing) = origin([fickle]);
    let relay = relay_to(&address);
    let mut peer = relay.connect();
    peer.send(get("/one", ""));
    peer.response();
    peer.send("POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    assert!(peer.response().0.starts_with("HTTP/1.1 502 "));
    playing.join().expect("as it was played");
    // Nor is anything made twice on a connection that was new: it would fail again.
    let (address, playing) = origin([|peer| drop(peer.head())]);
    let other = relay_to(&address);
    let mut peer = other.connect();
    peer.send(get("/", ""));
    assert!(peer.response().0.starts_with("HTTP/1.1 502 "));
    playing.join().expect("as it was played");
    // And where nobody listens any more there is nothing to be had.
    peer.send(get("/", ""));
    assert!(peer.response().0.starts_with("HTTP/1.1 502 "));
    drop(peer);
    assert_eq!(other.end().number("own responses"), 2);
    let told = relay.end();
    assert_eq!((told.number("retries"), told.number("own responses")), (0, 1), "{}", told.0);
}

#[test]
fn what_breaks_off_is_not_made_whole() {
    let (address, playing) = origin([
        |peer| {
            peer.head();
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
            thread::sleep(Duration::from_millis(100));
        },
        |peer| {
            // Half a request: it ends without the rest of its content.
            peer.head();
            let (content, _) = peer.rest();
            assert_eq!(content, "half");
        },
    ]);
    let relay = relay_to(&address);
    let mut peer = relay.connect();
    peer.send(get("/", ""));
    assert!(peer.head().contains("chunked"));
    let (rest, reset) = peer.rest();
    assert!(reset && !rest.contains("\r\n0\r\n"), "{rest}");

    let mut peer = relay.connect();
    peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    thread::sleep(Duration::from_millis(100));
    peer.reset();
    playing.join().expect("as it was played");
    let told = relay.end();
    told.is_complete();
    assert_eq!(told.number("broken responses"), 1, "{}", told.0);
}

#[test]
fn an_expectation_is_relayed_and_an_early_refusal_stops_the_upload() {
    let (address, playing) = origin([
        |peer| {
            assert!(peer.head().contains("Expect: 100-continue\r\n"));
            thread::sleep(Duration::from_millis(100));
            peer.send("HTTP/1.1 100 Continue\r\n\r\n");
            assert_eq!(peer.content(2), b"hi");
            peer.send(OK);
            // On the same connection: refused, and nothing of the content comes.
            assert!(peer.head().contains("Expect: 100-continue\r\n"));
            peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(peer.rest().0, "");
        },
        |peer| {
            // An upload that nobody asked for is refused in the middle.
            peer.head();
            peer.content(1000);
            peer.send("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            let _ = peer.rest();
        },
    ]);
    let relay = relay_to(&address);
    let mut peer = relay.connect();
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    peer.send(post);
    assert!(peer.head().starts_with("HTTP/1.1 100 "));
    peer.send("hi");
    let (head, content) = peer.response();
    assert_eq!(content, b"ok", "{head}");
    peer.send(post);
    let (head, _) = peer.response();
    // The client may or may not send its content now: the connection cannot go on.
    assert!(head.starts_with("HTTP/1.1 413 ") && head.contains("Connection: close"), "{head}");
    drop(peer);

    let mut peer = relay.connect();
    peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n");
    let mut sender = Peer(peer.0.try_clone().expect("a clone"));
    let sending = thread::spawn(move || {
        use std::io::Write as _;
        // More than fits anywhere on the way; less than a server is willing to throw away (S6.1).
        let _ = sender.0.write_all(&vec![b'x'; 8_000_000]);
    });
    let (head, _) = peer.response();
    assert!(head.starts_with("HTTP/1.1 403 ") && head.contains("Connection: close"), "{head}");
    let _ = peer.0.shutdown(std::net::Shutdown::Both);
    sending.join().expect("it ends");
    playing.join().expect("as it was played");
    drop(peer);
    relay.end().is_complete();
}

#[test]
fn a_relay_drains_and_loses_nobody() {
    let (address, playing) = origin([|peer| {
        peer.head();
        thread::sleep(Duration::from_millis(600));
        peer.send(OK);
    }]);
    let relay = relay_to(&address);
    let mut busy = relay.connect();
    busy.send(get("/", ""));
    let mut new = relay.connect();
    thread::sleep(Duration::from_millis(150));
    relay.terminate();
    let (head, content) = busy.response();
    assert_eq!(content, b"ok");
    assert!(head.contains("Connection: close\r\n"), "{head}");
    assert_eq!(busy.rest().0, "");
    assert_eq!(new.rest(), (String::new(), false));
    drop((busy, new));
    playing.join().expect("as it was played");
    let told = relay.account();
    told.is_complete();
    assert_eq!(told.number("close Draining"), 2, "{}", told.0);
}
