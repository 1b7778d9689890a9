//! What is parsed, and what is written and read back.

use keepalive::client::{self, Reuse};
use keepalive::server;
use keepalive::{
    Content, Field, Instant, Io, Kind, Line, Part, Plan, Prepared, RequestFraming, RequestHead,
    ResponseHead, SendError,
};

const NOW: Instant = Instant::from_micros(0);

/// Octets, one decision after another. When they are used up, all further ones are zero.
pub use keepalive::testkit::Source;

fn is_token(v: &[u8]) -> bool {
    !v.is_empty() && v.iter().all(|&b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn is_value(v: &[u8]) -> bool {
    v.iter().all(|&b| b == b'\t' || b >= b' ' && b != 0x7f)
}

/// A head that was parsed holds what heads hold, and so do all ways to look at it.
fn lines<'b>(fields: impl Iterator<Item = Line<'b>>) -> usize {
    let mut n = 0;
    for line in fields {
        assert!(is_token(line.name), "{line:?}");
        assert!(is_value(line.value), "{line:?}");
        assert!(line.value.trim_ascii_start().len() == line.value.len() || line.value[0] == 0x0c);
        n += 1;
    }
    n
}

/// Any octets, as a request head.
pub fn request_head(bytes: &[u8]) {
    let whole = RequestHead::parse(bytes);
    if let Ok(head) = &whole {
        let own = head.as_bytes();
        assert!(bytes.starts_with(own) && own.ends_with(b"\r\n\r\n"));
        assert_eq!(RequestHead::parse(own), whole);
        assert!(is_token(head.method().as_bytes()) && head.method().len() <= 32);
        assert!(!head.target().is_empty());
        assert!(head.target().iter().all(|&b| b > b' ' && b != 0x7f));
        let n = lines(head.fields());
        assert_eq!(n, own.iter().filter(|&&b| b == b'\n').count() - 2, "a line each");
        let _ = (head.authority(), head.upgrade().count(), head.outbound(), format!("{head:?}"));
        assert!(!head.expects_continue() || head.has_content());
        if head.is_connect() {
            assert_eq!(head.framing(), RequestFraming::None);
        }
    }
    // What is found does not depend on what follows, nor on how much is there.
    let at = |r: &Result<_, keepalive::Failure>| match r {
        Ok(_) => bytes.len(),
        Err(f) => f.offset as usize,
    };
    assert!(at(&whole) <= bytes.len());
    let cuts = [bytes.len() / 2, bytes.len().saturating_sub(1), bytes.len() / 3, 1];
    for cut in cuts.into_iter().filter(|&c| c < bytes.len()) {
        match (&whole, RequestHead::parse(&bytes[..cut])) {
            (Ok(head), part) if cut >= head.as_bytes().len() => assert_eq!(part, whole),
            (_, Err(f)) if f.kind == Kind::IncompleteHead => {}
            (_, part) => assert_eq!(part, whole, "cut at {cut}"),
        }
    }
    // The connection says the same of it, octet by octet.
    let mut conn = server::Connection::new(&server::Config::origin(), NOW);
    let lead = bytes.chunks(2).take(4).take_while(|c| c == b"\r\n").count() * 2;
    let bytes = &bytes[lead..];
    if bytes.is_empty() || bytes.starts_with(b"\r") {
        return;
    }
    let whole = RequestHead::parse(bytes);
    for end in 1..=bytes.len() {
        let step = conn.receive(NOW, &bytes[..end], usize::MAX);
        conn.check_invariants();
        match (step.event, &whole) {
            (None, _) => assert_eq!(step.consumed, 0),
            (Some(server::Event::Request(head)), Ok(same)) => {
                assert_eq!(head.as_bytes(), same.as_bytes());
                assert_eq!(end, head.as_bytes().len());
                return;
            }
            (Some(server::Event::Failed(f)), Err(same)) => {
                assert_eq!(&f, same);
                return;
            }
            (event, whole) => panic!("{event:?}, and parsed by itself {whole:?}"),
        }
    }
    let open = whole.as_ref().is_err_and(|f| f.kind == Kind::IncompleteHead);
    assert!(open, "the connection waits for more, and parsed by itself {whole:?}");
}

/// Any octets, as a response head.
pub fn response_head(bytes: &[u8]) {
    for method in ["GET", "HEAD", "CONNECT"] {
        let whole = ResponseHead::parse(bytes, method);
        if let Ok(head) = &whole {
            let own = head.as_bytes();
            assert!(bytes.starts_with(own) && own.ends_with(b"\r\n\r\n"));
            assert_eq!(ResponseHead::parse(own, method), whole);
            assert!((100..1000).contains(&head.status()));
            assert!(is_value(head.reason()));
            let n = lines(head.fields());
            assert_eq!(n, own.iter().filter(|&&b| b == b'\n').count() - 2, "a line each");
            let _ = (head.outbound(), head.declared_length(), format!("{head:?}"));
        }
        for cut in [bytes.len() / 2, bytes.len().saturating_sub(1), bytes.len() / 3, 1] {
            if cut >= bytes.len() {
                continue;
            }
            match (&whole, ResponseHead::parse(&bytes[..cut], method)) {
                (Ok(head), part) if cut >= head.as_bytes().len() => assert_eq!(part, whole),
                (_, Err(f)) if f.kind == Kind::IncompleteHead => {}
                (_, part) => assert_eq!(part, whole, "cut at {cut}"),
            }
        }
    }
}

/// The chunked coding by a decoder that is as slow and plain as it can be: the content and what is
/// left, or `None` where it is not well-formed.
pub fn dechunk(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut content = Vec::new();
    loop {
        let end = bytes.windows(2).position(|w| w == b"\r\n")?;
        let digits = bytes[..end].split(|&b| b == b';').next()?.trim_ascii_end();
        let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        bytes = &bytes[end + 2..];
        if size == 0 {
            return Some((content, bytes));
        }
        content.extend_from_slice(bytes.get(..size)?);
        bytes = bytes.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

/// Octets behind the head of a chunked request: the same however they are cut; content that comes is
/// what the plain decoder says, and nothing beyond the message is consumed.
pub fn chunked(data: &[u8]) {
    let mut source = Source::new(data);
    let step_by = usize::from(source.byte() % 32) + 1;
    let room = usize::from(source.byte() % 32) + 1;
    let body = source.rest();
    let decode = |by: usize, room: usize| {
        let mut conn = server::Connection::new(&server::Config::origin(), NOW);
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        conn.receive(NOW, head, usize::MAX);
        conn.read_content(NOW);
        let (mut content, mut from, mut end) = (Vec::new(), 0, 0);
        loop {
            let step = conn.receive(NOW, &body[from..end], room);
            conn.check_invariants();
            assert!(step.consumed <= end - from);
            match step.event {
                Some(server::Event::Content(piece)) => {
                    assert!(!piece.is_empty() && piece.len() <= room);
                    content.extend_from_slice(piece);
                    from += step.consumed;
                }
                Some(server::Event::End(trailers)) => {
                    from += step.consumed;
                    let _ = lines(trailers);
                    return (content, from, None);
                }
                Some(server::Event::Failed(f)) => return (content, 0, Some((f.kind, f.offset))),
                Some(other) => panic!("{other:?}"),
                None => {
                    from += step.consumed;
                    if end == body.len() {
                        return (content, usize::MAX, None);
                    }
                    end = (end + by).min(body.len());
                }
            }
        }
    };
    let whole = decode(usize::MAX / 2, usize::MAX);
    assert_eq!(decode(step_by, room), whole, "by {step_by}, room {room}");
    assert_eq!(decode(1, usize::MAX), whole, "octet by octet");
    if let (content, from, None) = &whole
        && *from != usize::MAX
    {
        let (plain, trailers) = dechunk(body).expect("what was accepted is well-formed");
        assert_eq!(&plain, content);
        let trailers_end = if trailers.starts_with(b"\r\n") {
            2
        } else {
            trailers.windows(4).position(|w| w == b"\r\n\r\n").expect("an empty line") + 4
        };
        assert_eq!(body.len() - trailers.len() + trailers_end, *from, "consumed the message");
    }
}

/// A field line, mostly one that may be sent.
fn line(source: &mut Source<'_>) -> (Vec<u8>, Vec<u8>) {
    const NAMES: [&[u8]; 13] = [
        b"X-A",
        b"x-a",
        b"Date",
        b"Accept",
        b"ETag",
        b"A!#$%&'*+-.^_`|~9",
        b"Set-Cookie",
        b"Via",
        b"Content-Digest",
        b"If-None-Match",
        b"Link",
        b"X",
        b"TE",
    ];
    let name = match source.byte() {
        0..12 => {
            let n = usize::from(source.below(4));
            source.take(n).to_vec()
        }
        b => NAMES[usize::from(b) % NAMES.len()].to_vec(),
    };
    let n = usize::from(source.below(12));
    let raw = source.byte() < 24;
    let mut value = source.take(n).to_vec();
    if !raw {
        value.iter_mut().filter(|b| **b < b' ' || **b == 0x7f).for_each(|b| *b = b'v');
    }
    (name, value)
}

fn all_lines(source: &mut Source<'_>, n: u8) -> Vec<(Vec<u8>, Vec<u8>)> {
    (0..source.below(n)).map(|_| line(source)).collect()
}

fn given(lines: &[(Vec<u8>, Vec<u8>)]) -> impl Iterator<Item = Line<'_>> {
    lines.iter().map(|(n, v)| Line { name: n, value: v })
}

fn clean(lines: &[(Vec<u8>, Vec<u8>)]) -> bool {
    // RFC 9112 §7.4: chunked goes without saying, and must.
    let chunked =
        |v: &[u8]| v.split(|&b| b == b',').any(|m| trim(m).eq_ignore_ascii_case(b"chunked"));
    let says_chunked = |n: &[u8], v: &[u8]| n.eq_ignore_ascii_case(b"te") && chunked(v);
    lines.iter().all(|(n, v)| is_token(n) && is_value(v) && !says_chunked(n, v))
}

/// The first half of the lines as a prepared block, and then the rest: `send` writes as with all of them
/// as lines, octet for octet. What a block refuses cannot be sent as a line either, or is the machine's.
fn as_with_a_block<T: std::fmt::Debug + PartialEq>(
    lines: &[(Vec<u8>, Vec<u8>)],
    plain: (&Result<T, SendError>, &[u8]),
    mut send: impl FnMut(&[Field<'_>], &mut [u8]) -> Result<T, SendError>,
) {
    let (front, back) = lines.split_at(lines.len() / 2);
    match Prepared::<1024>::new(given(front)) {
        Ok(block) => {
            let fields: Vec<_> = block.into_iter().chain(given(back).map(Field::from)).collect();
            let mut out = [0; 4096];
            assert_eq!(&send(&fields, &mut out), plain.0, "with {block:?}");
            assert_eq!(out, plain.1, "with {block:?}");
        }
        Err(SendError::Invalid(Part::Reserved)) => {
            let machine = [
                "Connection",
                "Keep-Alive",
                "Proxy-Connection",
                "Content-Length",
                "Transfer-Encoding",
                "Upgrade",
                "TE",
                "Expect",
                "Host",
            ];
            assert!(given(front).any(|line| machine.iter().any(|name| line.is(name))));
        }
        Err(_) => assert!(plain.0.is_err()),
    }
}

fn trim(v: &[u8]) -> &[u8] {
    let start = v.iter().position(|&b| b != b' ' && b != b'\t').unwrap_or(v.len());
    let end = v.iter().rposition(|&b| b != b' ' && b != b'\t').map_or(start, |n| n + 1);
    &v[start..end]
}

/// What came has the lines that were given, in order, and besides only what the machine adds.
fn same_lines<'b>(came: impl Iterator<Item = Line<'b>>, given: &[(Vec<u8>, Vec<u8>)], host: bool) {
    const OWNED: [&str; 5] =
        ["Connection", "Keep-Alive", "Content-Length", "Transfer-Encoding", "Host"];
    let came: Vec<_> = came
        .filter(|l| !(OWNED[..if host { 5 } else { 4 }]).iter().any(|o| l.is(o)))
        .map(|l| (l.name.to_vec(), l.value.to_vec()))
        .collect();
    let given: Vec<_> = given.iter().map(|(n, v)| (n.clone(), trim(v).to_vec())).collect();
    assert_eq!(came, given);
}

/// What a message carries besides its head.
struct Carried {
    content: Vec<u8>,
    declared: Content,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

fn carried(source: &mut Source<'_>) -> Carried {
    let n = usize::from(source.byte());
    let content: Vec<u8> = (0..n).map(|i| (i * 7 + n) as u8).collect();
    let (content, declared) = match source.below(3) {
        0 => (Vec::new(), Content::None),
        1 => (content, Content::Length(n as u64)),
        _ => (content, Content::Unknown),
    };
    let mut trailers = if declared == Content::Unknown { all_lines(source, 3) } else { Vec::new() };
    trailers.retain(|(name, _)| {
        !["Set-Cookie", "TE"].iter().any(|n| name.eq_ignore_ascii_case(n.as_bytes()))
    });
    Carried { content, declared, trailers }
}

/// Sends content piece by piece, copied or framed, and ends it.
fn pour(
    source: &mut Source<'_>,
    carried: &Carried,
    plan: Plan,
    wire: &mut Vec<u8>,
    send: &mut dyn FnMut(Sending<'_>, &mut [u8]) -> Result<(usize, usize), SendError>,
) {
    let mut rest = &carried.content[..];
    if plan == Plan::None {
        rest = &[];
    }
    while !rest.is_empty() {
        let n = (usize::from(source.byte()) + 1).min(rest.len());
        if source.byte().is_multiple_of(2) {
            send(Sending::Frame(&rest[..n], wire), &mut []).expect("a frame");
            rest = &rest[n..];
        } else {
            let mut out = vec![0; usize::from(source.byte()) + 8];
            let (taken, written) = send(Sending::Copy(&rest[..n]), &mut out).expect("a copy");
            assert!(taken > 0);
            wire.extend_from_slice(&out[..written]);
            rest = &rest[taken..];
        }
    }
    if matches!(plan, Plan::Chunked | Plan::UntilClose) {
        let mut out = [0; 2048];
        let (_, written) = match send(Sending::End(&carried.trailers), &mut out) {
            Err(SendError::Invalid(_)) if !clean(&carried.trailers) => {
                send(Sending::End(&[]), &mut out).expect("an end without trailers")
            }
            done => {
                assert!(done.is_err() || clean(&carried.trailers) || plan == Plan::UntilClose);
                done.expect("an end")
            }
        };
        wire.extend_from_slice(&out[..written]);
    }
}

enum Sending<'a> {
    Copy(&'a [u8]),
    Frame(&'a [u8], &'a mut Vec<u8>),
    End(&'a [(Vec<u8>, Vec<u8>)]),
}

macro_rules! sender {
    ($conn:ident) => {
        &mut |what, out| match what {
            Sending::Copy(piece) => {
                $conn.check_invariants();
                $conn.send(NOW, piece, out).map(|moved| (moved.taken, moved.written))
            }
            Sending::Frame(piece, wire) => {
                $conn.check_invariants();
                let frame = $conn.frame(NOW, piece.len() as u64)?;
                wire.extend_from_slice(&frame.prefix);
                if frame.content > 0 {
                    wire.extend_from_slice(piece);
                }
                wire.extend_from_slice(frame.suffix);
                Ok((piece.len(), 0))
            }
            Sending::End(trailers) => {
                $conn.check_invariants();
                $conn.finish(NOW, given(trailers), out).map(|n| (0, n))
            }
        }
    };
}

/// A request by the client to the server, and a response back. Whatever must not go out is refused; what
/// goes out comes in, the same, as exactly one message.
pub fn encode_decode(data: &[u8]) {
    let s = &mut Source::new(data);
    // ---- the request ----
    let methods = ["GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "M-SEARCH", "get"];
    let method: String = match s.byte() {
        0..16 => s.take(3).iter().map(|&b| char::from(b & 0x7f)).collect(),
        b => methods[usize::from(b) % methods.len()].into(),
    };
    let mut target = b"/".to_vec();
    let n = usize::from(s.below(8));
    target.extend(s.take(n));
    if s.byte() >= 24 {
        target.iter_mut().filter(|b| **b <= b' ' || **b == 0x7f).for_each(|b| *b = b't');
    }
    let fields = all_lines(s, 6);
    let body = carried(s);
    let http10 = s.byte() < 40;
    let config = client::Config::direct().http10(http10).one_shot(s.byte() < 20);
    let mut client = client::Connection::new(&config, NOW);
    let mut out = [0; 4096];
    let host = [Line::from(("Host", "example"))];
    let lines = host.into_iter().chain(given(&fields));
    let before = client.clone();
    let made = client.request(NOW, &method, &target, lines, body.declared, &mut out);
    as_with_a_block(&fields, (&made, &out), |fields, out| {
        let fields = host.into_iter().map(Field::from).chain(fields.iter().copied());
        before.clone().request(NOW, &method, &target, fields, body.declared, out)
    });
    let bad = [&b"CONNECT"[..], b"TRACE"].contains(&method.as_bytes())
        || http10 && body.declared == Content::Unknown;
    let fine = is_token(method.as_bytes())
        // A fragment is no part of a request target (RFC 9112 §3.2).
        && target.iter().all(|&b| b > b' ' && b != 0x7f && b != b'#')
        && clean(&fields)
        && !bad;
    let started = match made {
        Ok(started) => started,
        Err(e) => {
            assert!(!fine, "refused without a reason: {e:?}");
            assert_eq!(client, before);
            return;
        }
    };
    assert!(fine || bad, "sent what must not be sent");
    let mut wire = out[..started.written].to_vec();
    pour(s, &body, started.plan, &mut wire, sender!(client));
    client.check_invariants();
    assert!(!client.wants().content, "all of it is sent");
    client.transmitted(NOW, wire.len() as u64);
    client.check_invariants();

    // ---- read by the server, in pieces ----
    let mut server = server::Connection::new(&server::Config::origin(), NOW);
    let (mut from, mut end, mut content) = (0, 0, Vec::new());
    loop {
        let before = server.clone();
        let step = server.receive(NOW, &wire[from..end], usize::MAX);
        server.check_invariants();
        server.check_follows(&before);
        from += step.consumed;
        match step.event {
            None if end == wire.len() => panic!("not whole: {}", wire.escape_ascii()),
            None => end = (end + 1 + usize::from(s.byte())).min(wire.len()),
            Some(server::Event::Request(head)) => {
                assert_eq!((head.method(), head.target()), (&*method, &*target));
                assert_eq!(head.version().minor(), u8::from(!http10));
                same_lines(head.fields(), &fields, true);
                assert_eq!(
                    head.outbound(),
                    match started.plan {
                        Plan::Length(n) => Content::Length(n),
                        Plan::Chunked => Content::Unknown,
                        _ if head.framing() == RequestFraming::None => Content::None,
                        _ => Content::Length(0),
                    }
                );
                server.read_content(NOW);
                server.check_invariants();
            }
            Some(server::Event::Content(piece)) => content.extend_from_slice(piece),
            Some(server::Event::End(trailers)) => {
                if started.plan == Plan::Chunked && clean(&body.trailers) {
                    same_lines(trailers, &body.trailers, false);
                } else {
                    assert_eq!(trailers.count(), 0);
                }
                break;
            }
            Some(other) => panic!("{other:?} of {}", wire.escape_ascii()),
        }
    }
    assert_eq!(content, if started.plan == Plan::None { Vec::new() } else { body.content });
    assert_eq!(from, wire.len(), "one message and nothing behind it");

    // ---- the response ----
    let status = [200, 200, 200, 404, 500, 204, 304, 205, 599, 999][usize::from(s.below(10))];
    let reason: Option<Vec<u8>> = match s.below(3) {
        0 => {
            let n = usize::from(s.below(6));
            Some(s.take(n).to_vec())
        }
        1 => Some(b"Fine \xe9\t!".to_vec()),
        _ => None,
    };
    let fields = all_lines(s, 6);
    let body = carried(s);
    let code = keepalive::Status { code: status, reason: reason.as_deref() };
    let before = server.clone();
    let mut out = [0; 4096];
    let made = server.respond(NOW, code, given(&fields), body.declared, &mut out);
    as_with_a_block(&fields, (&made, &out), |fields, out| {
        before.clone().respond(NOW, code, fields.iter().copied(), body.declared, out)
    });
    let empty = matches!(body.declared, Content::None | Content::Length(0));
    let refused = match status {
        204 | 205 => !empty,
        304 => body.declared == Content::Unknown,
        _ => false,
    };
    let fine = clean(&fields) && reason.as_deref().is_none_or(is_value) && !refused;
    let started = match made {
        Ok(started) => started,
        Err(e) => {
            assert!(!fine, "refused without a reason: {e:?}");
            assert_eq!(server, before);
            return;
        }
    };
    assert!(fine, "sent what must not be sent");
    let mut wire = out[..started.written].to_vec();
    pour(s, &body, started.plan, &mut wire, sender!(server));
    server.check_invariants();
    server.transmitted(NOW, wire.len() as u64);
    server.check_invariants();
    assert!(!server.wants().content, "all of it is sent");

    // ---- read by the client, in pieces ----
    let (mut from, mut end, mut content) = (0, 0, Vec::new());
    let mut eof = false;
    loop {
        let before = client.clone();
        let step = client.receive(NOW, &wire[from..end], usize::MAX);
        client.check_invariants();
        client.check_follows(&before);
        from += step.consumed;
        match step.event {
            None if end == wire.len() && !eof => {
                assert_eq!(started.plan, Plan::UntilClose, "not whole: {}", wire.escape_ascii());
                client.received_eof(NOW);
                eof = true;
            }
            None if end == wire.len() => panic!("not whole: {}", wire.escape_ascii()),
            None => end = (end + 1 + usize::from(s.byte())).min(wire.len()),
            Some(client::Event::Response(head)) => {
                assert_eq!(head.status(), status);
                if let Some(reason) = &reason {
                    assert_eq!(head.reason(), reason);
                }
                same_lines(head.fields(), &fields, false);
            }
            Some(client::Event::Content(piece)) => content.extend_from_slice(piece),
            Some(client::Event::End(trailers)) => {
                if started.plan == Plan::Chunked && clean(&body.trailers) {
                    same_lines(trailers, &body.trailers, false);
                } else {
                    assert_eq!(trailers.count(), 0);
                }
                break;
            }
            Some(other) => panic!("{other:?} of {}", wire.escape_ascii()),
        }
    }
    assert_eq!(content, if started.plan == Plan::None { Vec::new() } else { body.content });
    assert_eq!(from, wire.len(), "one message and nothing behind it");
    // Both ends are of one mind about what comes next.
    let reuse = client.checkout(NOW, Io::Nothing, b"");
    client.check_invariants();
    assert_eq!(
        matches!(reuse, Reuse::Ready { .. } | Reuse::ImmediateOnly),
        server.persistence().persists(),
        "{reuse:?} {:?} {}",
        server.persistence(),
        wire.escape_ascii()
    );
}
