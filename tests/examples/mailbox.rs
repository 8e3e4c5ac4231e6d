//! A server and its clients that share one message queue.

use super::support::{Named, Program, run, text, wait_until};
use interlatch::{MessageQueue, RegionName, RegionOptions};

#[test]
fn server_answers_many_clients() {
    let named = Named::new("mailbox");
    let mut clients: Vec<(String, Program)> = Vec::new();
    let ask = |number: usize| {
        // The reply contains a control character, which the client escapes.
        let words = [format!("ab{number}"), format!("{number}cde\u{7}")];
        let client = named.start_example("mailbox", &["ask", &words[0], &words[1]]);
        let reversed = words.map(|word| word.chars().rev().collect::<String>() + "\n");
        (reversed.concat().replace('\u{7}', "\\u{7}"), client)
    };
    let mut server = named.start_example("mailbox", &["serve"]);
    named.wait_until_server_answers();
    clients.extend((0..8).map(ask));
    for (expected, mut client) in clients {
        assert_eq!(client.end(), (true, expected));
    }
    assert!(
        named.start_example("mailbox", &["stop"]).end().0,
        "the stop request is sent"
    );
    assert_eq!(server.end(), (true, "answered 17\n".to_owned()));
    let again = run("mailbox", &[&named.0, "remove"]);
    assert_eq!(again.status.code(), Some(1), "the server removed the queue");
}

/// A request stays in the queue if its client or the server is killed before the server answers.
/// The next server answers the request.
#[test]
fn next_server_answers_requests_of_killed_server() {
    let named = Named::new("mailbox-killed");
    let mut server = named.start_example("mailbox", &["serve"]);
    named.wait_until_server_answers();
    server.0.kill().expect("this process has the child");
    let mut client = named.start_example("mailbox", &["ask", "abc"]);
    let dead_client = named.start_example("mailbox", &["ask", "abc"]);
    let name = RegionName::posix(&named.0).expect("a name");
    let queued = || {
        let region = RegionOptions::attach(&name).ok()?;
        Some(region.attach::<MessageQueue>("queue").ok()?.len())
    };
    wait_until("both clients have sent a request", || queued() == Some(2));
    drop(dead_client);
    let mut server = named.start_example("mailbox", &["serve"]);
    assert_eq!(client.end(), (true, "cba\n".to_owned()));
    wait_until("the reply to the dead client is removed", || {
        queued() == Some(0)
    });
    assert!(
        named.start_example("mailbox", &["stop"]).end().0,
        "the stop request is sent"
    );
    assert_eq!(server.end(), (true, "answered 2\n".to_owned()));
}

#[test]
fn mailbox_reports_invalid_input() {
    let named = Named::new("mailbox-invalid");
    let long = "x".repeat(5000);
    let mut server = named.start_example("mailbox", &["serve"]);
    named.wait_until_server_answers();
    let cases: [(&[&str], &str); 7] = [
        (&[], "expected a name, and `serve`"),
        (&[&named.0], "expected a name, and `serve`"),
        (&["a/b", "serve"], "a/b"),
        (&[&named.0, "ask"], "expected a word"),
        (&[&named.0, "shout"], "found \"shout\""),
        (&[&named.0, "serve", "more"], "found \"serve\""),
        (
            &[&named.0, "ask", &long],
            "message of 5004 bytes: expected at most 4096",
        ),
    ];
    for (arguments, message) in cases {
        let output = run("mailbox", arguments);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {err}");
        assert!(err.contains(message), "{arguments:?}: {err}");
        assert!(!err.contains("panicked"), "{err}");
    }
    assert!(run("mailbox", &[&named.0, "stop"]).status.success());
    assert!(server.end().0);
}
