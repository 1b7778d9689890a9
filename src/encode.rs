//! Writing heads. Whatever could split a message is refused here, and nowhere else is a head written.
//!
//! `Connection`, `Keep-Alive`, `Content-Length` and `Transfer-Encoding` belong to the machine: what
//! the caller supplies of them is merged or checked, and then written anew (S1.4).

use crate::block;
use crate::bytes::{is_stop, trim};
use crate::content::Plan;
use crate::error::{Part, SendError};
use crate::grammar::{self, Protocols, members, same};
use crate::head::fields::Line;
use crate::prepared::Field;

/// Writes to a caller's space, and goes on counting when it is full.
#[derive(Debug)]
pub(crate) struct Writer<'o> {
    out: &'o mut [u8],
    at: usize,
}

impl<'o> Writer<'o> {
    pub(crate) fn new(out: &'o mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    #[inline(always)]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len());
        if let Some(space) = self.out.get_mut(self.at..end) {
            copy(space, bytes);
        }
        self.at = end;
    }

    #[inline]
    pub(crate) fn number(&mut self, mut n: u64) {
        let digit = |n: u64| b'0' + (n % 10) as u8;
        match n {
            0..10 => return self.put(&[digit(n)]),
            10..100 => return self.put(&[digit(n / 10), digit(n)]),
            100..1000 => return self.put(&[digit(n / 100), digit(n / 10), digit(n)]),
            _ => {}
        }
        let mut digits = [0u8; 20];
        let mut len = 0;
        for slot in digits.iter_mut().rev() {
            *slot = b'0' + (n % 10) as u8;
            len += 1;
            n /= 10;
            if n == 0 {
                break;
            }
        }
        self.put(digits.get(digits.len() - len..).unwrap_or_default());
    }

    /// A field line, checked.
    pub(crate) fn line(&mut self, line: &Line<'_>) -> Result<(), SendError> {
        if !is_name(line.name) {
            return Err(SendError::Invalid(Part::FieldName));
        }
        if !is_text(line.value) {
            return Err(SendError::Invalid(Part::FieldValue));
        }
        let value = trim(line.value);
        let end = self.at.saturating_add(line.name.len() + value.len() + 4);
        if let Some(space) = self.out.get_mut(self.at..end)
            && let Some((name, rest)) = space.split_at_mut_checked(line.name.len())
            && let Some((colon, rest)) = rest.split_first_chunk_mut()
            && let Some((text, crlf)) = rest.split_last_chunk_mut()
        {
            copy(name, line.name);
            *colon = *b": ";
            copy(text, value);
            *crlf = *b"\r\n";
        }
        self.at = end;
        Ok(())
    }

    /// A line of the caller's, unless the machine takes it upon itself. Not generic, and apart: it is the
    /// same code for all callers.
    #[inline(never)]
    pub(crate) fn own_or_line(
        &mut self,
        line: &Line<'_>,
        declared: Declared,
        told: &mut Told,
    ) -> Result<(), SendError> {
        if owned(self, line, declared, told)? { Ok(()) } else { self.line(line) }
    }

    /// Octets written, if they all found room.
    pub(crate) fn finish(self) -> Result<usize, SendError> {
        if self.at > self.out.len() {
            Err(SendError::Short { needed: self.at })
        } else {
            Ok(self.at)
        }
    }
}

/// Copies `from`, which is as long as `to`. Most of what a head is made of is short, and the lengths vary:
/// two copies of a fixed size, which overlap, cost less than a call that has to find that out.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    #[inline(always)]
    fn ends<const N: usize>(to: &mut [u8], from: &[u8]) {
        if let (Some(to), Some(from)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) {
            *to = *from;
        }
        if let (Some(to), Some(from)) = (to.last_chunk_mut::<N>(), from.last_chunk::<N>()) {
            *to = *from;
        }
    }
    match from.len() {
        0 => {}
        1 => ends::<1>(to, from),
        2..4 => ends::<2>(to, from),
        4..8 => ends::<4>(to, from),
        8..16 => ends::<8>(to, from),
        16..=32 => ends::<16>(to, from),
        33..=64 => ends::<32>(to, from),
        65..=128 => ends::<64>(to, from),
        _ => to.copy_from_slice(from),
    }
}

