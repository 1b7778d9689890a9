//! ureq-proto: sans-IO too, over httparse and the types of the `http` crate.

use super::{CONTENT, Parsed};
use std::hint::black_box;
use ureq_proto::http::Response;
use ureq_proto::server::{RecvRequestResult, Reply, SendResponseResult};

pub fn parsed(bytes: &[u8]) -> Parsed {
    let mut reply = Reply::new().expect("a reply");
    let request = reply.try_request(bytes).expect("a request").1.expect("a whole request");
    let fields = request.headers().iter().map(|(n, v)| (n.as_str().as_bytes(), v.as_bytes()));
    let target = request.uri().to_string();
    Parsed::new(request.method().as_str().as_bytes(), target.as_bytes(), fields)
}

#[inline]
pub fn receive(bytes: &[u8]) {
    let mut reply = Reply::new().expect("a reply");
    let request = reply.try_request(bytes);
    assert!(matches!(&request, Ok((_, Some(_)))), "ureq-proto: {request:?}");
    black_box(&request);
    black_box(&reply);
}

/// Answers requests; there is no connection to be kept.
pub struct Server {
    response: Response<()>,
    out: [u8; 512],
}

impl Server {
    pub fn new() -> Self {
        let response = Response::builder()
            .header("content-type", "text/plain")
            .header("content-length", CONTENT.len())
            .body(())
            .expect("a response");
        Self { response, out: [0; 512] }
    }

    /// A whole exchange.
    #[inline]
    pub fn serve(&mut self, bytes: &[u8]) {
        let mut reply = Reply::new().expect("a reply");
        let request = reply.try_request(bytes).expect("a request");
        black_box(&request);
        let reply = match reply.proceed() {
            Some(RecvRequestResult::ProvideResponse(reply)) => reply,
            Some(RecvRequestResult::RecvBody(reply)) => reply.proceed().expect("no content"),
            _ => panic!("ureq-proto: another state"),
        };
        let mut reply = reply.provide(self.response.clone()).expect("a response");
        let mut at = 0;
        while !reply.is_finished() {
            at += reply.write(&mut self.out[at..]).expect("a head");
        }
        match reply.proceed() {
            SendResponseResult::SendBody(mut reply) => {
                black_box(reply.write(CONTENT, &mut self.out[at..]).expect("content"));
                black_box(reply.proceed().must_close_connection());
            }
            SendResponseResult::Cleanup(reply) => {
                black_box(reply.must_close_connection());
            }
        }
        black_box(&self.out);
    }
}
