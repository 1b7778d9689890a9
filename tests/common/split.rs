//! Cuts: what comes of a stream does not depend on how it is cut, nor on how the output space is.

use super::codec::Source;
use super::{Seed, client_ops, piece, server_ops};
use keepalive::{
    CloseReason, Content, End, Failure, Instant, NO_FIELDS, Persistence, Plan, SendError,
};
use keepalive::{client, server};

const NOW: Instant = Instant::from_micros(1_000);

/// What happened, with content in one piece.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Head(Vec<u8>),
    Content(Vec<u8>),
    End(Vec<(Vec<u8>, Vec<u8>)>),
    Failed(Failure),
    /// Refused by the machine itself.
    Own(Vec<u8>),
    /// A head of a response, and the content behind it, without its wrapping.
    Out(Vec<u8>, Vec<u8>),
    Over(Option<End>, Option<CloseReason>, usize),
}

fn content(log: &mut Vec<Told>, piece: &[u8]) {
    match log.last_mut() {
        Some(Told::Content(all)) => all.extend_from_slice(piece),
        _ => log.push(Told::Content(piece.to_vec())),
    }
}

fn lines<'b>(fields: impl Iterator<Item = keepalive::Line<'b>>) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.map(|l| (l.name.to_vec(), l.value.to_vec())).collect()
}

/// How a run is cut: octets shown, room for content, output space, in turns.
#[derive(Clone, Debug)]
pub struct Cuts {
    pub bytes: Vec<usize>,
    pub rooms: Vec<usize>,
    pub outs: Vec<usize>,
}

impl Cuts {
    fn none() -> Self {
        Self { bytes: vec![usize::MAX], rooms: vec![usize::MAX], outs: vec![1 << 16] }
    }

    /// From octets: pieces that are often small.
    pub fn of(source: &mut Source<'_>) -> Self {
        let mut some = |zero: bool| -> Vec<usize> {
            let n = source.below(4) + 1;
            let all: Vec<usize> = (0..n).map(|_| usize::from(source.byte()) % 40).collect();
            let least = usize::from(!zero || all.iter().all(|&n| n == 0));
            all.into_iter().map(|n| n.max(least)).collect()
        };
        Self { bytes: some(false), rooms: some(true), outs: some(true) }
    }
}

fn next(of: &[usize], at: &mut usize) -> usize {
    *at += 1;
    of[*at % of.len()]
}

/// A server whose application reads all content and answers by the target, on the spot.
fn serve(config: &server::Config, stream: &[u8], cuts: &Cuts) -> Vec<Told> {
    let mut conn = server::Connection::new(config, NOW);
    let mut log = Vec::new();
    let (mut from, mut end, mut eof) = (0, 0, false);
    let (mut i, mut j, mut k) = (0, 0, 0);
    let mut n = 0usize;
    let mut idle = 0;
    loop {
        let room = next(&cuts.rooms, &mut j);
        let step = conn.receive(NOW, &stream[from..end], room);
        from += step.consumed;
        let told = step.event.is_some();
        let mut answer = None;
        match step.event {
            Some(server::Event::Request(head)) => {
                log.push(Told::Head(head.as_bytes().to_vec()));
                answer = Some(head.is_connect());
                n += 1;
            }
            Some(server::Event::Content(piece)) => content(&mut log, piece),
            Some(server::Event::End(t)) => log.push(Told::End(lines(t))),
            Some(server::Event::Failed(f)) => log.push(Told::Failed(f)),
            None => {}
        }
        if let Some(connect) = answer {
            conn.read_content(NOW);
            let kinds = [Content::Length(50), Content::Unknown, Content::None];
            let (status, kind) = if connect { (200, Content::None) } else { (200, kinds[n % 3]) };
            let mut out = vec![0; next(&cuts.outs, &mut k)];
            let started = match conn.respond(NOW, status, [("X", "y")], kind, &mut out) {
                Err(SendError::Short { needed }) => {
                    out.resize(needed, 0);
                    conn.respond(NOW, status, [("X", "y")], kind, &mut out).expect("it will do")
                }
                done => done.expect("a response that is owed"),
            };
            let head = out[..started.written].to_vec();
            conn.transmitted(NOW, started.written as u64);
            let mut body = Vec::new();
            let mut rest: &[u8] = &[b'r'; 50];
            while !rest.is_empty() && !matches!(started.plan, Plan::None | Plan::Tunnel) {
                let mut out = vec![0; next(&cuts.outs, &mut k)];
                let moved = conn.send(NOW, rest, &mut out).expect("content that was declared");
                conn.transmitted(NOW, moved.written as u64);
                body.extend_from_slice(&out[..moved.written]);
                rest = &rest[moved.taken..];
                // The chunked coding needs some space for itself.
                if moved.taken == 0 && out.len() >= 6 {
                    panic!("no progress with {} octets of space", out.len());
                } else if moved.taken == 0 {
                    let mut out = [0; 16];
                    let moved = conn.send(NOW, rest, &mut out).expect("content");
                    assert!(moved.taken > 0);
                    conn.transmitted(NOW, moved.written as u64);
                    body.extend_from_slice(&out[..moved.written]);
                    rest = &rest[moved.taken..];
                }
            }
            if matches!(started.plan, Plan::Chunked | Plan::UntilClose) {
                let mut out = [0; 64];
                let n = conn.finish(NOW, NO_FIELDS, &mut out).expect("the end");
                conn.transmitted(NOW, n as u64);
                body.extend_from_slice(&out[..n]);
            }
            if started.plan == Plan::Chunked {
                let (plain, rest) = super::codec::dechunk(&body).expect("well-formed");
                assert_eq!(rest, b"\r\n");
                body = plain;
            }
            log.push(Told::Out(head, body));
        }
        if told {
            idle = 0;
            continue;
        }
        let mut out = [0; 256];
        let n = conn.emit(NOW, &mut out).expect("room enough");
        if n > 0 {
            log.push(Told::Own(out[..n].to_vec()));
            conn.transmitted(NOW, n as u64);
            continue;
        }
        if conn.wants().end == Some(End::ShutdownWrite) {
            conn.write_closed(NOW);
        }
        conn.check_invariants();
        let tunnel = conn.wants().end == Some(End::Tunnel);
        if end < stream.len() {
            end = end.saturating_add(next(&cuts.bytes, &mut i)).min(stream.len());
        } else if idle < cuts.rooms.len() {
            // A room of 0 may be what keeps it.
            idle += 1;
        } else if !eof && !tunnel {
            conn.received_eof(NOW);
            eof = true;
            idle = 0;
        } else {
            break;
        }
    }
    let reason = match conn.persistence() {
        Persistence::Close(reason) => Some(reason),
        Persistence::Persist { .. } => None,
    };
    log.push(Told::Over(conn.wants().end, reason, from));
    log
}

