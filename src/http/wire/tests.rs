use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// What a reader is handed of this, piece by piece. It takes each end of a head for a request with
/// the next of these bodies.
async fn handed(text: &str, bodies: &[Length], at_once: usize) -> Vec<String> {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    client.write_all(text.as_bytes()).await.unwrap();
    drop(client);
    let connection = Arc::new(Connection::new(tokio::time::Instant::now()));
    let mut wire = Wire::new(server, connection.clone());
    let mut bodies = bodies.iter();
    let mut pieces = vec![String::new()];
    let mut buffer = vec![0; at_once];
    loop {
        let some = wire.read(&mut buffer).await.unwrap();
        if some == 0 {
            return pieces;
        }
        let piece = std::str::from_utf8(&buffer[..some]).unwrap();
        pieces.last_mut().unwrap().push_str(piece);
        if matches!(wire.part, Part::Begun(_)) {
            connection.begins(*bodies.next().unwrap());
            pieces.push(String::new());
        }
    }
}

#[tokio::test]
async fn heads_are_handed_on_one_by_one_and_bodies_as_they_are() {
    let first = "POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\n";
    let second = "\r\nGET /b HTTP/1.1\r\nX: \r\r\n\r\n";
    let text = format!("{first}\n\r\n\n{second}GET /c HTTP/1.1\r\n\r\n");
    for at_once in [1, 3, 7, 4_096] {
        let handed = handed(
            &text,
            &[Length::Known(4), Length::Known(0), Length::Known(0)],
            at_once,
        )
        .await;
        let expected = [
            first.to_owned(),
            format!("\n\r\n\n{second}"),
            "GET /c HTTP/1.1\r\n\r\n".to_owned(),
            String::new(),
        ];
        assert_eq!(handed, expected, "{at_once}");
    }
}

#[tokio::test]
async fn a_bare_line_feed_ends_no_line_of_a_head_and_any_of_a_body() {
    for (text, body, expected) in [
        (
            "GET / HTTP/1.1\nX: y\r\n\r\n",
            Length::Known(0),
            "GET / HTTP/1.1\0X: y\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nX: y\n\r\n\r\n",
            Length::Known(0),
            "GET / HTTP/1.1\r\nX: y\0\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\n\n",
            Length::Known(0),
            "GET / HTTP/1.1\r\n\0",
        ),
        (
            "\nGET / HTTP/1.1\r\n\r\n",
            Length::Known(0),
            "\0GET / HTTP/1.1\r\n\r\n",
        ),
        (
            "PUT / HTTP/1.1\r\n\r\na\nb\n\n",
            Length::InChunks,
            "PUT / HTTP/1.1\r\n\r\na\nb\n\n",
        ),
        (
            "PUT / HTTP/1.1\r\n\r\na\nbA\n",
            Length::Known(3),
            "PUT / HTTP/1.1\r\n\r\na\nbA\0",
        ),
    ] {
        for at_once in [1, 2, 4_096] {
            let handed = handed(text, &[body], at_once).await;
            assert_eq!(handed.concat(), expected, "{text:?}");
        }
    }
}
