//! The configuration of `chancery dev`, with some settings changed: what was edited is measured.

use std::path::Path;

use serde_json::json;

/// Its lines.
pub(super) struct Settings(Vec<String>);

impl Settings {
    pub(super) fn read(file: &Path) -> std::io::Result<Self> {
        Ok(Self::of(&std::fs::read_to_string(file)?))
    }

    fn of(text: &str) -> Self {
        Self(text.lines().map(str::to_owned).collect())
    }

    /// Sets a text, whatever it was before.
    pub(super) fn set(&mut self, section: &str, name: &str, value: &str) {
        // A JSON string is a TOML string too.
        let line = format!("{name} = {}", json!(value));
        let header = format!("[{section}]");
        let lines = &mut self.0;
        let Some(start) = lines.iter().position(|it| it.trim() == header) else {
            lines.extend([String::new(), header, line]);
            return;
        };
        let of_section = lines[start + 1..].iter();
        let of_section = of_section.take_while(|it| !it.trim_start().starts_with('['));
        let is_it = |line: &String| {
            let there = line.split_once('=').map(|(name, _)| name.trim());
            there == Some(name)
        };
        match of_section.clone().position(is_it) {
            Some(at) => lines[start + 1 + at] = line,
            None => lines.insert(start + 1, line),
        }
    }

    /// Takes a section away.
    pub(super) fn remove(&mut self, section: &str) {
        let header = format!("[{section}]");
        let mut inside = false;
        self.0.retain(|line| {
            if line.trim_start().starts_with('[') {
                inside = line.trim() == header;
            }
            !inside
        });
    }

    /// Adds sections.
    pub(super) fn add(&mut self, sections: &str) {
        self.0.extend(sections.lines().map(str::to_owned));
    }

    pub(super) fn write(&self, file: &Path) -> std::io::Result<()> {
        std::fs::write(file, self.0.join("\n") + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_changed_in_its_section_or_added() {
        let mut settings =
            Settings::of("[http]\nlisten = \"a\"\n\n[ledger]\nurl = \"b\"\n[x]\ny = 1");
        settings.set("ledger", "url", "c\"d");
        settings.set("http", "connections", "7");
        settings.set("clob.polygon", "url", "e");
        settings.add("[z]\nurl = \"f\"");
        settings.remove("z");
        settings.remove("nowhere");
        assert_eq!(
            settings.0.join("\n"),
            "[http]\nconnections = \"7\"\nlisten = \"a\"\n\n[ledger]\nurl = \"c\\\"d\"\n[x]\ny = 1\n\n\
             [clob.polygon]\nurl = \"e\""
        );
        let parsed: toml::Table = settings.0.join("\n").parse().unwrap();
        assert_eq!(parsed["clob"]["polygon"]["url"].as_str(), Some("e"));
    }
}
