//! Small public things, each for itself: moments and clocks, what reads and writes say, texts and
//! rules for logs, settings at their ends.
#![allow(clippy::indexing_slicing)]

use keepalive::client::{self, Reuse};
use keepalive::forward::{self, Hop, Refusal, gateway_status};
use keepalive::{
    Blame, Clock, CloseReason, Content, Deadline, End, Failure, Field, Instant, Io, Kind, Line,
    Lost, NO_FIELDS, Part, Persistence, Plan, Prepared, RequestHead, Retry, SendError, Status,
    Timer, Verdict, reason, server,
};
use std::collections::BTreeSet;
use std::io::{Error, ErrorKind};
use std::time::Duration;

const ZERO: Instant = Instant::from_micros(0);

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn due(deadline: Option<Deadline>) -> Option<(Timer, u64)> {
    deadline.map(|d| (d.timer, d.at.as_micros() / 1000))
}

// ---- time ----

#[test]
fn moments_are_microseconds_and_never_overflow() {
    assert_eq!(Instant::from_millis(2), Instant::from_micros(2_000));
    assert_eq!(Instant::from_millis(u64::MAX), Instant::from_micros(u64::MAX));
    assert_eq!(at(3).since(at(1)), Duration::from_millis(2));
    assert_eq!(at(1).since(at(3)), Duration::ZERO);
    assert_eq!(at(1) + Duration::from_micros(5), Instant::from_micros(1_005));
    assert_eq!(at(1) + Duration::MAX, Instant::from_micros(u64::MAX));
}

#[test]
fn the_clock_runs_and_says_how_long_to_wait() {
    let clock = Clock::start();
    let before = clock.now();
    std::thread::sleep(Duration::from_millis(3));
    let now = clock.now();
    assert!(now.since(before) >= Duration::from_millis(3));
    assert!(now < at(600_000), "the epoch is the start");

    assert_eq!(clock.until(None), None);
    let timer = Timer::Idle;
    // What is over is waited for as little as a socket can be told to.
    let past = Deadline { at: ZERO, timer };
    assert_eq!(clock.until(Some(past)), Some(Duration::from_millis(1)));
    let far = Deadline { at: now + Duration::from_secs(3600), timer };
    let wait = clock.until(Some(far)).expect("a wait");
    assert!(wait <= Duration::from_secs(3600) && wait > Duration::from_secs(3000), "{wait:?}");

    let hour = clock.to_std(at(3_600_000)) - clock.to_std(ZERO);
    assert_eq!(hour, Duration::from_secs(3600));
}

#[test]
fn a_duration_too_long_to_be_kept_switches_its_timer_off() {
    let longest = Duration::from_millis(u64::from(u32::MAX) - 1);
    let begun = |d: Duration| {
        let config = server::Config::origin().lifetime(None).head(d);
        server::Connection::new(&config, ZERO).deadline()
    };
    assert_eq!(due(begun(longest)), Some((Timer::Head, u64::from(u32::MAX) - 1)));
    assert_eq!(begun(longest + Duration::from_millis(1)), None);
    assert_eq!(begun(Duration::MAX), None);
    // Short ones are kept shorter, and end where they can.
    let lingering = |d: Duration| {
        let config = server::Config::origin().lifetime(None).linger(d, Duration::MAX);
        let mut conn = server::Connection::new(&config, ZERO);
        conn.receive(ZERO, b"GET / HTTP/1.0\r\n\r\n", usize::MAX);
        conn.receive(ZERO, b"", usize::MAX);
        let n = conn.reply(ZERO, 200, NO_FIELDS, b"", &mut [0; 200]).expect("room");
        conn.transmitted(ZERO, n as u64);
        conn.write_closed(ZERO);
        due(conn.deadline())
    };
    assert_eq!(lingering(Duration::from_millis(655_340)), Some((Timer::Linger, 655_340)));
    assert_eq!(lingering(Duration::from_millis(655_350)), Some((Timer::Linger, 655_350)));
    assert_eq!(lingering(Duration::from_millis(655_360)), Some((Timer::Linger, 655_350)));
    assert_eq!(lingering(Duration::MAX), Some((Timer::Linger, 655_350)));
    assert_eq!(lingering(Duration::from_millis(19)), Some((Timer::Linger, 10)));
}

// ---- reads and writes ----

#[test]
fn what_a_socket_says_is_understood() {
    let failed = |kind: ErrorKind| Io::from(Err::<usize, _>(Error::from(kind)));
    assert_eq!(Io::from(Ok(7)), Io::Done(7));
    for kind in [ErrorKind::WouldBlock, ErrorKind::TimedOut, ErrorKind::Interrupted] {
        assert_eq!(failed(kind), Io::Nothing, "{kind:?}");
    }
    // S6.7: so TLS libraries report an EOF without close_notify.
    assert_eq!(failed(ErrorKind::UnexpectedEof), Io::Lost(Lost::Truncated));
    for kind in [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::Other] {
        assert_eq!(failed(kind), Io::Lost(Lost::Reset), "{kind:?}");
    }
}

// ---- texts ----

/// A rule of SEMANTICS, a section of an RFC, a name as of a variant, and a text in English.
fn well_said(name: &str, rule: &str, rfc: &str, text: &str) {
    let digits = |s: &str| s.starts_with(|c: char| c.is_ascii_digit());
    assert!(name.starts_with(char::is_uppercase) && !name.contains(' '), "{name}");
    assert!(rule.strip_prefix('S').is_some_and(digits), "{name}: {rule}");
    assert!(rfc.strip_prefix("RFC ").is_some_and(digits), "{name}: {rfc}");
    assert!(text.len() > 6, "{name}: {text}");
}

#[test]
fn every_reason_to_close_says_why() {
    let names: BTreeSet<_> = CloseReason::ALL.iter().map(|r| r.name()).collect();
    assert_eq!(names.len(), CloseReason::ALL.len());
    for &r in CloseReason::ALL {
        well_said(r.name(), r.rule(), r.rfc(), r.text());
        assert_eq!(r.to_string(), format!("{} ({}, {})", r.text(), r.rule(), r.rfc()));
        assert_eq!(r.name(), format!("{r:?}"));
    }
    assert_eq!(
        CloseReason::PeerSaidClose.to_string(),
        "the request said close (S1.3-4, RFC 9112 §9.6)"
    );
}

