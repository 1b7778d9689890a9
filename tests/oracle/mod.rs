//! A slow, obvious oracle: it reads a whole captured stream at once and says which events
//! `explain --json` must print for it, under the default configuration, at an origin.
//!
//! Written from SEMANTICS and from RFC 9110 and RFC 9112 alone, never from the crate.
//! It knows no cuts, no buffers and no time. Clarity over speed: it copies everything.
//!
//! In three parts: the tables as pure functions over small facts, which tests may enumerate
//! (`framing_request`, `framing_response`, `server_verdict`, `client_verdict`); the two readers
//! (`read_server`, `read_client`); and the grammar underneath.
//!
//! The order in which errors are found, so that there is one answer for each stream: the stream is
//! read line by line. Within a line the first forbidden octet (or the first octet beyond the size
//! limit) is an error where it stands. The syntax of a line is judged when the line is whole,
//! syntax before limits, and before the next line is looked at. What concerns the whole head
//! (Host, then framing) is judged at its end. Chunk-size lines and trailers follow the same rule.
#![allow(dead_code)] // each test that includes this module uses a part of it
#![allow(unreachable_pub)] // `pub` marks what tests may use
#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::unreachable)] // a wrong oracle panics

use std::net::Ipv6Addr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    pub role: Role,
    pub bytes: &'a [u8],
    /// The peer closes its sending side after `bytes`.
    pub eof: bool,
    /// Client role: the methods of the outstanding requests, in order.
    pub requests: &'a [&'a str],
    /// Client role: the requests offered an upgrade, to whatever a 101 names. CONNECT offers none.
    pub offered_upgrade: bool,
}

pub type Field = (Vec<u8>, Vec<u8>);

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Request {
        method: String,
        target: Vec<u8>,
        /// As received: "1.0", "1.1", "1.7".
        version: String,
        fields: Vec<Field>,
        framing: Framing,
        expect: bool,
        upgrade: bool,
    },
    Response {
        status: u16,
        reason: Vec<u8>,
        version: String,
        fields: Vec<Field>,
        framing: Framing,
        interim: bool,
    },
    /// Adjacent pieces joined; absent when empty.
    Content(Vec<u8>),
    End {
        trailers: Vec<Field>,
    },
    Persistence {
        persist: bool,
        rule: &'static str,
    },
    Tunnel(Vec<u8>),
    Ignored(Vec<u8>),
    /// The status for the server role, `None` for the client role.
    Error {
        status: Option<u16>,
    },
    Incomplete(Part),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
    Close,
    Tunnel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Head,
    Content,
    Trailers,
}

pub const MAX_REQUESTS: u64 = 1000; // S4.2
pub const MAX_BLANK_LINES: usize = 4; // S8.4, before a request line
pub const MAX_STRAY_CRLF: usize = 8; // S2.5, octets, before a status line or behind a response
pub const MAX_HEAD: usize = 32 * 1024; // S8.4
pub const MAX_TARGET: usize = 8 * 1024; // S8.4
pub const MAX_METHOD: usize = 32; // S8.4
pub const MAX_REQUEST_FIELDS: usize = 100; // S8.4, in the trailer section as well
pub const MAX_RESPONSE_FIELDS: usize = 1000; // S8.4, as above
pub const MAX_OPTIONS: usize = 32; // S1.1
pub const MAX_LENGTH: u64 = i64::MAX as u64; // S8.1, S8.3
pub const MAX_CHUNK_LINE: usize = 4 * 1024; // S8.3, without its CRLF
pub const MAX_CHUNK_EXCESS: i128 = 16 * 1024; // S8.3
pub const MAX_TRAILERS: usize = 16 * 1024; // S8.5
pub const MAX_INTERIM: usize = 64; // S8.6

/// All events of the stream, in order.
pub fn read(input: &Input) -> Vec<Event> {
    match input.role {
        Role::Server => read_server(input.bytes),
        Role::Client => read_client(input),
    }
}

// ---------------------------------------------------------------------------------------------
// The tables
// ---------------------------------------------------------------------------------------------

/// What all `Transfer-Encoding` lines of a head say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Te {
    Absent,
    /// Exactly one `chunked`, alone.
    ChunkedAlone,
    /// Well-formed codings that we do not know, and `chunked` once, at the end.
    UnknownThenChunked,
    /// Well-formed codings, the last of which is not `chunked`.
    FinalNotChunked,
    /// S8.2: an empty member, `identity`, chunked twice, chunked with parameters, not a token.
    Malformed,
}

/// What all `Content-Length` lines of a head say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cl {
    Absent,
    Single(u64),
    /// Identical members, in one line or several.
    Repeated(u64),
    Invalid,
}

#[derive(Debug, Clone, Copy)]
pub struct RequestFraming {
    pub connect: bool,
    pub version_1_0: bool,
    pub te: Te,
    pub cl: Cl,
}

/// S8, the column of requests, in order. The error is the status.
pub fn framing_request(f: RequestFraming) -> Result<Framing, u16> {
    let has_te = f.te != Te::Absent;
    let has_cl = f.cl != Cl::Absent;
    if f.connect {
        // S8-2; CL 0 is allowed, a CL that is no number or is repeated is refused as in step 6
        return if has_te || (has_cl && f.cl != Cl::Single(0)) {
            Err(400)
        } else {
            Ok(Framing::None)
        };
    }
    if has_te && has_cl {
        return Err(400); // S8-3
    }
    if has_te && f.version_1_0 {
        return Err(400); // S8-3b
    }
    if f.te == Te::ChunkedAlone {
        return Ok(Framing::Chunked); // S8-4
    }
    if f.te == Te::UnknownThenChunked {
        return Err(501); // S8-5
    }
    if has_te {
        return Err(400); // S8-5
    }
    if f.cl == Cl::Invalid {
        return Err(400); // S8-6
    }
    if let Cl::Repeated(_) = f.cl {
        return Err(400); // S8-6, S8.1: rejected in requests
    }
    if let Cl::Single(n) = f.cl {
        return Ok(Framing::Length(n)); // S8-7
    }
    Ok(Framing::None) // S8-8
}

