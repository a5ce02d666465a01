//! Frames out of bytes: WebSocket messages and SSE blocks. Pure.

use memchr::memmem;

/// How a stream is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// Over WebSocket.
    WebSocket,
    /// Server-sent events.
    Sse,
}

impl std::fmt::Display for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
        })
    }
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An event.
    Event,
    /// A ping, whose payload is to be sent back.
    Ping,
    /// Something else that belongs to a stream: a keep-alive, `caught_up`, `hello`, a comment.
    Control,
    /// The stream goes on elsewhere, or ends: `reset`, `fault`, `degraded`, a close.
    Break,
}

/// A frame within a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// What it is.
    pub(crate) kind: Kind,
    /// Where its content begins, from its start.
    pub(crate) content: usize,
    /// Its whole length.
    pub(crate) length: usize,
}

/// The first frame of `bytes`; `None` while it is not whole.
pub(crate) fn first(carrier: Carrier, bytes: &[u8]) -> Option<Frame> {
    match carrier {
        Carrier::WebSocket => web_socket(bytes),
        Carrier::Sse => sse(bytes),
    }
}

fn web_socket(bytes: &[u8]) -> Option<Frame> {
    let (opcode, short) = (bytes.first()? & 0x0f, bytes.get(1)? & 0x7f);
    let (content, payload): (usize, usize) = match short {
        126 => (
            4,
            usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
        ),
        127 => (
            10,
            usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?,
        ),
        length => (2, usize::from(length)),
    };
    let length = content.checked_add(payload)?;
    let text = bytes.get(content..length)?;
    let kind = match opcode {
        0x1 if text.starts_with(b"{\"type\":\"event\"") => Kind::Event,
        0x1 if text.starts_with(b"{\"type\":\"caught_up\"")
            || text.starts_with(b"{\"type\":\"keepalive\"") =>
        {
            Kind::Control
        }
        0x9 => Kind::Ping,
        0xa => Kind::Control,
        _ => Kind::Break,
    };
    Some(Frame {
        kind,
        content,
        length,
    })
}

/// A block, with the end of the chunk before it and the head of its own, where it lies in chunks.
fn sse(bytes: &[u8]) -> Option<Frame> {
    let length = memmem::find(bytes, b"\n\n")? + 2;
    let begin = chunk_head(&bytes[..length]);
    let block = &bytes[begin..length];
    let kind = match block.first()? {
        b'i' | b'd' => Kind::Event,
        b':' => Kind::Control,
        _ => ["event: hello", "event: caught_up", "event: keepalive"]
            .iter()
            .find(|name| block.starts_with(name.as_bytes()))
            .map_or(Kind::Break, |_| Kind::Control),
    };
    let content = if kind == Kind::Event {
        memmem::find(block, b"data: ").map_or(0, |at| begin + at + 6)
    } else {
        0
    };
    Some(Frame {
        kind,
        content,
        length,
    })
}

/// Bytes before a block that belong to chunks.
fn chunk_head(bytes: &[u8]) -> usize {
    let before = bytes.len() - bytes.strip_prefix(b"\r\n").unwrap_or(bytes).len();
    let digits = bytes[before..].iter().take_while(|byte| byte.is_ascii_hexdigit());
    let end = before + digits.count();
    if bytes[end..].starts_with(b"\r\n") {
        end + 2
    } else {
        before
    }
}

/// The JSON of an event within a frame's content.
pub(crate) fn event_json(carrier: Carrier, content: &[u8]) -> Option<&[u8]> {
    match carrier {
        Carrier::Sse => content.split(|byte| *byte == b'\n').next(),
        Carrier::WebSocket => {
            let name = b"\"event\":{";
            let start = memmem::find(content, name)? + name.len() - 1;
            content.get(start..content.len().checked_sub(1)?)
        }
    }
}

/// A pong for a ping's payload, masked with zeros.
pub(crate) fn pong(payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(125)];
    let mut frame = vec![0x8a, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(opcode: u8, text: &str) -> Vec<u8> {
        let mut bytes = vec![0x80 | opcode, 126];
        bytes.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    #[test]
    fn a_message_counts_once_it_is_whole() {
        let bytes = message(1, "{\"type\":\"event\",\"cursor\":\"c\",\"event\":{\"a\":{}}}");
        for cut in 0..bytes.len() {
            assert_eq!(first(Carrier::WebSocket, &bytes[..cut]), None);
        }
        let frame = first(Carrier::WebSocket, &bytes).unwrap();
        assert_eq!((frame.kind, frame.length), (Kind::Event, bytes.len()));
        assert_eq!(
            event_json(Carrier::WebSocket, &bytes[frame.content..]),
            Some(&b"{\"a\":{}}"[..])
        );
    }

    #[test]
    fn a_block_counts_once_it_is_whole() {
        let bytes = b"id: c\ndata: {\"a\":1}\n\nid: d";
        let frame = first(Carrier::Sse, bytes).unwrap();
        assert_eq!((frame.kind, frame.length), (Kind::Event, 21));
        assert_eq!(
            event_json(Carrier::Sse, &bytes[frame.content..frame.length]),
            Some(&b"{\"a\":1}"[..])
        );
        assert_eq!(first(Carrier::Sse, &bytes[frame.length..]), None);
    }

    #[test]
    fn a_block_that_is_a_chunk_is_the_same_block() {
        let bytes = b"19\r\n: x\ndata: {\"a\":1}\nid: c\n\n\r\nf\r\ndata: {}\nid: d\n\n\r\n";
        let opening = first(Carrier::Sse, bytes).unwrap();
        assert_eq!(opening.kind, Kind::Control);
        let frame = first(Carrier::Sse, &bytes[opening.length..]).unwrap();
        assert_eq!(frame.kind, Kind::Event);
        let content = &bytes[opening.length..][frame.content..frame.length];
        assert_eq!(event_json(Carrier::Sse, content), Some(&b"{}"[..]));
    }

    #[test]
    fn a_reset_or_a_close_breaks_the_stream() {
        assert_eq!(
            first(Carrier::Sse, b"event: reset\ndata: {}\n\n").unwrap().kind,
            Kind::Break
        );
        assert_eq!(
            first(Carrier::WebSocket, &message(8, "")).unwrap().kind,
            Kind::Break
        );
        let reset = message(1, "{\"type\":\"reset\"}");
        assert_eq!(first(Carrier::WebSocket, &reset).unwrap().kind, Kind::Break);
    }
}
