//! Heads and the types of the `http` crate: what goes there and back is the same, and what does not
//! fit is refused by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use keepalive::http::{Unfit, absolute, fields, host, request_lines, target};
use keepalive::testkit::{pieces, strategy};
use keepalive::{Content, Instant, Kind, Line, RequestHead, ResponseHead, Version, client, server};
use proptest::prelude::*;

const NOW: Instant = Instant::from_micros(7);

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Lines by name in lower case, those of one name in their order.
fn by_name<'a>(lines: impl Iterator<Item = Line<'a>>) -> Vec<(String, Vec<Vec<u8>>)> {
    let mut all: Vec<(String, Vec<Vec<u8>>)> = Vec::new();
    for line in lines {
        let name = String::from_utf8(line.name.to_ascii_lowercase()).unwrap();
        match all.iter_mut().find(|(n, _)| *n == name) {
            Some((_, values)) => values.push(line.value.to_vec()),
            None => all.push((name, vec![line.value.to_vec()])),
        }
    }
    all.sort();
    all
}

fn same_request(head: &RequestHead<'_>) {
    let request = Request::try_from(*head).unwrap();
    assert_eq!(request.method().as_str(), head.method());
    assert_eq!(request.version() == ::http::Version::HTTP_10, head.version() == Version::HTTP_10);
    let uri = request.uri();
    let there = match uri.scheme() {
        // An empty path is written out.
        Some(_) => head.target().strip_suffix(b"/").unwrap_or(head.target()).to_vec(),
        None => head.target().to_vec(),
    };
    let back = match uri.scheme() {
        Some(_) => uri.to_string().trim_end_matches('/').as_bytes().to_vec(),
        None => target(request.method(), uri).unwrap().into_owned(),
    };
    assert_eq!(back, there);
    let lines = request.headers().iter().map(Line::from);
    assert_eq!(by_name(lines), by_name(head.fields()));
}

/// Whatever a `HeaderMap` can hold, but for what belongs to the machine.
fn header_map() -> impl Strategy<Value = HeaderMap> {
    let name = "[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,12}";
    let value =
        proptest::collection::vec(prop_oneof![Just(b'\t'), 0x20..=0x7eu8, 0x80..=0xffu8], 0..20);
    proptest::collection::vec((name, value), 0..12).prop_map(|lines| {
        let owned = ["host", "te", "expect", "upgrade", "connection", "keep-alive", "trailer"];
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            // Spaces around a value do not belong to it.
            let value = HeaderValue::from_bytes(trim(&value)).unwrap();
            if !owned.contains(&name.as_str()) {
                map.append(name, value);
            }
        }
        map
    })
}

fn trim(v: &[u8]) -> &[u8] {
    let space = |b: &u8| *b == b' ' || *b == b'\t';
    let start = v.iter().position(|b| !space(b)).unwrap_or(v.len());
    let end = v.iter().rposition(|b| !space(b)).map_or(start, |n| n + 1);
    &v[start..end]
}

