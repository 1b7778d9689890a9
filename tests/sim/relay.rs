//! A relay between a client and a server: a server's machine towards the one, a client's towards the
//! other, and [`keepalive::forward`] between them. It holds no content: what one side takes is the
//! room of the other.

use super::net::{Got, Link};
use super::plan::style;
use super::port::{Port, Style, at};
use super::server::Server;
use super::shared::{Shared, say};
use super::world;
use keepalive::forward::{self, Continue, Hop, Nominated};
use keepalive::{Content, Io, Lost, NO_FIELDS, RequestHead, Retire, client, server};

/// The way to the origin: our client, a link, and the server there.
#[derive(Debug)]
struct Back {
    port: Port<client::Connection>,
    link: Link,
    server: Server,
    /// No exchange goes over it any more.
    left: bool,
}

#[derive(Debug)]
struct Exchange {
    head: Vec<u8>,
    up: Content,
    nominated: Nominated,
    down_nominated: Nominated,
    continues: Continue,
    tries: u8,
    /// Content was taken that cannot be had again.
    taken: bool,
    /// The request came to its end on our side, well or not.
    received: bool,
    /// It goes upstream now.
    under_way: bool,
    /// The response has begun on its way down.
    begun: bool,
    over: bool,
    /// It is to be made again when this answer is over.
    again: bool,
}

#[derive(Debug)]
pub struct Relay {
    down: Port<server::Connection>,
    backs: Vec<Back>,
    ex: Option<Exchange>,
    name: u64,
}

fn hop() -> Hop<'static> {
    Hop::to_origin("relay").expect("a pseudonym")
}

impl Relay {
    pub fn new(now: u64, sh: &Shared, style: Style, name: u64) -> Self {
        let m = server::Connection::new(&sh.w.server, at(now));
        let down = Port::new(m, 1, sh.w.server.receive_buffer(), style);
        Self { down, backs: Vec::new(), ex: None, name }
    }

    pub fn is_over(&self) -> bool {
        self.down.ended.is_some() && self.backs.is_empty()
    }

    pub fn told(&self) -> String {
        let backs = self.backs.iter().map(|b| {
            let (up, far) = (&b.port, &b.server.port);
            format!(" // {:?} {:?} // {:?} {:?}", up.m, up.ended, far.m, far.ended)
        });
        format!("{:?} {:?}{}", self.down.m, self.down.ended, backs.collect::<String>())
    }

    pub fn next_event(&self) -> Option<u64> {
        let backs = self
            .backs
            .iter()
            .flat_map(|b| [b.link.next_event(), b.port.next_event(), b.server.next_event()]);
        backs.chain([self.down.next_event()]).flatten().min()
    }

    /// The origin restarts, not the relay.
    pub fn restart(&mut self, now: u64, gentle: bool) {
        for back in &mut self.backs {
            if gentle {
                back.server.drain(now);
            } else {
                back.link.abort(now, 1);
                back.server.port.ended = Some((keepalive::CloseReason::Aborted, true));
            }
        }
    }

    pub fn pump(&mut self, now: u64, link: &mut Link, sh: &mut Shared) -> bool {
        let mut any = false;
        if self.down.ended.is_none() && !self.down.is_asleep(now) {
            any |= self.down.read(now, link, &mut sh.rng);
            any |= self.take_from_client(now, sh);
            if self.down.expire(now, &mut sh.rng) {
                any = true;
                self.take_from_client(now, sh);
            }
            let mut out = [0; server::Connection::EMIT_ROOM];
            let n = self.down.m.emit(at(now), &mut out).expect("EMIT_ROOM is enough");
            self.down.tx.extend(&out[..n]);
            any |= n > 0;
        }
        any |= self.backs(now, sh);
        if self.down.ended.is_none() && !self.down.is_asleep(now) {
            any |= self.take_from_client(now, sh);
            any |= self.down.write(now, link, &mut sh.rng);
            if self.down.end(now, link) {
                any = true;
                if let Some(ended) = self.down.ended {
                    sh.closed(now, "relay, down", ended, self.down.lost);
                }
            }
        }
        any |= self.forsake(now);
        any
    }

