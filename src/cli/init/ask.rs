//! Questions, for who sits at a terminal; for a program each has a flag.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};

/// Asks, or says what to give instead.
pub(super) struct Asker {
    is_somebody_there: bool,
}

impl Asker {
    pub(super) fn new() -> Self {
        let is_somebody_there = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        Self { is_somebody_there }
    }

    /// What was given, or what somebody answers. An empty answer is the default, where there is one.
    pub(super) fn text(
        &self,
        given: Option<&str>,
        flag: &str,
        question: &str,
        default: Option<&str>,
    ) -> anyhow::Result<String> {
        if let Some(given) = given {
            return Ok(given.to_owned());
        }
        if !self.is_somebody_there {
            return default
                .map(str::to_owned)
                .with_context(|| format!("{question}: give {flag}"));
        }
        loop {
            let shown = default.map_or(String::new(), |it| format!(" [{it}]"));
            let answer = line(&format!("{question}{shown}: "))?;
            match (answer.as_str(), default) {
                ("", Some(default)) => return Ok(default.to_owned()),
                ("", None) => {}
                (answer, _) => return Ok(answer.to_owned()),
            }
        }
    }

    /// Goes on where it was accepted, by a flag or now, in a whole word.
    pub(super) fn accept(&self, is_given: bool, flag: &str, what: &str) -> anyhow::Result<()> {
        if is_given {
            return Ok(());
        }
        if !self.is_somebody_there {
            bail!("{what}: give {flag} to accept that");
        }
        let answer = line(&format!("{what}. Type yes to accept that: "))?;
        if answer != "yes" {
            bail!("nothing was done");
        }
        Ok(())
    }
}

/// A line from the terminal.
fn line(prompt: &str) -> anyhow::Result<String> {
    let mut out = std::io::stderr();
    write!(out, "{prompt}").and_then(|()| out.flush())?;
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer)?;
    if read == 0 {
        bail!("nothing was done");
    }
    Ok(answer.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_there_is_told_the_flag() {
        let asker = Asker {
            is_somebody_there: false,
        };
        let text = |given, default| asker.text(given, "--device", "Where are the keys", default);
        assert_eq!(text(Some("a"), Some("b")).unwrap(), "a");
        assert_eq!(text(None, Some("b")).unwrap(), "b");
        let refused = text(None, None).unwrap_err().to_string();
        assert_eq!(refused, "Where are the keys: give --device");
        assert!(asker.accept(true, "--yes", "x").is_ok());
        assert!(asker.accept(false, "--yes", "x").is_err());
    }
}
