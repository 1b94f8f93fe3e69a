use serde_json::json;

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
