//! Field lines, one after another, out of bytes that were validated before.

use super::index::Index;
use crate::bytes::trim;
use crate::grammar::same;
use core::fmt;

/// A field line (RFC 9112 §5): a name and a value.
///
/// Received ones come from [`Fields`] and hold what was on the wire, without the spaces around the
/// value. Outgoing ones are made from pairs, and are checked when they are written.
///
/// ```
/// use keepalive::Line;
/// let line = Line::from(("Content-Type", "text/plain"));
/// assert!(line.is("content-type"));
/// assert_eq!(line.value, b"text/plain");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Line<'a> {
    /// The name, as it was written.
    pub name: &'a [u8],
    /// The value. Of a folded line (only with the setting that accepts them) it holds the folds too:
    /// see [`Line::pieces`].
    pub value: &'a [u8],
}

impl<'a> Line<'a> {
    /// Whether the name is this one, in any case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        same(self.name, name.as_bytes())
    }

    /// The pieces of a folded value, to be joined by one space (RFC 9112 §5.2). One piece when
    /// nothing is folded.
    pub fn pieces(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.value.split(|&b| b == b'\n').map(|p| trim(p.strip_suffix(b"\r").unwrap_or(p)))
    }
}

impl fmt::Debug for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name.escape_ascii(), self.value.escape_ascii())
    }
}

impl<'a> From<(&'a str, &'a str)> for Line<'a> {
    fn from((name, value): (&'a str, &'a str)) -> Self {
        Self { name: name.as_bytes(), value: value.as_bytes() }
    }
}

impl<'a> From<(&'a str, &'a [u8])> for Line<'a> {
    fn from((name, value): (&'a str, &'a [u8])) -> Self {
        Self { name: name.as_bytes(), value }
    }
}

impl<'a> From<(&'a [u8], &'a [u8])> for Line<'a> {
    fn from((name, value): (&'a [u8], &'a [u8])) -> Self {
        Self { name, value }
    }
}

impl<'a> From<&Line<'a>> for Line<'a> {
    fn from(line: &Line<'a>) -> Self {
        *line
    }
}

/// No field lines at all, with a type to it.
pub const NO_FIELDS: [Line<'static>; 0] = [];

/// The field lines of a received section, in order. Copy it to start again.
#[derive(Clone, Copy)]
pub struct Fields<'b> {
    /// The head, or the section, without the empty line at its end.
    bytes: &'b [u8],
    /// Where the next line begins.
    at: usize,
    /// How many lines were passed.
    passed: u8,
    index: Index,
}

impl<'b> Fields<'b> {
    /// Of a section that begins at `section`, and was validated.
    #[inline]
    pub(crate) const fn new(bytes: &'b [u8], section: usize, index: Index) -> Self {
        Self { bytes, at: section, passed: 0, index }
    }

    fn rest(&self) -> &'b [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The value of the first line with this name, in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'b [u8]> {
        self.all(name).next()
    }

    /// The values of all lines with this name, in any case and in order.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'b [u8]> + use<'b, 'n> {
        self.into_iter().filter(move |line| line.is(name)).map(|line| line.value)
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Line<'b>;

    #[inline]
    fn next(&mut self) -> Option<Line<'b>> {
        let Some((name, stop)) = self.index.get(self.passed) else { return self.look_for() };
        let colon = self.at + name;
        let line = Line {
            name: self.bytes.get(self.at..colon)?,
            value: trim(self.bytes.get(colon + 1..stop)?),
        };
        self.at = stop + 2;
        self.passed += 1;
        Some(line)
    }
}

impl<'b> Fields<'b> {
    /// The next line, where the index does not know it; nor any behind it.
    fn look_for(&mut self) -> Option<Line<'b>> {
        let (line, len) = first_line(self.rest())?;
        self.at += len;
        Some(line)
    }
}

