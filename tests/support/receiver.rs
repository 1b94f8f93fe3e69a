//! A receiver of webhooks: a socket, with TLS where that is wanted, that does what it is told.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::pki::Pki;

/// What comes of a post.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// An answer with this status, and these headers.
    Answers(u16, String),
    /// None, and the connection stays.
    Hangs,
    /// None, and the connection goes.
    Breaks,
}

/// What was posted.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// A receiver. Once it has done what it was told it answers 204.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    script: Arc<Mutex<VecDeque<Does>>>,
    seen: Arc<Mutex<Vec<Post>>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::with(None).await
    }

    /// One that shows this server's certificate.
    pub(crate) async fn start_tls(pki: &Pki) -> Self {
        Self::with(Some(acceptor(pki))).await
    }

    async fn with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/hook", listener.local_addr().unwrap());
        let receiver = Self {
            url,
            script: Arc::default(),
            seen: Arc::default(),
        };
        let own = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (own, tls) = (own.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => own.take(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                own.take(stream).await;
                            }
                        }
                    }
                });
            }
        });
        receiver
    }

    /// What it does next.
    pub(crate) fn next(&self, does: Does) {
        self.script.lock().unwrap().push_back(does);
    }

    /// It does what it does when it was told nothing.
    pub(crate) fn forget(&self) {
        self.script.lock().unwrap().clear();
    }

    /// What was posted so far.
    pub(crate) fn seen(&self) -> Vec<Post> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until there are so many: some are told after half a minute.
    pub(crate) async fn sees(&self, posts: usize) -> Vec<Post> {
        for _ in 0..900 {
            if self.seen().len() >= posts {
                return self.seen();
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{posts} posts did not come: {:#?}", self.seen());
    }

    async fn take(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        while let Some(post) = read(&mut stream).await {
            self.seen.lock().unwrap().push(post);
            let next = self.script.lock().unwrap().pop_front();
            let (status, headers) = match next.unwrap_or(Does::Answers(204, String::new())) {
                Does::Answers(status, headers) => (status, headers),
                Does::Hangs => {
                    // The other end gives up.
                    let _ = stream.read(&mut [0]).await;
                    return;
                }
                Does::Breaks => return,
            };
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n{headers}\r\n");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// A request's headers and its body.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Post> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    assert!(lines.next().unwrap().contains(" /hook"), "{head}");
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: BTreeMap<_, _> = headers
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map(|it| it.parse().unwrap());
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body).await.ok()?;
    let body = String::from_utf8(body).unwrap();
    Some(Post { headers, body })
}

/// TLS with a server's certificate.
pub(crate) fn acceptor(pki: &Pki) -> TlsAcceptor {
    let pem = |file: &Path| std::fs::read(file).unwrap();
    let chain = CertificateDer::pem_slice_iter(&pem(&pki.certificate("server")))
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_slice(&pem(&pki.key("server"))).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(tls))
}

/// What a mail server was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Letter {
    /// Whether all of it came under TLS.
    pub(crate) is_encrypted: bool,
    /// What was said in `AUTH`.
    pub(crate) login: String,
    pub(crate) to: Vec<String>,
    pub(crate) text: String,
}

/// A mail server (RFC 5321) that takes letters from whoever logs in.
#[derive(Clone)]
pub(crate) struct MailServer {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Letter>>>,
}

impl MailServer {
    /// One that speaks TLS at once, or offers it.
    pub(crate) async fn start(pki: &Pki, is_implicit: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            seen: Arc::default(),
        };
        let (own, tls) = (server.clone(), acceptor(pki));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (own, tls) = (own.clone(), tls.clone());
                tokio::spawn(async move { own.serve(stream, &tls, is_implicit).await });
            }
        });
        server
    }

    /// Waits until there are so many letters.
    pub(crate) async fn sees(&self, letters: usize) -> Vec<Letter> {
        for _ in 0..300 {
            let seen = self.seen.lock().unwrap().clone();
            if seen.len() >= letters {
                return seen;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{letters} letters did not come");
    }

    async fn serve(&self, mut stream: TcpStream, tls: &TlsAcceptor, is_implicit: bool) {
        if !is_implicit {
            let mut letter = Letter::default();
            say(&mut stream, "220 the tests").await;
            if !self.talk(&mut stream, &mut letter).await {
                return; // it went without TLS
            }
        }
        let Ok(mut stream) = tls.accept(stream).await else {
            return;
        };
        if is_implicit {
            say(&mut stream, "220 the tests").await;
        }
        let mut letter = Letter {
            is_encrypted: true,
            ..Letter::default()
        };
        self.talk(&mut stream, &mut letter).await;
    }

    /// Until TLS is wanted, or they go.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        letter: &mut Letter,
    ) -> bool {
        while let Some(line) = line(stream).await {
            let offers = if letter.is_encrypted {
                "AUTH PLAIN"
            } else {
                "STARTTLS"
            };
            let (verb, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
            let answer = match verb {
                "EHLO" => format!("250-the tests\r\n250 {offers}"),
                "STARTTLS" => {
                    say(stream, "220 go on").await;
                    return true;
                }
                "AUTH" => {
                    rest.clone_into(&mut letter.login);
                    "235 welcome".into()
                }
                "RCPT" => {
                    letter.to.push(rest.to_owned());
                    "250 ok".into()
                }
                "DATA" => {
                    say(stream, "354 go on").await;
                    while let Some(text) = self::line(stream).await.filter(|it| it != ".") {
                        letter.text.push_str(&text);
                        letter.text.push('\n');
                    }
                    self.seen.lock().unwrap().push(letter.clone());
                    "250 taken".into()
                }
                "QUIT" => {
                    say(stream, "221 bye").await;
                    return false;
                }
                _ => "250 ok".into(),
            };
            say(stream, &answer).await;
        }
        false
    }
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), what: &str) {
    let _ = stream.write_all(format!("{what}\r\n").as_bytes()).await;
    let _ = stream.flush().await;
}

async fn line(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await.ok()?);
    }
    let line = String::from_utf8(line).unwrap();
    Some(line.trim_end().to_owned())
}
