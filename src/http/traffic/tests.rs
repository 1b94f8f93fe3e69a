use super::super::problem;
use super::*;
use crate::metrics::text;

#[test]
fn a_request_is_counted_under_its_operation_and_never_under_what_was_sent() {
    let traffic = Traffic::of(&super::super::openapi());
    let took = Duration::from_millis(3);
    let route = "/v1/wallets/{wallet}/orders";
    traffic.answered(&Method::POST, route, StatusCode::OK, None, took);
    let busy = Some(&problem::BUSY);
    let late = StatusCode::SERVICE_UNAVAILABLE;
    traffic.answered(&Method::POST, route, late, busy, took);
    let sent = "/v1/wallets/canary/orders";
    traffic.answered(&Method::GET, sent, StatusCode::NOT_FOUND, None, took);
    let page = text(traffic.families());
    for line in [
        "chancery_requests_total{operation=\"sign_order\",status=\"2xx\"} 1",
        "chancery_requests_total{operation=\"sign_order\",status=\"5xx\"} 1",
        "chancery_requests_total{operation=\"other\",status=\"4xx\"} 1",
        "chancery_refusals_total{problem=\"busy\"} 1",
        "chancery_refusals_total{problem=\"halted\"} 0",
        "chancery_request_duration_seconds_count{operation=\"sign_order\"} 2",
    ] {
        assert!(page.lines().any(|it| it == line), "{line}: {page}");
    }
    assert!(!page.contains("canary"));
}
