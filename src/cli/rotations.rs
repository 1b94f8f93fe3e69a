//! `chancery rotations`

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{Client, Service};
use super::{due, print_json, print_line};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what ends when: keys, API keys of the CLOB, tokens; and what to type
    Due(due::Options),
    /// Open the rotation of a client's key
    Open {
        /// The client.
        #[arg(long)]
        client: String,
        /// A name for the new key.
        #[arg(long)]
        new_key: String,
        /// When it is to be done: a day, such as 2027-01-31.
        #[arg(long, value_name = "DATE")]
        target: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// The device that makes the new key; the old key's unless it is given.
        #[arg(long)]
        backend: Option<String>,
        /// rsa2048, rsa3072 or rsa4096; the old key's unless it is given.
        #[arg(long)]
        algorithm: Option<String>,
        /// How many days the new key is in use.
        #[arg(long, value_name = "DAYS")]
        cryptoperiod_days: Option<u16>,
        /// Take the old key out of service at once: it is in doubt, or in other hands.
        #[arg(long, value_enum)]
        emergency: Option<Emergency>,
        #[command(flatten)]
        service: Service,
    },
    /// List rotations, newest first
    List {
        /// Only those that are open.
        #[arg(long)]
        open: bool,
        /// Only those that are late.
        #[arg(long)]
        overdue: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        service: Service,
    },
    /// Show where a rotation stands, and what to type next
    Show {
        #[command(flatten)]
        of: Of,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have the device make the new key; goes on where it was cut off
    Generate {
        #[command(flatten)]
        of: Of,
    },
    /// Record that the new key's public half was sent
    Submit {
        #[command(flatten)]
        of: Of,
        /// By which way: an onboarding form, a mail address.
        #[arg(long)]
        channel: String,
        /// Their case or ticket.
        #[arg(long)]
        reference: String,
        /// SHA-256 of the PEM file that was sent, to compare.
        #[arg(long, value_name = "HEX")]
        pem_sha256: Option<String>,
    },
    /// Record that the counterparty confirmed; the fingerprint that they quote is compared
    Confirm {
        #[command(flatten)]
        of: Of,
        /// As they quote it.
        #[arg(long)]
        fingerprint: String,
        /// Their message.
        #[arg(long)]
        reference: String,
        /// The `kid` that they assigned to the key, where they name keys themselves.
        #[arg(long)]
        kid: Option<String>,
        /// The day on which they let the key expire, if they said so.
        #[arg(long, value_name = "DATE")]
        expires: Option<String>,
    },
    /// See whether the counterparty takes a key
    Probe {
        #[command(flatten)]
        of: Of,
        /// Which of the two.
        #[arg(value_enum)]
        key: Which,
    },
    /// Let the new key sign
    Switch {
        #[command(flatten)]
        of: Of,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Record that the counterparty was asked to remove the key that goes
    AskRemoval {
        #[command(flatten)]
        of: Of,
        /// By which way.
        #[arg(long)]
        channel: String,
        /// Their case or ticket.
        #[arg(long)]
        reference: String,
    },
    /// Record that probes have shown the removal
    ProveRemoval {
        #[command(flatten)]
        of: Of,
    },
    /// Finish: the old key is deactivated
    Close {
        #[command(flatten)]
        of: Of,
        /// For the record.
        #[arg(long)]
        reason: String,
    },
    /// Give up before the switch
    Abandon {
        #[command(flatten)]
        of: Of,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Let the old key sign again, while the counterparty takes it
    RollBack {
        #[command(flatten)]
        of: Of,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

/// What an emergency does to the old key.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Emergency {
    /// In doubt; it may be cleared.
    Suspended,
    /// In other hands; it never signs again.
    Compromised,
}

/// Which of the two keys.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Which {
    /// The one that comes.
    New,
    /// The one that goes.
    Old,
}

/// Which rotation, on which service.
#[derive(Debug, Args)]
pub(super) struct Of {
    /// The rotation's id.
    id: String,
    #[command(flatten)]
    service: Service,
}

impl Of {
    /// Takes a step, and shows where the rotation is then.
    async fn step(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        let client = self.service.client()?;
        let path = format!("/v1/rotations/{}/{path}", self.id);
        let answer = client.post(&path, body).await?;
        if let Some(outcome) = answer.get("probe") {
            print_line(&probe_line(outcome));
        }
        self.show(&client).await
    }

    async fn show(&self, client: &Client) -> anyhow::Result<()> {
        let rotation = client.get(&format!("/v1/rotations/{}", self.id)).await?;
        for line in checklist(&rotation) {
            print_line(&line);
        }
        Ok(())
    }
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Due(options) => due::run(options).await,
        Command::Open {
            client,
            new_key,
            target,
            reason,
            backend,
            algorithm,
            cryptoperiod_days,
            emergency,
            service,
        } => {
            let emergency = emergency.map(|it| match it {
                Emergency::Suspended => "suspended",
                Emergency::Compromised => "compromised",
            });
            let body = json!({
                "client": client, "new_key": new_key, "target_at": end_of(&target),
                "reason": reason, "backend": backend, "algorithm": algorithm,
                "cryptoperiod_days": cryptoperiod_days, "emergency": emergency,
            });
            let http = service.client()?;
            let opened = http.post("/v1/rotations", &body).await?;
            let id = opened["id"].as_str().unwrap_or_default().to_owned();
            Of { id, service }.show(&http).await
        }
        Command::List {
            open,
            overdue,
            json,
            service,
        } => {
            let wanted = [(open, "open=true"), (overdue, "overdue=true")];
            let query: Vec<_> = wanted.iter().filter(|it| it.0).map(|it| it.1).collect();
            let path = format!("/v1/rotations?{}", query.join("&"));
            let found = service.client()?.get(&path).await?;
            if json {
                return print_json(&found);
            }
            for rotation in found.as_array().into_iter().flatten() {
                print_line(&summary(rotation));
            }
            Ok(())
        }
        Command::Show { of, json } => {
            let client = of.service.client()?;
            if json {
                return print_json(&client.get(&format!("/v1/rotations/{}", of.id)).await?);
            }
            of.show(&client).await
        }
        Command::Generate { of } => of.step("generate", &json!({})).await,
        Command::Submit {
            of,
            channel,
            reference,
            pem_sha256,
        } => {
            let body =
                json!({ "channel": channel, "reference": reference, "pem_sha256": pem_sha256 });
            of.step("submit", &body).await
        }
        Command::Confirm {
            of,
            fingerprint,
            reference,
            kid,
            expires,
        } => {
            let ends = expires.as_deref().map(end_of);
            let body = json!({ "fingerprint": fingerprint, "reference": reference, "kid": kid, "expires_at": ends });
            of.step("confirm", &body).await
        }
        Command::Probe { of, key } => {
            let key = match key {
                Which::New => "new",
                Which::Old => "old",
            };
            of.step("probes", &json!({ "key": key })).await
        }
        Command::Switch { of, reason } => of.step("switch", &json!({ "reason": reason })).await,
        Command::AskRemoval {
            of,
            channel,
            reference,
        } => {
            let body = json!({ "channel": channel, "reference": reference });
            of.step("ask-removal", &body).await
        }
        Command::ProveRemoval { of } => of.step("prove-removal", &json!({})).await,
        Command::Close { of, reason } => of.step("close", &json!({ "reason": reason })).await,
        Command::Abandon { of, reason } => of.step("abandon", &json!({ "reason": reason })).await,
        Command::RollBack { of, reason } => {
            of.step("roll-back", &json!({ "reason": reason })).await
        }
    }
}

/// A day as its last second, in UTC; a time as it is.
fn end_of(day: &str) -> String {
    if day.len() == 10 {
        format!("{day}T23:59:59Z")
    } else {
        day.to_owned()
    }
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or("-")
}

/// A time without its fraction.
fn time(value: &Value, member: &str) -> String {
    let at = text(value, member);
    let end = at.find(['.', 'Z']).unwrap_or(at.len());
    at[..end].replace('T', " ")
}

/// The client or wallet.
fn subject(rotation: &Value) -> String {
    let member = if rotation["wallet"].is_string() {
        "wallet"
    } else {
        "client"
    };
    text(rotation, member).to_owned()
}

fn summary(rotation: &Value) -> String {
    let late = if rotation["status"]["overdue"] == true {
        "LATE"
    } else {
        ""
    };
    format!(
        "{}  {:<14} {:<24} waits for {:<13} target {} {late}",
        text(rotation, "id"),
        text(rotation, "state"),
        subject(rotation),
        text(&rotation["status"], "waits_for"),
        time(rotation, "target_at"),
    )
    .trim_end()
    .to_owned()
}

fn probe_line(probe: &Value) -> String {
    let outcome = probe["outcome"].as_str().unwrap_or("no outcome");
    let why = probe["error"].as_str().map(|it| format!(": {it}"));
    format!(
        "      {}  probe of the {} key by {}: {outcome}{}",
        time(probe, "begun_at"),
        text(probe, "key"),
        text(probe, "by"),
        why.unwrap_or_default(),
    )
}

/// A rotation for people: its parts with who did what when, and what to type next.
fn checklist(rotation: &Value) -> Vec<String> {
    let status = &rotation["status"];
    let mut lines = vec![
        format!(
            "Rotation {} of {} {} ({}, {})",
            text(rotation, "id"),
            text(rotation, "kind"),
            subject(rotation),
            text(rotation, "client_id"),
            text(rotation, "environment"),
        ),
        format!(
            "  state {}{}; opened {}, target {}",
            text(rotation, "state"),
            if rotation["emergency"] == true {
                " (emergency)"
            } else {
                ""
            },
            time(rotation, "opened_at"),
            time(rotation, "target_at"),
        ),
    ];
    for (what, key) in [("old", &rotation["old_key"]), ("new", &rotation["new_key"])] {
        if key.is_object() {
            lines.push(format!(
                "  {what} key {} ({}), SHA-256 {}",
                text(key, "name"),
                text(key, "state"),
                text(key, "fingerprint"),
            ));
        }
    }
    lines.push(String::new());
    lines.extend(part_lines(rotation));
    let probes = all(&rotation["probes"]);
    if !probes.is_empty() {
        lines.push("  Probes".to_owned());
        lines.extend(probes.iter().map(probe_line));
    }
    for alarm in all(&rotation["alarms"]) {
        lines.push(format!(
            "  ALARM {}  {}",
            time(&alarm, "at"),
            text(&alarm, "alarm")
        ));
    }
    for deadline in all(&status["deadlines"]) {
        let late = if deadline["overdue"] == true {
            "  LATE"
        } else {
            ""
        };
        lines.push(format!(
            "  due {}  {}{late}",
            time(&deadline, "at"),
            text(&deadline, "alarm")
        ));
    }
    lines.push(String::new());
    lines.push(format!("Waits for: {}", text(status, "waits_for")));
    for missing in all(&status["missing"]) {
        lines.push(format!("Missing: {}", missing.as_str().unwrap_or("-")));
    }
    lines.push(format!("Way back: {}", text(status, "way_back")));
    for next in all(&status["next"]) {
        let key = next["key"].as_str();
        lines.push(format!(
            "Next: {}\n      {}",
            text(&next, "command"),
            key.map_or_else(
                || text(&next, "what").to_owned(),
                |key| format!("{} ({key})", text(&next, "what"))
            ),
        ));
    }
    lines
}

fn all(list: &Value) -> Vec<Value> {
    list.as_array().cloned().unwrap_or_default()
}

/// The parts of the way, each with the steps that were taken in it.
fn part_lines(rotation: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let steps = all(&rotation["steps"]);
    let mut shown = Vec::new();
    for part in all(&rotation["status"]["parts"]) {
        let mark = match text(&part, "progress") {
            "done" => "x",
            "now" => ">",
            "given-up" => "-",
            _ => " ",
        };
        lines.push(format!("  [{mark}] {}", text(&part, "title")));
        for seq in all(&part["steps"]) {
            if let Some(step) = steps.iter().find(|it| it["seq"] == seq) {
                lines.extend(step_lines(step));
                shown.push(seq);
            }
        }
    }
    let rest: Vec<_> = steps
        .iter()
        .filter(|it| !shown.contains(&it["seq"]))
        .collect();
    if !rest.is_empty() {
        lines.push("  [!] given up".to_owned());
        lines.extend(rest.into_iter().flat_map(step_lines));
    }
    lines
}

fn step_lines(step: &Value) -> Vec<String> {
    let mut lines = vec![format!(
        "      {}  {} by {}; approval {}",
        time(step, "at"),
        text(step, "step"),
        text(step, "by"),
        text(step, "approval"),
    )];
    for (name, value) in step["evidence"].as_object().into_iter().flatten() {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Object(key) if key.contains_key("fingerprint") => {
                format!("{} {}", text(value, "name"), text(value, "fingerprint"))
            }
            other => other.to_string(),
        };
        lines.push(format!("          {name}: {value}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checklist_says_what_to_type_next() {
        let rotation = json!({
            "id": "1", "kind": "client", "client": "c", "client_id": "cid", "environment": "dev01",
            "state": "generated", "emergency": false, "opened_at": "2026-11-21T10:00:00.123Z",
            "target_at": "2026-12-31T23:59:59Z",
            "old_key": { "name": "old", "state": "active", "fingerprint": "aa" }, "new_key": null,
            "steps": [{ "seq": 1, "step": "open", "by": "ann", "approval": "none", "at": "2026-11-21T10:00:00Z",
                "evidence": { "reason": "due" } }],
            "probes": [{ "key": "new", "by": "ann", "begun_at": "2026-11-21T10:00:00Z", "outcome": "refused", "error": "invalid_client" }],
            "alarms": [],
            "status": { "waits_for": "operator", "missing": ["x"], "way_back": "abandon", "overdue": true,
                "deadlines": [{ "alarm": "target", "at": "2026-12-31T23:59:59Z", "overdue": true }],
                "parts": [{ "title": "1 generate", "progress": "done", "steps": [1] }],
                "next": [{ "step": "submit", "what": "send it", "command": "chancery rotations submit 1" }] },
        });
        let text = checklist(&rotation).join("\n");
        for part in [
            "[x] 1 generate",
            "2026-11-21 10:00:00  open by ann",
            "reason: due",
            "probe of the new key by ann: refused: invalid_client",
            "LATE",
            "Waits for: operator",
            "Next: chancery rotations submit 1",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
