//! A relay of the kind that this crate is for: `server::Connection` and `client::Connection`, joined
//! by `forward`. Blocking-free; all its time is the network's.

use super::net::{Net, Node, Plug, Read};
use keepalive::buffered::{Client, Server};
use keepalive::client::Reuse;
use keepalive::forward::{self, Continue, Hop, Nominated};
use keepalive::{Content, End, Instant, Io, Lost, NO_FIELDS, Plan, RequestHead, client, server};

type Upstream = (Client<Vec<u8>>, Plug);

/// One turn of input and output of a connection with its buffers: whether anything moved, and whether
/// the connection is over. Written once for both roles.
macro_rules! io {
    ($conn:expr, $plug:expr, $net:expr) => {{
        let (conn, plug, net) = (&mut *$conn, $plug, &mut *$net);
        let now = net.now;
        let mut moved = conn.deadline().is_some_and(|d| d.at <= now);
        conn.expire(now);
        if !conn.output().is_empty() {
            match net.write(plug, conn.output()) {
                Some(n) => conn.transmitted(now, Io::Done(n)),
                None => conn.transmitted(now, Io::Lost(Lost::Write)),
            }
            moved = true;
        }
        if let Some(space) = conn.space() {
            let io = match net.read(plug, space.len()) {
                Read::Bytes(bytes) => {
                    space[..bytes.len()].copy_from_slice(&bytes);
                    Some(Io::Done(bytes.len()))
                }
                Read::Eof => Some(Io::Done(0)),
                Read::Reset => Some(Io::Lost(Lost::Reset)),
                Read::Nothing => None,
            };
            if let Some(io) = io {
                conn.received(now, io);
                moved = true;
            }
        }
        let flushed = conn.output().is_empty();
        let over = match conn.wants().end {
            Some(keepalive::End::ShutdownWrite) if flushed => {
                net.shut(plug);
                conn.write_closed(now);
                moved = true;
                false
            }
            Some(keepalive::End::Close(_)) if flushed => {
                net.close(plug);
                true
            }
            Some(keepalive::End::Abort(_)) => {
                net.reset(plug);
                true
            }
            _ => false,
        };
        (moved || over, over)
    }};
}
pub(crate) use io;

/// What is remembered of a request until its response is over.
struct Exchange {
    /// A copy of the head, to send it once more.
    head: Vec<u8>,
    /// None of the content was taken yet.
    fresh: bool,
    retried: bool,
    /// The content, where its length must be known first.
    collected: Option<Vec<u8>>,
    /// The client waits for the next hop's 100.
    waits: bool,
    to_origin: Nominated,
    to_client: Nominated,
    /// The response's content is thrown away.
    drops: bool,
    /// Both sides are leaving HTTP.
    leaves: bool,
    request_over: bool,
    response_over: bool,
}

/// Bytes between two plugs, once both sides left HTTP.
struct Tunnel {
    ends: [Plug; 2],
    /// What is on its way to each.
    to: [Vec<u8>; 2],
    over: [bool; 2],
}

struct Link {
    down: Server<Vec<u8>>,
    plug: Plug,
    up: Option<Upstream>,
    exchange: Option<Exchange>,
    tunnel: Option<Tunnel>,
    /// The client's connection is closed. That of the server may have a last word to say.
    down_over: bool,
    over: bool,
}

pub struct Relay {
    port: u16,
    upstream: u16,
    hop: Hop<'static>,
    server: server::Config,
    client: client::Config,
    links: Vec<Link>,
    pool: Vec<Upstream>,
    /// Times that a request was sent again.
    pub retries: usize,
}

impl Relay {
    pub fn new(
        ports: (u16, u16),
        hop: Hop<'static>,
        server: server::Config,
        client: client::Config,
    ) -> Self {
        let client = client.gateway(true);
        let (links, pool) = (Vec::new(), Vec::new());
        Self { port: ports.0, upstream: ports.1, hop, server, client, links, pool, retries: 0 }
    }

