//! A file with the newest checkpoint, on a file system that all replicas share.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::LARGEST;

/// The file, while nobody else changes it.
#[derive(Debug)]
pub(super) struct Locked {
    file: PathBuf,
    _lock: File,
}

impl Locked {
    /// Waits until nobody else is at a file, whose folder has to be there.
    pub(super) fn wait(file: &Path) -> io::Result<Self> {
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(beside(file, "lock"))?;
        lock.lock()?;
        Ok(Self {
            file: file.to_owned(),
            _lock: lock,
        })
    }

    /// What stands there; `None`: nothing was ever published.
    pub(super) fn read(&self) -> io::Result<Option<String>> {
        let file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        file.take(LARGEST + 1).read_to_string(&mut text)?;
        Ok(Some(text))
    }

    /// Puts this in its place: all of it, or none.
    pub(super) fn write(&self, note: &str) -> io::Result<()> {
        let new = beside(&self.file, "new");
        let mut file = File::create(&new)?;
        file.write_all(note.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &self.file)?;
        let folder = self.file.parent().filter(|it| !it.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    file.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_published_stands_there_whole() {
        let folder = std::env::temp_dir().join(format!("chancery-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("checkpoint");
        let locked = Locked::wait(&file).unwrap();
        assert_eq!(locked.read().unwrap(), None);
        for text in ["a long first one\n", "short\n"] {
            locked.write(text).unwrap();
            assert_eq!(locked.read().unwrap().as_deref(), Some(text));
        }
        let same = file.clone();
        let waits = std::thread::spawn(move || Locked::wait(&same).map(drop));
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waits.is_finished());
        drop(locked);
        waits.join().unwrap().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(Locked::wait(&file).is_err());
    }
}
