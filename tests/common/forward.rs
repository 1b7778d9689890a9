//! What an intermediary passes on, whatever it received.
//!
//! No line of the connection that a message came on goes on, nor one that is nominated; protected ones
//! and all others do, in order. What goes on can be sent; what was sent holds no octet that could split
//! it, and is read back with the same framing. Forwarded once more it stays as it is. And a refusal has its
//! reason in the message.
//!
//! What is to be expected is read from S9 here once more, slowly, and from the received octets.

use super::codec::Source;
use super::unpack;
use keepalive::forward::{self, Hop, Passage, Refusal};
use keepalive::{
    Content, Instant, Line, Plan, RequestFraming, RequestHead, ResponseFraming, ResponseHead,
    SendError, Version,
};
use keepalive::{client, server};

const NOW: Instant = Instant::from_micros(0);

type Field = (Vec<u8>, Vec<u8>);

fn owned<'b>(lines: impl Iterator<Item = Line<'b>>) -> Vec<Field> {
    lines.map(|line| (line.name.to_vec(), line.value.to_vec())).collect()
}

fn is(name: &[u8], any: &[&str]) -> bool {
    any.iter().any(|n| name.eq_ignore_ascii_case(n.as_bytes()))
}

fn members<'a>(fields: &'a [Field], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |(n, _)| is(n, &[name]))
        .flat_map(|(_, value)| value.split(|&b| b == b','))
        .map(trim)
        .filter(|member| !member.is_empty())
}

fn trim(v: &[u8]) -> &[u8] {
    let space = |b: &u8| *b == b' ' || *b == b'\t';
    let begin = v.iter().position(|b| !space(b)).unwrap_or(v.len());
    let end = v.iter().rposition(|b| !space(b)).map_or(begin, |at| at + 1);
    &v[begin..end]
}

fn is_token(v: &[u8]) -> bool {
    !v.is_empty() && v.iter().all(|&b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn is_protocol(v: &[u8]) -> bool {
    match v.iter().position(|&b| b == b'/') {
        Some(slash) => is_token(&v[..slash]) && is_token(&v[slash + 1..]),
        None => is_token(v),
    }
}

/// S9.1: of one connection, whatever Connection says.
const OF_THE_HOP: [&str; 6] =
    ["Connection", "Proxy-Connection", "Keep-Alive", "TE", "Transfer-Encoding", "Upgrade"];

/// S9.2.
fn is_protected(name: &[u8]) -> bool {
    let fixed = [
        "Host",
        "Content-Length",
        "Content-Type",
        "Content-Encoding",
        "Content-Range",
        "Authorization",
        "Cookie",
        "Set-Cookie",
        "Cache-Control",
        "Via",
        "Forwarded",
        "Expect",
        "Max-Forwards",
        "Date",
    ];
    let start = name.get(..12);
    is(name, &fixed) || start.is_some_and(|s| s.eq_ignore_ascii_case(b"x-forwarded-"))
}

fn is_nominated(fields: &[Field], name: &[u8]) -> bool {
    members(fields, "Connection").any(|option| option.eq_ignore_ascii_case(name))
}

/// Nothing that could split a message or hide a part of it.
fn assert_clean(lines: &[Field]) {
    for (name, value) in lines {
        assert!(is_token(name), "{}", name.escape_ascii());
        let bad = |b: &u8| *b != b'\t' && *b < b' ' || *b == 0x7f;
        assert!(!value.iter().any(bad), "{}", value.escape_ascii());
    }
}

/// What of a field section comes from its sender, and not from the machine that wrote it.
fn without_owned(lines: &[Field]) -> Vec<Field> {
    let machine = ["Connection", "Keep-Alive", "Content-Length", "Transfer-Encoding"];
    lines.iter().filter(|(name, _)| !is(name, &machine)).cloned().collect()
}

/// A head on the wire: lines that end in CRLF, no other CR or LF, no NUL, and as many as were given.
fn assert_whole(wire: &[u8]) {
    assert!(wire.ends_with(b"\r\n\r\n") && !wire.contains(&0));
    for (at, &b) in wire.iter().enumerate() {
        match b {
            b'\r' => assert_eq!(wire.get(at + 1), Some(&b'\n'), "{}", wire.escape_ascii()),
            b'\n' => assert_eq!(wire[at - 1], b'\r', "{}", wire.escape_ascii()),
            _ => {}
        }
    }
    let end = wire.windows(4).position(|w| w == b"\r\n\r\n").expect("an end");
    assert_eq!(end + 4, wire.len(), "one head: {}", wire.escape_ascii());
}

// ---- requests ----

/// The hops of a fuzzed byte.
fn hop(b: u8, name: &str) -> Hop<'_> {
    let hop = if b & 1 == 0 { Hop::to_origin(name) } else { Hop::to_proxy(name) };
    let hop = hop.expect("a pseudonym");
    let hop = hop.http10(b & 2 != 0).buffers(b & 4 != 0);
    hop.upgrades(upgrades(b))
}

/// So many protocols go on, and no more.
const PROTOCOLS: usize = 16;

fn upgrades(b: u8) -> &'static [&'static str] {
    match b >> 3 & 3 {
        0 | 1 => &["websocket"],
        2 => &["x", "y", "websocket", "h2c"],
        _ => &[],
    }
}

