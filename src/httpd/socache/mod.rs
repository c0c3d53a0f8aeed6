//! The cache that sessions are kept in: one of httpd's shared object caches. (ap_socache.h)
//!
//! The parent opens it when the configuration is read; its children inherit it.

mod cache;
mod kept;

use std::ffi::{c_char, CStr, CString};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::{Pool, Server};
use crate::ffi;

pub use cache::{Cache, Key, Refusal};

/// What a PythonSessionCache directive asks for: `provider[:arguments]`.
#[derive(Clone, Copy)]
pub struct Choice<'p> {
    pub provider: &'p CStr,
    pub arguments: &'p CStr,
}

/// The provider that needs no set-up.
const DEFAULT: &CStr = c"shmcb";
/// What `shmcb` gets without arguments, in bytes; the system gives memory as it is used.
const DEFAULT_SIZE: usize = 32 << 20;
/// Asks for no cache.
const NONE: &[u8] = b"none";
/// Who we are for a provider, at most 14 characters: memcache and redis make it part of their keys.
const NAME: &CStr = c"mod_python";

/// A provider's functions; they live as long as its module, that is as the configuration.
type Provider = ffi::ap_socache_provider_t;

impl<'p> Choice<'p> {
    /// Reads `provider[:arguments]`, and lets the provider judge its arguments.
    ///
    /// # Errors
    /// A sentence for the configuration's reader.
    pub fn parse(pool: &'p Pool, text: &CStr) -> Result<Self, String> {
        let bytes = text.to_bytes();
        let colon = memchr::memchr(b':', bytes).unwrap_or(bytes.len());
        let choice = Self {
            provider: pool.cstr(&bytes[..colon]),
            arguments: pool.cstr(bytes.get(colon + 1..).unwrap_or_default()),
        };
        if !choice.is_none() {
            let provider = choice.lookup()?;
            for (_, arguments) in choice.parts() {
                // Made only to hear what the provider says of them.
                create(provider, &arguments, pool)?;
            }
        }
        Ok(choice)
    }

    fn is_none(&self) -> bool {
        self.provider.to_bytes().eq_ignore_ascii_case(NONE)
    }

    fn lookup(&self) -> Result<&'static Provider, String> {
        let name = self.provider.to_string_lossy();
        find(self.provider).ok_or_else(|| {
            format!(
                "there is no session cache provider {name:?}; \
                 \"LoadModule socache_{name}_module modules/mod_socache_{name}.so\" has to come before"
            )
        })
    }

    /// Whether the provider's servers are others, which may be down.
    fn is_remote(&self) -> bool {
        matches!(self.provider.to_bytes(), b"memcache" | b"redis")
    }

    /// The caches to make, by name and arguments: one for each server where these are others.
    ///
    /// A provider with several servers takes the next one for one that is down, where a session is
    /// missing that exists; so each gets an instance of its own, and a session has its server.
    fn parts(&self) -> Vec<(String, CString)> {
        let provider = self.provider.to_string_lossy();
        let named = |arguments: &[u8]| {
            let name = match arguments {
                [] => provider.to_string(),
                _ => format!("{provider}:{}", String::from_utf8_lossy(arguments)),
            };
            let arguments = CString::new(arguments).expect("a piece of a C string has no NUL");
            (name, arguments)
        };
        let all = self.arguments.to_bytes();
        if self.is_remote() && !all.is_empty() {
            let servers = all.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            return servers.filter(|one| !one.is_empty()).map(named).collect();
        }
        let (name, mut arguments) = named(all);
        if self.provider == DEFAULT && all.is_empty() {
            // The file, below ServerRoot, is for systems that have no shared memory without a name.
            let text = format!("logs/socache-shmcb-mod_python({DEFAULT_SIZE})");
            arguments = CString::new(text).expect("a constant and a number");
        }
        vec![(name, arguments)]
    }
}

fn find(name: &CStr) -> Option<&'static Provider> {
    // SAFETY: C strings; null, or a record of a loaded module.
    unsafe {
        let found = ffi::ap_lookup_provider(
            ffi::AP_SOCACHE_PROVIDER_GROUP.as_ptr().cast(),
            name.as_ptr(),
            ffi::AP_SOCACHE_PROVIDER_VERSION.as_ptr().cast(),
        );
        (found as *const Provider).as_ref()
    }
}

/// An instance of a provider's.
type Instance = *mut ffi::ap_socache_instance_t;

