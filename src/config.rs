//! The configuration file: one TOML file, a section for each module, read once at start.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::{app, guarded_file, http};

/// Everything that can be set. Unknown names are refused.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[http]`
    pub http: http::Settings,
    /// `[metrics]`
    pub metrics: http::MetricsSettings,
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
    /// The file does not say what it should: where, and what is wrong there.
    #[error("the configuration {0} is wrong: {1}")]
    Wrong(PathBuf, String),
}

impl Config {
    /// Reads a file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = guarded_file::read_rules(file)
            .map_err(|error| ConfigError::Unreadable(file.to_owned(), error))?;
        Self::parse(&text)
            .map_err(|error| ConfigError::Wrong(file.to_owned(), fault(&text, &error)))
    }

    /// Each side reads its own part: the service does not know its edge.
    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        #[derive(serde::Deserialize)]
        struct Edge {
            #[serde(default)]
            http: http::Settings,
            #[serde(default)]
            metrics: http::MetricsSettings,
        }
        let app = toml::from_str(text)?;
        let Edge { http, metrics } = toml::from_str(text)?;
        Ok(Self { http, metrics, app })
    }
}

/// The line and the setting at which reading stopped, and why. Never a value, and not the line itself,
/// which a URL with a password may stand in.
fn fault(text: &str, error: &toml::de::Error) -> String {
    let why = without_values(error.message());
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return why;
    };
    let number = before.matches('\n').count() + 1;
    let is_plain = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        !name.is_empty() && name.chars().all(plain)
    };
    let header = |line: &str| {
        let name = line.trim().trim_matches(['[', ']']);
        (line.starts_with('[') && is_plain(name)).then(|| name.to_owned())
    };
    let section = text.lines().take(number).filter_map(header).last();
    let line = text.lines().nth(number - 1).unwrap_or_default();
    let setting = line.split_once('=').map(|(name, _)| name.trim().to_owned());
    let setting = setting.filter(|name| is_plain(name));
    let at: Vec<String> = section.into_iter().chain(setting).collect();
    match at.join(".") {
        at if at.is_empty() => format!("line {number}: {why}"),
        at => format!("line {number}, {at}: {why}"),
    }
}

/// A refusal with its quotations left out: `invalid type: string "…", expected u16`.
fn without_values(message: &str) -> String {
    let mut kept = String::new();
    let mut rest = message;
    while let Some((before, quoted)) = rest.split_once('"') {
        let mut is_escaped = false;
        let end = quoted.find(|c| {
            let ends = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            ends
        });
        kept.push_str(before);
        kept.push_str("\"…\"");
        rest = end.map_or("", |end| &quoted[end + 1..]);
    }
    kept.push_str(rest);
    match kept.split_once("unknown variant `") {
        Some((before, after)) => {
            let after = after.split_once('`').map_or("", |(_, after)| after);
            format!("{before}unknown variant{after}")
        }
        None => kept,
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

    /// On which line "hunter2" is in the example with one thing instead of another, and what is said of it.
    fn said(instead: &str, wrong: &str) -> (usize, String) {
        let text = EXAMPLE.replacen(instead, wrong, 1);
        let before = &text[..text.find("hunter2").unwrap()];
        let line = before.matches('\n').count() + 1;
        (line, fault(&text, &Config::parse(&text).unwrap_err()))
    }

    #[test]
    fn a_fault_is_told_by_line_and_setting_and_no_value_is_shown() {
        const URL: &str = "url = \"postgres://chancery_service@";
        for (instead, wrong, at) in [
            (
                "[http]\n",
                "[http]\nlisten = \"hunter2\"\n",
                ", http.listen: ",
            ),
            (
                "[http]\n",
                "[http]\nconnections = \"hunter2\"\n",
                ", http.connections: invalid type: string \"…\"",
            ),
            (
                "[http]\n",
                "[http]\nconnections = \"hunt\\\"er2 hunter2\"\n",
                ", http.connections: ",
            ),
            (
                URL,
                "url = \"postgres://u:hunter2@h/d\nx = \"",
                ", ledger.url: ",
            ),
            (URL, "url = postgres://u:hunter2@\"", ", ledger.url: "),
            (
                "[ledger]\n",
                "[ledger]\npassword = \"hunter2\"\n",
                ", ledger.password: unknown field `password`",
            ),
            ("[http]\n", "hunter2\n[http]\n", ": "),
        ] {
            let (line, said) = said(instead, wrong);
            let start = format!("line {line}{at}");
            assert!(said.starts_with(&start), "{wrong}: {start}: {said}");
            assert!(!said.contains("er2"), "{wrong}: {said}");
            assert!(!said.contains('\n'), "{said}");
        }
        let (_, said) = said("kind = \"pkcs11\"", "kind = \"hunter2\"");
        assert!(said.contains("unknown variant, expected"), "{said}");
        assert!(said.contains("custody") && !said.contains("er2"), "{said}");
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
        let relayer = with_defaults.app.relayer.polygon.take();
        let relayer = format!("{relayer:?}");
        assert!(relayer.contains("timeout_ms: 10000"), "{relayer}");
        let oidc = with_defaults.app.console.oidc.take();
        let oidc = format!("{oidc:?}");
        assert!(oidc.contains("amr: []"), "{oidc}");
        let copies = std::mem::take(&mut with_defaults.app.evidence.copies);
        assert_eq!((copies.len(), copies[0].late_after_s), (1, 60));
        let notices = std::mem::take(&mut with_defaults.app.notices);
        assert_eq!(notices.webhooks[0].timeout_ms.get(), 10_000);
        assert_eq!(notices.webhooks[0].kinds, notices.mail.unwrap().kinds);
        assert_eq!(format!("{with_defaults:#?}"), format!("{example:#?}"));
    }

    /// The header of a section in a section.
    fn nested(header: &str, name: &str) -> String {
        let outer = header.trim_matches(['[', ']']);
        if outer.is_empty() {
            return name.to_owned();
        }
        format!("{outer}.{name}")
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
                        || after.contains(&format!("[{}", nested(header, name))),
                    "{header} {name}"
                );
            }
        }
    }
}
