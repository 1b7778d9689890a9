//! Requests on their way to the origin.

use super::tables::{LineFacts, Name, RequestFacts, Section, line, request_content};
use super::{Hop, Nominated, Refusal, Text, VIA, Verdict, options};
use crate::content::Content;
use crate::grammar::{self, members, same};
use crate::head::Version;
use crate::head::fields::Line;
use crate::head::request::RequestHead;
use crate::limits;

/// Who sends the `100 (Continue)` that a client waits for (S8.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Continue {
    /// Nobody waits: ask for the content at once.
    NotAsked,
    /// The next hop. Pass its 100 on, and ask for the content then, or when the client machine asks
    /// for content ([`Wants::content`](crate::Wants::content)) because none came in time.
    Relayed,
    /// We do, by [`inform`](crate::server::Connection::inform): the next hop is of version 1.0 and
    /// knows of none. Ask for the content at once.
    Own,
}

/// A request as it goes on. Borrows the head and the names in [`Hop`].
///
/// ```
/// use keepalive::{Content, Instant, NO_FIELDS, RequestHead, client, forward};
/// let hop = forward::Hop::to_origin("edge").ok_or("no pseudonym")?;
/// let head = RequestHead::parse(b"POST /x HTTP/1.0\r\nContent-Length: 2\r\n\r\n")?;
/// let onward = forward::request(&head, &hop)?;
///
/// let now = Instant::default();
/// let mut up = client::Connection::new(&client::Config::direct(), now);
/// let mut out = [0; 256];
/// let content = onward.content().ok_or("to be collected")?;
/// let n = up.request(now, onward.method(), onward.target(), onward.lines(), content, &mut out)?;
/// assert!(out.starts_with(b"POST /x HTTP/1.1\r\nHost: \r\nVia: 1.0 edge\r\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ForwardedRequest<'a> {
    head: RequestHead<'a>,
    hop: Hop<'a>,
    nominated: Nominated,
    content: Option<Content>,
    target: &'a [u8],
    /// The target put together anew, where a query had no path before it; else empty.
    composed: Text<COMPOSED>,
    via: Text<VIA>,
    /// Less one; empty where there is none to put in.
    max_forwards: Text<10>,
}

/// The longest target that is put together anew: for a query without a path, which is rare.
const COMPOSED: usize = 256;

/// Judges whether a request goes on to the next hop, and how.
///
/// # Errors
/// [`Refusal`], with the status to answer with. [`Refusal::LastHop`] and [`Refusal::Connect`] have
/// none: answer as the final recipient would.
pub fn request<'a>(head: &RequestHead<'a>, hop: &Hop<'a>) -> Result<ForwardedRequest<'a>, Refusal> {
    if options(head.fields()).any(|option| Name::of(option).is_protected()) {
        return Err(Refusal::Protected);
    }
    let nominated = Nominated::of(head.fields()).ok_or(Refusal::TooManyOptions)?;
    let max_forwards = max_forwards(head)?;
    if hop.is_in(head.fields()) {
        return Err(Refusal::Loop);
    }
    if head.is_connect() && !hop.proxy {
        return Err(Refusal::Connect);
    }
    let content = request_content(&RequestFacts {
        framing: head.framing(),
        trace: head.method() == "TRACE",
        http10: hop.http10,
        buffers: hop.buffers,
    })?;
    let (target, composed) = target(head, hop)?;
    Ok(ForwardedRequest {
        head: *head,
        hop: *hop,
        nominated,
        content,
        target,
        composed,
        via: hop.via(head.version()),
        max_forwards,
    })
}

/// RFC 9110 §7.6.2: heeded on TRACE and OPTIONS only.
fn max_forwards(head: &RequestHead<'_>) -> Result<Text<10>, Refusal> {
    if !is_bounded(head) {
        return Ok(Text::default());
    }
    let mut values = head.fields().filter(|line| line.is("max-forwards"));
    let Some(first) = values.next() else { return Ok(Text::default()) };
    match (grammar::saturating(first.value), values.next()) {
        (Some(0), None) => Err(Refusal::LastHop),
        (Some(n), None) => Ok(Text::number(n - 1)),
        _ => Err(Refusal::MaxForwards),
    }
}

fn is_bounded(head: &RequestHead<'_>) -> bool {
    matches!(head.method(), "TRACE" | "OPTIONS")
}

