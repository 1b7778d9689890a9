//! A watch that is told by hand what the transport does: what counts, and what does not.

use keepalive::client;
use keepalive::server::Config;
use keepalive::testkit::server::Connection;
use keepalive::testkit::{Rest, Rule, Watch};
use keepalive::{Content, End, Instant, Io, Lost, NO_FIELDS};
use std::time::Duration;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const READS: Rest = Rest { read: true, write: false, readable: false, writable: true };

fn ms(n: u64) -> Instant {
    Instant::from_millis(n)
}

fn begin() -> (Watch, Connection) {
    let watch = Watch::new();
    let conn = Connection::watched(Config::origin(), ms(0), &watch);
    (watch, conn)
}

/// A request is read, and answered; what was written for it.
fn answered() -> (Watch, Connection, Vec<u8>) {
    let (watch, mut conn) = begin();
    watch.read(ms(0), 99, Io::Done(GET.len()), GET);
    assert_eq!(conn.receive(ms(0), GET, 9).consumed, GET.len());
    conn.receive(ms(0), b"", 9);
    let mut out = [0; 200];
    let n = conn.reply(ms(0), 200, NO_FIELDS, b"hi", &mut out).expect("a reply");
    conn.receive(ms(0), b"", 9);
    (watch, conn, out[..n].to_vec())
}

#[test]
fn a_driver_that_does_all_is_left_alone() {
    let (watch, mut conn, out) = answered();
    watch.write(ms(0), &out, Io::Done(7));
    watch.write(ms(0), &out[7..], Io::Nothing);
    conn.transmitted(ms(0), 7);
    watch.sleep(ms(0), &Rest { read: false, write: true, readable: false, writable: false });
    watch.wake(ms(0), Some(ms(5)));
    watch.write(ms(5), &out[7..], Io::Done(out.len() - 7));
    conn.transmitted(ms(5), out.len() as u64 - 7);
    watch.sleep(ms(5), &READS);
    watch.wake(ms(5), Some(ms(75_005)));
    conn.expire(ms(75_005));
    assert_eq!(conn.wants().end, Some(End::ShutdownWrite));
    watch.shutdown(ms(75_005));
    conn.write_closed(ms(75_005));
    watch.read(ms(75_006), 99, Io::Done(0), b"");
    conn.received_eof(ms(75_006));
    watch.close(ms(75_006));
    assert_eq!(watch.breach(), None);
}

#[test]
fn output_is_held_against_what_was_made() {
    let (watch, _, out) = answered();
    watch.write(ms(0), &out, Io::Done(out.len()));
    assert_eq!(watch.broken(), None);
    watch.write(ms(0), b"more", Io::Done(4));
    assert_eq!(watch.broken(), Some(Rule::OutputChanged));

    let (watch, _, mut out) = answered();
    out[20] ^= 1;
    watch.write(ms(0), &out, Io::Done(20));
    assert_eq!(watch.broken(), None);
    watch.write(ms(0), &out[20..], Io::Done(1));
    let breach = watch.breach().expect("one octet is another");
    assert_eq!((breach.rule, breach.at), (Rule::OutputChanged, ms(0)));
    assert!(breach.steps.iter().any(|s| s.contains("reply: ")), "{breach}");
}

#[test]
fn content_that_is_framed_may_be_anything_and_what_is_around_it_may_not() {
    let (watch, mut conn) = begin();
    watch.read(ms(0), 99, Io::Done(GET.len()), GET);
    conn.receive(ms(0), GET, 9);
    conn.receive(ms(0), b"", 9);
    let mut out = [0; 200];
    let n =
        conn.respond(ms(0), 200, NO_FIELDS, Content::Unknown, &mut out).expect("a head").written;
    let frame = conn.frame(ms(0), 5).expect("a frame");
    assert_eq!(&*frame.prefix, b"5\r\n");
    let wire = [&out[..n], b"5\r\nhello\r\n"].concat();
    for octet in &wire[..wire.len() - 1] {
        watch.write(ms(0), &[*octet], Io::Done(1));
    }
    assert_eq!(watch.broken(), None);
    watch.write(ms(0), b"\r", Io::Done(1));
    assert_eq!(watch.broken(), Some(Rule::OutputChanged));
}

