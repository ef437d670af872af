//! A memory cgroup for one child: the limit under which a pod would be killed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A cgroup with a hard memory limit. Its processes must have ended before it is dropped, which removes it.
#[derive(Debug)]
pub struct MemoryCgroup {
    folder: PathBuf,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl MemoryCgroup {
    /// Makes a cgroup limited to `octets`, swap included where the kernel counts it.
    ///
    /// # Errors
    /// When there is no memory controller that this process may use.
    pub fn new(name: &str, octets: u64) -> Result<Self> {
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let (root, version) =
            if v1.is_dir() { (v1, Version::V1) } else { (Path::new("/sys/fs/cgroup"), Version::V2) };
        let folder = root.join(format!("postern-test-{name}-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("creating the cgroup {}", folder.display()))?;
        let group = Self { folder, version };
        match version {
            Version::V1 => {
                group.write("memory.limit_in_bytes", octets)?;
                // Absent where the kernel does not account swap; then there is nothing to limit.
                let _ = group.write("memory.memsw.limit_in_bytes", octets);
            }
            Version::V2 => {
                group.write("memory.max", octets)?;
                let _ = group.write("memory.swap.max", 0);
            }
        }
        Ok(group)
    }

    /// The file that takes the ids of the processes to be limited.
    pub fn procs(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// How often the kernel killed a process of this group for want of memory.
    ///
    /// # Errors
    /// When the counter cannot be read.
    pub fn kills(&self) -> Result<u64> {
        let file = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        let text = fs::read_to_string(self.folder.join(file))?;
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill ")).unwrap_or("0");
        Ok(count.trim().parse()?)
    }

    /// The most memory the group ever used, page cache included, in octets.
    ///
    /// # Errors
    /// When the counter cannot be read.
    pub fn peak(&self) -> Result<u64> {
        let file = match self.version {
            Version::V1 => "memory.max_usage_in_bytes",
            Version::V2 => "memory.peak",
        };
        Ok(fs::read_to_string(self.folder.join(file))?.trim().parse()?)
    }

    fn write(&self, file: &str, octets: u64) -> Result<()> {
        let path = self.folder.join(file);
        fs::write(&path, octets.to_string()).with_context(|| format!("writing {}", path.display()))
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}