/// Wide enough that what is added never is what is too much.
fn wide() -> server::Config {
    server::Config::origin().max_head(u16::MAX).max_target(u16::MAX).max_fields(u16::MAX)
}

/// The refusal that S9 asks for, read slowly; the first that holds.
fn refusal(head: &RequestHead<'_>, fields: &[Field], b: u8, name: &str) -> Option<Refusal> {
    let options: Vec<_> = members(fields, "Connection").collect();
    let (to_proxy, http10, buffers) = (b & 1 != 0, b & 2 != 0, b & 4 != 0);
    if options.iter().any(|option| is_protected(option)) {
        return Some(Refusal::Protected);
    }
    if options.iter().filter(|o| is_token(o)).count() > 32 {
        return Some(Refusal::TooManyOptions);
    }
    if matches!(head.method(), "TRACE" | "OPTIONS") {
        let limits: Vec<_> = fields.iter().filter(|(n, _)| is(n, &["Max-Forwards"])).collect();
        match &limits[..] {
            [] => {}
            [(_, n)] if !n.is_empty() && n.iter().all(u8::is_ascii_digit) => {
                if n.iter().all(|&d| d == b'0') {
                    return Some(Refusal::LastHop);
                }
            }
            _ => return Some(Refusal::MaxForwards),
        }
    }
    let by = |member: &[u8]| {
        let words: Vec<_> =
            member.split(|&b| b == b' ' || b == b'\t').filter(|w| !w.is_empty()).collect();
        words.get(1).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    };
    if members(fields, "Via").any(by) {
        return Some(Refusal::Loop);
    }
    if head.method() == "CONNECT" && !to_proxy {
        return Some(Refusal::Connect);
    }
    match head.framing() {
        RequestFraming::None | RequestFraming::Length(0) => {}
        _ if head.method() == "TRACE" => return Some(Refusal::TraceContent),
        RequestFraming::Chunked if http10 && !buffers => return Some(Refusal::LengthRequired),
        RequestFraming::Length(_) | RequestFraming::Chunked => {}
    }
    None
}

/// The received lines that go on, in order: S9.1, S9.2, S9.8.
fn goes_on(head: &RequestHead<'_>, fields: &[Field], b: u8) -> Vec<Field> {
    let (to_proxy, http10) = (b & 1 != 0, b & 2 != 0);
    let bounded = matches!(head.method(), "TRACE" | "OPTIONS");
    let anew = |name: &[u8], value: &[u8]| {
        is(name, &["Host", "Content-Length"])
            || bounded && is(name, &["Max-Forwards"])
            || is(name, &["Expect"])
                && (http10 || !head.expects_continue())
                && value.split(|&b| b == b',').any(|m| is(trim(m), &["100-continue"]))
    };
    fields
        .iter()
        .filter(|(name, value)| {
            !is(name, &OF_THE_HOP)
                && !anew(name, value)
                && (to_proxy || !is(name, &["Proxy-Authorization"]))
                && (is_protected(name) || !is_nominated(fields, name))
        })
        .cloned()
        .collect()
}

