//! A network in memory: wires with two ends, a clock that only the loop moves, and peers that play a
//! script. Closing behaves as TCP does where that matters: who closes with bytes unread, or is written
//! to when gone, resets, and a reset destroys what the other end has not read.

use keepalive::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// An end of a wire: what it has to read, and what became of it.
#[derive(Default)]
struct Side {
    inbox: VecDeque<u8>,
    fin: bool,
    reset: bool,
    gone: bool,
}

/// An end of a wire, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plug(usize, usize);

pub enum Read {
    Bytes(Vec<u8>),
    Eof,
    Reset,
    Nothing,
}

pub struct Net {
    pub now: Instant,
    /// Octets that one read or write moves at most.
    pub cut: usize,
    wires: Vec<[Side; 2]>,
    /// Connections dialled and not yet accepted, by port.
    backlog: Vec<(u16, Plug)>,
}

impl Net {
    pub fn new(cut: usize) -> Self {
        Self { now: Instant::from_millis(1_000), cut, wires: Vec::new(), backlog: Vec::new() }
    }

    pub fn dial(&mut self, port: u16) -> Plug {
        let wire = self.wires.len();
        self.wires.push(Default::default());
        self.backlog.push((port, Plug(wire, 1)));
        Plug(wire, 0)
    }

    pub fn accept(&mut self, port: u16) -> Option<Plug> {
        let at = self.backlog.iter().position(|b| b.0 == port)?;
        Some(self.backlog.remove(at).1)
    }

    fn pair(&mut self, p: Plug) -> (&mut Side, &mut Side) {
        let [a, b] = &mut self.wires[p.0];
        if p.1 == 0 { (a, b) } else { (b, a) }
    }

    pub fn read(&mut self, p: Plug, max: usize) -> Read {
        let max = max.min(self.cut);
        let (me, _) = self.pair(p);
        if me.reset {
            Read::Reset
        } else if !me.inbox.is_empty() && max > 0 {
            let n = max.min(me.inbox.len());
            Read::Bytes(me.inbox.drain(..n).collect())
        } else if me.inbox.is_empty() && me.fin {
            Read::Eof
        } else {
            Read::Nothing
        }
    }

    /// `None`: the write failed.
    pub fn write(&mut self, p: Plug, bytes: &[u8]) -> Option<usize> {
        let n = bytes.len().min(self.cut);
        let (me, peer) = self.pair(p);
        if me.reset {
            return None;
        }
        if peer.gone {
            me.reset = true;
            me.inbox.clear();
        } else {
            peer.inbox.extend(&bytes[..n]);
        }
        Some(n)
    }

    pub fn shut(&mut self, p: Plug) {
        self.pair(p).1.fin = true;
    }

    pub fn close(&mut self, p: Plug) {
        let (me, peer) = self.pair(p);
        me.gone = true;
        if me.inbox.is_empty() {
            peer.fin = true;
        } else {
            peer.reset = true;
            peer.inbox.clear();
        }
    }

    pub fn reset(&mut self, p: Plug) {
        let (me, peer) = self.pair(p);
        me.gone = true;
        peer.reset = true;
        peer.inbox.clear();
    }
}

/// Something on the network that moves when it can.
pub trait Node {
    /// Whether anything moved.
    fn step(&mut self, net: &mut Net) -> bool;
    /// When it is to be stepped again, though nothing comes.
    fn deadline(&self) -> Option<Instant>;
    /// Whether all its connections have ended.
    fn is_done(&self) -> bool;
}

/// Runs until all nodes are done: how much time went by. Panics where nothing can move any more, and
/// where it takes longer than the longest timer chain there is.
pub fn run(net: &mut Net, nodes: &mut [&mut dyn Node]) -> Duration {
    let start = net.now;
    for _ in 0..2_000_000 {
        let mut moved = false;
        for node in nodes.iter_mut() {
            moved |= node.step(net);
        }
        if moved {
            continue;
        }
        if nodes.iter().all(|node| node.is_done()) {
            assert!(net.backlog.is_empty(), "a connection that nobody accepts");
            return net.now.since(start);
        }
        let next = nodes.iter().filter_map(|node| node.deadline()).min();
        let stuck: Vec<usize> = (0..nodes.len()).filter(|&n| !nodes[n].is_done()).collect();
        let next = next.unwrap_or_else(|| panic!("nodes {stuck:?} hang"));
        net.now = net.now.max(next);
        assert!(net.now.since(start) < Duration::from_secs(3600), "nodes {stuck:?} take for ever");
    }
    panic!("the loop spins at {:?}", net.now.since(start));
}

