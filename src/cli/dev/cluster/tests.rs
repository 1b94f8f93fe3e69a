use std::fs::DirBuilder;
use std::io::BufRead;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::process::Stdio;

use super::super::orphan::is_postmaster;
use super::super::socket_dir::is_fit;
use super::super::{can_run, scratch};
use super::*;

fn has_server() -> bool {
    can_run("PostgreSQL", Server::find(Path::new("/nowhere")).is_ok())
}

fn ask(cluster: &Cluster, question: &str) -> String {
    let server = Server::find(Path::new("/nowhere")).unwrap();
    let mut psql = server.program("psql");
    let output = psql.args(["-XAtc", question, &cluster.url()]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_second_start_finds_what_the_first_one_wrote() {
    if !has_server() {
        return;
    }
    let scratch = scratch();
    let data = DataDir::open(&scratch.path().join("data")).unwrap();
    let cluster = Cluster::start(&data).unwrap();
    ask(&cluster, "create table t as select 7 as n");
    let pid = cluster.postmaster.id();
    let pg = data.path().join("pg");
    assert!(is_postmaster(pid, &pg));
    cluster.stop().unwrap();
    assert!(!is_postmaster(pid, &pg));

    let cluster = Cluster::start(&data).unwrap();
    assert_eq!(ask(&cluster, "select n from t"), "7");
    assert_eq!(ask(&cluster, "show fsync"), "on");
    assert_eq!(ask(&cluster, "show listen_addresses"), "");
    assert_eq!(ask(&cluster, "show data_checksums"), "on");
    let place = "select current_user || '@' || current_database()";
    assert_eq!(ask(&cluster, place), "chancery@chancery");
    let pid = cluster.postmaster.id();
    drop(cluster);
    assert!(!is_postmaster(pid, &pg));
}

#[test]
fn a_socket_with_an_unfit_path_goes_elsewhere() {
    if !has_server() {
        return;
    }
    assert!(!is_fit(Path::new("/with, comma")));
    let scratch = scratch();
    let long = scratch.path().join("long ".repeat(25));
    let data = DataDir::open(&long).unwrap();
    let cluster = Cluster::start(&data).unwrap();
    assert_eq!(ask(&cluster, "select 1"), "1");
    let dir = cluster.socket_dir.clone();
    assert_eq!(std::fs::read_link(data.path().join("run")).unwrap(), dir);
    assert_eq!(dir.metadata().unwrap().mode() & 0o777, 0o700);
    cluster.stop().unwrap();
    assert!(!dir.exists());
    Cluster::start(&data).unwrap();
}

#[test]
fn a_half_made_cluster_is_made_again() {
    if !has_server() {
        return;
    }
    let scratch = scratch();
    let data = DataDir::open(scratch.path()).unwrap();
    std::fs::create_dir(scratch.path().join("pg.new")).unwrap();
    std::fs::write(scratch.path().join("pg.new/PG_VERSION"), "15").unwrap();
    let cluster = Cluster::start(&data).unwrap();
    assert_eq!(ask(&cluster, "select 1"), "1");
}

#[test]
fn a_cluster_that_does_not_start_says_why() {
    if !has_server() {
        return;
    }
    let scratch = scratch();
    let data = DataDir::open(scratch.path()).unwrap();
    Cluster::start(&data).unwrap().stop().unwrap();
    let conf = scratch.path().join("pg/postgresql.conf");
    std::fs::write(conf, "nonsense = 1\n").unwrap();
    let error = format!("{:#}", Cluster::start(&data).unwrap_err());
    assert!(error.contains("nonsense"), "{error}");
}

#[test]
fn a_parent_that_is_closed_to_the_server_is_named() {
    if !has_server() || !rustix::process::geteuid().is_root() {
        println!("skipped: only root steps down to another user");
        return;
    }
    let scratch = scratch();
    let closed = scratch.path().join("closed");
    DirBuilder::new().mode(0o700).create(&closed).unwrap();
    let data = DataDir::open(&closed.join("data")).unwrap();
    let error = Cluster::start(&data).unwrap_err().to_string();
    let named = format!("cannot pass through {},", closed.display());
    assert!(error.contains(&named), "{error}");
}

/// Not a promise: the process that the next test kills.
#[test]
#[ignore = "runs inside the next test"]
fn run_until_killed() {
    let path = std::env::var_os("CHANCERY_TEST_DATA_DIR").unwrap();
    let cluster = Cluster::start(&DataDir::open(Path::new(&path)).unwrap()).unwrap();
    println!("\npostmaster {}", cluster.postmaster.id());
    let _ = std::io::stdin().lines().next();
}

#[test]
fn a_killed_run_leaves_nothing_that_disturbs_the_next() {
    if !has_server() {
        return;
    }
    let scratch = scratch();
    let this = module_path!().split_once("::").unwrap().1;
    let mut first = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{this}::run_until_killed")])
        .args(["--ignored", "--nocapture"])
        .env("CHANCERY_TEST_DATA_DIR", scratch.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(first.stdout.take().unwrap()).lines();
    let mut numbers = lines.filter_map(|line| {
        let line = line.unwrap();
        Some(line.strip_prefix("postmaster ")?.parse::<u32>().unwrap())
    });
    let orphan = numbers.next().unwrap();
    first.kill().unwrap();
    first.wait().unwrap();

    let data = DataDir::open(scratch.path()).unwrap();
    let cluster = Cluster::start(&data).unwrap();
    assert_eq!(ask(&cluster, "select 1"), "1");
    assert_ne!(cluster.postmaster.id(), orphan);
    assert!(!is_postmaster(orphan, &data.path().join("pg")));
}
