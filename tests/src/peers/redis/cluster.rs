//! A cluster: nodes that hold a part of the keys each.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Result, anyhow};

use super::Redis;
use crate::port::Port;
use crate::process::run;
use crate::wait::{self, PATIENCE};

/// Three masters without replicas, with a user `gate` whose password is `open sesame`. Dropping it kills them.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Redis>,
    _buses: Vec<Port>,
}

impl Cluster {
    /// Starts the nodes and shares the keys out among them.
    ///
    /// # Errors
    /// When they do not come together.
    pub fn start() -> Result<Self> {
        let mut cluster = Self { nodes: Vec::new(), _buses: Vec::new() };
        for _ in 0..3 {
            let (mut node, bus) = (Redis::idle()?, Port::reserve()?);
            node.in_clear();
            // By default nodes meet at a port that is 10,000 higher, which somebody else may have.
            let port = bus.number().to_string();
            node.server.extend(["--cluster-enabled", "yes", "--cluster-port", &port].map(OsString::from));
            node.server.extend(["--cluster-node-timeout", "2000"].map(OsString::from));
            node.with_user(&["+cluster"]);
            node.begin()?;
            cluster.nodes.push(node);
            cluster._buses.push(bus);
        }
        let addresses = cluster.nodes.iter().map(|node| node.address().to_string());
        run(Command::new("redis-cli").args(["--cluster", "create"]).args(addresses).arg("--cluster-yes"))?;
        for node in &cluster.nodes {
            wait::until("the cluster", PATIENCE, || {
                let info = node.ask(&["CLUSTER", "INFO"])?;
                let is_whole = info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3");
                Ok(is_whole.then_some(()))
            })?;
        }
        Ok(cluster)
    }

    /// Its nodes.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// Moves 3000 slots from the first node to the second, with their keys.
    ///
    /// # Errors
    /// When they do not move.
    pub fn move_slots(&self) -> Result<()> {
        let [from, to, ..] = self.nodes.as_slice() else { return Err(anyhow!("there are no two nodes")) };
        let id = |node: &Redis| Ok::<_, anyhow::Error>(node.ask(&["CLUSTER", "MYID"])?.trim().to_owned());
        let mut command = Command::new("redis-cli");
        command.args(["--cluster", "reshard", &from.address().to_string()]);
        command.args(["--cluster-from", &id(from)?, "--cluster-to", &id(to)?]);
        run(command.args(["--cluster-slots", "3000", "--cluster-yes"]))?;
        Ok(())
    }

    /// Kills the last node, with a third of the keys.
    ///
    /// # Errors
    /// When it did not run.
    pub fn lose_one(&mut self) -> Result<()> {
        self.nodes.last_mut().ok_or_else(|| anyhow!("there is no node"))?.kill()
    }
}