/// What is put in behind them.
fn put_in(head: &RequestHead<'_>, fields: &[Field], b: u8, name: &str) -> Vec<Field> {
    let http10 = b & 2 != 0;
    let both_11 = !http10 && head.version() >= Version::HTTP_11;
    let mut lines = Vec::new();
    let mut add = |name: &str, value: &[u8]| lines.push((name.as_bytes().to_vec(), value.to_vec()));
    let takes = members(fields, "TE").any(|m| is(m, &["trailers"]));
    if both_11 && takes && is_nominated(fields, b"TE") {
        add("TE", b"trailers");
    }
    if both_11 && is_nominated(fields, b"Upgrade") {
        let offered = members(fields, "Upgrade").filter(|p| is(p, upgrades(b)));
        offered.take(PROTOCOLS).for_each(|p| add("Upgrade", p));
    }
    if matches!(head.method(), "TRACE" | "OPTIONS")
        && let Some(n) = head.field("Max-Forwards")
    {
        // S9.8: less one. Beyond 32 bits no number of hops is meant.
        let n = n.iter().fold(0u64, |n, &d| {
            n.saturating_mul(10).saturating_add(u64::from(d - b'0')).min(u64::from(u32::MAX))
        });
        add("Max-Forwards", (n - 1).to_string().as_bytes());
    }
    add("Via", format!("1.{} {name}", head.version().minor()).as_bytes());
    lines
}

/// The target of the next hop (S9.8, RFC 9112 §3.2).
fn target(head: &RequestHead<'_>, b: u8) -> Vec<u8> {
    let target = head.target();
    let to_proxy = b & 1 != 0;
    if to_proxy || target.starts_with(b"/") || target == b"*" || head.is_connect() {
        return target.to_vec();
    }
    let scheme = target.windows(3).position(|w| w == b"://").expect("absolute-form") + 3;
    let path = &target[scheme..];
    let path = &path[path.iter().position(|b| b"/?#".contains(b)).unwrap_or(path.len())..];
    match path {
        [] if head.method() == "OPTIONS" => b"*".to_vec(),
        [b'/', ..] => path.to_vec(),
        _ => [b"/", path].concat(),
    }
}

/// What a server would make of a request that goes on: sent by a client machine, and its head read back.
fn sent_on(onward: &forward::ForwardedRequest<'_>, b: u8) -> Vec<u8> {
    let (to_proxy, http10) = (b & 1 != 0, b & 2 != 0);
    let config = if to_proxy { client::Config::to_proxy() } else { client::Config::direct() };
    let mut conn = client::Connection::new(&config.http10(http10), NOW);
    // What is to be collected has a length when it is.
    let content = onward.content().unwrap_or(Content::Length(7));
    let mut out = vec![0; 128 * 1024];
    let (method, target) = (onward.method(), onward.target());
    let sent = conn.request(NOW, method, target, onward.lines(), content, &mut out);
    conn.check_invariants();
    let written = sent.unwrap_or_else(|e| panic!("{e:?} of {onward:?}")).written;
    out.truncate(written);
    assert_whole(&out);
    out
}

fn forwarded_request(bytes: &[u8], b: u8) {
    let Ok(head) = RequestHead::parse_with(bytes, &wide()) else { return };
    let fields = owned(head.fields());
    let expected = refusal(&head, &fields, b, "edge");
    let onward = match forward::request(&head, &hop(b, "edge")) {
        // A path is put before a query in a place of its own, which has an end.
        Err(Refusal::TargetTooLong) => {
            assert!(expected.is_none() && target(&head, b).starts_with(b"/?"));
            return;
        }
        Err(refusal) => return assert_eq!(Some(refusal), expected, "{head:?}"),
        Ok(onward) => onward,
    };
    assert_eq!(expected, None, "{head:?}");

    // ---- what goes on ----
    let lines = owned(onward.lines());
    assert_clean(&lines);
    let host = (b"Host".to_vec(), head.authority().unwrap_or_default().to_vec());
    let mut want = vec![host];
    want.extend(goes_on(&head, &fields, b));
    want.extend(put_in(&head, &fields, b, "edge"));
    assert_eq!(lines, want, "{head:?}");
    assert_eq!(onward.method(), head.method());
    assert_eq!(onward.target(), target(&head, b));

    // ---- as the next hop reads it ----
    let wire = sent_on(&onward, b);
    let read = RequestHead::parse_with(&wire, &wide())
        .unwrap_or_else(|e| panic!("{e:?} of {}", wire.escape_ascii()));
    assert_eq!(read.as_bytes().len(), wire.len());
    assert_eq!((read.method(), read.target()), (head.method(), onward.target()));
    assert_eq!(without_owned(&owned(read.fields())), lines);
    assert_eq!(read.authority().unwrap_or_default(), head.authority().unwrap_or_default());
    match (head.framing(), onward.content()) {
        (RequestFraming::Length(n), Some(_)) if n > 0 => {
            assert_eq!(read.framing(), RequestFraming::Length(n));
        }
        (RequestFraming::Chunked, Some(_)) => assert_eq!(read.framing(), RequestFraming::Chunked),
        (RequestFraming::Chunked, None) => assert_eq!(read.framing(), RequestFraming::Length(7)),
        _ => assert!(!read.has_content(), "{read:?}"),
    }
    assert_eq!(read.expects_continue(), onward.continues() == forward::Continue::Relayed);

    // ---- and once more ----
    let next = hop(b, "next");
    if members(&fields, "Via").any(|m| m.windows(4).any(|w| w.eq_ignore_ascii_case(b"next"))) {
        return;
    }
    match forward::request(&read, &next) {
        Ok(again) => {
            // Max-Forwards is one less, and Via one more.
            let stays = |lines: Vec<Field>| {
                let moves = |name: &[u8]| is(name, &["Via", "Max-Forwards"]);
                lines.into_iter().filter(|(name, _)| !moves(name)).collect::<Vec<_>>()
            };
            assert_eq!(stays(owned(again.lines())), stays(lines));
            assert_eq!((again.method(), again.target()), (onward.method(), onward.target()));
            sent_on(&again, b);
        }
        Err(refusal) => {
            assert_eq!(refusal, Refusal::LastHop);
            assert_eq!(read.field("Max-Forwards"), Some(&b"0"[..]));
        }
    }
}