fn create(provider: &Provider, arguments: &CStr, pool: &Pool) -> Result<Instance, String> {
    let mut instance: Instance = null_mut();
    let argument = if arguments.is_empty() {
        std::ptr::null()
    } else {
        arguments.as_ptr()
    };
    let create = provider
        .create
        .ok_or("the provider cannot create a cache")?;
    // SAFETY: the provider's function, with live pools; it answers null or a C string.
    let refused: *const c_char =
        unsafe { create(&mut instance, argument, pool.as_ptr(), pool.as_ptr()) };
    // SAFETY: as above.
    match unsafe { super::text::from_ptr(refused) } {
        None => Ok(instance),
        Some(text) => Err(text.to_string_lossy().into_owned()),
    }
}

fn init(
    provider: &Provider,
    instance: Instance,
    server: &Server,
    pool: &Pool,
) -> Result<(), super::Error> {
    let Some(init) = provider.init else {
        return Ok(());
    };
    let hints = ffi::ap_socache_hints {
        avg_id_len: size_of::<Key>(),
        avg_obj_size: cache::AVERAGE,
        expiry_interval: 60_000_000,
    };
    // SAFETY: what `create` made, with a name, hints, server and pool that live.
    let status = unsafe {
        init(
            instance,
            NAME.as_ptr(),
            &hints,
            server.as_ptr(),
            pool.as_ptr(),
        )
    };
    super::Error::check("the provider cannot start", status)
}

/// The cache of the running configuration, or why there is none.
enum State {
    Open(Cache),
    Absent(String),
}

/// Null, or what lives in the configuration's pool.
static STATE: AtomicPtr<State> = AtomicPtr::new(null_mut());

impl Drop for State {
    fn drop(&mut self) {
        STATE.store(null_mut(), Ordering::Release);
    }
}

/// Opens the cache of a configuration, in the parent; without a choice the default, if it is there.
///
/// # Errors
/// Why the chosen cache cannot be used.
pub fn open(pool: &Pool, server: &Server, choice: Option<Choice<'_>>) -> Result<(), String> {
    let state = match choice {
        Some(choice) if choice.is_none() => {
            State::Absent("PythonSessionCache none is configured".into())
        }
        Some(choice) => {
            let opened = Cache::open(&choice, pool, server);
            let name = choice.provider.to_string_lossy().into_owned();
            State::Open(opened.map_err(|error| format!("PythonSessionCache {name}: {error}"))?)
        }
        None => {
            let choice = Choice {
                provider: DEFAULT,
                arguments: c"",
            };
            match Cache::open(&choice, pool, server) {
                Ok(cache) => State::Open(cache),
                Err(error) => State::Absent(format!(
                    "no PythonSessionCache is configured, and the default cannot be used: {error}"
                )),
            }
        }
    };
    let state = pool.own(state);
    STATE.store(std::ptr::from_ref(state).cast_mut(), Ordering::Release);
    Ok(())
}

/// The open cache.
///
/// # Errors
/// Why there is none.
pub fn get() -> Result<&'static Cache, &'static str> {
    // SAFETY: null, or what the configuration's pool holds, which in a child ends with the process.
    match unsafe { STATE.load(Ordering::Acquire).as_ref() } {
        Some(State::Open(cache)) => Ok(cache),
        Some(State::Absent(why)) => Err(why),
        None => Err("the server's configuration was not read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(provider: &CStr, arguments: &CStr) -> Vec<(String, String)> {
        let choice = Choice {
            provider,
            arguments,
        };
        let text = |(name, arguments): (String, CString)| (name, arguments.into_string().unwrap());
        choice.parts().into_iter().map(text).collect()
    }

    #[test]
    fn each_remote_server_is_a_part() {
        let pair = |name: &str, arguments: &str| (name.to_string(), arguments.to_string());
        assert_eq!(
            parts(c"redis", c"a:1, b ,,c:3"),
            [
                pair("redis:a:1", "a:1"),
                pair("redis:b", "b"),
                pair("redis:c:3", "c:3")
            ]
        );
        assert_eq!(parts(c"memcache", c""), [pair("memcache", "")]);
        assert_eq!(
            parts(c"shmcb", c""),
            [pair("shmcb", "logs/socache-shmcb-mod_python(33554432)")]
        );
        assert_eq!(
            parts(c"shmcb", c"/a,b(99)"),
            [pair("shmcb:/a,b(99)", "/a,b(99)")]
        );
    }
}
