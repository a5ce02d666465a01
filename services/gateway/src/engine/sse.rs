//! Blocks of an event stream, and the chunks of HTTP/1.1 that they may lie in. Pure.
//!
//! Clients are less exact than the standard, and what is written here is what all of them read alike:
//!
//! - `id:` comes after `data:`. Some take an id as soon as they see its line, and would resume after an
//!   event of which they only had a part.
//! - The opening comment has no blank line of its own, and `id:` and `retry:` stand only in blocks with
//!   data. Some make an empty message of any block.
//! - Every block is a chunk, where the protocol has chunks. Without them the end of a connection is the
//!   end of the body, and some take half a block at its end for a whole one.

use bytes::Bytes;

use crate::subscription::Framing;

/// The first bytes of a body: proxies and clients see the stream open.
const OPENING: &[u8] = b": wakeline\n";
/// Room for a chunk's size: 16 digits and a line end.
const CHUNK_HEAD_MAX: usize = 18;
/// The chunk that ends a body.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The first bytes of a body. A `retry:` among them belongs to the first block, whatever that is: a
/// stream without a `hello` says it so.
pub(crate) fn opening(framing: Framing, retry_ms: Option<u64>) -> Bytes {
    let mut out = Block::reserve(framing, OPENING.len() + 32);
    out.extend_from_slice(OPENING);
    if let Some(retry_ms) = retry_ms {
        out.extend_from_slice(format!("retry: {retry_ms}\n").as_bytes());
    }
    Block { framing, out }.seal()
}

/// The last bytes of a body that ends by intention.
pub(crate) fn ending(framing: Framing) -> Option<Bytes> {
    (framing == Framing::Chunked).then(|| Bytes::from_static(LAST_CHUNK))
}

/// A block in the making: its data is written to [`Block::out`].
pub(crate) struct Block {
    framing: Framing,
    /// What is written so far.
    pub(crate) out: Vec<u8>,
}

impl Block {
    /// Begins a block for about `data_bytes` of data on one line.
    pub(crate) fn begin(
        framing: Framing,
        name: Option<&str>,
        retry_ms: Option<u64>,
        data_bytes: usize,
    ) -> Self {
        Self::begin_after(framing, None, name, retry_ms, data_bytes)
    }

    /// The same after a comment.
    pub(crate) fn begin_after(
        framing: Framing,
        comment: Option<&str>,
        name: Option<&str>,
        retry_ms: Option<u64>,
        data_bytes: usize,
    ) -> Self {
        let mut out = Self::reserve(framing, data_bytes + 64);
        if let Some(comment) = comment {
            out.extend_from_slice(b": ");
            out.extend_from_slice(comment.as_bytes());
            out.push(b'\n');
        }
        if let Some(name) = name {
            out.extend_from_slice(b"event: ");
            out.extend_from_slice(name.as_bytes());
            out.push(b'\n');
        }
        if let Some(retry_ms) = retry_ms {
            out.extend_from_slice(format!("retry: {retry_ms}\n").as_bytes());
        }
        out.extend_from_slice(b"data: ");
        Self { framing, out }
    }

    fn reserve(framing: Framing, bytes: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes + CHUNK_HEAD_MAX + 2);
        if framing == Framing::Chunked {
            out.extend_from_slice(&[0; CHUNK_HEAD_MAX]);
        }
        out
    }

    /// Ends the block after its data; an empty cursor is none.
    pub(crate) fn end(mut self, cursor: &str) -> Bytes {
        if !cursor.is_empty() {
            self.out.extend_from_slice(b"\nid: ");
            self.out.extend_from_slice(cursor.as_bytes());
        }
        self.out.extend_from_slice(b"\n\n");
        self.seal()
    }

    fn seal(mut self) -> Bytes {
        if self.framing == Framing::Plain {
            self.out.shrink_to_fit();
            return Bytes::from(self.out);
        }
        let head = format!("{:x}\r\n", self.out.len() - CHUNK_HEAD_MAX);
        let begin = CHUNK_HEAD_MAX - head.len();
        self.out[begin..CHUNK_HEAD_MAX].copy_from_slice(head.as_bytes());
        self.out.extend_from_slice(b"\r\n");
        self.out.shrink_to_fit();
        Bytes::from(self.out).slice(begin..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(framing: Framing) -> Bytes {
        let mut block = Block::begin(framing, Some("keepalive"), Some(4_321), 2);
        block.out.extend_from_slice(b"{}");
        block.end("CURSOR")
    }

    #[test]
    fn the_id_comes_after_the_data() {
        let text = b"event: keepalive\nretry: 4321\ndata: {}\nid: CURSOR\n\n";
        assert_eq!(&block(Framing::Plain)[..], text);
    }

    #[test]
    fn a_chunk_is_its_size_and_its_block() {
        let plain = block(Framing::Plain);
        let expected = [format!("{:x}\r\n", plain.len()).as_bytes(), &plain[..], b"\r\n"].concat();
        assert_eq!(&block(Framing::Chunked)[..], &expected[..]);
        assert_eq!(&opening(Framing::Chunked, None)[..], b"b\r\n: wakeline\n\r\n");
        assert_eq!(ending(Framing::Chunked).as_deref(), Some(&b"0\r\n\r\n"[..]));
    }

    #[test]
    fn a_plain_body_has_no_chunks_and_nothing_opens_with_a_block_of_its_own() {
        assert_eq!(&opening(Framing::Plain, None)[..], b": wakeline\n");
        assert_eq!(&opening(Framing::Plain, Some(7))[..], b": wakeline\nretry: 7\n");
        assert_eq!(ending(Framing::Plain), None);
    }
}
