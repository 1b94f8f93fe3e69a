//! A keep-alive connection on which one request follows the other.
//!
//! HTTP is spoken by hand: a client library would take more of the shared processors than the requests
//! themselves.

use std::io;

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What is sent each time. An idempotency key is at the same place each time.
#[derive(Clone, Debug)]
pub(super) struct Request {
    bytes: Vec<u8>,
    key: Option<(usize, Keys)>,
}

/// Which idempotency keys requests have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// One of its own each.
    Fresh,
    /// The same for all of a connection.
    Kept,
}

/// As long as every key is.
const KEY: usize = 32;

impl Request {
    pub(super) fn get(path: &str, token: Option<&str>) -> Self {
        let bytes = format!(
            "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{}\r\n",
            bearer(token)
        );
        Self {
            bytes: bytes.into(),
            key: None,
        }
    }

    pub(super) fn post(path: &str, token: Option<&str>, keys: Option<Keys>, body: &str) -> Self {
        let start = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{}content-type: application/json\r\n\
             content-length: {}\r\n",
            bearer(token),
            body.len(),
        );
        let (header, key) = match keys {
            None => (String::new(), None),
            Some(keys) => {
                let name = "idempotency-key: ";
                let at = start.len() + name.len();
                (format!("{name}{:0>KEY$}\r\n", 0), Some((at, keys)))
            }
        };
        Self {
            bytes: format!("{start}{header}\r\n{body}").into(),
            key,
        }
    }

    /// Gives it its key: the run's, and its number in it.
    fn next(&mut self, run: &str, number: u64) {
        if let Some((at, keys)) = self.key {
            let number = if keys == Keys::Kept { 0 } else { number };
            let key = format!("{run:0>20.20}{number:012x}");
            self.bytes[at..at + KEY].copy_from_slice(&key.as_bytes()[..KEY]);
        }
    }
}

fn bearer(token: Option<&str>) -> String {
    token.map_or_else(String::new, |it| format!("authorization: Bearer {it}\r\n"))
}

/// A connection, and what goes over it.
pub(super) struct Wire {
    address: String,
    stream: TcpStream,
    request: Request,
    /// What its keys begin with.
    run: String,
    number: u64,
    buffer: Vec<u8>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With an answer of this status.
    Answered(u16),
    /// Without: the service closed the connection.
    Lost,
}

impl Wire {
    pub(super) async fn connect(
        address: &str,
        request: &Request,
        run: String,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            stream: open(address).await?,
            address: address.to_owned(),
            request: request.clone(),
            run,
            number: 0,
            buffer: Vec::with_capacity(8 * 1024),
        })
    }

    /// Asks once. A lost connection is made anew.
    pub(super) async fn ask(&mut self) -> anyhow::Result<Ending> {
        self.request.next(&self.run, self.number);
        self.number += 1;
        let asked = match self.stream.write_all(&self.request.bytes).await {
            Ok(()) => self.read().await,
            Err(error) => Err(error.into()),
        };
        match asked {
            Ok(Some((status, closes))) => {
                if closes {
                    self.stream = open(&self.address).await?;
                }
                Ok(Ending::Answered(status))
            }
            Ok(None) => {
                self.stream = open(&self.address).await?;
                Ok(Ending::Lost)
            }
            Err(error) if error.downcast_ref::<io::Error>().is_some() => {
                self.stream = open(&self.address).await?;
                Ok(Ending::Lost)
            }
            Err(error) => Err(error),
        }
    }

    /// The last answer, head and body.
    pub(super) fn answer(&self) -> &[u8] {
        &self.buffer
    }

    /// Reads one answer: its status, and whether the connection ends with it. `None`: there is none.
    async fn read(&mut self) -> anyhow::Result<Option<(u16, bool)>> {
        self.buffer.clear();
        let mut whole = usize::MAX;
        let mut closes = false;
        while self.buffer.len() < whole {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
            if whole == usize::MAX
                && let Some(head) = self.buffer.windows(4).position(|it| it == b"\r\n\r\n")
            {
                let text = std::str::from_utf8(&self.buffer[..head])?;
                let header = |name: &str| {
                    text.lines().find_map(|line| {
                        let (key, value) = line.split_once(':')?;
                        key.eq_ignore_ascii_case(name).then(|| value.trim())
                    })
                };
                let length = header("content-length").context("an answer has no length")?;
                whole = head + 4 + length.parse::<usize>()?;
                closes = header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"));
            }
        }
        ensure!(
            self.buffer.starts_with(b"HTTP/1.1 ") && self.buffer.len() > 12,
            "what answers does not speak HTTP/1.1"
        );
        let status = std::str::from_utf8(&self.buffer[9..12])?.parse()?;
        Ok(Some((status, closes)))
    }
}

async fn open(address: &str) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.with_context(|| format!("nothing answers at {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests;