/// The target in the form for the next hop (RFC 9112 §3.2, S9.8): to an origin without scheme and
/// authority.
fn target<'a>(
    head: &RequestHead<'a>,
    hop: &Hop<'_>,
) -> Result<(&'a [u8], Text<COMPOSED>), Refusal> {
    let target = head.target();
    let authority =
        grammar::absolute_authority(target).filter(|_| !hop.proxy && !head.is_connect());
    let Some(authority) = authority else { return Ok((target, Text::default())) };
    let scheme = memchr::memchr(b':', target).unwrap_or_default();
    let path = target.get(scheme + "://".len() + authority.len()..).unwrap_or_default();
    match path {
        [b'/', ..] => Ok((path, Text::default())),
        [] if head.method() == "OPTIONS" => Ok((b"*", Text::default())),
        [] => Ok((b"/", Text::default())),
        _ => Ok((path, Text::of(&[b"/", path]).ok_or(Refusal::TargetTooLong)?)),
    }
}

impl<'a> ForwardedRequest<'a> {
    /// The method, as it was.
    #[must_use]
    pub fn method(&self) -> &'a str {
        self.head.method()
    }

    /// The target, in the form for the next hop: origin-form for an origin (`*` where OPTIONS had an
    /// empty path), as received for a proxy.
    ///
    /// A target that came in origin-form stays so, also towards a proxy: what scheme it has, only you
    /// know.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        match self.composed.as_bytes() {
            [] => self.target,
            composed => composed,
        }
    }

    /// What to declare about the content. `None`: the next hop is of version 1.0; collect the content
    /// first ([`Hop::buffers`]), and declare its length. It has no trailers then.
    #[must_use]
    pub fn content(&self) -> Option<Content> {
        self.content
    }

    /// Who sends the 100 that the client waits for.
    #[must_use]
    pub fn continues(&self) -> Continue {
        match (self.head.expects_continue(), self.hop.http10) {
            (false, _) => Continue::NotAsked,
            (true, false) => Continue::Relayed,
            (true, true) => Continue::Own,
        }
    }

    /// What the head nominates: to be kept for [`trailers`](super::trailers).
    #[must_use]
    pub fn nominated(&self) -> Nominated {
        self.nominated
    }

    /// The field lines that go on and those that are added: Host first, which is that of the target;
    /// then what was received, in order; then TE, Upgrade, Max-Forwards and Via where they are due.
    /// The machine adds the connection options that go with them.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let host = Line { name: b"Host", value: self.head.authority().unwrap_or_default() };
        let received = self.verdicts().filter(|(_, verdict)| verdict.goes).map(|(line, _)| line);
        let te = self.takes_trailers().then_some(Line { name: b"TE", value: b"trailers" });
        let hop = self.hop;
        let offers = self.head.upgrade().filter(move |p| hop.switches(p)).take(limits::PROTOCOLS);
        let upgrade = offers.map(|value| Line { name: b"Upgrade", value });
        let left = self.max_forwards.as_bytes();
        let max_forwards =
            (!left.is_empty()).then_some(Line { name: b"Max-Forwards", value: left });
        let via = Line { name: b"Via", value: self.via.as_bytes() };
        core::iter::once(host)
            .chain(received)
            .chain(te)
            .chain(upgrade)
            .chain(max_forwards)
            .chain(core::iter::once(via))
    }

    /// Each received field line with the verdict on it: for the curious, and for logs.
    pub fn verdicts(&self) -> impl Iterator<Item = (Line<'a>, Verdict)> + '_ {
        let bounded = is_bounded(&self.head);
        let in_vain = self.continues() != Continue::Relayed;
        self.head.fields().map(move |received| {
            let facts = LineFacts {
                section: Section::Request,
                name: Name::of(received.name),
                nominated: self.nominated.has(received.name),
                proxy: self.hop.proxy,
                bounded,
                void: in_vain && members(received.value).any(|m| same(m, b"100-continue")),
            };
            (received, line(&facts))
        })
    }

    /// Whether the client said, to us, that it takes trailers: `TE: trailers` with the `TE` option
    /// (RFC 9110 §10.1.4). On 1.0 there is neither.
    fn takes_trailers(&self) -> bool {
        let te =
            |line: Line<'_>| line.is("te") && members(line.value).any(|m| same(m, b"trailers"));
        self.nominated.has(b"te")
            && self.head.version() >= Version::HTTP_11
            && !self.hop.http10
            && self.head.fields().any(te)
    }
}
