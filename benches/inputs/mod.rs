//! The inputs of all benches, in one place: the crate's own (`benches/*.rs`), the peers
//! (`benches/peers/`) and the instruction counts include this file.
//!
//! A replayed input flatters: its branches are learned by heart. So the corpus is what counts, 512
//! requests that differ in length, order and case. All that is generated is generated from fixed seeds.
#![allow(dead_code, reason = "every bench takes its part")]

/// The smallest request there is: 27 octets, 1 field.
pub(crate) const TINY: &[u8] = b"\
GET / HTTP/1.1\r\n\
Host: x\r\n\r\n";

/// The plaintext request of the TechEmpower benchmarks: 165 octets, 3 fields.
pub(crate) const TE: &[u8] = b"\
GET /plaintext HTTP/1.1\r\n\
Host: tfb-server\r\n\
Accept: text/plain,text/html;q=0.9,application/xhtml+xml;q=0.9,application/xml;q=0.8,*/*;q=0.7\r\n\
Connection: keep-alive\r\n\r\n";

/// The request of picohttpparser's own benchmark: 703 octets, 9 fields.
pub(crate) const PICO: &[u8] = b"\
GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg HTTP/1.1\r\n\
Host: www.kittyhell.com\r\n\
User-Agent: Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10.6; ja-JP-mac; rv:1.9.2.3) Gecko/20100401 Firefox/3.6.3 Pathtraq/0.9\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
Accept-Language: ja,en-us;q=0.7,en;q=0.3\r\n\
Accept-Encoding: gzip,deflate\r\n\
Accept-Charset: Shift_JIS,utf-8;q=0.7,*;q=0.7\r\n\
Keep-Alive: 115\r\n\
Connection: keep-alive\r\n\
Cookie: wp_ozh_wsa_visits=2; wp_ozh_wsa_visit_lasttime=xxxxxxxxxx; __utma=xxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.x; __utmz=xxxxxxxxx.xxxxxxxxxx.x.x.utmccn=(referral)|utmcsr=reader.livedoor.com|utmcct=/reader/|utmcmd=referral\r\n\r\n";

/// A navigation as Chrome 130 makes it: 940 octets, 18 fields.
pub(crate) const CHROME: &[u8] = b"\
GET /articles/2024/11/persistent-connections?utm_source=news&id=48213 HTTP/1.1\r\n\
Host: www.example-site.com\r\n\
Connection: keep-alive\r\n\
Cache-Control: max-age=0\r\n\
sec-ch-ua: \"Chromium\";v=\"130\", \"Google Chrome\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n\
sec-ch-ua-mobile: ?0\r\n\
sec-ch-ua-platform: \"Windows\"\r\n\
DNT: 1\r\n\
Upgrade-Insecure-Requests: 1\r\n\
User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7\r\n\
Sec-Fetch-Site: same-origin\r\n\
Sec-Fetch-Mode: navigate\r\n\
Sec-Fetch-User: ?1\r\n\
Sec-Fetch-Dest: document\r\n\
Referer: https://www.example-site.com/articles/\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-GB,en-US;q=0.9,en;q=0.8,fr;q=0.7\r\n\
Cookie: session=1f0c9a7be2d84c55a3d1e6b7c8f90a12; theme=dark; _ga=GA1.2.1234567890.1700000000\r\n\r\n";

/// A response head with 12 fields: 504 octets. No content follows it.
pub(crate) const RESPONSE: &[u8] = b"\
HTTP/1.1 200 OK\r\n\
Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
Server: nginx/1.25.3\r\n\
Content-Type: text/html; charset=utf-8\r\n\
Content-Length: 0\r\n\
Connection: keep-alive\r\n\
Cache-Control: private, max-age=0, must-revalidate\r\n\
ETag: \"5f3a1c2b-1d4e9\"\r\n\
Last-Modified: Sat, 05 Nov 1994 11:22:33 GMT\r\n\
Vary: Accept-Encoding, Cookie\r\n\
X-Request-Id: 7c9e6679-7425-40de-944b-e07fc1f90ae7\r\n\
Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n\
Set-Cookie: sid=31d4d96e407aad42; Path=/; HttpOnly; Secure; SameSite=Lax\r\n\r\n";

/// What the head of a chunked request looks like: before [`chunked`].
pub(crate) const CHUNKED_HEAD: &[u8] =
    b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Octets of content in [`chunked`].
pub(crate) const CONTENT: usize = 64 * 1024;

/// Knuth's linear congruential generator: the same on every machine, and here to stay.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }

    fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low)
    }

    /// Octets that may stand in a target and in a value.
    fn text(&mut self, len: usize) -> String {
        const SET: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=;";
        (0..len).map(|_| SET[self.below(SET.len())] as char).collect()
    }
}

/// A request of 4316 octets, nearly all of them one cookie.
pub(crate) fn cookie4k() -> Vec<u8> {
    let mut random = Lcg(7);
    let mut cookie = String::new();
    while cookie.len() < 4096 {
        let name = random.text(8).replace(['=', ';'], "x");
        let value = random.text(40).replace(';', "y");
        cookie.push_str(&format!("{name}={value}; "));
    }
    cookie.truncate(4094);
    cookie.push_str("zz");
    format!(
        "GET /account HTTP/1.1\r\nHost: www.example-site.com\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0\r\n\
         Accept: */*\r\nAccept-Encoding: gzip, deflate, br\r\nCookie: {cookie}\r\n\
         Connection: keep-alive\r\n\r\n"
    )
    .into_bytes()
}

