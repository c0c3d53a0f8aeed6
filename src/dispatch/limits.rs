//! PythonMaxRequests and PythonMaxMemory: what a child has served and occupies, looked at after each request.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::OnceLock;

use super::status::process;
use crate::config::ServerConfig;
use crate::httpd::{log, recycle, Request};
use crate::interpreter::alarm;

/// 0 for none.
static MAX_REQUESTS: AtomicU64 = AtomicU64::new(0);
/// In bytes; 0 for none.
static MAX_MEMORY: AtomicU64 = AtomicU64::new(0);
static IS_ON: AtomicBool = AtomicBool::new(false);
static SERVED: AtomicU64 = AtomicU64::new(0);
static STATM: OnceLock<Option<File>> = OnceLock::new();

/// Readies the limits of a child.
pub fn start(config: &ServerConfig<'_>) {
    let requests = config.max_requests.unwrap_or(0);
    let memory = config.max_memory.unwrap_or(0);
    MAX_REQUESTS.store(requests, Ordering::Relaxed);
    MAX_MEMORY.store(memory, Ordering::Relaxed);
    if memory > 0 && resident().is_none() {
        log::main_server(
            log::Level::Warning,
            "MP0713: PythonMaxMemory has no effect: /proc/self/statm cannot be read",
        );
    }
    IS_ON.store(requests > 0 || memory > 0, Ordering::Relaxed);
}

/// A request's content was made.
#[cold]
pub fn served(r: &Request) {
    if !IS_ON.load(Ordering::Relaxed) || !r.is_initial() {
        return;
    }
    let served = SERVED.fetch_add(1, Ordering::Relaxed) + 1;
    if recycle::is_begun() {
        return;
    }
    let most = MAX_REQUESTS.load(Ordering::Relaxed);
    if most > 0 && served >= most {
        end(&format!(
            "it has served {served} requests (PythonMaxRequests {most})"
        ));
        return;
    }
    let most = MAX_MEMORY.load(Ordering::Relaxed);
    if most > 0 {
        if let Some(resident) = resident().filter(|resident| *resident > most) {
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            let (resident, most) = (mib(resident), mib(most));
            end(&format!(
                "it occupies {resident:.1} MiB (PythonMaxMemory is {most:.1} MiB)"
            ));
        }
    }
}

fn end(why: &str) {
    recycle::begin(why, None);
    alarm::wake();
}

/// The memory this process occupies, in bytes; `None` where /proc does not tell.
fn resident() -> Option<u64> {
    let file = STATM.get_or_init(|| File::open("/proc/self/statm").ok());
    let mut bytes = [0u8; 64];
    let length = file.as_ref()?.read_at(&mut bytes, 0).ok()?;
    process::resident(std::str::from_utf8(&bytes[..length]).ok()?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_occupies_something() {
        let resident = super::resident().unwrap();
        assert!(((1 << 20)..(1 << 40)).contains(&resident), "{resident}");
    }
}
