//! Writing heads. Whatever could split a message is refused here, and nowhere else is a head written.
//!
//! `Connection`, `Keep-Alive`, `Content-Length` and `Transfer-Encoding` belong to the machine: what
//! the caller supplies of them is merged or checked, and then written anew (S1.4).

use crate::bytes::{is_stop, trim};
use crate::content::Plan;
use crate::copy::{self, Name, Target, Value};
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
            copy::plain(space, bytes);
        }
        self.at = end;
    }

    /// The first `len` octets of these; the rest may be written too, where more will follow.
    #[inline(always)]
    pub(crate) fn put_first<const N: usize>(&mut self, bytes: &[u8; N], len: usize) {
        match self.out.get_mut(self.at..).and_then(|space| space.first_chunk_mut()) {
            Some(space) => *space = *bytes,
            None => return self.put(bytes.get(..len).unwrap_or(bytes)),
        }
        self.at += len;
    }

    /// The line as one piece of fixed size, where the number is short and there is room.
    #[inline(always)]
    fn content_length(&mut self, n: u64) {
        const NAME: &[u8; 16] = b"Content-Length: ";
        let digit = |n| u64::from(b'0') + n;
        let number = match n {
            0..10 => Some((digit(n), 1)),
            10..100 => Some((digit(n / 10) | digit(n % 10) << 8, 2)),
            _ => short(n),
        };
        if let Some((digits, len)) = number
            && len <= 6
            && let Some(space) = self.out.get_mut(self.at..)
            && let Some((name, rest)) = space.split_first_chunk_mut()
            && let Some(end) = rest.first_chunk_mut()
        {
            *name = *NAME;
            *end = (digits | 0x0a0d << (len * 8)).to_le_bytes();
            self.at += NAME.len() + len + 2;
            return;
        }
        self.put(NAME);
        self.number(n);
        self.put(b"\r\n");
    }

    pub(crate) fn number(&mut self, mut n: u64) {
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
        self.checked(line.name, trim(line.value)).map_err(SendError::Invalid)
    }

    /// A field line, its value trimmed: looked at while it is copied.
    #[inline(always)]
    fn checked(&mut self, name: &[u8], value: &[u8]) -> Result<(), Part> {
        let end = self.at.saturating_add(name.len() + value.len() + 4);
        let mut plain = false;
        if let Some(space) = self.out.get_mut(self.at..end)
            && let Some((named, rest)) = space.split_at_mut_checked(name.len())
            && let Some((colon, rest)) = rest.split_first_chunk_mut()
            && let Some((text, crlf)) = rest.split_last_chunk_mut()
        {
            *colon = *b": ";
            *crlf = *b"\r\n";
            plain = copy::looking::<Name>(named, name) & copy::looking::<Value>(text, value);
        }
        self.at = end;
        if plain && !name.is_empty() {
            debug_assert!(judge(name, value).is_ok(), "overlooked");
            return Ok(());
        }
        judge(name, value)
    }

    /// A line of the caller's, unless the machine takes it upon itself. Not generic, and apart: it is the
    /// same code for all callers.
    #[inline(never)]
    pub(crate) fn own_or_line(
        &mut self,
        name: &[u8],
        value: &[u8],
        own: &mut Own,
    ) -> Result<(), Part> {
        let value = match value {
            [first, .., last] if *first > b' ' && *last > b' ' => value,
            _ => trim(value),
        };
        if may_be_owned(name) {
            if owned(self, name, value, own)? {
                return Ok(());
            }
        } else {
            debug_assert!(!OWNED.iter().any(|known| same(name, known)), "overlooked");
        }
        self.checked(name, value)
    }

    /// Octets written, if they all found room.
    pub(crate) fn finish(&self) -> Result<usize, SendError> {
        if self.at > self.out.len() {
            Err(SendError::Short { needed: self.at })
        } else {
            Ok(self.at)
        }
    }
}

/// What is wrong with a line, if anything is: the exact way.
#[cold]
fn judge(name: &[u8], value: &[u8]) -> Result<(), Part> {
    if !grammar::is_token(name) {
        return Err(Part::FieldName);
    }
    if value.iter().any(|&b| is_stop(b)) {
        return Err(Part::FieldValue);
    }
    Ok(())
}

