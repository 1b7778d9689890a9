//! Content in both directions: what is left of it, and how it is wrapped.
//!
//! [`Inbound`] turns received octets into content by the framing decided; [`Outbound`] holds the
//! sender to what it declared. Content itself is never copied here but by [`Outbound::send`], which
//! is asked to.

use crate::chunked::{self, Decoder, Found, Prefix};
use crate::encode::Writer;
use crate::error::{Fault, Kind, Part, SendError};
use crate::head::fields::{Line, may_trail};
use crate::head::scan::{Lines, Rules};
use core::ops::Range;

/// What the application declares about the content of a message that it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// There is none.
    None,
    /// So many octets.
    Length(u64),
    /// Some, of unknown length: chunked to a peer that understands it; to a 1.0 client the end of
    /// the connection ends it.
    Unknown,
}

/// How declared content goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plan {
    /// There is none to send: none declared, or HEAD, 204, 304. What is sent all the same on a HEAD
    /// request is dropped.
    None,
    /// So many octets as they are; the last one ends the message.
    Length(u64),
    /// In chunks, until `finish`.
    Chunked,
    /// As it is, until `finish`; then the connection ends.
    UntilClose,
    /// The connection leaves HTTP: what follows is the application's.
    Tunnel,
}

/// What starting a message did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Started {
    /// Octets written to the output space.
    pub written: usize,
    /// How the content goes out.
    pub plan: Plan,
}

/// What sending content did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Moved {
    /// Octets of content taken.
    pub taken: usize,
    /// Octets written to the output space.
    pub written: usize,
}

/// How a piece of content is wrapped when it goes out without being copied: `prefix`, then
/// `content` octets of the caller's, then `suffix`. For vectored writes, sendfile and io_uring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Goes out first.
    pub prefix: Prefix,
    /// So many octets of the content; 0 if it is to be dropped (HEAD).
    pub content: u64,
    /// Goes out last.
    pub suffix: &'static [u8],
}

impl Frame {
    const fn bare(content: u64) -> Self {
        Self { prefix: Prefix::EMPTY, content, suffix: b"" }
    }

    /// Octets on the wire.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.content.saturating_add((self.prefix.len() + self.suffix.len()) as u64)
    }
}

/// What is left of a message's content on its way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Inbound {
    Length(u64),
    Chunked(Decoder),
    Trailers(Lines),
    UntilClose,
}

/// What a step through inbound content found, as ranges of the bytes given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Nothing,
    Content(Range<usize>),
    /// The message is whole; the range is the trailer section without its empty line.
    End(Range<usize>),
}

impl Inbound {
    /// Reads on: how much was consumed, and what was found. `room` bounds content, and 0 holds
    /// trailers back too: nothing else leaves bytes behind when it is 0. `trailers` are the rules for
    /// the trailer section; `spaces` as in [`Decoder::step`].
    pub(crate) fn step(
        &mut self,
        bytes: &[u8],
        room: usize,
        trailers: &Rules,
        spaces: bool,
    ) -> Result<(usize, Piece), Fault> {
        match self {
            Self::Length(0) => Ok((0, Piece::End(0..0))),
            Self::Length(left) => {
                let n = bytes.len().min(room);
                let n = n.min(usize::try_from(*left).unwrap_or(n));
                *left -= n as u64;
                Ok((n, if n == 0 { Piece::Nothing } else { Piece::Content(0..n) }))
            }
            Self::UntilClose => {
                let n = bytes.len().min(room);
                Ok((n, if n == 0 { Piece::Nothing } else { Piece::Content(0..n) }))
            }
            Self::Chunked(decoder) => {
                let (n, found) = decoder.step(bytes, room, spaces)?;
                match found {
                    Found::Nothing => Ok((n, Piece::Nothing)),
                    Found::Content(range) => Ok((n, Piece::Content(range))),
                    Found::LastChunk => {
                        *self = Self::Trailers(Lines::new());
                        let rest = bytes.get(n..).unwrap_or_default();
                        let shift = |f: Fault| Fault::new(f.kind, n + f.at);
                        let (m, piece) = self.step(rest, room, trailers, spaces).map_err(shift)?;
                        Ok((
                            n + m,
                            match piece {
                                Piece::End(range) => Piece::End(range.start + n..range.end + n),
                                other => other,
                            },
                        ))
                    }
                }
            }
            // Trailers are presented whole, and may be more than a driver without room can pass on.
            Self::Trailers(_) if room == 0 && !bytes.starts_with(b"\r\n") => {
                Ok((0, Piece::Nothing))
            }
            Self::Trailers(lines) => Ok(match lines.trailers(bytes, trailers)? {
                None => (0, Piece::Nothing),
                Some(end) => (end, Piece::End(0..end.saturating_sub(2))),
            }),
        }
    }

