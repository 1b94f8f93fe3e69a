// An order, and a client assertion, with reqwest (feature `json`).

use std::time::Duration;

use serde_json::{Value, json};

/// Asks under one key, so that asking again brings the same answer and never a second signature.
async fn ask(url: &str, token_file: &str, body: &Value) -> Result<Value, String> {
    let key = uuid::Uuid::new_v4().to_string();
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10));
    let http = http.build().map_err(|error| error.to_string())?;
    let mut tried = 0;
    loop {
        tried += 1;
        // Anew each time: it may have been replaced.
        let token = std::fs::read_to_string(token_file).map_err(|error| error.to_string())?;
        let request = http.post(url).bearer_auth(token.trim());
        let sent = request.header("idempotency-key", &key).json(body).send();
        let (why, wait) = match sent.await {
            Ok(answer) => {
                let (status, after) = (
                    answer.status(),
                    answer.headers().get("retry-after").cloned(),
                );
                let said: Value = answer.json().await.map_err(|error| error.to_string())?;
                if status.is_success() {
                    return Ok(said);
                }
                let why = format!("{}: {}. {}", said["title"], said["detail"], said["action"]);
                let after = after.and_then(|it| it.to_str().ok()?.parse().ok());
                match after {
                    Some(seconds) => (why, Duration::from_secs(seconds)),
                    None => return Err(why), // nothing that waiting mends
                }
            }
            // The connection broke, and nobody knows what came of it.
            Err(error) => (error.to_string(), Duration::from_millis(200)),
        };
        if tried == 5 {
            return Err(why);
        }
        tokio::time::sleep(wait).await;
    }
}

/// The order and the assertion.
pub(crate) async fn run(
    url: &str,
    token_file: &str,
    wallet: &str,
    client: &str,
) -> Result<[Value; 2], String> {
    let order = json!({
        "tokenID": "71321045679252212594626385532706912750332728571942532289631379312455583992999",
        "side": "BUY", "price": "0.56", "size": "21.04", "tickSize": "0.01", "negRisk": false,
    });
    let orders = format!("{url}/v1/wallets/{wallet}/orders");
    let assertions = format!("{url}/v1/clients/{client}/assertions");
    Ok([
        ask(&orders, token_file, &order).await?,
        ask(&assertions, token_file, &json!({})).await?,
    ])
}