    /// An idle connection that may be used again, or a new one.
    fn connect(
        pool: &mut Vec<Upstream>,
        config: &client::Config,
        port: u16,
        net: &mut Net,
    ) -> Upstream {
        while let Some((mut up, plug)) = pool.pop() {
            let reuse = up.checkout(net.now, |space| match net.read(plug, space.len()) {
                Read::Bytes(bytes) => {
                    space[..bytes.len()].copy_from_slice(&bytes);
                    Io::Done(bytes.len())
                }
                Read::Eof => Io::Done(0),
                Read::Reset => Io::Lost(Lost::Reset),
                Read::Nothing => Io::Nothing,
            });
            if matches!(reuse, Reuse::Ready { .. } | Reuse::ImmediateOnly) {
                return (up, plug);
            }
            net.close(plug);
        }
        (Client::allocate(config, net.now), net.dial(port))
    }

    fn pump(&mut self, nth: usize, net: &mut Net) -> bool {
        let now = net.now;
        let hop = self.hop;
        let Link { down, plug, up, exchange, tunnel, down_over, over } = &mut self.links[nth];
        if *over {
            return false;
        }
        if let Some(tunnel) = tunnel {
            let moved = tunnel.step(net);
            *over = tunnel.over == [true; 2];
            return moved;
        }
        if *down_over {
            let moved = self.pump_up(nth, net);
            self.links[nth].over = self.links[nth].up.is_none();
            return moved;
        }
        let (mut moved, gone) = io!(down, *plug, net);
        down.connection().check_invariants();
        if gone {
            // A response that was sent whole is over on the other side, too, but for its end.
            *down_over = true;
            let whole = exchange.as_ref().is_some_and(|x| x.request_over)
                && matches!(down.wants().end, Some(End::Close(_)));
            if !whole && let Some((mut client, plug)) = up.take() {
                client.out(now).abort();
                net.reset(plug);
            }
            return true;
        }

        // Towards the origin. A new request is always welcome; content only where it can go.
        let room = match (&exchange, &mut *up) {
            (None, _) => usize::MAX,
            // The next request waits until this one's response is over on both sides.
            (Some(x), _) if x.request_over => 0,
            (Some(x), _) if x.collected.is_some() => usize::MAX,
            (Some(_), Some((client, _))) => client.out(now).room(),
            (Some(_), None) => 0,
        };
        let (event, mut out) = down.next(now, room);
        moved |= event.is_some();
        match event {
            Some(server::Event::Request(head)) => match forward::request(&head, &hop) {
                Err(refusal) => {
                    // As the final recipient where there is no status: enough for a test.
                    let status = refusal.status().unwrap_or(200);
                    out.reply(status, NO_FIELDS, b"").expect("room");
                }
                Ok(onward) => {
                    let waits = onward.continues();
                    *exchange = Some(Exchange {
                        head: head.as_bytes().to_vec(),
                        fresh: true,
                        retried: false,
                        collected: onward.content().is_none().then(Vec::new),
                        waits: waits == Continue::Relayed,
                        to_origin: onward.nominated(),
                        to_client: Nominated::NONE,
                        drops: false,
                        leaves: false,
                        request_over: false,
                        response_over: false,
                    });
                    if let Some(content) = onward.content() {
                        let mut new =
                            Self::connect(&mut self.pool, &self.client, self.upstream, net);
                        let (method, target) = (onward.method(), onward.target());
                        new.0
                            .out(now)
                            .request(method, target, onward.lines(), content)
                            .expect("fits");
                        *up = Some(new);
                    }
                    if waits == Continue::Own {
                        out.inform(100, NO_FIELDS).expect("room");
                    }
                    if waits != Continue::Relayed {
                        out.read_content();
                    }
                }
            },
            Some(server::Event::Content(content)) => {
                let x = exchange.as_mut().expect("content of a request");
                x.fresh = false;
                match (&mut x.collected, up.as_mut()) {
                    (Some(collected), _) => collected.extend(content),
                    (None, Some((client, _))) => {
                        assert_eq!(client.out(now).send(content), Ok(content.len()));
                    }
                    (None, None) => {}
                }
            }
            Some(server::Event::End(trailers)) => {
                if let Some(x) = exchange {
                    x.request_over = true;
                    if let Some(collected) = &x.collected {
                        let head = RequestHead::parse(&x.head).expect("read before");
                        let onward = forward::request(&head, &hop).expect("judged before");
                        let mut new =
                            Self::connect(&mut self.pool, &self.client, self.upstream, net);
                        let content = Content::Length(collected.len() as u64);
                        let (method, target) = (onward.method(), onward.target());
                        let mut to = new.0.out(now);
                        to.request(method, target, onward.lines(), content).expect("fits");
                        assert_eq!(to.send(collected), Ok(collected.len()));
                        *up = Some(new);
                    } else if let Some((client, _)) = up {
                        // Not now: it was stopped by an early response.
                        let _ = client.out(now).finish(forward::trailers(trailers, &x.to_origin));
                    }
                }
            }
            Some(server::Event::Failed(_)) => {
                // Half a request must not look like a whole one.
                if let Some((client, _)) = up {
                    client.out(now).abort();
                }
            }
            None => {}
        }

        moved | self.pump_up(nth, net)
    }

