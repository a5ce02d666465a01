//! WebSocket framing (RFC 6455): the server's frames are unmasked and whole, the client's are masked
//! and may come in parts. Pure.

use std::io::Cursor;

use bytes::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Room for the longest header of a server frame.
const HEADER_MAX: usize = 10;

/// Leaves room for a header; the payload follows.
pub(crate) fn reserve(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_MAX]);
    start
}

/// Makes a text frame of the payload behind [`reserve`].
pub(crate) fn seal(mut out: Vec<u8>, start: usize) -> Bytes {
    out.shrink_to_fit();
    let length = out.len() - start - HEADER_MAX;
    let header = header(OpCode::Data(Data::Text), length);
    let begin = start + HEADER_MAX - header.len();
    out[begin..start + HEADER_MAX].copy_from_slice(&header);
    Bytes::from(out).slice(begin..)
}

/// A ping without payload.
pub(crate) fn ping() -> Bytes {
    Bytes::from(header(OpCode::Control(Control::Ping), 0))
}

/// The answer to a ping.
pub(crate) fn pong(payload: &[u8]) -> Bytes {
    let mut out = header(OpCode::Control(Control::Pong), payload.len());
    out.extend_from_slice(payload);
    Bytes::from(out)
}

/// A close frame.
pub(crate) fn close(code: u16, reason: &str) -> Bytes {
    let mut out = header(OpCode::Control(Control::Close), 2 + reason.len());
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
    Bytes::from(out)
}

fn header(opcode: OpCode, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_MAX);
    out.push(0x80 | u8::from(opcode));
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length), _) if length < 126 => out.push(length),
        (_, Ok(length)) => {
            out.push(126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out
}

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Text(String),
    Binary,
    Ping(Vec<u8>),
    Pong,
    Close,
}

/// Why a client cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Protocol,
    TooLong,
    /// A text is not UTF-8 (RFC 6455, 8.1).
    NotText,
}

/// What of a client's frames is incomplete; empty while it is silent.
#[derive(Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    /// Up to where they were read.
    read: usize,
    /// Fragments of a message, and whether it is text.
    message: Option<(bool, Vec<u8>)>,
}