#[derive(Debug, Clone, Copy)]
pub struct ResponseFraming {
    pub to_head: bool,
    pub to_connect: bool,
    pub status: u16,
    pub offered_upgrade: bool,
    /// The 101 has an Upgrade field with a protocol in it.
    pub names_protocol: bool,
    pub version_1_0: bool,
    pub te: Te,
    pub cl: Cl,
}

/// S8, the column of responses, in order.
pub fn framing_response(f: ResponseFraming) -> Result<Framing, ()> {
    let has_te = f.te != Te::Absent;
    let has_cl = f.cl != Cl::Absent;
    if f.status == 101 {
        // S2.5, S8.6. SEMANTICS does not say what a 101 is that names no protocol; RFC 9110 §15.2.2
        // says that it MUST name one, so it cannot be one that was offered.
        return if f.offered_upgrade && f.names_protocol { Ok(Framing::Tunnel) } else { Err(()) };
    }
    if f.to_connect && (200..=299).contains(&f.status) {
        // S8-2, before S8-1: a 204 to CONNECT has no content by either and is a tunnel,
        // RFC 9110 §9.3.6 "any 2xx".
        return Ok(Framing::Tunnel);
    }
    if f.to_head || f.status < 200 || f.status == 204 || f.status == 304 {
        return Ok(Framing::None); // S8-1, whatever TE and CL say
    }
    if has_te && has_cl {
        return Err(()); // S8-3
    }
    if has_te && f.version_1_0 {
        return Err(()); // S8-3b
    }
    if f.te == Te::ChunkedAlone {
        return Ok(Framing::Chunked); // S8-4
    }
    if has_te {
        return Err(()); // S8-5
    }
    match f.cl {
        Cl::Invalid => Err(()),                                    // S8-6
        Cl::Single(n) | Cl::Repeated(n) => Ok(Framing::Length(n)), // S8-7, S8.1: collapsed
        Cl::Absent => Ok(Framing::Close),                          // S8-8
    }
}

/// One flag for each cause that S1.3 names.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerFacts {
    pub tunnel: bool,
    pub own_error: bool,
    pub connect_refused: bool,
    pub close_option: bool,
    /// S1.1: a member of Connection that is no token, or more than 32 options.
    pub bad_connection: bool,
    pub version_1_0: bool,
    pub keep_alive_option: bool,
    pub proxy: bool,
    pub via: bool,
    pub proxy_connection: bool,
    pub absolute_form: bool,
    pub te_with_cl: bool,
    pub te_on_1_0: bool,
    pub application_close: bool,
    pub draining: bool,
    pub count_reached: bool,
    pub lifetime_reached: bool,
    pub idle_zero_or_pressure: bool,
    pub response_not_self_delimited: bool,
    pub expect_without_100_and_incomplete: bool,
    pub content_renounced: bool,
    pub peer_closed: bool,
    pub response_failed: bool,
}

/// S1.3: the first row that matches; "S1.3" when none does.
pub fn server_verdict(f: ServerFacts) -> (bool, &'static str) {
    if f.tunnel {
        return (false, "S1.3-1");
    }
    if f.own_error {
        return (false, "S1.3-2");
    }
    if f.connect_refused {
        return (false, "S1.3-3");
    }
    // S1.1 gives a bad Connection field no row of its own. It counts as `close` here: both are what
    // the request's Connection field says, and a field that cannot be read may have said it.
    if f.close_option || f.bad_connection {
        return (false, "S1.3-4");
    }
    if f.version_1_0 && !f.keep_alive_option {
        return (false, "S1.3-5");
    }
    if f.version_1_0 && f.proxy {
        return (false, "S1.3-5");
    }
    // S9.6, blind relay suspected
    if f.version_1_0 && !f.proxy && (f.via || f.proxy_connection || f.absolute_form) {
        return (false, "S1.3-5");
    }
    if f.te_with_cl || f.te_on_1_0 {
        return (false, "S1.3-6");
    }
    if f.application_close {
        return (false, "S1.3-7");
    }
    if f.draining {
        return (false, "S1.3-8");
    }
    if f.count_reached {
        return (false, "S1.3-9");
    }
    if f.lifetime_reached {
        return (false, "S1.3-10");
    }
    if f.idle_zero_or_pressure {
        return (false, "S1.3-11");
    }
    if f.response_not_self_delimited {
        return (false, "S1.3-12");
    }
    if f.expect_without_100_and_incomplete {
        return (false, "S1.3-13");
    }
    if f.content_renounced {
        return (false, "S1.3-14");
    }
    if f.peer_closed {
        return (false, "S1.3-15");
    }
    if f.response_failed {
        return (false, "S1.3-16");
    }
    (true, "S1.3")
}