    /// Nobody waits any more for what goes on upstream.
    fn forsake(&mut self, now: u64) -> bool {
        let mut any = false;
        let takes = self.backs.iter().any(|b| !b.left && b.port.m.wants().content);
        if let Some(ex) = &mut self.ex
            && ex.over
            && !ex.received
            && !takes
        {
            // What is still to come of the request, nobody takes.
            any = true;
            ex.received = true;
            self.down.m.skip_content(at(now));
            self.down.check();
        }
        let gone = self.down.ended.is_some() || self.down.m.wants().end.is_some();
        if gone && let Some(ex) = self.ex.take_if(|ex| !ex.over || gone) {
            any = true;
            if ex.under_way
                && let Some(back) = self.backs.iter_mut().find(|b| !b.left)
            {
                back.port.m.abort(at(now));
                back.port.tx.clear();
            }
        }
        if self.down.ended.is_some() {
            for back in self.backs.iter_mut().filter(|b| !b.left) {
                back.left = true;
                back.port.m.retire(at(now), Retire::Application);
                any = true;
            }
        }
        any
    }

    fn backs(&mut self, now: u64, sh: &mut Shared) -> bool {
        let mut any = false;
        for i in 0..self.backs.len() {
            let back = &mut self.backs[i];
            back.link.arrive(now);
            if back.port.ended.is_none() && !back.port.is_asleep(now) {
                any |= back.port.read(now, &mut back.link, &mut sh.rng);
                any |= self.take_from_server(now, i, sh);
                let back = &mut self.backs[i];
                if back.port.expire(now, &mut sh.rng) {
                    any = true;
                    self.take_from_server(now, i, sh);
                }
                self.ask_for_content(now, i);
                let back = &mut self.backs[i];
                any |= back.port.write(now, &mut back.link, &mut sh.rng);
                if back.port.end(now, &mut back.link) {
                    any = true;
                    if let Some(ended) = back.port.ended {
                        sh.closed(now, "relay, up", ended, back.port.lost);
                    }
                }
            }
            let back = &mut self.backs[i];
            any |= back.server.pump(now, &mut back.link, sh);
            any |= back.link.take_writable(0) | back.link.take_writable(1);
        }
        self.backs.retain(|b| b.port.ended.is_none() || b.server.port.ended.is_none());
        any
    }

    /// S8.8: without a 100, the machine says when it has waited long enough.
    fn ask_for_content(&mut self, now: u64, i: usize) {
        let back = &self.backs[i];
        if let Some(ex) = &mut self.ex
            && ex.under_way
            && !back.left
            && ex.continues == Continue::Relayed
            && back.port.m.wants().content
        {
            ex.continues = Continue::NotAsked;
            self.down.m.read_content(at(now));
        }
    }

    // ---- from the client ----

    fn take_from_client(&mut self, now: u64, sh: &mut Shared) -> bool {
        let mut any = false;
        loop {
            let space = sh.w.out.saturating_sub(self.down.tx.len());
            let room = match &self.ex {
                None => self.down.m.fits(space),
                // One after the other.
                Some(ex) if !ex.received => self.backs.iter().find(|b| !b.left).map_or(0, |b| {
                    let space = sh.w.out.saturating_sub(b.port.tx.len());
                    if b.port.m.wants().content { b.port.m.fits(space) } else { 0 }
                }),
                Some(_) => self.down.m.fits(space),
            };
            self.down.paused = room == 0;
            let down = &mut self.down;
            let step = down.m.receive(at(now), &down.rx, room);
            let consumed = step.consumed;
            let more = step.event.is_some();
            any |= more || consumed > 0;
            match step.event {
                None => {}
                Some(server::Event::Request(head)) => {
                    sh.stats.note("relayed requests");
                    assert!(self.ex.as_ref().is_none_or(|ex| ex.over), "S7.1: {:?}", self.ex);
                    let onward = forward::request(&head, &hop()).expect("an honest request");
                    self.ex = Some(Exchange {
                        head: head.as_bytes().to_vec(),
                        up: onward.content().expect("a next hop of 1.1"),
                        nominated: onward.nominated(),
                        down_nominated: Nominated::NONE,
                        continues: onward.continues(),
                        tries: 0,
                        taken: false,
                        received: false,
                        under_way: false,
                        begun: false,
                        over: false,
                        again: false,
                    });
                    down.rx.drain(..consumed);
                    self.set_out(now, sh);
                    continue;
                }
                Some(server::Event::Content(octets)) => {
                    let ex = self.ex.as_mut().expect("a request");
                    ex.taken = true;
                    let back = self.backs.iter_mut().find(|b| !b.left).expect("a way on");
                    let mut out = vec![0; sh.w.out + 64];
                    let moved = back.port.m.send(at(now), octets, &mut out).expect("room for it");
                    assert_eq!(moved.taken, octets.len(), "fits() promised more room");
                    back.port.tx.extend(&out[..moved.written]);
                }
                Some(server::Event::End(trailers)) => {
                    let ex = self.ex.as_mut().expect("a request");
                    ex.received = true;
                    if ex.up == Content::Unknown {
                        ex.taken = true;
                        let mut out = [0; 256];
                        if let Some(back) = self.backs.iter_mut().find(|b| !b.left)
                            && back.port.m.wants().content
                        {
                            let lines = forward::trailers(trailers, &ex.nominated);
                            let n = back.port.m.finish(at(now), lines, &mut out);
                            back.port.tx.extend(&out[..n.expect("room for the end")]);
                        }
                    }
                }
                Some(server::Event::Failed(failure)) => {
                    say!(sh, now, "relay {}: from the client, {failure:?}", self.name);
                    if let Some(ex) = &mut self.ex
                        && !ex.received
                    {
                        ex.received = true;
                        if ex.begun && !ex.over {
                            down.m.abort(at(now));
                            down.tx.clear();
                        }
                        ex.over = true;
                        if ex.under_way
                            && let Some(back) = self.backs.iter_mut().find(|b| !b.left)
                        {
                            back.left = true;
                            back.port.m.abort(at(now));
                            back.port.tx.clear();
                        }
                    }
                }
            }
            self.down.rx.drain(..consumed);
            self.down.check();
            if !more {
                return any;
            }
        }
    }

