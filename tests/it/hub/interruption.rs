//! Downloads that are cut off, garbled or not answered.

use super::server::{Hub, NAME, Ranges, Server, WEIGHTS, assert_whole, complaint};
use crate::goldens::folder;
use deltascope::Result;
use deltascope::model::hub::{Settings, download};
use std::collections::VecDeque;
use std::time::Duration;

#[test]
fn an_interrupted_download_goes_on_where_it_was_cut() -> Result<()> {
    // The second answer brings nothing.
    let server = Server::start(Hub { cuts: [10_000, 0, 10_000].into(), ..Hub::tiny() });
    let found = download(NAME, &server.settings())?;
    let asked = ["bytes=0-", "bytes=10000-", "bytes=10000-", "bytes=20000-"];
    assert_eq!(server.ranges_of_the_weights(), asked);
    assert_whole(&found);
    Ok(())
}

#[test]
fn what_is_not_whole_is_never_in_its_place() -> Result<()> {
    let mut cuts = VecDeque::from([0; 1000]);
    cuts.push_front(5_000);
    let server = Server::start(Hub { cuts, ..Hub::tiny() });
    let first = complaint(download(NAME, &server.settings()));
    assert!(first.contains("interrupted after 5000 of") && first.contains("run the same command"), "{first}");
    assert!(!server.snapshot().join(WEIGHTS).exists());
    assert!(!server.repository().join("refs").exists());
    assert!(complaint(download(NAME, &server.offline())).contains("HF_HUB_OFFLINE"));
    server.with(|hub| {
        hub.cuts.clear();
        hub.seen.clear();
    });
    assert_whole(&download(NAME, &server.settings())?);
    assert_eq!(server.ranges_of_the_weights(), ["bytes=5000-"]);
    Ok(())
}

#[test]
fn what_an_earlier_process_left_is_used_only_if_it_is_right() -> Result<()> {
    let weights = std::fs::read(folder("llama").join(WEIGHTS)).unwrap();
    // A part that is whole, but not yet checked.
    let server = Server::start(Hub::tiny());
    server.left(&weights);
    assert_whole(&download(NAME, &server.settings())?);
    assert!(server.ranges_of_the_weights().is_empty());
    // A part that is too long.
    let server = Server::start(Hub::tiny());
    server.left(&[&weights[..], b"more"].concat());
    assert_whole(&download(NAME, &server.settings())?);
    // Other bytes, of which only the hash can tell.
    for length in [3_000, weights.len()] {
        let server = Server::start(Hub::tiny());
        server.left(&vec![7; length]);
        assert!(complaint(download(NAME, &server.settings())).contains("does not have the hash"));
        assert!(!server.snapshot().join(WEIGHTS).exists());
        assert_whole(&download(NAME, &server.settings())?);
    }
    Ok(())
}

#[test]
fn servers_that_ignore_ranges_or_garble_are_seen_through() -> Result<()> {
    for states_size in [true, false] {
        let hub = Hub { ranges: Ranges::None, cuts: [7_000].into(), states_size, ..Hub::tiny() };
        assert_whole(&download(NAME, &Server::start(hub).settings())?);
    }

    let server = Server::start(Hub { flips: true, ..Hub::tiny() });
    assert!(complaint(download(NAME, &server.settings())).contains("does not have the hash"));
    assert!(!server.snapshot().join(WEIGHTS).exists());
    server.with(|hub| hub.flips = false);
    assert_whole(&download(NAME, &server.settings())?);
    Ok(())
}

#[test]
fn where_the_hub_cannot_be_reached_the_cache_is_read() -> Result<()> {
    let server = Server::start(Hub::tiny());
    let found = download(NAME, &server.settings())?;
    let nobody = Settings { endpoint: "http://127.0.0.1:9".to_owned(), ..server.settings() };
    assert_eq!(download(NAME, &nobody)?, found);
    // What it is asked for anew is not there.
    assert!(complaint(download(&format!("{NAME}@other"), &nobody)).contains("cannot reach"));
    // A server that answers is believed.
    server.with(|hub| hub.files.clear());
    assert!(complaint(download(NAME, &server.settings())).contains("config.json"));
    Ok(())
}

#[test]
fn a_server_that_says_nothing_is_given_up() -> Result<()> {
    let server = Server::start(Hub::tiny());
    let impatient = Settings { patience: Duration::from_millis(300), ..server.settings() };
    server.with(|hub| hub.is_silent = true);
    let found = complaint(download(NAME, &impatient));
    assert!(found.contains("said nothing for 300ms"), "{found}");
    server.with(|hub| hub.is_silent = false);
    let found = download(NAME, &server.settings())?;
    server.with(|hub| hub.is_silent = true);
    assert_eq!(download(NAME, &impatient)?, found, "the cache is read");
    Ok(())
}
