//! The baseline of interception, frozen as the others: a plain hyper forward proxy that answers CONNECT, ends TLS with a
//! certificate that it makes once for each host, and passes every request on to the host by TLS.

use crate::baseline::{Passing, connection};
use crate::trust::{Authority, client};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

type Way = Passing<HttpsConnector<HttpConnector>>;

/// `trusted`: a file with who signs for the hosts; `shows`: a file for its own authority.
pub fn floor(port: u16, trusted: &str, shows: &str, tee: Option<String>) {
    let authority = Arc::new(Authority::new());
    authority.publish(Path::new(shows));
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(client(Path::new(trusted), true))
        .https_only()
        .enable_http1()
        .wrap_connector(http);
    let passing = Passing::new(connector, tee);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("bind");
        println!("{}", listener.local_addr().expect("address").port());
        loop {
            let Ok((socket, _)) = listener.accept().await else { continue };
            let _ = socket.set_nodelay(true);
            let (authority, passing) = (authority.clone(), passing.clone());
            let service = service_fn(move |request| connect(authority.clone(), passing.clone(), request));
            tokio::spawn(async move {
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .with_upgrades()
                    .await;
            });
        }
    });
}

async fn connect(
    authority: Arc<Authority>,
    passing: Way,
    request: Request<Incoming>,
) -> Result<Response<String>, hyper::Error> {
    let target = request.uri().authority().filter(|_| request.method() == Method::CONNECT).cloned();
    let Some(target) = target else {
        let mut response = Response::new("only CONNECT\n".to_string());
        *response.status_mut() = hyper::StatusCode::METHOD_NOT_ALLOWED;
        return Ok(response);
    };
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let acceptor = TlsAcceptor::from(authority.server(target.host()));
        let Ok(stream) = acceptor.accept(TokioIo::new(upgraded)).await else { return };
        let origin = Arc::new(format!("https://{target}"));
        serve(stream, passing, origin).await;
    });
    Ok(Response::new(String::new()))
}

fn serve(
    stream: TlsStream<TokioIo<Upgraded>>,
    passing: Way,
    origin: Arc<String>,
) -> impl Future<Output = ()> + Send {
    connection(stream, move |request: Request<Incoming>| {
        let (passing, origin) = (passing.clone(), origin.clone());
        async move { passing.pass(request, &origin).await }
    })
}