// ---- responses ----

/// A server that owes an answer to a request with this method, of this version.
fn owing(method: &str, http10: bool) -> server::Connection {
    let target = if method == "CONNECT" { "a:1" } else { "/" };
    let minor = u8::from(!http10);
    // An offer of many is one of any: which one is chosen is not the subject.
    let offer = "Connection: upgrade\r\nUpgrade: a, b, c\r\n";
    let head = format!("{method} {target} HTTP/1.{minor}\r\nHost: a\r\n{offer}\r\n");
    let mut conn = server::Connection::new(&server::Config::origin(), NOW);
    let step = conn.receive(NOW, head.as_bytes(), usize::MAX);
    conn.check_invariants();
    assert!(matches!(step.event, Some(server::Event::Request(_))), "{step:?}");
    let step = conn.receive(NOW, b"", usize::MAX);
    conn.check_invariants();
    assert!(matches!(step.event, Some(server::Event::End(_))), "{step:?}");
    conn
}

fn forwarded_response(bytes: &[u8], b: u8, method: &str) {
    let Ok(head) = ResponseHead::parse(bytes, method) else { return };
    let fields = owned(head.fields());
    let options = members(&fields, "Connection").filter(|o| is_token(o)).count();
    let names_protocol = members(&fields, "Upgrade").any(is_protocol);
    let expected = if options > 32 {
        Some(Refusal::ResponseOptions)
    } else if head.status() == 426 && !names_protocol {
        Some(Refusal::ResponseUpgrade)
    } else {
        None
    };
    let onward = match forward::response(&head, &hop(b, "edge")) {
        Err(refusal) => return assert_eq!(Some(refusal), expected, "{head:?}"),
        Ok(onward) => onward,
    };
    assert_eq!(expected, None, "{head:?}");

    // ---- what goes on ----
    let lines = owned(onward.lines());
    assert_clean(&lines);
    let to_proxy = b & 1 != 0;
    let challenges = ["Proxy-Authenticate", "Proxy-Authentication-Info"];
    let mut want: Vec<Field> = fields
        .iter()
        .filter(|(name, _)| {
            !is(name, &OF_THE_HOP)
                && !is(name, &["Content-Length"])
                && (to_proxy || !is(name, &challenges))
                // In a response the nomination of a protected field is ignored (S9.2).
                && (is_protected(name) || !is_nominated(&fields, name))
        })
        .cloned()
        .collect();
    if matches!(head.status(), 101 | 426) {
        let protocols = members(&fields, "Upgrade").filter(|p| is_protocol(p)).take(PROTOCOLS);
        want.extend(protocols.map(|p| (b"Upgrade".to_vec(), p.to_vec())));
    }
    want.push((b"Via".to_vec(), format!("1.{} edge", head.version().minor()).into_bytes()));
    assert_eq!(lines, want, "{head:?}");
    assert_eq!(
        onward.lacks_date(),
        head.status() >= 200 && !fields.iter().any(|(n, _)| is(n, &["Date"]))
    );

    for http10 in [false, true] {
        let version = if http10 { Version::HTTP_10 } else { Version::HTTP_11 };
        let Some(wire) = answered(&head, &onward, method, version) else { continue };
        let read = &read_back(&wire, method);
        assert_eq!(read.as_bytes().len(), wire.len());
        assert_eq!(read.status(), head.status());
        if head.status() >= 200 {
            assert_eq!(read.reason(), head.reason());
        }
        assert_eq!(without_owned(&owned(read.fields())), lines);
        passes(&head, read, &onward, version);
        // ---- and once more ----
        let again = forward::response(read, &hop(b, "next")).expect("what went on goes on");
        let stays = |lines: &[Field]| {
            lines.iter().filter(|(n, _)| !is(n, &["Via"])).cloned().collect::<Vec<_>>()
        };
        assert_eq!(stays(&owned(again.lines())), stays(&lines));
        // S8.7: a 205 says `Content-Length: 0`, whichever of the two is declared.
        let empty = [Content::None, Content::Length(0)];
        let reset = read.status() == 205 && empty.contains(&read.outbound());
        assert!(again.content() == read.outbound() || reset && empty.contains(&again.content()));
    }
}