/// Whether this is a token; nearly all names are letters and `-` alone.
#[inline(always)]
fn is_name(name: &[u8]) -> bool {
    block::are_letters(name) || grammar::is_token(name)
}

/// Whether this holds no control character but HTAB.
#[inline(always)]
fn is_text(value: &[u8]) -> bool {
    block::are_visible(value) || !value.iter().any(|&b| is_stop(b))
}

/// A status and its reason phrase. Made from a number, or from a number and a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status<'a> {
    /// Three digits.
    pub code: u16,
    /// The reason phrase; the usual one if `None`.
    pub reason: Option<&'a [u8]>,
}

impl From<u16> for Status<'_> {
    fn from(code: u16) -> Self {
        Self { code, reason: None }
    }
}

impl<'a> From<(u16, &'a str)> for Status<'a> {
    fn from((code, reason): (u16, &'a str)) -> Self {
        Self { code, reason: Some(reason.as_bytes()) }
    }
}

impl<'a> From<(u16, &'a [u8])> for Status<'a> {
    fn from((code, reason): (u16, &'a [u8])) -> Self {
        Self { code, reason: Some(reason) }
    }
}

/// What the caller's field lines told the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// `close` among the connection options.
    pub(crate) close: bool,
    /// The protocols of Upgrade fields.
    pub(crate) upgrade: Protocols,
    /// Expect: 100-continue.
    pub(crate) expect: bool,
    /// A TE field.
    pub(crate) te: bool,
    /// Host fields.
    pub(crate) hosts: u8,
    /// One of them is malformed. No matter in a response, where Host means nothing (RFC 9110 §7.2).
    pub(crate) host_bad: bool,
}

impl Told {
    /// And what a prepared block tells, which has no connection options, offers no protocols, and has no
    /// bad Host.
    fn and(&mut self, block: Self) {
        self.expect |= block.expect;
        self.te |= block.te;
        self.hosts = self.hosts.saturating_add(block.hosts);
    }
}

/// What the caller's field lines are held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declared {
    /// The Content-Length that goes out, if one does.
    pub(crate) length: Option<u64>,
    /// Whether Transfer-Encoding goes out.
    pub(crate) chunked: bool,
}

/// Writes the caller's field lines, without those that belong to the machine.
pub(crate) fn fields<'f>(
    w: &mut Writer<'_>,
    lines: impl IntoIterator<Item = impl Into<Field<'f>>>,
    declared: Declared,
) -> Result<Told, SendError> {
    let mut told = Told::default();
    for field in lines {
        match field.into() {
            Field::Prepared(block) => {
                w.put(block.lines());
                told.and(block.told());
            }
            Field::Line(line) => w.own_or_line(&line, declared, &mut told)?,
        }
    }
    Ok(told)
}

/// Whether the machine writes a field itself, or decides on it, in each message.
pub(crate) fn is_reserved(name: &[u8]) -> bool {
    const RESERVED: [&[u8]; 6] = [
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"content-length",
        b"transfer-encoding",
        b"upgrade",
    ];
    RESERVED.iter().any(|known| same(name, known))
}

