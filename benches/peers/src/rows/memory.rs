//! What a connection takes, and what an exchange allocates.

use super::{Goal, Measured, Row};
use crate::alloc::count;
use crate::inputs;
use crate::sides::{http_net, hyper, ours};

/// Octets of a connection, of either role; heap and allocations are to be none.
const SIZE: f64 = 192.0;

pub fn add(rows: &mut Vec<Row>) {
    let size = |size: usize| size as f64;
    let net = size(size_of::<::http_net::ServerConn>());
    let server = size(size_of::<keepalive::server::Connection>());
    let client = size(size_of::<keepalive::client::Connection>());
    let net_client = size(size_of::<::http_net::ClientConn>());
    let mut fixed = |what, input, peer, unit, goal, value: fn() -> Measured| {
        rows.push(Row::value(what, input, peer, unit, goal, move |_| value()));
    };
    fixed("heap of a connection", "after te", "http-net", "B", Goal::Most(0.0), || {
        (heap(ours_served), heap(net_served))
    });
    fixed("heap of a connection", "after te", "hyper", "B", Goal::Most(0.0), || {
        (heap(ours_served), heap(hyper_served))
    });
    fixed("allocations an exchange", "te", "http-net", "", Goal::Most(0.0), || {
        (Some(calls(ours_turn())), Some(calls(net_turn())))
    });
    fixed("allocations an exchange", "te", "hyper", "", Goal::Most(0.0), || {
        (Some(calls(ours_turn())), Some(calls(hyper_turn())))
    });
    let hyper = size(hyper::Server::new().size());
    let mut sized = |input, peer, ours, theirs| {
        let row = move |_: &_| (Some(ours), Some(theirs));
        rows.push(Row::value("size of a connection", input, peer, "B", Goal::Most(SIZE), row));
    };
    sized("server", "http-net", server, net);
    sized("server", "hyper", server, hyper);
    sized("client", "http-net", client, net_client);
}

/// What a connection holds on the heap once it served a request. Buffers of ours are the embedder's.
fn heap<C>(serve: fn() -> C) -> Option<f64> {
    let (conn, counted) = count(serve);
    drop(conn);
    Some(counted.live as f64)
}

fn ours_served() -> ours::Server {
    let mut server = ours::Server::new();
    server.serve(inputs::TE);
    server
}

fn net_served() -> http_net::Server {
    let mut server = http_net::Server::new();
    server.serve(inputs::TE);
    server
}

fn hyper_served() -> hyper::Server {
    let mut server = hyper::Server::new();
    server.serve(inputs::TE, 1);
    server
}

/// The allocations of one exchange, out of a hundred.
fn calls(mut exchange: impl FnMut()) -> f64 {
    exchange();
    let ((), counted) = count(|| (0..100).for_each(|_| exchange()));
    counted.calls as f64 / 100.0
}

fn ours_turn() -> impl FnMut() {
    let mut server = ours_served();
    move || assert!(server.serve(inputs::TE) == 1)
}

fn net_turn() -> impl FnMut() {
    let mut server = net_served();
    move || assert!(server.serve(inputs::TE) == 1)
}

fn hyper_turn() -> impl FnMut() {
    let mut server = hyper_served();
    move || assert!(server.serve(inputs::TE, 1) == 1)
}
