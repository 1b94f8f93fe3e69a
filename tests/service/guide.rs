//! The pages for people: where they link to is there, and the first one leads to all of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages in a folder, by name.
fn pages_in(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|it| it.unwrap().path());
    let mut pages: Vec<PathBuf> = paths
        .filter(|it| it.extension().is_some_and(|it| it == "md"))
        .collect();
    pages.sort();
    assert!(!pages.is_empty(), "{folder}");
    pages
}

/// The run-book: its first page, and those of its tasks.
pub(crate) fn run_book() -> String {
    let pages = pages_in("deploy/guide").into_iter();
    let pages = std::iter::once(root().join("deploy/README.md")).chain(pages);
    let texts = pages.map(|it| std::fs::read_to_string(it).unwrap());
    texts.collect::<Vec<_>>().join("\n")
}

/// The heading that a line is.
pub(crate) fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let depth = line.len() - text.len();
    (1..=4).contains(&depth).then_some(text)?.strip_prefix(' ')
}

/// The lines of a text that are not in a block of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars();
    kept.filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'))
        .map(|it| if it == ' ' { '-' } else { it })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let folders = [".", "deploy", "deploy/guide", "clients", "clients/python"];
    let mut links = 0;
    for page in folders.into_iter().flat_map(pages_in) {
        let text = std::fs::read_to_string(&page).unwrap();
        for line in prose(&text) {
            for link in line.split("](").skip(1) {
                let link = link.split(')').next().unwrap();
                if link.contains("://") || link.starts_with("mailto:") {
                    continue;
                }
                links += 1;
                let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
                let target = match file {
                    "" => page.clone(),
                    file => page.parent().unwrap().join(file),
                };
                assert!(target.exists(), "{}: {link}", page.display());
                if !fragment.is_empty() {
                    let there = std::fs::read_to_string(&target).unwrap();
                    let is_there = prose(&there)
                        .filter_map(heading)
                        .any(|it| anchor(it) == fragment);
                    assert!(is_there, "{}: {link}", page.display());
                }
            }
        }
    }
    assert!(links > 50, "{links}");
}

#[test]
fn the_first_page_leads_to_all_others_and_no_heading_is_there_twice() {
    let first = std::fs::read_to_string(root().join("deploy/README.md")).unwrap();
    for page in pages_in("deploy/guide") {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(first.contains(&format!("(guide/{name})")), "{name}");
        let lines = std::fs::read_to_string(&page).unwrap().lines().count();
        assert!(lines <= 200, "{name} is {lines} lines: it has two tasks");
    }
    let book = run_book();
    let mut known = BTreeSet::new();
    for heading in prose(&book).filter_map(heading) {
        assert!(known.insert(heading), "{heading}");
    }
}

/// What a macro that begins here is given, to the parenthesis that ends it.
fn arguments(text: &str) -> &str {
    let (mut depth, mut is_quoted, mut is_escaped) = (1, false, false);
    for (at, it) in text.char_indices() {
        match it {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

/// The lines above `INFO` that a module may write.
fn written_in(path: &Path, lines: &mut BTreeSet<(String, String)>) {
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("cli/dev") {
                written_in(&path, lines);
            }
            continue;
        }
        if path.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("\nmod tests {").next().unwrap();
        for level in ["warn", "error"] {
            for macros in text.split(&format!("tracing::{level}!(")).skip(1) {
                let given = arguments(macros);
                let said = given.rsplit('"').nth(1);
                let said = said.unwrap_or_else(|| panic!("{}: {given}", path.display()));
                lines.insert((level.to_owned(), said.to_owned()));
            }
        }
    }
}

#[test]
fn every_log_line_above_info_is_explained() {
    let mut written = BTreeSet::new();
    written_in(&root().join("src"), &mut written);
    assert!(written.len() > 100, "{}", written.len());
    let page = std::fs::read_to_string(root().join("deploy/guide/log-lines.md")).unwrap();
    let rows = page.lines().filter_map(|row| {
        let (level, rest) = row.strip_prefix("| ")?.split_once(" | `")?;
        let (said, _) = rest.split_once("` |")?;
        Some((level.to_owned(), said.to_owned()))
    });
    let explained: BTreeSet<_> = rows.collect();
    let missing: Vec<_> = written.difference(&explained).collect();
    let gone: Vec<_> = explained.difference(&written).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "missing {missing:#?}, gone {gone:#?}"
    );
}