/// The head as a client reads it, with limits so wide that what is added never is what is too much.
fn read_back<'b>(wire: &'b [u8], method: &str) -> ResponseHead<'b> {
    let config = client::Config::direct().max_head(u16::MAX).max_fields(u16::MAX);
    let mut conn = client::Connection::new(&config, NOW);
    let target = if method == "CONNECT" { "a:1" } else { "/" };
    let lines = [("Host", "a"), ("Upgrade", "a, b, c")];
    let mut out = [0; 256];
    let sent = conn.request(NOW, method, target, lines, Content::None, &mut out);
    conn.transmitted(NOW, sent.expect("a request").written as u64);
    conn.check_invariants();
    let step = conn.receive(NOW, wire, usize::MAX);
    conn.check_invariants();
    match step.event {
        Some(client::Event::Interim(head) | client::Event::Response(head)) => head,
        other => panic!("{other:?} of {}", wire.escape_ascii()),
    }
}

/// The head that goes to a client of this version; `None` where none may.
fn answered(
    head: &ResponseHead<'_>,
    onward: &forward::ForwardedResponse<'_>,
    method: &str,
    version: Version,
) -> Option<Vec<u8>> {
    let http10 = version == Version::HTTP_10;
    assert_eq!(onward.may_go_to(version), head.status() >= 200 || !http10);
    let mut conn = owing(method, http10);
    let mut out = vec![0; 64 * 1024];
    if head.is_interim() {
        let sent = conn.inform(NOW, head.status(), onward.lines(), &mut out);
        conn.check_invariants();
        let n = sent.expect("an interim one");
        out.truncate(n);
        assert_eq!(n > 0, onward.may_go_to(version));
    } else {
        let sent = conn.respond(NOW, onward.status(), onward.lines(), onward.content(), &mut out);
        conn.check_invariants();
        // Only a protocol that was offered, and never to 1.0.
        if head.status() == 101 && sent == Err(SendError::Invalid(keepalive::Part::Upgrade)) {
            let named = owned(onward.lines()).iter().any(|(n, _)| is(n, &["Upgrade"]));
            assert!(http10 || !named, "{head:?}");
            return None;
        }
        let started = sent.unwrap_or_else(|e| panic!("{e:?} of {head:?}"));
        assert_eq!(started.plan, onward.passage(version).plan(), "{head:?}");
        out.truncate(started.written);
    }
    if out.is_empty() {
        return None;
    }
    assert_whole(&out);
    // A space behind each colon, a CR before each LF, and what is added: nothing that a peer can multiply.
    assert!(out.len() <= head.as_bytes().len() + 2 * head.fields().count() + 1024, "{head:?}");
    Some(out)
}

