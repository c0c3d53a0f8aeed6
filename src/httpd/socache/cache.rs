//! Values in the cache: stored, retrieved and removed, and what a provider's answer means.

use std::ffi::{c_uint, CStr};

use super::{create, init, kept, Choice, Instance, Provider};
use crate::ffi;
use crate::httpd::error::strerror;
use crate::httpd::locks::Lock;
use crate::httpd::pool::OwnedPool;
use crate::httpd::time::{self, SECOND};
use crate::httpd::{Error, Pool, Server};

/// What a value is found by: bytes that are as random as a session's id, for `shmcb` takes the first one
/// to choose a part of its memory.
pub type Key = [u8; 16];

/// The size of values that the providers are told to expect, in bytes.
pub const AVERAGE: usize = 512;
/// No value is larger: memcached takes 1 MiB with its own data.
const LARGEST: usize = 1_000_000;
/// memcached takes more seconds than these, 30 days, for a time since the epoch.
const MEMCACHE_RELATIVE: i64 = 30 * 86_400;
/// What a remote server is asked to keep for a minute, to see whether it does.
const PROBE: Key = *b"\0mod_python ping";
/// Ten years: providers count seconds in 32 bits.
const LONGEST: i64 = 10 * 366 * 86_400 * SECOND;

/// Why a value is not stored, found or removed.
#[derive(thiserror::Error, Debug)]
pub enum Refusal {
    /// The value that is stored, if any, stays.
    #[error("the session has {size} bytes, and the session cache {name} takes {limit} at most")]
    TooLarge {
        name: String,
        size: usize,
        limit: usize,
    },
    /// The provider failed, or its server.
    #[error("the session cache {name} cannot {action} the session: {why}")]
    Failed {
        name: String,
        action: &'static str,
        why: String,
    },
}

/// One instance of a provider's.
struct Part {
    name: String,
    instance: Instance,
}

/// The session cache of a configuration.
pub struct Cache {
    provider: &'static Provider,
    parts: Vec<Part>,
    /// The largest value, in bytes.
    limit: usize,
    is_remote: bool,
    is_memcache: bool,
}

// SAFETY: the provider's functions may be called by all threads, one at a time where it says so, and then
// `Turn` is held.
unsafe impl Sync for Cache {}
// SAFETY: as above.
unsafe impl Send for Cache {}

/// The right to call a provider that does not take calls at once from several threads or processes.
struct Turn(Option<Lock>);

