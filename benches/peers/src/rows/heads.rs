//! Receiving one head: ours with framing and persistence decided, held against parsing alone.

use super::{Goal, Row};
use crate::inputs;
use crate::measure::{Group, Groups};
use crate::sides::{http_net, httparse, ours, pico, ureq};
use keepalive::{RequestHead, client, server};
use std::hint::black_box;

/// Input; receiving; receiving and then visiting every field line: ours divided by httparse, which
/// only parses.
const GOALS: [(&str, f64, f64); 6] = [
    ("tiny", 0.85, 1.0),
    ("te", 0.80, 1.0),
    ("pico", 0.55, 1.0),
    ("chrome", 0.45, 1.0),
    ("cookie4k", 0.30, 1.0),
    ("corpus", 0.40, 0.6),
];

/// Peers that are told for comparison: their side, and their name in the table.
const OTHERS: [(&str, &str); 5] = [
    ("glue", "httparse and glue"),
    ("pico", "picohttpparser"),
    ("http-net parse", "http-net, parser alone"),
    ("http-net", "http-net"),
    ("ureq-proto", "ureq-proto"),
];

pub fn add(groups: &mut Groups, rows: &mut Vec<Row>) {
    for (name, messages) in inputs::requests() {
        let messages: &'static [Vec<u8>] = messages.leak();
        let (idle, idle_too) = (ours::idle(), ours::idle());
        let (mut parser, mut conn) = (http_net::Parser::new(), http_net::Server::new());
        groups.add(
            Group::new("head", name)
                .over("receive", messages, move |bytes| {
                    let mut conn = black_box(&idle).clone();
                    let step = conn.receive(ours::NOW, bytes, usize::MAX);
                    assert!(matches!(step.event, Some(server::Event::Request(_))));
                    black_box((&step, &conn));
                })
                .over("parse", messages, |bytes| {
                    black_box(&RequestHead::parse(bytes));
                })
                .over("visit", messages, move |bytes| {
                    let mut conn = black_box(&idle_too).clone();
                    let step = conn.receive(ours::NOW, bytes, usize::MAX);
                    let Some(server::Event::Request(head)) = &step.event else { panic!("ours") };
                    for line in head.fields() {
                        black_box((line.name, line.value));
                    }
                    black_box((&step, &conn));
                })
                .over("httparse", messages, httparse::parse_only)
                .over("httparse visit", messages, httparse::visit)
                .over("glue", messages, |bytes| {
                    black_box(httparse::glued(bytes));
                })
                .over("pico", messages, pico::parse_only)
                .over("http-net parse", messages, move |bytes| parser.request(bytes))
                .over("http-net", messages, move |bytes| conn.receive(bytes))
                .over("ureq-proto", messages, ureq::receive),
        );
        let &(_, receive, visit) = GOALS.iter().find(|g| g.0 == name).expect("a goal");
        let side = |side| ("head", name, side);
        let mut row = |what, ours, theirs, peer, goal| {
            rows.push(Row::pair(what, side(ours), side(theirs), peer, goal));
        };
        row("receive a head", "receive", "httparse", "httparse", Goal::Ratio(receive));
        row("receive, visit the fields", "visit", "httparse", "httparse", Goal::Ratio(visit));
        row("RequestHead::parse", "parse", "httparse", "httparse", Goal::None);
        for (theirs, peer) in OTHERS {
            row("receive a head, others", "receive", theirs, peer, Goal::None);
        }
        row("visit, others", "visit", "httparse visit", "httparse, visiting", Goal::None);
    }
    response(groups, rows);
}

fn response(groups: &mut Groups, rows: &mut Vec<Row>) {
    let mut waiting = ours::Client::new();
    waiting.request();
    let waiting = waiting.conn;
    let messages: &'static [Vec<u8>] = vec![inputs::RESPONSE.to_vec()].leak();
    let mut parser = http_net::Parser::new();
    groups.add(
        Group::new("response", "12 fields")
            .over("receive", messages, move |bytes| {
                let mut conn = black_box(&waiting).clone();
                let step = conn.receive(ours::NOW, bytes, usize::MAX);
                assert!(matches!(step.event, Some(client::Event::Response(_))));
                black_box((&step, &conn));
            })
            .over("httparse", messages, httparse::parse_response)
            .over("http-net", messages, move |bytes| parser.response(bytes)),
    );
    let ours = ("response", "12 fields", "receive");
    for peer in ["httparse", "http-net"] {
        let theirs = ("response", "12 fields", peer);
        rows.push(Row::pair("receive a response head", ours, theirs, peer, Goal::None));
    }
}
