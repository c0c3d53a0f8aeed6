//! Compares each macro of `macros.rs` with C's own answer: `tests/c/macros.c`, compiled and loaded here.

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::process::Command;
use std::ptr::null_mut;
use std::sync::OnceLock;

use super::*;

/// The shared object with C's macros.
struct C(usize);

impl C {
    fn get() -> &'static C {
        static LIBRARY: OnceLock<C> = OnceLock::new();
        LIBRARY.get_or_init(|| C(load(&compile())))
    }

    /// A function of the shared object, as a pointer of type `F`.
    unsafe fn function<F: Copy>(&self, name: &str) -> F {
        let name = CString::new(name).unwrap();
        // SAFETY: a loaded library; the caller knows the function's type.
        unsafe {
            let address = libc::dlsym(self.0 as *mut c_void, name.as_ptr());
            assert!(!address.is_null(), "{name:?} is not in tests/c/macros.c");
            std::mem::transmute_copy::<*mut c_void, F>(&address)
        }
    }
}

fn compile() -> CString {
    let root = env!("CARGO_MANIFEST_DIR");
    let target = format!(
        "{}/macros-{}.so",
        std::env::temp_dir().display(),
        std::process::id()
    );
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let status = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-Wall", "-Werror", "-o", &target])
        .args(env!("MOD_PYTHON_C_FLAGS").split(' '))
        .arg(format!("{root}/tests/c/macros.c"))
        .status()
        .unwrap_or_else(|error| panic!("the C compiler {compiler} (CC) does not run: {error}"));
    assert!(
        status.success(),
        "{compiler} cannot compile tests/c/macros.c"
    );
    CString::new(target).unwrap()
}

fn load(path: &CStr) -> usize {
    // SAFETY: a shared object without initialisers, whose symbols of APR this program has.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LAZY) };
    let _ = std::fs::remove_file(path.to_str().unwrap());
    assert!(!library.is_null(), "{path:?} cannot be loaded");
    library as usize
}

type ToBucket = unsafe extern "C" fn(*mut apr_bucket) -> *mut apr_bucket;
type OfBucket = unsafe extern "C" fn(*mut apr_bucket) -> c_int;
type OnBucket = unsafe extern "C" fn(*mut apr_bucket);
type OfBrigade = unsafe extern "C" fn(*mut apr_bucket_brigade) -> *mut apr_bucket;
type Read = unsafe extern "C" fn(
    *mut apr_bucket,
    *mut *const c_char,
    *mut apr_size_t,
    apr_read_type_e,
) -> apr_status_t;

/// Two brigades with the same buckets: one for Rust's macros, one for C's.
struct Pair {
    pool: *mut apr_pool_t,
    alloc: *mut apr_bucket_alloc_t,
    rust: *mut apr_bucket_brigade,
    c: *mut apr_bucket_brigade,
}

impl Pair {
    fn new() -> Self {
        outside_httpd::initialize();
        let mut pool = null_mut();
        // SAFETY: plain creation.
        unsafe {
            apr_pool_create_unmanaged_ex(&mut pool, None, null_mut());
            let alloc = apr_bucket_alloc_create(pool);
            Self {
                pool,
                alloc,
                rust: apr_brigade_create(pool, alloc),
                c: apr_brigade_create(pool, alloc),
            }
        }
    }

    /// Appends a bucket of some kind to both, each with its own macro.
    fn append(&self, kind: usize, text: &'static CStr) {
        // SAFETY: live brigades; each bucket goes into one of them.
        unsafe {
            let make = || match kind % 5 {
                0 => apr_bucket_eos_create(self.alloc),
                1 => apr_bucket_flush_create(self.alloc),
                2 => apr_bucket_heap_create(text.as_ptr(), text.to_bytes().len(), None, self.alloc),
                _ => apr_bucket_immortal_create(text.as_ptr(), text.to_bytes().len(), self.alloc),
            };
            brigade_insert_tail(self.rust, make());
            let insert: unsafe extern "C" fn(*mut apr_bucket_brigade, *mut apr_bucket) =
                C::get().function("c_brigade_insert_tail");
            insert(self.c, make());
            self.compare();
        }
    }

    /// The bucket at a position of each brigade, found with its own macros.
    fn nth(&self, position: usize) -> (*mut apr_bucket, *mut apr_bucket) {
        // SAFETY: live brigades, and positions within them.
        unsafe {
            let c = C::get();
            let mut rust = brigade_first(self.rust);
            let mut other = c.function::<OfBrigade>("c_brigade_first")(self.c);
            for _ in 0..position {
                rust = bucket_next(rust);
                other = c.function::<ToBucket>("c_bucket_next")(other);
            }
            (rust, other)
        }
    }