/// The content is framed for the client as S9.7 says, and the client sees it so.
fn passes(
    came: &ResponseHead<'_>,
    read: &ResponseHead<'_>,
    onward: &forward::ForwardedResponse<'_>,
    version: Version,
) {
    let passage = onward.passage(version);
    assert_eq!(onward.drops_content(), passage == Passage::Dropped);
    let sees = read.framing();
    match (came.framing(), sees) {
        (ResponseFraming::None, ResponseFraming::None)
        | (ResponseFraming::Tunnel, ResponseFraming::Tunnel) => {}
        (_, ResponseFraming::Length(0)) if came.status() == 205 => {}
        (ResponseFraming::Length(n), ResponseFraming::Length(m)) => assert_eq!(n, m),
        (ResponseFraming::Chunked | ResponseFraming::UntilClose, ResponseFraming::Chunked) => {
            assert!(version >= Version::HTTP_11);
        }
        (ResponseFraming::Chunked | ResponseFraming::UntilClose, ResponseFraming::UntilClose) => {
            assert!(version < Version::HTTP_11);
        }
        (a, b) => panic!("{a:?} has become {b:?}: {came:?} {read:?}"),
    }
    // A length that is only told is told on, where it may be.
    if sees == ResponseFraming::None
        && came.status() == 304
        && let Some(n) = came.declared_length().filter(|&n| n > 0)
    {
        assert_eq!(read.declared_length(), Some(n));
    }
    match passage.plan() {
        Plan::Chunked => assert_eq!(sees, ResponseFraming::Chunked),
        Plan::UntilClose => assert_eq!(sees, ResponseFraming::UntilClose),
        Plan::Tunnel => assert_eq!(sees, ResponseFraming::Tunnel),
        Plan::Length(n) => assert_eq!(sees, ResponseFraming::Length(n)),
        Plan::None => {
            assert!(matches!(sees, ResponseFraming::None | ResponseFraming::Length(0)));
        }
    }
}

// ---- trailers ----

/// A chunked response, head and trailers; the trailers that go on can be sent on.
fn forwarded_trailers(bytes: &[u8], b: u8) {
    let mut up = client::Connection::new(&client::Config::direct(), NOW);
    let mut out = [0; 256];
    let host = [("Host", "a")];
    let started = up.request(NOW, "GET", "/", host, Content::None, &mut out).expect("a request");
    up.transmitted(NOW, started.written as u64);
    let step = up.receive(NOW, bytes, usize::MAX);
    up.check_invariants();
    let Some(client::Event::Response(head)) = step.event else { return };
    let fields = owned(head.fields());
    let Ok(onward) = forward::response(&head, &hop(b, "edge")) else { return };
    let nominated = onward.nominated();
    let mut rest = &bytes[step.consumed..];
    let trailers = loop {
        let step = up.receive(NOW, rest, usize::MAX);
        up.check_invariants();
        rest = &rest[step.consumed..];
        match step.event {
            Some(client::Event::Content(_)) => {}
            Some(client::Event::End(trailers)) => break trailers,
            _ => return,
        }
    };
    let lines = owned(forward::trailers(trailers, &nominated));
    assert_clean(&lines);
    let want: Vec<Field> = owned(trailers)
        .into_iter()
        .filter(|(name, _)| {
            !is(name, &OF_THE_HOP)
                && !is(name, &["Content-Length"])
                && !is(name, &["Proxy-Authenticate", "Proxy-Authentication-Info"])
                && (is_protected(name) || !is_nominated(&fields, name))
        })
        .collect();
    assert_eq!(lines, want);

    let mut down = owing("GET", false);
    let mut out = vec![0; 64 * 1024];
    let passage = onward.passage(Version::HTTP_11);
    let sent = down.respond(NOW, onward.status(), onward.lines(), onward.content(), &mut out);
    down.check_invariants();
    if sent.is_err() || passage.plan() != Plan::Chunked {
        return;
    }
    let n = down
        .finish(NOW, forward::trailers(trailers, &nominated), &mut out)
        .unwrap_or_else(|e| panic!("{e:?} of {lines:?}"));
    down.check_invariants();
    let section = out[..n].strip_prefix(b"0\r\n").expect("the last chunk");
    let mut whole = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    whole.extend_from_slice(section);
    // Trailers are field lines as any others: read back as those of a head.
    match RequestHead::parse_with(&whole, &wide()) {
        Ok(read) => assert_eq!(owned(read.fields().skip(1)), lines),
        Err(f) => panic!("{:?} of {}", f.kind, section.escape_ascii()),
    }
}

/// What is forwarded, by which hop, and then the octets.
pub fn forward(data: &[u8]) {
    let s = &mut Source::new(data);
    let (what, b) = (s.byte(), s.byte());
    let bytes = unpack(s.rest());
    match what % 4 {
        0 | 1 => forwarded_request(&bytes, b),
        2 => {
            let method = ["GET", "HEAD", "CONNECT", "POST"][usize::from(what / 4 % 4)];
            forwarded_response(&bytes, b, method);
        }
        _ => forwarded_trailers(&bytes, b),
    }
}
