//! Heads as the types of the [`http`] crate, and those as what the machine takes: feature `http`.
//!
//! Inwards, [`Request<()>`](::http::Request) and [`Response<()>`](::http::Response) are made from heads
//! by `try_from`, and a `HeaderMap` from trailers by [`fields`]. What that crate cannot hold is an
//! [`Unfit`], by name. It holds less than a head does: names in lower case only, lines with the same
//! name together, no reason phrase, no minor version beyond 1.
//!
//! Outwards, `&HeaderMap` is a list of field lines as it stands, and `StatusCode` is a status; the
//! method is [`Method::as_str`](::http::Method::as_str), and [`target`] makes a target of an URI.
//! [`request_lines`] adds the Host that a request must have.
//!
//! ```
//! use keepalive::{Content, Instant, client, server};
//! use keepalive::http::{request_lines, target};
//! let now = Instant::default();
//! let request = http::Request::get("http://example.com/x?y").header("accept", "*/*").body(())?;
//! let (parts, ()) = request.into_parts();
//!
//! let mut conn = client::Connection::new(&client::Config::direct(), now);
//! let (method, target) = (parts.method.as_str(), target(&parts.method, &parts.uri)?);
//! let mut out = [0; 256];
//! let n = conn.request(now, method, target, request_lines(&parts), Content::None, &mut out)?.written;
//!
//! let mut serving = server::Connection::new(&server::Config::origin(), now);
//! let step = serving.receive(now, &out[..n], usize::MAX);
//! let Some(server::Event::Request(head)) = step.event else { panic!() };
//! let request = http::Request::try_from(head)?;
//! assert_eq!(request.uri(), "/x?y");
//! assert_eq!(request.headers()["host"], "example.com");
//!
//! let response = http::Response::builder().status(404).header("x-a", "b").body(())?;
//! let n = serving.reply(now, response.status(), response.headers(), b"none", &mut out)?;
//! assert!(out[..n].starts_with(b"HTTP/1.1 404 Not Found\r\nx-a: b\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::head::Version;
use crate::head::fields::Line;
use crate::head::request::RequestHead;
use crate::head::response::ResponseHead;
use crate::status::Status;
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, request};
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What cannot be held by the types of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unfit {
    /// The method.
    Method,
    /// The target, or the URI: without an authority where one is needed, or with octets that have no
    /// place in it.
    Target,
    /// A field name.
    Name,
    /// A field value.
    Value,
    /// More field lines than a `HeaderMap` takes.
    Count,
    /// The status.
    Status,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "method that the http crate does not take",
            Self::Target => "target that is no URI, or URI that is no target",
            Self::Name => "field name that the http crate does not take",
            Self::Value => "field value that the http crate does not take",
            Self::Count => "more field lines than the http crate takes",
            Self::Status => "status that the http crate does not take",
        })
    }
}

impl core::error::Error for Unfit {}

// ---- inwards ----

/// Field lines as a `HeaderMap`: of a head, or of a trailer section.
///
/// ```
/// use keepalive::{Fields, RequestHead, http::fields};
/// let head = RequestHead::parse(b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n")?;
/// let map = fields(head.fields())?;
/// assert_eq!(map.get_all("x").iter().collect::<Vec<_>>(), ["1", "2"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Unfit::Name`], [`Unfit::Value`], [`Unfit::Count`].
pub fn fields<'f>(
    lines: impl IntoIterator<Item = impl Into<Line<'f>>>,
) -> Result<HeaderMap, Unfit> {
    let mut map = HeaderMap::new();
    for line in lines {
        let line = line.into();
        let name = HeaderName::from_bytes(line.name).map_err(|_| Unfit::Name)?;
        let value = if line.value.contains(&b'\n') {
            // Folded, which only a lenient setting lets through (RFC 9112 §5.2).
            let pieces: Vec<&[u8]> = line.pieces().collect();
            HeaderValue::from_bytes(&pieces.join(&b' '))
        } else {
            HeaderValue::from_bytes(line.value)
        };
        let value = value.map_err(|_| Unfit::Value)?;
        map.try_append(name, value).map_err(|_| Unfit::Count)?;
    }
    Ok(map)
}

impl TryFrom<RequestHead<'_>> for ::http::Request<()> {
    type Error = Unfit;

    fn try_from(head: RequestHead<'_>) -> Result<Self, Unfit> {
        Self::try_from(&head)
    }
}

impl TryFrom<&RequestHead<'_>> for ::http::Request<()> {
    type Error = Unfit;

    fn try_from(head: &RequestHead<'_>) -> Result<Self, Unfit> {
        let mut request = Self::new(());
        let method = head.method().as_bytes();
        *request.method_mut() = Method::from_bytes(method).map_err(|_| Unfit::Method)?;
        // That crate drops a fragment without a word; but no target that was read has one (S8.11).
        *request.uri_mut() = Uri::try_from(head.target()).map_err(|_| Unfit::Target)?;
        *request.version_mut() = head.version().into();
        *request.headers_mut() = fields(head.fields())?;
        Ok(request)
    }
}

