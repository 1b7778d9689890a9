//! The three servers, held to the same: what they are sent, what they answer, and what they tell of it.

mod common;

use common::{NotHere, PATIENCE, Peer, Program, Told, field, get, pattern};
use std::io::Read as _;
use std::thread;
use std::time::{Duration, Instant};

const EPOLL: &str = env!("CARGO_BIN_EXE_epoll_server");
const TOKIO: &str = env!("CARGO_BIN_EXE_tokio_server");
const URING: &str = env!("CARGO_BIN_EXE_io_uring_server");

/// Runs a test with each server that runs here.
fn each(arguments: &[&str], test: impl Fn(&str, Program)) {
    for path in [EPOLL, TOKIO, URING] {
        match Program::try_start(path, arguments) {
            Ok(program) => test(path, program),
            Err(NotHere(why)) if path == URING => println!("not tested: {why}"),
            Err(NotHere(why)) => panic!("{path}: {why}"),
        }
    }
}

fn is_greeting(peer: &mut Peer) -> String {
    let (head, content) = peer.response();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(content, b"Hello, World!");
    assert!(field(&head, "date").is_some_and(|date| date.ends_with(" GMT")), "{head}");
    head
}

#[test]
fn requests_are_answered_one_by_one_and_in_heaps() {
    each(&["--idle", "60"], |_, program| {
        let mut peer = program.connect();
        for _ in 0..3 {
            peer.send(get("/", ""));
            is_greeting(&mut peer);
        }
        // More than any buffer holds, in pieces that end anywhere.
        let heap = get("/", "X-Filler: abcdefghijklmnopqrstuvwxyz\r\n").repeat(2000);
        let mut sender = Peer(peer.0.try_clone().expect("a clone"));
        let sending = thread::spawn(move || {
            for piece in heap.as_bytes().chunks(4099) {
                sender.send(piece);
            }
        });
        let mut answered = 3;
        while answered < 1000 {
            let head = is_greeting(&mut peer);
            answered += 1;
            // S4: exactly a thousand, of which the last says so.
            assert_eq!(head.contains("Connection: close"), answered == 1000, "{head}");
        }
        let (rest, _) = peer.rest();
        assert_eq!(rest, "");
        sending.join().expect("all of it was taken, if only to be thrown away");
        drop(peer);
        let told = program.end();
        told.is_complete();
        assert_eq!(told.number("requests"), 1000);
        assert_eq!(told.number("close RequestLimit"), 1);
    });
}

#[test]
fn content_goes_both_ways_at_once_and_waits_for_the_slower_side() {
    each(&[], |path, program| {
        let content = pattern(9_000_000);
        for chunked in [false, true] {
            let mut peer = program.connect();
            let framing = match chunked {
                false => format!("Content-Length: {}", content.len()),
                true => "Transfer-Encoding: chunked".into(),
            };
            peer.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
            let mut sender = Peer(peer.0.try_clone().expect("a clone"));
            let to_send = content.clone();
            let sending = thread::spawn(move || {
                if !chunked {
                    return sender.send(to_send);
                }
                for piece in to_send.chunks(100_003) {
                    sender.send(format!("{:x}\r\n", piece.len()));
                    sender.send(piece);
                    sender.send("\r\n");
                }
                sender.send("0\r\n\r\n");
            });
            // Long enough that every buffer between the two is full.
            thread::sleep(Duration::from_millis(200));
            let head = peer.head();
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let got = if chunked { dechunked(&mut peer) } else { peer.content(content.len()) };
            assert!(got == content, "{path}: chunked {chunked}: the echo differs");
            sending.join().expect("it took all of it");
            // And the connection is as good as new.
            peer.send(get("/", "Connection: close\r\n"));
            is_greeting(&mut peer);
            assert_eq!(peer.rest(), (String::new(), false));
        }
        program.end().is_complete();
    });
}

fn dechunked(peer: &mut Peer) -> Vec<u8> {
    let mut content = Vec::new();
    loop {
        let mut size = String::new();
        while !size.ends_with("\r\n") {
            size.push(char::from(peer.content(1)[0]));
        }
        let size = usize::from_str_radix(size.trim_end(), 16).expect("a size");
        content.extend(peer.content(size));
        assert_eq!(peer.content(2), b"\r\n");
        if size == 0 {
            return content;
        }
    }
}

