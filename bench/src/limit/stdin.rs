//! Lines from the bench, as events of a poll.

use std::io::BufRead as _;
use std::sync::mpsc::{Receiver, sync_channel};

use mio::{Poll, Token, Waker};

use crate::error::{Error, io};

/// Lines that may wait.
const LINES_MAX: usize = 16;

/// Lines as they come. The channel ends when standard input does, and each of both wakes `poll`.
pub(super) fn lines(poll: &Poll, token: Token) -> Result<Receiver<String>, Error> {
    let waker = Waker::new(poll.registry(), token).map_err(io("a waker"))?;
    let (sender, receiver) = sync_channel(LINES_MAX);
    let read = move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() || waker.wake().is_err() {
                break;
            }
        }
        drop(sender);
        // Where this fails, the poll is gone and so is the process.
        drop(waker.wake());
    };
    // It reads until the bench closes standard input, which is when the process ends.
    drop(std::thread::spawn(read));
    Ok(receiver)
}
