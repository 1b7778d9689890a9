//! A head that comes in steps: the cost of an octet must not grow with the head.

use super::{Goal, Row};
use crate::inputs;
use crate::measure::{Group, Groups};
use crate::sides::{http_net, httparse, hyper, ours};
use keepalive::server;
use std::hint::black_box;

/// Nanoseconds an octet, one at a time; and what twice the length may cost at any step.
const OCTET: f64 = 2.5;
const DOUBLE: f64 = 2.1;

/// Instructions an octet, one at a time: from the stored counts.
const INSTRUCTIONS: f64 = 80.0;

/// Steps in octets, with what the whole costs in them against the whole at once.
const STEPS: [(usize, &str, Goal); 5] = [
    (1, "by 1 B", Goal::None),
    (16, "by 16 B", Goal::None),
    (64, "by 64 B", Goal::Ratio(1.5)),
    (256, "by 256 B", Goal::None),
    (1460, "by 1460 B", Goal::Ratio(1.05)),
];

fn drip(idle: &server::Connection, head: &[u8], step: usize) {
    let mut conn = black_box(idle).clone();
    let mut end = 0;
    while end < head.len() {
        end = (end + step).min(head.len());
        let step = conn.receive(ours::NOW, black_box(&head[..end]), usize::MAX);
        assert!(step.event.is_some() == (end == head.len()), "ours: {step:?}");
    }
    black_box(&conn);
}

pub fn add(groups: &mut Groups, rows: &mut Vec<Row>) {
    let short: &'static [u8] = inputs::long_head(8 * 1024).leak();
    let long: &'static [u8] = inputs::long_head(16 * 1024).leak();
    let side = |head: &'static [u8], step| {
        let idle = ours::patient();
        move |turns: u32| (0..turns).for_each(|_| drip(&idle, head, step))
    };
    groups.add(Group::new("drip", "at once").side("8 KiB", 1, side(short, short.len())));
    for (step, name, goal) in STEPS {
        let mut group = Group::new("drip", name).side("8 KiB", 1, side(short, step)).side(
            "16 KiB",
            1,
            side(long, step),
        );
        if step == 1 {
            let (mut net, mut hyper) = (http_net::Server::patient(), hyper::Server::patient());
            group = group
                .side("http-net", 1, move |turns| {
                    (0..turns).for_each(|_| net.drip(short, 1));
                })
                .side("hyper", 1, move |turns| {
                    (0..turns).for_each(|_| hyper.drip(short, 1));
                })
                .side("httparse", 1, move |turns| {
                    let times = short.len() / httparse::SAMPLE;
                    (0..turns).for_each(|_| assert!(httparse::drip(short) == times));
                });
        }
        groups.add(group);
        let ours = ("drip", name, "8 KiB");
        let double = ("drip", name, "16 KiB");
        let peer = "the same, half as long";
        rows.push(Row::pair("twice the head, in steps", double, ours, peer, Goal::Ratio(DOUBLE)));
        let whole = ("drip", "at once", "8 KiB");
        rows.push(Row::pair("8 KiB head, in steps", ours, whole, "the same at once", goal));
    }
    let name = STEPS[0].1;
    let octets = short.len() as f64;
    let ours = ("drip", name, "8 KiB");
    let row = |peer: &'static str, goal, theirs: Option<&'static str>| {
        Row::value("a head by the octet", "8144 B", peer, "ns/octet", goal, move |g| {
            let an_octet = |side| {
                let sampled = if side == "httparse" { httparse::SAMPLE as f64 } else { 1.0 };
                g.ns("drip", name, side).map(|ns| ns * sampled / octets)
            };
            (an_octet("8 KiB"), theirs.and_then(an_octet))
        })
        .needs([ours])
        .needs(theirs.map(|side| ("drip", name, side)))
    };
    rows.push(row("", Goal::Most(OCTET), None));
    for peer in ["http-net", "hyper", "httparse"] {
        rows.push(row(peer, Goal::None, Some(peer)));
    }
    rows.push(Row::value(
        "a head by the octet, counted",
        "8144 B",
        "",
        "instr/octet",
        Goal::Most(INSTRUCTIONS),
        move |_| (stored("drip-1").map(|n| n / octets), None),
    ));
}

/// A count that `.ci/instructions` keeps.
fn stored(case: &str) -> Option<f64> {
    let counts = concat!(env!("CARGO_MANIFEST_DIR"), "/../instructions.txt");
    let counts = std::fs::read_to_string(counts).ok()?;
    counts.lines().find_map(|line| {
        let (name, count) = line.split_once(char::is_whitespace)?;
        (name == case).then(|| count.trim().parse().ok()).flatten()
    })
}
