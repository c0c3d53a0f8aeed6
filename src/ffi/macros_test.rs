//! Compares `macros.rs` with C's own answers: `tests/c/macros.c` has the same macros as C functions.

use std::ffi::{c_char, c_int, c_void, CString};
use std::path::Path;
use std::process::Command;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// The C functions, compiled for this run.
struct C(*mut c_void);

impl C {
    fn compile() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        // Tests run at once, each with a library of its own.
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("mod_python_macros_{}_{number}.so", std::process::id());
        let library = std::env::temp_dir().join(name);
        let status = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".into()))
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(root.join("tests/c/macros.c"))
            .args(env!("MOD_PYTHON_C_FLAGS").split_whitespace())
            .status()
            .expect("a C compiler runs");
        assert!(status.success(), "tests/c/macros.c does not compile");
        let path = CString::new(library.to_str().unwrap()).unwrap();
        // SAFETY: the library has no initialisers; it finds libapr, which this program is linked with.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        std::fs::remove_file(&library).unwrap();
        assert!(
            !handle.is_null(),
            "the library of tests/c/macros.c does not load"
        );
        Self(handle)
    }

    /// A function of the library.
    ///
    /// # Safety
    /// `F` is its type.
    unsafe fn get<F: Copy>(&self, name: &str) -> F {
        let name = CString::new(format!("c_{name}")).unwrap();
        // SAFETY: a loaded library; the caller knows the type.
        unsafe {
            let address = libc::dlsym(self.0, name.as_ptr());
            assert!(
                !address.is_null(),
                "{name:?} is missing in tests/c/macros.c"
            );
            std::mem::transmute_copy(&address)
        }
    }
}

type Brigade = *mut apr_bucket_brigade;
type Bucket = *mut apr_bucket;

/// Two brigades with the same contents: one for Rust, one for C.
struct Pair {
    alloc: *mut apr_bucket_alloc_t,
    rust: Brigade,
    c: Brigade,
}

impl Pair {
    fn new() -> Self {
        outside_httpd::initialize();
        // SAFETY: plain creation; the pool lives as long as the test program.
        unsafe {
            let mut pool = null_mut();
            apr_pool_create_unmanaged_ex(&mut pool, None, null_mut());
            let alloc = apr_bucket_alloc_create(pool);
            Self {
                alloc,
                rust: apr_brigade_create(pool, alloc),
                c: apr_brigade_create(pool, alloc),
            }
        }
    }

    fn bucket(&self, text: &'static [u8]) -> Bucket {
        // SAFETY: static text.
        unsafe { apr_bucket_immortal_create(text.as_ptr().cast(), text.len() as _, self.alloc) }
    }

    /// The lengths and types in a brigade, from the front by `next` and from the back by `prev`.
    fn shape(brigade: Brigade) -> Vec<(usize, usize)> {
        // SAFETY: a live brigade.
        unsafe {
            let sentinel = brigade_sentinel(brigade);
            let row = |bucket: Bucket| ((*bucket).length as usize, (*bucket).type_ as usize);
            let (mut there, mut back) = (Vec::new(), Vec::new());
            let mut bucket = brigade_first(brigade);
            while bucket != sentinel {
                there.push(row(bucket));
                bucket = bucket_next(bucket);
            }
            let mut bucket = (*brigade).list.prev;
            while bucket != sentinel {
                back.insert(0, row(bucket));
                bucket = (*bucket).link.prev;
            }
            assert_eq!(there, back, "the ring is broken");
            there
        }
    }
}

#[test]
fn rings_are_linked_as_c_links_them() {
    let c = C::compile();
    let pair = Pair::new();
    // SAFETY: the functions have these types; brigades and buckets are live.
    unsafe {
        let sentinel: unsafe extern "C" fn(Brigade) -> Bucket = c.get("brigade_sentinel");
        let first: unsafe extern "C" fn(Brigade) -> Bucket = c.get("brigade_first");
        let is_empty: unsafe extern "C" fn(Brigade) -> c_int = c.get("brigade_is_empty");
        let insert: unsafe extern "C" fn(Brigade, Bucket) = c.get("brigade_insert_tail");
        let next: unsafe extern "C" fn(Bucket) -> Bucket = c.get("bucket_next");
        let remove: unsafe extern "C" fn(Bucket) = c.get("bucket_remove");
        let delete: unsafe extern "C" fn(Bucket) = c.get("bucket_delete");

        assert!(brigade_is_empty(pair.rust) && is_empty(pair.rust) != 0);
        for text in [&b"one"[..], b"three", b"to", b"fourth"] {
            brigade_insert_tail(pair.rust, pair.bucket(text));
            insert(pair.c, pair.bucket(text));
        }
        assert_eq!(Pair::shape(pair.rust), Pair::shape(pair.c));
        assert_eq!(brigade_sentinel(pair.rust), sentinel(pair.rust));
        assert_eq!(brigade_first(pair.rust), first(pair.rust));
        assert_eq!(brigade_is_empty(pair.rust), is_empty(pair.rust) != 0);
        let mut bucket = brigade_first(pair.rust);
        while bucket != brigade_sentinel(pair.rust) {
            assert_eq!(bucket_next(bucket), next(bucket));
            bucket = bucket_next(bucket);
        }
        // The second, then the first, then the last: middle and both ends of the ring.
        for place in [1, 0, 1] {
            let nth =
                |brigade: Brigade| (0..place).fold(brigade_first(brigade), |b, _| bucket_next(b));
            let (in_rust, in_c) = (nth(pair.rust), nth(pair.c));
            if place == 0 {
                bucket_remove(in_rust);
                bucket_destroy(in_rust);
                remove(in_c);
                let destroy: unsafe extern "C" fn(Bucket) = c.get("bucket_destroy");
                destroy(in_c);
            } else {
                bucket_delete(in_rust);
                delete(in_c);
            }
            assert_eq!(Pair::shape(pair.rust), Pair::shape(pair.c));
        }
        assert_eq!(Pair::shape(pair.rust).len(), 1);
    }
}

