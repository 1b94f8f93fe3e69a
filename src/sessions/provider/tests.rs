use super::*;
use crate::sealing::SealingKey;

fn settings() -> Settings {
    let text = "issuer = \"https://id.example/\"\nclient_id = \"c\"\n\
        authorization_endpoint = \"https://id.example/authorize\"\n\
        token_endpoint = \"https://id.example/token\"\norigin = \"https://chancery.example/\"\n";
    toml::from_str(text).unwrap()
}

fn keyring(key: u8) -> Keyring {
    Keyring::new(SealingKey::from_bytes(&[key; 32]), Vec::new())
}

#[test]
fn only_the_browser_that_began_comes_back_and_in_time() {
    let provider = Provider::open(&settings()).unwrap();
    let (sealing, now) = (keyring(1), 1_800_000_000);
    let (there, kept) = provider.begin("/keys", now, &sealing);
    let asked: std::collections::BTreeMap<_, _> = there.query_pairs().into_owned().collect();
    assert_eq!(
        asked["redirect_uri"],
        "https://chancery.example/sign-in/callback"
    );
    assert_eq!(asked["code_challenge_method"], "S256");
    for secret in ["verifier", "/keys"] {
        assert!(!there.as_str().contains(secret), "{there}");
    }
    let back = |state: &str| Back {
        state: state.to_owned(),
        ..Back::default()
    };
    let state = &asked["state"];
    let begun = |state: &str, at, by: &Keyring| Begun::of(&kept, &back(state), at, by);
    let good = begun(state, now + 599, &sealing).unwrap();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&good.verifier));
    assert_eq!(
        (good.next.as_str(), &challenge),
        ("/keys", &asked["code_challenge"])
    );
    assert!(begun(state, now + 600, &sealing).is_none());
    assert!(begun("", now, &sealing).is_none());
    assert!(begun(state, now, &keyring(2)).is_none());
    let (_, others) = provider.begin("/keys", now, &sealing);
    assert!(Begun::of(&others, &back(state), now, &sealing).is_none());
    assert!(Begun::of("", &back(state), now, &sealing).is_none());
}

#[test]
fn nobody_is_led_into_the_clear() {
    for change in [
        |it: &mut Settings| it.origin = "http://chancery.example".to_owned(),
        |it: &mut Settings| {
            it.authorization_endpoint = "http://id.example/authorize".to_owned();
        },
        |it: &mut Settings| it.token_endpoint = "id.example".to_owned(),
    ] {
        let mut settings = settings();
        change(&mut settings);
        assert!(matches!(
            Provider::open(&settings),
            Err(BadProvider::Url(..))
        ));
    }
}