#[derive(Debug, Clone, Copy, Default)]
pub struct ClientFacts {
    /// 101, or 2xx to CONNECT.
    pub tunnel: bool,
    pub request_close: bool,
    pub response_close: bool,
    /// `close`, or an unreadable Connection field, in an interim response to the same request.
    pub interim_close: bool,
    /// S1.1 again.
    pub bad_connection: bool,
    pub version_1_0: bool,
    pub keep_alive_option: bool,
    pub close_delimited: bool,
    pub request_incomplete: bool,
    pub status_408: bool,
    pub te_on_1_0: bool,
    pub te_with_cl: bool,
    /// `timeout` of the Keep-Alive field, where it counts.
    pub timeout: Option<u64>,
    /// How many more requests `max` allows.
    pub more_requests: Option<u64>,
    /// Bytes behind the response, beyond the CR/LF that are discarded. The last to be known.
    pub surplus: bool,
}

/// S2.1. The text gives no order where several causes meet; here the tunnel is first, as in S1.3,
/// and the surplus last, for it is seen last and a verdict of close never changes.
pub fn client_verdict(f: ClientFacts) -> (bool, &'static str) {
    if f.tunnel {
        return (false, "S2.1");
    }
    if f.request_close || f.response_close || f.interim_close || f.bad_connection {
        return (false, "S2.1");
    }
    if f.version_1_0 && !f.keep_alive_option {
        return (false, "S2.5");
    }
    if f.close_delimited {
        return (false, "S2.5");
    }
    if f.request_incomplete {
        return (false, "S2.1");
    }
    if f.status_408 {
        return (false, "S2.1");
    }
    if f.te_on_1_0 || f.te_with_cl {
        return (false, "S2.1"); // on responses whose framing ignores them (S8-1)
    }
    if f.timeout == Some(0) || f.more_requests == Some(0) {
        return (false, "S2.3");
    }
    if f.surplus {
        return (false, "S2.5");
    }
    if f.timeout == Some(1) {
        return (true, "S2.3"); // not above the margin of 1 s: immediate only
    }
    (true, "S2.1")
}

// ---------------------------------------------------------------------------------------------
// The server's reader
// ---------------------------------------------------------------------------------------------

fn read_server(bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut at = 0;
    let mut count = 0;
    loop {
        // S8.4: up to four blank lines before a request line
        let mut blank_lines = 0;
        while bytes[at..].starts_with(b"\r\n") {
            blank_lines += 1;
            at += 2;
            if blank_lines > MAX_BLANK_LINES {
                events.push(Event::Error { status: Some(400) });
                return events;
            }
        }
        if at == bytes.len() {
            return events;
        }
        let (head, next) = match read_request_head(bytes, at) {
            Ok(Some(found)) => found,
            Ok(None) => {
                events.push(Event::Incomplete(Part::Head));
                return events;
            }
            Err(status) => {
                events.push(Event::Error { status: Some(status) });
                return events;
            }
        };
        at = next;
        count += 1; // S4.1

        let connection = connection_options(&head.fields);
        let has_content = matches!(head.framing, Framing::Chunked | Framing::Length(1..));
        let connect = head.method == "CONNECT";
        let offers = connection.upgrade && !list_members(&head.fields, "upgrade").is_empty();
        events.push(Event::Request {
            method: head.method.clone(),
            target: head.target.clone(),
            version: head.version.clone(),
            fields: head.fields.clone(),
            framing: head.framing,
            // S8.8: ignored on 1.0 or without content; another expectation is the application's
            expect: !head.version_1_0() && has_content && expects_100(&head.fields),
            // S8.9
            upgrade: connect || (!head.version_1_0() && offers),
        });
        match read_content(bytes, at, head.framing, false, &mut events) {
            Ok(next) => at = next,
            Err(Stop::Incomplete(part)) => {
                events.push(Event::Incomplete(part));
                return events;
            }
            Err(Stop::Error(status)) => {
                events.push(Event::Error { status: Some(status) });
                return events;
            }
        }
        // The application of `explain`: 200 with empty content, whose framing is intact and which
        // begins when the request is complete; so rows 2, 3, 6–8 and 10–16 cannot match.
        let (persist, rule) = server_verdict(ServerFacts {
            tunnel: connect,
            close_option: connection.close,
            bad_connection: connection.bad,
            version_1_0: head.version_1_0(),
            keep_alive_option: connection.keep_alive,
            via: has(&head.fields, "via"),
            proxy_connection: has(&head.fields, "proxy-connection"),
            absolute_form: !connect && !head.target.starts_with(b"/") && head.target != b"*",
            count_reached: count == MAX_REQUESTS,
            ..ServerFacts::default()
        });
        events.push(Event::Persistence { persist, rule });
        if !persist {
            let rest = bytes[at..].to_vec();
            if !rest.is_empty() {
                events.push(if connect { Event::Tunnel(rest) } else { Event::Ignored(rest) });
            }
            return events;
        }
    }
}

struct RequestHead {
    method: String,
    target: Vec<u8>,
    version: String,
    fields: Vec<Field>,
    framing: Framing,
}

impl RequestHead {
    /// Every other minor version acts as 1.1 (S1.2).
    fn version_1_0(&self) -> bool {
        self.version == "1.0"
    }
}

/// The head that begins at `at` and the position behind it; `None` if the bytes end within it.
fn read_request_head(bytes: &[u8], at: usize) -> Result<Option<(RequestHead, usize)>, u16> {
    // The limit is of the octets from the request line to the empty line, both included; blank
    // lines before it do not count.
    let limit = at + MAX_HEAD;
    let (line, next) = match read_line(bytes, at, limit) {
        Line::Whole(line, next) => (line, next),
        Line::Partial => return Ok(None),
        Line::Forbidden => return Err(400),
        Line::TooLong => return Err(overlong_request_line(&bytes[at..limit])),
    };
    let (method, target, version) = parse_request_line(&line)?;
    let (fields, next) = match read_fields(bytes, next, limit, MAX_REQUEST_FIELDS) {
        Ok(found) => found,
        Err(FieldsStop::Partial) => return Ok(None),
        Err(FieldsStop::Syntax) => return Err(400),
        Err(FieldsStop::TooLarge) => return Err(431),
    };
    let version_1_0 = version == "1.0";
    judge_host(&fields, version_1_0)?;
    let framing = framing_request(RequestFraming {
        connect: method == "CONNECT",
        version_1_0,
        te: transfer_encoding(&fields),
        cl: content_length(&fields),
    })?;
    Ok(Some((RequestHead { method, target, version, fields, framing }, next)))
}