impl Turn {
    fn take(provider: &Provider) -> Result<Self, Error> {
        if provider.flags & ffi::AP_SOCACHE_FLAG_NOTMPSAFE == 0 {
            return Ok(Self(None));
        }
        let lock = Lock::socache();
        lock.lock()?;
        Ok(Self(Some(lock)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(lock) = self.0 {
            // It is held, so only a kernel without its file could refuse.
            let _ = lock.unlock();
        }
    }
}

impl Cache {
    pub(super) fn open(choice: &Choice<'_>, pool: &Pool, server: &Server) -> Result<Self, String> {
        let provider = choice.lookup()?;
        let is_shmcb = choice.provider == super::DEFAULT;
        let mut parts = Vec::new();
        let mut limit = LARGEST;
        for (name, arguments) in choice.parts() {
            let instance = if is_shmcb {
                limit = limit.min(shmcb_limit(&arguments));
                kept::open(provider, &arguments, server)?
            } else {
                let instance = create(provider, &arguments, pool)?;
                init(provider, instance, server, pool).map_err(|error| error.to_string())?;
                destroy_with(pool, provider, instance, server);
                instance
            };
            parts.push(Part { name, instance });
        }
        if parts.is_empty() {
            return Err("no server is named".into());
        }
        Ok(Self {
            provider,
            parts,
            limit,
            is_remote: choice.is_remote(),
            is_memcache: choice.provider == c"memcache",
        })
    }

    /// Stores a value until a time in microseconds since the epoch, in place of an older one.
    ///
    /// # Errors
    /// The value is too large, or the provider failed: then an older value may be gone.
    pub fn store(
        &self,
        server: &Server,
        key: &Key,
        value: &[u8],
        expires: i64,
    ) -> Result<(), Refusal> {
        let part = self.part(key);
        if value.len() > self.limit {
            return Err(Refusal::TooLarge {
                name: part.name.clone(),
                size: value.len(),
                limit: self.limit,
            });
        }
        let failed = |why| part.failed("store", why);
        let now = time::now();
        if expires <= now {
            return self.remove(server, key);
        }
        let turn = Turn::take(self.provider).map_err(|error| failed(error.to_string()))?;
        let status = self.call_store(part, server, key, value, self.expiry(expires, now));
        drop(turn);
        match status {
            Ok(0) => Ok(()),
            Ok(status) => Err(failed(explain(status))),
            Err(why) => Err(failed(why)),
        }
    }

    /// The value of a key; `None` where there is none.
    ///
    /// # Errors
    /// The provider failed, or its server is down: then nobody knows.
    pub fn retrieve(&self, server: &Server, key: &Key) -> Result<Option<Vec<u8>>, Refusal> {
        let part = self.part(key);
        let mut room = Vec::with_capacity(LARGEST);
        self.sure(part, server, "retrieve", || {
            let mut length = LARGEST as c_uint;
            let retrieve = self.provider.retrieve.ok_or("it has no such function")?;
            let pool = OwnedPool::new().ok_or("no memory")?;
            // SAFETY: an instance of this provider's, and room for `length` bytes.
            let status = unsafe {
                retrieve(
                    part.instance,
                    server.as_ptr(),
                    key.as_ptr(),
                    key.len() as c_uint,
                    room.as_mut_ptr(),
                    &mut length,
                    pool.as_ptr(),
                )
            };
            if status == 0 {
                // SAFETY: the provider wrote as many, which is not more than there is room for.
                unsafe { room.set_len((length as usize).min(LARGEST)) };
            }
            Ok(status)
        })
        .map(|found| found.then(|| room.as_slice().to_vec()))
    }

    /// Removes the value of a key, if there is one.
    ///
    /// # Errors
    /// The provider failed, or its server is down.
    pub fn remove(&self, server: &Server, key: &Key) -> Result<(), Refusal> {
        let part = self.part(key);
        self.sure(part, server, "remove", || {
            let remove = self.provider.remove.ok_or("it has no such function")?;
            let pool = OwnedPool::new().ok_or("no memory")?;
            // SAFETY: an instance of this provider's.
            Ok(unsafe {
                remove(
                    part.instance,
                    server.as_ptr(),
                    key.as_ptr(),
                    key.len() as c_uint,
                    pool.as_ptr(),
                )
            })
        })
        .map(|_| ())
    }

    /// Whether a call found its key. A remote provider says "not found" of a server that is down, too;
    /// so one that says it has to prove that it stores, and is then asked again.
    fn sure(
        &self,
        part: &Part,
        server: &Server,
        action: &'static str,
        mut call: impl FnMut() -> Result<i32, &'static str>,
    ) -> Result<bool, Refusal> {
        let failed = |why| part.failed(action, why);
        let mut has_proved = !self.is_remote;
        loop {
            let turn = Turn::take(self.provider).map_err(|error| failed(error.to_string()))?;
            let status = call().map_err(|why| failed(why.into()))?;
            drop(turn);
            match status {
                0 => return Ok(true),
                NOT_FOUND if has_proved => return Ok(false),
                NOT_FOUND => {}
                status => return Err(failed(explain(status))),
            }
            let soon = time::now() + 60 * SECOND;
            match self.call_store(part, server, &PROBE, b"1", soon) {
                Ok(0) => has_proved = true,
                Ok(status) => return Err(failed(explain(status))),
                Err(why) => return Err(failed(why)),
            }
        }
    }

    fn call_store(
        &self,
        part: &Part,
        server: &Server,
        key: &Key,
        value: &[u8],
        expiry: i64,
    ) -> Result<i32, String> {
        let store = self.provider.store.ok_or("it has no such function")?;
        let pool = OwnedPool::new().ok_or("no memory")?;
        // SAFETY: an instance of this provider's; it only reads the value, whatever its type says.
        Ok(unsafe {
            store(
                part.instance,
                server.as_ptr(),
                key.as_ptr(),
                key.len() as c_uint,
                expiry,
                value.as_ptr().cast_mut(),
                value.len() as c_uint,
                pool.as_ptr(),
            )
        })
    }

    /// When a provider is told to forget a value: never too early, for whoever reads it looks too.
    fn expiry(&self, expires: i64, now: i64) -> i64 {
        let expires = expires.min(now.saturating_add(LONGEST)) + SECOND;
        if self.is_memcache && (expires - now) / SECOND > MEMCACHE_RELATIVE {
            // The provider passes the difference on, and memcached reads it as the time itself.
            now + expires
        } else {
            expires
        }
    }

    fn part(&self, key: &Key) -> &Part {
        let number = u64::from_le_bytes(key[8..].try_into().expect("the key has 16 bytes"));
        &self.parts[(number % self.parts.len() as u64) as usize]
    }
}

const NOT_FOUND: i32 = ffi::MP_APR_NOTFOUND as i32;

impl Part {
    fn failed(&self, action: &'static str, why: String) -> Refusal {
        Refusal::Failed {
            name: self.name.clone(),
            action,
            why,
        }
    }
}

/// A status in words.
fn explain(status: i32) -> String {
    if status == NOT_FOUND {
        // For a few seconds after it was down a server is not even asked.
        return "its server is down, or was a moment ago".into();
    }
    strerror(status)
}

/// Has the provider give up an instance when the configuration goes, in the process that made it.
fn destroy_with(pool: &Pool, provider: &'static Provider, instance: Instance, server: &Server) {
    struct Owned {
        provider: &'static Provider,
        instance: Instance,
        server: *mut ffi::server_rec,
        process: u32,
    }
    impl Drop for Owned {
        fn drop(&mut self) {
            if let (Some(destroy), true) =
                (self.provider.destroy, self.process == std::process::id())
            {
                // SAFETY: made by this provider, whose module is unloaded after this cleanup; nobody
                // uses it any more.
                unsafe { destroy(self.instance, self.server) }
            }
        }
    }
    pool.own(Owned {
        provider,
        instance,
        server: server.as_ptr(),
        process: std::process::id(),
    });
}

/// The largest value that `shmcb` surely takes: it divides its memory, and a value has to fit into one part
/// beside the part's index. One that does not would cost the session that is stored.
fn shmcb_limit(arguments: &CStr) -> usize {
    let text = arguments.to_string_lossy();
    let size = text
        .rsplit_once('(')
        .and_then(|(_, size)| size.strip_suffix(')')?.parse().ok())
        .unwrap_or(512 * 1024);
    let indexes = size / (AVERAGE + size_of::<Key>());
    let mut parts = 256;
    while parts > 1 && indexes / parts < 2 * parts {
        parts /= 2;
    }
    // An index takes 24 bytes, a twentieth of what it is for, and the headers little.
    (size / parts / 16 * 15).saturating_sub(size_of::<Key>() + 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_sessions_need_large_memory() {
        assert_eq!(shmcb_limit(c"/x(33554432)"), 131_072 / 16 * 15 * 2 - 80);
        assert_eq!(shmcb_limit(c"/x"), shmcb_limit(c"/x(524288)"));
        assert!(shmcb_limit(c"/x(524288)") > 15_000);
        assert!((500..4096).contains(&shmcb_limit(c"/x(8192)")));
    }
}
