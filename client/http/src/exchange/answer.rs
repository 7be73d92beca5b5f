//! An answer, as it comes.

use async_std::io::{self, prelude::*, BufRead};
use guildmint_client::RequestError;

/// Bytes of status line and headers, and again of what follows the last chunk. A server that sends more counts as one that did not answer.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Headers. The same happens.
const MAX_HEADERS: usize = 100;

/// Bytes of the line before a chunk. The same happens.
const MAX_CHUNK_LINE_BYTES: usize = 256;

/// An answer that was read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// The connection may be used again.
    pub(super) keeps: bool,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    After(usize),
    Chunked,
    Closed,
}

fn malformed(what: impl Into<String>) -> RequestError {
    RequestError::Malformed(what.into())
}

#[allow(clippy::needless_pass_by_value)] // for map_err
fn broken(error: io::Error) -> RequestError {
    RequestError::Unreachable(error.to_string())
}

fn cut_short() -> RequestError {
    RequestError::Unreachable("it broke off in its answer".to_owned())
}

fn too_long(limit: usize) -> RequestError {
    malformed(format!("more than {limit} bytes"))
}

impl Answer {
    /// Reads one, with a body of at most so many bytes.
    pub(super) async fn read(
        from: &mut (impl BufRead + Unpin),
        limit: usize,
    ) -> Result<Self, RequestError> {
        let mut left = MAX_HEAD_BYTES;
        let mut head = Head::read(from, &mut left).await?;
        // What is only said on the way: others follow.
        while (100..200).contains(&head.status) {
            head = Head::read(from, &mut left).await?;
        }
        let body = match head.end()? {
            End::After(length) if length > limit => return Err(too_long(limit)),
            End::After(length) => {
                let mut body = Vec::new();
                exactly(from, length, &mut body).await?;
                body
            }
            End::Chunked => chunks(from, limit).await?,
            End::Closed => {
                let mut body = Vec::new();
                let mut bounded = from.take(limit as u64 + 1);
                bounded.read_to_end(&mut body).await.map_err(broken)?;
                if body.len() > limit {
                    return Err(too_long(limit));
                }
                body
            }
        };
        let keeps = head.keeps && head.end()? != End::Closed;
        let status = head.status;
        Ok(Self {
            status,
            body,
            keeps,
        })
    }
}

/// What matters of status line and headers.
#[derive(Debug)]
struct Head {
    status: u16,
    keeps: bool,
    length: Option<usize>,
    chunked: bool,
}

