//! The second place: where the newest checkpoint stands, out of reach of the database's owner.
//!
//! It is what an older database is found out by. Whoever publishes looks first what stands there, and what
//! does not begin with it is not published. It promises that nothing is written over what nobody has looked
//! at: in a file by a lock, in a bucket by the version that was looked at.

mod bucket;
mod file;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::{EvidenceError, Settings};
use bucket::Version;
pub use bucket::{Bucket, Settings as BucketSettings};
use file::Locked;

/// More bytes than a checkpoint with all its signatures has.
const LARGEST: u64 = 64 * 1024;

/// Where the newest checkpoint stands. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// An object in a bucket.
    Bucket(Arc<Bucket>),
}

/// What stands there, and what has to be so still when it is replaced.
#[derive(Debug)]
pub struct Looked {
    /// The newest checkpoint; `None`: nothing was ever published.
    pub note: Option<String>,
    still: Still,
}

#[derive(Debug)]
enum Still {
    /// Nobody else can write meanwhile.
    Locked(Locked),
    /// Whoever writes meanwhile makes another version.
    Version(Version),
}

impl Place {
    /// The one that is set, if one is.
    pub fn of(settings: &Settings) -> Result<Option<Self>, EvidenceError> {
        match (&settings.checkpoint_file, &settings.checkpoint_bucket) {
            (None, None) => Ok(None),
            (Some(file), None) => Ok(Some(Self::File(file.clone()))),
            (None, Some(bucket)) => {
                let open = Bucket::open(bucket).map_err(EvidenceError::Bucket)?;
                Ok(Some(Self::Bucket(Arc::new(open))))
            }
            (Some(_), Some(_)) => Err(EvidenceError::TwoPlaces),
        }
    }

    /// What stands there now. A file stays locked as long as what was seen is kept.
    pub async fn look(&self) -> io::Result<Looked> {
        match self {
            Self::File(file) => {
                let file = file.clone();
                // Waits for the lock without keeping others from their work.
                let read = move || {
                    let locked = Locked::wait(&file)?;
                    let note = locked.read()?;
                    let still = Still::Locked(locked);
                    Ok(Looked { note, still })
                };
                tokio::task::spawn_blocking(read)
                    .await
                    .map_err(io::Error::other)?
            }
            Self::Bucket(bucket) => {
                let (note, version) = bucket.read().await?;
                let still = Still::Version(version);
                Ok(Looked { note, still })
            }
        }
    }

    /// Puts a checkpoint in the place of what was seen. `false`: another came first, and it is to be looked again.
    pub async fn put(&self, seen: Looked, note: &str) -> io::Result<bool> {
        match (self, seen.still) {
            (Self::Bucket(bucket), Still::Version(version)) => bucket.write(version, note).await,
            (_, Still::Locked(locked)) => locked.write(note).map(|()| true),
            (Self::File(_), Still::Version(_)) => Ok(false), // it was seen elsewhere
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.display().fmt(f),
            Self::Bucket(bucket) => bucket.fmt(f),
        }
    }
}
