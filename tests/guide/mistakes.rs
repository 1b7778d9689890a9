//! What mistakes of a driver look like: the table of `docs/06-embedding.md`, as far as the test kit's own
//! tests do not show it.

use keepalive::buffered::{Client, Server};
use keepalive::server::{Config, Connection, Event};
use keepalive::{
    Buffer, CloseReason, Content, End, Instant, Io, Kind, NO_FIELDS, Plan, Retire, SendError,
    Timer, client,
};
use std::time::Duration;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const NOW: Instant = Instant::from_millis(0);

fn at(s: u64) -> Instant {
    NOW + Duration::from_secs(s)
}

fn conn() -> Connection {
    Connection::new(&Config::origin(), NOW)
}

/// Until there is no event; answers requests.
fn receive_all(http: &mut Connection, mut bytes: &[u8], out: &mut [u8]) -> usize {
    let mut written = 0;
    loop {
        let step = http.receive(NOW, bytes, usize::MAX);
        bytes = &bytes[step.consumed..];
        match step.event {
            Some(Event::Request(_)) => {
                written += http.reply(NOW, 204, NO_FIELDS, b"", &mut out[written..]).unwrap();
            }
            Some(_) => {}
            None => return written,
        }
    }
}

#[test]
fn receiving_once_leaves_the_second_request_unanswered() {
    let mut http = conn();
    let mut out = [0; 256];
    let step = http.receive(NOW, GET, usize::MAX);
    assert!(matches!(step.event, Some(Event::Request(_))));
    http.reply(NOW, 204, NO_FIELDS, b"", &mut out).unwrap();
    // The next read brings the next request; called once, `receive` has only the last one's end to tell.
    let step = http.receive(NOW, GET, usize::MAX);
    assert!(matches!(step.event, Some(Event::End(_))) && step.consumed == 0);
    assert!(!http.wants().head);
}

#[test]
fn consumed_without_an_event_matters_to_chunks() {
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let run = |applies: bool| {
        let mut http = conn();
        let mut bytes = post.to_vec();
        let step = http.receive(NOW, &bytes, usize::MAX);
        bytes.drain(..step.consumed);
        http.read_content(NOW);
        for piece in [&b"3\r\n"[..], b"abc\r\n0\r\n\r\n"] {
            bytes.extend_from_slice(piece);
            loop {
                let step = http.receive(NOW, &bytes, usize::MAX);
                match step.event {
                    Some(Event::Failed(failure)) => return Some(failure.status()),
                    Some(_) => drop(bytes.drain(..step.consumed)),
                    None if applies => break drop(bytes.drain(..step.consumed)),
                    None => break,
                }
            }
        }
        None
    };
    assert_eq!(run(true), None);
    assert_eq!(run(false), Some(Some(400)));
}

#[test]
fn without_emit_neither_a_100_nor_a_400_goes_out() {
    let mut http = conn();
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    http.receive(NOW, post, usize::MAX);
    http.read_content(NOW);
    assert!(http.wants().emit && !http.wants().read);

    let mut http = conn();
    receive_all(&mut http, b"GET\r\n\r\n", &mut []);
    assert!(http.wants().emit && http.wants().end.is_none());
    http.expire(at(3000));
    assert!(http.wants().emit && http.wants().end.is_none(), "it stays so");
}

#[test]
fn without_transmitted_the_connection_is_aborted_after_60_s() {
    let mut http = conn();
    assert!(receive_all(&mut http, GET, &mut [0; 256]) > 0);
    assert_eq!(http.deadline().map(|d| (d.at, d.timer)), Some((at(60), Timer::WriteStall)));
    http.expire(at(60));
    assert_eq!(http.wants().end, Some(End::Abort(CloseReason::WriteTimeout)));
}

