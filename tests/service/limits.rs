//! Slow and many clients hold up nobody but themselves.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stand::{Stand, refused};
use crate::support::order;

const ORDERS: &str = "/v1/wallets/d-w/orders";

/// More than any limit here, less than a test's patience.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let Some(mut stand) =
        Stand::new("[http]\nlisten = \"127.0.0.1:0\"\nidle_timeout_ms = 300").await
    else {
        return;
    };
    let mut half = connect(
        &stand,
        "POST /v1/wallets/d-w/orders HTTP/1.1\r\nHost: localhost\r\nX-",
    )
    .await;
    let mut silent = connect(&stand, "").await;
    for connection in [&mut half, &mut silent] {
        let text = rest(connection).await;
        assert!(!text.contains("200 OK"), "{text}");
    }
    stand.still_signs().await;
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let Some(mut stand) =
        Stand::new("[http]\nlisten = \"127.0.0.1:0\"\nrequest_timeout_ms = 3000").await
    else {
        return;
    };
    let mut slow = connect(&stand, &head(&stand)).await;
    slow.write_all(b"{").await.unwrap();
    let text = rest(&mut slow).await;
    assert!(text.starts_with("HTTP/1.1 504"), "{text}");
    assert!(text.contains("application/problem+json"), "{text}");
    assert!(text.contains("deadline-exceeded"), "{text}");
    assert_eq!(stand.signed().await, (0, 0));
    stand.still_signs().await;
}

#[tokio::test]
async fn a_full_service_says_so_at_once_and_stays_alive() {
    let Some(mut stand) = Stand::new(
        "[http]\nlisten = \"127.0.0.1:0\"\nconcurrent_requests = 2\nrequest_timeout_ms = 10000",
    )
    .await
    else {
        return;
    };
    // Orders whose bodies never come hold both places, on every route. One that comes while our own
    // question has the second place is refused, so there is another one for each question.
    let mut slow = Vec::new();
    let busy = tokio::time::timeout(PATIENCE, async {
        loop {
            slow.push(connect(&stand, &head(&stand)).await);
            let answer = stand.trader.get("/v1/clients").await;
            if answer.status != 200 {
                break answer;
            }
        }
    })
    .await
    .unwrap();
    refused("full", &busy, 503, "busy", "limit");
    assert_eq!(busy.headers["retry-after"], "1");
    let order = stand.trader.post(ORDERS, &order()).await;
    refused("full", &order, 503, "busy", "limit");
    assert_eq!(stand.trader.get("/healthz").await.status, 200);
    assert_eq!(stand.trader.get("/readyz").await.status, 200);
    drop(slow);

    let free = tokio::time::timeout(PATIENCE, async {
        while stand.trader.get("/v1/clients").await.status != 200 {}
    });
    free.await.unwrap();
    assert_eq!(stand.signed().await, (0, 0));
    stand.still_signs().await;
}

/// The wait ends at the deadline, the work does not (P2), and its answer is kept (P3).
#[tokio::test]
async fn who_does_not_wait_finds_the_answer_later() {
    let Some(stand) = Stand::new("").await else {
        return;
    };
    let url = format!("{}{ORDERS}", stand.server.base);
    let ask = |ms: &'static str| {
        let request = stand.trader.http.post(url.clone()).json(&order());
        let request = request.header("idempotency-key", "k");
        stand
            .trader
            .send(request.header("chancery-deadline-ms", ms))
    };
    let first = ask("1").await.unwrap();
    if first.status != 200 {
        refused("1 ms", &first, 504, "deadline-exceeded", "deadline");
    }
    let settled = tokio::time::timeout(PATIENCE, async {
        loop {
            let again = ask("8000").await.unwrap();
            if again.status == 200 {
                break again;
            }
            refused("meanwhile", &again, 409, "in-flight", "worked on");
        }
    })
    .await
    .unwrap();
    assert_eq!(settled.headers["idempotency-replayed"], "true");
    assert_eq!(stand.signed().await, (1, 1));
}

/// Everything of an order's request but its body.
fn head(stand: &Stand) -> String {
    format!(
        "POST {ORDERS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nIdempotency-Key: slow\r\n\
         Content-Type: application/json\r\nContent-Length: 400\r\nConnection: close\r\n\r\n",
        stand.trader.token
    )
}

async fn connect(stand: &Stand, text: &str) -> TcpStream {
    let address = stand.server.base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// What comes until the service closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes));
    let _ = read.await.expect("the service closes the connection");
    String::from_utf8_lossy(&bytes).into_owned()
}
