//! Connections that stand still end or make way, and health is said whatever comes (P11).

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::stand::Stand;

/// Less than a test's patience, and more than the time-outs here.
const PATIENCE: Duration = Duration::from_secs(30);

async fn connect(stand: &Stand, text: &str) -> TcpStream {
    let address = stand.server.base.trim_start_matches("http://");
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// What a question on a connection of its own is answered.
async fn ask(stand: &Stand, path: &str) -> String {
    let token = &stand.trader.token;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    let mut stream = connect(stand, &head).await;
    let mut text = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut text)).await;
    read.expect("it is answered").unwrap();
    text
}

/// Waits until the service has closed a connection from which nothing is read.
async fn is_closed(stream: &mut TcpStream) {
    let pushed = async { while stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.is_ok() {} };
    timeout(PATIENCE, pushed).await.expect("it is closed");
}

#[tokio::test]
async fn clients_that_never_read_are_let_go() {
    let settings = "[http]\nlisten = \"127.0.0.1:0\"\nwrite_timeout_ms = 500";
    let Some(mut stand) = Stand::new(settings).await else {
        return;
    };
    let greedy = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000);
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(connect(&stand, &greedy).await);
    }
    stand.still_signs().await;
    for client in &mut clients {
        is_closed(client).await;
    }
    stand.still_signs().await;
}

#[tokio::test]
async fn a_head_has_its_time_though_a_connection_may_idle() {
    let settings = "[http]\nlisten = \"127.0.0.1:0\"\nhead_timeout_ms = 300";
    let Some(stand) = Stand::new(settings).await else {
        return;
    };
    let mut half = connect(&stand, "GET /healthz HTTP/1.1\r\nX-").await;
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE / 2, half.read_to_end(&mut bytes)).await;
    drop(read.expect("it is closed"));
    assert!(bytes.is_empty());
    // Between requests there is more time.
    let mut idle = connect(&stand, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut answer = [0; 15];
    idle.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    tokio::time::sleep(Duration::from_millis(900)).await;
    let again = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    idle.write_all(again).await.unwrap();
    let mut rest = String::new();
    idle.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest.matches("HTTP/1.1 200 OK").count(), 1, "{rest}");
}

#[tokio::test]
async fn half_sent_heads_make_way() {
    let settings = "[http]\nlisten = \"127.0.0.1:0\"\nconnections = 20\nhead_timeout_ms = 600000\nidle_timeout_ms = 600000";
    let Some(mut stand) = Stand::new(settings).await else {
        return;
    };
    let mut half = Vec::new();
    for _ in 0..200 {
        half.push(connect(&stand, "POST /v1/wallets/d-w/orders HTTP/1.1\r\nX-").await);
    }
    assert!(ask(&stand, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(ask(&stand, "/v1/clients").await.starts_with("HTTP/1.1 200"));
    // The trader's own connection had nothing to do all the while, and is still there or was replaced.
    stand.still_signs().await;
}

#[tokio::test]
async fn health_is_said_though_every_connection_is_at_work() {
    let settings = "[http]\nlisten = \"127.0.0.1:0\"\nconnections = 2";
    let Some(mut stand) = Stand::new(settings).await else {
        return;
    };
    let head = format!(
        "POST /v1/wallets/d-w/orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nIdempotency-Key: k\r\n\
         Content-Type: application/json\r\nContent-Length: 400\r\nExpect: 100-continue\r\n\r\n",
        stand.trader.token
    );
    let mut at_work = Vec::new();
    for _ in 0..2 {
        let mut slow = connect(&stand, &head).await;
        let mut go_on = [0; 12];
        slow.read_exact(&mut go_on).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100");
        at_work.push(slow);
    }
    let refused = ask(&stand, "/v1/clients").await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("/problems/busy"), "{refused}");
    assert!(ask(&stand, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(ask(&stand, "/readyz").await.starts_with("HTTP/1.1 200"));
    drop(at_work);
    let free = async { while !ask(&stand, "/v1/clients").await.starts_with("HTTP/1.1 200") {} };
    timeout(PATIENCE, free).await.unwrap();
    stand.still_signs().await;
}

#[tokio::test]
async fn a_line_of_a_head_ends_with_cr_lf() {
    let Some(mut stand) = Stand::new("").await else {
        return;
    };
    let good = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for (text, statuses) in [
        ("GET /healthz HTTP/1.1\nHost: x\n\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", "400"),
        (
            &format!("{good}{good}GET /healthz HTTP/1.1\r\nHost: x\n\r\n\r\n"),
            "200 200 400",
        ),
        (&format!("{good}\r\n{last}"), "200 200"),
    ] {
        let mut stream = connect(&stand, text).await;
        let mut answer = String::new();
        let read = timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
        read.expect("it is answered").unwrap();
        let said: Vec<_> = answer
            .split("HTTP/1.1 ")
            .skip(1)
            .map(|it| &it[..3])
            .collect();
        assert_eq!(said.join(" "), statuses, "{text:?}: {answer}");
    }
    // A body has any lines it likes.
    let url = format!("{}/v1/wallets/d-w/orders", stand.server.base);
    let pretty = format!("{:#}\n\n", crate::support::order());
    let request = stand.trader.http.post(url).body(pretty);
    let request = request
        .header("content-type", "application/json")
        .header("idempotency-key", "lines");
    let signed = stand.trader.send(request).await.unwrap();
    assert_eq!(signed.status, 200, "{}", signed.text);
    stand.still_signs().await;
}
