//! Buffers that go from connection to connection: one in use for each that has something half read or
//! half written, and none for those that are idle.

use keepalive::Buffer;

/// A buffer of a fixed size.
pub type Bytes = Buffer<Box<[u8]>>;

/// Buffers of one size that nobody uses just now.
///
/// A stack, so that the next connection gets the buffer that the last one had: it is in the cache.
#[derive(Debug)]
pub struct Buffers {
    size: usize,
    most: usize,
    free: Vec<Bytes>,
}

impl Buffers {
    /// None so far; at most `most` are kept.
    #[must_use]
    pub fn new(size: usize, most: usize) -> Self {
        Self { size, most, free: Vec::new() }
    }

    /// An empty one.
    pub fn take(&mut self) -> Bytes {
        self.free.pop().unwrap_or_else(|| Buffer::new(vec![0; self.size].into()))
    }

    /// Gives it back if it is empty. Else what is in it has to be kept: here it is.
    pub fn give_back(&mut self, buffer: Bytes) -> Option<Bytes> {
        if !buffer.is_empty() {
            return Some(buffer);
        }
        self.drop_or_keep(buffer);
        None
    }

    /// Gives it back with whatever is in it.
    pub fn give_up(&mut self, mut buffer: Bytes) {
        buffer.clear();
        self.drop_or_keep(buffer);
    }

    fn drop_or_keep(&mut self, buffer: Bytes) {
        if self.free.len() < self.most {
            self.free.push(buffer);
        }
    }
}
