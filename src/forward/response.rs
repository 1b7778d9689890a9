//! Responses and trailers on their way to the client.

use super::tables::{LineFacts, Name, Passage, ResponseFacts, Section, line, response_content};
use super::{Hop, Nominated, Refusal, Text, VIA, Verdict};
use crate::content::Content;
use crate::framing::Codings;
use crate::grammar::{self, members};
use crate::head::Version;
use crate::head::fields::{Line, Trailers};
use crate::head::response::ResponseHead;
use crate::limits;
use crate::status::Status;

/// A response as it goes on, interim or final. Borrows the head and the names in [`Hop`].
///
/// ```
/// use keepalive::{ResponseHead, Version, forward};
/// let hop = forward::Hop::to_origin("edge").ok_or("no pseudonym")?;
/// let bytes = b"HTTP/1.0 200 OK\r\nKeep-Alive: timeout=5\r\nETag: x\r\n\r\n";
/// let head = ResponseHead::parse(bytes, "GET")?;
/// let onward = forward::response(&head, &hop)?;
/// assert_eq!(onward.passage(Version::HTTP_11), forward::Passage::Chunked);
/// let lines: Vec<String> = onward.lines().map(|line| format!("{line:?}")).collect();
/// assert_eq!(lines, ["ETag: x", "Via: 1.0 edge"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ForwardedResponse<'a> {
    head: ResponseHead<'a>,
    hop: Hop<'a>,
    nominated: Nominated,
    via: Text<VIA>,
}

/// Judges how a response goes on to the client. `hop` is where it came from: the one its request went
/// to.
///
/// # Errors
/// [`Refusal::ResponseOptions`], [`Refusal::ResponseUpgrade`] and [`Refusal::ResponseCoding`]: answer
/// 502 in its place, and give the upstream connection up. The last cannot happen unless
/// [`raw_codings`](crate::client::Config::raw_codings) is set. Leave
/// [`unfold`](crate::client::Config::unfold) alone, too: a folded line cannot be sent on (S8.4).
pub fn response<'a>(
    head: &ResponseHead<'a>,
    hop: &Hop<'a>,
) -> Result<ForwardedResponse<'a>, Refusal> {
    let nominated = Nominated::of(head.fields()).ok_or(Refusal::ResponseOptions)?;
    let via = hop.via(head.version());
    let onward = ForwardedResponse { head: *head, hop: *hop, nominated, via };
    response_content(&onward.facts(Version::HTTP_11))?;
    // The machine would not send it, and no client could do anything with it.
    if head.status() == 426 && onward.switches().next().is_none() {
        return Err(Refusal::ResponseUpgrade);
    }
    Ok(onward)
}

