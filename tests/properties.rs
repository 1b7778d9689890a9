//! Properties: whatever the peer, the application and the clock do, in whatever order, the contract
//! holds.
//!
//! The bodies are in `tests/common`; the fuzz targets (`fuzz/`) have the same. What they found once is
//! kept at the end, as the calls that showed it.

mod common;

use common::codec::{self, Source};
use common::framing::oracle::{Event, Framing};
use common::{REQUESTS, RESPONSES, Seed, client_ops, framing, pair, server_ops, split};
use keepalive::client::{self, Reuse};
use keepalive::testkit::pieces::{CHUNKS, REQUEST_LINES, RESPONSE_LINES};
use keepalive::testkit::strategy::{self, nearly};
use keepalive::testkit::{Body, Flaw};
use keepalive::{
    CloseReason, Content, Deadline, End, Instant, Io, Kind, Lost, NO_FIELDS, Persistence, Retire,
    SendError, Timer, Verdict, server,
};
use proptest::prelude::*;

/// So many cases, if `PROPTEST_CASES` does not ask for another number.
fn cases(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    let cases = asked.unwrap_or(cases);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn operations<T: std::fmt::Debug>(op: fn(Seed) -> T) -> impl Strategy<Value = Vec<T>> {
    proptest::collection::vec(any::<Seed>().prop_map(op), 0..40)
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn a_server_keeps_its_contract(head in any::<Seed>(), ops in operations(server_ops::op)) {
        server_ops::run(head, &ops);
    }

    #[test]
    fn a_client_keeps_its_contract(head in any::<Seed>(), ops in operations(client_ops::op)) {
        client_ops::run(head, &ops);
    }

    #[test]
    fn cuts_of_input_and_output_change_nothing(
        head in any::<Seed>(),
        seeds in proptest::collection::vec(any::<Seed>(), 0..10),
        cuts in any::<[u8; 18]>(),
    ) {
        split::run(head, &seeds, &split::Cuts::of(&mut Source::new(&cuts)));
    }

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is_written(
        data in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        codec::encode_decode(&data);
    }

    #[test]
    fn request_heads_are_read_or_refused(bytes in prop_oneof![nearly(REQUEST_LINES), nearly(REQUESTS)]) {
        codec::request_head(&bytes);
    }

    #[test]
    fn response_heads_are_read_or_refused(
        bytes in prop_oneof![nearly(RESPONSE_LINES), nearly(RESPONSES)],
    ) {
        codec::response_head(&bytes);
    }

    #[test]
    fn chunked_content_is_read_or_refused(cuts in any::<[u8; 2]>(), body in nearly(CHUNKS)) {
        codec::chunked(&[&cuts[..], &body].concat());
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn two_ends_on_a_pipe_answer_request_n_with_response_n(
        data in proptest::collection::vec(any::<u8>(), 8..130),
    ) {
        pair::run(&pair::script(&data));
    }
}

// ---- what the kit makes ----

/// One message, taken and framed as the body was meant.
fn is_whole(events: &[Event], body: &Body, bare: bool) {
    use keepalive::testkit::Framing as Meant;
    let (Some(Event::Request { framing, .. } | Event::Response { framing, .. }), behind) =
        (events.first(), &events[1..])
    else {
        panic!("no head: {events:?}");
    };
    let meant = match body.framing {
        _ if bare => Framing::None,
        Meant::None => Framing::None,
        Meant::Length => Framing::Length(body.content.len() as u64),
        Meant::Chunked => Framing::Chunked,
        Meant::UntilClose => Framing::Close,
    };
    assert_eq!(*framing, meant);
    let sent = !bare && !body.content.is_empty();
    let lines = body.trailers.iter().filter(|_| !bare);
    let trailers = lines.map(|(name, value)| (name.clone().into(), value.clone().into())).collect();
    let content = sent.then(|| Event::Content(body.content.clone()));
    let expected: Vec<_> = content.into_iter().chain([Event::End { trailers }]).collect();
    let [told @ .., Event::Persistence { .. }] = behind else { panic!("no end: {events:?}") };
    assert_eq!(told, expected);
}

/// A flaw, told in its place.
fn is_refused(events: &[Event], flaw: Flaw, status: Option<u16>) {
    let [before @ .., Event::Error { status: told }] = events else { panic!("taken: {events:?}") };
    assert_eq!(*told, status, "{flaw:?}");
    let head = matches!(before.first(), Some(Event::Request { .. } | Event::Response { .. }));
    assert_eq!(head, flaw.behind_head, "{flaw:?}: {events:?}");
    assert!(before.iter().skip(1).all(|e| matches!(e, Event::Content(_))), "{flaw:?}: {events:?}");
}

proptest! {
    #![proptest_config(cases(2_000))]

    /// By the machine, whole and octet by octet, and by the oracle: so say all of these.
    #[test]
    fn a_request_of_the_kit_is_taken(request in strategy::request()) {
        is_whole(&framing::served(&request.octets()), &request.body, false);
    }

    #[test]
    fn a_response_of_the_kit_is_taken(
        get in strategy::response("GET"),
        head in strategy::response("HEAD"),
    ) {
        is_whole(&framing::fetched(&get.octets(), "GET"), &get.body, false);
        is_whole(&framing::fetched(&head.octets(), "HEAD"), &head.body, true);
    }

    #[test]
    fn a_request_with_a_flaw_is_refused((flaw, octets) in strategy::flawed_request()) {
        is_refused(&framing::served(&octets), flaw, flaw.kind.status());
    }

    #[test]
    fn a_response_with_a_flaw_is_refused((flaw, octets) in strategy::flawed_response()) {
        is_refused(&framing::fetched(&octets, "GET"), flaw, None);
    }
}

// ---- found once ----

const ZERO: Instant = Instant::from_micros(0);

fn serving(head: &[u8]) -> server::Connection {
    let mut conn = server::Connection::new(&server::Config::origin(), ZERO);
    let step = conn.receive(ZERO, head, usize::MAX);
    assert!(matches!(step.event, Some(server::Event::Request(_))));
    conn
}

fn asking(method: &str, target: &str, content: Content) -> client::Connection {
    let mut conn = client::Connection::new(&client::Config::direct(), ZERO);
    let mut out = [0; 200];
    let started = conn.request(ZERO, method, target, [("Host", "a")], content, &mut out).unwrap();
    conn.transmitted(ZERO, started.written as u64);
    conn
}

fn receive_all(conn: &mut client::Connection, mut bytes: &[u8]) {
    loop {
        let step = conn.receive(ZERO, bytes, usize::MAX);
        bytes = &bytes[step.consumed..];
        if step.event.is_none() {
            return;
        }
    }
}

fn timer(deadline: Option<Deadline>) -> Option<Timer> {
    deadline.map(|d| d.timer)
}

#[test]
fn transmitted_octets_of_a_huge_upload_are_known_to_be_transmitted() {
    let mut conn = asking("POST", "/", Content::Length(10 << 30));
    assert_eq!(conn.frame(ZERO, 10 << 30).unwrap().total(), 10 << 30);
    conn.transmitted(ZERO, 1 << 30);
    assert_eq!(conn.retry(0).unwrap().verdict, Verdict::No);
    let step = conn.receive(ZERO, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", usize::MAX);
    assert!(matches!(step.event, Some(client::Event::Response(_))), "{step:?}");
}

#[test]
fn a_pause_ends_with_the_content_that_is_skipped() {
    let mut conn = asking("GET", "/", Content::None);
    conn.receive(ZERO, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", usize::MAX);
    conn.receive(ZERO, b"abc", 0);
    conn.skip_content(ZERO);
    receive_all(&mut conn, b"abc");
    assert!(matches!(conn.checkout(ZERO, Io::Nothing, b""), Reuse::Ready { .. }));
    let mut out = [0; 200];
    let n = conn.request(ZERO, "GET", "/", [("Host", "a")], Content::None, &mut out).unwrap();
    conn.transmitted(ZERO, n.written as u64);
    assert_eq!(timer(conn.deadline()), Some(Timer::HeadWait));

    let mut conn = serving(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    conn.read_content(ZERO);
    conn.receive(ZERO, b"ab", 0);
    conn.skip_content(ZERO);
    conn.receive(ZERO, b"ab", 0);
    let mut out = [0; 200];
    let n = conn.reply(ZERO, 200, NO_FIELDS, b"", &mut out).unwrap();
    conn.transmitted(ZERO, n as u64);
    assert_eq!(timer(conn.deadline()), Some(Timer::MinRate));
}

#[test]
fn an_immediate_request_is_possible_at_once() {
    let mut conn = asking("GET", "/", Content::None);
    let head = b"HTTP/1.1 204 N\r\nConnection: keep-alive\r\nKeep-Alive: timeout=1\r\n\r\n";
    receive_all(&mut conn, head);
    assert_eq!(conn.reuse(ZERO), Reuse::ImmediateOnly);
    assert_eq!(conn.checkout(ZERO, Io::Nothing, b""), Reuse::ImmediateOnly);
}

#[test]
fn after_a_failed_write_the_response_is_waited_for_and_no_writing() {
    let mut conn = client::Connection::new(&client::Config::direct(), ZERO);
    let mut out = [0; 200];
    let n = conn.request(ZERO, "GET", "/", [("Host", "a")], Content::None, &mut out).unwrap();
    conn.transmitted(ZERO, n.written as u64 - 1);
    conn.lost(ZERO, Lost::Write);
    assert_eq!(timer(conn.deadline()), Some(Timer::HeadWait));
}

#[test]
fn a_tunnel_cannot_be_skipped() {
    let mut conn = asking("CONNECT", "a:1", Content::None);
    conn.receive(ZERO, b"HTTP/1.1 200 OK\r\n\r\n", usize::MAX);
    conn.skip_content(ZERO);
    receive_all(&mut conn, b"");
    assert_eq!(conn.wants().end, Some(End::Tunnel));
}

#[test]
fn skipped_content_beyond_the_budget_is_reason_enough() {
    for head in [
        &b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n"[..],
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    ] {
        let mut conn = serving(head);
        conn.skip_content(ZERO);
        conn.check_invariants();
        assert!(!conn.persistence().persists());
    }
}

#[test]
fn each_of_many_offered_protocols_may_be_chosen_and_no_other() {
    let offer = |list: &str| {
        let head =
            format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: {list}\r\n\r\n");
        let mut conn = serving(head.as_bytes());
        conn.receive(ZERO, b"", usize::MAX);
        conn
    };
    let choose = |mut conn: server::Connection, chosen: &str| {
        conn.respond(ZERO, 101, [("Upgrade", chosen)], Content::None, &mut [0; 200]).is_ok()
    };
    for chosen in ["a", "b", "c", "d", "e"] {
        assert!(choose(offer("a, b, c, d, e"), chosen), "{chosen}");
    }
    assert!(choose(offer("a, b"), "b"));
    assert!(!choose(offer("a, b"), "x, b, y"));
    assert!(!choose(offer("a, b"), "a, b, y"));
}

#[test]
fn short_tells_what_is_needed() {
    let mut conn = serving(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (content, mut out) = ([b'x'; 100], [0; 400]);
    let short = conn.reply(ZERO, 200, NO_FIELDS, &content, &mut out[..5]);
    let Err(SendError::Short { needed }) = short else { panic!("{short:?}") };
    assert_eq!(conn.reply(ZERO, 200, NO_FIELDS, &content, &mut out[..needed]), Ok(needed));
}

#[test]
fn nothing_that_went_past_changes_nothing() {
    let mut conn =
        serving(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    conn.read_content(ZERO);
    conn.bypassed(ZERO, 0);
    assert!(conn.wants().emit);
}

#[test]
fn a_look_at_a_busy_connection_uses_nothing_up() {
    let mut conn = asking("POST", "/", Content::Length(5));
    receive_all(&mut conn, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    for _ in 0..9 {
        assert_eq!(conn.checkout(ZERO, Io::Nothing, b"\r\n"), Reuse::Busy);
    }
    conn.send(ZERO, b"hello", &mut [0; 9]).unwrap();
    conn.transmitted(ZERO, 5);
    assert!(matches!(conn.checkout(ZERO, Io::Nothing, b"\r\n"), Reuse::Ready { .. }));
}

#[test]
fn the_end_is_final() {
    let mut conn = server::Connection::new(&server::Config::origin(), ZERO);
    conn.received_eof(ZERO);
    conn.receive(ZERO, b"", 1);
    let end = conn.wants().end;
    conn.lost(ZERO, Lost::Reset);
    assert_eq!(conn.wants().end, end);

    let mut conn = server::Connection::new(&server::Config::origin(), ZERO);
    conn.retire(ZERO, Retire::Drain);
    let end = conn.wants().end;
    conn.expire(Instant::from_millis(100_000));
    assert!(end.is_some() && conn.wants().end == end);

    let mut conn = serving(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n");
    conn.receive(ZERO, b"", 1);
    let n = conn.reply(ZERO, 200, NO_FIELDS, b"", &mut [0; 99]).unwrap();
    conn.transmitted(ZERO, n as u64);
    conn.receive(ZERO, b"", 1);
    conn.lost(ZERO, Lost::Reset);
    assert_eq!(conn.wants().end, Some(End::Tunnel));
}

#[test]
fn nothing_is_written_behind_the_end() {
    let mut conn = asking("PUT", "/", Content::Length(100));
    receive_all(&mut conn, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nsurplus");
    assert!(matches!(conn.wants().end, Some(End::Close(_))));
    assert_eq!(conn.send(ZERO, b"x", &mut [0; 9]), Err(SendError::NotNow));
}

#[test]
fn what_was_never_transmitted_is_safe_to_send_again_after_an_abort_too() {
    let mut conn = client::Connection::new(&client::Config::direct(), ZERO);
    conn.request(ZERO, "POST", "/", [("Host", "a")], Content::None, &mut [0; 200]).unwrap();
    conn.abort(ZERO);
    assert_eq!(conn.retry(0).unwrap().verdict, Verdict::Safe);
}

#[test]
fn an_aborted_connection_with_buffers_has_no_output() {
    let config = server::Config::origin();
    let mut http = keepalive::buffered::Server::new(&config, ZERO, vec![0; 32768], vec![0; 999]);
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    http.space().unwrap()[..bytes.len()].copy_from_slice(bytes);
    http.received(ZERO, Io::Done(bytes.len()));
    let (event, mut out) = http.next(ZERO, usize::MAX);
    assert!(event.is_some());
    out.reply(200, NO_FIELDS, b"x").unwrap();
    http.received(ZERO, Io::Lost(Lost::Reset));
    assert!(http.output().is_empty());
}

#[test]
fn a_failure_behind_skipped_content_is_told_at_once() {
    let config = client::Config::direct().pipeline(true);
    let mut conn = client::Connection::new(&config, ZERO);
    let mut out = [0; 200];
    for head in [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..], b""] {
        let n = conn.request(ZERO, "GET", "/", [("Host", "a")], Content::None, &mut out).unwrap();
        conn.transmitted(ZERO, n.written as u64);
        conn.receive(ZERO, head, usize::MAX);
    }
    conn.skip_content(ZERO);
    conn.received_eof(ZERO);
    let step = conn.receive(ZERO, b"", usize::MAX);
    assert!(matches!(step.event, Some(client::Event::Failed(_))), "{step:?}");
}

/// Whatever ends content that is skipped: what is told, and where it was, does not depend on the cuts.
#[test]
fn a_failure_behind_skipped_content_has_one_place() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    // A flaw within the budget of 8 octets, one beyond it, and none.
    for (behind, place, reason) in [
        ("1\r\nx\r\nqqqq", 6, CloseReason::ResponseInvalid),
        ("3\r\nabc\r\nqqqq", 8, CloseReason::ResponseInvalid),
        ("3;ext=1q\nabc", 8, CloseReason::ResponseInvalid),
        ("3;ext=12q\nabc", 8, CloseReason::DiscardLimit),
        ("8\r\nabcdefgh\r\n", 8, CloseReason::DiscardLimit),
    ] {
        let told = |by: usize| {
            let config =
                client::Config::direct().pipeline(true).discard(8, core::time::Duration::MAX);
            let mut conn = client::Connection::new(&config, ZERO);
            let mut out = [0; 200];
            let mut ask = |conn: &mut client::Connection| {
                let host = [("Host", "a")];
                let n = conn.request(ZERO, "GET", "/", host, Content::None, &mut out).unwrap();
                conn.transmitted(ZERO, n.written as u64);
            };
            ask(&mut conn);
            receive_all(&mut conn, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            let before = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".len() + chunked.len();
            conn.checkout(ZERO, Io::Nothing, b"");
            ask(&mut conn);
            ask(&mut conn);
            conn.receive(ZERO, chunked.as_bytes(), usize::MAX);
            conn.skip_content(ZERO);
            let (mut from, mut end) = (0, 0);
            while end < behind.len() {
                end = (end + by).min(behind.len());
                let step = conn.receive(ZERO, &behind.as_bytes()[from..end], usize::MAX);
                from += step.consumed;
                if let Some(client::Event::Failed(f)) = step.event {
                    return (f.kind, f.offset as usize - before, conn.persistence());
                }
            }
            panic!("no failure: {behind:?}");
        };
        for by in 1..=behind.len() {
            let expected = (Kind::NoResponse, place, Persistence::Close(reason));
            assert_eq!(told(by), expected, "{behind:?} by {by}");
        }
    }
}

#[test]
fn skipping_while_the_response_is_under_way_decides() {
    let mut conn = serving(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n");
    conn.read_content(ZERO);
    let mut out = [0; 200];
    let n = conn.respond(ZERO, 200, NO_FIELDS, Content::Unknown, &mut out).unwrap().written;
    conn.skip_content(ZERO);
    let m = conn.finish(ZERO, NO_FIELDS, &mut out).unwrap();
    conn.transmitted(ZERO, (n + m) as u64);
    conn.retire(ZERO, Retire::Pressure);
    conn.write_closed(ZERO);
    conn.received_eof(ZERO);
    assert_eq!(conn.wants().end, Some(End::Close(CloseReason::UnreadContent)));
    assert_eq!(conn.persistence(), Persistence::Close(CloseReason::UnreadContent));
}

#[test]
fn a_response_begun_early_writes_the_due_100_first() {
    let mut conn =
        serving(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    conn.read_content(ZERO);
    assert!(conn.wants().emit && !conn.wants().read);
    let mut out = [0; 200];
    let n = conn.respond(ZERO, 200, NO_FIELDS, Content::Length(1), &mut out).unwrap().written;
    assert!(out[..n].starts_with(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"));
    assert!(!conn.wants().emit);
}

/// Six requests at once, answers larger than the space for output: `fits` holds the next request back
/// until there is room, and no answer fails.
#[test]
fn requests_wait_for_room_for_their_answers() {
    let requests = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(6);
    let (mut unread, mut output, mut answered) = (&requests[..], 0, 0);
    let mut conn = server::Connection::new(&server::Config::origin(), ZERO);
    let mut out = [0; 1600];
    let mut flushes = 0;
    while answered < 6 {
        let space = &mut out[..1600 - output];
        let room = conn.fits(space.len());
        let step = conn.receive(ZERO, unread, room);
        unread = &unread[step.consumed..];
        match step.event {
            Some(server::Event::Request(_)) => {
                let mut left = 900;
                let fields = [("X", "y")];
                output += conn
                    .respond(ZERO, 200, fields, Content::Length(900), space)
                    .expect("a request is delivered only with room for a head")
                    .written;
                while left > 0 {
                    let moved = conn.send(ZERO, &[b'x'; 900][..left], &mut out[output..]).unwrap();
                    output += moved.written;
                    left -= moved.taken;
                    if left > 0 {
                        conn.transmitted(ZERO, output as u64);
                        output = 0;
                    }
                }
                answered += 1;
            }
            Some(_) => {}
            None => {
                assert!(output > 0, "held back, and nothing to wait for: {conn:?}");
                conn.transmitted(ZERO, output as u64);
                output = 0;
                flushes += 1;
            }
        }
    }
    assert!(flushes > 1);
}
