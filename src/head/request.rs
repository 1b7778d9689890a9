//! A request head, as the application sees it.

use super::Version;
use super::fields::Fields;
use super::index::Index;
use super::note::{Noted, flag};
use super::scan::{Rules, Scan, What};
use crate::content::Content;
use crate::error::{Failure, Fault, Kind};
use crate::framing::{self, RequestFraming};
use crate::grammar;
use crate::server::Config;
use core::fmt;

/// A complete and valid request head (RFC 9112 §3). Borrows the bytes it was read from.
///
/// ```
/// use keepalive::{RequestFraming, RequestHead, Version};
/// let bytes = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
/// let head = RequestHead::parse(bytes)?;
/// assert_eq!((head.method(), head.target()), ("POST", &b"/x"[..]));
/// assert_eq!(head.version(), Version::HTTP_11);
/// assert_eq!(head.framing(), RequestFraming::Length(3));
/// assert_eq!(head.fields().get("host"), Some(&b"a"[..]));
/// # Ok::<(), keepalive::Failure>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestHead<'b> {
    bytes: &'b [u8],
    noted: Noted,
    index: Index,
    framing: RequestFraming,
}

/// What a server insists on beyond syntax.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demands {
    /// The setting that lets Transfer-Encoding win over Content-Length.
    pub(crate) tolerant: bool,
    /// An empty Host is refused.
    pub(crate) host: bool,
    /// Expectations other than 100-continue are refused.
    pub(crate) expectation: bool,
}

/// The framing of a request, or what is wrong with it.
#[inline(never)]
fn framed(bytes: &[u8], scan: &Scan, demands: Demands) -> Result<RequestFraming, Fault> {
    let noted = scan.noted();
    let fault = |kind| Err(Fault::new(kind, bytes.len()));
    if noted.has(flag::HOST_TWICE) {
        return fault(Kind::HostRepeated);
    }
    if noted.has(flag::HOST_BAD) || noted.has(flag::HOST_EMPTY) && demands.host {
        return fault(Kind::HostInvalid);
    }
    if !noted.has(flag::HOST) && !noted.is_http10() {
        return fault(Kind::HostMissing);
    }
    let facts = framing::RequestFacts {
        connect: bytes.get(..noted.method()) == Some(b"CONNECT"),
        http10: noted.is_http10(),
        lengths: noted.lengths(scan.length()),
        codings: noted.codings(),
        tolerant: demands.tolerant,
    };
    let framing = framing::request(&facts).map_err(|kind| Fault::new(kind, bytes.len()))?;
    if noted.has(flag::EXPECT_OTHER) && demands.expectation && !noted.is_http10() {
        return fault(Kind::Expectation);
    }
    Ok(framing)
}

impl<'b> RequestHead<'b> {
    /// A head that is still to be read, in place.
    #[inline(always)]
    pub(crate) const fn unread() -> Self {
        Self {
            bytes: b"",
            noted: Scan::new().noted(),
            index: Index::new(),
            framing: RequestFraming::None,
        }
    }

    /// Where the scan notes the lines.
    #[inline(always)]
    pub(crate) fn index(&mut self) -> &mut Index {
        &mut self.index
    }

    /// Judges the facts of a head whose syntax is in order: Host, framing, expectation, in that order.
    /// If nothing is wrong with it, this is the head.
    #[inline(always)]
    pub(crate) fn judge(
        &mut self,
        bytes: &'b [u8],
        scan: &Scan,
        demands: Demands,
    ) -> Result<(), Fault> {
        /// With none of these there is nothing to be judged.
        const ODD: u32 = flag::HOST_TWICE
            | flag::HOST_BAD
            | flag::HOST_EMPTY
            | flag::EXPECT_OTHER
            | flag::LENGTH
            | flag::LENGTH_BAD
            | flag::CODING;
        let noted = scan.noted();
        self.bytes = bytes;
        self.noted = noted;
        self.framing = if noted.of(ODD | flag::HOST) == flag::HOST {
            // As nearly all are: with one Host and without content.
            debug_assert_eq!(framed(bytes, scan, demands), Ok(RequestFraming::None));
            RequestFraming::None
        } else {
            framed(bytes, scan, demands)?
        };
        Ok(())
    }

