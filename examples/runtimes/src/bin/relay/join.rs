//! A client's connection joined to a connection of the server behind: everything that can be done
//! without waiting. [`forward`] says what goes on to the other side and how; the machine of each side
//! decides on its own what becomes of its connection (S9.3).

use keepalive::buffered::Server;
use keepalive::forward::{self, Continue, ForwardedRequest, Hop, Nominated};
use keepalive::{
    Content, Failure, Line, NO_FIELDS, Plan, RequestHead, Retire, SendError, client, server,
};
use keepalive_runtimes::link::{Ended, Link};
use keepalive_runtimes::pool::{Pool, Upstream};
use std::time::SystemTime;

/// The client's side.
pub(crate) type Downstream = Link<Server<Vec<u8>>>;

/// What is remembered of a request until its response is over.
struct Exchange {
    /// A copy of the head: to be made a request when there is a connection, and made again if that
    /// fails.
    head: Vec<u8>,
    to_origin: Nominated,
    to_client: Nominated,
    /// Nothing of the content was taken yet, so the request can be made again.
    replayable: bool,
    retried: bool,
    /// The client waits for the next hop's 100.
    waits: bool,
    /// The response has begun: from now on it can only be completed or aborted.
    begun: bool,
    /// Its content is thrown away.
    drops: bool,
    /// It is a 101: both sides are leaving HTTP.
    leaves: bool,
    request_over: bool,
    response_over: bool,
}

impl Exchange {
    fn new(head: &RequestHead<'_>, onward: &ForwardedRequest<'_>) -> Self {
        Self {
            head: head.as_bytes().to_vec(),
            to_origin: onward.nominated(),
            to_client: Nominated::NONE,
            replayable: true,
            retried: false,
            waits: onward.continues() == Continue::Relayed,
            begun: false,
            drops: false,
            leaves: false,
            request_over: false,
            response_over: false,
        }
    }

    fn is_over(&self) -> bool {
        self.request_over && self.response_over && !self.leaves
    }
}

/// Which connection is needed before anything goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// One of the pool, or a new one.
    Any,
    /// A new one: this is a retry (S5.2).
    New,
}

/// What is counted, of this connection and of all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    /// Responses of the relay's own: 502, 504, and refusals.
    pub(crate) own: u64,
    /// Responses that broke off behind their head.
    pub(crate) broken: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, more: Self) {
        self.requests += more.requests;
        self.retries += more.retries;
        self.own += more.own;
        self.broken += more.broken;
    }
}

/// The two sides.
pub(crate) struct Join<'a> {
    pub(crate) down: Downstream,
    pub(crate) up: Option<Upstream>,
    exchange: Option<Exchange>,
    need: Option<Need>,
    hop: Hop<'a>,
    config: server::Config,
    /// The process ends: no response promises that the connection persists.
    pub(crate) draining: bool,
    pub(crate) counts: Counts,
}

/// The value of a Date field, for responses of the relay's own and for those that lack one.
fn date() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}

impl<'a> Join<'a> {
    pub(crate) fn new(down: Downstream, hop: Hop<'a>, config: server::Config) -> Self {
        let (up, exchange, need, counts) = (None, None, None, Counts::default());
        Self { down, up, exchange, need, hop, config, draining: false, counts }
    }

    /// Moves everything that can be moved. If it returns a need, a connection is missing.
    pub(crate) fn pump(&mut self, pool: &Pool) -> Option<Need> {
        loop {
            let moved = self.towards_origin() | self.towards_client() | self.settle(pool);
            if self.need.is_some() {
                return self.need.take();
            }
            if !moved {
                return None;
            }
        }
    }

    // ---- the request ----