/// The digits of a number below 10^8, the first one lowest, and how many they are: two at a time, and
/// then all eight.
#[inline(always)]
fn short(n: u64) -> Option<(u64, usize)> {
    if n >= 100_000_000 {
        return None;
    }
    // Four digits in each half, then two in each quarter, then one in each octet; the first are lowest.
    let fours = (n / 10_000) | ((n % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let digits = tens | ((twos - tens * 10) << 8);
    // Zeros that lead are left out, but for the last.
    let lead = (digits | 1 << 56).trailing_zeros() / 8;
    let digits = (digits | 0x3030_3030_3030_3030) >> (lead * 8);
    Some((digits, 8 - lead as usize))
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
    #[inline(always)]
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

/// What the caller's lines are held against, and what they told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    pub(crate) declared: Declared,
    pub(crate) told: Told,
}

impl Own {
    #[inline(always)]
    pub(crate) fn new(declared: Declared) -> Self {
        Self { declared, told: Told::default() }
    }
}

/// Writes the caller's field lines, without those that belong to the machine.
#[inline]
pub(crate) fn fields<'f>(
    w: &mut Writer<'_>,
    lines: impl IntoIterator<Item = impl Into<Field<'f>>>,
    declared: Declared,
) -> Result<Told, SendError> {
    let mut own = Own::new(declared);
    each_field(w, lines, &mut own)?;
    Ok(own.told)
}

/// The same, where the caller keeps what was told.
#[inline]
pub(crate) fn each_field<'f>(
    w: &mut Writer<'_>,
    lines: impl IntoIterator<Item = impl Into<Field<'f>>>,
    own: &mut Own,
) -> Result<(), SendError> {
    for field in lines {
        match field.into() {
            Field::Prepared(block) => {
                w.put(block.lines());
                own.told.and(block.told());
            }
            Field::Line(line) => {
                w.own_or_line(line.name, line.value, own).map_err(SendError::Invalid)?;
            }
        }
    }
    Ok(())
}

/// The fields that the machine looks at: first those that it lets pass, then the reserved ones.
const OWNED: [&[u8]; 9] = [
    b"te",
    b"host",
    b"expect",
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"content-length",
    b"transfer-encoding",
    b"upgrade",
];

/// Those that it writes itself, or decides on, in each message.
const RESERVED: &[&[u8]] = OWNED.split_at(3).1;

/// Whether a field is one of [`RESERVED`].
pub(crate) fn is_reserved(name: &[u8]) -> bool {
    RESERVED.iter().any(|known| same(name, known))
}

/// Whether this may be one of [`OWNED`]: a bit for each length, by the first letter.
#[inline(always)]
fn may_be_owned(name: &[u8]) -> bool {
    static LENGTHS: [u32; 32] = {
        let mut table = [0; 32];
        let mut i = 0;
        while i < OWNED.len() {
            #[expect(clippy::indexing_slicing, reason = "bounded by the loop, and const")]
            let name = OWNED[i];
            #[expect(clippy::indexing_slicing, reason = "no name is empty, and const")]
            {
                table[(name[0] & 31) as usize] |= 1 << name.len();
            }
            i += 1;
        }
        table
    };
    let Some(&first) = name.first() else { return false };
    #[expect(clippy::indexing_slicing, reason = "five bits, thirty-two places")]
    let lengths = LENGTHS[usize::from(first & 31)];
    lengths >> (name.len() & 31) & 1 != 0
}

#[inline(always)]
fn is_host(name: &[u8]) -> bool {
    let lower = |four: [u8; 4]| u32::from_le_bytes(four) | 0x2020_2020;
    name.try_into().is_ok_and(|name| lower(name) == lower(*b"host"))
}