/// What a scripted peer does next.
#[derive(Clone, Debug)]
pub enum Act {
    /// Waits until this has come, behind what was waited for before.
    Await(&'static str),
    Send(Vec<u8>),
    Sleep(u64),
    /// Closes the sending side.
    Shut,
    Close,
    Reset,
}

pub fn send(text: &str) -> Act {
    Act::Send(text.as_bytes().to_vec())
}

/// A connection with a script. When the script is over it reads to the end and closes.
pub struct Raw {
    plug: Plug,
    pub got: Vec<u8>,
    /// What was waited for before, and what was looked through since.
    seen: usize,
    searched: usize,
    script: VecDeque<Act>,
    wake: Option<Instant>,
    pub eof: bool,
    pub reset: bool,
    pub closed: bool,
}

impl Raw {
    pub fn new(plug: Plug, script: impl IntoIterator<Item = Act>) -> Self {
        Self {
            plug,
            got: Vec::new(),
            seen: 0,
            searched: 0,
            script: script.into_iter().collect(),
            wake: None,
            eof: false,
            reset: false,
            closed: false,
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.got).into_owned()
    }

    fn act(&mut self, net: &mut Net) -> bool {
        let Some(act) = self.script.front_mut() else {
            if self.eof || self.reset {
                net.close(self.plug);
                self.closed = true;
                return true;
            }
            return false;
        };
        match act {
            Act::Await(what) => {
                let what = what.as_bytes();
                let from = self.searched.saturating_sub(what.len()).max(self.seen);
                let rest = &self.got[from..];
                let Some(at) = rest.windows(what.len()).position(|w| w == what) else {
                    assert!(
                        !self.eof && !self.reset,
                        "{:?} never came: {what:?}\n{}",
                        net.now,
                        self.text()
                    );
                    self.searched = self.got.len();
                    return false;
                };
                self.seen = from + at + what.len();
            }
            Act::Send(bytes) => {
                let n = net.write(self.plug, bytes);
                bytes.drain(..n.unwrap_or(bytes.len()));
                if !bytes.is_empty() {
                    return true;
                }
            }
            Act::Sleep(seconds) => {
                let until = *self.wake.get_or_insert(net.now + Duration::from_secs(*seconds));
                if net.now < until {
                    return false;
                }
                self.wake = None;
            }
            Act::Shut => net.shut(self.plug),
            Act::Close => {
                net.close(self.plug);
                self.closed = true;
            }
            Act::Reset => {
                net.reset(self.plug);
                self.closed = true;
            }
        }
        self.script.pop_front();
        true
    }
}

impl Node for Raw {
    fn step(&mut self, net: &mut Net) -> bool {
        if self.closed {
            return false;
        }
        let read = match net.read(self.plug, usize::MAX) {
            Read::Bytes(bytes) => {
                self.got.extend(bytes);
                true
            }
            Read::Eof => !std::mem::replace(&mut self.eof, true),
            Read::Reset => !std::mem::replace(&mut self.reset, true),
            Read::Nothing => false,
        };
        self.act(net) || read
    }

    fn deadline(&self) -> Option<Instant> {
        self.wake
    }

    fn is_done(&self) -> bool {
        self.closed
    }
}

/// A server that plays one script for each connection, in order of arrival.
pub struct RawServer {
    port: u16,
    scripts: VecDeque<Vec<Act>>,
    pub conns: Vec<Raw>,
}

impl RawServer {
    pub fn new(port: u16, scripts: impl IntoIterator<Item = Vec<Act>>) -> Self {
        Self { port, scripts: scripts.into_iter().collect(), conns: Vec::new() }
    }

    /// All that came on the `nth` connection.
    pub fn got(&self, nth: usize) -> String {
        self.conns[nth].text()
    }
}

impl Node for RawServer {
    fn step(&mut self, net: &mut Net) -> bool {
        let mut moved = false;
        while let Some(plug) = net.accept(self.port) {
            let script = self.scripts.pop_front().expect("a connection more than expected");
            self.conns.push(Raw::new(plug, script));
            moved = true;
        }
        self.conns.iter_mut().fold(moved, |moved, conn| conn.step(net) || moved)
    }

    fn deadline(&self) -> Option<Instant> {
        self.conns.iter().filter_map(Node::deadline).min()
    }

    fn is_done(&self) -> bool {
        self.conns.iter().all(Node::is_done)
    }
}
