//! keepalive, through its public interface.

use super::{CONTENT, Parsed};
use crate::inputs;
use keepalive::{Content, Instant, Io, Prepared, client, server};
use std::hint::black_box;

pub const NOW: Instant = Instant::from_micros(0);

/// What is sent besides what the machine adds.
pub const FIELDS: [(&str, &str); 1] = [("Content-Type", "text/plain")];

pub fn parsed(bytes: &[u8]) -> Parsed {
    let mut conn = idle();
    let step = conn.receive(NOW, bytes, usize::MAX);
    let Some(server::Event::Request(head)) = step.event else { panic!("ours: {step:?}") };
    assert_eq!(step.consumed, head.as_bytes().len());
    let fields = head.fields().map(|line| (line.name, line.value));
    Parsed::new(head.method().as_bytes(), head.target(), fields)
}

/// A connection that waits for its first request, with the limits of a default server.
pub fn idle() -> server::Connection {
    server::Connection::new(&server::Config::origin(), NOW)
}

/// As [`idle`], for heads with more fields than a default server takes.
pub fn patient() -> server::Connection {
    server::Connection::new(&server::Config::origin().max_fields(1000), NOW)
}

/// A server's connection that is kept, and answers each request.
pub struct Server {
    pub conn: server::Connection,
    fields: Prepared<64>,
    out: [u8; 512],
}

impl Server {
    pub fn new() -> Self {
        let config = server::Config::origin().max_requests(0);
        let fields = Prepared::new(FIELDS).expect("fields");
        Self { conn: server::Connection::new(&config, NOW), fields, out: [0; 512] }
    }

    /// Whole exchanges, for all requests in these bytes, as the contract has it: receive until there
    /// is nothing more, answer on the way, look at what is wanted and at the deadline, transmit.
    #[inline]
    pub fn serve(&mut self, bytes: &[u8]) -> usize {
        self.serve_at(NOW, bytes)
    }

    #[inline]
    pub fn serve_at(&mut self, now: Instant, mut unread: &[u8]) -> usize {
        let mut answered = 0;
        loop {
            let step = self.conn.receive(now, unread, usize::MAX);
            unread = &unread[step.consumed..];
            match step.event {
                Some(server::Event::Request(head)) if head.has_content() => {
                    self.conn.read_content(now);
                }
                Some(server::Event::Request(head)) => {
                    black_box(head.target());
                    answered += self.answer(now);
                }
                Some(server::Event::Content(piece)) => {
                    black_box(piece);
                    if self.conn.content_run() == 0 {
                        answered += self.answer(now);
                    }
                }
                Some(server::Event::End(_)) => {}
                Some(server::Event::Failed(failure)) => panic!("ours: {failure:?}"),
                None => break,
            }
        }
        black_box(self.conn.wants());
        black_box(self.conn.deadline());
        answered
    }

    fn answer(&mut self, now: Instant) -> usize {
        let n = self.conn.reply(now, 200, &self.fields, CONTENT, &mut self.out).expect("an answer");
        black_box(&self.out);
        self.conn.transmitted(now, n as u64);
        1
    }
}

/// A client's connection that is kept.
pub struct Client {
    pub conn: client::Connection,
    fields: Prepared<64>,
    out: [u8; 512],
}

impl Client {
    pub fn new() -> Self {
        let conn = client::Connection::new(&client::Config::direct(), NOW);
        let fields = Prepared::new([("Host", "example.org"), ("Accept", "*/*")]).expect("fields");
        Self { conn, fields, out: [0; 512] }
    }

    pub fn request(&mut self) {
        black_box(self.conn.checkout(NOW, Io::Nothing, b""));
        let sent = self.conn.request(NOW, "GET", "/", &self.fields, Content::None, &mut self.out);
        black_box(&self.out);
        self.conn.transmitted(NOW, sent.expect("a request").written as u64);
    }

    /// A request out, a response in, and whether the connection can be used again.
    #[inline]
    pub fn exchange(&mut self, mut unread: &[u8]) {
        self.request();
        loop {
            let step = self.conn.receive(NOW, unread, usize::MAX);
            unread = &unread[step.consumed..];
            match step.event {
                Some(client::Event::Failed(failure)) => panic!("ours: {failure:?}"),
                Some(event) => {
                    black_box(&event);
                }
                None => break,
            }
        }
        let reuse = black_box(self.conn.reuse(NOW));
        assert!(matches!(reuse, client::Reuse::Ready { .. } | client::Reuse::Unchecked));
    }
}

/// A connection that reads chunked content: what follows is [`inputs::chunked`].
pub fn reading_chunks() -> server::Connection {
    let mut conn = idle();
    let step = conn.receive(NOW, inputs::CHUNKED_HEAD, usize::MAX);
    assert!(matches!(step.event, Some(server::Event::Request(_))));
    conn.read_content(NOW);
    conn
}

/// Reads all chunks, and says how much content there was.
#[inline]
pub fn read_chunks(conn: &mut server::Connection, mut unread: &[u8]) -> usize {
    let mut content = 0;
    loop {
        let step = conn.receive(NOW, unread, usize::MAX);
        unread = &unread[step.consumed..];
        match step.event {
            Some(server::Event::Content(piece)) => content += black_box(piece).len(),
            Some(server::Event::End(_)) => return content,
            event => panic!("ours: {event:?}"),
        }
    }
}
