//! The small grammars inside fields: tokens, lists, decimal numbers, hosts, targets.
//!
//! RFC 9110 §5.6, RFC 9112 §3.2 and RFC 3986 §3.2. Nothing here decides anything: callers do.

use crate::bytes::{is_hex, is_plain_host, is_reg_name, is_target, is_tchar, trim};
use crate::limits;

/// `1*tchar`.
pub(crate) fn is_token(v: &[u8]) -> bool {
    !v.is_empty() && v.iter().all(|&b| is_tchar(b))
}

/// The members of a comma-separated list, trimmed; empty ones too.
pub(crate) fn members(v: &[u8]) -> impl Iterator<Item = &[u8]> {
    v.split(|&b| b == b',').map(trim)
}

/// The members of a list in which quoted strings may hold commas.
pub(crate) fn quoted_members(v: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    v.split(move |&b| {
        let comma = b == b',' && !quoted;
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        comma
    })
    .map(trim)
}

/// Case-insensitive equality in ASCII.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// `1*DIGIT`, at most [`limits::LENGTH`].
pub(crate) fn decimal(v: &[u8]) -> Option<u64> {
    if v.is_empty() {
        return None;
    }
    v.iter().try_fold(0u64, |n, &b| {
        let digit = b.wrapping_sub(b'0');
        let n = n.checked_mul(10)?.checked_add(u64::from(digit))?;
        (digit <= 9 && n <= limits::LENGTH).then_some(n)
    })
}

/// `1*DIGIT`, saturating: the parameters of Keep-Alive (S2.2).
#[inline]
pub(crate) fn saturating(v: &[u8]) -> Option<u32> {
    if v.is_empty() || !v.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(v.iter().fold(0u32, |n, &b| n.saturating_mul(10).saturating_add(u32::from(b - b'0'))))
}

