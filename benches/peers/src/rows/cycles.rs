//! Whole exchanges on a kept connection, in both roles.

use super::{Goal, Row};
use crate::inputs;
use crate::measure::{Group, Groups};
use crate::sides::{h11, http_net, httparse, hyper, ours, ureq};

/// Input; ours divided by httparse, which only parses; and how many times faster than http-net, hyper
/// and h11, which do the same.
const GOALS: [(&str, Option<f64>, f64, f64, f64); 6] = [
    ("tiny", Some(1.6), 3.0, 10.0, 400.0),
    ("te", Some(1.15), 3.0, 10.0, 400.0),
    ("pico", Some(0.75), 3.0, 10.0, 400.0),
    ("chrome", Some(0.60), 3.0, 10.0, 400.0),
    ("cookie4k", None, 3.0, 6.0, 400.0),
    ("corpus", Some(0.45), 4.0, 10.0, 400.0),
];

/// The client's exchange against http-net's.
const CLIENT: f64 = 2.5;

/// How deep requests are pipelined.
const DEEP: usize = 16;

pub fn add(groups: &mut Groups, rows: &mut Vec<Row>) {
    for (name, messages) in inputs::requests() {
        let messages: &'static [Vec<u8>] = messages.leak();
        let (mut ours, mut net) = (ours::Server::new(), http_net::Server::new());
        let (mut hyper, mut ureq) = (hyper::Server::new(), ureq::Server::new());
        groups.add(
            Group::new("cycle", name)
                .over("ours", messages, move |bytes| assert!(ours.serve(bytes) == 1))
                .over("httparse", messages, httparse::parse_only)
                .over("http-net", messages, move |bytes| assert!(net.serve(bytes) == 1))
                .over("hyper", messages, move |bytes| assert!(hyper.serve(bytes, 1) == 1))
                .over("ureq-proto", messages, move |bytes| ureq.serve(bytes)),
        );
        let &(_, parse, net, hyper, h11) = GOALS.iter().find(|g| g.0 == name).expect("a goal");
        let what = "whole server cycle";
        let side = |side| ("cycle", name, side);
        let mut row = |peer, goal| {
            let peer_name = if peer == "httparse" { "httparse, parsing" } else { peer };
            rows.push(Row::pair(what, side("ours"), side(peer), peer_name, goal));
        };
        row("httparse", parse.map_or(Goal::None, Goal::Ratio));
        row("http-net", Goal::Faster(net));
        row("hyper", Goal::Faster(hyper));
        row("ureq-proto", Goal::None);
        rows.push(
            Row::value(what, name, "h11", "ns", Goal::Faster(h11), move |g| {
                (g.ns("cycle", name, "ours"), h11::cycle(name))
            })
            .needs([side("ours")]),
        );
    }
    more(groups, rows);
    client(groups, rows);
}

/// Requests with content, and pipelined ones.
fn more(groups: &mut Groups, rows: &mut Vec<Row>) {
    let inputs = [
        ("post1k", inputs::post1k(), 1),
        ("te, 16 deep", inputs::TE.repeat(DEEP), DEEP),
        ("tiny, 16 deep", inputs::TINY.repeat(DEEP), DEEP),
    ];
    for (name, bytes, count) in inputs {
        let bytes: &'static [u8] = bytes.leak();
        let (mut ours, mut net) = (ours::Server::new(), http_net::Server::new());
        let mut group = Group::new("cycle", name)
            .side("ours", count, move |turns| {
                (0..turns).for_each(|_| assert!(ours.serve(bytes) == count));
            })
            .side("http-net", count, move |turns| {
                (0..turns).for_each(|_| assert!(net.serve(bytes) == count));
            });
        let mut peers = vec!["http-net"];
        // hyper is given no handler that reads content.
        if count > 1 {
            let mut hyper = hyper::Server::new();
            group = group.side("hyper", count, move |turns| {
                (0..turns).for_each(|_| assert!(hyper.serve(bytes, count) == count));
            });
            peers.push("hyper");
        }
        groups.add(group);
        for peer in peers {
            let side = |side| ("cycle", name, side);
            let what = "whole server cycle, more";
            rows.push(Row::pair(what, side("ours"), side(peer), peer, Goal::None));
        }
    }
}

fn client(groups: &mut Groups, rows: &mut Vec<Row>) {
    let messages: &'static [Vec<u8>] = vec![inputs::RESPONSE.to_vec()].leak();
    let (mut ours, mut net) = (ours::Client::new(), http_net::Client::new());
    groups.add(
        Group::new("client", "12 fields")
            .over("ours", messages, move |bytes| ours.exchange(bytes))
            .over("http-net", messages, move |bytes| net.exchange(bytes)),
    );
    let side = |side| ("client", "12 fields", side);
    let goal = Goal::Faster(CLIENT);
    rows.push(Row::pair("whole client cycle", side("ours"), side("http-net"), "http-net", goal));
}