/// Whether the machine has taken this line upon itself.
fn owned(
    w: &mut Writer<'_>,
    line: &Line<'_>,
    declared: Declared,
    told: &mut Told,
) -> Result<bool, SendError> {
    let value = trim(line.value);
    match line.name.len() {
        2 if line.is("te") => {
            // RFC 9112 §7.4: it goes without saying, and must.
            if members(value).any(|m| same(m, b"chunked")) {
                return Err(SendError::Invalid(Part::FieldValue));
            }
            told.te = true;
        }
        4 if line.is("host") => {
            told.hosts = told.hosts.saturating_add(1);
            told.host_bad |= !value.is_empty() && !grammar::is_host(value);
        }
        6 if line.is("expect") => told.expect |= members(value).any(|m| same(m, b"100-continue")),
        7 if line.is("upgrade") => {
            for member in members(value) {
                if !grammar::is_protocol(member) {
                    return Err(SendError::Invalid(Part::Upgrade));
                }
                told.upgrade.add(member);
            }
        }
        10 if line.is("connection") => {
            options(w, value, told)?;
            return Ok(true);
        }
        // Recomputed, and never sent, in that order.
        10 if line.is("keep-alive") => return Ok(true),
        16 if line.is("proxy-connection") => return Ok(true),
        14 if line.is("content-length") => {
            if declared.length.is_none() || grammar::decimal(value) != declared.length {
                return Err(SendError::Invalid(Part::Framing));
            }
            return Ok(true);
        }
        17 if line.is("transfer-encoding") => {
            if !declared.chunked || !same(value, b"chunked") {
                return Err(SendError::Invalid(Part::Framing));
            }
            return Ok(true);
        }
        _ => {}
    }
    Ok(false)
}

/// Merges the caller's connection options: `close` is heeded, those the machine decides itself are
/// dropped, the others go out.
fn options(w: &mut Writer<'_>, value: &[u8], told: &mut Told) -> Result<(), SendError> {
    let mut kept = 0;
    for member in members(value).filter(|m| !m.is_empty()) {
        if !grammar::is_token(member) {
            return Err(SendError::Invalid(Part::FieldValue));
        }
        if same(member, b"close") {
            told.close = true;
        } else if ![&b"keep-alive"[..], b"upgrade", b"te"].iter().any(|o| same(member, o)) {
            w.put(if kept == 0 { b"Connection: " } else { b", " });
            w.put(member);
            kept += 1;
        }
    }
    if kept > 0 {
        w.put(b"\r\n");
    }
    Ok(())
}

/// The connection options that the machine itself sends, as one line.
#[inline]
pub(crate) fn connection(w: &mut Writer<'_>, options: &[(bool, &[u8])]) {
    if !options.iter().any(|(sent, _)| *sent) {
        return;
    }
    let mut first = true;
    for (_, option) in options.iter().filter(|(sent, _)| *sent) {
        w.put(if first { b"Connection: " } else { b", " });
        w.put(option);
        first = false;
    }
    w.put(b"\r\n");
}

/// `Keep-Alive: timeout=T, max=M`, or nothing where there is nothing to say (S1.4).
pub(crate) fn keep_alive(w: &mut Writer<'_>, timeout: Option<u32>, max: Option<u32>) {
    if timeout.is_none() && max.is_none() {
        return;
    }
    w.put(b"Keep-Alive: ");
    if let Some(t) = timeout {
        w.put(b"timeout=");
        w.number(u64::from(t));
    }
    if let Some(m) = max {
        w.put(if timeout.is_some() { b", max=" } else { b"max=" });
        w.number(u64::from(m));
    }
    w.put(b"\r\n");
}

/// Content-Length or Transfer-Encoding, as declared. Exactly one space: `ab` reads no other (S1.6).
pub(crate) fn framing(w: &mut Writer<'_>, declared: Declared) {
    if let Some(n) = declared.length {
        w.put(b"Content-Length: ");
        w.number(n);
        w.put(b"\r\n");
    }
    if declared.chunked {
        w.put(b"Transfer-Encoding: chunked\r\n");
    }
}

