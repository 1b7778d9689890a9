//! A response head, as the application sees it.

use super::Version;
use super::fields::Fields;
use super::index::Index;
use super::note::{Noted, flag};
use super::scan::Scan;
use crate::content::Content;
use crate::error::{Failure, Fault, Kind};
use crate::framing::{self, Codings, Lengths, ResponseFraming};
use crate::persistence::Hints;
use core::fmt;

/// A complete and valid response head, interim or final (RFC 9112 §4). Borrows the bytes it was
/// read from.
///
/// ```
/// use keepalive::{ResponseFraming, ResponseHead};
/// let head = ResponseHead::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET")?;
/// assert_eq!((head.status(), head.reason()), (200, &b"OK"[..]));
/// assert_eq!(head.framing(), ResponseFraming::Length(3));
/// # Ok::<(), keepalive::Failure>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ResponseHead<'b> {
    bytes: &'b [u8],
    noted: Noted,
    length: u64,
    index: Index,
    framing: ResponseFraming,
}

/// What else than one Content-Length can decide the framing of a response that has content.
const UNUSUAL: u32 = flag::CODING | flag::LENGTH_BAD | flag::LENGTH_TWICE;

/// What a client knows when it judges a response head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Context {
    /// The request was HEAD.
    pub(crate) head: bool,
    /// The request was CONNECT.
    pub(crate) connect: bool,
    /// The setting that lets Transfer-Encoding win over Content-Length.
    pub(crate) tolerant: bool,
    /// The setting that hands over unknown codings as they are.
    pub(crate) raw: bool,
}

impl<'b> ResponseHead<'b> {
    /// What Keep-Alive says.
    #[inline(always)]
    pub(crate) fn hints(bytes: &[u8], noted: &Noted, index: &Index) -> Hints {
        #[inline(never)]
        fn read(bytes: &[u8], section: usize, index: &Index) -> Hints {
            let mut hints = Hints::default();
            let fields = fields(bytes, section, *index);
            fields.all("keep-alive").for_each(|v| hints.read(v));
            hints
        }
        let any = noted.has(flag::KEEP_ALIVE_FIELD);
        if any { read(bytes, noted.section(), index) } else { Hints::default() }
    }

    /// A head whose framing was [decided](Self::framed).
    #[inline(always)]
    pub(crate) fn new(
        bytes: &'b [u8],
        noted: Noted,
        length: u64,
        index: &Index,
        framing: ResponseFraming,
    ) -> Self {
        Self { bytes, noted, length, index: *index, framing }
    }

    /// Decides the framing of a head of `n` octets whose syntax is in order.
    #[inline(always)]
    pub(crate) fn framed(
        noted: &Noted,
        length: u64,
        n: usize,
        context: Context,
    ) -> Result<ResponseFraming, Fault> {
        let status = noted.status();
        let content = status >= 200 && !matches!(status, 204 | 304);
        // Where nothing was noted that could decide anything else.
        if content && !context.head && !context.connect && !noted.has(UNUSUAL) {
            let length = if noted.has(flag::LENGTH) { Some(length) } else { None };
            let framing = length.map_or(ResponseFraming::UntilClose, ResponseFraming::Length);
            debug_assert_eq!(Self::judge(noted, length.unwrap_or(0), n, context), Ok(framing));
            return Ok(framing);
        }
        Self::judge(noted, length, n, context)
    }

    #[inline(never)]
    fn judge(
        noted: &Noted,
        length: u64,
        n: usize,
        context: Context,
    ) -> Result<ResponseFraming, Fault> {
        let status = noted.status();
        // Any 2xx to CONNECT, a 204 too (RFC 9110 §9.3.6).
        let tunnel = status == 101 || context.connect && (200..300).contains(&status);
        let bodiless = context.head || status < 200 || matches!(status, 204 | 304);
        let facts = framing::ResponseFacts {
            bodiless: bodiless && !tunnel,
            tunnel,
            http10: noted.is_http10(),
            lengths: noted.lengths(length),
            codings: noted.codings(),
            tolerant: context.tolerant,
            raw: context.raw,
        };
        framing::response(&facts).map_err(|kind| Fault::new(kind, n))
    }