/// Whether the machine has taken this line, its value trimmed, upon itself.
fn owned(w: &mut Writer<'_>, name: &[u8], value: &[u8], own: &mut Own) -> Result<bool, Part> {
    let Own { declared, told } = own;
    match name.len() {
        // First, since each request has one.
        4 if is_host(name) => {
            told.hosts = told.hosts.saturating_add(1);
            told.host_bad |= !value.is_empty() && !grammar::is_host(value);
        }
        2 if same(name, b"te") => {
            // RFC 9112 §7.4: it goes without saying, and must.
            if members(value).any(|m| same(m, b"chunked")) {
                return Err(Part::FieldValue);
            }
            told.te = true;
        }
        6 if same(name, b"expect") => {
            told.expect |= members(value).any(|m| same(m, b"100-continue"))
        }
        7 if same(name, b"upgrade") => {
            for member in members(value) {
                if !grammar::is_protocol(member) {
                    return Err(Part::Upgrade);
                }
                told.upgrade.add(member);
            }
        }
        10 if same(name, b"connection") => {
            options(w, value, told)?;
            return Ok(true);
        }
        // Recomputed, and never sent, in that order.
        10 if same(name, b"keep-alive") => return Ok(true),
        16 if same(name, b"proxy-connection") => return Ok(true),
        14 if same(name, b"content-length") => {
            if declared.length.is_none() || grammar::decimal(value) != declared.length {
                return Err(Part::Framing);
            }
            return Ok(true);
        }
        17 if same(name, b"transfer-encoding") => {
            if !declared.chunked || !same(value, b"chunked") {
                return Err(Part::Framing);
            }
            return Ok(true);
        }
        _ => {}
    }
    Ok(false)
}

