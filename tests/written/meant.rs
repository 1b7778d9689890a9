//! What was written and what it means, and how that is told to readers in other languages: JSON, a
//! connection a line. Text of the wire goes as Latin-1, content and the whole stream as base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Field lines, as a reader is to see them: values without the whitespace around them.
pub type Lines = Vec<(Vec<u8>, Vec<u8>)>;

/// A start line.
#[derive(Clone, Debug)]
pub enum Start {
    Request { method: String, target: Vec<u8>, minor: u8 },
    Response { status: u16, reason: Vec<u8>, minor: u8 },
}

/// What may follow a message on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Another one.
    Persists,
    /// None.
    Closes,
    /// Something that is not HTTP.
    Leaves,
}

impl After {
    pub fn of(persists: bool) -> Self {
        if persists { Self::Persists } else { Self::Closes }
    }
}

/// One message, interim responses among them.
#[derive(Clone, Debug)]
pub struct Message {
    pub start: Start,
    pub fields: Lines,
    pub content: Vec<u8>,
    pub trailers: Lines,
    /// Whether the client waits for a 100 before it sends the content.
    pub waits: bool,
    pub after: After,
    /// Where it ends in the stream.
    pub end: usize,
}

/// All that one end of a connection wrote.
#[derive(Clone, Debug)]
pub struct Stream {
    pub seed: u64,
    /// The methods of the requests that were answered, of responses: nobody can read those without.
    pub asked: Option<Vec<String>>,
    pub octets: Vec<u8>,
    pub messages: Vec<Message>,
}

fn latin1(octets: &[u8]) -> String {
    octets.iter().map(|&b| char::from(b)).collect()
}

fn pairs(lines: &Lines) -> Value {
    lines.iter().map(|(name, value)| json!([latin1(name), latin1(value)])).collect()
}

impl Message {
    /// A head with nothing behind it.
    pub fn bare(start: Start, fields: Lines, end: usize) -> Self {
        let (content, trailers) = (Vec::new(), Vec::new());
        Self { start, fields, content, trailers, waits: false, after: After::Persists, end }
    }

    fn json(&self) -> Value {
        let start = match &self.start {
            Start::Request { method, target, minor } => json!([method, latin1(target), minor]),
            Start::Response { status, reason, minor } => json!([status, latin1(reason), minor]),
        };
        let persists = match self.after {
            After::Persists => json!(true),
            After::Closes => json!(false),
            After::Leaves => json!("leaves"),
        };
        json!({
            "start": start,
            "fields": pairs(&self.fields),
            "content": STANDARD.encode(&self.content),
            "trailers": pairs(&self.trailers),
            "waits": self.waits,
            "persists": persists,
            "end": self.end,
        })
    }
}

impl Stream {
    pub fn json(&self) -> Value {
        json!({
            "seed": self.seed,
            "asked": self.asked,
            "octets": STANDARD.encode(&self.octets),
            "messages": self.messages.iter().map(Message::json).collect::<Value>(),
        })
    }
}