    /// Walks each brigade with the *other* language's macros: both must see the same.
    fn compare(&self) -> Vec<(String, usize)> {
        let c = C::get();
        // SAFETY: live brigades.
        unsafe {
            let describe = |bucket: *mut apr_bucket, eos: bool, flush: bool, metadata: bool| {
                let name = CStr::from_ptr((*(*bucket).type_).name).to_string_lossy();
                (
                    format!("{name} {eos} {flush} {metadata}"),
                    (*bucket).length as usize,
                )
            };
            let (mut one, mut two) = (Vec::new(), Vec::new());
            let is = |name: &str, bucket| c.function::<OfBucket>(name)(bucket) != 0;
            let sentinel = c.function::<OfBrigade>("c_brigade_sentinel")(self.rust);
            assert_eq!(sentinel, brigade_sentinel(self.rust));
            let mut bucket = c.function::<OfBrigade>("c_brigade_first")(self.rust);
            while bucket != sentinel {
                one.push(describe(
                    bucket,
                    is("c_bucket_is_eos", bucket),
                    is("c_bucket_is_flush", bucket),
                    is("c_bucket_is_metadata", bucket),
                ));
                bucket = c.function::<ToBucket>("c_bucket_next")(bucket);
            }
            let mut bucket = brigade_first(self.c);
            while bucket != brigade_sentinel(self.c) {
                two.push(describe(
                    bucket,
                    bucket_is_eos(bucket),
                    bucket_is_flush(bucket),
                    bucket_is_metadata(bucket),
                ));
                bucket = bucket_next(bucket);
            }
            assert_eq!(one, two);
            let empty: unsafe extern "C" fn(*mut apr_bucket_brigade) -> c_int =
                c.function("c_brigade_is_empty");
            for brigade in [self.rust, self.c] {
                assert_eq!(brigade_is_empty(brigade), empty(brigade) != 0);
                assert_eq!(brigade_is_empty(brigade), one.is_empty());
            }
            one
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // SAFETY: made in `new`; the brigades go with it.
        unsafe { apr_pool_destroy(self.pool) }
    }
}

const TEXTS: [&CStr; 3] = [c"one", c"twelve bytes", c"x"];

#[test]
fn brigades_and_buckets() {
    let pair = Pair::new();
    assert!(pair.compare().is_empty());
    // A small generator is enough: every operation comes at every place.
    let mut state = 12345_usize;
    let mut next = |limit: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % limit
    };
    let c = C::get();
    for _ in 0..2000 {
        let length = pair.compare().len();
        if length == 0 || (length < 12 && next(2) == 0) {
            pair.append(next(5), TEXTS[next(3)]);
            continue;
        }
        let (rust, other) = pair.nth(next(length));
        // SAFETY: buckets of live brigades, each handled with its own language's macros.
        unsafe {
            match next(5) {
                0 => {
                    bucket_delete(rust);
                    c.function::<OnBucket>("c_bucket_delete")(other);
                }
                1 => {
                    bucket_remove(rust);
                    c.function::<OnBucket>("c_bucket_remove")(other);
                    bucket_destroy(rust);
                    c.function::<OnBucket>("c_bucket_destroy")(other);
                }
                2 => {
                    let at = next(4) as apr_size_t;
                    let split: unsafe extern "C" fn(*mut apr_bucket, apr_size_t) -> apr_status_t =
                        c.function("c_bucket_split");
                    assert_eq!(bucket_split(rust, at), split(other, at));
                }
                3 => {
                    let copy: unsafe extern "C" fn(
                        *mut apr_bucket,
                        *mut *mut apr_bucket,
                    ) -> apr_status_t = c.function("c_bucket_copy");
                    let (mut one, mut two) = (null_mut(), null_mut());
                    assert_eq!(bucket_copy(rust, &mut one), copy(other, &mut two));
                    brigade_insert_tail(pair.rust, one);
                    brigade_insert_tail(pair.c, two);
                }
                _ => {
                    let mut data = [std::ptr::null(); 2];
                    let mut length = [0; 2];
                    let status = bucket_read(rust, &mut data[0], &mut length[0], APR_BLOCK_READ);
                    let read: Read = c.function("c_bucket_read");
                    assert_eq!(
                        status,
                        read(other, &mut data[1], &mut length[1], APR_BLOCK_READ)
                    );
                    let text = |index: usize| {
                        std::slice::from_raw_parts(data[index].cast::<u8>(), length[index] as usize)
                    };
                    if !bucket_is_metadata(rust) {
                        assert_eq!(text(0), text(1));
                    }
                }
            }
        }
    }
}

#[test]
fn module_configurations() {
    let c = C::get();
    let mut vector = [null_mut::<c_void>(); 5];
    let mut values = [1_u8, 2];
    // SAFETY: a zeroed module record is one, and the vector has an entry for its index.
    unsafe {
        let mut record: module = std::mem::zeroed();
        record.module_index = 3;
        let config = vector.as_mut_ptr().cast::<ap_conf_vector_t>();
        let get: unsafe extern "C" fn(*mut ap_conf_vector_t, *const module) -> *mut c_void =
            c.function("c_get_module_config");
        let set: unsafe extern "C" fn(*mut ap_conf_vector_t, *const module, *mut c_void) =
            c.function("c_set_module_config");
        let [one, two] = values
            .each_mut()
            .map(|value| std::ptr::from_mut(value).cast());
        set_module_config(config, &record, one);
        assert_eq!(get(config, &record), one);
        set(config, &record, two);
        assert_eq!(get_module_config(config, &record), two);
        assert_eq!(vector[3], two);
        assert!(vector[..3].iter().all(|entry| entry.is_null()) && vector[4].is_null());
    }
}

#[test]
fn statuses() {
    // SAFETY: a function without arguments.
    let enotimpl =
        unsafe { C::get().function::<unsafe extern "C" fn() -> apr_status_t>("c_enotimpl")() };
    assert_eq!(enotimpl, APR_ENOTIMPL_STATUS);
}