/// A request with 1024 octets of content behind a Content-Length.
pub(crate) fn post1k() -> Vec<u8> {
    let mut all = b"POST /api/v1/items HTTP/1.1\r\nHost: api.example-site.com\r\n\
        User-Agent: reqwest/0.12\r\nAccept: application/json\r\nContent-Type: application/json\r\n\
        Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.\
        dozjgNryP4J3jVmNHl0w5N\r\n\
        Content-Length: 1024\r\nConnection: keep-alive\r\n\r\n"
        .to_vec();
    all.extend_from_slice(Lcg(3).text(1024).as_bytes());
    all
}

/// 64 KiB of content in chunks of so many octets, to the end of the last chunk.
pub(crate) fn chunked(chunk: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for piece in Lcg(5).text(CONTENT).as_bytes().chunks(chunk) {
        all.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        all.extend_from_slice(piece);
        all.extend_from_slice(b"\r\n");
    }
    all.extend_from_slice(b"0\r\n\r\n");
    all
}

/// A head of nearly so many octets (8192: 8144 octets), in lines of 75: for dripping. It has more
/// fields than servers take by default.
pub(crate) fn long_head(octets: usize) -> Vec<u8> {
    let mut random = Lcg(11);
    let mut head = String::from("GET /slow HTTP/1.1\r\nHost: victim.example\r\n");
    for letter in ["a", "b", "c", "d", "e"].iter().cycle() {
        let line = format!("X-Pad-{letter}: {}\r\n", random.text(64).replace(';', "y"));
        if head.len() + line.len() + 2 > octets {
            break;
        }
        head.push_str(&line);
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// The fields that requests of the corpus are made of, with the bounds of their values' lengths.
const FIELDS: [(&str, usize, usize); 27] = [
    ("User-Agent", 40, 130),
    ("Accept", 3, 120),
    ("Accept-Encoding", 4, 30),
    ("Accept-Language", 5, 40),
    ("Cache-Control", 8, 20),
    ("Cookie", 20, 400),
    ("Referer", 20, 90),
    ("Sec-Fetch-Dest", 5, 10),
    ("Sec-Fetch-Mode", 4, 10),
    ("Sec-Fetch-Site", 4, 12),
    ("Sec-Fetch-User", 2, 3),
    ("Upgrade-Insecure-Requests", 1, 2),
    ("sec-ch-ua", 30, 80),
    ("sec-ch-ua-mobile", 2, 3),
    ("sec-ch-ua-platform", 5, 10),
    ("DNT", 1, 2),
    ("If-None-Match", 10, 40),
    ("If-Modified-Since", 29, 30),
    ("X-Forwarded-For", 7, 40),
    ("X-Request-Id", 36, 37),
    ("Authorization", 30, 200),
    ("Origin", 15, 40),
    ("Pragma", 8, 9),
    ("X-Real-IP", 7, 15),
    ("traceparent", 55, 56),
    ("Range", 8, 20),
    ("Priority", 3, 6),
];

/// 512 different requests with 3 to 22 fields in shuffled order and case; 614 octets on average.
pub(crate) fn corpus() -> Vec<Vec<u8>> {
    const METHODS: [&str; 9] =
        ["GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "DELETE", "OPTIONS"];
    const HOSTS: [&str; 4] = ["www", "api", "static", "img-cdn-3"];
    let mut random = Lcg(42);
    let mut all = Vec::new();
    for _ in 0..512 {
        let method = METHODS[random.below(METHODS.len())];
        let path_len = 1 + random.below(70);
        let path = random.text(path_len);
        let host = HOSTS[random.below(HOSTS.len())];
        let mut head = format!("{method} /{path} HTTP/1.1\r\nHost: {host}.example.com\r\n");
        let count = 2 + random.below(19);
        let mut order: Vec<usize> = (0..FIELDS.len()).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, random.below(i + 1));
        }
        let connection_at = random.below(count + 1);
        for (n, &field) in order[..count].iter().enumerate() {
            if n == connection_at && random.below(4) != 0 {
                head.push_str("Connection: keep-alive\r\n");
            }
            let (name, low, high) = FIELDS[field];
            let len = random.between(low, high);
            let value = random.text(len);
            let name =
                if random.below(3) == 0 { name.to_ascii_lowercase() } else { name.to_string() };
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        all.push(head.into_bytes());
    }
    all
}

/// The requests on which heads and whole cycles are measured, by name. One turn of a bench goes
/// through all that stand under a name.
pub(crate) fn requests() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    vec![
        ("tiny", vec![TINY.to_vec()]),
        ("te", vec![TE.to_vec()]),
        ("pico", vec![PICO.to_vec()]),
        ("chrome", vec![CHROME.to_vec()]),
        ("cookie4k", vec![cookie4k()]),
        ("corpus", corpus()),
    ]
}
