//! http-net: a server and a client sans-IO, with a buffer of its own.

use super::{CONTENT, Parsed};
use ::http_net::{
    Asked, ChunkStep, ChunkedDecoder, ClientConn, ClientEvent, FieldSpan, Limits, Parsed as Head,
    Request, Response, ResponseHeadRef, ServerConn, ServerEvent, parse_request_head,
    parse_response_head,
};
use std::hint::black_box;

pub fn parsed(bytes: &[u8]) -> Parsed {
    let mut conn = ServerConn::new();
    assert_eq!(conn.feed(bytes), bytes.len());
    match conn.poll() {
        Ok(ServerEvent::Request(head)) => {
            let fields = head.headers().map(|(n, v)| (n.as_bytes(), v));
            Parsed::new(head.method_str().as_bytes(), head.target().as_bytes(), fields)
        }
        other => panic!("http-net: {other:?}"),
    }
}

/// A head alone, without a connection.
pub struct Parser {
    limits: Limits,
    slots: [FieldSpan; 64],
}

impl Parser {
    pub fn new() -> Self {
        Self { limits: Limits::new(), slots: [FieldSpan::default(); 64] }
    }

    #[inline]
    pub fn request(&mut self, bytes: &[u8]) {
        let head = parse_request_head(bytes, &self.limits, &mut self.slots);
        assert!(matches!(head, Ok(Head::Complete { .. })), "http-net: {head:?}");
        black_box(&head);
    }

    #[inline]
    pub fn response(&mut self, bytes: &[u8]) {
        let head = parse_response_head(bytes, &self.limits, Asked::default(), &mut self.slots);
        assert!(matches!(head, Ok(Head::Complete { .. })), "http-net: {head:?}");
        black_box(&head);
    }
}

/// A server's connection that is kept.
pub struct Server {
    conn: ServerConn,
    response: Response,
    out: Vec<u8>,
}

impl Server {
    pub fn new() -> Self {
        Self::with(Limits::new())
    }

    /// For heads with more fields than it takes by default.
    pub fn patient() -> Self {
        Self::with(Limits::new().with_max_headers(1000).with_max_header_bytes(32 * 1024))
    }

    fn with(limits: Limits) -> Self {
        let response = Response::new(200).header("content-type", "text/plain").body(CONTENT);
        Self { conn: ServerConn::with_limits(limits), response, out: Vec::with_capacity(512) }
    }

    /// Receives a head, and forgets it.
    #[inline]
    pub fn receive(&mut self, bytes: &[u8]) {
        assert!(self.conn.feed(bytes) == bytes.len());
        match self.conn.poll() {
            Ok(ServerEvent::Request(head)) => {
                black_box(&head);
            }
            other => panic!("http-net: {other:?}"),
        }
        self.conn.reset();
    }

    /// Whole exchanges, for all requests in these bytes.
    #[inline]
    pub fn serve(&mut self, mut bytes: &[u8]) -> usize {
        let mut answered = 0;
        loop {
            match self.conn.poll() {
                Ok(ServerEvent::Request(head)) => {
                    black_box(head.target());
                }
                Ok(ServerEvent::Body(piece)) => {
                    black_box(piece);
                }
                Ok(ServerEvent::RequestEnd) => {
                    self.out.clear();
                    self.conn.respond(&self.response, &mut self.out).expect("an answer");
                    black_box(&self.out);
                    answered += 1;
                }
                Ok(ServerEvent::NeedInput) if bytes.is_empty() => break,
                Ok(ServerEvent::NeedInput) => bytes = &bytes[self.conn.feed(bytes)..],
                other => panic!("http-net: {other:?}"),
            }
        }
        black_box(self.conn.progress());
        answered
    }

    /// A head that comes in steps.
    pub fn drip(&mut self, head: &[u8], step: usize) {
        for piece in head.chunks(step) {
            assert!(self.conn.feed(black_box(piece)) == piece.len());
            match self.conn.poll() {
                Ok(ServerEvent::NeedInput) => {}
                Ok(ServerEvent::Request(head)) => {
                    black_box(&head);
                }
                other => panic!("http-net: {other:?}"),
            }
        }
        self.conn.reset();
    }

    /// Receives a small request, and answers it with fields that are validated each time.
    pub fn respond(&mut self, head: &ResponseHeadRef<'_>) {
        assert!(self.conn.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") > 0);
        while !matches!(self.conn.poll(), Ok(ServerEvent::RequestEnd)) {}
        self.out.clear();
        black_box(self.conn.write_head(head, None, &mut self.out).expect("an answer"));
        black_box(&self.out);
    }
}

pub struct Client {
    conn: ClientConn,
    request: Request,
    out: Vec<u8>,
}

impl Client {
    pub fn new() -> Self {
        let request = Request::get("/").header("host", "example.org").header("accept", "*/*");
        Self { conn: ClientConn::new(), request, out: Vec::with_capacity(512) }
    }

    #[inline]
    pub fn exchange(&mut self, response: &[u8]) {
        self.out.clear();
        self.conn.send_request(&self.request, &mut self.out).expect("a request");
        black_box(&self.out);
        assert!(self.conn.feed(response) == response.len());
        loop {
            match self.conn.poll() {
                Ok(ClientEvent::Idle) => break,
                Ok(event @ (ClientEvent::Response(_) | ClientEvent::ResponseEnd)) => {
                    black_box(&event);
                }
                other => panic!("http-net: {other:?}"),
            }
        }
        assert!(black_box(self.conn.is_reusable()));
    }
}

#[inline]
pub fn read_chunks(bytes: &[u8]) -> usize {
    let mut decoder = ChunkedDecoder::new(&Limits::new());
    let (mut at, mut content) = (0, 0);
    loop {
        match decoder.decode(&bytes[at..], false) {
            Ok(ChunkStep::Data { skip, len }) => {
                content += black_box(&bytes[at + skip..at + skip + len]).len();
                at += skip + len;
            }
            Ok(ChunkStep::Done { .. }) => return content,
            other => panic!("http-net: {other:?}"),
        }
    }
}