/// A small, case-insensitive fingerprint of a protocol name: FNV-1a. Zero stands for none.
pub(crate) fn fingerprint(v: &[u8]) -> u32 {
    v.iter()
        .fold(0x811c_9dc5u32, |h, &b| {
            (h ^ u32::from(b.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
        })
        .max(1)
}

/// The protocols that were offered for an upgrade, remembered without their names. Offers of more
/// than two are remembered as "any": they are not seen in practice, and what is at stake is only how
/// soon a mistake is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Protocols([u32; 2]);

impl Protocols {
    pub(crate) const NONE: Self = Self([0; 2]);

    pub(crate) fn add(&mut self, protocol: &[u8]) {
        let any = self.is_any();
        let Self([first, second]) = self;
        match (*first, *second) {
            _ if any => {}
            (0, _) => *first = fingerprint(protocol),
            (_, 0) => *second = fingerprint(protocol),
            _ => *first = 0,
        }
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Too many to tell: the second without the first, which nothing else leaves behind.
    fn is_any(self) -> bool {
        let Self([first, second]) = self;
        first == 0 && second != 0
    }

    /// Whether all of `chosen` were offered, and there is something to choose.
    pub(crate) fn allow(self, chosen: Self) -> bool {
        let Self([first, second]) = self;
        let offered = |p: u32| p == 0 || p == first || p == second;
        let fine = !chosen.is_any() && chosen.0.into_iter().all(offered);
        !self.is_empty() && !chosen.is_empty() && (self.is_any() || fine)
    }
}

/// `protocol-name [ "/" protocol-version ]` (RFC 9110 §7.8).
pub(crate) fn is_protocol(v: &[u8]) -> bool {
    let mut parts = v.splitn(2, |&b| b == b'/');
    parts.next().is_some_and(is_token) && parts.next().is_none_or(is_token)
}

/// `uri-host [ ":" *DIGIT ]` (RFC 9110 §7.2); the empty value is not for here.
pub(crate) fn is_host(v: &[u8]) -> bool {
    // As most are: a name without port.
    is_plain_host(v) || is_host_and_port(v)
}

fn is_host_and_port(v: &[u8]) -> bool {
    let (host, port) = split_port(v);
    is_uri_host(host) && port.is_none_or(|p| p.iter().all(u8::is_ascii_digit))
}

/// `host:port` with a port from 1 to 65535: the target of CONNECT (S8.11).
fn is_authority(v: &[u8]) -> bool {
    let (host, port) = split_port(v);
    !host.is_empty()
        && is_uri_host(host)
        && port.and_then(decimal).is_some_and(|p| (1..=65535).contains(&p))
}

/// Host and what follows the colon behind it.
fn split_port(v: &[u8]) -> (&[u8], Option<&[u8]>) {
    let from = if v.first() == Some(&b'[') { memchr::memchr(b']', v).unwrap_or(0) } else { 0 };
    match v.get(from..).and_then(|rest| memchr::memchr(b':', rest)) {
        Some(colon) => {
            let (host, port) = v.split_at_checked(from + colon).unwrap_or((v, b""));
            (host, port.get(1..))
        }
        None => (v, None),
    }
}

/// RFC 3986 §3.2.2: IP literal, IPv4 address or registered name.
fn is_uri_host(v: &[u8]) -> bool {
    if let Some(inner) = v.strip_prefix(b"[") {
        let Some(inner) = inner.strip_suffix(b"]") else { return false };
        return match inner.split_first() {
            Some((b'v' | b'V', rest)) => {
                let mut parts = rest.splitn(2, |&b| b == b'.');
                let hex = parts.next().unwrap_or_default();
                let name = parts.next().unwrap_or_default();
                !hex.is_empty()
                    && hex.iter().all(|&b| is_hex(b))
                    && !name.is_empty()
                    && name.iter().all(|&b| is_reg_name(b) || b == b':')
            }
            _ => {
                core::str::from_utf8(inner).is_ok_and(|s| s.parse::<core::net::Ipv6Addr>().is_ok())
            }
        };
    }
    let mut rest = v.iter();
    while let Some(&b) = rest.next() {
        let fine = is_reg_name(b)
            || b == b'%'
                && rest.next().is_some_and(|&h| is_hex(h))
                && rest.next().is_some_and(|&l| is_hex(l));
        if !fine {
            return false;
        }
    }
    true
}

/// Whether a target has a form that the method may have (RFC 9112 §3.2, S8.11).
pub(crate) fn is_target_for(method: &[u8], target: &[u8]) -> bool {
    if target.is_empty() || !target.iter().all(|&b| is_target(b)) {
        return false;
    }
    if method == b"CONNECT" {
        return is_authority(target);
    }
    match target {
        [b'/', ..] => true,
        b"*" => method == b"OPTIONS",
        _ => absolute_authority(target).is_some(),
    }
}

/// The authority of an absolute-form target, if it is one. User information is refused, as RFC 9110
/// §4.2.4 advises: it hides the true host from a reader.
pub(crate) fn absolute_authority(target: &[u8]) -> Option<&[u8]> {
    let colon = memchr::memchr(b':', target)?;
    let (scheme, rest) = target.split_at_checked(colon)?;
    let rest = rest.strip_prefix(b"://")?;
    let named = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|&b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let end = rest.iter().position(|b| b"/?#".contains(b)).unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    (named && authority.first().is_some_and(|&b| b != b':') && is_host(authority))
        .then_some(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_digits_only_and_bounded() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"010"), Some(10));
        assert_eq!(decimal(b"9223372036854775807"), Some(limits::LENGTH));
        for bad in [&b""[..], b"9223372036854775808", b"+5", b"-0", b"0x10", b"1_0", b" 1", b"1 "] {
            assert_eq!(decimal(bad), None, "{bad:?}");
        }
        assert_eq!(saturating(b"99999999999"), Some(u32::MAX));
        assert_eq!(saturating(b"1.5"), None);
        assert_eq!(saturating(b""), None);
    }

    #[test]
    fn commas_in_quoted_strings_divide_nothing() {
        let members = |v: &'static str| -> Vec<&str> {
            let all = quoted_members(v.as_bytes());
            all.map(|m| core::str::from_utf8(m).unwrap()).collect()
        };
        assert_eq!(members(r#"a, b ,c="x,y",d"#), ["a", "b", r#"c="x,y""#, "d"]);
        assert_eq!(members(r#""a\",b",c"#), [r#""a\",b""#, "c"]);
        assert_eq!(members(r#""a\\",b"#), [r#""a\\""#, "b"]);
        // Outside of them a backslash means nothing.
        assert_eq!(members(r#"a\,b\",c",d"#), [r"a\", r#"b\",c""#, "d"]);
    }

    #[test]
    fn hosts_are_names_addresses_and_literals() {
        for good in
            ["a", "a.b:80", "a:", "[::1]", "[::1]:8", "127.0.0.1", "a%20b", "[v1.a:b]", "x_y"]
        {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in
            ["a b", "a@b", "a/b", "[::1", "::1", "a:b", "a:80:80", "[::g]", "a%2", "[v.a]", "[]"]
        {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn targets_have_the_form_of_their_method() {
        for (method, good) in [
            ("GET", "/"),
            ("GET", "/a?b|c\u{e9}"),
            ("GET", "http://h/x"),
            ("GET", "http://h?x"),
            ("OPTIONS", "*"),
            ("OPTIONS", "/"),
            ("CONNECT", "h:443"),
            ("CONNECT", "[::1]:1"),
        ] {
            assert!(is_target_for(method.as_bytes(), good.as_bytes()), "{method} {good}");
        }
        for (method, bad) in [
            ("GET", ""),
            ("GET", "*"),
            ("GET", "a"),
            ("GET", "/a b"),
            ("GET", "/a#b"),
            ("GET", "h:80"),
            ("GET", "http://u@h/"),
            ("GET", "http:///x"),
            ("GET", "1http://h/"),
            ("CONNECT", "h"),
            ("CONNECT", "h:0"),
            ("CONNECT", "h:65536"),
            ("CONNECT", ":1"),
            ("CONNECT", "/"),
        ] {
            assert!(!is_target_for(method.as_bytes(), bad.as_bytes()), "{method} {bad}");
        }
    }

    #[test]
    fn protocols_and_fingerprints() {
        assert!(is_protocol(b"websocket") && is_protocol(b"HTTP/2.0"));
        assert!(!is_protocol(b"") && !is_protocol(b"a/") && !is_protocol(b"a b"));
        let of = |names: &[&[u8]]| {
            let mut p = Protocols::NONE;
            names.iter().for_each(|n| p.add(n));
            p
        };
        assert!(of(&[b"WebSocket"]).allow(of(&[b"websocket"])));
        assert!(of(&[b"a", b"b"]).allow(of(&[b"b"])) && of(&[b"a", b"b"]).allow(of(&[b"b", b"a"])));
        assert!(!of(&[b"a"]).allow(of(&[b"b"])) && !of(&[b"a"]).allow(of(&[b"a", b"b"])));
        assert!(!of(&[b"a"]).allow(of(&[])) && !of(&[]).allow(of(&[b"a"])));
        assert!(of(&[b"a", b"b", b"c"]).allow(of(&[b"c"])), "many: any of them");
        assert!(of(&[b"a", b"b", b"c", b"d"]).allow(of(&[b"a"])), "more than many: the same");
        assert!(!of(&[b"a", b"b"]).allow(of(&[b"x", b"b", b"y"])), "too many to have been offered");
    }
}
