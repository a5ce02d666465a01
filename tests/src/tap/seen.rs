//! What came over a connection, and what it means.

use tokio::time::Instant;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// A WebSocket was closed with this code.
    Closed(u16),
    /// An event stream ended after `event: fault`.
    Fault,
    /// Nothing was said.
    Silently,
}

/// How the bytes after the head are to be read.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Body {
    #[default]
    Unknown,
    Frames,
    Chunks,
    Plain,
}

/// Bytes as they came, and as they are to be read.
#[derive(Default)]
pub(super) struct Seen {
    raw: Vec<u8>,
    body: Body,
    /// Read so far.
    at: usize,
    /// What was in frames or chunks, or stood plain.
    text: Vec<u8>,
    /// How long the head says that it is.
    length: Option<usize>,
    close: Option<u16>,
    ended: Option<Instant>,
}

impl Seen {
    /// Takes what came, nothing at the end; frames to answer with.
    pub(super) fn take(&mut self, bytes: &[u8], now: Instant) -> Vec<Vec<u8>> {
        self.raw.extend_from_slice(bytes);
        if bytes.is_empty() {
            self.ended.get_or_insert(now);
        }
        if self.body == Body::Unknown {
            self.head();
        }
        let mut answers = Vec::new();
        match self.body {
            Body::Unknown => {}
            Body::Frames => while self.frame(now, &mut answers) {},
            Body::Chunks => while self.chunk() {},
            Body::Plain => {
                self.text.extend_from_slice(&self.raw[self.at..]);
                self.at = self.raw.len();
            }
        }
        answers
    }

    pub(super) fn status(&self) -> Option<u16> {
        if self.body == Body::Unknown {
            return None;
        }
        std::str::from_utf8(self.raw.get(9..12)?).ok()?.parse().ok()
    }

    /// Whether the answer is there as a whole; that of a stream never is before its end.
    pub(super) fn is_whole(&self) -> bool {
        let length = self.length.is_some_and(|length| self.text.len() >= length);
        self.ended.is_some() || (self.body == Body::Plain && length)
    }

    /// As it came, or as it reads.
    pub(super) fn has(&self, text: &str) -> bool {
        find(&self.raw, text.as_bytes()).is_some() || find(&self.text, text.as_bytes()).is_some()
    }

    pub(super) fn ended(&self) -> Option<(Ended, Instant)> {
        let at = self.ended?;
        let ended = match self.close {
            Some(code) => Ended::Closed(code),
            None if find(&self.text, b"event: fault\n").is_some() => Ended::Fault,
            None => Ended::Silently,
        };
        Some((ended, at))
    }

    pub(super) fn all(&self) -> String {
        let head = find(&self.raw, b"\r\n\r\n").unwrap_or(self.raw.len());
        let head = String::from_utf8_lossy(&self.raw[..head]);
        format!("{head}\r\n\r\n{}", String::from_utf8_lossy(&self.text))
    }

    fn head(&mut self) {
        let Some(end) = find(&self.raw, b"\r\n\r\n") else {
            return;
        };
        self.at = end + 4;
        let head = String::from_utf8_lossy(&self.raw[..end]).to_ascii_lowercase();
        let mut lines = head.lines();
        let length = lines.find_map(|line| line.strip_prefix("content-length: "));
        self.length = length.and_then(|length| length.trim().parse().ok());
        self.body = if head.starts_with("http/1.1 101") {
            Body::Frames
        } else if head.contains("transfer-encoding: chunked") {
            Body::Chunks
        } else {
            Body::Plain
        };
    }

    /// Reads a frame, if there is a whole one. Those of servers are not masked.
    fn frame(&mut self, now: Instant, answers: &mut Vec<Vec<u8>>) -> bool {
        let rest = &self.raw[self.at..];
        let Some((head, length)) = length(rest) else {
            return false;
        };
        let Some(payload) = rest.get(head..head + length) else {
            return false;
        };
        match rest[0] & 0xf {
            0x8 => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                self.close.get_or_insert(code.unwrap_or(1005));
                self.ended.get_or_insert(now);
                answers.push(frame(0x8, payload));
            }
            0x9 => answers.push(frame(0xa, payload)),
            _ => self.text.extend_from_slice(payload),
        }
        self.text.push(b'\n');
        self.at += head + length;
        true
    }

    /// Reads a chunk, if there is a whole one.
    fn chunk(&mut self) -> bool {
        let rest = &self.raw[self.at..];
        let Some(line) = find(rest, b"\r\n") else {
            return false;
        };
        let size = std::str::from_utf8(&rest[..line]).ok();
        let Some(size) = size.and_then(|size| usize::from_str_radix(size, 16).ok()) else {
            return false;
        };
        let begin = line + 2;
        let end = begin + size + 2;
        if rest.len() < end {
            return false;
        }
        self.text.extend_from_slice(&rest[begin..begin + size]);
        self.at += end;
        size > 0
    }
}

/// Length of a frame's head and of its payload.
fn length(frame: &[u8]) -> Option<(usize, usize)> {
    match frame.get(1)? & 0x7f {
        126 => Some((4, u16::from_be_bytes(*frame.get(2..)?.first_chunk()?).into())),
        127 => {
            let length = u64::from_be_bytes(*frame.get(2..)?.first_chunk()?);
            Some((10, usize::try_from(length).ok()?))
        }
        length => Some((2, length.into())),
    }
}

/// A whole frame of a client, masked.
pub(super) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(length).expect("a short frame").to_be_bytes());
        }
    }
    frame.extend(MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    frame
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(parts: &[&[u8]]) -> Seen {
        let mut seen = Seen::default();
        for part in parts {
            seen.take(part, Instant::now());
        }
        seen
    }

    #[test]
    fn what_is_cut_by_chunks_is_found() {
        let seen = seen(&[
            b"HTTP/1.1 200 OK\r\nTransfer-Enc",
            b"oding: chunked\r\n\r\n4\r\nsecr\r\n5\r",
            b"\net va\r\n3\r\nlue\r\n0\r\n\r\n",
            b"",
        ]);
        assert_eq!(seen.status(), Some(200));
        assert!(seen.has("secret value"));
        assert_eq!(seen.ended().map(|(ended, _)| ended), Some(Ended::Silently));
    }

    #[test]
    fn what_a_socket_says_and_how_it_closes_is_seen() {
        let head: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
        let close = [&[0x88, 2][..], &4401_u16.to_be_bytes()].concat();
        let seen = seen(&[head, b"\x81\x05hel", b"lo", &close]);
        assert!(seen.has("hello"));
        assert_eq!(seen.ended().map(|(ended, _)| ended), Some(Ended::Closed(4401)));
    }

    #[test]
    fn an_event_stream_that_says_why_it_ends_is_seen() {
        let head: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let seen = seen(&[head, b"f\r\nevent: fault\nda\r\n0\r\n\r\n", b""]);
        assert_eq!(seen.ended().map(|(ended, _)| ended), Some(Ended::Fault));
    }
}