    /// One event of the client's, and what it means to the server.
    fn towards_origin(&mut self) -> bool {
        let Self { down, up, exchange, need, hop, draining, counts, .. } = self;
        let now = down.now();
        // Content only as it finds room on the other side; and the next request only when this one's
        // response is over.
        let room = match (&exchange, &up) {
            (None, _) => usize::MAX,
            (Some(exchange), Some(up)) if !exchange.request_over => up.http.room(),
            (Some(_), _) => 0,
        };
        let (event, mut out) = down.http.next(now, room);
        let Some(event) = event else { return false };
        match event {
            server::Event::Request(head) => {
                counts.requests += 1;
                if *draining {
                    out.retire(Retire::Drain);
                }
                match forward::request(&head, hop) {
                    Ok(onward) => {
                        *need = Some(Need::Any);
                        *exchange = Some(Exchange::new(&head, &onward));
                    }
                    Err(refusal) => {
                        // Without a status it ends here, as at its final recipient; and that one
                        // knows OPTIONS, but neither TRACE nor CONNECT.
                        let own = if head.method() == "OPTIONS" { 200 } else { 501 };
                        let status = refusal.status().unwrap_or(own);
                        counts.own += 1;
                        if out.reply(status, [("Date", date().as_str())], b"").is_err() {
                            out.abort();
                        }
                    }
                }
            }
            server::Event::Content(content) => {
                // Without an exchange it was answered already, and nobody wants the rest.
                if let (Some(exchange), Some(up)) = (exchange, up) {
                    exchange.replayable = false;
                    // All of it finds room: that is what `room` was asked for. If it is not wanted
                    // any more, an early response is on its way, and the machine knows.
                    let _ = up.http.out(now).send(content);
                }
            }
            server::Event::End(trailers) => {
                if let Some(exchange) = exchange {
                    exchange.request_over = true;
                    if let Some(up) = up {
                        let trailers = forward::trailers(trailers, &exchange.to_origin);
                        // The same; and where the content had a length, there is nothing to do.
                        let _ = up.http.out(now).finish(trailers);
                    }
                }
            }
            server::Event::Failed(_) => {
                // The client gets its answer, if there is one to give, from its machine; but a
                // response that has begun will not be complete.
                if exchange.take().is_some_and(|x| x.begun && !x.response_over) {
                    counts.broken += 1;
                    out.abort();
                }
                // Half a request must not look like a whole one.
                if let Some(mut up) = up.take() {
                    up.http.out(now).abort();
                    up.close();
                }
            }
        }
        true
    }

    /// Makes the request on a connection that was found for it.
    pub(crate) fn connected(&mut self, mut up: Upstream) {
        let Some(exchange) = &self.exchange else { return };
        let now = up.now();
        // It was judged before; what can still be wrong is its size.
        if self.request(exchange, &mut up).is_err() {
            return self.fail(502);
        }
        if exchange.request_over {
            let _ = up.http.out(now).finish(NO_FIELDS);
        }
        if !exchange.waits {
            self.down.http.out(now).read_content();
        }
        self.up = Some(up);
    }

    fn request(&self, exchange: &Exchange, up: &mut Upstream) -> Result<(), SendError> {
        let head = RequestHead::parse_with(&exchange.head, &self.config);
        let head = head.map_err(|_| SendError::NotNow)?;
        let onward = forward::request(&head, &self.hop).map_err(|_| SendError::NotNow)?;
        // Always there: the next hop is not of version 1.0.
        let content = onward.content().unwrap_or(Content::Unknown);
        let mut out = up.http.out(up.now());
        out.request(onward.method(), onward.target(), onward.lines(), content).map(drop)
    }

    /// There is no connection to be had.
    pub(crate) fn unconnected(&mut self, timed_out: bool) {
        self.fail(if timed_out { 504 } else { 502 });
    }

    // ---- the response ----