#[test]
fn a_deadline_may_be_late_by_the_slack() {
    for (late, slack, broken) in [
        (1_000, None, None),
        (1_001, None, Some(Rule::DeadlineIgnored)),
        (51, Some(50), Some(Rule::DeadlineIgnored)),
        (50, Some(50), None),
    ] {
        let (watch, _conn) = begin();
        if let Some(slack) = slack {
            watch.slack(Duration::from_millis(slack));
        }
        watch.sleep(ms(0), &READS);
        watch.wake(ms(0), Some(ms(30_000 + late)));
        assert_eq!(watch.broken(), broken, "{late} {slack:?}");
    }
    let (watch, _conn) = begin();
    watch.sleep(ms(0), &READS);
    watch.wake(ms(0), None);
    assert_eq!(watch.broken(), Some(Rule::DeadlineIgnored));
}

#[test]
fn what_is_shown_is_what_was_read_and_not_consumed() {
    let shows = |shown: &[&[u8]]| {
        let (watch, mut conn) = begin();
        watch.read(ms(0), 99, Io::Done(10), &GET[..10]);
        for bytes in shown {
            conn.receive(ms(0), bytes, 9);
        }
        watch.broken()
    };
    let changed = Some(Rule::UnconsumedChanged);
    assert_eq!(shows(&[&GET[..10]]), None);
    assert_eq!(shows(&[&GET[..4], &GET[..10], &GET[..10]]), None, "more and more of it");
    assert_eq!(shows(&[&GET[..10], &GET[..4]]), changed, "less of it");
    assert_eq!(shows(&[&GET[..10], b""]), changed, "nothing of it");
    assert_eq!(shows(&[&GET[..11]]), changed, "more than was read");
    assert_eq!(shows(&[b"GEt / HTTP"]), changed, "something else");

    // Without a word of the transport, what was shown before is all that is known.
    let watch = Watch::new();
    let mut conn = Connection::watched(Config::origin(), ms(0), &watch);
    conn.receive(ms(0), &GET[..4], 9);
    conn.receive(ms(0), &GET[..9], 9);
    conn.received_eof(ms(0));
    conn.transmitted(ms(0), 1);
    assert_eq!(watch.broken(), None);
    conn.receive(ms(0), &GET[1..9], 9);
    assert_eq!(watch.broken(), changed);
}

#[test]
fn with_no_room_nobody_has_to_show_or_to_read_anything() {
    let (watch, mut conn) = begin();
    watch.read(ms(0), 99, Io::Done(5), &GET[..5]);
    conn.receive(ms(0), &GET[..5], 0);
    watch.read(ms(0), 99, Io::Done(5), &GET[5..10]);
    watch.sleep(ms(0), &Rest { read: false, readable: true, ..READS });
    assert_eq!(watch.broken(), None);
    conn.receive(ms(0), &GET[..5], 9);
    watch.sleep(ms(0), &READS);
    assert_eq!(watch.broken(), Some(Rule::BytesWithheld));
}

#[test]
fn output_may_wait_for_a_peer_that_takes_none() {
    let full = Rest { read: true, write: false, readable: false, writable: false };
    let (watch, _conn, _) = answered();
    watch.sleep(ms(0), &full);
    assert_eq!(watch.broken(), None);
    watch.sleep(ms(0), &Rest { write: true, writable: true, ..full });
    assert_eq!(watch.broken(), None);
    watch.sleep(ms(0), &Rest { writable: true, ..full });
    assert_eq!(watch.broken(), Some(Rule::OutputNotWritten));
}

#[test]
fn an_answer_of_the_machine_may_wait_for_space() {
    let refused = |pending: bool| {
        let (watch, mut conn, out) = answered();
        if !pending {
            watch.write(ms(0), &out, Io::Done(out.len()));
            conn.transmitted(ms(0), out.len() as u64);
        }
        watch.read(ms(0), 99, Io::Done(4), b"no\r\n");
        conn.receive(ms(0), b"no\r\n", 9);
        conn.receive(ms(0), b"", 9);
        assert!(conn.wants().emit);
        watch.sleep(ms(0), &Rest { read: false, write: true, readable: false, writable: false });
        watch.broken()
    };
    assert_eq!(refused(true), None);
    assert_eq!(refused(false), Some(Rule::EmitForgotten));
}