#[test]
fn a_read_into_nothing_looks_like_eof() {
    let config = Config::origin();
    let mut http = Server::new(&config, NOW, [0; 64].to_vec(), vec![0; 256]);
    http.space().unwrap()[..64].fill(b'G');
    http.received(NOW, Io::Done(64));
    // The layer gives no space; a driver that reads into an empty slice all the same gets 0.
    assert!(http.space().is_none());
    http.received(NOW, Io::Done(0));
    let failed = match http.next(NOW, usize::MAX) {
        (Some(Event::Failed(failure)), _) => failure.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(failed, Kind::IncompleteHead);
    assert!(matches!(http.wants().end, Some(End::Close(CloseReason::PeerClosed))));
}

#[test]
fn without_write_closed_the_end_is_repeated() {
    let mut http = conn();
    let n = receive_all(&mut http, GET, &mut [0; 256]);
    http.transmitted(NOW, n as u64);
    http.expire(at(75));
    for s in 75..200 {
        http.expire(at(s));
        assert_eq!(http.wants().end, Some(End::ShutdownWrite));
    }
    http.write_closed(at(200));
    assert_eq!(http.wants().end, None);
}

#[test]
fn without_room_an_echo_loses_content() {
    let config = Config::origin();
    let mut http = Server::new(&config, NOW, vec![0; 32 * 1024], vec![0; 512]);
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n";
    let space = http.space().unwrap();
    space[..head.len()].copy_from_slice(head);
    space[head.len()..head.len() + 4000].fill(b'e');
    http.received(NOW, Io::Done(head.len() + 4000));
    let mut lost = 0;
    while let (Some(event), mut out) = http.next(NOW, usize::MAX) {
        match event {
            Event::Request(head) => {
                out.read_content();
                out.respond(200, NO_FIELDS, head.outbound()).unwrap();
            }
            Event::Content(piece) => lost += piece.len() - out.send(piece).unwrap(),
            _ => {}
        }
    }
    assert!(lost > 3000, "{lost}");
}

#[test]
fn a_response_before_read_content_leaves_the_content_unread() {
    let mut http = conn();
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n";
    http.receive(NOW, post, usize::MAX);
    let mut out = [0; 256];
    http.respond(NOW, 200, NO_FIELDS, Content::Length(3), &mut out).unwrap();
    http.read_content(NOW); // too late
    assert_eq!(http.receive(NOW, b"abc", usize::MAX).event, None);
    let why = http.persistence();
    assert_eq!(why, keepalive::Persistence::Close(CloseReason::UnreadContent));
}

#[test]
fn half_of_the_send_buffer_is_always_free_for_a_reply() {
    let config = Config::origin();
    let mut http = Server::allocate(&config, NOW);
    let many = GET.repeat(100);
    http.space().unwrap()[..many.len()].copy_from_slice(&many);
    http.received(NOW, Io::Done(many.len()));
    let (mut answered, half) = (0, [b'x'; 16 * 1024 - 100]);
    // Nothing is transmitted: as many are shown as find room.
    while let (Some(event), mut out) = http.next(NOW, usize::MAX) {
        if let Event::Request(_) = event {
            out.reply(200, NO_FIELDS, &half).unwrap();
            answered += 1;
        }
    }
    assert_eq!(answered, 2);
    // More than all of it is refused, and the connection is as it was.
    let mut http = Server::allocate(&config, NOW);
    http.space().unwrap()[..GET.len()].copy_from_slice(GET);
    http.received(NOW, Io::Done(GET.len()));
    let (Some(Event::Request(_)), mut out) = http.next(NOW, usize::MAX) else { panic!() };
    let refused = out.reply(200, NO_FIELDS, &[b'x'; 50_000]);
    assert!(matches!(refused, Err(SendError::Short { needed: 50_000.. })), "{refused:?}");
    assert!(out.wants().head);
}

#[test]
fn without_finish_only_the_lifetime_ends_it() {
    let mut http = conn();
    let mut out = [0; 256];
    http.receive(NOW, GET, usize::MAX);
    // Nor has the application's turn a timer before it answers.
    assert_eq!(http.deadline().map(|d| d.timer), Some(Timer::Lifetime));
    let started = http.respond(NOW, 200, NO_FIELDS, Content::Unknown, &mut out).unwrap();
    assert_eq!(started.plan, Plan::Chunked);
    http.transmitted(NOW, started.written as u64);
    http.receive(NOW, b"", usize::MAX);
    assert_eq!(http.deadline().map(|d| d.timer), Some(Timer::Lifetime));
    assert!(http.wants().content && http.wants().end.is_none());
}

#[test]
fn an_answer_outside_the_loop_needs_a_turn() {
    let config = Config::origin();
    let mut http = Server::allocate(&config, NOW);
    let two = [GET, GET].concat();
    http.space().unwrap()[..two.len()].copy_from_slice(&two);
    http.received(NOW, Io::Done(two.len()));
    while let (Some(_), _) = http.next(NOW, usize::MAX) {}
    http.out(NOW).reply(204, NO_FIELDS, b"").unwrap();
    // The second request is in the buffer, and no byte more will come.
    assert_eq!(http.unread().len(), GET.len());
    assert!(matches!(http.next(NOW, usize::MAX), (Some(Event::Request(_)), _)));
}

#[test]
fn retiring_what_was_just_accepted_closes_it() {
    let mut http = conn();
    http.retire(NOW, Retire::Drain);
    assert_eq!(http.wants().end, Some(End::Close(CloseReason::Draining)));
}

#[test]
fn a_client_is_refused_a_second_request_without_checkout() {
    let mut http = Client::allocate(&client::Config::direct(), NOW);
    let ask = |http: &mut Client<Vec<u8>>| {
        http.out(NOW).request("GET", "/", [("Host", "a")], Content::None)
    };
    ask(&mut http).unwrap();
    let n = http.output().len();
    http.transmitted(NOW, Io::Done(n));
    let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
    http.space().unwrap()[..answer.len()].copy_from_slice(answer);
    http.received(NOW, Io::Done(answer.len()));
    while let (Some(_), _) = http.next(NOW, usize::MAX) {}
    assert_eq!(ask(&mut http), Err(SendError::NotReady(client::Reuse::Unchecked)));
    http.checkout(NOW, |_| Io::Nothing);
    ask(&mut http).unwrap();
}

#[test]
fn receptions_before_transmissions_look_unsolicited() {
    let mut http = client::Connection::new(&client::Config::direct(), NOW);
    let started =
        http.request(NOW, "GET", "/", [("Host", "a")], Content::None, &mut [0; 256]).unwrap();
    let step = http.receive(NOW, b"HTTP/1.1 204 No Content\r\n\r\n", usize::MAX);
    http.transmitted(NOW, started.written as u64);
    let Some(client::Event::Failed(failure)) = step.event else { panic!("{step:?}") };
    assert_eq!(failure.kind, Kind::Unsolicited);
}

/// What is said of `Buffer`: whoever holds a pointer into it must not call `spare`, nor `consume`.
#[test]
fn spare_moves_what_is_unread() {
    let mut buffer = Buffer::new([0u8; 8]);
    buffer.spare()[..4].copy_from_slice(b"abcd");
    buffer.filled(4);
    buffer.consume(2);
    let before = buffer.unread().as_ptr();
    assert_eq!(buffer.unread(), b"cd");
    buffer.spare();
    assert_ne!(buffer.unread().as_ptr(), before);
    // And the place of the space itself changes when the buffer becomes empty.
    let place = buffer.spare().as_ptr();
    buffer.consume(2);
    assert_ne!(buffer.spare().as_ptr(), place);
}

/// A time that has another origin than the connection's is over at once, or never.
#[test]
fn two_clocks_are_one_too_many() {
    let mut http = Connection::new(&Config::origin(), at(1_000_000));
    http.expire(at(5));
    assert_eq!(http.wants().end, None);
    let mut http = conn();
    http.expire(at(1_000_000));
    assert_eq!(http.wants().end, Some(End::Close(CloseReason::Unused)));
}
