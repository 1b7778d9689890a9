//! The inputs of all benches, in one place.

/// The smallest request there is.
const TINY: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// The plaintext request of the TechEmpower benchmarks.
const TE: &[u8] =
    b"GET /plaintext HTTP/1.1\r\nHost: server\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) \
Gecko/20130501 Firefox/30.0 AppleWebKit/600.00 Chrome/30.0.0000.0\r\nAccept: */*\r\n\r\n";

/// The request of picohttpparser's benchmark.
const PICO: &[u8] = b"GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg HTTP/1.1\r\n\
Host: www.kittyhell.com\r\n\
User-Agent: Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10.6; ja-JP-mac; rv:1.9.2.3) Gecko/20100401 Firefox/3.6.3 Pathtraq/0.9\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
Accept-Language: ja,en-us;q=0.7,en;q=0.3\r\n\
Accept-Encoding: gzip,deflate\r\n\
Accept-Charset: Shift_JIS,utf-8;q=0.7,*;q=0.7\r\n\
Keep-Alive: 115\r\n\
Connection: keep-alive\r\n\
Cookie: wp_ozh_wsa_visits=2; wp_ozh_wsa_visit_lasttime=xxxxxxxxxx; \
__utma=xxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.x; \
__utmz=xxxxxxxxx.xxxxxxxxxx.x.x.utmccn=(referral)|utmcsr=reader.livedoor.com|utmcct=/reader/|utmcmd=referral\r\n\r\n";

/// Requests by name.
pub(crate) const REQUESTS: &[(&str, &[u8])] = &[("tiny", TINY), ("te", TE), ("pico", PICO)];

/// A response head with 12 fields; 13 octets of content follow it.
pub(crate) const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n\
Server: Apache/2.4.58 (Unix)\r\n\
Content-Type: text/html; charset=utf-8\r\n\
Content-Length: 13\r\n\
Connection: keep-alive\r\n\
Keep-Alive: timeout=60, max=500\r\n\
Cache-Control: public, max-age=3600\r\n\
ETag: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\n\
Last-Modified: Sun, 31 Dec 2023 12:00:00 GMT\r\n\
Vary: Accept-Encoding, User-Agent\r\n\
X-Content-Type-Options: nosniff\r\n\
Strict-Transport-Security: max-age=63072000; includeSubDomains; preload\r\n\r\n";

/// A request head of about so many octets.
pub(crate) fn long_head(octets: usize) -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\nHost: x\r\n".to_vec();
    let mut n = 0;
    while head.len() + 2 < octets {
        let room = (octets - head.len() - 2).clamp(16, 256);
        let name = format!("X-{n:04}: ");
        head.extend_from_slice(name.as_bytes());
        head.extend(std::iter::repeat_n(b'v', room - name.len() - 2));
        head.extend_from_slice(b"\r\n");
        n += 1;
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// A chunked request with so much content, in chunks of so many octets.
pub(crate) fn chunked(octets: usize, chunk: usize) -> Vec<u8> {
    let mut all = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..octets / chunk {
        all.extend_from_slice(format!("{chunk:x}\r\n").as_bytes());
        all.extend(std::iter::repeat_n(b'x', chunk));
        all.extend_from_slice(b"\r\n");
    }
    all.extend_from_slice(b"0\r\n\r\n");
    all
}