#[test]
fn buckets_are_read_split_copied_and_told_apart_as_in_c() {
    let c = C::compile();
    let pair = Pair::new();
    // SAFETY: as above.
    unsafe {
        let read: unsafe extern "C" fn(
            Bucket,
            *mut *const c_char,
            *mut apr_size_t,
            apr_read_type_e,
        ) -> apr_status_t = c.get("bucket_read");
        let split: unsafe extern "C" fn(Bucket, apr_size_t) -> apr_status_t = c.get("bucket_split");
        let copy: unsafe extern "C" fn(Bucket, *mut Bucket) -> apr_status_t = c.get("bucket_copy");
        let is_eos: unsafe extern "C" fn(*const apr_bucket) -> c_int = c.get("bucket_is_eos");
        let is_flush: unsafe extern "C" fn(*const apr_bucket) -> c_int = c.get("bucket_is_flush");
        let is_metadata: unsafe extern "C" fn(*const apr_bucket) -> c_int =
            c.get("bucket_is_metadata");

        brigade_insert_tail(pair.rust, pair.bucket(b"hello world"));
        brigade_insert_tail(pair.c, pair.bucket(b"hello world"));
        let (in_rust, in_c) = (brigade_first(pair.rust), brigade_first(pair.c));
        let (mut data, mut length) = ([std::ptr::null(); 2], [0; 2]);
        assert_eq!(
            bucket_read(in_rust, &mut data[0], &mut length[0], APR_BLOCK_READ),
            0
        );
        assert_eq!(
            read(in_rust, &mut data[1], &mut length[1], APR_BLOCK_READ),
            0
        );
        assert_eq!((data[0], length[0]), (data[1], length[1]));
        assert_eq!(bucket_split(in_rust, 5), split(in_c, 5));
        assert_eq!(Pair::shape(pair.rust), Pair::shape(pair.c));
        assert_eq!(Pair::shape(pair.rust).len(), 2);
        let mut copies = [null_mut(); 2];
        assert_eq!(
            bucket_copy(in_rust, &mut copies[0]),
            copy(in_c, &mut copies[1])
        );
        assert_eq!((*copies[0]).length, (*copies[1]).length);

        let flush = apr_bucket_flush_create(pair.alloc);
        let eos = apr_bucket_eos_create(pair.alloc);
        for bucket in [in_rust, flush, eos] {
            assert_eq!(bucket_is_eos(bucket), is_eos(bucket) != 0);
            assert_eq!(bucket_is_flush(bucket), is_flush(bucket) != 0);
            assert_eq!(bucket_is_metadata(bucket), is_metadata(bucket) != 0);
        }
        assert!(bucket_is_eos(eos) && bucket_is_flush(flush) && !bucket_is_metadata(in_rust));
        // What a bucket without the operation answers.
        let not_implemented: unsafe extern "C" fn() -> apr_status_t = c.get("enotimpl");
        assert_eq!(bucket_split(eos, 0), not_implemented());
    }
}

#[test]
fn records_are_looked_at_as_in_c() {
    let c = C::compile();
    // SAFETY: as above; the records are zeroed but for the fields the macros read.
    unsafe {
        let get: unsafe extern "C" fn(*mut ap_conf_vector_t, *const module) -> *mut c_void =
            c.get("get_module_config");
        let set: unsafe extern "C" fn(*mut ap_conf_vector_t, *const module, *mut c_void) =
            c.get("set_module_config");
        let mut record: module = std::mem::zeroed();
        record.module_index = 3;
        let mut slots = [null_mut::<c_void>(); 5];
        let vector: *mut ap_conf_vector_t = slots.as_mut_ptr().cast();
        set_module_config(vector, &record, 0x10 as *mut c_void);
        assert_eq!(get(vector, &record), 0x10 as *mut c_void);
        set(vector, &record, 0x20 as *mut c_void);
        assert_eq!(get_module_config(vector, &record), 0x20 as *mut c_void);
        assert_eq!(slots.iter().filter(|slot| !slot.is_null()).count(), 1);
    }
}
