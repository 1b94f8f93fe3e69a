//! Mail: the sentence, and what to look it up by, to people.

use std::fmt::Write as _;
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Letter};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls as Way, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use super::NotDelivered;
use super::message::Message;
use super::settings::{BadDestination, MailSettings, Tls};
use crate::clock::timestamp;
use crate::{counterparty, guarded_file};

/// The way to a mail server, and who is written to.
pub(super) struct Mail {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    timeout: Duration,
}

impl Mail {
    pub(super) fn open(settings: &MailSettings) -> Result<Self, BadDestination> {
        let bad = |why: String| BadDestination::Mail(why);
        let mailbox = |text: &String| {
            let parsed = text.parse::<Mailbox>();
            parsed.map_err(|error| bad(format!("{text:?} is no address: {error}")))
        };
        let to: Vec<_> = settings.to.iter().map(mailbox).collect::<Result<_, _>>()?;
        if to.is_empty() {
            return Err(bad("to names nobody".into()));
        }
        let timeout = Duration::from_millis(settings.timeout_ms.get());
        let host = settings.host.as_str();
        let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(settings.port)
            .timeout(Some(timeout))
            .tls(way(settings)?);
        match (&settings.user, &settings.password_file) {
            (None, None) => {}
            (Some(user), Some(file)) => {
                let failed = |error| bad(format!("cannot read {}: {error}", file.display()));
                let text = guarded_file::read_private(file).map_err(failed)?;
                let password = text.trim_end_matches(['\r', '\n']).to_owned();
                server = server.credentials(Credentials::new(user.clone(), password));
            }
            _ => return Err(bad("user and password_file go together".into())),
        }
        Ok(Self {
            server: server.build(),
            from: mailbox(&settings.from)?,
            to,
            timeout,
        })
    }

    /// Sends a message to all of them in one letter, which the server takes or refuses.
    pub(super) async fn send(&self, message: &Message) -> Result<(), NotDelivered> {
        let letter = self.letter(message)?;
        self.in_time(async { self.server.send(letter).await.map(drop) })
            .await
    }

    /// Greets the server, and logs in.
    pub(super) async fn reach(&self) -> Result<(), NotDelivered> {
        self.in_time(async { self.server.test_connection().await.map(drop) })
            .await
    }

    fn letter(&self, message: &Message) -> Result<Letter, NotDelivered> {
        let domain = self.from.email.domain();
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let mut letter = Letter::builder()
            .from(self.from.clone())
            .subject(format!("[chancery] {}", message.kind))
            // The same at every try, by which whoever reads mail twice sees it.
            .message_id(Some(format!("<{}@{domain}>", message.id)))
            .raw_header(HeaderValue::new(automatic, "auto-generated".into()))
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            letter = letter.to(to.clone());
        }
        let letter = letter.body(text(message));
        letter.map_err(|error| NotDelivered::new(error.to_string()))
    }

    async fn in_time(
        &self,
        work: impl Future<Output = Result<(), lettre::transport::smtp::Error>>,
    ) -> Result<(), NotDelivered> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(done) => done.map_err(|error| NotDelivered::new(said(&error))),
            Err(_) => Err(NotDelivered::new("it did not answer in time")),
        }
    }
}

/// When TLS begins, and whose certificates count.
fn way(settings: &MailSettings) -> Result<Way, BadDestination> {
    let bad = |why: String| BadDestination::Mail(why);
    let host = settings.host.as_str();
    if settings.tls == Tls::None {
        let is_local = matches!(host, "127.0.0.1" | "::1" | "localhost");
        let why = "tls = \"none\" is taken to this machine only: 127.0.0.1, ::1, localhost";
        return is_local.then_some(Way::None).ok_or_else(|| bad(why.into()));
    }
    let mut tls = TlsParameters::builder(host.to_owned());
    if let Some(file) = &settings.ca_file {
        let text = counterparty::authorities(file).map_err(|error| bad(error.to_string()))?;
        let authority = Certificate::from_pem(text.as_bytes())
            .map_err(|error| bad(format!("ca_file {}: {error}", file.display())))?;
        tls = tls
            .certificate_store(CertificateStore::None)
            .add_root_certificate(authority);
    }
    let tls = tls.build_rustls().map_err(|error| bad(error.to_string()))?;
    Ok(match settings.tls {
        Tls::Starttls => Way::Required(tls),
        Tls::Implicit | Tls::None => Way::Wrapper(tls),
    })
}

/// What people read.
fn text(message: &Message) -> String {
    let mut text = format!("{}\n\n", message.data.sentence);
    for (what, id) in &message.data.about {
        let _ = writeln!(text, "{what}: {id}");
    }
    let _ = write!(
        text,
        "at: {}\nnotice: {}\n",
        timestamp(message.timestamp),
        message.id
    );
    if !message.data.recorded {
        text.push_str("\nThe database was away: this notice is not on record.\n");
    }
    text
}

/// What went wrong, without the server's own words.
fn said(error: &lettre::transport::smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("it answered {code}"),
        None if error.is_tls() => "its certificate is not taken, or it speaks no TLS".into(),
        None if error.is_timeout() => "it did not answer in time".into(),
        None => "it cannot be reached, or broke off".into(),
    }
}
