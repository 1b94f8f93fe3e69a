//! An object in an S3 bucket with the newest checkpoint.
//!
//! It **trusts** the store to keep one order of writes: `If-None-Match: *` makes the object where there is none,
//! `If-Match` replaces the version that was looked at, and of those who race one wins. Credentials are the
//! host's: the environment's, a web identity's, a container's, an instance's; never the configuration's.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, GetOptions, ObjectStore as _, PutMode, PutOptions, RetryConfig,
    UpdateVersion,
};

use super::LARGEST;
use crate::counterparty;

/// How long a connection may take, one request, and a request with those that repeat it. The tree does not grow
/// meanwhile.
const CONNECT: Duration = Duration::from_secs(1);
const REQUEST: Duration = Duration::from_secs(2);
const REQUESTS: Duration = Duration::from_secs(3);

/// `[evidence] checkpoint_bucket`
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The bucket's name.
    pub name: String,
    /// The object's key. Each log has one of its own.
    #[serde(default = "default_object")]
    pub object: String,
    /// The region, such as `eu-west-1`.
    pub region: String,
    /// Where S3 is, if not where AWS has it: another store that knows conditional writes, a test. Plain http only
    /// to this machine.
    #[serde(default)]
    pub endpoint_url: Option<String>,
}

fn default_object() -> String {
    "checkpoint".to_owned()
}

/// The object.
#[derive(Debug)]
pub struct Bucket {
    store: AmazonS3,
    object: Path,
    /// For people.
    url: String,
}

/// The version that was looked at; `None`: there was no object.
pub(super) type Version = Option<UpdateVersion>;

impl Bucket {
    /// A client, with the host's credentials. Nothing is asked yet.
    pub fn open(settings: &Settings) -> Result<Self, String> {
        let said = |error: Error| error.to_string();
        let object = Path::parse(&settings.object).map_err(|error| error.to_string())?;
        if settings.object.is_empty() {
            return Err("object is empty".into());
        }
        let options = ClientOptions::new()
            .with_connect_timeout(CONNECT)
            .with_timeout(REQUEST);
        let retry = RetryConfig {
            max_retries: 1,
            retry_timeout: REQUESTS,
            ..RetryConfig::default()
        };
        let mut store = AmazonS3Builder::from_env()
            .with_client_options(options)
            .with_retry(retry)
            .with_bucket_name(&settings.name)
            .with_region(&settings.region)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_skip_signature(false);
        if let Some(url) = &settings.endpoint_url {
            let checked = counterparty::checked(url).map_err(|it| format!("endpoint_url: {it}"))?;
            store = store
                .with_endpoint(url)
                .with_allow_http(checked.scheme() == "http");
        }
        Ok(Self {
            store: store.build().map_err(said)?,
            url: format!("s3://{}/{object}", settings.name),
            object,
        })
    }

    /// What stands there, and in which version.
    pub(super) async fn read(&self) -> io::Result<(Option<String>, Version)> {
        let got = match self
            .store
            .get_opts(&self.object, GetOptions::default())
            .await
        {
            Ok(got) => got,
            Err(Error::NotFound { source, .. }) if !is_of_bucket(&*source) => {
                return Ok((None, None));
            }
            Err(error) => return Err(told(&error)),
        };
        if got.meta.size > LARGEST {
            return Err(io::Error::other("what stands there is no checkpoint"));
        }
        let version = UpdateVersion {
            e_tag: got.meta.e_tag.clone(),
            version: got.meta.version.clone(),
        };
        if version.e_tag.is_none() {
            return Err(io::Error::other("the store names no version (ETag)"));
        }
        let bytes = got.bytes().await.map_err(|error| told(&error))?;
        let note = String::from_utf8(bytes.into())
            .map_err(|_| io::Error::other("what stands there is no checkpoint"))?;
        Ok((Some(note), Some(version)))
    }

    /// Puts a note in the place of a version; `false`: it is not the one that stands there any more.
    pub(super) async fn write(&self, version: Version, note: &str) -> io::Result<bool> {
        let mode = version.map_or(PutMode::Create, PutMode::Update);
        let options = PutOptions::from(mode);
        let note = note.to_owned().into();
        match self.store.put_opts(&self.object, note, options).await {
            Ok(_) => Ok(true),
            Err(Error::Precondition { .. } | Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(told(&error)),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// Whether it is the bucket that is not there.
fn is_of_bucket(error: &(dyn std::error::Error + 'static)) -> bool {
    innermost(error).contains("NoSuchBucket")
}

/// An error for people, in the same words each time: the store's own are with times, URLs and XML.
fn told(error: &Error) -> io::Error {
    tracing::debug!(%error, "the bucket");
    let text = match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            "the host's credentials do not allow it".to_owned()
        }
        Error::NotFound { .. } => "there is no such bucket".to_owned(),
        error => {
            let why = error.source().map_or_else(|| error.to_string(), innermost);
            match why.strip_prefix("Server returned non-2xx status code: ") {
                Some(status) => format!("it answered {}", status.get(..3).unwrap_or(status)),
                None => "it does not answer, or nobody gives the host credentials".to_owned(),
            }
        }
    };
    io::Error::other(text)
}

/// What was the matter first.
fn innermost(mut error: &(dyn std::error::Error + 'static)) -> String {
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