#[test]
fn every_failure_says_what_and_where() {
    let names: BTreeSet<_> = Kind::ALL.iter().map(|k| k.name()).collect();
    assert_eq!(names.len(), Kind::ALL.len());
    for &kind in Kind::ALL {
        well_said(kind.name(), kind.rule(), kind.rfc(), kind.text());
        let failure = Failure { kind, offset: 17 };
        let want = format!("{} at octet 17 ({}, {})", kind.text(), kind.rule(), kind.rfc());
        assert_eq!(failure.to_string(), want);
        assert_eq!(failure.status(), kind.status());
        let transport = matches!(kind, Kind::Reset | Kind::WriteFailed | Kind::TlsFailed);
        assert_eq!(kind.blame(), if transport { Blame::Transport } else { Blame::Peer });
        // What the transport did is not answered.
        assert!(!transport || kind.status().is_none());
        assert!(kind.status().is_none_or(|s| (400..600).contains(&s)), "{kind:?}");
        let late =
            matches!(kind, Kind::ResponseTimeout | Kind::ContentTimeout | Kind::WriteTimeout);
        assert_eq!(gateway_status(kind), if late { 504 } else { 502 }, "{kind:?}");
    }
    assert_eq!((Blame::Peer.name(), Blame::Transport.name()), ("peer", "transport"));
}

#[test]
fn every_refusal_of_an_intermediary_says_why() {
    let names: BTreeSet<_> = Refusal::ALL.iter().map(|r| r.name()).collect();
    assert_eq!(names.len(), Refusal::ALL.len());
    for &r in Refusal::ALL {
        well_said(r.name(), r.rule(), r.rfc(), r.text());
        assert_eq!(r.to_string(), format!("{} ({}, {})", r.text(), r.rule(), r.rfc()));
        assert_eq!(r.name(), format!("{r:?}"));
    }
    assert_eq!(Refusal::Loop.status(), Some(508));
    assert_eq!(Refusal::Connect.status(), None);
}

#[test]
fn the_callers_mistakes_are_explained() {
    let says = |e: SendError| e.to_string();
    assert!(says(SendError::Short { needed: 93 }).contains("93 octets"));
    assert!(says(SendError::NotNow).contains("out of turn"));
    assert!(says(SendError::Invalid(Part::FieldName)).contains("FieldName"));
    assert!(says(SendError::Length { left: 12 }).contains("12 due"));
    assert!(says(SendError::NotReady(Reuse::Busy)).contains("Busy"));
}

/// RFC 9110 §15, RFC 6585, RFC 8297, RFC 8470 and others: the registry of IANA.
#[test]
fn reasons_are_those_of_the_registry() {
    let registry = "100 Continue,101 Switching Protocols,103 Early Hints,200 OK,201 Created,\
        202 Accepted,203 Non-Authoritative Information,204 No Content,205 Reset Content,\
        206 Partial Content,300 Multiple Choices,301 Moved Permanently,302 Found,303 See Other,\
        304 Not Modified,307 Temporary Redirect,308 Permanent Redirect,400 Bad Request,\
        401 Unauthorized,402 Payment Required,403 Forbidden,404 Not Found,405 Method Not Allowed,\
        406 Not Acceptable,407 Proxy Authentication Required,408 Request Timeout,409 Conflict,\
        410 Gone,411 Length Required,412 Precondition Failed,413 Content Too Large,\
        414 URI Too Long,415 Unsupported Media Type,416 Range Not Satisfiable,\
        417 Expectation Failed,418 I'm a teapot,421 Misdirected Request,\
        422 Unprocessable Content,425 Too Early,426 Upgrade Required,428 Precondition Required,\
        429 Too Many Requests,431 Request Header Fields Too Large,500 Internal Server Error,\
        501 Not Implemented,502 Bad Gateway,503 Service Unavailable,504 Gateway Timeout,\
        505 HTTP Version Not Supported,508 Loop Detected,511 Network Authentication Required";
    let known: Vec<(u16, &str)> = registry
        .split(',')
        .map(|entry| entry.split_once(' ').expect("a code and a phrase"))
        .map(|(code, phrase)| (code.parse().expect("a code"), phrase))
        .collect();
    for code in 0..=u16::MAX {
        let want = known.iter().find(|(known, _)| *known == code).map_or("", |(_, phrase)| phrase);
        assert_eq!(reason(code), want, "{code}");
    }
    let status = Status::from((299, &b"\xe4\xf6"[..]));
    assert_eq!((status.code, status.reason), (299, Some(&b"\xe4\xf6"[..])));
}

#[test]
fn timers_have_the_names_of_the_rules() {
    let names = [
        (Timer::Head, "head"),
        (Timer::Idle, "idle"),
        (Timer::ContentStall, "content_stall"),
        (Timer::MinRate, "min_rate"),
        (Timer::RequestTotal, "request_total"),
        (Timer::WriteStall, "write_stall"),
        (Timer::Lifetime, "lifetime"),
        (Timer::Linger, "linger"),
        (Timer::HardStop, "hard_stop"),
        (Timer::ContinueWait, "continue_wait"),
        (Timer::HeadWait, "head_wait"),
        (Timer::Discard, "discard"),
    ];
    for (timer, name) in names {
        assert_eq!(timer.name(), name);
    }
}

// ---- retries, as the caller asks ----

/// The verdict on the second request of a connection that is then lost.
fn judged(method: &str, lost: Lost) -> Retry {
    let mut conn = client::Connection::new(&client::Config::direct(), ZERO);
    let ask = |conn: &mut client::Connection, method| {
        let (host, mut out) = ([("Host", "a")], [0; 200]);
        let started = conn.request(ZERO, method, "/", host, Content::None, &mut out).expect("fine");
        conn.transmitted(ZERO, started.written as u64);
    };
    ask(&mut conn, "GET");
    conn.receive(ZERO, b"HTTP/1.1 204 No Content\r\n\r\n", usize::MAX);
    conn.receive(ZERO, b"", usize::MAX);
    assert!(matches!(conn.checkout(ZERO, Io::Nothing, b""), Reuse::Ready { .. }));
    ask(&mut conn, method);
    conn.lost(ZERO, lost);
    conn.retry(0).expect("a verdict")
}

