//! The head scanner: reads a start line and a field section as they arrive, validates them once, and
//! notes the facts on which framing and persistence are decided.
//!
//! It looks at each octet once, however the head is cut: `at` is where it goes on. Lines are judged in
//! order, and within a line the first forbidden octet is judged before the line's own syntax, so that
//! what is found does not depend on the cuts (S8.4). It decides nothing but syntax.

use super::index::Index;
use super::note::{Noted, flag};
use super::sweep;
use crate::block;
use crate::bytes::{find_stop, is_space, is_stop, is_tchar, looked_at, trim};
use crate::error::{Fault, Kind};
use crate::grammar;
use crate::limits;

/// Whose head is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum What {
    Request,
    Response,
}

/// Bounds and lenience of a scan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) what: What,
    /// Octets of the whole section.
    pub(crate) max: u16,
    /// Octets of a request target.
    pub(crate) target: u16,
    /// Field lines.
    pub(crate) fields: u16,
    /// LF alone ends a line.
    pub(crate) bare_lf: bool,
    /// Folded lines are accepted.
    pub(crate) unfold: bool,
}

/// Where a section of lines has been read to: small, so that a connection can carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lines {
    /// Octets looked at.
    pub(super) at: u16,
    /// Where the present line begins.
    pub(super) line: u16,
    /// Field lines seen.
    pub(super) fields: u16,
}

/// A whole line, without its end.
pub(super) struct Raw<'b> {
    pub(super) line: &'b [u8],
    pub(super) begin: usize,
    /// Where the next line begins.
    pub(super) end: usize,
}

impl Lines {
    pub(crate) const fn new() -> Self {
        Self { at: 0, line: 0, fields: 0 }
    }

    /// Stands where the present line begins, with so many octets looked at. Both are below 2^16, since
    /// all bounds are.
    pub(super) fn go_on(&mut self, line: usize, at: usize) {
        self.line = line as u16;
        self.at = at as u16;
    }

    /// The next whole line, if it is there, within the first `bound` octets. With `fold`, a line goes
    /// on where the next one begins with a space.
    #[inline(always)]
    fn next<'b>(
        &mut self,
        bytes: &'b [u8],
        bound: usize,
        bare_lf: bool,
        fold: bool,
    ) -> Result<Option<Raw<'b>>, Fault> {
        let window = bytes.get(..bound).unwrap_or(bytes);
        let begin = usize::from(self.line);
        loop {
            let Some(stop) = find_stop(window, usize::from(self.at)) else {
                self.at = window.len() as u16;
                return Ok(None);
            };
            let end = match window.get(stop..).unwrap_or_default() {
                [b'\r', b'\n', ..] => stop + 2,
                [b'\r'] => {
                    self.at = stop as u16;
                    return Ok(None);
                }
                [b'\r', ..] => return Err(Fault::new(Kind::BareCr, stop)),
                [b'\n', ..] if bare_lf => stop + 1,
                [b'\n', ..] => return Err(Fault::new(Kind::BareLf, stop)),
                _ => return Err(Fault::new(Kind::ControlByte, stop)),
            };
            let line = window.get(begin..stop).unwrap_or_default();
            // Stray whitespace is no line that a fold could follow.
            if fold && line.first().is_some_and(|&b| !is_space(b)) {
                match window.get(end) {
                    Some(&b) if is_space(b) => {
                        self.at = end as u16;
                        continue;
                    }
                    Some(_) => {}
                    None => {
                        self.at = stop as u16;
                        return Ok(None);
                    }
                }
            }
            self.line = end as u16;
            self.at = end as u16;
            return Ok(Some(Raw { line, begin, end }));
        }
    }

    /// `name ":" OWS value OWS` (RFC 9112 §5), taken apart.
    #[inline]
    pub(super) fn field<'b>(
        &mut self,
        raw: &Raw<'b>,
        limit: u16,
    ) -> Result<(&'b [u8], &'b [u8]), Fault> {
        let line = raw.line;
        let fault = |kind, at| Err(Fault::new(kind, raw.begin + at));
        if line.first().is_some_and(|&b| is_space(b)) {
            return fault(if self.fields > 0 { Kind::ObsFold } else { Kind::LeadingSpace }, 0);
        }
        let Some(end) = line.iter().position(|&b| !is_tchar(b)) else {
            return fault(Kind::FieldName, line.len());
        };
        let (name, rest) = line.split_at_checked(end).unwrap_or_default();
        match rest {
            [b':', ..] if !name.is_empty() => {}
            [b, ..] if is_space(*b) && trim(rest).first() == Some(&b':') => {
                return fault(Kind::SpaceBeforeColon, end);
            }
            _ => return fault(Kind::FieldName, end),
        }
        if self.fields >= limit {
            return fault(Kind::TooManyFields, 0);
        }
        self.fields += 1;
        Ok((name, trim(rest.get(1..).unwrap_or_default())))
    }

    /// Reads on in a trailer section. Its length once it is whole, the empty line included.
    pub(crate) fn trailers(&mut self, bytes: &[u8], rules: &Rules) -> Result<Option<usize>, Fault> {
        let bound = usize::from(rules.max);
        while let Some(raw) = self.next(bytes, bound, rules.bare_lf, false)? {
            if raw.line.is_empty() {
                return Ok(Some(raw.end));
            }
            self.field(&raw, rules.fields)?;
        }
        if bytes.len() < bound { Ok(None) } else { Err(Fault::new(Kind::TrailersTooLong, bound)) }
    }
}