    /// Towards the client.
    fn pump_up(&mut self, nth: usize, net: &mut Net) -> bool {
        let now = net.now;
        let hop = self.hop;
        let Link { down, up, exchange, plug: down_plug, tunnel, .. } = &mut self.links[nth];
        let Some((client, plug)) = up else { return false };
        let plug = *plug;
        let (mut moved, gone) = io!(client, plug, net);
        client.connection().check_invariants();

        if let Some(x) = exchange
            && x.waits
            && client.wants().content
        {
            // The 100 came, or was waited for long enough.
            x.waits = false;
            down.out(now).read_content();
            moved = true;
        }
        // A head goes on when nothing waits before it: then it has all the space there is.
        let drops = exchange.as_ref().is_some_and(|x| x.drops);
        let room = match (down.wants().head, down.output().is_empty()) {
            _ if drops => usize::MAX,
            (true, false) => 0,
            (true, true) => usize::MAX,
            (false, _) => down.out(now).room(),
        };
        let mut again = false;
        let (event, mut client_out) = client.next(now, room);
        moved |= event.is_some();
        let mut out = down.out(now);
        match (event, exchange.as_mut()) {
            (Some(client::Event::Interim(head)), Some(_)) => {
                if let Ok(onward) = forward::response(&head, &hop) {
                    let _ = out.inform(onward.status().code, onward.lines());
                }
            }
            (Some(client::Event::Response(head)), Some(x)) => {
                match forward::response(&head, &hop) {
                    Err(refusal) => {
                        out.reply(refusal.status().unwrap_or(502), NO_FIELDS, b"").expect("room");
                        client_out.abort();
                    }
                    Ok(onward) => {
                        if !x.request_over && !client_out.wants().content {
                            out.skip_content();
                        }
                        x.to_client = onward.nominated();
                        x.drops = onward.drops_content();
                        let sent = out.respond(onward.status(), onward.lines(), onward.content());
                        x.leaves = sent.expect("a response is owed") == Plan::Tunnel;
                        // The client may not send what was not asked for.
                        if std::mem::take(&mut x.waits) {
                            x.request_over = true;
                        }
                    }
                }
            }
            (Some(client::Event::Content(content)), Some(x)) if !x.drops => {
                assert_eq!(out.send(content), Ok(content.len()));
            }
            (Some(client::Event::End(trailers)), Some(x)) => {
                if !x.drops {
                    // Not now: it is a tunnel.
                    let _ = out.finish(forward::trailers(trailers, &x.to_client));
                }
                x.response_over = true;
            }
            (Some(client::Event::Failed(failure)), Some(x)) => {
                let retry = client.retry(0);
                let replayable = x.fresh && !x.retried;
                if out.wants().head && retry.is_some_and(|r| r.allows(replayable)) {
                    again = true;
                    x.retried = true;
                } else if out.wants().head {
                    let status = forward::gateway_status(failure.kind);
                    out.reply(status, NO_FIELDS, b"").expect("room");
                    (x.request_over, x.response_over) = (true, true);
                } else {
                    out.abort();
                }
            }
            _ => {}
        }
        if again {
            if !gone {
                net.close(plug);
            }
            self.retries += 1;
            let x = exchange.as_ref().expect("an exchange");
            let head = RequestHead::parse(&x.head).expect("read before");
            let onward = forward::request(&head, &hop).expect("judged before");
            // S5.2: on a new connection.
            let mut new = (Client::allocate(&self.client, now), net.dial(self.upstream));
            let content = onward.content().expect("not collected");
            let (method, target) = (onward.method(), onward.target());
            new.0.out(now).request(method, target, onward.lines(), content).expect("fits");
            if x.request_over {
                new.0.out(now).finish(NO_FIELDS).expect("no content");
            }
            *up = Some(new);
            return true;
        }
        if gone {
            *up = None;
        }
        // Both sides left HTTP: what was read already goes first.
        if let Some((client, _)) = up
            && client.wants().end == Some(End::Tunnel)
            && down.wants().end == Some(End::Tunnel)
        {
            let to = [client.unread().to_vec(), down.unread().to_vec()];
            *tunnel = Some(Tunnel { ends: [*down_plug, plug], to, over: [false; 2] });
            return true;
        }
        if exchange.as_ref().is_some_and(|x| x.request_over && x.response_over && !x.leaves) {
            *exchange = None;
            if let Some((mut client, plug)) = up.take() {
                // A request that was not finished leaves its connection of no use.
                if client.wants().content {
                    client.out(now).abort();
                    net.reset(plug);
                } else {
                    self.pool.push((client, plug));
                }
            }
            moved = true;
        }
        moved
    }