/// S5: on a connection that was used before, it is that that is told, whatever is set for fresh ones.
#[test]
fn the_reason_of_a_verdict_is_the_first_that_holds() {
    for (used, reason) in [
        (true, "an idle connection was closed as it was used"),
        (false, "set so for fresh connections"),
    ] {
        let config = client::Config::direct().retry_fresh(true);
        let mut conn = client::Connection::new(&config, ZERO);
        let ask = |conn: &mut client::Connection| {
            let (host, mut out) = ([("Host", "a")], [0; 200]);
            let sent = conn.request(ZERO, "GET", "/", host, Content::None, &mut out).expect("fine");
            conn.transmitted(ZERO, sent.written as u64);
        };
        ask(&mut conn);
        if used {
            conn.receive(ZERO, b"HTTP/1.1 204 No Content\r\n\r\n", usize::MAX);
            conn.receive(ZERO, b"", usize::MAX);
            conn.checkout(ZERO, Io::Nothing, b"");
            ask(&mut conn);
        }
        conn.lost(ZERO, Lost::Reset);
        let retry = conn.retry(0).expect("a verdict");
        assert_eq!((retry.verdict, retry.reason()), (Verdict::IfIdempotent, reason));
    }
}

/// S5: the verdict, and what it allows to whom.
#[test]
fn a_verdict_allows_what_it_says() {
    let post = judged("POST", Lost::Reset);
    assert_eq!((post.verdict, post.idempotent), (Verdict::IfIdempotent, false));
    assert!(!post.allows(true) && !post.allows(false));
    assert!(post.allows_idempotent(true) && !post.allows_idempotent(false));
    assert_eq!(post.reason(), "an idle connection was closed as it was used");
    assert_eq!(post.rfc(), "RFC 9110 §9.2.2");

    let put = judged("PUT", Lost::Reset);
    assert_eq!((put.verdict, put.idempotent), (Verdict::IfIdempotent, true));
    assert!(put.allows(true) && !put.allows(false));

    let tls = judged("PUT", Lost::Tls);
    assert_eq!(tls.verdict, Verdict::No);
    assert!(!tls.allows(true) && !tls.allows_idempotent(true));
    assert_eq!((tls.reason(), tls.rfc()), ("TLS failed", "RFC 9112 §9.8"));
}

// ---- what is still to be told ----