    /// One event of the server's, and what it means to the client.
    fn towards_client(&mut self) -> bool {
        let Self { down, up, exchange, .. } = self;
        let (Some(link), Some(exchange)) = (up, exchange) else { return false };
        let now = down.now();
        let mut moved = false;
        if exchange.waits && link.http.wants().content {
            // The 100 came, or was waited for long enough.
            exchange.waits = false;
            down.http.out(now).read_content();
            moved = true;
        }
        // A head goes on when nothing waits before it: then it has all the space there is.
        let room = match (exchange.drops, down.http.wants().head) {
            (true, _) => usize::MAX,
            (false, true) if !down.http.output().is_empty() => 0,
            (false, true) => usize::MAX,
            (false, false) => down.http.room(),
        };
        let (event, mut up_out) = link.http.next(now, room);
        let Some(event) = event else { return moved };
        let mut out = down.http.out(now);
        match event {
            client::Event::Interim(head) => {
                if let Ok(onward) = forward::response(&head, &self.hop) {
                    // Not where the response has begun, as to a client that did not wait.
                    let _ = out.inform(onward.status().code, onward.lines());
                }
            }
            client::Event::Response(head) => {
                if head.status() == 408
                    && up_out.retry(0).is_some_and(|r| r.allows(exchange.replayable))
                    && !exchange.retried
                {
                    up_out.abort();
                    self.again();
                    return true;
                }
                let Ok(onward) = forward::response(&head, &self.hop) else {
                    up_out.abort();
                    self.fail(502);
                    return true;
                };
                if !exchange.request_over && !up_out.wants().content {
                    // The server has answered without the rest, which is then nobody's.
                    out.skip_content();
                    exchange.request_over = true;
                }
                exchange.waits = false;
                exchange.to_client = onward.nominated();
                exchange.drops = onward.drops_content();
                let date = onward.lacks_date().then(date);
                let date = date.iter().map(|date| Line::from(("Date", date.as_str())));
                let lines = onward.lines().chain(date);
                match out.respond(onward.status(), lines, onward.content()) {
                    Ok(plan) => {
                        exchange.begun = true;
                        exchange.leaves = plan == Plan::Tunnel;
                    }
                    Err(_) => {
                        // Larger than all our space, say.
                        up_out.abort();
                        self.fail(502);
                    }
                }
            }
            client::Event::Content(content) => {
                if !exchange.drops && out.send(content).is_err() {
                    out.abort();
                }
            }
            client::Event::End(trailers) => {
                exchange.response_over = true;
                if !exchange.drops {
                    // Refused on a tunnel, which has no end here.
                    let _ = out.finish(forward::trailers(trailers, &exchange.to_client));
                }
            }
            client::Event::Failed(failure) => {
                let retry = link.http.retry(0);
                let replayable = exchange.replayable && !exchange.retried;
                if out.wants().head && retry.is_some_and(|retry| retry.allows(replayable)) {
                    self.again();
                } else {
                    self.broken(failure);
                }
            }
        }
        true
    }

    /// The request is made once more, on a new connection.
    fn again(&mut self) {
        if let Some(exchange) = &mut self.exchange {
            exchange.retried = true;
            self.need = Some(Need::New);
            self.counts.retries += 1;
        }
        self.leave();
    }

    /// The server failed, and a retry is not allowed.
    fn broken(&mut self, failure: Failure) {
        if self.down.http.wants().head {
            self.fail(forward::gateway_status(failure.kind));
        } else {
            // Never end what was cut short: the client must see that it is not whole.
            self.counts.broken += 1;
            let now = self.down.now();
            self.down.http.out(now).abort();
            self.exchange = None;
            self.leave();
        }
    }

    /// Answers in the server's place.
    fn fail(&mut self, status: u16) {
        self.counts.own += 1;
        let mut out = self.down.http.out(self.down.now());
        out.skip_content();
        if out.reply(status, [("Date", date().as_str())], b"").is_err() {
            out.abort();
        }
        (self.exchange, self.need) = (None, None);
        self.leave();
    }

    /// Closes the connection to the server.
    fn leave(&mut self) {
        if let Some(up) = self.up.take() {
            up.close();
        }
    }

    // ---- the connections ----

    /// What has become of the exchange, and of the connection to the server.
    fn settle(&mut self, pool: &Pool) -> bool {
        let Self { down, up, exchange, .. } = self;
        let Some(link) = up else { return false };
        if exchange.as_ref().is_some_and(Exchange::is_over) {
            *exchange = None;
            // It may be that not all of the request was sent, or that the server says close: the
            // machine knows, and the pool asks it.
            if let Some(link) = up.take() {
                pool.give_back(link);
            }
            return true;
        }
        match link.ended() {
            Some(Ended::Close(_) | Ended::Abort(_)) => {
                // The response is over. If there is more of the request, nobody is left to take it.
                *exchange = None;
                let now = down.now();
                down.http.out(now).skip_content();
                self.leave();
                true
            }
            Some(Ended::Tunnel) | None => false,
        }
    }
}