impl Head {
    async fn read(
        from: &mut (impl BufRead + Unpin),
        left: &mut usize,
    ) -> Result<Self, RequestError> {
        let mut bytes = Vec::new();
        while !line(from, left, &mut bytes).await? {}
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let is_whole = parsed.parse(&bytes).map_err(|error| match error {
            httparse::Error::TooManyHeaders => {
                malformed(format!("more than {MAX_HEADERS} headers"))
            }
            error => malformed(format!("this is not HTTP: {error}")),
        });
        let status = parsed.code.filter(|status| (100..600).contains(status));
        let status = status.filter(|_| is_whole.as_ref().is_ok_and(httparse::Status::is_complete));
        is_whole?;
        let mut head = Self {
            status: status.ok_or_else(|| malformed("this is not HTTP"))?,
            keeps: parsed.version == Some(1),
            length: None,
            chunked: false,
        };
        for header in parsed.headers.iter() {
            // Whatever is in it that is no text has no meaning for us.
            let value = String::from_utf8_lossy(header.value);
            head.take(&header.name.to_ascii_lowercase(), value.trim())?;
        }
        Ok(head)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), RequestError> {
        match name {
            "content-length" => {
                let length = number(value).ok_or_else(|| malformed("a length that is none"))?;
                if self.length.is_some_and(|before| before != length) {
                    return Err(malformed("two lengths"));
                }
                self.length = Some(length);
            }
            "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => self.chunked = true,
            "transfer-encoding" => return Err(malformed("an encoding that was not asked for")),
            "connection" => {
                let mut tokens = value.split(',').map(str::trim);
                self.keeps &= !tokens.any(|token| token.eq_ignore_ascii_case("close"));
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&self) -> Result<End, RequestError> {
        match (self.status, self.chunked, self.length) {
            (204 | 304, ..) => Ok(End::After(0)),
            (_, true, Some(_)) => Err(malformed("two ways to know its end")),
            (_, true, None) => Ok(End::Chunked),
            (_, false, Some(length)) => Ok(End::After(length)),
            (_, false, None) => Ok(End::Closed),
        }
    }
}

/// Digits and nothing else.
fn number(text: &str) -> Option<usize> {
    let is_one = text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|_| is_one)
}

/// Adds a line with its end to `bytes`; whether it was empty.
async fn line(
    from: &mut (impl BufRead + Unpin),
    left: &mut usize,
    bytes: &mut Vec<u8>,
) -> Result<bool, RequestError> {
    let before = bytes.len();
    let mut bounded = from.take(*left as u64);
    let read = bounded.read_until(b'\n', bytes).await;
    *left = left.saturating_sub(read.map_err(broken)?);
    match bytes.get(before..).unwrap_or_default() {
        b"\n" | b"\r\n" => Ok(true),
        [.., b'\n'] => Ok(false),
        _ if *left == 0 => Err(malformed("headers without an end")),
        _ => Err(cut_short()),
    }
}

async fn exactly(
    from: &mut (impl BufRead + Unpin),
    length: usize,
    body: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let mut part = from.take(length as u64);
    match part.read_to_end(body).await.map_err(broken)? {
        read if read == length => Ok(()),
        _ => Err(cut_short()),
    }
}

async fn chunks(from: &mut (impl BufRead + Unpin), limit: usize) -> Result<Vec<u8>, RequestError> {
    let mut body = Vec::new();
    loop {
        let size = chunk_size(from).await?;
        if size == 0 {
            let mut left = MAX_HEAD_BYTES;
            while !line(from, &mut left, &mut Vec::new()).await? {}
            return Ok(body);
        }
        if size > limit.saturating_sub(body.len()) {
            return Err(too_long(limit));
        }
        exactly(from, size, &mut body).await?;
        if !line(from, &mut { MAX_CHUNK_LINE_BYTES }, &mut Vec::new()).await? {
            return Err(malformed("a chunk that is longer than it says"));
        }
    }
}

async fn chunk_size(from: &mut (impl BufRead + Unpin)) -> Result<usize, RequestError> {
    let mut bytes = Vec::new();
    line(from, &mut { MAX_CHUNK_LINE_BYTES }, &mut bytes).await?;
    // To the library a line without a digit is the last chunk.
    let has_size = bytes.first().is_some_and(u8::is_ascii_hexdigit);
    match httparse::parse_chunk_size(&bytes) {
        // Nothing may be left of the line.
        Ok(httparse::Status::Complete((read, size))) if has_size && read == bytes.len() => {
            usize::try_from(size).map_err(|_| malformed("a chunk that no memory holds"))
        }
        _ => Err(malformed("a chunk of no size")),
    }
}

#[cfg(test)]
mod tests {
    use async_std::{io::Cursor, task::block_on};
    use proptest::{prelude::*, sample::Index};

    use super::*;

    const LIMIT: usize = 8;

    fn read(text: impl AsRef<[u8]> + Unpin) -> Result<Answer, RequestError> {
        block_on(Answer::read(&mut Cursor::new(text), LIMIT))
    }

    fn body(text: &str) -> (Vec<u8>, bool) {
        let answer = read(text).unwrap();
        assert_eq!(answer.status, 200);
        (answer.body, answer.keeps)
    }

    #[test]
    fn answers_end_where_they_say_or_with_the_connection() {
        let kept = (b"12345".to_vec(), true);
        assert_eq!(
            body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345678"),
            kept
        );
        assert_eq!(body("HTTP/1.1 200\nCONTENT-LENGTH:5\n\n12345"), kept);
        let chunked = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b\r\n12\r\n03\r\n345\r\n0\r\nx: é\r\n\r\n";
        assert_eq!(body(chunked), kept);
        let closed = (b"12345".to_vec(), false);
        assert_eq!(body("HTTP/1.1 200 OK\r\n\r\n12345"), closed);
        assert_eq!(
            body("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n12345"),
            closed
        );
        let last = "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 5\r\n\r\n12345";
        assert_eq!(body(last), closed);
        let none = read("HTTP/1.1 204 No\r\n\r\n12345").unwrap();
        assert_eq!((none.status, none.body), (204, Vec::new()));
    }

