//! Rules of the house that a reviewer would otherwise have to look for.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test panics where something is not as it has to be, and reads its switches from the environment"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Where `sqlx` stands besides `ledger/` and `records.rs`.
const SQLX: [(&str, &str); 4] = [
    ("id.rs", "identifiers are bound to queries as they are"),
    (
        "audit/batch.rs",
        "a batch is written on the log's connection",
    ),
    (
        "audit/log.rs",
        "the log keeps its connection between batches",
    ),
    ("audit/voucher.rs", "and so does its voucher"),
];

/// Tables that no statement here writes: a migration fills them, or functions of the database do.
const UNWRITTEN: [&str; 15] = [
    "key_state_edges",
    "key_states",
    "rotation_edges",
    "intents",
    "ends",
    "takeovers",
    "jtis",
    "signature_points",
    "swept",
    "closings",
    "log_batches",
    "log_nodes",
    "log_runs",
    "log_stretches",
    "log_terms",
];

#[test]
fn a_library_stays_where_it_belongs() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let sql = file.starts_with("ledger/")
            || file.ends_with("/records.rs")
            || SQLX.iter().any(|(allowed, _)| *allowed == file);
        for (library, allowed) in [
            ("axum", file.starts_with("http/")),
            ("sqlx", sql),
            ("cryptoki", file.starts_with("custody/pkcs11/")),
            ("aws_config", file.starts_with("custody/aws_kms/")),
            ("aws_sdk_kms", file.starts_with("custody/aws_kms/")),
        ] {
            let used = text.contains(&format!("{library}::"));
            if used && !allowed {
                wrong.push(format!("{file} names {library}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (file, _) in SQLX {
        let text = std::fs::read_to_string(root().join("src").join(file)).unwrap();
        assert!(text.contains("sqlx::"), "{file} needs no exception");
    }
}

#[test]
fn there_is_one_tls_stack() {
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--quiet"])
        .args([
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{tree:?}");
    let tree = String::from_utf8(tree.stdout).unwrap();
    let packages: BTreeSet<&str> = tree.lines().filter_map(|l| l.split(" (").next()).collect();
    for (library, versions) in [("rustls", 1), ("hyper", 1), ("aws-lc-rs", 1), ("ring", 0)] {
        let name = |package: &&&str| package.split(' ').next() == Some(library);
        let found: Vec<_> = packages.iter().filter(name).collect();
        assert_eq!(found.len(), versions, "{found:?}");
    }
}

#[test]
fn every_dependency_is_used() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = |name: &str| {
        let after = manifest.split(&format!("\n[{name}]\n")).nth(1).unwrap();
        let lines = after.lines().take_while(|line| !line.is_empty());
        let names = lines.filter_map(|line| Some(line.split_once(" = ")?.0.replace('-', "_")));
        names.collect::<Vec<_>>()
    };
    let text_of = |folders: &[&str]| {
        let mut found = Vec::new();
        for folder in folders {
            collect(&root().join(folder), &mut found);
        }
        let texts = found.iter().map(|it| std::fs::read_to_string(it).unwrap());
        texts.collect::<String>()
    };
    let ours = text_of(&["src"]);
    let tests = text_of(&["src", "tests", "benches"]);
    for (names, text) in [
        (section("dependencies"), &ours),
        (section("dev-dependencies"), &tests),
    ] {
        assert!(names.len() > 2, "{names:?}");
        let idle: Vec<_> = names
            .iter()
            .filter(|it| !text.contains(&format!("{it}::")))
            .collect();
        assert!(idle.is_empty(), "nobody uses {idle:?}");
    }
}

#[test]
fn unsafe_code_is_in_the_module_that_fails_on_command_and_nowhere_else() {
    // In two pieces, or this file would be one of them.
    let word = concat!("uns", "afe ");
    let mut found = Vec::new();
    for dir in ["src", "tests", "benches", "clients"] {
        collect(&root().join(dir), &mut found);
    }
    assert!(found.len() > 100, "{}", found.len());
    let uses = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let code = |line: &&str| !line.trim_start().starts_with("//");
        let mut lines = text.lines().filter(code);
        lines.any(|line| {
            line.contains(&format!("{word}{{")) || line.contains(&format!("{word}extern"))
        })
    };
    found.retain(uses);
    let home = root().join("tests/pkcs11-faults/src");
    let elsewhere: Vec<_> = found.iter().filter(|it| !it.starts_with(&home)).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    assert!(!found.is_empty(), "{} needs no exception", home.display());
    for manifest in ["Cargo.toml", "clients/rust/Cargo.toml"] {
        let text = std::fs::read_to_string(root().join(manifest)).unwrap();
        let forbids = text.contains("unsafe_code = \"forbid\"");
        assert!(forbids, "{manifest}");
    }
}

#[test]
fn features_are_a_matter_of_custody() {
    for (file, text) in sources() {
        let used = text.contains("cfg(feature") || text.contains("cfg(not(feature");
        assert!(!used || file == "custody/mod.rs", "{file}");
    }
}

#[test]
fn a_module_imports_only_what_stands_below_it() {
    let map = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let order: Vec<&str> = map
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let place = |module: &str| order.iter().position(|known| *known == module);

    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let module = file
            .split('/')
            .next()
            .unwrap_or_default()
            .trim_end_matches(".rs");
        let Some(here) = place(module) else {
            assert!(["lib", "main"].contains(&module), "{file} is in no list");
            continue;
        };
        for import in imports(&text) {
            let Some(there) = place(&import) else {
                continue; // a macro
            };
            let neighbours = [module, &import].into_iter().collect::<BTreeSet<_>>();
            if there < here || neighbours == BTreeSet::from(["clob", "oauth"]) {
                wrong.push(format!("{file} imports {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_file_is_longer_than_one_concept() {
    let src = root().join("src");
    let mut found = Vec::new();
    collect(&src, &mut found);
    let mut wrong = Vec::new();
    for path in found {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        let file = path.strip_prefix(&src).unwrap().to_str().unwrap();
        if lines > 500 {
            wrong.push(format!("{file} has {lines} lines, and 500 is the most"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_folder_has_no_circle_among_its_members() {
    let all = sources();
    let modules: BTreeSet<Vec<String>> = all.iter().map(|(file, _)| module(file)).collect();
    // By folder: which member names which other one. A folder and its own files may name each other.
    let mut named: BTreeMap<Vec<String>, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (file, text) in &all {
        let from = module(file);
        for to in paths(&from, text, &modules) {
            let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if let (Some(one), Some(other)) = (from.get(shared), to.get(shared)) {
                let members = named.entry(from[..shared].to_vec()).or_default();
                let others = members.entry(one.clone()).or_default();
                others.insert(other.clone());
            }
        }
    }
    let mut circles = Vec::new();
    for (folder, members) in &named {
        for one in members.keys() {
            let there = reached(members, one);
            let back = |other: &&String| reached(members, other).contains(one);
            let circle: Vec<String> = there.iter().filter(back).cloned().collect();
            if !circle.is_empty() {
                circles.push((folder.join("/"), circle));
            }
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn a_name_in_the_document_stands_for_one_type() {
    let mut types: BTreeMap<String, String> = BTreeMap::new();
    let mut found = 0;
    for (file, text) in sources() {
        for (at, _) in text.match_indices("ToSchema") {
            let derives = text[..at].rfind("#[derive(");
            let Some(derive) = derives.filter(|start| !text[*start..at].contains(")]")) else {
                continue;
            };
            let rest = &text[derive..];
            let words = ["struct ", "enum "].map(|word| rest.find(word).map(|it| it + word.len()));
            let name_at = words.into_iter().flatten().min().unwrap();
            let word = |text: &str| {
                let end = text.find(|c: char| !c.is_ascii_alphanumeric());
                text[..end.unwrap_or(text.len())].to_owned()
            };
            let said = rest[..name_at].split_once("schema(as = ");
            let name = word(said.map_or(&rest[name_at..], |(_, name)| name));
            found += 1;
            let earlier = types.insert(name.clone(), file.clone());
            assert!(earlier.is_none(), "{name}: {earlier:?} and {file}");
        }
    }
    assert!(found > 100, "{found}");
}

#[test]
fn a_table_is_written_in_one_place() {
    let mut tables = BTreeSet::new();
    for (_, sql) in migrations() {
        for line in sql.lines() {
            if let Some(rest) = line.strip_prefix("create table ") {
                tables.insert(rest.split([' ', '(']).next().unwrap().to_owned());
            }
            if let Some(gone) = line.strip_prefix("drop table ") {
                for table in gone.trim_end_matches(';').split(", ") {
                    tables.remove(table);
                }
            }
        }
    }
    assert!(tables.contains("intents"), "{tables:?}");

    let mut writers: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in sources() {
        for table in &tables {
            let verbs = ["insert into", "update", "delete from", "truncate"];
            if verbs
                .iter()
                .any(|verb| says(&text, &format!("{verb} {table}")))
            {
                writers.entry(table).or_default().insert(file.clone());
            }
        }
    }
    for table in &tables {
        let files = writers.remove(table.as_str()).unwrap_or_default();
        if UNWRITTEN.contains(&table.as_str()) {
            assert!(files.is_empty(), "{table} is written by {files:?}");
        } else {
            assert_eq!(files.len(), 1, "{table} is written by {files:?}");
            let file = files.first().unwrap();
            assert!(file.ends_with("/records.rs"), "{table} in {file}");
        }
    }
}

#[test]
fn no_name_says_that_nobody_knows_what_the_thing_is() {
    let banned = ["utils", "util", "common", "helpers", "types", "models"];
    for (file, text) in sources() {
        for part in file.split(['/', '.']) {
            assert!(!banned.contains(&part), "{file}");
        }
        for line in text.lines().map(str::trim) {
            let words = line.split([' ', '(', '<', '{', ';']);
            let mut words = words.skip_while(|w| !["struct", "enum", "trait"].contains(w));
            let Some(name) = words.nth(1) else { continue };
            for end in ["Manager", "Service", "Handler", "Processor", "Impl"] {
                // The command line's word for the service that it speaks to.
                let service = name == "Service" && file == "cli/client.rs";
                assert!(!name.ends_with(end) || service, "{file}: {name}");
            }
        }
    }
}

#[test]
fn a_migration_never_changes() {
    let list = root().join("migrations/.checksums");
    let text = std::fs::read_to_string(&list).unwrap_or_default();
    let listed: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(hash, file)| (file, hash))
        .collect();
    let mut missing = String::new();
    let mut there = BTreeSet::new();
    for (file, sql) in migrations() {
        let hash = hex::encode(Sha256::digest(&sql));
        match listed.get(file.as_str()) {
            Some(known) => assert_eq!(hash, *known, "{file} was merged and has changed"),
            None => writeln!(missing, "{hash}  {file}").unwrap(),
        }
        there.insert(file);
    }
    for file in listed.keys() {
        assert!(there.contains(*file), "{file} was merged and is gone");
    }
    if missing.is_empty() {
        return;
    }
    let update = std::env::var("UPDATE_SNAPSHOTS").is_ok_and(|value| value == "1");
    assert!(update, "add to migrations/.checksums:\n{missing}");
    std::fs::write(list, text.clone() + &missing).unwrap();
}

/// `rust-version` is what users are told to install. Clippy's `incompatible_msrv` looks at our own
/// code; this looks at what we build on.
#[test]
fn the_stated_rust_is_new_enough_for_every_dependency() {
    let metadata = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version=1"])
        .arg("--filter-platform=x86_64-unknown-linux-gnu")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{metadata:?}");
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let version =
        |text: &str| -> Vec<u32> { text.split('.').map(|n| n.parse().unwrap()).collect() };
    let ours = version(env!("CARGO_PKG_RUST_VERSION"));
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{}", packages.len());
    for package in packages {
        let Some(theirs) = package["rust_version"].as_str() else {
            continue;
        };
        let theirs = version(theirs)[..2].to_vec();
        assert!(theirs <= ours, "{} wants Rust {theirs:?}", package["name"]);
    }
}

#[test]
fn no_client_of_the_venue_is_among_the_dependencies() {
    for lock in ["Cargo.lock", "clients/rust/Cargo.lock"] {
        let text = std::fs::read_to_string(root().join(lock)).unwrap();
        let names = text.lines().filter(|line| line.starts_with("name = "));
        let venue: Vec<_> = names.filter(|name| name.contains("polymarket")).collect();
        assert!(venue.is_empty(), "{lock}: {venue:?}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sources by their path under `src`, without what is built for tests only.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(&root().join("src"), &mut found);
    assert!(found.len() > 50, "{}", found.len());
    found
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(root().join("src")).unwrap();
            let tests = text.find("#[cfg(test)]\nmod tests {");
            let text = text[..tests.unwrap_or(text.len())].to_owned();
            (name.to_str().unwrap().to_owned(), text)
        })
        .filter(|(name, _)| !name.ends_with("tests.rs") && !name.contains("conformance/"))
        .collect()
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

fn migrations() -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(root().join("migrations")).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|it| it == "sql"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// A source's path as a module's: `clob/order/mod.rs` is `clob::order`.
fn module(file: &str) -> Vec<String> {
    let parts = file.trim_end_matches(".rs").split('/');
    let mut parts: Vec<_> = parts.map(str::to_owned).collect();
    parts.pop_if(|last| last == "mod");
    parts
}

/// What is reached from one, by one name or more.
fn reached(named: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(one) = next.pop() {
        for other in named.get(one).into_iter().flatten() {
            if seen.insert(other.clone()) {
                next.push(other);
            }
        }
    }
    seen
}

/// The modules that a source names by `crate::`, `super::`, `self::` or a child's name in a `use`.
fn paths(from: &[String], text: &str, modules: &BTreeSet<Vec<String>>) -> BTreeSet<Vec<String>> {
    let code = |line: &&str| !line.trim_start().starts_with("//");
    let text: String = text
        .lines()
        .filter(code)
        .flat_map(|it| [it, "\n"])
        .collect();
    let mut named = Vec::new();
    for (at, _) in text.match_indices("use ") {
        if text[..at].ends_with([' ', '\n']) || at == 0 {
            let tree = text[at + 4..].split(';').next().unwrap_or_default();
            branches("", tree, &mut named);
        }
    }
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in text.match_indices(start) {
            if !text[..at].ends_with([':', '$']) {
                let rest = &text[at..];
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
                named.push(rest[..end.unwrap_or(rest.len())].to_owned());
            }
        }
    }
    let mut found = BTreeSet::new();
    for path in named {
        let mut at = from.to_vec();
        let mut parts = path.split("::").map(str::trim).peekable();
        match parts.peek() {
            Some(&"crate") => at.clear(),
            Some(&"self" | &"super") => {}
            Some(child) if modules.contains(&[from, &[(*child).to_owned()]].concat()) => {}
            _ => continue,
        }
        for part in parts {
            match part {
                "crate" | "self" => {}
                "super" => drop(at.pop()),
                _ => {
                    at.push(part.to_owned());
                    if !modules.contains(&at) {
                        at.pop();
                        break;
                    }
                }
            }
        }
        if at != from {
            found.insert(at);
        }
    }
    found
}

/// A `use` with braces as paths without.
fn branches(before: &str, tree: &str, found: &mut Vec<String>) {
    let mut depth = 0;
    let mut start = 0;
    let mut parts = Vec::new();
    for (at, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&tree[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tree[start..]);
    for part in parts.into_iter().map(str::trim) {
        match part.split_once('{') {
            Some((path, rest)) => {
                let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
                branches(&format!("{before}{path}"), inner, found);
            }
            None => found.push(format!("{before}{part}")),
        }
    }
}

/// The modules of this crate that a source names: `crate::a::…`, `use crate::{a, b::…}`.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        if text[..at].ends_with('$') {
            continue; // in a macro, where it is expanded
        }
        let rest = &text[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        found.insert(std::mem::take(&mut name));
                    }
                    c if depth == 0 => name.push(c),
                    _ => {}
                }
            }
            found.insert(name);
        } else {
            found.insert(rest.to_owned());
        }
    }
    let word = |text: String| {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_lowercase() && c != '_');
        text[..end.unwrap_or(text.len())].to_owned()
    };
    found.into_iter().map(word).collect()
}

/// Whether the words stand in a text, as words.
fn says(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, _)| {
        let next = text[at + words.len()..].chars().next().unwrap_or(' ');
        !next.is_ascii_alphanumeric() && next != '_'
    })
}

#[test]
fn only_the_policy_decides_and_only_a_permit_makes_a_caller_an_author() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for only in [
            "policy.decide(",
            "policy\n            .decide(",
            "Author::caller(",
        ] {
            if text.contains(only) && !file.starts_with("policy/") {
                wrong.push(format!("{file} has {only}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let text = std::fs::read_to_string(root().join("src/policy/cedar.rs")).unwrap();
    assert!(text.contains("pub(super) fn decide("), "it is seen outside");
    let text = std::fs::read_to_string(root().join("src/policy/rights.rs")).unwrap();
    assert!(text.contains("Author::caller("), "a permit has no author");
}