/// The state of a head scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scan {
    pub(super) noted: Noted,
    /// The Content-Length.
    pub(super) length: u64,
    pub(super) lines: Lines,
    /// Whether the start line is whole.
    pub(super) started: bool,
    /// Digits of the Content-Length, so that `05` is not taken for a repeated `5`.
    pub(super) digits: u8,
    /// Members of Connection so far.
    pub(super) options: u8,
}

impl Scan {
    pub(crate) const fn new() -> Self {
        Self {
            noted: Noted { flags: 0, section: 0, method: 0, target: 0, minor: 1 },
            length: 0,
            lines: Lines::new(),
            started: false,
            digits: 0,
            options: 0,
        }
    }

    /// The facts, once the head is whole.
    #[inline(always)]
    pub(crate) const fn noted(&self) -> Noted {
        self.noted
    }

    /// The Content-Length, once the head is whole, if it has one.
    #[inline(always)]
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Reads on in `bytes`, which begin where the head begins. The length of the head once it is
    /// whole, the empty line included.
    /// Where its lines are is noted in `index`, if it came whole.
    #[inline]
    pub(crate) fn advance(
        &mut self,
        bytes: &[u8],
        rules: &Rules,
        index: &mut Index,
    ) -> Result<Option<usize>, Fault> {
        self.advance_by(bytes, rules, index, sweep::LEAST)
    }

    /// The same, with a sweep wherever `least` octets are left for it.
    #[inline(always)]
    pub(super) fn advance_by(
        &mut self,
        bytes: &[u8],
        rules: &Rules,
        index: &mut Index,
        least: usize,
    ) -> Result<Option<usize>, Fault> {
        // Of what comes in small pieces, little is left behind a line.
        let mut least = least;
        if self.started {
            index.give_up();
            least = least.max(block::BLOCK);
        }
        match self.sweep_on(bytes, rules, index, least) {
            Some(end) => Ok(Some(end)),
            None => self.go_on(bytes, rules, index, least),
        }
    }

    /// A sweep, if enough is left for one.
    #[inline(always)]
    fn sweep_on(
        &mut self,
        bytes: &[u8],
        rules: &Rules,
        index: &mut Index,
        least: usize,
    ) -> Option<usize> {
        let (window, first) = self.window(bytes, rules);
        let left = window.len().saturating_sub(usize::from(self.lines.at));
        if rules.unfold || left < least { None } else { self.sweep(window, first, rules, index) }
    }

