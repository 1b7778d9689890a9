//! What the buffered layer adds to the core: its cursors, and when it has nothing more to write.

use keepalive::buffered::{Client, Server};
use keepalive::client::{self, Reuse};
use keepalive::server;
use keepalive::{
    Buffer, CloseReason, Content, End, Instant, Io, Lost, NO_FIELDS, Plan, Retire, Step, Timer,
    Verdict,
};

const NOW: Instant = Instant::from_micros(0);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn feed_server(http: &mut Server<Vec<u8>>, bytes: &[u8]) {
    http.space().expect("space")[..bytes.len()].copy_from_slice(bytes);
    http.received(NOW, Io::Done(bytes.len()));
    http.connection().check_invariants();
}

fn feed_client(http: &mut Client<Vec<u8>>, bytes: &[u8]) {
    http.space().expect("space")[..bytes.len()].copy_from_slice(bytes);
    http.received(NOW, Io::Done(bytes.len()));
    http.connection().check_invariants();
}

fn asked(http: &mut Client<Vec<u8>>) {
    http.out(NOW).request("GET", "/", [("Host", "a")], Content::None).expect("a request");
    http.connection().check_invariants();
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
        http.connection().check_invariants();
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
    http.connection().check_invariants();
    feed_client(&mut http, b"HTTP/1.1 204 No Content\r\n\r\n");
    while http.next(NOW, usize::MAX).0.is_some() {}
    http.connection().check_invariants();
    assert!(matches!(http.checkout(NOW, |_| Io::Nothing), Reuse::Ready { .. }));
    asked(&mut http);
    assert!(!http.output().is_empty());
    http.received(NOW, Io::Done(0));
    http.connection().check_invariants();
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
    http.connection().check_invariants();
    feed_client(&mut http, b"HTTP/1.1 204 \r\n\r\n");
    while http.next(NOW, usize::MAX).0.is_some() {}
    http.connection().check_invariants();
    feed_client(&mut http, &[b'x'; 32]);
    let reuse = http.checkout(NOW, |_| unreachable!("there is no room to read into"));
    assert_eq!(reuse, Reuse::No(CloseReason::Surplus));
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
        http.connection().check_invariants();
        let n = http.output().len();
        assert!(n > 0, "stuck after {answers}");
        sent += n;
        http.transmitted(NOW, Io::Done(n));
        http.connection().check_invariants();
    }
    assert_eq!(sent, 10 * (40 + 150));
}

/// As long as half of it is free, they do not wait.
#[test]
fn requests_do_not_wait_for_more_room_than_they_need() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 216\r\n\r\n".len();
    for (content, waits) in [(256 - head, false), (257 - head, true)] {
        let config = server::Config::origin();
        let mut http = Server::new(&config, NOW, vec![0; 32 * 1024], vec![0; 512]);
        feed_server(&mut http, &GET.repeat(2));
        let mut answers = 0;
        while let (Some(event), mut out) = http.next(NOW, usize::MAX) {
            if let server::Event::Request(_) = event {
                let content = if answers == 0 { content } else { 1 };
                out.reply(200, NO_FIELDS, &vec![b'x'; content]).expect("room for an answer");
                answers += 1;
            }
        }
        assert_eq!(answers, if waits { 1 } else { 2 }, "{content}");
        let n = http.output().len();
        http.transmitted(NOW, Io::Done(n));
        http.connection().check_invariants();
        let (event, _) = http.next(NOW, usize::MAX);
        assert_eq!(event.is_some(), waits, "{content}");
    }
}

// ---- the buffer alone ----

