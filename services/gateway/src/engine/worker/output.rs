//! What one connection has queued within a turn, and the remainder of at most one frame between turns.

use std::io;

use bytes::Bytes;

/// A connection's bytes: a socket, a channel to hyper, or a script of a test.
pub(crate) trait Wire {
    /// Writes from the front of `frames`; answers how many bytes it took.
    fn write(&mut self, frames: &[Bytes]) -> io::Result<usize>;

    /// Reads what the client sent; 0 means that the client is gone.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Says that nothing more will be written.
    fn shut(&mut self);
}

/// Of a frame that is independent of the stream's position and never dropped: the remainder of a frame
/// that was begun, a control frame.
const KEEP: u32 = u32::MAX;

/// Bytes of frames that wait before the conversation is told of more: a client that does not read holds
/// these, and what one record makes.
const TOLD_BYTES_MAX: usize = 4 << 10;

/// Frames in the order in which they go out.
#[derive(Default)]
pub(crate) struct Output {
    frames: Vec<Bytes>,
    marks: Vec<u32>,
    bytes: usize,
    /// The socket took no more: nothing is written until it is writable.
    pub(crate) blocked: bool,
    /// The client is gone.
    pub(crate) gone: bool,
    /// Bytes that went out, ever.
    pub(crate) written: u64,
}

impl Output {
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a frame is queued that is dropped if the client takes no more.
    fn holds_data(&self) -> bool {
        self.marks.iter().any(|mark| *mark != KEEP)
    }

    /// Whether the conversation is told of nothing before what waits is out: of what it says nothing is dropped,
    /// and it counts on what was shown before it.
    pub(crate) fn is_before_told(&self) -> bool {
        self.holds_data() || self.bytes > TOLD_BYTES_MAX
    }

    /// Queues a frame that must go out.
    pub(crate) fn keep(&mut self, frame: Bytes) {
        self.push(frame, KEEP);
    }

    /// Queues a data frame. Should it be dropped, the stream goes back to before `mark`.
    pub(crate) fn push(&mut self, frame: Bytes, mark: u32) {
        self.bytes += frame.len();
        self.frames.push(frame);
        self.marks.push(mark);
    }

    /// Writes all, or as much as the socket takes. What is left when it takes no more is the remainder
    /// of the frame that was begun, and what must go out; the data frames behind are dropped, and the
    /// mark of the first of them is the answer: the stream must read from there again.
    pub(crate) fn flush(&mut self, wire: &mut impl Wire) -> Option<u32> {
        let mut done = 0;
        while done < self.frames.len() && !self.blocked && !self.gone {
            match wire.write(&self.frames[done..]) {
                Ok(0) => self.blocked = true,
                Ok(written) => {
                    self.written += written as u64;
                    done = self.advance(done, written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.blocked = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.gone = true,
            }
        }
        self.frames.drain(..done);
        self.marks.drain(..done);
        if self.gone {
            self.frames.clear();
            self.marks.clear();
        }
        let dropped = self.drop_unsent();
        self.bytes = self.frames.iter().map(Bytes::len).sum();
        if self.frames.is_empty() {
            // Between turns an idle connection owns no buffer.
            self.frames = Vec::new();
            self.marks = Vec::new();
        }
        dropped
    }

    fn advance(&mut self, mut done: usize, mut written: usize) -> usize {
        while let Some(frame) = self.frames.get_mut(done) {
            if written < frame.len() {
                if written > 0 {
                    *frame = frame.slice(written..);
                    self.marks[done] = KEEP;
                }
                break;
            }
            written -= frame.len();
            done += 1;
        }
        done
    }

    fn drop_unsent(&mut self) -> Option<u32> {
        let mark = self.marks.iter().copied().find(|mark| *mark != KEEP)?;
        let mut marks = self.marks.iter();
        self.frames.retain(|_| marks.next() == Some(&KEEP));
        self.marks.retain(|mark| *mark == KEEP);
        Some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes.
    struct Narrow {
        room: usize,
        taken: Vec<u8>,
    }

    impl Wire for Narrow {
        fn write(&mut self, frames: &[Bytes]) -> io::Result<usize> {
            let all: Vec<u8> = frames.iter().flatten().copied().collect();
            let taken = all.len().min(self.room);
            self.room -= taken;
            self.taken.extend_from_slice(&all[..taken]);
            if taken == 0 {
                Err(io::ErrorKind::WouldBlock.into())
            } else {
                Ok(taken)
            }
        }

        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }

        fn shut(&mut self) {}
    }

    fn queued() -> Output {
        let mut output = Output::default();
        for (mark, frame) in [(3, "aaaa"), (5, "bbbb"), (9, "cccc")] {
            output.push(Bytes::from_static(frame.as_bytes()), mark);
        }
        output
    }

    fn wire(room: usize) -> Narrow {
        Narrow {
            room,
            taken: Vec::new(),
        }
    }

    #[test]
    fn the_first_frame_that_was_not_begun_is_where_to_read_again() {
        for (room, mark) in [
            (0, Some(3)),
            (3, Some(5)),
            (4, Some(5)),
            (6, Some(9)),
            (8, Some(9)),
            (9, None),
            (12, None),
        ] {
            let mut output = queued();
            assert_eq!(output.flush(&mut wire(room)), mark, "room for {room}");
        }
    }

    #[test]
    fn a_frame_that_was_begun_is_finished_before_anything_else() {
        let mut output = queued();
        let mut wire = wire(6);
        output.flush(&mut wire);
        assert_eq!(output.bytes(), 2);
        output.push(Bytes::from_static(b"dddd"), 1);
        output.blocked = false;
        wire.room = 100;
        assert_eq!(output.flush(&mut wire), None);
        assert_eq!(wire.taken, b"aaaabbbbdddd");
    }

    #[test]
    fn what_must_go_out_outlives_what_is_dropped() {
        let mut output = queued();
        output.keep(Bytes::from_static(b"!"));
        let mut wire = wire(5);
        assert_eq!(output.flush(&mut wire), Some(9));
        output.blocked = false;
        wire.room = 100;
        output.flush(&mut wire);
        assert_eq!(wire.taken, b"aaaabbbb!");
    }
}