#[test]
fn failures_are_what_the_transport_says_and_tls_is_not_its_affair() {
    let lost = |how| {
        let (watch, mut conn) = begin();
        watch.read(ms(0), 9, Io::Nothing, b"");
        conn.lost(ms(0), how);
        watch.broken()
    };
    assert_eq!(lost(Lost::Tls), None);
    assert_eq!(lost(Lost::Reset), Some(Rule::LossInvented));
    assert_eq!(lost(Lost::Write), Some(Rule::LossInvented));
    assert_eq!(lost(Lost::Truncated), Some(Rule::EofInvented));

    let (watch, mut conn) = begin();
    watch.read(ms(0), 9, Io::Done(0), b"");
    conn.lost(ms(0), Lost::Truncated);
    conn.receive(ms(0), b"", 9);
    watch.close(ms(0));
    assert_eq!(watch.broken(), None);

    // After a write that failed nothing is written, and what was made is forgotten.
    let (watch, mut conn, out) = answered();
    watch.write(ms(0), &out, Io::Lost(Lost::Write));
    conn.lost(ms(0), Lost::Write);
    assert!(matches!(conn.wants().end, Some(End::Abort(_))));
    watch.write(ms(0), &out, Io::Nothing);
    assert_eq!(watch.broken(), Some(Rule::WriteAfterEnd));
}

#[test]
fn a_client_may_leave_when_all_is_said() {
    use keepalive::testkit::client::Connection;
    let made = |owes: bool| {
        let watch = Watch::new();
        let mut conn = Connection::watched(client::Config::direct(), ms(0), &watch);
        if owes {
            let fields = [("Host", "a")];
            conn.request(ms(0), "GET", "/", fields, Content::None, &mut [0; 99])
                .expect("a request");
        }
        watch.close(ms(0));
        watch.broken()
    };
    assert_eq!(made(false), None);
    assert_eq!(made(true), Some(Rule::ClosedUnasked));

    // One that writes on while it waits for what the server still says.
    let watch = Watch::new();
    let mut conn = Connection::watched(client::Config::direct(), ms(0), &watch);
    let mut out = [0; 99];
    let fields = [("Host", "a")];
    let n = conn
        .request(ms(0), "POST", "/", fields, Content::Length(3), &mut out)
        .expect("one")
        .written;
    watch.write(ms(0), &out[..n], Io::Done(n));
    conn.transmitted(ms(0), n as u64);
    watch.write(ms(0), b"abc", Io::Lost(Lost::Write));
    conn.lost(ms(0), Lost::Write);
    assert_eq!((conn.wants().end, watch.broken()), (None, None));
    watch.write(ms(0), b"abc", Io::Nothing);
    assert_eq!(watch.broken(), Some(Rule::WriteAfterEnd));
}

#[test]
fn what_left_http_is_of_no_concern() {
    const CONNECT: &[u8] = b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\nraw";
    let (watch, mut conn) = begin();
    watch.read(ms(0), 99, Io::Done(CONNECT.len()), CONNECT);
    let consumed = conn.receive(ms(0), CONNECT, 9).consumed;
    conn.receive(ms(0), &CONNECT[consumed..], 9);
    let mut out = [0; 99];
    let n = conn.reply(ms(0), 200, NO_FIELDS, b"", &mut out).expect("a reply");
    conn.receive(ms(0), &CONNECT[consumed..], 9);
    watch.write(ms(0), &out[..n], Io::Done(n));
    conn.transmitted(ms(0), n as u64);
    assert_eq!(conn.wants().end, Some(End::Tunnel));
    watch.write(ms(0), b"whatever", Io::Done(8));
    watch.read(ms(0), 0, Io::Done(0), b"");
    watch.sleep(ms(0), &Rest::default());
    watch.wake(ms(0), None);
    watch.shutdown(ms(0));
    watch.close(ms(0));
    assert_eq!(watch.breach(), None);
}

#[test]
fn a_rule_can_be_lifted_and_the_first_breach_stays() {
    let (watch, mut conn) = begin();
    watch.allow(Rule::EmptyRead);
    watch.read(ms(0), 0, Io::Done(0), b"");
    assert_eq!(watch.broken(), None);
    conn.received_eof(ms(7));
    assert_eq!(watch.broken(), Some(Rule::EofInvented));
    watch.close(ms(8));
    let breach = watch.breach().expect("the first");
    assert_eq!((breach.rule, breach.at), (Rule::EofInvented, ms(7)));
    assert!(breach.to_string().starts_with("EofInvented at 7ms: "), "{breach}");
}
