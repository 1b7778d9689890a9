//! Events as they are kept and compared: what a machine reported, in words of the case files.

use super::case::{Fields, Token};
use super::show::text;
use keepalive::{Line as FieldLine, RequestFraming, ResponseFraming, Trailers, client, server};

/// An event, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ev {
    /// A head: its kind, its first words, and what else may be asked of it.
    Head {
        words: Vec<String>,
        more: Vec<String>,
        fields: Fields,
    },
    Content(Vec<u8>),
    End(Fields),
    Failed {
        kind: String,
        more: Vec<String>,
    },
}

impl std::fmt::Display for Ev {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Head { words, more, .. } => {
                write!(f, "{} {}", words.join(" "), more.join(" "))
            }
            Self::Content(bytes) => write!(f, "content \"{}\"", text(bytes)),
            Self::End(fields) => {
                f.write_str("end")?;
                fields.iter().try_for_each(|(n, v)| write!(f, " [{n}: {}]", text(v)))
            }
            Self::Failed { kind, more } => write!(f, "failed {kind} {}", more.join(" ")),
        }
    }
}

/// Field lines, folds joined.
pub(crate) fn kept<'b>(fields: impl Iterator<Item = FieldLine<'b>>) -> Fields {
    fields
        .map(|line| {
            let pieces: Vec<_> = line.pieces().collect();
            (String::from_utf8_lossy(line.name).into_owned(), pieces.join(&b' '))
        })
        .collect()
}

impl Ev {
    pub(crate) fn end(trailers: Trailers<'_>) -> Self {
        Self::End(kept(trailers))
    }

    pub(crate) fn failed(failure: keepalive::Failure) -> Self {
        let status = failure.status().map_or("none".to_owned(), |s| s.to_string());
        let more = vec![format!("@{}", failure.offset), format!("status={status}")];
        Self::Failed { kind: failure.kind.name().to_owned(), more }
    }

    pub(crate) fn of_server(event: server::Event<'_>) -> Self {
        match event {
            server::Event::Request(head) => {
                let framing = match head.framing() {
                    RequestFraming::None => "framing=none".to_owned(),
                    RequestFraming::Length(n) => format!("framing=length:{n}"),
                    RequestFraming::Chunked => "framing=chunked".to_owned(),
                };
                let mut more = vec![
                    format!("version={}", head.version()),
                    framing,
                    format!("authority={}", head.authority().map_or("none".to_owned(), text)),
                ];
                if head.expects_continue() {
                    more.push("expects".to_owned());
                }
                let offers: Vec<_> = head.upgrade().map(text).collect();
                if !offers.is_empty() {
                    more.push(format!("upgrade={}", offers.join(",")));
                }
                Self::Head {
                    words: vec![
                        "request".to_owned(),
                        head.method().to_owned(),
                        text(head.target()),
                    ],
                    more,
                    fields: kept(head.fields()),
                }
            }
            server::Event::Content(bytes) => Self::Content(bytes.to_vec()),
            server::Event::End(trailers) => Self::end(trailers),
            server::Event::Failed(failure) => Self::failed(failure),
        }
    }

    pub(crate) fn of_client(event: client::Event<'_>) -> Self {
        let head = |word: &str, head: keepalive::ResponseHead<'_>| Self::Head {
            words: vec![word.to_owned(), head.status().to_string()],
            more: vec![
                format!("version={}", head.version()),
                match head.framing() {
                    ResponseFraming::Length(n) => format!("framing=length:{n}"),
                    other => format!("framing={}", format!("{other:?}").to_lowercase()),
                },
                format!("reason={}", text(head.reason())),
            ],
            fields: kept(head.fields()),
        };
        match event {
            client::Event::Interim(h) => head("interim", h),
            client::Event::Response(h) => head("response", h),
            client::Event::Content(bytes) => Self::Content(bytes.to_vec()),
            client::Event::End(trailers) => Self::end(trailers),
            client::Event::Failed(failure) => Self::failed(failure),
        }
    }

    pub(crate) fn matches(&self, expected: &[Token]) -> bool {
        let mut words = Vec::new();
        let mut content = None;
        let mut fields = Vec::new();
        for token in expected {
            match token {
                Token::Word(w) => words.push(w.as_str()),
                Token::Text(t) => content = Some(t),
                Token::Field(n, v) => fields.push((n.clone(), v.clone())),
            }
        }
        match self {
            Self::Head { words: own, more, fields: all } => {
                let head = words.len() >= own.len()
                    && words.iter().zip(own).all(|(w, own)| w == own || *w == "*");
                head && words[own.len()..].iter().all(|w| {
                    more.iter().any(|m| m == w)
                        || w.strip_prefix("lacks=").is_some_and(|name| {
                            let value = format!("{name}=");
                            !more.iter().any(|m| m == name || m.starts_with(&value))
                        })
                        || w.strip_prefix("without=").is_some_and(|name| {
                            !all.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
                        })
                }) && fields.iter().all(|f| all.contains(f))
            }
            Self::Content(bytes) => words == ["content"] && content == Some(bytes),
            Self::End(all) => words == ["end"] && *all == fields,
            Self::Failed { kind, more } => {
                // Without a kind, any that has these attributes.
                let is_attribute = |w: &&str| w.contains('=') || w.starts_with('@');
                words.first() == Some(&"failed")
                    && words.len() > 1
                    && words[1..].iter().enumerate().all(|(i, w)| {
                        if *w == "*" {
                            true
                        } else if i > 0 || is_attribute(w) {
                            more.iter().any(|m| m == w)
                        } else {
                            w == kind
                        }
                    })
            }
        }
    }
}
