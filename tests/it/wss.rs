//! WebSockets inside TLS: clients with a fixed `wss` address, through interception.

use crate::support::certificate::Certificate;
use crate::support::env::{TestEnv, project};
use crate::support::socket_model::SocketModel;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// TLS before a model that has none. It ends when it is dropped.
struct Front {
    port: u16,
    opened: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

impl Front {
    fn of(model: &SocketModel, certificate: &Certificate) -> Front {
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(certificate.chain(), certificate.key())
            .expect("a certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("bind");
        let port = listener.local_addr().expect("address").port();
        let (behind, opened) = (model.origin().replace("http://", ""), Arc::new(AtomicUsize::new(0)));
        let count = opened.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, behind, count) = (acceptor.clone(), behind.clone(), count.clone());
                tokio::spawn(async move {
                    let Ok(mut outer) = acceptor.accept(stream).await else { return };
                    count.fetch_add(1, Ordering::Relaxed);
                    let mut inner = TcpStream::connect(behind).await.expect("the model listens");
                    // How it ends is for the two to know.
                    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                });
            }
        });
        Front { port, opened, _runtime: runtime }
    }
}

#[test]
fn a_session_inside_tls_is_recorded_replayed_and_forked() {
    let (mut env, mut model) = (TestEnv::new(), SocketModel::lamps());
    let certificate = Certificate::of("localhost");
    env.set("SSL_CERT_FILE", env.file("trusted.pem", &certificate.authority).display().to_string());
    let front = Front::of(&model, &certificate);
    env.set("LAMPS", format!("https://localhost:{}/v1", front.port));
    let script = project().join("tests/it/agents/socket_lamps.py").display().to_string();
    let agent = ["--", "python3", &script];
    // The agent trusts the model by itself: without interception nobody sees what it says.
    let unseen = env.retake([&["run", "--name", "unseen"], &agent[..]].concat()).expect(3);
    assert_eq!(unseen.out, "3 of desk left\n", "{}", unseen.err);

    let ran = env.retake([&["run", "--intercept", "--name", "lamp"], &agent[..]].concat()).expect(0);
    assert_eq!(ran.out, "3 of desk left\n", "{}", ran.err);
    ran.says(&["lamp.1   3 steps (2 model, 1 tool)"]);
    assert_eq!((model.openings(), front.opened.load(Ordering::Relaxed)), (2, 2));
    let known = model.messages().len();

    let fork = env.retake(["fork", "lamp.1", "--set", "2:result.stock=7"]).expect(0);
    assert_eq!(fork.out, "7 of desk left\n", "{}", fork.err);
    assert_eq!(front.opened.load(Ordering::Relaxed), 3, "its live call went through TLS");
    assert_eq!(model.messages().len(), known + 1);

    drop(front);
    model.stop();
    for (run, said) in [("lamp.1", &ran.out), ("lamp.2", &fork.out)] {
        let replayed = env.retake(["replay", run]).expect(0);
        assert_eq!(replayed.out, *said, "{}", replayed.err);
        replayed.says(&["3/3 steps   0 live calls", "same outcome"]);
    }
    assert_eq!(model.openings(), 3);
}
