//! Bytes from outside, bent in every way: whoever reads them refuses them or takes them, and never panics.
//!
//! Seeds are the vectors and what is in `corpus/`; each is bent a few times, and what comes of it is read. Runs are the
//! same each time; the long counts begin elsewhere each time and say where. What makes a reader panic is written to
//! `corpus/`, where it stays as a seed.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test panics where something is not as it has to be, reads its switches from the environment, and says what it has seen"
)]

mod bend;
mod readers;
mod seeds;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use bend::Bender;

/// A reader, and what its bytes look like.
struct Target {
    name: &'static str,
    read: fn(&[u8]),
    seeds: Vec<Vec<u8>>,
    /// One of so many executions: some readers are slow.
    share: usize,
}

fn is_long() -> bool {
    std::env::var("CHANCERY_LONG").is_ok_and(|value| value == "1")
}

fn corpus(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/fuzz/corpus").join(name)
}

fn fuzz(target: Target) {
    let Target {
        name,
        read,
        mut seeds,
        share,
    } = target;
    let kept = std::fs::read_dir(corpus(name)).into_iter().flatten();
    seeds.extend(kept.map(|file| std::fs::read(file.unwrap().path()).unwrap()));
    assert!(!seeds.is_empty(), "{name} has no seed");
    let executions = if is_long() { 10_000_000 } else { 20_000 } / share;
    let start = if is_long() {
        uuid::Uuid::new_v4().as_u64_pair().0
    } else {
        7
    };
    let mut bender = Bender::new(start);
    let mut slowest = Duration::ZERO;
    for n in 0..executions.max(seeds.len()) {
        let input = match seeds.get(n) {
            Some(seed) => seed.clone(), // each as it is, first
            None => bender.bend(&seeds),
        };
        let begun = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| read(&input))).is_err() {
            let digest = hex::encode(Sha256::digest(&input));
            let file = corpus(name).join(&digest[..16]);
            std::fs::create_dir_all(corpus(name)).unwrap();
            std::fs::write(&file, &input).unwrap();
            panic!("{name} panics, begun at {start}: {}", file.display());
        }
        slowest = slowest.max(begun.elapsed());
    }
    println!("{name}: {executions} executions, begun at {start}, the slowest took {slowest:?}");
}

macro_rules! targets {
    ($($name:ident from $seeds:expr, one in $share:literal;)*) => {$(
        #[test]
        fn $name() {
            fuzz(Target {
                name: stringify!($name),
                read: readers::$name,
                seeds: $seeds,
                share: $share,
            });
        }
    )*};
}

targets! {
    orders from seeds::orders(), one in 1;
    typed_data from seeds::typed_data(), one in 4;
    orders_to_explain from seeds::orders_to_explain(), one in 4;
    requests_to_the_venue from seeds::orders(), one in 1;
    answers_of_token_endpoints from seeds::answers(), one in 1;
    answers_of_the_venue from seeds::answers_of_the_venue(), one in 2;
    signatures_of_devices from seeds::signatures(), one in 20;
    assertions from seeds::assertions(), one in 1;
    policies from seeds::policies(), one in 200;
    private_keys from seeds::private_keys(), one in 20;
    public_keys from seeds::public_keys(), one in 4;
    pkcs11_uris from seeds::pkcs11_uris(), one in 1;
    short_texts from seeds::short_texts(), one in 1;
    notes from seeds::notes(), one in 1;
    leaves from seeds::leaves(), one in 1;
    exports from seeds::exports(), one in 4;
}
