//! What the buffered layer adds to the core: its cursors, and when it has nothing more to write.

use keepalive::buffered::{Client, Server};
use keepalive::client::{self, Reuse};
use keepalive::server;
use keepalive::{Content, End, Instant, Io, Lost, NO_FIELDS};

const NOW: Instant = Instant::from_micros(0);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn feed_server(http: &mut Server<Vec<u8>>, bytes: &[u8]) {
    http.space().expect("space")[..bytes.len()].copy_from_slice(bytes);
    http.received(NOW, Io::Done(bytes.len()));
}

fn feed_client(http: &mut Client<Vec<u8>>, bytes: &[u8]) {
    http.space().expect("space")[..bytes.len()].copy_from_slice(bytes);
    http.received(NOW, Io::Done(bytes.len()));
}

fn asked(http: &mut Client<Vec<u8>>) {
    http.out(NOW).request("GET", "/", [("Host", "a")], Content::None).expect("a request");
}

type Way = fn(&mut Server<Vec<u8>>, Instant);

/// Every way in which an abort can come leaves nothing to be written.
#[test]
fn an_aborted_connection_has_no_output() {
    let later = Instant::from_millis(10_000_000);
    let ways: [Way; 5] = [
        |http, _| http.received(NOW, Io::Lost(Lost::Reset)),
        |http, _| http.transmitted(NOW, Io::Lost(Lost::Write)),
        |http, later| http.expire(later),
        |http, later| http.received(later, Io::Nothing),
        |http, later| while http.next(later, usize::MAX).0.is_some() {},
    ];
    for (n, way) in ways.into_iter().enumerate() {
        let mut http = Server::allocate(&server::Config::origin(), NOW);
        feed_server(&mut http, GET);
        while let (Some(event), mut out) = http.next(NOW, usize::MAX) {
            if let server::Event::Request(_) = event {
                out.reply(200, NO_FIELDS, b"hello").expect("an answer");
            }
        }
        assert!(!http.output().is_empty());
        way(&mut http, later);
        assert!(matches!(http.wants().end, Some(End::Abort(_))), "way {n}: {:?}", http.wants());
        assert_eq!(http.output(), b"", "way {n}");
    }
}

/// A request that is judged as not sent must not be sent any more.
#[test]
fn a_client_that_is_over_has_no_output() {
    let mut http = Client::allocate(&client::Config::direct(), NOW);
    asked(&mut http);
    let n = http.output().len();
    http.transmitted(NOW, Io::Done(n));
    feed_client(&mut http, b"HTTP/1.1 204 No Content\r\n\r\n");
    while http.next(NOW, usize::MAX).0.is_some() {}
    assert!(matches!(http.checkout(NOW, |_| Io::Nothing), Reuse::Ready { .. }));
    asked(&mut http);
    assert!(!http.output().is_empty());
    http.received(NOW, Io::Done(0));
    assert!(matches!(http.next(NOW, usize::MAX).0, Some(client::Event::Failed(_))));
    assert!(http.retry(0).expect("a verdict").allows(true));
    assert!(matches!(http.wants().end, Some(End::Close(_))));
    assert_eq!(http.output(), b"");
}

/// A full receive buffer must not make a read look like EOF.
#[test]
fn a_checkout_with_a_full_buffer_does_not_read() {
    let config = client::Config::direct();
    let mut http = Client::new(&config, NOW, vec![0; 32], vec![0; 256]);
    asked(&mut http);
    let n = http.output().len();
    http.transmitted(NOW, Io::Done(n));
    feed_client(&mut http, b"HTTP/1.1 204 \r\n\r\n");
    while http.next(NOW, usize::MAX).0.is_some() {}
    feed_client(&mut http, &[b'x'; 32]);
    let reuse = http.checkout(NOW, |_| unreachable!("there is no room to read into"));
    assert_eq!(reuse, Reuse::No(keepalive::CloseReason::Surplus));
}

/// Requests wait while output fills more than half of the send buffer, and not for ever.
#[test]
fn requests_wait_for_room() {
    let config = server::Config::origin();
    let mut http = Server::new(&config, NOW, vec![0; 32 * 1024], vec![0; 512]);
    feed_server(&mut http, &GET.repeat(10));
    let (mut answers, mut sent) = (0, 0);
    while answers < 10 {
        while let (Some(event), mut out) = http.next(NOW, usize::MAX) {
            if let server::Event::Request(_) = event {
                out.reply(200, NO_FIELDS, &[b'x'; 150]).expect("room for an answer");
                answers += 1;
            }
        }
        let n = http.output().len();
        assert!(n > 0, "stuck after {answers}");
        sent += n;
        http.transmitted(NOW, Io::Done(n));
    }
    assert_eq!(sent, 10 * (40 + 150));
}
