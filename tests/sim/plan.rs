//! What is to happen: jobs for the clients, and how the server treats each; made from the seed, one
//! stream of chance for each job, so that a world with fewer jobs has the same ones.

use super::port::Style;
use super::rng::Rng;
use keepalive::server::KeepAliveField;
use keepalive::{Content, client, server};
use std::time::Duration;

pub const MS: u64 = 1_000;
pub const SEC: u64 = 1_000_000;

/// How the server's application treats the content of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All of it, then it answers.
    All,
    /// None: it answers at once.
    Unread,
    /// It answers when so much has come, and reads on.
    Early(usize),
    /// It skips the rest when so much has come, and then answers.
    Skip(usize),
    /// It sends it back as it comes.
    Echo,
}

/// One exchange.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: u32,
    pub method: &'static str,
    pub up: Content,
    pub up_len: usize,
    pub expect: bool,
    pub says_close: bool,
    pub half_close: bool,
    pub status: u16,
    pub down: Content,
    pub down_len: usize,
    pub trailers: bool,
    pub interims: u8,
    pub reading: Reading,
    /// How long the server thinks, and how long the reader of either side rests now and then.
    pub think: u64,
    pub rest: u64,
    pub server_closes: bool,
    /// The server fails behind so much content.
    pub server_aborts: Option<usize>,
    pub client_skips: Option<usize>,
    pub client_aborts: Option<usize>,
    /// When it is made.
    pub start: u64,
}

pub const IDEMPOTENT: &[&str] = &["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];

impl Job {
    pub fn is_idempotent(&self) -> bool {
        IDEMPOTENT.contains(&self.method)
    }

    /// Content that the client is to receive.
    pub fn expected(&self) -> usize {
        if self.method == "HEAD" || matches!(self.status, 204 | 304) { 0 } else { self.down_len }
    }
}

/// What a world is like.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Nothing goes wrong, and every delay is short: then no job may fail.
    pub calm: bool,
    pub relay: bool,
    pub http10: bool,
    pub pipeline: bool,
    pub pool: usize,
    pub server: server::Config,
    pub client: client::Config,
    pub delay: u64,
    pub jitter: u64,
    pub window: usize,
    /// How many links in a thousand are faulty.
    pub faulty: u64,
    /// When the server restarts, gently or not.
    pub restart: Option<(u64, bool)>,
    pub out: usize,
    pub discard: usize,
}

fn content(rng: &mut Rng) -> (Content, usize) {
    let n = match rng.below(20) {
        0..3 => 0,
        3..12 => rng.range(1, 40),
        12..18 => rng.range(40, 900),
        _ if rng.chance(900) => rng.range(900, 5_000),
        _ => rng.range(5_000, 30_000),
    };
    if rng.chance(500) { (Content::Length(n), n as usize) } else { (Content::Unknown, n as usize) }
}

pub fn weather(seed: u64) -> Weather {
    let mut rng = Rng::of(seed, 1);
    let r = &mut rng;
    let calm = r.chance(350);
    let relay = r.chance(250);
    let ms = Duration::from_millis;
    let discard = r.pick(&[256 * 1024, 256 * 1024, 0, 100, 1000]);
    let mut server = server::Config::origin()
        .max_requests(r.pick(&[1000, 1000, 1000, 0, 0, 1, 2, 3, 7]))
        .discard(discard)
        .keep_alive_field(r.pick(&[
            KeepAliveField::OnOption,
            KeepAliveField::OnOption,
            KeepAliveField::Always,
            KeepAliveField::Never,
        ]))
        .echo_version(r.chance(100));
    let http10 = r.chance(120);
    let pipeline = !http10 && r.chance(500);
    let mut client = client::Config::direct()
        .pipeline(pipeline)
        .http10(http10)
        .one_shot(r.chance(30))
        .discard(r.pick(&[1 << 20, 1 << 20, 0, 50, 500]), ms(2000))
        .early_finish(r.pick(&[65536, 65536, 0, 100, 1000]))
        .continue_wait(ms(r.pick(&[1000, 1, 30])));
    if calm {
        server = server.idle(ms(r.pick(&[75_000, 8_000, 20_000, 6_500])));
    } else {
        server = server
            .idle(ms(r.pick(&[75_000, 75_000, 8_000, 3_000, 1_000, 50, 0])))
            .grace(ms(r.pick(&[5_000, 1_000, 0])))
            .lifetime(r.pick(&[Some(ms(3_600_000)), Some(ms(2_000)), Some(ms(100)), None]))
            .request_total(r.pick(&[None, None, Some(ms(5_000))]))
            .head(ms(r.pick(&[30_000, 30_000, 500])))
            .content_stall(ms(r.pick(&[60_000, 1_000])))
            .linger(ms(r.pick(&[5_000, 100])), ms(r.pick(&[30_000, 500])))
            .abort_on_eof(r.chance(100));
        client = client
            .margin(ms(r.pick(&[1_000, 0, 100])))
            .idle(ms(r.pick(&[4_000, 60_000])))
            .head_wait(ms(r.pick(&[300_000, 300_000, 20_000, 300])))
            .content_stall(ms(r.pick(&[300_000, 1_000])))
            .lifetime(r.pick(&[None, None, Some(ms(3_000))]))
            .retry_fresh(r.chance(100))
            .doubt_close(r.chance(100));
    }
    let window = r.pick(&[65536, 65536, 65536, 4096, 700, 90]) as usize;
    // S3: a network that is slower than the minimum rate is not calm.
    let slow = calm && window < 4096;
    Weather {
        calm,
        relay,
        http10,
        pipeline,
        pool: r.range(1, 3) as usize,
        server,
        client,
        delay: r.pick(if slow { &[0, 100] } else { &[0, 100, MS, 20 * MS, 60 * MS] }),
        jitter: r.pick(if slow { &[0, 50] } else { &[0, 50, 5 * MS, 40 * MS] }),
        window,
        faulty: if calm { 0 } else { r.pick(&[0, 100, 300, 900]) },
        restart: (!calm && r.chance(250)).then(|| (r.range(1, 20 * SEC), r.chance(600))),
        discard: discard as usize,
        out: r.pick(&[8192, 8192, 1400, 1024]),
    }
}