impl Input {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.len() == self.read && self.message.is_none()
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // What is left moves once for all the frames that were read before it.
        drop(self.bytes.drain(..self.read));
        self.read = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, if it has come as a whole. `bytes_max` bounds a frame and a message.
    pub(crate) fn next(&mut self, bytes_max: usize) -> Result<Option<Message>, Broken> {
        loop {
            let bytes = &self.bytes[self.read..];
            let mut cursor = Cursor::new(bytes);
            let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Broken::Protocol)?;
            let Some((header, length)) = parsed else {
                return Ok(None);
            };
            let length = usize::try_from(length).map_err(|_| Broken::TooLong)?;
            if length > bytes_max {
                return Err(Broken::TooLong);
            }
            let Some(mask) = header.mask else {
                return Err(Broken::Protocol);
            };
            if header.rsv1 || header.rsv2 || header.rsv3 {
                return Err(Broken::Protocol);
            }
            let start = usize::try_from(cursor.position()).map_err(|_| Broken::TooLong)?;
            let Some(payload) = bytes.get(start..start + length) else {
                return Ok(None);
            };
            let mut payload = payload.to_vec();
            self.read += start + length;
            if self.read == self.bytes.len() {
                (self.bytes, self.read) = (Vec::new(), 0);
            }
            for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
                *byte ^= key;
            }
            if let Some(message) = self.frame(header.opcode, header.is_final, payload, bytes_max)? {
                return Ok(Some(message));
            }
        }
    }

    fn frame(
        &mut self,
        opcode: OpCode,
        is_final: bool,
        payload: Vec<u8>,
        bytes_max: usize,
    ) -> Result<Option<Message>, Broken> {
        let data = match opcode {
            OpCode::Control(_) if !is_final || payload.len() > 125 => return Err(Broken::Protocol),
            OpCode::Control(Control::Ping) => return Ok(Some(Message::Ping(payload))),
            OpCode::Control(Control::Pong) => return Ok(Some(Message::Pong)),
            OpCode::Control(Control::Close) => return Ok(Some(Message::Close)),
            OpCode::Control(Control::Reserved(_)) => return Err(Broken::Protocol),
            OpCode::Data(data) => data,
        };
        let (is_text, whole) = match (data, self.message.take()) {
            (Data::Continue, Some((is_text, mut message))) => {
                if message.len() + payload.len() > bytes_max {
                    return Err(Broken::TooLong);
                }
                message.extend_from_slice(&payload);
                (is_text, message)
            }
            (Data::Text, None) => (true, payload),
            (Data::Binary, None) => (false, payload),
            _ => return Err(Broken::Protocol),
        };
        if !is_final {
            self.message = Some((is_text, whole));
            return Ok(None);
        }
        if !is_text {
            return Ok(Some(Message::Binary));
        }
        let text = String::from_utf8(whole).map_err(|_| Broken::NotText)?;
        Ok(Some(Message::Text(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame.
    fn client(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut out = vec![first];
        if payload.len() < 126 {
            out.push(0x80 | payload.len() as u8);
        } else {
            out.push(0x80 | 126);
            out.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
        out.extend_from_slice(&mask);
        out.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        out
    }

    #[test]
    fn a_message_that_comes_byte_by_byte_is_read_once_whole() {
        let mut input = Input::default();
        let frame = client(0x81, b"hello");
        for byte in &frame[..frame.len() - 1] {
            input.push(&[*byte]);
            assert_eq!(input.next(100), Ok(None));
        }
        input.push(&frame[frame.len() - 1..]);
        assert_eq!(input.next(100), Ok(Some(Message::Text("hello".into()))));
        assert!(input.is_empty());
    }

    #[test]
    fn what_comes_in_any_pieces_is_read_frame_by_frame() {
        let frames = [client(0x81, b"a"), client(0x89, b""), client(0x81, b"bc")].concat();
        for size in 1..=frames.len() {
            let (mut input, mut said) = (Input::default(), Vec::new());
            for piece in frames.chunks(size) {
                input.push(piece);
                while let Some(message) = input.next(100).unwrap() {
                    said.push(message);
                }
            }
            let text = |text: &str| Message::Text(text.into());
            assert_eq!(said, [text("a"), Message::Ping(Vec::new()), text("bc")], "{size}");
            assert!(input.is_empty());
        }
    }

    #[test]
    fn a_ping_between_fragments_is_seen_first() {
        let mut input = Input::default();
        for frame in [client(0x01, b"he"), client(0x89, b"p"), client(0x80, b"llo")] {
            input.push(&frame);
        }
        assert_eq!(input.next(100), Ok(Some(Message::Ping(b"p".to_vec()))));
        assert_eq!(input.next(100), Ok(Some(Message::Text("hello".into()))));
        assert_eq!(input.next(100), Ok(None));
    }

    #[test]
    fn a_message_beyond_the_limit_is_refused_also_in_fragments() {
        let mut input = Input::default();
        input.push(&client(0x81, &[b'a'; 101])[..8]);
        assert_eq!(input.next(100), Err(Broken::TooLong));
        let mut input = Input::default();
        input.push(&client(0x01, &[b'a'; 60]));
        input.push(&client(0x80, &[b'a'; 60]));
        assert_eq!(input.next(100), Err(Broken::TooLong));
    }

    #[test]
    fn a_text_that_is_not_utf_8_is_refused() {
        let mut input = Input::default();
        // A letter may be in two fragments.
        for frame in [client(0x01, b"\xc3"), client(0x80, b"\xa9")] {
            input.push(&frame);
        }
        assert_eq!(input.next(100), Ok(Some(Message::Text("\u{e9}".into()))));
        input.push(&client(0x81, b"a\xff"));
        assert_eq!(input.next(100), Err(Broken::NotText));
    }

    #[test]
    fn an_unmasked_or_misplaced_frame_is_refused() {
        for bytes in [
            &b"\x81\x01a"[..],
            &client(0x80, b"x"),
            &client(0xc1, b"x"),
            &client(0x09, b""),
        ] {
            let mut input = Input::default();
            input.push(bytes);
            assert_eq!(input.next(100), Err(Broken::Protocol), "{bytes:?}");
        }
    }

    proptest::proptest! {
        /// Any bytes, in any pieces: no panic, and the pieces change nothing.
        #[test]
        fn bytes_mean_the_same_however_they_come(
            frames in proptest::collection::vec((proptest::num::u8::ANY, proptest::collection::vec(proptest::num::u8::ANY, 0..140)), 0..8),
            noise in proptest::collection::vec(proptest::num::u8::ANY, 0..40),
            cuts in proptest::collection::vec(1_usize..60, 1..40),
        ) {
            let mut bytes: Vec<u8> = frames.iter().flat_map(|(first, payload)| client(*first, payload)).collect();
            bytes.extend(noise);
            let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
                let (mut input, mut said) = (Input::default(), Vec::new());
                for piece in pieces {
                    input.push(piece);
                    loop {
                        match input.next(200) {
                            Ok(Some(message)) => said.push(Ok(message)),
                            Ok(None) => break,
                            Err(broken) => {
                                said.push(Err(broken));
                                return said;
                            }
                        }
                    }
                }
                said
            };
            let whole = read(&mut [&bytes[..]].into_iter());
            let mut rest = &bytes[..];
            let mut cuts = cuts.iter().cycle();
            let mut pieces = std::iter::from_fn(|| {
                let (piece, after) = rest.split_at(rest.len().min(*cuts.next()?));
                rest = after;
                (!piece.is_empty()).then_some(piece)
            });
            proptest::prop_assert_eq!(read(&mut pieces), whole);
        }
    }

    #[test]
    fn headers_of_every_length_are_read_by_a_client() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let mut out = Vec::new();
            let start = reserve(&mut out);
            out.resize(out.len() + length, b'x');
            let frame = seal(out, start);
            let mut cursor = Cursor::new(&frame[..]);
            let (header, read) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
            assert_eq!(read as usize, length);
            assert!(header.mask.is_none() && header.is_final);
            assert_eq!(frame.len() - cursor.position() as usize, length);
        }
    }
}
