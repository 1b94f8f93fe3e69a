//! The configuration file: one TOML file, a section for each module, read once at start.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::{app, http};

/// Everything that can be set. Unknown names are refused.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[http]`
    pub http: http::Settings,
    /// What stands behind the edge.
    app: app::Settings,
}

impl Deref for Config {
    type Target = app::Settings;

    fn deref(&self) -> &app::Settings {
        &self.app
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// The file does not say what it should.
    #[error("the configuration {0} is wrong: {1}")]
    Wrong(PathBuf, Box<toml::de::Error>),
}

impl Config {
    /// Reads a file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigError::Unreadable(file.to_owned(), error))?;
        Self::parse(&text).map_err(|error| ConfigError::Wrong(file.to_owned(), error.into()))
    }

    /// Each side reads its own part: the service does not know its edge.
    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        #[derive(serde::Deserialize)]
        struct Edge {
            #[serde(default)]
            http: http::Settings,
        }
        let app = toml::from_str(text)?;
        let Edge { http } = toml::from_str(text)?;
        Ok(Self { http, app })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../deploy/config.example.toml");

    /// A commented line as the setting or section that it shows.
    fn shown(line: &str) -> &str {
        let Some(shown) = line.strip_prefix("# ") else {
            return line;
        };
        let word = shown.split(' ').next().unwrap_or_default();
        let is_setting = shown[word.len()..].starts_with(" = ")
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if is_setting || shown.starts_with('[') {
            shown
        } else {
            line
        }
    }

    /// The example with all that is commented out put in.
    fn whole() -> String {
        EXAMPLE
            .lines()
            .flat_map(|line| [shown(line), "\n"])
            .collect()
    }

    #[test]
    fn the_example_shows_the_defaults() {
        let example = Config::parse(EXAMPLE).unwrap();
        let mut with_defaults = Config::parse(&whole()).unwrap();
        assert!(whole().lines().filter(|line| line.contains(" = ")).count() > 40);

        let kms = with_defaults.app.custody.remove(&"kms".parse().unwrap());
        let kms = format!("{kms:?}");
        assert!(kms.contains("ecc_per_second: 250"), "{kms}");
        let soft = with_defaults.app.custody.remove(&"soft".parse().unwrap());
        let soft = format!("{soft:?}");
        assert!(soft.contains("accept_keys_in_software: false"), "{soft}");
        assert_eq!(format!("{with_defaults:#?}"), format!("{example:#?}"));
    }

    #[test]
    fn the_example_shows_every_setting() {
        let whole = whole();
        let headers: Vec<&str> = whole.lines().filter(|l| l.starts_with('[')).collect();
        assert!(headers.len() > 10);
        for header in [""].into_iter().chain(headers) {
            let (before, after) = match header {
                "" => ("", whole.as_str()),
                _ => whole.split_once(header).unwrap(),
            };
            // The refusal of a wrong name lists the right ones.
            let wrong = format!("{before}{header}\nno_such_setting = 0\n{after}");
            let error = Config::parse(&wrong).unwrap_err();
            let (_, names) = error.message().split_once("expected").unwrap();
            let section = after.split("\n[").next().unwrap();
            for name in names.split('`').skip(1).step_by(2) {
                let setting = format!("{name} = ");
                assert!(
                    section.lines().any(|line| line.starts_with(&setting))
                        || section.contains(&format!("# unset: {setting}"))
                        || (header.is_empty() && after.contains(&format!("[{name}"))),
                    "{header} {name}"
                );
            }
        }
    }
}