#[test]
fn a_buffer_keeps_its_cursors() {
    let mut buffer = Buffer::new([0u8; 8]);
    assert!(buffer.is_empty());
    assert_eq!((buffer.len(), buffer.room(), buffer.capacity()), (0, 8, 8));
    buffer.spare()[..5].copy_from_slice(b"abcde");
    buffer.filled(5);
    assert!(!buffer.is_empty());
    assert_eq!((buffer.unread(), buffer.len(), buffer.room()), (&b"abcde"[..], 5, 3));

    // What was consumed makes room, in one piece.
    buffer.consume(2);
    assert_eq!((buffer.unread(), buffer.room()), (&b"cde"[..], 5));
    assert_eq!(buffer.spare().len(), 5);
    assert_eq!(buffer.unread(), b"cde");
    buffer.spare().copy_from_slice(b"fghij");
    buffer.filled(5);
    assert_eq!((buffer.unread(), buffer.room()), (&b"cdefghij"[..], 0));
    assert!(buffer.spare().is_empty());

    // More than there is counts as all there is.
    buffer.filled(1);
    assert_eq!(buffer.len(), 8);
    buffer.consume(9);
    assert!(buffer.is_empty());
    assert_eq!(buffer.spare().len(), 8);
    buffer.filled(usize::MAX);
    assert_eq!(buffer.len(), 8);
    buffer.clear();
    assert_eq!((buffer.len(), buffer.spare().len()), (0, 8));
    assert_eq!(buffer.into_inner(), *b"cdefghij");
}

#[test]
fn a_buffer_is_not_moved_without_need() {
    let mut buffer = Buffer::new(*b"........");
    buffer.spare()[..4].copy_from_slice(b"abcd");
    buffer.filled(4);
    buffer.consume(1);
    assert_eq!(buffer.unread(), b"bcd");
    // All of it consumed: the next octets start at the front without a copy.
    buffer.consume(3);
    buffer.spare()[0] = b'x';
    buffer.filled(1);
    assert_eq!(buffer.unread(), b"x");
    assert_eq!(buffer.into_inner(), *b"xbcd....");
}

#[test]
fn what_is_presented_is_consumed_as_far_as_it_is_said() {
    let mut buffer = Buffer::new(*b"abcdef");
    buffer.filled(6);
    let step = |consumed, event: Option<u8>| move |_: &[u8]| Step { consumed, event };
    let seen = buffer.present(|bytes| Step { consumed: 2, event: bytes.get(1).copied() });
    assert_eq!((seen, buffer.unread()), (Some(b'b'), &b"cdef"[..]));
    assert_eq!(buffer.present(step(0, None)), None);
    assert_eq!(buffer.unread(), b"cdef");
    assert_eq!(buffer.present(step(9, Some(1))), Some(1));
    assert!(buffer.is_empty());
}

// ---- every call ends in the same call of the core ----

/// Runs a request into a server and stops with its head.
fn serving(bytes: &[u8], config: &server::Config) -> Server<Vec<u8>> {
    let mut http = Server::allocate(config, NOW);
    feed_server(&mut http, bytes);
    assert!(matches!(http.next(NOW, usize::MAX).0, Some(server::Event::Request(_))));
    http.connection().check_invariants();
    http
}

fn at(s: u64) -> Instant {
    Instant::from_millis(s * 1000)
}