pub fn style(rng: &mut Rng, calm: bool) -> Style {
    let fine = |r: &mut Rng| r.pick(&[1 << 20, 1 << 20, 1 << 20, 1 << 20, 600, 40]) as usize;
    let mut style = Style {
        read: fine(rng),
        write: fine(rng),
        lazy: rng.pick(&[0, 30, 200]),
        nap: rng.pick(&[10, 2 * MS, 20 * MS]),
    };
    // S2.3, S3: a client is idle from the last octet that it read, a server from the last one that was taken
    // off it. Who reads more slowly than the margin allows, while the rest waits in the network, runs into
    // a connection that the server has closed: that is no bad luck, and not calm.
    if calm && style.read < 4096 {
        style.nap = 10;
    }
    style
}

pub fn job(seed: u64, id: u32, w: &Weather, clock: &mut u64) -> Job {
    let mut rng = Rng::of(seed, 1000 + u64::from(id));
    let r = &mut rng;
    let rough = !w.calm;
    let method = r.pick(&["GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS"]);
    let (mut up, mut up_len) = match method {
        "POST" | "PUT" => content(r),
        _ if r.chance(30) => content(r),
        _ => (Content::None, 0),
    };
    if w.http10 && up == Content::Unknown {
        up = Content::Length(up_len as u64);
    }
    let (mut down, mut down_len) = content(r);
    let mut status = r.pick(&[200, 200, 200, 200, 404, 500, 204, 304, 417, 503]);
    let mut reading = match r.below(12) {
        0..6 => Reading::All,
        6..8 => Reading::Unread,
        8 => Reading::Early(r.below(60) as usize),
        9 => Reading::Skip(r.below(60) as usize),
        _ => Reading::Echo,
    };
    // S1.3-14: content still wanted when the response is over closes the connection unannounced.
    // S1.5: and a close-delimited one may end no sooner than the request.
    let endless = w.http10 && down == Content::Unknown;
    let unsure = up == Content::Unknown || up_len > w.discard || endless;
    let early = matches!(reading, Reading::Early(_));
    let early = early || reading == Reading::Echo && method == "HEAD";
    if w.calm && unsure && (early || w.relay && reading != Reading::Echo) {
        reading = Reading::All;
    }
    if matches!(status, 204 | 304) {
        (down, down_len) = (Content::None, 0);
    }
    if up == Content::None {
        up_len = 0;
    }
    if reading == Reading::Echo && up_len > 0 {
        // S2.5: with 300 or more the client stops sending, and would wait for what it stopped.
        status = 200;
        (down, down_len) = (Content::Unknown, up_len);
    }
    *clock += match r.below(10) {
        0..5 => r.below(2 * MS),
        5..8 => r.below(100 * MS),
        8 => r.below(6 * SEC),
        // Near to where idle connections end.
        _ => {
            let near = [50 * MS, SEC, 3 * SEC, 4 * SEC, 6_500 * MS, 7 * SEC, 8 * SEC, 20 * SEC];
            r.pick(&near) + r.below(150 * MS)
        }
    };
    let cut = |r: &mut Rng, per_mille, n: usize| {
        r.chance(per_mille).then(|| r.below(n as u64 + 1) as usize)
    };
    Job {
        id,
        method,
        up,
        up_len,
        expect: up_len > 0 && !w.http10 && r.chance(250),
        says_close: r.chance(60),
        half_close: r.chance(30) && !w.relay,
        status,
        down,
        down_len,
        trailers: r.chance(300),
        interims: if r.chance(100) && !w.http10 { r.range(1, 3) as u8 } else { 0 },
        reading,
        think: match r.below(20) {
            0..12 => 0,
            12..19 => r.below(50 * MS),
            _ if rough => r.below(400 * SEC),
            _ => r.below(SEC),
        },
        rest: if r.chance(100) { r.below(if rough { 90 * SEC } else { SEC }) } else { 0 },
        server_closes: r.chance(40),
        server_aborts: if rough { cut(r, 20, down_len) } else { None },
        // What is skipped beyond the budget takes with it what is pipelined behind.
        client_skips: cut(r, 40, down_len).filter(|_| rough || !w.pipeline),
        client_aborts: if rough { cut(r, 15, down_len) } else { None },
        start: *clock,
    }
}

const CYCLE: usize = 251;
const REACH: usize = 32 * 1024;

/// Content that says whose it is: octets of a cycle, begun at a place that depends on the request.
pub fn pattern(id: u32, down: bool, from: usize, n: usize) -> &'static [u8] {
    static ALL: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let all = ALL.get_or_init(|| (0..CYCLE + REACH).map(|i| (i % CYCLE) as u8).collect());
    let begin = (id as usize * 37 + if down { 120 } else { 0 } + from) % CYCLE;
    &all[begin..begin + n.min(REACH)]
}