/// Method, number of parts, version, target: judged in this order.
fn parse_request_line(line: &[u8]) -> Result<(String, Vec<u8>, String), u16> {
    let parts: Vec<&[u8]> = line.split(|b| *b == b' ').collect();
    judge_method(parts[0])?;
    if parts.len() != 3 {
        return Err(400); // also HTTP/0.9
    }
    let version = match parse_version(parts[2]) {
        Some(version) => version,
        None => return Err(400),
    };
    if !version.starts_with("1.") {
        return Err(505);
    }
    if parts[1].len() > MAX_TARGET {
        return Err(414);
    }
    if !valid_target(parts[0], parts[1]) {
        return Err(400);
    }
    Ok((text(parts[0]), parts[1].to_vec(), version))
}

fn judge_method(method: &[u8]) -> Result<(), u16> {
    if !is_token(method) {
        return Err(400);
    }
    if method.len() > MAX_METHOD {
        return Err(501);
    }
    Ok(())
}

/// The request line does not end within the limit of the whole head. SEMANTICS names a status for
/// the head, the target and the method; the most specific one is right (RFC 9112 §3: for a target
/// too long MUST 414).
fn overlong_request_line(start: &[u8]) -> u16 {
    let parts: Vec<&[u8]> = start.split(|b| *b == b' ').collect();
    if let Err(status) = judge_method(parts[0]) {
        return status;
    }
    if parts.len() > 1 && parts[1].len() > MAX_TARGET { 414 } else { 431 }
}

/// S8.11.
fn valid_target(method: &[u8], target: &[u8]) -> bool {
    if method == b"CONNECT" {
        let Some((host, port)) = split_authority(target) else { return false };
        let Some(port) = port else { return false };
        // by value: `h:0080` is port 80
        return !host.is_empty() && decimal(&port).is_some_and(|n| (1..=65535).contains(&n));
    }
    // Beyond the forms, any visible octet and any octet ≥ 0x80 passes: browsers send `|`, `{`, `"`
    // unescaped, and SEMANTICS lets even 0x80 pass. SP cannot occur here, HTAB can.
    // A fragment is no part of a target (RFC 9112 §3.2).
    if target.iter().any(|b| *b <= b' ' || *b == 0x7f || *b == b'#') {
        return false;
    }
    if target == b"*" {
        return method == b"OPTIONS";
    }
    if target.starts_with(b"/") {
        return true;
    }
    // absolute-form: scheme "://" authority … S8.11 speaks of its authority, so one is required;
    // an empty host and userinfo are errors (RFC 9110 §4.2.1, §4.2.4).
    let Some(colon) = find(target, b"://") else { return false };
    let scheme = &target[..colon];
    let rest = &target[colon + 3..];
    let end = rest.iter().position(|b| b"/?#".contains(b)).unwrap_or(rest.len());
    let scheme_ok = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b));
    scheme_ok && split_authority(&rest[..end]).is_some_and(|(host, _)| !host.is_empty())
}

/// S8.4, S8.11: missing on 1.1, twice on any version, or invalid. Empty is "no authority".
fn judge_host(fields: &[Field], version_1_0: bool) -> Result<(), u16> {
    let hosts = values(fields, "host");
    if hosts.len() > 1 || (hosts.is_empty() && !version_1_0) {
        return Err(400);
    }
    if hosts.iter().any(|host| split_authority(host).is_none()) {
        return Err(400);
    }
    Ok(())
}

/// S8.8; the members of the list are compared whole, without regard to case.
fn expects_100(fields: &[Field]) -> bool {
    list_members(fields, "expect").iter().any(|m| m.eq_ignore_ascii_case(b"100-continue"))
}

// ---------------------------------------------------------------------------------------------
// The client's reader
// ---------------------------------------------------------------------------------------------