    /// As [`Decoder::whole_chunk`]; of all other content there is none.
    #[inline(always)]
    pub(crate) fn whole_chunk<'b>(
        &mut self,
        bytes: &'b [u8],
        room: usize,
    ) -> Option<(usize, &'b [u8])> {
        if let Self::Chunked(decoder) = self { decoder.whole_chunk(bytes, room) } else { None }
    }

    /// Octets still to come, where that is known.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::Trailers(_) | Self::UntilClose => None,
        }
    }

    /// Pure content octets that come next on the wire.
    pub(crate) fn run(&self) -> u64 {
        match self {
            Self::Length(left) => *left,
            Self::Chunked(decoder) => decoder.run(),
            Self::Trailers(_) => 0,
            Self::UntilClose => u64::MAX,
        }
    }

    /// `n` octets of the run went past the machine; more than the run counts as the run.
    pub(crate) fn bypass(&mut self, n: u64) -> u64 {
        let n = n.min(self.run());
        match self {
            Self::Length(left) => *left -= n,
            Self::Chunked(decoder) => decoder.skip(n),
            Self::Trailers(_) | Self::UntilClose => {}
        }
        n
    }

    /// What it means that the connection ended here; `None` where that is the end of the content.
    pub(crate) fn cut_short(&self) -> Option<Kind> {
        match self {
            Self::Length(0) | Self::UntilClose => None,
            Self::Length(_) | Self::Chunked(_) => Some(Kind::IncompleteContent),
            Self::Trailers(_) => Some(Kind::IncompleteTrailers),
        }
    }
}

/// What is left of a message's content on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outbound {
    /// All of it is written.
    Done,
    /// All of it is written, and what the caller still sends is dropped: HEAD.
    Dropped,
    Length(u64),
    Chunked,
    UntilClose,
}

impl Outbound {
    pub(crate) fn is_done(self) -> bool {
        matches!(self, Self::Done | Self::Dropped)
    }

    /// Of a plan.
    pub(crate) fn of(plan: Plan) -> Self {
        match plan {
            Plan::Length(n) if n > 0 => Self::Length(n),
            Plan::Chunked => Self::Chunked,
            Plan::UntilClose => Self::UntilClose,
            Plan::None | Plan::Length(_) | Plan::Tunnel => Self::Done,
        }
    }

    fn check(self, len: u64) -> Result<(), SendError> {
        match self {
            Self::Done if len > 0 => Err(SendError::Length { left: 0 }),
            Self::Length(left) if len > left => Err(SendError::Length { left }),
            _ => Ok(()),
        }
    }

    fn wrote(&mut self, n: u64) {
        if let Self::Length(left) = self {
            *left = left.saturating_sub(n);
            if *left == 0 {
                *self = Self::Done;
            }
        }
    }

    /// Copies what fits, wrapped.
    pub(crate) fn send(&mut self, content: &[u8], out: &mut [u8]) -> Result<Moved, SendError> {
        self.check(content.len() as u64)?;
        let taken = match self {
            Self::Dropped => return Ok(Moved { taken: content.len(), written: 0 }),
            Self::Chunked => content.len().min(chunked::fits(out.len())),
            _ => content.len().min(out.len()),
        };
        let mut w = Writer::new(out);
        let piece = content.get(..taken).unwrap_or_default();
        if matches!(self, Self::Chunked) && taken > 0 {
            w.put(&Prefix::of(taken as u64));
            w.put(piece);
            w.put(chunked::SUFFIX);
        } else {
            w.put(piece);
        }
        let written = w.finish()?;
        self.wrote(taken as u64);
        Ok(Moved { taken, written })
    }

    /// The wrapping of `len` octets.
    pub(crate) fn frame(&mut self, len: u64) -> Result<Frame, SendError> {
        self.check(len)?;
        let frame = match self {
            Self::Dropped => Frame::bare(0),
            Self::Chunked if len > 0 => {
                Frame { prefix: Prefix::of(len), content: len, suffix: chunked::SUFFIX }
            }
            _ => Frame::bare(len),
        };
        self.wrote(len);
        Ok(frame)
    }

    /// Ends the content, with trailers where it is chunked.
    pub(crate) fn finish<'f>(
        &mut self,
        trailers: impl IntoIterator<Item = impl Into<Line<'f>>>,
        out: &mut [u8],
    ) -> Result<usize, SendError> {
        let mut w = Writer::new(out);
        let chunked = *self == Self::Chunked;
        if let Self::Length(left) = *self {
            return Err(SendError::Length { left });
        }
        if chunked {
            w.put(chunked::LAST);
        }
        for line in trailers {
            let line = line.into();
            // To a 1.0 client or on HEAD there is no place for trailers, which is not the caller's
            // fault; a message with a length never had one.
            if *self == Self::Done {
                return Err(SendError::Invalid(Part::Content));
            }
            if !may_trail(line.name) {
                return Err(SendError::Invalid(Part::Framing));
            }
            if chunked {
                w.line(&line)?;
            }
        }
        if chunked {
            w.put(b"\r\n");
        }
        let written = w.finish()?;
        if *self != Self::Dropped {
            *self = Self::Done;
        }
        Ok(written)
    }

    /// How much content fits into `space`, wrapped, with the end of the content still to follow.
    pub(crate) fn fits(self, space: usize) -> usize {
        match self {
            Self::Chunked => chunked::fits(space.saturating_sub(chunked::LAST.len() + 2)),
            _ => space,
        }
    }
}
