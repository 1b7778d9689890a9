//! The README's loop is the one in `examples/readme.rs`, and it works.
#![allow(clippy::print_stdout)]

#[path = "../examples/readme.rs"]
mod readme;

use keepalive::CloseReason;
use std::io::{Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

const README: &str = include_str!("../README.md");
const EXAMPLE: &str = include_str!("../examples/readme.rs");

#[test]
fn the_loop_of_the_readme_is_the_one_that_is_tested() {
    let (_, rest) = EXAMPLE.split_once("// README begins\n").expect("the beginning");
    let (code, _) = rest.split_once("// README ends").expect("the end");
    assert!(README.contains(&format!("```rust\n{code}```")), "README and example differ");
}

/// A connection to the loop, and what it came to.
fn served() -> (TcpStream, JoinHandle<Result<CloseReason>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = std::thread::spawn(move || {
        let (sock, _) = listener.accept().expect("a connection");
        readme::run(sock)
    });
    let sock = TcpStream::connect(address).expect("a server");
    sock.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
    (sock, server)
}

#[test]
fn the_loop_keeps_a_connection_and_closes_it_when_asked() {
    let (mut sock, server) = served();
    let get = |target: &str, more: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{more}\r\n");
    for target in ["/one", "/two", "/three"] {
        sock.write_all(get(target, "").as_bytes()).expect("a request");
        let mut answer = vec![0; 64 + target.len()];
        sock.read_exact(&mut answer).expect("an answer");
        let answer = String::from_utf8(answer).expect("text");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains(&format!("Content-Length: {}\r\n", target.len())), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{target}")), "{answer}");
    }
    sock.write_all(get("/bye", "Connection: close\r\n").as_bytes()).expect("a request");
    let mut rest = String::new();
    sock.read_to_string(&mut rest).expect("the rest");
    assert!(rest.contains("Connection: close\r\n") && rest.ends_with("/bye"), "{rest}");
    let _ = sock.shutdown(Shutdown::Both);
    let why = server.join().expect("a server that does not panic").expect("a reason");
    assert_eq!(why, CloseReason::PeerSaidClose);
}

/// A 2xx would make the connection a tunnel, and has no content (RFC 9110 §9.3.6).
#[test]
fn the_loop_refuses_connect_with_an_answer() {
    let (mut sock, server) = served();
    sock.write_all(b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
    let mut answer = String::new();
    sock.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 501 Not Implemented\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\na:443"), "{answer}");
    drop(sock);
    let why = server.join().expect("a server that does not panic").expect("a reason");
    assert_eq!(why, CloseReason::ConnectRefused);
}

/// A remote peer must not be able to end the loop by asking for much at once.
#[test]
fn the_loop_answers_large_pipelined_requests() {
    let (mut sock, server) = served();
    let target = format!("/{}", "k".repeat(8000));
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let last = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    sock.write_all((request.repeat(9) + &last).as_bytes()).expect("ten requests");
    let mut answers = String::new();
    sock.read_to_string(&mut answers).expect("ten answers");
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 10);
    assert_eq!(answers.matches(&target).count(), 10);
    drop(sock);
    server.join().expect("a server that does not panic").expect("a reason");
}
