//! hyper's http1 server over input and output in memory: no system calls, no runtime.

use super::{CONTENT, Parsed};
use ::hyper::body::{Bytes, Incoming};
use ::hyper::rt::{Read, ReadBufCursor, Write};
use ::hyper::server::conn::http1;
use ::hyper::service::service_fn;
use ::hyper::{Request, Response};
use http_body_util::Full;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

#[derive(Default)]
struct Shared {
    input: Cell<&'static [u8]>,
    written: Cell<usize>,
    answered: Cell<usize>,
    seen: RefCell<Option<Parsed>>,
    look: Cell<bool>,
}

struct Pipe(Rc<Shared>);

impl Read for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<Result<()>> {
        let input = self.0.input.get();
        if input.is_empty() {
            return Poll::Pending;
        }
        let (now, later) = input.split_at(input.len().min(buf.remaining()));
        buf.put_slice(now);
        self.0.input.set(later);
        Poll::Ready(Ok(()))
    }
}

impl Write for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.0.written.set(self.0.written.get() + black_box(buf).len());
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let n = black_box(bufs).iter().map(|b| b.len()).sum();
        self.0.written.set(self.0.written.get() + n);
        Poll::Ready(Ok(n))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

type Connection = Pin<Box<dyn Future<Output = ::hyper::Result<()>>>>;

/// A server's connection that is kept.
pub struct Server {
    shared: Rc<Shared>,
    conn: Connection,
    size: usize,
}

impl Server {
    pub fn new() -> Self {
        Self::with(&http1::Builder::new())
    }

    /// For heads with more fields than it takes by default.
    pub fn patient() -> Self {
        Self::with(http1::Builder::new().max_headers(256))
    }

    fn with(builder: &http1::Builder) -> Self {
        let shared = Rc::new(Shared::default());
        let inside = shared.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            if inside.look.get() {
                let fields = request.headers().iter();
                let fields = fields.map(|(n, v)| (n.as_str().as_bytes(), v.as_bytes()));
                let target = request.uri().to_string();
                let method = request.method().as_str().as_bytes();
                *inside.seen.borrow_mut() = Some(Parsed::new(method, target.as_bytes(), fields));
            }
            black_box(request.uri());
            inside.answered.set(inside.answered.get() + 1);
            async {
                let mut response = Response::new(Full::new(Bytes::from_static(CONTENT)));
                let value = ::hyper::header::HeaderValue::from_static("text/plain");
                response.headers_mut().insert(::hyper::header::CONTENT_TYPE, value);
                Ok::<_, Infallible>(response)
            }
        });
        // Nobody else sends a date here.
        let mut builder = builder.clone();
        let conn = builder.auto_date_header(false).serve_connection(Pipe(shared.clone()), service);
        let size = size_of_val(&conn);
        Self { shared, conn: Box::pin(conn), size }
    }

    /// Octets of the connection itself, without what it holds on the heap.
    pub fn size(&self) -> usize {
        self.size
    }

    fn poll(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        match self.conn.as_mut().poll(&mut context) {
            Poll::Pending => {}
            Poll::Ready(end) => panic!("hyper: {end:?}"),
        }
    }

    /// Whole exchanges, for all requests in these bytes.
    #[inline]
    pub fn serve(&mut self, bytes: &'static [u8], requests: usize) -> usize {
        self.shared.answered.set(0);
        self.shared.written.set(0);
        self.shared.input.set(bytes);
        while self.shared.answered.get() < requests || self.shared.written.get() == 0 {
            self.poll();
        }
        self.shared.answered.get()
    }

    /// A head that comes in steps.
    pub fn drip(&mut self, head: &'static [u8], step: usize) {
        self.shared.answered.set(0);
        for piece in head.chunks(step) {
            self.shared.input.set(piece);
            self.poll();
        }
        assert!(self.shared.answered.get() == 1, "hyper: no answer");
    }
}

pub fn parsed(bytes: &[u8]) -> Parsed {
    let mut server = Server::new();
    server.shared.look.set(true);
    server.serve(bytes.to_vec().leak(), 1);
    let seen = server.shared.seen.borrow_mut().take();
    seen.expect("a request")
}