fn read_client(input: &Input) -> Vec<Event> {
    let bytes = input.bytes;
    let mut events = Vec::new();
    let mut at = 0;
    let mut more_requests: Option<u64> = None; // what the last `max` allows
    for (index, method) in input.requests.iter().enumerate() {
        let last = index + 1 == input.requests.len();
        let mut interim_count = 0;
        let mut interim_close = false;
        let (head, connection) = loop {
            // S2.5: octets, not lines. A lone CR is discarded like the others.
            let (start, stray) = skip_crlf(bytes, at);
            if stray > MAX_STRAY_CRLF {
                events.push(Event::Error { status: None });
                return events;
            }
            if start == bytes.len() {
                // Nothing of this response. With `eof` too: no message has begun, so none is cut.
                return events;
            }
            let (head, next) = match read_response_head(bytes, start, method, input) {
                Ok(Some(found)) => found,
                Ok(None) => {
                    events.push(Event::Incomplete(Part::Head));
                    return events;
                }
                Err(()) => {
                    events.push(Event::Error { status: None });
                    return events;
                }
            };
            let interim = head.status < 200 && head.status != 101;
            if interim {
                interim_count += 1;
                if interim_count > MAX_INTERIM {
                    events.push(Event::Error { status: None }); // S8.6
                    return events;
                }
            }
            at = next;
            let connection = connection_options(&head.fields);
            events.push(Event::Response {
                status: head.status,
                reason: head.reason.clone(),
                version: head.version.clone(),
                fields: head.fields.clone(),
                framing: head.framing,
                interim,
            });
            if !interim {
                break (head, connection);
            }
            interim_close |= connection.close || connection.bad;
        };

        if head.framing == Framing::Close {
            // 9112 §6.3: all that follows, to the end of the connection
            let content = bytes[at..].to_vec();
            at = bytes.len();
            if !content.is_empty() {
                events.push(Event::Content(content));
            }
            if !input.eof {
                events.push(Event::Incomplete(Part::Content));
                return events;
            }
            events.push(Event::End { trailers: Vec::new() });
        } else {
            match read_content(bytes, at, head.framing, true, &mut events) {
                Ok(next) => at = next,
                Err(Stop::Incomplete(part)) => {
                    events.push(Event::Incomplete(part));
                    return events;
                }
                Err(Stop::Error(_)) => {
                    events.push(Event::Error { status: None });
                    return events;
                }
            }
        }

        let version_1_0 = head.version == "1.0";
        let hints = keep_alive_hints(&head.fields);
        // S2.2: without the option the field is ignored, but `timeout` on 1.1 counts. `max` is not
        // named there, so it needs the option.
        let timeout = if connection.keep_alive || !version_1_0 { hints.timeout } else { None };
        let max = if connection.keep_alive { hints.max } else { None };
        // S2.3: `max=N` permits at most N more; this response answered one of them.
        more_requests = max.or(more_requests.map(|n| n.saturating_sub(1)));
        let te = transfer_encoding(&head.fields) != Te::Absent;
        let cl = content_length(&head.fields) != Cl::Absent;
        let mut facts = ClientFacts {
            tunnel: head.framing == Framing::Tunnel,
            response_close: connection.close,
            bad_connection: connection.bad,
            interim_close,
            version_1_0,
            keep_alive_option: connection.keep_alive,
            close_delimited: head.framing == Framing::Close,
            status_408: head.status == 408,
            te_on_1_0: te && version_1_0,
            te_with_cl: te && cl,
            timeout,
            more_requests,
            ..ClientFacts::default()
        };
        if !client_verdict(facts).0 {
            let (persist, rule) = client_verdict(facts);
            events.push(Event::Persistence { persist, rule });
            let rest = bytes[at..].to_vec();
            if !rest.is_empty() {
                events.push(if facts.tunnel { Event::Tunnel(rest) } else { Event::Ignored(rest) });
            }
            return events;
        }
        let unsolicited = if last { unsolicited(&bytes[at..]) } else { Vec::new() };
        facts.surplus = !unsolicited.is_empty();
        let (persist, rule) = client_verdict(facts);
        events.push(Event::Persistence { persist, rule });
        if last && !unsolicited.is_empty() {
            events.push(Event::Ignored(unsolicited));
        }
    }
    if input.requests.is_empty() {
        let unsolicited = unsolicited(bytes);
        if !unsolicited.is_empty() {
            events.push(Event::Ignored(unsolicited));
        }
    }
    events
}

/// S2.5: what remains of bytes that no request asked for when up to eight octets of CR and LF are
/// discarded.
fn unsolicited(bytes: &[u8]) -> Vec<u8> {
    let (start, stray) = skip_crlf(bytes, 0);
    bytes[start - stray.saturating_sub(MAX_STRAY_CRLF)..].to_vec()
}

/// The position of the first octet that is neither CR nor LF, and how many were passed over.
fn skip_crlf(bytes: &[u8], at: usize) -> (usize, usize) {
    let stray = bytes[at..].iter().take_while(|b| **b == b'\r' || **b == b'\n').count();
    (at + stray, stray)
}

struct ResponseHead {
    status: u16,
    reason: Vec<u8>,
    version: String,
    fields: Vec<Field>,
    framing: Framing,
}

fn read_response_head(
    bytes: &[u8],
    at: usize,
    method: &str,
    input: &Input,
) -> Result<Option<(ResponseHead, usize)>, ()> {
    let limit = at + MAX_HEAD;
    let (line, next) = match read_line(bytes, at, limit) {
        Line::Whole(line, next) => (line, next),
        Line::Partial => return Ok(None),
        Line::Forbidden | Line::TooLong => return Err(()),
    };
    let (version, status, reason) = parse_status_line(&line).ok_or(())?;
    let (fields, next) = match read_fields(bytes, next, limit, MAX_RESPONSE_FIELDS) {
        Ok(found) => found,
        Err(FieldsStop::Partial) => return Ok(None),
        Err(FieldsStop::Syntax | FieldsStop::TooLarge) => return Err(()),
    };
    let framing = framing_response(ResponseFraming {
        to_head: method == "HEAD",
        to_connect: method == "CONNECT",
        status,
        offered_upgrade: input.offered_upgrade && method != "CONNECT",
        names_protocol: !list_members(&fields, "upgrade").is_empty(),
        version_1_0: version == "1.0",
        te: transfer_encoding(&fields),
        cl: content_length(&fields),
    })?;
    Ok(Some((ResponseHead { status, reason, version, fields, framing }, next)))
}

/// S8.4: `HTTP/1.x SP 3DIGIT [ SP reason ]`, 100–999.
fn parse_status_line(line: &[u8]) -> Option<(String, u16, Vec<u8>)> {
    let (version, rest) = line.split_at_checked(8)?;
    let version = parse_version(version)?;
    if !version.starts_with("1.") {
        return None;
    }
    let rest = rest.strip_prefix(b" ")?;
    let (digits, rest) = rest.split_at_checked(3)?;
    let status = u16::try_from(decimal(digits)?).ok()?;
    if status < 100 {
        return None;
    }
    if rest.is_empty() {
        return Some((version, status, Vec::new()));
    }
    Some((version, status, rest.strip_prefix(b" ")?.to_vec()))
}