impl<'a> ForwardedResponse<'a> {
    /// Status and reason, as they were.
    #[must_use]
    pub fn status(&self) -> Status<'a> {
        Status { code: self.head.status(), reason: Some(self.head.reason()) }
    }

    /// Whether it may be sent to a client of this version: all but 1xx to 1.0 (RFC 9110 §15.2).
    #[must_use]
    pub fn may_go_to(&self, client: Version) -> bool {
        self.head.status() >= 200 || client >= Version::HTTP_11
    }

    /// What to declare about the content: the machine bridges the versions by itself.
    #[must_use]
    pub fn content(&self) -> Content {
        self.passage(Version::HTTP_11).content()
    }

    /// Whether the content that comes is not to be passed on: it followed a 205. Tell the client
    /// machine to [`skip_content`](crate::client::Connection::skip_content).
    #[must_use]
    pub fn drops_content(&self) -> bool {
        self.passage(Version::HTTP_11) == Passage::Dropped
    }

    /// How the content goes on to a client of this version.
    #[must_use]
    pub fn passage(&self, client: Version) -> Passage {
        // The only error was found before: `response` gave it back in place of this value.
        response_content(&self.facts(client)).unwrap_or(Passage::Nothing(None))
    }

    fn facts(&self, client: Version) -> ResponseFacts {
        let codings = self.head.noted().codings();
        ResponseFacts {
            framing: self.head.framing(),
            status: self.head.status(),
            declared: self.head.declared_length(),
            coded: codings != Codings::Absent,
            raw: !matches!(codings, Codings::Absent | Codings::Chunked),
            http10: client < Version::HTTP_11,
        }
    }

    /// What the head nominates: to be kept for [`trailers`].
    #[must_use]
    pub fn nominated(&self) -> Nominated {
        self.nominated
    }

    /// Whether a Date is to be added by whoever has a clock (RFC 9110 §6.6.1): a final response came
    /// without.
    #[must_use]
    pub fn lacks_date(&self) -> bool {
        self.head.status() >= 200 && self.head.field("date").is_none()
    }

    /// The field lines that go on, in order, and those that are added: Upgrade with a 101, which
    /// begins the tunnel, and a 426, which is nothing without; Via.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let received = self.verdicts().filter(|(_, verdict)| verdict.goes).map(|(line, _)| line);
        let upgrade = self.switches().map(|value| Line { name: b"Upgrade", value });
        let via = Line { name: b"Via", value: self.via.as_bytes() };
        received.chain(upgrade).chain(core::iter::once(via))
    }

    /// The protocols of a 101 and of a 426, up to a limit: what goes on must not be many times what came.
    fn switches(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let switches = matches!(self.head.status(), 101 | 426);
        self.head
            .fields()
            .filter(move |line| switches && line.is("upgrade"))
            .flat_map(|line| members(line.value))
            .filter(|protocol| grammar::is_protocol(protocol))
            .take(limits::PROTOCOLS)
    }

    /// Each received field line with the verdict on it: for the curious, and for logs.
    pub fn verdicts(&self) -> impl Iterator<Item = (Line<'a>, Verdict)> + '_ {
        self.head.fields().map(move |received| {
            let facts = LineFacts {
                section: Section::Response,
                name: Name::of(received.name),
                nominated: self.nominated.has(received.name),
                proxy: self.hop.proxy,
                bounded: false,
                void: false,
            };
            (received, line(&facts))
        })
    }
}

/// The trailers that go on: not those that the head nominated (S9.1), and not those that must not
/// stand there (S8.5). For `finish` of the other side, where the content goes on in chunks or to a
/// client of version 1.0, which never sees them.
///
/// ```
/// use keepalive::{Instant, ResponseHead, client, forward};
/// # use keepalive::Content;
/// # let now = Instant::default();
/// # let mut up = client::Connection::new(&client::Config::direct(), now);
/// # let n = up.request(now, "GET", "/", [("Host", "a")], Content::None, &mut [0; 99])?.written;
/// # up.transmitted(now, n as u64);
/// let hop = forward::Hop::to_origin("edge").ok_or("no pseudonym")?;
/// let bytes = b"HTTP/1.1 200 OK\r\nConnection: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
///               0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n";
/// let head = up.receive(now, bytes, usize::MAX);
/// let Some(client::Event::Response(response)) = head.event else { panic!() };
/// let nominated = forward::response(&response, &hop)?.nominated();
///
/// let end = up.receive(now, &bytes[head.consumed..], usize::MAX);
/// let Some(client::Event::End(trailers)) = end.event else { panic!() };
/// let lines: Vec<String> =
///     forward::trailers(trailers, &nominated).map(|line| format!("{line:?}")).collect();
/// assert_eq!(lines, ["X-More: 2"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn trailers<'b>(
    trailers: Trailers<'b>,
    nominated: &Nominated,
) -> impl Iterator<Item = Line<'b>> {
    trailers.filter(move |received| {
        let facts = LineFacts {
            section: Section::Trailers,
            name: Name::of(received.name),
            nominated: nominated.has(received.name),
            proxy: false,
            bounded: false,
            void: false,
        };
        line(&facts).goes
    })
}
