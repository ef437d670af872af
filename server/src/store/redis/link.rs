//! A connection to Redis, whichever form Redis has.

use postern_core::policy::route::ClientTls;
use postern_core::policy::settings::RedisStore as Setting;
use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue,
    IntoConnectionInfo, RedisResult, Script, TlsCertificates, TlsMode, ToRedisArgs,
};

/// One connection for all sessions; requests are put onto it one behind the other.
pub(super) enum Link {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::One(_) => "One",
            Self::Cluster(_) => "Cluster",
        })
    }
}

impl Link {
    /// Connects, and makes sure that it is answered.
    pub(super) async fn open(setting: &Setting) -> RedisResult<Self> {
        let link = match setting.urls.as_slice() {
            urls if urls.iter().any(|url| url.contains(SENTINEL)) => Self::through_sentinels(setting).await?,
            [url] => Self::to_one(url, setting).await?,
            _ => Self::Cluster(cluster(setting)?.get_async_connection().await?),
        };
        let _: String = link.query(Cmd::new().arg("PING")).await?;
        Ok(link)
    }

    async fn to_one(url: &str, setting: &Setting) -> RedisResult<Self> {
        let info = with_login(url.into_connection_info()?, setting);
        let client = match info.addr() {
            ConnectionAddr::TcpTls { .. } => {
                Client::build_with_tls(insecure(info, &setting.tls), certificates(&setting.tls))?
            }
            _ => Client::open(info)?,
        };
        Ok(Self::One(client.get_multiplexed_async_connection_with_config(&unlimited()).await?))
    }

    async fn through_sentinels(setting: &Setting) -> RedisResult<Self> {
        let mut nodes = Vec::new();
        let mut master = String::new();
        for url in &setting.urls {
            let plain = url.replacen(SENTINEL, "", 1);
            // What follows the port is the master's name, which a plain URL would take for a database.
            let (node, name) = match plain.rsplit_once('/') {
                Some((node, name)) if !node.ends_with('/') => (node, name),
                _ => (plain.as_str(), ""),
            };
            if !name.is_empty() {
                name.clone_into(&mut master);
            }
            nodes.push(node.into_connection_info()?.addr().clone());
        }
        let mut builder = SentinelClientBuilder::new(nodes, master, SentinelServerType::Master)?;
        if let Some(username) = &setting.username {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = &setting.password {
            builder = builder.set_client_to_redis_password(password.expose());
        }
        if let Some(password) = &setting.sentinel_password {
            builder = builder.set_client_to_sentinel_password(password.expose());
        }
        if setting.urls.iter().any(|url| url.starts_with("rediss")) {
            let mode = tls_mode(&setting.tls);
            builder = builder
                .set_client_to_redis_tls_mode(mode)
                .set_client_to_redis_certificates(certificates(&setting.tls))
                .set_client_to_sentinel_tls_mode(mode)
                .set_client_to_sentinel_certificates(certificates(&setting.tls));
        }
        let mut client = builder.build()?;
        Ok(Self::One(client.get_async_connection_with_config(&unlimited()).await?))
    }

    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::One(connection) => command.query_async(&mut connection.clone()).await,
            Self::Cluster(connection) => command.query_async(&mut connection.clone()).await,
        }
    }

    /// Runs a script on one key.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        key: &[u8],
        arguments: &[impl ToRedisArgs],
    ) -> RedisResult<T> {
        let mut invocation = script.key(key);
        for argument in arguments {
            invocation.arg(argument);
        }
        match self {
            Self::One(connection) => invocation.invoke_async(&mut connection.clone()).await,
            Self::Cluster(connection) => invocation.invoke_async(&mut connection.clone()).await,
        }
    }
}

fn cluster(setting: &Setting) -> RedisResult<ClusterClient> {
    let nodes = setting.urls.iter().map(|url| url.to_string());
    let mut builder = ClusterClientBuilder::new(nodes).retries(REDIRECTIONS);
    if let Some(username) = &setting.username {
        builder = builder.username(username);
    }
    if let Some(password) = &setting.password {
        builder = builder.password(password.expose());
    }
    if setting.urls.iter().any(|url| url.starts_with("rediss")) {
        builder = builder.tls(tls_mode(&setting.tls)).certs(certificates(&setting.tls));
    }
    builder.build()
}

fn with_login(info: ConnectionInfo, setting: &Setting) -> ConnectionInfo {
    let Some(password) = &setting.password else { return info };
    let mut settings = info.redis_settings().clone().set_password(password.expose());
    if let Some(username) = &setting.username {
        settings = settings.set_username(username);
    }
    info.set_redis_settings(settings)
}

fn tls_mode(tls: &ClientTls) -> TlsMode {
    if tls.allow_invalid_certs { TlsMode::Insecure } else { TlsMode::Secure }
}

fn insecure(info: ConnectionInfo, tls: &ClientTls) -> ConnectionInfo {
    match info.addr().clone() {
        ConnectionAddr::TcpTls { host, port, tls_params, .. } => info.set_addr(ConnectionAddr::TcpTls {
            host,
            port,
            insecure: tls.allow_invalid_certs,
            tls_params,
        }),
        _ => info,
    }
}

fn certificates(tls: &ClientTls) -> TlsCertificates {
    TlsCertificates {
        client_tls: tls.client_certificate.as_ref().map(|pem| ClientTlsConfig {
            client_cert: pem.chain.as_bytes().to_vec(),
            client_key: pem.key.expose().as_bytes().to_vec(),
        }),
        root_cert: tls.ca.as_ref().map(|pem| pem.as_bytes().to_vec()),
    }
}

/// The time of a request is watched from outside; that of connecting too.
fn unlimited() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None)
}

/// How often a request is sent anew. While slots move, a node sends it on to another one, which is no error; the time
/// of a request ends it all the same.
const REDIRECTIONS: u32 = 3;

/// Marks a URL as that of a sentinel: `redis+sentinel://host:26379/master`.
const SENTINEL: &str = "+sentinel";