impl TryFrom<ResponseHead<'_>> for ::http::Response<()> {
    type Error = Unfit;

    fn try_from(head: ResponseHead<'_>) -> Result<Self, Unfit> {
        Self::try_from(&head)
    }
}

impl TryFrom<&ResponseHead<'_>> for ::http::Response<()> {
    type Error = Unfit;

    fn try_from(head: &ResponseHead<'_>) -> Result<Self, Unfit> {
        let mut response = Self::new(());
        *response.status_mut() = StatusCode::from_u16(head.status()).map_err(|_| Unfit::Status)?;
        *response.version_mut() = head.version().into();
        *response.headers_mut() = fields(head.fields())?;
        Ok(response)
    }
}

/// Minor versions beyond 1 count as 1.1, as which they are treated (S1.2).
impl From<Version> for ::http::Version {
    fn from(version: Version) -> Self {
        if version == Version::HTTP_10 { Self::HTTP_10 } else { Self::HTTP_11 }
    }
}

// ---- outwards ----

/// So that `&HeaderMap` can be given where field lines are taken.
impl<'a> From<(&'a HeaderName, &'a HeaderValue)> for Line<'a> {
    fn from((name, value): (&'a HeaderName, &'a HeaderValue)) -> Self {
        Self { name: name.as_str().as_bytes(), value: value.as_bytes() }
    }
}

/// With the usual reason phrase.
impl From<StatusCode> for Status<'_> {
    fn from(status: StatusCode) -> Self {
        status.as_u16().into()
    }
}

/// The target of a request that is sent straight to an origin, or into a tunnel (RFC 9112 §3.2):
/// path and query; `*` where that is the path; for CONNECT host and port.
///
/// ```
/// use http::{Method, Uri};
/// use keepalive::http::target;
/// let uri = Uri::from_static("http://a:8080?x");
/// assert_eq!(&*target(&Method::GET, &uri)?, b"/?x");
/// assert_eq!(&*target(&Method::CONNECT, &uri)?, b"a:8080");
/// # Ok::<(), keepalive::http::Unfit>(())
/// ```
///
/// # Errors
/// [`Unfit::Target`] for CONNECT to nowhere.
pub fn target<'u>(method: &Method, uri: &'u Uri) -> Result<Cow<'u, [u8]>, Unfit> {
    if method == Method::CONNECT {
        return host(uri).map(|h| Cow::Borrowed(h.as_bytes())).ok_or(Unfit::Target);
    }
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    Ok(if path.starts_with('?') {
        // That crate keeps an empty path empty (RFC 9112 §3.2.1).
        Cow::Owned(format!("/{path}").into_bytes())
    } else {
        Cow::Borrowed(path.as_bytes())
    })
}

/// The target of a request that is sent to a proxy: the whole URI, without user information, which
/// has no place there (RFC 9110 §4.2.4).
///
/// ```
/// use http::Uri;
/// let uri = Uri::from_static("http://user@a:8080/x?y");
/// assert_eq!(keepalive::http::absolute(&uri)?, "http://a:8080/x?y");
/// # Ok::<(), keepalive::http::Unfit>(())
/// ```
///
/// # Errors
/// [`Unfit::Target`] where the URI has no scheme or no authority.
pub fn absolute(uri: &Uri) -> Result<String, Unfit> {
    let scheme = uri.scheme_str().ok_or(Unfit::Target)?;
    let host = host(uri).ok_or(Unfit::Target)?;
    let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
    Ok(format!("{scheme}://{host}{}{query}", uri.path()))
}

/// Host and port of an URI, without user information: what Host says (RFC 9110 §7.2).
///
/// ```
/// use http::Uri;
/// assert_eq!(keepalive::http::host(&Uri::from_static("http://user@a:8080/")), Some("a:8080"));
/// assert_eq!(keepalive::http::host(&Uri::from_static("/x")), None);
/// ```
#[must_use]
pub fn host(uri: &Uri) -> Option<&str> {
    let authority = uri.authority()?.as_str();
    Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
}

/// The field lines of a request, Host first: of the map, or else of the URI.
///
/// ```
/// use keepalive::{Line, http::request_lines};
/// let request = http::Request::get("http://a/x").header("accept", "*/*").body(())?;
/// let (parts, ()) = request.into_parts();
/// let lines: Vec<Line> = request_lines(&parts).collect();
/// assert_eq!(lines, [Line::from(("Host", "a")), Line::from(("accept", "*/*"))]);
/// # Ok::<(), http::Error>(())
/// ```
pub fn request_lines(parts: &request::Parts) -> impl Iterator<Item = Line<'_>> {
    const HOST: HeaderName = ::http::header::HOST;
    let given = parts.headers.contains_key(HOST);
    let host = if given { None } else { host(&parts.uri) };
    let ours = parts.headers.iter().filter(|(name, _)| **name == HOST).map(Line::from);
    let others = parts.headers.iter().filter(|(name, _)| **name != HOST).map(Line::from);
    host.map(|h| Line::from(("Host", h))).into_iter().chain(ours).chain(others)
}