    /// Sends the request on its way, on a connection kept or a new one.
    fn set_out(&mut self, now: u64, sh: &mut Shared) {
        let Some(ex) = &mut self.ex else { return };
        ex.tries += 1;
        let fresh = ex.tries > 1;
        let mut way = None;
        for back in self.backs.iter_mut().filter(|b| !b.left) {
            let port = &mut back.port;
            let before = port.rx.len();
            let io = match back.link.read(0, port.cap, &mut port.rx) {
                Got::Octets => Io::Done(port.rx.len() - before),
                Got::Nothing => Io::Nothing,
                Got::Eof => Io::Done(0),
                Got::Reset => Io::Lost(Lost::Reset),
            };
            let reuse = port.m.checkout(at(now), io, &port.rx);
            use client::Reuse::{ImmediateOnly, Ready};
            if !fresh && way.is_none() && matches!(reuse, Ready { .. } | ImmediateOnly) {
                port.rx.clear();
                way = Some(());
            } else {
                back.left = true;
                port.m.retire(at(now), Retire::Application);
            }
        }
        if way.is_none() {
            let name = sh.rng.number() % 1_000_000;
            let link = world::link(sh, now, name);
            let config = sh.w.client.http10(false).one_shot(false).gateway(true);
            let m = client::Connection::new(&config, at(now));
            let port = Port::new(m, 0, config.receive_buffer(), style(&mut sh.rng, sh.w.calm));
            let far = style(&mut sh.rng, sh.w.calm);
            let server = Server::new(now, sh, far, name);
            say!(sh, now, "relay {}: connects to {name}, {:?}", self.name, link.fault);
            self.backs.push(Back { port, link, server, left: false });
        }
        let back = self.backs.iter_mut().find(|b| !b.left).expect("a way on");
        let head = RequestHead::parse(&ex.head).expect("a head that was read before");
        let hop = hop();
        let onward = forward::request(&head, &hop).expect("an honest request");
        let mut out = [0; 1024];
        let port = &mut back.port;
        let started = port.m.request(
            at(now),
            onward.method(),
            onward.target(),
            onward.lines(),
            ex.up,
            &mut out,
        );
        port.tx.extend(&out[..started.expect("a way that is free").written]);
        ex.under_way = true;
        ex.again = false;
        if ex.continues != Continue::Relayed {
            self.down.m.read_content(at(now));
        }
        port.check();
    }

    // ---- from the server ----