#[derive(Default)]
struct KeepAliveHints {
    timeout: Option<u64>,
    max: Option<u64>,
}

/// S2.2. A value in quotes is not 1*DIGIT and is ignored like other junk. The grammar is that of RFC 2068,
/// whose §2.1 lets white space stand around every separator, `=` among them.
fn keep_alive_hints(fields: &[Field]) -> KeepAliveHints {
    let mut hints = KeepAliveHints::default();
    for value in values(fields, "keep-alive") {
        for member in split_list(&value) {
            let Some(equals) = member.iter().position(|b| *b == b'=') else { continue };
            let Some(number) = saturating_decimal(trim(&member[equals + 1..])) else { continue };
            let name = trim(&member[..equals]).to_ascii_lowercase();
            let hint = match name.as_slice() {
                b"timeout" => &mut hints.timeout,
                b"max" => &mut hints.max,
                _ => continue,
            };
            *hint = Some(hint.map_or(number, |before| before.min(number)));
        }
    }
    hints
}

// ---------------------------------------------------------------------------------------------
// Content and trailers, both roles
// ---------------------------------------------------------------------------------------------

enum Stop {
    Incomplete(Part),
    Error(u16),
}

/// Pushes `Content` and, when the message is whole, `End`; the position behind the message.
fn read_content(
    bytes: &[u8],
    at: usize,
    framing: Framing,
    response: bool,
    events: &mut Vec<Event>,
) -> Result<usize, Stop> {
    let mut content = Vec::new();
    let result = match framing {
        Framing::None | Framing::Tunnel => Ok((at, Vec::new())),
        Framing::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let available = (bytes.len() - at).min(length);
            content = bytes[at..at + available].to_vec();
            if available < length {
                Err(Stop::Incomplete(Part::Content))
            } else {
                Ok((at + length, Vec::new()))
            }
        }
        Framing::Chunked => read_chunks(bytes, at, response, &mut content),
        Framing::Close => unreachable!("the client's reader does this itself"),
    };
    if !content.is_empty() {
        events.push(Event::Content(content));
    }
    let (next, trailers) = result?;
    events.push(Event::End { trailers });
    Ok(next)
}

fn read_chunks(
    bytes: &[u8],
    mut at: usize,
    response: bool,
    content: &mut Vec<u8>,
) -> Result<(usize, Vec<Field>), Stop> {
    let mut excess: i128 = 0;
    loop {
        // S8.3 gives no status for an overlong line: it is a syntax error like the others. The line
        // is bounded as method and target are: what ends it does not count.
        let (line, next) = match read_line(bytes, at, at + MAX_CHUNK_LINE + 2) {
            Line::Whole(line, next) => (line, next),
            Line::Partial => return Err(Stop::Incomplete(Part::Content)),
            Line::Forbidden | Line::TooLong => return Err(Stop::Error(400)),
        };
        let size = parse_chunk_line(&line, response).ok_or(Stop::Error(400))?;
        // Go's budget is one running sum: what a chunk does not use of its allowance reduces the
        // excess of earlier ones, never below 0. Overhead is the line and both CRLFs; the last
        // chunk counts.
        excess += line.len() as i128 + 4 - 16 - 2 * i128::from(size);
        excess = excess.max(0);
        if excess > MAX_CHUNK_EXCESS {
            return Err(Stop::Error(413));
        }
        at = next;
        if size == 0 {
            return read_trailers(bytes, at, response);
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let available = (bytes.len() - at).min(size);
        content.extend_from_slice(&bytes[at..at + available]);
        if available < size {
            return Err(Stop::Incomplete(Part::Content));
        }
        at += size;
        // The CRLF behind the data is exact.
        for expected in *b"\r\n" {
            match bytes.get(at) {
                None => return Err(Stop::Incomplete(Part::Content)),
                Some(octet) if *octet == expected => at += 1,
                Some(_) => return Err(Stop::Error(400)),
            }
        }
    }
}

/// S8.3: 1–16 HEXDIG, then nothing, or BWS and `;` and extensions, which are ignored: they are not
/// parsed, only the forbidden octets count. In responses also SP/HTAB at the end.
fn parse_chunk_line(line: &[u8], response: bool) -> Option<u64> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if digits == 0 || digits > 16 {
        return None;
    }
    let size = u64::from_str_radix(&text(&line[..digits]), 16).ok()?;
    if size > MAX_LENGTH {
        return None;
    }
    let rest = &line[digits..];
    let behind_space = trim(rest);
    if rest.is_empty() || behind_space.starts_with(b";") || (behind_space.is_empty() && response) {
        Some(size)
    } else {
        None
    }
}

fn read_trailers(bytes: &[u8], at: usize, response: bool) -> Result<(usize, Vec<Field>), Stop> {
    // The limit includes the empty line. S8.5 gives no status; 431 is the one for field sections.
    // Trailer lines are field lines (RFC 9110 §6.5), and the bound on their number is that of S8.4.
    let most = if response { MAX_RESPONSE_FIELDS } else { MAX_REQUEST_FIELDS };
    match read_fields(bytes, at, at + MAX_TRAILERS, most) {
        Ok((fields, next)) => {
            Ok((next, fields.into_iter().filter(|(name, _)| !dropped_trailer(name)).collect()))
        }
        Err(FieldsStop::Partial) => Err(Stop::Incomplete(Part::Trailers)),
        Err(FieldsStop::Syntax) => Err(Stop::Error(400)),
        Err(FieldsStop::TooLarge) => Err(Stop::Error(431)),
    }
}