/// The first line of a section that was validated, and how long it is.
fn first_line(rest: &[u8]) -> Option<(Line<'_>, usize)> {
    // A line ends at the LF that no fold follows.
    let mut end = memchr::memchr(b'\n', rest)?;
    while let Some(b' ' | b'\t') = rest.get(end + 1) {
        end += 1 + memchr::memchr(b'\n', rest.get(end + 1..)?)?;
    }
    let line = rest.get(..end)?;
    let colon = memchr::memchr(b':', line)?;
    let name = line.get(..colon)?;
    let value = line.get(colon + 1..)?;
    let value = trim(value.strip_suffix(b"\r").unwrap_or(value));
    Some((Line { name, value }, end + 1))
}

/// Equal if the same bytes are still to come.
impl PartialEq for Fields<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.rest() == other.rest()
    }
}

impl Eq for Fields<'_> {}

impl core::iter::FusedIterator for Fields<'_> {}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// The field lines of a trailer section (RFC 9112 §7.1.2), kept apart from those of the head.
///
/// Fields that must not stand there are passed over: those for framing, routing, authentication and
/// the connection, and those that say how the content is to be read (S8.5, RFC 9110 §6.5.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Trailers<'b> {
    /// What is still to come.
    section: &'b [u8],
}

/// Passed over in a trailer section, and refused when it is sent.
const NOT_IN_TRAILERS: [&str; 22] = [
    "Transfer-Encoding",
    "Content-Length",
    "Host",
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Upgrade",
    "Trailer",
    "Authorization",
    "Proxy-Authorization",
    "Proxy-Authenticate",
    "WWW-Authenticate",
    "Cookie",
    "Set-Cookie",
    "Content-Encoding",
    "Content-Type",
    "Content-Range",
    "Expect",
    "Max-Forwards",
    "Cache-Control",
    "Range",
];

/// Whether a field may stand in a trailer section (S8.5).
pub(crate) fn may_trail(name: &[u8]) -> bool {
    !NOT_IN_TRAILERS.iter().any(|n| same(n.as_bytes(), name))
}

impl<'b> Trailers<'b> {
    pub(crate) const NONE: Self = Self { section: b"" };

    pub(crate) const fn new(section: &'b [u8]) -> Self {
        Self { section }
    }

    /// The value of the first line with this name, in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'b [u8]> {
        self.into_iter().find(|line| line.is(name)).map(|line| line.value)
    }
}

impl<'b> Iterator for Trailers<'b> {
    type Item = Line<'b>;

    fn next(&mut self) -> Option<Line<'b>> {
        loop {
            let (line, len) = first_line(self.section)?;
            self.section = self.section.get(len..).unwrap_or_default();
            if may_trail(line.name) {
                return Some(line);
            }
        }
    }
}

impl fmt::Debug for Trailers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_in_order_and_trimmed() {
        let mut f = Fields::new(b"A: 1\r\nb:\t2 \t\r\nA:\r\n", 0, Index::new());
        assert_eq!(f.get("a"), Some(&b"1"[..]));
        assert_eq!(f.all("A").collect::<Vec<_>>(), [&b"1"[..], b""]);
        assert_eq!(f.next(), Some(Line::from(("A", "1"))));
        assert_eq!(f.next(), Some(Line::from(("b", "2"))));
        assert_eq!(f.next(), Some(Line::from(("A", ""))));
        assert_eq!(f.next(), None);
        assert_eq!(f.next(), None);
    }

    #[test]
    fn folds_belong_to_their_line() {
        let mut f = Fields::new(b"A: 1\r\n  2\r\n\t3\r\nB: 4\n", 0, Index::new());
        let line = f.next().unwrap();
        assert_eq!(line.pieces().collect::<Vec<_>>(), [b"1", b"2", b"3"]);
        assert_eq!(f.next(), Some(Line::from(("B", "4"))));
        assert_eq!(f.next(), None);
    }

    #[test]
    fn trailers_pass_over_what_must_not_stand_there() {
        let mut t =
            Trailers::new(b"Content-Length: 9\r\nX-Sum: 1\r\ncookie: a\r\nContent-Digest: d\r\n");
        assert_eq!(t.get("content-length"), None);
        assert_eq!(t.next(), Some(Line::from(("X-Sum", "1"))));
        assert_eq!(t.next(), Some(Line::from(("Content-Digest", "d"))));
        assert_eq!(t.next(), None);
    }
}