/// A client with one request in flight.
fn fetch(config: &client::Config, method: &str, stream: &[u8], cuts: &Cuts) -> Vec<Told> {
    let mut conn = client::Connection::new(config, NOW);
    let mut log = Vec::new();
    let mut out = [0; 512];
    let target = if method == "CONNECT" { "a:1" } else { "/" };
    let offer = if method == "GET" && !config_is_10(config) {
        &[("Host", "a"), ("Upgrade", "x")][..]
    } else {
        &[("Host", "a")]
    };
    let offer = offer.iter().copied();
    let started =
        conn.request(NOW, method, target, offer, Content::None, &mut out).expect("a request");
    conn.transmitted(NOW, started.written as u64);
    let (mut from, mut end, mut eof) = (0, 0, false);
    let (mut i, mut j) = (0, 0);
    let mut idle = 0;
    loop {
        let step = conn.receive(NOW, &stream[from..end], next(&cuts.rooms, &mut j));
        from += step.consumed;
        idle = if step.event.is_some() { 0 } else { idle };
        match step.event {
            Some(client::Event::Interim(head) | client::Event::Response(head)) => {
                log.push(Told::Head(head.as_bytes().to_vec()));
            }
            Some(client::Event::Content(piece)) => content(&mut log, piece),
            Some(client::Event::End(t)) => log.push(Told::End(lines(t))),
            Some(client::Event::Failed(f)) => log.push(Told::Failed(f)),
            None => {
                conn.check_invariants();
                let tunnel = conn.wants().end == Some(End::Tunnel);
                if end < stream.len() {
                    end = end.saturating_add(next(&cuts.bytes, &mut i)).min(stream.len());
                } else if idle < cuts.rooms.len() {
                    idle += 1;
                } else if !eof && !tunnel {
                    conn.received_eof(NOW);
                    eof = true;
                    idle = 0;
                } else {
                    break;
                }
            }
        }
    }
    let reason = match conn.persistence() {
        Persistence::Close(reason) => Some(reason),
        Persistence::Persist { .. } => None,
    };
    log.push(Told::Over(conn.wants().end, reason, from));
    log
}

/// Requests of 1.0 cannot offer an upgrade.
fn config_is_10(config: &client::Config) -> bool {
    let mut probe = client::Connection::new(config, NOW);
    let fields = [("Host", "a"), ("Upgrade", "x")];
    probe.request(NOW, "GET", "/", fields, Content::None, &mut [0; 256]).is_err()
}

fn stream(pieces: &[&[u8]], seeds: &[Seed]) -> Vec<u8> {
    seeds.iter().flat_map(|&s| piece(pieces, s)).collect()
}

/// Whole, octet by octet, and cut as told.
pub fn run(head: Seed, seeds: &[Seed], cuts: &Cuts) {
    let by_one = Cuts { bytes: vec![1], ..Cuts::none() };
    if head[2].is_multiple_of(2) {
        let config = server_ops::config(head[0], head[1]);
        let stream = stream(super::REQUESTS, seeds);
        // Whether a 100 is due depends on whether content came first: by its nature a matter of cuts.
        if stream.windows(3).any(|w| w.eq_ignore_ascii_case(b"100")) {
            return;
        }
        let whole = serve(&config, &stream, &Cuts::none());
        for cuts in [cuts, &by_one] {
            assert_eq!(serve(&config, &stream, cuts), whole, "{}", stream.escape_ascii());
        }
    } else {
        let config = client_ops::config(head[0], head[1]);
        let stream = stream(super::RESPONSES, seeds);
        let method = ["GET", "HEAD", "POST", "CONNECT"][usize::from(head[3] % 4)];
        let whole = fetch(&config, method, &stream, &Cuts::none());
        for cuts in [cuts, &by_one] {
            let cut = fetch(&config, method, &stream, cuts);
            assert_eq!(cut, whole, "{}", stream.escape_ascii());
        }
    }
}
