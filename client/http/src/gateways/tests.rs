use async_std::{
    channel::Receiver,
    io::WriteExt as _,
    net::TcpListener,
    task::{block_on, spawn},
};
use guildmint_core::FederationId;
use guildmint_ln::{ContractId, PayRequest};
use serde_json::json;

use super::*;
use crate::guardians::tests::read_request;

/// A gateway that gives each request the same answer, and reports what it was sent.
async fn gateway(status: u16, body: Vec<u8>) -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, receiver) = async_std::channel::unbounded();
    spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            while let Some(request) = read_request(&mut socket).await {
                sender.send(request).await.unwrap();
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} x\r\nLocation: http://x/\r\nContent-Length: {length}\r\n\r\n");
                socket.write_all(head.as_bytes()).await.unwrap();
                socket.write_all(&body).await.unwrap();
            }
        }
    });
    (url, receiver)
}

fn pay() -> GatewayCall {
    GatewayCall::Pay(PayRequest {
        federation: FederationId([7; 32]),
        contract: ContractId::from([1; 32]),
        invoice: "lnbcrt1".into(),
    })
}

fn ask(status: u16, body: &[u8], call: &GatewayCall) -> Result<Json, RequestError> {
    let (url, _sent) = block_on(gateway(status, body.to_vec()));
    block_on(Gateways::new().ask(&url, call))
}

#[test]
fn requests_are_those_of_the_gateways_api() {
    let (url, sent) = block_on(gateway(202, b"{}".to_vec()));
    let gateways = Gateways::new();
    assert_eq!(block_on(gateways.ask(&url, &pay())), Ok(json!({})));
    let text = String::from_utf8(sent.try_recv().unwrap()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    assert!(head.starts_with("post /v1/pay?wait=60 http/1.1"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    let body: PayRequest = serde_json::from_str(body).unwrap();
    assert_eq!(GatewayCall::Pay(body), pay());
    block_on(gateways.ask(&url, &GatewayCall::Info)).unwrap();
    let text = String::from_utf8(sent.try_recv().unwrap()).unwrap();
    assert!(
        text.to_lowercase().starts_with("get /v1/gateway http/1.1"),
        "{text}"
    );
}

#[test]
fn what_is_too_long_or_no_answer_or_elsewhere_is_no_answer() {
    let long = vec![b' '; GatewayCall::Info.max_answer_bytes() + 1];
    let malformed = |result| matches!(result, Err(RequestError::Malformed(_)));
    assert!(malformed(ask(200, &long, &GatewayCall::Info)));
    assert!(malformed(ask(200, b"<html>", &pay())));
    let unreachable = |result| matches!(result, Err(RequestError::Unreachable(_)));
    assert!(unreachable(ask(502, b"bad gateway", &pay())));
    assert!(unreachable(ask(307, b"", &pay())));
    let problem = json!({"type": "urn:x", "title": "x", "status": 422, "detail": "no", "code": "x", "retryable": false});
    let refused = ask(422, problem.to_string().as_bytes(), &pay());
    assert!(matches!(refused, Err(RequestError::Problem(problem)) if !problem.retryable));
    for url in ["", "nonsense", "ftp://127.0.0.1", "http://"] {
        let answer = block_on(Gateways::new().ask(url, &pay()));
        assert!(answer.is_err(), "{url:?}");
    }
}

/// ⚠ Anybody announces a gateway, and wallets ask whom it names: at most a path, which ends as ours.
#[test]
fn an_address_that_says_more_than_where_it_is_is_not_asked() {
    let (url, sent) = block_on(gateway(200, b"{}".to_vec()));
    let place = url.strip_prefix("http://").unwrap();
    for url in [
        format!("http://{place}reboot?now=1&"),
        format!("http://{place}?"),
        format!("http://{place}reboot#"),
        format!("http://admin:admin@{place}"),
        format!("http://admin@{place}"),
    ] {
        let answer = block_on(Gateways::new().ask(&url, &GatewayCall::Info));
        assert!(
            matches!(answer, Err(RequestError::Unreachable(_))),
            "{url}: {answer:?}"
        );
    }
    assert!(sent.is_empty());
    let below = format!("http://{place}gateway/");
    assert_eq!(
        block_on(Gateways::new().ask(&below, &GatewayCall::Info)),
        Ok(json!({}))
    );
    assert!(sent
        .try_recv()
        .unwrap()
        .starts_with(b"GET /gateway/v1/gateway HTTP/1.1"));
}
