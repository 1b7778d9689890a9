//! keepalive and its peers, each driven as its own documentation says.
//!
//! Every side gets its best: no allocation that it does not make itself, the faster of two ways where
//! there are two, a response prepared beforehand where it can keep one.

pub mod h11;
pub mod http_net;
pub mod httparse;
pub mod hyper;
pub mod ours;
pub mod pico;
pub mod ureq;

/// What is sent in answer.
pub const CONTENT: &[u8] = b"Hello, World!";

/// What a side made of a request head: for the proof that all did the same work.
#[derive(Clone, PartialEq, Eq)]
pub struct Parsed {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    /// Names in lower case, since some sides keep no others.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Parsed {
    pub fn new<'a>(
        method: &[u8],
        target: &[u8],
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Self {
        let fields = fields.map(|(n, v)| (n.to_ascii_lowercase(), v.to_vec())).collect();
        Self { method: method.to_vec(), target: target.to_vec(), fields }
    }

    /// Without the order of the fields, which some sides do not keep.
    pub fn sorted(mut self) -> Self {
        self.fields.sort();
        self
    }
}

impl std::fmt::Debug for Parsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method.escape_ascii(), self.target.escape_ascii())?;
        let mut fields = self.fields.iter();
        fields.try_for_each(|(n, v)| write!(f, "\n  {}: {}", n.escape_ascii(), v.escape_ascii()))
    }
}
