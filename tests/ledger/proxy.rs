//! A way to Postgres that breaks where a commit passes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

use crate::support::Scratch;

/// How a connection breaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// The commit does not get through.
    Before,
    /// The commit gets through, and both ends hang up at once.
    After,
    /// The server answers, and nobody hears it.
    AnswerLost,
    /// The commit does not get through, and nobody hangs up for a while.
    HalfOpen,
}

/// A socket in front of the server's.
pub(crate) struct Proxy {
    dir: Scratch,
    next: Arc<Mutex<Option<Cut>>>,
}

impl Proxy {
    /// Stands in front of the server of this URL.
    pub(crate) fn start(url: &str) -> Self {
        let proxy = Self {
            dir: Scratch::new(),
            next: Arc::default(),
        };
        let listener = UnixListener::bind(proxy.dir.path().join(".s.PGSQL.5432")).unwrap();
        let server = format!("{}/.s.PGSQL.5432", host(url));
        let next = proxy.next.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(server) = UnixStream::connect(&server).await {
                    tokio::spawn(carry(client, server, next.clone()));
                }
            }
        });
        proxy
    }

    /// The URL that leads through it.
    pub(crate) fn url(&self, url: &str) -> String {
        url.replacen(host(url), self.dir.path().to_str().unwrap(), 1)
    }

    /// Breaks at the next commit.
    pub(crate) fn cut(&self, cut: Cut) {
        *self.next.lock().unwrap() = Some(cut);
    }

    /// Whether the cut has yet to come.
    pub(crate) fn is_armed(&self) -> bool {
        self.next.lock().unwrap().is_some()
    }
}

fn host(url: &str) -> &str {
    let (_, host) = url.split_once("host=").unwrap();
    host.split('&').next().unwrap()
}

async fn carry(client: UnixStream, server: UnixStream, next: Arc<Mutex<Option<Cut>>>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let muted = Arc::new(AtomicBool::new(false));
    let back = tokio::spawn(carry_back(from_server, to_client, muted.clone()));
    let stop = back.abort_handle();
    let _ = carry_over(from_client, to_server, next, &muted, back).await;
    stop.abort();
}

async fn carry_over(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    next: Arc<Mutex<Option<Cut>>>,
    muted: &AtomicBool,
    back: tokio::task::JoinHandle<()>,
) -> std::io::Result<()> {
    let mut kind = None; // the first message has none
    loop {
        let length = client.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        client.read_exact(&mut body).await?;
        let mut message: Vec<u8> = kind.into_iter().collect();
        message.extend(length.to_be_bytes());
        message.extend(&body);
        let is_commit = kind == Some(b'Q') && body == b"commit\0";
        let cut = is_commit.then(|| next.lock().unwrap().take()).flatten();
        muted.store(cut.is_some(), Ordering::SeqCst);
        match cut {
            None => server.write_all(&message).await?,
            Some(Cut::Before) => return Ok(()),
            Some(Cut::After) => return server.write_all(&message).await,
            Some(Cut::AnswerLost) => {
                server.write_all(&message).await?;
                let _ = back.await; // the answer has come
                return Ok(());
            }
            Some(Cut::HalfOpen) => {
                tokio::time::sleep(Duration::from_secs(5)).await;
                return Ok(());
            }
        }
        kind = Some(client.read_u8().await?);
    }
}

async fn carry_back(mut server: OwnedReadHalf, mut client: OwnedWriteHalf, muted: Arc<AtomicBool>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(n @ 1..) = server.read(&mut buffer).await {
        if muted.load(Ordering::SeqCst) || client.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
