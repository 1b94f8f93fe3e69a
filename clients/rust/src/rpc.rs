//! JSON-RPC to the service.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Url, redirect};
use serde_json::{Value, json};

use crate::Error;

/// The service gives up after 8 seconds, and says so.
const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) struct Endpoint {
    http: Client,
    url: Url,
    calls: AtomicU64,
}

impl Endpoint {
    pub(crate) fn new(url: &str, token: &str) -> Result<Self, Error> {
        let url: Url = url.parse().map_err(|_| Error::Url)?;
        let local = is_this_machine(&url);
        let named = !url.username().is_empty() || url.password().is_some();
        if named || !(url.scheme() == "https" || (url.scheme() == "http" && local)) {
            return Err(Error::Url);
        }
        let mut value =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| Error::Token)?;
        value.set_sensitive(true);
        // No redirects: the token is for one place. Its answers are never worth asking twice for.
        let mut http = Client::builder()
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, value)]))
            .redirect(redirect::Policy::none())
            .timeout(PATIENCE);
        if local {
            http = http.no_proxy();
        }
        Ok(Self {
            http: http.build()?,
            url,
            calls: AtomicU64::new(1),
        })
    }

    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value, Error> {
        let id = self.calls.fetch_add(1, Ordering::Relaxed);
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let answer = self.http.post(self.url.clone()).json(&body).send().await?;
        let answer: Value = serde_json::from_slice(&answer.bytes().await?)
            .map_err(|_| Error::Nonsense("not JSON-RPC"))?;
        if let Some(error) = answer.get("error") {
            return Err(Error::Refused {
                code: error["code"].as_i64().unwrap_or_default(),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
                data: error["data"].clone(),
            });
        }
        if answer["id"] != id {
            return Err(Error::Nonsense("not to this call"));
        }
        Ok(answer["result"].clone())
    }
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let number = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || number.parse().is_ok_and(|it: IpAddr| it.is_loopback())
}
