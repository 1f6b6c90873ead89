//! Buffers that the connections of one thread share.

use std::cell::RefCell;
use std::rc::Rc;

/// One buffer to read into and one to encode into, for all connections of a thread,
/// so that none needs any of its own while it is idle.
///
/// A clone is another handle on the same buffers. Whoever uses a buffer takes it out;
/// a handler that drives another connection meanwhile gets a fresh one.
#[derive(Clone, Debug)]
pub struct Scratch(Rc<Buffers>);

#[derive(Debug)]
struct Buffers {
    read_bytes: usize,
    read: RefCell<Box<[u8]>>,
    write: RefCell<Vec<u8>>,
}

/// The most memory that the buffer to encode into keeps between two uses.
const WRITE_BYTES_KEPT: usize = 64 * 1024;

impl Scratch {
    /// Buffers for reads of up to `read_bytes`.
    ///
    /// # Panics
    ///
    /// If `read_bytes` is 0: such a read would look like the end of the stream.
    pub fn new(read_bytes: usize) -> Self {
        assert!(read_bytes > 0, "a read needs room");
        Self(Rc::new(Buffers { read_bytes, read: RefCell::default(), write: RefCell::default() }))
    }

    pub(super) fn take_read(&self) -> Box<[u8]> {
        let buffer = self.0.read.take();
        if buffer.is_empty() { vec![0; self.0.read_bytes].into() } else { buffer }
    }

    pub(super) fn return_read(&self, buffer: Box<[u8]>) {
        self.0.read.replace(buffer);
    }

    pub(super) fn take_write(&self) -> Vec<u8> {
        self.0.write.take()
    }

    pub(super) fn return_write(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= WRITE_BYTES_KEPT {
            buffer.clear();
            self.0.write.replace(buffer);
        }
    }
}

impl Default for Scratch {
    /// Reads of up to 16 KiB.
    fn default() -> Self {
        Self::new(16 * 1024)
    }
}