/// Merges the caller's connection options: `close` is heeded, those the machine decides itself are
/// dropped, the others go out.
fn options(w: &mut Writer<'_>, value: &[u8], told: &mut Told) -> Result<(), Part> {
    let mut kept = 0;
    for member in members(value).filter(|m| !m.is_empty()) {
        if !grammar::is_token(member) {
            return Err(Part::FieldValue);
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
#[inline(always)]
pub(crate) fn connection(w: &mut Writer<'_>, options: &[(bool, &[u8])]) {
    if options.iter().any(|(sent, _)| *sent) {
        send_options(w, options);
    }
}

fn send_options(w: &mut Writer<'_>, options: &[(bool, &[u8])]) {
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
#[inline]
pub(crate) fn framing(w: &mut Writer<'_>, declared: Declared) {
    if let Some(n) = declared.length {
        w.content_length(n);
    }
    if declared.chunked {
        w.put(b"Transfer-Encoding: chunked\r\n");
    }
}

/// `method SP target SP HTTP/1.x CRLF`, all of it checked: looked at while it is copied.
#[inline]
pub(crate) fn request_line(
    w: &mut Writer<'_>,
    method: &str,
    target: &[u8],
    minor: u8,
) -> Result<(), Part> {
    let method = method.as_bytes();
    let last = if minor == 0 { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" };
    let end = w.at.saturating_add(method.len() + target.len() + last.len() + 1);
    let mut plain = false;
    if let Some(space) = w.out.get_mut(w.at..end)
        && let Some((name, rest)) = space.split_at_mut_checked(method.len())
        && let Some((between, rest)) = rest.split_first_mut()
        && let Some((text, version)) = rest.split_last_chunk_mut()
    {
        *between = b' ';
        *version = *last;
        plain = copy::looking::<Name>(name, method) & copy::looking::<Target>(text, target);
    }
    w.at = end;
    // As nearly all are: a path, and not the one method that takes none.
    if plain && target.first() == Some(&b'/') && !method.is_empty() && method != b"CONNECT" {
        debug_assert!(judge_request(method, target).is_ok(), "overlooked");
        return Ok(());
    }
    judge_request(method, target)
}

/// What is wrong with a request line, if anything is: the exact way.
#[inline(never)]
fn judge_request(method: &[u8], target: &[u8]) -> Result<(), Part> {
    if !grammar::is_token(method) {
        return Err(Part::Method);
    }
    if !grammar::is_target_for(method, target) {
        return Err(Part::Target);
    }
    Ok(())
}

impl Declared {
    pub(crate) const NOTHING: Self = Self { length: None, chunked: false };

    /// Of a plan, where the head is to show it.
    #[inline(always)]
    pub(crate) fn of(plan: Plan) -> Self {
        let length = if let Plan::Length(n) = plan { Some(n) } else { None };
        Self { length, chunked: matches!(plan, Plan::Chunked) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_are_written_like_all_others() {
        let tens = (0..8).map(|n| 10u64.pow(n));
        for n in tens.flat_map(|t| [t - 1, t, t + 1, t * 9, t * 10 - 1]).chain(0..30_000) {
            let (digits, len) = short(n).unwrap();
            assert_eq!(digits.to_le_bytes()[..len], *n.to_string().as_bytes());
            assert!(digits.to_le_bytes()[len..].iter().all(|&b| b == 0), "{n}");
        }
        assert_eq!(short(100_000_000), None);
    }

    #[test]
    fn a_length_is_written_the_same_way_with_room_and_without() {
        for n in [0, 9, 10, 99, 100, 999_999, 1_000_000, 99_999_999, 100_000_000, u64::MAX] {
            let want = format!("Content-Length: {n}\r\n");
            for room in [want.len(), want.len() + 1, 64] {
                let mut out = [0; 64];
                let mut w = Writer::new(&mut out[..room]);
                framing(&mut w, Declared { length: Some(n), chunked: false });
                assert_eq!(w.finish(), Ok(want.len()));
                assert_eq!(out[..want.len()], *want.as_bytes());
            }
            let mut w = Writer::new(&mut []);
            framing(&mut w, Declared { length: Some(n), chunked: false });
            assert_eq!(w.finish(), Err(SendError::Short { needed: want.len() }));
        }
    }

    #[test]
    fn what_the_machine_looks_at_is_not_overlooked() {
        for name in OWNED {
            assert!(may_be_owned(name) && may_be_owned(&name.to_ascii_uppercase()));
        }
        // Many others are told by the first letter and the length.
        for name in ["Date", "Server", "Content-Type", "Cache-Control", "Set-Cookie", "ETag", ""] {
            assert!(!may_be_owned(name.as_bytes()), "{name}");
        }
    }

    /// A line is judged alike where there is room for it, so that it is looked at while it is copied,
    /// and where there is none.
    #[test]
    fn a_line_is_judged_the_same_way_with_room_and_without() {
        let with = |b: u8, len: usize, at: usize| {
            let mut text = vec![b'x'; len];
            text[at] = b;
            text
        };
        for b in 0..=255u8 {
            for (len, at) in [(1, 0), (3, 1), (7, 4), (12, 9), (20, 17), (40, 33)] {
                let odd = with(b, len, at);
                for (name, value) in [(&odd[..], &b"v"[..]), (b"n", &odd[..])] {
                    let line = Line { name, value };
                    let mut out = [0; 64];
                    let mut roomy = Writer::new(&mut out);
                    let said = roomy.line(&line);
                    let mut full = Writer::new(&mut []);
                    assert_eq!(full.line(&line), said, "{line:?}");
                    let fine = if name == b"n" { !is_stop(b) } else { grammar::is_token(name) };
                    assert_eq!(said.is_ok(), fine, "{line:?}");
                    if fine {
                        let written = roomy.finish().unwrap();
                        assert_eq!(full.finish(), Err(SendError::Short { needed: written }));
                        let line = [name, b": ", trim(value), b"\r\n"].concat();
                        assert_eq!(out[..written], line);
                    }
                }
            }
        }
        let mut w = Writer::new(&mut []);
        let nameless = w.line(&Line { name: b"", value: b"v" });
        assert_eq!(nameless, Err(SendError::Invalid(Part::FieldName)));
    }

    #[test]
    fn a_request_line_is_judged_the_same_way_with_room_and_without() {
        let methods = ["GET", "CONNECT", "M-SEARCH", "X_1", "", "A B", "OPTIONS"];
        for b in 0..=255u8 {
            for method in methods {
                for len in [1, 3, 6, 11, 20, 40] {
                    for (first, at) in [(b'/', len - 1), (b'/', len / 2), (b'*', 0), (b'h', 0)] {
                        let mut target = vec![b'y'; len];
                        target[0] = first;
                        target[at] = b;
                        let mut out = [0; 64];
                        let mut roomy = Writer::new(&mut out);
                        let said = request_line(&mut roomy, method, &target, 1);
                        let mut full = Writer::new(&mut []);
                        assert_eq!(request_line(&mut full, method, &target, 1), said);
                        let fine = grammar::is_token(method.as_bytes())
                            && grammar::is_target_for(method.as_bytes(), &target);
                        assert_eq!(said.is_ok(), fine, "{method} {}", target.escape_ascii());
                        if fine {
                            let written = roomy.finish().unwrap();
                            assert_eq!(full.finish(), Err(SendError::Short { needed: written }));
                            let line = [method.as_bytes(), b" ", &target, b" HTTP/1.1\r\n"];
                            assert_eq!(out[..written], line.concat());
                        }
                    }
                }
            }
        }
    }
}