    /// Reads a head by itself, with the limits of a default server: to look once more at a copy
    /// that was kept, for instance in a queue of work.
    ///
    /// # Errors
    /// What is wrong with it; [`Kind::IncompleteHead`] if it ends too early.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, Failure> {
        Self::parse_with(bytes, &Config::origin())
    }

    /// As [`parse`](Self::parse), with the limits and the lenience of this configuration.
    ///
    /// # Errors
    /// What is wrong with it; [`Kind::IncompleteHead`] if it ends too early.
    pub fn parse_with(bytes: &'b [u8], config: &Config) -> Result<Self, Failure> {
        let (mut scan, mut head) = (Scan::new(), Self::unread());
        let failure = |f: Fault| Failure { kind: f.kind, offset: f.at as u64 };
        match scan.advance(bytes, &config.head_rules(), &mut head.index).map_err(failure)? {
            Some(n) => {
                let bytes = bytes.get(..n).unwrap_or(bytes);
                head.judge(bytes, &scan, config.demands()).map_err(failure)?;
                Ok(head)
            }
            None => Err(Failure { kind: Kind::IncompleteHead, offset: bytes.len() as u64 }),
        }
    }

    /// The method: a token, case-sensitive.
    #[must_use]
    pub fn method(&self) -> &'b str {
        core::str::from_utf8(self.method_bytes()).unwrap_or_default()
    }

    fn method_bytes(&self) -> &'b [u8] {
        self.bytes.get(..self.noted.method()).unwrap_or_default()
    }

    /// Whether the method is HEAD.
    pub(crate) fn is_head(&self) -> bool {
        self.method_bytes() == b"HEAD"
    }

    /// The target as received, in any of its four forms (RFC 9112 §3.2). May hold octets from 0x80.
    #[must_use]
    pub fn target(&self) -> &'b [u8] {
        self.bytes.get(self.noted.method() + 1..self.noted.target()).unwrap_or_default()
    }

    /// The authority that the request is for: of an absolute-form target or of CONNECT, else Host
    /// (RFC 9112 §3.3). `None` where Host is absent or empty.
    #[must_use]
    pub fn authority(&self) -> Option<&'b [u8]> {
        if self.is_connect() {
            return Some(self.target());
        }
        grammar::absolute_authority(self.target())
            .or_else(|| self.fields().get("Host").filter(|h| !h.is_empty()))
    }

    /// The version as received.
    #[must_use]
    pub fn version(&self) -> Version {
        self.noted.version()
    }

    /// The field lines, in order.
    #[must_use]
    pub fn fields(&self) -> Fields<'b> {
        let end = self.bytes.len().saturating_sub(2);
        Fields::new(self.bytes.get(..end).unwrap_or_default(), self.noted.section(), self.index)
    }

    /// The value of the first field line with this name, in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        self.fields().get(name)
    }

    /// How the content is delimited (S8).
    #[must_use]
    pub fn framing(&self) -> RequestFraming {
        self.framing
    }

    /// Whether any content can follow.
    #[must_use]
    pub fn has_content(&self) -> bool {
        !matches!(self.framing, RequestFraming::None | RequestFraming::Length(0))
    }

    /// The declaration with which this content is passed on, by an echo or a relay.
    #[must_use]
    pub fn outbound(&self) -> Content {
        match self.framing {
            RequestFraming::None => Content::None,
            RequestFraming::Length(n) => Content::Length(n),
            RequestFraming::Chunked => Content::Unknown,
        }
    }

    /// Whether the client waits for `100 (Continue)`: never on 1.0 or without content (S8.8).
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.noted.has(flag::EXPECT_CONTINUE) && !self.noted.is_http10() && self.has_content()
    }

    /// The protocols that the client offers to switch to, if it does so properly: on 1.1, and with
    /// the `upgrade` connection option (S8.9).
    pub fn upgrade(&self) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        let offered = self.offers_upgrade();
        self.fields()
            .filter(move |line| offered && line.is("upgrade"))
            .flat_map(|line| grammar::members(line.value))
            .filter(|m| grammar::is_protocol(m))
    }

    /// Whether [`upgrade`](Self::upgrade) has anything to tell.
    #[must_use]
    pub fn offers_upgrade(&self) -> bool {
        self.noted.has(flag::UPGRADE)
            && self.noted.has(flag::UPGRADE_OPTION)
            && !self.noted.is_http10()
    }

    /// Whether the method is CONNECT.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.method_bytes() == b"CONNECT"
    }

    /// The head as received, the empty line included: to keep a copy for [`parse`](Self::parse).
    #[must_use]
    pub fn as_bytes(&self) -> &'b [u8] {
        self.bytes
    }

    pub(crate) fn noted(&self) -> &Noted {
        &self.noted
    }
}

impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method())
            .field("target", &format_args!("{}", self.target().escape_ascii()))
            .field("version", &self.version())
            .field("fields", &self.fields())
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}

/// The rules for scanning a request head.
pub(crate) const fn rules(max: u16, target: u16, fields: u16) -> Rules {
    Rules { what: What::Request, max, target, fields, bare_lf: false, unfold: false }
}
