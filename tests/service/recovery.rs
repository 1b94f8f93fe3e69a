//! P9: a database that is older than what was published is gone on with on the word of two people, which is on record.

use std::io::Cursor;

use chancery::tlog::{Note, NoteKey, Policy};
use chancery::verification;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::approvals::{Four, nobody_alone};
use crate::evidence::{back_up, export, put_back, until};
use crate::support::Caller;

/// Has ann let somebody in who may read the log; bob approves.
async fn auditor(four: &Four) -> Caller {
    let new = json!({ "name": "audit", "owner": "auditors", "roles": ["auditor"] });
    let ask = async || four.ann.post_as("ask-audit", "/v1/callers", &new).await;
    let asked = ask().await.unwrap();
    assert_eq!(asked.status, 202, "{}", asked.text);
    let approved = four.approve(&four.bob, "bob", &asked.json).await;
    assert_eq!(approved.status, 201, "{}", approved.text);
    let made = ask().await.unwrap();
    assert_eq!(made.status, 201, "{}", made.text);
    four.server.caller(made.json["token"].as_str().unwrap())
}

#[tokio::test]
async fn an_older_database_is_gone_on_with_on_the_word_of_two_people() {
    let Some(mut four) = Four::new("").await else {
        return;
    };
    let published = four.deployment.file("checkpoint");
    let evidence = format!(
        "[evidence]\ncheckpoint_every_ms = 200\ncheckpoint_file = \"{}\"",
        published.display()
    );
    nobody_alone(&four.deployment, &evidence);
    assert_eq!(four.server.terminate(), Some(0));
    four.server = four.deployment.serve(&[]).await;
    four.ann = four.server.caller(&four.ann.token);
    four.bob = four.server.caller(&four.bob.token);
    let auditor = auditor(&four).await;
    let size = || {
        let note = std::fs::read_to_string(&published).ok()?;
        note.lines().nth(1)?.parse::<i64>().ok()
    };
    let kept = back_up(&four.database).await;
    four.ask("lost").await;
    until("a checkpoint of more than the backup holds", async || {
        size().filter(|it| *it > kept)
    })
    .await;
    assert_eq!(four.server.terminate(), Some(0));
    let before: Note = std::fs::read_to_string(&published)
        .unwrap()
        .parse()
        .unwrap();
    let nothing = four.deployment.run(&["audit", "recover"]).unwrap();
    assert_eq!(nothing, "", "all is there");
    put_back(&four.database).await;
    let refused = four.deployment.run(&["serve"]).unwrap_err();
    assert!(refused.contains("audit recover"), "{refused}");

    let document = four.deployment.run(&["audit", "recover"]).unwrap();
    let document = document.trim_end();
    let said: Value = serde_json::from_str(document).unwrap();
    assert_eq!(said["kept"]["size"], kept);
    assert_eq!(said["published"]["size"], size().unwrap());
    let digest = hex::encode(Sha256::digest(document));
    let hash = digest.as_str();
    let recover = |signers: &[(&str, &str)]| {
        let mut args = vec!["audit".to_owned(), "recover".to_owned()];
        for (number, (who, hash)) in signers.iter().enumerate() {
            let signature = four.sign(who, hash);
            let file = four
                .deployment
                .dir
                .write(&format!("{number}.sig"), &signature);
            args.extend(["--signature".to_owned(), file.display().to_string()]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        four.deployment.run(&args)
    };
    let digest = hex::encode(Sha256::digest("something else"));
    let other = digest.as_str();
    for (signers, why) in [
        (vec![("bob", hash)], "two people"),
        (vec![("bob", hash), ("bob", hash)], "twice"),
        (vec![("bob", hash), ("dan", hash)], "no person"),
        (vec![("bob", hash), ("cid", other)], "signature"),
    ] {
        let refused = recover(&signers).unwrap_err();
        assert!(refused.contains(why), "{why}: {refused}");
    }
    let alone = ["audit", "recover", "--accept-single-operator"];
    let refused = four.deployment.run(&alone).unwrap_err();
    assert!(refused.contains("security-officer"), "{refused}");
    let still = four.deployment.run(&["serve"]).unwrap_err();
    assert!(still.contains("audit-rollback"), "{still}");
    recover(&[("bob", hash), ("cid", hash)]).unwrap();

    let server = four.deployment.serve(&[]).await;
    let auditor = server.caller(&auditor.token);
    let file = four.deployment.file("export.jsonl");
    let key: NoteKey = {
        let log = auditor.get("/v1/log").await;
        log.json["key"].as_str().unwrap().parse().unwrap()
    };
    export(&auditor, &file).await;
    let text = std::fs::read_to_string(&file).unwrap();
    let verify = |kept: &[Note]| {
        let policy = Policy::of_log(key.clone());
        verification::verify(Cursor::new(&text), &policy, kept).unwrap()
    };
    // The signatures and their quorum are among what is verified; and what was let go does not come back.
    let report = verify(&[]);
    assert!(report.verified, "{report:?}");
    assert!(!verify(&[before]).verified);
    let recorded = "select count(*) from leaves where kind = 'admin' and encode(leaf, 'escape') like '%recover-log%'";
    assert!(four.database.count(recorded).await >= 2);
}