#[test]
fn a_server_is_passed_through() {
    let config = server::Config::origin();
    let mut http = serving(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", &config);
    assert_eq!(http.connection().requests(), 1);
    assert!(http.wants().head && http.out(NOW).wants().head);
    assert!(http.persistence().persists() && http.out(NOW).persistence().persists());
    http.out(at(1)).read_content();
    http.connection().check_invariants();
    // The clock of the content begins with the wish for it.
    assert_eq!(http.deadline().map(|d| (d.timer, d.at)), Some((Timer::MinRate, at(21))));
    http.out(NOW).inform(103, [("Link", "</a>")]).expect("room");
    http.connection().check_invariants();
    assert_eq!(http.output(), b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    let n = http.output().len();
    http.transmitted(NOW, Io::Done(n - 1));
    http.connection().check_invariants();
    assert_eq!(http.output(), b"\n");
    assert_eq!(http.connection().untransmitted(), 1);
    http.transmitted(NOW, Io::Done(100));
    http.connection().check_invariants();
    assert_eq!((http.output(), http.connection().untransmitted()), (&b""[..], 0));

    let plan = http.out(NOW).respond(200, NO_FIELDS, Content::Unknown).expect("room");
    assert_eq!(plan, Plan::Chunked);
    let n = http.output().len();
    http.transmitted(NOW, Io::Done(n));
    http.connection().check_invariants();
    let all = 32 * 1024 - (4 + 4) - 5;
    assert_eq!((http.room(), http.out(NOW).room()), (all, all));
    assert_eq!(http.out(NOW).send(b"abc"), Ok(3));
    http.out(NOW).finish([("X-Sum", "1")]).expect("room");
    http.connection().check_invariants();
    assert_eq!(http.output(), b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n");

    feed_server(&mut http, b"abc");
    http.out(NOW).skip_content();
    http.connection().check_invariants();
    feed_server(&mut http, b"defghirest");
    assert!(http.next(NOW, usize::MAX).0.is_none());
    let (conn, rx, tx) = http.into_parts();
    assert_eq!(rx.unread(), b"rest");
    assert_eq!(tx.unread(), b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n");
    assert!(conn.persistence().persists());
}

#[test]
fn a_server_is_retired_aborted_and_closed() {
    let config = server::Config::origin();
    let mut http = serving(GET, &config);
    http.out(NOW).retire(Retire::Application);
    http.connection().check_invariants();
    assert!(!http.persistence().persists());
    http.out(NOW).reply(200, NO_FIELDS, b"hi").expect("room");
    http.connection().check_invariants();
    assert!(http.output().ends_with(b"\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"));
    // The end of the request is still to be told.
    assert!(matches!(http.next(NOW, usize::MAX).0, Some(server::Event::End(_))));
    assert_eq!(http.wants().end, None);
    let n = http.output().len();
    http.transmitted(NOW, Io::Done(n));
    http.connection().check_invariants();
    assert_eq!(http.wants().end, Some(End::ShutdownWrite));
    http.write_closed(NOW);
    http.connection().check_invariants();
    assert_eq!(http.deadline().map(|d| d.timer), Some(Timer::Linger));
    http.received(NOW, Io::Done(0));
    http.connection().check_invariants();
    assert!(matches!(http.wants().end, Some(End::Close(_))));
    assert!(http.space().is_none(), "nothing is read behind the end");

    let mut http = serving(GET, &config);
    http.out(NOW).abort();
    http.connection().check_invariants();
    assert!(matches!(http.wants().end, Some(End::Abort(_))));

    let mut http = Server::allocate(&config, NOW);
    http.expire(at(29));
    http.connection().check_invariants();
    assert_eq!(http.wants().end, None);
    http.expire(at(30));
    http.connection().check_invariants();
    assert!(matches!(http.wants().end, Some(End::Close(_))));
}

/// The machine's own words are written as soon as nothing else happens.
#[test]
fn a_server_says_what_the_machine_has_to_say() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    let mut http = serving(head, &server::Config::origin());
    assert_eq!(http.unread(), b"");
    http.out(NOW).read_content();
    http.connection().check_invariants();
    assert!(http.next(NOW, usize::MAX).0.is_none());
    assert_eq!(http.output(), b"HTTP/1.1 100 Continue\r\n\r\n");
}

/// An event is told at once, and deadlines are looked at behind it.
#[test]
fn what_has_arrived_goes_before_what_is_due() {
    let mut http = Server::allocate(&server::Config::origin(), NOW);
    feed_server(&mut http, GET);
    let (event, _) = http.next(at(31), usize::MAX);
    assert!(matches!(event, Some(server::Event::Request(_))), "{event:?}");

    // A part of a head that came too late, shown whole to the connection once more.
    let mut http = Server::allocate(&server::Config::origin(), NOW);
    feed_server(&mut http, b"\r\n\r\nGET / HT");
    let (event, _) = http.next(at(0), usize::MAX);
    assert!(event.is_none());
    assert_eq!(http.unread(), b"GET / HT");
    let (event, _) = http.next(at(31), usize::MAX);
    assert!(matches!(event, Some(server::Event::Failed(f)) if f.status() == Some(408)));
    assert!(http.next(at(31), usize::MAX).0.is_none());
    assert!(http.output().starts_with(b"HTTP/1.1 408 "));
    assert_eq!(http.unread(), b"");
}

#[test]
fn a_client_is_passed_through() {
    let mut http = Client::allocate(&client::Config::direct(), NOW);
    assert!(matches!(http.reuse(NOW), Reuse::Ready { .. }));
    assert_eq!(http.deadline().map(|d| (d.timer, d.at)), Some((Timer::Idle, at(15))));
    let mut out = http.out(NOW);
    let plan = out.request("POST", "/", [("Host", "a")], Content::Unknown).expect("room");
    assert_eq!(plan, Plan::Chunked);
    assert_eq!(out.send(b"abc"), Ok(3));
    assert!(out.wants().content && out.persistence().persists());
    out.finish(NO_FIELDS).expect("room");
    assert!(http.output().ends_with(b"\r\n3\r\nabc\r\n0\r\n\r\n"));
    assert!(http.wants().read && http.persistence().persists());
    assert_eq!(http.reuse(NOW), Reuse::Busy);
    assert_eq!(http.retry(0).map(|r| r.verdict), Some(Verdict::Safe));
    assert_eq!(http.out(NOW).retry(0).map(|r| r.verdict), Some(Verdict::Safe));
    assert!(http.retry(1).is_none() && http.out(NOW).retry(1).is_none());
    let n = http.output().len();
    http.transmitted(NOW, Io::Done(n));
    http.connection().check_invariants();
    assert_eq!(http.connection().outstanding(), 1);
    assert_eq!(http.retry(0).map(|r| r.verdict), Some(Verdict::No));

    feed_client(&mut http, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    assert!(matches!(http.next(NOW, 1).0, Some(client::Event::Response(_))));
    assert!(matches!(http.next(NOW, 1).0, Some(client::Event::Content(b"a"))));
    http.out(NOW).skip_content();
    http.connection().check_invariants();
    assert_eq!(http.deadline().map(|d| (d.timer, d.at)), Some((Timer::Discard, at(2))));
    http.write_closed(NOW);
    http.connection().check_invariants();
    http.out(NOW).retire(Retire::Drain);
    http.connection().check_invariants();
    feed_client(&mut http, b"cdextra");
    while http.next(NOW, usize::MAX).0.is_some() {}
    http.connection().check_invariants();
    let (conn, rx, tx) = http.into_parts();
    assert!(matches!(conn.wants().end, Some(End::Close(_))));
    assert!(rx.is_empty() && tx.is_empty());
}

#[test]
fn a_client_is_aborted_and_expires() {
    let mut http = Client::allocate(&client::Config::direct(), NOW);
    http.expire(at(14));
    http.connection().check_invariants();
    assert_eq!(http.wants().end, None);
    http.received(at(15), Io::Nothing);
    http.connection().check_invariants();
    assert!(matches!(http.wants().end, Some(End::Close(_))));

    let mut http = Client::allocate(&client::Config::direct(), NOW);
    asked(&mut http);
    let n = http.output().len();
    assert_eq!(http.room(), 32 * 1024 - n - 1024);
    http.out(NOW).abort();
    http.connection().check_invariants();
    assert!(matches!(http.wants().end, Some(End::Abort(_))));
    assert!(http.space().is_none());
}

/// S2.6: what a checkout reads goes into the machine; of a good connection nothing is left.
#[test]
fn a_checkout_reads_and_judges() {
    let answered = || {
        let mut http = Client::allocate(&client::Config::direct(), NOW);
        asked(&mut http);
        let n = http.output().len();
        http.transmitted(NOW, Io::Done(n));
        http.connection().check_invariants();
        feed_client(&mut http, b"HTTP/1.1 204 No Content\r\n\r\n");
        while http.next(NOW, usize::MAX).0.is_some() {}
        http.connection().check_invariants();
        http
    };
    let says = |bytes: &'static [u8]| {
        move |space: &mut [u8]| {
            space[..bytes.len()].copy_from_slice(bytes);
            Io::Done(bytes.len())
        }
    };
    let mut http = answered();
    assert_eq!(http.reuse(NOW), http.checkout(NOW, |_| Io::Nothing));
    let mut http = answered();
    assert!(matches!(http.checkout(NOW, says(b"\r\n")), Reuse::Ready { .. }));
    assert_eq!(http.unread(), b"");
    asked(&mut http);
    let mut http = answered();
    assert_eq!(http.checkout(NOW, says(b"x")), Reuse::No(CloseReason::Surplus));
    assert_eq!(http.unread(), b"x");
    let mut http = answered();
    assert_eq!(http.checkout(NOW, says(b"")), Reuse::No(CloseReason::PeerClosed));
    assert_eq!(http.wants().end, Some(End::Close(CloseReason::PeerClosed)));
    let mut http = answered();
    let lost = http.checkout(NOW, |_| Io::Lost(Lost::Reset));
    assert_eq!(lost, Reuse::No(CloseReason::TransportLost));
}
