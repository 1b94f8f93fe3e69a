//! A socket that says when it moves, and hands on no head with a line that ends otherwise than it should.
//!
//! A line of a head ends with CR LF. What else ends one, two programs in a row may read differently, and
//! then they do not agree on where a request ends (RFC 9112, section 11.2); the reader behind this takes
//! a bare LF, so that it never sees one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::{Connection, Length};

/// Whoever takes less than that in the time for writing does not really read.
const PIECE: usize = 64 * 1024;

/// So much is handed on at a time of what was held.
const HANDED: usize = 4 * 1024;

/// A connection's bytes, in and out.
pub(super) struct Wire<S> {
    stream: S,
    connection: Arc<Connection>,
    /// What was taken since the last time that it could have been more.
    taken: usize,
    /// What came with the end of something and belongs to what is next.
    held: Bytes,
    part: Part,
}

/// What is read at the moment.
#[derive(Clone, Copy)]
enum Part {
    /// A head: the last of its bytes, and how much of its end is there; zero before it begins.
    Head { last: u8, ending: u8 },
    /// Nobody knows yet how much there is after the head; so many requests there were before.
    Begun(u64),
    /// A body, of which so much is left.
    Body(Length),
}

const NEXT: Part = Part::Head { last: 0, ending: 0 };

impl<S> Wire<S> {
    pub(super) fn new(stream: S, connection: Arc<Connection>) -> Self {
        Self {
            stream,
            connection,
            taken: 0,
            held: Bytes::new(),
            part: NEXT,
        }
    }

    /// How much of this belongs together: all of it, or up to the end of a head or body. A line feed that
    /// ends a line by itself becomes what no reader takes.
    fn passes(&mut self, bytes: &mut [u8]) -> usize {
        if let Part::Begun(before) = self.part {
            self.part = match self.connection.body_after(before) {
                Some(body) => Part::Body(body),
                None => NEXT, // the reader did not take it for a head
            };
        }
        if let Part::Body(Length::Known(0)) = self.part {
            self.part = NEXT;
        }
        match &mut self.part {
            Part::Body(Length::Known(left)) => {
                let some = bytes
                    .len()
                    .min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= some as u64;
                some
            }
            Part::Body(Length::InChunks) => bytes.len(),
            Part::Begun(_) => 0,
            Part::Head { last, ending } => {
                for (at, byte) in bytes.iter_mut().enumerate() {
                    if *byte == b'\n' && *last != b'\r' {
                        *byte = 0;
                    }
                    // Empty lines before it are none of its lines.
                    *ending = match (*byte, *ending) {
                        (b'\r' | b'\n', 0) => 0,
                        (b'\r', 1 | 2 | 4) => 2,
                        (b'\n', 2) => 3,
                        (b'\r', 3) => 4,
                        (b'\n', 4) => {
                            self.part = Part::Begun(self.connection.requests());
                            return at + 1;
                        }
                        _ => 1,
                    };
                    *last = *byte;
                }
                bytes.len()
            }
        }
    }

    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.connection.stalls(true),
            Poll::Ready(Ok(some)) => {
                self.taken += some;
                if self.taken >= PIECE {
                    self.taken = 0;
                    self.connection.stalls(false);
                }
            }
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let is_held = !self.held.is_empty();
        if is_held {
            let some = buffer.remaining().min(self.held.len()).min(HANDED);
            buffer.put_slice(&self.held[..some]);
        } else {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        }
        let bytes = &mut buffer.filled_mut()[before..];
        if bytes.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.connection.receives();
        let passes = self.passes(bytes);
        if is_held {
            drop(self.held.split_to(passes));
        } else {
            self.held = Bytes::copy_from_slice(&bytes[passes..]);
        }
        buffer.set_filled(before + passes);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Nothing is left to be written once it is done. What is under TLS keeps some of it until then.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_pending() {
            self.connection.stalls(true);
        } else {
            self.taken = 0;
            self.connection.stalls(false);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