    fn take_from_server(&mut self, now: u64, i: usize, sh: &mut Shared) -> bool {
        let mut any = false;
        loop {
            let space = sh.w.out.saturating_sub(self.down.tx.len());
            let room = self.down.m.fits(space);
            let back = &mut self.backs[i];
            let mine = !back.left && self.ex.as_ref().is_some_and(|ex| ex.under_way);
            let room = if mine { room } else { usize::MAX };
            back.port.paused = room == 0;
            let step = back.port.m.receive(at(now), &back.port.rx, room);
            let (consumed, more) = (step.consumed, step.event.is_some());
            any |= more || consumed > 0;
            let mut fresh = false;
            if let Some(event) = step.event
                && mine
                && let Some(ex) = &mut self.ex
            {
                say!(sh, now, "relay {}: from the server, {}", self.name, told(&event));
                fresh = Self::heed(now, &mut self.down, &mut back.port.m, ex, event);
            }
            let back = &mut self.backs[i];
            back.port.rx.drain(..consumed);
            back.port.check();
            self.down.check();
            if fresh {
                back.left = true;
                back.port.m.retire(at(now), Retire::Application);
                self.set_out(now, sh);
            }
            if !more {
                return any;
            }
        }
    }

    /// One event from upstream. Tells whether the request is to be made again.
    fn heed(
        now: u64,
        down: &mut Port<server::Connection>,
        up: &mut client::Connection,
        ex: &mut Exchange,
        event: client::Event<'_>,
    ) -> bool {
        let mut out = [0; 9000];
        match event {
            client::Event::Interim(head) => {
                let onward = forward::response(&head, &hop()).map(|onward| onward.status().code);
                if down.m.wants().head && onward != Ok(100) {
                    let hop = hop();
                    let onward = forward::response(&head, &hop).expect("an honest response");
                    let n = down.m.inform(at(now), head.status(), onward.lines(), &mut out);
                    down.tx.extend(&out[..n.expect("an interim response")]);
                } else if down.m.wants().head && ex.continues == Continue::Relayed {
                    ex.continues = Continue::NotAsked;
                    let n = down.m.inform(at(now), 100, NO_FIELDS, &mut out);
                    down.tx.extend(&out[..n.expect("an interim response")]);
                    down.m.read_content(at(now));
                }
            }
            client::Event::Response(head) => {
                let replayable = !ex.taken && ex.tries < 2;
                if head.status() == 408 && up.retry(0).is_some_and(|v| v.allows(replayable)) {
                    ex.again = true;
                } else if down.m.wants().head {
                    let hop = hop();
                    let onward = forward::response(&head, &hop).expect("an honest response");
                    ex.down_nominated = onward.nominated();
                    // Nobody takes the rest: said before the head goes out, it is announced.
                    if !ex.received && !up.wants().content {
                        down.m.skip_content(at(now));
                    }
                    let started = down.m.respond(
                        at(now),
                        onward.status(),
                        onward.lines(),
                        onward.content(),
                        &mut out,
                    );
                    down.tx.extend(&out[..started.expect("a response that is owed").written]);
                    ex.begun = true;
                }
            }
            client::Event::Content(octets) => {
                if ex.begun && down.m.wants().content {
                    let moved = down.m.send(at(now), octets, &mut out).expect("content");
                    assert_eq!(moved.taken, octets.len(), "fits() promised more room");
                    down.tx.extend(&out[..moved.written]);
                } else {
                    up.skip_content(at(now));
                }
            }
            client::Event::End(trailers) => {
                if ex.again {
                    return true;
                }
                if ex.begun && down.m.wants().content {
                    let lines = forward::trailers(trailers, &ex.down_nominated);
                    let n = down.m.finish(at(now), lines, &mut out).expect("all of it came");
                    down.tx.extend(&out[..n]);
                }
                ex.over = true;
                ex.under_way = !ex.received && up.wants().content;
            }
            client::Event::Failed(failure) => {
                ex.under_way = false;
                let verdict = up.retry(0).expect("a verdict");
                let replayable = !ex.taken && ex.tries < 2;
                if !ex.begun && down.m.wants().head {
                    if verdict.allows(replayable) {
                        return true;
                    }
                    let status = forward::gateway_status(failure.kind);
                    let n = down.m.reply(at(now), status, NO_FIELDS, b"", &mut out);
                    down.tx.extend(&out[..n.expect("an answer that is owed")]);
                    ex.begun = true;
                } else if ex.begun && !ex.over {
                    // S9.7: never the last chunk.
                    down.m.abort(at(now));
                    down.tx.clear();
                }
                ex.over = true;
            }
        }
        false
    }
}

fn told(event: &client::Event<'_>) -> String {
    match event {
        client::Event::Content(octets) => format!("{} octets", octets.len()),
        event => format!("{event:?}"),
    }
}