    #[test]
    fn headers_of_any_bytes_are_passed_over() {
        let head = b"HTTP/1.1 200 \xff\r\nx: \xc3\xa9\r\ny: \xff\r\nContent-Length: 1\r\n\r\n1";
        assert_eq!(read(head).unwrap().body, b"1");
    }

    #[test]
    fn nothing_is_read_beyond_its_limit() {
        let long = "x".repeat(MAX_HEAD_BYTES);
        let many = "a: b\r\n".repeat(MAX_HEAD_BYTES / 6 + 1);
        for text in [
            long.clone(),
            format!("HTTP/1.1 200 OK\r\nx: {long}"),
            format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
            "HTTP/1.1 100 C\r\n\r\n".repeat(MAX_HEAD_BYTES / 18 + 1),
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_owned(),
            "HTTP/1.1 200 OK\r\n\r\n123456789".to_owned(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n1234\r\n5\r\n".to_owned(),
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{long}"),
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{many}\r\n"),
        ] {
            let answer = read(&text);
            let shown = &text[text.len().saturating_sub(40)..];
            assert!(
                matches!(answer, Err(RequestError::Malformed(_))),
                "{shown}: {answer:?}"
            );
        }
    }

    #[test]
    fn what_can_be_understood_in_two_ways_is_not_understood() {
        for rest in [
            "Content-Length: 1\r\nContent-Length: 2\r\n\r\n12",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "Content-Length: +1\r\n\r\n1",
            "Content-Length: 99999999999999999999\r\n\r\n1",
            "Content-Length 1\r\n\r\n1",
            "Transfer-Encoding: chunked\r\n\r\n+1\r\n1\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n1\r\n12\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n\r\n\r\n",
        ] {
            let answer = read(format!("HTTP/1.1 200 OK\r\n{rest}"));
            assert!(
                matches!(answer, Err(RequestError::Malformed(_))),
                "{rest}: {answer:?}"
            );
        }
        for line in [
            "HTTP/2 200",
            "HTTP/1.1",
            "HTTP/1.1 ok",
            "HTTP/1.1 700 x",
            "ssh",
            "HTTP/1.1 200 OK\r\nx: \0",
        ] {
            let answer = read(format!("{line}\r\n\r\n"));
            assert!(
                matches!(answer, Err(RequestError::Malformed(_))),
                "{line}: {answer:?}"
            );
        }
    }

    #[test]
    fn an_answer_that_breaks_off_is_none() {
        for text in [
            "",
            "HTTP/1.1 200 OK\r\nContent-Le",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1234",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n1234",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n",
        ] {
            let answer = read(text);
            assert!(
                matches!(answer, Err(RequestError::Unreachable(_))),
                "{text}: {answer:?}"
            );
        }
    }

    /// Pieces of answers, from which ones are made that are nearly right.
    const PIECES: [&str; 16] = [
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 404\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 204 No\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 18446744073709551615\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close\r\n",
        "\r\n",
        "5\r\n",
        "ffffffffffffffff\r\n",
        "0\r\n",
        "12345",
        ";x=\"",
        "x: ",
        "\0\u{ff}",
    ];

    /// What one reading may never do, whatever is sent: take more than it may, or leave what it has not said.
    fn bounded(bytes: &[u8]) {
        if let Ok(answer) = read(bytes) {
            assert!(answer.body.len() <= LIMIT, "{answer:?}");
            assert!((200..600).contains(&answer.status), "{answer:?}");
            // An answer that keeps its connection ends by itself, wherever the stream goes on.
            let mut longer = bytes.to_vec();
            longer.extend_from_slice(b"HTTP/1.1 200 OK\r\n\r\n");
            if answer.keeps {
                assert_eq!(read(&longer).unwrap(), answer);
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            bounded(&bytes);
        }

        #[test]
        fn answers_that_are_nearly_right_are_read_within_bounds(
            pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12),
            flips in prop::collection::vec((any::<Index>(), any::<u8>()), 0..3),
        ) {
            let mut bytes = pieces.concat().into_bytes();
            for (place, byte) in flips {
                if !bytes.is_empty() {
                    let place = place.index(bytes.len());
                    bytes[place] = byte;
                }
            }
            bounded(&bytes);
        }
    }
}