/// S8.5 names groups; the members are chosen from RFC 9110 §6.5.1 and its predecessors, which count
/// cookies as authentication and have Host as the example of routing.
pub const DROPPED_TRAILERS: &[&str] = &[
    // framing
    "content-length",
    "transfer-encoding",
    // routing
    "host",
    // authentication
    "authorization",
    "proxy-authorization",
    "www-authenticate",
    "proxy-authenticate",
    "cookie",
    "set-cookie",
    // connection
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "upgrade",
    // by name
    "trailer",
    "content-encoding",
    "content-type",
    "content-range",
];

fn dropped_trailer(name: &[u8]) -> bool {
    DROPPED_TRAILERS.iter().any(|dropped| name.eq_ignore_ascii_case(dropped.as_bytes()))
}

// ---------------------------------------------------------------------------------------------
// Lines and fields
// ---------------------------------------------------------------------------------------------

enum Line {
    /// The line without its CRLF, and the position behind it.
    Whole(Vec<u8>, usize),
    Partial,
    /// A control other than HTAB, DEL, a bare CR, a bare LF.
    Forbidden,
    /// No end of line before `limit`.
    TooLong,
}

fn read_line(bytes: &[u8], start: usize, limit: usize) -> Line {
    let mut line = Vec::new();
    for at in start..bytes.len() {
        if at >= limit {
            return Line::TooLong;
        }
        match bytes[at] {
            b'\r' => {
                return match bytes.get(at + 1) {
                    None => Line::Partial,
                    Some(_) if at + 1 >= limit => Line::TooLong,
                    Some(b'\n') => Line::Whole(line, at + 2),
                    Some(_) => Line::Forbidden,
                };
            }
            b'\t' => line.push(b'\t'),
            0..=0x1f | 0x7f => return Line::Forbidden,
            octet => line.push(octet),
        }
    }
    Line::Partial
}

enum FieldsStop {
    Partial,
    Syntax,
    TooLarge,
}

/// Field lines up to and with the empty line.
fn read_fields(
    bytes: &[u8],
    mut at: usize,
    limit: usize,
    max_lines: usize,
) -> Result<(Vec<Field>, usize), FieldsStop> {
    let mut fields = Vec::new();
    loop {
        let (line, next) = match read_line(bytes, at, limit) {
            Line::Whole(line, next) => (line, next),
            Line::Partial => return Err(FieldsStop::Partial),
            Line::Forbidden => return Err(FieldsStop::Syntax),
            Line::TooLong => return Err(FieldsStop::TooLarge),
        };
        at = next;
        if line.is_empty() {
            return Ok((fields, at));
        }
        // No token: obs-fold, whitespace before the first field or before the colon, an empty name
        let colon = line.iter().position(|b| *b == b':').ok_or(FieldsStop::Syntax)?;
        if !is_token(&line[..colon]) {
            return Err(FieldsStop::Syntax);
        }
        fields.push((line[..colon].to_vec(), trim(&line[colon + 1..]).to_vec()));
        if fields.len() > max_lines {
            return Err(FieldsStop::TooLarge);
        }
    }
}

/// The values of all field lines of that name, in order.
fn values(fields: &[Field], name: &str) -> Vec<Vec<u8>> {
    fields
        .iter()
        .filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value)| value.clone())
        .collect()
}

fn has(fields: &[Field], name: &str) -> bool {
    !values(fields, name).is_empty()
}

/// All lines combined, split on commas, trimmed, empty members left out.
fn list_members(fields: &[Field], name: &str) -> Vec<Vec<u8>> {
    let combined = values(fields, name).join(&b","[..]);
    combined
        .split(|b| *b == b',')
        .map(|member| trim(member).to_vec())
        .filter(|member| !member.is_empty())
        .collect()
}

struct Connection {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    /// A member that is no token, or too many of them. The others still count.
    bad: bool,
}

/// S1.1.
fn connection_options(fields: &[Field]) -> Connection {
    let options = list_members(fields, "connection");
    let named = |name: &str| options.iter().any(|o| o.eq_ignore_ascii_case(name.as_bytes()));
    Connection {
        close: named("close"),
        keep_alive: named("keep-alive"),
        upgrade: named("upgrade"),
        bad: options.len() > MAX_OPTIONS || options.iter().any(|option| !is_token(option)),
    }
}

/// S8.1.
fn content_length(fields: &[Field]) -> Cl {
    let lines = values(fields, "content-length");
    if lines.is_empty() {
        return Cl::Absent;
    }
    let combined = lines.join(&b","[..]);
    let members: Vec<Vec<u8>> = combined.split(|b| *b == b',').map(|m| trim(m).to_vec()).collect();
    let Some(number) = decimal(&members[0]).filter(|n| *n <= MAX_LENGTH) else {
        return Cl::Invalid;
    };
    if members.iter().any(|member| *member != members[0]) {
        return Cl::Invalid;
    }
    if members.len() > 1 { Cl::Repeated(number) } else { Cl::Single(number) }
}

