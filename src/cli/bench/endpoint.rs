//! A token endpoint that gives every assertion a token: tokens are measured as they come from the cache,
//! and the first one has to come from somewhere.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

/// Starts one on this computer, which ends with the process; its URL.
pub(super) fn start() -> std::io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}", listener.local_addr()?);
    let serve = move || {
        for connection in listener.incoming().flatten() {
            // Whoever hangs up has no token.
            let _ = answer(connection);
        }
    };
    std::thread::Builder::new()
        .name("token-endpoint".to_owned())
        .spawn(serve)?;
    Ok(url)
}

/// A day: as long as Auth0's usual, and no run outlasts it.
const TOKEN: &str =
    r#"{"access_token":"a-token-for-the-benchmark","token_type":"Bearer","expires_in":86400}"#;

fn answer(mut connection: TcpStream) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut asked = Vec::new();
    let mut part = [0; 4096];
    loop {
        let read = connection.read(&mut part)?;
        asked.extend_from_slice(&part[..read]);
        if read == 0 || is_whole(&asked) {
            break;
        }
    }
    let length = TOKEN.len();
    write!(
        connection,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{TOKEN}"
    )
}

fn is_whole(asked: &[u8]) -> bool {
    let Some(head) = asked.windows(4).position(|it| it == b"\r\n\r\n") else {
        return false;
    };
    let text = String::from_utf8_lossy(&asked[..head]).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|it| it.strip_prefix("content-length:"));
    let length = length.and_then(|it| it.trim().parse::<usize>().ok());
    asked.len() >= head + 4 + length.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_with_its_body() {
        assert!(!is_whole(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n"));
        assert!(!is_whole(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab"));
        assert!(is_whole(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"));
        assert!(is_whole(b"GET / HTTP/1.1\r\n\r\n"));
    }
}
