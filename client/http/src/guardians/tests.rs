use async_std::{
    io::{ReadExt as _, WriteExt as _},
    net::{TcpListener, TcpStream},
    task::{block_on, spawn},
};
use guildmint_core::api::Problem;
use serde_json::json;

use super::*;

/// A guardian that gives each connection's requests the same answer, and reports what it was sent.
async fn guardian(
    status: u16,
    body: Vec<u8>,
) -> (Guardians, async_std::channel::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, receiver) = async_std::channel::unbounded();
    spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (sender, body) = (sender.clone(), body.clone());
            spawn(async move {
                while let Some(request) = read_request(&mut socket).await {
                    sender.send(request).await.unwrap();
                    let head = format!(
                        "HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    socket.write_all(head.as_bytes()).await.unwrap();
                    socket.write_all(&body).await.unwrap();
                }
                sender.send(b"closed".to_vec()).await.ok();
            });
        }
    });
    (Guardians::new([(PeerId(0), url)].into()), receiver)
}

/// One whole request: head and body may come in pieces.
pub(crate) async fn read_request(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    let mut piece = vec![0; 4096];
    loop {
        let count = socket
            .read(&mut piece)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        request.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some(request);
        }
    }
}

fn ask(guardians: &Guardians, request: &ApiRequest) -> Result<Json, RequestError> {
    block_on(guardians.ask(PeerId(0), request))
}

#[test]
fn a_transaction_goes_as_bytes_and_connections_are_reused() {
    let (guardians, sent) = block_on(guardian(202, b"{\"status\":\"pending\"}".to_vec()));
    for _ in 0..2 {
        let answer = ask(&guardians, &ApiRequest::Submit(vec![1, 2, 3]));
        assert_eq!(answer, Ok(json!({"status": "pending"})));
        let text = String::from_utf8_lossy(&sent.try_recv().unwrap()).to_lowercase();
        assert!(text.starts_with("post /v1/transactions http/1.1"), "{text}");
        assert!(
            text.contains("content-type: application/octet-stream"),
            "{text}"
        );
        assert!(text.contains("content-length: 3") && text.ends_with("\r\n\r\n\u{1}\u{2}\u{3}"));
    }
    assert!(sent.is_empty(), "the connection was closed");
}

#[test]
fn problems_are_quoted_and_pages_of_proxies_are_not() {
    let problem = Problem::new(422, "note_spent", "spent", false);
    let (guardians, _sent) = block_on(guardian(409, serde_json::to_vec(&problem).unwrap()));
    let answer = ask(&guardians, &ApiRequest::Status);
    assert!(
        matches!(&answer, Err(RequestError::Problem(one)) if one.code == "note_spent" && one.status == 409),
        "{answer:?}"
    );
    let (guardians, _sent) = block_on(guardian(403, b"<html>go away</html>".to_vec()));
    let answer = ask(&guardians, &ApiRequest::Status);
    assert_eq!(
        answer,
        Err(RequestError::Unreachable("HTTP status 403".into()))
    );
}

#[test]
fn long_answers_nonsense_and_absence_are_errors() {
    let (guardians, _sent) = block_on(guardian(200, vec![b' '; 2 * 1024 * 1024]));
    let answer = ask(&guardians, &ApiRequest::Status);
    assert!(
        matches!(answer, Err(RequestError::Malformed(_))),
        "{answer:?}"
    );
    let (guardians, _sent) = block_on(guardian(200, b"hello".to_vec()));
    let answer = ask(&guardians, &ApiRequest::Status);
    assert!(
        matches!(answer, Err(RequestError::Malformed(_))),
        "{answer:?}"
    );
    // A port that was free a moment ago.
    let listener = block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let guardians = Guardians::new([(PeerId(0), url)].into());
    let answer = ask(&guardians, &ApiRequest::Status);
    let Err(RequestError::Unreachable(reason)) = answer else {
        panic!("{answer:?}");
    };
    assert!(reason.starts_with("Connection refused"), "{reason}");
    let nobody = block_on(guardians.ask(PeerId(1), &ApiRequest::Status));
    assert!(matches!(nobody, Err(RequestError::Unreachable(_))));
}

/// A guardian that says this, whatever it is asked, and then waits.
async fn says(what: Vec<u8>) -> Guardians {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await.unwrap();
        socket.write_all(&what).await.ok();
        read_request(&mut socket).await;
    });
    Guardians::new([(PeerId(0), url)].into())
}

/// ⚠ A panic ends programs that must not live on without a part of them: a gateway would be ended by one guardian, again and again.
#[test]
fn no_header_of_a_guardian_makes_us_panic() {
    let answer = "HTTP/1.1 200 OK\r\nx: é\r\ncontent-length: 2\r\n\r\n{}";
    let guardians = block_on(says(answer.into()));
    assert_eq!(ask(&guardians, &ApiRequest::Status), Ok(json!({})));
    let answer =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx: é\r\n\r\n";
    let guardians = block_on(says(answer.into()));
    assert_eq!(ask(&guardians, &ApiRequest::Status), Ok(json!({})));
}

/// ⚠ One that never ends would fill the memory until the request's deadline.
#[test]
fn a_head_without_an_end_is_read_no_further_than_its_limit() {
    let guardians = block_on(says(vec![b'x'; 64 * 1024]));
    let answer = ask(&guardians, &ApiRequest::Status);
    assert!(
        matches!(answer, Err(RequestError::Malformed(_))),
        "{answer:?}"
    );
}
