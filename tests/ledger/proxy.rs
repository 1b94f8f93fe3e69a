//! A way to Postgres that breaks where a commit, or some other statement, passes.

use std::collections::HashSet;
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
    /// Nothing gets through any more, and nobody ever hangs up.
    Silence,
}

/// Where a connection breaks next, if it does.
type Next = Arc<Mutex<Option<(Where, Cut)>>>;

/// A message of the client's.
#[derive(Clone, Copy)]
enum Where {
    /// `commit`, or the end of a group that commits by itself.
    Commit,
    /// A statement with these words, on its way to be prepared.
    Statement(&'static str),
}

impl Where {
    fn is(self, kind: Option<u8>, body: &[u8], groups: &Groups) -> bool {
        match self {
            Self::Commit => {
                (kind == Some(b'Q') && body == b"commit\0")
                    || (kind == Some(b'S') && groups.is_called)
            }
            Self::Statement(words) => {
                kind == Some(b'P') && body.windows(words.len()).any(|it| it == words.as_bytes())
            }
        }
    }
}

/// The statements of a connection that write a group, and whether one was called last.
#[derive(Default)]
struct Groups {
    names: HashSet<Vec<u8>>,
    is_called: bool,
}

impl Groups {
    fn hear(&mut self, kind: Option<u8>, body: &[u8]) {
        let mut words = body.split(|byte| *byte == 0);
        match kind {
            Some(b'P') => {
                let name = words.next().unwrap_or_default().to_vec();
                let sql = words.next().unwrap_or_default();
                let call = b"from sign_group(";
                if sql.windows(call.len()).any(|it| it == call) {
                    self.names.insert(name);
                }
            }
            Some(b'B') => self.is_called = self.names.contains(words.nth(1).unwrap_or_default()),
            Some(b'Q') => self.is_called = false,
            _ => {}
        }
    }
}

/// A socket in front of the server's.
pub(crate) struct Proxy {
    dir: Scratch,
    next: Next,
}

impl Proxy {
    /// Stands in front of the server of this URL.
    pub(crate) fn start(url: &str) -> Self {
        let proxy = Self {
            dir: Scratch::new(),
            next: Arc::default(),
        };
        let name = format!(".s.PGSQL.{}", member(url, "port"));
        let listener = UnixListener::bind(proxy.dir.path().join(&name)).unwrap();
        let server = format!("{}/{name}", member(url, "host"));
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
        url.replacen(member(url, "host"), self.dir.path().to_str().unwrap(), 1)
    }

    /// Breaks at the next commit.
    pub(crate) fn cut(&self, cut: Cut) {
        *self.next.lock().unwrap() = Some((Where::Commit, cut));
    }

    /// Breaks at the next statement with these words.
    pub(crate) fn cut_at(&self, words: &'static str, cut: Cut) {
        *self.next.lock().unwrap() = Some((Where::Statement(words), cut));
    }

    /// Whether the cut has yet to come.
    pub(crate) fn is_armed(&self) -> bool {
        self.next.lock().unwrap().is_some()
    }
}

fn member<'a>(url: &'a str, name: &str) -> &'a str {
    let (_, rest) = url.split_once(&format!("{name}=")).unwrap();
    rest.split('&').next().unwrap()
}

async fn carry(client: UnixStream, server: UnixStream, next: Next) {
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
    next: Next,
    muted: &AtomicBool,
    back: tokio::task::JoinHandle<()>,
) -> std::io::Result<()> {
    let mut kind = None; // the first message has none
    let mut groups = Groups::default();
    loop {
        let length = client.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        client.read_exact(&mut body).await?;
        let mut message: Vec<u8> = kind.into_iter().collect();
        message.extend(length.to_be_bytes());
        message.extend(&body);
        groups.hear(kind, &body);
        let cut = {
            let mut next = next.lock().unwrap();
            let is_there = |next: &mut (Where, Cut)| next.0.is(kind, &body, &groups);
            next.take_if(is_there).map(|(_, cut)| cut)
        };
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
            Some(Cut::Silence) => std::future::pending().await,
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
