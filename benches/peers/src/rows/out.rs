//! A response head going out.

use super::{Goal, Row};
use crate::measure::{Group, Groups};
use crate::sides::{http_net, ours};
use ::http_net::{OutgoingBody, ResponseHeadRef};
use keepalive::{Content, Prepared, server};
use std::hint::black_box;

/// What one validated field may cost, in nanoseconds.
const FIELD: f64 = 8.0;
/// What a block of fields may cost that was validated once and is kept.
const BLOCK: f64 = 5.0;

/// Fields as servers send them.
const FIELDS: [(&str, &str); 8] = [
    ("Server", "nginx/1.25.3"),
    ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "private, max-age=0"),
    ("ETag", "\"5f3a1c2b-1d4e9\""),
    ("Last-Modified", "Sat, 05 Nov 1994 11:22:33 GMT"),
    ("Vary", "Accept-Encoding"),
    ("X-Content-Type-Options", "nosniff"),
];

fn respond(owing: &server::Connection, fields: &[(&'static str, &'static str)], out: &mut [u8]) {
    let mut conn = black_box(owing).clone();
    let fields = black_box(fields).iter().copied();
    let started = conn.respond(ours::NOW, 200, fields, Content::Length(13), out);
    assert!(started.is_ok());
    black_box((&conn, &out));
}

pub fn add(groups: &mut Groups, rows: &mut Vec<Row>) {
    let mut owing = ours::idle();
    let step = owing.receive(ours::NOW, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", usize::MAX);
    assert!(matches!(step.event, Some(server::Event::Request(_))));
    let side = |count: usize| {
        let (owing, mut out) = (owing.clone(), [0; 1024]);
        move |turns: u32| (0..turns).for_each(|_| respond(&owing, &FIELDS[..count], &mut out))
    };
    let net = |count: usize| {
        let fields: Vec<_> = FIELDS[..count].iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        let mut server = http_net::Server::new();
        move |turns: u32| {
            for _ in 0..turns {
                let body = OutgoingBody::Full(13);
                server.respond(&ResponseHeadRef::new(200, black_box(&fields), body));
            }
        }
    };
    let side_of_none = side(0);
    groups.add(
        Group::new("respond", "8 fields")
            .side("none", 1, side(0))
            .side("eight", 1, side(FIELDS.len()))
            .side("http-net none", 1, net(0))
            .side("http-net eight", 1, net(FIELDS.len())),
    );
    let side = |side| ("respond", "8 fields", side);
    let a_field = |g: &Groups, none, eight| {
        let ns = |side| g.ns("respond", "8 fields", side);
        Some((ns(eight)? - ns(none)?) / FIELDS.len() as f64)
    };
    let value = move |g: &Groups| {
        (a_field(g, "none", "eight"), a_field(g, "http-net none", "http-net eight"))
    };
    let what = "response head: a field";
    let goal = Goal::Most(FIELD);
    rows.push(
        Row::value(what, "8 fields", "http-net", "ns/field", goal, value)
            .needs(["none", "eight", "http-net none", "http-net eight"].map(side)),
    );
    rows.push(Row::alone(
        "response head: without fields",
        ("respond", "8 fields", "none"),
        Goal::None,
    ));
    // The whole block beside what a head costs without it.
    let block = Prepared::<512>::new(FIELDS).expect("fields that may be sent");
    let mut out = [0; 1024];
    let kept = move |turns: u32| {
        for _ in 0..turns {
            let mut conn = black_box(&owing).clone();
            let started =
                conn.respond(ours::NOW, 200, black_box(&block), Content::Length(13), &mut out);
            assert!(started.is_ok());
            black_box((&conn, &out));
        }
    };
    groups
        .add(Group::new("respond", "prepared").side("none", 1, side_of_none).side("kept", 1, kept));
    let what = "response head: a prepared block";
    let goal = Goal::Most(BLOCK);
    let value = |g: &Groups| {
        let ns = |side| g.ns("respond", "prepared", side);
        (ns("kept").zip(ns("none")).map(|(kept, none)| kept - none), None)
    };
    let side = |side| ("respond", "prepared", side);
    rows.push(
        Row::value(what, "8 fields", "", "ns", goal, value).needs(["none", "kept"].map(side)),
    );
}
