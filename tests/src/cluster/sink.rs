//! A next hop in the cluster that takes everything and knows what it has.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Cluster, LEISURE, at};
use crate::wait;

/// The pod and Service `sink` of a namespace.
#[derive(Debug)]
pub struct Sink {
    roster: SocketAddr,
}

impl Sink {
    /// Starts one, and waits until it takes mail at `sink:25`.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start(cluster: &Cluster, namespace: &str) -> Result<Self> {
        let place = ["--namespace", namespace];
        let namespaces = ["apply", "-f", "-"];
        let made =
            format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n---\n{MANIFESTS}");
        cluster.kubectl(&[&place[..], &namespaces].concat(), &made)?;
        wait::until("the sink", LEISURE, || {
            let pod =
                cluster.kubectl(&[&place[..], &["get", "pod", "sink", "--output=json"]].concat(), "")?;
            let pod = serde_json::from_str(&pod)?;
            let Some(address) = at(&pod, "/status/podIP").as_str() else { return Ok(None) };
            let roster = SocketAddr::new(address.parse::<IpAddr>()?, 2526);
            Ok(TcpStream::connect_timeout(&roster, Duration::from_secs(1)).is_ok().then_some(Self { roster }))
        })
    }

    /// The subjects of all messages that it has taken responsibility for.
    ///
    /// # Errors
    /// It does not answer.
    pub fn roster(&self) -> Result<BTreeSet<String>> {
        let mut stream = TcpStream::connect(self.roster).context("the sink's roster")?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

const MANIFESTS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: sink, labels: {app: sink}}
spec:
  enableServiceLinks: false
  terminationGracePeriodSeconds: 0
  containers:
    - name: sink
      image: postern.test/sink:1
      imagePullPolicy: Never
---
apiVersion: v1
kind: Service
metadata: {name: sink}
spec:
  selector: {app: sink}
  ports: [{port: 25, targetPort: 2525}]
";