fn uri() -> impl Strategy<Value = Uri> {
    (
        "(http://(u@)?[a-z]{1,9}(:[0-9]{1,4})?)",
        "(/[!-~&&[^#?%\"<>`{}|\\\\^]]{0,9}){0,3}",
        "(\\?[a-z=&]{0,9})?",
    )
        .prop_filter_map("a URI", |(origin, path, query)| {
            format!("{origin}{path}{query}").parse().ok()
        })
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn a_request_that_is_read_is_the_same_request(request in strategy::request()) {
        let octets = request.octets();
        same_request(&RequestHead::parse(&octets).unwrap());
    }

    #[test]
    fn a_response_that_is_read_is_the_same_response(response in strategy::response("GET")) {
        let octets = response.octets();
        let head = ResponseHead::parse(&octets, "GET").unwrap();
        let response = Response::try_from(head).unwrap();
        prop_assert_eq!(response.status().as_u16(), head.status());
        let lines = response.headers().iter().map(Line::from);
        prop_assert_eq!(by_name(lines), by_name(head.fields()));
    }

    #[test]
    fn whatever_is_a_head_fits_or_is_refused_by_name(
        octets in prop_oneof![strategy::nearly(pieces::REQUESTS), strategy::nearly(pieces::REQUEST_LINES)],
    ) {
        if let Ok(head) = RequestHead::parse(&octets) {
            match Request::try_from(head) {
                Ok(_) => same_request(&head),
                Err(error) => prop_assert_eq!(error, Unfit::Target),
            }
        }
        if let Ok(head) = ResponseHead::parse(&octets, "GET") {
            prop_assert!(Response::try_from(head).is_ok());
        }
    }

    #[test]
    fn a_request_goes_out_and_comes_back(
        map in header_map(),
        uri in uri(),
        method in prop_oneof![Just(Method::GET), Just(Method::DELETE), "[A-Z]{1,20}".prop_map(|m| m.parse().unwrap())],
    ) {
        prop_assume!(method != Method::CONNECT);
        let (mut parts, ()) = Request::new(()).into_parts();
        (parts.headers, parts.uri, parts.method) = (map, uri, method);
        let mut conn = client::Connection::new(&client::Config::direct(), NOW);
        let mut out = [0; 4096];
        let to = target(&parts.method, &parts.uri).unwrap();
        let lines = request_lines(&parts);
        let n = conn.request(NOW, parts.method.as_str(), to, lines, Content::None, &mut out).unwrap();
        conn.check_invariants();

        let back = Request::try_from(RequestHead::parse(&out[..n.written]).unwrap()).unwrap();
        prop_assert_eq!(back.method(), &parts.method);
        prop_assert_eq!((back.uri().path(), back.uri().query()), (parts.uri.path(), parts.uri.query()));
        prop_assert_eq!(&back.headers()["host"], host(&parts.uri).unwrap());
        let mut came = back.headers().clone();
        for added in ["host", "connection", "content-length"] {
            came.remove(added);
        }
        let mut sent = parts.headers.clone();
        sent.remove("content-length");
        prop_assert_eq!(came, sent);

        let whole = absolute(&parts.uri).unwrap();
        prop_assert!(!whole.contains('@') || parts.uri.path().contains('@'));
        let whole: Uri = whole.parse().unwrap();
        prop_assert_eq!((whole.path(), whole.query()), (parts.uri.path(), parts.uri.query()));
        prop_assert_eq!(host(&whole), host(&parts.uri));
    }

    #[test]
    fn a_response_goes_out_and_comes_back(map in header_map(), status in 200..1000u16) {
        let status = StatusCode::from_u16(status).unwrap();
        prop_assume!(status != 426);
        let mut conn = server::Connection::new(&server::Config::origin(), NOW);
        conn.receive(NOW, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", usize::MAX);
        conn.check_invariants();
        let mut out = [0; 4096];
        let n = conn.respond(NOW, status, &map, Content::None, &mut out).unwrap().written;
        conn.check_invariants();
        let back = Response::try_from(ResponseHead::parse(&out[..n], "GET").unwrap()).unwrap();
        prop_assert_eq!(back.status(), status);
        let mut came = back.headers().clone();
        came.remove("content-length");
        prop_assert_eq!(came, map);
    }
}

#[test]
fn trailers_and_folds_become_maps() {
    let mut conn = server::Connection::new(&server::Config::origin(), NOW);
    let octets =
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n";
    let n = conn.receive(NOW, octets, usize::MAX).consumed;
    conn.check_invariants();
    conn.read_content(NOW);
    conn.check_invariants();
    let Some(server::Event::End(trailers)) = conn.receive(NOW, &octets[n..], usize::MAX).event
    else {
        panic!("no end")
    };
    conn.check_invariants();
    assert_eq!(fields(trailers).unwrap()["x-sum"], "1");

    let config = client::Config::direct().unfold(true);
    let mut conn = client::Connection::new(&config, NOW);
    let started = conn.request(NOW, "GET", "/", [("Host", "a")], Content::None, &mut [0; 99]);
    conn.check_invariants();
    conn.transmitted(NOW, started.unwrap().written as u64);
    conn.check_invariants();
    let octets = b"HTTP/1.1 200 OK\r\nX: a\r\n  b\r\n\r\n";
    let Some(client::Event::Response(head)) = conn.receive(NOW, octets, usize::MAX).event else {
        panic!("no response")
    };
    conn.check_invariants();
    assert_eq!(Response::try_from(&head).unwrap().headers()["x"], "a b");
}

#[test]
fn what_does_not_fit_is_named() {
    let refused =
        |octets: &[u8]| Request::try_from(RequestHead::parse(octets).unwrap()).unwrap_err();
    assert_eq!(refused(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"), Unfit::Target);
    assert_eq!(fields([("a b", "c")]).unwrap_err(), Unfit::Name);
    assert_eq!(fields([("a", "b\0")]).unwrap_err(), Unfit::Value);
    let many = (0..40_000).map(|n| format!("x-{n}")).collect::<Vec<_>>();
    let many = many.iter().map(|name| (name.as_str(), "y"));
    assert_eq!(fields(many).unwrap_err(), Unfit::Count);
    assert_eq!(target(&Method::CONNECT, &Uri::from_static("/x")), Err(Unfit::Target));
    assert_eq!(absolute(&Uri::from_static("/x")), Err(Unfit::Target));
    assert_eq!(absolute(&Uri::from_static("http://u:p@a:1")), Ok("http://a:1/".to_owned()));
    // That crate would drop a fragment without a word. It never sees one.
    for target in ["/x#y", "/x?y#z", "/#", "http://a/#y", "http://a#y", "*#"] {
        let octets = format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let refused = RequestHead::parse(octets.as_bytes()).expect_err("a fragment");
        assert_eq!(refused.kind, Kind::TargetInvalid, "{target}");
    }
    let all =
        [Unfit::Method, Unfit::Target, Unfit::Name, Unfit::Value, Unfit::Count, Unfit::Status];
    let texts: std::collections::BTreeSet<_> = all.iter().map(ToString::to_string).collect();
    assert!(
        texts.len() == all.len() && texts.iter().all(|t| t.contains("http") || t.contains("URI"))
    );
}

#[test]
fn a_host_that_is_given_stays_alone_and_first() {
    let request =
        Request::get("http://u@a/x").header("x", "1").header("host", "b").body(()).unwrap();
    let (parts, ()) = request.into_parts();
    let lines: Vec<Line<'_>> = request_lines(&parts).collect();
    assert_eq!(lines, [Line::from(("host", "b")), Line::from(("x", "1"))]);
    let (parts, ()) = Request::get("http://u@a/x").body(()).unwrap().into_parts();
    assert_eq!(request_lines(&parts).collect::<Vec<_>>(), [Line::from(("Host", "a"))]);
    let (parts, ()) = Request::get("/x").body(()).unwrap().into_parts();
    assert_eq!(request_lines(&parts).count(), 0);
}