    /// Reads a head by itself, as the answer to a request with this method, with the limits of a
    /// default client: to look once more at a copy that was kept.
    ///
    /// # Errors
    /// What is wrong with it; [`Kind::IncompleteHead`] if it ends too early.
    pub fn parse(bytes: &'b [u8], method: &str) -> Result<Self, Failure> {
        let config = crate::client::Config::direct();
        let (mut scan, mut index) = (Scan::new(), Index::new());
        let failure = |f: Fault| Failure { kind: f.kind, offset: f.at as u64 };
        let context =
            Context { head: method == "HEAD", connect: method == "CONNECT", ..Context::default() };
        match scan.advance(bytes, &config.head_rules(), &mut index).map_err(failure)? {
            Some(n) => {
                let (noted, length) = (scan.noted(), scan.length());
                let framing = Self::framed(&noted, length, n, context).map_err(failure)?;
                let bytes = bytes.get(..n).unwrap_or(bytes);
                Ok(Self::new(bytes, noted, length, &index, framing))
            }
            None => Err(Failure { kind: Kind::IncompleteHead, offset: bytes.len() as u64 }),
        }
    }

    /// The status code, from 100 to 999. From 600 on it is to be read as a 5xx (S8.4).
    #[must_use]
    pub fn status(&self) -> u16 {
        self.noted.status()
    }

    /// The reason phrase; empty where there is none.
    #[must_use]
    pub fn reason(&self) -> &'b [u8] {
        let line = self.bytes.get(self.noted.target()..self.noted.section()).unwrap_or_default();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// The version as received.
    #[must_use]
    pub fn version(&self) -> Version {
        self.noted.version()
    }

    /// Whether another response to the same request follows: 1xx, but not 101.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        self.status() < 200 && self.status() != 101
    }

    /// The field lines, in order.
    #[must_use]
    pub fn fields(&self) -> Fields<'b> {
        fields(self.bytes, self.noted.section(), self.index)
    }

    /// The value of the first field line with this name, in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        self.fields().get(name)
    }

    /// How the content is delimited (S8).
    #[must_use]
    pub fn framing(&self) -> ResponseFraming {
        self.framing
    }

    /// What Content-Length says, also where no content follows (HEAD, 304). `None` beside a
    /// Transfer-Encoding, which overrides it.
    #[must_use]
    pub fn declared_length(&self) -> Option<u64> {
        match self.noted.lengths(self.length) {
            Lengths::One(n) | Lengths::Same(n) if self.noted.codings() == Codings::Absent => {
                Some(n)
            }
            _ => None,
        }
    }

    /// The declaration with which this content is passed on by a relay: a length that was declared
    /// stays declared, to HEAD and with 304 too.
    #[must_use]
    pub fn outbound(&self) -> Content {
        match (self.framing, self.declared_length()) {
            (ResponseFraming::Length(n), _) => Content::Length(n),
            (ResponseFraming::None, Some(n)) if self.status() >= 200 && self.status() != 204 => {
                Content::Length(n)
            }
            (ResponseFraming::None | ResponseFraming::Tunnel, _) => Content::None,
            (ResponseFraming::Chunked | ResponseFraming::UntilClose, _) => Content::Unknown,
        }
    }

    /// The head as received, the empty line included.
    #[must_use]
    pub fn as_bytes(&self) -> &'b [u8] {
        self.bytes
    }

    pub(crate) fn noted(&self) -> &Noted {
        &self.noted
    }

    pub(crate) fn has(&self, flags: u32) -> bool {
        self.noted.has(flags)
    }

    /// Whether the server wants the connection closed.
    pub(crate) fn says_close(&self) -> bool {
        self.has(flag::CLOSE)
    }
}

/// The field lines of a whole head.
#[inline]
fn fields(head: &[u8], section: usize, index: Index) -> Fields<'_> {
    // The empty line ends in LF, and in CRLF unless lenience lets it be LF alone.
    let end = head.len().saturating_sub(1);
    let bytes = head.get(..end).unwrap_or_default();
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    Fields::new(bytes, section, index)
}

impl fmt::Debug for ResponseHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status", &self.status())
            .field("reason", &format_args!("{}", self.reason().escape_ascii()))
            .field("version", &self.version())
            .field("fields", &self.fields())
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}
