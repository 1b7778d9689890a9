//! The status of a response, the usual reason phrases, and the line that both make.

use crate::bytes::is_stop;
use crate::encode::Writer;
use crate::error::{Part, SendError};

/// A status and its reason phrase. Made from a number, or from a number and a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status<'a> {
    /// Three digits.
    pub code: u16,
    /// The reason phrase; the usual one if `None`.
    pub reason: Option<&'a [u8]>,
}

impl From<u16> for Status<'_> {
    fn from(code: u16) -> Self {
        Self { code, reason: None }
    }
}

impl<'a> From<(u16, &'a str)> for Status<'a> {
    fn from((code, reason): (u16, &'a str)) -> Self {
        Self { code, reason: Some(reason.as_bytes()) }
    }
}

impl<'a> From<(u16, &'a [u8])> for Status<'a> {
    fn from((code, reason): (u16, &'a [u8])) -> Self {
        Self { code, reason: Some(reason) }
    }
}

/// `HTTP/1.x SP status SP reason CRLF`.
pub(crate) fn line(w: &mut Writer<'_>, minor: u8, status: Status<'_>) -> Result<(), SendError> {
    if minor == 1
        && status.reason.is_none()
        && let Some((line, len)) = usual_line(status.code)
    {
        w.put_first(line, usize::from(len));
        return Ok(());
    }
    unusual_line(w, minor, status).map_err(SendError::Invalid)
}

fn unusual_line(w: &mut Writer<'_>, minor: u8, status: Status<'_>) -> Result<(), Part> {
    if !(100..=999).contains(&status.code) {
        return Err(Part::Status);
    }
    let reason = status.reason.unwrap_or_else(|| reason(status.code).as_bytes());
    if reason.iter().any(|&b| is_stop(b)) {
        return Err(Part::Reason);
    }
    w.put(if minor == 0 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    w.number(u64::from(status.code));
    w.put(b" ");
    w.put(reason);
    w.put(b"\r\n");
    Ok(())
}

/// Octets of the longest usual status line, and no fewer than can be copied at once.
const LINE: usize = 48;

const fn padded(line: &[u8]) -> [u8; LINE] {
    let mut all = [0; LINE];
    all.split_at_mut(line.len()).0.copy_from_slice(line);
    all
}

macro_rules! reasons {
    ($($code:literal $reason:literal)*) => {
        /// The usual reason phrase of a status (RFC 9110 §15); empty where there is none.
        #[must_use]
        pub const fn reason(status: u16) -> &'static str {
            match status { $($code => $reason,)* _ => "" }
        }

        /// The whole status line, with the usual reason phrase.
        #[inline(always)]
        fn usual_line(status: u16) -> Option<(&'static [u8; LINE], u8)> {
            match status {
                $($code => {
                    const LINE_OF: &str = concat!("HTTP/1.1 ", $code, " ", $reason, "\r\n");
                    const PADDED: &[u8; LINE] = &padded(LINE_OF.as_bytes());
                    Some((PADDED, LINE_OF.len() as u8))
                },)*
                _ => None,
            }
        }
    };
}

reasons! {
    100 "Continue"
    101 "Switching Protocols"
    103 "Early Hints"
    200 "OK"
    201 "Created"
    202 "Accepted"
    203 "Non-Authoritative Information"
    204 "No Content"
    205 "Reset Content"
    206 "Partial Content"
    300 "Multiple Choices"
    301 "Moved Permanently"
    302 "Found"
    303 "See Other"
    304 "Not Modified"
    307 "Temporary Redirect"
    308 "Permanent Redirect"
    400 "Bad Request"
    401 "Unauthorized"
    402 "Payment Required"
    403 "Forbidden"
    404 "Not Found"
    405 "Method Not Allowed"
    406 "Not Acceptable"
    407 "Proxy Authentication Required"
    408 "Request Timeout"
    409 "Conflict"
    410 "Gone"
    411 "Length Required"
    412 "Precondition Failed"
    413 "Content Too Large"
    414 "URI Too Long"
    415 "Unsupported Media Type"
    416 "Range Not Satisfiable"
    417 "Expectation Failed"
    418 "I'm a teapot"
    421 "Misdirected Request"
    422 "Unprocessable Content"
    425 "Too Early"
    426 "Upgrade Required"
    428 "Precondition Required"
    429 "Too Many Requests"
    431 "Request Header Fields Too Large"
    500 "Internal Server Error"
    501 "Not Implemented"
    502 "Bad Gateway"
    503 "Service Unavailable"
    504 "Gateway Timeout"
    505 "HTTP Version Not Supported"
    508 "Loop Detected"
    511 "Network Authentication Required"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_is_written_the_same_way_with_room_and_without() {
        for code in 100..=999 {
            let want = format!("HTTP/1.1 {code} {}\r\n", reason(code));
            for room in [want.len(), LINE - 1, LINE, 64] {
                let mut out = [0; 64];
                let mut w = Writer::new(&mut out[..room]);
                line(&mut w, 1, code.into()).unwrap();
                assert_eq!(w.finish(), Ok(want.len()));
                assert_eq!(out[..want.len()], *want.as_bytes());
            }
            let mut w = Writer::new(&mut []);
            line(&mut w, 1, code.into()).unwrap();
            assert_eq!(w.finish(), Err(SendError::Short { needed: want.len() }));
        }
        for code in [0, 99, 1000] {
            let refused = line(&mut Writer::new(&mut [0; 64]), 1, code.into());
            assert_eq!(refused, Err(SendError::Invalid(Part::Status)));
        }
    }
}
