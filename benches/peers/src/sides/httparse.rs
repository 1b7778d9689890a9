//! httparse: a parser alone; and with the least that makes a server of it.

use super::Parsed;
use ::httparse::{Header, Request, Response, Status};
use std::hint::black_box;
use std::mem::MaybeUninit;

/// Slots for fields: enough for all inputs but the long heads. They are not initialised, which is the
/// faster of two ways.
const SLOTS: usize = 64;

#[inline]
pub fn parse<R>(bytes: &[u8], then: impl FnOnce(&Request<'_, '_>, usize) -> R) -> R {
    let mut slots = [const { MaybeUninit::<Header<'_>>::uninit() }; SLOTS];
    let mut request = Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut slots) {
        Ok(Status::Complete(n)) => then(&request, n),
        other => panic!("httparse: {other:?}"),
    }
}

pub fn parsed(bytes: &[u8]) -> Parsed {
    parse(bytes, |request, _| {
        let fields = request.headers.iter().map(|h| (h.name.as_bytes(), h.value));
        let method = request.method.expect("a method");
        Parsed::new(method.as_bytes(), request.path.expect("a target").as_bytes(), fields)
    })
}

/// Parses, and nothing else: less than any server needs.
#[inline]
pub fn parse_only(bytes: &[u8]) {
    parse(bytes, |request, n| {
        black_box((request, n));
    });
}

/// Parses, and visits every field.
#[inline]
pub fn visit(bytes: &[u8]) {
    parse(bytes, |request, n| {
        for header in request.headers.iter() {
            black_box((header.name, header.value));
        }
        black_box(n);
    });
}

/// How the content is delimited and whether the connection persists: what a careful server asks at
/// the least.
#[derive(Clone, Copy, Debug, Default)]
pub struct Glue {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    hosts: u8,
}

/// Parses, and goes through the fields for framing and persistence.
#[inline]
pub fn glued(bytes: &[u8]) -> Glue {
    parse(bytes, |request, n| {
        let mut glue = Glue::default();
        for header in request.headers.iter() {
            match header.name.len() {
                4 if header.name.eq_ignore_ascii_case("host") => glue.hosts += 1,
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    for option in header.value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
                        glue.close |= option.eq_ignore_ascii_case(b"close");
                        glue.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    let digits = std::str::from_utf8(header.value).expect("digits");
                    let length = digits.parse().expect("a length");
                    assert!(glue.length.is_none_or(|l| l == length), "two lengths");
                    glue.length = Some(length);
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    assert!(header.value.eq_ignore_ascii_case(b"chunked"), "a coding");
                    glue.chunked = true;
                }
                _ => {}
            }
        }
        assert!(glue.hosts == 1 && !(glue.chunked && glue.length.is_some()), "a bad request");
        if request.version == Some(0) {
            glue.close |= !glue.keep_alive;
        }
        black_box((request, n));
        glue
    })
}

#[inline]
pub fn parse_response(bytes: &[u8]) {
    let mut slots = [const { MaybeUninit::<Header<'_>>::uninit() }; SLOTS];
    let mut response = Response::new(&mut []);
    let config = ::httparse::ParserConfig::default();
    let status = config.parse_response_with_uninit_headers(&mut response, bytes, &mut slots);
    assert!(matches!(status, Ok(Status::Complete(_))), "httparse: {status:?}");
    black_box(&response);
}

/// Every so many octets of a head that comes octet by octet, [`drip`] parses: all of them would be one
/// batch of many milliseconds, which nothing leaves undisturbed.
pub const SAMPLE: usize = 16;

/// A head that comes octet by octet: parsed anew at each, since there is no other way. Says how often
/// it parsed.
pub fn drip(head: &[u8]) -> usize {
    let mut times = 0;
    for end in (SAMPLE / 2..head.len()).step_by(SAMPLE) {
        let mut slots = [const { MaybeUninit::<Header<'_>>::uninit() }; 128];
        let mut request = Request::new(&mut []);
        let status = request.parse_with_uninit_headers(black_box(&head[..end]), &mut slots);
        assert!(matches!(status, Ok(Status::Partial)), "httparse: {status:?}");
        times += 1;
    }
    times
}

/// Chunked content by its `parse_chunk_size`, and the CR LF behind each chunk looked at.
#[inline]
pub fn read_chunks(mut bytes: &[u8]) -> usize {
    let mut content = 0;
    loop {
        let Ok(Status::Complete((line, size))) = ::httparse::parse_chunk_size(bytes) else {
            panic!("httparse: a bad chunk");
        };
        let end = line + size as usize;
        let piece = black_box(&bytes[line..end]);
        assert!(&bytes[end..end + 2] == b"\r\n", "httparse: a chunk too long");
        bytes = &bytes[end + 2..];
        if size == 0 {
            return content;
        }
        content += piece.len();
    }
}