    /// Idle connections go on living: they see EOF, and their time passes.
    fn tend(&mut self, net: &mut Net) -> bool {
        let mut moved = false;
        self.pool.retain_mut(|(client, plug)| {
            let (m, gone) = io!(client, *plug, net);
            let (event, _) = client.next(net.now, usize::MAX);
            assert!(event.is_none(), "an event without a request: {event:?}");
            client.connection().check_invariants();
            moved |= m;
            !gone
        });
        moved
    }
}

impl Node for Relay {
    fn step(&mut self, net: &mut Net) -> bool {
        let mut moved = false;
        while let Some(plug) = net.accept(self.port) {
            let down = Server::allocate(&self.server, net.now);
            let (up, exchange, tunnel) = (None, None, None);
            let (down_over, over) = (false, false);
            self.links.push(Link { down, plug, up, exchange, tunnel, down_over, over });
            moved = true;
        }
        for nth in 0..self.links.len() {
            moved |= self.pump(nth, net);
        }
        moved | self.tend(net)
    }

    fn deadline(&self) -> Option<Instant> {
        let live = self.links.iter().filter(|l| !l.over && l.tunnel.is_none());
        let downs = live.clone().filter(|l| !l.down_over).filter_map(|l| l.down.deadline());
        let ups = live.filter_map(|l| l.up.as_ref()).chain(&self.pool);
        downs.chain(ups.filter_map(|(client, _)| client.deadline())).map(|d| d.at).min()
    }

    fn is_done(&self) -> bool {
        self.links.iter().all(|link| link.over) && self.pool.is_empty()
    }
}

impl Tunnel {
    fn step(&mut self, net: &mut Net) -> bool {
        let mut moved = false;
        for (from, to) in [(0, 1), (1, 0)] {
            if self.over[from] {
                continue;
            }
            match net.read(self.ends[from], usize::MAX) {
                Read::Bytes(bytes) => self.to[to].extend(bytes),
                Read::Eof | Read::Reset if self.to[to].is_empty() => {
                    net.shut(self.ends[to]);
                    self.over[from] = true;
                }
                _ if self.to[to].is_empty() => continue,
                _ => {}
            }
            moved = true;
            if let Some(n) = net.write(self.ends[to], &self.to[to]) {
                self.to[to].drain(..n);
            }
        }
        if self.over == [true; 2] {
            self.ends.into_iter().for_each(|end| net.close(end));
        }
        moved
    }
}