/// Of a pipeline that a response with `close` cuts off, the failure comes before the end.
#[test]
fn a_failure_is_told_before_the_end() {
    let mut conn = client::Connection::new(&client::Config::direct().pipeline(true), ZERO);
    let ask = |conn: &mut client::Connection| {
        let (host, mut out) = ([("Host", "a")], [0; 200]);
        let started = conn.request(ZERO, "GET", "/", host, Content::None, &mut out).expect("fine");
        conn.transmitted(ZERO, started.written as u64);
    };
    ask(&mut conn);
    conn.receive(ZERO, b"HTTP/1.1 204 No Content\r\n\r\n", usize::MAX);
    conn.receive(ZERO, b"", usize::MAX);
    conn.checkout(ZERO, Io::Nothing, b"");
    ask(&mut conn);
    ask(&mut conn);
    conn.receive(ZERO, b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", usize::MAX);
    let step = conn.receive(ZERO, b"", usize::MAX);
    assert!(matches!(step.event, Some(client::Event::End(_))));
    assert_eq!(conn.wants().end, None);
    let step = conn.receive(ZERO, b"", usize::MAX);
    let failure = Failure { kind: Kind::NoResponse, offset: 73 };
    assert_eq!(step.event, Some(client::Event::Failed(failure)));
    assert_eq!(conn.wants().end, Some(End::Close(CloseReason::ResponseClose)));
}

// ---- a server, call by call ----

/// A server that has received these bytes, with the events they made.
fn serving(bytes: &[u8]) -> server::Connection {
    let config = server::Config::origin().min_rate(Duration::ZERO, 0);
    let mut conn = server::Connection::new(&config, ZERO);
    let mut rest = bytes;
    loop {
        let step = conn.receive(ZERO, rest, usize::MAX);
        rest = &rest[step.consumed..];
        if step.event.is_none() {
            return conn;
        }
    }
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// What was not transmitted gives nobody more time.
#[test]
fn nothing_transmitted_is_nothing() {
    let mut conn = serving(GET);
    let n = conn.reply(ZERO, 200, NO_FIELDS, b"hi", &mut [0; 99]).expect("room");
    conn.transmitted(at(5_000), 0);
    assert_eq!(due(conn.deadline()), Some((Timer::WriteStall, 60_000)));
    assert_eq!(conn.untransmitted(), n as u64);
    conn.transmitted(at(6_000), 1);
    assert_eq!(due(conn.deadline()), Some((Timer::WriteStall, 66_000)));
    conn.transmitted(at(7_000), n as u64);
    assert_eq!(due(conn.deadline()), Some((Timer::Idle, 82_000)));
    conn.transmitted(at(9_000), 1);
    assert_eq!(due(conn.deadline()), Some((Timer::Idle, 82_000)));
    assert_eq!(conn.untransmitted(), 0);
}

/// RFC 9110 §7.8: the protocols that are offered are of the connection, and its option says so; nothing
/// else of an interim response is.
#[test]
fn an_interim_response_names_its_upgrade_as_an_option() {
    let mut conn = serving(GET);
    let mut out = [0; 200];
    let n = conn.inform(ZERO, 103, [("Link", "</a>")], &mut out).expect("room");
    assert_eq!(&out[..n], b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    let n = conn.inform(ZERO, 102, [("Upgrade", "tls/1.3")], &mut out).expect("room");
    let text: &[u8] = b"HTTP/1.1 102 \r\nUpgrade: tls/1.3\r\nConnection: upgrade\r\n\r\n";
    assert_eq!(&out[..n], text, "{}", out[..n].escape_ascii());
}

/// Without room nothing is asked of the peer, also in the middle of a head: its timer stands still.
#[test]
fn a_head_that_has_begun_waits_for_room() {
    let mut conn = serving(b"");
    conn.receive(ZERO, b"GET / HT", usize::MAX);
    assert!(matches!(due(conn.deadline()), Some((Timer::Head, _))));
    conn.receive(ZERO, b"GET / HTTP", 0);
    assert!(!matches!(due(conn.deadline()), Some((Timer::Head, _))), "{:?}", conn.deadline());
    let step = conn.receive(ZERO, GET, usize::MAX);
    assert!(matches!(step.event, Some(server::Event::Request(_))));

    let mut conn = client::Connection::new(&client::Config::direct(), ZERO);
    let sent = conn.request(ZERO, "GET", "/", [("Host", "a")], Content::None, &mut [0; 200]);
    conn.transmitted(ZERO, sent.expect("fine").written as u64);
    conn.receive(ZERO, b"HTTP/1.1 2", usize::MAX);
    assert!(matches!(due(conn.deadline()), Some((Timer::HeadWait, _))));
    conn.receive(ZERO, b"HTTP/1.1 20", 0);
    assert!(!matches!(due(conn.deadline()), Some((Timer::HeadWait, _))), "{:?}", conn.deadline());
    let step = conn.receive(ZERO, b"HTTP/1.1 204 No Content\r\n\r\n", usize::MAX);
    assert!(matches!(step.event, Some(client::Event::Response(_))));
}

/// A request and EOF behind it: the answer says close, also where it is given before the end of the
/// request was told.
#[test]
fn eof_behind_a_request_is_known_with_its_head() {
    let mut conn = serving(b"");
    assert!(conn.persistence().persists());
    conn.received_eof(ZERO);
    assert_eq!(conn.persistence(), Persistence::Close(CloseReason::PeerClosed));
    let step = conn.receive(ZERO, GET, usize::MAX);
    assert!(matches!(step.event, Some(server::Event::Request(_))));
    assert_eq!(conn.persistence(), Persistence::Close(CloseReason::PeerClosed));
    let mut out = [0; 99];
    let n = conn.reply(ZERO, 200, NO_FIELDS, b"", &mut out).expect("room");
    assert!(out[..n].ends_with(b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
    assert!(matches!(conn.receive(ZERO, b"", usize::MAX).event, Some(server::Event::End(_))));

    // With another request behind it, it says nothing.
    let mut conn = serving(b"");
    conn.received_eof(ZERO);
    conn.receive(ZERO, &GET.repeat(2), usize::MAX);
    let n = conn.reply(ZERO, 200, NO_FIELDS, b"", &mut out).expect("room");
    assert_eq!(&out[..n], b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

/// A response that ends with the connection, over before the end of a request without content is told.
#[test]
fn a_request_without_content_is_whole_whatever_ends_first() {
    let mut conn = serving(b"");
    conn.receive(ZERO, b"GET / HTTP/1.0\r\n\r\n", usize::MAX);
    let started = conn.respond(ZERO, 200, NO_FIELDS, Content::Unknown, &mut [0; 99]).expect("room");
    assert_eq!(started.plan, Plan::UntilClose);
    conn.finish(ZERO, NO_FIELDS, &mut []).expect("nothing to write");
    assert!(matches!(conn.receive(ZERO, b"", usize::MAX).event, Some(server::Event::End(_))));
    assert_eq!(conn.receive(ZERO, b"", usize::MAX).event, None);
}

/// The same for a 101.
#[test]
fn a_switch_is_announced_with_the_head_of_a_request_without_content() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let mut conn = serving(b"");
    conn.receive(ZERO, bytes, usize::MAX);
    let n = conn.reply(ZERO, 101, [("Upgrade", "x")], b"", &mut [0; 99]).expect("now");
    conn.transmitted(ZERO, n as u64);
    assert!(matches!(conn.receive(ZERO, b"", usize::MAX).event, Some(server::Event::End(_))));
    conn.receive(ZERO, b"", usize::MAX);
    assert_eq!(conn.wants().end, Some(End::Tunnel));
}

/// With exactly what is asked for, and with no octet less.
#[test]
fn what_a_reply_needs_is_what_it_asks_for() {
    let mut conn = serving(GET);
    let content = b"0123456789";
    let needed = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n".len() + content.len();
    let mut out = [0; 99];
    for space in 0..needed {
        let reply = conn.reply(ZERO, 200, NO_FIELDS, content, &mut out[..space]);
        assert_eq!(reply, Err(SendError::Short { needed }), "{space}");
    }
    assert_eq!(conn.reply(ZERO, 200, NO_FIELDS, content, &mut out[..needed]), Ok(needed));
}

/// CONNECT is answered with its head, and the tunnel begins when its end was told.
#[test]
fn a_tunnel_begins_behind_the_request() {
    let mut conn = serving(b"");
    let bytes = b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nraw";
    let step = conn.receive(ZERO, bytes, usize::MAX);
    assert!(matches!(step.event, Some(server::Event::Request(_))));
    let n = conn.reply(ZERO, 200, NO_FIELDS, b"", &mut [0; 99]).expect("room");
    conn.transmitted(ZERO, n as u64);
    assert_eq!(conn.wants().end, None);
    let step = conn.receive(ZERO, b"raw", usize::MAX);
    assert_eq!(step.consumed, 0);
    assert!(matches!(step.event, Some(server::Event::End(_))));
    let step = conn.receive(ZERO, b"raw", usize::MAX);
    assert_eq!((step.consumed, step.event), (0, None));
    assert_eq!(conn.wants().end, Some(End::Tunnel));
}

/// S6.1: what is thrown away is read, so that the peer comes to read what is sent; but not for ever.
#[test]
fn a_server_reads_so_much_behind_its_decision_and_no_more() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n";
    let mut conn = serving(head);
    conn.respond(ZERO, 200, NO_FIELDS, Content::Length(1), &mut [0; 99]).expect("room");
    let piece = vec![b'x'; 1 << 20];
    for n in 0..16 {
        assert!(conn.wants().read, "{n} MiB");
        assert_eq!(conn.receive(ZERO, &piece[n / 15..], usize::MAX).event, None);
    }
    assert!(conn.wants().read, "an octet less than 16 MiB");
    conn.receive(ZERO, b"x", usize::MAX);
    assert!(!conn.wants().read);
    // What comes all the same is thrown away.
    assert_eq!(conn.receive(ZERO, b"x", usize::MAX).consumed, 1);
}

// ---- settings ----

#[test]
fn defaults_are_the_common_case() {
    assert_eq!(server::Config::default(), server::Config::origin());
    assert_ne!(server::Config::default(), server::Config::proxy());
    assert_eq!(client::Config::default(), client::Config::direct());
    assert_ne!(client::Config::default(), client::Config::to_proxy());
}

/// What must be kept in one piece: a head, or a trailer section.
#[test]
fn the_receive_buffer_is_the_larger_of_the_two_bounds() {
    let server = server::Config::origin();
    assert_eq!(server.receive_buffer(), 32 * 1024);
    assert_eq!(server.max_head(100).max_trailers(50).receive_buffer(), 100);
    assert_eq!(server.max_head(100).max_trailers(250).receive_buffer(), 250);
    let client = client::Config::direct();
    assert_eq!(client.receive_buffer(), 32 * 1024);
    assert_eq!(client.max_head(100).max_trailers(50).receive_buffer(), 100);
    assert_eq!(client.max_head(100).max_trailers(250).receive_buffer(), 250);
}

/// A setting that was switched on can be switched off again, and touches no other.
#[test]
fn switches_work_both_ways() {
    type S = fn(server::Config, bool) -> server::Config;
    let all: [S; 7] = [
        server::Config::tolerate_coding_with_length,
        server::Config::refuse_empty_host,
        server::Config::refuse_other_expectations,
        server::Config::echo_version,
        server::Config::connect_waits,
        server::Config::abort_on_eof,
        server::Config::heed_proxy_connection,
    ];
    let base = server::Config::proxy();
    for (n, set) in all.iter().enumerate() {
        assert_ne!(set(base, true), base, "server {n}");
        assert_eq!(set(set(base, true), false), base, "server {n}");
        assert_eq!(set(set(base, true), true), set(base, true), "server {n}");
        for other in &all[n + 1..] {
            assert_eq!(set(other(set(base, true), true), false), other(base, true), "server {n}");
        }
    }
    type C = fn(client::Config, bool) -> client::Config;
    let all: [C; 11] = [
        client::Config::http10,
        client::Config::one_shot,
        client::Config::pipeline,
        client::Config::tolerate_coding_with_length,
        client::Config::raw_codings,
        client::Config::accept_bare_lf,
        client::Config::unfold,
        client::Config::strict_keep_alive,
        client::Config::gateway,
        client::Config::retry_fresh,
        client::Config::doubt_close,
    ];
    let base = client::Config::to_proxy();
    for (n, set) in all.iter().enumerate() {
        assert_ne!(set(base, true), base, "client {n}");
        assert_eq!(set(set(base, true), false), base, "client {n}");
        assert_eq!(set(set(base, true), true), set(base, true), "client {n}");
        for other in &all[n + 1..] {
            assert_eq!(set(other(set(base, true), true), false), other(base, true), "client {n}");
        }
    }
}

/// What is set stays set, whatever is set after it, and touches nothing else.
#[test]
fn a_setting_leaves_the_others_alone() {
    type S = fn(server::Config) -> server::Config;
    const SECOND: Duration = Duration::from_secs(1);
    let all: [S; 18] = [
        |c| c.head(SECOND),
        |c| c.idle(SECOND),
        |c| c.grace(SECOND),
        |c| c.content_stall(SECOND),
        |c| c.min_rate(SECOND, 7),
        |c| c.request_total(Some(SECOND)),
        |c| c.write_stall(SECOND),
        |c| c.lifetime(Some(SECOND)),
        |c| c.linger(SECOND, SECOND),
        |c| c.min_idle(3 * SECOND),
        |c| c.hard_stop(3 * SECOND),
        |c| c.max_requests(7),
        |c| c.max_head(700),
        |c| c.max_trailers(700),
        |c| c.max_target(70),
        |c| c.max_fields(7),
        |c| c.discard(7),
        |c| c.keep_alive_field(server::KeepAliveField::Never),
    ];
    let base = server::Config::proxy();
    for (n, one) in all.iter().enumerate() {
        assert_ne!(one(base), base, "server {n}");
        for other in &all[n + 1..] {
            assert_eq!(one(other(base)), other(one(base)), "server {n}");
            assert_ne!(one(other(base)), one(base), "server {n}");
        }
    }
    type C = fn(client::Config) -> client::Config;
    let all: [C; 13] = [
        |c| c.head_wait(SECOND),
        |c| c.content_stall(SECOND),
        |c| c.write_stall(SECOND),
        |c| c.continue_wait(3 * SECOND),
        |c| c.lifetime(Some(SECOND)),
        |c| c.idle(SECOND),
        |c| c.timeout_cap(SECOND),
        |c| c.margin(3 * SECOND),
        |c| c.discard(7, SECOND),
        |c| c.early_finish(7),
        |c| c.max_head(700),
        |c| c.max_trailers(700),
        |c| c.max_fields(7),
    ];
    let base = client::Config::to_proxy();
    for (n, one) in all.iter().enumerate() {
        assert_ne!(one(base), base, "client {n}");
        for other in &all[n + 1..] {
            assert_eq!(one(other(base)), other(one(base)), "client {n}");
            assert_ne!(one(other(base)), one(base), "client {n}");
        }
    }
}

/// Timers that are off leave a connection that may wait for ever: no contradiction.
#[test]
fn without_timers_there_is_no_deadline() {
    let never = Duration::MAX;
    let base = server::Config::origin().lifetime(None).min_rate(Duration::ZERO, 0);
    let bytes = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
    let config = base.head(never).content_stall(never).idle(never);
    let mut conn = server::Connection::new(&config, ZERO);
    conn.check_invariants();
    conn.receive(ZERO, bytes, usize::MAX);
    conn.read_content(ZERO);
    conn.check_invariants();
    assert_eq!(conn.deadline(), None);
    conn.receive(ZERO, b"abc", usize::MAX);
    conn.receive(ZERO, b"", usize::MAX);
    let n = conn.reply(ZERO, 204, NO_FIELDS, b"", &mut [0; 200]).expect("room");
    conn.transmitted(ZERO, n as u64);
    conn.check_invariants();
    assert_eq!(conn.deadline(), None);
    assert!(conn.is_idle());

    let config = client::Config::direct().head_wait(never);
    let mut conn = client::Connection::new(&config, ZERO);
    let mut out = [0; 200];
    let started =
        conn.request(ZERO, "GET", "/", [("Host", "a")], Content::None, &mut out).expect("fine");
    conn.transmitted(ZERO, started.written as u64);
    conn.check_invariants();
    assert_eq!(conn.deadline(), None);
}

// ---- a client, call by call ----

/// What a request says, whatever its lines are prepared from.
fn requested(fields: &[Field<'_>]) -> String {
    let mut conn = client::Connection::new(&client::Config::direct(), ZERO);
    let mut out = [0; 300];
    let fields = fields.iter().copied();
    let started = conn.request(ZERO, "GET", "/", fields, Content::None, &mut out).expect("fine");
    String::from_utf8(out[..started.written].to_vec()).expect("text")
}

/// RFC 9110 §10.1.4: a TE field is announced, also one that was prepared (S2.4).
#[test]
fn a_prepared_te_comes_with_its_option() {
    let te = Prepared::<32>::new([("TE", "trailers")]).expect("fine");
    let other = Prepared::<32>::new([("A", "b")]).expect("fine");
    let host = Field::from(("Host", "a"));
    let (te, other) = (Field::Prepared(te.block()), Field::Prepared(other.block()));
    for fields in [vec![host, te], vec![host, te, other], vec![host, other, te]] {
        let text = requested(&fields);
        assert!(text.contains("\r\nConnection: keep-alive, TE\r\n"), "{text}");
    }
    let text = requested(&[host, other]);
    assert!(text.contains("\r\nConnection: keep-alive\r\n"), "{text}");
}

/// S8.8: a request expects a 100 also where that was prepared, and holds its content back.
#[test]
fn a_prepared_expectation_is_waited_for() {
    let expect = Prepared::<64>::new([("Expect", "100-continue")]).expect("fine");
    let other = Prepared::<64>::new([("A", "b")]).expect("fine");
    for (block, waits) in [(&expect, true), (&other, false)] {
        let mut conn = client::Connection::new(&client::Config::direct(), ZERO);
        let fields = [Field::from(("Host", "a")), Field::Prepared(block.block())];
        let mut out = [0; 200];
        let content = Content::Length(1);
        let started = conn.request(ZERO, "PUT", "/", fields, content, &mut out).expect("fine");
        conn.transmitted(ZERO, started.written as u64);
        assert_eq!(due(conn.deadline()).is_some_and(|d| d.0 == Timer::ContinueWait), waits);
    }
}

/// Space around a value is not part of it (RFC 9110 §5.5), and does not go out.
#[test]
fn values_are_trimmed() {
    for value in ["x", " x", "x ", "\tx\t ", "x y", " x y "] {
        let text = requested(&[("Host", " a "), ("A", value)].map(Field::from));
        let want = format!("\r\nHost: a\r\nA: {}\r\n", value.trim());
        assert!(text.contains(&want), "{text}");
    }
    let mut out = [0; 200];
    let mut conn = client::Connection::new(&client::Config::direct(), ZERO);
    let fields = [("Host", "a"), ("Content-Length", " 5\t")];
    let sent = conn.request(ZERO, "PUT", "/", fields, Content::Length(5), &mut out);
    assert!(sent.is_ok(), "{sent:?}");
}

/// Names that have the length and the first letter of one that the machine writes itself are not that
/// one.
#[test]
fn a_name_that_resembles_one_of_the_machines_is_the_callers() {
    let lines = [("Host", "a"), ("tx", "chunked"), ("Proxy-Conjecture", "close")];
    let text = requested(&lines.map(Field::from));
    assert!(text.contains("\r\ntx: chunked\r\nProxy-Conjecture: close\r\n"), "{text}");
    assert!(text.contains("\r\nConnection: keep-alive\r\n"), "{text}");
}

/// S2.6: one check, one request.
#[test]
fn each_request_behind_the_first_has_a_check_of_its_own() {
    let mut conn = client::Connection::new(&client::Config::direct(), ZERO);
    let mut out = [0; 200];
    for n in 0..3 {
        if n > 0 {
            let again = conn.request(ZERO, "GET", "/", [("Host", "a")], Content::None, &mut out);
            assert_eq!(again, Err(SendError::NotReady(Reuse::Unchecked)), "request {n}");
            assert!(matches!(conn.checkout(ZERO, Io::Nothing, b""), Reuse::Ready { .. }));
        }
        let sent = conn.request(ZERO, "GET", "/", [("Host", "a")], Content::None, &mut out);
        conn.transmitted(ZERO, sent.expect("fine").written as u64);
        conn.receive(ZERO, b"HTTP/1.1 204 No Content\r\n\r\n", usize::MAX);
        conn.receive(ZERO, b"", usize::MAX);
    }
}

/// S2.5: a check that finds an empty line leaves the connection as used as it was: what is lost then
/// may have crossed its close.
#[test]
fn a_check_that_finds_an_empty_line_forgets_nothing() {
    let mut conn = client::Connection::new(&client::Config::direct(), ZERO);
    let mut out = [0; 200];
    for check in [false, true] {
        if check {
            assert!(matches!(conn.checkout(ZERO, Io::Done(2), b"\r\n"), Reuse::Ready { .. }));
        }
        let sent = conn.request(ZERO, "GET", "/", [("Host", "a")], Content::None, &mut out);
        conn.transmitted(ZERO, sent.expect("fine").written as u64);
        if !check {
            conn.receive(ZERO, b"HTTP/1.1 204 No Content\r\n\r\n", usize::MAX);
            conn.receive(ZERO, b"", usize::MAX);
        }
    }
    conn.received_eof(ZERO);
    conn.receive(ZERO, b"", usize::MAX);
    assert_eq!(conn.retry(0).expect("a verdict").verdict, Verdict::IfIdempotent);
}

/// RFC 9112 §5.2 of heads; what is folded in trailers is refused, whatever is allowed of heads.
#[test]
fn trailers_are_not_unfolded() {
    let mut conn = client::Connection::new(&client::Config::direct().unfold(true), ZERO);
    let sent = conn.request(ZERO, "GET", "/", [("Host", "a")], Content::None, &mut [0; 200]);
    conn.transmitted(ZERO, sent.expect("fine").written as u64);
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n c\r\n\r\n";
    let step = conn.receive(ZERO, head, usize::MAX);
    assert!(matches!(step.event, Some(client::Event::Response(_))), "{step:?}");
    let step = conn.receive(ZERO, b"0\r\nA: b\r\n c\r\n\r\n", usize::MAX);
    assert!(!matches!(step.event, Some(client::Event::End(_))), "{step:?}");
}

/// S2.6: EOF that the checkout brings is known at once, also before the first request.
#[test]
fn eof_at_the_checkout_ends_a_connection_that_was_never_used() {
    let mut conn = client::Connection::new(&client::Config::direct(), ZERO);
    assert!(matches!(conn.checkout(ZERO, Io::Done(0), b""), Reuse::No(_)));
    assert!(matches!(conn.wants().end, Some(End::Close(_))), "{:?}", conn.wants());
}

// ---- field lines, and the next hop ----

/// RFC 9112 §3.1: a method is a token, to its last octet (S8.4: at most 32).
#[test]
fn a_bad_octet_is_found_wherever_it_stands_in_a_method() {
    for bad in 0..32 {
        let mut text = b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
        assert!(RequestHead::parse(&text).is_ok());
        text[bad] = b'(';
        let failure = RequestHead::parse(&text).expect_err("no token");
        assert_eq!((failure.kind, failure.offset), (Kind::MethodInvalid, bad as u64));
    }
}

/// From left to right: what is wrong first is told, with the place where it stands.
#[test]
fn a_request_line_is_judged_from_left_to_right() {
    let long = "M".repeat(32);
    for (line, kind, offset) in [
        (format!("{long}( / HTTP/1.1"), Kind::MethodInvalid, 32),
        (format!("{long}M / HTTP/1.1"), Kind::MethodTooLong, 32),
        ("PRI * HTTP/2.0".into(), Kind::Http2Preface, 6),
        ("PRI / HTTP/2.0".into(), Kind::VersionUnsupported, 6),
        ("GET * HTTP/2.0".into(), Kind::VersionUnsupported, 6),
        ("GET /12345678901 HTTP/1.1".into(), Kind::TargetTooLong, 14),
        ("PURGE /12345678901 HTTP/1.1".into(), Kind::TargetTooLong, 16),
    ] {
        let head = format!("{line}\r\nHost: a\r\n\r\n");
        let config = server::Config::origin().max_target(10);
        let failure = RequestHead::parse_with(head.as_bytes(), &config).expect_err(&line);
        assert_eq!((failure.kind, failure.offset), (kind, offset), "{line}");
    }
}

#[test]
fn a_bad_version_is_found_where_it_begins() {
    for (text, kind, offset) in [
        ("GET /abc HTTP/2.0", Kind::VersionUnsupported, 9),
        ("GET /abc HTTP/1.10", Kind::VersionInvalid, 9),
        ("GET /abc http/1.1", Kind::VersionInvalid, 9),
        ("PRI * HTTP/2.0", Kind::Http2Preface, 6),
    ] {
        let failure = RequestHead::parse(format!("{text}\r\n\r\n").as_bytes()).expect_err(text);
        assert_eq!((failure.kind, failure.offset), (kind, offset), "{text}");
    }
}

#[test]
fn sections_are_equal_if_the_same_lines_are_still_to_come() {
    let head = |text: &'static [u8]| RequestHead::parse(text).expect("a head").fields();
    let mut one = head(b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n");
    let mut two = head(b"PUT /longer HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n");
    assert_eq!(one, two);
    one.next();
    assert_ne!(one, two);
    two.next();
    assert_eq!(one, two);
    assert_ne!(one, head(b"GET / HTTP/1.1\r\nHost: a\r\nB: d\r\n\r\n"));
}

/// In any case, and the first of several; what must not stand among trailers is not found.
#[test]
fn a_trailer_is_found_by_its_name() {
    let mut conn = serving(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    conn.read_content(ZERO);
    let bytes = b"0\r\nA: b\r\nX-Sum: 1\r\nx-sum: 2\r\nHost: c\r\n\r\n";
    let step = conn.receive(ZERO, bytes, usize::MAX);
    let Some(server::Event::End(trailers)) = step.event else { panic!("{step:?}") };
    assert_eq!(trailers.get("X-SUM"), Some(&b"1"[..]));
    assert_eq!(trailers.get("a"), Some(&b"b"[..]));
    assert_eq!(trailers.get("host"), None);
    assert_eq!(trailers.get("X"), None);
    assert_eq!(format!("{trailers:?}").matches("X-Sum").count(), 1);
}

/// S8.10: neither 1xx nor 204 declares a length, whatever was received; 304 keeps its own.
#[test]
fn a_relay_declares_no_length_where_none_may_be() {
    let outbound = |text: &str, method| {
        let bytes = format!("HTTP/1.1 {text}\r\nContent-Length: 5\r\n\r\n");
        keepalive::ResponseHead::parse(bytes.as_bytes(), method).expect("a head").outbound()
    };
    assert_eq!(outbound("103 Early Hints", "GET"), Content::None);
    assert_eq!(outbound("199 Miscellaneous", "GET"), Content::None);
    assert_eq!(outbound("204 No Content", "GET"), Content::None);
    assert_eq!(outbound("304 Not Modified", "GET"), Content::Length(5));
    assert_eq!(outbound("200 OK", "HEAD"), Content::Length(5));
    assert_eq!(outbound("200 OK", "GET"), Content::Length(5));
}

#[test]
fn field_lines_are_made_of_pairs() {
    let line = Line { name: b"A", value: b"b" };
    assert_eq!(Line::from((&b"A"[..], &b"b"[..])), line);
    assert_eq!(Line::from(("A", &b"b"[..])), line);
    assert_eq!(Line::from(("A", "b")), line);
    assert_eq!(Line::from(&line), line);
}

/// In a log nothing of what a peer sent may look like more lines than there are.
#[test]
fn what_was_received_is_shown_on_one_line() {
    let octets = b"POST / HTTP/1.1\r\nHost: a\r\nX: \xff\r\nTransfer-Encoding: chunked\r\n\r\n";
    let head = RequestHead::parse(octets).expect("a head");
    let mut lines = head.fields();
    assert_eq!(format!("{lines:?}"), r"[Host: a, X: \xff, Transfer-Encoding: chunked]");
    // Equal if the same is still to come.
    assert_eq!(lines, head.fields());
    lines.next();
    assert_ne!(lines, head.fields());
    assert_eq!(format!("{lines:?}"), r"[X: \xff, Transfer-Encoding: chunked]");

    let hop = Hop::to_origin("edge").expect("a pseudonym");
    let onward = format!("{:?}", forward::request(&head, &hop).expect("it goes on"));
    assert!(onward.contains("1.1 edge") && !onward.contains('\n'), "{onward}");

    let mut conn = server::Connection::new(&server::Config::origin(), ZERO);
    conn.receive(ZERO, octets, usize::MAX);
    conn.read_content(ZERO);
    let rest = b"0\r\nHost: b\r\nX-Sum: \xff\r\n\r\n";
    let Some(server::Event::End(trailers)) = conn.receive(ZERO, rest, usize::MAX).event else {
        unreachable!("the request is whole")
    };
    // S8.5: what must not stand there is not there.
    assert_eq!(format!("{trailers:?}"), r"[X-Sum: \xff]");
}

#[test]
fn a_pseudonym_is_a_token_or_a_host_and_not_too_long() {
    let longest = "a".repeat(64);
    for good in ["edge", "edge-7", "a.b:80", "[::1]:80", &longest] {
        assert!(Hop::to_origin(good).is_some() && Hop::to_proxy(good).is_some(), "{good}");
    }
    let longer = "a".repeat(65);
    for bad in ["", "a b", "a,b", "(a)", "a(b):1", "a/b", "a:b", "[::1", "a@b", &longer] {
        assert!(Hop::to_origin(bad).is_none() && Hop::to_proxy(bad).is_none(), "{bad}");
    }
    assert_ne!(Hop::to_origin("a"), Hop::to_proxy("a"));
}

/// What the machine itself has to say fits, and an embedder who kept that much keeps no more than twice
/// of what is needed.
#[test]
fn the_room_to_emit_is_for_the_longest_answer() {
    let answers = Kind::ALL.iter().filter_map(|kind| kind.status());
    let longest = answers.max_by_key(|&status| reason(status).len()).expect("an answer");
    assert_eq!(longest, 431);
    let config = server::Config::origin().max_fields(1);
    let mut conn = server::Connection::new(&config, ZERO);
    conn.receive(ZERO, b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n", usize::MAX);
    let mut out = [0; server::Connection::EMIT_ROOM];
    let n = conn.clone().emit(ZERO, &mut out).expect("room");
    assert!(out.starts_with(b"HTTP/1.1 431 Request Header Fields Too Large\r\n"));
    assert!(conn.emit(ZERO, &mut out[..n - 1]).is_err());
    assert_eq!(server::Connection::EMIT_ROOM, n.next_power_of_two());
}

/// S3: what waited for room ends its wait with the next content, also where that comes as a whole chunk.
#[test]
fn a_whole_chunk_ends_a_pause() {
    let now = Instant::from_millis(0);
    let mut conn =
        server::Connection::new(&server::Config::origin().min_rate(Duration::ZERO, 0), now);
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(conn.receive(now, head, usize::MAX).consumed, head.len());
    conn.read_content(now);
    // Content waits for room, and is then spliced past the machine.
    assert_eq!(conn.receive(now, b"3\r\nabc", 0).consumed, 3);
    assert_ne!(conn.deadline().map(|d| d.timer), Some(Timer::ContentStall));
    conn.bypassed(now, 3);
    let late = now + Duration::from_secs(1);
    let step = conn.receive(late, b"\r\n3\r\ndef\r\n", usize::MAX);
    assert_eq!(step.event, Some(server::Event::Content(b"def")));
    let stall = Deadline { at: late + Duration::from_secs(60), timer: Timer::ContentStall };
    assert_eq!(conn.deadline(), Some(stall));
    conn.check_invariants();
}

/// S8.3: a chunk that comes in pieces is the chunk that came whole, wherever it is cut. Here it stands behind
/// the data of another, where a size line is looked for all at once, and not all of it is there.
#[test]
fn a_chunk_in_pieces_is_the_chunk_that_came_whole() {
    let chunk = b"\r\n4\r\nabcd";
    for cut in 0..chunk.len() {
        let mut conn = serving(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        conn.read_content(ZERO);
        let step = conn.receive(ZERO, b"1\r\nx", usize::MAX);
        assert_eq!(step.event, Some(server::Event::Content(b"x")));
        let (mut begin, mut content) = (0, Vec::new());
        for end in [cut, chunk.len()] {
            loop {
                let step = conn.receive(ZERO, &chunk[begin..end], usize::MAX);
                begin += step.consumed;
                match step.event {
                    Some(server::Event::Content(piece)) => content.extend_from_slice(piece),
                    None => break,
                    other => panic!("{other:?} at {cut}"),
                }
            }
        }
        assert_eq!((content.as_slice(), begin), (&b"abcd"[..], chunk.len()), "cut at {cut}");
        conn.check_invariants();
    }
}
