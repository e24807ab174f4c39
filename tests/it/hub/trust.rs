//! What servers are told, and what they are believed.

use super::server::{COMMIT, Hub, LATER, NAME, OLD_NAME, Server, WEIGHTS, assert_whole, complaint};
use deltascope::Result;
use deltascope::model::hub::{Settings, download};

#[test]
fn the_token_goes_only_where_it_is_asked_for() -> Result<()> {
    let server = Server::start(Hub::tiny());
    download(NAME, &Settings { token: Some("secret".to_owned()), ..server.settings() })?;
    server.with(|hub| assert!(hub.seen.iter().all(|seen| seen.authorization.is_none()), "{:?}", hub.seen));
    // The store learns nothing of it, whether the endpoint has said how large the weights are, or the store is asked.
    for states_size in [true, false] {
        let server = Server::start(Hub { states_size, ..Hub::gated() });
        download(NAME, &server.settings())?;
        server.with(|hub| {
            let (front, back): (Vec<_>, Vec<_>) = hub.seen.iter().partition(|seen| seen.server == "endpoint");
            let sent: Vec<bool> = front.iter().map(|seen| seen.authorization.is_some()).collect();
            assert!(!sent[0] && sent[1..].iter().all(|sent| *sent), "{front:?}");
            assert!(!back.is_empty() && back.iter().all(|seen| seen.authorization.is_none()), "{back:?}");
        });
    }
    Ok(())
}

#[test]
fn a_repository_that_was_renamed_is_found_with_the_token() -> Result<()> {
    let server = Server::start(Hub::gated());
    let found = download(OLD_NAME, &server.settings())?;
    assert!(found.ends_with(format!("models--owner--older/snapshots/{COMMIT}")));
    assert_whole(&found);
    Ok(())
}

#[test]
fn nothing_that_a_server_says_leads_out_of_the_cache() {
    let escapes = [
        Hub { commit: "../../../escaped".to_owned(), ..Hub::tiny() },
        Hub { etag_of_config: "../../escaped".to_owned(), ..Hub::tiny() },
        Hub { etag_of_config: "/escaped".to_owned(), ..Hub::tiny() },
    ];
    for hub in escapes {
        let server = Server::start(hub);
        assert!(complaint(download(NAME, &server.settings())).contains("with a hash"));
        assert!(!server.repository().exists());
    }
    let server = Server::start(Hub::tiny());
    server.with(|hub| {
        let index = br#"{"weight_map": {"a": "../../../../escaped.safetensors"}}"#;
        hub.files.insert("model.safetensors.index.json".to_owned(), index.to_vec());
        hub.files.remove(WEIGHTS);
    });
    assert!(complaint(download(NAME, &server.settings())).contains("expected a file of this folder"));
    let found = complaint(download("owner/../tiny", &server.settings()));
    assert!(found.contains("expected a folder or a model name"), "{found}");
}

#[test]
fn a_second_answer_that_differs_from_the_first_names_nothing() -> Result<()> {
    let honest = Hub::tiny().hash(WEIGHTS);
    for (etag, commit) in
        [("../../../../escaped", COMMIT), (honest.as_str(), "../../../../escaped"), ("c0ffee", LATER)]
    {
        let server = Server::start(Hub { lies: Some((etag.to_owned(), commit.to_owned())), ..Hub::tiny() });
        let found = download(NAME, &server.settings())?;
        assert_eq!(found, server.snapshot());
        assert_whole(&found);
        let beside = std::fs::read_dir(server.home.path())
            .unwrap()
            .chain(std::fs::read_dir(server.settings().cache).unwrap());
        let names: Vec<_> = beside.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert!(
            names.iter().all(|name| ["hub", ".locks", "models--owner--tiny"].contains(&name.as_str())),
            "{names:?}"
        );
    }
    Ok(())
}

#[test]
fn errors_say_what_to_do() {
    let server = Server::start(Hub::gated());
    let refused = complaint(download(NAME, &Settings { token: None, ..server.settings() }));
    assert!(refused.contains("401") && refused.contains("HF_TOKEN"), "{refused}");
    let unknown = complaint(download("owner/other", &server.settings()));
    assert!(unknown.contains("config.json") && unknown.contains("check the name"), "{unknown}");
    let nobody = Settings { endpoint: "http://127.0.0.1:9".to_owned(), ..server.settings() };
    let nobody = complaint(download(NAME, &nobody));
    assert!(nobody.contains("cannot reach") && nobody.contains("HF_HUB_OFFLINE"), "{nobody}");
}