/// S8-4, S8-5, S8.2.
fn transfer_encoding(fields: &[Field]) -> Te {
    let lines = values(fields, "transfer-encoding");
    if lines.is_empty() {
        return Te::Absent;
    }
    let members = split_list(&lines.join(&b","[..]));
    if members.iter().any(|member| !is_coding(member)) {
        return Te::Malformed; // empty members too
    }
    let name = |member: &Vec<u8>| {
        let end = member.iter().position(|b| b"; \t".contains(b)).unwrap_or(member.len());
        member[..end].to_ascii_lowercase()
    };
    let names: Vec<Vec<u8>> = members.iter().map(name).collect();
    let chunked = names.iter().filter(|n| *n == b"chunked").count();
    let with_parameters = members.iter().any(|m| name(m) == b"chunked" && m.len() > 7);
    if names.iter().any(|n| n == b"identity") || chunked > 1 || with_parameters {
        return Te::Malformed;
    }
    if names.last().is_none_or(|last| last != b"chunked") {
        return Te::FinalNotChunked;
    }
    if names.len() == 1 { Te::ChunkedAlone } else { Te::UnknownThenChunked }
}

/// `transfer-coding = token *( OWS ";" OWS token BWS "=" BWS ( token / quoted-string ) )`
fn is_coding(member: &[u8]) -> bool {
    let mut parts = split_unquoted(member, b';').into_iter();
    let name = parts.next().unwrap_or_default();
    is_token(trim(&name))
        && parts.all(|parameter| {
            let Some(equals) = parameter.iter().position(|b| *b == b'=') else { return false };
            let value = trim(&parameter[equals + 1..]);
            is_token(trim(&parameter[..equals])) && (is_token(value) || is_quoted_string(value))
        })
}

// ---------------------------------------------------------------------------------------------
// Grammar
// ---------------------------------------------------------------------------------------------

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}

/// Without the SP and HTAB at both ends.
fn trim(bytes: &[u8]) -> &[u8] {
    let space = |b: &u8| *b == b' ' || *b == b'\t';
    let start = bytes.iter().take_while(|b| space(b)).count();
    let end = bytes[start..].iter().rev().take_while(|b| space(b)).count();
    &bytes[start..bytes.len() - end]
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

fn is_quoted_string(bytes: &[u8]) -> bool {
    if bytes.len() < 2 || bytes[0] != b'"' {
        return false;
    }
    let mut escaped = false;
    for (at, octet) in bytes.iter().enumerate().skip(1) {
        if escaped {
            escaped = false;
        } else if *octet == b'\\' {
            escaped = true;
        } else if *octet == b'"' {
            return at + 1 == bytes.len();
        }
    }
    false
}

/// Split at `separator`, except within quoted-strings; trimmed, empty pieces kept.
fn split_unquoted(bytes: &[u8], separator: u8) -> Vec<Vec<u8>> {
    let mut pieces = vec![Vec::new()];
    let mut quoted = false;
    let mut escaped = false;
    for octet in bytes {
        if *octet == separator && !quoted {
            pieces.push(Vec::new());
            continue;
        }
        if escaped {
            escaped = false;
        } else if *octet == b'\\' && quoted {
            escaped = true;
        } else if *octet == b'"' {
            quoted = !quoted;
        }
        pieces.last_mut().expect("never empty").push(*octet);
    }
    pieces.iter().map(|piece| trim(piece).to_vec()).collect()
}

fn split_list(bytes: &[u8]) -> Vec<Vec<u8>> {
    split_unquoted(bytes, b',')
}

/// 1*DIGIT, as far as a u64 goes.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    text(digits).parse().ok()
}

/// 1*DIGIT; too large a number saturates.
fn saturating_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text(digits).parse().unwrap_or(u64::MAX))
}

/// `HTTP/` DIGIT `.` DIGIT, in capitals: the two digits and the dot.
fn parse_version(bytes: &[u8]) -> Option<String> {
    let number = bytes.strip_prefix(b"HTTP/")?;
    let shape = number.len() == 3
        && number[0].is_ascii_digit()
        && number[1] == b'.'
        && number[2].is_ascii_digit();
    shape.then(|| text(number))
}

/// `uri-host [ ":" *DIGIT ]` (RFC 9110 §7.2, RFC 3986 §3.2.2), split into host and port.
fn split_authority(bytes: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let host_end = if bytes.starts_with(b"[") {
        find(bytes, b"]")? + 1
    } else {
        bytes.iter().position(|b| *b == b':').unwrap_or(bytes.len())
    };
    let (host, rest) = bytes.split_at(host_end);
    if !is_uri_host(host) {
        return None;
    }
    if rest.is_empty() {
        return Some((host.to_vec(), None));
    }
    let port = rest.strip_prefix(b":")?;
    port.iter().all(u8::is_ascii_digit).then(|| (host.to_vec(), Some(port.to_vec())))
}

fn is_uri_host(host: &[u8]) -> bool {
    let unreserved_or_sub_delim =
        |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&b);
    if let Some(literal) = host.strip_prefix(b"[").and_then(|h| h.strip_suffix(b"]")) {
        if text(literal).parse::<Ipv6Addr>().is_ok() {
            return true;
        }
        // IPvFuture = "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )
        let Some((version, address)) = text(literal)
            .split_once('.')
            .map(|(v, a)| (v.to_ascii_lowercase(), a.as_bytes().to_vec()))
        else {
            return false;
        };
        let digits = version.strip_prefix('v').unwrap_or_default();
        return !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_hexdigit())
            && !address.is_empty()
            && address.iter().all(|b| unreserved_or_sub_delim(*b) || *b == b':');
    }
    // reg-name, which may be empty and covers IPv4address
    let mut at = 0;
    while at < host.len() {
        if host[at] == b'%' {
            let digits = host.get(at + 1..at + 3);
            if !digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) {
                return false;
            }
            at += 3;
        } else if unreserved_or_sub_delim(host[at]) {
            at += 1;
        } else {
            return false;
        }
    }
    true
}