/// `HTTP/1.x SP status SP reason CRLF`.
pub(crate) fn status_line(
    w: &mut Writer<'_>,
    minor: u8,
    status: Status<'_>,
) -> Result<(), SendError> {
    if !(100..=999).contains(&status.code) {
        return Err(SendError::Invalid(Part::Status));
    }
    if minor == 1
        && status.reason.is_none()
        && let Some(line) = usual_line(status.code)
    {
        w.put(line);
        return Ok(());
    }
    let reason = status.reason.unwrap_or_else(|| reason(status.code).as_bytes());
    if reason.iter().any(|&b| is_stop(b)) {
        return Err(SendError::Invalid(Part::Reason));
    }
    w.put(if minor == 0 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    w.number(u64::from(status.code));
    w.put(b" ");
    w.put(reason);
    w.put(b"\r\n");
    Ok(())
}

/// `method SP target SP HTTP/1.x CRLF`, all of it checked.
pub(crate) fn request_line(
    w: &mut Writer<'_>,
    method: &str,
    target: &[u8],
    minor: u8,
) -> Result<(), SendError> {
    if !grammar::is_token(method.as_bytes()) {
        return Err(SendError::Invalid(Part::Method));
    }
    if !grammar::is_target_for(method.as_bytes(), target) {
        return Err(SendError::Invalid(Part::Target));
    }
    w.put(method.as_bytes());
    w.put(b" ");
    w.put(target);
    w.put(if minor == 0 { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" });
    Ok(())
}

impl Declared {
    /// Of a plan, where the head is to show it.
    pub(crate) fn of(plan: Plan) -> Self {
        match plan {
            Plan::Length(n) => Self { length: Some(n), chunked: false },
            Plan::Chunked => Self { length: None, chunked: true },
            Plan::None | Plan::UntilClose | Plan::Tunnel => Self { length: None, chunked: false },
        }
    }
}

macro_rules! reasons {
    ($($code:literal $reason:literal)*) => {
        /// The usual reason phrase of a status (RFC 9110 §15); empty where there is none.
        #[must_use]
        pub const fn reason(status: u16) -> &'static str {
            match status { $($code => $reason,)* _ => "" }
        }

        /// The whole status line, with the usual reason phrase.
        fn usual_line(status: u16) -> Option<&'static [u8]> {
            match status {
                $($code => Some(concat!("HTTP/1.1 ", $code, " ", $reason, "\r\n").as_bytes()),)*
                _ => None,
            }
        }
    };
}

reasons! {
    100 "Continue"
    101 "Switching Protocols"
    103 "Early Hints"
    200 "OK"
    201 "Created"
    202 "Accepted"
    203 "Non-Authoritative Information"
    204 "No Content"
    205 "Reset Content"
    206 "Partial Content"
    300 "Multiple Choices"
    301 "Moved Permanently"
    302 "Found"
    303 "See Other"
    304 "Not Modified"
    307 "Temporary Redirect"
    308 "Permanent Redirect"
    400 "Bad Request"
    401 "Unauthorized"
    402 "Payment Required"
    403 "Forbidden"
    404 "Not Found"
    405 "Method Not Allowed"
    406 "Not Acceptable"
    407 "Proxy Authentication Required"
    408 "Request Timeout"
    409 "Conflict"
    410 "Gone"
    411 "Length Required"
    412 "Precondition Failed"
    413 "Content Too Large"
    414 "URI Too Long"
    415 "Unsupported Media Type"
    416 "Range Not Satisfiable"
    417 "Expectation Failed"
    418 "I'm a teapot"
    421 "Misdirected Request"
    422 "Unprocessable Content"
    425 "Too Early"
    426 "Upgrade Required"
    428 "Precondition Required"
    429 "Too Many Requests"
    431 "Request Header Fields Too Large"
    500 "Internal Server Error"
    501 "Not Implemented"
    502 "Bad Gateway"
    503 "Service Unavailable"
    504 "Gateway Timeout"
    505 "HTTP Version Not Supported"
    508 "Loop Detected"
    511 "Network Authentication Required"
}
