//! What values take, in octets: `cargo bench --bench sizes` prints it. Nothing is timed.
#![allow(missing_docs, reason = "a report")]

use keepalive::{Deadline, Fields, Line, RequestHead, ResponseHead, Step, Wants};
use keepalive::{client, forward, server};

fn main() {
    macro_rules! sizes {
        ($($type:ty),* $(,)?) => {
            $(println!("{:>5}  {}", size_of::<$type>(), stringify!($type));)*
        };
    }
    sizes![
        server::Connection,
        client::Connection,
        server::Config,
        client::Config,
        Step<server::Event<'static>>,
        Step<client::Event<'static>>,
        RequestHead<'static>,
        ResponseHead<'static>,
        Fields<'static>,
        Line<'static>,
        forward::ForwardedRequest<'static>,
        Wants,
        Option<Deadline>,
    ];
}