#[test]
fn a_large_response_waits_for_a_client_that_is_slow_to_read_it() {
    each(&[], |_, program| {
        let mut peer = program.connect();
        peer.send(get("/bytes/30000000", "") + &get("/", ""));
        thread::sleep(Duration::from_millis(300));
        let (head, content) = peer.response();
        assert!(head.contains("Content-Length: 30000000\r\n"), "{head}");
        assert!(content.iter().all(|&b| b == b'k'));
        is_greeting(&mut peer);
        // Once more, with nothing behind it that would keep the loop going.
        peer.send(get("/bytes/30000000", ""));
        assert_eq!(peer.response().1.len(), 30_000_000);
        // HEAD: the length, and nothing behind it.
        peer.send("HEAD /bytes/30000000 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned() + &get("/", ""));
        assert!(peer.head().contains("Content-Length: 30000000\r\n"));
        is_greeting(&mut peer);
        drop(peer);
        let told = program.end();
        told.is_complete();
        assert_eq!(told.number("close PeerClosed"), 1);
    });
}

#[test]
fn hundreds_of_connections_live_side_by_side() {
    each(&[], |_, program| {
        let mut peers: Vec<Peer> = (0..300).map(|_| program.connect()).collect();
        for round in 0..3 {
            for peer in &mut peers {
                peer.send(get("/", "").repeat(5));
            }
            for peer in &mut peers {
                for _ in 0..5 {
                    is_greeting(peer);
                }
            }
            assert!(round < 3);
        }
        drop(peers);
        let told = program.end();
        told.is_complete();
        assert_eq!(told.number("requests"), 300 * 15);
        assert_eq!(told.number("connections"), 300);
        assert_eq!(told.number("close PeerClosed"), 300);
    });
}

#[test]
fn what_peers_do_wrong_is_answered_and_counted() {
    each(&[], |path, program| {
        let mut garbage = program.connect();
        garbage.send("this is no HTTP\r\n\r\n");
        let head = garbage.head();
        assert!(head.starts_with("HTTP/1.1 400 ") && head.contains("Connection: close"), "{head}");
        assert_eq!(garbage.rest().0, "");

        let mut smuggler = program.connect();
        smuggler.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n");
        smuggler.send("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        assert!(smuggler.head().starts_with("HTTP/1.1 400 "));
        drop(smuggler);

        // Gone in the middle of a head, and in the middle of a response that is not read.
        let mut short = program.connect();
        short.send("GET / HT");
        short.half_close();
        assert_eq!(short.rest(), (String::new(), false));
        let mut gone = program.connect();
        gone.send(get("/bytes/100000000", ""));
        gone.head();
        gone.reset();
        // An echo that breaks off is not made whole.
        let mut broken = program.connect();
        broken.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
        let head = broken.head();
        assert!(head.contains("Content-Length: 10"), "{head}");
        broken.half_close();
        let (rest, reset) = broken.rest();
        assert!(rest.len() < 10 && reset, "{path}: {rest}, reset {reset}");

        let told = program.end();
        told.is_complete();
        assert_eq!(told.number("connections"), 5, "{path}");
        assert_eq!(told.number("close Refused"), 2, "{path}: {}", told.0);
        assert_eq!(told.number("failure CodingWithLength"), 1, "{}", told.0);
        assert_eq!(told.number("failure IncompleteHead"), 1, "{}", told.0);
        assert_eq!(told.number("failure IncompleteContent"), 1, "{}", told.0);
        assert_eq!(told.number("close TransportLost"), 1, "{}", told.0);
    });
}

#[test]
fn idle_connections_end_in_silence_and_in_time() {
    each(&["--idle", "0.5"], |_, program| {
        let mut peers: Vec<Peer> = (0..20).map(|_| program.connect()).collect();
        let begun = Instant::now();
        for peer in &mut peers {
            peer.send(get("/", ""));
            is_greeting(peer);
        }
        for peer in &mut peers {
            assert_eq!(peer.rest(), (String::new(), false));
        }
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(500), "{took:?}");
        assert!(took < Duration::from_secs(5), "{took:?}");
        drop(peers);
        let told = program.end();
        told.is_complete();
        assert_eq!(told.number("close IdleTimeout"), 20, "{}", told.0);
    });
}

/// 408 to half a head; to none at all, silence.
#[test]
fn a_head_must_be_complete_in_time() {
    for path in [EPOLL, URING] {
        let Ok(program) = Program::try_start(path, &["--head", "0.4"]) else { continue };
        let (mut half, mut dripping, mut none) =
            (program.connect(), program.connect(), program.connect());
        half.send("GET / HTTP/1.1\r\nHo");
        for octet in get("/", "").as_bytes().iter().take(8) {
            dripping.send([*octet]);
            thread::sleep(Duration::from_millis(30));
        }
        assert!(half.head().starts_with("HTTP/1.1 408 "));
        assert!(dripping.head().starts_with("HTTP/1.1 408 "));
        assert_eq!(none.rest(), (String::new(), false));
        drop((half, dripping, none));
        let told = program.end();
        told.is_complete();
        assert_eq!(told.number("close HeadTimeout"), 2, "{}", told.0);
        assert_eq!(told.number("close Unused"), 1, "{}", told.0);
    }
}

#[test]
fn a_drain_loses_nobody() {
    each(&[], |_, program| {
        let mut idle = program.connect();
        idle.send(get("/", ""));
        is_greeting(&mut idle);
        let mut new = program.connect();
        let mut busy = program.connect();
        busy.send(get("/bytes/30000000", ""));
        let head = busy.head();
        assert!(!head.contains("close"), "{head}");

        program.terminate();
        thread::sleep(Duration::from_millis(150));
        // Its last response promised persistence a moment ago, so its next request is served; and a
        // first one may have been on the way.
        idle.send(get("/", ""));
        assert!(is_greeting(&mut idle).contains("Connection: close"));
        assert_eq!(idle.rest().0, "");
        new.send(get("/", ""));
        assert!(is_greeting(&mut new).contains("Connection: close"));
        assert_eq!(new.rest().0, "");
        // What has begun is finished.
        assert_eq!(busy.content(30_000_000).len(), 30_000_000);
        assert_eq!(busy.rest().0, "");
        drop((idle, new, busy));
        let told = program.account();
        told.is_complete();
        assert_eq!(told.number("requests"), 4);
        assert_eq!(told.number("close Draining"), 3, "{}", told.0);
    });
}

#[test]
fn a_drain_ends_idle_connections_after_a_second() {
    each(&["--for", "0.2"], |_, program| {
        let mut used = program.connect();
        used.send(get("/", ""));
        is_greeting(&mut used);
        let mut new = program.connect();
        let begun = Instant::now();
        assert_eq!(used.rest(), (String::new(), false));
        assert_eq!(new.rest(), (String::new(), false));
        drop((used, new));
        let told: Told = program.account();
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        told.is_complete();
        assert_eq!(told.number("close Draining"), 2, "{}", told.0);
    });
}

/// An answer that takes its time is given when no event comes; and a drain waits for it.
#[test]
fn an_application_may_take_its_time() {
    let program = Program::start(TOKIO, &[]);
    let mut slow = program.connect();
    // What is pipelined behind it waits.
    slow.send(get("/after/700", "") + &get("/", ""));
    let mut gone = program.connect();
    gone.send(get("/after/500", ""));
    thread::sleep(Duration::from_millis(100));
    gone.reset();
    program.terminate();
    let begun = Instant::now();
    let (head, content) = slow.response();
    assert_eq!(content, b"GET, after 700 ms\n");
    assert!(begun.elapsed() > Duration::from_millis(300));
    assert!(head.contains("Connection: close"), "{head}");
    let mut more = Vec::new();
    let _ = slow.0.read_to_end(&mut more);
    assert_eq!(more, b"");
    let told = program.account();
    told.is_complete();
    assert_eq!(told.number("requests"), 2);
    assert_eq!(told.number("close TransportLost"), 1, "{}", told.0);
    assert!(begun.elapsed() < PATIENCE);
}