    /// What may be looked at of a head, and the bound of a start line.
    #[inline(always)]
    fn window<'b>(&self, bytes: &'b [u8], rules: &Rules) -> (&'b [u8], usize) {
        let max = usize::from(rules.max);
        // A request line has a bound of its own, which is met before that of the head.
        let longest = limits::METHOD + usize::from(rules.target) + "  HTTP/1.1\r\n".len();
        let first = if rules.what == What::Request { max.min(longest) } else { max };
        (bytes.get(..max).unwrap_or(bytes), first)
    }

    /// Line by line, the slow way; and behind each line a sweep.
    #[inline(never)]
    fn go_on(
        &mut self,
        bytes: &[u8],
        rules: &Rules,
        index: &mut Index,
        least: usize,
    ) -> Result<Option<usize>, Fault> {
        let (_, first) = self.window(bytes, rules);
        let max = usize::from(rules.max);
        loop {
            let (bound, fold) = if self.started { (max, rules.unfold) } else { (first, false) };
            let Some(raw) = self.lines.next(bytes, bound, rules.bare_lf, fold)? else {
                return if bytes.len() < bound {
                    Ok(None)
                } else {
                    Err(self.too_long(bytes, bound, rules))
                };
            };
            if !self.started {
                self.start(raw.line, raw.end, rules)?;
            } else if raw.line.is_empty() {
                return Ok(Some(raw.end));
            } else {
                self.field(&raw, rules, index)?;
            }
            if let Some(end) = self.sweep_on(bytes, rules, index, least) {
                return Ok(Some(end));
            }
        }
    }

    /// A field line, the slow way.
    fn field(&mut self, raw: &Raw<'_>, rules: &Rules, index: &mut Index) -> Result<(), Fault> {
        let (name, value) = self.lines.field(raw, rules.fields)?;
        if self.note(name, value) && value.contains(&b'\n') {
            return Err(Fault::new(Kind::ObsFold, raw.begin));
        }
        let stop = raw.begin + raw.line.len();
        index.set(self.lines.fields - 1, name.len(), stop);
        index.count_to(self.lines.fields);
        if raw.end != stop + 2 || name.len() > Index::NAME {
            index.give_up();
        }
        Ok(())
    }

    /// Looks at what came since, where that is little and ends no line. Whether it was so: then that is all
    /// there is to do.
    #[inline]
    pub(crate) fn creep(&mut self, bytes: &[u8], rules: &Rules) -> bool {
        const LITTLE: usize = 16;
        let first = limits::METHOD + usize::from(rules.target);
        let bound = usize::from(rules.max).min(if self.started { usize::MAX } else { first });
        let Some(new) = bytes.get(usize::from(self.lines.at)..) else { return false };
        if new.len() > LITTLE || bytes.len() >= bound || new.iter().any(|&b| is_stop(b)) {
            return false;
        }
        looked_at(new.len());
        self.lines.at = bytes.len() as u16;
        true
    }

    /// What is too long, where a line is not whole within its bound.
    #[cold]
    fn too_long(&self, bytes: &[u8], bound: usize, rules: &Rules) -> Fault {
        let method = bytes.get(..=limits::METHOD).unwrap_or(bytes);
        let kind = match (!self.started && bound < usize::from(rules.max), method.contains(&b' ')) {
            (false, _) => Kind::HeadTooLong,
            (true, true) => Kind::TargetTooLong,
            (true, false) => Kind::MethodTooLong,
        };
        Fault::new(kind, bound)
    }

    /// The start line is whole: `line`, and the field section begins at `end`.
    fn start(&mut self, line: &[u8], end: usize, rules: &Rules) -> Result<(), Fault> {
        match rules.what {
            What::Request => self.request_line(line, rules)?,
            What::Response => self.status_line(line)?,
        }
        self.begin(end);
        Ok(())
    }

    /// The start line is done; the field section begins at `section`.
    pub(super) fn begin(&mut self, section: usize) {
        self.noted.section = section as u16;
        self.started = true;
    }

    /// A start line as almost all are. Whether it is one: if not, it is to be looked at slowly.
    #[inline]
    pub(super) fn plain_start(&mut self, line: &[u8], rules: &Rules) -> bool {
        match rules.what {
            What::Request => self.plain_request_line(line, rules),
            What::Response => {
                line.last().is_some_and(|b| (b' '..0x7f).contains(b))
                    && self.status_line(line).is_ok()
            }
        }
    }

    /// A request line as almost all are: a method, a path, a version that is known. Whether it is one;
    /// nothing has changed if not.
    fn plain_request_line(&mut self, line: &[u8], rules: &Rules) -> bool {
        let Some((before, tail)) = line.split_last_chunk::<9>() else { return false };
        let Some(minor) = known_version(tail) else { return false };
        let method = match before.first_chunk::<4>() {
            Some(b"GET ") => 3,
            _ => match before.iter().take(8).position(|&b| !b.is_ascii_uppercase()) {
                Some(n) if n > 0 && before.get(n) == Some(&b' ') => n,
                _ => return false,
            },
        };
        let (begin, end) = (method + 1, before.len());
        if before.get(begin) != Some(&b'/')
            || end - begin > usize::from(rules.target)
            || !block::is_target(line, begin, end)
            || before.get(..method) == Some(b"CONNECT")
        {
            return false;
        }
        self.noted.minor = minor;
        self.noted.method = method as u16;
        self.noted.target = end as u16;
        true
    }

    /// `method SP target SP HTTP/1.x` (RFC 9112 §3). Judged from left to right, but the version
    /// before the target's form: a preface of HTTP/2 is a matter of version.
    fn request_line(&mut self, line: &[u8], rules: &Rules) -> Result<(), Fault> {
        let fault = |kind, at| Err(Fault::new(kind, at));
        let method = match memchr::memchr(b' ', line) {
            Some(n) => line.get(..n).unwrap_or_default(),
            None => line,
        };
        if let Some(at) = method.iter().take(limits::METHOD + 1).position(|&b| !is_tchar(b)) {
            return fault(Kind::MethodInvalid, at);
        }
        if method.len() > limits::METHOD {
            return fault(Kind::MethodTooLong, limits::METHOD);
        }
        if method.is_empty() || method.len() == line.len() {
            return fault(Kind::RequestLine, method.len());
        }
        let start = method.len() + 1;
        let rest = line.get(start..).unwrap_or_default();
        let Some(space) = memchr::memrchr(b' ', rest) else {
            return fault(Kind::VersionInvalid, line.len());
        };
        let (target, version) = rest.split_at_checked(space).unwrap_or_default();
        let at = start + space + 1;
        match version.get(1..).map(version_of) {
            Some(Some((b'1', minor))) => self.noted.minor = minor - b'0',
            Some(Some((b'2', b'0'))) if method == b"PRI" && target == b"*" => {
                return fault(Kind::Http2Preface, at);
            }
            Some(Some(_)) => return fault(Kind::VersionUnsupported, at),
            _ => return fault(Kind::VersionInvalid, at),
        }
        if target.len() > usize::from(rules.target) {
            return fault(Kind::TargetTooLong, start + usize::from(rules.target));
        }
        if memchr::memchr(b' ', target).is_some() || target.is_empty() {
            return fault(Kind::RequestLine, start);
        }
        if !grammar::is_target_for(method, target) {
            return fault(Kind::TargetInvalid, start);
        }
        if !matches!(target, [b'/' | b'*', ..]) && method != b"CONNECT" {
            self.noted.flags |= flag::ABSOLUTE;
        }
        self.noted.method = method.len() as u16;
        self.noted.target = (start + target.len()) as u16;
        Ok(())
    }

    /// `HTTP/1.x SP 3DIGIT [SP reason]` (RFC 9112 §4; S8.4 lets the reason go with its space).
    fn status_line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let fault = |kind, at| Err(Fault::new(kind, at));
        let (version, rest) = line.split_at_checked(8).unwrap_or((line, b""));
        match version_of(version) {
            Some((b'1', minor)) => self.noted.minor = minor - b'0',
            Some(_) => return fault(Kind::VersionUnsupported, 5),
            None => return fault(Kind::StatusLine, 0),
        }
        let [b' ', a, b, c, reason @ ..] = rest else { return fault(Kind::StatusLine, 8) };
        let Some(status) = grammar::saturating(&[*a, *b, *c]) else {
            return fault(Kind::StatusCode, 9);
        };
        if status < 100 {
            return fault(Kind::StatusCode, 9);
        }
        self.noted.method = status as u16;
        self.noted.target = match reason {
            [] => 12,
            [b' ', ..] => 13,
            _ => return fault(Kind::StatusCode, 12),
        };
        Ok(())
    }
}

/// The minor version of a request line that ends so. As one word, since this is asked for each request.
#[inline(always)]
fn known_version(tail: &[u8; 9]) -> Option<u8> {
    const WORD: u64 = u64::from_le_bytes(*b"HTTP/1.0");
    let [b' ', version @ ..] = tail else { return None };
    match u64::from_le_bytes(*version) ^ WORD {
        0 => Some(0),
        // `0` and `1` differ in one bit.
        x if x == 1 << 56 => Some(1),
        _ => None,
    }
}

/// `HTTP/` DIGIT `.` DIGIT, in upper case and nothing else (RFC 9112 §2.3).
fn version_of(v: &[u8]) -> Option<(u8, u8)> {
    match v {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Some((*major, *minor))
        }
        _ => None,
    }
}
