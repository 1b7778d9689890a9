//! Receiving one head.

use crate::inputs;
use crate::measure::Group;
use crate::table::{Goal, Row};
use keepalive::{Instant, RequestHead, server};
use std::hint::black_box;
use std::mem::MaybeUninit;

const NOW: Instant = Instant::from_micros(0);

/// How many slots httparse gets: enough for all inputs. They are not initialised, which is the
/// faster of its two ways.
pub const SLOTS: usize = 64;

/// Parses with httparse, and hands on what it found.
#[inline]
pub fn httparse<R>(bytes: &[u8], then: impl FnOnce(&httparse::Request<'_, '_>, usize) -> R) -> R {
    let mut slots = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; SLOTS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut slots) {
        Ok(httparse::Status::Complete(n)) => then(&request, n),
        other => panic!("httparse: {other:?}"),
    }
}

/// Goals for receiving, and for receiving and then visiting every field line.
const GOALS: [(&str, f64, f64); 6] = [
    ("tiny", 0.85, 1.0),
    ("te", 0.80, 1.0),
    ("pico", 0.55, 1.0),
    ("chrome", 0.45, 1.0),
    ("cookie4k", 0.30, 1.0),
    ("corpus", 0.40, 0.6),
];

pub fn add(groups: &mut Vec<Group>, rows: &mut Vec<Row>) {
    for (name, messages) in inputs::requests() {
        let units = messages.len();
        let messages: &'static [Vec<u8>] = messages.leak();
        let config = server::Config::origin();
        let idle = server::Connection::new(&config, NOW);
        let idle2 = idle.clone();
        groups.push(
            Group::new("head", name)
                .side("receive", units, move |turns| {
                    for _ in 0..turns {
                        for bytes in messages {
                            let mut conn = black_box(&idle).clone();
                            let step = conn.receive(NOW, black_box(bytes), usize::MAX);
                            black_box(&step);
                            black_box(&conn);
                        }
                    }
                })
                .side("parse", units, move |turns| {
                    for _ in 0..turns {
                        for bytes in messages {
                            black_box(&RequestHead::parse(black_box(bytes)));
                        }
                    }
                })
                .side("visit", units, move |turns| {
                    for _ in 0..turns {
                        for bytes in messages {
                            let mut conn = black_box(&idle2).clone();
                            let step = conn.receive(NOW, black_box(bytes), usize::MAX);
                            let Some(server::Event::Request(head)) = black_box(&step).event else {
                                panic!("no request");
                            };
                            for line in head.fields() {
                                black_box((line.name, line.value));
                            }
                            black_box(&conn);
                        }
                    }
                })
                .side("httparse", units, move |turns| {
                    for _ in 0..turns {
                        for bytes in messages {
                            httparse(black_box(bytes), |request, n| {
                                black_box((request, n));
                            });
                        }
                    }
                }),
        );
        let &(_, receive, visit) = GOALS.iter().find(|g| g.0 == name).expect("a goal");
        let row = |what, ours, goal| Row {
            what,
            group: "head",
            input: name,
            ours,
            peer: "httparse",
            goal,
        };
        rows.push(row("receive a head", "receive", Goal::Ratio(receive)));
        rows.push(row("RequestHead::parse", "parse", Goal::None));
        rows.push(row("receive, visit every field", "visit", Goal::Ratio(visit)));
    }
}
