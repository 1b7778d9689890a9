//! The operations of the ring, and all unsafe code of this example: what is handed to the kernel must
//! stay where it is until the kernel gives it back.

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

/// Received octets land in buffers of this size, which the kernel takes from a group when it has
/// something to put in: so no buffer waits with a connection that is idle.
const SIZE: usize = 32 * 1024;
const COUNT: u16 = 256;
const GROUP: u16 = 0;

/// What a completion is about, and of which connection. Both travel with it as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Accept,
    Signal,
    Recv(usize),
    Send(usize),
    /// Of no interest when it is done.
    Other,
}

impl Op {
    fn token(self) -> u64 {
        match self {
            Self::Other => 0,
            Self::Accept => 1,
            Self::Signal => 2,
            Self::Recv(key) => (key as u64) << 2 | 3,
            Self::Send(key) => (key as u64 + 1) << 2,
        }
    }

    fn of(token: u64) -> Self {
        match (token, token & 3) {
            (0, _) => Self::Other,
            (1, _) => Self::Accept,
            (2, _) => Self::Signal,
            (_, 3) => Self::Recv((token >> 2) as usize),
            _ => Self::Send((token >> 2) as usize - 1),
        }
    }
}

/// What was completed.
pub(crate) struct Done {
    pub(crate) op: Op,
    /// As the system call would have returned it; what is an error is negative.
    pub(crate) result: i32,
    /// More completions of the same operation will come.
    pub(crate) more: bool,
    /// The buffer that was taken from the group. Give it back.
    pub(crate) buffer: Option<u16>,
}

pub(crate) struct Ring {
    ring: IoUring,
    /// Behind the ring, so that it is freed when the ring is gone.
    memory: Box<[u8]>,
}

impl Ring {
    pub(crate) fn new() -> io::Result<Self> {
        // One thread only: then the kernel need not interrupt it to make progress.
        let ring = IoUring::builder().setup_coop_taskrun().setup_single_issuer().build(1024);
        let ring = ring.or_else(|_| IoUring::new(1024))?;
        let memory = vec![0; SIZE * usize::from(COUNT)].into_boxed_slice();
        let mut this = Self { ring, memory };
        this.provide(0, COUNT)?;
        Ok(this)
    }

    /// Hands an operation over.
    fn push(&mut self, entry: &squeue::Entry, op: Op) -> io::Result<()> {
        let entry = entry.clone().user_data(op.token());
        // SAFETY: the callers below see to it that what the entry points to stays until the operation
        // is done: `memory` as long as the ring, and a buffer that is being sent with its `Flight`.
        #[allow(unsafe_code)]
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            self.ring.submit()?;
        }
        Ok(())
    }

    /// Gives buffers to the group.
    fn provide(&mut self, first: u16, count: u16) -> io::Result<()> {
        let space = &mut self.memory[usize::from(first) * SIZE..][..usize::from(count) * SIZE];
        let (pointer, size) = (space.as_mut_ptr(), SIZE as i32);
        let entry = opcode::ProvideBuffers::new(pointer, size, count, GROUP, first).build();
        self.push(&entry, Op::Other)
    }

    /// What was received into a buffer of the group.
    pub(crate) fn received(&self, buffer: u16, n: usize) -> &[u8] {
        &self.memory[usize::from(buffer) * SIZE..][..n.min(SIZE)]
    }

    /// Gives a buffer back.
    pub(crate) fn give_back(&mut self, buffer: u16) -> io::Result<()> {
        self.provide(buffer, 1)
    }

    /// Accepts connections, one completion each, until told otherwise.
    pub(crate) fn accept(&mut self, listener: &impl AsRawFd) -> io::Result<()> {
        let entry = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd())).build();
        self.push(&entry, Op::Accept)
    }

    /// Tells when there is something to read in a pipe.
    pub(crate) fn watch(&mut self, pipe: &impl AsRawFd) -> io::Result<()> {
        const POLLIN: u32 = 1;
        let entry = opcode::PollAdd::new(types::Fd(pipe.as_raw_fd()), POLLIN).build();
        self.push(&entry, Op::Signal)
    }

    /// Receives at most `room` octets into a buffer of the group.
    pub(crate) fn recv(&mut self, sock: &OwnedFd, key: usize, room: usize) -> io::Result<()> {
        let (fd, most) = (types::Fd(sock.as_raw_fd()), room.min(SIZE) as u32);
        let recv = opcode::Recv::new(fd, ptr::null_mut(), most).buf_group(GROUP).build();
        self.push(&recv.flags(squeue::Flags::BUFFER_SELECT), Op::Recv(key))
    }

    /// Sends. The bytes are the kernel's until the completion comes: that is what [`Flight`] is for.
    ///
    /// [`Flight`]: crate::peer::Flight
    pub(crate) fn send(&mut self, sock: &OwnedFd, key: usize, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let entry = opcode::Send::new(types::Fd(sock.as_raw_fd()), bytes.as_ptr(), length).build();
        self.push(&entry, Op::Send(key))
    }

    /// Asks for an end of an operation. Its completion comes all the same, perhaps as ECANCELED.
    pub(crate) fn cancel(&mut self, op: Op) -> io::Result<()> {
        let entry = opcode::AsyncCancel::new(op.token()).build();
        self.push(&entry, Op::Other)
    }

    /// Submits what was pushed, and waits for a completion, for no longer than `wait`.
    pub(crate) fn wait(&mut self, wait: Option<Duration>) -> io::Result<()> {
        let waited = match wait {
            None => self.ring.submit_and_wait(1),
            Some(wait) => {
                let until = types::Timespec::from(wait);
                self.ring
                    .submitter()
                    .submit_with_args(1, &types::SubmitArgs::new().timespec(&until))
            }
        };
        const ETIME: i32 = 62;
        match waited {
            Ok(_) => Ok(()),
            // The time is over; a signal came; completions are to be taken first.
            Err(error) if error.raw_os_error() == Some(ETIME) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What is done by now.
    pub(crate) fn completed(&mut self, done: &mut Vec<Done>) {
        done.extend(self.ring.completion().map(|entry| Done {
            op: Op::of(entry.user_data()),
            result: entry.result(),
            more: cqueue::more(entry.flags()),
            buffer: cqueue::buffer_select(entry.flags()),
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_what_it_was_made_of() {
        let keys = [0, 1, 2, 3, 4, 5, 1000, usize::MAX >> 3];
        let per_key = keys.iter().flat_map(|&key| [Op::Recv(key), Op::Send(key)]);
        for op in [Op::Accept, Op::Signal, Op::Other].into_iter().chain(per_key) {
            assert_eq!(Op::of(op.token()), op);
        }
    }
}
